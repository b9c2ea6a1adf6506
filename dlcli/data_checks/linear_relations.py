"""Exact linear relations between a numeric target and a few columns, such as parts of a sum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlcli.arrays import Floats, Mask
from dlcli.columns.type_inference import number
from dlcli.data_checks.sample import DataFinding, Sample, quoted

_FEWEST_ROWS = 50
_MOST_COLUMNS = 100
_MOST_TERMS = 5
_ROWS_A_COLUMN = 5
_UNEXPLAINED = 1e-3
"""Maximum share of the target's variance in other rows that a nearly exact relation leaves."""
_SMALL = 1e-3
"""Share of the target's standard deviation below which a constant is rounding."""


@dataclass(frozen=True)
class LinearRelation:
    """A target as a sum of columns with constant factors."""

    target: str
    terms: tuple[tuple[str, float], ...]
    """The columns with their factors, at least two."""
    constant: float
    unexplained: float
    """The share of the target's variance in other rows that is left."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns."""
        return tuple(name for name, _ in self.terms)

    @property
    def formula(self) -> str:
        """The relation: `'tip' = 'total' − 'fare' − 'tolls'`."""
        parts = [(factor, quoted(name)) for name, factor in self.terms]
        text = ""
        for factor, name in sorted(parts, key=lambda part: part[0] < 0):
            size = "" if abs(abs(factor) - 1) < 0.01 else f"{_digits(abs(factor))} × "
            sign = "−" if factor < 0 else "+" if text else ""
            text += f" {sign} {size}{name}" if text else f"{sign}{size}{name}"
        if self.constant:
            text += f" {'−' if self.constant < 0 else '+'} {_digits(abs(self.constant))}"
        return f"{quoted(self.target)} = {text}"


def _digits(value: float) -> str:
    return number(float(f"{value:.3g}"))


def find_relation(sample: Sample) -> LinearRelation | None:
    """Return a linear relation of the target with two to five numeric columns, or `None`.

    Least squares on one half of the rows must predict the other half almost exactly. Columns are
    then omitted, the least important first, as long as it does.
    """
    task, table = sample.task, sample.table
    if task is None or task.outcome != "numbers" or task.width > 1 or table.rows < _FEWEST_ROWS:
        return None
    names, columns = _complete_numbers(sample)
    target = table.column(task.columns[0]).numbers().values
    known = np.isfinite(target) & np.isfinite(columns).all(axis=1)
    target, columns = target[known], columns[known]
    if len(names) < 2 or len(target) < max(_FEWEST_ROWS, _ROWS_A_COLUMN * len(names)):
        return None
    first = np.random.default_rng(0).permutation(len(target)) % 2 == 0
    spread = columns[first].std(axis=0)
    used = [at for at in range(len(names)) if spread[at] > 0]
    weights, left = _fit(columns[:, used], target, first)
    if left > _UNEXPLAINED:
        return None
    while len(used) > 1:
        least = int(np.argmin(np.abs(weights[:-1]) * spread[used]))
        fewer = used[:least] + used[least + 1 :]
        found, share = _fit(columns[:, fewer], target, first)
        if share > max(_UNEXPLAINED, 10 * left):
            break
        used, weights, left = fewer, found, share
    if not 2 <= len(used) <= _MOST_TERMS:  # `find_leakage` reports single columns
        return None
    constant = float(weights[-1])
    terms = tuple((names[at], float(weights[index])) for index, at in enumerate(used))
    is_rounding = abs(constant) < max(_SMALL, np.sqrt(left)) * target.std()
    return LinearRelation(task.columns[0], terms, 0.0 if is_rounding else constant, left)


def _complete_numbers(sample: Sample) -> tuple[list[str], Floats]:
    """Return numeric columns with few missing values, (rows, columns), NaN where missing."""
    rows = sample.table.rows
    found = {
        name: column.values
        for name, column in sample.columns.items()
        if column.numbers is not None and column.distinct > 1 and column.present >= 0.95 * rows
    }
    names = [*found][:_MOST_COLUMNS]
    columns = np.stack([found[name] for name in names], axis=1) if names else np.empty((rows, 0))
    return names, columns


def _fit(columns: Floats, target: Floats, learn: Mask) -> tuple[Floats, float]:
    """Return factors and constant, and the share of the variance of other rows that is left."""
    inputs = np.hstack([columns, np.ones((len(target), 1))])
    scale = np.abs(inputs).max(axis=0)
    scale[scale == 0] = 1
    with np.errstate(all="ignore"):
        weights = np.linalg.lstsq(inputs[learn] / scale, target[learn], rcond=None)[0] / scale
        error = np.mean((target[~learn] - inputs[~learn] @ weights) ** 2)
        variance = np.var(target[~learn])
    share = float(error / variance) if variance > 0 else 1.0
    return weights, share if np.isfinite(share) else 1.0


def find_linear_relation(relation: LinearRelation | None) -> DataFinding | None:
    """Report a linear relation of the target with a few columns."""
    if relation is None:
        return None
    message = f"the target is a sum of columns: {relation.formula}"
    advice = (
        "check that these columns are known when predictions are made; if one of them is computed "
        "from the target, declare it ignored in input.features"
    )
    return DataFinding("linear_relation", "warning", relation.columns, None, message, advice)
