"""Scalings of numbers, for features and targets alike."""

from dlcli.preprocessing.findings import BadRow, ColumnFindings, Findings, Mask
from dlcli.preprocessing.fitted import Fitted
from dlcli.preprocessing.linear import (
    LARGEST,
    Floats,
    LinearScaling,
    check_range,
    fit_scaling,
    out_of_range,
    refuse_overflow,
    scale_column,
)
from dlcli.preprocessing.notes import Line, Note, as_days, in_short
from dlcli.preprocessing.quantile import QuantileScaling, fit_quantile
from dlcli.preprocessing.quantiles import Increasing, quantile_points
from dlcli.preprocessing.robust import RobustScaling, fit_robust

__all__ = [
    "BadRow",
    "ColumnFindings",
    "Findings",
    "Fitted",
    "Floats",
    "Increasing",
    "LARGEST",
    "Line",
    "LinearScaling",
    "Mask",
    "Note",
    "QuantileScaling",
    "RobustScaling",
    "as_days",
    "check_range",
    "fit_quantile",
    "fit_robust",
    "fit_scaling",
    "in_short",
    "out_of_range",
    "quantile_points",
    "refuse_overflow",
    "scale_column",
]
