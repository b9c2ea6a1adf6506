"""What a config searches for, as plain text."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dlcli.cli.text import align, number, some
from dlcli.errors import plural

if TYPE_CHECKING:
    from dlcli.config import Dimension, Tune, Value


def space_table(tune: Tune) -> list[str]:
    """How the search goes, and below it what each setting may be."""
    from dlcli.config import dimensions_of

    dimensions = dimensions_of(tune)
    rows = [(some([each.path]), _range_of(each)) for each in dimensions]
    rows.insert(0, ("tune", ", ".join(_ways(tune, dimensions))))
    width = max(len(text) for _, text in rows)
    return align([(name, text.ljust(width)) for name, text in rows])


def _ways(tune: Tune, dimensions: tuple[Dimension, ...]) -> Iterator[str]:
    """Yields how many candidates there are, how they are chosen and what judges them."""
    if tune.most_trials is not None:
        yield plural(tune.most_trials, "trial")
    if tune.time is not None:
        yield f"{number(tune.time)} seconds"
    sizes = [each.size for each in dimensions]
    known = [size for size in sizes if size is not None]
    combinations = math.prod(known) if len(known) == len(sizes) else None
    of = f" of {plural(combinations, 'combination')}" if combinations else ""
    yield f"{tune.sampler.name}{of}"
    rows = "the validation rows" if tune.folds is None else plural(tune.folds, "fold")
    yield f"{tune.metric} of {rows}"


def _range_of(dimension: Dimension) -> str:
    """What a setting may be."""
    if dimension.kind == "choice":
        return some(map(_written, dimension.labels))
    text = f"{number(dimension.low)} to {number(dimension.high)}"
    if dimension.log:
        return f"{text}, log"
    is_usual = dimension.step is None or (dimension.kind == "integer" and dimension.step == 1)
    return text if is_usual else f"{text} by {number(dimension.step)}"


def _written(label: Value) -> str:
    """A choice as it is written in a config."""
    return label if isinstance(label, str) else json.dumps(label)
