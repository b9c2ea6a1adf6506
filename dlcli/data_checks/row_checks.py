"""Checks of rows: duplicates, and rows that are similar by subject or in time.

Rows of one patient, firm or week are more similar than other rows. A random split puts some of them
into the training set and some into the others, so metrics are too optimistic for new patients or
later weeks.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import chain, islice

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray

from dlcli.arrays import Floats, Indices, mask_to_numpy
from dlcli.columns.column_type import Decision
from dlcli.columns.type_inference import MIN_ROWS
from dlcli.config.data_section import GroupSplit, TimeSplit
from dlcli.data_checks import sample as sampling
from dlcli.data_checks.sample import DataFinding, Sample, Severity, percent, quoted
from dlcli.data_checks.split_candidates import (
    FEWEST_GROUPS,
    GroupCandidate,
    TimeCandidate,
    find_groups,
    find_times,
    time_in_panel,
)
from dlcli.errors import DataError, joined, plural
from dlcli.metrics.intervals import student_quantile
from dlcli.splitting import draw
from dlcli.tables.table import Table
from dlcli.tasks.task import Task

SPLIT_CHECKS = ("dependent_rows", "duplicates", "duplicates_across_split")
"""The checks that find held-out rows similar to training rows."""
MANY_DUPLICATES = 0.05
"""Minimum share of duplicates for a warning, because so many change the metrics."""
_FEWEST_DUPLICATES = 3
_MOST_COMPARED = 100_000
_FACTOR = np.uint64(0x9E3779B97F4A7C15)
"""2^64 divided by the golden ratio: odd, with well-mixed bits."""
_MISSING = 1

Hashes = NDArray[np.uint64]

LEAST_REDUCTION = 0.1
"""Minimum share of the squared error that training on rows of the same group must remove."""

_MOST_ROWS = 400
_MOST_CANDIDATES = 4
"""Maximum number of groups, and of times, for which a model is fitted."""
_MOST_COLUMNS = 100
_GROUP_ROWS = 8
_WINDOWS = 20
_CONFIDENCE = 0.95
_PENALTIES = (0.03, 0.3, 3.0)


# Duplicates


def find_duplicates(sample: Sample) -> DataFinding | None:
    """Find rows whose features all equal those of an earlier row.

    From 5 % of the rows, and at least 3, the finding is a warning, below that a note. Tables in
    which as many rows may repeat by chance are skipped: there are fewer than 20 combinations of
    feature values per row.
    """
    table = sample.whole
    if may_repeat_at_random(sample):
        return None
    try:
        features = _hash_features(table, sample)
    except DataError:  # a value outside the sample, which the encoding reports
        return None
    repeated = table.rows - len(np.unique(features))
    if not repeated:
        return None
    count = f"{repeated:,} of {table.rows:,} ({percent(repeated, table.rows)})"
    message = f"rows with the same features as an earlier row: {count}"
    advice = (
        "if they are copies, keep only one of each, so no copy of a training row becomes a test row"
    )
    severity = _severity(repeated, table.rows)
    if sample.task is not None:
        same = table.rows - len(np.unique(_hash_target(features, table, sample.task)))
        message += f", {same:,} of them with the same target"
        if not same:
            severity = "note"
            advice = "so they are not copies, but the features don't distinguish them"
    return DataFinding("duplicates", severity, (), repeated, message, advice)


def find_duplicates_across(
    sample: Sample, held_out: Mapping[str, Table], is_grouped: bool = False
) -> DataFinding | None:
    """Find held-out rows that equal a training row in every feature.

    From 5 % of a set's rows, and at least 3, the finding is a warning, below that a note. Skips the
    same tables as `find_duplicates`.

    Args:
        sample: the sample of the training rows.
        held_out: the other sets, by name.
        is_grouped: whether the split keeps groups of rows whole, so copies in other sets belong to
            other groups.
    """
    if may_repeat_at_random(sample):
        return None
    counts, severities, total, contradicting = [], set[Severity](), 0, 0
    for name, whole in held_out.items():
        table = sampling.rows_to_check(whole, len(sample.columns))
        training = _comparable(sample, table)
        try:
            theirs, ours = (_hash_features(each, sample) for each in (training, table))
        except DataError:
            return None
        is_copy = np.isin(ours, theirs)
        found = int(is_copy.sum())
        if not found:
            continue
        share = percent(found, table.rows)
        counts.append(f"{found:,} of {plural(table.rows, f'{name} row')} ({share})")
        severities.add(_severity(found, table.rows))
        total += found
        if sample.task is not None and sample.task.classes:
            known = _hash_target(theirs, training, sample.task)
            same = np.isin(_hash_target(ours, table, sample.task), known)
            contradicting += int((is_copy & ~same).sum())
    if not counts:
        return None
    equal = "equals" if total == 1 else "equal"
    message = f"{joined(counts)} {equal} a training row in all features"
    if contradicting:
        has = "has" if contradicting == 1 else "have"
        message += f"; {contradicting:,} of these {has} another target"
    advice = "if they are copies, metrics are too optimistic: keep only one of each"
    if not is_grouped:
        advice += ", or keep copies in the same set with data.split: {name: group, column: ...}"
    severity: Severity = "warning" if "warning" in severities else "note"
    return DataFinding("duplicates_across_split", severity, (), total, message, advice)


def _severity(found: int, rows: int) -> Severity:
    return "warning" if found >= max(_FEWEST_DUPLICATES, MANY_DUPLICATES * rows) else "note"


def may_repeat_at_random(sample: Sample) -> bool:
    """Return whether `MANY_DUPLICATES` are expected if all combinations are equally likely."""
    combinations = math.prod(max(c.distinct, 1) for c in sample.columns.values())
    return combinations <= sample.whole.rows / MANY_DUPLICATES


def _comparable(sample: Sample, held_out: Table) -> Table:
    """Return the training rows that may equal a held-out row, by the column with most values.

    If there are too many, some of them are drawn at random, so duplicates may be missed.
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
    """Return hashes of rows, which are equal if the features are equal, (rows,).

    A hash is `Σ h(v_i) φ^i` modulo 2^64, with φ odd and h a hash of 64 mixed bits. Among a million
    different rows, two have the same hash once in 40 million tables.

    Raises:
        DataError: if a value in a numeric column is not a number.
    """
    # Python's hash of a string differs between processes.
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
        values = amounts + 0.0  # -0 becomes 0, which has different bits
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


# Similar rows


@dataclass(frozen=True)
class SplitAdvice:
    """A split that suits a table better than a random split."""

    choice: GroupSplit | TimeSplit
    is_clear: bool
    """True if a starter config should use it by default."""
    reason: str
    """The problem of a random split, without numbers."""
    advice: str
    """The recommended split."""
    later: str = ""
    """The split that evaluates on later rows, if it is another one."""
    finding: DataFinding = field(kw_only=True)
    """The finding with evidence and recommended split."""


def advise_split(
    table: Table, decisions: Mapping[str, Decision], task: Task | None
) -> SplitAdvice | None:
    """Find a column by which to split rows, because rows with the same value are similar.

    Candidates are repeated identifiers: columns with a name such as `id` or `subject`, mostly in
    blocks of rows, columns of any name in whose blocks a time or a visit number increases, and the
    units of panels, which have each time at most once. The next candidates are times: several
    columns such as year and month, and dates, years and periods by which all but a few rows are
    sorted. A panel of few units, of units such as stores that new rows are also about, and one that
    is sorted by time, is split in time if its target drifts. If it does not, the units of a panel
    that is sorted by time are a candidate, unless they are units such as stores.

    A candidate counts if a quick model predicts rows better after training on other rows of their
    group: the lower bound of the 95 % confidence interval of the difference of squared errors, over
    groups, is above 0, and the error is at least 10 % lower. The model is kernel ridge regression
    on ranks of up to 400 rows, for each class or number of the target. Rows are left out in blocks
    of the same sizes: as groups, and shuffled. Times form 20 windows. To find a target that drifts,
    the later half of the windows is predicted from the rows before each window, and from as many
    rows of any time.

    Args:
        table: all rows to split.
        decisions: the type of each column that may be a feature.
        task: the task; without one, there is no advice.
    """
    if task is None or table.rows < MIN_ROWS:
        return None
    suggestion, panels = None, list[GroupCandidate]()
    for group in islice(find_groups(table, decisions), _MOST_CANDIDATES):
        if group.step and (group.recurs or not group.is_clear):
            panels.append(group)
        if group.recurs or (suggestion and not group.is_clear):
            continue
        if found := _group_advice(table, decisions, task, group):
            suggestion = found
            if group.is_clear:
                return suggestion
    some = sampling.rows_to_check(table, len(decisions))
    of_panels = filter(None, (time_in_panel(some, each) for each in panels[:1]))
    times = chain(of_panels, find_times(some, decisions))
    for time in islice(times, _MOST_CANDIDATES):
        reduction = _error_reduction(some, decisions, task, time)
        if reduction is not None:
            return _advice(_time_split(time.columns), reduction, is_clear=True)
    if suggestion is None and panels and panels[0].recurs and panels[0].may_be_new:
        return _group_advice(table, decisions, task, panels[0])
    return suggestion


def _group_advice(
    table: Table, decisions: Mapping[str, Decision], task: Task, group: GroupCandidate
) -> SplitAdvice | None:
    """Return the advice to split by a group; `None` if its rows are not similar."""
    reduction = _error_reduction(table, decisions, task, group)
    if reduction is None:
        return None
    choice = GroupSplit(column=group.column)
    return _advice(choice, reduction, is_clear=group.is_clear, step=group.step)


def _time_split(columns: tuple[str, ...]) -> TimeSplit:
    return TimeSplit(column=columns[0] if len(columns) == 1 else columns)


def _advice(
    choice: GroupSplit | TimeSplit,
    reduction: float,
    *,
    is_clear: bool,
    step: tuple[str, ...] = (),
) -> SplitAdvice:
    """Return the advice to split by a column; `step` is the time within groups."""
    columns, is_group = joined([*map(quoted, choice.columns)]), isinstance(choice, GroupSplit)
    alike = f"{'with' if is_group else 'of about'} the same {columns}"
    reason = f"rows {alike} are similar, so metrics of a random split are too optimistic"
    message = (
        f"{reason}: if a quick model is trained on other rows {alike}, its squared error is "
        f"{int(100 * reduction)} % lower"
    )
    ways = [f"to evaluate on new values of {columns}, set {_setting(choice)}"] if is_group else []
    if not is_group or step:
        later = _time_split(step) if is_group else choice
        ways.append(f"to evaluate on later rows, set {_setting(later)}")
    finding = DataFinding(
        "dependent_rows", "warning", choice.columns, None, message, "; ".join(ways)
    )
    return SplitAdvice(choice, is_clear, reason, *ways, finding=finding)


def _setting(choice: GroupSplit | TimeSplit) -> str:
    return f"data.split: {written_split(choice)}"


def written_split(choice: GroupSplit | TimeSplit) -> str:
    """Return a split as it is written in a config, in one line."""
    names = [
        name if re.fullmatch(r"[A-Za-z_][\w.]*", name) else json.dumps(name, ensure_ascii=False)
        for name in choice.columns
    ]
    columns = names[0] if len(names) == 1 else f"[{', '.join(names)}]"
    return f"{{name: {choice.name}, column: {columns}}}"


# The quick model


def _error_reduction(
    table: Table,
    decisions: Mapping[str, Decision],
    task: Task,
    candidate: GroupCandidate | TimeCandidate,
) -> float | None:
    """Return the share of the error that training on rows of the same group removes.

    Args:
        table: all rows.
        decisions: the type of each feature.
        task: the task.
        candidate: the groups of these rows, or their times, which are grouped into windows.

    Returns:
        The share; None if it is not significant or too small.
    """
    in_time = isinstance(candidate, TimeCandidate)
    if isinstance(candidate, TimeCandidate):
        ranks = candidate.ranks
        rows = draw(np.arange(table.rows), _MOST_ROWS)
        rows = rows[np.argsort(ranks[rows], kind="stable")]
        times = np.searchsorted(ranks[rows], ranks[rows]) * _WINDOWS / len(rows)
        own = np.unique(times.astype(np.int64), return_inverse=True)[1]
        line = sampling.normal_scores(times)
        near = np.exp(-np.abs(np.subtract.outer(times, times))) + np.outer(line, line)
        columns, skipped = candidate.columns, candidate.columns[0]
    else:
        rows = _draw_groups(candidate.groups)
        own = np.unique(candidate.groups[rows], return_inverse=True)[1]
        near = np.equal.outer(own, own).astype(np.float64)
        columns = (candidate.column,)
        skipped = "" if candidate.may_be_amount else candidate.column
    if own.max() + 1 < FEWEST_GROUPS:
        return None
    kept = sampling.spread(list(decisions), _MOST_COLUMNS)
    sample = sampling.draw_sample(table.take(rows), {name: decisions[name] for name in kept}, task)
    is_read = any(decisions[column].feature.is_read for column in columns)
    # Later units, such as the month of a year, recur, so they are features like others.
    kernel = _kernel(sample, skipped) + (near if is_read else 0)
    if isinstance(candidate, TimeCandidate) and candidate.groups is not None:
        units = candidate.groups[rows]
        kernel += np.equal.outer(units, units)
    values = sampling.target_scores(sample)
    shuffled = own[np.random.default_rng(0).permutation(len(own))]
    found = [_significant(*_left_out_errors(kernel, values, (shuffled, own)), own)]
    if in_time:
        found.append(_significant(*_later_errors(kernel, values, own), own))
    return max(filter(None, found), default=None)


def _significant(known: Floats, unknown: Floats, groups: Indices) -> float | None:
    """Return the relative reduction of the error for rows of known groups, if it is significant.

    Args:
        known: the squared errors of a model trained on rows of the group, (rows,).
        unknown: the squared errors of a model trained on other rows, (rows,).
        groups: the group of each row, (all rows,); the errors belong to the last rows.
    """
    _, own = np.unique(groups[-len(known) :], return_inverse=True)
    saved = unknown - known
    sums = np.bincount(own, saved).astype(np.float64, copy=False)
    is_lower = is_positive(sums, np.bincount(own), 0.5 + _CONFIDENCE / 2)
    reduction = float(saved.mean()) / max(float(unknown.mean()), 1e-12)
    return reduction if is_lower and reduction >= LEAST_REDUCTION else None


def is_positive(sums: Floats, counts: Indices, confidence: float) -> bool:
    """Return whether the mean over rows is above 0, by a one-sided t test over groups of rows.

    Args:
        sums: the sum over the rows of each group, (groups,).
        counts: the number of rows of each group, (groups,).
        confidence: the confidence level of the test.
    """
    count, total = len(counts), float(sums.sum())
    deviations = sums - counts * (total / int(counts.sum()))
    error = float(np.sqrt(count / (count - 1) * (deviations**2).sum()))
    return total > student_quantile(confidence, count - 1) * error


def _draw_groups(groups: Indices) -> Indices:
    """Draw groups at random, with at most 8 rows of each unless there are few groups; ascending."""
    if len(groups) <= _MOST_ROWS:
        return np.arange(len(groups))
    rng = np.random.default_rng(0)
    count = int(groups.max()) + 1
    most = max(_GROUP_ROWS, _MOST_ROWS // count)
    shuffled = rng.permutation(len(groups))
    turn = rng.permutation(count)[groups[shuffled]]
    order = np.argsort(turn, kind="stable")
    first = np.searchsorted(turn[order], turn[order])
    few = np.arange(len(order)) - first < most
    return np.sort(shuffled[order[few]][:_MOST_ROWS])


def _kernel(sample: Sample, skipped: str) -> Floats:
    """Return the kernel of the rows' features: a linear plus a Gaussian kernel, (rows, rows).

    Args:
        sample: the rows.
        skipped: the candidate, whose kernel the caller adds.
    """
    scores = [each for name, each in sampling.feature_scores(sample).items() if name != skipped]
    inputs = np.hstack([np.zeros((sample.table.rows, 1)), *scores])
    products = inputs @ inputs.T
    squares = np.diag(products)
    scale = max(float(squares.mean()), 1e-12)
    distances = squares[:, np.newaxis] + squares - 2 * products
    return np.asarray(1 + products / scale + np.exp(-2 * distances / scale))


def _left_out_errors(
    kernel: Floats, values: Floats, blocks: tuple[Indices, Indices]
) -> tuple[Floats, Floats]:
    """Return the squared errors of kernel ridge regression for rows left out in blocks.

    With `C = (K + λI)⁻¹`, the errors of a block `b` are `C_bb⁻¹ (C y)_b`, so the model is fitted
    only once [1]_.

    Args:
        kernel: the kernel, (rows, rows).
        values: the target, (rows, outputs).
        blocks: two ways to leave rows out, each the index of each row's block, (rows,).

    Returns:
        For each way, the errors with the penalty that minimizes their sum, (rows,).

    .. [1] Rasmussen and Williams, Gaussian Processes for Machine Learning (2006), section 5.4.2.
    """
    sizes, vectors = np.linalg.eigh(kernel)
    found = np.empty((len(_PENALTIES), 2, len(values)))
    for at, penalty in enumerate(_PENALTIES):
        weighted = vectors / (np.maximum(sizes, 0) + penalty)
        inverse, dual = weighted @ vectors.T, weighted @ (vectors.T @ values)
        for way, block in enumerate(blocks):
            order = np.argsort(block, kind="stable")
            for rows in np.split(order, np.flatnonzero(np.diff(block[order])) + 1):
                errors = np.linalg.solve(inverse[np.ix_(rows, rows)], dual[rows])
                found[at, way, rows] = (errors**2).sum(axis=1)
    return _least(found)


def _later_errors(kernel: Floats, values: Floats, windows: Indices) -> tuple[Floats, Floats]:
    """Return the squared errors of kernel ridge regression for the later half of time windows.

    Args:
        kernel: the similarity of rows, (rows, rows).
        values: the target, (rows, outputs).
        windows: the index of each row's window, ascending, (rows,).

    Returns:
        Errors of a model that is fitted to rows of any other time, as many as there are before the
        window, and errors of a model that is fitted to the rows before it; each with its best
        penalty, (rows of the later half,).
    """
    rng, every = np.random.default_rng(0), np.arange(len(windows))
    count = int(windows.max()) + 1
    start = int(np.searchsorted(windows, count // 2))
    found = np.empty((len(_PENALTIES), 2, len(windows)))
    for window in range(count // 2, count):
        tested, before = every[windows == window], every[windows < window]
        others = rng.choice(every[windows != window], len(before), replace=False)
        for way, known in enumerate((others, before)):
            part, cross = kernel[np.ix_(known, known)], kernel[np.ix_(tested, known)]
            for at, penalty in enumerate(_PENALTIES):
                dual = np.linalg.solve(part + penalty * np.eye(len(known)), values[known])
                errors = values[tested] - cross @ dual
                found[at, way, tested] = (errors**2).sum(axis=1)
    return _least(found[:, :, start:])


def _least(found: Floats) -> tuple[Floats, Floats]:
    """Choose the best penalty for each of two ways: (penalties, 2, rows) to (rows,) each."""
    best = found.sum(axis=2).argmin(axis=0)
    return found[best[0], 0], found[best[1], 1]
