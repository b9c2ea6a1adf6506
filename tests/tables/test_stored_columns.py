"""Columns on disk answer as columns in memory do."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from dlcli import arrays
from dlcli.errors import TrainingError
from dlcli.tables import stored_columns
from dlcli.tables.stored_columns import StoredColumns, store

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
    monkeypatch.setattr(stored_columns, "ROWS_PER_BATCH", request.param)
    return request.param


def stored(rows, size, path):
    return store(rows.schema, iter(rows.to_batches(max_chunksize=size)), path)


def on_disk(tmp_path, *parts):
    pieces = [stored(part, 2, tmp_path / f"{at}.arrow") for at, part in enumerate(parts)]
    return StoredColumns(tuple(p for each in pieces for p in each.pieces), pieces[0].schema)


@pytest.mark.usefixtures("batch_rows")
def test_each_column_comes_back(tmp_path):
    columns = on_disk(tmp_path, ROWS)
    assert columns.schema.names == ["n", "word", "when"]
    assert columns.num_rows == 7
    for name in columns.schema.names:
        assert columns.column(name).to_pylist() == ROWS.column(name).to_pylist()


@pytest.mark.usefixtures("batch_rows")
@pytest.mark.parametrize("rows", [[], [6], [0, 1, 2], [5, 0, 3, 3]])
def test_some_rows_are_taken_in_the_order_given(rows, tmp_path):
    taken = on_disk(tmp_path, ROWS).take(np.array(rows, dtype=np.int64))
    assert taken.num_rows == len(rows)
    assert taken.column("n").to_pylist() == [[0, 1, None, 3, 4, 5, 6][row] for row in rows]
    again = taken.take(np.arange(len(rows))[::-1])
    assert again.column("word").to_pylist() == taken.column("word").to_pylist()[::-1]


@pytest.mark.usefixtures("batch_rows")
@pytest.mark.parametrize(("start", "length"), [(0, 7), (0, 3), (2, 3), (5, 100), (6, 1), (3, 0)])
def test_adjacent_rows_are_read_whole(start, length, tmp_path):
    columns = on_disk(tmp_path, ROWS.slice(0, 4), ROWS.slice(4))
    assert columns.slice(start, length).to_pylist() == ROWS.slice(start, length).to_pylist()


@pytest.mark.usefixtures("batch_rows")
@pytest.mark.parametrize("rows", [[1, 3, 4, 6], [6, 1, 5, 0], [2, 5, 2, 2]])
def test_neighbors_among_taken_rows_are_read_whole_in_the_order_taken(rows, tmp_path):
    taken = on_disk(tmp_path, ROWS.slice(0, 4), ROWS.slice(4)).take(np.array(rows))
    assert taken.slice(1, 2).to_pylist() == ROWS.take(rows[1:3]).to_pylist()


@pytest.mark.parametrize("limit", [1, 40, 100])
def test_long_texts_come_in_batches_of_fewer_rows(limit, tmp_path, monkeypatch):
    monkeypatch.setattr(stored_columns, "BYTES_PER_BATCH", limit)
    rows = pa.table({"word": ["a" * 30, "b", "c" * 50, "d", "e", "f" * 200, "g"]})
    columns = on_disk(tmp_path, rows)
    with pa.OSFile(str(tmp_path / "0.arrow")) as file:
        reader = pa.ipc.open_file(file)
        batches = [reader.get_batch(at) for at in range(reader.num_record_batches)]
    assert len(batches) > 1
    assert all(batch.nbytes <= limit or batch.num_rows == 1 for batch in batches)
    assert columns.num_rows == 7
    assert columns.slice(0, 7).to_pylist() == rows.to_pylist()
    taken = columns.take(np.array([6, 2, 5, 0]))
    assert taken.slice(1, 3).to_pylist() == rows.take([2, 5, 0]).to_pylist()
    assert taken.column("word").to_pylist() == ["g", "c" * 50, "f" * 200, "a" * 30]


def test_rows_that_wait_for_a_full_batch_are_written_when_they_are_long(tmp_path, monkeypatch):
    monkeypatch.setattr(stored_columns, "BYTES_PER_BATCH", 100)
    rows = pa.table({"word": ["a" * 60] * 4})
    assert on_disk(tmp_path, rows).pieces[0].ends == (1, 2, 3, 4)
    monkeypatch.setattr(stored_columns, "BYTES_PER_BATCH", 1000)
    (tmp_path / "0.arrow").unlink()
    assert on_disk(tmp_path, rows).pieces[0].ends == (4,)


@pytest.mark.parametrize("limit", [10, 2**31 - 1])
def test_texts_of_more_than_one_array_can_hold_are_put_in_order(limit, tmp_path, monkeypatch):
    monkeypatch.setattr(arrays, "MAX_BYTES", limit)
    values = on_disk(tmp_path, ROWS).take(np.array([6, 0, 3])).column("word")
    assert values.type == (pa.large_string() if limit == 10 else pa.string())
    assert values.to_pylist() == ["", "a", None]


def test_files_with_other_types_are_read_as_one_that_holds_both(tmp_path):
    whole = stored(pa.table({"n": [1, 2]}), 1, tmp_path / "whole.arrow")
    broken = stored(pa.table({"n": [0.5]}), 1, tmp_path / "broken.arrow")
    schema = pa.schema([("n", pa.float64())])
    columns = StoredColumns((*whole.pieces, *broken.pieces), schema)
    assert columns.column("n").to_pylist() == [1.0, 2.0, 0.5]
    assert columns.slice(1, 2).to_pylist() == [{"n": 2.0}, {"n": 0.5}]


def test_what_is_there_already_is_not_overwritten(tmp_path):
    (tmp_path / "rows.arrow").write_text("mine")
    with pytest.raises(TrainingError, match="can't store rows: File exists; free"):
        stored(ROWS, 2, tmp_path / "rows.arrow")
    assert (tmp_path / "rows.arrow").read_text() == "mine"
