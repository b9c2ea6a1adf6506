"""The finding of a check in a table, as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from dlcli.errors import printable, truncate

Severity = Literal["warning", "note"]
"""A warning is likely to spoil training or its metrics; a note is worth knowing."""

_MOST_NAMED = 5
_LONGEST = 43


@dataclass(frozen=True)
class DataFinding:
    """What one check found in a table, in all columns that it concerns."""

    check: str
    """The check's name: `target_leakage`."""
    severity: Severity
    columns: tuple[str, ...]
    """The columns that it concerns, in the table's order; none if it concerns whole rows."""
    rows: int | None
    """Number of the rows looked at that show it, where rows can be counted."""
    message: str
    """The evidence, on one line."""
    advice: str
    """The advice, on one line."""

    def __str__(self) -> str:
        return f"{self.message}; {self.advice}"


def column_finding(
    check: str,
    severity: Severity,
    found: Mapping[str, str],
    message: str,
    advice: str,
    rows: int | None = None,
) -> DataFinding | None:
    """Return the finding of several columns; None without any.

    Args:
        check: the check's name.
        severity: how much it matters.
        found: a note on each column, which may be empty.
        message: the evidence; the columns follow it.
        advice: the remedy.
        rows: number of rows that show it.
    """
    if not found:
        return None
    return DataFinding(check, severity, tuple(found), rows, f"{message}: {listed(found)}", advice)


def listed(details: Mapping[str, str], what: str = "columns") -> str:
    """List the first few names with a note on each, and their number if there are more.

    Args:
        details: the note on each name, which may be empty.
        what: what the names are of.
    """
    few = list(details.items())[:_MOST_NAMED]
    text = ", ".join(quoted(name) + (f" ({printable(note)})" if note else "") for name, note in few)
    return f"{text}, ... ({len(details)} {what})" if len(details) > _MOST_NAMED else text


def quoted(value: str) -> str:
    """Quote a value on one line, cut if it is long."""
    return f"'{truncate(printable(value), _LONGEST)}'"


def percent(part: int, whole: int) -> str:
    """Format a share in percent, never rounded to all or nothing."""
    share = 100 * part / whole
    if 0 < share < 0.1:
        return "under 0.1 %"
    return "over 99.9 %" if 99.9 < share < 100 else f"{share:.3g} %"
