"""Recording of the inputs of a run, and their check when it is resumed.

`recorded` wraps `train`, `cross_validate` and `tune`: it locates errors in the config, detects data
files that change during the run, creates or reopens the run folder, and stores the config and
everything that determines the bits of the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from hashlib import file_digest, sha256
from itertools import takewhile
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Self

from dlcli.cluster import NO_OTHERS, Workers
from dlcli.columns.column_type import ColumnEncoder
from dlcli.config.config_file import ConfigFile, Tables, dump_config, relative_path
from dlcli.config.config_schema import Config
from dlcli.config.data_section import MEMORY
from dlcli.encoding.column_types import resolved_missing
from dlcli.encoding.table_encoding import MAX_ROWS_AT_ONCE
from dlcli.errors import DataError, RunError
from dlcli.pipeline.events import EarlyEndEvent, Events, Listener, RunEvent
from dlcli.pipeline.preparation import (
    FitPlan,
    FitRows,
    data_files,
    data_fingerprints,
    named_run,
    type_reason,
)
from dlcli.pipeline.worker_pool import threads_per_worker
from dlcli.prediction.gates import GateResult, GateResults
from dlcli.runs.environment import collect_environment, content_id, data_entries
from dlcli.runs.manifest import RunFile, RunKind, resume_command
from dlcli.runs.run import Run
from dlcli.runs.run_folder import new_run, unfinished_run, unfinished_runs_like
from dlcli.runs.run_writer import RunWriter
from dlcli.safe_files import Document, parse_document
from dlcli.schema.urls import Location, Url
from dlcli.tables.remote_files import each_file, file_version
from dlcli.training_job import Device

EXACT = ("dlcli", "tensorflow", "keras", "numpy", "processor", "threads", "device", "workers")
"""The entries of `environment.json` that determine the bits of the weights."""

_MAX_NAME = 64
"""Maximum number of characters of a run folder's name."""
_SUFFIXES: dict[RunKind, str] = {"train": "", "cv": "-cv", "tune": "-tune"}
"""Suffixes of the default name of a run folder, after the name of the config."""
Images = Mapping[str, Mapping[str, object]]
"""For each image column, the number of `files` and a `sha256`."""
OtherInputs = Mapping[str, Mapping[str, object]]
"""The fingerprints of inputs other than tables that a run has: `images` and `teacher`."""
Stamps = Mapping[Location, tuple[int | str | None, ...] | None]
"""For each data file, values that change whenever it is written to; `None` if it is not a regular
file."""


@dataclass
class Recording:
    """A recorded run, before and after its folder is created."""

    file: ConfigFile
    """The config as given; for a resumed run, the resolved config."""
    events: Events
    """The receiver of events."""
    output: Path | None
    """The run folder, if specified or resumed."""
    name: str
    """The name of a new run."""
    stamps: Stamps
    """The stamps of the data files before they are read."""
    writer: RunWriter | None = None
    """The folder of a resumed run."""
    resolved: Config = field(init=False)
    """The resolved config, set by `begin`."""
    workers: Workers = NO_OTHERS
    """The workers of a distributed training; only worker 0 records."""
    resumes: bool = False
    """True if training resumes from a checkpoint of worker 0."""
    ends_early: bool = False
    """True if a resumed run ends with what was trained before, see `early_end`."""

    @property
    def starts_over(self) -> bool:
        """True if training starts from the beginning, so it needs initial weights."""
        if not self.workers.cluster.is_chief:
            return not self.resumes
        return self.writer is None or not self.writer.can_resume

    @contextmanager
    def begin_training(
        self, rows: FitRows, plan: FitPlan, inputs: OtherInputs
    ) -> Iterator[RunWriter]:
        """Begin a training, see `begin`; report its folder and unfinished runs like it.

        Args:
            rows: what was inferred from the data.
            plan: the network, its training and the device.
            inputs: the fingerprints of images and teacher.
        """
        assert plan.device is not None
        resolve = partial(resolved_config, self.file, rows, plan, threads=plan.device.threads)
        reasons = TypeReasons.of(rows)
        with self.begin(resolve, plan.device, inputs, reasons.store) as writer:
            for twin in unfinished_runs_like(writer) if self.writer is None else ():
                message = f"{twin} is an unfinished run of the same config; resume with: "
                self.events.warn(message + resume_command(twin))
            self.events.emit(RunEvent(folder=str(writer.path)))
            yield writer

    @contextmanager
    def begin(
        self,
        resolve: Callable[[Path], Config],
        device: Device | None,
        inputs: OtherInputs = MappingProxyType({}),
        store_inputs: Callable[[RunWriter], None] = lambda _: None,
    ) -> Iterator[RunWriter]:
        """Create the run folder and store the run's inputs, or compare them with the stored ones.

        Args:
            resolve: returns the resolved config for a file in a folder.
            device: the device; `None` if TensorFlow is not loaded in this process.
            inputs: the fingerprints of images and teacher.
            store_inputs: stores other inputs of the run in a new folder.

        Yields:
            The run folder. A new folder is removed unless the run is finished or can be resumed.

        Raises:
            UsageError: if the folder can't be created.
            DataError: if a data file was written to while it was read.
            RunError: if images or the teacher have changed since the run began.
        """
        if self.writer is not None:
            check_unchanged(self.stamps)
            check_images(self.writer, inputs.get("images", {}))
            check_teacher(self.writer, inputs.get("teacher", {}))
            if device is not None:
                self._warn_of_changes(self.writer, device)
            self.events.log_to(self.writer)
            if self.ends_early:
                self.events.emit(_early_end_event(self.file.config))
            self.resolved = self.file.config
            yield self.writer
            return
        with new_run(self.output, self.name) as writer:
            self.events.log_to(writer)
            store_inputs(writer)
            self.resolved = resolve(writer.path)
            writer.write_text(RunFile.CONFIG, self.file.text)
            writer.write_resolved(dump_config(self.resolved))
            data = data_fingerprints(self.file) if self.workers.cluster.is_chief else ()
            environment = self._environment(self.resolved, device, data)
            others = {name: each for name, each in inputs.items() if each}
            writer.write_json(RunFile.ENVIRONMENT, environment | others)
            check_unchanged(self.stamps)
            yield writer

    def store_early_end(self, writer: RunWriter) -> None:
        """Store the config with its early end, if it has one, after everything else."""
        if self.ends_early:
            writer.write_resolved(dump_config(self.file.config))

    def _warn_of_changes(self, writer: RunWriter, device: Device) -> None:
        """Warn about changes since training began that may change the last bits of the weights."""
        now = self._environment(self.file.config, device)
        if changes := environment_changes(writer.environment, now):
            differ = "the weights may differ from an uninterrupted run"
            self.events.warn(f"{writer.path}: {', '.join(changes.values())}; {differ}")

    def _environment(
        self, config: Config, device: Device | None, data: Sequence[Mapping[str, object]] = ()
    ) -> dict[str, object]:
        name = device.name if device else config.device
        threads = device.threads if device else threads_per_worker(config.threads)
        found = collect_environment(seed=config.seed, threads=threads, device=name, data=data)
        return found if self.workers.size == 1 else {**found, "workers": self.workers.size}


@contextmanager
def recorded(
    source: ConfigFile | Path,
    kind: RunKind,
    output: Path | None,
    listener: Listener,
    tables: Tables | None = None,
    suffix: str | None = None,
    *,
    finish: bool = False,
) -> Iterator[Recording]:
    """Record a new run of a config, or reopen an unfinished run; the run is locked until the end.

    Args:
        source: the config, or the folder of the run.
        kind: the kind of a new run, or the required kind of an unfinished run.
        output: the folder of a new run, which must not exist. [default: `runs/<name>-cv`,
            `runs/<name>-cv-2`, ...]
        listener: receives events.
        tables: the tables in memory of an unfinished run.
        suffix: the suffix of the name of a new run. [default: by kind]
        finish: whether an unfinished training ends with what was trained, see `early_end`.

    Raises:
        UsageError: if a glob does not match any file.
        RunError: if the run does not exist, its config or data have changed, or nothing was
            trained that could be kept.
    """
    if isinstance(source, ConfigFile):
        suffix = _SUFFIXES[kind] if suffix is None else suffix
        name = f"{source.name[: _MAX_NAME - len(suffix)]}{suffix}"
        with source.located():
            yield Recording(source, Events(listener), output, name, stamps_of(source))
        return
    with unfinished_run(source, kind) as writer:
        file = replace(writer.config_file, tables=tables or {})
        for key in file.tables:
            if getattr(file.config.data, key) != MEMORY:
                raise RunError(
                    f"{source}: data.{key} was not a table in memory; omit the table to resume"
                )
        with file.located():
            stamps = stamps_of(file)
            check_data(writer, file)
            if finish:
                file = replace(file, config=early_end(writer, file.config))
            recording = Recording(file, Events(listener), source, file.name, stamps, writer)
            recording.ends_early = finish
            yield recording


def early_end(writer: RunWriter, config: Config) -> Config:
    """Return the config of an unfinished training that ends with what was trained.

    A single network ends after its last complete epoch, an ensemble after its last network before
    the first unfinished one; groups of `ensemble.vary` must be complete.

    Args:
        writer: the run.
        config: its complete config.

    Raises:
        RunError: if nothing was trained that could be kept.
    """
    unit, ensemble = "epoch", config.ensemble
    if ensemble is None:
        ended = config.ended_after(epoch=(last := min(writer.finished_epochs, config.last_epoch)))
    else:
        finished = takewhile(writer.has_member, range(1, ensemble.trained + 1))
        size = ensemble.group_size
        last = len([*finished]) // size * size
        ended = config.ended_after(epoch=config.last_epoch, member=last)
        unit = "network" if size == 1 else f"group of {size} networks"
    if not last:
        message = f"no {unit} is finished, so there is nothing to keep"
        raise RunError(f"{writer.path}: {message}; {writer.way_to_resume}")
    return ended


def _early_end_event(config: Config) -> EarlyEndEvent:
    """Return the event of a training that ends with what was trained."""
    ensemble = config.ensemble
    if ensemble is None:
        return EarlyEndEvent(unit="epoch", after=config.last_epoch, of=config.epochs)
    return EarlyEndEvent(unit="member", after=ensemble.trained, of=ensemble.members)


def stamps_of(file: ConfigFile) -> Stamps:
    """Return the stamps of the data files before they are read.

    Raises:
        UsageError: if a glob does not match any file.
    """
    files = data_files(file)
    return dict(zip(files, each_file(_stamp, files), strict=True))


def check_unchanged(before: Stamps) -> None:
    """Refuse data files that were written to while they were read.

    The training rows might differ from the rows of the stored hash.

    Raises:
        DataError: for the first such file.
    """
    now = each_file(_stamp, [*before])
    for path, stamp in zip(before, now, strict=True):
        if before[path] != stamp:
            message = "changed while it was read; train again when nothing writes to it"
            raise DataError(message, file=path)


def _stamp(path: Location) -> tuple[int | str | None, ...] | None:
    if isinstance(path, Url):
        return file_version(path)
    with suppress(OSError):
        if path.is_file():
            status = path.stat()
            return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
    return None


class TypeReasons(Document):
    """The reasons for the types of target and columns, stored when a run begins.

    They are stored because the resolved config, which a resumed run reads, declares every type.
    """

    format: Literal[1] = 1
    target: str
    columns: Mapping[str, str]
    """The reason for the type of each column, by name."""

    @classmethod
    def of(cls, rows: FitRows) -> Self:
        """Return the reasons for the types of prepared rows."""
        columns = {name: type_reason(decision) for name, decision in rows.decisions.items()}
        return cls(target=rows.task.reason, columns=columns)

    def store(self, writer: RunWriter) -> None:
        """Store the reasons in a new run."""
        writer.write_text(RunFile.TYPES, self.model_dump_json())

    @classmethod
    def applied(cls, rows: FitRows, writer: RunWriter) -> FitRows:
        """Add the stored reasons of a run to rows; runs of earlier versions have none."""
        reasons = cls.of(rows)
        if (writer.path / RunFile.TYPES).exists():
            stored, name = RunFile.TYPES.read_object(writer.path), f"{writer.path / RunFile.TYPES}:"
            reasons = parse_document(cls, stored, name)
        decisions = {
            name: replace(decision, reason=reasons.columns.get(name, decision.reason))
            for name, decision in rows.decisions.items()
        }
        task = rows.task.model_copy(update={"reason": reasons.target})
        return replace(rows, decisions=decisions, task=task)


def image_fingerprints(rows: FitRows) -> Images:
    """Hash the image files of each image column, before they are encoded.

    The SHA-256 of a column is computed from the digests of its files, in the order of the rows.
    """
    images = {}
    for feature in rows.encoding.features:
        if feature.reads_files:
            digests = [*_file_digests(rows, feature)]
            whole = sha256(b"".join(digests)).hexdigest()
            images[feature.column] = {"files": len(digests), "sha256": whole}
    return images


def _file_digests(rows: FitRows, feature: ColumnEncoder) -> Iterator[bytes]:
    """Yield the SHA-256 of each file; unreadable files are reported during encoding."""
    for table in rows.tables.values():
        for part in table.parts(MAX_ROWS_AT_ONCE):
            for path in feature.files(part):
                if path.is_file():  # reading a pipe would block
                    with suppress(OSError), path.open("rb") as stream:
                        yield file_digest(stream, "sha256").digest()


def check_data(writer: RunWriter | Run, file: ConfigFile) -> None:
    """Refuse data files that have changed since training began.

    Args:
        writer: the run, finished or not.
        file: its resolved config.

    Raises:
        RunError: if a file has changed, or can't be compared.
    """
    known, now = data_entries(writer.environment), data_fingerprints(file)
    if len(known) != len(now):
        what = f"started with {len(known)} data files, now there are {len(now)}"
        raise RunError(f"{writer.path}: {what}; train it again")
    for entry, found in zip(known, now, strict=True):
        before, name, digest = content_id(entry), found["file"], content_id(found)
        if before is None:
            raise RunError(
                f"{name}: can be read only once, like a pipe; store its rows in a file and "
                "train on that"
            )
        # A missing or unreadable file is reported by its reader.
        if digest is not None and before != digest:
            raise RunError(
                f"{name}: has changed since the run started; restore the file, or train again"
            )


def check_images(writer: RunWriter, images: Mapping[str, object]) -> None:
    """Refuse image files that have changed since training began.

    Raises:
        RunError: for the first column with a changed file.
    """
    stored = writer.environment.get("images")
    known = stored if isinstance(stored, dict) else {}
    for column, now in images.items():
        if known.get(column) != now:
            raise RunError(
                f"{writer.path}: an image of the column '{column}' has changed since the run "
                "started; restore the file, or train again"
            )


def check_teacher(writer: RunWriter, teacher: Mapping[str, object]) -> None:
    """Refuse a teacher of a distilled network that has changed since training began.

    Raises:
        RunError: if its predictions have changed.
    """
    if teacher and writer.environment.get("teacher") != teacher:
        raise RunError(
            f"{writer.path}: the ensemble in distill.teacher has changed since the run started; "
            "restore it, or train again"
        )


def environment_changes(before: Mapping[str, object], now: Mapping[str, object]) -> dict[str, str]:
    """Return the changes that may affect the bits of the weights, by name.

    Args:
        before: the entries of an `environment.json`; `workers` exists only for a distributed
            training.
        now: the entries of another one.
    """
    before, now = ({"workers": 1, **each} for each in (before, now))
    found = {name: (before.get(name), now.get(name)) for name in EXACT}
    return {
        name: f"{name} was {earlier} and is now {later}"
        for name, (earlier, later) in found.items()
        if earlier != later and "auto" not in (earlier, later)  # workers choose the device
    }


def moved_config(file: ConfigFile, folder: Path, *, keep_tune: bool = False) -> Config:
    """Adapt a config to a file in another folder.

    Args:
        file: the config as given.
        folder: the folder of the new file; relative paths are adapted to it.
        keep_tune: whether to keep the search space, which training does not read.
    """
    config = file.config
    distill = config.distill
    if distill is not None:
        teacher = relative_path(named_run(file, distill.teacher), folder)
        distill = distill.model_copy(update={"teacher": teacher})
    update = {
        "name": file.name,
        "data": file.moved_data(lambda path: relative_path(path, folder)),
        **{
            key: earlier and relative_path(named_run(file, earlier), folder)
            for key in ("initial_weights", "initial_encoding")
            for earlier in [getattr(config, key)]
        },
        "distill": distill,
    }
    if not keep_tune:
        update["tune"] = None
    return config.model_copy(update=update)


def resolved_config(
    file: ConfigFile,
    rows: FitRows,
    plan: FitPlan,
    folder: Path,
    threads: int,
    *,
    of_folds: bool = False,
) -> Config:
    """Return the config with all inferred values, which trains the same run again.

    Args:
        file: the config as given.
        rows: the rows, with inferred types.
        plan: the network and its training.
        folder: the folder of the new file; relative paths are adapted to it.
        threads: the number of threads.
        of_folds: whether rows are split into folds. Types of columns, the engine and an automatic
            `output.probability_floor` are then kept as given, as they may differ by fold.
    """
    given = moved_config(file, folder)
    config = plan.head.resolve(given)
    data, output, ensemble = config.data, config.output, config.ensemble
    is_split = of_folds or any(data.shares) or config.ensemble_folds is not None
    target = data.target.model_copy(update={"type": rows.task.type})
    split = rows.split_choice if is_split else data.split
    data = data.model_copy(update={"split": split, "target": target})
    if ensemble is not None:
        ensemble = ensemble.model_copy(update={"folds": ensemble.fold_count or "none"})
    update: dict[str, object] = {"ensemble": ensemble, "threads": threads, "data": data}
    if of_folds:
        floor = {"probability_floor": given.output.probability_floor}
        update["output"] = output.model_copy(update=floor)
    else:
        features = {column: decision.feature for column, decision in rows.decisions.items()}
        missing = resolved_missing(data, features, rows.split.train)
        update["input"] = config.input.model_copy(update={"features": features})
        update["data"] = data.model_copy(update={"missing": missing})
        update["engine"] = plan.engine
    return config.model_copy(update=update)


def store_gates(results: Sequence[GateResult], writer: RunWriter) -> Sequence[GateResult]:
    """Store the results of the config's gates, and return them.

    Raises:
        TrainingError: if the results can't be stored.
    """
    document = GateResults(results=tuple(results))
    writer.write_text(RunFile.GATES, document.model_dump_json(indent=2))
    return document.results
