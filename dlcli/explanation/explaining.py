"""Explanation of a trained network: its columns, layers, importances and worst predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dlcli.data_checks import draw
from dlcli.encoding import Decision, Indices
from dlcli.explanation.column_statistics import ColumnDescriber, largest_inputs, list_columns
from dlcli.explanation.explanation_document import Explanation
from dlcli.explanation.layer_statistics import Gradients, describe_layers
from dlcli.explanation.partial_dependence import choose_outputs, partial_dependences
from dlcli.explanation.permutation_importance import (
    first_layer_effects,
    permutation_importances,
    plan_importances,
)
from dlcli.explanation.prediction_errors import (
    error_metric,
    read_true_values,
    target_units,
    worst_rows,
)
from dlcli.explanation.row_samples import RowSample, Sets, sample_rows
from dlcli.prediction import Predictions, Predictor
from dlcli.tasks import Task

ROWS_FOR_LAYERS = 2_000
ROWS_FOR_GRADIENTS = 1_024


def explain(
    predictor: Predictor,
    sets: Sets,
    target: Task,
    decisions: Mapping[str, Decision],
    predictions: Callable[[str], Predictions],
    gradient_norms: Callable[[Indices], tuple[Gradients, Gradients]],
) -> Explanation:
    """Explain a trained network, at a cost that does not grow with the table.

    All of it follows from config, data and weights, so that equal runs have equal explanations.

    Args:
        predictor: the trained network.
        sets: the rows of each set, `train` first, and the same encoded.
        target: what is predicted, with the reason for its type.
        decisions: the type of each column.
        predictions: returns those of a set.
        gradient_norms: returns the norm of each layer's gradient over some training rows, before
            the first step and after the last.
    """
    held_out = {name: rows for name, rows in sets.items() if name != "train"}
    train = sample_rows({"train": sets["train"]}, ROWS_FOR_LAYERS)
    network, weights, encoding = predictor.network, predictor.weights, predictor.encoding
    listed, unlisted = list_columns(target, predictor.config.data.weight, decisions)
    describer = ColumnDescriber(
        sets["train"][0],
        [table for table, _ in held_out.values()],
        encoding,
        largest_inputs(encoding.layout, train.matrix),
    )
    # As many rows as are sampled at most: wide ones are fewer.
    rows = draw(np.arange(sets["train"][0].rows), min(ROWS_FOR_GRADIENTS, len(train)))
    layers = describe_layers(network, weights, train.matrix, *gradient_norms(rows))
    effects = first_layer_effects(network, weights, train.matrix)
    columns = sorted(effects, key=lambda column: -effects[column])  # stable
    if held_out:
        shown = _with_held_out(predictor, train, held_out, columns, predictions)
    else:
        shown = _without_held_out(predictor, train, columns)
    return Explanation(
        rows={name: table.rows for name, (table, _) in sets.items()},
        columns=tuple(map(describer.describe, listed)),
        unlisted_columns=unlisted,
        layers=layers,
        **shown,
    )


def _with_held_out(
    predictor: Predictor,
    train: RowSample,
    held_out: Sets,
    columns: list[str],
    predictions: Callable[[str], Predictions],
) -> dict[str, Any]:
    """Show by held-out rows which columns matter, and where predictions are worst."""
    task = predictor.task
    plan = plan_importances(predictor.network, sum(table.rows for table, _ in held_out.values()))
    rows = sample_rows(held_out, plan.rows)
    units = target_units(task, train.tables["train"])
    truth = read_true_values(task, rows.tables.values(), units)
    columns = columns[: plan.columns]
    found = permutation_importances(predictor, truth, rows, columns, plan.repeats)
    outputs = choose_outputs(predictor, truth, rows.weights)
    helpful = [each.column for each in found if each.increase > 0]
    ranked = [each.column for each in found] or columns
    return {
        "sampled_rows": {"train": len(train), "held_out": len(rows)},
        "outputs": outputs.names,
        "importance_metric": error_metric(predictor) if found else None,
        "importances": found,
        "partial_dependences": partial_dependences(predictor, rows, helpful, outputs),
        "worst": worst_rows(task, held_out, predictions, units, ranked),
    }


def _without_held_out(predictor: Predictor, train: RowSample, columns: list[str]) -> dict[str, Any]:
    """Show partial dependences over training rows: they are about the network, not its errors."""
    units = target_units(predictor.task, train.tables["train"])
    truth = read_true_values(predictor.task, train.tables.values(), units)
    outputs = choose_outputs(predictor, truth, train.weights)
    return {
        "sampled_rows": {"train": len(train)},
        "outputs": outputs.names,
        "partial_dependences": partial_dependences(predictor, train, columns, outputs),
    }
