"""Metrics of groups of rows, such as the values of a column, and the largest differences.

The interval of the largest difference allows for the choice of two groups among several. It is the
interval of two independent metrics, see `unpaired_interval`, widened by the ratio of the quantile
of the studentized range to that of two groups (Tukey 1953; Kramer, Biometrics 12, 1956). It thus
covers all pairs of groups at once with a probability of about 95 %, for one metric and one column.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dlcli.arrays import Floats, Indices
from dlcli.columns.registry import FeatureEncoder
from dlcli.errors import DataError, did_you_mean_or_all, number, printable, truncate
from dlcli.metrics.definitions import metric_bounds
from dlcli.metrics.intervals import CONFIDENCE, Estimate, estimate_statistics, unpaired_interval
from dlcli.metrics.statistic import Z
from dlcli.safe_files import Count, Document
from dlcli.tables.table import Table
from dlcli.tasks.task import DecodedRows, Task

MOST_GROUPS = 30
"""Maximum number of groups of a column; the rows of rarer values are pooled."""
FEW_ROWS = 30
"""Number of rows below which a group is not compared, and gates do not check it."""
MOST_NUMBERS = 10
"""Number of distinct numbers up to which each is a group; more are divided into ranges."""
_RANGES = 4
_RESAMPLES = 400
_CROSS = "*"
LONGEST_NAME = 200


Kind = Literal["value", "range", "missing", "pooled"]


class GroupMetrics(Document):
    """The metrics of a group of rows."""

    group: str
    """The value or range of the column: `north`, `18 to 27`, `(missing)`."""
    kind: Kind
    """`value`: rows with the same value. `range`: numbers or times between two quantiles.
    `missing`: rows without a value. `pooled`: rows with all rarer values."""
    rows: Count
    """Number of rows; rows of weight 0 do not count."""
    metrics: Mapping[str, Estimate]
    """The metrics with their 95 % confidence intervals."""

    @property
    def is_small(self) -> bool:
        """Whether the group has too few rows to be compared."""
        return self.rows < FEW_ROWS


class GroupDifference(Document):
    """The largest difference of a metric between two groups with at least 30 rows each."""

    lowest: str
    highest: str
    """The groups with the lowest and the highest value."""
    difference: Estimate
    """The difference of these values. Its interval allows for the choice among all groups."""
    is_significant: bool
    """Whether the interval excludes 0."""


class ColumnGroups(Document):
    """The groups of a column."""

    column: str
    """The column; columns that are combined are joined by `*`."""
    groups: tuple[GroupMetrics, ...]
    """Ranges in order, other groups by number of rows; missing and pooled values are last."""
    differences: Mapping[str, GroupDifference]
    """The largest difference of each metric; absent if fewer than two groups can be compared."""

    @property
    def small(self) -> tuple[GroupMetrics, ...]:
        """The groups with few rows."""
        return tuple(each for each in self.groups if each.is_small)


class Groups(Document):
    """The metrics of a set of rows by group."""

    format: Literal[1] = 1
    rows: str
    """The set of rows: `test`, `validation` or `train`; `folds` for the rows of all folds of a
    cross-validation; or the file of a table."""
    columns: Annotated[tuple[ColumnGroups, ...], Field(min_length=1)]


@dataclass(frozen=True)
class Grouping:
    """A column whose values divide rows into groups."""

    names: tuple[str, ...]
    kinds: tuple[Kind, ...]
    codes: Indices
    """The index of the group of each row, (rows,)."""


def split_names(names: Sequence[str], columns: Sequence[str] | None = None) -> list[str]:
    """Return the names of columns in lists such as `sex,region`, and of columns joined by `*`.

    Args:
        names: names or lists of names.
        columns: the columns of the table, of which a name may contain a comma.
            [default: names and their parts]
    """
    found = []
    for name in names:
        is_column = columns is None or name in columns
        parts = [part.strip() for part in name.split(",")]
        if is_column:
            found.append(name)
        if not is_column or (columns is None and len(parts) > 1):
            found += parts
    return [*dict.fromkeys(found)]


def columns_to_read(names: Sequence[str]) -> list[str]:
    """Return every column that `--by` may name, to be read from a file if it is there."""
    whole = split_names(names)
    parts = [part.strip() for name in whole for part in name.split(_CROSS)]
    return [*dict.fromkeys([*whole, *parts])]


def measure_groups(
    task: Task,
    table: Table,
    decoded: DecodedRows,
    columns: Sequence[str],
    encoders: Mapping[str, FeatureEncoder],
    *,
    rows: str,
) -> Groups:
    """Compute the metrics of the groups of columns.

    Args:
        task: the task, see `Task.for_loss`.
        table: the rows.
        decoded: their true values and predictions.
        columns: the columns; `sex*region` combines two of them.
        encoders: the encoder of each column that the network reads.
        rows: name of the set of rows.

    Raises:
        DataError: if the table lacks a column.
    """
    found = [column_groups(task, table, decoded, each, encoders) for each in columns]
    return Groups(rows=rows, columns=tuple(found))


def column_groups(
    task: Task,
    table: Table,
    decoded: DecodedRows,
    column: str,
    encoders: Mapping[str, FeatureEncoder],
    only: str | None = None,
) -> ColumnGroups:
    """Return the metrics of the groups of a column, or of columns joined by `*`.

    Args:
        task: the task, see `Task.for_loss`.
        table: the rows.
        decoded: their true values and predictions.
        column: the column or columns.
        encoders: the encoder of each column that the network reads.
        only: the metric to compute. [default: all]

    Raises:
        DataError: if the table lacks a column.
    """
    grouping = find_groups(table, column, encoders)
    counts = np.ones(table.rows, np.bool_) if decoded.weights is None else decoded.weights > 0
    groups = []
    for index, (name, kind) in enumerate(zip(grouping.names, grouping.kinds, strict=True)):
        rows = np.flatnonzero((grouping.codes == index) & counts)
        if not len(rows):
            continue
        weights = None if decoded.weights is None else decoded.weights[rows]
        costs = None if decoded.costs is None else decoded.costs[rows]
        limits = None if decoded.thresholds is None else decoded.thresholds[rows]
        some = DecodedRows(decoded.values[rows], decoded.decoded[rows], weights, costs, limits)
        statistics = task.statistics(some)
        chosen = {key: each for key, each in statistics.items() if only in (None, key)}
        estimates = estimate_statistics(chosen, _RESAMPLES)
        groups.append(GroupMetrics(group=name, kind=kind, rows=len(rows), metrics=estimates))
    ranges = [each for each in groups if each.kind == "range"]
    values = sorted((each for each in groups if each.kind == "value"), key=lambda each: -each.rows)
    last = [each for each in groups if each.kind in ("pooled", "missing")]
    ordered = (*ranges, *values, *last)
    return ColumnGroups(column=column, groups=ordered, differences=_differences(ordered))


def _differences(groups: Sequence[GroupMetrics]) -> dict[str, GroupDifference]:
    """Return the largest difference of each metric between groups that are not small."""
    large = [each for each in groups if not each.is_small]
    found = {}
    for name in dict.fromkeys(name for each in large for name in each.metrics):
        known = [(each.metrics[name], each.group) for each in large]
        known = [(each, group) for each, group in known if each.ends is not None]
        if len(known) < 2:
            continue
        known.sort(key=lambda pair: pair[0].value or 0.0)
        (low, lowest), (high, highest) = known[0], known[-1]
        ends = unpaired_interval(low, high)
        assert low.value is not None and high.value is not None and not isinstance(ends, str)
        value, wider = high.value - low.value, _wider(len(known))
        lower, upper = (value + wider * (end - value) for end in ends)
        least, most = metric_bounds(name)
        difference = Estimate(
            value=value, lower=max(least - most, lower), upper=min(most - least, upper)
        )
        found[name] = GroupDifference(
            lowest=lowest, highest=highest, difference=difference, is_significant=lower > 0
        )
    return found


@cache
def _wider(groups: int) -> float:
    """Return the factor by which the interval of a difference is wider if it is one of several."""
    if groups == 2:
        return 1.0
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(CONFIDENCE, groups, math.inf)) / (math.sqrt(2) * Z)


def check_group_columns(table: Table, columns: Sequence[str]) -> None:
    """Check that a table has the columns of groups, before anything is computed.

    Args:
        table: the rows.
        columns: the columns; `sex*region` combines two of them.

    Raises:
        DataError: if the table lacks a column.
    """
    for column in columns:
        for part in _parts(table, column):
            _require_column(table, part)


def _parts(table: Table, column: str) -> list[str]:
    """Return the columns that are joined by `*`, unless a column has this name."""
    if column in table.columns:
        return [column]
    return [part.strip() for part in column.split(_CROSS)]


def _require_column(table: Table, column: str) -> None:
    if column not in table.columns:
        message = f"has no column '{column}'{did_you_mean_or_all(column, table.columns)}"
        raise DataError(message, file=table.file)


def find_groups(table: Table, column: str, encoders: Mapping[str, FeatureEncoder]) -> Grouping:
    """Divide rows by the values of a column, or of several columns joined by `*`.

    Args:
        table: the rows.
        column: the column.
        encoders: the encoder of each column that the network reads.

    Raises:
        DataError: if the table lacks a column.
    """
    parts = _parts(table, column)
    first, *others = [_pooled(_groups_of(table, part, encoders)) for part in parts]
    for other in others:
        first = _combined(first, other)
    return _pooled(first)


def _combined(first: Grouping, second: Grouping) -> Grouping:
    width = len(second.names)
    used, codes = np.unique(first.codes * width + second.codes, return_inverse=True)
    names = tuple(f"{first.names[at // width]}, {second.names[at % width]}" for at in used)
    kinds: list[Kind] = ["value"] * len(names)
    return Grouping(names, tuple(kinds), codes.astype(np.int64))


def _groups_of(table: Table, column: str, encoders: Mapping[str, FeatureEncoder]) -> Grouping:
    _require_column(table, column)
    encoder = encoders.get(column)
    values, is_time = None, False
    if encoder is not None and encoder.axis is not None:
        values, is_time = encoder.axis_values(table), encoder.axis == "times"
    elif encoder is None and table.column(column).looks_numeric():
        parsed = table.column(column).numbers()
        values = parsed.values
    if values is not None and len(np.unique(values[~np.isnan(values)])) > MOST_NUMBERS:
        return _ranges(values, is_time=is_time)
    codes, texts = table.codes(column)
    return _with_missing([_shown(each) for each in texts], "value", codes)


def _ranges(values: Floats, *, is_time: bool) -> Grouping:
    """Divide numbers at quantiles, with equal numbers together."""
    present = values[~np.isnan(values)]
    quantiles = np.quantile(present, np.arange(1, _RANGES) / _RANGES, method="inverted_cdf")
    edges = np.unique(quantiles)
    codes = np.where(np.isnan(values), -1, np.searchsorted(edges, values, side="left"))
    _, compact = np.unique(codes[codes >= 0], return_inverse=True)
    codes[codes >= 0] = compact
    names = []
    for index in range(int(codes.max(initial=-1)) + 1):
        some = values[codes == index]
        ends = [_time(end) if is_time else number(end) for end in (some.min(), some.max())]
        names.append(ends[0] if ends[0] == ends[1] else " to ".join(ends))
    return _with_missing(names, "range", codes)


def _time(seconds: float) -> str:
    time = datetime.fromtimestamp(float(seconds), UTC)
    return time.strftime("%Y-%m-%d" if seconds % 86_400 == 0 else "%Y-%m-%d %H:%M:%S")


def _with_missing(
    names: Sequence[str], kind: Literal["value", "range"], codes: NDArray[Any]
) -> Grouping:
    """Give the rows without a value, whose code is -1, their own group."""
    missing = codes < 0
    kinds: list[Kind] = [kind] * len(names)
    if not missing.any():
        return Grouping(tuple(names), tuple(kinds), codes.astype(np.int64))
    filled = np.where(missing, len(names), codes).astype(np.int64)
    return Grouping((*names, "(missing)"), (*kinds, "missing"), filled)


def _pooled(grouping: Grouping) -> Grouping:
    """Pool the rarest values if there are too many groups."""
    counts = np.bincount(grouping.codes, minlength=len(grouping.names))
    kinds = np.array(grouping.kinds)
    values = np.flatnonzero(kinds == "value")
    if len(grouping.names) <= MOST_GROUPS:
        return grouping
    order = values[np.argsort(-counts[values], kind="stable")]
    most = MOST_GROUPS - 1 - np.count_nonzero(kinds != "value")
    kept = np.sort(np.concatenate([order[:most], np.flatnonzero(kinds != "value")]))
    new = np.full(len(grouping.names), len(kept))
    new[kept] = np.arange(len(kept))
    names = [grouping.names[index] for index in kept]
    kept_kinds = [grouping.kinds[index] for index in kept]
    rarer = f"({len(order) - most:,} rarer values)"
    return Grouping((*names, rarer), (*kept_kinds, "pooled"), new[grouping.codes])


def _shown(text: str) -> str:
    return printable(truncate(text, LONGEST_NAME))
