"""Arrow arrays from and to NumPy.

pyarrow's own `array`, `scalar` and `to_numpy` import pandas wherever it is installed, which costs
a start-up about a second. These go through the buffers instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)

_MOST_BYTES = 2**31 - 1
"""What Arrow's usual texts can hold in one array."""
_LONG = {pa.string(): pa.large_string(), pa.binary(): pa.large_binary()}


def to_numpy(values: pa.ChunkedArray, dtype: type[Scalar]) -> NDArray[Scalar]:
    """A copy of fixed-width values; what stands in the place of a null is undefined.

    Args:
        values: numbers of the width of `dtype`, (rows,).
        dtype: the NumPy type that the values are stored as.
    """
    filled = [chunk for chunk in values.chunks if len(chunk)]
    parts = [
        np.frombuffer(chunk.buffers()[1], dtype, count=len(chunk) + chunk.offset)[chunk.offset :]
        for chunk in filled
    ]
    return np.concatenate(parts) if parts else np.empty(0, dtype)


def mask_to_numpy(mask: pa.ChunkedArray) -> NDArray[np.bool_]:
    """A copy of an Arrow mask without nulls, (rows,)."""
    return to_numpy(pc.cast(mask, pa.uint8()), np.uint8).astype(np.bool_)


def integers(values: NDArray[np.int64]) -> pa.Array:
    """An Arrow view of integers, (rows,)."""
    contiguous = np.ascontiguousarray(values, dtype=np.int64)
    return pa.Array.from_buffers(pa.int64(), len(values), [None, pa.py_buffer(contiguous)])


def floats(values: NDArray[np.floating[Any]]) -> pa.Array:
    """Numbers as an Arrow array of doubles, (rows,)."""
    contiguous = np.ascontiguousarray(values, dtype=np.float64)
    return pa.Array.from_buffers(pa.float64(), len(values), [None, pa.py_buffer(contiguous)])


def blanked(values: pa.Array, rows: NDArray[np.int64]) -> pa.Array:
    """The same values, null in some rows.

    Args:
        values: (rows,).
        rows: the indices of those.
    """
    valid = np.ones(len(values), dtype=np.bool_)
    valid[rows] = False
    bitmap = pa.py_buffer(np.packbits(valid, bitorder="little"))
    places = pa.py_buffer(np.arange(len(values), dtype=np.int64))
    return values.take(pa.Array.from_buffers(pa.int64(), len(values), [bitmap, places]))


def strings(words: Sequence[str], storage: pa.DataType) -> pa.Array:
    """A few words as an Arrow array.

    Args:
        words: the words.
        storage: the Arrow type: a string type.
    """
    encoded = [word.encode() for word in words]
    lengths = np.array([len(word) for word in encoded], dtype=np.int64)
    return from_utf8(b"".join(encoded), lengths).cast(storage)


def from_utf8(data: bytes | NDArray[np.uint8], lengths: NDArray[np.int64]) -> pa.Array:
    """Texts from their bytes, one behind the other, without a copy.

    Args:
        data: the bytes of all texts, less than 2 GiB.
        lengths: how many bytes each text has, (texts,).
    """
    offsets = np.zeros(len(lengths) + 1, dtype=np.int32)
    np.cumsum(lengths, out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    return pa.Array.from_buffers(pa.string(), len(lengths), buffers)


def utf8(texts: pa.Array) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    """A view of the bytes of texts, one behind the other.

    Args:
        texts: of Arrow's type `string`, without nulls.

    Returns:
        data: the bytes of all texts, (bytes,).
        offsets: where each text starts, and the last one ends, (texts + 1,).
    """
    if not len(texts):
        return np.empty(0, np.uint8), np.zeros(1, np.int32)
    _, ends, data = texts.buffers()
    offsets = np.frombuffer(ends, np.int32, count=texts.offset + len(texts) + 1)[texts.offset :]
    whole = np.frombuffer(data or b"", np.uint8)
    return whole[offsets[0] : offsets[-1]], offsets - offsets[0]


def with_room(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The same values; texts that have over 2 GiB in all as Arrow's large ones.

    Whatever puts the chunks together, such as `take`, would fail for them.
    """
    is_long = values.type in _LONG and values.nbytes > _MOST_BYTES
    return values.cast(_LONG[values.type]) if is_long else values


def index_in(values: pa.Array, known: pa.Array) -> NDArray[np.int32]:
    """The place of each value among those known, -1 where it is none of them, (values,)."""
    places = pa.chunked_array([pc.index_in(values, value_set=known)])
    indices = to_numpy(places, np.int32)
    indices[mask_to_numpy(places.is_null())] = -1
    return indices


def indices_of(encoded: pa.DictionaryArray) -> NDArray[np.int32]:
    """The place of each value in the dictionary, (values,)."""
    return to_numpy(pa.chunked_array([encoded.indices]), np.int32)
