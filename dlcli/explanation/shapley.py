"""Shapley values of predictions: how far each column moves a row's prediction from the mean.

The value of a set S of columns is the mean prediction over the background rows if the columns in S
have the row's values and all other columns have the background row's values (interventional
Shapley values; Lundberg & Lee 2017, arXiv:1705.07874). All inputs of a column change together, so
a one-hot encoded category is one column.

The first Dense layer is linear. So the product of each column's inputs with its kernel is computed
once per row, and a set of columns only adds such products up.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dlcli.arrays import Floats, Indices, Matrix, floats, integers, strings
from dlcli.encoding.encoded_rows import InMemoryInputs
from dlcli.errors import UsageError, did_you_mean_or_all, option
from dlcli.explanation.prediction_analysis import WORK_PER_NUMBER
from dlcli.network.layers import DenseLayer, Network, Weights
from dlcli.prediction.predictor import Predictor
from dlcli.tasks.task import Outputs, Task

Unit = Literal["target", "probability", "log-odds", "margin"]
"""The unit of Shapley values: the target's unit, a probability, log-odds ln(p / (1 − p)) of the
second of two classes, or the margin of a hinge loss."""
UnitChoice = Literal["auto", "probability", "log-odds"]
MOST_EXACT_COLUMNS = 10
"""Maximum number of columns for which all sets of columns are evaluated."""
MOST_EXACT_WORK = 2e12
"""Maximum number of multiplications for exact values of all rows, about 30 s on two cores; beyond
it, sets of columns are sampled."""
WORK_OF_ROW = 2e9
"""Number of multiplications for sampled values of a row, about 30 ms on two cores."""
WORK_OF_ROWS = 8e11
"""The same for all rows, about 12 s; with more rows, each row gets less, down to
`FEWEST_PAIRS`."""
FEWEST_PAIRS = 2
"""Minimum number of pairs of permutations for each background row; their difference estimates the
standard error."""
MOST_PAIRS = 16
_SEED = 20_170_525
"""Seed of the permutations: the same rows always have the same values."""
_NUMBERS_AT_ONCE = 2**19
"""Approximate number of activations of a layer, of all members, that are computed at once."""
_SMALLEST_PROBABILITY = 1e-12
"""Probabilities are at least this far from 0 and 1 before they become log-odds."""


@dataclass(frozen=True, eq=False)
class ShapleyValues:
    """Shapley values of the predictions of some rows."""

    columns: tuple[str, ...]
    """The columns of the table that the network reads."""
    outputs: tuple[str, ...]
    """The explained outputs: target columns, classes or labels; for two classes, the second."""
    unit: Unit
    """The unit of all values."""
    values: Floats
    """The Shapley values, (rows, columns, outputs). For each row and output, their sum is the
    prediction minus the mean prediction."""
    standard_errors: Floats
    """Standard errors of the values, from sampled permutations; 0 for exact values. (rows, columns,
    outputs)."""
    predictions: Floats
    """The prediction of each output, (rows, outputs)."""
    means: Floats
    """The mean prediction over the background rows, (outputs,)."""
    chosen: Indices
    """The index of the output to show for each row, (rows,): the predicted class, the most probable
    label, or the first target column."""
    background_rows: int
    """The number of background rows."""
    pairs: int | None
    """The number of pairs of permutations for each background row; `None` for exact values."""

    def __len__(self) -> int:
        """Number of rows."""
        return len(self.values)

    @property
    def is_exact(self) -> bool:
        """True if all sets of columns were evaluated."""
        return self.pairs is None

    def of(self, name: str | None) -> ShapleyValues:
        """Return the values with an output to show for all rows.

        Args:
            name: a class, a label or a target column; if `None`, `chosen` is unchanged.

        Raises:
            UsageError: for an unknown name.
        """
        if name is None:
            return self
        check_output(name, self.outputs)
        return replace(self, chosen=np.full(len(self), self.outputs.index(name)))

    def shown(self, row: int) -> tuple[str, float, Floats, Floats]:
        """Return a row's output to show, its prediction, its values and their standard errors."""
        at = int(self.chosen[row])
        values, errors = self.values[row, :, at], self.standard_errors[row, :, at]
        return self.outputs[at], float(self.predictions[row, at]), values, errors

    def shown_mean(self, row: int) -> float:
        """Return the mean prediction for the output that is shown for a row."""
        return float(self.means[self.chosen[row]])

    def to_arrow(self, rows: Indices) -> pa.Table:
        """Return a table of the outputs to show, with a row for each row.

        Args:
            rows: the row numbers, (rows,).

        Returns:
            The columns `row`, `explained`, `prediction`, `mean_prediction`, and for each column
            `shapley_<column>` and `standard_error_<column>`.
        """
        each = [self.shown(row) for row in range(len(self))]
        columns: dict[str, pa.Array] = {
            "row": integers(rows),
            "explained": strings([name for name, *_ in each], pa.string()),
            "prediction": floats(np.array([number for _, number, *_ in each], np.float64)),
            "mean_prediction": floats(np.asarray(self.means[self.chosen], np.float64)),
        }
        for prefix, at in (("shapley", 2), ("standard_error", 3)):
            for index, column in enumerate(self.columns):
                numbers = np.array([found[at][index] for found in each], np.float64)  # type: ignore[index]
                columns[f"{prefix}_{column}"] = floats(numbers)
        return pa.table(columns)

    def take(self, rows: Indices) -> ShapleyValues:
        """Return the values of some rows, in the given order."""
        return replace(
            self,
            values=self.values[rows],
            standard_errors=self.standard_errors[rows],
            predictions=self.predictions[rows],
            chosen=self.chosen[rows],
        )


def check_output(name: str, outputs: Sequence[str]) -> None:
    """Raise `UsageError` unless a name is one of the explained outputs."""
    if name not in outputs:
        raise UsageError(f"{option('of')}: no output '{name}'{did_you_mean_or_all(name, outputs)}")


def choose_unit(task: Task, unit: UnitChoice = "auto") -> Unit:
    """Return the unit of Shapley values for a task, see `Task.for_loss`.

    Raises:
        UsageError: if the task has no predictions in the requested unit.
    """
    if unit == "auto":
        if task.has_probabilities:
            return "probability"
        return "target" if task.outcome == "numbers" else "margin"
    if not task.has_probabilities:
        raise UsageError(f"unit '{unit}' requires probabilities; the target is {task.words}")
    if unit == "log-odds" and not _is_binary(task):
        message = "log-odds require two classes"
        raise UsageError(f"{message}, but the target is {task.words}; use probability")
    return unit


def _is_binary(task: Task) -> bool:
    return task.outcome == "classes" and task.width == 2


@dataclass(frozen=True, eq=False)
class _Coalitions:
    """The sets of columns that are evaluated for each background row, and how to combine them."""

    masks: NDArray[np.float32]
    """1 for a column with the row's value, 0 for the background row's: (background rows, sets,
    columns)."""
    permutations: Indices | None = None
    """The order of the columns in each permutation, (background rows, pairs, 2, columns); `None` if
    the sets are all sets of columns, except the empty and the full one."""

    def combine(self, values: Floats, full: Floats, empty: Floats) -> tuple[Floats, Floats]:
        """Return the Shapley values of a row and their standard errors, (columns, outputs).

        Args:
            values: the prediction for each set, (background rows, sets, outputs).
            full: the row's prediction, (outputs,).
            empty: the background rows' predictions, (background rows, outputs).
        """
        columns = self.masks.shape[2]
        if self.permutations is None:
            of_sets = np.concatenate([[empty.mean(axis=0)], values.mean(axis=0), [full]])
            exact: Floats = _exact_weights(columns) @ of_sets
            return exact, np.zeros_like(exact)
        backgrounds, pairs = self.permutations.shape[:2]
        outputs = values.shape[2]
        paths = np.empty((backgrounds, pairs, 2, columns + 1, outputs))
        paths[..., 0, :] = empty[:, np.newaxis, np.newaxis]
        paths[..., 1:-1, :] = values.reshape(backgrounds, pairs, 2, columns - 1, outputs)
        paths[..., -1, :] = full
        steps = np.empty((backgrounds, pairs, 2, columns, outputs))
        order = self.permutations[..., np.newaxis]
        np.put_along_axis(steps, order, np.diff(paths, axis=3), axis=3)
        of_pairs = steps.mean(axis=2)
        variances = of_pairs.var(axis=1, ddof=1).mean(axis=0)
        return of_pairs.mean(axis=(0, 1)), np.sqrt(variances / (backgrounds * pairs))


def _exact_weights(columns: int) -> Floats:
    """Return the weight of each set of columns in the value of each column, (columns, 2^columns).

    φ_c = Σ_S∌c |S|! (n − |S| − 1)! / n! · (v(S ∪ {c}) − v(S)) (Shapley 1953).
    """
    has = _all_sets(columns).T
    sizes = has.sum(axis=0).astype(np.int64)
    weights = np.array(
        [1 / (columns * math.comb(columns - 1, size)) for size in range(columns)] + [0.0]
    )
    return np.asarray(np.where(has, weights[sizes - 1], -weights[sizes]))


def _all_sets(columns: int) -> NDArray[np.bool_]:
    """Return all sets of columns, from the empty to the full one, (2^columns, columns)."""
    return (np.arange(2**columns)[:, np.newaxis] >> np.arange(columns) & 1).astype(bool)


def _exact_coalitions(columns: int, backgrounds: int) -> _Coalitions:
    sets = _all_sets(columns)[1:-1].astype(np.float32)
    return _Coalitions(np.broadcast_to(sets, (backgrounds, *sets.shape)))


def _sampled_coalitions(columns: int, backgrounds: int, pairs: int) -> _Coalitions:
    """Draw pairs of a random permutation and its reverse for each background row.

    The errors of the two largely cancel (antithetic sampling; Mitchell et al. 2022,
    arXiv:2104.12199).
    """
    rng = np.random.default_rng(_SEED)
    shape = (backgrounds, pairs, columns)
    forward = rng.permuted(np.broadcast_to(np.arange(columns), shape), axis=2)
    permutations = np.stack([forward, forward[..., ::-1]], axis=2)
    ranks = np.argsort(permutations, axis=3)[..., np.newaxis, :]
    masks = ranks < np.arange(1, columns)[:, np.newaxis]
    return _Coalitions(masks.reshape(backgrounds, -1, columns).astype(np.float32), permutations)


class _Member:
    """A network whose first Dense layer adds up the products of columns."""

    def __init__(self, network: Network, weights: Weights, columns: Sequence[str]) -> None:
        self.network, self.weights = network, weights
        kernel = weights[network.first_kernel]
        names = [*dict.fromkeys(block.column for block in network.layout.blocks)]
        at = {name: index for index, name in enumerate(names)}
        read = network.columns_of_inputs
        self._sources = [np.flatnonzero(read == at.get(column, -1)) for column in columns]
        self._kernels = [kernel[indices] for indices in self._sources]

    @property
    def units(self) -> int:
        """The units of the first Dense layer."""
        return self.network.layers[0].units

    @property
    def read(self) -> NDArray[np.bool_]:
        """Whether the network reads each column, except the exposure, (columns,)."""
        return np.array([bool(kernel.any()) for kernel in self._kernels])

    def products(self, matrix: Matrix) -> Matrix:
        """Return the product of each column's inputs and kernel, (rows, columns, units)."""
        front = self.network.front.forward(matrix, self.weights)
        found = np.zeros((len(matrix), len(self._sources), self.units), np.float32)
        for at, (indices, kernel) in enumerate(zip(self._sources, self._kernels, strict=True)):
            if len(indices):
                np.matmul(front[:, indices], kernel, out=found[:, at])
        return found

    def outputs(self, products: Outputs, exposures: Floats | None) -> Outputs:
        """Return the outputs of sums of the columns' products, (rows, units of the output).

        Args:
            products: the sums, which are overwritten, (rows, units).
            exposures: the exposures that multiply the outputs, (rows,), if there are any.
        """
        layers = self.network.layers
        x = products
        for at, layer in enumerate(layers):
            if isinstance(layer, DenseLayer):
                # The activation of the output in float64: 1 − p is accurate if p is almost 1.
                products = x if at == 0 else layer.products(x, self.weights)
                is_last = at == len(layers) - 1
                x = layer.finish(products.astype(np.float64) if is_last else products, self.weights)
            else:
                x = layer.forward(x, self.weights)
        return x if exposures is None else x * exposures[:, np.newaxis]


class ShapleyExplainer:
    """Computes the Shapley values of encoded rows.

    Args:
        predictor: the trained network, or an ensemble.
        background: encoded rows, (background rows, inputs).
        unit: the unit of the values.

    Raises:
        UsageError: see `choose_unit`.
    """

    def __init__(self, predictor: Predictor, background: Matrix, unit: UnitChoice = "auto") -> None:
        self.predictor, self.background = predictor, background
        self.unit = choose_unit(predictor.task, unit)
        self.columns = tuple(feature.column for feature in predictor.encoding.features)
        names = predictor.task.score_names
        self.outputs = names[-1:] if _is_binary(predictor.task) else names
        numbers = range(1, predictor.members + 1)
        self._members = [
            _Member(predictor.network_of(number), predictor.weights_of(number), self.columns)
            for number in numbers
        ]
        read = np.any([member.read for member in self._members], axis=0)
        self._exposure = predictor.network.front.exposure
        if self._exposure is not None:
            name = next(
                block.column
                for block, span in predictor.encoding.layout.slices()
                if span.start <= self._exposure < span.stop
            )
            read[self.columns.index(name)] = True
            self._exposure_column = int(np.count_nonzero(read[: self.columns.index(name)]))
        self._read = np.flatnonzero(read)

    def explain(self, matrix: Matrix) -> ShapleyValues:
        """Compute the Shapley values of encoded rows.

        They are exact for up to ten columns, unless there are very many rows. Otherwise, they are
        estimated from permutations; the number of permutations depends only on the shapes. Columns
        that the network does not read have the value 0.

        Args:
            matrix: the rows, (rows, inputs).
        """
        with np.errstate(all="ignore"):
            return self._explain(matrix)

    def _explain(self, matrix: Matrix) -> ShapleyValues:
        shape = (len(matrix), len(self.columns), len(self.outputs))
        values, errors = np.zeros(shape), np.zeros(shape)
        predictions, empty = np.empty((len(matrix), len(self.outputs))), self._empty
        pairs = self.plan(len(matrix))
        if len(self._read) == 0:
            predictions[:] = self._whole(matrix)
        elif len(self._read) == 1:
            predictions[:] = self._whole(matrix)
            values[:, self._read[0]] = predictions - empty.mean(axis=0)
        else:
            coalitions = self._coalitions(pairs)
            for row, full, outputs in self._evaluate(matrix, coalitions.masks):
                predictions[row] = full
                found = coalitions.combine(outputs, full, empty)
                values[row, self._read], errors[row, self._read] = found
        return ShapleyValues(
            columns=self.columns,
            outputs=self.outputs,
            unit=self.unit,
            values=values,
            standard_errors=errors,
            predictions=predictions,
            means=empty.mean(axis=0),
            chosen=self._chosen(matrix, predictions),
            background_rows=len(self.background),
            pairs=pairs,
        )

    def _chosen(self, matrix: Matrix, predictions: Floats) -> Indices:
        task = self.predictor.task
        if len(self.outputs) == 1 or task.outcome == "numbers":
            return np.zeros(len(predictions), np.int64)
        if task.outcome == "labels":
            return np.asarray(predictions.argmax(axis=1))
        return np.asarray(self.predictor.predict_encoded(InMemoryInputs(matrix)).values)

    def plan(self, rows: int) -> int | None:
        """Return the number of pairs of permutations for each background row.

        Args:
            rows: the number of rows to explain.

        Returns:
            The number; `None` if the values are exact.
        """
        columns, backgrounds = len(self._read), len(self.background)
        if columns < 2:
            return None
        of_set = sum(self._work(member.network, columns) for member in self._members)
        exact = rows * backgrounds * 2**columns * of_set if columns <= MOST_EXACT_COLUMNS else None
        if exact is not None and exact <= MOST_EXACT_WORK:
            return None
        of_pair = 2 * (columns - 1) * backgrounds * of_set
        pairs = int(min(WORK_OF_ROW, WORK_OF_ROWS / max(rows, 1)) // of_pair)
        return max(FEWEST_PAIRS, min(pairs, MOST_PAIRS))

    @staticmethod
    def _work(network: Network, columns: int) -> int:
        """Return the approximate number of multiplications for a set of columns."""
        first, *others = network.layers
        products = sum(weight.size for layer in others for weight in layer.weights)
        numbers = sum(layer.units for layer in network.layers)
        return columns * first.units + products + WORK_PER_NUMBER * numbers

    def _coalitions(self, pairs: int | None) -> _Coalitions:
        columns, backgrounds = len(self._read), len(self.background)
        if pairs is None:
            return _exact_coalitions(columns, backgrounds)
        return _sampled_coalitions(columns, backgrounds, pairs)

    @cached_property
    def _empty(self) -> Floats:
        """The predictions of the background rows, (background rows, outputs)."""
        return self._whole(self.background)

    def _whole(self, matrix: Matrix) -> Floats:
        """Return the predictions of encoded rows, (rows, outputs)."""
        exposures = self._exposures(matrix)
        return self._predictions(
            [each.outputs(each.products(matrix).sum(axis=1), exposures) for each in self._members]
        )

    def _exposures(self, matrix: Matrix) -> Floats | None:
        """Return the exposures of encoded rows, (rows,); `None` if there are none."""
        return None if self._exposure is None else matrix[:, self._exposure].astype(np.float64)

    def _predictions(self, outputs: Sequence[Outputs]) -> Floats:
        """Return the mean predictions of all members in the unit of the values."""
        predictions = self.predictor.decode(self.predictor.mean_of_members(outputs))
        scores = predictions.scores[:, -len(self.outputs) :]
        if self.unit != "log-odds":
            return scores
        scores = np.clip(scores, _SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY)
        return cast(Floats, np.log(scores) - np.log1p(-scores))

    def _evaluate(
        self, matrix: Matrix, masks: NDArray[np.float32]
    ) -> Iterator[tuple[int, Floats, Floats]]:
        """Yield each row's index, prediction, and predictions for sets of columns.

        Args:
            matrix: the rows, (rows, inputs).
            masks: the sets for each background row, (background rows, sets, columns).

        Yields:
            The index; (outputs,); (background rows, sets, outputs).
        """
        backgrounds, sets, columns = masks.shape
        flat, owners = masks.reshape(-1, columns), np.repeat(np.arange(backgrounds), sets)
        members, outputs = self._members, len(self.outputs)
        widest = sum(max(layer.units for layer in each.network.layers) for each in members)
        at_once = max(1, _NUMBERS_AT_ONCE // widest)
        numbers = max(columns * sum(each.units for each in members), len(flat) * outputs)
        rows_at_once = max(1, _NUMBERS_AT_ONCE // numbers)
        of_background = [self._products(each, self.background) for each in members]
        exposures = self._exposures(self.background)
        for first in range(0, len(matrix), rows_at_once):
            some = matrix[first : first + rows_at_once]
            full = self._whole(some)
            of_rows = [self._products(each, some) for each in members]
            found = np.empty((len(some), len(flat), outputs))
            for start in range(0, len(flat), at_once):
                part = slice(start, start + at_once)
                has, own = flat[part], owners[part]
                rests = [_sums_of_backgrounds(1 - has, each, own) for each in of_background]
                parts = [*zip(members, of_rows, rests, strict=True)]
                for row in range(len(some)):
                    factors = None
                    if exposures is not None and self._exposure is not None:
                        is_own = has[:, self._exposure_column] > 0
                        factors = np.where(is_own, some[row, self._exposure], exposures[own])
                    found[row, part] = self._predictions(
                        [
                            each.outputs(has @ products[row] + rest, factors)
                            for each, products, rest in parts
                        ]
                    )
            for row, values in enumerate(found):
                yield first + row, full[row], values.reshape(backgrounds, sets, outputs)

    def _products(self, member: _Member, matrix: Matrix) -> Matrix:
        """Return the products of the columns that some network reads, (rows, columns, units)."""
        return member.products(matrix)[:, self._read]


def _sums_of_backgrounds(masks: Matrix, products: Matrix, owners: Indices) -> Matrix:
    """Return the sums of background rows' products over sets of columns, (sets, units).

    Args:
        masks: the sets, (sets, columns).
        products: of the background rows, (background rows, columns, units).
        owners: the background row of each set, ascending, (sets,).
    """
    sums = np.empty((len(masks), products.shape[2]), np.float32)
    starts = np.searchsorted(owners, np.arange(len(products) + 1))
    for row, (start, stop) in enumerate(zip(starts[:-1], starts[1:], strict=True)):
        np.matmul(masks[start:stop], products[row], out=sums[start:stop])
    return sums
