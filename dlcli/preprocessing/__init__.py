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
