"""Predictions in a workbook."""

from __future__ import annotations

import io

import pyarrow as pa
import pytest

from dlcli.errors import UsageError
from dlcli.prediction import workbook_writing
from dlcli.prediction.prediction_tables import RowWriter, write_rows

openpyxl = pytest.importorskip("openpyxl")


def read(content: bytes) -> list[tuple[object, ...]]:
    return list(openpyxl.load_workbook(io.BytesIO(content)).active.iter_rows(values_only=True))


def test_cells_have_the_types_of_the_values():
    numbers = pa.array([0.1, float("nan")], pa.float32())
    rows = {"n": numbers, "ok": [True, None], "text": ["=1+1", "http://a.b"], "id": [10**16, 7]}
    stream = io.BytesIO()
    write_rows(pa.table(rows), "xlsx", stream)
    assert read(stream.getvalue()) == [
        ("n", "ok", "text", "id"),
        (0.1, True, "=1+1", "10000000000000000"),
        (None, None, "http://a.b", 7),
    ]
    cell = openpyxl.load_workbook(stream).active["C2"]
    assert cell.data_type == "s"  # not a formula


def test_parts_have_one_header():
    stream = io.BytesIO()
    with RowWriter("xlsx", stream) as writer:
        writer.write(pa.table({"a": [1]}))
        writer.write(pa.table({"a": [2]}))
    assert read(stream.getvalue()) == [("a",), (1,), (2,)]


def test_more_rows_than_a_sheet_has_are_refused(monkeypatch):
    monkeypatch.setattr(workbook_writing, "_MOST_ROWS", 2)
    with pytest.raises(UsageError, match="a sheet has at most"):
        write_rows(pa.table({"a": [1, 2]}), "xlsx", io.BytesIO())


def test_a_text_that_is_too_long_for_a_cell_is_refused():
    with pytest.raises(UsageError, match="row 1 has a text of 32,768 characters"):
        write_rows(pa.table({"a": ["x" * 32_768]}), "xlsx", io.BytesIO())
