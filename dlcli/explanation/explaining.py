"""Explanation of a trained network: its columns, layers, importances and worst predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from dlcli.data_checks import draw
from dlcli.encoding import Decision, Indices
from dlcli.explanation import column_effects, prediction_errors
from dlcli.explanation.column_statistics import ColumnDescriber, largest_inputs, list_columns
from dlcli.explanation.explanation_document import Explanation, Importance, WorstRow
from dlcli.explanation.layer_statistics import Gradients, describe_layers
from dlcli.explanation.row_samples import Sets, sample_rows
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
        target: the task, with the reason for its type.
        decisions: the type of each column.
        predictions: returns those of a set.
        gradient_norms: returns the norm of each layer's gradient over some training rows, before
            the first step and after the last.
    """
    held_out = {name: rows for name, rows in sets.items() if name != "train"}
    train = sample_rows({"train": sets["train"]}, ROWS_FOR_LAYERS)
    network, weights, task = predictor.network, predictor.weights, predictor.task
    layout = predictor.encoding.layout

    listed, unlisted = list_columns(target, predictor.config.data.weight, decisions)
    others = [table for table, _ in held_out.values()]
    largest = largest_inputs(layout, train.matrix)
    describer = ColumnDescriber(sets["train"][0], others, predictor.encoding, largest)

    # As many rows as are sampled at most: wide ones are fewer.
    rows = draw(np.arange(sets["train"][0].rows), min(ROWS_FOR_GRADIENTS, len(train)))
    layers = describe_layers(network, weights, train.matrix, *gradient_norms(rows))

    # Importances and worst rows need held-out rows; partial dependences don't measure errors, and
    # can be computed from training rows as well.
    plan = column_effects.plan_importances(network, sum(table.rows for table in others))
    sample = sample_rows(held_out, plan.rows) if held_out else train
    units = prediction_errors.target_units(task, train.tables["train"])
    truth = prediction_errors.read_true_values(task, sample.tables.values(), units)
    outputs = column_effects.choose_outputs(predictor, truth, sample.weights)
    effects = column_effects.first_layer_effects(network, weights, train.matrix)
    columns = sorted(effects, key=lambda column: -effects[column])  # stable
    importances: tuple[Importance, ...] = ()
    worst: tuple[WorstRow, ...] = ()
    if held_out:
        columns = columns[: plan.columns]
        importances = column_effects.permutation_importances(
            predictor, truth, sample, columns, plan.repeats
        )
        ranked = [each.column for each in importances] or columns
        worst = prediction_errors.worst_rows(task, held_out, predictions, units, ranked)
        columns = [each.column for each in importances if each.increase > 0]
    return Explanation(
        rows={name: table.rows for name, (table, _) in sets.items()},
        sampled_rows={"train": len(train), **({"held_out": len(sample)} if held_out else {})},
        columns=tuple(map(describer.describe, listed)),
        unlisted_columns=unlisted,
        layers=layers,
        outputs=outputs.names,
        importance_metric=prediction_errors.error_metric(predictor) if importances else None,
        importances=importances,
        partial_dependences=column_effects.partial_dependences(predictor, sample, columns, outputs),
        worst=worst,
    )
