"""The time limit of a training: the number of epochs that fit into it, measured beforehand.

The number is fixed before the first epoch of the run and replaces `time` in its resolved config. So
learning rate schedules end with the last epoch, all members of an ensemble are trained for the same
number of epochs, and a resumed or reproduced training has the same weights to the bit, also on a
machine that is slower at that time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace

from dlcli import errors
from dlcli.cluster import Workers
from dlcli.config.config_schema import Config, KerasEngine
from dlcli.pipeline.events import Events, TimeLimitEvent
from dlcli.pipeline.fit import fit
from dlcli.pipeline.members import FitObserver
from dlcli.pipeline.preparation import FitPlan, FitRows
from dlcli.schema.yaml_document import format_path

_SHARE = 0.02
"""Share of the limit that is measured, within `_SHORTEST` and `_LONGEST`."""
_SHORTEST, _LONGEST = 0.5, 5.0
"""Bounds of the measured time, in seconds."""
_SLOW, _LONGEST_COMPILING = 0.25, 20.0
"""Share of the limit, and number of seconds, from which the first epoch alone is the measurement,
because most of it is training rather than compiling."""
_FIRST_DISPATCH = 0.02
"""Seconds in which the epochs of a dispatch are reported. The epochs of the first dispatch are not
counted, because their duration is unknown."""
_RESERVE = 0.05
"""Share of the limit that remains unused, because later epochs may be slower."""


def check_workers(config: Config, workers: Workers) -> None:
    """Refuse a time limit for several workers, which would measure different numbers of epochs.

    Raises:
        ConfigError: for a time limit.
    """
    if config.time is not None and workers.size > 1:
        message = "can't be combined with several workers; set epochs instead and omit it: "
        raise errors.ConfigError([errors.Problem("time", message + errors.override("time", None))])


def within_time_limit(
    config: Config,
    rows: FitRows,
    plan: FitPlan,
    events: Events,
    clock: Callable[[], float] = time.monotonic,
) -> Config:
    """Return the config with the number of epochs that fit into its time limit, and without it.

    Some epochs are trained for the measurement, and their result is discarded.

    Args:
        config: the config; it is returned unchanged without a limit.
        rows: the encoded rows.
        plan: the network and its training.
        events: receives the number of epochs.
        clock: returns the time in seconds.

    Raises:
        ConfigError: if the limit allows too few epochs for other settings.
        OutOfMemoryError, TrainingError: see `fit`.
    """
    if (limit := config.time) is None:
        return config
    watch = _StopWatch(limit, clock)
    has_trial = config.ensemble is not None and config.input.scaling_layer == "auto"
    fixed = plan.config.with_scaling_layer(plan.config.input.scaling_multiplier)
    with suppress(_Measured, errors.DivergenceError):  # if it diverges, training will report it
        fit(rows, replace(plan, config=fixed), observer=watch)
    networks = config.networks + has_trial
    # Networks share a compiled program; Keras compiles each of them.
    compilations = networks if isinstance(plan.engine, KerasEngine) else 1
    seconds, compiling = networks * watch.seconds_per_epoch, compilations * watch.preparation
    left = limit * (1 - _RESERVE) - (clock() - watch.start) - compiling
    epochs = config.epochs
    if seconds and seconds * epochs > left:
        epochs = max(1, math.floor(left / seconds))
    events.emit(
        TimeLimitEvent(limit=limit, epochs=epochs, of=config.epochs, seconds_per_epoch=seconds)
    )
    if seconds and seconds * epochs > left:
        each = "an epoch" if networks == 1 else "an epoch of each network"
        reason = f"{each} takes about {seconds:.3g} s"
        if seconds <= left + watch.preparation + compiling:  # for the measurement, and after it
            times = "twice" if compilations == 1 else f"{1 + compilations} times"
            reason = f"compiling takes about {watch.preparation:.3g} s and is done {times}"
        events.warn(f"time: {reason}, so training exceeds the limit")
    limited = config.within_epochs(epochs)
    _check_epochs(limited)
    return limited


def _check_epochs(config: Config) -> None:
    """Refuse settings that need more epochs than the limit allows.

    Raises:
        ConfigError: with the settings.
    """
    problems = []
    for place, message in config.epoch_conflicts():
        path = format_path(place) if isinstance(place, tuple) else place
        text = f"allows about {errors.plural(config.epochs, 'epoch')}, but {path} {message}"
        problems.append(errors.Problem("time", f"{text}; allow more time, or change {path}"))
    if problems:
        raise errors.ConfigError(problems)


class _Measured(Exception):
    """Enough epochs were measured."""


class _StopWatch(FitObserver):
    """Measures the epochs of all networks that are trained, and ends training after some.

    Args:
        limit: the time limit in seconds.
        clock: returns the time in seconds.
    """

    def __init__(self, limit: float, clock: Callable[[], float]) -> None:
        super().__init__()
        self.start = clock()
        self._limit, self._clock = limit, clock
        self._measured = min(max(_SHARE * limit, _SHORTEST), _LONGEST)
        self._first = self._last = math.nan
        self._count = 0

    def epoch(self, member: int, epoch: int, values: Mapping[str, float]) -> None:
        """Count an epoch.

        Raises:
            _Measured: after enough epochs.
        """
        self._last = self._clock()
        if math.isnan(self._first):
            self._first = self._last
        if self._last - self._first >= _FIRST_DISPATCH:
            self._count += 1
        if self._is_slow or (self._count and self._last - self._first >= self._measured):
            raise _Measured

    @property
    def _is_slow(self) -> bool:
        return self._first - self.start >= max(_SLOW * self._limit, _LONGEST_COMPILING)

    @property
    def preparation(self) -> float:
        """The time to compile the program, which training needs again, in seconds."""
        if not self._count:
            return 0.0
        return max(0.0, self._first - self.start - self.seconds_per_epoch)

    @property
    def seconds_per_epoch(self) -> float:
        """The time per epoch of one network, with all that are trained in parallel, in seconds.

        It is 0 if all epochs were trained at once.
        """
        if self._count:
            return (self._last - self._first) / self._count
        return self._first - self.start if self._is_slow else 0.0
