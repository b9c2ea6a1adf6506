"""What `dlcli inspect` shows: a table's columns, and what was found, as plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from dlcli.cli.text import align
from dlcli.config import printable
from dlcli.data_checks import number
from dlcli.errors import plural
from dlcli.starter import cut, listing

if TYPE_CHECKING:
    from dlcli.data_checks import ColumnOverview, DataIssue, Inspection

_LONGEST_NAME = 40
_LONGEST_VALUES = 60
_LONGEST_REASON = 60


def inspection_lines(inspection: Inspection, width: int) -> Iterator[str]:
    """Yields the lines of an inspection.

    Args:
        inspection: what there is to know of a table.
        width: characters of a line; the table is cut there, issues go on below.
    """
    columns = inspection.columns
    size = f"{plural(inspection.rows, 'row')}, {plural(len(columns), 'column')}"
    yield f"{printable(inspection.file)}: {size}"
    yield ""
    yield from (cut(line, width) for line in _table([_HEADER, *map(_row, columns)]))
    for issue in inspection.issues:
        yield ""
        yield from _issue_lines(issue, width)
    if not inspection.issues:
        yield ""
        yield "the checks found nothing"


_HEADER = ("column", "type", "missing", "distinct", "values", "why")
_COUNTS = ("missing", "distinct")


def _row(column: ColumnOverview) -> Sequence[str]:
    values = column.values
    missing = f"{100 * values.missing / (values.missing + values.present):.3g} %"
    return (
        cut(printable(column.name), _LONGEST_NAME),
        column.type,
        missing if values.missing else "",
        f"{values.distinct:,}",
        _held(column),
        cut(printable(column.reason), _LONGEST_REASON),
    )


def _held(column: ColumnOverview) -> str:
    """The range of measurements, the most frequent of other values."""
    values = column.values
    if column.type in ("numeric", "target", "ignored") and values.bounds and values.distinct > 2:
        low, high = map(number, values.bounds)
        return f"{low} to {high}"
    return cut(printable(listing(values)), _LONGEST_VALUES)


def _issue_lines(issue: DataIssue, width: int) -> Iterator[str]:
    """What was found, and below it what to do."""
    label = f"{issue.severity}: "
    margin = " " * len(label)
    for first, text in ((label, issue.message), (margin, issue.advice)):
        yield from textwrap.wrap(
            text,
            width,
            initial_indent=first,
            subsequent_indent=margin,
            break_long_words=False,
            break_on_hyphens=False,
        )


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Cells to lines, counts to the right and all else to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return align(
        [
            [
                cell if name in _COUNTS else cell.ljust(width)
                for name, cell, width in zip(_HEADER, row, widths, strict=True)
            ]
            for row in rows
        ]
    )
