"""Differences from the training rows are counted, and reported unless they may be random."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest

from dlcli.columns.boolean import Boolean
from dlcli.columns.category import Categorical
from dlcli.columns.date_time import Datetime
from dlcli.columns.number import Numeric
from dlcli.columns.text import Text
from dlcli.columns.value_problems import ColumnProblems, ValueProblems
from dlcli.config.data_section import Input, Target
from dlcli.encoding.chance import TrainingColumn
from dlcli.encoding.column_types import decide_types
from dlcli.encoding.table_encoding import (
    ColumnDifference,
    difference_lines,
    find_differences,
    fit_encoding,
)
from dlcli.errors import DataError
from dlcli.tables.table import Table
from dlcli.tasks.inference import infer_task


def rows(**columns):
    data = pa.table(columns)
    return Table("t.csv", data, np.arange(1, data.num_rows + 1))


TRAIN = rows(
    size=["1", "3", "2", "2"],
    color=["red", "blue", "red", "red"],
    day=["2024-01-01", "2024-03-01", "2024-02-01", "2024-02-01"],
    notes=["one two", "two", "one", "one"],
    fresh=["true", "false", "true", "true"],
    y=[1.0, 2.0, 3.0, 4.0],
)
CHOSEN = {
    "size": Numeric(),
    "color": Categorical(),
    "day": Datetime(),
    "notes": Text(),
    "fresh": Boolean(),
}
LIKE_TRAINING = {
    "size": ["2"],
    "color": ["red"],
    "day": ["2024-02-01"],
    "notes": ["two"],
    "fresh": ["true"],
}


def fitted():
    target = infer_task(Target(column="y"), [TRAIN]).fit(None, TRAIN)
    return fit_encoding(decide_types(CHOSEN, TRAIN), Input(), TRAIN, target)


def found_in(*tables):
    encoding, problems = fitted(), ValueProblems(lenient=True)
    for table in tables:
        encoding.transform(table, problems)
    return find_differences(encoding, problems.rows, problems.columns)


def difference(column="x", rows=100, training_missing_share=0.0, **facts):
    return ColumnDifference(column, ColumnProblems(**facts), rows, training_missing_share)


def test_rows_like_those_of_training_have_no_differences():
    assert found_in(TRAIN) == []
    assert found_in(rows(**LIKE_TRAINING)) == []


@pytest.mark.parametrize(
    ("column", "values", "document", "lines"),
    [
        (
            "size",
            ["8", "many", "1"],
            {"unreadable": 1, "outside": 1, "training_range": [1, 3]},
            ["column 'size': 1 row outside the training range, 1 to 3"],
        ),
        (
            "size",
            ["4", "2", "1"],
            {"outside": 1, "training_range": [1, 3]},
            [],  # by chance, as often as one of the few training rows is outside the others
        ),
        (
            "color",
            ["green", "red", "green"],
            {"unseen": 2, "unseen_values": {"green": 2}},
            ["column 'color': 2 rows with an unknown category ('green'): encoded as zeros"],
        ),
        (
            "day",
            ["2023-12-31", "2024-02-01", "2025-01-01"],
            {
                "outside": 2,
                "training_range": ["2024-01-01T00:00:00+00:00", "2024-03-01T00:00:00+00:00"],
            },
            [
                "column 'day': 2 rows outside the training range, 2024-01-01 to 2024-03-01",
            ],
        ),
        (
            "notes",
            ["three", "two", "!"],
            {"without_tokens": 2},
            ["column 'notes': 2 rows without a known token: all inputs are 0"],
        ),
        (
            "fresh",
            ["yes", "true", "false"],
            {"unreadable": 1},
            [],  # bad values are reported by their rows
        ),
        (
            "fresh",
            [None, None, "true"],
            {"missing": 2, "missing_share": 2 / 3, "training_missing_share": 0.0},
            ["the share of missing values differs from training: 'fresh' 66.7 % (training: 0 %)"],
        ),
    ],
)
def test_only_differences_are_reported(column, values, document, lines):
    others = {name: value * len(values) for name, value in LIKE_TRAINING.items()}
    (found,) = found_in(rows(**{**others, column: values}))
    assert found.column == column
    assert json.loads(json.dumps(found.to_json())) == document
    assert [line.text for line in difference_lines([found])] == lines


def test_the_rows_of_several_tables_are_added_up():
    table = rows(**{**LIKE_TRAINING, "color": ["green"]})
    (found,) = found_in(table, rows(**LIKE_TRAINING), table)
    assert (found.to_json()["unseen"], found.rows) == (2, 3)


def test_bad_rows_come_in_the_order_of_the_rows_whatever_the_order_of_the_columns():
    encoding, problems = fitted(), ValueProblems(lenient=True)
    first = {**LIKE_TRAINING, "fresh": ["maybe"]}
    second = {name: value * 2 for name, value in LIKE_TRAINING.items()}
    second |= {"size": ["2", "many"], "fresh": ["perhaps", "often"]}
    for columns in (first, second):
        encoding.transform(rows(**columns), problems)
    assert [(bad.index, bad.column, bad.reason) for bad in problems.bad_rows()] == [
        (0, "fresh", "expected true, false, 1 or 0, got 'maybe'"),
        (1, "fresh", "expected true, false, 1 or 0, got 'perhaps'"),
        (2, "size", "expected a finite number, got 'many'"),
        (2, "fresh", "expected true, false, 1 or 0, got 'often'"),
    ]
    assert problems.bad_indices.tolist() == [0, 1, 2]


def test_a_complaint_is_made_only_when_it_is_asked_for():
    problems, indices = ValueProblems(lenient=True), []
    table = rows(x=[1.0] * 1000)
    problems.refuse(np.ones(1000, bool), table, "x", lambda at: indices.append(at) or "bad")
    assert len(problems.bad_indices) == 1000
    assert indices == []
    assert next(problems.bad_rows()).reason == "bad"
    assert indices == [0]


def test_without_lenience_the_first_bad_value_is_an_error():
    with pytest.raises(DataError, match="t.csv: row 2, column 'x': bad"):
        ValueProblems().refuse(np.array([False, True]), rows(x=[1.0, 2.0]), "x", lambda _: "bad")


@pytest.mark.parametrize(
    ("count", "missing", "training_share", "is_reported"),
    [
        (100, 10, 0.10, False),
        (100, 20, 0.10, False),  # 3·√(100·0.1·0.9) + 1 = 10 rows may be random
        (100, 21, 0.10, True),
        (1, 1, 0.0, False),  # one row may always be
        (10, 2, 0.0, True),
        (10_000, 1500, 0.10, False),  # 5 points are not worth a word
        (10_000, 1501, 0.10, True),
        (100, 0, 0.30, True),  # fewer missing values are a difference, too
        (100, 100, 1.0, False),
        (0, 0, 0.5, False),
    ],
)
def test_other_shares_of_missing_values_are_reported_beyond_chance(
    count, missing, training_share, is_reported
):
    found = difference(rows=count, missing=missing, training_missing_share=training_share)
    assert found.has_other_missing_share is is_reported
    assert bool(found.to_json()) is is_reported


def test_missing_values_of_many_columns_are_one_line_with_five_names():
    found = [difference(column=name, missing=50) for name in "abcdefg"]
    assert [line.text for line in difference_lines(found)] == [
        "the share of missing values differs from training: 'a' 50 % (training: 0 %), 'b' 50 % (training: 0 %), "
        "'c' 50 % (training: 0 %), 'd' 50 % (training: 0 %), 'e' 50 % (training: 0 %), and 2 more"
    ]


def test_few_unseen_values_are_shown_and_long_ones_cut():
    values = dict.fromkeys(["a" * 50, "b", "c", "d"], 1)
    found = difference(unseen=Counter(values), unseen_index=6, unseen_encoding="encoded as zeros")
    (line,) = difference_lines([found], lambda index: f"row {index + 1}")
    assert line.text == (
        f"column 'x': 4 rows with an unknown category ('{'a' * 37}...', 'b', 'c', ...), "
        "the first in row 7: encoded as zeros"
    )


def test_the_most_frequent_unseen_values_are_listed():
    colors = [f"c{at}" for at in range(30)] + ["often", "often"]
    others = {name: value * 32 for name, value in LIKE_TRAINING.items()}
    (found,) = found_in(rows(**{**others, "color": colors}))
    document = found.to_json()
    assert document["unseen"] == 32
    assert len(document["unseen_values"]) == 20
    assert next(iter(document["unseen_values"].items())) == ("often", 2)


def test_rows_outside_the_range_are_reported_beyond_chance_or_far_outside():
    def lines(outside, farthest, rows=1_000):
        training = TrainingColumn(rows=1_000, columns=10)
        problems = ColumnProblems(outside=outside, farthest=farthest, range=(0, 1))
        return [*difference_lines([ColumnDifference("x", problems, rows, 0.0, training)])]

    assert not lines(2, 0.1), "2m/(n + 1) of m rows are expected outside"
    assert lines(40, 0.1)
    assert lines(1, 3.0)
    assert lines(1, 0.3, rows=1)


def test_more_tables_keep_the_farthest_row():
    problems = ColumnProblems(outside=1, farthest=3.0, range=(0, 1))
    problems.add(ColumnProblems(outside=2, farthest=0.5, range=(0, 1)))
    assert (problems.outside, problems.farthest) == (3, 3.0)


@pytest.mark.parametrize(("scaling", "farthest"), [("standard", 10.0), ("log1p", 1.0)])
def test_distances_of_a_column_with_logarithms_are_those_of_logarithms(scaling, farthest):
    values = [0, 1, 9]
    table = Table("t.csv", pa.table({"x": values}), np.arange(1, 4))
    encoder = Numeric(scaling=scaling).fit("x", table, Input())
    problems = ValueProblems()
    far = Table("t.csv", pa.table({"x": [90, 99]}), np.arange(1, 3))
    encoder.encode(far, np.zeros((2, len(encoder.inputs)), np.float32), problems)
    found = problems.columns["x"]
    assert (found.outside, found.range) == (2, (0, 9))
    assert found.farthest == pytest.approx(farthest)


def test_pooled_categories_as_frequent_as_in_training_are_not_reported():
    def lines(rows, hint=""):
        problems = ColumnProblems(Counter(rare=rows), 0, "as 'other'", hint, may_be_rare=True)
        training = TrainingColumn(rows=1_000, unlike_share=0.3)
        return [*difference_lines([ColumnDifference("x", problems, 100, 0.0, training)])]

    assert not lines(33)
    assert lines(60)
    assert lines(33, "; training rows have 'Rare' instead of 'rare'")


def test_columns_outside_the_range_share_one_line():
    some = [difference(f"x{at}", outside=at, range=(0, at)) for at in (1, 7)]
    (line,) = difference_lines(some)
    assert line.text == (
        "2 columns have rows outside the training range: 'x7' 7 rows outside 0 to 7; 'x1' "
        "1 row outside 0 to 1"
    )
    assert line.rest == ()


def test_of_many_columns_outside_the_range_those_with_the_most_rows_are_named():
    many = [difference(f"x{at}", outside=at, range=(0, 1)) for at in range(1, 9)]
    (line,) = difference_lines(many)
    named = "; ".join(f"'x{at}' {at} rows outside 0 to 1" for at in (8, 7, 6, 5, 4))
    assert line.text == (f"8 columns have rows outside the training range: {named}; and 3 more")
    assert [note.column for note in line.rest] == ["x3", "x2", "x1"]
