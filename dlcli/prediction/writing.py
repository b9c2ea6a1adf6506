"""Predictions as a table of their own, written as CSV, Parquet or JSON lines."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dlcli.config import printable
from dlcli.errors import UsageError, did_you_mean
from dlcli.prediction.predictor import Predictions
from dlcli.tables import Table, blanked, plain

Format = Literal["csv", "parquet", "jsonl"]

_ENDINGS: dict[str, Format] = {
    ".csv": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_ROWS_AT_ONCE = 16_384
_CRLF = "\r\n"
_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r", "\n")


def choose_format(named: Format | None, output: Path | None) -> Format:
    """The format that was named, else the one of the file's ending, else CSV.

    Raises:
        UsageError: for an ending that tells nothing.
    """
    if named is not None or output is None:
        return named or "csv"
    ending = output.suffix.lower()
    if ending not in _ENDINGS:
        known = ", ".join(_ENDINGS)
        raise UsageError(
            f"{output}: the ending '{ending}' names no format ({known}); add --format csv"
        )
    return _ENDINGS[ending]


def assemble(
    predictions: Predictions,
    table: Table,
    keep: Sequence[str] = (),
    rejected: NDArray[np.int64] | None = None,
) -> pa.Table:
    """Puts predictions beside columns of their table.

    Args:
        predictions: of each row.
        table: the rows predicted.
        keep: columns to pass through unchanged, before the predictions; one named twice is kept
            once.
        rejected: the indices of rows that are given no prediction.

    Returns:
        As many rows as the table has, in its order.

    Raises:
        UsageError: for a column that isn't there or is called like one of the predictions.
    """
    columns = predictions.columns()
    if rejected is not None and len(rejected):
        columns = {name: blanked(values, rejected) for name, values in columns.items()}
    kept = dict.fromkeys(keep)
    for name in kept:
        if name not in table.columns:
            near = did_you_mean(name, table.columns)
            raise UsageError(f"{table.file}: has no column '{name}' to keep{near}")
        if name in columns:
            raise UsageError(
                f"{table.file}: the column '{name}' can't be kept, as a column of the predictions "
                "has that name; rename it"
            )
    return pa.table({**{name: table.keep(name) for name in kept}, **columns})


def write_rows(
    rows: pa.Table, form: Format, stream: BinaryIO, *, spreadsheet_safe: bool = False
) -> None:
    """Writes a table.

    Numbers are written with as few digits as give them back exactly, truth as `true` and `false`,
    a missing value as an empty field or `null`. Texts are written as they are, since a class must
    be given back exactly; only a terminal, which would obey the control characters in them, gets
    these as escapes.

    Args:
        rows: the table.
        form: the format to write.
        stream: where to.
        spreadsheet_safe: put an apostrophe before texts that a spreadsheet would run as a formula.

    Raises:
        UsageError: for values that the format can't hold.
        OSError: if they can't be stored.
    """
    if spreadsheet_safe and form != "csv":
        raise UsageError(f"--spreadsheet-safe is for csv, the format is {form}")
    if form == "parquet":
        from pyarrow.parquet import write_table

        write_table(rows, pa.PythonFile(stream, "w"))
        return
    lines = _csv_lines(rows, spreadsheet_safe) if form == "csv" else _json_lines(rows)
    is_terminal = stream.isatty()
    for text in lines:
        stream.write((_inert(text) if is_terminal else text).encode())


def _csv_lines(rows: pa.Table, spreadsheet_safe: bool) -> Iterator[str]:
    """The text of some rows at a time, the header first."""
    texts = _each_column(rows, lambda values: values.cast(pa.string()), "csv")
    is_text = [_is_text(field.type) for field in rows.schema]
    header = [_harmless(name) if spreadsheet_safe else name for name in rows.column_names]
    yield _csv([header])
    for batch in texts.to_batches(max_chunksize=_ROWS_AT_ONCE):
        columns = [column.to_pylist() for column in batch.columns]
        if spreadsheet_safe:
            columns = [
                [_harmless(value) for value in column] if risky else column
                for column, risky in zip(columns, is_text, strict=True)
            ]
        yield _csv(zip(*columns, strict=True))


def _csv(records: Iterator[Sequence[str | None]] | Sequence[Sequence[str | None]]) -> str:
    lines = _Lines()
    csv.writer(lines, lineterminator=_CRLF).writerows(records)
    return "".join(lines.written)


class _Lines:
    """Takes lines that end in CR and LF, and ends them in LF.

    Before Python 3.13, a field's own CR is put in quotes only if it ends lines, too.
    """

    def __init__(self) -> None:
        self.written: list[str] = []

    def write(self, line: str) -> None:
        self.written.append(line.removesuffix(_CRLF) + "\n")


def _inert(text: str) -> str:
    """Lines without any character that a terminal obeys."""
    return "\n".join(map(printable, text.split("\n")))


def _harmless(value: str | None) -> str | None:
    """A text that no spreadsheet runs (https://owasp.org/www-community/attacks/CSV_Injection)."""
    return f"'{value}" if value is not None and value.startswith(_FORMULA_SIGNS) else value


def _json_lines(rows: pa.Table) -> Iterator[str]:
    """The text of some rows at a time."""
    names = rows.column_names
    for batch in _each_column(rows, _for_json, "jsonl").to_batches(max_chunksize=_ROWS_AT_ONCE):
        columns = [map(_finite, column.to_pylist()) for column in batch.columns]
        records = zip(*columns, strict=True)
        yield "".join(
            json.dumps(dict(zip(names, record, strict=True)), ensure_ascii=False) + "\n"
            for record in records
        )


def _for_json(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers and truth as they are, all else as text."""
    storage = values.type
    own = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean)
    return values if any(check(storage) for check in own) else values.cast(pa.string())


def _finite(value: object) -> object:
    """JSON has no NaN and no infinity."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _each_column(
    rows: pa.Table, change: Callable[[pa.ChunkedArray], pa.ChunkedArray], form: Format
) -> pa.Table:
    """A table with each column changed.

    Raises:
        UsageError: for a column that can't be.
    """
    columns = {}
    for name in rows.column_names:
        values = plain(rows.column(name))
        try:
            columns[name] = change(values)
        except pa.ArrowException:
            raise UsageError(
                f"the column '{name}' holds {values.type}, which {form} has no form for; "
                "use --format parquet, or don't keep it"
            ) from None
    return pa.table(columns)


def _is_text(storage: pa.DataType) -> bool:
    """Whether a type's values are text to a spreadsheet: all but numbers and truth."""
    own = (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean, pa.types.is_decimal)
    return not any(check(storage) for check in own)
