"""All combinations of values, each at a place of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dlcli.config import Dimension, Value

_GOLDEN = (math.sqrt(5) - 1) / 2


def combinations(dimensions: Sequence[Dimension]) -> int | None:
    """How many combinations of values there are; `None` if they are without number."""
    sizes = [dimension.size for dimension in dimensions]
    known = [size for size in sizes if size is not None]
    return math.prod(known) if len(known) == len(sizes) else None


def combination(
    dimensions: Sequence[Dimension], place: int, *, spread: bool = False
) -> dict[str, Value]:
    """The combination at a place of the grid.

    They come in the order of nested loops, the last dimension the innermost; or spread, with a
    stride of about the golden section of their number, which has no factor in common with it: none
    comes twice, and however few there are, they are from all over the grid.

    Args:
        dimensions: whose values can be counted.
        place: from 0, and below their number.
        spread: whether they are spread.
    """
    if spread:
        number = combinations(dimensions) or 1
        place = place * _stride(number) % number
    chosen: dict[str, Value] = {}
    for dimension in reversed(dimensions):
        place, at = divmod(place, dimension.size or 1)
        chosen[dimension.path] = dimension.value(at)
    return {dimension.path: chosen[dimension.path] for dimension in dimensions}


def _stride(number: int) -> int:
    stride = max(1, round(number * _GOLDEN))
    while math.gcd(stride, number) > 1:
        stride += 1
    return stride
