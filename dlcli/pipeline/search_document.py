"""The results of a search: `tune.json`, the ranking of its trials, and what they show."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from pydantic import ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from dlcli.config import Dimension as ConfigDimension
from dlcli.metrics import (
    Array,
    Mean,
    Number,
    as_floats,
    corrected_interval,
    finite,
    metric_bounds,
    positive_weights,
)
from dlcli.pipeline.cv_document import (
    Count,
    Document,
    Interval,
    read_document,
    standard_deviation,
)
from dlcli.runs import Run

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Value = bool | int | float | str | None
"""A scalar of a config. A choice among lists or mappings is shown as a text of YAML."""
State = Literal["complete", "pruned", "failed"]
Direction = Literal["minimize", "maximize"]

FEWEST_TRIALS = 20
"""Complete trials below which no importances are computed: chance would decide them."""
_TOP_SHARE = 0.2
"""The share of the trials that count as good. Of 100 random trials in five dimensions of which one
explains most of the metric, it is found in 93 to 100 of 100 simulations, and with Optuna's default
of a tenth in 37 to 93."""
_FEWEST_TOP = 8
"""Fewest trials that count as good; Optuna's documentation asks for 5."""


class Dimension(Document):
    """A setting that is varied."""

    path: str
    """The setting, as `--set` takes it; `hidden.layers`, `hidden.units` and so on for all hidden
    layers alike."""
    kind: Literal["float", "integer", "choice"]
    low: Number = None
    high: Number = None
    step: Number = None
    log: bool = False
    choices: tuple[Value, ...] = ()

    @classmethod
    def of(cls, dimension: ConfigDimension) -> Self:
        """Describe a dimension of a config."""
        return cls(
            path=dimension.path,
            kind=dimension.kind,
            low=dimension.low,
            high=dimension.high,
            step=dimension.step,
            log=dimension.log,
            choices=dimension.labels if dimension.kind == "choice" else (),
        )


class TrialResult(Document):
    """A candidate and its result."""

    number: Count | None
    """Its number from 0; a candidate whose process was killed is tried again under the same number.
    `None`: the config as given."""
    state: State
    values: Mapping[str, Value]
    """The values that were tried, by path of the dimension."""
    value: Number
    """The metric that is optimized, the mean over folds; of a pruned trial, its last value."""
    standard_error: Number
    """Of that value: over folds, or over the rows if there is a single evaluation set."""
    folds: tuple[Number, ...] = ()
    """The metric of each fold."""
    metrics: Mapping[str, Number] = {}
    """All metrics of the evaluation set, means over folds."""
    parameters: Count | None = None
    """Number of trained parameters, the measure of size; the largest over folds."""
    epochs: Count | None = None
    """Epochs that were trained; the median over folds."""
    best_epoch: Count | None = None
    """The best epoch; the median over folds."""
    intermediate: tuple[tuple[Count, Number], ...] = ()
    """Epoch and metric, where candidates were compared."""
    seconds: float
    worker: str = ""
    """The process that ran it: `host-pid`."""
    problem: str | None = None
    """Why it failed: one line."""


class Finalist(Document):
    """A config trained in full after the choice, and evaluated on rows not used for it."""

    name: Literal["default", "best", "smallest"]
    run: str
    """Its run folder within the search's."""
    split: Literal["test", "validation"]
    """The evaluation set; metrics of validation rows, which chose the config, are optimistically
    biased."""
    metrics: Mapping[str, Number]
    parameters: Count
    epochs: Count
    metric: str | None = None
    """The metric that finalists are compared by."""
    gain: Interval | None = None
    """That metric minus that of the default config on the same rows."""
    verdict: Literal["better", "worse", "not_significant", "same", "unknown"] | None = None
    """Whether that is statistically significant."""


class NestedFold(Document):
    """A whole search without the rows of one outer fold, and its best config evaluated on them."""

    fold: Count
    held_out: Count
    trials: Count
    values: Mapping[str, Value]
    """Those of the best trial."""
    inner: Number
    """The metric of the best trial within the search."""
    value: Number
    """The metric on the rows of the outer fold."""
    metrics: Mapping[str, Number]


class Search(Document):
    """All trials, and what follows from them."""

    format: Literal[1] = 1
    name: str
    study: str
    """Its name in the storage."""
    metric: str
    """The metric that is optimized: `val_loss`, `val_accuracy`, ..."""
    direction: Direction
    sampler: Literal["random", "grid", "tpe"]
    folds: Count | None
    """`None`: candidates are evaluated on the validation rows."""
    rows: Count
    """Rows that were used."""
    set_aside: Count
    """Test rows, which no trial has used."""
    seed: Count
    dimensions: tuple[Dimension, ...]
    trials: tuple[TrialResult, ...]
    """In order of their numbers."""
    default: TrialResult | None
    """The config as given, evaluated as trials are."""
    best: Count | None
    """The number of the best trial."""
    smallest: Count | None
    """The number of the one with the fewest parameters within a standard error of the best."""
    importances: Mapping[str, Number] = {}
    """The importance of each dimension, by path; their sum is 1. Empty where trials are too few."""
    finalists: tuple[Finalist, ...] = ()
    nested: tuple[NestedFold, ...] = ()
    nested_value: Interval | None = None
    """The unbiased estimate of the metric of the whole search, over the outer folds."""
    workers: Count = 1
    seconds: float
    notes: tuple[str, ...] = ()

    @field_validator("best", "smallest")
    @classmethod
    def _check_complete(cls, number: int | None, info: ValidationInfo) -> int | None:
        """Refuse the number of a trial that does not exist or has no value."""
        trials: tuple[TrialResult, ...] = info.data.get("trials", ())
        known = (each for each in trials if each.state == "complete" and each.value is not None)
        if number is not None and "trials" in info.data and number not in (t.number for t in known):
            message = "expected the number of a complete candidate, got {number}"
            raise PydanticCustomError("candidate", message, {"number": number})
        return number

    @classmethod
    def of(cls, run: Run) -> Self:
        """Read that of a finished run.

        Raises:
            RunError: if it is no search, or damaged.
        """
        return read_document(cls, run, "tune.json", run.read_search())

    def trial(self, number: int | None) -> TrialResult | None:
        """Return the trial of a number."""
        return next((each for each in self.trials if each.number == number), None)


def leaderboard(search: Search) -> tuple[TrialResult, ...]:
    """Return all trials, best first.

    Complete ones by their value, those of the same value by fewer parameters, then by number; then
    pruned ones, whose values are of different epochs and not compared, and failed ones.
    """
    states = ("complete", "pruned", "failed")

    def key(trial: TrialResult) -> tuple[float, ...]:
        values = _rank(trial, search.direction) if trial.state == "complete" else ()
        return (states.index(trial.state), *values, trial.number or 0)

    return tuple(sorted(search.trials, key=key))


def best_trial(trials: Sequence[TrialResult], direction: Direction) -> TrialResult | None:
    """Return the complete trial of the best value; of equal ones the smallest, then the first."""
    return min(_complete(trials), key=lambda trial: _rank(trial, direction), default=None)


def smallest_trial(trials: Sequence[TrialResult], direction: Direction) -> int | None:
    """Return the number of the smallest network that is about as good as the best.

    It has the fewest parameters among the complete trials whose value is within one standard error
    of that of the best, the standard error being the best one's; among equal ones it has the better
    value. What is within it is no worse as far as the rows show, and fewer parameters overfit less:
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
    most = _loss(best, direction) + best.standard_error
    near = [trial for trial in _complete(trials) if _loss(trial, direction) <= most]
    return min(near, key=lambda trial: (_size(trial), *_rank(trial, direction))).number


def _complete(trials: Sequence[TrialResult]) -> list[TrialResult]:
    """Return those that have a value, in order of their numbers."""
    known = [each for each in trials if each.state == "complete" and each.value is not None]
    numbered = [each for each in known if each.number is not None]
    return sorted(numbered, key=lambda trial: trial.number or 0)


def _rank(trial: TrialResult, direction: Direction) -> tuple[float, float]:
    """Return a key by which the best trial comes first."""
    return _loss(trial, direction), _size(trial)


def _loss(trial: TrialResult, direction: Direction) -> float:
    if trial.value is None:
        return math.inf
    return trial.value if direction == "minimize" else -trial.value


def _size(trial: TrialResult) -> float:
    return math.inf if trial.parameters is None else trial.parameters


def importances(
    dimensions: Sequence[Dimension], trials: Sequence[TrialResult], direction: Direction
) -> dict[str, float]:
    """Return the importance of each dimension for a trial being good, by Optuna's PED-ANOVA.

    Watanabe, Bansal and Hutter, PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in
    Arbitrary Subspaces, IJCAI 2023. It compares the values of the best fifth of the trials with
    those of all, one dimension at a time. Reliability: a few good trials differ from all by chance,
    too, so that no dimension has an importance of 0; with 20 to 50 trials only one that clearly
    stands out is worth acting on.

    Args:
        dimensions: what is varied.
        trials: complete ones count.
        direction: whether the metric is minimized.

    Returns:
        Shares of 1 by path, the greatest first; empty for fewer than `FEWEST_TRIALS` complete
        trials.
    """
    distributions = {
        each.path: distribution_of(each, range(len(each.choices))) for each in dimensions
    }
    with quiet_optuna():
        from optuna import create_study
        from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances
        from optuna.trial import create_trial

        study = create_study(direction=direction)
        for trial in _complete(trials):
            try:
                params = {each.path: _value(each, trial.values[each.path]) for each in dimensions}
                study.add_trial(
                    create_trial(value=trial.value, params=params, distributions=distributions)
                )
            except (KeyError, ValueError):  # of a study that was started with other dimensions
                continue
        complete = len(study.trials)
        if complete < FEWEST_TRIALS or not dimensions:
            return {}
        share = max(_TOP_SHARE, _FEWEST_TOP / complete)
        evaluator = PedAnovaImportanceEvaluator(target_quantile=share)
        found = get_param_importances(study, evaluator=evaluator, params=[*distributions])
    return {} if any(math.isnan(value) for value in found.values()) else found


def distribution_of(
    dimension: Dimension | ConfigDimension, choices: Sequence[Value]
) -> BaseDistribution:
    """Return a dimension as an Optuna distribution.

    Args:
        dimension: the dimension.
        choices: the values of a choice, or what stands for them.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if dimension.kind == "choice":
        return CategoricalDistribution(choices)
    low, high, step = dimension.low or 0.0, dimension.high or 0.0, dimension.step
    if dimension.kind == "float":
        return FloatDistribution(low, high, log=dimension.log, step=step)
    return IntDistribution(int(low), int(high), log=dimension.log, step=int(step or 1))


def _value(dimension: Dimension, value: Value) -> Value:
    """Return a value for Optuna; a choice by its index, as `True` and `1` would be the same."""
    if dimension.kind != "choice":
        return value
    known = [(type(choice), choice) for choice in dimension.choices]
    return known.index((type(value), value))


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Suppress Optuna's log and warnings; errors are exceptions and pass."""
    logger = logging.getLogger("optuna")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # Features that it calls experimental, such as heartbeats, are meant.
            warnings.filterwarnings("ignore", module=r"optuna|dlcli\.pipeline")
            warnings.filterwarnings("ignore", message=".*[Hh]eartbeat.*")
            yield
    finally:
        logger.setLevel(level)


def combine(
    nested: Sequence[NestedFold], metric: str | None = None, loss: str | None = None
) -> Interval:
    """Return the metric of a whole search, estimated on the rows of its outer folds.

    The mean over outer folds, weighted by their rows, with the interval of `corrected_interval`.
    As each value is of rows that were not used to choose, the mean is free of the optimistic bias
    of the choice: Cawley and Talbot, JMLR 11 (2010); Varma and Simon, BMC Bioinformatics 7 (2006).

    Args:
        nested: the outer folds, which together are all rows once.
        metric: its name, which bounds the interval.
        loss: the name of the loss, if the metric is the loss.
    """
    known = [(each, each.value) for each in nested if each.value is not None]
    if not known:
        return Interval(value=None)
    rows = np.array([max(1, each.held_out) for each, _ in known], dtype=np.float64)
    total = sum(each.held_out for each in nested)
    ratio = float(np.mean(rows / np.maximum(1, total - rows)))
    values, bounds = np.array([value for _, value in known]), metric_bounds(metric, loss)
    found = corrected_interval(values, rows, ratio, bounds)
    if len(known) == len(nested):
        return Interval(**asdict(found))
    missing = f"{len(nested) - len(known)} of {len(nested)} outer folds have no value"
    return Interval(value=found.value, reason=missing)


def standard_error_of_folds(values: Sequence[Number]) -> Number:
    """Return the standard error `S / √k` of the values of `k` folds; `None` for fewer than two.

    As the rule of one standard error does (Breiman, Friedman, Olshen and Stone, Classification and
    Regression Trees, 1984, 3.4.3), it takes folds for independent.

    Args:
        values: the metric of each fold; undefined ones are ignored.
    """
    known = np.array([value for value in values if value is not None], dtype=np.float64)
    deviation = standard_deviation(known)
    return None if deviation is None else deviation / math.sqrt(len(known))


def standard_error_of_mean(values: Array, weight: Array | None = None) -> Number:
    """Return the standard error of a weighted mean over rows, `√(Σ w² (v - m)²) / Σ w`.

    With equal weights and `n` rows it is `S / √n` except for the factor `√((n - 1) / n)`.

    Args:
        values: such as the loss of each row, shape `(rows,)`.
        weight: shape `(rows,)`; 1 each if omitted.
    """
    weights, known = positive_weights(weight, as_floats(values))
    if len(known) < 2:
        return None
    return finite(Mean(weights, known[np.newaxis]).standard_error())
