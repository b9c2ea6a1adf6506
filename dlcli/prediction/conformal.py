"""Prediction intervals and prediction sets, which contain the true value of a share of new rows.

They are computed from the errors of held-out rows. With the folds of an ensemble, the method is CV+
(Barber, Candès, Ramdas, Tibshirani 2021, "Predictive inference with the jackknife+",
https://arxiv.org/abs/1905.02928), or for classes its counterpart (Romano, Sesia, Candès 2020,
"Classification with valid and adaptive coverage", https://arxiv.org/abs/2006.02544); with
validation rows, on which no network was trained, it is split conformal prediction.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from dlcli.arrays import Floats
from dlcli.columns.scaling import DivideByMean, Log1p, Unscaled
from dlcli.config.config_schema import Output
from dlcli.errors import UsageError, option, plural
from dlcli.prediction.predictions import ClassSets, Intervals, Predictions, Regions
from dlcli.safe_files import Count, Document
from dlcli.tasks.task import TargetValues, Task

REPORTED_LEVEL = 0.9
"""Level of the prediction intervals of test rows whose coverage is stored for the report."""
FEW_ROWS = 100
"""Number of held-out rows below which coverage may differ from the level by several percent."""
_OF_TRAININGS = 0.9
"""The share of trainings whose coverage is within the reported range."""
_RANGES = 5
MOST_SCORES = 4_096
"""Maximum number of stored scores per column, in addition to one per fold."""
_ROWS_AT_ONCE = 64
"""Number of rows that are compared with all scores at once; their sums fit into the CPU cache."""
_ROUNDING = 1e-6
"""Relative difference of outputs that are equal up to rounding to float32."""


class RangeCoverage(Document):
    """Prediction intervals of test rows whose predictions are in one range."""

    lowest: float
    """The smallest prediction."""
    highest: float
    """The largest prediction."""
    rows: Annotated[Count, Field(ge=1)]
    coverage: Annotated[float, Field(ge=0, le=1)]
    """The share of true values in their intervals."""
    mean_width: float


class Conformal(Document):
    """The errors of held-out rows, which determine prediction intervals or sets at any level.

    For numbers, the score of a row is |z − ẑ|, the distance between value and prediction, both
    scaled as in training; with a logarithmic scaling, intervals are therefore proportional to the
    prediction. For several quantiles, it is the distance of the value from the interval between the
    first and the last quantile, negative within the interval. For classes, it is 1 − p with the
    probability p of the true class, or −m with its margin m. All rows count equally, except that
    rows of weight 0 are omitted.

    If there are many rows, only the largest of each `stride` successive scores is stored, which
    makes intervals or sets slightly larger.
    """

    format: Literal[1] = 1
    rows: Annotated[tuple[Annotated[Count, Field(ge=1)], ...], Field(min_length=1)]
    """The number of held-out rows of each fold; validation rows are one fold."""
    stride: Annotated[int, Field(ge=1)]
    """The number of successive scores of which one is stored."""
    scores: tuple[tuple[tuple[float, ...], ...], ...]
    """The ascending scores of each fold, for each numeric column, or once for classes."""
    bounds: tuple[float | None, float | None] = (None, None)
    """The smallest and largest possible number, in the target's unit."""
    test: tuple[tuple[RangeCoverage, ...], ...] = ()
    """For each numeric column, intervals at `REPORTED_LEVEL` by range of the prediction."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        wanted = [math.ceil(rows / self.stride) for rows in self.rows]
        for folds in self.scores:
            if [len(scores) for scores in folds] != wanted:
                raise ValueError("the number of scores does not match the number of rows")
            if any(first > second for scores in folds for first, second in pairwise(scores)):
                raise ValueError("scores are not in ascending order")
        return self

    @classmethod
    def fit(cls, folds: Sequence[tuple[Predictions, TargetValues]], output: Output) -> Self:
        """Compute the scores of held-out rows.

        Args:
            folds: for each fold, the predictions of its rows by networks that were not trained on
                them, and the true values, encoded as for training.
            output: the resolved section of the config.
        """
        each = [_true_scores(*fold) for fold in folds]
        stride = math.ceil(sum(map(len, each)) / MOST_SCORES)
        scores = tuple(
            tuple(tuple(np.sort(fold[:, at])[::-1][::stride][::-1].tolist()) for fold in each)
            for at in range(each[0].shape[1])
        )
        rows, bounds = tuple(map(len, each)), _bounds(folds, output)
        return cls(rows=rows, stride=stride, scores=scores, bounds=bounds)

    def with_test(
        self, predictions: Predictions, values: TargetValues, weights: Floats | None
    ) -> Self:
        """Add the coverage of test rows by range of the prediction.

        Args:
            predictions: predicted numbers, with intervals at `REPORTED_LEVEL`.
            values: the true values, (rows, columns).
            weights: the rows' weights, (rows,), or `None`. Rows of weight 0 and rows with an
                infinite interval are omitted.
        """
        regions = predictions.regions
        assert isinstance(regions, Intervals)
        with np.errstate(over="ignore", invalid="ignore"):  # with an exponential output
            usable = np.isfinite(np.ptp(regions.array, axis=2)).all(axis=1)
        kept = np.flatnonzero(usable if weights is None else usable & (weights > 0))
        if not len(kept):
            return self
        predictions, values, regions = predictions.take(kept), values[kept], regions.take(kept)
        columns = []
        for at, predicted in enumerate(predictions.values.T):
            edges = np.unique(np.quantile(predicted, np.linspace(0, 1, _RANGES + 1)))
            index = np.searchsorted(edges[1:-1], predicted, side="right")
            ranges = []
            for each in np.unique(index):
                rows = np.flatnonzero(index == each)
                part = regions.take(rows)
                ranges.append(
                    RangeCoverage(
                        lowest=float(predicted[rows].min()),
                        highest=float(predicted[rows].max()),
                        rows=len(rows),
                        coverage=float(part.coverage(values[rows])[at]),
                        mean_width=float(part.widths[at]),
                    )
                )
            columns.append(tuple(ranges))
        return self.model_copy(update={"test": tuple(columns)})

    def reaches(self, level: float) -> bool:
        """Return whether there are enough held-out rows for a level."""
        rows = sum(self.rows)
        return _rank(level, rows) <= rows

    def require(self, level: float) -> None:
        """Raise `UsageError` if there are too few held-out rows for a level."""
        rows = sum(self.rows)
        if not self.reaches(level):
            highest = math.floor(1000 * rows / (rows + 1)) / 1000
            raise UsageError(
                f"{option('interval', f'{level:g}')}: the run has too few held-out rows, "
                f"{rows:,}; the highest level is {highest:g}"
            )

    def uncertainty(self, level: float) -> str:
        """Return a note on the uncertain coverage if there are few held-out rows, else ''.

        If the k-th of n scores is used, the coverage has the distribution Beta(k, n + 1 − k) over
        trainings (Vovk 2012, "Conditional validity of inductive conformal predictors"); for CV+
        this is an approximation.
        """
        rows = sum(self.rows)
        if rows >= FEW_ROWS or not self.reaches(level):
            return ""
        low, high = (100 * share for share in self._coverages(level))
        return (
            f"the level {level:g} is calibrated on only {plural(rows, 'held-out row')}; for "
            f"similar rows, the true coverage may be {math.floor(low)} to {math.ceil(high)} %"
        )

    def _coverages(self, level: float) -> tuple[float, float]:
        """Return the range of the coverage of new rows in most trainings; see `uncertainty`."""
        from scipy.special import betaincinv

        rows, rank = sum(self.rows), _rank(level, sum(self.rows))
        tails = (1 - _OF_TRAININGS) / 2, (1 + _OF_TRAININGS) / 2
        low, high = (float(betaincinv(rank, rows + 1 - rank, tail)) for tail in tails)
        return low, high

    def shortfall(self, level: float, coverage: float, rows: int) -> str:
        """Return a note if chance does not explain a low coverage, else ''.

        Chance explains a coverage if it is probable at the lowest true coverage of most trainings.

        Args:
            level: the level of the prediction intervals or prediction sets.
            coverage: the share of rows whose true value is in the interval or set.
            rows: the number of rows.
        """
        if not rows or not self.reaches(level):
            return ""
        from scipy.special import bdtr

        covered = round(coverage * rows)
        if bdtr(covered, rows, self._coverages(level)[0]) >= (1 - _OF_TRAININGS) / 2:
            return ""
        return (
            f"only {covered:,} of {plural(rows, 'true value')} are in their interval or set, fewer "
            f"than expected at level {level:g}: these rows may differ from the rows used for "
            "calibration, for example because they are newer; if rows are split at random, the "
            "reason is chance, or that the rows used for calibration also chose the epoch"
        )

    def stored_rank(self, level: float) -> int:
        """Return the rank, from 1, of the stored score that is used at a level.

        With n held-out rows, that is the ⌈(n + 1)·level⌉-th score. The lowest stored score of a
        fold may represent fewer rows than `stride`; the missing rows count as lower scores.
        """
        lacking = sum(-rows % self.stride for rows in self.rows)
        return math.ceil((_rank(level, sum(self.rows)) + lacking) / self.stride)

    def regions(
        self, predictions: Predictions, folds: Sequence[Predictions], level: float
    ) -> Regions:
        """Return a prediction interval for each number, or a prediction set for each row.

        A set always contains the predicted class, so it is never empty.

        Args:
            predictions: the predictions of the rows by all networks.
            folds: for each fold, the predictions of the rows by the networks not trained on it.
            level: the requested share of new rows whose true value is contained.
        """
        rank = self.stored_rank(level)
        task = predictions.task
        if task.outcome == "classes":
            pairs = zip(self.scores[0], folds, strict=True)
            lower = sum(np.searchsorted(scores, _class_scores(fold)) for scores, fold in pairs)
            included = np.asarray(lower < rank)
            included[np.arange(len(included)), predictions.values] = True
            return ClassSets(task, included)
        if task.has_interval:
            ends = self._corrected_quantiles(task, folds, rank)
            return Intervals(task, self._within_bounds(ends))
        ends = np.empty((*predictions.outputs.shape, 2))
        for at, scores in enumerate(self.scores):
            centers = np.array([fold.outputs[:, at] for fold in folds], np.float64)
            ends[:, at, 0] = -_ranked_sum(-centers, scores, rank)
            ends[:, at, 1] = _ranked_sum(centers, scores, rank)
        for end in (0, 1):
            ends[:, :, end] = task.decode(ends[:, :, end])
        return Intervals(task, self._within_bounds(ends))

    def _corrected_quantiles(self, task: Task, folds: Sequence[Predictions], rank: int) -> Floats:
        """Return the outermost quantiles, moved by the scores of held-out rows, (rows, 1, 2).

        Conformalized quantile regression: Romano, Patterson, Candès 2019,
        https://arxiv.org/abs/1905.03222. With the folds of an ensemble, it is combined as in CV+.
        """
        [scores] = self.scores
        low, high = np.array([_outermost(fold) for fold in folds]).swapaxes(0, 1)
        ends = np.stack([-_ranked_sum(-low, scores, rank), _ranked_sum(high, scores, rank)], 1)
        # Negative scores may exchange the ends of a narrow interval; decoding sorts them.
        return np.asarray(task.decode(ends)[:, np.newaxis])

    def _within_bounds(self, ends: Floats) -> Floats:
        least, greatest = self.bounds
        if least is not None or greatest is not None:
            np.clip(ends, least, greatest, out=ends)
        return ends


def _bounds(
    folds: Sequence[tuple[Predictions, TargetValues]], output: Output
) -> tuple[float | None, float | None]:
    """Return the smallest and largest number that a target can have, in its unit.

    These are the bounds of the output activation, unless a held-out value is outside. For counts
    and with a logarithmic scaling, the smallest number is 0.
    """
    task, low, high = folds[0][0].task, None, None
    if task.outcome == "numbers" and isinstance(output.scaling, Unscaled):
        assert output.activation is not None  # resolved
        values = np.concatenate([truth for _, truth in folds])
        least, greatest = output.activation.bounds
        low = least if -math.inf < least <= values.min() else None
        high = greatest if values.max() <= greatest < math.inf else None
    if task.type == "count" or isinstance(output.scaling, Log1p | DivideByMean):
        low = max(low or 0.0, 0.0)
    return low, high


def _rank(level: float, rows: int) -> int:
    """Return ⌈(rows + 1)·level⌉, with the exact decimal value of the level."""
    return math.ceil((rows + 1) * Decimal(repr(float(level))))


def _true_scores(predictions: Predictions, values: TargetValues) -> Floats:
    """Return the score of each number, (rows, columns), or of the true class, (rows, 1).

    The possible rounding error is added, so equal values count as ties.
    """
    if predictions.task.outcome == "classes":
        scores = np.take_along_axis(_class_scores(predictions), values[:, np.newaxis], axis=1)
        size = np.maximum(1, np.abs(scores))
    elif predictions.task.has_interval:
        low, high = (ends[:, np.newaxis] for ends in _outermost(predictions))
        scores = np.maximum(low - values, values - high)
        size = np.maximum(np.abs(values), np.maximum(np.abs(low), np.abs(high)))
    else:
        scores = np.abs(values - predictions.outputs.astype(np.float64))
        size = np.maximum(np.abs(values), np.abs(predictions.outputs))
    largest = sys.float_info.max
    return np.nan_to_num(scores + _ROUNDING * size, nan=largest, posinf=largest)


def _outermost(predictions: Predictions) -> tuple[Floats, Floats]:
    """Return the first and the last of several quantiles, scaled as in training, both (rows,)."""
    outputs = predictions.outputs.astype(np.float64)
    return outputs.min(axis=1), outputs.max(axis=1)


def _class_scores(predictions: Predictions) -> Floats:
    """Return the score of each row if a class is the true one, (rows, classes)."""
    scores = predictions.scores
    return 1 - scores if predictions.task.has_probabilities else np.hstack([scores, -scores])


def _ranked_sum(centers: Floats, scores: Sequence[Sequence[float]], rank: int) -> Floats:
    """Return the rank-th smallest sum of a row's center and a score of the same fold.

    Args:
        centers: the centers, (folds, rows).
        scores: the scores of each fold, ascending.
        rank: the rank, from 1.

    Returns:
        (rows,).
    """
    if len(scores) == 1:
        return np.asarray(centers[0] + scores[0][rank - 1])
    addends = [np.array(each) for each in scores]
    result = np.empty(centers.shape[1])
    for start in range(0, len(result), _ROWS_AT_ONCE):
        pairs = zip(centers[:, start : start + _ROWS_AT_ONCE], addends, strict=True)
        sums = np.concatenate([each[:, np.newaxis] + fold for each, fold in pairs], axis=1)
        sums.partition(rank - 1, axis=1)
        result[start : start + _ROWS_AT_ONCE] = sums[:, rank - 1]
    return result
