"""Residuals of a model of the other columns, of rows that it was not fitted to."""

from __future__ import annotations

import numpy as np
import pytest

from dlcli.data_checks.residuals import _random_features, residuals_without
from dlcli.data_checks.sample import feature_scores, target_scores

ROWS = 300
A, B, NOISE = np.random.default_rng(0).normal(size=(3, ROWS))


@pytest.mark.parametrize("column", ["a", "c", "unknown"])
def test_a_residual_is_that_of_ridge_regression_without_the_row_and_the_column(sample, column):
    columns = {"a": A, "b": B, "c": ["uvw"[i % 3] for i in range(ROWS)]}
    rows = sample({**columns, "y": A * B + NOISE}, "y")
    target, scores = target_scores(rows), feature_scores(rows)
    features, members = _random_features([*scores.values()], ROWS)
    left_in = [name != column for name in scores]
    x = np.hstack([scores[name] for name in scores if name != column])
    x = np.hstack([x, features[:, ~members[~np.array(left_in)].any(axis=0)]])
    every = sum(each.shape[1] for each in scores.values()) + features.shape[1]

    def residual(row):
        others = np.arange(ROWS) != row
        known = x[others]
        gram = known.T @ known + 0.1 * every * np.eye(x.shape[1])
        weights = np.linalg.solve(gram, known.T @ target[others])
        return target[row] - x[row] @ weights

    found = residuals_without(rows)(column)
    some = range(0, ROWS, 50)
    np.testing.assert_allclose(found[some], [residual(row) for row in some], atol=1e-3)


def test_the_model_learns_products_that_a_linear_one_does_not(sample):
    a, b, noise = np.random.default_rng(1).normal(size=(3, 4000))
    rows = sample({"a": a, "b": b, "y": a * b + 0.1 * noise}, "y")
    assert np.square(residuals_without(rows)("other")).mean() < 0.1
    assert np.square(residuals_without(rows)("b")).mean() > 0.9


def test_without_columns_to_learn_from_the_target_is_left(sample):
    rows = sample({"a": [f"name {i // 2}" for i in range(ROWS)], "y": NOISE}, "y")
    np.testing.assert_allclose(residuals_without(rows)("a"), target_scores(rows))
