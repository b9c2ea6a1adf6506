"""Shapley values of columns, compared with an enumeration of all orders of the columns."""

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from small_networks import UNSCALED, case, rows_of

from dlcli.encoding.encoded_rows import InMemoryInputs
from dlcli.errors import UsageError
from dlcli.explanation import shapley
from dlcli.explanation.background import background_problem, choose_background
from dlcli.explanation.prediction_analysis import input_indices
from dlcli.explanation.shapley import ShapleyExplainer
from dlcli.prediction.predictor import MemberModel, member_weight

ROWS = 24
HIDDEN = ({"units": 8, "activation": "relu"}, {"units": 4, "activation": "tanh"})


def columns(seed=0):
    rng = np.random.default_rng(seed)
    numbers = {name: rng.normal(size=ROWS).tolist() for name in ("a", "b", "c")}
    return {**numbers, "kind": rng.choice(["x", "y", "z"], ROWS).tolist()}


def network(target, hidden=HIDDEN, **sections):
    made = case(rows_of(y=target, **columns()), hidden=hidden, **sections)
    return replace(made, predictor=with_weights(made.predictor, 1))


def with_weights(predictor, seed):
    rng = np.random.default_rng(seed)
    weights = {
        each.name: rng.normal(size=each.shape).astype(np.float32)
        for each in predictor.network.weights
    }
    return replace(predictor, weights=weights)


def matrix_of(made):
    return made.encoded().inputs.part(0, ROWS)


def enumerated(predictor, background, row, score=lambda predictions: predictions.scores):
    """The mean change over all orders of the columns, (columns, outputs)."""
    indices = input_indices(predictor.encoding.layout)
    names = [feature.column for feature in predictor.encoding.features]
    total = 0
    orders = [*permutations(range(len(names)))]
    for order in orders:
        mixed, steps = background.copy(), [None] * len(names)
        before = score(predictor.predict_encoded(InMemoryInputs(mixed))).mean(axis=0)
        for at in order:
            mixed[:, indices[names[at]]] = row[indices[names[at]]]
            after = score(predictor.predict_encoded(InMemoryInputs(mixed))).mean(axis=0)
            steps[at], before = after - before, after
        total = total + np.array(steps)
    return total / len(orders)


def assert_enumerated(predictor, matrix):
    background, rows = matrix[:7], matrix[7:10]
    found = ShapleyExplainer(predictor, background).explain(rows)
    expected = [enumerated(predictor, background, row) for row in rows]
    size = len(found.outputs)
    np.testing.assert_allclose(found.values, np.array(expected)[..., -size:], atol=1e-5)
    gain = found.predictions - found.means
    np.testing.assert_allclose(found.values.sum(axis=1), gain, atol=1e-12)
    predicted = predictor.predict_encoded(InMemoryInputs(rows)).scores[:, -size:]
    np.testing.assert_allclose(found.predictions, predicted, atol=1e-5)
    return found


@pytest.mark.parametrize(
    ("target", "sections"),
    [
        (np.linspace(0, 9, ROWS).tolist(), UNSCALED),
        (np.linspace(1, 90, ROWS).tolist(), {"output": {"scaling": "log1p"}}),
        (["no", "yes"] * (ROWS // 2), {}),
        (["low", "mid", "high"] * (ROWS // 3), {}),
        (["no", "yes"] * (ROWS // 2), {"loss": {"name": "hinge"}}),
    ],
    ids=["number", "log1p", "two_classes", "three_classes", "margin"],
)
def test_values_are_those_of_all_orders(target, sections):
    made = network(target, **sections)
    found = assert_enumerated(made.predictor, matrix_of(made))
    assert found.is_exact
    assert not found.standard_errors.any()


def test_a_linear_model_has_the_values_of_its_products():
    made = network(np.linspace(0, 9, ROWS).tolist(), hidden=(), **UNSCALED)
    matrix = matrix_of(made)
    found = ShapleyExplainer(made.predictor, matrix[:7]).explain(matrix[7:])
    products = (matrix[7:] - matrix[:7].mean(axis=0)) * made.predictor.weights["output/kernel"].T
    indices = input_indices(made.predictor.encoding.layout).values()
    expected = np.stack([products[:, at].sum(axis=1) for at in indices], axis=1)
    np.testing.assert_allclose(found.values[..., 0], expected, atol=1e-5)


def test_an_ensemble_is_explained_as_the_mean_of_its_members():
    made = network(["no", "yes"] * (ROWS // 2))
    single = made.predictor
    others = [with_weights(single, seed) for seed in (1, 2)]
    weights = {
        member_weight(number, name): array
        for number, other in enumerate(others, start=1)
        for name, array in other.weights.items()
    }
    models = tuple(MemberModel(single.network, single.task, weight) for weight in (1.0, 3.0))
    assert_enumerated(replace(single, weights=weights, models=models), matrix_of(made))


def test_log_odds_of_two_classes():
    made = network(["no", "yes"] * (ROWS // 2))
    matrix = matrix_of(made)
    found = ShapleyExplainer(made.predictor, matrix[:7], "log-odds").explain(matrix[7:8])

    def log_odds(predictions):
        scores = predictions.scores
        return np.log(scores[:, 1:]) - np.log(scores[:, :1])

    expected = enumerated(made.predictor, matrix[:7], matrix[7], log_odds)
    np.testing.assert_allclose(found.values[0], expected, atol=1e-4)


def test_log_odds_require_two_classes():
    made = network(["low", "mid", "high"] * (ROWS // 3))
    with pytest.raises(UsageError, match=r"^log-odds require two classes, but the target is 3"):
        ShapleyExplainer(made.predictor, matrix_of(made), "log-odds")


def test_sampled_values_are_within_three_standard_errors_and_add_up(monkeypatch):
    made = network(np.linspace(0, 9, ROWS).tolist(), **UNSCALED)
    matrix = matrix_of(made)
    exact = ShapleyExplainer(made.predictor, matrix[:16]).explain(matrix[16:])
    monkeypatch.setattr(shapley, "MOST_EXACT_COLUMNS", 1)
    monkeypatch.setattr(shapley, "MOST_PAIRS", 16)
    explainer = ShapleyExplainer(made.predictor, matrix[:16])
    sampled = explainer.explain(matrix[16:])
    assert sampled.pairs == 16 * 16
    deviations = np.abs(sampled.values - exact.values)
    assert np.mean(deviations <= 3 * sampled.standard_errors + 1e-5) >= 0.97
    assert deviations.max() > 1e-3
    gain = sampled.predictions - sampled.means
    np.testing.assert_allclose(sampled.values.sum(axis=1), gain, atol=1e-12)
    np.testing.assert_array_equal(sampled.values, explainer.explain(matrix[16:]).values)


def test_a_column_that_is_not_read_has_the_value_0_and_equal_columns_share_theirs():
    made = network(np.linspace(0, 9, ROWS).tolist(), **UNSCALED)
    weights = {name: array.copy() for name, array in made.predictor.weights.items()}
    weights["hidden_1/kernel"][2] = 0
    weights["hidden_1/kernel"][1] = weights["hidden_1/kernel"][0]
    matrix = matrix_of(made).copy()
    matrix[:, 1] = matrix[:, 0]
    explainer = ShapleyExplainer(replace(made.predictor, weights=weights), matrix[:7])
    values = explainer.explain(matrix[7:]).values[..., 0]
    assert not values[:, 2].any()
    np.testing.assert_allclose(values[:, 0], values[:, 1], atol=1e-6)
    assert np.abs(values[:, 0]).max() > 0.01


def test_background_rows_have_predictions_of_the_whole_range():
    made = network(np.linspace(0, 9, ROWS).tolist(), hidden=(), **UNSCALED)
    matrix = matrix_of(made)
    chosen = choose_background(made.predictor, matrix, 4)
    everything = made.predictor.predict_encoded(InMemoryInputs(matrix)).scores[:, 0]
    some = made.predictor.predict_encoded(InMemoryInputs(chosen)).scores[:, 0]
    ranks = np.searchsorted(np.sort(everything), np.sort(some))
    assert [*(ranks // 6)] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("value", "problem"),
    [(np.nan, "not finite"), (7, "not an index"), (-1, "not an index"), (0.5, "not an index")],
)
def test_an_invalid_background_is_detected(value, problem):
    kind = {"type": "categorical", "encoding": {"name": "embedding", "units": 2}}
    features = {"features": {"kind": kind, "a": "numeric"}}
    made = network(np.linspace(0, 9, ROWS).tolist(), input=features, **UNSCALED)
    matrix, layout = matrix_of(made).copy(), made.predictor.encoding.layout
    assert background_problem(layout, matrix) is None
    matrix[3, input_indices(layout)["kind"]] = value
    assert problem in background_problem(layout, matrix)
