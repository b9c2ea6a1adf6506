"""The trials of a search: evaluated one after the other, in one process or in several."""

from __future__ import annotations

import gc
import math
import statistics
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dlcli.config import Config, ConfigFile, Value, candidate
from dlcli.errors import ConfigError, DataError, DivergenceError, OutOfMemoryError, plural
from dlcli.pipeline.checkpointing import StopOnSignal
from dlcli.pipeline.data_loading import read_candidates
from dlcli.pipeline.events import Events, Listener
from dlcli.pipeline.objective import Judgement, Pruned, Watch, judge, mean_metrics, pruner_of
from dlcli.pipeline.run_recording import read_resolved
from dlcli.pipeline.search_context import Budget, Plan, Work, searched, steps_of
from dlcli.pipeline.search_document import State, TrialResult, best_trial, standard_error_of_folds
from dlcli.pipeline.search_storage import BEAT, kept_in, open_database, open_journal
from dlcli.pipeline.search_study import Asked, Study
from dlcli.pipeline.trial_records import worker_name
from dlcli.runs import RunWriter

if TYPE_CHECKING:
    from dlcli.pipeline.fit import FitResult
    from dlcli.training import Checkpointer


def trial_stop(writer: RunWriter, study: Study | None = None) -> StopOnSignal:
    """Return what ends the training of a candidate when a signal arrives.

    Args:
        writer: the run.
        study: gives the number of finished trials for the message.
    """

    def describe() -> str:
        return plural(0 if study is None else len(study.results()), "trial")

    return StopOnSignal(writer, describe, resumable=True)


@dataclass
class _Seen:
    """What was seen of a candidate so far, part by part."""

    judgements: list[Judgement] = field(default_factory=list)
    parameters: list[int] = field(default_factory=list)
    epochs: list[int] = field(default_factory=list)
    best_epochs: list[int] = field(default_factory=list)

    def take(self, judgement: Judgement, outcome: FitResult) -> None:
        """Takes in a part."""
        trained = outcome.training
        self.judgements.append(judgement)
        self.parameters.append(outcome.parameters)
        self.epochs.append(trained.epochs)
        self.best_epochs.append(trained.best_epoch or trained.epochs)

    @property
    def values(self) -> list[float | None]:
        """The value of each part."""
        return [each.value for each in self.judgements]

    @property
    def mean(self) -> float | None:
        """The mean over the parts; `None` if one is undefined."""
        known = [value for value in self.values if value is not None]
        is_whole = known and len(known) == len(self.values)
        return math.fsum(known) / len(known) if is_whole else None

    @property
    def standard_error(self) -> float | None:
        """Over parts, or over the rows of the only one."""
        if len(self.judgements) > 1:
            return standard_error_of_folds(self.values)
        return self.judgements[0].standard_error

    def fields(self, parts: int) -> dict[str, Any]:
        """What a result tells of those parts that were judged."""
        return {
            "folds": tuple(self.values) if parts > 1 else (),
            "metrics": mean_metrics(self.judgements),
            "parameters": max(self.parameters, default=None),
            "epochs": _median(self.epochs),
            "best_epoch": _median(self.best_epochs),
        }


def try_values(
    work: Work, values: Mapping[str, Value], watch: Watch, keeper: Checkpointer
) -> TrialResult:
    """Tries the config with other values.

    Args:
        work: what all trials have in common.
        values: by path of the dimension.
        watch: looks at it, and may give it up.
        keeper: ends it when a signal comes.

    Returns:
        What it came to, be it a failure; without a number.

    Raises:
        DataError: if the rows can't be trained on by the config as given.
        Interrupted: if a signal has come.
    """
    start = time.perf_counter()
    seen = _Seen()

    def result(state: State, value: float | None, **more: Any) -> TrialResult:  # noqa: ANN401
        told = {"standard_error": None, **seen.fields(len(work.parts)), **more}
        told["seconds"] = round(time.perf_counter() - start, 3)
        return TrialResult(
            number=None, state=state, values=values, value=value, worker=worker_name(), **told
        )

    try:
        _train(work, candidate(work.file, values).config, watch, keeper, seen)
    except Pruned:
        return result("pruned", watch.last, epochs=_median(seen.epochs) or watch.epochs)
    except (ConfigError, DataError, DivergenceError, OutOfMemoryError) as error:
        if isinstance(error, DataError) and not values:
            raise  # no candidate on these rows would fare better
        problem = str(error).partition("\n")[0]
        traceback.clear_frames(error.__traceback__)  # they hold what takes up the memory
        gc.collect()
        return result("failed", None, problem=problem)
    value = seen.mean
    if value is None:
        return result("failed", None, problem=f"{work.goal.metric} is undefined")
    return result("complete", value, standard_error=seen.standard_error)


def _train(work: Work, config: Config, watch: Watch, keeper: Checkpointer, seen: _Seen) -> None:
    for place, part in enumerate(work.parts):
        outcome = work.context.fit(config, part, watch.progress(place), keeper)
        seen.take(judge(outcome, work.goal), outcome)
        if place + 1 < len(work.parts):
            watch.after(place + 1, seen.mean)


def _median(counts: Sequence[int]) -> int | None:
    return math.floor(statistics.median(counts) + 0.5) if counts else None


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


@dataclass(frozen=True)
class Site:
    """Where a search is carried out, and until when; it can be sent to another process."""

    folder: Path
    """The run folder, which the process holds that began the search."""
    run: str
    """Its token."""
    storage: str | None
    """The URL of the storage, password and all; `None`: it is in the folder."""
    seconds: float | None = None
    """How long trials may begin."""
    spent: float = 0.0
    """What of it was used up by then."""
    began: float = 0.0
    """When that was, by the clock on the wall, which processes share."""
    threads: int | Literal["auto"] | None = None
    """CPU threads of each process; as the config has it, if left out."""

    @property
    def file(self) -> ConfigFile:
        """The search's config, with the threads of each process.

        Raises:
            RunError: if it is damaged.
        """
        file = read_resolved(RunWriter(self.folder))
        threads = file.config.threads if self.threads is None else self.threads
        return replace(file, config=file.config.model_copy(update={"threads": threads}))

    def study(self) -> Study:
        """The study.

        Raises:
            UsageError, RunError, TrainingError: if its storage can't be used.
        """
        file = self.file
        steps = steps_of(file.config)
        storage = open_journal(self.folder) if self.storage is None else open_database(self.storage)
        pruner = pruner_of(searched(file).pruner, steps)
        return Study(Plan.of(file), storage, self.run, pruner, steps.most)

    @property
    def budget(self) -> Budget:
        """The time in which trials may begin."""
        return Budget(self.seconds, self.spent + time.time() - self.began)


def work_at(site: Site, listener: Listener) -> None:
    """What each of several processes does: it tries candidates until there are enough.

    Args:
        site: where.
        listener: is told of trials; what is found in the rows was told before.

    Raises:
        Interrupted: if a signal has come.
        DlcliError: of the kind that fits.
    """
    file, quiet = site.file, Events(lambda *_: None)
    with file.located():
        work = Work.of(file, read_candidates(file, quiet), quiet)
        study = site.study()
        keeper = trial_stop(RunWriter(site.folder), study)
        with keeper.handling_signals(), kept_in(site.folder, site.storage):
            run_trials(work, study, site.budget, keeper, Events(listener))
