"""The weights of a network: arrays of 32-bit numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from dlcli.runs.arrays import ArraySpec, read_arrays

Weights = NDArray[np.float32]

_DTYPE = np.dtype(np.float32)


def read_weights(
    stream: BinaryIO, shapes: Mapping[str, tuple[int, ...]], file: Path
) -> dict[str, Weights]:
    """Reads the weights that a network needs, neither more nor fewer; see `read_arrays`.

    Args:
        stream: the archive, which anybody may have made.
        shapes: the shape of each array, by name.
        file: where the archive lies, for messages.
    """
    return read_arrays(stream, weight_kinds(shapes), file)


def weight_kinds(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, ArraySpec]:
    """What the array of each weight must be, by name."""
    return {name: ArraySpec(shape, _DTYPE) for name, shape in shapes.items()}
