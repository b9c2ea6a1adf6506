"""What a comparison says, in words that the terminal and the page share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dlcli.comparison.comparison import Comparison, RunDifference
from dlcli.config import printable
from dlcli.errors import plural
from dlcli.metrics import DifferenceEstimate

VERDICTS = {
    "better": "better, more than noise",
    "worse": "worse, more than noise",
    "not_significant": "no more than noise",
    "same": "no difference",
}
"""What is said of a difference by its verdict, unless that is unknown."""


def verdict_words(contrast: DifferenceEstimate) -> str:
    """Whether a difference is more than noise."""
    if contrast.value is None:
        return "undefined"
    unknown = f"can't be told: {contrast.reason}"
    return VERDICTS.get(contrast.verdict, unknown)


def names_of(paths: Sequence[Path], most: int = 40) -> list[str]:
    """What runs are called: their folders' own names, or whole paths if these are not different."""
    own = [path.resolve().name for path in paths]
    names = own if len(set(own)) == len(own) else list(map(str, paths))
    return [_cut(printable(name), most) for name in names]


def rows_words(comparison: Comparison, difference: RunDifference) -> str:
    """On which rows two runs are compared."""
    if difference.rows is None:
        return f"not on the same rows, as {difference.reason}"
    first = comparison.sides[0].rows
    same = "same" if difference.rows == first else "shared"
    return f"on the {same} {plural(difference.rows, 'row')}"


def data_words(comparison: Comparison) -> str:
    """Whether the runs have read the same files."""
    if comparison.same_data:
        named = ", ".join(_cut(printable(file.name), 60) for file in comparison.sides[0].data[:5])
        return f"the same: {named}"
    known = all(file.sha256 for side in comparison.sides for file in side.data)
    return "not the same" if known else "perhaps not the same: not all files are known by a digest"


def _cut(text: str, most: int) -> str:
    """A text, its middle left out if it is long: the ends tell names apart."""
    if len(text) <= most:
        return text
    end = (most - 1) // 2
    return f"{text[: most - 1 - end]}…{text[-end:]}"
