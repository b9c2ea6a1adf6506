"""Numbers."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from dlcli.config import (
    ConstantValue,
    Input,
    Numeric,
    NumericEncoding,
    NumericMissing,
    Periodic,
    PiecewiseLinear,
    Quantile,
    Robust,
    Scaling,
    Unscaled,
    format_path,
)
from dlcli.encoding.columns.filled import number_for_gaps, present_values, wants_indicator
from dlcli.encoding.columns.number_column import NumberColumn
from dlcli.encoding.columns.piecewise import PiecewiseLinearEncoder, fit_edges
from dlcli.encoding.inputs import Matrix
from dlcli.encoding.layout import Block, PeriodicForm
from dlcli.errors import ConfigError, Problem
from dlcli.preprocessing import (
    Floats,
    LinearScaling,
    QuantileScaling,
    RobustScaling,
    ValueIssues,
    check_range,
    fit_quantile,
    fit_robust,
    fit_scaling,
    scale_column,
)
from dlcli.tables import Table

FeatureScaling = Annotated[
    LinearScaling | RobustScaling | QuantileScaling, Field(discriminator="name")
]


class NumericEncoder(NumberColumn):
    """A number: filled where missing, then scaled."""

    encoding: Literal["number"] = "number"
    scaling: FeatureScaling
    """How values become inputs."""
    waves: PeriodicForm | None = None
    """What the network makes of the input first."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        waves = self.waves
        if waves and not (waves.frequencies > 0 and 0 < waves.deviation < math.inf):
            raise ValueError("expected waves with a number of frequencies, and their deviation")
        return self

    @property
    def blocks(self) -> tuple[Block, ...]:
        """What the column becomes."""
        number = Block(self.column, "numeric", (self.column,), self.waves)
        return (number, *self.indicator_blocks)

    def encode(self, table: Table, out: Matrix, issues: ValueIssues) -> None:
        """Writes the column's inputs into `out`, zeros of shape (rows, inputs)."""
        values = self.read(table, self.scaling.name, out, issues)
        out[:, 0] = scale_column(self.scaling, values, table, self.column, issues)


def fit_numeric(
    column: str, feature: Numeric, section: Input, train: Table
) -> NumericEncoder | PiecewiseLinearEncoder:
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
    encoding = feature.encoding or section.encoding
    scaling = feature.scaling or section.scaling
    if isinstance(encoding, PiecewiseLinear):
        scaling = Unscaled()
    _check_constant(column, feature.missing, scaling)
    values = train.numbers(column)
    check_range(scaling.name, values, train, column)
    present = present_values(column, values, train)
    common: dict[str, Any] = {
        "column": column,
        "missing_share": 1 - len(present) / len(values),
        "low": float(present.min()),
        "high": float(present.max()),
        "fill": number_for_gaps(feature.missing, present),
        "indicator": wants_indicator(feature.missing, len(present) < len(values)),
    }
    if isinstance(encoding, PiecewiseLinear):
        return PiecewiseLinearEncoder(**common, edges=fit_edges(encoding.bins, present))
    return NumericEncoder(**common, scaling=_fit_scaling(scaling, present), waves=_waves(encoding))


def _fit_scaling(scaling: Scaling, values: Floats) -> FeatureScaling:
    if isinstance(scaling, Robust):
        return fit_robust(scaling, values)
    if isinstance(scaling, Quantile):
        return fit_quantile(scaling, values)
    return fit_scaling(scaling, values)


def _waves(encoding: NumericEncoding) -> PeriodicForm | None:
    if not isinstance(encoding, Periodic):
        return None
    return PeriodicForm(encoding.frequencies, encoding.deviation)


def _check_constant(column: str, policy: NumericMissing, scaling: Scaling) -> None:
    if isinstance(policy, ConstantValue) and scaling.name == "log" and policy.value < 0:
        path = format_path(("input", "features", column, "missing", "value"))
        message = f"scaling 'log' needs 0 or more, got {policy.value:g}"
        raise ConfigError([Problem(path, message)])
