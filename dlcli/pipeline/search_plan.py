"""The plan of a search: dimensions, sampling and pruning of candidates, rows, and time limit."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import optuna
from optuna import distributions, pruners, samplers
from optuna.trial import FrozenTrial

from dlcli.config.config_file import ConfigFile
from dlcli.config.config_schema import Config
from dlcli.config.search_space import Dimension, Value, count_combinations, dimensions_of
from dlcli.config.tune_section import HIDDEN_LAYERS, MedianPruning, Tpe, Tune
from dlcli.errors import ConfigError, Problem, override
from dlcli.metrics.definitions import is_higher_better
from dlcli.network.head import rename_metrics, resolve_head
from dlcli.pipeline.events import Events
from dlcli.pipeline.fit import FitContext
from dlcli.pipeline.preflight import check_folds
from dlcli.pipeline.preparation import Dataset
from dlcli.runs.documents import Direction, StoredDimension
from dlcli.schema.yaml_document import parse_path
from dlcli.splitting import Split, make_folds

LOSS = "loss"
DEFAULT_FOLDS = 5
"""Number of outer folds if the search itself has no folds."""
ORIGINAL = "failed_trial"
"""The system attribute that Optuna's callback sets in a retried trial: the number of the first
attempt."""
_KEPT_AFTER_FOLD = 75.0
"""Percentage of the candidates that continue after a fold."""
_MAX_DRAWS = 20
"""Maximum number of draws to find an untried combination; then the first one of the grid is used.
"""
_MAX_REPORTS = 10
"""Maximum number of epochs at which candidates are compared; each value is stored."""
_RUNTIME_VALUES = (
    *("learning_rate", "weight_decay", "dropout", "l1", "l2", "factor", "seed", "epochs"),
)
"""Settings whose values share a compiled program, see `dlcli.training.RuntimeValues`."""
_TRIALS_BY_TIME = 1_000
"""Assumed number of trials if only time limits them."""
_MANY_COMBINATIONS = 10_000
"""Number of combinations above which a grid without limits is probably a mistake."""
_GOLDEN_RATIO = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class SearchPlan:
    """Everything that candidates depend on, except the rows and the results of earlier trials."""

    name: str
    """The name of the study in its storage."""
    tune: Tune
    """The section `tune`: search space, sampler, pruning and limits."""
    seed: int
    epochs: int
    """Epochs of the original config."""

    @classmethod
    def of(cls, file: ConfigFile) -> SearchPlan:
        """Return the plan of a config.

        Raises:
            ConfigError: if there are no rows on which to evaluate candidates.
        """
        config = file.config
        assert config.tune is not None  # see `with_search_space`
        if config.tune.folds is None and not config.has_validation:
            message = (
                "is missing, and there are no validation rows to evaluate candidates; set "
                "tune.folds: 5 or data.validation: 0.15"
            )
            raise ConfigError([Problem("tune.folds", message)])
        return cls(file.name, config.tune, config.seed, config.epochs)

    @cached_property
    def dimensions(self) -> tuple[Dimension, ...]:
        """The settings that vary."""
        return dimensions_of(self.tune.space)

    @cached_property
    def combinations(self) -> int | None:
        """The number of combinations of their values; `None` if a range is continuous."""
        return count_combinations(self.dimensions)

    @property
    def trials(self) -> int | None:
        """Maximum number of different candidates; `None` if only time limits them."""
        limits = [each for each in (self.tune.most_trials, self.combinations) if each is not None]
        return min(limits, default=None)

    @property
    def objective(self) -> str:
        """The name of the metric in `metrics.json`, or `loss`."""
        return self.tune.metric.removeprefix("val_")

    @property
    def direction(self) -> Direction:
        """The direction in which the metric is optimized."""
        return "maximize" if is_higher_better(self.objective) else "minimize"

    @property
    def prunes_at_epochs(self) -> bool:
        """True if the values of epochs can be compared between candidates.

        `val_loss` of an epoch contains the regularization penalty, which differs between candidates
        with different regularizers.
        """
        paths = [each.path for each in self.dimensions]
        has_penalty = any("regularizer" in path or path == "hidden" for path in paths)
        return self.objective != LOSS or not has_penalty

    @property
    def report_interval(self) -> int:
        """Number of epochs between two comparisons of candidates in the first fold."""
        return max(1, math.ceil(self.epochs / _MAX_REPORTS))

    @property
    def max_epochs(self) -> int:
        """Maximum epochs of a candidate. Larger steps of a study are folds."""
        varied = [each for each in self.dimensions if each.path == "epochs"]
        ends = [end for each in varied for end in (each.high, *each.labels)]
        return max([self.epochs, *(int(end) for end in ends if isinstance(end, int | float))])

    def step_after_fold(self, number: int) -> int:
        """Return the step of the comparison after a fold; folds are numbered from 1."""
        return self.max_epochs + number

    def fits_per_program(self, folds: int) -> int:
        """Estimate how many fits will share a compiled program, see `RuntimeValues`.

        Args:
            folds: number of fits of a candidate.
        """
        shapes = [
            each for each in self.dimensions if parse_path(each.path)[-1] not in _RUNTIME_VALUES
        ]
        number = count_combinations(shapes)
        if number is None:
            return folds
        return folds * max(1, (self.trials or _TRIALS_BY_TIME) // number)


def warn_of_large_grid(plan: SearchPlan, log: Events) -> None:
    """Warn of a large grid that neither `trials` nor `time` limits."""
    number, tune = plan.trials, plan.tune
    if tune.trials is tune.time is None and number is not None and number > _MANY_COMBINATIONS:
        log.warn(
            f"all {number:,} combinations will be tried; to try a random part of the grid: "
            f"{override('tune.trials', 100)}, or {override('tune.time', '1h')}"
        )


# How candidates are drawn


class CandidateSampler(samplers.RandomSampler):
    """Draws each candidate with a new Optuna sampler, seeded by the candidate's number.

    Optuna's samplers keep their random state in the process, so a resumed search would draw other
    values than an uninterrupted one, and processes with equal seeds would draw the same values.
    Here, values depend only on the seed, the candidate's number and the results of earlier trials.
    Optuna's grid sampler is not used: it assigns combinations by the number of the trial, which
    retried trials shift, and two processes may draw the same combination.

    `tpe` is the tree-structured Parzen estimator over all dimensions jointly (Bergstra et al. 2011,
    Falkner et al. 2018). It treats running trials as bad ones, so that processes try different
    values.

    Args:
        plan: what candidates depend on.
    """

    def __init__(self, plan: SearchPlan) -> None:
        super().__init__(plan.seed)
        self._plan = plan
        self.distributions = {
            each.path: distribution_of(each, each.labels) for each in plan.dimensions
        }
        """The distribution of each dimension, by path."""

    def infer_relative_search_space(
        self, study: optuna.Study, trial: FrozenTrial
    ) -> dict[str, distributions.BaseDistribution]:
        """Return all dimensions: they are drawn jointly."""
        return self.distributions

    def sample_relative(
        self,
        study: optuna.Study,
        trial: FrozenTrial,
        search_space: dict[str, distributions.BaseDistribution],
    ) -> dict[str, Any]:
        """Draw the values of a candidate."""
        plan, trials = self._plan, study.get_trials(deepcopy=False)
        number = candidate_numbers(trials)[trial.number]
        if plan.tune.sampler.name == "grid":
            is_complete = plan.trials == plan.combinations
            return {**combination(plan.dimensions, number, spread=not is_complete)}
        tried = [each.params for each in trials if each.number != trial.number]
        for draw in range(_MAX_DRAWS):
            seed = np.random.SeedSequence([plan.seed, number, draw]).generate_state(1)[0]
            values = self._draw(study, trial, int(seed))
            if plan.combinations is None or values not in tried:
                return values
        indices = range(plan.combinations or 0)
        grid = (combination(plan.dimensions, index, spread=True) for index in indices)
        return next((untried for untried in grid if untried not in tried), values)

    def _draw(self, study: optuna.Study, trial: FrozenTrial, seed: int) -> dict[str, Any]:
        sampler: samplers.BaseSampler = samplers.RandomSampler(seed)
        if isinstance(section := self._plan.tune.sampler, Tpe):
            startup = section.startup_trials
            sampler = samplers.TPESampler(n_startup_trials=startup, seed=seed, multivariate=True)
        space = sampler.infer_relative_search_space(study, trial)
        values = sampler.sample_relative(study, trial, space)
        for path, distribution in self.distributions.items():
            if path not in values:
                values[path] = sampler.sample_independent(study, trial, path, distribution)
        dimensions = self._plan.dimensions
        return {each.path: _without_rounding(each, values[each.path]) for each in dimensions}


def _without_rounding(dimension: Dimension, value: Value) -> Value:
    """Return 0.3 for 0.30000000000000004 of a range with steps."""
    if dimension.kind != "float" or dimension.step is None or dimension.low is None:
        return value
    assert isinstance(value, float)
    return dimension.value(round((value - dimension.low) / dimension.step))


def combination(
    dimensions: Sequence[Dimension], index: int, *, spread: bool = False
) -> dict[str, Value]:
    """Return one combination of values by its index in the grid.

    They are in the order of nested loops, the last dimension innermost. If they are spread, the
    index advances by a stride near the golden ratio of their number and coprime to it: none is
    repeated, and the first few come from all over the grid.

    Args:
        dimensions: none of them continuous.
        index: from 0.
        spread: whether to spread them.
    """
    if spread:
        number = count_combinations(dimensions) or 1
        stride = max(1, round(number * _GOLDEN_RATIO))
        while math.gcd(stride, number) > 1:
            stride += 1
        index = index * stride % number
    values: dict[str, Value] = {}
    for dimension in reversed(dimensions):
        index, at = divmod(index, dimension.size or 1)
        values[dimension.path] = dimension.value(at)
    return {dimension.path: values[dimension.path] for dimension in dimensions}


def distribution_of(
    dimension: Dimension | StoredDimension, choices: Sequence[Value]
) -> distributions.BaseDistribution:
    """Return a dimension as an Optuna distribution.

    Args:
        dimension: the dimension.
        choices: the values of a choice, or what stands for them.
    """
    if dimension.kind == "choice":
        return distributions.CategoricalDistribution(choices)
    low, high, step = dimension.low or 0.0, dimension.high or 0.0, dimension.step
    if dimension.kind == "float":
        return distributions.FloatDistribution(low, high, log=dimension.log, step=step)
    return distributions.IntDistribution(
        int(low), int(high), log=dimension.log, step=int(step or 1)
    )


def make_pruner(plan: SearchPlan) -> pruners.BasePruner:
    """Return Optuna's pruner: by the median at epochs; after a fold the worst quarter.

    Means over folds differ little, and a further fold is cheap once its program is compiled: the
    median would prune half of the good candidates for a difference that is noise.
    """
    section = plan.tune.pruner
    if not isinstance(section, MedianPruning):
        return pruners.NopPruner()
    at_epochs = pruners.MedianPruner(
        section.startup_trials, math.ceil(section.warmup * plan.epochs)
    )
    after_folds = pruners.PercentilePruner(_KEPT_AFTER_FOLD, section.startup_trials)

    class PrunerByStep(pruners.BasePruner):
        """Applies one of them; Optuna has no pruner with two thresholds."""

        def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
            last = trial.last_step or 0
            if last <= plan.max_epochs:
                return at_epochs.prune(study, trial)
            latest = copy.copy(trial)  # Optuna would take the best of all steps
            latest.intermediate_values = {last: trial.intermediate_values[last]}
            return after_folds.prune(study, latest)

    return PrunerByStep()


def candidate_numbers(trials: Iterable[FrozenTrial]) -> dict[int, int]:
    """Return the number of each trial's candidate, from 0, by the number of the trial.

    Retried trials have the candidate of the original one.
    """
    numbers: dict[int, int] = {}
    count = 0
    for trial in sorted(trials, key=lambda trial: trial.number):
        original = trial.system_attrs.get(ORIGINAL)
        if isinstance(original, int) and original in numbers:
            numbers[trial.number] = numbers[original]
        else:
            numbers[trial.number] = count
            count += 1
    return numbers


# What its trials share


@dataclass(frozen=True, eq=False)
class SearchContext:
    """The objects that all trials of a search share in one process."""

    file: ConfigFile
    """The original config, of which candidates are variants."""
    plan: SearchPlan
    splits: tuple[Split, ...]
    """The rows to train and evaluate each candidate on: one split for each fold, see `rows_of`."""
    fits: FitContext

    @classmethod
    def of(cls, file: ConfigFile, dataset: Dataset, log: Events) -> SearchContext:
        """Return the context of a config and its rows.

        Args:
            file: the config.
            dataset: the rows.
            log: receives warnings about the rows.

        Raises:
            ConfigError: if there are no rows to evaluate candidates on, or the metric does not fit
                the target.
            DataError: if there are too few rows for the folds.
        """
        head = resolve_head(file.config, dataset.task)  # which refuses a metric of another task
        file = replace(file, config=rename_metrics(file.config, head.renamed))
        plan = SearchPlan.of(file)
        splits = make_splits(dataset, plan)
        any_size = any(_is_size(parse_path(each.path)) for each in plan.dimensions)
        fits = plan.fits_per_program(len(splits))
        return cls(
            file, plan, splits, FitContext(dataset, file.config, log, fits, any_size=any_size)
        )

    @property
    def outer_folds(self) -> int:
        """The number of outer folds of a nested cross-validation."""
        return self.plan.tune.folds or DEFAULT_FOLDS

    def rows_of(self, config: Config, split: Split) -> Split:
        """Return the rows of a split as a candidate uses them.

        Members of an ensemble with folds are validated on training rows. The held-out rows of the
        search then become test rows, which only evaluate the ensemble.
        """
        if self.plan.tune.folds is None or config.ensemble_folds is None:
            return split
        return Split(split.train, None, split.validation)


def make_splits(dataset: Dataset, plan: SearchPlan) -> tuple[Split, ...]:
    """Return the split of each fold, the same for all candidates.

    The held-out rows of a fold are also used for early stopping, unless the config is an ensemble
    with folds. Their metrics are therefore too optimistic; metrics of test rows or outer folds,
    which the search does not use, are not.

    Raises:
        ConfigError: if there are more folds than rows.
        DataError: if there are too few groups or times.
    """
    if plan.tune.folds is None:
        return (Split(dataset.split.train, dataset.split.validation, None),)
    rows = dataset.candidates
    check_folds(plan.tune, rows.rows)
    choice, classes = dataset.split_choice, dataset.task.class_column
    folds = make_folds(rows, choice, classes, plan.tune.folds, (plan.seed, 1))
    return tuple(Split(rows.take(fold.train), rows.take(fold.held_out), None) for fold in folds)


def _is_size(path: tuple[str | int, ...]) -> bool:
    """Return whether a setting only changes sizes, so candidates can share a graph."""
    if path[0] in ("hidden", HIDDEN_LAYERS):  # all of it, layers by number, or their units
        return path[-1] in ("hidden", "units") or isinstance(path[-1], int)
    return path == ("batch_size",)


@dataclass(frozen=True)
class TimeBudget:
    """The time limit of a search, after which no trial starts."""

    seconds: float | None = None
    """The limit in seconds; `None` for no limit."""
    start: float = field(default_factory=lambda: time.time())
    """The start of the search in seconds since 1970, by the clock that all processes share."""

    @property
    def spent(self) -> float:
        """Seconds since the start of the search, including the time before an interruption."""
        return time.time() - self.start

    @property
    def is_over(self) -> bool:
        """True if no further trial may start."""
        return self.seconds is not None and self.spent >= self.seconds
