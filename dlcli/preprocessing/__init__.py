"""Scalings of numbers, and the record of values that can't be encoded, for features and targets."""

from dlcli.preprocessing.scalings import (
    LARGEST,
    FeatureScaling,
    Fitted,
    Floats,
    Increasing,
    LinearScaling,
    check_range,
    fit_feature_scaling,
    fit_scaling,
    out_of_range,
    quantile_points,
    refuse_overflow,
    scale_column,
)
from dlcli.preprocessing.value_issues import (
    ColumnIssues,
    Line,
    Mask,
    Note,
    ValueIssues,
    dates_if_midnight,
    summarize_notes,
)

__all__ = [
    "LARGEST",
    "ColumnIssues",
    "FeatureScaling",
    "Fitted",
    "Floats",
    "Increasing",
    "Line",
    "LinearScaling",
    "Mask",
    "Note",
    "ValueIssues",
    "check_range",
    "dates_if_midnight",
    "fit_feature_scaling",
    "fit_scaling",
    "out_of_range",
    "quantile_points",
    "refuse_overflow",
    "scale_column",
    "summarize_notes",
]
