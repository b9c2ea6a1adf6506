"""File formats of tables, from the config and the first bytes, and formats of times in text.

Reading a config loads neither NumPy nor pyarrow.
"""

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from pathlib import PurePath
from typing import Annotated, Literal, TypeGuard, get_args

from pydantic import AfterValidator, Field

from dlcli.errors import DataError, did_you_mean
from dlcli.schema.section import Choice, Conflict, Expected, OneOf

# The section data.format


def _known_encoding(name: str) -> str:
    """Return the name of an encoding if Python supports it, else raise `ValueError`."""
    try:
        "".encode("utf-8" if name == "auto" else name)
    except LookupError as error:
        raise ValueError(str(error)) from None
    return name


Delimiter = Annotated[
    str,
    Field(pattern=r"^(auto|spaces|[\t !#-&(-*,/:-@\[-`{-~])$"),
    Expected("auto, spaces, or the delimiter in quotes"),
]


Encoding = Annotated[
    str,
    AfterValidator(_known_encoding),
    Expected("auto, or an encoding such as utf-8, utf-16, latin-1 or cp1252"),
]


class AutoFormat(Choice, name="auto"):
    """The format of each file is detected."""


class CsvFormat(Choice, name="csv"):
    """Delimited text. Settings that are `auto` are detected for each file, and printed."""

    delimiter: Delimiter = "auto"
    """Character between fields. `spaces`: any number of spaces or tabs, as in tables with aligned
    columns. `auto` detects commas, tabs, semicolons, bars and spaces."""
    encoding: Encoding = "auto"
    """Character encoding. `auto` detects Unicode encodings, and guesses other encodings such as
    Latin-1."""
    decimal: Literal["auto", ".", ","] = "auto"
    """Decimal separator of numbers."""
    thousands: Literal["auto", "none", ",", ".", " ", "'"] = "auto"
    """Thousands separator of numbers. `none`: there is none."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yield a character with two meanings."""
        if self.thousands == self.decimal != "auto":
            yield "thousands", "is also the decimal separator"


class ParquetFormat(Choice, name="parquet"):
    """A Parquet file."""


class ArrowFormat(Choice, name="arrow"):
    """An Arrow IPC file (Feather) or stream."""


class JsonLinesFormat(Choice, name="jsonl"):
    """JSON lines: one JSON object in each line. A JSON array of objects is also read."""


class ExcelFormat(Choice, name="excel"):
    """A workbook: `.xlsx`, `.xlsb`, `.xls` or `.ods`."""


FormatChoice = Annotated[
    AutoFormat | CsvFormat | ParquetFormat | ArrowFormat | JsonLinesFormat | ExcelFormat,
    OneOf("format"),
]


# How a table is arranged in its file

LONGEST_FOOTER = 20
"""Maximum number of lines at the end that can be a footer."""
Header = Literal["auto", "none"] | int
"""`none` if the file has no header, the number of header lines, or `auto` to detect it."""


@dataclass(frozen=True)
class TableFormat:
    """The format of a file, and where its header and rows are."""

    format: FormatChoice = AutoFormat()
    header: Header = "auto"
    names: tuple[str, ...] = ()
    """The columns' names if the file has no header, or instead of its header's names."""
    absent: tuple[str, ...] = ()
    """The columns of `names` that a file without a header may lack, as rows to predict do."""
    columns: tuple[str, ...] = ()
    """The columns of the training table that are read, if the file may be plain: with them in its
    first line."""
    comment: str = ""
    """The beginning of lines that are comments; empty for none."""
    skip_lines: int = 0
    """Number of lines before the header."""
    footer: str | int = ""
    """The first word of the lines at the end that are not rows, or their number; empty for none."""
    sheet: str = ""
    """The sheet of a workbook; empty if it has only one."""

    @property
    def csv(self) -> CsvFormat:
        """The settings of delimited text."""
        return self.format if isinstance(self.format, CsvFormat) else CsvFormat()


# Recognizing a format

Format = Literal["csv", "parquet", "arrow", "jsonl", "excel"]
_MAGIC_BYTES: tuple[tuple[bytes, Format], ...] = (
    (b"PAR1", "parquet"),
    (b"ARROW1\0\0", "arrow"),
    (b"\xff\xff\xff\xff", "arrow"),  # the first message of the stream format
)
_JSON_OBJECTS = re.compile(rb"\s*(?:\[\s*)?\{")
_CERTAIN_JSON_OBJECTS = re.compile(_JSON_OBJECTS.pattern + rb'\s*["}]')
"""For files with an ending of CSV, whose header may also begin with a brace."""
_NOT_TABLES: tuple[tuple[bytes, str], ...] = (
    (rb"PK\x03\x04", "is a ZIP file; unpack it"),
    (rb"%PDF-", "is a PDF; get the table as CSV"),
    (
        rb"(?i)\s*<(?:!doctype html|html)",
        "is a web page, perhaps a login page; download the file itself",
    ),
    (rb"\s*<\?xml", "is XML; export the table as CSV"),
    (rb"SQLite format 3\0", "is a SQLite database; a config reads it by sql and url"),
    (rb"(?s).{8}DUCK", "is a DuckDB database; a config reads it by sql and url"),
    (rb"\x80[\x02-\x05]", "is a Python pickle, which can run code; use Parquet or CSV"),
    (rb"\x93NUMPY|\x89HDF\r\n|Obj\x01", "is NumPy, HDF5 or Avro; use Parquet or CSV"),
    (rb"version https://git-lfs", "is only a Git LFS pointer; get the file with git lfs pull"),
    (
        rb"\x1f\x8b|\x28\xb5\x2f\xfd|BZh[1-9]1AY|\xfd7zXZ|7z\xbc\xaf|\x04\x22\x4d\x18|Rar!\x1a",
        "is compressed twice or in an unsupported way; decompress it, or use gzip, zstd or bzip2 "
        "once",
    ),
    (rb"(?s).{257}ustar", "is a tar archive; unpack it"),
)
"""First bytes of files that are mistaken for tables, each with its message."""
_ENDINGS: dict[str, Format] = {
    **dict.fromkeys((".csv", ".tsv", ".tab"), "csv"),
    **dict.fromkeys((".parquet", ".pq"), "parquet"),
    **dict.fromkeys((".arrow", ".arrows", ".feather"), "arrow"),
    **dict.fromkeys((".jsonl", ".ndjson", ".json"), "jsonl"),
    **dict.fromkeys((".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), "excel"),
}
_COMPRESSED_ENDINGS = (".gz", ".zst", ".bz2")
FORMAT_NAMES: dict[Format, str] = {
    "csv": "delimited text",
    "parquet": "a Parquet file",
    "arrow": "an Arrow file",
    "jsonl": "JSON lines",
    "excel": "a workbook",
}
_WORKBOOK_PARTS = (b"[Content_Types].xml", b"_rels/", b"xl/", b"docProps/", b"spreadsheet")
"""Names in the beginning of a ZIP file that is a workbook."""
_NOT_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1a]")


def recognize(head: bytes, file: str) -> Format:
    """Return the format of a file.

    Args:
        head: its first bytes.
        file: its name, for messages.

    Raises:
        DataError: for a file that is not a table.
    """
    text = head.removeprefix(codecs.BOM_UTF8)
    if _is_workbook(head, file):
        return "excel"
    for beginning, message in _NOT_TABLES:
        if re.match(beginning, text):
            raise DataError(message, file=file)
    for magic, format in _MAGIC_BYTES:
        if head.startswith(magic):
            return format
    if _ending(file) in (".yaml", ".yml"):
        raise DataError("is a YAML file, perhaps a config; expected a table", file=file)
    named = _ENDINGS.get(_ending(file))
    if (_CERTAIN_JSON_OBJECTS if named == "csv" else _JSON_OBJECTS).match(text):
        return "jsonl"
    if named in ("parquet", "arrow") and (not head or _NOT_TEXT.search(head)):
        begins = "PAR1" if named == "parquet" else "ARROW1"
        message = f"is not {FORMAT_NAMES[named]}: it doesn't begin with {begins}; create it again"
        raise DataError(message, file=file)
    return "csv"


def _is_workbook(head: bytes, file: str) -> bool:
    if head.startswith(b"PK\x03\x04"):
        named = _ENDINGS.get(_ending(file)) == "excel"
        return named or any(part in head for part in _WORKBOOK_PARTS)
    return head.startswith(b"\xd0\xcf\x11\xe0")


def file_format(file: str) -> Format | None:
    """Return the format of a file name's ending; None if it has none."""
    return _ENDINGS.get(_ending(file))


def is_compressed(file: str) -> bool:
    """Return whether a file name has an ending of compressed files."""
    return file.lower().endswith(_COMPRESSED_ENDINGS)


def may_be_table(file: str) -> bool:
    """Return whether a file name has an ending of tables or of compressed files."""
    return is_compressed(file) or file_format(file) is not None


def is_tsv(file: str) -> bool:
    """Return whether a file has an ending of tab-separated text."""
    return _ending(file) in (".tsv", ".tab")


def _ending(file: str) -> str:
    path = PurePath(file.lower())
    return path.with_suffix("").suffix if path.suffix in _COMPRESSED_ENDINGS else path.suffix


# Formats of times, by directives as in C and Python, and the names of time zones

NamedFormat = Literal["iso", "unix", "unix_ms"]
"""ISO 8601, or seconds or milliseconds since 1970-01-01T00:00Z."""
Part = Literal[
    "year", "month", "day", "weekday", "day_of_year", "hour", "minute", "second", "elapsed"
]
"""A part of a time that can be an input."""
PARTS: tuple[Part, ...] = get_args(Part)


DIRECTIVES = {
    "%Y": "year with four digits",
    "%y": "year with two digits: 69 to 99 are 1969 to 1999, 00 to 68 are 2000 to 2068",
    "%m": "month",
    "%b": "name of the month, in full or abbreviated, in one of 13 European languages",
    "%q": "quarter from 1 to 4, after the letter Q: `Q%q`",
    "%G": "year of an ISO week, with four digits; requires `%V`",
    "%V": "ISO week; the date is the Monday of the week",
    "%d": "day",
    "%a": "name of the weekday; it is ignored",
    "%H": "hour from 0 to 23",
    "%I": "hour from 1 to 12; requires `%p`",
    "%p": "AM or PM",
    "%M": "minute",
    "%S": "second",
    "%f": "fraction of a second",
    "%z": "UTC offset such as +0130, +01:30, Z, UTC or GMT",
    "%%": "a percent sign",
}
"""Directives of a format, as in C and Python, with their meanings for the reference."""


_YEARS = ("%Y", "%y", "%G")


_CLOCK = {"%H", "%I", "%p", "%M", "%S", "%f"}


_SYNONYMS = {"%B": "%b", "%A": "%a"}


def is_named_format(format: str) -> TypeGuard[NamedFormat]:
    """Return whether a format is a name instead of directives."""
    return format in get_args(NamedFormat)


def format_tokens(format: str) -> list[str]:
    """Split a format into its directives and the characters between them."""
    return [_SYNONYMS.get(token, token) for token in re.findall("%.|.", format, re.S)]


def write_time(moment: datetime, format: str) -> str:
    """Write a time in a format of directives; Python has no directive for a quarter."""
    quarter = str((moment.month + 2) // 3)
    directives = re.sub("%.", lambda found: quarter if found[0] == "%q" else found[0], format)
    return moment.strftime(directives)


def are_times_alone(formats: Sequence[str]) -> bool:
    """Return whether formats contain no date: times of day, or durations in hours."""
    return all(map(_is_time_alone, formats))


def _is_time_alone(format: str) -> bool:
    parts = {token for token in format_tokens(format) if token.startswith("%") and token != "%%"}
    return not is_named_format(format) and parts <= _CLOCK and bool(parts & {"%H", "%I", "%M"})


def format_error(format: str) -> str | None:
    """Return the problem of a format of times, or `None`."""
    if is_named_format(format):
        return None
    directives = [token for token in format_tokens(format) if token.startswith("%")]
    if unknown := [token for token in directives if token not in DIRECTIVES]:
        return f"unknown '{unknown[0]}' in '{format}'; allowed: {', '.join(DIRECTIVES)}"
    parts = [token for token in directives if token != "%%"]
    if repeated := [token for token in parts if parts.count(token) > 1]:
        return f"has {repeated[0]} twice in '{format}'"
    if len([token for token in parts if token in _YEARS]) != 1 and not _is_time_alone(format):
        others = f"a time such as %H:%M, or one of {', '.join(get_args(NamedFormat))}"
        return f"expected a year, %Y or %y, in '{format}', or {others}"
    if "%d" in parts and not {"%m", "%b"} & set(parts):
        return f"has a day but no month, %m or %b, in '{format}'"
    return _combination_error(parts, format)


def _combination_error(parts: Sequence[str], format: str) -> str | None:
    """Return which directives of a format contradict or require each other, or `None`."""
    for one, other in (*combinations(("%m", "%b", "%q", "%V"), 2), ("%H", "%I")):
        if one in parts and other in parts:
            return f"has both {one} and {other} in '{format}'"
    if ("%I" in parts) != ("%p" in parts):
        return f"expected both %I and %p in '{format}', or %H instead of them"
    if ("%G" in parts) != ("%V" in parts):
        return f"expected both %G and %V in '{format}'"
    if "%q" in parts and not re.search("[Qq]%q", format):
        return f"expected a Q before %q in '{format}'"
    return None


def time_zone_error(zone: str) -> str | None:
    """Return the problem of the name of a time zone, or `None`."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

    if zone == "UTC":
        return None
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder of zones
        hint = did_you_mean(zone, sorted(available_timezones()))
        return f"unknown time zone '{zone}'{hint or '; expected one such as Europe/Berlin'}"
    return None
