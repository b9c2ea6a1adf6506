"""The type of each column, by what its training rows hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa

from dlcli.config import Auto, Feature, Ignored
from dlcli.encoding.types.amounts import judge_amounts
from dlcli.encoding.types.categories import judge_booleans, judge_words
from dlcli.encoding.types.dates import judge_dates
from dlcli.encoding.types.decision import Decision, some
from dlcli.encoding.types.held import Held, shortened
from dlcli.encoding.types.numbers import judge_numbers
from dlcli.encoding.types.paths import judge_paths
from dlcli.encoding.values import is_identifier
from dlcli.errors import ConfigError, Problem, plural
from dlcli.tables import Table

LOOKED_AT = 50_000
"""Rows that are looked at, evenly spaced, where there are more. That a column has no value, always
the same, or another in each row is confirmed by all."""

_JUDGES = (judge_numbers, judge_booleans, judge_dates, judge_paths, judge_amounts, judge_words)
"""The first that has a say decides."""


def decide_types(chosen: Mapping[str, Feature], train: Table) -> dict[str, Decision]:
    """Settles the type of each column.

    An identifier is read for want of any other column.

    Args:
        chosen: what the config wants of each column.
        train: the training rows, which `auto` looks at.

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
    decisions = {column: _without_doubt(decision) for column, decision in decisions.items()}
    if not _reads_any(decisions):
        reasons = some([f"'{name}' ({item.reason})" for name, item in decisions.items()])
        raise ConfigError([Problem("input.features", f"no column can be read: {reasons}")])
    return decisions


def _reads_any(decisions: Mapping[str, Decision]) -> bool:
    return any(not isinstance(decision.feature, Ignored) for decision in decisions.values())


def _without_doubt(decision: Decision) -> Decision:
    """What a column is taken for if it may be an identifier; a constant stays out."""
    is_constant = decision.values is not None and decision.values.distinct == 1
    return decision if decision.otherwise is None or is_constant else decision.otherwise


def infer_type(column: str, train: Table) -> Decision:
    """Says what a column is by what it holds.

    Args:
        column: its name.
        train: the training rows.
    """
    if train.rows <= LOOKED_AT:
        return _judge(train, column)
    some = _spaced_rows(train, column)
    decision = _judge(some, column)
    if decision.otherwise or not (decision.values and decision.values.present):
        return _judge(train, column)  # other rows may show that it isn't so
    note = f"in {plural(some.rows, 'row')} looked at"
    return replace(decision, reason=f"{decision.reason} ({note})")


def _spaced_rows(train: Table, column: str) -> Table:
    """Evenly spaced rows of one column."""
    places = np.linspace(0, train.rows - 1, LOOKED_AT).astype(np.int64)
    alone = pa.Table.from_arrays([train.keep(column)], names=[column])
    return replace(train, data=alone).take(places)


def _judge(table: Table, column: str) -> Decision:
    held = Held(table, column)
    decision = replace(_type(held), values=held.values)
    doubt = _doubt(held, decision)
    if doubt is None:
        return decision
    return Decision(Ignored(), doubt, otherwise=decision, values=held.values)


def _type(held: Held) -> Decision:
    if not held.values.present:
        return Decision(Ignored(), "has no value in the training rows")
    for judge in _JUDGES:
        if decision := judge(held):
            return decision
    storage = held.table.column(held.name).values.type
    return Decision(Ignored(), f"is stored as {storage}, which no feature type reads")


def _doubt(held: Held, decision: Decision) -> str | None:
    """Why a column should rather not be read, if so."""
    values, kind = held.values, decision.feature.type
    if kind == "ignored":
        return None
    if values.distinct == 1 and not values.missing:
        return f"the same value in all rows: {shortened(values.frequent[0][0])}"
    if not is_identifier(held.name, kind, values):
        return None
    if values.distinct == values.present:
        return "another value in each row: an identifier"
    return f"{values.distinct:,} values in {plural(values.present, 'row')}: an identifier"
