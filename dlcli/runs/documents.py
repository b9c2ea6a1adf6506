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
from dlcli.safe_files import Count, Document

MOST_EPOCHS = 200
"""About how many epochs of a history are stored."""
TrialEnd = Literal["complete", "pruned", "failed"]
Direction = Literal["minimize", "maximize"]
FEWEST_TRIALS = 20
"""Complete trials below which no importances are computed: chance would decide them."""


class FoldResult(Document):
    """A network trained without the rows of one fold, and evaluated on them."""

    repeat: Count
    """The number of the repeat, from 1."""
    fold: Count
    """The number of the fold, from 1."""
    train: Count
    """Training rows."""
    validation: Count
    """Validation rows; 0 if there are none."""
    held_out: Count
    """Rows of the fold."""
    inputs: Count
    """Width of the encoded rows: encodings are fitted for each fold, and may differ."""
    parameters: Count
    """Number of trained parameters."""
    epochs: Count
    """The number of epochs trained; 0 if none was finished."""
    best_epoch: Count | None = None
    """The epoch whose weights were kept, from 1; of an ensemble the median of its members'; `None`
    for the last one."""
    seconds: float
    """The duration of encoding, training (also of a linear model, if a gate needs one) and
    evaluation."""
    metrics: Mapping[str, Number] = {}
    """The metrics of the fold's rows, in the target's own unit; empty if training failed."""
    constant: Mapping[str, Number] = {}
    """The metrics of a constant model on the fold's rows."""
    history: Mapping[str, tuple[Number, ...]] = {}
    """Values by column of history.csv, and `epoch`; of a long history, some epochs."""
    problem: str | None = None
    """Why training failed, or why the fold's rows can't be encoded; `None` if neither."""


class CrossValidation(Document):
    """All folds, and their combined metrics."""

    format: Literal[1] = 1
    name: str
    """The config's."""
    target: tuple[str, ...]
    """The columns that are predicted."""
    task: Literal["numbers", "classes", "labels"]
    """The kind of the target."""
    classes: tuple[str, ...] = ()
    """The classes or labels by name."""
    split: str
    """The way in which rows were split: `random`, `stratified`, `group`, `time`."""
    column: str | None = None
    """The column of groups or times."""
    folds: Count
    """The number of folds."""
    repeats: Count
    """The number of repeats."""
    seed: Count
    rows: Count
    """Rows that were split into folds."""
    set_aside: Count
    """The number of test rows, which were not used."""
    main_metric: str | None
    """The metric to compare by; `None` if none is defined."""
    results: tuple[FoldResult, ...]
    """In order: repeat, then fold."""
    pooled: Mapping[str, Estimate]
    """Metrics over the predictions of all rows, each by the network that was not trained on it;
    their mean over repeats, with the confidence interval for as many rows as there are."""
    by_fold: Mapping[str, Estimate]
    """The mean of each metric over all folds, with the corrected interval of Nadeau and Bengio."""
    deviations: Mapping[str, Number]
    """The standard deviation of each metric over all folds."""
    constant: Mapping[str, Number]
    """The pooled metrics of the constant baseline."""
    against_constant: BaselineDifference | None = None
    """The pooled difference from it, which decides whether the network is better."""
    against_linear: BaselineDifference | None = None
    """The same from linear models, which are trained if a gate has `better_than: linear`."""
    best_epochs: Count | None
    """The median over folds of the best epoch: how long to train on all rows; `None` if none was
    trained."""
    notes: tuple[str, ...] = ()
    """Caveats, as sentences."""

    @property
    def baselines(self) -> dict[str, BaselineDifference]:
        """The differences from these models, by their names."""
        found = {"constant": self.against_constant, "linear": self.against_linear}
        return {name: each for name, each in found.items() if each is not None}


def scalar_metrics(metrics: Metrics) -> dict[str, Number]:
    """Return the metrics that are single numbers; `None` where they are undefined."""
    return {name: finite_number(value) for name, value in metrics.items() if name in METRICS}


def mean_metrics(metrics: Sequence[Mapping[str, Number]]) -> dict[str, Number]:
    """Return the mean of each metric over the sets of rows on which it is defined."""
    names = dict.fromkeys(name for each in metrics for name in each)
    return {name: mean_of_defined(each.get(name) for each in metrics) for name in names}


def some_epochs(history: Mapping[str, Sequence[float]]) -> dict[str, tuple[Number, ...]]:
    """Return the history with the numbers of its epochs; a long one at its peaks and some others.

    Args:
        history: a value for each epoch, by column of history.csv.
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
    """Return the median of counts, a half rounded up; `None` if there are none."""
    return math.floor(median(counts) + 0.5) if counts else None


def standard_deviation(values: Floats) -> Number:
    """Return the standard deviation (ddof 1); `None` for fewer than two values."""
    if len(values) < 2:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        return finite(float(np.std(values, ddof=1)))


def thinned(values: Floats, most: int) -> NDArray[np.int64]:
    """Return the indices of points that keep the peaks of a curve, ascending.

    The curve is cut into equal parts, each of which keeps its least and its greatest value: no peak
    is lost, as it would be among every tenth point.

    Args:
        values: the curve, shape `(points,)`; NaN and infinite ones are omitted.
        most: how many points to keep, at least 4.
    """
    finite_at = np.flatnonzero(np.isfinite(values))
    if len(finite_at) <= most:
        return finite_at
    parts = np.array_split(finite_at, (most - 2) // 2)
    extremes = [part[find(values[part])] for part in parts for find in (np.argmin, np.argmax)]
    return np.unique([finite_at[0], *extremes, finite_at[-1]])


class StoredDimension(Document):
    """A setting that is varied."""

    path: str
    """The setting, as `--set` takes it; below `hidden_layers` that of each hidden layer."""
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
    """Its number from 0; a candidate whose process was killed is tried again under the same number.
    `None`: the config as given."""
    state: TrialEnd
    """`complete`, `pruned` if it was stopped early, or `failed`."""
    values: Mapping[str, Value]
    """The values that were tried, by path of the setting."""
    value: Number
    """The metric that is optimized, the mean over folds; of a pruned trial, its last value."""
    standard_error: Number = None
    """The standard error of that value, over folds, or over the rows if there is a single
    evaluation set; `None` if it is not known."""
    folds: tuple[Number, ...] = ()
    """The metric of each finished fold; empty without folds."""
    metrics: Mapping[str, Number] = {}
    """All metrics of the evaluation set, means over folds."""
    parameters: Count | None = None
    """The number of trained parameters, the measure of size; the largest over folds."""
    epochs: Count | None = None
    """The number of epochs trained; the median over folds."""
    best_epoch: Count | None = None
    """The best epoch; the median over folds."""
    intermediate: tuple[tuple[Count, Number], ...] = ()
    """Epoch and metric, where candidates were compared."""
    seconds: float
    """The duration."""
    worker: str = ""
    """The process that evaluated it: `host-pid`."""
    problem: str | None = None
    """Why it failed, as one line; `None` if it did not."""


class Finalist(Document):
    """A config trained in full after the choice, and evaluated on rows not used for it."""

    name: Literal["default", "best", "smallest"]
    """`default`, `best` or `smallest`."""
    run: str
    """Its run folder inside the folder of the search."""
    split: Literal["test", "validation"]
    """The evaluation set; metrics of validation rows, which were used to choose the config, are too
    optimistic."""
    metrics: Mapping[str, Number]
    """The metrics of these rows."""
    parameters: Count
    """The number of trained parameters."""
    epochs: Count
    """The number of epochs."""
    metric: str | None = None
    """The metric that finalists are compared by: the one that the search optimizes; for `val_loss`,
    the main metric; `None` if none is defined."""
    gain: Estimate | None = None
    """That metric minus that of the default config on the same rows: `value`, `lower`, `upper`,
    `reason`; `None` for the default config."""
    verdict: Verdict | None = None
    """Whether the gain is statistically significant: `better`, `worse`, `not_significant`, `same`
    or `unknown`; `None` for the default config."""


class NestedFold(Document):
    """A whole search without the rows of one outer fold, and its best config evaluated on them."""

    fold: Count
    """The number of the outer fold, from 1."""
    train: Count
    """The number of rows that the best config was trained on."""
    held_out: Count
    """The number of rows of the fold."""
    trials: Count
    """The number of candidates."""
    values: Mapping[str, Value]
    """The values of the best."""
    inner: Number
    """Its value in the search."""
    value: Number
    """Its value on the rows of the outer fold."""
    metrics: Mapping[str, Number]
    """Their metrics."""


class Search(Document):
    """All trials, and what follows from them."""

    format: Literal[1] = 1
    name: str
    study: str
    """The study's name in its storage."""
    metric: str
    """The metric that is optimized, such as `val_loss` or `val_accuracy`."""
    direction: Direction
    """`minimize` or `maximize`."""
    sampler: Literal["random", "grid", "tpe"]
    folds: Count | None
    """`None`: candidates are evaluated on the validation rows."""
    rows: Count
    """Rows that were used."""
    set_aside: Count
    """Test rows, which no trial has used."""
    seed: Count
    dimensions: tuple[StoredDimension, ...]
    trials: tuple[TrialResult, ...]
    """In order of their numbers."""
    default: TrialResult | None
    """The result of the config as given, evaluated as trials are."""
    best: Count | None
    """The number of the best trial."""
    smallest: Count | None
    """The number of the one with the fewest parameters within a standard error of the best."""
    importances: Mapping[str, Number] = {}
    """The importance of each setting, by path; their sum is 1. Empty where trials are too few."""
    finalists: tuple[Finalist, ...] = ()
    """The configs that were trained in full, with the fields of each `finalist`."""
    nested: tuple[NestedFold, ...] = ()
    nested_value: Estimate | None = None
    """The unbiased estimate of the metric of the whole search: the mean over outer folds with its
    confidence interval; `None` without `--nested`."""
    workers: Count = 1
    seconds: float
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
        """Return the trial of a number."""
        return next((each for each in self.trials if each.number == number), None)


def leaderboard(search: Search) -> list[TrialResult]:
    """Return the complete trials, best first; of equal ones the smallest, then the first.

    Values of pruned ones are of different epochs and not compared.
    """
    return sorted(complete_trials(search.trials), key=lambda each: _rank(each, search.direction))


def best_trial(trials: Sequence[TrialResult], direction: Direction) -> TrialResult | None:
    """Return the complete trial of the best value; of equal ones the smallest, then the first."""
    return min(complete_trials(trials), key=lambda trial: _rank(trial, direction), default=None)


def smallest_trial(trials: Sequence[TrialResult], direction: Direction) -> int | None:
    """Return the number of the smallest network that is about as good as the best.

    It has the fewest parameters among the complete trials whose value is within one standard error
    of that of the best, the standard error being the best one's; among equal ones it has the better
    value. Candidates within it are not clearly worse, and fewer parameters overfit less:
    Breiman, Friedman, Olshen and Stone, Classification and Regression Trees (1984), 3.4.3; Hastie,
    Tibshirani and Friedman, The Elements of Statistical Learning (2009), 7.10.

    Args:
        trials: the config as given, which has no number, is ignored.
        direction: whether the metric is minimized.

    Returns:
        The number of the best one if it has no standard error; `None` without a complete trial.
    """
    best = best_trial(trials, direction)
    if best is None or best.standard_error is None:
        return None if best is None else best.number
    most = to_loss(best, direction) + best.standard_error
    near = [trial for trial in complete_trials(trials) if to_loss(trial, direction) <= most]
    return min(near, key=lambda trial: (_size(trial), *_rank(trial, direction))).number


def complete_trials(trials: Sequence[TrialResult]) -> list[TrialResult]:
    """Return those that have a value, in order of their numbers."""
    known = [each for each in trials if each.state == "complete" and each.value is not None]
    return sorted(
        (each for each in known if each.number is not None), key=lambda each: each.number or 0
    )


def _rank(trial: TrialResult, direction: Direction) -> tuple[float, float]:
    """Return a key by which the best trial comes first."""
    return to_loss(trial, direction), _size(trial)


def to_loss(trial: TrialResult, direction: Direction) -> float:
    """Return the value of a trial, signed such that less is better."""
    if trial.value is None:
        return math.inf
    return trial.value if direction == "minimize" else -trial.value


def _size(trial: TrialResult) -> float:
    return math.inf if trial.parameters is None else trial.parameters
