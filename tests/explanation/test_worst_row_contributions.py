"""The contributions of columns to the predictions of the rows with the largest errors."""

from dataclasses import replace

import numpy as np
import pytest
from small_networks import UNSCALED, case, rows_of

from dlcli.config.config_schema import Config
from dlcli.encoding.encoded_rows import InMemoryInputs
from dlcli.explanation import worst_row_contributions
from dlcli.explanation.prediction_analysis import target_units, worst_rows
from dlcli.explanation.worst_row_contributions import RowExplainers, explain_worst
from dlcli.prediction.predictor import MemberModel, member_weight

TABLE = rows_of(x=[1.0, 2.0, 6.0], z=[0.0, 4.0, 2.0], y=[1.0, 9.0, 7.0])


def explained(made, folds=()):
    """The worst rows of a case, whose background are all its rows."""
    predictor, sets = made.predictor, made.sets(test=made.table)
    inputs = sets["test"][1].inputs

    def predictions(name):
        if folds:
            return predictor.predict_by_fold(lambda some: InMemoryInputs(inputs.take(some)), folds)
        return predictor.predict_encoded(inputs)

    units = target_units(predictor.task, made.table)
    worst = worst_rows(predictor.task, sets, predictions, units, [])
    background = inputs.take(np.arange(made.table.rows))
    return explain_worst(
        RowExplainers(predictor, background, folds), sets, worst, predictions, units
    )


def shapley(row):
    return {each.column: each.shapley for each in row.contributions.columns}


def test_of_a_linear_network_they_are_the_weighted_distances_from_the_mean():
    first, second, third = explained(case(TABLE, {"output/kernel": [[1], [-2]]}, **UNSCALED))
    assert (first.row, first.target, first.prediction) == (2, "9", "-6")
    found = first.contributions
    assert (found.explained, found.unit, found.prediction) == ("y", "target", -6)
    assert found.mean_prediction == pytest.approx(-1)  # the means are 3 and 2
    assert [(each.column, each.value) for each in found.columns] == [("z", "4"), ("x", "2")]
    assert shapley(first) == pytest.approx({"z": -4, "x": -1})
    assert (found.other_columns, found.others) == (0, 0)
    assert (second.row, shapley(second)) == (3, pytest.approx({"x": 3}))
    assert second.contributions.other_columns == 1  # z has the mean value
    assert third.row == 1


def test_an_out_of_fold_row_is_explained_by_the_networks_without_it(monkeypatch):
    monkeypatch.setattr(Config, "ensemble_folds", 2)
    made = case(TABLE, **UNSCALED)
    network, task = made.predictor.network, made.predictor.task
    weights = {
        member_weight(number, name): np.array(values, np.float32)
        for number, kernel in ((1, [[1], [0]]), (2, [[0], [1]]))
        for name, values in {"output/kernel": kernel, "output/bias": [0]}.items()
    }
    models = (MemberModel(network, task), MemberModel(network, task))
    predictor = replace(made.predictor, weights=weights, models=models)
    folds = (np.array([1]), np.array([0, 2]))
    found = {each.row: each for each in explained(replace(made, predictor=predictor), folds)}
    assert {row: each.contributions.prediction for row, each in found.items()} == {1: 0, 2: 2, 3: 2}
    assert shapley(found[2]) == pytest.approx({"x": -1})
    assert shapley(found[1]) == pytest.approx({"z": -2})


def test_of_several_numbers_the_one_with_the_largest_error_is_explained():
    table = rows_of(x=[1.0, 2.0], u=[1.0, 2.0], v=[5.0, 2.0])
    data = {"train": "t.csv", "target": {"column": ("u", "v"), "type": "numeric"}}
    made = case(table, {"output/kernel": [[1, 1]]}, data=data, **UNSCALED)
    first, second = explained(made)
    assert (first.row, first.contributions.explained) == (1, "v")
    assert second.contributions.explained == "u"  # without errors, the first


def test_only_the_first_few_rows_are_explained_and_the_largest_contributions_are_listed():
    rng = np.random.default_rng(0)
    columns = {f"x{number}": rng.normal(size=30).round(2).tolist() for number in range(10)}
    kernel = [[2.0**number] for number in range(10)]
    made = case(
        rows_of(**columns, y=[float(at) for at in range(30)]), {"output/kernel": kernel}, **UNSCALED
    )
    found = explained(made)
    assert [each.contributions is not None for each in found] == [True] * 4 + [False] * 16
    first = found[0].contributions
    sizes = [abs(each.shapley) for each in first.columns]
    assert (len(sizes), sizes, first.other_columns) == (8, sorted(sizes, reverse=True), 2)
    total = sum(each.shapley for each in first.columns) + first.others
    assert total == pytest.approx(first.prediction - first.mean_prediction)


def test_a_large_network_and_infinite_predictions_are_not_explained(monkeypatch):
    made = case(TABLE, {"output/kernel": [[1e38], [1e38]], "output/bias": [3e38]}, **UNSCALED)
    assert [each.contributions for each in explained(made)] == [None] * 3
    monkeypatch.setattr(worst_row_contributions, "_MOST_WORK", 1)
    made = case(TABLE, {"output/kernel": [[1], [-2]]}, **UNSCALED)
    assert [each.contributions for each in explained(made)] == [None] * 3
