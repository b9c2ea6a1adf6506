"""Explain a trained network: its columns, layers, importances and worst predictions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dlcli.data_checks import draw
from dlcli.explanation import (
    ColumnStatistics,
    ColumnViewer,
    Explanation,
    LayerStatistics,
    LookedAt,
    Sets,
    affordable,
    choose_outputs,
    describe_layers,
    error_metric,
    find_dependences,
    judge_all,
    judge_some,
    list_columns,
    look_at,
    peaks_of,
    permutation_importances,
    plan_importances,
    strengths,
    strongest,
    truth_of,
    units_of,
    worst_rows,
)
from dlcli.pipeline.fit import FitResult
from dlcli.pipeline.preparation import Prepared, type_reason
from dlcli.prediction import Predictor

if TYPE_CHECKING:
    from dlcli.runs import RunWriter

ROWS_OF_LAYERS = 2_000
ROWS_OF_GRADIENTS = 1_024


def explain(result: FitResult, writer: RunWriter) -> Explanation:
    """Explain a trained network, within bounds that do not grow with the table.

    All of it follows from config, data and weights, so that equal runs have equal explanations.

    Args:
        result: the trained network with its rows.
        writer: the run, whose log has the reasons for the types of columns.
    """
    every = {name: (table, result.encoded[name]) for name, table in result.tables.items()}
    held_out = {name: rows for name, rows in every.items() if name != "train"}
    train = look_at({"train": every["train"]}, ROWS_OF_LAYERS)
    columns, unlisted = _columns(result, with_logged_reasons(result.prepared, writer), train)
    explanation = Explanation(
        rows={name: table.rows for name, (table, _) in every.items()},
        sampled_rows={"train": len(train)},
        columns=columns,
        unlisted_columns=unlisted,
        layers=_layers(result, train),
    )
    if held_out:
        return _with_held_out(explanation, result.predictor, train, held_out)
    return _with_dependences(explanation, result.predictor, train)


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


def _columns(
    result: FitResult, prepared: Prepared, train: LookedAt
) -> tuple[tuple[ColumnStatistics, ...], int]:
    """Return the columns that are listed, and how many are not."""
    weight = result.config.data.weight
    listed, rest = list_columns(prepared.target, weight, prepared.decisions)
    held_out = [table for name, table in result.tables.items() if name != "train"]
    peaks = peaks_of(prepared.encoding.layout, train.matrix)
    viewer = ColumnViewer(prepared.split.train, held_out, prepared.encoding, peaks)
    return tuple(map(viewer.view, listed)), rest


def _layers(result: FitResult, train: LookedAt) -> tuple[LayerStatistics, ...]:
    from dlcli.training import gradient_norms

    network, weights = result.prepared.network, result.training.weights
    # As many rows as can be looked at at once: wide ones are fewer.
    some = draw(np.arange(len(result.job.train.inputs)), min(ROWS_OF_GRADIENTS, len(train)))
    norms = gradient_norms(result.job, weights, some)
    return describe_layers(network, weights, train.matrix, norms.first, norms.last)


def _with_held_out(
    explanation: Explanation, predictor: Predictor, train: LookedAt, held_out: Sets
) -> Explanation:
    """Adds what held-out rows show: what mattered, and where it went wrong."""
    network, target = predictor.network, predictor.encoding.task
    rows = sum(table.rows for table, _ in held_out.values())
    plan = plan_importances(network, rows)
    looked = look_at(held_out, plan.rows)
    units = units_of(target, train.tables["train"])
    truth = truth_of(target, looked.tables.values(), units)
    order = strongest(strengths(network, predictor.weights, train.matrix), plan.columns)
    found = permutation_importances(predictor, truth, looked, order, plan.repeats)
    order = [each.column for each in found] or order
    strong = [each.column for each in found if each.increase > 0]
    outputs = choose_outputs(predictor, truth, looked.weights)
    if rows <= affordable(network):
        judged = judge_all(predictor, held_out, units)
    else:
        judged = judge_some(predictor, looked, truth)
    return explanation.model_copy(
        update={
            "sampled_rows": {**explanation.sampled_rows, "held_out": len(looked)},
            "outputs": outputs.names,
            "importance_metric": error_metric(predictor) if found else None,
            "importances": found,
            "partial_dependences": find_dependences(predictor, looked, strong, outputs),
            "worst": worst_rows(judged, order),
        }
    )


def _with_dependences(
    explanation: Explanation, predictor: Predictor, train: LookedAt
) -> Explanation:
    """Adds dependences over training rows: they tell of the network, and not of its errors."""
    network, target = predictor.network, predictor.encoding.task
    truth = truth_of(target, train.tables.values(), units_of(target, train.tables["train"]))
    outputs = choose_outputs(predictor, truth, train.weights)
    order = strongest(strengths(network, predictor.weights, train.matrix), network.inputs)
    found = find_dependences(predictor, train, order, outputs)
    return explanation.model_copy(update={"outputs": outputs.names, "partial_dependences": found})
