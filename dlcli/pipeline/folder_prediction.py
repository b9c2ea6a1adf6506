"""Predict the files of a folder: a part for each, by several processes, resumed where it ended."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

import pyarrow as pa

from dlcli import __version__, safe_files
from dlcli.errors import DataError, DlcliError, Interrupted, UsageError, listed, option, plural
from dlcli.pipeline import batch_prediction
from dlcli.pipeline.checkpointing import SignalStop
from dlcli.pipeline.events import Event, Listener
from dlcli.pipeline.table_prediction import RowDifferences
from dlcli.pipeline.worker_pool import run_workers, threads_per_worker
from dlcli.prediction.prediction_tables import Format, check_spreadsheet_safe
from dlcli.prediction.predictor import Predictor
from dlcli.runs.manifest import locked
from dlcli.runs.run import Run
from dlcli.tables.partitions import Partition, partitions
from dlcli.tables.source_files import expand, file_format
from dlcli.tables.table import FileNote

PLAN = "_predictions.json"
"""The file that lists what is predicted. Other programs that read the folder skip such names."""
_LOCK = "_lock"
"""The file that is locked while a command predicts."""
_MOST_PLAN_BYTES = 2**28
_COMPRESSED = (".gz", ".zst")
_FORMS: dict[str, Format] = {"csv": "csv", "jsonl": "jsonl"}
"""The format of a part by that of its file; of others it is Parquet."""
_OPTIONS = {
    "form": "--format",
    "keep": "--keep",
    "spreadsheet_safe": "--spreadsheet-safe",
    "interval": "--interval",
    "on_bad_row": "--on-bad-row",
}
"""The options that the fields of a plan are of."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""Environment variables that set the threads of libraries for linear algebra."""


@dataclass(frozen=True)
class FolderOptions(batch_prediction.PartOptions):
    """The options of one prediction of a folder."""

    form: Format | None = None
    """The format of all parts; that of each file if omitted, for Arrow Parquet."""
    level: float | None = None


@dataclass
class FolderOutcome:
    """The result of one prediction of a folder."""

    predictor: Predictor
    files: int = 0
    """Number of files in all."""
    skipped: int = 0
    """Number of those that were predicted before."""
    differences: RowDifferences = field(default_factory=RowDifferences)
    """The differences of the rows that were predicted now from the training rows."""
    unread: dict[str, str] = field(default_factory=dict)
    """The columns that training did not have and that nothing reads, each with the first file."""
    file_notes: dict[FileNote, None] = field(default_factory=dict)
    """Notes on what was detected in files."""


class _Version(safe_files.Document):
    """The version of a file that a part is of."""

    bytes: safe_files.Count
    modified_ns: int


class _PredictionPlan(safe_files.Document):
    """The content of a folder of predictions."""

    format: Literal[1] = 1
    dlcli: str
    """Version of dlcli that began it."""
    run: str
    """SHA-256 of the run's manifest, which has the digests of all its files."""
    form: str | None
    keep: list[str]
    spreadsheet_safe: bool
    interval: float | None
    on_bad_row: str
    inputs: dict[str, _Version]
    """The version of each part's file, by the name of the part."""


@dataclass(frozen=True)
class _FilePart:
    """A file and where its predictions go."""

    source: Path
    name: str
    """The part's path in the folder."""
    partition: Partition = ()
    """The columns that the names of the file's folders give."""


class PartEvent(Event, kind="part"):
    """The rows of a file were predicted."""

    file: str
    part: str
    """The part's path in the folder."""
    predicted: batch_prediction.PredictedPart
    state: str = ""
    """The number of files that are predicted so far, and of all: `3 of 7 files`."""


def predict_folder(
    run: Run,
    data: Path,
    folder: Path,
    options: FolderOptions,
    jobs: int,
    listener: Listener,
) -> FolderOutcome:
    """Predict the rows of each file of a folder or glob, and write a part for each.

    A part appears under its name when it is complete. Those that an earlier call has written are
    kept, if the run, the options and their files are the same.

    Args:
        run: the run.
        data: a folder of tables, in which further folders may be, or a glob.
        folder: the folder for the predictions, which is made if it isn't there.
        options: what is written.
        jobs: the number of processes. Each uses one thread for linear algebra, so that predictions
            don't depend on their number.
        listener: receives an event `part` for each, and warnings.

    Raises:
        UsageError: for no files, two files with a part of the same name, or a folder with anything
            else.
        DataError: for a file that is no table, lacks a column, or has changed since its part was
            written; for a value that can't be encoded.
        Interrupted: if a signal has arrived.
        TrainingError: if the processes were killed.
        OSError: naming the part, if it can't be written.
    """
    predictor = run.predictor_at(options.level)
    parts = _find_parts(data, folder, options)
    _refuse_other_files(folder)  # before anything is made in it
    folders = [folder] if options.bad_rows.rejected is None else [folder, options.bad_rows.rejected]
    for each in {base / part.name for part in parts for base in folders}:
        _make(each.parent)
    with locked(folder, "is predicting into it", _LOCK):
        _agree_on_plan(_plan(run, options, parts), parts, folder)
        left = [part for part in parts if not (folder / part.name).exists()]
        outcome = FolderOutcome(predictor, len(parts), len(parts) - len(left))
        progress = _FolderProgress(outcome, listener)
        threads = threads_per_worker("auto", jobs)
        task = partial(_predict_parts, predictor, left, folder, options, threads)
        try:
            if left:
                with _single_threaded_algebra():
                    run_workers(task, min(jobs, len(left)), progress, progress.add)
        except (DlcliError, OSError) as error:
            if progress.finished and not isinstance(error, Interrupted):
                way_out = "the same command resumes with the others"
                error.add_note(f"{progress.state} are predicted; {way_out}")
            raise
        finally:
            for part in parts:
                _remove_traces(folder / part.name)
    return progress.outcome


class _FolderProgress(SignalStop):
    """Collects the outcomes of files, until a signal ends the work."""

    def __init__(self, outcome: FolderOutcome, listener: Listener) -> None:
        super().__init__()
        self.outcome = outcome
        self.finished = outcome.skipped
        """Number of files whose parts are complete."""
        self._listener = listener

    @property
    def state(self) -> str:
        return f"{self.finished} of {plural(self.outcome.files, 'file')}"

    def check(self) -> None:
        if self.signal is not None:
            message = f"{self.signal.name} after {self.state}; the same command resumes"
            raise Interrupted(message, self.signal)

    def add(self, event: Event) -> None:
        """Receive an event of a worker."""
        if isinstance(event, PartEvent):
            file, part = event.file, event.predicted
            self.finished += 1
            self.outcome.differences.add(part.differences)
            for column in part.unread:
                self.outcome.unread.setdefault(column, file)
            for note in part.file_notes:
                self.outcome.file_notes.setdefault(note)
            event = replace(event, state=self.state)
        self._listener(event)


def _predict_parts(
    predictor: Predictor,
    parts: Sequence[_FilePart],
    folder: Path,
    options: FolderOptions,
    threads: int,
    listener: Listener,
) -> None:
    """Predict all files that no other process predicts."""
    pa.set_cpu_count(threads)
    for part in parts:
        folder_of_rejected = options.bad_rows.rejected
        rejected = None if folder_of_rejected is None else folder_of_rejected / part.name
        target = folder / part.name
        outcome = batch_prediction.predict_file(
            predictor, part.source, target, options, rejected, part.partition
        )
        if outcome is not None:
            listener(PartEvent(file=str(part.source), part=part.name, predicted=outcome))


@contextmanager
def _single_threaded_algebra() -> Iterator[None]:
    """Let processes that are started use one thread for linear algebra, unless their number is set.

    Sums are rounded otherwise with several.
    """
    added = {name: "1" for name in _THREADS if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


def _remove_traces(part: Path) -> None:
    """Remove what a killed process may have left, and the lock of a part."""
    part.with_name(batch_prediction.lock_name(part)).unlink(missing_ok=True)
    safe_files.partial_path(part).unlink(missing_ok=True)
    shutil.rmtree(part.with_name(f".{part.name}.rows"), ignore_errors=True)


# Files and parts


def _find_parts(data: Path, folder: Path, options: FolderOptions) -> list[_FilePart]:
    """List the files to predict, in order, and their parts.

    Raises:
        UsageError: if there are none, or two have a part of the same name.
        DataError: for a file that is partitioned by other columns than the first one.
    """
    columns: dict[str, Partition] = {}
    if data.is_dir():
        base, sources = data, _tables_of(data)
        names = [source.relative_to(data).as_posix() for source in sources]
        columns = dict(partitions(names, str(data)))
        for other in filter(None, (folder, options.bad_rows.rejected)):
            if other.resolve().is_relative_to(data.resolve()):
                message = f"is within {data}, and its files would be predicted, too"
                raise UsageError(f"{other}: {message}; name a folder elsewhere")
    else:
        base = next(parent for parent in data.parents if parent.exists())
        sources = [*_matches(data, base, folder, options.bad_rows.rejected)]
    parts: dict[str, _FilePart] = {}
    for source in sources:
        form = options.form or _FORMS.get(file_format(source.name) or "csv", "parquet")
        check_spreadsheet_safe(options.spreadsheet_safe, form)
        name = source.relative_to(base)
        partition = columns.get(name.as_posix(), ())
        name = name.with_suffix("") if name.suffix.lower() in _COMPRESSED else name
        name = name.with_suffix(f".{form}")
        first = parts.setdefault(name.as_posix(), _FilePart(source, name.as_posix(), partition))
        if first.source != source:
            message = f"would have the same part '{name}' as {first.source}; rename one of them"
            raise UsageError(f"{source}: {message}")
    return list(parts.values())


def _matches(data: Path, base: Path, *outputs: Path | None) -> Iterator[Path]:
    """Yield the files of a glob, without those that were written to folders within its own one."""
    top = base.resolve()
    written = {folder for each in outputs if each and top in (folder := each.resolve()).parents}
    for path in expand(data):
        if isinstance(path, Path) and written.isdisjoint(path.resolve().parents):
            yield path


def _tables_of(folder: Path) -> list[Path]:
    """Return the tables in a folder and in those in it, in order.

    Names that begin with `_` or `.` are skipped, as by other programs.

    Raises:
        UsageError: if there are none, or another file is there.
    """
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if not any(name.startswith(("_", ".")) for name in path.relative_to(folder).parts)
        and path.is_file()
    ]
    if not files:
        raise UsageError(f"{folder}: has no files to predict")
    if others := [str(path.relative_to(folder)) for path in files if not file_format(path.name)]:
        message = f"has files that are no tables by their names: {listed(others)}"
        raise UsageError(f"{folder}: {message}; name those to predict: '{folder / '*.parquet'}'")
    return files


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder}: can't be made: {safe_files.os_error_text(error)}") from None


# The plan


def _plan(run: Run, options: FolderOptions, parts: Sequence[_FilePart]) -> _PredictionPlan:
    inputs = {}
    for part in parts:
        size, modified = batch_prediction.version_of(part.source)
        inputs[part.name] = _Version(bytes=size, modified_ns=modified)
    return _PredictionPlan(
        dlcli=__version__,
        run=hashlib.sha256(run.manifest.to_json()).hexdigest(),
        form=options.form,
        keep=[*options.keep],
        spreadsheet_safe=options.spreadsheet_safe,
        interval=options.level,
        on_bad_row=options.bad_rows.treatment,
        inputs=inputs,
    )


def _refuse_other_files(folder: Path) -> None:
    """Raise `UsageError` for a folder with files that no earlier call has written."""
    found = sorted(os.listdir(folder)) if folder.is_dir() else []
    own = (
        _LOCK,
        safe_files.partial_path(folder / PLAN).name,
    )  # which a killed process may have left
    others = [name for name in found if name not in own and (folder / name).is_file()]
    if others and PLAN not in found:
        way_out = f"name a new folder with {option('output')}"
        raise UsageError(f"{folder}: has other files, {listed(others)}; {way_out}")


def _agree_on_plan(plan: _PredictionPlan, parts: Sequence[_FilePart], folder: Path) -> None:
    """Store a plan, unless the parts that are there are of another one.

    Raises:
        UsageError: if they are of another run or other options.
        DataError: if the file of a part has changed since.
        RunError: if the stored plan is damaged.
    """
    new = f"name a new folder with {option('output')}"
    path, stored = folder / PLAN, plan
    if os.path.lexists(path):
        fields = safe_files.read_object(path, _MOST_PLAN_BYTES)
        stored = safe_files.parse_document(_PredictionPlan, fields, f"{path}:", f"; {new}")
    if stored.run != plan.run:
        raise UsageError(f"{folder}: has predictions of another run; {new}")
    others = [_OPTIONS[name] for name in _OPTIONS if getattr(stored, name) != getattr(plan, name)]
    if others:
        raise UsageError(f"{folder}: was begun with another {' and '.join(others)}; {new}")
    for part in parts:
        earlier = stored.inputs.get(part.name)
        if not (folder / part.name).exists() or earlier == plan.inputs[part.name]:
            continue
        changed = f"is not what {folder / part.name} was predicted from, or has changed since"
        raise DataError(f"{changed}; remove that part, or {new}", file=part.source)
    merged = plan.model_copy(update={"inputs": {**stored.inputs, **plan.inputs}})
    with safe_files.open_new_file(path, is_locked=True) as stream:
        stream.write(f"{merged.model_dump_json()}\n".encode())
