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
    Number,
    Score,
    Scores,
    as_floats,
    counted,
    finite,
    finite_number,
    mean_of_defined,
)
from dlcli.metrics.classes import score_binary, score_classes
from dlcli.metrics.direction import HIGHER_IS_BETTER
from dlcli.metrics.judging import Judgement, judge, main_metric
from dlcli.metrics.labels import score_labels
from dlcli.metrics.numbers import score_numbers

__all__ = [
    "Array",
    "Floats",
    "HIGHER_IS_BETTER",
    "Judgement",
    "Number",
    "Score",
    "Scores",
    "as_floats",
    "counted",
    "finite",
    "finite_number",
    "judge",
    "main_metric",
    "mean_of_defined",
    "score_binary",
    "score_classes",
    "score_labels",
    "score_numbers",
]
