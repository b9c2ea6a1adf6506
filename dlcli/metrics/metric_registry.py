"""The list of metrics, the better direction of each, and the comparison with baselines."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from dlcli.metrics.statistic import finite_number

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

_MORE_SENSITIVE = ("auc", "balanced_accuracy", "log_loss")
"""Metrics that show learning which accuracy hides: it is the same for all models that never predict
a rare class (Provost, Fawcett & Kohavi 1998, The case against accuracy estimation)."""
_CLEARLY = 0.05
"""Share of a baseline's value by which one of these must be better."""
_FREQUENT = 0.75
"""Accuracy of a constant prediction from which on the other classes are called rare."""
_SIGNED_LOSSES = ("poisson", "cosine_similarity", "kl_divergence")
"""Losses that can be below 0 for some targets."""


@dataclass(frozen=True)
class BaselineComparison:
    """The baselines that a network doesn't beat by its main metric."""

    unbeaten: tuple[str, ...]
    """Baselines that are as good by all metrics."""
    beaten_otherwise: Mapping[str, str]
    """Baselines that are as good by accuracy only, with the metric by which the network is
    better."""
    is_imbalanced: bool
    """True if one class is so frequent that always predicting it is accurate."""


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


def compare_to_baselines(
    metric: str, metrics: Mapping[str, object], baselines: Mapping[str, Mapping[str, object]]
) -> BaselineComparison:
    """Compare a network with the simplest models.

    Args:
        metric: the main metric.
        metrics: those of the network on some rows.
        baselines: those of the simplest models on the same rows, by model.
    """
    behind = [name for name, simple in baselines.items() if _gain(metric, metrics, simple) <= 0]
    others = {
        name: other
        for name in behind
        if metric == "accuracy" and (other := _better_metric(metrics, baselines[name]))
    }
    constant = finite_number(baselines.get("constant", {}).get("accuracy"))
    return BaselineComparison(
        unbeaten=tuple(name for name in behind if name not in others),
        beaten_otherwise=others,
        is_imbalanced=constant is not None and constant >= _FREQUENT,
    )


def _better_metric(metrics: Mapping[str, object], simple: Mapping[str, object]) -> str | None:
    """Return the first more sensitive metric by which the network is clearly better."""
    for name in _MORE_SENSITIVE:
        theirs = finite_number(simple.get(name))
        if theirs is not None and math.inf > _gain(name, metrics, simple) > _CLEARLY * abs(theirs):
            return name
    return None


def _gain(metric: str, metrics: Mapping[str, object], simple: Mapping[str, object]) -> float:
    """Return the gain of the network over a baseline; infinite where one has no value."""
    value, theirs = finite_number(metrics.get(metric)), finite_number(simple.get(metric))
    if value is None or theirs is None:
        return math.inf
    return value - theirs if HIGHER_IS_BETTER[metric] else theirs - value
