"""Explanation: what a finished training shows of its data, layers and predictions, within bounds.

`train` stores it as a part of the run, so that whoever looks later needs neither the data nor
TensorFlow, and however large the table was.
"""

from dlcli.explanation.budget import affordable
from dlcli.explanation.columns import ColumnViewer, list_columns
from dlcli.explanation.dependences import choose_outputs, find_dependences
from dlcli.explanation.document import (
    ColumnStatistics,
    Count,
    Explanation,
    Histogram,
    Importance,
    LayerStatistics,
    PartialDependence,
    Point,
    ValueCount,
    WorstRow,
)
from dlcli.explanation.importances import permutation_importances, plan_importances, strongest
from dlcli.explanation.inputs import peaks_of, strengths
from dlcli.explanation.layers import describe_layers
from dlcli.explanation.rows import LookedAt, Sets, look_at
from dlcli.explanation.truth import error_metric, truth_of, units_of
from dlcli.explanation.worst import judge_all, judge_some, worst_rows

__all__ = [
    "ColumnStatistics",
    "ColumnViewer",
    "Count",
    "PartialDependence",
    "Explanation",
    "Histogram",
    "Importance",
    "LayerStatistics",
    "LookedAt",
    "Point",
    "Sets",
    "ValueCount",
    "WorstRow",
    "affordable",
    "choose_outputs",
    "describe_layers",
    "error_metric",
    "find_dependences",
    "judge_all",
    "judge_some",
    "list_columns",
    "look_at",
    "peaks_of",
    "permutation_importances",
    "plan_importances",
    "strengths",
    "strongest",
    "truth_of",
    "units_of",
    "worst_rows",
]
