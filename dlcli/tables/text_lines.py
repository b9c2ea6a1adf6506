"""The lines of delimited text that contain rows: without comments, titles and footers."""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import BinaryIO, TypeVar, cast

from dlcli.tables.remote_files import InputStream
from dlcli.tables.table_formats import LONGEST_FOOTER, TableFormat

Line = TypeVar("Line")
LONGEST_ROW = 2**24
"""Bytes of the longest row that pyarrow can read."""
BYTE_ORDER_MARK = "\ufeff"
SPACES = "spaces"
"""The delimiter of aligned columns: any number of spaces or tabs."""
_SPACES = re.compile(r'("(?:[^"]|"")*")|[ \t]+')
_SPACES_AFTER_QUOTE = re.compile(r'" +(?=[\r\n]*\Z)')
_BLOCK_CHARACTERS = 2**20


class RowLines:
    """The lines of a text that may contain the header or rows.

    Args:
        lines: all lines, with their ends.
        form: the format; its footer is only looked for at the end of the lines.
        delimiter: the delimiter; `spaces` are replaced by one space each.
    """

    def __init__(self, lines: Iterable[str], form: TableFormat, delimiter: str = "") -> None:
        self._lines, self._form, self._is_aligned = lines, form, delimiter == SPACES
        self.number = 0
        """The number of lines that were read, including those that are left out."""

    def __iter__(self) -> Iterator[str]:
        """Yield the lines."""
        lines = self._without_comments()
        footer = self._form.footer
        yield from without_footer(lines, footer, _beginning) if footer else lines

    def _without_comments(self) -> Iterator[str]:
        comment, is_in_quotes = self._form.comment, False
        for number, line in enumerate(self._lines, start=1):
            self.number = number
            if number <= self._form.skip_lines:
                continue
            if comment:
                if not is_in_quotes and line.lstrip(" \t").startswith(comment):
                    continue
                is_in_quotes ^= line.count('"') % 2 == 1
            yield _with_single_spaces(line) if self._is_aligned else line


def separator(delimiter: str) -> str:
    """Return the character between the fields of `RowLines`."""
    return " " if delimiter == SPACES else delimiter


def strict_records(lines: Iterable[str], delimiter: str) -> Iterator[list[str]]:
    """Yield the fields of records with quotes that match; iterating raises `csv.Error` otherwise.

    Args:
        lines: the lines; spaces after a quote that ends a line are accepted, as by pyarrow.
        delimiter: the delimiter.
    """
    tidy = (_SPACES_AFTER_QUOTE.sub('"', line) for line in lines)
    return csv.reader(tidy, delimiter=separator(delimiter), strict=True)


def row_stream(stream: BinaryIO, form: TableFormat, delimiter: str) -> BinaryIO:
    """Return the rows of UTF-8 text after its header, for pyarrow.

    Args:
        stream: the text after the header.
        form: the format.
        delimiter: the delimiter.
    """
    if not (form.comment or form.footer or delimiter == SPACES):
        return stream
    lines = io.TextIOWrapper(stream, encoding="utf-8", newline="")
    rows = iter(RowLines(lines, replace(form, skip_lines=0), delimiter))
    return cast(BinaryIO, _TextStream(lines, rows))


class _TextStream(InputStream):
    """A stream of the lines of a text."""

    def __init__(self, stream: io.TextIOWrapper, lines: Iterator[str]) -> None:
        self._stream, self._lines = stream, lines
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        """Return some bytes, none at the end."""
        if not self._rest:
            held, length = [], 0
            for line in self._lines:
                held.append(line)
                length += len(line)
                if length >= _BLOCK_CHARACTERS:
                    break
            self._rest = "".join(held).encode()
        size = len(self._rest) if size < 0 else size
        block, self._rest = self._rest[:size], self._rest[size:]
        return block


def _with_single_spaces(line: str) -> str:
    content = line.rstrip("\r\n")
    joined = _SPACES.sub(lambda found: found[1] or " ", content.strip(" \t"))
    return joined + line[len(content) :]


def without_footer(
    lines: Iterable[Line], footer: str | int, beginning: Callable[[Line], str]
) -> Iterator[Line]:
    """Yield lines, or rows of a sheet, without the footer.

    Args:
        lines: the lines.
        footer: the first word of the footer, or the number of its lines, without empty ones.
        beginning: returns the text with which a line begins; empty for an empty line.
    """
    held: deque[Line] = deque()
    for line in lines:
        held.append(line)
        if len(held) > LONGEST_FOOTER:
            yield held.popleft()
    texts = [beginning(line) for line in held]
    if isinstance(footer, int):
        ends = [at for at, text in enumerate(texts) if text][-footer:]
    else:
        ends = [at for at, text in enumerate(texts) if _begins_with(text, footer)]
    yield from islice(held, next(iter(ends), len(held)))


def _beginning(line: str) -> str:
    """Return a line from its first field that is not empty."""
    return line.lstrip(' \t\r\n",;|')


def _begins_with(text: str, word: str) -> bool:
    """Return whether a text begins with a word: `Total:` with `Total`, but not `Totally`."""
    is_open = word[-1:].isascii() and word[-1:].isalnum() and text[len(word) :][:1].isalnum()
    return text.startswith(word) and not is_open


@contextmanager
def long_fields() -> Iterator[None]:
    """Let the csv module read fields as long as a row may be."""
    limit = csv.field_size_limit(LONGEST_ROW)
    try:
        yield
    finally:
        csv.field_size_limit(limit)
