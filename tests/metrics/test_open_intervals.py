"""Intervals of log loss whose end is only the limit of clipped probabilities."""

import math

from dlcli.metrics.definitions import EPS
from dlcli.metrics.intervals import DifferenceEstimate, Estimate
from dlcli.metrics.wording import estimate, versus

LIMIT = -math.log(EPS)


def test_a_difference_of_log_loss_without_a_lower_end_is_unlimited() -> None:
    change = DifferenceEstimate(value=-0.07, lower=-LIMIT, upper=0.08)
    assert versus("log_loss", 0.03, 0.1, change) == (
        "0.03 vs 0.1 (95 % CI of the difference: −∞ to +0.08)"
    )


def test_a_log_loss_without_an_upper_end_keeps_its_digits() -> None:
    assert estimate(Estimate(value=1.93, lower=0.5, upper=LIMIT), "log_loss") == "1.93 [0.5, ∞]"


def test_the_same_number_of_another_metric_is_an_end() -> None:
    assert estimate(Estimate(value=30, lower=20, upper=LIMIT), "rmse") == "30.0 [20.0, 36.0]"
