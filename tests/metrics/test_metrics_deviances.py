"""Deviances, and the share of them that is explained, are those of scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest

from dlcli.config.training_choices import Binomial, Gamma, Poisson, Tweedie
from dlcli.metrics.definitions import metric_values, statistics_of
from dlcli.metrics.deviances import GammaDeviance, TweedieDeviance
from dlcli.metrics.intervals import estimate_statistics
from dlcli.metrics.metric import NumberRows

MEANS = np.array([12.0, 35.0, 8.0, 90.0, 41.0, 5.5, 60.0])
AMOUNTS = np.array([10.0, 50.0, 3.0, 120.0, 0.5, 6.0, 44.0])
WITH_ZEROS = np.array([0.0, 50.0, 0.0, 120.0, 0.0, 6.0, 44.0])
WEIGHTS = np.array([1.0, 2.0, 0.0, 0.5, 3.0, 1.0, 1.0])
LOSSES = {
    "poisson": (Poisson(), "poisson_deviance", WITH_ZEROS),
    "tweedie": (Tweedie(), "tweedie_deviance", WITH_ZEROS),
    "tweedie of power 1.9": (Tweedie(power=1.9), "tweedie_deviance", WITH_ZEROS),
    "gamma": (Gamma(), "gamma_deviance", AMOUNTS),
}
# scikit-learn 1.9.1: mean_tweedie_deviance and d2_tweedie_score; then with sample_weight=WEIGHTS.
EXPECTED = {
    "poisson": (20.208813516491187, 0.6254798066579683, 34.18909886059975, 0.20262717449659906),
    "tweedie": (7.607234914849198, 0.4514574840257999, 11.012916939893376, 0.1362599689760201),
    "tweedie of power 1.9": (
        *(11.392809539746606, 0.13161536170329535),
        *(13.323542758087275, 0.03718589710998077),
    ),
    "gamma": (1.1300949238358196, 0.47731879497691687, 2.4673888407144724, 0.10343087422845687),
}


def metrics(loss, true, predicted, weights=None):
    rows = NumberRows.of(true[:, np.newaxis], predicted[:, np.newaxis], weights)
    return metric_values(statistics_of(rows, loss.comparison_metric))


@pytest.mark.parametrize("case", LOSSES)
def test_a_deviance_and_its_explained_share_are_those_of_scikit_learn(case):
    loss, name, true = LOSSES[case]
    each = (metrics(loss, true, MEANS, weights) for weights in (None, WEIGHTS))
    found = [metrics[key] for metrics in each for key in (name, "d2")]
    assert found == pytest.approx(EXPECTED[case])


def test_the_deviance_of_shares_is_that_of_their_trials():
    successes, trials = np.array([0, 3, 5, 10]), np.array([4, 8, 5, 20])
    predicted = np.array([0.1, 0.4, 0.7, 0.35])
    found = metrics(Binomial(), successes / trials, predicted, trials.astype(float))
    # SciPy 1.17: twice the difference of binom.logpmf of the shares and of the predictions, per
    # trial, and the share of that difference from the mean share that is explained.
    expected = [0.1707252965527537, 0.5124002704525363]
    assert [found["binomial_deviance"], found["d2"]] == pytest.approx(expected)


@pytest.mark.parametrize(("loss", "_", "true"), LOSSES.values(), ids=LOSSES)
def test_the_mean_explains_nothing_and_the_truth_everything(loss, _, true):
    constant = np.full_like(true, true.mean())
    assert metrics(loss, true, constant)["d2"] == pytest.approx(0, abs=1e-12)
    assert metrics(loss, AMOUNTS, AMOUNTS)["d2"] == pytest.approx(1)


@pytest.mark.parametrize("loss", [Poisson(), Tweedie(), Gamma()], ids=lambda loss: loss.name)
def test_no_share_of_a_constant_target_can_be_explained(loss):
    assert metrics(loss, np.full(3, 0.1), np.array([0.1, 0.2, 0.3]))["d2"] is None


def test_the_explained_share_of_several_columns_is_their_mean():
    true, predicted = np.stack([AMOUNTS, MEANS], 1), np.stack([MEANS, MEANS], 1)
    statistics = statistics_of(NumberRows.of(true, predicted), Gamma().comparison_metric)
    assert metric_values(statistics)["d2"] == pytest.approx((EXPECTED["gamma"][1] + 1) / 2)


@pytest.mark.parametrize("deviance", [TweedieDeviance(1.3), GammaDeviance()])
def test_dividing_target_and_mean_by_a_number_only_multiplies_the_deviance(deviance):
    ratios = deviance.of(AMOUNTS / 50, MEANS / 50) / deviance.of(AMOUNTS, MEANS)
    power = getattr(deviance, "power", 2.0)
    assert ratios == pytest.approx(np.full(7, 50 ** (power - 2)))


def test_the_interval_of_the_explained_share_contains_it():
    rng = np.random.default_rng(0)
    means = rng.gamma(2.0, 40.0, (200, 1))
    rows = NumberRows.of(rng.gamma(1.5, means / 1.5), means)
    statistic = statistics_of(rows, Gamma().comparison_metric)["d2"]
    found = estimate_statistics({"d2": statistic})["d2"]
    assert found.lower < statistic.value < found.upper
    assert found.upper - found.lower < 0.4


def test_an_amount_of_0_has_a_deviance_from_a_mean_of_0():
    with np.errstate(divide="ignore", invalid="ignore"):
        found = TweedieDeviance(1.5).of(np.array([0.0, 0.0, 2.0]), np.array([0.0, 4.0, 0.0]))
    assert found.tolist() == [0, 8, np.inf]
