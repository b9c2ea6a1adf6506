"""The results of cross-validations and searches: `cv.json` and `tune.json`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from dlcli.config.search_space import Dimension as ConfigDimension
from dlcli.config.search_space import Value
from dlcli.metrics.definitions import METRICS
from dlcli.metrics.intervals import Estimate, Verdict
from dlcli.metrics.statistic import Floats, Metrics, Number, finite, finite_number, mean_of_defined
from dlcli.prediction.baseline_comparison import BaselineDifference
from dlcli.prediction.predictor import Selection
from dlcli.safe_files import Count, Document

MOST_EPOCHS = 200
"""Approximate maximum number of epochs that are stored for a history."""
TrialEnd = Literal["complete", "pruned", "failed"]
Direction = Literal["minimize", "maximize"]
FEWEST_TRIALS = 20
"""Minimum number of complete trials for importances; with fewer, they would be mostly noise."""


class FoldResult(Document):
    """The result of a fold: a network was trained on the other folds and evaluated on this one."""

    repeat: Count
    """The number of the repeat, from 1."""
    fold: Count
    """The number of the fold, from 1."""
    train: Count
    """The number of training rows."""
    validation: Count
    """The number of validation rows."""
    held_out: Count
    """The number of rows in the fold."""
    inputs: Count
    """The width of the encoded rows, which depends on the fold; 0 if encoding failed."""
    parameters: Count
    """The number of trainable parameters; for an ensemble, the sum over its members."""
    epochs: Count
    """The number of epochs trained; 0 if training failed in the first epoch."""
    best_epoch: Count | None = None
    """The epoch whose weights the network keeps, from 1; for an ensemble, the median over its
    members. `None` if the final weights are kept."""
    seconds: float
    """The duration of encoding, training and evaluation in seconds. If a quality gate compares the
    network with the linear baseline, the duration includes the training of this baseline."""
    metrics: Mapping[str, Number] = {}
    """The metrics on the rows of the fold, in the original unit of the target; empty if training
    failed."""
    constant: Mapping[str, Number] = {}
    """The metrics of the constant baseline on the rows of the fold."""
    history: Mapping[str, tuple[Number, ...]] = {}
    """The values of each column of history.csv and of `epoch`; a long history is thinned."""
    threshold: Number = None
    """With `decision.maximize`, the threshold of the fold, chosen on the validation or out-of-fold
    rows of its training rows; `None` otherwise, or if training failed."""
    problem: str | None = None
    """The error that ended encoding or training; `None` if there was no error."""


class CrossValidation(Document):
    """The results of all folds, and their combined metrics."""

    format: Literal[1] = 1
    name: str
    """The name of the config."""
    target: tuple[str, ...]
    """The target columns."""
    task: Literal["numbers", "classes", "labels"]
    """The kind of target."""
    classes: tuple[str, ...] = ()
    """The names of the classes or labels; empty for numbers."""
    split: str
    """The kind of split: `random`, `stratified`, `group` or `time`."""
    column: str | tuple[str, ...] | None = None
    """The column of the groups or times, or several; `None` for other splits."""
    folds: Count
    """The number of folds in each repeat."""
    repeats: Count
    """The number of repeats."""
    seed: Count
    rows: Count
    """The number of rows that were split into folds."""
    set_aside: Count
    """The number of test rows. The folds do not contain them."""
    main_metric: str | None
    """The name of the main metric, such as `accuracy`; `None` if all metrics are undefined."""
    results: tuple[FoldResult, ...]
    """The results of the folds, sorted by repeat and fold."""
    pooled: Mapping[str, Estimate]
    """The metrics on all rows, averaged over the repeats, with the 95 % confidence interval of one
    repeat. Each row is predicted by the network that was not trained on it."""
    by_fold: Mapping[str, Estimate]
    """An estimate of each metric: its mean over all folds, with the confidence interval of Nadeau
    and Bengio (2003), which takes into account that folds share training rows."""
    deviations: Mapping[str, Number]
    """The standard deviation of each metric over all folds."""
    constant: Mapping[str, Number]
    """The metrics of the constant baseline on the rows of all folds together."""
    against_constant: BaselineDifference | None = None
    """The pooled difference from the constant baseline."""
    against_linear: BaselineDifference | None = None
    """The pooled difference from the linear baseline, which is trained if a gate has
    `better_than: linear`."""
    best_epochs: Count | None
    """The number of epochs for training on all rows: the median of the best epochs of the folds.
    `None` if training failed in every fold."""
    notes: tuple[str, ...] = ()
    """Caveats, as sentences."""

    @property
    def thresholds(self) -> tuple[Number, ...] | None:
        """The threshold of each fold in order, `None` for a fold that failed.

        `None` if the folds do not choose a threshold.
        """
        found = tuple(each.threshold for each in self.results)
        return found if any(each is not None for each in found) else None

    @property
    def baselines(self) -> dict[str, BaselineDifference]:
        """The differences from the baselines that were evaluated, by name of the baseline."""
        found = {"constant": self.against_constant, "linear": self.against_linear}
        return {name: each for name, each in found.items() if each is not None}


def scalar_metrics(metrics: Metrics) -> dict[str, Number]:
    """Return the metrics that are single numbers; an undefined one is `None`."""
    return {name: finite_number(value) for name, value in metrics.items() if name in METRICS}


def mean_metrics(metrics: Sequence[Mapping[str, Number]]) -> dict[str, Number]:
    """Return the mean of each metric over the sets of rows for which it is defined."""
    names = dict.fromkeys(name for each in metrics for name in each)
    return {name: mean_of_defined(each.get(name) for each in metrics) for name in names}


def some_epochs(history: Mapping[str, Sequence[float]]) -> dict[str, tuple[Number, ...]]:
    """Return the history with its epoch numbers; a long history is thinned, see `thinned`.

    Args:
        history: the value of each epoch, by column of history.csv.
    """
    epochs = len(history["loss"])
    indices = np.arange(epochs)
    if epochs > MOST_EPOCHS:
        curves = [np.array(history[name]) for name in ("loss", "val_loss") if name in history]
        some = [thinned(curve, MOST_EPOCHS // len(curves)) for curve in curves]
        indices = np.unique(np.concatenate([*some, [0, epochs - 1]]))
    kept = indices.tolist()
    measured = {
        name: tuple(finite(values[index]) for index in kept) for name, values in history.items()
    }
    return {"epoch": tuple(float(index + 1) for index in kept), **measured}


def rounded_median(counts: Sequence[int]) -> int | None:
    """Return the median of counts, with halves rounded up; `None` if there are no counts."""
    return math.floor(median(counts) + 0.5) if counts else None


def standard_deviation(values: Floats) -> Number:
    """Return the standard deviation (ddof 1); `None` for fewer than two values."""
    if len(values) < 2:
        return None
    if np.isfinite(values[0]) and np.all(values == values[0]):
        return 0.0  # the mean of equal values is rounded, so their deviation would be 1e-16
    with np.errstate(over="ignore", invalid="ignore"):
        return finite(float(np.std(values, ddof=1)))


def thinned(values: Floats, most: int) -> NDArray[np.int64]:
    """Return the ascending indices of points that preserve the peaks of a curve.

    The curve is divided into equal parts, and the minimum and the maximum of each part are kept.
    Every tenth point, for example, would miss peaks.

    Args:
        values: the curve, shape `(points,)`; non-finite values are omitted.
        most: maximum number of points, at least 4.
    """
    finite_at = np.flatnonzero(np.isfinite(values))
    if len(finite_at) <= most:
        return finite_at
    parts = np.array_split(finite_at, (most - 2) // 2)
    extremes = [part[find(values[part])] for part in parts for find in (np.argmin, np.argmax)]
    return np.unique([finite_at[0], *extremes, finite_at[-1]])


class StoredDimension(Document):
    """A dimension of the search space."""

    path: str
    """The path of the setting, as in `--set`; `hidden_layers` stands for all hidden layers."""
    kind: Literal["float", "integer", "choice"]
    low: Number = None
    high: Number = None
    step: Number = None
    log: bool = False
    choices: tuple[Value, ...] = ()

    @classmethod
    def of(cls, dimension: ConfigDimension) -> Self:
        """Describe a dimension of a config."""
        names = ("path", "kind", "low", "high", "step", "log")
        choices = dimension.labels if dimension.kind == "choice" else ()
        return cls(**{name: getattr(dimension, name) for name in names}, choices=choices)


class TrialResult(Document):
    """A candidate and its result."""

    number: Count | None
    """The number of the trial, from 0; a trial whose process was killed is repeated with the same
    number. `None` for the original config."""
    state: TrialEnd
    """`complete`, `pruned` if the trial was stopped early, or `failed`."""
    values: Mapping[str, Value]
    """The settings of the candidate (path and value); empty for the original config."""
    value: Number
    """The value of the optimized metric, averaged over the folds. For a pruned trial, the value
    when it was stopped; `None` if the trial failed."""
    standard_error: Number = None
    """The standard error of `value`, from the differences between folds or, without folds, between
    rows; `None` if it is unknown."""
    folds: tuple[Number, ...] = ()
    """The value of the optimized metric in each finished fold; empty without folds."""
    metrics: Mapping[str, Number] = {}
    """All metrics on the held-out rows, averaged over the folds."""
    parameters: Count | None = None
    """The number of trainable parameters, the maximum over the folds; `None` if no fold was
    finished."""
    epochs: Count | None = None
    """The number of epochs trained, the median over the folds; `None` if no fold was finished."""
    best_epoch: Count | None = None
    """The best epoch, the median over the folds; `None` if no fold was finished."""
    intermediate: tuple[tuple[Count, Number], ...] = ()
    """The steps at which the trial could be pruned, each with the value of the metric."""
    seconds: float
    """The duration in seconds."""
    worker: str = ""
    """The process that evaluated the candidate: host name and process ID, such as `node1-4711`."""
    problem: str | None = None
    """The error that ended the trial, in one line; `None` if there was no error."""


class Finalist(Document):
    """A config that was trained in full after the search and evaluated on held-out rows."""

    name: Literal["default", "best", "smallest", "ensemble"]
    """The name of the finalist: `default`, `best`, `smallest` or `ensemble`."""
    run: str
    """The path of its run folder, relative to the folder of the search."""
    split: Literal["test", "validation"]
    """The set on which the finalist is evaluated: `test` or, without test rows, `validation`.
    Metrics on `validation` are too optimistic, because the search used the same rows to select the
    config."""
    metrics: Mapping[str, Number]
    """The metrics on this set."""
    parameters: Count
    """The number of trainable parameters; for an ensemble, the sum over its members."""
    epochs: Count
    """The number of epochs trained."""
    metric: str | None = None
    """The metric by which finalists are compared: the optimized metric or, if it is `val_loss`, the
    main metric. `None` if it is undefined."""
    gain: Estimate | None = None
    """An estimate of the difference in `metric`: the value of this finalist minus the value of
    `default`, on the same rows. `None` for `default` itself."""
    verdict: Verdict | None = None
    """The verdict on this difference; `None` for `default` itself."""


class SearchEnsemble(Document):
    """The best candidates as one ensemble, trained after the search, see `dlcli tune --ensemble`.

    The candidates were chosen on rows that are also out-of-fold rows, so the metrics of these rows
    are too optimistic.
    """

    run: str
    """The path of its run folder, relative to the folder of the search."""
    trials: tuple[Count, ...]
    """The number of the trial of each group, best first."""
    selection: Selection
    """The weights of the groups, and the metric of the ensemble and of each group alone on the
    out-of-fold rows: an object with the fields of a `selected` event. The first group has the
    settings of the best trial."""


class NestedFold(Document):
    """The result of an outer fold: the best config of a search without it, evaluated on it."""

    fold: Count
    """The number of the outer fold, from 1."""
    train: Count
    """The number of rows outside the fold, on which the best candidate was trained."""
    held_out: Count
    """The number of rows in the outer fold."""
    trials: Count
    """The number of trials in the repeated search."""
    values: Mapping[str, Value]
    """The settings of the best candidate (path and value); empty if no trial is complete."""
    inner: Number
    """The value of the optimized metric that the repeated search found for its best candidate. It
    is too optimistic. `None` if no trial is complete."""
    value: Number
    """The value of the optimized metric on the outer fold, which the repeated search did not use;
    `None` if it is undefined."""
    metrics: Mapping[str, Number]
    """All metrics on the outer fold."""


class Search(Document):
    """The trials of a search, its finalists and its evaluation."""

    format: Literal[1] = 1
    name: str
    """The name of the config."""
    study: str
    """The name of the Optuna study."""
    metric: str
    """The optimized metric, such as `val_loss` or `val_accuracy`."""
    direction: Direction
    """`minimize` or `maximize`."""
    sampler: Literal["random", "grid", "tpe"]
    folds: Count | None
    """The number of folds that evaluate each candidate; `None` if the validation rows do."""
    rows: Count
    """The number of rows that were used."""
    set_aside: Count
    """The number of test rows, which no trial used."""
    seed: Count
    dimensions: tuple[StoredDimension, ...]
    """The search space."""
    trials: tuple[TrialResult, ...]
    """The trials, sorted by number."""
    default: TrialResult | None
    """The result of the original config, an object with the fields of a `trial` event."""
    best: Count | None
    """The number of the best trial."""
    smallest: Count | None
    """The number of the trial with the fewest parameters among those within one standard error of
    the best."""
    importances: Mapping[str, Number] = {}
    """For each varied setting (by path), its importance for good trials, by Optuna's PED-ANOVA; the
    sum is 1. Empty with fewer than 20 complete trials, which would yield mostly noise."""
    finalists: tuple[Finalist, ...] = ()
    """The finalists, each an object with the fields of a `finalist` event."""
    ensemble: SearchEnsemble | None = None
    """The best candidates as one ensemble: an object with the `run`, the `trials` of its groups,
    best first, and the `selection` of the groups, with the fields of a `selected` event. `None`
    without `--ensemble`, or if it could not be trained."""
    nested: tuple[NestedFold, ...] = ()
    """The results of the outer folds; empty without `--nested`."""
    nested_value: Estimate | None = None
    """With `--nested`, an estimate of the optimized metric: its mean over the outer folds, which is
    unbiased. `None` without `--nested`."""
    workers: Count = 1
    """The number of processes that evaluated candidates."""
    seconds: float
    """The duration in seconds."""
    notes: tuple[str, ...] = ()
    """Caveats, as sentences."""

    @field_validator("best", "smallest")
    @classmethod
    def _check_complete(cls, number: int | None, info: ValidationInfo) -> int | None:
        """Refuse the number of a trial that does not exist or has no value."""
        known = [trial.number for trial in complete_trials(info.data.get("trials", ()))]
        if number is not None and "trials" in info.data and number not in known:
            message = "expected the number of a completed candidate, got {number}"
            raise PydanticCustomError("candidate", message, {"number": number})
        return number

    def trial(self, number: int | None) -> TrialResult | None:
        """Return the trial with a number; `None` if there is no such trial."""
        return next((each for each in self.trials if each.number == number), None)


def leaderboard(search: Search) -> list[TrialResult]:
    """Return the complete trials, best first; ties go to fewer parameters, then to the first.

    Pruned trials are omitted, because their values belong to different epochs.
    """
    return sorted(complete_trials(search.trials), key=lambda each: _rank(each, search.direction))


def best_trial(trials: Sequence[TrialResult], direction: Direction) -> TrialResult | None:
    """Return the best complete trial; ties go to fewer parameters, then to the first."""
    return min(complete_trials(trials), key=lambda trial: _rank(trial, direction), default=None)


def smallest_trial(trials: Sequence[TrialResult], direction: Direction) -> int | None:
    """Return the number of the trial that the one-standard-error rule selects.

    It has the fewest parameters among the complete trials whose value is at most one standard error
    worse than the best; ties go to the better value. The standard error is that of the best trial.
    Such trials are not clearly worse, and a network with fewer parameters overfits less:
    Breiman, Friedman, Olshen and Stone, Classification and Regression Trees (1984), 3.4.3; Hastie,
    Tibshirani and Friedman, The Elements of Statistical Learning (2009), 7.10.

    Args:
        trials: the trials; the original config, which has no number, is ignored.
        direction: the direction in which the metric is optimized.

    Returns:
        The number of the trial, which is the best one if its standard error is unknown; `None` if
        no trial is complete.
    """
    best = best_trial(trials, direction)
    if best is None or best.standard_error is None:
        return None if best is None else best.number
    most = to_loss(best, direction) + best.standard_error
    near = [trial for trial in complete_trials(trials) if to_loss(trial, direction) <= most]
    return min(near, key=lambda trial: (_size(trial), *_rank(trial, direction))).number


def complete_trials(trials: Sequence[TrialResult]) -> list[TrialResult]:
    """Return the complete trials with a value, sorted by number, without the original config."""
    known = [each for each in trials if each.state == "complete" and each.value is not None]
    return sorted(
        (each for each in known if each.number is not None), key=lambda each: each.number or 0
    )


def _rank(trial: TrialResult, direction: Direction) -> tuple[float, float]:
    """Return a sort key that puts the best trial first."""
    return to_loss(trial, direction), _size(trial)


def to_loss(trial: TrialResult, direction: Direction) -> float:
    """Return the value of a trial with the sign that makes lower better; infinite if undefined."""
    if trial.value is None:
        return math.inf
    return trial.value if direction == "minimize" else -trial.value


def _size(trial: TrialResult) -> float:
    return math.inf if trial.parameters is None else trial.parameters
