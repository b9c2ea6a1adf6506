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


def strings(words: Sequence[str], storage: pa.DataType) -> pa.Array:
    """A few words as an Arrow array.

    Args:
        words: the words.
        storage: the Arrow type: a string type.
    """
    encoded = [word.encode() for word in words]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int32)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers).cast(storage)
