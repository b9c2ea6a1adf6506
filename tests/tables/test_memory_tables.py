"""Tables in memory: from mappings, records, arrays and Arrow."""

from __future__ import annotations

import datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from dlcli import arrays
from dlcli.errors import DataError
from dlcli.tables.memory_tables import memory_table
from dlcli.tables.stored_columns import Storage
from dlcli.tables.table_files import read_header, read_table


def column(values):
    """The Arrow values that a list or an array becomes."""
    return memory_table({"x": values}).data.column("x")


class TestColumns:
    """The values of a column, and the type that they get."""

    @pytest.mark.parametrize(
        ("values", "storage", "expected"),
        [
            ([1, None, 3], pa.int64(), [1, None, 3]),
            ([True, None, False], pa.bool_(), [True, None, False]),
            (["a", None, "b"], pa.string(), ["a", None, "b"]),
            (["1", 2, 2.5, True], pa.string(), ["1", "2", "2.5", "true"]),
            ([2**63, 1], pa.string(), [str(2**63), "1"]),
            ([Decimal("1.50"), None], pa.string(), ["1.50", None]),
            ([datetime.date(2024, 1, 2), None], pa.string(), ["2024-01-02", None]),
            ([None, None], pa.string(), [None, None]),
            ([np.int64(1), np.int64(2)], pa.int64(), [1, 2]),
            (np.array([1, 2], np.uint8), pa.uint8(), [1, 2]),
            (np.array([1.5, 2.5], np.float32), pa.float32(), [1.5, 2.5]),
            (np.array([1, 2], ">i4"), pa.int32(), [1, 2]),
            (np.array([True, False]), pa.bool_(), [True, False]),
            (np.array(["a", "b"]), pa.string(), ["a", "b"]),
            (np.arange(6)[::2], pa.int64(), [0, 2, 4]),
            (np.array(["2024-01-02", "NaT"], "M8[D]"), pa.string(), ["2024-01-02 00:00:00", None]),
            (list(np.array(["2024-01-02"], "M8[ns]")), pa.string(), ["2024-01-02 00:00:00"]),
            ([Decimal("NaN"), Decimal(1)], pa.string(), [None, "1"]),
            (np.ma.array([1, 2], mask=[False, True]), pa.int64(), [1, None]),
            (pa.array([1, 2]), pa.int64(), [1, 2]),
            (pa.chunked_array([["a"], ["b"]]), pa.string(), ["a", "b"]),
        ],
    )
    def test_have_the_type_of_their_values(self, values, storage, expected):
        found = column(values)
        assert found.type == storage
        assert found.to_pylist() == expected

    def test_of_numbers_with_gaps_have_nan(self):
        found = np.array(column([1, None, 2.5, float("nan")]).to_pylist(), dtype=float)
        assert np.array_equal(found, [1, np.nan, 2.5, np.nan], equal_nan=True)

    @pytest.mark.parametrize(
        ("values", "message"),
        [
            ([1, [2]], "row 2, column 'x': expected a number, text or a date, got list"),
            ([b"a"], "row 1, column 'x': expected a number, text or a date, got bytes"),
            (np.ones((2, 3)), r"expected one value for each row, got an array of shape \(2, 3\)"),
            (np.array([1j]), "column 'x': holds complex128, which is not supported"),
            ([np.ones(2), np.ones(2)], "row 1, column 'x': expected .*, got ndarray"),
            ("abc", "column 'x': expected an array or a list, got str"),
            (7, "got int; pass a single row as a list of one mapping"),
        ],
    )
    def test_that_can_not_be_read_are_named(self, values, message):
        with pytest.raises(DataError, match=message):
            column(values)


class TestTables:
    """Whole tables."""

    def test_of_records_have_the_columns_of_all(self):
        found = memory_table([{"a": 1}, {"a": 2, "b": "x"}]).data
        assert found.to_pydict() == {"a": [1, 2], "b": [None, "x"]}

    def test_of_a_structured_array_have_its_fields(self):
        rows = np.array([(1, "x"), (2, "y")], dtype=[("a", "i8"), ("b", "U1")])
        assert memory_table(rows).data.to_pydict() == {"a": [1, 2], "b": ["x", "y"]}

    def test_of_anything_with_an_arrow_stream_are_taken(self):
        class Frame:
            def __arrow_c_stream__(self, requested_schema=None):
                return pa.table({"a": [1, 2]}).__arrow_c_stream__(requested_schema)

        assert memory_table(Frame()).data.to_pydict() == {"a": [1, 2]}

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (5, "data: expected a data frame, an Arrow table, a mapping of columns, or a list of"),
            (np.ones((2, 2)), "got ndarray; an array has no column names"),
            ([{"a": 1}, 2], "data: row 2: expected a data frame.*, but the row is of type int"),
            ({"a": [1], "b": [1, 2]}, "column 'b': has 2 rows, but column 'a' has 1"),
            ({"1": [1], 1: [2]}, "column '1': is the name of two columns; rename one"),
        ],
    )
    def test_that_are_none_are_refused(self, data, message):
        with pytest.raises(DataError, match=message):
            memory_table(data)

    def test_are_read_as_those_of_files_are(self, tmp_path):
        (tmp_path / "rows.csv").write_text("a,b\n1.5,x\n2,\n")
        table = memory_table({"a": ["1.5", "2"], "b": ["x", None]})
        found, expected = read_table(table), read_table(tmp_path / "rows.csv")
        assert read_header(table) == ("a", "b")
        assert np.array_equal(found.numbers("a"), expected.numbers("a"))
        assert found.texts("b").tolist() == expected.texts("b").tolist()

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            ({}, "data: has no columns"),
            ({"a": []}, "data: has a header but no rows"),
            ({"": [1]}, "data: column 1 has no name in the header"),
        ],
    )
    def test_without_content_are_refused_as_files_are(self, data, message):
        with pytest.raises(DataError, match=message):
            read_table(memory_table(data))

    def test_of_arrow_with_two_columns_of_a_name_are_refused(self):
        table = pa.table([pa.array([1]), pa.array([2])], ["a", "a"])
        with pytest.raises(DataError, match="contains 'a' more than once"):
            memory_table(table)

    def test_of_rows_may_have_objects_as_lines_of_json_may(self, tmp_path):
        (tmp_path / "rows.jsonl").write_text('{"a": 1, "b": [1, 2], "c": {"d": "x"}}\n' * 2)
        rows = [{"a": 1, "b": [1, 2], "c": {"d": "x"}}] * 2
        found, expected = read_table(memory_table(rows)), read_table(tmp_path / "rows.jsonl")
        assert [found.kind(name) for name in "abc"] == [expected.kind(name) for name in "abc"]
        with pytest.raises(DataError, match="row 2, column 'b': expected a number, .*, got list"):
            memory_table([{"a": 1, "b": 3}, {"a": 1, "b": [3]}])

    def test_can_be_stored_on_disk(self, tmp_path):
        table = memory_table({"a": [1, 2, 3]})
        found = read_table(table, storage=Storage(tmp_path))
        assert found.numbers("a").tolist() == [1, 2, 3]
        assert len([*tmp_path.iterdir()]) == 1


class TestFingerprint:
    """The hash of the rows."""

    def of(self, **columns):
        return memory_table(columns).fingerprint["sha256"]

    def test_is_of_views_and_their_chunks_as_of_other_texts(self):
        whole = pa.chunked_array([["a", None, "b"]], pa.string_view())
        parts = pa.chunked_array([["a"], [None, "b"]], pa.string_view())
        assert self.of(x=whole) == self.of(x=parts)
        assert self.of(x=pa.chunked_array([], pa.int64())) != self.of(x=[1])

    def test_is_of_the_values_not_of_their_chunks(self):
        whole = pa.chunked_array([[1, None, 3]])
        parts = pa.chunked_array([[1], [None, 3]])
        assert self.of(x=whole) == self.of(x=parts)
        assert self.of(x=whole.slice(1)) == self.of(x=pa.chunked_array([[None, 3]], pa.int64()))

    @pytest.mark.parametrize(
        "other",
        [
            {"x": [1, 2, 4]},
            {"x": [1, 3, 2]},
            {"x": [1, 2, None]},
            {"y": [1, 2, 3]},
            {"x": [1.0, 2.0, 3.0]},
            {"x": [1, 2, 3], "y": [1, 2, 3]},
        ],
    )
    def test_differs_with_every_change(self, other):
        assert self.of(x=[1, 2, 3]) != self.of(**other)

    def test_tells_where_a_value_is_missing(self):
        assert self.of(x=["a", None, "b"]) != self.of(x=["a", "b", None])


def test_texts_too_long_for_one_array_have_large_offsets(monkeypatch):
    monkeypatch.setattr(arrays, "MAX_BYTES", 5)
    found = column(["abc", None, "def"])
    assert found.type == pa.large_string()
    assert found.to_pylist() == ["abc", None, "def"]
