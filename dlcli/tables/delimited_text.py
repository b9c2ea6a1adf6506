"""CSV and TSV files: encoding, delimiter and header are detected, and pyarrow reads the rows."""

from __future__ import annotations

import codecs
import csv
import io
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, islice
from typing import BinaryIO

import pyarrow as pa

from dlcli.errors import DataError, plural
from dlcli.tables.header_detection import is_number
from dlcli.tables.remote_files import InputStream
from dlcli.tables.source_files import Batches, SourceFile
from dlcli.tables.table import FileNote
from dlcli.tables.table_formats import TableFormat
from dlcli.tables.text_header import WRONG_QUOTE, TextHeader, find_delimiter, read_text_header
from dlcli.tables.text_lines import (
    BYTE_ORDER_MARK,
    LONGEST_ROW,
    RowLines,
    long_fields,
    row_stream,
    separator,
    strict_records,
)

_SECONDS_TO_READ = 0.5
"""Time without a call after which pyarrow's thread reads no more; it takes milliseconds."""


def open_text(stored: SourceFile, form: TableFormat) -> Batches:
    """Open a file; every column is text, exactly as written.

    Raises:
        DataError: for a byte that is not text, no header, or empty or repeated names; while rows
            are read, for a row that does not fit the header, or an unclosed quote.
    """
    text = _scan(stored, form)
    header = read_text_header(text.head, form, stored.file)
    # pyarrow accepts a quote that closes too early, such as one after a backslash.
    if text.has_escaped_quotes:
        _check_shape(stored, text.encoding, header)
    schema = pa.schema([(name, pa.string()) for name in header.names])
    file_notes = (*text.file_notes, *header.file_notes)
    rows = _rows(stored, text.encoding, header, has_quotes=text.has_quotes)
    return Batches(schema, rows, header.delimiter, file_notes, header.nameless)


def read_names(stored: SourceFile, form: TableFormat) -> tuple[str, ...]:
    """Return the columns' names; only the beginning of the file is read.

    Raises:
        DataError: for a byte that is not text, no header, or names that are empty or repeated.
    """
    return read_text_header(_scan(stored, form, head_only=True).head, form, stored.file).names


def read_layout(stored: SourceFile, form: TableFormat) -> tuple[str, str]:
    """Return the encoding of a file, by its Python name, and the delimiter of its fields.

    The encoding drops a byte order mark if there is one.

    Raises:
        DataError: for a byte that is not text, no header, or names that are empty or repeated.
    """
    text = _scan(stored, form)
    encoding = text.encoding
    if text.head.startswith(BYTE_ORDER_MARK):
        encoding = "utf-8-sig" if encoding == _UTF_8 else "utf-16"
    return encoding, read_text_header(text.head, form, stored.file).delimiter


def _rows(
    stored: SourceFile, encoding: str, header: TextHeader, *, has_quotes: bool
) -> Iterator[pa.RecordBatch]:
    """Yield the rows.

    Raises:
        DataError: for a row that does not fit the header, or an unclosed quote.
    """
    from pyarrow.csv import ConvertOptions, ParseOptions, ReadOptions, open_csv

    read = ReadOptions(column_names=header.names, block_size=LONGEST_ROW)
    parse = ParseOptions(delimiter=separator(header.delimiter), newlines_in_values=has_quotes)
    types = dict.fromkeys(header.names, pa.string())
    convert = ConvertOptions(column_types=types, strings_can_be_null=False)
    last = None
    try:
        with _open_utf_8(stored, encoding) as stream:
            _read_exactly(stream, header.size)
            rows = row_stream(stream, header.form, header.delimiter)
            with _EndingWithNewline(rows) as lines:
                for last in open_csv(lines, read, parse, convert):  # noqa: B007  (it is used)
                    yield last
    except MemoryError:
        raise
    except pa.ArrowException as error:
        _check_shape(stored, encoding, header)
        reason = str(error).partition("\n")[0]
        raise DataError(f"can't be read as CSV: {reason}", file=stored.file) from None
    # pyarrow closes an unclosed quote at the end of the file, so the last field ends with the
    # newline there.
    if last is not None and last.num_rows:
        field: str = last.column(last.num_columns - 1)[-1].as_py()
        if field.endswith(("\n", "\r")):
            _check_shape(stored, encoding, header)


def _open_utf_8(stored: SourceFile, encoding: str) -> BinaryIO:
    stream = stored.open()
    if codecs.lookup(encoding).name == _UTF_8:
        return stream
    python_file = pa.PythonFile(stream, "r")
    recoded: BinaryIO = pa.transcoding_input_stream(python_file, encoding, _UTF_8)
    return recoded


class _EndingWithNewline(InputStream):
    """A stream with a newline at its end, without which pyarrow may misread the last row.

    If there is one already, the result is a blank line, which is not a row.

    pyarrow reads ahead in a separate thread, which continues after an error. This thread needs
    Python and aborts the process if Python exits first. So `close` waits until the thread has read
    the end, or makes no more calls because it is far enough ahead.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._at_end = False
        self._is_closing = False
        self._is_read = threading.Event()
        self._begun = self._ended = 0

    def read(self, size: int = -1) -> bytes:
        """Return some bytes; none at the end, or while the stream is closed."""
        self._begun += 1
        try:
            return self._read(size)
        finally:
            self._ended += 1

    def _read(self, size: int) -> bytes:
        block: bytes = b"" if self._is_closing else self._stream.read(size)
        if block:
            return block
        if self._is_closing or self._at_end:
            self._is_read.set()
            return b""
        self._at_end = True
        return b"\n"

    def close(self) -> None:
        """Wait until no thread reads any more."""
        self._is_closing = True
        begun = -1
        while not self.closed and not self._is_read.is_set() and begun != self._ended:
            begun = self._begun
            self._is_read.wait(_SECONDS_TO_READ)
        super().close()


def _check_shape(stored: SourceFile, encoding: str, header: TextHeader) -> None:
    """Check that all rows have as many fields as the header, and that quotes match.

    Raises:
        DataError: for the first row that is wrong.
    """
    width, row, line = len(header.names), -header.records, 0
    with long_fields(), _open_utf_8(stored, encoding) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        lines = RowLines(text, header.form, header.delimiter)
        records = filter(None, strict_records(lines, header.delimiter))
        try:
            for row, record in enumerate(records, start=1 - header.records):
                if len(record) != width and row > 0:
                    message = (
                        f"has {plural(len(record), 'field')}, but the header has {width} "
                        f"(line {lines.number} of the file)"
                    )
                    if width == 1 or (row == 1 and any(map(is_number, header.names))):
                        message = f"{message}; {_DOUBTED}"
                    raise DataError(message, file=stored.file, row=row)
                line = lines.number
        except csv.Error:
            message = f"{WRONG_QUOTE}; see line {line + 1}"
            raise DataError(message, file=stored.file, row=row + 1) from None
        finally:
            text.detach()  # the stream is closed by its owner


_DOUBTED = (
    "is the header further down (data.skip_lines; --skip-lines in init and inspect), or are quotes "
    "missing around text?"
)


# Encoding

_UTF_8 = "utf-8"
HEAD_BYTES = 2**20
"""Bytes that are read at once; the header ends within the first of them."""
_ORDER_MARKS = {
    codecs.BOM_UTF8: _UTF_8,
    codecs.BOM_UTF32_LE: "utf-32",  # starts like the next one
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Byte order marks; Python derives the byte order of UTF-16 and UTF-32 from the mark."""
_MIN_NULS = 0.3
"""Share of NUL among the high bytes of UTF-16 from which on the text is partly Latin."""
_INVALID = re.compile("[\udc80-\udcff]")
"""Invalid bytes, as Python's `surrogateescape` decodes them."""
_LAST_CONTROL = "\udc9f"
"""The last invalid byte that is a control character in Latin-1."""
_UNDEFINED_IN_CP1252 = frozenset("\udc81\udc8d\udc8f\udc90\udc9d")
_SAMPLE_BYTES = 2**16
_FIELD_END = re.compile(rb"[,;\t]")
_WORD = re.compile(rb"[\x80-\xff]{2,}|(?:[\x81-\xfe][\x40-\x7e\x80-\xfe]){2,}")
"""Several letters of another script, or two-byte characters whose second byte is ASCII."""
_LETTER = re.compile(rb"[A-Za-z\x80-\xff]")
_LONG_WORD = re.compile(rb"[\x80-\xff]{4,}")
"""A run of bytes that accented Latin letters do not form."""
_OTHER_SCRIPTS = (
    *("gb18030", "cp932", "cp949", "cp1251", "cp1253", "cp1255", "cp1256", "koi8_r", "cp866"),
    *("big5", "cp874", "euc_jp", "cp1252"),
)
"""Encodings of other scripts and of Western Europe, the most common first."""


@dataclass
class _Text:
    """The result of reading a text once."""

    encoding: str
    """By its Python name."""
    head: str = ""
    """The beginning, with the whole of the first line."""
    has_nul: bool = False
    has_quotes: bool = False
    has_escaped_quotes: bool = False
    """True if a quote follows a backslash somewhere."""
    invalid: int = 0
    """The number of bytes that are invalid in UTF-8."""
    continuations: int = 0
    """The number of bytes of valid UTF-8 after the first of their character."""
    controls: set[str] = field(default_factory=set)
    """The number of invalid bytes that are control characters in Latin-1."""
    sample: bytes = b""
    """Some lines that are not ASCII, if the text is not UTF-8."""
    file_notes: tuple[FileNote, ...] = ()


def _scan(stored: SourceFile, form: TableFormat, *, head_only: bool = False) -> _Text:
    """Detect the encoding of a text, and check its characters.

    A byte order mark identifies Unicode, and so do the NUL bytes of UTF-16 and UTF-32. Valid UTF-8
    is read as UTF-8; mostly valid UTF-8 is a damaged file. Any other text is read in a Western
    European encoding, in which every byte is a character, unless its letters look like another
    script.

    Args:
        stored: the file; read once, or twice if it is not Unicode.
        form: the declared format.
        head_only: whether to read only the beginning.

    Raises:
        DataError: for a NUL, or a byte that is invalid in the encoding, with row and column.
    """
    declared = None if form.csv.encoding == "auto" else form.csv.encoding
    with stored.open() as stream:
        encoding = declared or _unicode_encoding(_read_exactly(stream, HEAD_BYTES))
    try:
        text = _read(stored, encoding, head_only)
    except UnicodeError as error:
        if not isinstance(error, UnicodeDecodeError) or "BOM" in error.reason:  # no mark
            message = f"is not encoded as {encoding}, which data.format sets: {error}"
            raise DataError(message, file=stored.file) from None
        raise _first_error(stored, str(encoding), form) from None
    if text.continuations > text.invalid > 0:
        raise _first_error(stored, _UTF_8, form)
    if text.invalid:
        text = _read_guessed(stored, text, head_only)
        guess = f"is not UTF-8; read as {text.encoding}, which is a guess; if letters look wrong, "
        text.file_notes = (FileNote(f"{guess}set data.format: {{name: csv, encoding: ...}}", True),)
    elif not declared and text.encoding != _UTF_8:
        text.file_notes = (FileNote(f"is encoded as {text.encoding[:6].upper()}"),)
    if text.has_nul:
        raise _first_error(stored, text.encoding, form, of_nul=True)
    return text


def _read(stored: SourceFile, encoding: str | None, head_only: bool) -> _Text:
    """Read a text up to a NUL.

    Args:
        stored: the file.
        encoding: its Python name; None to read UTF-8 and count invalid bytes.
        head_only: whether to read only the beginning.

    Raises:
        UnicodeError: for an invalid byte, unless they are counted.
    """
    text = _Text(encoding or _UTF_8)
    errors = "strict" if encoding else "surrogateescape"
    decoder = codecs.getincrementaldecoder(text.encoding)(errors)
    position = line_start = 0
    last = ""
    for number, block in enumerate(islice(_blocks(stored), 1 if head_only else None)):
        decoded = decoder.decode(block, final=not block)
        text.head = decoded if not number else text.head
        text.has_quotes |= '"' in decoded
        text.has_escaped_quotes |= '\\"' in decoded or last + decoded[:1] == '\\"'
        last = decoded[-1:] or last
        text.has_nul = "\0" in decoded
        if text.has_nul:
            break
        newline = max(decoded.rfind("\n"), decoded.rfind("\r"))
        line_start = line_start if newline < 0 else position + newline
        position += len(decoded)
        if not number and len(block) == HEAD_BYTES and not _has_line(decoded):
            long = f"its first line exceeds {HEAD_BYTES >> 20} MiB, the limit for a header"
            message = f"{long}; if it is a table, write it as Parquet"
            raise DataError(message, file=stored.file)
        if position - line_start > LONGEST_ROW:
            raise long_row(stored)
        text.continuations += len(block) - len(decoded)
        if encoding or decoded.isascii():
            continue
        invalid = _INVALID.findall(decoded)
        text.invalid += len(invalid)
        if text.invalid:
            text.controls.update(byte for byte in invalid if byte <= _LAST_CONTROL)
            lines = decoded.encode(_UTF_8, "surrogateescape").splitlines()
            foreign = b"\n".join(line for line in lines if not line.isascii())
            text.sample = (text.sample + foreign)[:_SAMPLE_BYTES]
    if not encoding:
        text.continuations -= len(decoder.getstate()[0])  # of a character that the end cuts
    return text


def _unicode_encoding(head: bytes) -> str | None:
    """Return the encoding that a byte order mark, or NULs in half of the bytes, identifies."""
    for mark, encoding in _ORDER_MARKS.items():
        if head.startswith(mark):
            return encoding
    if len(head) > 3:
        if not any(head[2::4] + head[3::4]):
            return "utf-32-le"
        if not any(head[::4] + head[1::4]):
            return "utf-32-be"
    even, odd = head[::2], head[1::2]
    if not even.count(0) and odd.count(0) > _MIN_NULS * len(odd):
        return "utf-16-le"
    if not odd.count(0) and even.count(0) > _MIN_NULS * len(even):
        return "utf-16-be"
    return None


def _read_guessed(stored: SourceFile, text: _Text, head_only: bool) -> _Text:
    """Guess the encoding of a text that is not Unicode, and read it again."""
    is_windows = text.controls and not text.controls & _UNDEFINED_IN_CP1252
    for encoding in (_other_script(text.sample), "cp1252" if is_windows else None):
        if encoding:
            with suppress(UnicodeError):
                return _read(stored, encoding, head_only)
    return _read(stored, "latin-1", head_only)


def _other_script(sample: bytes) -> str | None:
    """Return the encoding in which a text is probably in a script other than Latin.

    Letters of such a script follow each other, while accented Latin letters stand alone among ASCII
    letters. charset-normalizer selects the encodings with the fewest implausible characters, up to
    a tenth. The result is the one whose letter frequencies resemble a language; if there are
    several, the most common.
    """
    fields = (field for line in sample.splitlines() for field in _FIELD_END.split(line))
    foreign = b"\n".join(field for field in fields if not field.isascii())
    rest = _WORD.sub(b"", foreign)
    has_few_others = len(foreign) - len(rest) > 2 * len(_LETTER.findall(rest))
    rest = _LONG_WORD.sub(b"", foreign)  # next to English words
    has_few_accents = len(foreign) - len(rest) > sum(byte > 0x7F for byte in rest)
    if not has_few_others and not has_few_accents:
        return None
    from charset_normalizer import from_bytes

    matches = from_bytes(foreign, cp_isolation=list(_OTHER_SCRIPTS), enable_fallback=False)
    commonness = _OTHER_SCRIPTS.index
    found = [(round(each.chaos, 1), -each.coherence, commonness(each.encoding)) for each in matches]
    return _OTHER_SCRIPTS[min(found)[2]] if found else None


def _has_line(text: str) -> bool:
    """Return whether a line that is not blank ends in the text."""
    line = text.lstrip(BYTE_ORDER_MARK + "\r\n")
    return "\n" in line or "\r" in line


def _read_exactly(stream: BinaryIO, size: int) -> bytes:
    """Read `size` bytes, or all to the end, from a stream that may return fewer at a time."""
    parts = []
    while size > 0 and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


# Errors with row and column


def _blocks(stored: SourceFile) -> Iterator[bytes]:
    """Yield a file in blocks: the first has the full size, and the last is empty."""
    with stored.open() as stream:
        yield _read_exactly(stream, HEAD_BYTES)
        yield from iter(partial(stream.read, HEAD_BYTES), b"")
        yield b""


def _first_error(
    stored: SourceFile, encoding: str, form: TableFormat, *, of_nul: bool = False
) -> DataError:
    """Return the error for the first invalid byte of an encoding, or for the first NUL."""
    message = "found a NUL byte, expected text; is the file damaged, or not a table?"

    def before() -> Iterator[str]:
        nonlocal message
        decoder = codecs.getincrementaldecoder(encoding)()
        for block in _blocks(stored):
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as error:
                byte = f"byte 0x{error.object[error.start]:02x}"
                name = encoding.upper().replace("_", "-")
                way_out = "set its encoding: data.format: {name: csv, encoding: ...}"
                message = f"{byte} is not {name}; save the file as UTF-8, or {way_out}"
                invalid = len(error.object) - error.start
                yield decoder.decode(block[: max(len(block) - invalid, 0)])
                return
            text, nul, _ = text.partition("\0") if of_nul else (text, "", "")
            yield text
            if nul:
                return

    texts = before()
    row, column = _end_of(texts, stored.file, form)
    for _ in texts:  # after an unclosed quote; the last text has the error
        pass
    if row == 0:
        return DataError(f"in the header: {message}", file=stored.file)
    return DataError(message, file=stored.file, row=row, column=column)


def _end_of(texts: Iterator[str], file: str, form: TableFormat) -> tuple[int, str | None]:
    """Return the row and the column in which a part of a file ends; the header is row 0.

    Args:
        texts: the part, from the file's beginning.
        file: its name.
        form: the declared format.
    """
    beginning = next(texts)
    try:
        header = read_text_header(beginning, form, file)
    except DataError:  # the error may be in the header
        delimiter, _ = find_delimiter(beginning, form, file)
        header = TextHeader((), delimiter, 0, 1, form)
    body = chain([beginning.removeprefix(BYTE_ORDER_MARK)], texts)
    lines = RowLines(_lines(body), replace(header.form, footer=""), header.delimiter)
    first = 1 - header.records
    row, last = first, [""]
    with long_fields(), suppress(csv.Error):  # a field too long
        reader = csv.reader(iter(lines), delimiter=separator(header.delimiter))
        for row, last in enumerate(filter(None, reader), start=first):  # noqa: B007  (used)
            pass
    return max(row, 0), dict(enumerate(header.names)).get(len(last) - 1)


def _lines(texts: Iterable[str]) -> Iterator[str]:
    """Yield the lines of a text given in parts; a character replaces the rest."""
    rest = ""
    for text in texts:
        *lines, rest = list(io.StringIO(rest + text, newline="")) or [""]
        yield from lines  # without the last line, whose end may be in the next part
    yield from io.StringIO(rest + "?", newline="")


def long_row(stored: SourceFile) -> DataError:
    """Return the error for the first line that exceeds the limit for a row."""
    line, size = 1, 0
    with stored.open() as stream:
        while size <= LONGEST_ROW and (block := stream.read(HEAD_BYTES)):
            line += block.count(b"\n")
            size = size + len(block) if b"\n" not in block else len(block) - block.rindex(b"\n")
    message = f"line {line} exceeds {LONGEST_ROW >> 20} MiB, the limit for a row; is the file "
    return DataError(f"{message}damaged, or not a table?", file=stored.file)
