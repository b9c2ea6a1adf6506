"""Files whose content differs from their name."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import pickle
import sys
import tarfile
import threading
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from inline_snapshot import snapshot

from dlcli.errors import DataError, UsageError
from dlcli.tables import source_files
from dlcli.tables.stored_columns import Storage
from dlcli.tables.table_files import read_header, read_table
from dlcli.tables.table_formats import CsvFormat, TableFormat

CSV = b"a,b\n1,2\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def zip_file():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.csv", CSV)
    return stream.getvalue()


def archive():
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.csv"))
    return stream.getvalue()


def zstandard(content):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(content)
    return sink.getvalue().to_pybytes()


def refusal(read, path):
    with pytest.raises(DataError) as caught:
        read(path)
    return str(caught.value)


OTHERS = pytest.mark.parametrize(
    ("content", "message"),
    [
        (zip_file(), "is a ZIP file; unpack it"),
        (b"%PDF-1.7\n", "is a PDF; get the table as CSV"),
        (
            b"\n<!DOCTYPE html><html>",
            "is a web page, perhaps a login page; download the file itself",
        ),
        (b"\xef\xbb\xbf<HTML>", "is a web page, perhaps a login page; download the file itself"),
        (b"<?xml version='1.0'?>", "is XML; export the table as CSV"),
        (
            b"SQLite format 3\0",
            "is a SQLite database; a config reads it by sql and url",
        ),
        (
            pickle.dumps([1, 2]),
            "is a Python pickle, which can run code; use Parquet or CSV",
        ),
        (b"\x93NUMPY\x01\0", "is NumPy, HDF5 or Avro; use Parquet or CSV"),
        (b"\x89HDF\r\n\x1a\n", "is NumPy, HDF5 or Avro; use Parquet or CSV"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\n",
            "is only a Git LFS pointer; get the file with git lfs pull",
        ),
        *(
            (
                content,
                "is compressed twice or in an unsupported way; decompress it, or use gzip, "
                "zstd or bzip2 once",
            )
            for content in (lzma.compress(CSV), gzip.compress(gzip.compress(CSV)))
        ),
        (gzip.compress(archive()), "is a tar archive; unpack it"),
    ],
    ids=lambda value: value.split(";")[0] if isinstance(value, str) else "",
)


@OTHERS
@pytest.mark.parametrize("read", [read_table, read_header])
def test_a_file_that_is_not_a_table_is_named(read, content, message):
    Path("a.csv").write_bytes(content)
    assert refusal(read, "a.csv") == f"a.csv: {message}"


@OTHERS
def test_what_is_not_a_table_is_reported_on_standard_input_too(content, message, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert refusal(read_table, "-") == f"standard input: {message}"


@pytest.mark.parametrize("header", ["ORCID,FEA1", "BZh,%PDF", "PK,Obj", "{a},b", "[{a}],b"])
def test_a_header_that_begins_like_another_format_is_a_header(header):
    Path("a.csv").write_text(f"{header}\n1,2\n")
    assert read_table("a.csv").columns == tuple(header.split(","))


@pytest.mark.parametrize("read", [read_table, read_header])
@pytest.mark.parametrize("name", ["a.parquet", "A.PARQUET", "a.pq", "a.parquet.gz"])
@pytest.mark.parametrize("content", [b"", b"\0\0\0\0PAR1"])
def test_a_file_that_is_parquet_only_by_name_is_refused(read, name, content):
    Path(name).write_bytes(content)
    expected = f"{name}: is not a Parquet file: it doesn't begin with PAR1; create it again"
    assert refusal(read, name) == expected


def test_a_file_that_is_arrow_only_by_name_is_refused():
    Path("a.feather").write_bytes(b"\0\0")
    expected = snapshot(
        "a.feather: is not an Arrow file: it doesn't begin with ARROW1; create it again"
    )
    assert refusal(read_table, "a.feather") == expected


def parquet():
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"a": ["1"], "b": ["2"]}), sink)
    return sink.getvalue().to_pybytes()


def arrow(new):
    sink = pa.BufferOutputStream()
    table = pa.table({"a": ["1"], "b": ["2"]})
    with new(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


CONTENTS = {
    "delimited text": CSV,
    "a Parquet file": parquet(),
    "an Arrow file": arrow(pa.ipc.new_file),
    "an Arrow stream": arrow(pa.ipc.new_stream),
    "JSON lines": b'{"a": "1", "b": "2"}\n',
}
OWN_ENDINGS = {
    "delimited text": ("csv", "txt", "data"),
    "a Parquet file": ("parquet", "pq", "data"),
    "an Arrow file": ("arrow", "feather", "data"),
    "an Arrow stream": ("arrows", "arrow", "data"),
    "JSON lines": ("jsonl", "ndjson", "data"),
}


@pytest.mark.parametrize("kind", CONTENTS)
def test_the_first_bytes_determine_the_format(kind):
    for ending in OWN_ENDINGS[kind]:
        Path(f"a.{ending}").write_bytes(CONTENTS[kind])
        table = read_table(f"a.{ending}")
        assert table.data.to_pydict() == {"a": ["1"], "b": ["2"]}
        assert table.file_notes == ()
        assert read_header(f"a.{ending}") == ("a", "b")


@pytest.mark.parametrize("kind", CONTENTS)
def test_an_ending_that_is_wrong_is_reported(kind):
    ending = "csv" if kind != "delimited text" else "parquet"
    Path(f"a.{ending}").write_bytes(CONTENTS[kind])
    table = read_table(f"a.{ending}")
    assert table.data.to_pydict() == {"a": ["1"], "b": ["2"]}
    called = kind.replace("stream", "file")
    expected = f"a.{ending}: contains {called}, despite its name"
    assert table.warnings == (expected,)


def test_content_that_contradicts_the_declared_format_is_reported():
    Path("a.data").write_bytes(CONTENTS["a Parquet file"])
    table = read_table("a.data", form=TableFormat(CsvFormat(delimiter=";")))
    expected = "a.data: contains a Parquet file, but data.format is csv"
    assert table.warnings == (expected,)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard, bz2.compress])
@pytest.mark.parametrize("kind", CONTENTS)
def test_every_format_may_be_compressed_whatever_its_name(kind, pack):
    Path("a").write_bytes(pack(CONTENTS[kind]))
    assert read_table("a").data.to_pydict() == {"a": ["1"], "b": ["2"]}
    assert read_header("a") == ("a", "b")


@pytest.mark.parametrize("pack", [gzip.compress, zstandard, bz2.compress])
def test_several_compressed_files_one_after_the_other_are_one(pack):
    Path("a.csv").write_bytes(pack(CSV) + pack(b"3,4\n"))
    assert read_table("a.csv").texts("b").tolist() == ["2", "4"]


def test_standard_input_may_be_compressed(monkeypatch):
    content = gzip.compress(CSV)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))
    assert read_table("-").columns == ("a", "b")


def test_standard_input_can_be_read_only_once(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(CSV)))
    read_table("-")
    with pytest.raises(UsageError, match="standard input: can be read only once; use a"):
        read_table("-")


@pytest.mark.parametrize("read", [read_table, read_header])
@pytest.mark.parametrize(
    ("pack", "name"),
    [(gzip.compress, "gzip"), (zstandard, "zstd"), (bz2.compress, "bz2")],
    ids=["gzip", "zstd", "bz2"],
)
def test_an_archive_that_was_cut_off_is_refused(read, pack, name):
    Path("a.csv").write_bytes(pack(CSV)[:-6])
    expected = f"a.csv: is not a complete {name} file; it may be truncated, so create it again ("
    assert refusal(read, "a.csv").startswith(expected)


def test_an_archive_with_a_damaged_middle_is_refused():
    content = bytearray(gzip.compress(bytes(range(32, 127)) * 99))
    content[12:20] = b"\xff" * 8
    Path("a.csv").write_bytes(content)
    assert refusal(read_table, "a.csv").startswith("a.csv: is not a complete gzip file")


def test_a_name_that_calls_a_file_compressed_is_reported_to_be_wrong():
    Path("a.csv.gz").write_bytes(CSV)
    expected = "a.csv.gz: is not compressed, despite its name"
    assert read_table("a.csv.gz").warnings == (expected,)


@pytest.mark.parametrize("new", [pa.ipc.new_file, pa.ipc.new_stream])
def test_a_cut_arrow_file_is_refused(new):
    Path("a.arrow").write_bytes(arrow(new)[:-60])
    for read in (read_table, read_header):
        if new is pa.ipc.new_file or read is read_table:
            found = refusal(read, "a.arrow")
            assert found.startswith("a.arrow: is not a complete Arrow file; it may be truncated")


def test_arrow_text_that_points_outside_its_file_is_refused():
    content = arrow(pa.ipc.new_file)
    offsets = b"\0\0\0\0\x01\0\0\0"
    assert content.count(offsets) >= 1
    Path("a.arrow").write_bytes(content.replace(offsets, b"\0\0\0\0\xff\xff\xff\x00"))
    assert refusal(read_table, "a.arrow").startswith("a.arrow: is not a complete Arrow file")


def test_arrow_columns_keep_their_types():
    written = pa.table({"a": [1, None], "b": pa.array(["x", "y"]).dictionary_encode()})
    with pa.ipc.new_file("a.arrow", written.schema) as writer:
        writer.write_table(written, max_chunksize=1)
    assert read_table("a.arrow").data.equals(written)


def test_a_pipe_is_read_like_a_file():
    os.mkfifo("pipe")
    writing = threading.Thread(target=Path("pipe").write_bytes, args=(CSV,))
    writing.start()
    table = read_table("pipe")
    writing.join()
    assert table.texts("b").tolist() == ["2"]


# Sources that don't end, or unpack to far more than they have


@pytest.fixture
def limited_memory():
    """Let a regression fail instead of taking the machine's memory."""
    resource = pytest.importorskip("resource")
    pages = Path("/proc/self/statm")
    if not pages.exists():
        pytest.skip("needs Linux")
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(pages.read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.mark.usefixtures("limited_memory")
@pytest.mark.parametrize("read", [read_table, read_header])
@pytest.mark.parametrize("device", ["/dev/zero", "/dev/urandom"])
def test_a_device_is_not_read(device, read):
    with pytest.raises(UsageError) as caught:
        read(device)
    expected = f"{device}: is a device or a socket, expected a file or a pipe"
    assert str(caught.value) == expected


@pytest.mark.usefixtures("limited_memory")
def test_standard_input_that_does_not_end_is_refused_while_it_is_read(monkeypatch):
    class Endless(io.RawIOBase):
        def read(self, size=-1):
            return b"1,2\n" * 1000

    class Stream:
        buffer = Endless()

    monkeypatch.setattr(source_files, "ALWAYS_ALLOWED", 2**20)
    monkeypatch.setattr(sys, "stdin", Stream())
    assert refusal(read_table, "-") == (
        snapshot(
            "standard input: exceeds 1 MiB, the limit for a pipe; save it to a file and use that"
        )
    )


@pytest.mark.parametrize("compress", [gzip.compress, zstandard, bz2.compress])
def test_a_file_that_unpacks_to_far_more_than_it_has_is_refused(compress, monkeypatch, tmp_path):
    monkeypatch.setattr(source_files, "ALWAYS_ALLOWED", 2**20)
    Path("a.csv").write_bytes(compress(b"a,b\n" + b"1,2\n" * 2**19))
    expected = "a.csv: expands to over 1 MiB, far more than usual for its size; "
    for folder in (None, tmp_path):
        with pytest.raises(DataError) as caught:
            read_table("a.csv", storage=Storage(folder))
        assert str(caught.value) == expected + "if it is a table, decompress it first"


def test_a_file_that_unpacks_to_a_few_times_its_size_is_read(monkeypatch):
    monkeypatch.setattr(source_files, "ALWAYS_ALLOWED", 2**10)
    rows = "".join(f"{row * row},{row % 7}\n" for row in range(10_000))
    Path("a.csv").write_bytes(gzip.compress(f"a,b\n{rows}".encode()))
    assert read_table("a.csv").rows == 10_000


def test_columns_that_take_far_more_memory_than_their_file_has_are_refused(monkeypatch):
    monkeypatch.setattr(source_files, "ALWAYS_ALLOWED", 2**20)
    pq.write_table(pa.table({"a": pa.nulls(2**18), "b": [0] * 2**18}), "a.parquet")
    assert refusal(read_table, "a.parquet") == (
        snapshot(
            "a.parquet: its rows need over 1 MiB of memory, far more than usual for a file of this size; is it damaged?"
        )
    )


LONG_HEADER = (
    "a.csv: its first line exceeds 1 MiB, the limit for a header; if it is a table, write it as "
    "Parquet"
)


@pytest.mark.parametrize("read", [read_table, read_header])
@pytest.mark.parametrize("before", [b"", b"\xef\xbb\xbf", b"\n\r\n"])
def test_a_header_that_does_not_end_is_refused(read, before):
    Path("a.csv").write_bytes(before + b"a," * 2**19 + b"b\n1\n")
    assert refusal(read, "a.csv") == LONG_HEADER


def test_a_header_of_many_columns_is_read():
    names = [f"a_long_name_{number}" for number in range(50_000)]
    Path("a.csv").write_text(",".join(names) + "\n")
    assert read_header("a.csv") == tuple(names)


@pytest.mark.parametrize(
    ("name", "start"), [("a.csv", b"a,b\n1,2\n"), ("a.jsonl", b'{"a": 1}\n\n{"a": "')]
)
def test_a_row_that_does_not_end_is_refused_while_it_is_read(name, start):
    Path(name).write_bytes(start + b"x" * (2**24 + 2**20))
    assert refusal(read_table, name) == (
        f"{name}: line 3 exceeds 16 MiB, the limit for a row; is the file damaged, or not a table?"
    )


def test_json_that_is_nested_without_end_is_refused():
    Path("a.jsonl").write_text('{"a": 1}\n' + '{"a":' * 100_000)
    expected = snapshot("a.jsonl: row 2: expected one JSON object per line: nested too deeply")
    assert refusal(read_table, "a.jsonl") == expected


def test_a_nul_has_its_place_in_a_file_of_several_blocks():
    rows = 2**20 // 4
    Path("a.csv").write_bytes(b"a,b\n" + b"1,2\n" * rows + b"3,\0")
    assert refusal(read_table, "a.csv") == (
        f"a.csv: row {rows + 1}, column 'b': found a NUL byte, expected text; is the file damaged, or "
        "not a table?"
    )


def test_standard_input_that_cannot_be_read_is_a_usage_error(monkeypatch):
    class Folder(io.RawIOBase):
        def read(self, size=-1):
            raise IsADirectoryError(21, "Is a directory")

    class Stream:
        buffer = Folder()

    monkeypatch.setattr(sys, "stdin", Stream())
    with pytest.raises(UsageError, match="^standard input: can't be read: Is a directory$"):
        read_table("-")
