"""No leak: what is fitted follows from the training rows alone."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from every_type import EXAMPLES, FEATURES, columns, fit, in_memory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from dlcli.columns.column_type import Auto
from dlcli.encoding.column_types import decide_types
from dlcli.tables.table import Table


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the one image that training rows may name."""
    path = tmp_path_factory.mktemp("leak")
    Pillow.new("L", (3, 2)).save(path / "gray.png")
    return path


def below(train, others):
    """Training rows in every other place of a longer table, and their indices."""
    rows = np.arange(train.rows + others.rows)
    positions = np.arange(train.rows) * 2 if others.rows >= train.rows else rows[: train.rows]
    order = np.empty(len(rows), np.int64)
    order[positions] = np.arange(train.rows)
    order[np.setdiff1d(rows, positions)] = np.arange(train.rows, len(rows))
    data = pa.concat_tables([train.data, others.data], promote_options="permissive")
    return Table(train.file, data, rows + 1).take(order), positions


def as_dictionaries(table):
    """The same table with texts as Arrow's dictionaries, which may hold values of no row."""
    data = table.data
    for at, name in enumerate(data.column_names):
        if pa.types.is_string(data.column(name).type):
            encoded = data.column(name).dictionary_encode().unify_dictionaries()
            data = data.set_column(at, name, encoded)
    return Table(table.file, data, table.row_numbers)


@pytest.mark.slow
@settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(
    st.integers(2, 5).flatmap(lambda rows: columns(rows, first=True)),
    st.integers(1, 6).flatmap(columns),
)
def test_rows_other_than_training_rows_change_nothing_that_is_fitted(folder, train, others):
    train = in_memory(folder, train)
    combined, positions = below(train, in_memory(folder, others))
    chosen = dict.fromkeys(FEATURES, Auto())
    expected, decided = fit(train).model_dump_json(), decide_types(chosen, train)
    for table in (combined, as_dictionaries(combined)):
        assert fit(table.take(positions)).model_dump_json() == expected
        assert decide_types(chosen, table.take(positions)) == decided
