"""Scalings that are a straight line, of the number or its logarithm; and what no scaling takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from dlcli.config import Divide, Log, MinMax, Standard, Unscaled
from dlcli.preprocessing.findings import Findings, Mask
from dlcli.preprocessing.fitted import Fitted
from dlcli.tables import Table

Floats = NDArray[np.float64]

LARGEST = float(np.finfo(np.float32).max)


class LinearScaling(Fitted):
    """z = (f(x) − offset)/scale, with f(x) = log(1 + x) or x."""

    name: Literal["standard", "minmax", "log", "divide", "none"]
    """The scaling's name in the config."""
    offset: float = 0.0
    """The training rows' mean of f(x), their least value, or 0."""
    scale: Annotated[float, Field(gt=0)] = 1.0
    """The training rows' standard deviation of f(x), their range, a divisor, or 1."""

    def apply(self, values: Floats) -> Floats:
        """Scales values in their own unit, (rows,)."""
        return (self._curved(values) - self.offset) / self.scale

    def invert(self, scaled: NDArray[np.floating]) -> Floats:
        """Gives scaled values their unit back, (rows,)."""
        with np.errstate(over="ignore"):
            curved = scaled.astype(np.float64) * self.scale + self.offset
            return np.expm1(curved) if self.name == "log" else curved

    def _curved(self, values: Floats) -> Floats:
        return np.log1p(values) if self.name == "log" else values


def fit_scaling(
    scaling: Standard | MinMax | Log | Divide | Unscaled, values: Floats
) -> LinearScaling:
    """Takes a scaling's statistics from training rows.

    Args:
        scaling: what to do.
        values: the rows' values without gaps, (rows,); not negative for `log`.

    Returns:
        The scaling with mean and (population) standard deviation, or with least value and range; a
        column that is constant is only moved to 0.
    """
    if isinstance(scaling, Divide):
        return LinearScaling(name="divide", scale=scaling.by)
    if isinstance(scaling, Unscaled):
        return LinearScaling(name="none")
    if isinstance(scaling, MinMax):
        least, span = float(values.min()), float(np.ptp(values))
        return LinearScaling(name="minmax", offset=least, scale=span or 1.0)
    curved = LinearScaling(name=scaling.name)._curved(values)
    # Shifted by one of its values, a constant column has variance 0 exactly.
    shifted = curved - curved[0]
    deviation = float(np.std(shifted))
    offset = float(curved[0] + np.mean(shifted))
    return LinearScaling(name=scaling.name, offset=offset, scale=deviation or 1.0)


def out_of_range(name: str, values: Floats) -> Iterator[tuple[Mask, Callable[[int], str]]]:
    """Yields where values are that a scaling or float32 can't hold, and what is wrong there.

    Args:
        name: the scaling's name.
        values: a column's values, NaN where missing, (rows,).
    """
    with np.errstate(invalid="ignore"):
        if name == "log":
            yield values < 0, lambda at: f"scaling 'log' wants 0 or more, got {values[at]:g}"
        end = f"the network's numbers end at {LARGEST:.1e}, got {{:g}}"
        yield np.abs(values) > LARGEST, lambda at: end.format(values[at])


def check_range(name: str, values: Floats, table: Table, column: str) -> None:
    """Refuses what a scaling or float32 can't hold.

    Args:
        name: the scaling's name.
        values: the column's values, NaN where missing, (rows,).
        table: where they come from.
        column: the column's name.

    Raises:
        DataError: for a negative value under `log`, or one beyond float32, with its row.
    """
    for wrong, complaint in out_of_range(name, values):
        table.refuse(wrong, column, complaint)


class Scales(Protocol):
    """A fitted scaling."""

    def apply(self, values: Floats) -> Floats:
        """Scales values in their own unit, (rows,)."""
        ...


def scale_column(
    scaling: Scales, values: Floats, table: Table, column: str, findings: Findings
) -> Floats:
    """Scales a column, and refuses what then leaves float32.

    Args:
        scaling: fitted on training rows.
        values: the column's values without gaps, (rows,).
        table: where they come from.
        column: the column's name.
        findings: as in `refuse_overflow`.

    Raises:
        DataError: as `refuse_overflow` does.
    """
    with np.errstate(all="ignore"):
        scaled = scaling.apply(values)
    return refuse_overflow(scaled, values, table, column, findings)


def refuse_overflow(
    scaled: Floats, values: Floats, table: Table, column: str, findings: Findings
) -> Floats:
    """Refuses scaled values that leave float32.

    Args:
        scaled: the column's scaled values, (rows,).
        values: the values in their own unit, (rows,).
        table: where they come from.
        column: the column's name.
        findings: takes in values so far from the training rows that they overflow; 0 stands in.

    Raises:
        DataError: for the first of these, with its row, unless the findings take them in.
    """
    with np.errstate(invalid="ignore"):
        wrong = ~(np.abs(scaled) <= LARGEST)
    end = f"the network's numbers end at {LARGEST:.1e}, and {{:g}} is {{:.1e}} when scaled"
    findings.refuse(wrong, table, column, lambda at: end.format(values[at], scaled[at]))
    return np.where(wrong, 0.0, scaled) if wrong.any() else scaled
