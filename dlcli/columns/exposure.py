"""The encoder of the exposure, by which the network's output is multiplied.

An exposure is how much of something was observed in a row, such as the years of a contract. The
network predicts a rate per unit of exposure, and the prediction is the rate times the exposure. The
logarithm of the exposure is therefore an offset of the output before its exponential activation:
McCullagh and Nelder, Generalized Linear Models (1989), section 6.2.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from dlcli.arrays import Floats, Mask, Matrix, np
from dlcli.columns import column_type
from dlcli.columns import scaling as scalings
from dlcli.columns.graph_operations import Operations, Value
from dlcli.columns.layout import Block, InputForm
from dlcli.columns.number_encoders import NumericEncoder
from dlcli.columns.value_problems import ColumnProblems

if TYPE_CHECKING:
    from dlcli.columns.value_problems import ValueProblems
    from dlcli.tables.table import Rows, Table

_MISSING = "is empty; data.exposure requires a number above 0 in each row"


class ExposureForm(InputForm):
    """The input multiplies the output of the network; no layer reads it."""


_FORM = ExposureForm()


class ExposureEncoder(NumericEncoder):
    """An exposure as one input, unchanged; a number above 0 is required in each row."""

    encoding: Literal["exposure"] = "exposure"  # type: ignore[assignment]
    is_exposure = True

    @classmethod
    def fit_to(cls, column: str, train: "Table") -> Self:
        """Fit the encoder on training rows.

        Args:
            column: the column of exposures.
            train: the training rows.

        Raises:
            DataError: for the first row without a number above 0.
        """
        from dlcli.columns.value_problems import ValueProblems

        values, _ = _read(train, column, ValueProblems())
        unchanged = scalings.LinearScaling(name="none")
        low, high = float(values.min()), float(values.max())
        return cls(column=column, fill=None, indicator=False, scaling=unchanged, low=low, high=high)

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The block of the only input."""
        return (Block(self.column, "numeric", (self.column,), _FORM),)

    @property
    def group(self) -> column_type.GroupClass | None:
        """None, because exposures are checked."""
        return None

    @property
    def largest_input(self) -> float | None:
        """None, because no layer reads the input."""
        return None

    def encode(self, rows: "Rows", out: Matrix, problems: "ValueProblems") -> None:
        """Write the exposures into `out`, see `DenseEncoder`."""
        values, usable = _read(rows, self.column, problems)
        beyond = usable & ((values < self.low) | (values > self.high))
        if beyond.any():
            ends = self.low, self.high
            problems.add(self.column, ColumnProblems.outside_range(values[beyond], ends), beyond)
        out[:, 0] = values

    # Exported models.

    def graph_group(self, missing: Sequence[str]) -> str | None:
        """Return None, because exposures are encoded separately."""
        return None

    def graph(self, ops: Operations, x: Value, missing: Sequence[str]) -> Value:
        """Return the exposures in a graph, or NaN where they are not above 0."""
        unusable = ops.apply("isnan", x) | (x <= 0.0) | (x > scalings.LARGEST)
        return ops.as_column(ops.cast(ops.where(unusable, math.nan, x), "float32"))

    def check_values(self, missing: Sequence[str], folder: Path) -> tuple[list[Any], list[Any]]:
        """Return typical values for checks, and no unusual ones, which have no prediction."""
        span = self.high - self.low or self.high
        return [self.low + share * span for share in (0, 0.1, 0.25, 0.5, 0.77, 1)], []


def _read(rows: "Rows", column: str, problems: "ValueProblems") -> tuple[Floats, Mask]:
    """Return the exposures of rows, 1 for refused ones, and the mask of usable ones, (rows,)."""
    parsed = rows.numbers_of(column)
    values, wrong = parsed.values, parsed.unreadable
    with np.errstate(invalid="ignore"):
        is_positive = (values > 0) & (values <= scalings.LARGEST)
    out_of_range = ~(is_positive | wrong | parsed.missing)
    message = "an exposure must be a number above 0, got {:g}".format
    problems.refuse(wrong, rows, column, parsed.problem)
    problems.refuse(parsed.missing, rows, column, lambda _: _MISSING)
    problems.refuse(out_of_range, rows, column, lambda at: message(values[at]))
    usable = is_positive & ~wrong & ~parsed.missing
    return np.where(usable, values, 1.0), usable
