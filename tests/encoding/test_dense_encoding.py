"""Narrow and wide columns to inputs side by side, in their order."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from dlcli.columns.category import Categorical
from dlcli.columns.number import Numeric
from dlcli.columns.scaling import Unscaled
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.data_section import Input
from dlcli.encoding.table_encoding import encode_dense
from dlcli.errors import DataError
from dlcli.tables.table import Table


def rows(**columns):
    data = pa.table(columns)
    return Table("t.csv", data, np.arange(1, data.num_rows + 1))


def fitted(table, **features):
    """Numbers as they are, and texts as categories, unless features are given."""
    types = {"text": Categorical(), "number": Numeric()}
    section = Input(scaling=Unscaled())
    kinds = {name: table.column(name).kind for name in table.columns}
    return [
        features.get(name, types[kind]).fit(name, table, section) for name, kind in kinds.items()
    ]


def test_narrow_and_wide_columns_keep_their_order():
    twice = [*range(20)] * 2
    train = rows(x=twice, code=twice, y=twice, pet=["cat", "dog"] * 20, z=twice)
    table = rows(x=[1, 2], code=[0, 19], y=[3, 4], pet=["dog", "cat"], z=[5, 6])

    encoders = fitted(train, code=Numeric(one_hot_values=20))
    matrix = encode_dense(encoders, table, ValueProblems())

    first, last = [0, 1] + [0] * 19, [19] + [0] * 19 + [1]
    # One-hot inputs of a category are stored as their index.
    assert matrix.tolist() == [[1, *first, 3, 1, 5], [2, *last, 4, 0, 6]]
    assert matrix.dtype == np.float32
    assert matrix.flags.c_contiguous


def test_more_narrow_columns_than_are_moved_at_once_keep_their_order():
    table = rows(**{f"x{at}": [at, -at] for at in range(40)})

    matrix = encode_dense(fitted(table), table, ValueProblems())

    assert matrix.tolist() == [list(range(40)), [-at for at in range(40)]]


def test_the_first_column_with_a_bad_value_is_the_one_that_is_reported():
    train = rows(x=[1.0, 2.0], y=[1.0, 2.0])
    table = rows(x=["1", "2", "three"], y=["one", "2", "3"])

    with pytest.raises(DataError, match=r"row 3, column 'x'.*'three'"):
        encode_dense(fitted(train), table, ValueProblems())
