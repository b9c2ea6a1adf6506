"""A run's model as a graph, from the columns of a table to the output of `dlcli predict`.

The outputs are `prediction`; for classes and labels also `probabilities` or `margin`; for a run
with held-out rows also `lower` and `upper`, or `prediction_set`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from dlcli.columns.column_type import ColumnEncoder, in_input_order
from dlcli.columns.graph_operations import Operations, Value, by_formula
from dlcli.config.layer_choices import Activation, Gelu
from dlcli.metrics.quantiles import middle_of
from dlcli.network import layers
from dlcli.network.activations import Floats
from dlcli.network.activations import activate as activate_array
from dlcli.network.layers import Network
from dlcli.prediction.conformal import Conformal
from dlcli.prediction.predictor import Predictor
from dlcli.tables.table_files import MissingWords
from dlcli.tasks.task import OutputUnit


def encode(
    ops: Operations,
    features: Sequence[ColumnEncoder],
    values: Mapping[str, Value],
    missing: MissingWords,
) -> Value:
    """Encode all columns in the order of the network's inputs, float32 (rows, inputs).

    Columns of the same `graph_group` are encoded together.
    """
    ordered = in_input_order(features)
    groups: dict[str, list[ColumnEncoder]] = {}
    for feature in ordered:
        if (name := feature.graph_group(missing(feature.column))) is not None:
            groups.setdefault(name, []).append(feature)
    parts: list[Value] = []
    indices: dict[str, list[int]] = {}
    width = 0
    for group in [groups[name] for name in sorted(groups) if len(groups[name]) > 1]:
        of_group = [values[each.column] for each in group]
        part, places = group[0].graph_of_group(ops, group, of_group)
        parts.append(part)
        for each, own in zip(group, places, strict=True):
            indices[each.column] = [width + at for at in own]
        width += sum(map(len, places))
    for feature in ordered:
        if feature.column not in indices:
            name, count = feature.column, len(feature.inputs)
            parts.append(feature.graph(ops, values[name], missing(name)))
            indices[name] = [*range(width, width + count)]
            width += count
    order = [at for feature in ordered for at in indices[feature.column]]
    matrix = ops.concat(parts)
    return matrix if order == [*range(width)] else ops.columns(matrix, order)


# The network


def forward(ops: Operations, network: Network, x: Value, weights: Mapping[str, Floats]) -> Value:
    """Compute a network's output on the scale of training, float32 (rows, outputs)."""
    exposure = network.front.exposure
    exposures = None if exposure is None else ops.as_column(ops.column(x, exposure))
    x = _front(ops, network.front, x, weights)
    for layer in network.layers:
        if isinstance(layer, layers.DenseLayer):
            x = ops.matmul(x, weights[f"{layer.name}/kernel"])
            if layer.use_bias:
                x = x + ops.constant(weights[f"{layer.name}/bias"][None])
        if isinstance(layer, layers.DenseLayer | layers.ActivationLayer):
            x = activate(ops, layer.activation, x)
        elif isinstance(layer, layers.NormalizationLayer):
            x = by_formula(ops, partial(layer.forward, arrays=weights), x)
    return x if exposures is None else x * exposures


def _front(ops: Operations, front: layers.Front, x: Value, weights: Mapping[str, Floats]) -> Value:
    if front.is_identity:
        return x
    parts = [ops.columns(x, front.unchanged)] if front.unchanged else []
    for layer in front.periodic:
        if isinstance(layer, layers.PeriodicLinearLayer):
            parts.append(_maps_of_waves(ops, layer, x, weights))
        else:
            phases = _products(ops, ops.columns(x, layer.columns), weights[f"{layer.name}/kernel"])
            phases = phases * (2 * math.pi)
            parts += [ops.apply("sin", phases), ops.apply("cos", phases)]
    for embedding in front.embeddings:
        codes = ops.cast(ops.column(x, embedding.column), "int64")
        parts.append(ops.lookup(weights[f"{embedding.name}/embeddings"], codes))
    return ops.concat(parts)


def _maps_of_waves(
    ops: Operations, layer: layers.PeriodicLinearLayer, x: Value, weights: Mapping[str, Floats]
) -> Value:
    numbers = ops.columns(x, layer.columns)
    phases = _products(ops, numbers, weights[f"{layer.name}/kernel"])
    phases = phases + ops.constant(weights[f"{layer.name}/bias"].reshape(1, -1))
    waves = ops.apply("cos", phases * (2 * math.pi))
    kernel, bias = weights[f"{layer.maps}/kernel"], weights[f"{layer.maps}/bias"]
    # The first output of each input is the input itself.
    inputs, frequencies, maps = kernel.shape
    own = np.zeros((inputs, 1, 1 + maps), np.float32)
    own[:, :, 0] = 1
    mapped = np.concatenate([np.zeros((inputs, frequencies, 1), np.float32), kernel], axis=2)
    offsets = np.concatenate([np.zeros((inputs, 1), np.float32), bias], axis=1)
    products = _products(ops, numbers, own) + _products(ops, waves, mapped)
    return products + ops.constant(offsets.reshape(1, -1))


def _products(ops: Operations, x: Value, kernels: Floats) -> Value:
    """Multiply each input by a separate kernel: a block-diagonal matrix keeps inputs separate.

    Args:
        ops: the operations of the format.
        x: the values of all inputs one after the other, (rows, inputs · values).
        kernels: (inputs, units) for one value for each input, or (inputs, values, units).

    Returns:
        (rows, inputs · units).
    """
    blocks = kernels.reshape(len(kernels), -1, kernels.shape[-1])
    inputs, values, units = blocks.shape
    matrix = np.zeros((inputs, values, inputs, units), np.float32)
    matrix[np.arange(inputs), :, np.arange(inputs)] = blocks
    return ops.matmul(x, matrix.reshape(inputs * values, inputs * units))


def activate(ops: Operations, activation: Activation, x: Value) -> Value:
    """Apply an activation to (rows, units), with the same formula as prediction in NumPy."""
    if isinstance(activation, Gelu) and not activation.approximate:
        # LiteRT supports the error function only within this formula.
        return x * 0.5 * (ops.apply("erf", x * math.sqrt(0.5)) + 1.0)
    formula = partial(activate_array, activation.name, **activation.model_dump(exclude={"name"}))
    return by_formula(ops, formula, x)


# Predictions


def predict(ops: Operations, predictor: Predictor, matrix: Value) -> dict[str, Value]:
    """Return the outputs of a run by name.

    Args:
        ops: the operations of the format.
        predictor: the run's.
        matrix: encoded rows, float32 (rows, inputs).
    """
    return _Predicted(ops, predictor).outputs(matrix)


@dataclass(frozen=True)
class _Predicted:
    """The predictions of a run, with the operations of a format."""

    ops: Operations
    predictor: Predictor

    def outputs(self, matrix: Value) -> dict[str, Value]:
        """Return the outputs by name, see `predict`."""
        predictor, numbers = self.predictor, range(1, self.predictor.members + 1)
        members = {number: self._member(number, matrix) for number in numbers}

        def average(chosen: Sequence[int]) -> Value:
            weights = [predictor.models[number - 1].weight for number in chosen if predictor.models]
            each = [members[number] for number in chosen]
            if len({*weights}) > 1:
                each = [value * weight for value, weight in zip(each, weights, strict=True)]
                return predictor.with_floor(sum(each[1:], start=each[0]) / sum(weights))
            mean = sum(each[1:], start=each[0]) / float(len(each)) if each[1:] else each[0]
            return predictor.with_floor(mean)

        outputs = average(numbers)
        if predictor.task.outcome == "labels":
            return self._labels(outputs)
        folds = [average(chosen) for chosen in predictor.members_by_fold] or [outputs]
        of_task = self._numbers if predictor.task.outcome == "numbers" else self._classes
        return of_task(outputs, folds)

    def _member(self, number: int, matrix: Value) -> Value:
        """Return a member's predictions: numbers in the target's unit, probabilities or margins.

        Numbers, and all averaged values, are float64; the result is (rows, units).
        """
        predictor = self.predictor
        weights = predictor.weights_of(number)
        outputs = forward(self.ops, predictor.network_of(number), matrix, weights)
        if predictor.models or predictor.task.outcome == "numbers":
            outputs = self.ops.cast(outputs, "float64")
        unit = predictor.task_of(number).output_unit
        return outputs if unit is None else self._in_unit(unit, outputs)

    def _numbers(self, outputs: Value, folds: Sequence[Value]) -> dict[str, Value]:
        task, ops = self.predictor.task, self.ops
        found, quantiles = {"prediction": outputs}, {}
        if task.levels:
            width = len(task.levels)
            each = [ops.ranked(outputs, rank, width) for rank in range(1, width + 1)]
            found = {"prediction": ops.as_column(each[middle_of(task.levels)])}
            quantiles = {"quantiles": ops.concat([*map(ops.as_column, each)])}
        if self.predictor.conformal is not None:
            found |= self._intervals(self.predictor.conformal, folds)
        if task.width == 1:
            found = {name: ops.column(values, 0) for name, values in found.items()}
        return found | quantiles

    def _intervals(self, conformal: Conformal, folds: Sequence[Value]) -> dict[str, Value]:
        """Return the ends of prediction intervals, (rows, columns), as in `Conformal.regions`."""
        ops, unit = self.ops, self.predictor.task.output_unit
        assert unit is not None
        rank = conformal.stored_rank(self.predictor.level)
        scale, offset = (ops.constant(np.array([each])) for each in (unit.scale, unit.offset))
        numbers = [ops.log1p(fold) if unit.is_log else fold for fold in folds]
        centers = [(each - offset) / scale for each in numbers]
        if self.predictor.task.has_interval:
            return self._corrected_quantiles(conformal, centers, unit)
        ends: dict[str, Value] = {}
        for name, sign in (("lower", -1.0), ("upper", 1.0)):
            columns = []
            for at, scores in enumerate(conformal.scores):
                signed = [ops.column(each, at) * sign for each in centers]
                columns.append(ops.as_column(self._ranked_sum(signed, scores, rank)))
            y = self._in_unit(unit, ops.concat(columns) * sign)
            ends[name] = self._within_bounds(conformal, y)
        return ends

    def _corrected_quantiles(
        self, conformal: Conformal, folds: Sequence[Value], unit: OutputUnit
    ) -> dict[str, Value]:
        """Return the corrected outermost quantiles, (rows, 1), as in `Conformal.regions`."""
        ops, width = self.ops, len(self.predictor.task.levels)
        rank, [scores] = conformal.stored_rank(self.predictor.level), conformal.scores
        below = [ops.ranked(fold, 1, width) * -1.0 for fold in folds]
        above = [ops.ranked(fold, width, width) for fold in folds]
        first = self._ranked_sum(below, scores, rank) * -1.0
        second = self._ranked_sum(above, scores, rank)
        # Negative scores may exchange the ends of a narrow interval.
        ends = {
            "lower": ops.apply("minimum", first, second),
            "upper": ops.apply("maximum", first, second),
        }
        return {
            name: self._within_bounds(conformal, self._in_unit(unit, ops.as_column(end)))
            for name, end in ends.items()
        }

    def _within_bounds(self, conformal: Conformal, y: Value) -> Value:
        low, high = (None if end is None else float(end) for end in conformal.bounds)
        y = y if low is None else self.ops.apply("maximum", y, low)
        return y if high is None else self.ops.apply("minimum", y, high)

    def _in_unit(self, unit: OutputUnit, x: Value) -> Value:
        """Convert outputs, float64 (rows, columns), to the target's unit."""
        scale, offset = (self.ops.constant(np.array([each])) for each in (unit.scale, unit.offset))
        y = x * scale + offset
        return self.ops.apply("exp", y) - 1.0 if unit.is_log else y

    def _ranked_sum(
        self, centers: Sequence[Value], scores: Sequence[Sequence[float]], rank: int
    ) -> Value:
        """Return the rank-th smallest sum of a center and a score of its fold, (rows,)."""
        if len(scores) == 1:
            return centers[0] + float(scores[0][rank - 1])
        ops, pairs = self.ops, zip(centers, scores, strict=True)
        sums = [ops.as_column(x) + ops.constant(np.array([fold])) for x, fold in pairs]
        return ops.ranked(ops.concat(sums), rank, sum(map(len, scores)))

    def _labels(self, probabilities: Value) -> dict[str, Value]:
        has_label = probabilities > 0.5
        is_boolean = getattr(self.predictor.task, "stored", "") == "boolean"
        return {
            "prediction": has_label if is_boolean else self.ops.cast(has_label, "int64"),
            "probabilities": self.ops.cast(probabilities, "float32"),
        }

    def _classes(self, outputs: Value, folds: Sequence[Value]) -> dict[str, Value]:
        ops, task = self.ops, self.predictor.task
        if task.width == 2:
            last = ops.column(outputs, self.predictor.network.outputs - 1)
            index = ops.cast(last > task.threshold, "int64")
        else:
            products = outputs
            if (costs := task.cost_matrix) is not None:
                products = ops.matmul(ops.cast(outputs, "float64"), -costs)
            elif task.class_weights:
                weights = ops.constant(np.array([task.class_weights]))
                products = ops.cast(outputs, "float64") * weights
            index = ops.argmax(products)
        found = {"prediction": ops.lookup(task.class_values, index)}
        if task.has_probabilities:
            found["probabilities"] = ops.cast(self._shares(outputs), "float32")
        else:
            found["margin"] = ops.cast(ops.column(outputs, 0), "float32")
        if (conformal := self.predictor.conformal) is not None:
            scores = [self._class_scores(fold) for fold in folds]
            found["prediction_set"] = self._sets(conformal, scores, index)
        return found

    def _shares(self, outputs: Value) -> Value:
        """Return the probability of each class, (rows, classes)."""
        is_single = self.predictor.network.outputs == 1
        return self.ops.concat([1.0 - outputs, outputs]) if is_single else outputs

    def _class_scores(self, outputs: Value) -> Value:
        """Return the score of a row for each possible true class, float64 (rows, classes)."""
        if not self.predictor.task.has_probabilities:
            margin = self.ops.cast(outputs, "float64")
            return self.ops.concat([margin, -margin])
        return 1.0 - self.ops.cast(self._shares(outputs), "float64")

    def _sets(self, conformal: Conformal, folds: Sequence[Value], index: Value) -> Value:
        """Return the prediction set of each row, as a mask (rows, classes)."""
        ops, rank = self.ops, conformal.stored_rank(self.predictor.level)
        [scores] = conformal.scores
        if len(folds) == 1:
            included = folds[0] <= scores[0][rank - 1]
        else:
            lower: Any = 0
            for x, fold in zip(folds, scores, strict=True):
                # The number of smaller scores is the index among the ascending scores. NaN is
                # larger than all.
                below = ~(ops.as_column(x) <= ops.constant(np.array([[fold]])))
                lower = ops.sum_last(ops.cast(below, "int64")) + lower
            included = lower < rank
        every = ops.constant(np.arange(self.predictor.task.width)[None])
        return included | ops.equal(ops.as_column(index), every)
