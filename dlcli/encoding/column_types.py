"""Types of columns: as declared, or inferred from the training rows, with the reason."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from dlcli.config import Auto, Feature, Ignored
from dlcli.encoding.column_summary import ColumnView, is_identifier, shorten
from dlcli.encoding.type_rules import RULES, Decision
from dlcli.errors import ConfigError, Problem, plural
from dlcli.tables import Table

ROWS_LOOKED_AT = 50_000
"""Rows that are looked at, evenly spaced, where there are more. That a column has no value, always
the same, or a different one in each row is confirmed by all."""
_MOST_NAMED = 5


def decide_types(chosen: Mapping[str, Feature], train: Table) -> dict[str, Decision]:
    """Decide on the type of each column.

    If every column is ignored, identifiers are read after all.

    Args:
        chosen: the config's feature for each column.
        train: the training rows, from which `auto` is inferred.

    Raises:
        ConfigError: if no column is left to read.
    """
    decisions = {
        column: infer_type(column, train)
        if isinstance(feature, Auto)
        else Decision(feature, "declared")
        for column, feature in chosen.items()
    }
    if _reads_any(decisions):
        return decisions
    for column, decision in decisions.items():
        is_constant = decision.values is not None and decision.values.distinct == 1
        if decision.otherwise is not None and not is_constant:
            decisions[column] = decision.otherwise
    if not _reads_any(decisions):
        reasons = _some([f"'{name}' ({item.reason})" for name, item in decisions.items()])
        raise ConfigError([Problem("input.features", f"no column can be read: {reasons}")])
    return decisions


def _reads_any(decisions: Mapping[str, Decision]) -> bool:
    return any(not isinstance(decision.feature, Ignored) for decision in decisions.values())


def infer_type(column: str, train: Table) -> Decision:
    """Infer a column's type from its training rows."""
    if train.rows <= ROWS_LOOKED_AT:
        return _infer(train, column)
    rows = np.linspace(0, train.rows - 1, ROWS_LOOKED_AT).astype(np.int64)
    alone = pa.Table.from_arrays([train.keep(column)], names=[column])
    decision = _infer(replace(train, data=alone).take(rows), column)
    if decision.otherwise or not (decision.values and decision.values.present):
        return _infer(train, column)  # other rows may show that it isn't so
    note = f"in {plural(ROWS_LOOKED_AT, 'row')} looked at"
    return replace(decision, reason=f"{decision.reason} ({note})")


def _infer(table: Table, column: str) -> Decision:
    view = ColumnView(table, column)
    decision = replace(_first_decision(view), values=view.summary)
    doubt = _doubt(view, decision)
    if doubt is None:
        return decision
    return Decision(Ignored(), doubt, otherwise=decision, values=view.summary)


def _first_decision(view: ColumnView) -> Decision:
    if not view.summary.present:
        return Decision(Ignored(), "has no value in the training rows")
    for rule in RULES:
        if decision := rule(view):
            return decision
    storage = view.table.column(view.name).values.type
    return Decision(Ignored(), f"is stored as {storage}, which no feature type reads")


def _doubt(view: ColumnView, decision: Decision) -> str | None:
    """Return why a column should rather be ignored, if so."""
    summary, type_name = view.summary, decision.feature.type
    if type_name == "ignored":
        return None
    if summary.distinct == 1 and not summary.missing:
        return f"the same value in all rows: {shorten(summary.frequent[0][0])}"
    if not is_identifier(view.name, type_name, summary):
        return None
    if summary.distinct == summary.present:
        return "another value in each row: an identifier"
    return f"{summary.distinct:,} values in {plural(summary.present, 'row')}: an identifier"


def type_warnings(decisions: Mapping[str, Decision]) -> list[str]:
    """Word the warnings about types that may not be what the user wants, a line for each kind."""
    kinds: defaultdict[str, list[str]] = defaultdict(list)
    for column, decision in decisions.items():
        if decision.warning:
            kinds[decision.warning].append(f"'{column}' ({decision.reason})")
    return [f"{warning}: {_some(columns)}" for warning, columns in kinds.items()]


def _some(columns: Sequence[str]) -> str:
    """List the first few columns, and their number if there are more."""
    named = ", ".join(columns[:_MOST_NAMED])
    return f"{named}, ... ({len(columns)} columns)" if len(columns) > _MOST_NAMED else named
