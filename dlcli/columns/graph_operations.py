"""The operations of exported graphs, with the same names for each format.

The graphs of columns and `exports.model_graph` are written once, with these operations. A value is
a vector, (rows,), or a matrix, (rows, columns). Values support Python's arithmetic, comparisons,
`&`, `|` and `~`, with each other and with numbers; `//` and `%` only for integers of 0 or more.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from dlcli.arrays import Array

Dtype = Literal["bool", "int64", "float32", "float64"]
Value = Any
"""A value in a graph, whose Python type depends on the format."""
UnaryFunction = Literal[
    "abs", "cos", "erf", "exp", "floor", "isnan", "log", "round", "sin", "sqrt", "tanh"
]
Function = UnaryFunction | Literal["maximum", "minimum"]
"""A function of each element, or of two operands; the second may be a number."""

BLANKS = r"\p{Z}\x09-\x0d\x1c-\x1f\x{85}"
"""The characters that Arrow's `utf8_trim_whitespace` removes, for an RE2 character class."""
NO_DIGITS = "-1"
"""Stands for a run of digits that is missing in a text."""


class Operations(ABC):
    """The operations of one format."""

    @abstractmethod
    def constant(self, array: Array) -> Value:
        """Return a constant; texts are given as an array of objects."""

    @abstractmethod
    def cast(self, x: Value, dtype: Dtype) -> Value:
        """Convert numbers and booleans."""

    @abstractmethod
    def where(self, condition: Value, x: Value, y: Value) -> Value:
        """Choose from `x` where the condition holds, else from `y`."""

    @abstractmethod
    def equal(self, x: Value, y: Value) -> Value:
        """Compare numbers or texts."""

    @abstractmethod
    def apply(self, function: Function, *operands: Value) -> Value:
        """Apply a function to each element."""

    def log1p(self, x: Value) -> Value:
        """Return log(1 + x) of each element."""
        return self.apply("log", x + 1.0)

    def clip(self, x: Value, low: Value, high: Value) -> Value:
        """Limit each number to a range."""
        return self.apply("minimum", self.apply("maximum", x, low), high)

    @abstractmethod
    def lookup(self, table: Array, index: Value) -> Value:
        """Return the rows of a constant table, or the elements of a vector, at indices."""

    @abstractmethod
    def columns(self, x: Value, indices: Sequence[int]) -> Value:
        """Return some columns of a matrix."""

    @abstractmethod
    def column(self, x: Value, index: int) -> Value:
        """Return a column of a matrix as a vector."""

    @abstractmethod
    def as_column(self, x: Value) -> Value:
        """Append an axis of length 1 to a vector or a matrix."""

    @abstractmethod
    def concat(self, parts: Sequence[Value]) -> Value:
        """Join matrices side by side."""

    @abstractmethod
    def flatten(self, x: Value, width: int) -> Value:
        """Reshape a tensor to a matrix with `width` columns."""

    @abstractmethod
    def sum_last(self, x: Value, *, keep: bool = False) -> Value:
        """Sum over the last axis; `keep` retains it with length 1."""

    @abstractmethod
    def max_last(self, x: Value) -> Value:
        """Return the maximum over the last axis, which is retained with length 1."""

    @abstractmethod
    def argmax(self, x: Value) -> Value:
        """Return the column of the maximum of each row; ties go to the first."""

    @abstractmethod
    def matmul(self, x: Value, kernel: Array) -> Value:
        """Multiply a matrix by a constant matrix, (columns, new columns)."""

    @abstractmethod
    def ranked(self, x: Value, rank: int, width: int) -> Value:
        """Return the rank-th smallest value of each row, (rows,).

        Args:
            x: a matrix, (rows, width).
            rank: the rank, from 1.
            width: number of columns.
        """

    # Texts

    @abstractmethod
    def trimmed(self, x: Value) -> Value:
        """Remove the blanks around texts."""

    @abstractmethod
    def codes(self, x: Value, known: Mapping[str, int], default: int) -> Value:
        """Return the number of each known text, and `default` for any other text."""

    @abstractmethod
    def matches(self, x: Value, pattern: str) -> Value:
        """Return which whole texts match an RE2 pattern."""

    @abstractmethod
    def digits(self, x: Value, count: int) -> Value:
        """Return the first runs of digits in texts, (rows, count), padded by `NO_DIGITS`."""

    @abstractmethod
    def number(self, x: Value) -> Value:
        """Convert runs of digits to integers."""

    @abstractmethod
    def fraction(self, x: Value) -> Value:
        """Convert runs of digits after a decimal point to float64."""

    @abstractmethod
    def counts(self, x: Value, tokens: Sequence[str]) -> Value:
        """Count tokens in texts, float32 (rows, tokens).

        Args:
            x: texts.
            tokens: words, or several words joined by spaces.
        """


# Formulas written for NumPy


def by_formula(ops: Operations, formula: Callable[[Any], Any], x: Value) -> Value:
    """Apply a formula that is written for NumPy to a value of a graph.

    Args:
        ops: the operations of the format.
        formula: a function of an array that uses only `_FUNCTIONS`; constant arrays in it,
            (columns,), are broadcast over the rows.
        x: the value.
    """

    def apply(function: str, *operands: Any, **options: object) -> Value:  # noqa: ANN401
        of_all_rows = (ops.constant(y[None]) if isinstance(y, np.ndarray) else y for y in operands)
        return _FUNCTIONS[function](ops, *of_all_rows)

    return formula(Traced(apply, x)).value


_FUNCTIONS: dict[str, Callable[..., Value]] = {
    "add": lambda ops, x, y: x + y,
    "subtract": lambda ops, x, y: x - y,
    "multiply": lambda ops, x, y: x * y,
    "divide": lambda ops, x, y: x / y,
    "negative": lambda ops, x: -x,
    "less": lambda ops, x, y: x < y,
    "less_equal": lambda ops, x, y: x <= y,
    "greater": lambda ops, x, y: x > y,
    "maximum": lambda ops, x, y: ops.apply("maximum", x, y),
    "minimum": lambda ops, x, y: ops.apply("minimum", x, y),
    "clip": lambda ops, x, low, high: ops.clip(x, low, high),
    "where": lambda ops, condition, x, y: ops.where(condition, x, y),
    "square": lambda ops, x: x * x,
    "absolute": lambda ops, x: ops.apply("abs", x),
    "sqrt": lambda ops, x: ops.apply("sqrt", x),
    "exp": lambda ops, x: ops.apply("exp", x),
    "expm1": lambda ops, x: ops.apply("exp", x) - 1.0,
    "log": lambda ops, x: ops.apply("log", x),
    "max": lambda ops, x: ops.max_last(x),
    "sum": lambda ops, x: ops.sum_last(x, keep=True),
    "log1p": lambda ops, x: ops.log1p(x),
    "tanh": lambda ops, x: ops.apply("tanh", x),
}
"""The NumPy functions that such formulas may use."""


# NumPy formulas as operations of other libraries

Apply = Callable[..., Any]
"""Applies a NumPy function, given by name, to operands of another library."""


class Traced(NDArrayOperatorsMixin):
    """A value of another library to which formulas for NumPy can be applied.

    NumPy forwards the calls of its functions and operators to this class, so a formula is written
    only once: https://numpy.org/doc/stable/user/basics.interoperability.html

    Args:
        apply: called with the name of the function and its arguments.
        value: the value, which may have a `shape` and support indexing.
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
