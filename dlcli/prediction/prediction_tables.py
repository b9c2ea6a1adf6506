"""Tables of predictions, written as CSV, Parquet, JSON lines or a workbook."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext, suppress
from itertools import groupby
from types import SimpleNamespace
from typing import Any, BinaryIO, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dlcli.arrays import blanked, integers, plain, strings
from dlcli.columns.value_problems import ValueProblems
from dlcli.errors import UsageError, did_you_mean, printable
from dlcli.prediction.predictions import Predictions, finite_or_none
from dlcli.prediction.workbook_writing import WorkbookWriter
from dlcli.schema.urls import Location
from dlcli.tables.column import column_kind
from dlcli.tables.table import Table

Format = Literal["csv", "parquet", "jsonl", "xlsx"]

_EXTENSIONS: dict[str, Format] = {
    ".csv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".xlsx": "xlsx",
}
_ROWS_AT_ONCE = 16_384
_CRLF = "\r\n"
_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n")


def choose_format(named: Format | None, output: Location | None) -> Format:
    """Return the requested format; without one, the format of the file's extension, or CSV.

    Raises:
        UsageError: for an unknown extension.
    """
    if named is not None or output is None:
        return named or "csv"
    return format_of(output, ", or add --format csv")


def format_of(file: Location, way_out: str = "") -> Format:
    """Return the format of a file's extension.

    Args:
        file: the file.
        way_out: end of the message, with an alternative to another extension.

    Raises:
        UsageError: for an unknown extension.
    """
    extension = file.suffix.lower()
    if extension not in _EXTENSIONS:
        known = ", ".join(_EXTENSIONS)
        message = f"unknown file extension '{extension}'; use one of {known}{way_out}"
        raise UsageError(f"{file}: {message}")
    return _EXTENSIONS[extension]


def assemble(
    predictions: Predictions,
    table: Table,
    keep: Sequence[str] = (),
    rejected: NDArray[np.int64] | None = None,
) -> pa.Table:
    """Join columns of a table and its predictions.

    Args:
        predictions: the predictions of the rows.
        table: the predicted rows.
        keep: columns to copy unchanged, before the predictions; repetitions are ignored.
        rejected: the indices of rows without a prediction.

    Returns:
        The rows, in the table's order.

    Raises:
        UsageError: if a column does not exist or has the name of a prediction column.
    """
    columns = predictions.columns(as_computed=True)
    if rejected is not None and len(rejected):
        columns = {name: blanked(values, rejected) for name, values in columns.items()}
    kept = dict.fromkeys(keep)
    for name in kept:
        if name not in table.columns:
            near = did_you_mean(name, table.columns)
            if not near and "*" in name:
                near = "; write the names of the columns, because patterns are not supported"
            raise UsageError(f"{table.file}: has no column '{name}' to keep{near}")
        if name in columns:
            raise UsageError(
                f"{table.file}: the column '{name}' can't be kept, because a column of the "
                "predictions has the same name; rename it"
            )
    return pa.table({**{name: table.keep(name) for name in kept}, **columns})


def rejected_rows(table: Table, problems: ValueProblems) -> pa.Table:
    """Return the rows with a value that can't be encoded.

    Args:
        table: all rows.
        problems: the lenient record of encoding the rows.

    Returns:
        `row`, the row number in its file; `file`, if there are several; `reason`; and the table's
        columns, unchanged. If the table has a column of the same name, the added one has the prefix
        `_`.
    """
    bad = table.take(problems.bad_indices)
    by_row = groupby(problems.bad_rows(), key=lambda value: value.index)
    reasons = ["; ".join(f"column '{v.column}': {v.reason}" for v in row) for _, row in by_row]
    own = {
        **({"file": bad.file_names()} if bad.files else {}),
        "row": integers(bad.row_numbers),
        "reason": strings(reasons, pa.string()),
    }
    named = {_free_name(name, table.columns): values for name, values in own.items()}
    return pa.table({**named, **{name: bad.keep(name) for name in bad.columns}})


def _free_name(name: str, taken: tuple[str, ...]) -> str:
    return _free_name(f"_{name}", taken) if name in taken else name


def write_rows(
    rows: pa.Table, form: Format, stream: BinaryIO, *, spreadsheet_safe: bool = False
) -> None:
    """Write a table.

    Numbers are written with the fewest digits that give the same float32 or float64 when read,
    booleans as `true` and `false`, missing values as an empty field or `null`. Texts are written
    unchanged, so a class can be read back exactly. In CSV, a list is a JSON array. Only on a
    terminal, CSV has six significant digits, and control characters are escaped, because a terminal
    would execute them.

    Args:
        rows: the table.
        form: the format.
        stream: the destination.
        spreadsheet_safe: whether to prefix texts with an apostrophe if a spreadsheet would run them
            as a formula.

    Raises:
        UsageError: if the format can't represent a value.
        OSError: if the rows can't be written.
    """
    with RowWriter(form, stream, spreadsheet_safe=spreadsheet_safe) as writer:
        writer.write(rows)


class RowWriter:
    """Writes the rows of a table in parts; see `write_rows` for arguments and errors."""

    def __init__(self, form: Format, stream: BinaryIO, *, spreadsheet_safe: bool = False) -> None:
        check_spreadsheet_safe(spreadsheet_safe, form)
        self._form, self._stream = form, stream
        self._is_safe, self._is_terminal = spreadsheet_safe, stream.isatty()
        self._parquet: Any = None
        self._workbook = WorkbookWriter(stream) if form == "xlsx" else None
        self._has_header = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._parquet is not None:
            with suppress(OSError) if kind else nullcontext():  # show only the first error
                self._parquet.close()
        if self._workbook is not None:
            with suppress(OSError) if kind else nullcontext():
                self._workbook.close()

    def write(self, rows: pa.Table) -> None:
        """Write rows, which must have the same columns in each call."""
        if self._form == "parquet":
            self._parquet = self._parquet or self._open_parquet(rows.schema)
            self._parquet.write_table(rows)
            return
        if self._workbook is not None:
            if not self._has_header:
                self._workbook.write([rows.column_names])
                self._has_header = True
            self._workbook.write(_cells(rows))
            return
        if self._form == "csv":
            rows = _rounded(rows) if self._is_terminal else rows
            lines = _csv_lines(rows, self._is_safe, has_header=not self._has_header)
            self._has_header = True
        else:
            lines = _json_lines(rows)
        for text in lines:
            shown = "\n".join(map(printable, text.split("\n"))) if self._is_terminal else text
            self._stream.write(shown.encode())

    def _open_parquet(self, schema: pa.Schema) -> Any:  # noqa: ANN401
        from pyarrow.parquet import ParquetWriter

        return ParquetWriter(pa.PythonFile(self._stream, "w"), schema)


_DIGITS_ON_TERMINAL = 6
"""Significant digits of numbers on a terminal, where people read them."""


def _rounded(rows: pa.Table) -> pa.Table:
    """Return a table whose columns of fractions are texts with six significant digits."""
    columns = {}
    for name in rows.column_names:
        values = plain(rows.column(name))
        if pa.types.is_floating(values.type):
            texts = [None if each is None else _short(each) for each in values.to_pylist()]
            values = pa.chunked_array([pa.array(texts, pa.string())])
        columns[name] = values
    return pa.table(columns)


def _short(value: float) -> str:
    """Format a number with six significant digits, or more for all digits of its integer part."""
    is_large = 10**_DIGITS_ON_TERMINAL <= abs(value) < 1e15
    return f"{value:.0f}" if is_large else f"{value:.{_DIGITS_ON_TERMINAL}g}"


def check_spreadsheet_safe(spreadsheet_safe: bool, form: Format) -> None:
    """Refuse `--spreadsheet-safe` for formats other than CSV.

    Raises:
        UsageError: for another format.
    """
    if spreadsheet_safe and form != "csv":
        raise UsageError(f"--spreadsheet-safe is for csv, the format is {form}")


def _csv_lines(rows: pa.Table, spreadsheet_safe: bool, *, has_header: bool) -> Iterator[str]:
    """Yield the header, if requested, and then the text of the rows in parts."""
    texts = convert_columns(rows, _texts, "csv")
    is_text = [column_kind(field.type) in ("text", "other") for field in rows.schema]
    header = [_without_formula(name) if spreadsheet_safe else name for name in rows.column_names]
    if has_header:
        yield _csv([header])
    for batch in texts.to_batches(max_chunksize=_ROWS_AT_ONCE):
        columns = [column.to_pylist() for column in batch.columns]
        if spreadsheet_safe:
            columns = [
                [_without_formula(value) for value in column] if risky else column
                for column, risky in zip(columns, is_text, strict=True)
            ]
        yield _csv(zip(*columns, strict=True))


def _texts(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return values as texts, lists as JSON arrays."""
    if not _is_list(values.type):
        return values.cast(pa.string())
    lists = values.to_pylist()
    texts = ["" if each is None else json.dumps(each, ensure_ascii=False) for each in lists]
    missing = np.array([at for at, each in enumerate(lists) if each is None], dtype=np.int64)
    return pa.chunked_array([blanked(strings(texts, pa.string()), missing)])


def _csv(records: Iterable[Sequence[str | None]]) -> str:
    """Return lines that end in LF.

    Before Python 3.13, a CR in a field is quoted only if lines also end in CR.
    """
    lines: list[str] = []
    csv.writer(SimpleNamespace(write=lines.append), lineterminator=_CRLF).writerows(records)
    return "".join(f"{line.removesuffix(_CRLF)}\n" for line in lines)


def _without_formula(value: str | None) -> str | None:
    """Escape a text that a spreadsheet would run: owasp.org/www-community/attacks/CSV_Injection."""
    return f"'{value}" if value is not None and value.startswith(_FORMULA_SIGNS) else value


def _json_lines(rows: pa.Table) -> Iterator[str]:
    """Yield the text of the rows in parts."""
    names = rows.column_names
    converted = convert_columns(rows, _json_values, "jsonl")
    for batch in converted.to_batches(max_chunksize=_ROWS_AT_ONCE):
        columns = [map(finite_or_none, column.to_pylist()) for column in batch.columns]
        records = zip(*columns, strict=True)
        yield "".join(
            json.dumps(dict(zip(names, record, strict=True)), ensure_ascii=False) + "\n"
            for record in records
        )


def _cells(rows: pa.Table) -> Iterator[tuple[object, ...]]:
    """Yield the values of each row as a workbook has them: numbers, booleans or texts."""
    for batch in convert_columns(rows, json_or_plain, "xlsx").to_batches(
        max_chunksize=_ROWS_AT_ONCE
    ):
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def json_or_plain(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return values as numbers, booleans or texts; lists are texts of JSON arrays."""
    return _texts(values) if _is_list(values.type) else _json_values(values)


def _json_values(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return values as types that Python writes as JSON."""
    if pa.types.is_float32(values.type):
        return values.cast(pa.string()).cast(pa.float64())  # with the digits of a float32
    is_plain = column_kind(values.type) in ("number", "boolean") or _is_list(values.type)
    return values if is_plain and not pa.types.is_decimal(values.type) else values.cast(pa.string())


def _is_list(storage: pa.DataType) -> bool:
    """Return whether the values of a type are lists, such as prediction sets."""
    classes = (pa.string(), pa.int64(), pa.bool_())
    return pa.types.is_large_list(storage) and storage.value_type in classes


def convert_columns(
    rows: pa.Table, convert: Callable[[pa.ChunkedArray], pa.ChunkedArray], form: str
) -> pa.Table:
    """Convert each column of a table.

    Raises:
        UsageError: if a column can't be converted.
    """
    columns = {}
    for name in rows.column_names:
        values = plain(rows.column(name))
        try:
            columns[name] = convert(values)
        except MemoryError:
            raise
        except pa.ArrowException:
            raise UsageError(
                f"the column '{name}' holds {values.type}, which {form} can't represent; "
                "write Parquet instead, to a file that ends in .parquet"
            ) from None
    return pa.table(columns)
