"""Metrics over a whole set, exact and in float64.

Each of the four functions scores one kind of target and answers in values that JSON can hold.
Definitions, row weights included, are those of scikit-learn's `sklearn.metrics`
(https://scikit-learn.org/stable/modules/model_evaluation.html), with one difference: where a
metric has no value (a denominator of zero, a result that is not finite) the answer is `None`, not a
number chosen in its place. A row of weight zero counts as if it were not there; without any rows
every metric is `None`.
"""

from collections.abc import Mapping
from types import MappingProxyType

from dlcli.scores.arithmetic import Score, Scores
from dlcli.scores.classes import score_binary, score_classes
from dlcli.scores.labels import score_labels
from dlcli.scores.numbers import score_numbers

__all__ = [
    "HIGHER_IS_BETTER",
    "Score",
    "Scores",
    "score_binary",
    "score_classes",
    "score_labels",
    "score_numbers",
]

HIGHER_IS_BETTER: Mapping[str, bool] = MappingProxyType(
    {
        "mse": False,
        "rmse": False,
        "mae": False,
        "r2": True,
        "median_absolute_error": False,
        "poisson_deviance": False,
        "accuracy": True,
        "balanced_accuracy": True,
        "subset_accuracy": True,
        "auc": True,
        "average_precision": True,
        "precision": True,
        "recall": True,
        "f1": True,
        "micro_precision": True,
        "micro_recall": True,
        "micro_f1": True,
        "macro_f1": True,
        "log_loss": False,
        "brier": False,
        "top_3_accuracy": True,
    }
)
"""Every metric that can be compared, and which way is up; a confusion matrix and what is said of
each column or label can't be."""
