"""Explain the network of a run, with the reasons for types that its log has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from dlcli.explanation import Explanation
from dlcli.explanation import explain as explain_network
from dlcli.pipeline.fit import FitResult
from dlcli.pipeline.preparation import Prepared, type_reason

if TYPE_CHECKING:
    from dlcli.encoding import Indices
    from dlcli.runs import RunWriter


def explain(result: FitResult, writer: RunWriter) -> Explanation:
    """Explain a trained network, at a cost that does not grow with the table.

    Args:
        result: the trained network with its rows.
        writer: the run, whose log has the reasons for the types of columns.
    """
    from dlcli.training import gradient_norms

    def norms(rows: Indices) -> tuple[Mapping[str, float], Mapping[str, float]]:
        found = gradient_norms(result.job, result.training.weights, rows)
        return found.first, found.last

    prepared = with_logged_reasons(result.prepared, writer)
    sets = {name: (table, result.encoded[name]) for name, table in result.tables.items()}
    predictor, predictions = result.predictor, result.predictions
    return explain_network(predictor, sets, prepared.target, prepared.decisions, predictions, norms)


def with_logged_reasons(prepared: Prepared, writer: RunWriter) -> Prepared:
    """Return what was prepared with the reasons for types that were logged when the run began.

    A resumed run reads its resolved config, in which every type is declared.
    """
    columns = writer.first_event("features").get("columns")
    logged = columns if isinstance(columns, dict) else {}
    decisions = {
        name: replace(decision, reason=_reason(logged.get(name)) or type_reason(decision))
        for name, decision in prepared.decisions.items()
    }
    why = _reason(writer.first_event("target")) or prepared.target.reason
    target = prepared.target.model_copy(update={"reason": why})
    return replace(prepared, decisions=decisions, target=target)


def _reason(fields: object) -> str | None:
    """Return the reason among the fields of an event, if it is a text."""
    reason = fields.get("reason") if isinstance(fields, dict) else None
    return reason if isinstance(reason, str) else None
