"""Checks for columns whose exact values help to predict the target.

Numbers of schools, states or items are names. If they are encoded as amounts, a network treats
schools with neighboring numbers as similar, and hardly learns how a single school differs. Some
amounts also identify something: the distance between two airports identifies the route.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal, NamedTuple

import numpy as np

from dlcli.arrays import Floats, Indices
from dlcli.columns.category import MOST_EMBEDDED
from dlcli.columns.type_inference import has_code_name
from dlcli.data_checks import sample as sampling
from dlcli.data_checks.residuals import residuals_without
from dlcli.data_checks.row_checks import is_positive
from dlcli.data_checks.sample import DataFinding, Sample, SampledColumn, column_finding
from dlcli.data_checks.split_candidates import STEP

CategoryKind = Literal["codes", "repeated_amounts", "many_categories"]
"""Integers that are codes, ID-like amounts, and columns with rare categories."""
_LEAST_EXPLAINED = 0.05
"""Minimum share of the residual variance that exact values must explain in addition to their
nearest values, or all categories in addition to the frequent ones. The residuals are those of a
model of the other columns."""
_LEAST_BY_CODES = 0.02
"""The same for codes. Categories instead of numbers multiplied the error of LightGBM, on three
splits, by 0.73 (states, Cigar), 0.98 (lecturers, InstEval; persons, VerbAgg) and 0.995 (schools,
Star), but by 1.017 for flight numbers that explain 1.5 %."""
_MOST_BY_NEAREST = 0.25
"""Maximum share that neighboring values of codes explain, relative to that of equal values."""
MOST_ONE_HOT = 1_000
"""Maximum number of distinct values for which a numeric column also gets one-hot inputs."""
_FEWEST_VALUES = 10
_FEWEST_ROWS = 4
"""Minimum average of rows per value. With 3.3 rows per baseball player, encoding more players did
not improve a network; with 5 to 7 rows per county, firm or state, the error fell by 7 to 39 %."""
_ENOUGH_ROWS = 20
"""Average of rows per value in a sample that is large enough."""
_MOST_ROWS = 50_000
_LARGEST_SHARE = 0.1
"""Maximum share of rows with one code; amounts are often 0 in more rows."""
_CONFIDENCE = 0.999
_WIDTHS = (1, 2, 4, 8)
_PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Tried numbers of rows with target 0 that shrink the mean of a value, or of its neighbors."""
_EMBEDDED = f"{{type: categorical, encoding: embedding, max_categories: {MOST_EMBEDDED}}}"
_KINDS: Mapping[CategoryKind, tuple[sampling.Severity, str, str]] = {
    "codes": (
        "warning",
        "integers that look like codes",
        f"if they are codes, declare {_EMBEDDED}; if they are quantities, declare numeric",
    ),
    "repeated_amounts": (
        "note",
        "numbers that look like codes",
        "if the same values occur in rows to predict, declare {type: numeric, "
        "one_hot_values: VALUES}",
    ),
    "many_categories": (
        "warning",
        "columns whose rare categories help to predict the target, but are pooled",
        f"declare {_EMBEDDED}",
    ),
}
"""Severity, message and advice for each kind; VALUES stands for the number of one-hot inputs."""


class CategoryEffect(NamedTuple):
    """The finding that a column's exact values help to predict the target."""

    kind: CategoryKind
    share: float
    """Share of the residual variance that equal values explain; for many categories, the share that
    rare ones explain."""
    by_neighbors: float = 0.0
    """Share of the residual variance that neighboring numbers explain."""

    @property
    def evidence(self) -> str:
        """The shares as text."""
        if self.kind == "many_categories":
            return self.of_share
        neighbors = f"{100 * self.by_neighbors:.0f} %"
        return f"{self.of_share}, its neighboring values {neighbors}"

    @property
    def of_share(self) -> str:
        """The share of the values themselves as text."""
        which = "rare" if self.kind == "many_categories" else "single"
        share = f"{100 * self.share:.0f} %"
        return f"its {which} values explain {share} of what other columns leave unexplained"


def with_more_rows(sample: Sample) -> Sample:
    """Draw a larger sample if values that may be codes are rare in this one, else return this one.

    The larger sample has up to 50,000 rows: 10 rows for each of 5,000 codes.
    """
    rows = sample.table.rows
    is_rare = any(
        rows / _ENOUGH_ROWS < column.distinct <= MOST_EMBEDDED and _may_be_codes(name, column)
        for name, column in sample.columns.items()
    )
    if rows == sample.whole.rows or not is_rare:
        return sample
    decisions = {name: column.decision for name, column in sample.columns.items()}
    return sampling.draw_sample(sample.whole, decisions, sample.task, _MOST_ROWS)


def find_category_effects(
    sample: Sample, *, warnings_only: bool = False
) -> list[DataFinding | None]:
    """Find columns whose exact values should be encoded; see `measure_category_effects`.

    Returns:
        For each kind, the finding or `None`.
    """
    found, findings = measure_category_effects(sample, warnings_only=warnings_only), []
    for kind, (severity, message, advice) in _KINDS.items():
        shares = {name: each.of_share for name, each in found.items() if each.kind == kind}
        is_all = sample.table.rows == sample.whole.rows  # else the table may have more values
        distinct = max((sample.columns[name].distinct for name in shares), default=0)
        most = min(distinct, MOST_ONE_HOT) if is_all else MOST_ONE_HOT
        settled = advice.replace("VALUES", str(most))
        findings.append(column_finding(kind, severity, shares, message, settled))
    return findings


def measure_category_effects(
    sample: Sample, *, warnings_only: bool = False
) -> dict[str, CategoryEffect]:
    """Measure which columns' exact values help to predict the target, beyond the other columns.

    A model of the other columns has residuals, which are then predicted in two ways: by the mean of
    the other rows with an equal value, and by the mean of the rows with the nearest other values.
    Both means are shrunk toward 0. Numeric targets are normal scores of ranks, classes are one-hot.

    - Integers are codes if equal values explain at least 2 % more of the variance than the nearest
      values do, and the nearest values explain at most a fourth as much as equal values. Times and
      ages are never codes. Integers with one value in more than 10 % of the rows are codes only if
      the column's name is typical of codes.
    - Other numbers are repeated amounts if equal values explain at least 5 % more.
    - Texts have many categories if up to 10,000 of them explain at least 5 % more than the 100 most
      frequent ones, which are kept by default. Columns whose `max_categories` is not the default
      are not measured.

    The difference must be significant at 99.9 %, by a t test over the values. A column must explain
    as much in addition to the columns that were found before it. Codes and texts precede amounts,
    and the column that explains most is first. So of a country's name and code, only one is found.

    Args:
        sample: rows of a table. Without a task, no column is found.
        warnings_only: whether to omit numbers that can't be codes or whose type is declared.

    Returns:
        The effects by column, in the table's order.
    """
    measures = {
        name: measure
        for name, column in sample.columns.items()
        if not (warnings_only and _is_surely_amount(name, column))
        if (measure := _measure(name, column)) is not None
    }
    if sample.task is None or not measures:
        return {}
    residuals = residuals_without(sample)
    alone = {
        name: effect
        for name, measure in measures.items()
        if (effect := measure(_rows_of(sample.columns[name], residuals(name))))
    }
    found = dict[str, CategoryEffect]()
    for name in sorted(alone, key=lambda name: _rank(alone[name], sample.columns[name])):
        left = residuals(name, *found)
        for other in found:
            left = left - _means(sample.columns[other], left)
        if effect := measures[name](_rows_of(sample.columns[name], left)):
            found[name] = effect
    return {name: found[name] for name in alone if name in found}


def _rank(effect: CategoryEffect, column: SampledColumn) -> tuple[bool, float, int]:
    """Return the sort key of a column; a near copy with fewer values follows the original."""
    return effect.kind == "repeated_amounts", -round(effect.share, 2), -column.distinct


def _measure(name: str, column: SampledColumn) -> Measure | None:
    """Return the test of whether a column's exact values help; `None` if they can't."""
    feature, rows = column.decision.feature, column.present
    if column.distinct > rows / _FEWEST_ROWS:
        return None
    most = feature.usual_categories
    if most is not None and most < column.distinct:
        return partial(_measure_rare, most=most)
    may_be_codes = _may_be_codes(name, column)
    highest = MOST_EMBEDDED if may_be_codes else MOST_ONE_HOT
    if column.numbers is None or not _FEWEST_VALUES <= column.distinct <= highest:
        return None
    return partial(_measure_numbers, may_be_codes=may_be_codes)


def _may_be_codes(name: str, column: SampledColumn) -> bool:
    """Return whether values may be codes: integers without a dominant value, and not times."""
    if column.numbers is None or STEP.search(name):
        return False
    is_whole = bool((column.numbers == column.numbers.round()).all())
    is_spread = bool(column.counts.max() <= _LARGEST_SHARE * column.present)
    return is_whole and (is_spread or has_code_name(name))


def _is_surely_amount(name: str, column: SampledColumn) -> bool:
    """Return whether a column is numeric, and is declared so or can't contain codes."""
    is_declared = column.decision.values is None
    return column.decision.feature.is_amount and (is_declared or not _may_be_codes(name, column))


class _Rows(NamedTuple):
    """Sums of a target over the rows of each distinct value of a column."""

    counts: Indices
    """Number of rows, (values,)."""
    sums: Floats
    """Sum of the target, (values, outputs)."""
    squares: Floats
    """Sum of the squared target over rows and outputs, (values,)."""

    def errors(self, predicted: Floats) -> Floats:
        """Return the sum of squared errors for each value, (values,).

        Args:
            predicted: the prediction for all rows of a value, (values, outputs).
        """
        products = (predicted * self.sums).sum(axis=1)
        return np.asarray(self.squares - 2 * products + self.counts * (predicted**2).sum(axis=1))

    def explained_share(self, errors: Floats) -> float:
        """Return the share of the variance that predictions with these squared errors explain."""
        return float(1 - errors.sum() / max(float(self.squares.sum()), 1e-12))


Measure = Callable[[_Rows], CategoryEffect | None]
"""Returns the effect of a column's exact values, or `None` if they do not help."""


def _rows_of(column: SampledColumn, target: Floats) -> _Rows:
    """Return the sums for each value, after the target is centered over the rows with a value."""
    present = column.codes >= 0
    codes, known = column.codes[present], target[present] - target[present].mean(axis=0)
    sums, squares = np.zeros((column.distinct, known.shape[1])), np.zeros(column.distinct)
    np.add.at(sums, codes, known)
    np.add.at(squares, codes, (known**2).sum(axis=1))
    return _Rows(column.counts, sums, squares)


def _means(column: SampledColumn, target: Floats) -> Floats:
    """Return the mean target of the rows with an equal value, shrunk toward 0, (rows, outputs).

    Rows without a value have 0.
    """
    rows = _rows_of(column, target)
    means = rows.sums / (rows.counts + 1)[:, np.newaxis]
    return np.vstack([means, np.zeros_like(means[:1])])[column.codes]


def _measure_numbers(rows: _Rows, may_be_codes: bool) -> CategoryEffect | None:
    """Compare predictions from equal numbers with predictions from the nearest other numbers."""
    own, nearest = _own_errors(rows), _nearest_errors(rows)
    share, by_nearest = rows.explained_share(own), rows.explained_share(nearest)
    if may_be_codes and by_nearest <= _MOST_BY_NEAREST * share:
        is_clear = _is_better(own, nearest, rows, _LEAST_BY_CODES)
        return CategoryEffect("codes", share, by_nearest) if is_clear else None
    if len(rows.counts) > MOST_ONE_HOT or not _is_better(own, nearest, rows, _LEAST_EXPLAINED):
        return None
    return CategoryEffect("repeated_amounts", share, by_nearest)


def _measure_rare(rows: _Rows, most: int) -> CategoryEffect | None:
    """Compare predictions from up to 10,000 categories with those from the most frequent ones."""
    ranks = np.empty(len(rows.counts), dtype=np.int64)
    ranks[np.argsort(-rows.counts, kind="stable")] = np.arange(len(ranks))
    few, many = (_own_errors(rows, np.minimum(ranks, kept)) for kept in (most, MOST_EMBEDDED))
    if not _is_better(many, few, rows, _LEAST_EXPLAINED):
        return None
    return CategoryEffect("many_categories", rows.explained_share(many) - rows.explained_share(few))


def _is_better(errors: Floats, others: Floats, rows: _Rows, least: float) -> bool:
    """Return whether the squared errors of one prediction are clearly smaller than of another.

    Args:
        errors: the errors that should be smaller, (values,).
        others: the other errors, (values,).
        rows: the rows of each value.
        least: minimum of the difference, as a share of the variance.
    """
    saved = others - errors
    is_enough = saved.sum() >= least * rows.squares.sum()
    return bool(is_enough) and is_positive(saved, rows.counts, _CONFIDENCE)


def _own_errors(rows: _Rows, groups: Indices | None = None) -> Floats:
    """Return the squared errors of predicting each row from the others of its group, (values,).

    It tries several penalties and uses the one with the smallest error.

    Args:
        rows: the rows of each value.
        groups: the group of each value, (values,); if omitted, every value is a group.
    """
    groups = np.arange(len(rows.counts)) if groups is None else groups
    counts, sums = np.bincount(groups, rows.counts)[groups], np.zeros_like(rows.sums)
    np.add.at(sums, groups, rows.sums)
    sums = sums[groups]
    found = []
    for penalty in _PENALTIES:
        # A row y is predicted by (s - y) / d, so the error is y·(1 + 1/d) - s/d.
        divisor = counts - 1 + penalty
        scaled = _Rows(
            rows.counts,
            rows.sums * (1 + 1 / divisor)[:, np.newaxis],
            rows.squares * (1 + 1 / divisor) ** 2,
        )
        found.append(scaled.errors(sums / divisor[:, np.newaxis]))
    return min(found, key=np.sum)


def _nearest_errors(rows: _Rows) -> Floats:
    """Return the squared errors of predicting rows from the nearest other values, (values,).

    Up to 8 values on each side and several penalties are tried, and a prediction of 0; the
    prediction with the smallest error is used.
    """
    count = len(rows.counts)
    before = np.concatenate([np.zeros((1, rows.sums.shape[1])), np.cumsum(rows.sums, axis=0)])
    counted = np.append(0, np.cumsum(rows.counts))
    found = [rows.squares]
    for width in _WIDTHS:
        low = np.maximum(np.arange(count) - width, 0)
        high = np.minimum(np.arange(count) + width + 1, count)
        sums = before[high] - before[low] - rows.sums
        others = counted[high] - counted[low] - rows.counts
        found += [rows.errors(sums / (others + penalty)[:, np.newaxis]) for penalty in _PENALTIES]
    return min(found, key=np.sum)
