"""What the predictions of all rows say, each made by a network that had not seen the row."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from dlcli.comparison import HeldOut, estimate_metrics
from dlcli.metrics import Estimate, Number
from dlcli.pipeline.selection.part import Interval


def pooled_estimates(
    held: Sequence[HeldOut], only: Collection[str] | None = None
) -> dict[str, Interval]:
    """Each metric of all rows: its mean over repeats, and the interval that so many rows leave.

    The ends are the means of the repeats' ends. Repeats bring no new rows, so that the interval
    gets no narrower with their number; and as the deviation of a mean is at most the mean of the
    deviations, it is wide enough for the mean of repeats that differ.

    The networks are taken as they are, and rows as independent of each other, although those of a
    fold share a network and networks share training rows. So the interval tells what other rows
    might show of these networks, and is too narrow for how well the procedure would do on other
    training rows: Bates, Hastie and Tibshirani, Cross-validation: What Does It Estimate and How
    Well Does It Do It?, JASA 119 (2024). `fold_intervals` allows for that.

    Metrics of the order of scores, `auc` and `average_precision`, compare what different networks
    say, and come out lower than within folds where these differ in level: Forman and Scholz,
    Apples-to-Apples in Cross-Validation Studies, SIGKDD Explorations 12 (2010).

    Args:
        held: for each repeat the rows of all its folds.
        only: the metrics that are wanted, if not all.
    """
    found = [estimate_metrics(each, only) for each in held]
    names = dict.fromkeys(name for estimates in found for name in estimates)
    return {name: _mean([estimates.get(name) for estimates in found]) for name in names}


def _mean(estimates: Sequence[Estimate | None]) -> Interval:
    """The mean over repeats; without an interval if any repeat has none."""
    known = [each for each in estimates if each is not None and each.value is not None]
    value = _mean_of([each.value for each in known])
    if known and len(known) < len(estimates):
        missing = len(estimates) - len(known)
        return Interval(value=value, reason=f"undefined in {missing} of {len(estimates)} repeats")
    lower = _mean_of([each.lower for each in known])
    upper = _mean_of([each.upper for each in known])
    if lower is None or upper is None:
        reasons = (each.reason for each in known if each.reason is not None)
        return Interval(value=value, reason=next(reasons, None))
    return Interval(value=value, lower=lower, upper=upper)


def _mean_of(values: Sequence[Number]) -> Number:
    """The mean, if there are any and all are known; of parts, as a sum might overflow."""
    known = [value for value in values if value is not None]
    if not known or len(known) < len(values):
        return None
    return math.fsum(value / len(known) for value in known)
