"""Rows that occur more than once, and rows that are held out although they were trained on."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from dlcli.data_checks.finding import DataIssue, Severity, share
from dlcli.data_checks.sample import Sample, draw, draw_rows
from dlcli.errors import DataError
from dlcli.tables import Table, mask_to_numpy
from dlcli.tasks import Task

MANY = 0.05
"""Share of the rows from which on copies are a warning: they change the scores."""
_FEWEST = 3
_MOST_COMPARED = 100_000
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""Odd, with mixed bits: 2^64 over the golden ratio."""
_MISSING = 1

Hashes = NDArray[np.uint64]


@dataclass(frozen=True)
class _Twins:
    """Held-out rows that equal a training row."""

    looked_at: int
    found: int
    contradicting: int

    @property
    def are_many(self) -> bool:
        return _are_many(self.found, self.looked_at)

    @property
    def count(self) -> str:
        return f"{self.found:,} of {self.looked_at:,} ({share(self.found, self.looked_at)})"


def find_repeats(sample: Sample) -> DataIssue | None:
    """Finds rows that repeat an earlier one in every feature.

    A warning from 5 % of the rows (and 3) on, a note below. Silent where chance alone may repeat as
    many: where there are fewer than 20 combinations of the features' values to a row.
    """
    table = sample.whole
    if _repeat_by_chance(sample):
        return None
    try:
        features = _hash_features(table, sample)
    except DataError:  # a value that the sample missed; the encoding will say so
        return None
    repeated = table.rows - len(np.unique(features))
    if not repeated:
        return None
    count = f"{repeated:,} of {table.rows:,} ({share(repeated, table.rows)})"
    message = f"rows that equal an earlier one in all features: {count}"
    if sample.target is not None:
        same = table.rows - len(np.unique(_hash_target(features, table, sample.target)))
        message += f", {same:,} of them in the target, too"
    severity: Severity = "warning" if _are_many(repeated, table.rows) else "note"
    advice = "if they are copies, keep one of each, or copies of training rows will be held out"
    return DataIssue("duplicates", severity, (), repeated, message, advice)


def find_duplicates_across(sample: Sample, held_out: Mapping[str, Table]) -> DataIssue | None:
    """Finds held-out rows that equal a training row in every feature.

    A warning from 5 % of a set's rows (and 3) on, a note below; silent as `find_repeats` is.

    Args:
        sample: of the training rows.
        held_out: the other sets, by name.
    """
    if _repeat_by_chance(sample):
        return None
    try:
        twins = {name: _twins(sample, table) for name, table in held_out.items()}
    except DataError:
        return None
    twins = {name: those for name, those in twins.items() if those.found}
    if not twins:
        return None
    counts = (f"{those.count} of {name}" for name, those in twins.items())
    message = f"held-out rows that equal a training row in all features: {', '.join(counts)}"
    if contradicting := sum(those.contradicting for those in twins.values()):
        message += f", {contradicting:,} of them with another target"
    advice = (
        "if they are copies, scores will be too good: keep one of each, or keep copies together by "
        "data.split: {name: group, column: ...}"
    )
    severity: Severity = "warning" if any(t.are_many for t in twins.values()) else "note"
    rows = sum(those.found for those in twins.values())
    return DataIssue("duplicates_across_split", severity, (), rows, message, advice)


def _are_many(rows: int, of: int) -> bool:
    return rows >= max(_FEWEST, MANY * of)


def _repeat_by_chance(sample: Sample) -> bool:
    """Whether rows are equal by chance alone: `MANY` of them, if all combinations are as likely."""
    combinations = math.prod(max(c.distinct, 1) for c in sample.columns.values())
    return combinations <= sample.whole.rows / MANY


def _twins(sample: Sample, held_out: Table) -> _Twins:
    looked_at = draw_rows(held_out, len(sample.columns))
    training = _comparable(sample, looked_at)
    theirs, ours = (_hash_features(table, sample) for table in (training, looked_at))
    is_twin = np.isin(ours, theirs)
    contradicting = 0
    if sample.target is not None and sample.target.classes:
        known = _hash_target(theirs, training, sample.target)
        same = np.isin(_hash_target(ours, looked_at, sample.target), known)
        contradicting = int((is_twin & ~same).sum())
    return _Twins(looked_at.rows, int(is_twin.sum()), contradicting)


def _comparable(sample: Sample, held_out: Table) -> Table:
    """The training rows that may equal one of the others, by the column of most values.

    If they are still very many, some of them by lot, so that copies are found, but not all.
    """
    table = sample.whole
    if table.rows <= _MOST_COMPARED:
        return table
    column = max(sample.columns, key=lambda name: sample.columns[name].distinct)
    values, wanted = table.keep(column), held_out.keep(column)
    rows = np.arange(table.rows)
    if values.type == wanted.type:
        rows = rows[mask_to_numpy(pc.is_in(values, value_set=wanted.combine_chunks()))]
    return table.take(draw(rows, _MOST_COMPARED))


def _hash_features(table: Table, sample: Sample) -> Hashes:
    """A number for each row that is the same for rows of the same features, (rows,).

    It is `Σ h(v_i) φ^i` modulo 2^64, with φ odd and h a hash of 64 mixed bits: among a million
    different rows, two that agree by chance are met once in 40 million tables.

    Raises:
        DataError: for a value that is no number where numbers are read.
    """
    hashes = np.full(table.rows, _MISSING, dtype=np.uint64)
    for name, column in sample.columns.items():
        tokens = _numbers(table, name) if column.numbers is not None else _texts(table, name)
        hashes = hashes * _FACTOR + tokens
    return hashes


def _hash_target(features: Hashes, table: Table, target: Task) -> Hashes:
    """As `_hash_features`, with the target, (rows,)."""
    hashes = features
    for column in target.columns:
        hashes = hashes * _FACTOR + _texts(table, column)
    return hashes


def _texts(table: Table, column: str) -> Hashes:
    codes, texts = table.codes(column)
    tokens = np.array([*map(hash, texts), _MISSING], dtype=np.int64)
    return tokens.view(np.uint64)[codes]


def _numbers(table: Table, column: str) -> Hashes:
    values = table.numbers(column) + 0.0  # -0 becomes 0, of other bits
    values[np.isnan(values)] = np.nan  # any NaN becomes the one
    return _mixed(values.view(np.uint64))


def _mixed(bits: Hashes) -> Hashes:
    """SplitMix64's finalizer (Steele, Lea and Flood 2014): each bit depends on all."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
