"""Metrics over a whole set, exact and in float64.

Each of the four functions scores one kind of target and answers in values that JSON can hold.
Definitions, row weights included, are those of scikit-learn's `sklearn.metrics`
(https://scikit-learn.org/stable/modules/model_evaluation.html), with one difference: where a
metric has no value (a denominator of zero, a result that is not finite) the answer is `None`, not a
number chosen in its place. A row of weight zero counts as if it were not there; without any rows
every metric is `None`.
"""

from dlcli.metrics.arithmetic import (
    Array,
    Floats,
    Metrics,
    MetricValue,
    Number,
    as_floats,
    counted,
    finite,
    finite_number,
    mean_of_defined,
)
from dlcli.metrics.classes import binary_metrics, multiclass_metrics
from dlcli.metrics.direction import HIGHER_IS_BETTER
from dlcli.metrics.judging import BaselineComparison, compare_to_baselines, main_metric
from dlcli.metrics.labels import multilabel_metrics
from dlcli.metrics.numbers import regression_metrics
from dlcli.metrics.ranking_metrics import (
    CalibrationBin,
    DecisionMetrics,
    ThresholdCounts,
    calibration_curve,
    expected_calibration_error,
)

__all__ = [
    "Array",
    "CalibrationBin",
    "DecisionMetrics",
    "ThresholdCounts",
    "calibration_curve",
    "expected_calibration_error",
    "Floats",
    "HIGHER_IS_BETTER",
    "BaselineComparison",
    "Number",
    "MetricValue",
    "Metrics",
    "as_floats",
    "counted",
    "finite",
    "finite_number",
    "compare_to_baselines",
    "main_metric",
    "mean_of_defined",
    "binary_metrics",
    "multiclass_metrics",
    "multilabel_metrics",
    "regression_metrics",
]
