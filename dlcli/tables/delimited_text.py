"""CSV and TSV files, whose rows pyarrow reads, and errors in which pyarrow names no row."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator
from typing import BinaryIO

import pyarrow as pa

from dlcli.config import CsvFormat
from dlcli.errors import DataError, plural
from dlcli.tables.source_files import Batches, SourceFile, remark_on_names
from dlcli.tables.text_detection import (
    UTF_8,
    Header,
    find_delimiter,
    long_fields,
    parse_header,
    read_exactly,
    scan,
)

_BLOCK_BYTES = 16 * 2**20  # the longest row that pyarrow can read


def open_text(stored: SourceFile, form: CsvFormat) -> Batches:
    """Open a file; every column is text, exactly as written.

    Raises:
        DataError: for a byte that is not text, no header, or names that are empty or repeated;
            while rows are read, for one that does not fit the header, or an unclosed quote.
    """
    text = scan(stored, form)
    delimiter, remarks = find_delimiter(text.head, form, stored.file)
    header = parse_header(text.head, delimiter, stored.file)
    # pyarrow accepts a quote that closes too early, as one after a backslash does.
    if text.has_escaped_quotes:
        _check_shape(stored, text.encoding, header)
    schema = pa.schema([(name, pa.string()) for name in header.names])
    remarks = (*text.remarks, *remarks, *remark_on_names(header.names))
    rows = _rows(stored, text.encoding, header, has_quotes=text.has_quotes)
    return Batches(schema, rows, delimiter, remarks)


def read_names(stored: SourceFile, form: CsvFormat) -> tuple[str, ...]:
    """Return the columns' names, from the beginning of the file alone.

    Raises:
        DataError: for a byte that is not text, no header, or names that are empty or repeated.
    """
    head = scan(stored, form, head_only=True).head
    delimiter, _ = find_delimiter(head, form, stored.file)
    return parse_header(head, delimiter, stored.file).names


def _rows(
    stored: SourceFile, encoding: str, header: Header, *, has_quotes: bool
) -> Iterator[pa.RecordBatch]:
    """Yield the rows.

    Raises:
        DataError: for a row that does not fit the header, or an unclosed quote.
    """
    from pyarrow.csv import ConvertOptions, ParseOptions, ReadOptions, open_csv

    last = None
    try:
        with _open_utf_8(stored, encoding) as stream:
            read_exactly(stream, header.size)
            reader = open_csv(
                _EndingWithNewline(stream),
                read_options=ReadOptions(column_names=header.names, block_size=_BLOCK_BYTES),
                parse_options=ParseOptions(
                    delimiter=header.delimiter, newlines_in_values=has_quotes
                ),
                convert_options=ConvertOptions(
                    column_types=dict.fromkeys(header.names, pa.string()),
                    strings_can_be_null=False,
                ),
            )
            for last in reader:  # noqa: B007  (the last one is used)
                yield last
    except pa.ArrowException as error:
        _check_shape(stored, encoding, header)
        reason = str(error).partition("\n")[0]
        raise DataError(f"can't be read as CSV: {reason}", file=stored.file) from None
    # For pyarrow, an unclosed quote closes at the end of the file, and the last field ends with
    # the newline there.
    if last is not None and last.num_rows:
        field: str = last.column(last.num_columns - 1)[-1].as_py()
        if field.endswith(("\n", "\r")):
            _check_shape(stored, encoding, header)


def _open_utf_8(stored: SourceFile, encoding: str) -> BinaryIO:
    stream = stored.open()
    if codecs.lookup(encoding).name == UTF_8:
        return stream
    python_file = pa.PythonFile(stream, "r")
    recoded: BinaryIO = pa.transcoding_input_stream(python_file, encoding, UTF_8)
    return recoded


class _EndingWithNewline(io.RawIOBase):
    """A stream with a newline at its end, without which pyarrow may misread the last row.

    Where there is one already, it makes a blank line, which is not a row.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._at_end = False

    def readable(self) -> bool:
        """Return true."""
        return True

    def read(self, size: int = -1) -> bytes:
        """Return some bytes; none once all are read."""
        block = self._stream.read(size)
        if block or self._at_end:
            return block
        self._at_end = True
        return b"\n"


def _check_shape(stored: SourceFile, encoding: str, header: Header) -> None:
    """Check that all rows have as many fields as the header, and that quotes match.

    Raises:
        DataError: for the first row that is wrong.
    """
    width, row, line = len(header.names), -1, 0
    with long_fields(), _open_utf_8(stored, encoding) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
        reader = csv.reader(text, delimiter=header.delimiter, strict=True)
        try:
            for row, record in enumerate(filter(None, reader)):
                if len(record) != width:
                    message = f"has {plural(len(record), 'field')}, the header has {width}"
                    question = "; is the header further down, or do texts lack quotes?"
                    message += f"; see line {reader.line_num}{question if width == 1 else ''}"
                    raise DataError(message, file=stored.file, row=row)
                line = reader.line_num
        except csv.Error:
            message = f"a quote doesn't close where its field ends; see line {line + 1}"
            raise DataError(message, file=stored.file, row=row + 1) from None
        finally:
            text.detach()  # the stream is closed by its owner
