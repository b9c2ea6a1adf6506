"""Explanation of a trained network: its columns, layers, importances and worst predictions."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dlcli.arrays import Indices, Matrix
from dlcli.columns.column_type import Decision
from dlcli.columns.layout import Layout
from dlcli.config.layer_choices import Activation
from dlcli.encoding.table_encoding import Encoding
from dlcli.errors import DataError, truncate
from dlcli.explanation import explanation_document
from dlcli.explanation import prediction_analysis as analysis
from dlcli.explanation.worst_row_contributions import RowExplainers, explain_worst
from dlcli.metrics.statistic import Floats, Number, finite
from dlcli.network import activations
from dlcli.network.layers import Network, Weights, activation_of
from dlcli.prediction.predictions import Predictions
from dlcli.prediction.predictor import Predictor
from dlcli.splitting import draw, sample_rows
from dlcli.tables.table import Table
from dlcli.tasks.task import Task

ROWS_FOR_LAYERS = 2_000
ROWS_FOR_GRADIENTS = 1_024
MOST_LAYERS = 500
"""Maximum number of listed layers, from the last; only very many embeddings exceed it."""
_RECTIFIERS = ("relu", "relu6", "leaky_relu", "sparse_plus")
"""Activations that are 0 below some number, without a gradient there."""
_SATURATED = 0.01
"""Distance to an end of the output range, as a share of the range, of a saturated output."""

MOST_COLUMNS = 200
MOST_FIRST_TARGETS = 10
"""Maximum number of targets before the features, because there may be hundreds of labels."""
MOST_VALUES = 10
MOST_CHARACTERS = 80
MOST_CHARACTERS_OF_REASON = 200
MOST_ROWS = 100_000
"""Maximum number of rows in which values are counted. A larger table is sampled at random, its
counts are scaled up, and distinct values are not counted."""
MOST_BINS = 24
_MOMENTS: dict[str, Callable[[Floats], Any]] = {
    "mean": np.mean,
    "deviation": np.std,
    "minimum": np.min,
    "maximum": np.max,
}
_FAR_QUARTILES = 3
"""Interquartile ranges beyond a quartile that make a value an outlier (Tukey 1977)."""
_FEW_OUTLIERS = 0.01
"""Maximum share of values outside the bins, to keep the bins narrow."""
_EXACT_WHOLE = 2.0**50
"""float64 also represents the halves between integers up to this one."""
Gradients = Mapping[str, float]
"""The norm of each layer's gradient, by layer name."""


def explain(
    predictor: Predictor,
    sets: analysis.Sets,
    listed: tuple[Sequence[ListedColumn], int],
    predictions: Callable[[str], Predictions],
    gradient_norms: Callable[[Indices], tuple[Gradients, Gradients]],
    folds: Sequence[Indices] = (),
    background: Matrix | None = None,
) -> explanation_document.Explanation:
    """Explain a trained network, at a cost that does not grow with the table.

    For an ensemble, the layers belong to the first member, and predictions are the mean of all
    members. The result depends only on config, data and weights, so equal runs have equal
    explanations.

    Args:
        predictor: the trained network.
        sets: the rows of each set, `train` first, with their encoding.
        listed: the columns to describe, and the number of further columns, see `list_columns`.
        predictions: returns the predictions for a set.
        gradient_norms: returns the norm of each layer's gradient over some training rows, before
            the first step and after the last.
        folds: if the held-out rows are the folds of an ensemble, the row indices of each fold.
        background: the encoded background rows, (background rows, inputs), to explain the rows
            with the largest errors; `None` if they are not explained.
    """
    held_out = {name: rows for name, rows in sets.items() if name != "train"}
    train = analysis.sample_rows({"train": sets["train"]}, ROWS_FOR_LAYERS)
    network, weights, task = predictor.network, predictor.weights_of(1), predictor.task
    layout = predictor.encoding.layout

    whole, others = sets["train"][0], [table for table, _ in held_out.values()]
    largest = largest_inputs(layout, train.matrix)
    # Out-of-fold rows are the training rows themselves.
    new = [] if folds else others
    describer = ColumnDescriber(whole, new, predictor.encoding, largest)

    # At most the sampled rows, which are few if they are wide.
    rows = draw(np.arange(whole.rows), min(ROWS_FOR_GRADIENTS, len(train)))
    layers = describe_layers(network, weights, train.matrix, *gradient_norms(rows))

    # Importances and worst rows require held-out rows. Partial dependences don't measure errors, so
    # training rows suffice.
    rows_held_out = sum(table.rows for table in others)
    folds_predicting = predictor.members_by_fold if folds else ()
    members = max(map(len, folds_predicting), default=predictor.members)
    plan = analysis.plan_importances(network, members, rows_held_out)
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
        found = analysis.worst_rows(task, held_out, predictions, units, ranked)
        worst = tuple(row for row, _ in found)
        if background is not None:
            explainers = RowExplainers(predictor, background, folds)
            worst = explain_worst(explainers, held_out, found, predictions, units)
        columns = [each.column for each in importances if each.increase > 0]
    return explanation_document.Explanation(
        rows={name: table.rows for name, (table, _) in sets.items()},
        sampled_rows={"train": len(train), **({"held_out": len(sample)} if held_out else {})},
        columns=tuple(map(describer.describe, listed[0])),
        unlisted_columns=listed[1],
        layers=layers,
        outputs=tuple(outputs),
        importance_metric=task.error_name if importances else None,
        importances=importances,
        partial_dependences=analysis.partial_dependences(predictor, sample, columns, outputs),
        worst=worst,
        background_rows=0 if background is None else len(background),
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
        last: the same after the last step.
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


def dead_share(activation: Activation, output: activations.Floats) -> float | None:
    """Return the share of units that output 0 for every row; `None` if the activation can't.

    A rectified unit that no row activates has no gradient and never changes (Maas et al. 2013,
    "Rectifier nonlinearities improve neural network acoustic models").

    Args:
        activation: the layer's.
        output: the layer's output, (rows, units).
    """
    if activation.name not in _RECTIFIERS or getattr(activation, "negative_slope", 0.0) > 0:
        return None
    return float((output == 0).all(axis=0).mean())


def saturated_share(activation: Activation, output: activations.Floats) -> float | None:
    """Return the share of outputs within 1 % of an end of their range, where the slope is near 0.

    There gradients vanish (Glorot & Bengio 2010, "Understanding the difficulty of training
    deep feedforward neural networks"). For sigmoid, hard_sigmoid and sparse_sigmoid these are
    outputs up to 0.01 and from 0.99; for tanh, hard_tanh and softsign outputs beyond ±0.98.

    Args:
        activation: the layer's.
        output: the layer's output, (rows, units).

    Returns:
        The share; None for activations without two such ends, and for activations over all units
        such as softmax.
    """
    low, high = activation.bounds
    is_bounded = np.isfinite(low) and np.isfinite(high)
    if not is_bounded or activation.across_units or activation.name in _RECTIFIERS:
        return None
    reach = _SATURATED * (high - low)
    return float(((output <= low + reach) | (output >= high - reach)).mean())


# Columns


@dataclass(frozen=True)
class ListedColumn:
    """A column whose statistics are computed."""

    name: str
    role: Literal["feature", "target", "weight"]
    type: str
    reason: str


def list_columns(
    target: Task, weight: str | None, decisions: Mapping[str, Decision]
) -> tuple[list[ListedColumn], int]:
    """List target, weight and features.

    Targets after the first 10 come after the features that are read, ignored features last.

    Returns:
        The columns, at most `MOST_COLUMNS`, and the number of further columns.
    """
    targets = [ListedColumn(name, "target", target.type, target.reason) for name in target.columns]
    found, further = targets[:MOST_FIRST_TARGETS], targets[MOST_FIRST_TARGETS:]
    if weight is not None:
        found.append(ListedColumn(weight, "weight", "weight", "declared"))
    features = [
        ListedColumn(column, "feature", decision.feature.type, decision.reason)
        for column, decision in decisions.items()
    ]
    ignored = [column for column in features if not decisions[column.name].feature.is_read]
    found += [column for column in features if decisions[column.name].feature.is_read]
    found += [*further, *ignored]
    return found[:MOST_COLUMNS], max(0, len(found) - MOST_COLUMNS)


def largest_inputs(layout: Layout, matrix: Matrix) -> dict[str, float]:
    """Return the largest absolute value of each column's numeric inputs, by column.

    Args:
        layout: of the matrix.
        matrix: encoded rows, (rows, inputs); at least one.
    """
    sizes = np.abs(matrix).max(axis=0)
    largest: dict[str, float] = {}
    for block, span in layout.slices():
        if block.kind == "numeric" and block.inputs:
            size = float(sizes[span].max())
            largest[block.column] = max(largest.get(block.column, 0.0), size)
    return largest


@dataclass(frozen=True, eq=False)
class _CountedRows:
    """Rows of a table, and a sample of them in which values are counted."""

    whole: Table
    """All rows."""

    @cached_property
    def table(self) -> Table:
        """The sampled rows."""
        return sample_rows(self.whole, MOST_ROWS)

    @property
    def is_all(self) -> bool:
        """True if all rows are sampled."""
        return self.whole.rows <= MOST_ROWS

    def scaled(self, count: float) -> int:
        """Scale a count up to all rows."""
        return round(count * self.whole.rows / max(self.table.rows, 1))


class ColumnDescriber:
    """Computes statistics of columns.

    Args:
        train: the training rows.
        held_out: the tables of the other sets.
        encoding: fitted on the training rows.
        largest: see `largest_inputs`.
    """

    def __init__(
        self,
        train: Table,
        held_out: Sequence[Table],
        encoding: Encoding,
        largest: Mapping[str, float],
    ) -> None:
        self._train = _CountedRows(train)
        self._held_out = [_CountedRows(table) for table in held_out]
        self._encoders = {feature.column: feature for feature in encoding.features}
        self._inputs = {
            name: len(found) for name, found in analysis.input_indices(encoding.layout).items()
        }
        self._largest = largest

    def describe(self, listed: ListedColumn) -> explanation_document.ColumnStatistics:
        """Compute the statistics of a column."""
        name, table = listed.name, self._train.table
        if encoder := self._encoders.get(name):
            missing = round(encoder.missing_share * self._train.whole.rows)
            is_number = encoder.axis is not None
        else:
            missing = int(self._train.whole.missing(name).sum())
            is_number = listed.type in ("numeric", "count", "weight")
            if listed.role == "feature":
                is_number = table.column(name).looks_numeric()
        if is_number:
            values = self._numbers(table, name)
            found: dict[str, Any] = {
                "distinct": len(np.unique(values)) if self._train.is_all else None,
                **self._moments(name, values),
                "histogram": self._histogram(name, values),
            }
        else:
            found = self._frequent_values(name)
        return explanation_document.ColumnStatistics(
            name=name,
            role=listed.role,
            type=listed.type,
            reason=truncate(listed.reason, MOST_CHARACTERS_OF_REASON),
            missing=missing,
            **found,
            inputs=self._inputs.get(name, 0),
            largest_input=finite(self._largest.get(name)),
        )

    def _moments(self, name: str, values: Floats) -> dict[str, Number]:
        """Return mean, deviation and range over all training rows; for times only the range.

        Args:
            name: the column.
            values: its numbers in the sampled rows.
        """
        encoder = self._encoders.get(name)
        fitted = {} if encoder is None else encoder.fitted_moments
        if fitted and (not self._train.is_all or self._has_times(name)):
            return {**fitted}  # parsing numbers is slow
        if not self._train.is_all:
            values = self._numbers(self._train.whole, name)
        if not len(values):
            return {}
        with np.errstate(all="ignore"):
            return {key: finite(moment(values)) for key, moment in _MOMENTS.items()}

    @np.errstate(over="ignore")
    def _histogram(self, name: str, values: Floats) -> explanation_document.Histogram | None:
        if not len(values) or not np.isfinite(np.ptp(values)):
            return None
        edges = bin_edges(values)
        if self._has_times(name) and not (values % 1).any():
            edges = edges + 0.5  # a day begins at its first second, not half a second before
        held_out = np.zeros(len(edges) - 1, np.int64)
        for rows in self._with_column(name):
            counts = count_bins(edges, self._numbers(rows.table, name))
            held_out += [rows.scaled(count) for count in counts.tolist()]
        train = [self._train.scaled(count) for count in count_bins(edges, values).tolist()]
        return explanation_document.Histogram(
            edges=tuple(edges.tolist()), train=tuple(train), held_out=tuple(held_out.tolist())
        )

    def _frequent_values(self, name: str) -> dict[str, object]:
        """Count the values of a column that is not numeric."""
        tally = _tally(self._train.table, name)
        if tally is None:
            return {"distinct": None}
        frequent = sorted(tally, key=lambda text: -tally[text])[:MOST_VALUES]  # stable
        held_out = dict.fromkeys(frequent, 0)
        for rows in self._with_column(name):
            others = _tally(rows.table, name) or {}
            for text in frequent:
                held_out[text] += rows.scaled(others.get(text, 0))
        values = tuple(
            explanation_document.ValueCount(
                value=truncate(text, MOST_CHARACTERS),
                train=self._train.scaled(tally[text]),
                held_out=held_out[text],
            )
            for text in frequent
        )
        return {"distinct": len(tally) if self._train.is_all else None, "values": values}

    def _numbers(self, table: Table, name: str) -> Floats:
        """Return a column's finite numbers, or its times in seconds since 1970, (values,)."""
        encoder = self._encoders.get(name)
        try:
            if encoder is None:
                values = table.column(name).numbers().values
            else:
                values = encoder.axis_values(table)
        except DataError:  # another file may store an ignored column in any form
            return np.empty(0)
        return values[np.isfinite(values)]

    def _has_times(self, name: str) -> bool:
        return name in self._encoders and self._encoders[name].axis == "times"

    def _with_column(self, name: str) -> Iterator[_CountedRows]:
        """Yield the held-out tables that have a column; ignored columns may be absent."""
        return (rows for rows in self._held_out if name in rows.whole.columns)


def _tally(table: Table, name: str) -> dict[str, int] | None:
    """Count the rows of each value; None for values that have no text."""
    try:
        codes, texts = table.codes(name)
    except DataError:
        return None
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    return dict(zip(texts, counts.tolist(), strict=True))


def bin_edges(values: Floats) -> Floats:
    """Return the edges of bins of equal width, (bins + 1,).

    The bins span the values from minimum to maximum, except for a few outliers. Whole numbers lie
    in the middle of bins, equally many in each. Other numbers have 2·∛n bins for n values (Rice's
    rule), but at most `MOST_BINS`.

    Args:
        values: finite numbers, (values,); at least one.
    """
    low, high = _span(values)
    is_whole = bool((values == np.floor(values)).all())
    if is_whole and max(abs(low), abs(high)) < _EXACT_WHOLE:
        count = high - low + 1
        width = math.ceil(count / MOST_BINS)
        steps = np.arange(math.ceil(count / width) + 1, dtype=np.float64)
        edges: Floats = low - 0.5 + width * steps
        return edges
    if low == high:
        half = max(0.5, abs(low) / 1000)
        return np.array([low - half, low + half])
    bins = min(MOST_BINS, math.ceil(2 * math.cbrt(len(values))))
    return np.unique(np.linspace(low, high, bins + 1))


def count_bins(edges: Floats, values: Floats) -> NDArray[np.int64]:
    """Count the values in each bin, (bins,); values outside count in the outermost bins."""
    bins = np.searchsorted(edges[1:-1], values, side="right")
    return np.bincount(bins, minlength=len(edges) - 1)


def _span(values: Floats) -> tuple[float, float]:
    """Return minimum and maximum without a few outliers."""
    lower, upper = np.quantile(values, [0.25, 0.75])
    reach = _FAR_QUARTILES * (upper - lower)
    near = values[(values >= lower - reach) & (values <= upper + reach)]
    if reach > 0 and len(values) - len(near) <= max(1, _FEW_OUTLIERS * len(values)):
        return float(near.min()), float(near.max())
    return float(values.min()), float(values.max())
