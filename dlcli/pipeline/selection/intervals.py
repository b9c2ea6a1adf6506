"""The interval of a mean over folds, whose networks have learned from much the same rows."""

from __future__ import annotations

import math

import numpy as np

from dlcli.comparison import TAIL, student_quantile
from dlcli.metrics import HIGHER_IS_BETTER, Floats, finite
from dlcli.pipeline.selection.part import Interval

ALONE = "one fold alone does not tell how far off it is"
NO_SPREAD = "the same in every fold, which then can't tell how far off"
OVERFLOW = "beyond what a float holds"
_ROUNDING = 1e-12
_SIGNED = ("poisson", "cosine_similarity", "kl_divergence")
"""Losses that can be below 0, of some targets."""


def corrected_interval(
    values: Floats,
    weights: Floats,
    ratio: float,
    metric: str | None = None,
    loss: str | None = None,
) -> Interval:
    """The weighted mean over folds with the corrected resampled interval.

    `m ± t √((Σ p² + ratio) S²)` with the shares `p = w / Σ w`, so that `Σ p²` is `1 / J` of `J`
    folds that count alike, `S² = Σ (v - m)² / (J - 1)`, and Student's `t` of `J - 1` degrees of
    freedom: Nadeau and Bengio, Inference for the Generalization Error, Machine Learning 52 (2003),
    section 3. `S² / J` alone would take folds for independent; but their networks share most of
    their training rows, and no estimate of their variance is free of bias: Bengio and Grandvalet,
    JMLR 5 (2004). The corrected one errs on the safe side more often than not.

    Args:
        values: the metric of each fold, (folds,); at least one.
        weights: how much each counts, (folds,).
        ratio: rows that judge to rows that are learned from, in a fold.
        metric: its name, to leave out of the interval what it can't be.
        loss: which one that is, if the metric is the loss.
    """
    shares = weights / weights.sum()
    with np.errstate(over="ignore", invalid="ignore"):
        value = float(shares @ values)
        squares = float(np.sum((values - value) ** 2))
    if not math.isfinite(squares):
        return Interval(value=finite(value), reason=OVERFLOW)
    if len(values) < 2:
        return Interval(value=value, reason=ALONE)
    if np.ptp(values) <= _ROUNDING * abs(value):
        return Interval(value=value, reason=NO_SPREAD)
    freedom = len(values) - 1
    variance = (float(shares @ shares) + ratio) * squares / freedom
    return _within(bounds_of(metric, loss), value, _student(freedom) * math.sqrt(variance))


def _within(bounds: tuple[float, float], value: float, half: float) -> Interval:
    """The interval around a value, less what the metric can't be."""
    least, most = bounds
    lower, upper = finite(max(least, value - half)), finite(min(most, value + half))
    if lower is None or upper is None:
        return Interval(value=value, reason=OVERFLOW)
    return Interval(value=value, lower=lower, upper=upper)


def bounds_of(metric: str | None, loss: str | None = None) -> tuple[float, float]:
    """The least and the most that a metric can be; `val_` in front of its name changes nothing.

    Args:
        metric: its name.
        loss: which one that is, if the metric is the loss; if left out, it may be anything.
    """
    if metric in ("loss", "val_loss") and loss is not None and loss not in _SIGNED:
        return 0.0, math.inf
    higher_is_better = HIGHER_IS_BETTER.get((metric or "").removeprefix("val_"))
    if higher_is_better is None:
        return -math.inf, math.inf
    least = -math.inf if metric in ("r2", "val_r2") else 0.0
    return least, 1.0 if higher_is_better else math.inf


def _student(freedom: int) -> float:
    """The quantile of Student's distribution that 2.5 % lie above.

    In closed form where the expansion in `1 / freedom` is too rough: Abramowitz and Stegun,
    Handbook of Mathematical Functions (1964), 26.7.3 and 26.7.4.
    """
    inside = 1 - 2 * TAIL
    if freedom == 1:
        return math.tan(math.pi * inside / 2)
    if freedom == 2:
        return inside * math.sqrt(2 / (1 - inside**2))
    return student_quantile(1 - TAIL, freedom)
