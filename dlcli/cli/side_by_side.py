"""What `dlcli compare` shows: runs side by side, as plain text."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from dlcli.cli.text import align, number
from dlcli.comparison import as_text, data_words, names_of, rows_words, verdict_words
from dlcli.config import printable
from dlcli.errors import plural
from dlcli.starter import cut

if TYPE_CHECKING:
    from dlcli.comparison import Comparison, RunDifference
    from dlcli.metrics import Estimate

WIDTH = 80
"""Characters of a line that two or three runs fit in."""
_LONGEST_NAME = 30
_NARROWEST_CELL = 12
_MOST_SETTINGS = 40


def comparison_lines(comparison: Comparison, width: int = WIDTH) -> Iterator[str]:
    """Yields the lines of a comparison.

    Args:
        comparison: the runs.
        width: characters of a line.
    """
    yield from _runs(comparison)
    yield ""
    yield from _settings(comparison, width)
    yield ""
    yield f"data  {data_words(comparison)}"
    if not comparison.same_data:
        yield from _data(comparison)
    if comparison.split is not None:
        yield ""
        yield from _estimates(comparison, comparison.split)
        yield from _baselines(comparison, comparison.split)
        for at, against in enumerate(comparison.differences, start=2):
            yield ""
            yield from _against(comparison, against, at)
    yield from _other_splits(comparison)
    for note in comparison.notes:
        yield ""
        yield from textwrap.wrap(f"note: {note}", width, subsequent_indent=" " * 6)


def _runs(comparison: Comparison) -> list[str]:
    """A number for each run, which stands for it in what follows."""
    names = names_of([side.path for side in comparison.sides], _LONGEST_NAME)
    longest = max(map(len, names))
    rows = [
        [
            f"run {at}",
            name.ljust(longest),
            f"{side.created:%Y-%m-%d %H:%M}",
            plural(side.epochs, "epoch"),
        ]
        for at, (name, side) in enumerate(zip(names, comparison.sides, strict=True), start=1)
    ]
    return align(rows)


def _numbered(comparison: Comparison) -> list[str]:
    return [f"run {at}" for at in range(1, len(comparison.sides) + 1)]


def _settings(comparison: Comparison, width: int) -> Iterator[str]:
    """Yields what differs in configs, versions and machines."""
    rows = [
        [setting.path, *map(as_text, setting.values)]
        for setting in comparison.settings[:_MOST_SETTINGS]
    ]
    rows += [[fact.name, *map(_fact, fact.values)] for fact in comparison.facts]
    if not rows:
        yield "config  nothing differs"
        return
    yield from _left(["config", *_numbered(comparison)], rows, width)
    if (rest := len(comparison.settings) - _MOST_SETTINGS) > 0:
        yield f"and {rest:,} more; --json has all of them"


def _fact(value: str | None) -> str:
    return "-" if value is None else printable(value)


def _left(header: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Cells to lines, all to the left, the longest cut so that they fit the width."""
    table = [list(header), *map(list, rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    most = max(widths)
    while most > _NARROWEST_CELL and sum(min(size, most) + 2 for size in widths) - 2 > width:
        most -= 1
    return [
        "  ".join(
            cut(cell, most).ljust(min(size, most)) for cell, size in zip(row, widths, strict=True)
        ).rstrip()
        for row in table
    ]


def _data(comparison: Comparison) -> Iterator[str]:
    for at, side in enumerate(comparison.sides, start=1):
        for file in side.data[:5]:
            digest = f"SHA-256 {file.sha256[:12]}..." if file.sha256 else "without a digest"
            yield f"  run {at}: {cut(printable(file.name), 40)}, {digest}"


def _estimates(comparison: Comparison, split: str) -> Iterator[str]:
    """Yields each metric of each run, and its interval below it."""
    sides = comparison.sides
    counts = [side.rows for side in sides]
    rows = plural(counts[0] or 0, "row")
    if len(set(counts)) > 1:
        rows = f"{', '.join(f'{count:,}' for count in counts)} rows"
    yield f"{split}: {rows}, with 95 % intervals"
    lines = [["", *_numbered(comparison)]]
    for name in dict.fromkeys(name for side in sides for name in side.estimates):
        found = [side.estimates.get(name) for side in sides]
        lines.append([name, *(number(each.value if each else None) for each in found)])
        lines.append(["", *map(_ends, found)])
    yield from align(lines)


def _ends(estimate: Estimate | None) -> str:
    if estimate is None or estimate.lower is None or estimate.upper is None:
        return ""
    return f"{number(estimate.lower)} to {number(estimate.upper)}"


def _baselines(comparison: Comparison, split: str) -> Iterator[str]:
    """Yields what the simplest models do, each once where it does the same for several runs."""
    found: list[tuple[str, Mapping[str, float | None], list[int]]] = []
    for at, side in enumerate(comparison.sides, start=1):
        for model, metrics in side.baselines.items():
            known = [runs for *same, runs in found if same == [model, metrics.get(split)]]
            if known:
                known[0].append(at)
            elif split in metrics:
                found.append((model, metrics[split], [at]))
    if not found:
        return
    several = Counter(model for model, _, _ in found)
    heads = [
        cut(printable(model), 12) + (f" {','.join(map(str, runs))}" if several[model] > 1 else "")
        for model, _, runs in found
    ]
    yield ""
    yield f"{split}: baselines"
    names = dict.fromkeys(name for _, scores, _ in found for name in scores)
    rows = [[name, *(number(scores.get(name)) for _, scores, _ in found)] for name in names]
    yield from align([["", *heads], *rows])


def _against(comparison: Comparison, against: RunDifference, at: int) -> Iterator[str]:
    """Yields what a run has over the first in each metric."""
    yield f"{comparison.split}: run {at} less run 1, {rows_words(comparison, against)}"
    rows = [
        [name, _signed(each.value), _signed_ends(each), verdict_words(each)]
        for name, each in against.metrics.items()
    ]
    longest = max((len(row[3]) for row in rows), default=0)
    yield from align([[*row[:3], row[3].ljust(longest)] for row in rows])


def _signed(value: float | None) -> str:
    return f"+{number(value)}" if value is not None and value > 0 else number(value)


def _signed_ends(estimate: Estimate) -> str:
    if estimate.lower is None or estimate.upper is None:
        return ""
    return f"{_signed(estimate.lower)} to {_signed(estimate.upper)}"


def _other_splits(comparison: Comparison) -> Iterator[str]:
    """Yields the metrics of the sets that don't judge, without intervals."""
    sides = comparison.sides
    for split in dict.fromkeys(split for side in sides for split in side.metrics):
        scores = [side.metrics.get(split, {}) for side in sides]
        names = dict.fromkeys(name for each in scores for name in each)
        if split != comparison.split and names:
            yield ""
            yield split
            rows = [[name, *(number(each.get(name)) for each in scores)] for name in names]
            yield from align([["", *_numbered(comparison)], *rows])
