"""Numbers."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dlcli.config.encodings import NumericEncoding, Periodic
from dlcli.config.features import Input, Numeric
from dlcli.config.missing import ConstantValue, NumericMissing
from dlcli.config.paths import format_path
from dlcli.config.scalings import Scaling
from dlcli.encoding.filled import FilledColumn, number_for_gaps, present_values, wants_indicator
from dlcli.encoding.findings import Findings
from dlcli.encoding.inputs import Matrix
from dlcli.encoding.layout import Block, Waves
from dlcli.encoding.numbers import (
    FittedScaling,
    Floats,
    check_range,
    fit_scaling,
    out_of_range,
    scale_column,
)
from dlcli.errors import ConfigError, Problem
from dlcli.table import Table


class NumberColumn(FilledColumn):
    """A column of numbers, with the range that training saw."""

    type: Literal["numeric"] = "numeric"
    low: float
    """The training rows' least value."""
    high: float
    """The training rows' greatest value."""

    def read(
        self, table: Table, scaling: str, out: Matrix, findings: Findings
    ) -> tuple[Floats, NDArray[np.bool_]]:
        """Reads the column's numbers, with gaps filled.

        Args:
            table: the rows.
            scaling: the name of the scaling that comes next; not every one takes every number.
            out: the column's inputs, (rows, inputs), the last of which may tell of gaps.
            findings: takes in what there is to say.

        Returns:
            The numbers, and where one could not be used, (rows,) each.
        """
        parsed = table.parse_numbers(self.column)
        findings.refuse(parsed.unreadable, table, self.column, parsed.complaint)
        wrong = parsed.unreadable
        for beyond, complaint in out_of_range(scaling, parsed.values):
            findings.refuse(beyond, table, self.column, complaint)
            wrong = wrong | beyond
        values = np.where(wrong, np.nan, parsed.values)
        with np.errstate(invalid="ignore"):
            outside = int(((values < self.low) | (values > self.high)).sum())
        findings.outside(self.column, outside, self.low, self.high)
        return self.fill_gaps(values, wrong, table, out, findings), wrong


class NumericEncoder(NumberColumn):
    """A number: filled where missing, then scaled."""

    encoding: Literal["number"] = "number"
    scaling: FittedScaling
    """How values become inputs."""
    waves: Waves | None = None
    """What the network makes of the input first."""

    @property
    def blocks(self) -> tuple[Block, ...]:
        """What the column becomes."""
        number = Block(self.column, "numeric", (self.column,), self.waves)
        telling = Block(self.column, "numeric", self.indicator_inputs)
        return (number, telling) if self.indicator else (number,)

    def encode(self, table: Table, out: Matrix, findings: Findings) -> None:
        """Writes the column's inputs into `out`, zeros of shape (rows, inputs)."""
        values, _ = self.read(table, self.scaling.name, out, findings)
        out[:, 0] = scale_column(self.scaling, values, table, self.column, findings)


def fit_numeric(column: str, feature: Numeric, section: Input, train: Table) -> NumericEncoder:
    """Fits the encoder of a column of numbers.

    Args:
        column: its name.
        feature: what is said of it.
        section: scaling and encoding, if it says none.
        train: the training rows.

    Raises:
        DataError: for a value that isn't a number or has no place in the scaling, or no value.
        ConfigError: for a stand-in that has no place in the scaling.
    """
    scaling, encoding = feature.scaling or section.scaling, feature.encoding or section.encoding
    _check_constant(column, feature.missing, scaling)
    values = train.numbers(column)
    check_range(scaling.name, values, train, column)
    present = present_values(column, values, train)
    return NumericEncoder(
        column=column,
        missing_share=1 - len(present) / len(values),
        low=float(present.min()),
        high=float(present.max()),
        scaling=fit_scaling(scaling, present),
        fill=number_for_gaps(feature.missing, present),
        indicator=wants_indicator(feature.missing, len(present) < len(values)),
        waves=_waves(encoding),
    )


def _waves(encoding: NumericEncoding) -> Waves | None:
    if not isinstance(encoding, Periodic):
        return None
    return Waves(encoding.frequencies, encoding.deviation)


def _check_constant(column: str, policy: NumericMissing, scaling: Scaling) -> None:
    if isinstance(policy, ConstantValue) and scaling.name == "log" and policy.value < 0:
        path = format_path(("input", "features", column, "missing", "value"))
        message = f"scaling 'log' wants 0 or more, got {policy.value:g}"
        raise ConfigError([Problem(path, message)])
