"""Predict the files of a folder in parallel processes, resumable, with one part for each file.

Files of any length are read and written in blocks of rows.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Literal

import pyarrow as pa

from dlcli import __version__, errors, safe_files
from dlcli.pipeline.batch_prediction import predict_tables, tables_of, unread_columns
from dlcli.pipeline.events import Event, Listener
from dlcli.pipeline.table_prediction import PredictionOptions, RowDifferences
from dlcli.pipeline.worker_pool import run_workers, threads_per_worker
from dlcli.prediction import prediction_tables
from dlcli.prediction.predictor import Predictor
from dlcli.runs.manifest import locked
from dlcli.runs.run import Run
from dlcli.tables.source_files import Batches, Partition, SourceFile, expand, find, partitions
from dlcli.tables.stored_columns import Storage
from dlcli.tables.table import FileNote, Table
from dlcli.tables.table_files import open_batches
from dlcli.tables.table_formats import file_format, is_compressed
from dlcli.training_job import SignalStop

PLAN = "_predictions.json"
"""The file that describes the predictions. Other programs skip names that begin with `_`."""
_LOCK = "_lock"
"""The file that is locked during prediction."""
_MOST_PLAN_BYTES = 2**28
_FORMS: dict[str, prediction_tables.Format] = {"csv": "csv", "jsonl": "jsonl"}
"""The format of a part by the format of its file; Parquet for other formats."""
_OPTIONS = {
    "form": "--format",
    "keep": "--keep",
    "spreadsheet_safe": "--spreadsheet-safe",
    "interval": "--interval",
    "prevalence": "--prevalence",
    "decision": "--decision",
    "on_bad_row": "--on-bad-row",
}
"""The option of each field of a plan."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""Environment variables that set the threads of libraries for linear algebra."""


class PartEvent(Event, kind="part"):
    """The rows of a file were predicted."""

    file: str
    part: str
    """The part's path in the folder."""
    differences: RowDifferences
    unread: Sequence[str]
    """The columns that training did not have, which are ignored."""
    file_notes: Sequence[FileNote]
    """Notes on what was detected about the file."""
    state: str = ""
    """The number of predicted files and the total: `3 of 7 files`."""


class FolderOutcome(SignalStop):
    """The result of the prediction of a folder, which a signal may interrupt.

    Args:
        predictor: the model.
        files: the total number of files.
        skipped: the number of files that an earlier call has predicted.
    """

    def __init__(self, predictor: Predictor, files: int, skipped: int) -> None:
        super().__init__()
        self.predictor, self.files, self.skipped = predictor, files, skipped
        self.finished = skipped
        """Number of files whose parts are complete."""
        self.differences = RowDifferences()
        """The differences between the newly predicted rows and the training rows."""
        self.unread: dict[str, str] = {}
        """The columns that training did not have, which are ignored, each with its first file."""
        self.file_notes: dict[FileNote, None] = {}
        """Notes on what was detected in files."""

    @property
    def state(self) -> str:
        """The number of predicted files and the total: `3 of 7 files`."""
        return f"{self.finished} of {errors.plural(self.files, 'file')}"

    def check(self) -> None:
        """End the work if a signal has arrived."""
        if self.signal is not None:
            message = f"{self.signal.name} after {self.state}; run the same command again to resume"
            raise errors.Interrupted(message, self.signal)

    def add(self, event: PartEvent) -> PartEvent:
        """Add the result of a file, and return its event with the number of predicted files."""
        self.finished += 1
        self.differences.add(event.differences)
        for column in event.unread:
            self.unread.setdefault(column, event.file)
        self.file_notes |= dict.fromkeys(event.file_notes)
        return replace(event, state=self.state)


class _Version(safe_files.Document):
    """The version of a file: a part contains the predictions of one version."""

    bytes: safe_files.Count
    modified_ns: int

    @classmethod
    def of(cls, source: Path) -> _Version:
        """Return the current version of a file.

        Raises:
            UsageError: if the file does not exist.
        """
        try:
            status = source.stat()
        except FileNotFoundError:
            raise errors.UsageError(f"{source}: no such file") from None
        return cls(bytes=status.st_size, modified_ns=status.st_mtime_ns)


class _PredictionPlan(safe_files.Document):
    """The run, options and files of a folder of predictions."""

    format: Literal[1] = 1
    dlcli: str
    """Version of dlcli that created the folder."""
    run: str
    """SHA-256 of the run's manifest, which contains the digests of all files of the run."""
    form: str | None
    keep: list[str]
    spreadsheet_safe: bool
    interval: float | None
    prevalence: dict[str, float] = {}
    decision: str = ""
    """The decision for a class, as JSON."""
    on_bad_row: str
    inputs: dict[str, _Version]
    """The version of the input file of each part, by the name of the part."""


@dataclass(frozen=True)
class _FilePart:
    """A file to predict, and the part for its predictions."""

    source: Path
    name: str
    """The part's path in the folder."""
    partition: Partition = ()
    """The columns in the names of the file's folders, such as `year=2024`."""


def predict_folder(
    run: Run,
    data: Path,
    folder: Path,
    options: PredictionOptions,
    jobs: int,
    listener: Listener,
) -> FolderOutcome:
    """Predict the rows of each file of a folder or glob, and write a part for each file.

    A part gets its final name when it is complete. Parts of an earlier call are kept if the run,
    the options and the files are the same.

    Args:
        run: the run.
        data: a folder of tables, which may contain folders of tables, or a glob.
        folder: the folder for the predictions, which is created if it does not exist.
        options: the columns and format of the parts.
        jobs: number of processes. Each uses one thread for linear algebra, so predictions do not
            depend on their number.
        listener: receives an event `part` for each file, and warnings.

    Raises:
        UsageError: if there are no files, two files have the same part, or the folder contains
            other files.
        DataError: if a file is not a table, lacks a column or has changed since its part was
            written, or a value can't be encoded.
        Interrupted: if a signal has arrived.
        TrainingError: if the processes were killed.
        OSError: with the name of the part, if it can't be written.
    """
    predictor = options.predictor(run)
    parts = _find_parts(data, folder, options)
    _refuse_other_files(folder)  # before any file is created in it
    for base in filter(None, (folder, options.bad_rows.rejected)):
        for parent in {(base / part.name).parent for part in parts}:
            try:
                parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                reason = safe_files.os_error_text(error)
                raise errors.UsageError(f"{parent}: can't be created: {reason}") from None
    with locked(folder, "is writing predictions to it", _LOCK):
        _agree_on_plan(_plan(run, options, parts), parts, folder)
        left = [part for part in parts if not (folder / part.name).exists()]
        outcome = FolderOutcome(predictor, len(parts), len(parts) - len(left))
        threads = threads_per_worker("auto", jobs)
        task = partial(_predict_parts, predictor, left, folder, options, threads)

        def receive(event: Event) -> None:
            listener(outcome.add(event) if isinstance(event, PartEvent) else event)

        try:
            if left:
                with _single_threaded_algebra():
                    run_workers(task, min(jobs, len(left)), outcome, receive)
        except (errors.DlcliError, OSError) as error:
            if outcome.finished and not isinstance(error, errors.Interrupted):
                way_out = "run the same command again to predict the rest"
                error.add_note(f"{outcome.state} are predicted; {way_out}")
            raise
        finally:
            for part in parts:
                _remove_traces(folder / part.name)
    return outcome


def _predict_parts(
    predictor: Predictor,
    parts: Sequence[_FilePart],
    folder: Path,
    options: PredictionOptions,
    threads: int,
    listener: Listener,
) -> None:
    """Predict the files that no other process predicts."""
    pa.set_cpu_count(threads)
    for part in parts:
        if (event := _predict_part(predictor, part, folder, options)) is not None:
            listener(event)


@contextmanager
def _single_threaded_algebra() -> Iterator[None]:
    """Limit linear algebra in child processes to one thread, unless the user has set the number.

    The number of threads affects the rounding of sums.
    """
    added = {name: "1" for name in _THREADS if name not in os.environ}
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


# One file


def _predict_part(
    predictor: Predictor, part: _FilePart, folder: Path, options: PredictionOptions
) -> PartEvent | None:
    """Predict each row of a file, in order, and write its part.

    If several processes start with the same file, only one of them predicts it.

    Returns:
        The event; `None` if the part exists, or another process writes it.

    Raises:
        DataError: if the file is not a table, lacks a column, or changes while it is read; or if a
            value can't be encoded and the options refuse it.
        UsageError: if the part can't be created.
        OSError: with the name of the part, if it can't be written.
    """
    target, rejected = folder / part.name, options.bad_rows.rejected
    with ExitStack() as stack:
        try:
            lock = _lock_of(target).name
            stack.enter_context(locked(target.parent, "is predicting it", lock))
        except errors.RunError:
            return None
        if target.exists():
            return None
        before, rows_folder = _Version.of(part.source), _rows_folder(target)
        shutil.rmtree(rows_folder, ignore_errors=True)  # of a process that was killed
        stack.callback(shutil.rmtree, rows_folder, ignore_errors=True)
        if rejected is not None:
            (rejected / part.name).unlink(missing_ok=True)  # of an earlier version of the file
        unread, tables = _read(predictor, part, rows_folder, None if rejected else options.keep)
        first = next(tables)
        output = stack.enter_context(_new_file(target, options.spreadsheet_safe))
        rejects: prediction_tables.RowWriter | None = None

        def reject(rows: pa.Table) -> None:
            nonlocal rejects
            if rejected and rows.num_rows:
                rejects = rejects or stack.enter_context(_new_file(rejected / part.name))
                rejects.write(rows)

        every = chain([first], tables)
        write, file = output.write, str(part.source)
        done = predict_tables(predictor, every, options, write, reject, file, with_file=True)
        if _Version.of(part.source) != before:
            message = "changed while it was being read; run the command again"
            raise errors.DataError(message, file=part.source)
    return PartEvent(
        file=str(part.source),
        part=part.name,
        differences=done.differences,
        unread=unread,
        file_notes=first.file_notes,
    )


def _lock_of(part: Path) -> Path:
    """Return the file that is locked while a part is predicted."""
    return part.with_name(f".{part.name}.lock")


def _rows_folder(part: Path) -> Path:
    """Return the folder for the rows of a file if all of them must be read first."""
    return part.with_name(f".{part.name}.rows")


def _remove_traces(part: Path) -> None:
    """Remove the lock of a part, and files that a killed process may not have removed."""
    for path in (_lock_of(part), safe_files.partial_path(part)):
        path.unlink(missing_ok=True)
    shutil.rmtree(_rows_folder(part), ignore_errors=True)


@contextmanager
def _new_file(path: Path, spreadsheet_safe: bool = False) -> Iterator[prediction_tables.RowWriter]:
    """Write a file that gets its final name when the block succeeds, see `open_new_file`."""
    form = prediction_tables.format_of(path)
    with (
        safe_files.open_new_file(path, is_locked=True) as stream,
        prediction_tables.RowWriter(form, stream, spreadsheet_safe=spreadsheet_safe) as writer,
    ):
        yield writer


def _read(
    predictor: Predictor, part: _FilePart, folder: Path, keep: Sequence[str] | None
) -> tuple[list[str], Iterator[Table]]:
    """Open a file whose rows are to be predicted.

    Args:
        predictor: the model.
        part: the file.
        folder: the folder for the rows if all of them must be read first, because all values of a
            column determine the notation of its numbers.
        keep: the columns to read in addition to the network's columns; `None` for all.

    Returns:
        The ignored columns, and the rows as one or more tables.
    """
    [stored] = find(part.source)
    stored = replace(stored, partition=part.partition)
    columns = None
    if keep is not None:
        columns = {*keep, *predictor.columns}
    opened = open_batches(stored, predictor.table_format, columns)
    unread = unread_columns(predictor, opened, stored.file, keep)
    given = [key for key, _ in part.partition]
    in_file = pa.schema([field for field in opened.schema if field.name not in given])
    with stored.reading():
        reads_whole = not predictor.reads_alike_in_batches(in_file) and any(
            batch.num_rows for batch in opened.rows
        )
    if reads_whole:  # `Predictor.read` refuses a file without rows
        folder.mkdir()
        tables = predictor.read(part.source, Storage(folder)).parts(predictor.rows_at_once)
        return unread, (_with_partition(predictor, table, part.partition) for table in tables)
    return unread, _tables(predictor, stored, opened)


def _tables(predictor: Predictor, stored: SourceFile, opened: Batches) -> Iterator[Table]:
    """Yield the rows of a file, see `tables_of`."""
    with stored.reading():
        yield from tables_of(predictor, opened, stored.file)


def _with_partition(predictor: Predictor, table: Table, partition: Partition) -> Table:
    """Append the columns of a file's partition to some of its rows."""
    data = table.data
    assert isinstance(data, pa.Table)
    for key, value in partition:
        data = data.append_column(key, pa.repeat(pa.scalar(value, pa.string()), data.num_rows))
    words = predictor.batch(data, table.file).missing_words
    return replace(table, data=data, missing_words={**words, **table.missing_words})


# Files and parts


def _find_parts(data: Path, folder: Path, options: PredictionOptions) -> list[_FilePart]:
    """List the files to predict, in order, and their parts.

    Raises:
        UsageError: if there are no files, or two files have the same part.
        DataError: if a file is partitioned by other columns than the first file.
    """
    columns: dict[str, Partition] = {}
    if data.is_dir():
        base, sources = data, _tables_of(data)
        names = [source.relative_to(data).as_posix() for source in sources]
        columns = dict(partitions(names, str(data)))
        for other in filter(None, (folder, options.bad_rows.rejected)):
            if other.resolve().is_relative_to(data.resolve()):
                message = f"is inside {data}, so its files would be predicted again"
                raise errors.UsageError(f"{other}: {message}; choose a folder outside of it")
    else:
        base = next(parent for parent in data.parents if parent.exists())
        sources = [*_matches(data, base, folder, options.bad_rows.rejected)]
    parts: dict[str, _FilePart] = {}
    for source in sources:
        form = options.form or _FORMS.get(file_format(source.name) or "csv", "parquet")
        prediction_tables.check_spreadsheet_safe(options.spreadsheet_safe, form)
        name = source.relative_to(base)
        partition = columns.get(name.as_posix(), ())
        name = name.with_suffix("") if is_compressed(name.name) else name
        name = name.with_suffix(f".{form}")
        first = parts.setdefault(name.as_posix(), _FilePart(source, name.as_posix(), partition))
        if first.source != source:
            message = f"has the same output file '{name}' as {first.source}; rename one of them"
            raise errors.UsageError(f"{source}: {message}")
    return list(parts.values())


def _matches(data: Path, base: Path, *outputs: Path | None) -> Iterator[Path]:
    """Yield the files of a glob, without files that were written to output folders inside it."""
    top = base.resolve()
    written = {folder for each in outputs if each and top in (folder := each.resolve()).parents}
    for path in expand(data):
        if isinstance(path, Path) and written.isdisjoint(path.resolve().parents):
            yield path


def _tables_of(folder: Path) -> list[Path]:
    """Return the tables in a folder and its subfolders, in order.

    Names that begin with `_` or `.` are skipped, like in other programs.

    Raises:
        UsageError: if there are no tables, or a file is not a table.
    """
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if not any(name.startswith(("_", ".")) for name in path.relative_to(folder).parts)
        and path.is_file()
    ]
    if not files:
        raise errors.UsageError(f"{folder}: contains no tables to predict")
    if others := [str(path.relative_to(folder)) for path in files if not file_format(path.name)]:
        message = f"contains files that do not look like tables: {errors.listed(others)}"
        raise errors.UsageError(
            f"{folder}: {message}; select the files to predict: '{folder / '*.parquet'}'"
        )
    return files


# The plan


def _plan(run: Run, options: PredictionOptions, parts: Sequence[_FilePart]) -> _PredictionPlan:
    return _PredictionPlan(
        dlcli=__version__,
        run=hashlib.sha256(run.manifest.to_json()).hexdigest(),
        form=options.form,
        keep=[*options.keep],
        spreadsheet_safe=options.spreadsheet_safe,
        interval=options.level,
        prevalence=dict(options.prevalence),
        decision="" if run.decision is None else run.decision.model_dump_json(exclude={"curve"}),
        on_bad_row=options.bad_rows.treatment,
        inputs={part.name: _Version.of(part.source) for part in parts},
    )


def _refuse_other_files(folder: Path) -> None:
    """Raise `UsageError` if a folder has files that are not from an earlier call."""
    found = sorted(os.listdir(folder)) if folder.is_dir() else []
    own = (
        _LOCK,
        safe_files.partial_path(folder / PLAN).name,
    )  # a killed process may not have removed it
    others = [name for name in found if name not in own and (folder / name).is_file()]
    if others and PLAN not in found:
        way_out = f"choose a new folder with {errors.option('output')}"
        raise errors.UsageError(
            f"{folder}: contains other files, {errors.listed(others)}; {way_out}"
        )


def _agree_on_plan(plan: _PredictionPlan, parts: Sequence[_FilePart], folder: Path) -> None:
    """Store a plan, or compare it with the plan of the existing parts.

    Raises:
        UsageError: if the existing parts are from another run or other options.
        DataError: if the file of a part has changed.
        RunError: if the stored plan is damaged.
    """
    new = f"choose a new folder with {errors.option('output')}"
    path, stored = folder / PLAN, plan
    if os.path.lexists(path):
        fields = safe_files.read_object(path, _MOST_PLAN_BYTES)
        stored = safe_files.parse_document(_PredictionPlan, fields, f"{path}:", f"; {new}")
    if stored.run != plan.run:
        raise errors.UsageError(f"{folder}: contains predictions of another run; {new}")
    others = [_OPTIONS[name] for name in _OPTIONS if getattr(stored, name) != getattr(plan, name)]
    if others:
        raise errors.UsageError(f"{folder}: was started with another {' and '.join(others)}; {new}")
    for part in parts:
        earlier = stored.inputs.get(part.name)
        if not (folder / part.name).exists() or earlier == plan.inputs[part.name]:
            continue
        changed = f"has changed since {folder / part.name} was predicted from it"
        raise errors.DataError(f"{changed}; remove that output file, or {new}", file=part.source)
    merged = plan.model_copy(update={"inputs": {**stored.inputs, **plan.inputs}})
    with safe_files.open_new_file(path, is_locked=True) as stream:
        stream.write(f"{merged.model_dump_json()}\n".encode())
