"""What the folds of a cross-validation say together."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import asdict
from statistics import median

import numpy as np

from dlcli.metrics import Floats, corrected_interval, finite, metric_bounds
from dlcli.pipeline.selection.cross_validation import FoldResult
from dlcli.pipeline.selection.part import Interval, Number
from dlcli.pipeline.selection.search import NestedFold


def fold_intervals(
    results: Sequence[FoldResult], metrics: Collection[str]
) -> tuple[dict[str, Interval], dict[str, Number]]:
    """The mean of each metric over all folds, with its interval, and its standard deviation.

    Folds that failed, or have no value of a metric, are left out of it: `notes_of` says so. What is
    estimated is how well the procedure does when trained on as many rows as in a fold.

    Args:
        results: of all folds of all repeats.
        metrics: their names.

    Returns:
        Means by metric, see `corrected_interval`, and standard deviations (ddof 1), of which a
        single fold has none.
    """
    found = {metric: _of_metric(results, metric) for metric in metrics}
    means = {metric: mean for metric, (mean, _) in found.items()}
    return means, {metric: deviation for metric, (_, deviation) in found.items()}


def _of_metric(results: Sequence[FoldResult], metric: str) -> tuple[Interval, Number]:
    known = [(each, value) for each in results if (value := each.metrics.get(metric)) is not None]
    if not known:
        return Interval(value=None), None
    values = np.array([value for _, value in known])
    ratio = float(np.mean([each.held_out / max(1, each.train) for each, _ in known]))
    found = corrected_interval(values, np.ones(len(values)), ratio, metric_bounds(metric))
    return Interval(**asdict(found)), deviation_of(values)


def deviation_of(values: Floats) -> Number:
    """The standard deviation (ddof 1); `None` of less than two."""
    if len(values) < 2:
        return None
    with np.errstate(over="ignore", invalid="ignore"):
        return finite(float(np.std(values, ddof=1)))


def median_epochs(results: Sequence[FoldResult]) -> int | None:
    """How long to train on all rows: the median over folds of the best epoch, or else of all.

    Half an epoch is rounded up. Folds that failed take no part; `None` if none is left.
    """
    trained = [each for each in results if each.problem is None and each.epochs]
    if not trained:
        return None
    return math.floor(median(each.best_epoch or each.epochs for each in trained) + 0.5)


def combine(
    nested: Sequence[NestedFold], metric: str | None = None, loss: str | None = None
) -> Interval:
    """What a whole search gives, by the rows that its outer folds have kept from it.

    The mean of the outer folds' values, weighted by their rows, with the interval of
    `corrected_interval`. As each value is of rows that took no part in the choice, the mean is free
    of what choosing flatters: Cawley and Talbot, JMLR 11 (2010); Varma and Simon, BMC
    Bioinformatics 7 (2006).

    Args:
        nested: the outer folds, which together are all rows once.
        metric: its name, to leave out of the interval what it can't be.
        loss: which one that is, if the metric is the loss.
    """
    known = [(each, each.value) for each in nested if each.value is not None]
    if not known:
        return Interval(value=None)
    rows = np.array([max(1, each.held_out) for each, _ in known], dtype=np.float64)
    whole = sum(each.held_out for each in nested)
    ratio = float(np.mean(rows / np.maximum(1, whole - rows)))
    values, bounds = np.array([value for _, value in known]), metric_bounds(metric, loss)
    found = corrected_interval(values, rows, ratio, bounds)
    if len(known) == len(nested):
        return Interval(**asdict(found))
    missing = f"{len(nested) - len(known)} of {len(nested)} outer folds came to nothing"
    return Interval(value=found.value, reason=missing)
