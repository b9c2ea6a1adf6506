"""What a finished training shows of its data, layers and predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dlcli.data_checks import draw
from dlcli.encoding import EncodedRows
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
from dlcli.pipeline.description import reason_of
from dlcli.pipeline.preparation import Prepared, sets
from dlcli.prediction import Predictor

if TYPE_CHECKING:
    from dlcli.runs import RunWriter
    from dlcli.training import Job

ROWS_OF_LAYERS = 2_000
ROWS_OF_GRADIENTS = 1_024


def explain(
    predictor: Predictor, prepared: Prepared, encoded: Mapping[str, EncodedRows], job: Job
) -> Explanation:
    """Looks at what was trained, within bounds that no size of the table moves.

    All of it follows from config, data and weights, so that equal runs have equal explanation.

    Args:
        predictor: the trained network.
        prepared: what it was made of; see `as_first_told`.
        encoded: the rows of each set.
        job: what was trained.
    """
    every = {name: (table, encoded[name]) for name, table in sets(prepared.split)}
    held_out = {name: rows for name, rows in every.items() if name != "train"}
    train = look_at({"train": every["train"]}, ROWS_OF_LAYERS)
    columns, unlisted = _columns(predictor, prepared, train)
    explanation = Explanation(
        rows={name: table.rows for name, (table, _) in every.items()},
        sampled_rows={"train": len(train)},
        columns=columns,
        unlisted_columns=unlisted,
        layers=_layers(predictor, job, train),
    )
    if held_out:
        return _with_held_out(explanation, predictor, train, held_out)
    return _with_dependences(explanation, predictor, train)


def as_first_told(prepared: Prepared, writer: RunWriter) -> Prepared:
    """What was prepared, with the reasons for types that were told when the run began.

    A run that is resumed reads its complete config, in which every type is declared.
    """
    columns = writer.first_event("features").get("columns")
    told = columns if isinstance(columns, dict) else {}
    decisions = {
        name: replace(decision, reason=_told_reason(told.get(name)) or reason_of(decision))
        for name, decision in prepared.decisions.items()
    }
    why = _told_reason(writer.first_event("target")) or prepared.target.reason
    return replace(prepared, decisions=decisions, target=replace(prepared.target, reason=why))


def _told_reason(fields: object) -> str | None:
    """The reason among the fields of an event, as far as it is a text."""
    reason = fields.get("reason") if isinstance(fields, dict) else None
    return reason if isinstance(reason, str) else None


def _columns(
    predictor: Predictor, prepared: Prepared, train: LookedAt
) -> tuple[tuple[ColumnStatistics, ...], int]:
    """The columns that are listed, and how many are not."""
    weight = predictor.config.data.weight
    listed, rest = list_columns(prepared.target, weight, prepared.decisions)
    encoding, (_, *others) = prepared.encoding, sets(prepared.split)
    peaks = peaks_of(encoding.layout, train.matrix)
    tables = [table for _, table in others]
    viewer = ColumnViewer(prepared.split.train, tables, encoding, peaks)
    return tuple(map(viewer.view, listed)), rest


def _layers(predictor: Predictor, job: Job, train: LookedAt) -> tuple[LayerStatistics, ...]:
    from dlcli.training import gradient_norms

    network, weights = predictor.network, predictor.weights
    # As many rows as can be looked at at once: wide ones are fewer.
    some = draw(np.arange(len(job.train.inputs)), min(ROWS_OF_GRADIENTS, len(train)))
    norms = gradient_norms(job, weights, some)
    return describe_layers(network, weights, train.matrix, norms.first, norms.last)


def _with_held_out(
    explanation: Explanation, predictor: Predictor, train: LookedAt, held_out: Sets
) -> Explanation:
    """Adds what held-out rows show: what mattered, and where it went wrong."""
    network, target = predictor.network, predictor.encoding.target
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
    network, target = predictor.network, predictor.encoding.target
    truth = truth_of(target, train.tables.values(), units_of(target, train.tables["train"]))
    outputs = choose_outputs(predictor, truth, train.weights)
    order = strongest(strengths(network, predictor.weights, train.matrix), network.inputs)
    found = find_dependences(predictor, train, order, outputs)
    return explanation.model_copy(update={"outputs": outputs.names, "partial_dependences": found})
