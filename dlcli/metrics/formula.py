"""Formulas that are written once, for NumPy, and applied to values of other libraries.

NumPy passes the calls of its functions and operators on to a class with the methods of `Traced`:
https://numpy.org/doc/stable/user/basics.interoperability.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

Apply = Callable[..., Any]
"""Applies a function of NumPy, which is named first, to operands of another library."""


class Traced(NDArrayOperatorsMixin):
    """A value of another library in place of an array: NumPy's functions become its operations.

    Args:
        apply: called with the name of the function and its arguments.
        value: the value, which may have a `shape` and an index.
    """

    def __init__(self, apply: Apply, value: Any) -> None:  # noqa: ANN401
        self._apply = apply
        self.value = value

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: object, **options: object
    ) -> Traced:
        return self._call(ufunc.__name__, inputs, options)

    def __array_function__(
        self,
        function: Callable[..., object],
        types: object,
        inputs: Sequence[object],
        options: Mapping[str, object],
    ) -> Traced:
        return self._call(function.__name__, inputs, options)

    def __getitem__(self, index: object) -> Traced:
        return Traced(self._apply, self.value[index])

    @property
    def shape(self) -> Any:  # noqa: ANN401
        """The shape of the value."""
        return self.value.shape

    def max(self, **options: object) -> Traced:
        """Return the maximum, see `np.max`."""
        return self._call("max", [self], options)

    def sum(self, **options: object) -> Traced:
        """Return the sum, see `np.sum`."""
        return self._call("sum", [self], options)

    def _call(self, name: str, inputs: Sequence[object], options: Mapping[str, object]) -> Traced:
        values = (each.value if isinstance(each, Traced) else each for each in inputs)
        return Traced(self._apply, self._apply(name, *values, **options))
