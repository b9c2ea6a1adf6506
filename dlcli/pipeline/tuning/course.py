"""The course of a search, once its folder is made: trials, the choice, and what proves it."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Literal

from dlcli.config import ConfigFile, candidate, dump_config, load_config
from dlcli.errors import Interrupted, TrainingError
from dlcli.network import resolve_head
from dlcli.pipeline.checkpointing import StopOnSignal
from dlcli.pipeline.events import Events
from dlcli.pipeline.run_recording import moved_config
from dlcli.pipeline.search_document import NestedFold, Search, TrialResult, combine
from dlcli.pipeline.tuning.attributes import worker_name
from dlcli.pipeline.tuning.document import Found
from dlcli.pipeline.tuning.finalists import Name, train_finalists
from dlcli.pipeline.tuning.journal import remove_lock, repair_journal
from dlcli.pipeline.tuning.keeping import trial_stop
from dlcli.pipeline.tuning.nested import judge_search, judge_together
from dlcli.pipeline.tuning.origin import Known, origin_of
from dlcli.pipeline.tuning.running import run_trials
from dlcli.pipeline.tuning.settings import Settings
from dlcli.pipeline.tuning.site import Site, work_at
from dlcli.pipeline.tuning.storage import kept_in
from dlcli.pipeline.tuning.study import Study
from dlcli.pipeline.tuning.work import Work
from dlcli.pipeline.tuning.workers import threads_each, work_together
from dlcli.runs import Run, RunWriter


def carry_out(
    writer: RunWriter, work: Work, known: Known, settings: Settings, events: Events
) -> Run:
    """Tries candidates, chooses, trains what was chosen, and stores it all.

    Args:
        writer: the run folder, in which the search was begun.
        work: what all trials have in common.
        known: what the folder knows of its study.
        settings: how it is carried out.
        events: are told what happens.

    Raises:
        DlcliError: of the kind that fits.
    """
    events.emit("run", folder=str(writer.path))
    site, study = _opened(writer, work, known, settings, events)
    _try_all(writer, work, study, site, settings.jobs, events)
    found = Found(study.plan, study.results(), study.default)
    _check_any(writer, found)
    configs = _write_found(writer, site.file, found)
    begins = partial(_tell_finalist, events)
    finals = train_finalists(writer.path, configs, work.goal.metric, events, begins)
    found = replace(found, finalists=finals.finalists, notes=finals.notes)
    if settings.nested:
        outer = _judge_search(writer, work, study, site, settings.jobs, events)
        loss = resolve_head(work.file.config, work.context.dataset.target).loss.name
        value = combine(outer, work.goal.metric, loss)
        found = replace(found, nested=outer, nested_value=value)
    search = found.document(work, seconds=site.budget.spent)
    writer.write_search(search.model_dump_json())
    events.emit("result", run=str(writer.path), **_result(search))
    remove_lock(writer.path)
    return writer.finish("tune")


def _opened(
    writer: RunWriter, work: Work, known: Known, settings: Settings, events: Events
) -> tuple[Site, Study]:
    """The study, in which is tried again what killed processes of this folder left."""
    if known.storage is None:
        repair_journal(writer.path)
    threads = threads_each(work.file.config.threads, settings.jobs)
    site = Site(writer.path, known.run, settings.storage, work.tune.time, threads=threads)
    study = site.study()
    study.agree(origin_of(site.file))
    study.mend(lambda worker: known.storage is None or worker.get("run") == known.run)
    ended = len(study.results())
    writer.has_partial_results = study.default is not None or ended > 0
    if ended:
        events.emit("earlier", trials=ended, of=study.plan.trials)
    return replace(site, spent=study.spent, began=time.time()), study


def _try_all(
    writer: RunWriter, work: Work, study: Study, site: Site, jobs: int, events: Events
) -> None:
    """Tries candidates, in this process or in several others."""

    def tell(event: str, fields: dict[str, object]) -> None:
        writer.has_partial_results |= event in ("default", "trial")
        events.emit(event, **fields)

    def mend(process: int) -> None:
        lost = {"run": site.run, "name": worker_name(process)}  # other machines have such, too
        study.mend(lambda worker: worker == lost)

    keeper = trial_stop(writer, study)
    if jobs > 1:
        with _told_alike(keeper):
            work_together(partial(work_at, site), jobs, writer, tell, mend)
            # A process that is killed before it has named itself leaves a trial to nobody; with all
            # processes of this folder ended, it is known to be theirs.
            while site.storage is None and study.mend(lambda _: True):
                work_together(partial(work_at, site), jobs, writer, tell, mend)
        return
    with keeper.handling_signals(), kept_in(writer.path, site.storage):
        run_trials(work, study, site.budget, keeper, Events(tell))


@contextmanager
def _told_alike(keeper: StopOnSignal) -> Iterator[None]:
    """Says of several processes that a signal has ended what is said of one."""
    try:
        yield
    except Interrupted as error:
        keeper.signal = signal.Signals(error.exit_code - 128)
        keeper.check()
        raise


def _check_any(writer: RunWriter, found: Found) -> None:
    """Refuses a search of which nothing came, which leaves nothing to go on with.

    Raises:
        TrainingError: with what went wrong first.
    """
    if found.best is not None:
        return
    writer.not_resumable = True
    failed = [trial.problem for trial in found.trials if trial.problem is not None]
    first = f"; the first: {failed[0]}" if failed else ""
    count = len(found.trials)
    raise TrainingError(f"none of {count} candidates could be trained to its end{first}")


def _write_found(writer: RunWriter, file: ConfigFile, found: Found) -> dict[Name, ConfigFile]:
    """Writes the configs that were found; gives those to train in full."""
    best, smallest = found.best, found.smallest
    assert best is not None and smallest is not None
    configs: dict[Name, ConfigFile] = {"default": load_config(writer.resolved_path())}
    trials: dict[Literal["best", "smallest"], TrialResult] = {"best": best, "smallest": smallest}
    for name, trial in trials.items():
        config = moved_config(candidate(file, trial.values), writer.path)
        writer.write_found_config(name, dump_config(config))
        if name == "best" or trial != best:
            configs[name] = load_config(writer.path / f"{name}.yaml")
    return configs


def _tell_finalist(events: Events, name: Name) -> None:
    events.emit("progress", finalist=name)


def _judge_search(
    writer: RunWriter, work: Work, study: Study, site: Site, jobs: int, events: Events
) -> tuple[NestedFold, ...]:
    """Judges the whole search, in this process or in several others first."""
    if jobs > 1:
        judge_together(site, jobs, work, writer, lambda event, told: events.emit(event, **told))
    keeper = trial_stop(writer, study)
    return judge_search(work, study.plan, writer, keeper, events)


def _result(search: Search) -> dict[str, object]:
    names = {"study", "metric", "direction", "default", "finalists", "nested_value", "notes"}
    found = {"best": search.trial(search.best), "smallest": search.trial(search.smallest)}
    trials = {name: trial and trial.model_dump(mode="json") for name, trial in found.items()}
    return {
        **search.model_dump(mode="json", include=names | {"importances"}),
        **trials,
        "trials": len(search.trials),
    }
