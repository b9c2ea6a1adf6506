"""CSV and TSV: text with a header, a delimiter between fields."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa

from dlcli.config import CsvFormat
from dlcli.errors import DataError
from dlcli.tables import charset
from dlcli.tables.batches import Batches
from dlcli.tables.diagnosis import error_after, misshapen
from dlcli.tables.dialect import Header, find_delimiter, read_header
from dlcli.tables.formats import is_tsv
from dlcli.tables.names import remark_on_names
from dlcli.tables.remarks import Remark
from dlcli.tables.sources import SourceFile

_BLOCK_BYTES = 16 * 2**20  # the longest row that pyarrow can read
_HEAD_BYTES = 2**20
_NEWLINES = (b"\n", b"\r")
_QUOTE, _ESCAPED_QUOTE = b'"', b'\\"'


@dataclass(frozen=True)
class _Text:
    """A text whose encoding is known."""

    stored: SourceFile
    encoding: str
    delimiter: str | None
    """What stands between fields, if it was declared."""

    @property
    def file(self) -> str:
        """The file as the user named it."""
        return self.stored.file

    def open(self) -> BinaryIO:
        """Opens it as UTF-8."""
        stream = self.stored.open()
        if codecs.lookup(self.encoding).name == charset.UTF_8:
            return stream
        recoded: BinaryIO = pa.transcoding_input_stream(
            pa.PythonFile(stream, "r"), self.encoding, charset.UTF_8
        )
        return recoded

    def split(self, head: str) -> tuple[str, tuple[Remark, ...]]:
        """What stands between fields, and what is to be said of that."""
        if self.delimiter is not None:
            return self.delimiter, ()
        return find_delimiter(head, prefer_tab=is_tsv(self.file))


def open_batches(stored: SourceFile, form: CsvFormat) -> Batches:
    """Opens a file; every column is text, exactly as written.

    Raises:
        DataError: what is no text of its encoding, no header, or names that could not be told
            apart; while rows are read, one that doesn't fit the header, or an open quote.
    """
    text, remarks = _text(stored, form)
    signs = _scan(text)
    header, found = _header(text)
    # pyarrow reads on behind a quote that closes too early, as one does behind a backslash.
    if _ESCAPED_QUOTE in signs and (mistake := _misshapen(text, header)):
        raise mistake
    schema = pa.schema([(name, pa.string()) for name in header.names])
    rows = _rows(text, header, has_quotes=_QUOTE in signs)
    return Batches(schema, rows, header.delimiter, (*remarks, *found))


def read_names(stored: SourceFile, form: CsvFormat) -> tuple[str, ...]:
    """The columns' names, from the beginning of the file alone.

    Raises:
        DataError: no header, one that is no text of its encoding, or names that could not be told
            apart.
    """
    with stored.open() as stream:
        head = _head(stream)
    if len(head) >= _HEAD_BYTES:
        head = head[: head.rfind(b"\n") + 1] or head  # so that no character is cut
    text, _ = _text(SourceFile(stored.file, None, head), form)
    return _header(text)[0].names


def _text(stored: SourceFile, form: CsvFormat) -> tuple[_Text, tuple[Remark, ...]]:
    """A text with what is known of it, and what is to be said of its encoding."""
    delimiter = None if form.delimiter == "auto" else form.delimiter
    if form.encoding != "auto":
        return _Text(stored, form.encoding, delimiter), ()
    with stored.open() as stream:
        encoding = charset.detect(stream)
    return _Text(stored, encoding, delimiter), tuple(charset.remark_on(encoding))


def _scan(text: _Text) -> set[bytes]:
    """Looks through a text for what no text should hold.

    Returns:
        Which of a quote and an escaped quote it holds.

    Raises:
        DataError: for a NUL, or what is no text of the encoding.
    """
    found, before = set[bytes](), 0
    with _decoded(text), text.open() as stream:
        for block in charset.blocks(stream):
            position = block.find(b"\0")
            if position >= 0:
                raise _nul(text, before + position)
            found.update(sign for sign in (_QUOTE, _ESCAPED_QUOTE) if sign in block)
            before += len(block)
    return found


def _nul(text: _Text, position: int) -> DataError:
    with text.open() as stream:
        before = _exactly(stream, position).decode(errors="replace")
    message = "a NUL byte, expected text; is the file damaged, or no table?"
    return error_after(before, text.split(before)[0], text.file, message)


@contextmanager
def _decoded(text: _Text) -> Iterator[None]:
    """Gives what is no text of its encoding its place.

    Raises:
        DataError: with row and column.
    """
    try:
        yield
    except UnicodeError as error:
        reason = f"is not {text.encoding}, which data.format says: {error}"
        raise _undecodable(text) or DataError(reason, file=text.file) from None


def _header(text: _Text) -> tuple[Header, tuple[Remark, ...]]:
    with _decoded(text), text.open() as stream:
        # Not to its end: the last character may be cut.
        head = codecs.getincrementaldecoder(charset.UTF_8)().decode(_head(stream))
    delimiter, remarks = text.split(head)
    header = read_header(head, delimiter, text.file)
    return header, (*remarks, *remark_on_names(header.names))


def _head(stream: BinaryIO) -> bytes:
    """The first bytes, so many that the first line is whole."""
    head = _exactly(stream, _HEAD_BYTES)
    if any(newline in head for newline in _NEWLINES):
        return head
    return head + _exactly(stream, _BLOCK_BYTES - _HEAD_BYTES)


def _exactly(stream: BinaryIO, size: int) -> bytes:
    """As many bytes, or all there are, also of a stream that gives a few at a time."""
    parts = []
    while size > 0 and (part := stream.read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _rows(text: _Text, header: Header, *, has_quotes: bool) -> Iterator[pa.RecordBatch]:
    """Yields the rows.

    Raises:
        DataError: for a row that doesn't fit the header, or an open quote.
    """
    from pyarrow.csv import ConvertOptions, ParseOptions, ReadOptions, open_csv

    last = None
    try:
        with text.open() as stream:
            _exactly(stream, header.size)
            reader = open_csv(
                _Ended(stream),
                read_options=ReadOptions(column_names=header.names, block_size=_BLOCK_BYTES),
                parse_options=ParseOptions(
                    delimiter=header.delimiter, newlines_in_values=has_quotes
                ),
                convert_options=ConvertOptions(
                    column_types=dict.fromkeys(header.names, pa.string()),
                    strings_can_be_null=False,
                ),
            )
            for last in reader:  # noqa: B007  (the last one is wanted)
                yield last
    except pa.ArrowException as error:
        reason = f"can't be read as CSV: {str(error).partition(chr(10))[0]}"
        raise _diagnosis(text, header) or DataError(reason, file=text.file) from None
    if _may_end_in_quotes(last) and (mistake := _misshapen(text, header)):
        raise mistake


class _Ended(io.RawIOBase):
    """A stream with a newline at its end, without which pyarrow may take a row for a part of one.

    Where there is one already, it makes a blank line, which is no row.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._at_end = False

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Some bytes; none once all are read."""
        block = self._stream.read(size)
        if block or self._at_end:
            return block
        self._at_end = True
        return b"\n"


def _may_end_in_quotes(last: pa.RecordBatch | None) -> bool:
    """Whether the last field took the newline at the end of the file, as one in open quotes does.

    pyarrow takes a quote that never closes for one that closes with the file.
    """
    if last is None or last.num_rows == 0:
        return False
    field: str = last.column(last.num_columns - 1)[-1].as_py()
    return field.endswith(("\n", "\r"))


def _diagnosis(text: _Text, header: Header) -> DataError | None:
    """What is wrong with a file, for which pyarrow gives no row of the file."""
    return _undecodable(text) or _misshapen(text, header)


def _misshapen(text: _Text, header: Header) -> DataError | None:
    with _decoded(text), text.open() as stream:
        return misshapen(stream, header, text.file)


def _undecodable(text: _Text) -> DataError | None:
    """The first byte that is no text of the encoding, None if there is none."""
    with text.stored.open() as stream:
        content = stream.read()
    try:
        content.decode(text.encoding)
    except UnicodeDecodeError as error:
        before = content[: error.start].decode(text.encoding, "replace")
        name = text.encoding.upper().replace("_", "-")
        message = (
            f"byte 0x{content[error.start]:02x} is not {name}; save the file as UTF-8, or say what "
            "it is: data.format: {name: csv, encoding: ...}"
        )
        return error_after(before, text.split(before)[0], text.file, message)
    return None
