"""What all trials of a search share: rows and folds, search space, budget and settings."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from dlcli.config import Config, ConfigFile, Dimension, Tpe, Tune, Value, dimensions_of, parse_path
from dlcli.errors import ConfigError, Problem, did_you_mean
from dlcli.network import resolve_head
from dlcli.pipeline.data_loading import Dataset
from dlcli.pipeline.events import Events
from dlcli.pipeline.fit import FitContext
from dlcli.pipeline.objective import LOSS, Goal, Steps, can_prune_at_epochs
from dlcli.splitting import Split, make_folds
from dlcli.tasks import Task


@dataclass(frozen=True)
class SearchSettings:
    """How a search is carried out."""

    jobs: int = 1
    """Processes that try candidates."""
    storage: str | None = None
    """The URL of a database that processes and machines share; a file in the run folder, if left
    out."""
    nested: bool = False
    """Whether the whole search is judged, too, by rows that it doesn't see."""


class Budget:
    """The time in which trials may begin.

    Args:
        seconds: how long; `None`: without end.
        spent: what of it earlier processes have used up.
        clock: tells the time, in seconds.
    """

    def __init__(
        self,
        seconds: float | None,
        spent: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = math.inf if seconds is None else seconds
        self._clock = clock
        self._began = clock() - spent

    @property
    def spent(self) -> float:
        """Seconds so far, those of earlier processes included."""
        return self._clock() - self._began

    @property
    def left(self) -> float:
        """Seconds in which trials may still begin; infinite without a limit."""
        return max(0.0, self._seconds - self.spent)

    @property
    def is_over(self) -> bool:
        """Whether no trial may begin any more."""
        return self.left <= 0.0


_GOLDEN = (math.sqrt(5) - 1) / 2


def combinations(dimensions: Sequence[Dimension]) -> int | None:
    """How many combinations of values there are; `None` if they are without number."""
    sizes = [dimension.size for dimension in dimensions]
    known = [size for size in sizes if size is not None]
    return math.prod(known) if len(known) == len(sizes) else None


def combination(
    dimensions: Sequence[Dimension], place: int, *, spread: bool = False
) -> dict[str, Value]:
    """The combination at a place of the grid.

    They come in the order of nested loops, the last dimension the innermost; or spread, with a
    stride of about the golden section of their number, which has no factor in common with it: none
    comes twice, and however few there are, they are from all over the grid.

    Args:
        dimensions: whose values can be counted.
        place: from 0, and below their number.
        spread: whether they are spread.
    """
    if spread:
        number = combinations(dimensions) or 1
        place = place * _stride(number) % number
    chosen: dict[str, Value] = {}
    for dimension in reversed(dimensions):
        place, at = divmod(place, dimension.size or 1)
        chosen[dimension.path] = dimension.value(at)
    return {dimension.path: chosen[dimension.path] for dimension in dimensions}


def _stride(number: int) -> int:
    stride = max(1, round(number * _GOLDEN))
    while math.gcd(stride, number) > 1:
        stride += 1
    return stride


_NUMBERS = ("learning_rate", "weight_decay", "dropout", "l1", "l2", "factor", "seed", "epochs")
"""Settings that programs are not made for, or for a few of their values only."""
_MANY = 1_000
"""Trials, if only time bounds them."""
_TOO_MANY = 10_000
"""Trials that hardly anybody can wish for."""


@dataclass(frozen=True, eq=False)
class Work:
    """What all trials of a search have in common."""

    file: ConfigFile
    """The config, of which candidates are variants."""
    tune: Tune
    goal: Goal
    dimensions: tuple[Dimension, ...]
    parts: tuple[Split, ...]
    """The rows to train on and to be judged by: a fold each, or all with the validation rows."""
    context: FitContext

    @classmethod
    def of(cls, file: ConfigFile, dataset: Dataset, events: Events) -> Work:
        """That of a config and the rows that may choose.

        Args:
            file: the config, with what it searches for.
            dataset: the rows.
            events: are told what is found in the rows.

        Raises:
            ConfigError: if there are no rows to judge by, or the metric is none of the target.
            DataError: if there are too few rows for the folds.
        """
        tune = searched(file)
        check_goal(file, dataset.target)
        parts = parts_of(dataset, tune, file.config.seed)
        fits = trainings_a_program(tune, len(parts))
        context = FitContext(dataset, file.config, events, fits)
        return cls(file, tune, Goal(tune.metric), dimensions_of(tune), parts, context)

    @property
    def steps(self) -> Steps:
        """When candidates are compared."""
        return steps_of(self.file.config)

    @property
    def prunes_at_epochs(self) -> bool:
        """Whether what epochs show can be compared."""
        return can_prune_at_epochs(self.goal, self.dimensions)


def searched(file: ConfigFile) -> Tune:
    """What a config searches for.

    Raises:
        ConfigError: if it says nothing of that, or there would be no rows to judge by.
    """
    config = file.config
    if config.tune is None:
        message = (
            "is missing: say what to vary, as in --set "
            "'tune={space: {optimizer.learning_rate: {low: 1e-4, high: 1e-1, log: true}}}'"
        )
        raise ConfigError([Problem("tune", message)])
    if config.tune.folds is None and not config.data.has_validation:
        message = (
            "is missing, and so are validation rows: there is nothing to judge candidates by; set "
            "tune.folds: 5 or data.validation: 0.15"
        )
        raise ConfigError([Problem("tune.folds", message)])
    return config.tune


def most_trials(tune: Tune) -> int | None:
    """How many trials there are at most; `None`: as many as there is time for.

    What has been tried is not tried again, so there are no more than combinations of values.
    """
    bounds = [tune.most_trials, combinations(dimensions_of(tune))]
    return min((bound for bound in bounds if bound is not None), default=None)


def warn_of_many(tune: Tune, events: Events) -> None:
    """Warns of a grid that is too large to be tried, and that nothing bounds."""
    number = most_trials(tune)
    if tune.trials is tune.time is None and number is not None and number > _TOO_MANY:
        message = (
            f"all {number:,} combinations will be tried; to try fewer, from all over the grid: "
            "--set tune.trials=100, or --set tune.time=1h"
        )
        events.emit("warning", message=message)


def trainings_a_program(tune: Tune, parts: int) -> int:
    """About how many trainings will share a program, over which compiling it pays.

    Candidates that differ only in numbers do.

    Args:
        tune: what is searched for.
        parts: trainings of a candidate.
    """
    shapes = [each.size for each in dimensions_of(tune) if not _is_number(each)]
    known = [size for size in shapes if size is not None]
    if len(known) < len(shapes):
        return parts
    return parts * max(1, (most_trials(tune) or _MANY) // math.prod(known))


def _is_number(dimension: Dimension) -> bool:
    """Whether programs are not made for its values, see `dlcli.training.RuntimeValues`."""
    return parse_path(dimension.path)[-1] in _NUMBERS


def check_goal(file: ConfigFile, target: Task) -> None:
    """Refuses a metric that the target doesn't have.

    Raises:
        ConfigError: with those that it has.
    """
    goal = Goal(searched(file).metric)
    known = target.metric_names(resolve_head(file.config, target).loss)
    if goal.name not in (LOSS, *known):
        names = [f"val_{name}" for name in (LOSS, *known)]
        hint = did_you_mean(goal.metric, names) or f"; allowed: {', '.join(names)}"
        message = f"'{goal.metric}' is no metric of {target.name}{hint}"
        raise ConfigError([Problem("tune.metric", message)])


def parts_of(dataset: Dataset, tune: Tune, seed: int) -> tuple[Split, ...]:
    """The rows to train on and to be judged by, the same for all candidates.

    The rows of a fold also steer: early stopping looks at them, as it looks at validation rows when
    the config is trained by itself. So what they say is a little too good; rows that took no part
    at all, those of the test split or of outer folds, tell by how much.

    Raises:
        ConfigError: for more folds than rows.
        DataError: for too few groups or times.
    """
    if tune.folds is None:
        return (Split(dataset.split.train, dataset.split.validation, None),)
    rows = dataset.candidates
    if tune.folds > rows.rows:
        message = f"expected at most {rows.rows}, as many as there are rows, got {tune.folds}"
        raise ConfigError([Problem("tune.folds", message)])
    choice, classes = dataset.split_choice, dataset.class_column
    folds = make_folds(rows, choice, classes, tune.folds, (seed, 1))
    return tuple(Split(rows.take(fold.train), rows.take(fold.held_out), None) for fold in folds)


def steps_of(config: Config) -> Steps:
    """When the candidates of a config are compared."""
    dimensions = () if config.tune is None else dimensions_of(config.tune)
    varied = [each for each in dimensions if each.path == "epochs"]
    ends = [end for each in varied for end in (each.high, *each.labels)]
    most = max([config.epochs, *(int(end) for end in ends if isinstance(end, int | float))])
    return Steps(config.epochs, most)


@dataclass(frozen=True)
class Plan:
    """What trials follow from, besides the trials before them."""

    name: str
    """The study's, by which processes find each other in a storage."""
    direction: Literal["minimize", "maximize"]
    dimensions: tuple[Dimension, ...]
    sampler: Literal["random", "grid", "tpe"]
    seed: int
    trials: int | None
    """How many there are to be; `None`: as many as there is time for."""
    startup: int = 10
    """Trials by lot before `tpe` looks at them."""

    @classmethod
    def of(cls, file: ConfigFile) -> Plan:
        """That of a config.

        Raises:
            ConfigError: if it says nothing of what to search for.
        """
        tune = searched(file)
        sampler = tune.sampler
        return cls(
            name=file.name,
            direction=Goal(tune.metric).direction,
            dimensions=dimensions_of(tune),
            sampler=sampler.name,
            seed=file.config.seed,
            trials=most_trials(tune),
            startup=sampler.startup_trials if isinstance(sampler, Tpe) else 0,
        )
