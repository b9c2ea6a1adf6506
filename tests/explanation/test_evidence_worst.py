"""The worst held-out rows."""

from dataclasses import replace

import numpy as np
import pytest
from small_networks import UNSCALED, case, rows_of

from dlcli.explanation import judge_all, judge_some, look_at, truth_of, units_of, worst_rows


def worst(made, *columns, **tables):
    """The worst rows of sets: y = x is predicted, unless weights say otherwise."""
    tables = tables or {"test": made.table}
    units = units_of(made.predictor.encoding.task, made.table)
    return worst_rows(judge_all(made.predictor, made.sets(**tables), units), columns)


def identity(table, **sections):
    return case(table, {"output/kernel": [[1]]}, **{**UNSCALED, **sections})


TABLE = rows_of(x=[1.0, 2.0, 3.0, 4.0], y=[1.0, 2.5, 1.0, 4.25])


def test_the_worst_comes_first_whatever_set_it_is_of():
    parts = TABLE.take(np.array([0, 1])), TABLE.take(np.array([2, 3]))
    found = worst(identity(TABLE), "x", validation=parts[0], test=parts[1])
    assert [(each.row, each.split, each.error) for each in found] == [
        (3, "test", 2),
        (2, "validation", 0.5),
        (4, "test", 0.25),
        (1, "validation", 0),
    ]
    first = found[0]
    assert (first.file, first.target, first.prediction) == (None, "1", "3")
    assert first.values == {"x": "3"}


def test_equals_come_as_they_stand():
    found = worst(identity(rows_of(x=[1.0, 2.0, 3.0], y=[2.0, 3.0, 4.0])))
    assert [each.row for each in found] == [1, 2, 3]


def test_rows_that_are_looked_at_are_judged_in_the_same_way():
    made = identity(TABLE)
    parts = {"validation": TABLE.take(np.array([0, 1])), "test": TABLE.take(np.array([2, 3]))}
    looked = look_at(made.sets(**parts), 100)
    target = made.predictor.encoding.task
    truth = truth_of(target, looked.tables.values(), units_of(target, TABLE))
    some = worst_rows(judge_some(made.predictor, looked, truth), ["x"])
    assert some == worst(made, "x", **parts)


def test_a_row_without_weight_is_none():
    table = rows_of(x=[1.0, 2.0], y=[9.0, 2.0], w=[0.0, 1.0])
    made = identity(table, data={"train": "t.csv", "target": "y", "weight": "w"})
    assert [each.row for each in worst(made)] == [2]


def test_there_are_at_most_20_rows_and_20_short_values():
    table = rows_of(
        **{f"x{n:02}": ["long " * 100 + str(n % 2) if n else "a"] * 40 for n in range(30)},
        y=[float(n) for n in range(40)],
    )
    made = case(table, input={"features": {"*": "categorical"}}, **UNSCALED)
    found = worst(made, *(f"x{n:02}" for n in reversed(range(30))))
    assert [each.row for each in found] == list(range(40, 20, -1))
    assert list(found[0].values) == [f"x{n:02}" for n in range(29, 9, -1)]
    assert {len(value) for value in found[0].values.values()} == {200}


def test_gaps_have_no_text_and_files_are_told_if_there_are_several():
    table = replace(
        rows_of(x=[None, 2.0, 3.0], y=[1.0, 2.0, 3.0]),
        files=("a.csv", "b.csv"),
        file_numbers=np.array([0, 1, 1], np.int32),
    )
    made = case(table, {"output/kernel": [[1], [9]]}, **UNSCALED)
    first = worst(made, "x")[0]
    assert (first.file, first.row, first.values) == ("a.csv", 1, {"x": None})


def test_classes_and_labels_are_told_by_name():
    made = case(rows_of(x=[1.0, 2.0], y=["no", "yes"]), {"output/kernel": [[-1]]})
    assert (worst(made)[0].target, worst(made)[0].prediction) == ("yes", "no")
    data = {"train": "t.csv", "target": {"column": ("u", "v", "w"), "type": "multi_label"}}
    table = rows_of(x=[1.0, 2.0], u=[1, 0], v=[1, 0], w=[0, 1])
    made = case(table, {"output/kernel": [[1, -1, 1]]}, data=data)
    first = worst(made)[0]
    assert (first.row, first.target, first.prediction) == (1, "u, v", "u, w")
    data = {"train": "t.csv", "target": {"column": "y", "type": "multi_label", "delimiter": "|"}}
    made = case(rows_of(x=[1.0, 2.0], y=["u|v", ""]), {"output/bias": [1, 1]}, data=data)
    assert (worst(made)[0].target, worst(made)[0].prediction) == ("", "u|v")


def test_several_numbers_are_told_with_their_names():
    data = {"train": "t.csv", "target": {"column": ("u", "v"), "type": "numeric"}}
    table = rows_of(x=[1.0, 2.0], u=[0.0, 2.0], v=[0.5, 0.75])
    made = case(table, {"output/kernel": [[1, 0.2]]}, data=data, **UNSCALED)
    first = worst(made)[0]
    assert (first.target, first.prediction) == ("u: 2, v: 0.75", "u: 2, v: 0.4")
    assert first.error == pytest.approx(2.8)  # v is 0.35 off, and deviates by 0.125
