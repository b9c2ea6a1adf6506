"""Numbers that no network can hold."""

from __future__ import annotations

from collections.abc import Mapping

from dlcli.config import Numeric
from dlcli.data_checks.finding import DataIssue, listed
from dlcli.encoding import Decision


def find_unbounded(decisions: Mapping[str, Decision]) -> DataIssue | None:
    """Finds columns with a number that is infinite, or too large for 32 bits.

    Args:
        decisions: the type of each column.
    """
    found = {name: "" for name, decision in decisions.items() if _is_unbounded(decision)}
    if not found:
        return None
    message = f"numbers that are infinite, or too large for 32 bits: {listed(found)}"
    advice = "training will refuse them: correct them, or name them in data.missing"
    return DataIssue("unbounded", "warning", tuple(found), None, message, advice)


def _is_unbounded(decision: Decision) -> bool:
    values = decision.values
    is_number = isinstance(decision.feature, Numeric) and not decision.warning
    return is_number and values is not None and values.bounds is None
