"""Checks of whole rows: duplicates, within a table and across the split."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from hashlib import blake2b

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from dlcli.arrays import mask_to_numpy
from dlcli.data_checks.data_finding import DataFinding, Severity, percent
from dlcli.data_checks.sample import Sample, draw, draw_rows
from dlcli.errors import DataError
from dlcli.tables.table import Table
from dlcli.tasks.task import Task

MANY_DUPLICATES = 0.05
"""Share of the rows from which on duplicates are a warning: they change the metrics."""
_FEWEST_DUPLICATES = 3
_MOST_COMPARED = 100_000
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""Odd, with mixed bits: 2^64 over the golden ratio."""
_MISSING = 1

Hashes = NDArray[np.uint64]


def find_duplicates(sample: Sample) -> DataFinding | None:
    """Find rows that repeat an earlier one in every feature.

    A warning from 5 % of the rows (and 3) on, a note below. Not checked are tables in which as many
    may repeat at random: with fewer than 20 combinations of the features' values for each row.
    """
    table = sample.whole
    if _may_repeat_at_random(sample):
        return None
    try:
        features = _hash_features(table, sample)
    except DataError:  # a value that the sample missed, and at which encoding will stop
        return None
    repeated = table.rows - len(np.unique(features))
    if not repeated:
        return None
    count = f"{repeated:,} of {table.rows:,} ({percent(repeated, table.rows)})"
    message = f"rows with the same features as an earlier row: {count}"
    advice = "if they are copies, keep one of each: copies of training rows may become test rows"
    severity = _severity(repeated, table.rows)
    if sample.task is not None:
        same = table.rows - len(np.unique(_hash_target(features, table, sample.task)))
        message += f", {same:,} of them with the same target"
        if not same:
            severity = "note"
            advice = "so they are no copies, but the features don't distinguish them"
    return DataFinding("duplicates", severity, (), repeated, message, advice)


def find_duplicates_across(
    sample: Sample, held_out: Mapping[str, Table], is_grouped: bool = False
) -> DataFinding | None:
    """Find held-out rows that equal a training row in every feature.

    A warning from 5 % of a set's rows (and 3) on, a note below. Not checked is what
    `find_duplicates` doesn't check.

    Args:
        sample: of the training rows.
        held_out: the other sets, by name.
        is_grouped: whether the split keeps groups of rows whole, so that copies in other sets are
            of other groups.
    """
    if _may_repeat_at_random(sample):
        return None
    counts, severities, total, contradicting = [], set[Severity](), 0, 0
    for name, whole in held_out.items():
        table = draw_rows(whole, len(sample.columns))
        training = _comparable(sample, table)
        try:
            theirs, ours = (_hash_features(each, sample) for each in (training, table))
        except DataError:
            return None
        is_copy = np.isin(ours, theirs)
        found = int(is_copy.sum())
        if not found:
            continue
        counts.append(f"{found:,} of {table.rows:,} ({percent(found, table.rows)}) of {name}")
        severities.add(_severity(found, table.rows))
        total += found
        if sample.task is not None and sample.task.classes:
            known = _hash_target(theirs, training, sample.task)
            same = np.isin(_hash_target(ours, table, sample.task), known)
            contradicting += int((is_copy & ~same).sum())
    if not counts:
        return None
    message = f"held-out rows with the same features as a training row: {', '.join(counts)}"
    if contradicting:
        message += f", {contradicting:,} of them with another target"
    advice = "if they are copies, metrics are too good: keep one of each"
    if not is_grouped:
        advice += ", or keep copies in the same set by data.split: {name: group, column: ...}"
    severity: Severity = "warning" if "warning" in severities else "note"
    return DataFinding("duplicates_across_split", severity, (), total, message, advice)


def _severity(found: int, rows: int) -> Severity:
    return "warning" if found >= max(_FEWEST_DUPLICATES, MANY_DUPLICATES * rows) else "note"


def _may_repeat_at_random(sample: Sample) -> bool:
    """Return whether `MANY_DUPLICATES` would be found if all combinations were equally likely."""
    combinations = math.prod(max(c.distinct, 1) for c in sample.columns.values())
    return combinations <= sample.whole.rows / MANY_DUPLICATES


def _comparable(sample: Sample, held_out: Table) -> Table:
    """Return the training rows that may equal a held-out one, by the column of most values.

    If they are still very many, some of them are drawn at random, and duplicates may be missed.
    """
    table = sample.whole
    if table.rows <= _MOST_COMPARED:
        return table
    column = max(sample.columns, key=lambda name: sample.columns[name].distinct)
    values, wanted = table.column(column).values, held_out.column(column).values
    rows = np.arange(table.rows)
    if values.type == wanted.type:
        rows = rows[mask_to_numpy(pc.is_in(values, value_set=wanted.combine_chunks()))]
    return table.take(draw(rows, _MOST_COMPARED))


def _hash_features(table: Table, sample: Sample) -> Hashes:
    """Return a hash for each row that is equal for rows with equal features, (rows,).

    It is `Σ h(v_i) φ^i` modulo 2^64, with φ odd and h a hash of 64 mixed bits: among a million
    different rows, two have the same hash once in 40 million tables.

    Raises:
        DataError: for a value that isn't a number in a column of numbers.
    """
    # Python's own hash of a text differs from process to process.
    hash_text = hash if table.shares is None else _stable_hash
    return table.by_row(lambda some: _hash_rows(some, sample, hash_text))


def _hash_rows(table: Table, sample: Sample, hash_text: Callable[[str], int]) -> Hashes:
    hashes = np.full(table.rows, _MISSING, dtype=np.uint64)
    for name, column in sample.columns.items():
        if column.numbers is None:
            hashes = hashes * _FACTOR + _hash_texts(table, name, hash_text)
            continue
        amounts = column.decision.feature.amounts(table.column(name))
        if amounts is None:
            raise table.column(name).error("has values of another type")
        values = amounts + 0.0  # -0 becomes 0, of other bits
        values[np.isnan(values)] = np.nan  # all NaN get the same bits
        # SplitMix64's finalizer (Steele, Lea and Flood 2014): each bit depends on all.
        bits = values.view(np.uint64)
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        hashes = hashes * _FACTOR + (bits ^ (bits >> np.uint64(31)))
    return hashes


def _hash_target(features: Hashes, table: Table, task: Task) -> Hashes:
    """Continue the hashes of `_hash_features` with the target, (rows,)."""
    for column in task.columns:
        features = features * _FACTOR + _hash_texts(table, column)
    return features


def _stable_hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


def _hash_texts(table: Table, column: str, hash_text: Callable[[str], int] = hash) -> Hashes:
    codes, texts = table.codes(column)
    hashes = np.array([*map(hash_text, texts), _MISSING], dtype=np.int64)
    return hashes.view(np.uint64)[codes]
