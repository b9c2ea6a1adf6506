"""Checks for columns whose exact values help to predict the target.

The number of a school, a state or an item names it. Read as an amount, the schools next to each
other are taken for similar ones, and each is hard to learn. Some amounts name something as well:
the distance between two airports tells the route.
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
from dlcli.data_checks.row_checks import STEP, is_positive
from dlcli.data_checks.sample import DataFinding, Sample, SampledColumn, column_finding

CategoryKind = Literal["codes", "repeated_amounts", "many_categories"]
"""Codes, ID-like numbers, and texts with rare names."""
_LEAST_EXPLAINED = 0.05
"""Share that the values of a column must explain more, of what the other columns leave."""
_LEAST_BY_CODES = 0.02
"""The same for codes. With categories instead of numbers, the error of LightGBM was .73 (states,
Cigar), .98 (lecturers, InstEval; persons, VerbAgg) and .995 (schools, Star) on three splits, but
1.017 for flight numbers that explain 1.5 %."""
_MOST_BY_NEAREST = 0.25
"""Part of this share that the values next to each may explain, if they are codes."""
MOST_ONE_HOT = 1_000
"""Maximum number of values with a one-hot input next to a number."""
_FEWEST_VALUES = 10
_FEWEST_ROWS = 4
"""Rows that values have on average. With 3.3 for each baseball player, a network gained nothing
from more players; with 5 to 7 for each county, firm or state, the error fell by 7 to 39 %."""
_ENOUGH_ROWS = 20
"""Rows that values have on average in a sample that is large enough."""
_MOST_ROWS = 50_000
_LARGEST_SHARE = 0.1
"""Maximum share of rows with one code; amounts are often 0 in more rows."""
_CONFIDENCE = 0.999
_WIDTHS = (1, 2, 4, 8)
_PENALTIES = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Rows of mean 0 that are added to those of a value, or of its neighbours."""
_EMBEDDED = f"{{type: categorical, encoding: embedding, max_categories: {MOST_EMBEDDED}}}"
_KINDS: Mapping[CategoryKind, tuple[sampling.Severity, str, str]] = {
    "codes": (
        "warning",
        "integers whose values help to predict the target, but not by their order",
        f"if they are codes, declare {_EMBEDDED}; if they are quantities, declare numeric",
    ),
    "repeated_amounts": (
        "note",
        "numeric columns whose exact values help to predict the target, like IDs",
        "if the same values occur in rows to predict, declare {type: numeric, "
        f"one_hot_values: {MOST_ONE_HOT}}}",
    ),
    "many_categories": (
        "warning",
        "columns whose rare categories help to predict the target, but are pooled",
        f"declare {_EMBEDDED}",
    ),
}
"""The severity, message and advice for each kind."""


class CategoryEffect(NamedTuple):
    """The finding that a column's exact values help to predict the target."""

    kind: CategoryKind
    share: float
    """Share of the variance of the residuals that the values explain; for many categories, that the
    rare values explain."""
    by_neighbors: float = 0.0
    """Share that neighboring numbers explain."""

    @property
    def evidence(self) -> str:
        """The shares in words, for people."""
        share, rest = f"{100 * self.share:.0f} %", "of the variance that the other columns leave"
        if self.kind == "many_categories":
            return f"rare values explain {share} {rest}"
        neighbors = f"{100 * self.by_neighbors:.0f} %"
        return f"equal values explain {share} {rest}, neighboring values {neighbors}"


def with_more_rows(sample: Sample) -> Sample:
    """Return a sample with more rows if some values may be rare in this one, else the same.

    It has up to 50,000 rows, so 5,000 codes have 10 rows each.
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
    """Find columns whose values name something, but are not encoded so: a finding for each kind."""
    found, findings = measure_category_effects(sample, warnings_only=warnings_only), []
    for kind, (severity, message, advice) in _KINDS.items():
        named = {name: each.share for name, each in found.items() if each.kind == kind}
        shares = {name: f"{100 * share:.0f} %" for name, share in named.items()}
        findings.append(column_finding(kind, severity, shares, message, advice))
    return findings


def measure_category_effects(
    sample: Sample, *, warnings_only: bool = False
) -> dict[str, CategoryEffect]:
    """Return the columns whose values name something, with the share that they explain.

    The residuals of a model of the other columns are predicted for each row by the mean of the
    other rows with the same value, and by that of the rows with the nearest other values, both
    shrunk toward 0. Numbers count by normal scores of their ranks, classes one-hot.

    - Integers are codes if the former explains at least 2 % more of the variance, and the latter at
      most a fourth of what the former explains. Times and ages are never codes, nor are integers
      with one value in more than 10 % of the rows, unless the column is named like a code.
    - Other numbers are repeated amounts if the former explains at least 5 % more.
    - Texts are many categories if up to 10,000 values explain at least 5 % more than the 100 most
      frequent ones, which are kept by default. Columns with another maximum are not measured.

    The difference over the values must be significant at a confidence of 99.9 %. A column must
    explain so much beyond the columns that were found before it: codes and texts come before
    amounts, then those that explain most. So of a country's name and code one is found.

    Args:
        sample: rows of a table. Without a task, no column is found.
        warnings_only: whether to omit numbers that can't be codes or whose type is declared.
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
    """Order columns; of those that explain the same, one with more values before its near copy."""
    return effect.kind == "repeated_amounts", -round(effect.share, 2), -column.distinct


def _measure(name: str, column: SampledColumn) -> Measure | None:
    """Return what tells whether a column's values name something; None if they can't."""
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
    """Return whether values may be codes: integers that are no times, and mostly spread evenly."""
    if column.numbers is None or STEP.search(name):
        return False
    is_whole = bool((column.numbers == column.numbers.round()).all())
    is_spread = bool(column.counts.max() <= _LARGEST_SHARE * column.present)
    return is_whole and (is_spread or has_code_name(name))


def _is_surely_amount(name: str, column: SampledColumn) -> bool:
    """Return whether a column is a number by its declared type, or can't be codes."""
    is_declared = column.decision.values is None
    return column.decision.feature.is_amount and (is_declared or not _may_be_codes(name, column))


class _Rows(NamedTuple):
    """The rows of each value."""

    counts: Indices
    """(values,)."""
    sums: Floats
    """The predicted values, (values, outputs)."""
    squares: Floats
    """The sum of its squares over rows and outputs, (values,)."""

    def errors(self, predicted: Floats) -> Floats:
        """Return the squared errors of a prediction for each value, (values,)."""
        products = (predicted * self.sums).sum(axis=1)
        return np.asarray(self.squares - 2 * products + self.counts * (predicted**2).sum(axis=1))

    def share_without(self, errors: Floats) -> float:
        """Return the share of the variance that squared errors of each value leave out."""
        return float(1 - errors.sum() / max(float(self.squares.sum()), 1e-12))


Measure = Callable[[_Rows], CategoryEffect | None]
"""Returns whether values name something, from the rows of each."""


def _rows_of(column: SampledColumn, target: Floats) -> _Rows:
    """Return the rows of each value, with a target of mean 0 over them."""
    present = column.codes >= 0
    codes, known = column.codes[present], target[present] - target[present].mean(axis=0)
    sums, squares = np.zeros((column.distinct, known.shape[1])), np.zeros(column.distinct)
    np.add.at(sums, codes, known)
    np.add.at(squares, codes, (known**2).sum(axis=1))
    return _Rows(column.counts, sums, squares)


def _means(column: SampledColumn, target: Floats) -> Floats:
    """Return for each row the mean of a target over the rows of its value, (rows, outputs)."""
    rows = _rows_of(column, target)
    means = rows.sums / (rows.counts + 1)[:, np.newaxis]
    return np.vstack([means, np.zeros_like(means[:1])])[column.codes]


def _measure_numbers(rows: _Rows, may_be_codes: bool) -> CategoryEffect | None:
    """Compare the values of numbers with the nearest ones."""
    own, nearest = _own_errors(rows), _nearest_errors(rows)
    share, by_nearest = rows.share_without(own), rows.share_without(nearest)
    if may_be_codes and by_nearest <= _MOST_BY_NEAREST * share:
        is_clear = _is_better(own, nearest, rows, _LEAST_BY_CODES)
        return CategoryEffect("codes", share, by_nearest) if is_clear else None
    if len(rows.counts) > MOST_ONE_HOT or not _is_better(own, nearest, rows, _LEAST_EXPLAINED):
        return None
    return CategoryEffect("repeated_amounts", share, by_nearest)


def _measure_rare(rows: _Rows, most: int) -> CategoryEffect | None:
    """Compare up to 10,000 categories with the most frequent ones."""
    ranks = np.empty(len(rows.counts), dtype=np.int64)
    ranks[np.argsort(-rows.counts, kind="stable")] = np.arange(len(ranks))
    few, many = (_own_errors(rows, np.minimum(ranks, kept)) for kept in (most, MOST_EMBEDDED))
    if not _is_better(many, few, rows, _LEAST_EXPLAINED):
        return None
    return CategoryEffect("many_categories", rows.share_without(many) - rows.share_without(few))


def _is_better(errors: Floats, others: Floats, rows: _Rows, least: float) -> bool:
    """Return whether some squared errors are clearly smaller than others, (values,).

    Args:
        errors: the errors that should be smaller.
        others: the other errors.
        rows: the rows of each value.
        least: minimum of the difference, as a share of the variance.
    """
    saved = others - errors
    is_enough = saved.sum() >= least * rows.squares.sum()
    return bool(is_enough) and is_positive(saved, rows.counts, _CONFIDENCE)


def _own_errors(rows: _Rows, groups: Indices | None = None) -> Floats:
    """Return the least errors of rows predicted by others of their value, or group, (values,).

    Args:
        rows: the rows of each value.
        groups: the group of each value, (values,); each is its own if omitted.
    """
    groups = np.arange(len(rows.counts)) if groups is None else groups
    counts, sums = np.bincount(groups, rows.counts)[groups], np.zeros_like(rows.sums)
    np.add.at(sums, groups, rows.sums)
    sums = sums[groups]
    found = []
    for penalty in _PENALTIES:
        # A row y is predicted by (s - y) / d, so that the error is y·(1 + 1/d) - s/d.
        divisor = counts - 1 + penalty
        scaled = _Rows(
            rows.counts,
            rows.sums * (1 + 1 / divisor)[:, np.newaxis],
            rows.squares * (1 + 1 / divisor) ** 2,
        )
        found.append(scaled.errors(sums / divisor[:, np.newaxis]))
    return min(found, key=np.sum)


def _nearest_errors(rows: _Rows) -> Floats:
    """Return the least errors of rows predicted by those of the nearest values, or 0, (values,)."""
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
