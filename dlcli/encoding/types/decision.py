"""What a column was taken for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dlcli.config import Feature
from dlcli.encoding.values import ColumnSummary

_MOST_NAMED = 5


@dataclass(frozen=True)
class Decision:
    """What a column was taken for."""

    feature: Feature
    """Its type with all parameters; never `auto`."""
    reason: str
    """Why: `declared`, or what its training rows show."""
    warning: str = ""
    """What to do about it, if it is hardly what is wanted; the same for all columns of a kind."""
    stray_words: tuple[str, ...] = ()
    """The values that are not of its type, if all of them usually stand for missing ones."""
    otherwise: Decision | None = None
    """What it would be taken for, were it not for a doubt: an identifier, or the same in all rows.
    """
    values: ColumnSummary | None = None
    """The counts behind it, of the rows looked at; None if declared."""


def type_warnings(decisions: Mapping[str, Decision]) -> list[str]:
    """What to say of columns that were hardly taken for what is wanted: a line for each kind.

    Args:
        decisions: the type of each column.
    """
    kinds: defaultdict[str, list[str]] = defaultdict(list)
    for column, decision in decisions.items():
        if decision.warning:
            kinds[decision.warning].append(f"'{column}' ({decision.reason})")
    return [f"{warning}: {some(columns)}" for warning, columns in kinds.items()]


def some(columns: Sequence[str]) -> str:
    """The first few columns, and how many there are."""
    named = ", ".join(columns[:_MOST_NAMED])
    return f"{named}, ... ({len(columns)} columns)" if len(columns) > _MOST_NAMED else named
