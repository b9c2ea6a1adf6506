"""Types of Arrow that few of its functions know, in files that others wrote."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from inline_snapshot import snapshot

from dlcli import arrays
from dlcli.errors import DataError
from dlcli.tables.stored_columns import Storage
from dlcli.tables.table_files import read_table

LONG = "c" * 30  # a view keeps up to 12 bytes in itself


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("stored").mkdir()


def write(values: pa.Array, file: str) -> str:
    table = pa.table({"x": values})
    if file.endswith(".parquet"):
        pq.write_table(table, file)
    else:
        with pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    return file


def view(*values: str | None) -> pa.Array:
    return pa.array(values, pa.string_view())


@pytest.mark.parametrize("file", ["a.parquet", "a.arrow"])
@pytest.mark.parametrize("stored", [None, Path("stored")])
def test_rows_of_views_are_taken_in_any_order(file, stored):
    table = read_table(write(view("a", None, LONG), file), storage=Storage(stored))
    assert table.column("x").kind == "text"
    assert table.take(np.array([2, 1, 0])).texts("x").tolist() == [LONG, None, "a"]


@pytest.mark.parametrize("stored", [None, Path("stored")])
@pytest.mark.parametrize(
    ("values", "kind", "texts"),
    [
        (pa.array([b"a", None, b"b"], pa.binary_view()), "other", ["b", None, "a"]),
        (pc.run_end_encode(pa.array(["a", "a", None])), "text", [None, "a", "a"]),
        (pc.run_end_encode(pa.array([1.5, 1.5, 2.0])), "number", ["2", "1.5", "1.5"]),
        (
            pa.DictionaryArray.from_arrays(pa.array([0, None, 1], pa.int8()), view("a", LONG)),
            "text",
            [LONG, None, "a"],
        ),
        (
            pa.array([Decimal("1.50"), None, Decimal("2.00")], pa.decimal32(5, 2)),
            "number",
            ["2", None, "1.5"],
        ),
        (
            pa.ExtensionArray.from_storage(pa.bool8(), pa.array([1, 0, None], pa.int8())),
            "number",
            [None, "0", "1"],
        ),
        (
            pa.ExtensionArray.from_storage(pa.json_(), pa.array(["{}", None, "3"])),
            "text",
            ["3", None, "{}"],
        ),
        (
            pa.array([30_600_000_000, None, 1_500_000], pa.time64("us")),
            "text",
            ["00:00:01.500000", None, "08:30:00"],
        ),
    ],
    ids=[
        "binary view",
        "runs of text",
        "runs",
        "dictionary of views",
        "decimal",
        "bool",
        "json",
        "time",
    ],
)
def test_values_of_rare_types_are_converted_to_plain_types(values, kind, texts, stored):
    table = read_table(write(values, "a.arrow"), storage=Storage(stored))
    assert table.column("x").kind == kind
    assert table.take(np.array([2, 1, 0])).texts("x").tolist() == texts


@pytest.mark.parametrize("stored", [None, Path("stored")])
@pytest.mark.parametrize(
    "values",
    [
        pa.array([[LONG], None, ["a", "b"]]),
        pa.array([{"a": LONG}, None, {"a": "b"}]),
        pa.array([[1], None, [2, 3]], pa.list_view(pa.int8())),
        pa.UnionArray.from_sparse(pa.array([0, 0, 0], pa.int8()), [pa.array([1, 2, 3])]),
    ],
    ids=["list", "struct", "list view", "union"],
)
def test_rows_of_nested_types_can_be_taken(values, stored):
    table = read_table(write(values, "a.arrow"), storage=Storage(stored)).take(np.array([2, 0, 1]))
    expected = [values.to_pylist()[row] for row in (2, 0, 1)]
    assert table.keep("x").to_pylist() == expected


def test_lists_and_objects_of_views_can_be_taken():
    texts = pa.array([["a"], None, ["b", LONG]], pa.large_list(pa.string_view()))
    bytes_of = pa.array(
        [{"a": [b"a"]}, None, {"a": None}], pa.struct({"a": pa.list_(pa.binary_view())})
    )
    for values in (texts, bytes_of):
        table = read_table(write(values, "a.arrow")).take(np.array([2, 0]))
        assert table.keep("x").to_pylist() == [values.to_pylist()[row] for row in (2, 0)]


def test_a_list_of_a_rare_type_is_refused_with_its_column():
    write(pa.array([["a"], None], pa.list_(pa.string_view(), 1)), "a.arrow")
    with pytest.raises(DataError) as caught:
        read_table("a.arrow")
    assert str(caught.value) == (
        snapshot(
            "a.arrow: column 'x': holds fixed_size_list<item: string_view>[1], which is "
            "not supported; convert it to plain values or omit it"
        )
    )


@pytest.mark.parametrize("limit", [10, 2**31 - 1])
def test_texts_too_long_for_one_array_can_be_taken(limit, monkeypatch):
    monkeypatch.setattr(arrays, "MAX_BYTES", limit)
    Path("a.csv").write_text("x\nabcdef\nghijkl\n")
    table = read_table("a.csv").take(np.array([1, 0]))
    assert table.keep("x").type == (pa.large_string() if limit == 10 else pa.string())
    assert table.texts("x").tolist() == ["ghijkl", "abcdef"]
