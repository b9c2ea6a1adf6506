"""Search for a better config: evaluate candidates, select, train the finalists, and save."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict

from dlcli.config import config_file
from dlcli.config.search_space import candidate, check_tune, with_search_space
from dlcli.errors import ConfigError, DivergenceError, TrainingError, UsageError, option
from dlcli.network.head import resolve_head
from dlcli.pipeline import run_recording, search_context, search_evaluation, search_storage
from dlcli.pipeline.events import (
    DefaultEvent,
    EarlierEvent,
    Event,
    Events,
    Listener,
    RunEvent,
    SearchResultEvent,
    SpaceEvent,
    TrialEvent,
    ignore,
)
from dlcli.pipeline.preflight import prepare_example
from dlcli.pipeline.preparation import data_fingerprints, read_candidates
from dlcli.pipeline.run_recording import Recording
from dlcli.pipeline.search_study import Study
from dlcli.pipeline.search_trials import (
    SearchAccess,
    join_trial,
    run_search_worker,
    run_trials,
    stop_of_search,
)
from dlcli.pipeline.train_run import join_training
from dlcli.pipeline.worker_pool import run_workers, worker_name
from dlcli.runs.documents import Search
from dlcli.runs.environment import content_id
from dlcli.runs.manifest import RunFile, resume_command
from dlcli.runs.run import Run
from dlcli.runs.run_writer import RunWriter
from dlcli.safe_files import parse_document
from dlcli.tables.stored_columns import Storage
from dlcli.workers import Workers

_TOKEN_BYTES = 8
_WITHOUT_EFFECT: dict[str, object] = {
    "name": None,
    "device": "auto",
    "threads": "auto",
    "checkpoint": {},
}
"""Settings that may differ between searches of one study: they have no effect on candidates."""
_PATHS = ("train", "validation", "test")


def tune(
    source: config_file.ConfigFile | Path,
    settings: search_context.SearchSettings = search_context.SearchSettings(),  # noqa: B008  (it is frozen)
    output: Path | None = None,
    listener: Listener = ignore,
    tables: config_file.Tables | None = None,
) -> Run:
    """Search for a better config, and compare it with the original one; or resume a search.

    Args:
        source: the config with its search space, or the run folder of an interrupted search, of
            which finished trials are kept.
        settings: how the search is run; to resume one, a shared storage has to be named again.
        output: the folder of a new run, which must not exist; else `runs/<name>-tune`, and so on.
        listener: receives events.
        tables: the tables in memory that an interrupted search was begun with.

    Returns:
        The run, of kind `tune`.

    Raises:
        DlcliError: nothing is left of a new run then, unless a trial is finished or a signal has
            arrived; then it can be resumed.
    """
    with run_recording.recorded(source, "tune", output, listener, tables) as recording:
        return tune_recorded(recording, settings)


def tune_recorded(recording: Recording, settings: search_context.SearchSettings) -> Run:
    """Search for a better config, and store the search.

    Args:
        recording: the run. If several workers train each candidate together, this is worker 0,
            which announces to the others what is trained, see `join_search`.
        settings: how the search is run.
    """
    events, workers = recording.events, recording.workers
    if recording.writer is None:
        record = StudyRecord.new(recording.file, settings)
    else:
        record = StudyRecord.read(recording.writer)
        record.check_storage(settings.storage, recording.writer)
    if workers.size > 1 and record.nested:
        raise UsageError(f"a nested search trains on one machine; remove {option('workers')}")
    context = _search_context(recording.file, events, workers, nested=record.nested)
    with recording.begin(
        lambda folder: run_recording.moved_config(context.file, folder, keep_tune=True),
        device=None,
        store_inputs=record.store,
    ) as writer:
        events.emit(RunEvent(folder=str(writer.path)))
        with _open_study(writer, context, record, settings, events) as (access, study):
            if recording.writer is not None and not study.has_trials:
                events.warn(_lost_study(record, writer))
            # Evaluate candidates, select, train the finalists, evaluate the search.
            _evaluate_candidates(writer, context, study, access, events)
            search = search_evaluation.summarize_trials(context, study.results(), study.default)
            _check_any_trained(writer, search)
            configs = _write_selected(writer, access.file, search)
            search = search_evaluation.train_finalists(
                writer.path, configs, search, events, workers
            )
            workers.gather(None)  # there is nothing more to train
            if record.nested:
                stop = stop_of_search(writer, study)
                outer = search_evaluation.evaluate_search(access, context, writer, stop, events)
                loss = resolve_head(context.file.config, context.fits.dataset.task).loss
                value = search_evaluation.combine(outer, search.metric, loss)
                search = search.model_copy(update={"nested": outer, "nested_value": value})
            search = search.model_copy(update={"seconds": round(access.budget.spent, 3)})
            writer.write_text(RunFile.SEARCH, search.model_dump_json())
            events.emit(
                SearchResultEvent(
                    run=str(writer.path),
                    result=search,
                    best=search.trial(search.best),
                    smallest=search.trial(search.smallest),
                    trials=len(search.trials),
                )
            )
            search_storage.remove_lock(writer.path)
            return writer.finish("tune")


def _search_context(
    file: config_file.ConfigFile, events: Events, workers: Workers, *, nested: bool = False
) -> search_context.SearchContext:
    """Read the rows, make the search space, and check that a candidate can be trained."""
    own = file.config.tune
    check_tune(file)
    if own is not None and own.space is not None:
        search_context.tune_section(
            file
        )  # what is missing there is reported before the rows are read
    dataset = read_candidates(file, events, Storage(workers=workers))
    file = with_search_space(file, dataset.tables[0].rows)
    context = search_context.SearchContext.of(file, dataset, events)
    if context.tune != own:
        check_tune(file)
        space = {
            key: config_file.to_plain(varied) for key, varied in (context.tune.space or {}).items()
        }
        events.emit(
            SpaceEvent(
                rows=dataset.tables[0].rows,
                trials=search_context.max_trials(context.tune),
                folds=context.tune.folds,
                held_out=file.config.adjective("validation"),
                space=space,
            )
        )
    search_context.warn_of_large_grid(context.tune, events)
    if nested:
        search_evaluation.check_outer_folds(context)
    prepare_example(file.config, dataset, context.splits[0], events)
    return context


def join_search(file: config_file.ConfigFile, workers: Workers) -> None:
    """Train what worker 0 announces until its search is finished, on another worker of its cluster.

    Args:
        file: the config with its search space.
        workers: the workers.

    Raises:
        DlcliError: see `tune`; what all workers find is raised by each of them.
    """
    with file.located():
        context = _search_context(file, Events(), workers)
        while (task := workers.gather(None)[0]) is not None:
            if "values" in task:
                join_trial(context, task["values"])
                continue
            finalist = config_file.make_config(task["config"])
            with suppress(ConfigError, DivergenceError):  # the search continues without this run
                join_training(finalist, workers, task["starts_over"])


def _lost_study(record: StudyRecord, writer: RunWriter) -> str:
    message = f"the study '{record.study}' has no trials in that storage; the search starts over"
    if record.storage is None:
        return message
    return f"{message}. If another has them, end it, and resume with: {resume_command(writer.path)}"


@contextmanager
def _open_study(
    writer: RunWriter,
    context: search_context.SearchContext,
    record: StudyRecord,
    settings: search_context.SearchSettings,
    events: Events,
) -> Iterator[tuple[SearchAccess, Study]]:
    """Open the study and close it, and have trials of this folder's dead processes retried."""
    if record.storage is None:
        search_storage.repair_journal(writer.path)
    access = SearchAccess(
        writer.path, record.run, settings.storage, settings.jobs, tables=context.file.tables
    )
    opened = closing(access.open_study(context.plan))
    with search_storage.explaining_lost_database(settings.storage), opened as study:
        study.join(search_fingerprint(access.file))
        study.retry_lost(lambda worker: record.storage is None or worker.get("run") == record.run)
        ended = len(study.results())
        writer.has_partial_results = study.default is not None or ended > 0
        if ended:
            events.emit(EarlierEvent(trials=ended, of=study.plan.trials))
        yield (
            replace(access, budget=search_context.TimeBudget(context.tune.time, study.spent)),
            study,
        )


def _evaluate_candidates(
    writer: RunWriter,
    context: search_context.SearchContext,
    study: Study,
    access: SearchAccess,
    events: Events,
) -> None:
    """Evaluate candidates in this process, or in several others."""

    def listener(event: Event) -> None:
        writer.has_partial_results |= isinstance(event, DefaultEvent | TrialEvent)
        events.emit(event)

    def retry(process: int) -> None:
        # Other machines may have a process of that number, too.
        lost = {"run": access.run, "name": worker_name(process)}
        study.retry_lost(lambda worker: worker == lost)

    stop = stop_of_search(writer, study)
    if access.jobs == 1:
        with (
            stop.handling_signals(),
            search_storage.explaining_lost_storage(writer.path, access.storage),
        ):
            run_trials(context, study, access.budget, stop, Events(listener))
        return
    task = partial(run_search_worker, access)
    run_workers(task, access.jobs, stop, listener, retry)
    # A process may be killed before it has stored its name with its trial. Once all processes of
    # this folder have ended, such a trial is known to be lost.
    while access.storage is None and study.retry_lost(lambda _: True):
        run_workers(task, access.jobs, stop, listener, retry)


def _check_any_trained(writer: RunWriter, search: Search) -> None:
    """Refuse a search without any complete trial, which can't be resumed either.

    Raises:
        TrainingError: with the first problem.
    """
    if search.best is not None:
        return
    writer.not_resumable = True
    problems = [trial.problem for trial in search.trials if trial.problem is not None]
    count = len(search.trials)
    what = "the only candidate could not" if count == 1 else f"none of {count} candidates could"
    first = f"; {'' if count == 1 else 'the first: '}{problems[0]}" if problems else ""
    raise TrainingError(f"{what} be trained to the end{first}")


def _write_selected(
    writer: RunWriter, file: config_file.ConfigFile, search: Search
) -> dict[search_evaluation.Name, config_file.ConfigFile]:
    """Write the selected configs, and return those to train in full."""
    default = replace(writer.config_file, tables=file.tables)
    configs: dict[search_evaluation.Name, config_file.ConfigFile] = {"default": default}
    numbers: dict[Literal["best", "smallest"], int | None] = {
        "best": search.best,
        "smallest": search.smallest,
    }
    for name, number in numbers.items():
        trial = search.trial(number)
        assert trial is not None
        config = run_recording.moved_config(candidate(file, trial.values), writer.path)
        text = config_file.dump_config(config)
        written = RunFile.BEST if name == "best" else RunFile.SMALLEST
        writer.write_text(written, text)
        if name == "best" or number != search.best:
            configs[name] = config_file.load_config(writer.path / written, tables=file.tables)
    return configs


class StudyRecord(BaseModel):
    """The study of a run folder, and where it is stored."""

    model_config = ConfigDict(strict=True, frozen=True)

    study: str
    """Its name."""
    run: str
    """The token that identifies the trials of this folder in a shared storage."""
    storage: str | None
    """The URL of the storage without a password; `None`: it is in the folder."""
    nested: bool

    @classmethod
    def new(cls, file: config_file.ConfigFile, settings: search_context.SearchSettings) -> Self:
        """Return the record of a new search."""
        url = settings.storage
        storage = None if url is None else search_storage.mask_password(url)
        token = secrets.token_hex(_TOKEN_BYTES)
        return cls(study=file.name, run=token, storage=storage, nested=settings.nested)

    @classmethod
    def read(cls, writer: RunWriter) -> Self:
        """Read the record of an interrupted search.

        Raises:
            RunError: if it is damaged.
        """
        stored = RunFile.STUDY.read_object(writer.path)
        return parse_document(cls, stored, f"{writer.path / RunFile.STUDY}:", "; search again")

    def check_storage(self, url: str | None, writer: RunWriter) -> None:
        """Refuse to resume in another storage.

        The URL of a shared storage has to be given again: its password is not stored, and a folder
        that comes from a stranger could name any server.

        Raises:
            UsageError: with the command to type.
        """
        if self.storage is not None and url is None:
            raise UsageError(
                f"{writer.path}: its trials are in a shared storage; name it again: "
                f"{resume_command(writer.path)}"
            )
        if self.storage is None and url is not None:
            message = f"its trials are in this folder; omit {option('storage')}"
            raise UsageError(f"{writer.path}: {message}")

    def store(self, writer: RunWriter) -> None:
        """Store it in the run folder."""
        writer.write_json(RunFile.STUDY, self.model_dump())


def search_fingerprint(file: config_file.ConfigFile) -> dict[str, object]:
    """Return a fingerprint that all trials of a study have in common, for JSON.

    It is the same on every machine: a hash of the config without the paths of its files, and one of
    the content of each file.
    """

    def without_path(source: object) -> object:
        return source if isinstance(source, float) else source is not None

    # Functions validate `tune.space`, so pydantic can't check what it serializes there.
    fields = file.config.model_dump(mode="json", by_alias=True, warnings=False)
    fields.update(_WITHOUT_EFFECT)
    fields["data"].update({name: without_path(fields["data"][name]) for name in _PATHS})
    return {
        "config": sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest(),
        "data": [content_id(each) for each in data_fingerprints(file)],
    }
