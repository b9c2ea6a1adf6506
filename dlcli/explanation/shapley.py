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
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Literal, cast

import numpy as np
import pyarrow as pa

from dlcli.arrays import Floats, Indices, Matrix, floats, integers, strings
from dlcli.cluster import available_processors
from dlcli.encoding.encoded_rows import InMemoryInputs
from dlcli.errors import UsageError, did_you_mean_or_all, option
from dlcli.explanation.coalitions import (
    Coalitions,
    exact_coalitions,
    fewest_pairs,
    sampled_coalitions,
)
from dlcli.explanation.column_products import ColumnProducts, multiply, sums_of_backgrounds
from dlcli.explanation.explanation_document import Unit
from dlcli.explanation.prediction_analysis import WORK_PER_NUMBER
from dlcli.network.layers import Network
from dlcli.prediction.predictor import Predictor
from dlcli.tasks.task import Outputs, Task

UnitChoice = Literal["auto", "probability", "log-odds"]
MOST_EXACT_COLUMNS = 10
"""Maximum number of columns for which all sets of columns are evaluated."""
MOST_EXACT_WORK = 2e12
"""Maximum number of multiplications for exact values of all rows, about 30 s on two cores; beyond
it, sets of columns are sampled."""
WORK_OF_ROW = 8e8
"""Number of multiplications for sampled values of a row, about 40 ms on a core."""
WORK_OF_ROWS = 4e11
"""The same for all rows, about 18 s on a core; with more rows, each row gets less, down to
`fewest_pairs`."""
MOST_PAIRS = 16
"""Maximum number of pairs of permutations for each background row."""
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
    """The number of pairs of permutations; `None` for exact values."""

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
        raise UsageError(
            f"{option('unit', unit)} requires probabilities; the target is {task.words}"
        )
    if unit == "log-odds" and not _is_binary(task):
        message = "log-odds require two classes"
        raise UsageError(f"{message}, but the target is {task.words}; use probability")
    return unit


def _is_binary(task: Task) -> bool:
    return task.outcome == "classes" and task.width == 2


class ShapleyExplainer:
    """Computes the Shapley values of encoded rows.

    Args:
        predictor: the trained network, or an ensemble.
        background: encoded rows, (background rows, inputs).
        unit: the unit of the values.
        most_exact_work: see `MOST_EXACT_WORK`.

    Raises:
        UsageError: see `choose_unit`.
    """

    def __init__(
        self,
        predictor: Predictor,
        background: Matrix,
        unit: UnitChoice = "auto",
        most_exact_work: float = MOST_EXACT_WORK,
    ) -> None:
        self._most_exact_work = most_exact_work
        self.predictor, self.background = predictor, background
        self.unit = choose_unit(predictor.task, unit)
        self.columns = tuple(feature.column for feature in predictor.encoding.features)
        names = predictor.task.score_names
        self.outputs = names[-1:] if _is_binary(predictor.task) else names
        numbers = range(1, predictor.members + 1)
        self._members = [
            ColumnProducts(predictor.network_of(number), predictor.weights_of(number), self.columns)
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
            for row, full, outputs in self._evaluate(matrix, coalitions):
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
        """Return the number of pairs of permutations, of all background rows.

        Args:
            rows: the number of rows to explain.

        Returns:
            The number; `None` if the values are exact.
        """
        columns, backgrounds = len(self._read), len(self.background)
        if columns < 2:
            return None
        of_set = self._work_of_set
        exact = rows * backgrounds * 2**columns * of_set if columns <= MOST_EXACT_COLUMNS else None
        if exact is not None and exact <= self._most_exact_work:
            return None
        of_pair = 2 * (columns - 1) * of_set
        pairs = int(min(WORK_OF_ROW, WORK_OF_ROWS / max(rows, 1)) // of_pair)
        return max(fewest_pairs(backgrounds), min(pairs, MOST_PAIRS * backgrounds))

    @property
    def work_of_row(self) -> float:
        """The approximate number of multiplications for a single row; less with many rows."""
        columns = len(self._read)
        if columns < 2:
            return self._work_of_set
        pairs = self.plan(1)
        of_backgrounds = len(self.background) * 2**columns
        sets = of_backgrounds if pairs is None else 2 * (columns - 1) * pairs
        return sets * self._work_of_set

    @property
    def _work_of_set(self) -> int:
        return sum(self._work(member.network, len(self._read)) for member in self._members)

    @staticmethod
    def _work(network: Network, columns: int) -> int:
        """Return the approximate number of multiplications for a set of columns."""
        first, *others = network.layers
        products = sum(weight.size for layer in others for weight in layer.weights)
        numbers = sum(layer.units for layer in network.layers)
        return columns * first.units + products + WORK_PER_NUMBER * numbers

    def _coalitions(self, pairs: int | None) -> Coalitions:
        columns, backgrounds = len(self._read), len(self.background)
        if pairs is None:
            return exact_coalitions(columns, backgrounds)
        return sampled_coalitions(columns, backgrounds, pairs)

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
        self, matrix: Matrix, coalitions: Coalitions
    ) -> Iterator[tuple[int, Floats, Floats]]:
        """Yield each row's index, prediction, and predictions for sets of columns.

        Args:
            matrix: the rows, (rows, inputs).
            coalitions: the sets.

        Yields:
            The index; (outputs,); (sets, outputs).
        """
        (sets, columns), members = coalitions.masks.shape, self._members
        outputs, threads = len(self.outputs), available_processors()
        widest = sum(max(layer.units for layer in each.network.layers) for each in members)
        # The same number of parts for each thread.
        parts = threads * math.ceil(sets * widest / (threads * _NUMBERS_AT_ONCE))
        slices = [slice(sets * at // parts, sets * (at + 1) // parts) for at in range(parts)]
        numbers = max(columns * sum(each.units for each in members), sets * outputs)
        rows_at_once = max(1, _NUMBERS_AT_ONCE // numbers)
        of_background = [self._products(each, self.background) for each in members]
        with ThreadPoolExecutor(threads) as pool:
            for first in range(0, len(matrix), rows_at_once):
                some = matrix[first : first + rows_at_once]
                of_rows = [self._products(each, some) for each in members]
                found = np.empty((len(some), sets, outputs))
                evaluate = partial(
                    self._evaluate_part, some, coalitions, of_rows, of_background, found
                )
                list(pool.map(evaluate, slices))
                full = self._whole(some)
                for row, values in enumerate(found):
                    yield first + row, full[row], values

    def _evaluate_part(
        self,
        matrix: Matrix,
        coalitions: Coalitions,
        of_rows: Sequence[Matrix],
        of_background: Sequence[Matrix],
        found: Floats,
        part: slice,
    ) -> None:
        """Compute the predictions of rows for some sets of columns.

        Args:
            matrix: the rows, (rows, inputs).
            coalitions: the sets.
            of_rows: the rows' products of each network, (rows, columns, units).
            of_background: the same of the background rows.
            found: receives the predictions, (rows, sets, outputs).
            part: the sets to evaluate.
        """
        has, own = coalitions.masks[part], coalitions.owners[part]
        exposures = self._exposures(self.background)
        with np.errstate(all="ignore"):  # not shared by threads
            rests = [sums_of_backgrounds(1 - has, each, own) for each in of_background]
            for row in range(len(matrix)):
                factors = None
                if exposures is not None and self._exposure is not None:
                    is_own = has[:, self._exposure_column] > 0
                    factors = np.where(is_own, matrix[row, self._exposure], exposures[own])
                each = zip(self._members, of_rows, rests, strict=True)
                found[row, part] = self._predictions(
                    [
                        member.outputs(multiply(has, products[row]) + rest, factors)
                        for member, products, rest in each
                    ]
                )

    def _products(self, member: ColumnProducts, matrix: Matrix) -> Matrix:
        """Return the products of the columns that some network reads, (rows, columns, units)."""
        return member.products(matrix)[:, self._read]
