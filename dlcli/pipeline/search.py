"""The search for a better config: candidates, the selected ones, and their evaluation."""

from __future__ import annotations

import json
import secrets
import shlex
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Literal

from dlcli.config import Config, ConfigFile, candidate, check_tune, dump_config, load_config
from dlcli.errors import Interrupted, RunError, TrainingError, UsageError
from dlcli.network import resolve_head
from dlcli.pipeline.checkpointing import StopOnSignal
from dlcli.pipeline.cross_validation import prepare_example
from dlcli.pipeline.data_loading import data_files, read_candidates
from dlcli.pipeline.events import Events, Listener
from dlcli.pipeline.finalists import Name, train_finalists
from dlcli.pipeline.memory_check import check_memory
from dlcli.pipeline.nested_search import check_outer_folds, judge_search, judge_together
from dlcli.pipeline.run_recording import Recording, moved_config, recorded_run, resumed_run
from dlcli.pipeline.search_context import SearchSettings, Work, searched, warn_of_many
from dlcli.pipeline.search_document import NestedFold, Search, TrialResult, combine
from dlcli.pipeline.search_result import Found
from dlcli.pipeline.search_storage import kept_in, mask_password, remove_lock, repair_journal
from dlcli.pipeline.search_study import Study
from dlcli.pipeline.search_trials import Site, run_trials, trial_stop, work_at
from dlcli.pipeline.trial_records import worker_name
from dlcli.pipeline.worker_pool import threads_each, work_together
from dlcli.runs import LIMITS, STUDY, Run, RunWriter, fingerprint, read_object, resume_command

_ASIDE: dict[str, object] = {
    "name": None,
    "device": "auto",
    "threads": "auto",
    "checkpoint": {},
}
"""What may differ between those who work on one study: it changes no candidate."""
_PATHS = ("train", "validation", "test")
_TOKEN = 8


@dataclass(frozen=True)
class Known:
    """What the run folder knows of its study."""

    study: str
    """Its name."""
    run: str
    """The token by which the trials of this folder are known in a storage that is shared."""
    storage: str | None
    """The URL of the storage, without a password; `None`: it is in the folder."""
    nested: bool

    @classmethod
    def begun(cls, file: ConfigFile, settings: SearchSettings) -> Known:
        """That of a search that begins."""
        url = settings.storage
        return cls(
            study=file.name,
            run=secrets.token_hex(_TOKEN),
            storage=None if url is None else mask_password(url),
            nested=settings.nested,
        )

    @classmethod
    def of(cls, writer: RunWriter) -> Known:
        """That of a search that goes on.

        Raises:
            RunError: if it is damaged.
        """
        fields = read_object(writer.path / STUDY, LIMITS["study.json"])
        try:
            known = cls(**{name: fields[name] for name in cls.__dataclass_fields__})
        except KeyError as error:
            raise RunError(f"{writer.path / STUDY}: has no {error}; search again") from None
        texts = (known.study, known.run, known.storage or "")
        if not all(isinstance(each, str) for each in texts):
            raise RunError(f"{writer.path / STUDY}: holds something else than names; search again")
        return known

    def check_named(self, url: str | None, writer: RunWriter) -> None:
        """Refuses to go on anywhere else than where the search was begun.

        A storage that is shared has to be named again: its password isn't kept, and a folder may
        come from a stranger, who could name any server.

        Raises:
            UsageError: saying what to type.
        """
        if self.storage is not None and url is None:
            shown = shlex.quote(self.storage)
            way_out = f"name it again: {resume_command(writer.path)} --storage {shown}"
            raise UsageError(
                f"{writer.path}: its trials are in a storage that is shared; {way_out}"
            )
        if self.storage is None and url is not None:
            raise UsageError(f"{writer.path}: its trials are in it; leave --storage out")

    def store(self, writer: RunWriter, origin: Mapping[str, object]) -> None:
        """Keeps it in the run folder, with what the search was begun with."""
        writer.write_study({**self.__dict__, "origin": origin})


def origin_of(file: ConfigFile) -> dict[str, object]:
    """What all trials of a study must have in common, for JSON.

    It is the same on every machine: a digest of the config without the paths of its files, and one
    of each file's content.
    """
    return {
        "config": sha256(_plain(file.config).encode()).hexdigest(),
        "data": [fingerprint(path)["sha256"] for path in data_files(file)],
    }


def _plain(config: Config) -> str:
    fields = config.model_dump(mode="json", by_alias=True)
    fields.update(_ASIDE)
    fields["data"].update({name: _without_path(fields["data"][name]) for name in _PATHS})
    return json.dumps(fields, sort_keys=True)


def _without_path(source: object) -> object:
    return source if isinstance(source, float) else source is not None


def carry_out(
    writer: RunWriter, work: Work, known: Known, settings: SearchSettings, events: Events
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
    writer: RunWriter, work: Work, known: Known, settings: SearchSettings, events: Events
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


_LONGEST = 64
"""Most letters of a run folder's name."""


def tune(
    file: ConfigFile,
    settings: SearchSettings = SearchSettings(),  # noqa: B008  (it is frozen)
    output: Path | None = None,
    listener: Listener = lambda *_: None,
) -> Run:
    """Searches for a better config, and trains it beside the one as given.

    Args:
        file: the config, with what it searches for.
        settings: how the search is carried out.
        output: the run folder, which must not exist; else `runs/<name>-tune` and so on.
        listener: is told what happens.

    Returns:
        The run, of kind `tune`.

    Raises:
        DlcliError: of the kind that fits; nothing is left then, unless a trial has ended, or a
            signal has come: see `resume`.
    """
    with recorded_run(file, output, tune_name(file.name), listener) as recording:
        check_tune(file)
        return _tune(recording, Known.begun(file, settings), settings)


def resume_tuning(
    run: Path,
    settings: SearchSettings = SearchSettings(),  # noqa: B008
    listener: Listener = lambda *_: None,
) -> Run:
    """Goes on with a search that was ended: with the trials that have not ended.

    Args:
        run: the run folder.
        settings: how it is carried out from here on; a storage with a password is named again.
        listener: is told what happens.

    Returns:
        The same run, finished.

    Raises:
        DlcliError: of the kind that fits; the run stays as it is then.
    """
    with resumed_run(run, "tune", listener) as recording:
        assert recording.writer is not None
        known = Known.of(recording.writer)
        known.check_named(settings.storage, recording.writer)
        return _tune(recording, known, replace(settings, nested=known.nested))


def tune_name(name: str) -> str:
    """The name of a config's search."""
    return f"{name[: _LONGEST - len('-tune')]}-tune"


def _tune(recording: Recording, known: Known, settings: SearchSettings) -> Run:
    file, events = recording.file, recording.events
    searched(file)  # what is missing there need not wait for the rows
    work = Work.of(file, read_candidates(file, events), events)
    warn_of_many(work.tune, events)
    if settings.nested:
        check_outer_folds(work)
    dataset = work.context.dataset
    example = prepare_example(file.config, dataset, work.parts[0], events)
    check_memory(example, file.config, on_disk=False)
    with recording.begin(
        lambda folder: moved_config(file, folder, keep_tune=True),
        device=None,
        first=lambda writer: known.store(writer, origin_of(file)),
    ) as writer:
        return carry_out(writer, work, known, settings, events)
