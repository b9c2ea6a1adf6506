"""Detection of the encoding, delimiter and header of delimited text."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import BinaryIO, NamedTuple, TextIO

from dlcli.config import CsvFormat
from dlcli.errors import DataError
from dlcli.tables.source_files import SourceFile, check_names, is_tsv
from dlcli.tables.table import Remark

UTF_8 = "utf-8"
_BYTE_ORDER_MARK = "\ufeff"
_HEAD_BYTES = 2**20
_MAX_HEAD_BYTES = 2**24
"""Bytes of the head where the first line is very long."""
_MARKS = {b"\xef\xbb\xbf": UTF_8, b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
"""Byte order marks; Python's `utf-16` takes the order from the mark."""
_MIN_NULS = 0.3
"""The share of NUL among the high bytes of UTF-16 where text is partly Latin."""
_STRAY_CONTROLS = re.compile("[\udc80-\udc9f]")
"""Invalid bytes, as Python's `surrogateescape` decodes them, that are controls in Latin-1."""
_UNDEFINED_IN_CP1252 = frozenset("\udc81\udc8d\udc8f\udc90\udc9d")
_SAMPLE_BYTES = 2**16
_ASCII_LETTER = re.compile(rb"[A-Za-z]")
_OTHER_SCRIPTS = ("cp1251", "koi8_r", "cp1253", "cp1255", "cp1256", "cp932", "gb18030")
"""Cyrillic, Greek, Hebrew, Arabic, Japanese and Chinese encodings."""
_MIN_COHERENCE = 0.2
"""The least similarity to the letter frequencies of a language, between 0 and 1."""
_LONGEST_LINE = 2**24
"""Characters of the longest line whose fields are counted: each may take a hundred bytes."""
_LONGEST_FIELD = 2**31 - 1  # the limit of a C long on every platform


@dataclass(frozen=True)
class ScannedText:
    """The result of reading a text once."""

    encoding: str
    """By its Python name."""
    head: str
    """The beginning, with the whole of the first line."""
    has_quotes: bool
    has_escaped_quotes: bool
    """Whether a quote follows a backslash somewhere."""
    remarks: tuple[Remark, ...] = ()


def scan(stored: SourceFile, form: CsvFormat, *, head_only: bool = False) -> ScannedText:
    """Detect the encoding of a text, and check its characters.

    A byte order mark identifies UTF-8 and UTF-16, as do the NUL bytes of UTF-16. Valid UTF-8 is
    UTF-8, and mostly valid UTF-8 is a damaged file. Any other text is of Western Europe, in whose
    encodings any byte is a character, unless most of its letters are not ASCII, and
    charset-normalizer recognizes the language.

    Args:
        stored: the file; it is read once, or once more if it is not in Unicode.
        form: the declared format.
        head_only: whether to read only the beginning.

    Raises:
        DataError: for a NUL, or a byte that is invalid in the encoding, with row and column.
    """
    declared = None if form.encoding == "auto" else form.encoding
    with stored.open() as stream:
        encoding = declared or _marked_encoding(_read_head(stream))
    try:
        tally = _read(stored, encoding or UTF_8, head_only, is_guess=encoding is None)
    except UnicodeError as error:
        raise _undecodable(stored, str(encoding), form, str(error)) from None
    if tally.continuations > tally.strays > 0:
        raise _undecodable(stored, UTF_8, form)
    remarks = [Remark("is UTF-16")] if not declared and encoding not in (None, UTF_8) else []
    if tally.strays:
        encoding, tally = _guess_encoding(stored, tally, head_only)
        guess = f"is not UTF-8; read as {encoding}, which is a guess: if letters look wrong, "
        remarks.append(Remark(f"{guess}set data.format: {{name: csv, encoding: ...}}", True))
    encoding = encoding or UTF_8
    if tally.has_nul:
        with stored.open() as stream:
            before = stream.read().decode(encoding, "replace").partition("\0")[0]
        message = "a NUL byte, expected text; is the file damaged, or not a table?"
        raise error_after(before, stored.file, form, message)
    return ScannedText(
        encoding, tally.head, tally.has_quotes, tally.has_escaped_quotes, tuple(remarks)
    )


@dataclass
class _Tally:
    """The findings of one pass over a text."""

    head: str = ""
    has_nul: bool = False
    has_quotes: bool = False
    has_escaped_quotes: bool = False
    strays: int = 0
    """Bytes that are invalid in UTF-8."""
    continuations: int = 0
    """Bytes of valid UTF-8 after the first of their character."""
    stray_controls: set[str] = field(default_factory=set)
    sample: bytes = b""
    """Some lines that are not ASCII, of a text that is not UTF-8."""


def _read(stored: SourceFile, encoding: str, head_only: bool, *, is_guess: bool) -> _Tally:
    """Read a text up to a NUL.

    Args:
        stored: the file.
        encoding: by its Python name; UTF-8 for a guess.
        head_only: whether to read only the beginning.
        is_guess: whether to count invalid bytes.

    Raises:
        UnicodeError: for an invalid byte, unless they are counted.
    """
    decoder = codecs.getincrementaldecoder(encoding)("surrogateescape" if is_guess else "strict")
    tally = _Tally()
    read = characters = valid = 0
    with stored.open() as stream:
        head = _read_head(stream)
        rest = () if head_only else chain(iter(partial(stream.read, _HEAD_BYTES), b""), [b""])
        for block in chain([head], rest):
            text = decoder.decode(block, final=not block)
            tally.head = tally.head or text
            tally.has_quotes |= '"' in text
            tally.has_escaped_quotes |= '\\"' in text
            tally.has_nul = "\0" in text
            if tally.has_nul:
                break
            cut = len(decoder.getstate()[0]) if is_guess else 0  # of the last character
            if not is_guess or (text.isascii() and not cut):
                continue
            read += len(block)
            characters += len(text)
            valid += len(text.encode(UTF_8, "ignore"))  # invalid bytes became lone surrogates
            tally.strays = read - valid - cut
            tally.continuations = read - characters - cut
            if tally.strays:
                tally.stray_controls.update(_STRAY_CONTROLS.findall(text))
                lines = text.encode(UTF_8, "surrogateescape").splitlines()
                foreign = b"\n".join(line for line in lines if not line.isascii())
                tally.sample = (tally.sample + foreign)[:_SAMPLE_BYTES]
    return tally


def _marked_encoding(head: bytes) -> str | None:
    """Return the encoding that a byte order mark, or NULs in half of the bytes, identify."""
    for mark, encoding in _MARKS.items():
        if head.startswith(mark):
            return encoding
    even, odd = head[::2], head[1::2]
    if not even.count(0) and odd.count(0) > _MIN_NULS * len(odd):
        return "utf-16-le"
    if not odd.count(0) and even.count(0) > _MIN_NULS * len(even):
        return "utf-16-be"
    return None


def _guess_encoding(stored: SourceFile, tally: _Tally, head_only: bool) -> tuple[str, _Tally]:
    """Guess the encoding of a text that is not Unicode, and read it again."""
    controls = tally.stray_controls
    is_windows = controls and not controls & _UNDEFINED_IN_CP1252
    for encoding in (_other_script(tally.sample), "cp1252" if is_windows else None):
        if encoding:
            with suppress(UnicodeError):
                return encoding, _read(stored, encoding, head_only, is_guess=False)
    return "latin-1", _read(stored, "latin-1", head_only, is_guess=False)


def _other_script(sample: bytes) -> str | None:
    """Return the encoding in which a text is clearly in a language of another than Latin script."""
    if sum(byte > 0x7F for byte in sample) <= len(_ASCII_LETTER.findall(sample)):
        return None  # Latin script: short texts may resemble any language
    from charset_normalizer import from_bytes

    encodings = ["cp1252", *_OTHER_SCRIPTS]
    matches = from_bytes(sample, cp_isolation=encodings, enable_fallback=False)
    best = max(matches, key=lambda match: match.coherence, default=None)
    if best is None or best.encoding == "cp1252" or best.coherence < _MIN_COHERENCE:
        return None
    return str(best.encoding)


def _read_head(stream: BinaryIO) -> bytes:
    """Read so many of the first bytes that the first line is complete."""
    head = read_exactly(stream, _HEAD_BYTES)
    if b"\n" in head or b"\r" in head:
        return head
    return head + read_exactly(stream, _MAX_HEAD_BYTES - _HEAD_BYTES)


def read_exactly(stream: BinaryIO, size: int) -> bytes:
    """Read so many bytes, or all there are, from a stream that may return fewer at a time."""
    parts = []
    while size > 0 and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


# Errors with row and column


def _undecodable(stored: SourceFile, encoding: str, form: CsvFormat, reason: str = "") -> DataError:
    """Make the error for the first byte that is invalid in an encoding."""
    with stored.open() as stream:
        content = stream.read()
    try:
        content.decode(encoding)
    except UnicodeDecodeError as error:
        name = encoding.upper().replace("_", "-")
        message = (
            f"byte 0x{content[error.start]:02x} is not {name}; save the file as UTF-8, or set its "
            "encoding: data.format: {name: csv, encoding: ...}"
        )
        before = content[: error.start].decode(encoding, "replace")
        return error_after(before, stored.file, form, message)
    return DataError(f"is not {encoding}, as data.format says: {reason}", file=stored.file)


def error_after(text: str, file: str, form: CsvFormat, message: str) -> DataError:
    """Make an error with the row and column in which a part of a file ends.

    Args:
        text: the part, from the file's beginning.
        file: its name.
        form: the declared format.
        message: what is wrong there.
    """
    if any(len(line) > _LONGEST_LINE for line in io.StringIO(text, newline="")):
        return DataError(f"after {len(text):,} characters: {message}", file=file)
    delimiter, _ = find_delimiter(text, form, file)
    with long_fields():
        lines = io.StringIO(text.removeprefix(_BYTE_ORDER_MARK) + "?", newline="")
        records = filter(None, csv.reader(lines, delimiter=delimiter))
        header = last = next(records)
        row = 0
        for row, last in enumerate(records, start=1):  # noqa: B007  (the last ones are used)
            pass
    if row == 0:
        return DataError(f"in the header: {message}", file=file)
    column = dict(enumerate(_names(header))).get(len(last) - 1)
    return DataError(message, file=file, row=row, column=column)


@contextmanager
def long_fields() -> Iterator[None]:
    """Let the csv module read a field as long as a file, as an unclosed quote makes one."""
    limit = csv.field_size_limit(_LONGEST_FIELD)
    try:
        yield
    finally:
        csv.field_size_limit(limit)


# Delimiter

_DELIMITERS = (",", "\t", ";", "|")
"""The candidates, the most common first."""
_SAMPLE_RECORDS = 20
_SAMPLE_CHARACTERS = 2**16


class _Fit(NamedTuple):
    """The fit of a delimiter to a text."""

    delimiter: str
    width: int
    """Fields of the header."""
    share: float
    """Share of the first records that have as many; 0 without records."""


def find_delimiter(text: str, form: CsvFormat, file: str) -> tuple[str, tuple[Remark, ...]]:
    """Find the delimiter by which the first records have as many fields as the header.

    Args:
        text: the file's beginning.
        form: the declared format.
        file: the file's name, which may be that of a TSV file.

    Returns:
        The delimiter, and remarks on it.
    """
    if form.delimiter != "auto":
        return form.delimiter, ()
    prefers_tab = is_tsv(file)
    found = [fit for sign in _DELIMITERS if (fit := _fit(text, sign)).width > 1]
    if not found:
        return ",", ()
    found.sort(key=lambda fit: prefers_tab and fit.delimiter == "\t", reverse=True)
    best = max(found, key=lambda fit: (fit.share, fit.share and fit.width))
    named = {
        fit.delimiter: "tabs" if fit.delimiter == "\t" else f"'{fit.delimiter}'" for fit in found
    }
    rivals = [named[fit.delimiter] for fit in found if fit.share == best.share == 1]
    taken = named[best.delimiter]
    if len(rivals) > 1:
        message = f"fields may be separated by {' or '.join(rivals)}, read as {taken}; to be sure, "
        return best.delimiter, (
            Remark(f"{message}set data.format: {{name: csv, delimiter: ...}}", True),
        )
    if best.delimiter != ("\t" if prefers_tab else ","):
        return best.delimiter, (Remark(f"fields are separated by {taken}"),)
    return best.delimiter, ()


def _fit(text: str, delimiter: str) -> _Fit:
    sample = text[:_SAMPLE_CHARACTERS].removeprefix(_BYTE_ORDER_MARK)
    lines = io.StringIO(sample, newline="")
    records = [record for record in csv.reader(lines, delimiter=delimiter) if record]
    if len(text) > _SAMPLE_CHARACTERS:
        records.pop()  # it may be incomplete
    header, rows = records[:1], records[1 : 1 + _SAMPLE_RECORDS]
    width = len(header[0]) if header else 0
    share = sum(len(row) == width for row in rows) / len(rows) if rows else 0.0
    return _Fit(delimiter, width, share)


# Header

_EXCEL_HINT = re.compile(r"(?i)\"?sep=.?\"?(?=[\r\n])")


@dataclass(frozen=True)
class Header:
    """The first record of a file."""

    names: tuple[str, ...]
    """The columns' names."""
    delimiter: str
    size: int
    """Bytes of UTF-8 before the first row."""


def parse_header(text: str, delimiter: str, file: str) -> Header:
    """Read the first record.

    Spaces around a name are dropped. A first column without a name, as pandas writes an index, is
    called `column_1`.

    Args:
        text: the file's beginning, with the whole of the record.
        delimiter: separates fields.
        file: its name, for messages.

    Raises:
        DataError: for no header, or names that are empty or repeated.
    """
    lines: list[str] = []
    recorded = _recorded(io.StringIO(text, newline=""), lines)
    stripped = (line.removeprefix(_BYTE_ORDER_MARK) for line in recorded)
    first = next((line for line in stripped if line.strip("\r\n")), None)
    if first is None:
        raise DataError("is empty, expected a header and rows", file=file)
    if hint := _EXCEL_HINT.match(first):
        raise DataError(f"its first line, '{hint[0]}', is a note for Excel; delete it", file=file)
    try:
        record = next(csv.reader(chain([first], recorded), delimiter=delimiter, strict=True))
    except csv.Error:
        message = "the header is quoted wrongly: a quote doesn't close where its field ends"
        raise DataError(message, file=file) from None
    names = _names(record)
    check_names(names, file)
    return Header(tuple(names), delimiter, sum(len(line.encode()) for line in lines))


def _names(record: Sequence[str]) -> list[str]:
    names = [name.strip() for name in record]
    if len(names) > 1 and not names[0]:
        names[0] = "column_1"
    return names


def _recorded(text: TextIO, lines: list[str]) -> Iterator[str]:
    """Yield the lines of a text, and append each to a list as it is read."""
    for line in text:
        lines.append(line)
        yield line
