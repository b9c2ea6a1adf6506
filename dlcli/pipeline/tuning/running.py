"""Trials one after the other, until there are enough or the time is over."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from dlcli.pipeline.checkpointing import StopOnSignal
from dlcli.pipeline.events import Events
from dlcli.pipeline.search_document import TrialResult, best_trial
from dlcli.pipeline.tuning.budget import Budget
from dlcli.pipeline.tuning.pruning import Watch
from dlcli.pipeline.tuning.storage import BEAT
from dlcli.pipeline.tuning.study import Asked, Study
from dlcli.pipeline.tuning.trial import try_values
from dlcli.pipeline.tuning.work import Work

MOMENT = 1.0
"""Seconds from one look at what other processes do to the next."""
_PATIENCE = 15
"""Looks after which it is looked again whether those processes live."""


def run_trials(
    work: Work,
    study: Study,
    budget: Budget,
    keeper: StopOnSignal,
    events: Events,
) -> None:
    """Tries candidates until all places are taken or the time is over.

    The config as given is tried first, as a candidate is, by whoever has the first place. However
    short the time is, one candidate is tried after it.

    Args:
        work: what all trials have in common.
        study: where they are asked for and told.
        budget: how long trials may begin.
        keeper: ends it when a signal comes; it heeds them already.
        events: are told of each trial once it is stored, and of `progress`.

    Raises:
        Interrupted: if a signal has come; what was being tried is tried again then.
        ConfigError, DataError: if the config as given can't be trained.
        TrainingError: if nothing can be stored.
    """
    looks = 0
    while not (budget.is_over and study.results()):
        keeper.check()
        asked = study.ask()
        if asked is not None:
            with _left_to_others(), _given_back(study, asked), _alive(study, asked):
                _carry_out(work, study, asked, budget, keeper, events)
        elif not study.is_shared or not study.under_way:
            return
        else:
            time.sleep(MOMENT)
            looks += 1
            if looks % _PATIENCE == 0:
                study.mend()


def _carry_out(
    work: Work, study: Study, asked: Asked, budget: Budget, keeper: StopOnSignal, events: Events
) -> None:
    """Tries a candidate, and before the first one the config as given."""
    _tell_progress(work, study, events)
    if asked.place == 0 and study.default is None:
        default = try_values(work, {}, Watch(work.goal, work.steps, lambda *_: False), keeper)
        study.default = default
        events.emit("default", metric=work.goal.metric, **told(default))
    result = _tried(work, study, asked, keeper)
    study.tell(asked, result, budget.spent)
    results, metric = study.results(), work.goal.metric
    best = _best(study, results)
    events.emit(
        "trial",
        number=asked.place,
        of=study.plan.trials,
        ended=len(results),
        metric=metric,
        **told(result),
        **best,
    )


def _tell_progress(work: Work, study: Study, events: Events) -> None:
    results = study.results()
    fields = {"trial": len(results) + 1, "of": study.plan.trials, "metric": work.goal.metric}
    events.emit("progress", **fields, **_best(study, results))


def _best(study: Study, results: Sequence[TrialResult]) -> dict[str, object]:
    """The best trial so far."""
    best = best_trial(results, study.plan.direction)
    number, value = (None, None) if best is None else (best.number, best.value)
    return {"best": number, "best_value": value}


def _tried(work: Work, study: Study, asked: Asked, keeper: StopOnSignal) -> TrialResult:
    def report(value: float, step: int) -> bool:
        return study.report(asked, value, step)

    watch = Watch(work.goal, work.steps, report, with_epochs=work.prunes_at_epochs)
    return try_values(work, asked.values, watch, keeper)


def told(result: TrialResult) -> dict[str, object]:
    """What an event tells of a trial."""
    names = {"state", "value", "standard_error", "values", "parameters", "epochs", "seconds"}
    return result.model_dump(mode="json", include=names | {"folds", "worker", "problem"})


@contextmanager
def _left_to_others() -> Iterator[None]:
    """Drops a trial that others have ended, and try again: this process seemed dead to them.

    So does one whose machine slept.
    """
    from optuna.exceptions import UpdateFinishedTrialError

    with suppress(UpdateFinishedTrialError):
        yield


@contextmanager
def _given_back(study: Study, asked: Asked) -> Iterator[None]:
    """Has a trial tried again by somebody, if it isn't told of."""
    try:
        yield
    except BaseException:
        study.give_back(asked)
        raise


@contextmanager
def _alive(study: Study, asked: Asked) -> Iterator[None]:
    """Gives signs of life of a trial, where others might take its process for dead."""
    beat = study.heartbeat(asked)
    if beat is None:
        yield
        return
    ended = threading.Event()

    def go_on() -> None:
        while not ended.wait(BEAT):
            beat()

    beat()
    thread = threading.Thread(target=go_on, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
