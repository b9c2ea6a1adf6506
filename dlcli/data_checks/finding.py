"""What a check finds in a table, in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from dlcli.config import printable

Severity = Literal["warning", "note"]
"""A warning is likely to spoil training or its scores; a note is worth knowing."""

_MOST_NAMED = 5
_LONGEST = 40


@dataclass(frozen=True)
class DataIssue:
    """What one check found, over all columns that it concerns."""

    check: str
    """The check's name: `target_leakage`."""
    severity: Severity
    """How much it matters."""
    columns: tuple[str, ...]
    """The columns that it concerns, in the table's order; none if it concerns whole rows."""
    rows: int | None
    """How many of the rows looked at show it, where it is a matter of rows."""
    message: str
    """What was found, on one line."""
    advice: str
    """What to do, on one line."""

    def __str__(self) -> str:
        return f"{self.message}; {self.advice}"


def listed(details: Mapping[str, str], what: str = "columns") -> str:
    """The first few names with what is to be said of each, and how many there are.

    Args:
        details: what is to be said of each name; nothing if that is empty.
        what: what the names are of.
    """
    few = list(details.items())[:_MOST_NAMED]
    text = ", ".join(quoted(name) + (f" ({printable(said)})" if said else "") for name, said in few)
    return f"{text}, ... ({len(details)} {what})" if len(details) > _MOST_NAMED else text


def quoted(value: str) -> str:
    """A value in quotes, on one line, cut if it is long."""
    text = printable(value)
    return f"'{text[:_LONGEST]}...'" if len(text) > _LONGEST else f"'{text}'"


def number(value: float) -> str:
    """A number as people write it."""
    return f"{value:.0f}" if value.is_integer() and abs(value) < 1e15 else f"{value:.6g}"


def share(part: int, whole: int) -> str:
    """A part in per cent, never rounded to all or nothing."""
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "under 0.1 %"
    return "over 99.9 %" if 99.9 < percent < 100 else f"{percent:.3g} %"
