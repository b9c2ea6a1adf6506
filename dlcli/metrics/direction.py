"""Which metrics are better when higher."""

from collections.abc import Mapping
from types import MappingProxyType

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
