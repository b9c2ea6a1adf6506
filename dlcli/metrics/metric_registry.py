"""The list of metrics, the better direction and the bounds of each."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
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
"""Every metric that is a single number, and so can be compared."""

_SIGNED_LOSSES = ("poisson", "cosine_similarity", "kl_divergence")
"""Losses that can be below 0 for some targets."""


def main_metric(named: Sequence[str], metrics: Mapping[str, object]) -> str | None:
    """Return the main metric of a run: the first of the config, or else of all, with a value.

    Args:
        named: the config's metrics.
        metrics: those of the network on some rows.
    """
    wanted = (name for name in (*named, *HIGHER_IS_BETTER) if name in HIGHER_IS_BETTER)
    return next((name for name in wanted if metrics.get(name) is not None), None)


def metric_bounds(metric: str | None, loss: str | None = None) -> tuple[float, float]:
    """Return the least and the most that a metric can be.

    Args:
        metric: its name, with or without `val_` in front.
        loss: the name of the loss, if the metric is the loss; if omitted, it may be anything.
    """
    if metric in ("loss", "val_loss") and loss is not None and loss not in _SIGNED_LOSSES:
        return 0.0, math.inf
    name = (metric or "").removeprefix("val_")
    if name not in HIGHER_IS_BETTER:
        return -math.inf, math.inf
    return -math.inf if name == "r2" else 0.0, 1.0 if HIGHER_IS_BETTER[name] else math.inf
