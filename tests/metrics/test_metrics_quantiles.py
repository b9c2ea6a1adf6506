"""Predicted quantiles: their loss is scikit-learn's, and what they cover."""

from __future__ import annotations

import numpy as np
import pytest

from dlcli.columns.scaling import LinearScaling
from dlcli.config.training_choices import QuantileLoss
from dlcli.metrics.definitions import metrics_of
from dlcli.metrics.explained_quantiles import ExplainedQuantiles
from dlcli.metrics.quantiles import middle_of
from dlcli.tasks.regression import Counts, Regression
from dlcli.tasks.task import DecodedRows

TRUE = np.array([[3.0], [-1.0], [7.0], [0.0], [4.0]])
QUANTILES = np.array([[1.0, 3, 9], [-2, 0, 1], [2, 5, 6], [1, 2, 3], [0, 4, 8]])
WEIGHTS = np.array([1.0, 0.0, 2.0, 0.5, 1.0])
# scikit-learn 1.9.1: mean_pinball_loss of the levels; then with sample_weight=WEIGHTS.
PINBALL = {
    "equal": (None, [0.42, 0.5, 0.48]),
    "weighted": (WEIGHTS, [0.4555555555555555, 0.5555555555555556, 0.6555555555555554]),
}
# scikit-learn 1.9.1: d2_pinball_score of the levels; then with sample_weight=WEIGHTS.
D2 = {
    "equal": (None, [-0.16666666666666674, 0.5833333333333333, -0.09090909090909105]),
    "weighted": (WEIGHTS, [0.023809523809523947, 0.4444444444444444, -1.8095238095238098]),
}
TASK = Regression(columns=("y",)).for_loss(QuantileLoss())


@pytest.mark.parametrize(("weights", "expected"), PINBALL.values(), ids=PINBALL)
def test_the_loss_of_each_level_is_that_of_scikit_learn(weights, expected):
    found = TASK.metrics(DecodedRows(TRUE, QUANTILES, weights))
    assert found["pinball_loss"] == pytest.approx(np.mean(expected))
    assert [each["pinball_loss"] for each in found["by_level"].values()] == pytest.approx(expected)
    assert [*found["by_level"]] == ["0.1", "0.5", "0.9"]


@pytest.mark.parametrize(("weights", "expected"), D2.values(), ids=D2)
def test_the_explained_share_of_each_level_is_that_of_scikit_learn(weights, expected):
    found = TASK.metrics(DecodedRows(TRUE, QUANTILES, weights))
    assert [each["d2"] for each in found["by_level"].values()] == pytest.approx(expected)
    losses = np.array([each["pinball_loss"] for each in found["by_level"].values()])
    of_constants = losses / (1 - np.array(expected))
    assert found["d2"] == pytest.approx(1 - losses.sum() / of_constants.sum())


def test_a_constant_target_has_no_explained_share():
    found = TASK.metrics(DecodedRows(np.full((5, 1), 0.1), QUANTILES, None))
    assert [found["d2"], found["by_level"]["0.9"]["d2"]] == [None, None]


def test_influences_of_the_explained_share_are_derivatives_by_the_weights():
    rng, step = np.random.default_rng(0), 1e-6
    true, weights = rng.normal(size=31), rng.uniform(0.5, 2, 31)
    losses = np.abs(true - rng.normal(size=31))
    explained = ExplainedQuantiles(weights, true, losses, (0.2, 0.5))
    slopes = (explained.of(weights + step * np.eye(31)) - explained.of(weights)) / step
    assert explained.influences() == pytest.approx(weights * slopes, abs=1e-4)


def test_the_outermost_pair_covers_a_share_of_the_rows():
    found = TASK.metrics(DecodedRows(TRUE, QUANTILES, None))
    assert (found["coverage"], found["mean_width"]) == (3 / 5, pytest.approx(25 / 5))
    below = [each["share_below"] for each in found["by_level"].values()]
    assert below == [1 / 5, 4 / 5, 4 / 5]
    weighted = TASK.metrics(DecodedRows(TRUE, QUANTILES, WEIGHTS))
    assert weighted["coverage"] == pytest.approx(2 / 4.5)


def test_errors_are_those_of_the_level_nearest_to_a_half():
    found = TASK.metrics(DecodedRows(TRUE, QUANTILES, None))
    assert found["mae"] == pytest.approx((0 + 1 + 2 + 2 + 0) / 5)
    assert [middle_of(each) for each in [(0.9,), (0.1, 0.2), (0.4, 0.6), (0.3, 0.6, 0.7)]] == [
        *(0, 1, 0, 1)
    ]


def test_one_level_has_no_pair():
    task = Counts(columns=("n",)).for_loss(QuantileLoss(levels=(0.9,)))
    rows = task.rows_type.of(TRUE, QUANTILES[:, :1])
    assert not {"coverage", "mean_width"} & metrics_of(rows, task.loss_metric).keys()
    assert task.metrics(DecodedRows(TRUE, QUANTILES[:, :1], None))["pinball_loss"] > 0


def test_no_rows_have_no_metrics():
    found = TASK.metrics(DecodedRows(TRUE[:0], QUANTILES[:0], None))
    levels = [value for each in found.pop("by_level").values() for value in each.values()]
    assert {*found.values(), *levels} == {None}


def test_outputs_that_cross_are_sorted_in_the_unit_of_the_target():
    scaling = LinearScaling(name="standard", offset=10.0, scale=2.0)
    task = Regression(columns=("y",), scalings=(scaling,)).for_loss(QuantileLoss())
    assert task.decode(np.float32([[0.5, -1, 0]])).tolist() == [[8, 10, 11]]
    found = task.score_columns(np.float32([[0.5, -1, 0]]))
    assert {name: column.tolist() for name, column in found.items()} == {
        "prediction_0.1": [8],
        "prediction_0.5": [10],
        "prediction_0.9": [11],
    }


def test_members_are_averaged_in_the_unit_of_the_target():
    scalings = [LinearScaling(name="standard", offset=o, scale=s) for o, s in [(0, 1), (8, 2)]]
    tasks = [Regression(columns=("y",), scalings=(each,)) for each in scalings]
    own = tasks[0].for_loss(QuantileLoss())
    outputs = [np.array([[1.0, 2, 3]]), np.array([[0.0, 1, 2]])]  # 1, 2, 3 and 8, 10, 12
    mean = own.average(outputs, tasks, [1.0, 1.0])
    assert own.decode(mean).tolist() == [[4.5, 6, 7.5]]
    assert own.decode(own.average(outputs, tasks, [3.0, 1.0])).tolist() == [[2.75, 4, 5.25]]
