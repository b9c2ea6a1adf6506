"""Reading of files some rows at a time."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from unittest.mock import Mock

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from inline_snapshot import snapshot

from dlcli.errors import DataError
from dlcli.tables import delimited_text, typed_files
from dlcli.tables.source_files import find
from dlcli.tables.table_files import open_batches, read_table


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def opened(path: str):
    (stored,) = find(path)
    return open_batches(stored)


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(delimited_text, "LONGEST_ROW", 2**14)


@pytest.mark.usefixtures("small_blocks")
def test_csv_comes_in_blocks_with_its_columns_known_before():
    lines = b"a;b\n" + b"1;" + b"x" * 98 + b"\n"
    Path("a.csv").write_bytes(lines + lines[4:] * 1000)
    batches = opened("a.csv")
    assert (batches.schema.names, batches.delimiter) == (["a", "b"], ";")
    counts = [batch.num_rows for batch in batches.rows]
    assert len(counts) > 1
    assert sum(counts) == 1001


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_an_error_in_a_late_block_is_raised_when_it_is_read(pack):
    Path("a.csv").write_bytes(pack(b"a,b\n" + b"1,2\n" * 50_000 + b"3\n"))
    rows = opened("a.csv").rows
    assert next(rows).num_rows > 0
    with pytest.raises(DataError, match="^a.csv: row 50001: has 1 field, but the header has 2"):
        list(rows)


def test_parquet_comes_in_blocks():
    pq.write_table(pa.table({"a": list(range(100_000))}), "a.parquet")
    batches = opened("a.parquet")
    assert batches.schema.names == ["a"]
    counts = [batch.num_rows for batch in batches.rows]
    assert len(counts) > 1
    assert sum(counts) == 100_000


def test_arrow_comes_as_it_was_written():
    table = pa.table({"a": [1, 2, 3]})
    with pa.ipc.new_stream("a.arrows", table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    assert [batch.num_rows for batch in opened("a.arrows").rows] == [2, 1]


def test_json_lines_have_one_type_in_all_blocks(monkeypatch):
    monkeypatch.setattr(typed_files, "BLOCK_BYTES", 64)
    records = [
        *({"a": 1, "day": "2024-03-31"} for _ in range(9)),
        {"a": 0.5, "day": "unknown", "late": True},
        *({"a": 2, "late": None} for _ in range(9)),
    ]
    Path("a.jsonl").write_text("\n".join(map(json.dumps, records)))
    batches = opened("a.jsonl")
    schema = {"a": pa.float64(), "day": pa.string(), "late": pa.bool_()}
    assert dict(zip(batches.schema.names, batches.schema.types, strict=True)) == schema
    blocks = list(batches.rows)
    assert len(blocks) > 1
    found = pa.Table.from_batches(blocks).to_pydict()
    assert found["a"] == [1.0] * 9 + [0.5] + [2.0] * 9
    assert found["day"] == ["2024-03-31"] * 9 + ["unknown"] + [None] * 9
    assert found["late"] == [None] * 9 + [True] + [None] * 9


def test_a_mixed_column_across_blocks_is_reported_with_its_row(monkeypatch):
    monkeypatch.setattr(typed_files, "BLOCK_BYTES", 64)
    Path("a.jsonl").write_text('{"a": 1}\n' * 50 + '{"a": "x"}\n')
    with pytest.raises(DataError) as caught:
        opened("a.jsonl")
    assert str(caught.value) == (
        snapshot("a.jsonl: row 51, column 'a': expected a number as in earlier rows, got text")
    )


def test_texts_and_names_that_are_not_utf_8_are_a_damaged_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pq.write_table(pa.table({"name": pa.array([b"\xff"]).view(pa.string())}), "texts.parquet")
    with pa.ipc.new_stream("names.arrow", pa.schema({"name": pa.int64()})):
        pass
    content = Path("names.arrow").read_bytes()
    Path("names.arrow").write_bytes(content.replace(b"name", b"nam\xff"))

    for file, kind in (("texts.parquet", "Parquet"), ("names.arrow", "Arrow")):
        with pytest.raises(DataError, match=f"^{file}: is not a complete {kind} file; "):
            read_table(file)


def test_a_lack_of_memory_is_not_reported_as_a_damaged_csv_file(tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text("a\n1\n")
    monkeypatch.setattr("pyarrow.csv.open_csv", Mock(side_effect=pa.ArrowMemoryError("malloc")))
    with pytest.raises(MemoryError):
        read_table(tmp_path / "t.csv")
