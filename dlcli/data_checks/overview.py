"""A table at a glance: what each column is taken for, and what it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dlcli.encoding import ColumnSummary, Decision, summarize_column
from dlcli.tables import Table
from dlcli.tasks import Task


@dataclass(frozen=True)
class ColumnOverview:
    """A column."""

    name: str
    type: str
    """The feature type that it is taken for, or `target`."""
    reason: str
    """Why."""
    values: ColumnSummary
    """What it holds."""


def overview(
    table: Table, decisions: Mapping[str, Decision], target: Task | None
) -> tuple[ColumnOverview, ...]:
    """Looks at every column of a table.

    Args:
        table: the table.
        decisions: the type of each feature column.
        target: what is predicted, if that is known.
    """
    return tuple(_column(table, name, decisions.get(name), target) for name in table.columns)


def _column(
    table: Table, name: str, decision: Decision | None, target: Task | None
) -> ColumnOverview:
    values = summarize_column(table, name)
    if decision is not None:
        return ColumnOverview(name, decision.feature.type, decision.reason, values)
    return ColumnOverview(name, "target", target.reason if target is not None else "", values)
