"""The normalized Gini index is the ratio of two areas, and has a standard error."""

from __future__ import annotations

import numpy as np
import pytest

from dlcli.config.training_choices import Poisson
from dlcli.metrics.concentration import NormalizedGini
from dlcli.metrics.definitions import metric_values, statistics_of
from dlcli.metrics.metric import NumberRows

RNG = np.random.default_rng(5)
TRUE = RNG.poisson(2.0, 30).astype(float)
PREDICTED = np.round(TRUE + RNG.normal(0, 2, 30))  # with ties
WEIGHTS = RNG.integers(1, 4, 30).astype(float)


def by_pairs(true, predicted, weights):
    """Twice the covariance of amounts and ranks, by all pairs of rows."""

    def index(scores):
        ranks = [
            sum(w * ((s < score) + (s == score) / 2) for s, w in zip(scores, weights, strict=True))
            for score in scores
        ]
        return 2 * (weights * true * ranks).sum() / weights.sum() / (weights * true).sum() - 1

    return index(predicted) / index(true)


@pytest.mark.parametrize("weights", [np.ones(30), WEIGHTS], ids=["equal", "weighted"])
def test_the_index_is_that_of_all_pairs_of_rows(weights):
    found = NormalizedGini(weights, TRUE, PREDICTED).value
    assert found == pytest.approx(by_pairs(TRUE, PREDICTED, weights))


def test_a_weight_is_a_number_of_equal_rows():
    times = WEIGHTS.astype(int)
    repeated = [np.repeat(each, times) for each in (np.ones(30), TRUE, PREDICTED)]
    found = NormalizedGini(WEIGHTS, TRUE, PREDICTED).value
    assert found == pytest.approx(NormalizedGini(*repeated).value)


def test_a_perfect_order_has_1_its_reverse_minus_1_and_a_constant_0():
    amounts = np.array([0.0, 3, 1, 8])
    each = (
        NormalizedGini(np.ones(4), amounts, scores) for scores in (amounts, -amounts, 0 * amounts)
    )
    assert [gini.value for gini in each] == pytest.approx([1, -1, 0])


def test_influences_are_derivatives_by_the_weights():
    gini, step = NormalizedGini(WEIGHTS, TRUE, PREDICTED), 1e-5
    moved = WEIGHTS + step * np.eye(30)
    slopes = (gini.of(moved) - gini.of(WEIGHTS)) / step
    assert gini.influences() == pytest.approx(WEIGHTS * slopes, abs=1e-4)


def test_amounts_below_0_and_no_rows_have_no_index():
    assert NormalizedGini(np.ones(2), np.array([-1.0, 2]), np.array([1.0, 2])).value is None
    rows = NumberRows.of(np.empty((0, 1)), np.empty((0, 1)))
    assert metric_values(statistics_of(rows, Poisson().comparison_metric))["gini"] is None


def test_several_columns_have_the_mean_index():
    rows = NumberRows.of(np.stack([TRUE, TRUE], 1), np.stack([PREDICTED, TRUE], 1))
    found = metric_values(statistics_of(rows, Poisson().comparison_metric))["gini"]
    assert found == pytest.approx((by_pairs(TRUE, PREDICTED, np.ones(30)) + 1) / 2)
