"""The formats of the files of a run: NumPy archives, Parquet tables, the history as CSV.

Equal content gives equal bytes. Files are untrusted, so everything in them is checked.
"""

from __future__ import annotations

import csv
import io
import math
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from dlcli.errors import RunError
from dlcli.safe_files import damaged
from dlcli.schema.urls import Location

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import FileMetaData

Array = NDArray[Any]

_OVERHEAD = 1024
"""Upper bound of the headers of ZIP and NumPy for one array in bytes, without its name."""
_EXPANSION = 64
"""Maximum ratio of the size of a Parquet table in memory to the size of its file, which contains
uncompressed row numbers."""
EXPANDED_BYTES = 2**25
"""Size in bytes below which a table in memory is always accepted."""
_CELLS_AT_ONCE = 2**18
"""Cells that are decoded before their size is checked."""
_PARQUET_FORMS = {"UNCOMPRESSED", "SNAPPY", "PLAIN", "RLE", "PLAIN_DICTIONARY", "RLE_DICTIONARY"}
"""The compressions and encodings in files of `write_parquet`."""


class ArraySpec(NamedTuple):
    """The shape and the dtype of an array."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def bytes(self) -> int:
        """The size of the values in bytes."""
        return math.prod(self.shape) * self.dtype.itemsize


def weight_specs(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, ArraySpec]:
    """Return the specs of float32 weights by name, given their shapes."""
    return {name: ArraySpec(shape, np.dtype(np.float32)) for name, shape in shapes.items()}


def write_arrays(path: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays for `numpy.load`, uncompressed, in C order and without timestamps.

    Args:
        path: the file to write.
        arrays: numeric arrays by name.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy")  # has a constant date by default
            with archive.open(member, "w", force_zip64=True) as stream:
                content = np.asarray(array, order="C")
                npy.write_array(stream, content, version=(1, 0), allow_pickle=False)


def max_archive_bytes(specs: Mapping[str, ArraySpec]) -> int:
    """Return the maximum size in bytes of an archive of arrays with these specs."""
    members = (spec.bytes + 2 * len(name.encode()) + _OVERHEAD for name, spec in specs.items())
    return sum(members) + _OVERHEAD


def read_arrays(
    stream: BinaryIO, specs: Mapping[str, ArraySpec], file: Location
) -> dict[str, Array]:
    """Read an archive, which must contain exactly the expected arrays.

    Args:
        stream: the archive; not more than the expected size is read.
        specs: shape and dtype of each array, by name.
        file: path of the archive, for messages.

    Returns:
        Read-only arrays in the order of `specs`.

    Raises:
        RunError: if an array is unknown or missing, or has another shape, dtype or size.
    """
    try:
        with zipfile.ZipFile(stream) as archive:
            _check_names([member.filename for member in archive.infolist()], specs, file)
            return {name: _read_array(archive, name, spec, file) for name, spec in specs.items()}
    except RunError:
        raise
    except Exception as error:  # the parsers may raise anything for manipulated bytes
        raise damaged(file, f"is not an archive of arrays: {error}") from error


def _check_names(members: list[str], specs: Mapping[str, object], file: Location) -> None:
    expected = {f"{name}.npy": name for name in specs}
    findings = [
        f"lacks array {name!r}" for member, name in expected.items() if member not in members
    ]
    findings += [f"has an unknown {name!r}" for name in sorted(set(members) - set(expected))]
    if len(members) > len(set(members)):
        findings.append("contains a name twice")
    if findings:
        raise damaged(file, findings[0])


def _read_array(archive: zipfile.ZipFile, name: str, spec: ArraySpec, file: Location) -> Array:
    member = archive.getinfo(f"{name}.npy")
    if member.compress_type != zipfile.ZIP_STORED:
        raise damaged(file, f"array {name!r} is compressed")
    with archive.open(member) as stream:
        _check_header(stream, name, spec, file)
        rest = member.file_size - stream.tell()
        if rest != spec.bytes:
            message = f"array {name!r} has {rest} bytes of values, expected {spec.bytes}"
            raise damaged(file, message)
        return np.ndarray(spec.shape, spec.dtype, buffer=stream.read(spec.bytes))


def _check_header(stream: IO[bytes], name: str, spec: ArraySpec, file: Location) -> None:
    """Check the header of an array. Its dtype also shows whether it contains pickled objects."""
    if npy.read_magic(stream) != (1, 0):
        raise damaged(file, f"array {name!r} has an unknown format")
    found, is_fortran, dtype = npy.read_array_header_1_0(stream)
    if dtype != spec.dtype or is_fortran:
        order = " in Fortran order" if is_fortran else ""
        raise damaged(file, f"array {name!r} is {dtype}{order}, expected {spec.dtype}")
    if found != spec.shape:
        raise damaged(file, f"array {name!r} has the shape {found}, expected {spec.shape}")


def write_parquet(path: Path, table: pa.Table) -> None:
    """Write a table as Parquet.

    Only texts are compressed, so the size of the file bounds the size of the table.

    Raises:
        OSError: if the file can't be written.
    """
    from pyarrow.parquet import write_table

    texts = [field.name for field in table.schema if _is_text(field.type)]
    compression = {name: "snappy" if name in texts else "none" for name in table.column_names}
    write_table(table, path, use_dictionary=texts, compression=compression)


def read_parquet(stream: BinaryIO, file: Location) -> pa.Table:
    """Read a Parquet table of a run.

    Args:
        stream: the file.
        file: its path, for messages.

    Raises:
        RunError: if the file is not a Parquet file that `write_parquet` could have written, or the
            table takes far more memory than the file.
    """
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    size = stream.seek(0, io.SEEK_END)
    most = max(EXPANDED_BYTES, _EXPANSION * size)
    try:
        footer = ParquetFile(stream)
        schema = footer.schema_arrow
        if finding := _parquet_problem(footer.metadata, schema, size):
            raise damaged(file, finding)
        texts = [field.name for field in schema if _is_text(field.type)]
        # A dictionary takes little memory, even if a long text is repeated in all rows.
        source, batches, total = ParquetFile(stream, read_dictionary=texts), [], 0
        for batch in source.iter_batches(max(1, _CELLS_AT_ONCE // max(1, len(schema)))):
            total += sum(map(_plain_bytes, batch.columns))
            if total > most:
                raise damaged(file, f"expands to more than {_EXPANSION} times its size")
            batches.append(batch.cast(schema))
        return pa.Table.from_batches(batches, schema)
    except MemoryError:  # pyarrow's is also an ArrowException
        raise
    except (pa.ArrowException, OSError) as error:
        raise damaged(file, f"is not a Parquet file: {error}") from None


def _parquet_problem(metadata: FileMetaData, schema: pa.Schema, size: int) -> str | None:
    """Return why `write_parquet` can't have written a file of a size in bytes, if so.

    Other compressions and encodings can expand a few bytes to gigabytes in a single step.
    """
    from pyarrow.types import is_primitive

    if metadata.num_rows > size:
        return f"has {metadata.num_rows:,} rows, but only {size:,} bytes"
    for field in schema:
        if not (_is_text(field.type) or is_primitive(field.type)):
            return f"column {field.name[:60]!r} is of the type {str(field.type)[:60]}"
    for group in map(metadata.row_group, range(metadata.num_row_groups)):
        for chunk in map(group.column, range(group.num_columns)):
            found = {chunk.compression, *chunk.encodings}
            if other := sorted(found - _PARQUET_FORMS):
                return f"is encoded as {other[0]}, which dlcli does not write"
    return None


def _plain_bytes(column: pa.Array) -> int:
    """Return the size of an array in bytes without its dictionary, if it has one."""
    from pyarrow import compute, types

    if not types.is_dictionary(column.type):
        return int(column.nbytes)
    lengths = compute.binary_length(column.dictionary).take(column.indices)
    return 4 * len(column) + int(compute.sum(lengths.cast("int64")).as_py() or 0)


def _is_text(kind: pa.DataType) -> bool:
    from pyarrow import types

    return bool(types.is_string(kind) or types.is_large_string(kind))


def dump_history(columns: Mapping[str, Sequence[float]]) -> str:
    """Return a history as CSV, one row per epoch, with the shortest exact form of each number.

    Args:
        columns: the values of each epoch by name, all of one length.

    Returns:
        CSV whose first column is the epoch, from 1.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["epoch", *columns])
    for epoch, row in enumerate(zip(*columns.values(), strict=True), start=1):
        writer.writerow([epoch, *(repr(float(value)) for value in row)])
    return text.getvalue()


def parse_history(content: bytes, file: Location) -> dict[str, list[float]]:
    """Return the columns of a history that `dump_history` wrote, without the epoch.

    Args:
        content: the bytes of the file.
        file: its path, for messages.

    Raises:
        RunError: if the content is not such a history.
    """
    try:
        reader = csv.reader(io.StringIO(content.decode(), newline=""), strict=True)
        header = next(reader, [])
        if header[:1] != ["epoch"]:
            raise damaged(file, "does not begin with the column 'epoch'")
        table: list[list[float]] = [[] for _ in header]
        for row in reader:  # a list of all rows would take 100 times the size of the file
            for column, field in zip(table, row, strict=True):
                column.append(float(field))
    except (ValueError, csv.Error) as error:
        raise damaged(file, f"is not a table of numbers: {error}") from None
    names, (epochs, *columns) = header[1:], table
    if epochs != list(range(1, len(epochs) + 1)):
        raise damaged(file, "does not number its epochs from 1")
    if len(set(names)) < len(names):
        raise damaged(file, "has two columns with the same name")
    return dict(zip(names, columns, strict=True))
