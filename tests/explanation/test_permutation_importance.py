"""Permutation importance, and the columns for which it is computed."""

import numpy as np
import pytest
from small_networks import UNSCALED, case, rows_of

from dlcli.explanation.explaining import largest_inputs
from dlcli.explanation.prediction_analysis import (
    first_layer_effects,
    input_indices,
    permutation_importances,
    plan_importances,
    read_true_values,
    sample_rows,
    target_units,
)


def importances(made, *columns, repeats=5, table=None):
    target = made.predictor.encoding.task
    looked = sample_rows(made.sets(test=table or made.table), 2000)
    truth = read_true_values(target, looked.tables.values(), target_units(target, made.table))
    return permutation_importances(made.predictor, truth, looked, columns, repeats)


def linear(rows=1000, **sections):
    """y = 3a − b exactly; c is not read."""
    rng = np.random.default_rng(3)
    a, b, c = rng.normal(size=(3, rows)).astype(np.float32).astype(float)
    table = rows_of(a=a, b=b, c=c, y=3 * a - b, w=np.where(np.abs(a) > 1, 1.0, 0.0))
    return case(table, {"output/kernel": [[3], [-1], [0]]}, **{**UNSCALED, **sections})


FEATURES = {"input": {"scaling": "none", "features": dict.fromkeys("abc", "numeric")}}


def test_a_column_that_is_not_used_has_importance_0_exactly():
    [found] = importances(linear(**FEATURES), "c")
    assert (found.increase, found.deviation) == (0, 0)


def test_of_a_perfect_linear_model_it_is_the_weight_times_the_deviation_of_a_difference():
    first, second = importances(linear(**FEATURES), "b", "a")
    # Two rows drawn at random differ by √2 standard deviations in quadratic mean.
    assert (first.column, second.column) == ("a", "b")
    assert first.increase == pytest.approx(3 * 2**0.5, rel=0.05)
    assert second.increase == pytest.approx(2**0.5, rel=0.05)
    assert 0 < first.deviation < 0.2


def test_of_two_rows_it_is_nothing_or_their_difference():
    table = rows_of(a=[1.0, 5.0], y=[1.0, 5.0])
    [found] = importances(case(table, {"output/kernel": [[1]]}, **UNSCALED), "a", repeats=8)
    swapped = found.increase / 4  # the share of the eight orders that swap
    assert swapped * 8 == int(swapped * 8) and 0 < swapped < 1
    assert found.deviation == pytest.approx(4 * (swapped * (1 - swapped)) ** 0.5)


def test_weights_count():
    made = linear(**FEATURES, data={"train": "t.csv", "target": "y", "sample_weight": "w"})
    a, b = importances(made, "a", "b")
    # Beyond ±1, a² is 1 + φ(1)/(1 − Φ(1)) = 2.525 in the mean; the values that come are any.
    assert b.increase == pytest.approx(2**0.5, rel=0.1)
    assert a.increase == pytest.approx(3 * (2.525 + 1) ** 0.5, rel=0.1)


def test_all_inputs_of_a_column_move_together():
    table = rows_of(a=["u", "v", "u", None], y=[0.0, 1.0, 0.0, 5.0])
    made = case(table, {"output/kernel": [[0], [1], [5]]}, **UNSCALED)
    made_of = input_indices(made.predictor.network.layout)
    assert made_of["a"].tolist() == [0, 1, 2]
    [found] = importances(made, "a")
    # Whatever order comes, each prediction is that of some row: never the sum of two.
    assert 0 < found.increase <= (2 * 25 / 4 + 0.5) ** 0.5


def test_it_depends_on_the_seed_and_on_nothing_else_that_is_looked_at():
    made = linear(**FEATURES)
    both = importances(made, "a", "b")
    assert importances(made, "b") == both[1:]
    assert importances(linear(**FEATURES, seed=1), "b") != both[1:]


def test_predictions_that_are_no_numbers_have_none():
    table = rows_of(a=[1e38, 2.0], y=[1.0, 5.0])
    made = case(table, {"output/kernel": [[1e30]]}, **UNSCALED)
    assert importances(made, "a") == ()


def test_the_strength_of_a_column_is_the_deviation_that_it_gives_the_sums():
    table = rows_of(a=[0.0, 2.0], b=[5.0, 5.0], c=["u", "v"], y=[0.0, 1.0])
    hidden = ({"units": 2, "activation": "relu"},)
    kernel = [[3, 4], [9, 9], [1, 0], [0, 1]]
    features = {"a": "numeric", "b": "numeric", "c": "categorical"}
    made = case(
        table,
        {"hidden_1/kernel": kernel},
        hidden=hidden,
        input={"scaling": "none", "features": features},
    )
    matrix = made.encoded().inputs.part(0, 2)
    found = first_layer_effects(made.predictor.network, made.predictor.weights, matrix)
    assert found == pytest.approx({"a": 5, "b": 0, "c": 0.5**0.5})
    assert largest_inputs(made.predictor.network.layout, matrix) == {"a": 2, "b": 5, "c": 1}


def test_waves_and_embeddings_count_for_their_columns():
    table = rows_of(a=[0.0, 0.25], b=["u", "v"], c=[0.0, 1.0], y=[0.0, 1.0])
    features = {
        "a": {"type": "numeric", "encoding": {"name": "periodic", "frequencies": 1}},
        "b": {"type": "categorical", "encoding": {"name": "embedding", "units": 2}},
        "c": "numeric",
    }
    arrays = {
        "periodic_1/kernel": [[1]],
        "embedding_1/embeddings": [[0, 0], [2, 4], [0, 0]],
        "output/kernel": [[7], [2], [0], [1], [1]],  # c, sine, cosine, and two of b
    }
    made = case(table, arrays, input={"scaling": "none", "features": features})
    matrix = made.encoded().inputs.part(0, 2)
    found = first_layer_effects(made.predictor.network, made.predictor.weights, matrix)
    assert found == pytest.approx({"a": 1, "b": 5**0.5, "c": 3.5}, abs=1e-6)


def test_rows_are_bounded_by_how_wide_they_are(monkeypatch):
    monkeypatch.setattr("dlcli.explanation.prediction_analysis.MOST_NUMBERS", 30)
    made = linear(100, **FEATURES)
    looked = sample_rows(made.sets(test=made.table), 2000)
    assert looked.matrix.shape == (10, 3)


def test_rows_of_several_sets_follow_one_another():
    made = linear(10, **FEATURES)
    first, second = made.table.take(np.arange(4)), made.table.take(np.arange(4, 10))
    looked = sample_rows(made.sets(validation=first, test=second), 5)
    assert sum(table.rows for table in looked.tables.values()) == len(looked) == 5
    numbers = looked.axis_values(made.predictor.encoding.features[0]).tolist()
    assert numbers == looked.matrix[:, 0].tolist()
    assert sorted(numbers) != sorted(made.table.numbers("a")[:5])


@pytest.mark.parametrize(
    ("work", "members", "rows", "planned"),
    [
        (1e9, 1, 50, (5, 50, 3)),
        (1e9, 1, 10**6, (5, 2000, 3)),
        (3 * 2000 * 4 * 116, 1, 10**6, (4, 2000, 3)),
        (3 * 2000 * 4 * 8 * 116, 8, 10**6, (4, 2000, 3)),
        (3 * 700 * 3 * 116, 1, 10**6, (3, 700, 3)),
        (3 * 200 * 2 * 116, 1, 10**6, (2, 200, 3)),
        (2 * 200 * 116, 1, 10**6, (1, 200, 2)),
        (1, 1, 10**6, (1, 200, 1)),
    ],
)
def test_repeats_are_saved_before_rows_and_rows_before_columns(
    work, members, rows, planned, monkeypatch
):
    monkeypatch.setattr("dlcli.explanation.prediction_analysis.WORK", work)
    network = linear(10, **FEATURES).predictor.network
    # A row costs 4 weights, and 16 for each of 3 inputs, 3 that pass, and an output.
    assert 4 + 16 * 7 == 116
    plan = plan_importances(network, members, rows)
    assert (plan.repeats, plan.rows, plan.columns) == planned
