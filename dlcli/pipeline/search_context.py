"""The context that all trials of a search share: objective, search space, rows and budget."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from dlcli.config.config_file import ConfigFile
from dlcli.config.config_schema import Config
from dlcli.config.search_space import Dimension, Value, count_combinations, dimensions_of
from dlcli.config.tune_section import HIDDEN_LAYERS, Pruner, Tpe, Tune
from dlcli.errors import ConfigError, Problem, override
from dlcli.metrics.definitions import is_higher_better
from dlcli.network.head import rename_metrics, resolve_head
from dlcli.pipeline.events import Events
from dlcli.pipeline.fit import FitContext
from dlcli.pipeline.preparation import Dataset
from dlcli.runs import documents
from dlcli.runs.documents import Direction
from dlcli.schema.yaml_document import parse_path
from dlcli.splitting import Split, make_folds

LOSS = "loss"
_MAX_REPORTS = 10
"""Epochs at which a candidate is compared with others, at most; each value is stored."""
_RUNTIME_VALUES = (
    *("learning_rate", "weight_decay", "dropout", "l1", "l2", "factor", "seed", "epochs"),
)
"""Settings whose values share a compiled program, see `dlcli.training.RuntimeValues`."""
_TRIALS_BY_TIME = 1_000
"""Assumed number of trials if only time limits them."""
_MANY_COMBINATIONS = 10_000
"""Combinations above which a grid without limits is probably a mistake."""
_GOLDEN_RATIO = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class SearchSettings:
    """The settings of a search that do not change its candidates."""

    jobs: int = 1
    """Processes that evaluate candidates in parallel."""
    storage: str | None = None
    """The URL of a database that processes and machines share; `None`: a file in the run folder."""
    nested: bool = False
    """True to evaluate the whole search by nested cross-validation, too."""


@dataclass(frozen=True)
class SearchPlan:
    """All that candidates depend on, besides the rows and the results of earlier trials."""

    name: str
    """The name of the study, by which processes find it in a storage."""
    metric: str
    """The metric that is optimized: `val_loss`, `val_accuracy`, ..."""
    dimensions: tuple[Dimension, ...]
    sampler: Literal["random", "grid", "tpe"]
    seed: int
    trials: int | None
    """Number of candidates; `None`: as many as time allows."""
    startup_trials: int
    """Random candidates before `tpe` uses their results."""
    pruner: Pruner
    epochs: int
    """Epochs of the original config."""

    @classmethod
    def of(cls, file: ConfigFile) -> SearchPlan:
        """Return the plan of a config.

        Raises:
            ConfigError: if it has no rows to evaluate candidates on.
        """
        tune = tune_section(file)
        sampler = tune.sampler
        return cls(
            name=file.name,
            metric=tune.metric,
            dimensions=dimensions_of(tune),
            sampler=sampler.name,
            seed=file.config.seed,
            trials=max_trials(tune),
            startup_trials=sampler.startup_trials if isinstance(sampler, Tpe) else 0,
            pruner=tune.pruner,
            epochs=file.config.epochs,
        )

    @property
    def objective(self) -> str:
        """The name of the metric in `metrics.json`, or `loss`."""
        return self.metric.removeprefix("val_")

    @property
    def direction(self) -> Direction:
        """The direction in which it is optimized."""
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
        """Epochs of the first fold from one comparison of candidates to the next."""
        return max(1, math.ceil(self.epochs / _MAX_REPORTS))

    @property
    def max_epochs(self) -> int:
        """Most epochs of any candidate: the last step of a comparison that is an epoch."""
        varied = [each for each in self.dimensions if each.path == "epochs"]
        ends = [end for each in varied for end in (each.high, *each.labels)]
        return max([self.epochs, *(int(end) for end in ends if isinstance(end, int | float))])

    def step_after_fold(self, number: int) -> int:
        """Return the step at which candidates are compared after a fold, from 1."""
        return self.max_epochs + number


@dataclass(frozen=True, eq=False)
class SearchContext:
    """The objects that all trials of a search share in one process."""

    file: ConfigFile
    """The original config, of which candidates are variants."""
    tune: Tune
    plan: SearchPlan
    splits: tuple[Split, ...]
    """The rows to train and evaluate each candidate on: one split for each fold, see `rows_of`."""
    fits: FitContext

    @classmethod
    def of(cls, file: ConfigFile, dataset: Dataset, events: Events) -> SearchContext:
        """Return the context of a config and its rows.

        Args:
            file: the config.
            dataset: the rows.
            events: receives warnings about the rows.

        Raises:
            ConfigError: if there are no rows to evaluate candidates on, or the metric does not fit
                the target.
            DataError: if there are too few rows for the folds.
        """
        head = resolve_head(file.config, dataset.task)  # which refuses a metric of another task
        file = replace(file, config=rename_metrics(file.config, head.renamed))
        tune, plan = tune_section(file), SearchPlan.of(file)
        splits = make_splits(dataset, tune, file.config.seed)
        fits = FitContext(
            dataset,
            file.config,
            events,
            fits_per_program(tune, len(splits)),
            any_size=any(_is_size(parse_path(each.path)) for each in dimensions_of(tune)),
        )
        return cls(file, tune, plan, splits, fits)

    def rows_of(self, config: Config, split: Split) -> Split:
        """Return the rows of a split as a candidate uses them.

        The members of an ensemble with folds are validated on its training rows, so that the rows
        of a fold of the search only evaluate it, as test rows do.
        """
        if self.tune.folds is None or config.ensemble_folds is None:
            return split
        return Split(split.train, None, split.validation)


class TimeBudget:
    """The time in which trials may start.

    Args:
        seconds: how long; `None`: no limit.
        spent: seconds that earlier processes have used.
        clock: gives the time in seconds; the system clock is the same for all processes.
    """

    def __init__(
        self, seconds: float | None, spent: float = 0.0, clock: Callable[[], float] = time.time
    ) -> None:
        self._seconds = math.inf if seconds is None else seconds
        self._clock = clock
        self._start = clock() - spent

    @property
    def spent(self) -> float:
        """Seconds so far, including those of earlier processes."""
        return self._clock() - self._start

    @property
    def is_over(self) -> bool:
        """True if no further trial may start."""
        return self.spent >= self._seconds


def tune_section(file: ConfigFile) -> Tune:
    """Return the search section of a config.

    Raises:
        ConfigError: if there would be no rows to evaluate candidates on.
    """
    config = file.config
    assert config.tune is not None  # see `with_search_space`
    if config.tune.folds is None and not config.has_validation:
        message = (
            "is missing, and there are no validation rows to evaluate candidates on; set "
            "tune.folds: 5 or data.validation: 0.15"
        )
        raise ConfigError([Problem("tune.folds", message)])
    return config.tune


def make_splits(dataset: Dataset, tune: Tune, seed: int) -> tuple[Split, ...]:
    """Split the rows to train and evaluate on, the same way for all candidates.

    The rows of a fold are also used for early stopping, as validation rows are when the config is
    trained by itself, unless it is an ensemble with folds of its own. Their metrics are therefore
    optimistically biased; test rows or outer folds, which are not used at all, show by how much.

    Raises:
        ConfigError: for more folds than rows.
        DataError: for too few groups or times.
    """
    if tune.folds is None:
        return (Split(dataset.split.train, dataset.split.validation, None),)
    rows = dataset.candidates
    if tune.folds > rows.rows:
        message = f"expected at most {rows.rows}, the number of rows, got {tune.folds}"
        raise ConfigError([Problem("tune.folds", message)])
    choice, classes = dataset.split_choice, dataset.task.class_column
    folds = make_folds(rows, choice, classes, tune.folds, (seed, 1))
    return tuple(Split(rows.take(fold.train), rows.take(fold.held_out), None) for fold in folds)


def max_trials(tune: Tune) -> int | None:
    """Return the maximum number of candidates; `None`: as many as time allows.

    No combination of values is tried twice.
    """
    limits = [tune.most_trials, count_combinations(dimensions_of(tune))]
    return min((limit for limit in limits if limit is not None), default=None)


def warn_of_large_grid(tune: Tune, events: Events) -> None:
    """Warn of a large grid that neither `trials` nor `time` limits."""
    number = max_trials(tune)
    if tune.trials is tune.time is None and number is not None and number > _MANY_COMBINATIONS:
        message = (
            f"all {number:,} combinations will be tried; to try fewer, from all over the grid: "
            f"{override('tune.trials', 100)}, or {override('tune.time', '1h')}"
        )
        events.warn(message)


def fits_per_program(tune: Tune, folds: int) -> int:
    """Estimate how many fits will share a compiled program, see `RuntimeValues`.

    Args:
        tune: the search.
        folds: fits of a candidate.
    """
    shapes = [
        each for each in dimensions_of(tune) if parse_path(each.path)[-1] not in _RUNTIME_VALUES
    ]
    number = count_combinations(shapes)
    if number is None:
        return folds
    return folds * max(1, (max_trials(tune) or _TRIALS_BY_TIME) // number)


def _is_size(path: tuple[str | int, ...]) -> bool:
    """Return whether a setting may change sizes alone, for which candidates share a graph."""
    if path[0] in ("hidden", HIDDEN_LAYERS):  # all of it, layers by number, or their units
        return path[-1] in ("hidden", "units") or isinstance(path[-1], int)
    return path == ("batch_size",)


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
    dimension: Dimension | documents.StoredDimension, choices: Sequence[Value]
) -> BaseDistribution:
    """Return a dimension as an Optuna distribution.

    Args:
        dimension: the dimension.
        choices: the values of a choice, or what stands for them.
    """
    if dimension.kind == "choice":
        return CategoricalDistribution(choices)
    low, high, step = dimension.low or 0.0, dimension.high or 0.0, dimension.step
    if dimension.kind == "float":
        return FloatDistribution(low, high, log=dimension.log, step=step)
    return IntDistribution(int(low), int(high), log=dimension.log, step=int(step or 1))
