"""What a file is, by the bytes that it begins with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Literal

from dlcli.config import FormatChoice
from dlcli.errors import DataError
from dlcli.tables.remarks import Remark
from dlcli.tables.sources import SourceFile

Kind = Literal["csv", "parquet", "arrow", "jsonl"]

_MARKS: tuple[tuple[bytes, Kind], ...] = (
    (b"PAR1", "parquet"),
    (b"ARROW1\0\0", "arrow"),
    (b"\xff\xff\xff\xff", "arrow"),  # the stream format's first message
)
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_JSON_OBJECTS = re.compile(rb"\s*(?:\[\s*)?\{")
_SURE_JSON_OBJECTS = re.compile(_JSON_OBJECTS.pattern + rb'\s*["}]')
"""As a header may begin with a brace, a file that is called CSV must go on like JSON, too."""
_NO_TABLES: tuple[tuple[bytes, str], ...] = (
    (rb"PK\x03\x04", "is a zip or an Excel file; unpack it, or export the sheet as CSV"),
    (rb"\xd0\xcf\x11\xe0", "is an Excel file of the old kind; export the sheet as CSV"),
    (rb"%PDF-", "is a PDF; get the table from its source, as CSV"),
    (rb"(?i)\s*<(?:!doctype html|html)", "is a web page, perhaps to log in; get the file itself"),
    (rb"\s*<\?xml", "is XML; export the table as CSV"),
    (rb"SQLite format 3\0", "is a SQLite database; export the table with sqlite3 -csv -header"),
    (rb"\x80[\x02-\x05]", "is a Python pickle, which might do anything; write Parquet or CSV"),
    (rb"\x93NUMPY", "is a NumPy array, whose columns have no names; write CSV with a header"),
    (rb"\x89HDF\r\n", "is an HDF5 file; write the table as Parquet or CSV"),
    (rb"Obj\x01", "is an Avro file; write the table as Parquet"),
    (
        rb'(?:\xff\xfe|\xfe\xff)?\0?[\[{]\0(?:\s\0)*["{}]',
        "is JSON in UTF-16; write JSON lines in UTF-8",
    ),
    (rb"version https://git-lfs", "is a mere pointer of Git LFS; get the file with git lfs pull"),
    (rb"\x1f\x8b|\x28\xb5\x2f\xfd", "is compressed twice; unpack it once"),
    (
        rb"BZh[1-9]1AY|\xfd7zXZ|7z\xbc\xaf|\x04\x22\x4d\x18|Rar!\x1a",
        "is compressed in a way that is not read; unpack it, or use gzip or zstd",
    ),
    (rb"(?s).{257}ustar", "is a tar archive; unpack it"),
)
"""What files begin with that people take for tables, and what to do about it."""
_ENDINGS: dict[str, Kind] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".tab": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".arrow": "arrow",
    ".arrows": "arrow",
    ".feather": "arrow",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_PACKED = (".gz", ".zst")
_NAMES: dict[Kind, str] = {
    "csv": "delimited text",
    "parquet": "a Parquet file",
    "arrow": "an Arrow file",
    "jsonl": "JSON lines",
}
_NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1a]")


def recognise(head: bytes, file: str) -> Kind:
    """Tells what a file is.

    Args:
        head: its first bytes.
        file: its name, for messages.

    Raises:
        DataError: for what is no table, saying what it is; or what only its name calls one.
    """
    text = head.removeprefix(_BYTE_ORDER_MARK)
    for beginning, message in _NO_TABLES:
        if re.match(beginning, text):
            raise DataError(message, file=file)
    for mark, kind in _MARKS:
        if head.startswith(mark):
            return kind
    if (_SURE_JSON_OBJECTS if _named(file) == "csv" else _JSON_OBJECTS).match(text):
        return "jsonl"
    _refuse_binary(head, file)
    return "csv"


def contradictions(stored: SourceFile, form: FormatChoice) -> Iterator[Remark]:
    """Yields how a file's content differs from its name and from what the config says."""
    kind = recognise(stored.head(), stored.file)
    named = _named(stored.file)
    if stored.compression is None and stored.file.lower().endswith(_PACKED):
        yield Remark("is not compressed, whatever its name says", True)
    if named not in (None, kind):
        yield Remark(f"is {_NAMES[kind]} by its content, whatever its name says", True)
    if form.name not in ("auto", kind):
        yield Remark(f"is {_NAMES[kind]} by its content; data.format says {form.name}", True)


def is_tsv(file: str) -> bool:
    """Whether a file's name says that tabs stand between fields."""
    return _ending(file) in (".tsv", ".tab")


def _named(file: str) -> Kind | None:
    return _ENDINGS.get(_ending(file))


def _ending(file: str) -> str:
    path = PurePath(file.lower())
    return path.with_suffix("").suffix if path.suffix in _PACKED else path.suffix


def _refuse_binary(head: bytes, file: str) -> None:
    """Refuses what is called Parquet or Arrow and is neither that nor text."""
    named = _named(file)
    if named in ("parquet", "arrow") and (not head or _NO_TEXT.search(head)):
        begins = "PAR1" if named == "parquet" else "ARROW1"
        message = f"is not {_NAMES[named]}: it doesn't begin with {begins}; write it again"
        raise DataError(message, file=file)
