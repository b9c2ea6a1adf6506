"""NumPy and pyarrow, loaded at their first use, and conversions between their arrays.

The module of a column type contains both the section of the config and the code that encodes
values. So commands that only read configs import it, but they must start without NumPy and pyarrow.

pyarrow's `array`, `scalar` and `to_numpy` import pandas wherever it is installed, which adds about
a second to the start-up. So do its functions when they get a Python number or text. The functions
here use buffers instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

__all__ = ["Array", "Floats", "Indices", "LazyModule", "Mask", "Matrix", "np", "pa", "pc"]


class LazyModule:
    """A module that is imported when one of its names is first used."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        value = vars(self)[name] = getattr(import_module(self._name), name)
        return value


if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    from numpy.typing import NDArray

    Array = NDArray[Any]
    Mask = NDArray[np.bool_]
    Indices = NDArray[np.int64]
    Floats = NDArray[np.float64]
    Matrix = NDArray[np.float32]
    Scalar = TypeVar("Scalar", bound=np.generic)
else:
    np, pa, pc = map(LazyModule, ("numpy", "pyarrow", "pyarrow.compute"))
    Array = Mask = Indices = Floats = Matrix = Any

MAX_BYTES = 2**31 - 1
"""Capacity of one array of Arrow's default string type."""


def to_numpy(values: pa.Array | pa.ChunkedArray, dtype: type[Scalar]) -> NDArray[Scalar]:
    """Copy fixed-width values; the result is undefined where a value is null.

    Args:
        values: numbers of the width of `dtype`, (rows,).
        dtype: the NumPy type that the values are stored as.
    """
    assert values.type.bit_width == 8 * np.dtype(dtype).itemsize, values.type
    chunks = values.chunks if isinstance(values, pa.ChunkedArray) else [values]
    parts = [
        np.frombuffer(chunk.buffers()[1], dtype, count=len(chunk) + chunk.offset)[chunk.offset :]
        for chunk in chunks
        if len(chunk)
    ]
    return np.concatenate(parts) if parts else np.empty(0, dtype)


def mask_to_numpy(mask: pa.Array | pa.ChunkedArray) -> NDArray[np.bool_]:
    """Copy an Arrow mask without nulls, (rows,)."""
    return to_numpy(pc.cast(mask, pa.uint8()), np.uint8).astype(np.bool_)


def integers(values: NDArray[np.int64]) -> pa.Array:
    """View integers as an Arrow array, (rows,)."""
    contiguous = np.ascontiguousarray(values, dtype=np.int64)
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(contiguous)])


def floats(values: NDArray[np.floating[Any]]) -> pa.Array:
    """Convert numbers to an Arrow array of doubles, (rows,)."""
    contiguous = np.ascontiguousarray(values, dtype=np.float64)
    return pa.Array.from_buffers(pa.float64(), len(values), [None, pa.py_buffer(contiguous)])


def blanked(values: pa.Array, rows: NDArray[np.int64]) -> pa.Array:
    """Return the values with null in some rows.

    Args:
        values: (rows,).
        rows: the indices of the rows to set to null.
    """
    if not len(rows):
        return values
    valid = np.ones(len(values), dtype=np.bool_)
    valid[rows] = False
    bitmap = pa.py_buffer(np.packbits(valid, bitorder="little"))
    indices = pa.py_buffer(np.arange(len(values), dtype=np.int64))
    return values.take(pa.Array.from_buffers(pa.int64(), len(values), [bitmap, indices]))


def strings(texts: Sequence[str], storage: pa.DataType) -> pa.Array:
    """Convert a few texts to an Arrow array of a string type."""
    encoded = [text.encode() for text in texts]
    lengths = np.array([len(text) for text in encoded], dtype=np.int64)
    return from_utf8(b"".join(encoded), lengths).cast(storage)


def from_utf8(data: bytes | NDArray[np.uint8], lengths: NDArray[np.int64]) -> pa.Array:
    """Make an array of texts from their concatenated bytes, without a copy.

    Args:
        data: the bytes of all texts.
        lengths: the number of bytes of each text, (texts,).

    Returns:
        Of Arrow's type `string`, or `large_string` for 2 GiB or more, (texts,).
    """
    is_large = len(data) > MAX_BYTES
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64 if is_large else np.int32)
    np.cumsum(lengths, out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    storage = pa.large_string() if is_large else pa.string()
    return pa.Array.from_buffers(storage, len(lengths), buffers)


def utf8(texts: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """View the concatenated bytes of texts.

    Args:
        texts: of Arrow's type `string`, without nulls.

    Returns:
        data: the bytes of all texts, (bytes,).
        offsets: the start of each text, and the end of the last one, (texts + 1,).
    """
    if not len(texts):
        return np.empty(0, np.uint8), np.zeros(1, np.int32)
    _, ends, data = texts.buffers()
    offsets = np.frombuffer(ends, np.int32, count=texts.offset + len(texts) + 1)[texts.offset :]
    whole = np.frombuffer(data or b"", np.uint8)
    return whole[offsets[0] : offsets[-1]], offsets - offsets[0]


def index_in(values: pa.Array | pa.ChunkedArray, known: pa.Array) -> NDArray[np.int32]:
    """Return the index of each value among the known ones, -1 where it is unknown, (values,)."""
    found = pc.index_in(values, value_set=known)
    indices = to_numpy(found, np.int32)
    indices[mask_to_numpy(found.is_null())] = -1
    return indices


def widened(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Convert texts of over 2 GiB to Arrow's large string type; return other values unchanged.

    Without this, functions that combine the chunks, such as `take`, would fail.
    """
    large = {pa.string(): pa.large_string(), pa.binary(): pa.large_binary()}.get(values.type)
    return values.cast(large) if large and values.nbytes > MAX_BYTES else values


def plain(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Convert dictionaries to values, nulls to text, and half floats to floats.

    Args:
        values: the values as stored, (rows,).
    """
    storage = values.type
    if pa.types.is_dictionary(storage):
        return plain(values.cast(storage.value_type))
    if pa.types.is_null(storage):
        return values.cast(pa.string())
    return values.cast(pa.float32()) if pa.types.is_float16(storage) else values
