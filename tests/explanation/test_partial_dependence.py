"""Partial dependence."""

from datetime import datetime

import numpy as np
import pytest
from small_networks import UNSCALED, case, rows_of

from dlcli.explanation.prediction_analysis import (
    choose_outputs,
    partial_dependences,
    read_true_values,
    sample_rows,
    target_units,
)

ONE = {"y": 0}


def dependences(made, *columns, outputs=ONE):
    looked = sample_rows(made.sets(test=made.table), 2000)
    return partial_dependences(made.predictor, looked, columns, outputs)


def outputs_of(made):
    target = made.predictor.encoding.task
    looked = sample_rows(made.sets(test=made.table), 2000)
    truth = read_true_values(target, looked.tables.values(), target_units(target, made.table))
    return choose_outputs(made.predictor, truth, looked.weights)


def curve(dependence):
    return [(point.label, point.number, point.predictions) for point in dependence.points]


LINEAR = rows_of(a=[2.0, 0.0, 4.5, None], b=[1.0, 2.0, 3.0, 6.0], y=[0.0, 1.0, 2.0, 3.0])


def test_of_a_linear_model_it_is_the_line():
    # y = 10 + 2a + 5·(a is missing) + b, and b is 3 in the mean.
    made = case(LINEAR, {"output/kernel": [[2], [5], [1]], "output/bias": [10]}, **UNSCALED)
    [found] = dependences(made, "a")
    assert found.column == "a"
    assert curve(found) == [("0", 0, (13,)), ("2", 2, (17,)), ("4.5", 4.5, (22,))]
    assert found.missing == pytest.approx((10 + 2 * 2 + 5 + 3,))  # the median, 2, replaces it


def test_a_missing_value_without_an_input_of_its_own_is_not_reported():
    features = {"a": {"type": "numeric", "missing": {"name": "mean", "indicator": False}}}
    inputs = {"scaling": "none", "features": {**features, "b": "numeric"}}
    made = case(LINEAR, {"output/kernel": [[2], [1]]}, **{**UNSCALED, "input": inputs})
    assert dependences(made, "a")[0].missing is None


def test_a_missing_category_is_reported():
    table = rows_of(a=["u", "v", "u", None], y=[0.0, 1.0, 0.0, 5.0])
    [found] = dependences(case(table, {"output/kernel": [[0], [1], [5]]}, **UNSCALED), "a")
    assert (curve(found), found.missing) == ([("u", None, (0,)), ("v", None, (1,))], (5,))


def test_rows_count_by_their_weights():
    table = rows_of(a=[0.0, 1.0], b=[1.0, 5.0], y=[0.0, 2.0], w=[3.0, 1.0])
    data = {"train": "t.csv", "target": "y", "sample_weight": "w"}
    [found] = dependences(case(table, {"output/kernel": [[1], [1]]}, data=data, **UNSCALED), "a")
    assert curve(found) == [("0", 0, (2,)), ("1", 1, (3,))]  # b is 2 in the weighted mean


def test_numbers_are_in_their_own_unit():
    table = rows_of(a=[0.0, 1.0], y=[10.0, 30.0])  # 20 ± 10
    made = case(table, {"output/kernel": [[1]]}, output={"scaling": "standard"})
    assert curve(dependences(made, "a")[0]) == [("0", 0, (20,)), ("1", 1, (30,))]


def test_of_many_values_those_are_reported_that_cut_the_rows_into_equal_parts():
    values = np.append(np.arange(1000.0), [1e6])
    made = case(rows_of(a=values, y=values), {"output/kernel": [[1]]}, **UNSCALED)
    numbers = [point.number for point in dependences(made, "a")[0].points]
    assert len(numbers) == 24
    assert (numbers[0], numbers[-1]) == (0, 1e6)
    assert np.diff(numbers[:-1]) == pytest.approx(1000 / 23, abs=1)


def test_of_categories_the_most_frequent_are_reported():
    names = [f"c{n:02}" for n in range(30) for _ in range(30 - n)]
    table = rows_of(a=names, y=[float(name[1:]) for name in names])
    made = case(table, {"output/kernel": [[float(n)] for n in range(30)]}, **UNSCALED)
    found = curve(dependences(made, "a")[0])
    assert len(found) == 24
    assert found[:2] == [("c00", None, (0,)), ("c01", None, (1,))]


def test_of_embeddings_periodic_numbers_and_booleans_it_is_reported_too():
    table = rows_of(
        a=["u", "v"] * 2, b=["true", "false", "false", "false"], c=[0.0, 0.25] * 2, y=[1.0, 2.5] * 2
    )
    features = {
        "a": {"type": "categorical", "encoding": {"name": "embedding", "units": 1}},
        "b": "boolean",
        "c": {"type": "numeric", "encoding": {"name": "periodic", "frequencies": 1}},
    }
    arrays = {
        "embedding_1/embeddings": [[1], [3], [0]],
        "periodic_1/kernel": [[1]],
        "output/kernel": [[10], [4], [0], [1]],  # b, sine, cosine, a
    }
    made = case(table, arrays, input={"scaling": "none", "features": features}, **UNSCALED)
    a, b, c = dependences(made, "a", "b", "c")
    # In the mean a gives 2, b 2.5 and c 2.
    assert curve(a) == [("u", None, (5.5,)), ("v", None, (7.5,))]
    assert curve(b) == [("false", None, (4,)), ("true", None, (14,))]
    assert curve(c) == [("0", 0, (4.5,)), ("0.25", 0.25, (8.5,))]


def test_times_are_reported_in_seconds_since_1970_and_as_they_were_written():
    table = rows_of(a=["1970-01-02", "1970-01-01", None, "1970-01-03"], y=[1.0, 2.0, 3.0, 4.0])
    features = {"a": {"type": "datetime", "parts": ("elapsed",)}}
    made = case(table, input={"features": features}, **UNSCALED)
    [found] = dependences(made, "a")
    assert [(point.label, point.number) for point in found.points] == [
        ("1970-01-01", 0),
        ("1970-01-02", 86_400),
        ("1970-01-03", 172_800),
    ]
    stored = rows_of(a=[datetime(1970, 1, 2), datetime(1970, 1, 1)], y=[1.0, 2.0])
    [found] = dependences(case(stored, input={"features": features}, **UNSCALED), "a")
    assert [point.number for point in found.points] == [0, 86_400]


def test_of_texts_constants_and_what_overflows_nothing_is_reported():
    table = rows_of(a=["u v", "v w"], b=[1.0, 1.0], c=[1e38, 1.0], y=[1.0, 2.0])
    features = {"a": "text", "b": "numeric", "c": "numeric"}
    made = case(
        table,
        {"output/kernel": [[0], [1e38], [0], [0], [0]]},
        input={"scaling": "none", "features": features},
        **UNSCALED,
    )
    assert dependences(made, "a", "b", "c") == ()


def test_no_more_than_six_columns_are_shown_and_fewer_of_a_large_network(monkeypatch):
    table = rows_of(**{f"x{n}": [1.0, 2.0, 3.5] for n in range(9)}, y=[0.0, 1.0, 2.0])
    made, columns = case(table, **UNSCALED), [f"x{n}" for n in (5, 3, 8, 1, 2, 4, 7)]
    assert [each.column for each in dependences(made, *columns)] == columns[:6]
    monkeypatch.setattr("dlcli.explanation.prediction_analysis.WORK", 1)
    assert dependences(made, *columns) == ()


class TestOutputs:
    """The outputs that are shown."""

    def test_of_two_classes_there_are_two_probabilities(self):
        made = case(rows_of(a=[0.0, 1.0], y=["no", "yes"]), {"output/kernel": [[np.log(3)]]})
        outputs = outputs_of(made)
        assert outputs == {"no": 0, "yes": 1}
        [found] = dependences(made, "a", outputs=outputs)
        assert [point.predictions for point in found.points] == [
            (0.5, 0.5),
            pytest.approx((0.25, 0.75)),
        ]

    def test_a_margin_is_that_of_the_second_class(self):
        made = case(rows_of(a=[0.0, 1.0], y=["no", "yes"]), {"output/kernel": [[3]]}, loss="hinge")
        outputs = outputs_of(made)
        assert outputs == {"yes": 0}
        [found] = dependences(made, "a", outputs=outputs)
        assert [point.predictions for point in found.points] == [(0,), (3,)]

    def test_of_many_classes_the_twenty_most_frequent_are_reported_in_their_order(self):
        names = [f"c{n:02}" for n in range(30) for _ in range(n + 1)]
        made = case(rows_of(a=np.arange(465.0), y=names))
        outputs = outputs_of(made)
        assert outputs == {f"c{n}": n for n in range(10, 30)}
        [found] = dependences(made, "a", outputs=outputs)
        assert found.points[0].predictions == pytest.approx([1 / 30] * 20)

    def test_labels_and_several_numbers_have_their_names(self):
        data = {"train": "t.csv", "target": {"column": ("u", "v"), "type": "multi_label"}}
        table = rows_of(a=[0.0, 1.0], u=[1, 0], v=[0, 1])
        assert outputs_of(case(table, data=data)) == {"u": 0, "v": 1}
        data = {"train": "t.csv", "target": {"column": ("u", "v"), "type": "numeric"}}
        assert outputs_of(case(table, data=data)) == {"u": 0, "v": 1}
