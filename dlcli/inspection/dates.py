"""Dates far from all others."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np

from dlcli.inspection.apart import FEWEST_OTHERS, is_far
from dlcli.inspection.finding import Finding, in_rows, listed
from dlcli.inspection.sample import Floats, Sample, SampledColumn

MOSTLY = 0.9
"""Share of a column's distinct values that must be dates."""
_LENGTH = len("2024-12-31")


def find_outlying_dates(sample: Sample) -> Finding | None:
    """Finds a first or last ISO date that is farther from the others than those from each other.

    So are 1900-01-01 and 9999-12-31, where they stand for no date. There must be 10 other dates.
    """
    found = {name: said for name, column in sample.columns.items() if (said := _outlying(column))}
    if not found:
        return None
    message = f"dates far from all others: {listed(found)}"
    advice = "if they stand for no date, leave the field empty; if they are mistakes, correct them"
    return Finding("outlying_dates", "warning", tuple(found), None, message, advice)


def _outlying(column: SampledColumn) -> str:
    """The outlying dates with their rows, if there are any."""
    days = _days(column.texts or ())
    order = np.argsort(days)[: np.count_nonzero(~np.isnan(days))]  # what is no date is last
    if len(order) <= FEWEST_OTHERS or len(order) < MOSTLY * len(days):
        return ""
    ends = ((order[0], order[1:]), (order[-1], order[:-1]))
    places = [place for place, others in ends if is_far(float(days[place]), days[others])]
    return ", ".join(f"{column.text(p)} in {in_rows(int(column.counts[p]))}" for p in places)


def _days(texts: Sequence[str]) -> Floats:
    """The day of each text that begins with an ISO date, else NaN, (texts,)."""
    if not any(map(_day, texts[:FEWEST_OTHERS])):  # spares other columns the attempt
        return np.full(len(texts), np.nan)
    return np.array([_day(text) or np.nan for text in texts])


def _day(text: str) -> int | None:
    try:
        return date.fromisoformat(text[:_LENGTH]).toordinal()
    except ValueError:
        return None
