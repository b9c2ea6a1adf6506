"""Explanation of a trained network: its columns, layers, importances and worst predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from dlcli.arrays import Indices, Matrix
from dlcli.columns.column_type import Decision
from dlcli.config.layer_choices import Activation
from dlcli.data_checks.sample import draw
from dlcli.explanation import explanation_document
from dlcli.explanation import prediction_analysis as analysis
from dlcli.explanation.column_statistics import ColumnDescriber, largest_inputs, list_columns
from dlcli.metrics.statistic import finite
from dlcli.network.activations import Floats
from dlcli.network.layers import Weights, activation_of
from dlcli.network.network import Network
from dlcli.prediction.predictions import Predictions
from dlcli.prediction.predictor import Predictor
from dlcli.tasks.task import Task

ROWS_FOR_LAYERS = 2_000
ROWS_FOR_GRADIENTS = 1_024
MOST_LAYERS = 500
"""Most layers that are listed, the last ones; only very many embeddings exceed it."""
_RECTIFIERS = ("relu", "relu6", "leaky_relu", "sparse_plus")
"""Activations that may return 0 for everything up to some number, and pass no gradient there."""
_NEAR = 0.01
"""Share of a range from its ends within which an output counts as saturated."""

Gradients = Mapping[str, float]
"""Norm of each layer's gradient, by the layer's name."""


def explain(
    predictor: Predictor,
    sets: analysis.Sets,
    target: Task,
    decisions: Mapping[str, Decision],
    predictions: Callable[[str], Predictions],
    gradient_norms: Callable[[Indices], tuple[Gradients, Gradients]],
    folds: Sequence[Indices] = (),
) -> explanation_document.Explanation:
    """Explain a trained network, at a cost that does not grow with the table.

    Of an ensemble, layers are those of the first member, and predictions those of all. All of it
    follows from config, data and weights, so that equal runs have equal explanations.

    Args:
        predictor: the trained network.
        sets: the rows of each set, `train` first, and the same encoded.
        target: the task, with the reason for its type.
        decisions: the type of each column.
        predictions: returns those of a set.
        gradient_norms: returns the norm of each layer's gradient over some training rows, before
            the first step and after the last.
        folds: if the held-out rows are those of an ensemble's folds, the indices of each fold's
            rows.
    """
    held_out = {name: rows for name, rows in sets.items() if name != "train"}
    train = analysis.sample_rows({"train": sets["train"]}, ROWS_FOR_LAYERS)
    network, weights, task = predictor.network, predictor.weights_of(1), predictor.task
    layout = predictor.encoding.layout

    listed, unlisted = list_columns(target, predictor.config.data.sample_weight, decisions)
    whole, others = sets["train"][0], [table for table, _ in held_out.values()]
    largest = largest_inputs(layout, train.matrix)
    # Out-of-fold rows are the training rows themselves.
    new = [table for table in others if table is not whole]
    describer = ColumnDescriber(whole, new, predictor.encoding, largest)

    # As many rows as are sampled at most: wide ones are fewer.
    rows = draw(np.arange(whole.rows), min(ROWS_FOR_GRADIENTS, len(train)))
    layers = describe_layers(network, weights, train.matrix, *gradient_norms(rows))

    # Importances and worst rows need held-out rows; partial dependences don't measure errors, and
    # can be computed from training rows as well.
    rows_held_out = sum(table.rows for table in others)
    plan = analysis.plan_importances(network, predictor.members, rows_held_out)
    sample = analysis.sample_rows(held_out, plan.rows) if held_out else train
    units = analysis.target_units(task, train.tables["train"])
    truth = analysis.read_true_values(task, sample.tables.values(), units)
    outputs = analysis.choose_outputs(predictor, truth, sample.weights)
    effects = analysis.first_layer_effects(network, weights, train.matrix)
    columns = sorted(effects, key=lambda column: -effects[column])  # stable
    importances: tuple[explanation_document.Importance, ...] = ()
    worst: tuple[explanation_document.WorstRow, ...] = ()
    if held_out:
        columns = columns[: plan.columns]
        importances = analysis.permutation_importances(
            predictor, truth, sample, columns, plan.repeats, folds
        )
        ranked = [each.column for each in importances] or columns
        worst = analysis.worst_rows(task, held_out, predictions, units, ranked)
        columns = [each.column for each in importances if each.increase > 0]
    return explanation_document.Explanation(
        rows={name: table.rows for name, (table, _) in sets.items()},
        sampled_rows={"train": len(train), **({"held_out": len(sample)} if held_out else {})},
        columns=tuple(map(describer.describe, listed)),
        unlisted_columns=unlisted,
        layers=layers,
        outputs=tuple(outputs),
        importance_metric=task.error_name if importances else None,
        importances=importances,
        partial_dependences=analysis.partial_dependences(predictor, sample, columns, outputs),
        worst=worst,
    )


# Layers


def describe_layers(
    network: Network, weights: Weights, matrix: Matrix, first: Gradients, last: Gradients
) -> tuple[explanation_document.LayerStatistics, ...]:
    """Describe each layer, with its outputs for some rows.

    Args:
        network: the layers.
        weights: trained, by name.
        matrix: encoded training rows, (rows, inputs).
        first: the gradients before the first step; a layer may be absent.
        last: those after the last step.
    """
    found = []
    with np.errstate(all="ignore"):
        for layer, output in network.layer_outputs(matrix, weights):
            activation = activation_of(layer)
            arrays = [weights[weight.name].astype(np.float64) for weight in layer.weights]
            norm = np.sqrt(sum(float(np.square(array).sum()) for array in arrays))
            statistics = explanation_document.LayerStatistics(
                name=layer.name,
                kind=layer.kind,
                units=layer.units,
                parameters=sum(weight.size for weight in layer.weights),
                activation=None if activation is None else activation.name,
                output_mean=finite(output.mean(dtype=np.float64)),
                output_deviation=finite(output.std(dtype=np.float64)),
                dead=None if activation is None else dead_share(activation, output),
                saturated=None if activation is None else saturated_share(activation, output),
                weight_norm=finite(norm) if arrays else None,
                first_gradient=finite(first.get(layer.name)),
                last_gradient=finite(last.get(layer.name)),
            )
            found.append(statistics)
    return tuple(found[-MOST_LAYERS:])


def dead_share(activation: Activation, output: Floats) -> float | None:
    """Return the share of units that return 0 for every row; None if the activation never does.

    A unit of relu or similar that no row activates gets no gradient, and so never changes (Maas et
    al. 2013, "Rectifier nonlinearities improve neural network acoustic models").

    Args:
        activation: the layer's.
        output: the layer's output, (rows, units).
    """
    if activation.name not in _RECTIFIERS or getattr(activation, "negative_slope", 0.0) > 0:
        return None
    return float((output == 0).all(axis=0).mean())


def saturated_share(activation: Activation, output: Floats) -> float | None:
    """Return the share of outputs within 1 % of an end of their range, where the slope is near 0.

    There gradients vanish (Glorot & Bengio 2010, "Understanding the difficulty of training
    deep feedforward neural networks"). For sigmoid, hard_sigmoid and sparse_sigmoid it is up to
    0.01 and from 0.99 on; for tanh, hard_tanh and softsign beyond ±0.98.

    Args:
        activation: the layer's.
        output: the layer's output, (rows, units).

    Returns:
        The share; None for activations without two such ends, and for those over all units, as
        softmax.
    """
    low, high = activation.bounds
    is_bounded = np.isfinite(low) and np.isfinite(high)
    if not is_bounded or activation.across_units or activation.name in _RECTIFIERS:
        return None
    reach = _NEAR * (high - low)
    return float(((output <= low + reach) | (output >= high - reach)).mean())
