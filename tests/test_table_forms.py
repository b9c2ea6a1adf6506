"""Files that are not what their name says."""

from __future__ import annotations

import gzip
import io
import sys
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest

from dlcli.errors import DataError, UsageError
from dlcli.table import read_header, read_table

CSV = b"a,b\n1,2\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def workbook():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("xl/worksheets/sheet1.xml", "<worksheet/>")
    return stream.getvalue()


def zstandard():
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(CSV)
    return sink.getvalue().to_pybytes()


def refusal(read, path):
    with pytest.raises(DataError) as caught:
        read(path)
    return str(caught.value)


OTHERS = pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            workbook(), "is a zip or an Excel file; export the sheet as CSV", id="workbook"
        ),
        pytest.param(gzip.compress(CSV), "is compressed; unpack it first", id="gzip"),
        pytest.param(zstandard(), "is compressed; unpack it first", id="zstd"),
    ],
)


@OTHERS
@pytest.mark.parametrize("read", [read_table, read_header])
def test_what_is_no_table_is_told_by_what_it_is(read, content, message):
    Path("a.csv").write_bytes(content)
    assert refusal(read, "a.csv") == f"a.csv: {message}"


@OTHERS
def test_what_is_no_table_is_told_on_standard_input_too(content, message, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert refusal(read_table, "-") == f"standard input: {message}"


@pytest.mark.parametrize("read", [read_table, read_header])
@pytest.mark.parametrize("name", ["a.parquet", "A.PARQUET", "a.pq"])
@pytest.mark.parametrize("content", [b"", b"a,b\n", CSV, b"\0\0\0\0PAR1"])
def test_what_only_its_name_calls_parquet_is_refused(read, name, content):
    Path(name).write_bytes(content)
    assert refusal(read, name).startswith(f"{name}: is no Parquet file: ")


def test_standard_input_that_cannot_be_read_is_a_usage_error(monkeypatch):
    class Folder(io.RawIOBase):
        def readall(self):
            raise IsADirectoryError(21, "Is a directory")

        read = readall

    class Stream:
        buffer = Folder()

    monkeypatch.setattr(sys, "stdin", Stream())
    with pytest.raises(UsageError, match="^standard input: can't be read: Is a directory$"):
        read_table("-")
