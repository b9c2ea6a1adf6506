"""The layout of a network's inputs: the blocks that encoders of columns make, side by side."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

InputKind = Literal["numeric", "index", "sparse", "image"]
"""Meaning of a block's inputs: numbers, the index of a category, numbers most of which are 0, or
pixels."""


class InputForm:
    """Processing of a block's inputs by the network before its first layer."""


@dataclass(frozen=True)
class Block:
    """Neighboring inputs that encode one column."""

    column: str
    kind: InputKind
    inputs: tuple[str, ...]
    """Names of the inputs, in order."""
    form: InputForm | None = None
    """Their processing, if there is any."""


@dataclass(frozen=True)
class Layout:
    """All inputs of a network, block by block; sparse blocks are last."""

    blocks: tuple[Block, ...]

    @property
    def width(self) -> int:
        """Number of inputs."""
        return sum(len(block.inputs) for block in self.blocks)

    def slices(self) -> Iterator[tuple[Block, slice]]:
        """Yield each block with the slice of the encoded matrix's columns that it covers."""
        start = 0
        for block in self.blocks:
            stop = start + len(block.inputs)
            yield block, slice(start, stop)
            start = stop


def plain_layout(width: int) -> Layout:
    """Return a layout of `width` numbers that belong to no table."""
    return Layout((Block("", "numeric", ("",) * width),))
