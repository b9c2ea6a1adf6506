"""Tables that Python holds in memory: data frames, Arrow tables, mappings and lists of records.

pyarrow's conversions import pandas if it is installed, which takes a second, so pyarrow converts
only the columns of pandas data frames.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from functools import cached_property
from hashlib import sha256
from numbers import Real
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dlcli.arrays import blanked, floats, from_utf8, integers, plain, widened
from dlcli.errors import DataError
from dlcli.tables.source_files import Batches, check_names
from dlcli.tables.typed_files import with_plain_types

_MISSING_TYPES = ("NAType", "NaTType")
"""Types of pandas' missing values."""
_TYPES_WITH_TEXT = ("Period", "Interval")
"""Types of pandas values that are converted to text."""
_UNKNOWN_TYPE = "unsupported format string"
"""Part of Arrow's error for an unsupported type, such as 128-bit integers of polars."""
_INT64 = range(-(2**63), 2**63)
_EXPECTED = "a data frame, an Arrow table, a mapping of columns, or a list of records"
_PLAIN_TYPES = {bool, int, float, str}
ValueKind = Literal["boolean", "integer", "float", "text"]


@dataclass(frozen=True)
class MemoryTable:
    """A table in memory."""

    name: str
    """The name in messages, like a file name."""
    data: pa.Table
    """Columns with distinct names and with types that all of Arrow's functions support."""

    @cached_property
    def fingerprint(self) -> dict[str, object]:
        """SHA-256 and size of the rows, like for a file.

        The hash covers names, types and values, but not Arrow's division into chunks.
        """
        found, size = sha256(), 0
        for name in self.data.column_names:
            values = widened(plain(self.data.column(name)))
            found.update(f"{name}\0{values.type}\0{len(values)}\0".encode())
            for part in (values.is_null(), values.drop_null()):
                found.update(_serialized(part))
            size += values.nbytes
        return {"file": self.name, "sha256": found.hexdigest(), "bytes": size}


def _serialized(values: pa.ChunkedArray) -> pa.Buffer:
    """Serialize values without nulls as Arrow IPC; equal values give equal bytes."""
    whole = pa.concat_arrays(values.chunks) if values.num_chunks else pa.nulls(0, values.type)
    return pa.RecordBatch.from_arrays([whole], ["values"]).serialize()


def memory_table(data: object, name: str = "data") -> MemoryTable:
    """Convert a Python table, without copying data that Arrow can share.

    A pandas index is not a column. Objects of mixed types become text, as in CSV.

    Args:
        data: a table with the Arrow PyCapsule interface (pandas, polars, pyarrow or DuckDB), a
            mapping from columns to arrays or lists, or a list of mappings.
        name: the table's name in messages.

    Raises:
        DataError: for anything else, or a column that can't be read.
    """
    if isinstance(data, MemoryTable):
        return data
    try:
        table = _arrow_table(data, name)
        check_names(table.column_names, name)
        batches = with_plain_types(Batches(table.schema, iter(table.to_batches())), name)
        return MemoryTable(name, pa.Table.from_batches(batches.rows, batches.schema))
    except MemoryError:
        raise
    except pa.ArrowException as error:
        way_out = "; convert columns of this type" if _UNKNOWN_TYPE in str(error) else ""
        raise DataError(f"can't be read as a table: {error}{way_out}", file=name) from None


def _arrow_table(data: object, name: str) -> pa.Table:
    if isinstance(data, pa.Table):
        return data
    if _is_pandas(data, "DataFrame"):
        frame: Any = data
        columns = ((label, frame.iloc[:, at]) for at, label in enumerate(frame.columns))
        return _of_columns(columns, name)
    if hasattr(data, "__arrow_c_stream__") and not _is_pandas(data, "Series"):
        try:
            reader = pa.RecordBatchReader.from_stream(data)
        except pa.ArrowInvalid as error:
            if _UNKNOWN_TYPE in str(error):
                _refuse_unknown_types(data, name)
                raise
            # a single column
            message = f"expected {_EXPECTED}, got {type(data).__name__}"
            raise DataError(message, file=name) from None
        return reader.read_all()
    if isinstance(data, Mapping):
        return _of_columns(data.items(), name)
    if isinstance(data, np.ndarray) and data.dtype.names:
        return _of_columns(((field, data[field]) for field in data.dtype.names), name)
    if isinstance(data, Sequence) and not isinstance(data, str | bytes):
        return _of_records(data, name)
    kind = type(data).__name__
    hint = "; an array has no column names" if isinstance(data, np.ndarray) else ""
    if hasattr(data, "collect"):  # a lazy query of polars
        hint = "; call collect() first"
    raise DataError(f"expected {_EXPECTED}, got {kind}{hint}", file=name)


def _refuse_unknown_types(data: Any, name: str) -> None:  # noqa: ANN401
    """Raise `DataError` for the first column of a data frame whose type Arrow does not support."""
    for column in getattr(data, "columns", ()):
        try:
            pa.chunked_array(data[column])
        except pa.ArrowInvalid:
            message = f"holds {data[column].dtype}, which is not supported; convert it"
            raise DataError(f"{message} to numbers or text", file=name, column=column) from None


def _of_columns(columns: Iterable[tuple[object, object]], name: str) -> pa.Table:
    """Make a table of named columns.

    Raises:
        DataError: for columns of different lengths, or two columns of the same name.
    """
    arrays: dict[str, pa.Array | pa.ChunkedArray] = {}
    for label, values in columns:
        column = str(label)
        if column in arrays:
            raise DataError("is the name of two columns; rename one", file=name, column=column)
        arrays[column] = _column(values, name, column)
    lengths = {column: len(values) for column, values in arrays.items()}
    if len(set(lengths.values())) > 1:
        first, *others = lengths
        other = next(each for each in others if lengths[each] != lengths[first])
        message = f"has {lengths[other]} rows, but column '{first}' has {lengths[first]}"
        raise DataError(message, file=name, column=other)
    return pa.table(arrays)


def _of_records(records: Sequence[object], name: str) -> pa.Table:
    """Make a table of mappings, one per row; absent keys are missing values.

    Raises:
        DataError: for a record that is not a mapping.
    """
    columns: dict[str, None] = {}
    rows: list[Mapping[str, object]] = []
    for number, record in enumerate(records, start=1):
        if not isinstance(record, Mapping):
            message = f"expected {_EXPECTED}, but the row is of type {type(record).__name__}"
            raise DataError(message, file=name, row=number)
        is_plain = all(type(key) is str for key in record)
        row = record if is_plain else {str(key): value for key, value in record.items()}
        if not row.keys() <= columns.keys():
            columns.update(dict.fromkeys(row))
        rows.append(row)
    values = ((each, _of_cells([row.get(each) for row in rows], name, each)) for each in columns)
    return _of_columns(values, name)


def _column(values: object, name: str, column: str) -> pa.Array | pa.ChunkedArray:
    if isinstance(values, pa.Array | pa.ChunkedArray):
        return values
    if _is_pandas(values, "Series") or _is_pandas(values, "Index"):
        return _of_pandas(values, name, column)
    if hasattr(values, "__arrow_c_stream__"):
        return pa.chunked_array(values)
    if isinstance(values, np.ndarray):
        return _of_numpy(values, name, column)
    if isinstance(values, Sequence) and not isinstance(values, str | bytes):
        return array_of_objects(values, name, column)
    if callable(getattr(values, "__array__", None)):  # a tensor, for example
        return _of_numpy(np.asarray(values), name, column)
    message = f"expected an array or a list, got {type(values).__name__}"
    if isinstance(values, str | bytes | int | float):
        message += "; pass a single row as a list of one mapping"
    raise DataError(message, file=name, column=column)


def _is_pandas(value: object, kind: str) -> bool:
    """Return whether a value has the named pandas class, without importing pandas."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(value, getattr(pandas, kind))


def _of_pandas(series: Any, name: str, column: str) -> pa.Array | pa.ChunkedArray:  # noqa: ANN401
    if series.dtype == object:
        return _of_cells(series.tolist(), name, column)
    if hasattr(series, "sparse"):
        series = series.sparse.to_dense()
    try:
        values = pa.array(series, from_pandas=True)
    except (pa.ArrowException, TypeError):
        if isinstance(series.dtype, np.dtype):  # such as big-endian or long-double numbers
            return _of_numpy(series.to_numpy(), name, column)
        return array_of_objects(series.tolist(), name, column)  # such as categories of mixed types
    storage = values.type
    kind = storage.value_type if pa.types.is_dictionary(storage) else storage
    if isinstance(kind, pa.BaseExtensionType):  # such as periods, which would become numbers
        return array_of_objects(
            series.astype(str).where(series.notna(), None).tolist(), name, column
        )
    return values


def _of_numpy(values: NDArray[Any], name: str, column: str) -> pa.Array:
    if values.ndim != 1:
        message = f"expected one value for each row, got an array of shape {values.shape}"
        raise DataError(message, file=name, column=column)
    kind = values.dtype.kind
    if kind in "OUST" or isinstance(values, np.ma.MaskedArray):
        return array_of_objects(values.tolist(), name, column)
    if kind == "f" and values.dtype.itemsize > 8:
        values = values.astype(np.float64)
    if kind in "iuf":
        return _fixed_width(values, pa.from_numpy_dtype(values.dtype.newbyteorder("=")))
    if kind == "b":
        return _fixed_width(values.view(np.uint8), pa.uint8()).cast(pa.bool_())
    if kind in "mM":
        return array_of_objects([*values], name, column)
    message = f"holds {values.dtype}, which is not supported; convert it to numbers or text"
    raise DataError(message, file=name, column=column)


def _fixed_width(values: NDArray[Any], storage: pa.DataType) -> pa.Array:
    native = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))
    return pa.Array.from_buffers(storage, len(native), [None, pa.py_buffer(native)])


def _of_cells(values: Sequence[object], name: str, column: str) -> pa.Array:
    """Make an array of row values. Lists and the like are not supported, as in files."""
    try:
        return array_of_objects(values, name, column)
    except DataError as error:
        try:
            return pa.array(values, from_pandas=True)
        except (pa.ArrowException, TypeError):
            raise error from None


def array_of_objects(values: Sequence[object], name: str, column: str) -> pa.Array:
    """Make an array of Python values: numbers or booleans if all are, else texts.

    Raises:
        DataError: for a value without a text form, such as a list.
    """
    kind, found = typed_values(values, name, column)
    if kind == "float":
        return floats(np.array([np.nan if value is None else value for value in found], np.float64))
    missing = np.flatnonzero([value is None for value in found])
    if kind == "text":
        encoded = [b"" if value is None else value.encode() for value in found]
        lengths = np.array([len(text) for text in encoded], dtype=np.int64)
        return blanked(from_utf8(b"".join(encoded), lengths), missing)
    whole = integers(np.array([value or 0 for value in found], dtype=np.int64))
    stored = blanked(whole, missing)
    return stored.cast(pa.bool_()) if kind == "boolean" else stored


def typed_values(values: Sequence[object], name: str, column: str) -> tuple[ValueKind, list[Any]]:
    """Convert Python values to one type: numbers or booleans if all are, else texts.

    Args:
        values: the column's values, which may be NumPy numbers and times.
        name: the table's name in messages.
        column: the column's name.

    Returns:
        kind: the kind of all values.
        values: `bool`, 64-bit `int`, `float` or `str`, None where missing.

    Raises:
        DataError: for a value without a text form, such as a list.
    """
    kinds = {*map(type, values)} - {type(None)}
    found: list[Any]
    if kinds <= _PLAIN_TYPES:  # fast path
        found = [each if each == each else None for each in values] if float in kinds else [*values]
    else:
        found = [None if _is_missing(each) else each for each in map(_python_value, values)]
    kinds = {*map(type, found)} - {type(None)}
    if kinds == {bool}:
        return "boolean", found
    if kinds == {int} and all(value is None or value in _INT64 for value in found):
        return "integer", found
    if float in kinds and kinds <= {int, float}:
        try:
            return "float", [None if value is None else float(value) for value in found]
        except OverflowError:  # an integer of over 300 digits; its text is refused later
            pass
    texts = [None if value is None else _text(value) for value in found]
    wrong = next((at for at, text in enumerate(texts) if text is None is not found[at]), None)
    if wrong is not None:
        message = f"expected a number, text or a date, got {type(found[wrong]).__name__}"
        raise DataError(message, file=name, row=wrong + 1, column=column)
    return "text", texts


def _python_value(value: object) -> object:
    """Convert a NumPy number or time to Python, and a duration to seconds."""
    if isinstance(value, np.timedelta64):
        return None if np.isnat(value) else float(value / np.timedelta64(1, "ns")) / 1e9
    if isinstance(value, timedelta):  # as that of pandas is
        return value.total_seconds()
    if isinstance(value, np.datetime64):  # with nanoseconds it would become a number
        return value.astype("datetime64[us]").item()
    if isinstance(value, np.generic):
        return value.item()
    return value


def _is_missing(value: object) -> bool:
    if value is None or type(value).__name__ in _MISSING_TYPES:
        return True
    if isinstance(value, Decimal):
        return value.is_nan()
    return isinstance(value, Real) and bool(value != value)


def _text(value: object) -> str | None:
    """Return a value as in CSV; `None` if it can't be written as text."""
    if type(value) is str and value.isascii():  # fast path
        return value
    if isinstance(value, bool):
        return str(value).lower()
    is_plain = isinstance(value, str | Real | Decimal | date | time)
    if is_plain or type(value).__name__ in _TYPES_WITH_TEXT:
        return str(value).encode(errors="replace").decode()
    return None
