"""Dates far from all others."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from dlcli.config import Datetime
from dlcli.data_checks.apart import FEWEST_OTHERS, is_far
from dlcli.data_checks.finding import DataIssue, listed
from dlcli.data_checks.sample import Floats, Sample, SampledColumn
from dlcli.errors import plural
from dlcli.tables import DAY, Column, parse_times, strings

MOSTLY = 0.9
"""Share of a column's distinct values that must be dates."""


def find_outlying_dates(sample: Sample) -> DataIssue | None:
    """Finds a first or last date that is farther from the others than those from each other.

    So are 1900-01-01 and 9999-12-31, where they stand for no date. There must be 10 other dates.
    """
    found = {name: said for name, column in sample.columns.items() if (said := _outlying(column))}
    if not found:
        return None
    message = f"dates far from all others: {listed(found)}"
    advice = "if they stand for no date, leave the field empty; if they are mistakes, correct them"
    return DataIssue("outlying_dates", "warning", tuple(found), None, message, advice)


def _outlying(column: SampledColumn) -> str:
    """The outlying dates with their rows, if there are any."""
    days = _days(column)
    order = np.argsort(days)[: np.count_nonzero(~np.isnan(days))]  # what is no date is last
    if len(order) <= FEWEST_OTHERS or len(order) < MOSTLY * len(days):
        return ""
    ends = ((order[0], order[1:]), (order[-1], order[:-1]))
    places = [place for place, others in ends if is_far(float(days[place]), days[others])]
    counts = {column.text(p): plural(int(column.counts[p]), "row") for p in places}
    return ", ".join(f"{text} in {rows}" for text, rows in counts.items())


def _days(column: SampledColumn) -> Floats:
    """Days since 1970 of each distinct value, NaN for what is no date, (distinct values,)."""
    feature = column.decision.feature
    formats = feature.formats if isinstance(feature, Datetime) else ()
    values = pa.chunked_array([strings(column.texts or (), pa.string())])
    times = parse_times(Column("", values, "", ()), formats or ("iso",), "UTC")
    return np.where(times.missing | times.unreadable, np.nan, times.moments / DAY)
