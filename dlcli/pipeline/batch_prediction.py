"""Predictions of files of any length, read and written some rows at a time."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa

from dlcli.errors import DataError, RunError, UsageError
from dlcli.pipeline.table_prediction import BadRows, RowDifferences
from dlcli.prediction.prediction_tables import RowWriter, assemble, format_of, rejected_rows
from dlcli.prediction.predictor import Predictor
from dlcli.runs.manifest import locked
from dlcli.safe_files import open_new_file
from dlcli.tables.disk_table import Storage
from dlcli.tables.partitions import Partition
from dlcli.tables.source_files import SourceFile, find
from dlcli.tables.table import FileNote, Table
from dlcli.tables.table_files import open_batches


@dataclass(frozen=True)
class PartOptions:
    """The content of the predictions of a file."""

    keep: tuple[str, ...] = ()
    """Columns to pass through, before the predictions."""
    spreadsheet_safe: bool = False
    bad_rows: BadRows = BadRows()


@dataclass(frozen=True)
class PredictedPart:
    """The outcome of a file."""

    differences: RowDifferences
    unread: tuple[str, ...]
    """The columns that training did not have and that nothing reads."""
    file_notes: tuple[FileNote, ...]
    """Notes on what was detected about the file."""


def predict_file(
    predictor: Predictor,
    source: Path,
    part: Path,
    options: PartOptions,
    rejected: Path | None = None,
    partition: Partition = (),
) -> PredictedPart | None:
    """Predict each row of a file, in order, and write the predictions to another.

    That appears under its name when it is complete. Several processes may be given the same file,
    of which one predicts it.

    Args:
        predictor: the model.
        source: the file with the rows.
        part: the file for the predictions, in the format of its ending.
        options: what is written.
        rejected: the file for rows with a value that can't be encoded, if they are rejected; it is
            written if there are any.
        partition: the columns that the names of the file's folders give.

    Returns:
        The outcome; None if the part exists, or another process writes it.

    Raises:
        DataError: for a file that is no table, lacks a column, or changes while it is read; or for
            a value that can't be encoded, if the options refuse it.
        UsageError: if the part can't be created.
        OSError: naming the part, if it can't be written.
    """
    stored = part.with_name(f".{part.name}.rows")
    with ExitStack() as stack:
        if part.exists():
            return None
        try:
            stack.enter_context(locked(part.parent, "is predicting it", lock_name(part)))
        except RunError:
            return None
        if part.exists():
            return None
        before = version_of(source)
        shutil.rmtree(stored, ignore_errors=True)  # of a process that was killed
        stack.callback(shutil.rmtree, stored, ignore_errors=True)
        if rejected is not None:
            rejected.unlink(missing_ok=True)  # of an earlier version of the file
        [file] = find(source)
        file = replace(file, partition=partition)
        unread, tables = _read(predictor, file, stored, None if rejected else options.keep)
        first, found = next(tables), RowDifferences()
        output = stack.enter_context(_new_file(part, options.spreadsheet_safe))
        rejects: RowWriter | None = None
        for table in chain([first], tables):
            issues = options.bad_rows.new_issues()
            predictions = predictor.predict(table, issues)
            bad = issues.bad_indices if rejected else None
            output.write(assemble(predictions, table, options.keep, bad))
            if rejected and issues.bad_indices.size:
                rejects = rejects or stack.enter_context(_new_file(rejected))
                rejects.write(rejected_rows(table, issues))
            found.add(RowDifferences.of(issues, table, with_file=True))
        if version_of(source) != before:
            raise DataError("changed while it was read; run the command again", file=source)
    return PredictedPart(found, tuple(unread), first.file_notes)


def lock_name(part: Path) -> str:
    """Return the name of the file that is locked while a part is predicted."""
    return f".{part.name}.lock"


def version_of(source: Path) -> tuple[int, int]:
    """Return the size of a file in bytes, and when it was modified in nanoseconds.

    Raises:
        UsageError: if it isn't there.
    """
    try:
        status = source.stat()
    except FileNotFoundError:
        raise UsageError(f"{source}: no such file") from None
    return status.st_size, status.st_mtime_ns


@contextmanager
def _new_file(path: Path, spreadsheet_safe: bool = False) -> Iterator[RowWriter]:
    """Write a file that appears under its name when the block succeeds, see `open_new_file`."""
    with (
        open_new_file(path, is_locked=True) as stream,
        RowWriter(format_of(path), stream, spreadsheet_safe=spreadsheet_safe) as writer,
    ):
        yield writer


def _read(
    predictor: Predictor, stored: SourceFile, folder: Path, keep: Sequence[str] | None
) -> tuple[list[str], Iterator[Table]]:
    """Open a file whose rows are to be predicted.

    Args:
        predictor: the model.
        stored: the file.
        folder: where to store the rows if all of them must be read first, as the notation of
            numbers in text is decided by all values of a column.
        keep: the columns that are needed besides those that the network reads; all if None.

    Returns:
        The columns that nothing reads, and the rows in tables, at least one.
    """
    columns = None
    if keep is not None:
        columns = {*keep, *(feature.column for feature in predictor.encoding.features)}
    opened = open_batches(stored, predictor.config.data.format, columns)
    no_rows, numbers = opened.schema.empty_table(), np.empty(0, np.int64)
    first = Table(stored.file, no_rows, numbers, unread=opened.unread)
    unread = predictor.unread_columns(first, keep or ())
    given = [key for key, _ in stored.partition]
    reads_alike = predictor.reads_alike_in_batches(_without(opened.schema, given))
    with stored.reading():
        reads_whole = not reads_alike and any(batch.num_rows for batch in opened.rows)
    if reads_whole:  # a file without rows is none of `Predictor.read`
        folder.mkdir()
        assert stored.path is not None
        parts = predictor.read(stored.path, Storage(folder)).parts(predictor.rows_at_once)
        return unread, (_with_partition(predictor, part, stored.partition) for part in parts)

    def tables() -> Iterator[Table]:
        count, before = predictor.rows_at_once, 0
        with stored.reading():
            for rows in _rebatched(opened.rows, opened.schema, count):
                yield predictor.batch(rows, stored.file, before)
                before += rows.num_rows

    return unread, tables()


def _without(schema: pa.Schema, names: Sequence[str]) -> pa.Schema:
    return pa.schema([field for field in schema if field.name not in names])


def _with_partition(predictor: Predictor, table: Table, partition: Partition) -> Table:
    """Append the columns of a file's partition to some of its rows."""
    data = table.data
    assert isinstance(data, pa.Table)
    for key, value in partition:
        data = data.append_column(key, pa.repeat(pa.scalar(value, pa.string()), data.num_rows))
    words = predictor.batch(data, table.file).missing_words
    return replace(table, data=data, missing_words={**words, **table.missing_words})


def _rebatched(
    batches: Iterator[pa.RecordBatch], schema: pa.Schema, count: int
) -> Iterator[pa.Table]:
    """Yield the same rows in tables of so many; the last may have fewer, and is the only empty one.

    So predictions don't depend on how a file is divided.
    """
    held, is_first = schema.empty_table(), True
    for batch in batches:
        held = pa.concat_tables([held, pa.Table.from_batches([batch])])
        while held.num_rows >= count:
            yield held.slice(0, count)
            held, is_first = held.slice(count), False
    if held.num_rows or is_first:
        yield held
