"""Columns that were hardly taken for what is wanted."""

from __future__ import annotations

from collections.abc import Mapping

from dlcli.config import Numeric
from dlcli.data_checks.finding import DataIssue, listed
from dlcli.encoding import Decision


def find_doubtful_types(decisions: Mapping[str, Decision]) -> DataIssue | None:
    """Finds columns whose type may not be what is wanted; of odd numbers `find_odd_values` tells.

    Args:
        decisions: the type of each column.
    """
    found = {
        name: decision.reason
        for name, decision in decisions.items()
        if decision.warning and not isinstance(decision.feature, Numeric)
    }
    if not found:
        return None
    message = f"hardly read as is wanted: {listed(found)}"
    advice = "declare what they are in input.features"
    return DataIssue("doubtful_types", "warning", tuple(found), None, message, advice)
