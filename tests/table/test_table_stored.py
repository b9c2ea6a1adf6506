"""Columns on disk answer as columns in memory do."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from dlcli.errors import TrainingError
from dlcli.table import stored
from dlcli.table.arrays import integers
from dlcli.table.batches import Batches
from dlcli.table.stored import joined, store

ROWS = pa.table(
    {
        "n": pa.array([0, 1, None, 3, 4, 5, 6], pa.int64()),
        "word": pa.array(["a", "b", "c", None, "e", "f", ""]).dictionary_encode(),
        "when": pa.array([0, 1, 2, 3, 4, 5, None], pa.timestamp("us")),
    }
)


@pytest.fixture(params=[1, 2, 3, 7, 100])
def batch_rows(request, monkeypatch):
    """Rows of a batch on disk."""
    monkeypatch.setattr(stored, "_ROWS_A_BATCH", request.param)
    return request.param


def batches_of(rows, size):
    return Batches(rows.schema, iter(rows.to_batches(max_chunksize=size)))


def on_disk(tmp_path, *parts):
    stored = [store(batches_of(part, 2), tmp_path / f"{at}.arrow") for at, part in enumerate(parts)]
    return joined(stored, stored[0].schema)


@pytest.mark.usefixtures("batch_rows")
def test_each_column_comes_back(tmp_path):
    columns = on_disk(tmp_path, ROWS)
    assert columns.column_names == ["n", "word", "when"]
    assert columns.num_rows == 7
    for name in columns.column_names:
        assert columns.column(name).to_pylist() == ROWS.column(name).to_pylist()


@pytest.mark.usefixtures("batch_rows")
@pytest.mark.parametrize("rows", [[], [6], [0, 1, 2], [5, 0, 3, 3]])
def test_some_rows_are_taken_in_the_order_given(rows, tmp_path):
    taken = on_disk(tmp_path, ROWS).take(integers(np.array(rows, dtype=np.int64)))
    assert taken.num_rows == len(rows)
    assert taken.column("n").to_pylist() == [[0, 1, None, 3, 4, 5, 6][row] for row in rows]
    again = taken.take(integers(np.arange(len(rows))[::-1]))
    assert again.column("word").to_pylist() == taken.column("word").to_pylist()[::-1]


@pytest.mark.usefixtures("batch_rows")
@pytest.mark.parametrize(("start", "length"), [(0, 7), (0, 3), (2, 3), (5, 100), (6, 1), (3, 0)])
def test_neighbouring_rows_are_read_whole(start, length, tmp_path):
    columns = on_disk(tmp_path, ROWS.slice(0, 4), ROWS.slice(4))
    assert columns.slice(start, length).to_pylist() == ROWS.slice(start, length).to_pylist()


@pytest.mark.usefixtures("batch_rows")
@pytest.mark.parametrize("rows", [[1, 3, 4, 6], [6, 1, 5, 0], [2, 5, 2, 2]])
def test_neighbours_among_taken_rows_are_read_whole_in_the_order_taken(rows, tmp_path):
    taken = on_disk(tmp_path, ROWS.slice(0, 4), ROWS.slice(4)).take(integers(np.array(rows)))
    assert taken.slice(1, 2).to_pylist() == ROWS.take(rows[1:3]).to_pylist()


def test_files_with_other_types_are_read_as_one_that_holds_both(tmp_path):
    whole = store(batches_of(pa.table({"n": [1, 2]}), 1), tmp_path / "whole.arrow")
    broken = store(batches_of(pa.table({"n": [0.5]}), 1), tmp_path / "broken.arrow")
    columns = joined([whole, broken], pa.schema([("n", pa.float64())]))
    assert columns.column("n").to_pylist() == [1.0, 2.0, 0.5]
    assert columns.slice(1, 2).to_pylist() == [{"n": 2.0}, {"n": 0.5}]


def test_what_is_there_already_is_not_overwritten(tmp_path):
    (tmp_path / "rows.arrow").write_text("mine")
    with pytest.raises(TrainingError, match="rows could not be stored: File exists; make room"):
        store(batches_of(ROWS, 2), tmp_path / "rows.arrow")
    assert (tmp_path / "rows.arrow").read_text() == "mine"
