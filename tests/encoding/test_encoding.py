"""A table to a matrix: columns by name, nothing leaked, to JSON and back."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from pydantic import ValidationError

from dlcli.columns.boolean import Boolean
from dlcli.columns.category import Categorical, MostFrequentCategory
from dlcli.columns.column_type import Auto, Ignored
from dlcli.columns.layout import Block
from dlcli.columns.number import Numeric
from dlcli.columns.scaling import Log1p, Standard, Unscaled
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.data_section import Input, Target
from dlcli.encoding.column_types import decide_types
from dlcli.encoding.table_encoding import Encoding, fit_encoding, row_weights
from dlcli.errors import DataError
from dlcli.tables.table import Table
from dlcli.tasks.inference import infer_task


def rows(**columns):
    data = pa.table(columns)
    return Table("t.csv", data, np.arange(1, data.num_rows + 1))


TRAIN = rows(
    size=[1.0, 3.0, None],
    color=["red", "blue", "red"],
    fresh=["true", "false", "true"],
    id=[7, 8, 9],
    y=["a", "b", "a"],
)
CHOSEN = {"size": Auto(), "color": Auto(), "fresh": Auto(), "id": Ignored()}


def fitted(train=TRAIN, scaling=None, chosen=CHOSEN):
    kind = infer_task(Target(column="y"), [train])
    section = Input(scaling=scaling or Unscaled())
    return fit_encoding(decide_types(chosen, train), section, train, kind.fit(None, train))


def matrix_of(encoding, table):
    return encoding.transform(table, ValueProblems()).part(0, table.rows)


def test_blocks_are_side_by_side_in_the_order_of_the_features():
    layout = fitted().layout
    assert layout.blocks == (
        Block("size", "numeric", ("size",)),
        Block("size", "numeric", ("size is missing",)),
        Block("color", "numeric", ("color = blue", "color = red"), compact="one_hot"),
        Block("fresh", "numeric", ("fresh",)),
    )
    assert layout.width == 5


def test_a_table_becomes_a_float32_matrix():
    problems = ValueProblems()
    matrix = fitted().transform(TRAIN, problems).part(0, TRAIN.rows)
    assert matrix.dtype == np.float32
    assert matrix.tolist() == [[1, 0, 0, 1, 1], [3, 0, 1, 0, 0], [2, 1, 0, 1, 1]]
    assert problems.notes() == []


def test_order_extra_columns_and_an_absent_target_make_no_difference():
    table = rows(extra=["?"], fresh=["true"], color=["blue"], size=[4.0])
    assert matrix_of(fitted(), table).tolist() == [[4, 0, 1, 0, 1]]


def test_what_a_column_has_to_say_is_handed_on():
    table = rows(size=[1.0], color=["green"], fresh=["true"])
    problems = ValueProblems()
    fitted().transform(table, problems)
    assert [*map(str, problems.notes())] == [
        "column 'color': 1 row with an unknown category ('green'): encoded as zeros"
    ]


def test_absent_columns_are_listed_all_at_once():
    with pytest.raises(DataError) as caught:
        matrix_of(fitted(), rows(size=[1.0]))
    assert str(caught.value) == (
        snapshot(
            "t.csv: has no columns 'color', 'fresh', which the network reads; the table's only column is "
            "size"
        )
    )


def test_a_single_absent_column_is_reported_with_the_nearest_name():
    with pytest.raises(DataError, match="did you mean 'Size'?"):
        matrix_of(fitted(), rows(Size=[1.0], color=["red"], fresh=["true"]))


def test_a_column_that_is_read_itself_is_not_suggested_for_an_absent_one():
    train = rows(income=[1.0, 2.0], home=["a", "b"], y=["a", "b"])
    chosen = {"income": Auto(), "home": Auto()}
    with pytest.raises(
        DataError, match="'income', which the network reads; the table's only column is home$"
    ):
        matrix_of(fitted(train, chosen=chosen), rows(home=["a"]))


@given(
    st.lists(st.floats(-1e6, 1e6) | st.none(), min_size=2, max_size=6),
    st.lists(st.sampled_from(["red", "blue", "green", ""]), min_size=2, max_size=6),
)
def test_statistics_follow_from_training_rows_whatever_the_others_hold(sizes, colors):
    count = min(len(sizes), len(colors))
    whole = pa.concat_tables(
        [
            TRAIN.data,
            pa.table(
                {
                    "size": pa.array(sizes[:count], pa.float64()),
                    "color": colors[:count],
                    "fresh": ["false"] * count,
                    "id": [0] * count,
                    "y": ["b"] * count,
                }
            ),
        ]
    )
    table = Table("t.csv", whole, np.arange(1, 4 + count))
    encoding = fitted(table.take(np.arange(3)), Standard())
    assert encoding == fitted(scaling=Standard())


NAMES = st.text(st.characters(exclude_categories=["Cs", "Zs", "Cc"]), min_size=1, max_size=5)
NUMBERS = st.floats(0, 1e30, allow_subnormal=False)


@st.composite
def encodings(draw):
    """The result of fitting a few columns of each type on a few rows."""
    count = draw(st.integers(2, 5))

    def column(values):
        return draw(st.lists(values, min_size=count, max_size=count).filter(any_present))

    several = lambda values: len(set(values)) > 1  # noqa: E731
    any_present = lambda values: any(value not in (None, "") for value in values)  # noqa: E731
    train = rows(
        n=pa.array(column(NUMBERS | st.none()), pa.float64()),
        b=pa.array(column(st.booleans() | st.none()), pa.bool_()),
        c=pa.array(column(NAMES | st.none()).copy(), pa.string()),
        u=pa.array(
            draw(st.lists(NUMBERS, min_size=count, max_size=count).filter(several)), pa.float64()
        ),
        v=["x", "z"] + ["z"] * (count - 2),
    )
    features = {
        "n": Numeric(scaling=draw(st.sampled_from([Standard(), Log1p(), Unscaled()]))),
        "b": Boolean(),
        "c": Categorical(
            max_categories=draw(st.integers(1, 3)),
            missing=draw(st.sampled_from([Categorical().missing, MostFrequentCategory()])),
        ),
    }
    target = draw(st.sampled_from(["u", "v"]))
    kind = infer_task(Target(column=target), [train])
    fitted_target = kind.fit(draw(st.sampled_from([None, Standard(), Log1p()])), train)
    return fit_encoding(decide_types(features, train), Input(), train, fitted_target), train


@given(encodings())
def test_to_json_and_back_it_is_the_same_to_the_bit(made):
    encoding, train = made
    again = Encoding.model_validate_json(encoding.model_dump_json())
    assert again == encoding
    np.testing.assert_array_equal(matrix_of(again, train), matrix_of(encoding, train))


def damaged(*path, to):
    """The JSON of an encoding with another value at a path."""
    document = json.loads(fitted().model_dump_json())
    place = document
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return json.dumps(document)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("format",), 2),
        (("features", 0, "type"), "text"),
        (("features", 0, "fill"), "2"),
        (("features", 0, "fill"), float("nan")),
        (("features", 0, "scaling", "scale"), 0),
        (("features", 0, "scaling", "name"), "square"),
        (("features", 0, "more"), 1),
        (("features", 1, "categories"), ["red", "red"]),
        (("features", 1, "fill"), "green"),
        (("features", 1, "missing"), "fill"),
        (("task", "classes"), ["a"]),
        (("task", "classes"), ["a", "a"]),
        (("task", "stored"), "integer"),
        (("task", "stored"), "boolean"),
        (("task",), {"kind": "regression", "columns": ["u", "v"], "scalings": [{"name": "none"}]}),
        (("task",), {"kind": "regression", "columns": [], "scalings": []}),
    ],
    ids=lambda part: ".".join(map(str, part)) if isinstance(part, tuple) else None,
)
def test_json_that_no_fitting_gives_is_refused(path, value):
    with pytest.raises(ValidationError):
        Encoding.model_validate_json(damaged(*path, to=value))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": 1}'])
def test_what_is_no_encoding_at_all_is_refused(text):
    with pytest.raises(ValidationError):
        Encoding.model_validate_json(text)


def test_row_weights_are_read_as_they_are():
    weights = row_weights(rows(w=["0", "2.5"]), "w", ValueProblems())
    assert weights is not None
    assert weights.tolist() == [0, 2.5]


def test_without_a_weight_column_there_are_no_weights():
    assert row_weights(rows(x=[1]), None, ValueProblems()) is None


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (
            ["1", ""],
            snapshot(
                "t.csv: row 2, column 'w': the weight is missing; fill it in or remove the row"
            ),
        ),
        (["1", "-2"], snapshot("t.csv: row 2, column 'w': the weight is negative: -2")),
        (["0", "0"], snapshot("t.csv: column 'w': all weights are 0")),
        (["1", "inf"], snapshot("t.csv: row 2, column 'w': expected a finite number, got 'inf'")),
    ],
)
def test_weights_that_mean_nothing_are_refused(weights, message):
    with pytest.raises(DataError) as caught:
        row_weights(rows(w=weights), "w", ValueProblems())
    assert str(caught.value) == message
