"""NumPy and pyarrow, loaded when one of their names is first used, and names of types of arrays.

A column type's module has the section of the config next to what reads and encodes values. So a
command that only reads configs imports it, and is to start without loading NumPy and pyarrow.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__all__ = ["Floats", "Indices", "Mask", "Matrix", "np", "pa", "pc"]

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]
    Indices = NDArray[np.int64]
    Floats = NDArray[np.float64]
    Matrix = NDArray[np.float32]
else:

    class _Lazily:
        """A module that is imported when one of its names is first used."""

        def __init__(self, name: str) -> None:
            self._name = name

        def __getattr__(self, name: str) -> Any:  # noqa: ANN401
            value = vars(self)[name] = getattr(import_module(self._name), name)
            return value

    np, pa, pc = map(_Lazily, ("numpy", "pyarrow", "pyarrow.compute"))
    Mask = Indices = Floats = Matrix = Any
