"""Numbers with a range too wide for their scaling."""

from __future__ import annotations

import numpy as np

from dlcli.config import Input, Numeric, PiecewiseLinear
from dlcli.data_checks.finding import DataIssue, Severity, listed
from dlcli.data_checks.missing_codes import code_of
from dlcli.data_checks.sample import Sample, SampledColumn

FAR = 10.0
"""Standard deviations from the mean at which a value is far out: a normal one never gets there."""
VERY_FAR = 30.0
"""Standard deviations at which one value outweighs all else that a unit adds up."""
_FEWEST_DISTINCT = 20
_LINEAR = ("standard", "minmax", "divide", "none")
"""Scalings that leave the shape of a distribution as it is."""


def find_wide_ranges(sample: Sample, section: Input) -> DataIssue | None:
    """Finds numbers with a value more than 10 standard deviations from their mean.

    A warning from 30 on, a note below. Silent for columns with fewer than 20 different values, for
    scalings that bring tails nearer, and where the value far out looks like a missing code.

    Args:
        sample: the rows to look at.
        section: what holds for numbers that say nothing else.
    """
    distances = {
        name: _farthest(column)
        for name, column in sample.columns.items()
        if _keeps_shape(column, section)
    }
    found = {name: far for name, far in distances.items() if far > FAR}
    if not found:
        return None
    details = {name: f"{far:.0f} deviations" for name, far in found.items()}
    message = f"single values far from the others, which they push together: {listed(details)}"
    is_positive = all(_is_positive(sample.columns[name]) for name in found)
    way = "scaling: log" if is_positive else "scaling: robust or quantile"
    advice = f"if they are right, {way} brings them nearer; if not, correct them"
    severity: Severity = "warning" if max(found.values()) >= VERY_FAR else "note"
    return DataIssue("wide_ranges", severity, tuple(found), None, message, advice)


def _keeps_shape(column: SampledColumn, section: Input) -> bool:
    """Whether a column's numbers become inputs as far from each other as they are."""
    feature = column.decision.feature
    if not isinstance(feature, Numeric):
        return False
    if isinstance(feature.encoding or section.encoding, PiecewiseLinear):
        return False
    return (feature.scaling or section.scaling).name in _LINEAR


def _is_positive(column: SampledColumn) -> bool:
    return column.numbers is not None and bool(column.numbers[0] >= 0)


def _farthest(column: SampledColumn) -> float:
    """The greatest distance from the mean, in standard deviations; 0 where it means little."""
    numbers, counts = column.numbers, column.counts
    if numbers is None or len(numbers) < _FEWEST_DISTINCT or code_of(column) is not None:
        return 0.0
    # Brought into [-1, 1] first, so that no square overflows.
    values = numbers / np.abs(numbers).max()
    mean = np.average(values, weights=counts)
    deviation = np.sqrt(np.average((values - mean) ** 2, weights=counts))
    return float(np.abs(values - mean).max() / deviation) if deviation > 0 else 0.0
