"""The file formats of tables: as a config chooses them, and as the beginning of a file shows them.

Neither NumPy nor pyarrow is loaded for a config.
"""

import codecs
import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from dlcli.errors import DataError
from dlcli.schema.section import Choice, Conflict, Expected, OneOf

# The section data.format


def _known_encoding(name: str) -> str:
    """Return the name of an encoding if Python knows it, else raise `ValueError`."""
    try:
        "".encode("utf-8" if name == "auto" else name)
    except LookupError as error:
        raise ValueError(str(error)) from None
    return name


Delimiter = Annotated[
    str,
    Field(pattern=r"^(auto|[\t !#-&(-*,/:-@\[-`{-~])$"),
    Expected("auto, or the character between fields in quotes"),
]


Encoding = Annotated[
    str,
    AfterValidator(_known_encoding),
    Expected("auto, or an encoding such as utf-8, utf-16, latin-1 or cp1252"),
]


class AutoFormat(Choice, name="auto"):
    """Detected for each file."""


class CsvFormat(Choice, name="csv"):
    """Text with a header; what is `auto` is detected for each file, and reported."""

    delimiter: Delimiter = "auto"
    """Character between fields; commas, tabs, semicolons, bars and spaces are detected."""
    encoding: Encoding = "auto"
    """Character encoding; that of Unicode is detected, others such as Latin-1 are guessed."""
    decimal: Literal["auto", ".", ","] = "auto"
    """Decimal sign of numbers."""
    thousands: Literal["auto", "none", ",", ".", " ", "'"] = "auto"
    """Sign between the thousands of numbers, if any."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yield a sign with two meanings."""
        if self.thousands == self.decimal != "auto":
            yield "thousands", "is also the decimal sign"


class ParquetFormat(Choice, name="parquet"):
    """Parquet."""


class ArrowFormat(Choice, name="arrow"):
    """Arrow IPC as a file or a stream; Feather is the same."""


class JsonLinesFormat(Choice, name="jsonl"):
    """One JSON object per line."""


FormatChoice = Annotated[
    AutoFormat | CsvFormat | ParquetFormat | ArrowFormat | JsonLinesFormat, OneOf("format")
]


# Recognizing a format

Format = Literal["csv", "parquet", "arrow", "jsonl"]
_MAGIC_BYTES: tuple[tuple[bytes, Format], ...] = (
    (b"PAR1", "parquet"),
    (b"ARROW1\0\0", "arrow"),
    (b"\xff\xff\xff\xff", "arrow"),  # the first message of the stream format
)
_JSON_OBJECTS = re.compile(rb"\s*(?:\[\s*)?\{")
_CERTAIN_JSON_OBJECTS = re.compile(_JSON_OBJECTS.pattern + rb'\s*["}]')
"""For a file with an ending of CSV, as a header may begin with a brace, too."""
_NOT_TABLES: tuple[tuple[bytes, str], ...] = (
    (rb"PK\x03\x04|\xd0\xcf\x11\xe0", "is a zip or an Excel file; unpack it, or export a CSV"),
    (rb"%PDF-", "is a PDF; get the table from its source, as CSV"),
    (rb"(?i)\s*<(?:!doctype html|html)", "is a web page, perhaps to log in; get the file itself"),
    (rb"\s*<\?xml", "is XML; export the table as CSV"),
    (rb"SQLite format 3\0", "is a SQLite database; export the table with sqlite3 -csv -header"),
    (rb"\x80[\x02-\x05]", "is a Python pickle, which can run code; write Parquet or CSV"),
    (rb"\x93NUMPY|\x89HDF\r\n|Obj\x01", "is NumPy, HDF5 or Avro; write Parquet or CSV"),
    (rb"version https://git-lfs", "is only a Git LFS pointer; get the file with git lfs pull"),
    (
        rb"\x1f\x8b|\x28\xb5\x2f\xfd|BZh[1-9]1AY|\xfd7zXZ|7z\xbc\xaf|\x04\x22\x4d\x18|Rar!\x1a",
        "is compressed twice or in an unsupported way; decompress it, or use gzip or zstd once",
    ),
    (rb"(?s).{257}ustar", "is a tar archive; unpack it"),
)
"""First bytes of files that are mistaken for tables, and what to do about each."""
_ENDINGS: dict[str, Format] = {
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
_COMPRESSED_ENDINGS = (".gz", ".zst")
FORMAT_NAMES: dict[Format, str] = {
    "csv": "delimited text",
    "parquet": "a Parquet file",
    "arrow": "an Arrow file",
    "jsonl": "JSON lines",
}
_NOT_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1a]")


def recognize(head: bytes, file: str) -> Format:
    """Return the format of a file.

    Args:
        head: its first bytes.
        file: its name, for messages.

    Raises:
        DataError: for a file that is not a table, or that is a table only by its name.
    """
    text = head.removeprefix(codecs.BOM_UTF8)
    for beginning, message in _NOT_TABLES:
        if re.match(beginning, text):
            raise DataError(message, file=file)
    for magic, format in _MAGIC_BYTES:
        if head.startswith(magic):
            return format
    if _ending(file) in (".yaml", ".yml"):
        raise DataError("is YAML, such as a config; name a table", file=file)
    named = _ENDINGS.get(_ending(file))
    if (_CERTAIN_JSON_OBJECTS if named == "csv" else _JSON_OBJECTS).match(text):
        return "jsonl"
    if named in ("parquet", "arrow") and (not head or _NOT_TEXT.search(head)):
        begins = "PAR1" if named == "parquet" else "ARROW1"
        message = f"is not {FORMAT_NAMES[named]}: it doesn't begin with {begins}; write it again"
        raise DataError(message, file=file)
    return "csv"


def file_format(file: str) -> Format | None:
    """Return the format that the ending of a file's name stands for, if it does for one."""
    return _ENDINGS.get(_ending(file))


def is_compressed(file: str) -> bool:
    """Return whether a file's name has an ending of compressed files."""
    return file.lower().endswith(_COMPRESSED_ENDINGS)


def may_be_table(file: str) -> bool:
    """Return whether a file's name has an ending of tables or of compressed files."""
    return is_compressed(file) or file_format(file) is not None


def is_tsv(file: str) -> bool:
    """Return whether a file has an ending of tab-separated text."""
    return _ending(file) in (".tsv", ".tab")


def _ending(file: str) -> str:
    path = PurePath(file.lower())
    return path.with_suffix("").suffix if path.suffix in _COMPRESSED_ENDINGS else path.suffix
