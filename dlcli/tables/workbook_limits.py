"""Limits of workbooks: the parts of a workbook are measured before a library loads them.

A small workbook can contain gigabytes: compressed zeros, a cell in the last row and column, a long
text that many cells share, or a cell that is repeated. All parts are decompressed in blocks, and
their cells are counted, in constant memory.
"""

from __future__ import annotations

import zlib
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import BinaryIO
from xml.parsers import expat
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from dlcli.errors import DataError

_BLOCK_BYTES = 2**16
_CELL_BYTES = 32
"""Memory of an empty cell."""
_LOCAL_HEADER = 30
_SHARED_STRINGS = ("xl/sharedStrings.xml", "xl/sharedStrings.bin")
_NAMING = ("xl/workbook.xml", "xl/_rels/workbook.xml.rels")
_STRING_ITEM, _ROW, _ERROR_CELLS, _SHARED_CELL, _LAST_CELL = 19, 0, (3, 11), 7, 11
"""Kinds of records of binary workbooks ([MS-XLSB] 2.3.2): a text, a row, and cells from 1 on."""


@dataclass
class SheetSize:
    """The extent of a sheet."""

    rows: int = 0
    columns: int = 0
    text: int = 0
    """The size of the texts that cells share or repeat."""
    errors: Counter[int] = field(default_factory=Counter)
    """The number of cells with an error such as #N/A, by the index of the column."""

    def add(self, row: int, column: int) -> None:
        """Count a cell, given by its row and column from 0."""
        self.rows, self.columns = max(self.rows, row + 1), max(self.columns, column + 1)

    @property
    def memory(self) -> int:
        """The memory for all cells, in bytes."""
        return self.rows * self.columns * _CELL_BYTES + self.text


def measure_workbook(stream: BinaryIO, most: int, file: str) -> dict[str, SheetSize]:
    """Return the sizes of the sheets of a ZIP workbook, by the name of the sheet or its part.

    Args:
        stream: the workbook.
        most: the maximum number of bytes, decompressed and as cells.
        file: its name, for messages.

    Raises:
        DataError: for a workbook that exceeds the limit or is damaged.
    """
    too_large = DataError(
        f"expands to over {most >> 20:,} MiB, far more than usual for a workbook of its size; "
        "if it is a table, export it as CSV",
        file=file,
    )
    try:
        with ZipFile(stream) as archive:
            parts = archive.infolist()
        if sum(part.file_size for part in parts) > most:
            raise too_large
        return _measure_parts(stream, parts, most, too_large)
    except (BadZipFile, zlib.error, expat.ExpatError, ValueError, EOFError, IndexError) as error:
        raise damaged(file, error) from None


def _measure_parts(
    stream: BinaryIO, parts: Sequence[ZipInfo], most: int, too_large: DataError
) -> dict[str, SheetSize]:
    sizes, names = dict[str, SheetSize](), dict[str, str]()
    lengths = list[int]()
    # Shared texts first, because sheets refer to them.
    for part in sorted(parts, key=lambda part: part.filename not in _SHARED_STRINGS):
        blocks, name = _decompressed(stream, part, too_large), part.filename
        is_xml = name.endswith(".xml")
        if name in _SHARED_STRINGS:
            lengths = _text_lengths(blocks, is_xml=is_xml)
        elif name in _NAMING:
            names |= _sheet_names(blocks)
        elif name == "content.xml":
            sizes[name] = _open_document(blocks)
        elif name.startswith("xl/worksheets/") and name.endswith((".xml", ".bin")):
            sizes[name] = (_xml_sheet if is_xml else _binary_sheet)(blocks, lengths)
        else:
            deque(blocks, maxlen=0)
        if name in sizes and sizes[name].memory > most:
            raise too_large
    return {names.get(names.get(part, ""), part): size for part, size in sizes.items()}


def damaged(file: str, error: Exception) -> DataError:
    """Return the error for a workbook that can't be read."""
    reason = str(error).partition("\n")[0].rstrip(".")
    return DataError(
        f"is not a complete workbook; it may be damaged or have a password, so save it again "
        f"({reason})",
        file=file,
    )


def _decompressed(stream: BinaryIO, part: ZipInfo, too_large: DataError) -> Iterator[bytes]:
    """Yield a part in blocks, and check that it has the size that the directory states."""
    stream.seek(part.header_offset)
    header = stream.read(_LOCAL_HEADER)
    stream.seek(
        sum(int.from_bytes(header[at : at + 2], "little") for at in (26, 28))
        + part.header_offset
        + _LOCAL_HEADER
    )
    left, size = part.compress_size, 0
    if part.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise BadZipFile("unknown compression")
    inflate = zlib.decompressobj(-zlib.MAX_WBITS) if part.compress_type == ZIP_DEFLATED else None
    pending = b""
    while left or pending:
        if not pending:
            pending = stream.read(min(left, _BLOCK_BYTES))
            left -= len(pending)
            if not pending:
                raise EOFError("it ends early")
        if inflate is None:
            block, pending = pending, b""
        else:
            block = inflate.decompress(pending, _BLOCK_BYTES)
            pending = inflate.unconsumed_tail
        size += len(block)
        if size > part.file_size:
            raise too_large
        yield block


def _parse(blocks: Iterator[bytes], parser: expat.XMLParserType) -> None:
    parser.buffer_text = True
    for block in blocks:
        parser.Parse(block)
    parser.Parse(b"", True)


def _local(name: str) -> str:
    """Return the name of an element without its namespace."""
    return name.rpartition(":")[2]


def _text_lengths(blocks: Iterator[bytes], *, is_xml: bool) -> list[int]:
    """Return the size of each shared text."""
    if not is_xml:
        return [len(data) for kind, data in _records(blocks) if kind == _STRING_ITEM]
    lengths, parser = list[int](), expat.ParserCreate()

    def start(name: str, _: dict[str, str]) -> None:
        if _local(name) == "si":
            lengths.append(0)

    def characters(text: str) -> None:
        if lengths:
            lengths[-1] += len(text)

    parser.StartElementHandler, parser.CharacterDataHandler = start, characters
    _parse(blocks, parser)
    return lengths


def _xml_sheet(blocks: Iterator[bytes], lengths: list[int]) -> SheetSize:
    """Measure a sheet of .xlsx."""
    size, parser = SheetSize(), expat.ParserCreate()
    row, column, is_shared = -1, -1, False

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal row, column, is_shared
        name, place = _local(name), attributes.get("r", "")
        if name == "row":
            row, column = int(place) - 1 if place else row + 1, -1
        elif name == "c":
            letters = place.rstrip("0123456789")
            column = _column_index(letters) if letters else column + 1
            row = int(place[len(letters) :]) - 1 if place else row
            size.add(row, column)
            kind = attributes.get("t")
            size.errors[column] += kind == "e"
            is_shared = kind == "s"

    def characters(text: str) -> None:
        if is_shared:
            with suppress(ValueError, IndexError):
                size.text += lengths[int(text)]

    parser.StartElementHandler, parser.CharacterDataHandler = start, characters
    _parse(blocks, parser)
    return size


def _column_index(letters: str) -> int:
    """Return the index of a column from its letters: 0 for A."""
    index = 0
    for letter in letters.upper():
        index = 26 * index + ord(letter) - 64
    return index - 1


def _open_document(blocks: Iterator[bytes]) -> SheetSize:
    """Measure all sheets of .ods; rows and cells can be repeated."""
    size, parser = SheetSize(), expat.ParserCreate()
    row = column = rows = columns = 0
    has_value = False

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal row, column, rows, columns, has_value
        name = _local(name)
        if name == "table":
            row = rows = 0
        elif name == "table-row":
            row, column, columns = row + rows, 0, 0
            rows = int(attributes.get("table:number-rows-repeated", 1))
        elif name in ("table-cell", "covered-table-cell"):
            column, columns = (
                column + columns,
                int(attributes.get("table:number-columns-repeated", 1)),
            )
            has_value = "office:value-type" in attributes
            if has_value:
                size.add(row + rows - 1, column + columns - 1)

    def characters(text: str) -> None:
        if has_value and rows * columns > 1:
            size.text += len(text) * rows * columns

    parser.StartElementHandler, parser.CharacterDataHandler = start, characters
    _parse(blocks, parser)
    return size


def _binary_sheet(blocks: Iterator[bytes], lengths: list[int]) -> SheetSize:
    """Measure a sheet of .xlsb."""
    size, row = SheetSize(), 0
    for kind, data in _records(blocks):
        if kind == _ROW:
            row = int.from_bytes(data[:4], "little")
        elif kind <= _LAST_CELL:
            column = int.from_bytes(data[:4], "little")
            size.add(row, column)
            size.errors[column] += kind in _ERROR_CELLS
            if kind == _SHARED_CELL:
                size.text += lengths[int.from_bytes(data[8:12], "little")]
    return size


def _records(blocks: Iterator[bytes]) -> Iterator[tuple[int, bytes]]:
    """Yield the records of a binary part: the kind and the content."""
    held, at = b"", 0
    for block in blocks:
        held, at = held[at:] + block, 0
        while (found := _record(held, at)) is not None:
            kind, start, at = found
            yield kind, held[start:at]


def _record(data: bytes, at: int) -> tuple[int, int, int] | None:
    """Return the kind, the start and the end of the record at an index, if it is complete."""
    fields = []
    for most in (2, 4):
        number = shift = 0
        for _ in range(most):
            if at >= len(data):
                return None
            number |= (data[at] & 0x7F) << shift
            shift, at = shift + 7, at + 1
            if not data[at - 1] & 0x80:
                break
        fields.append(number)
    kind, length = fields
    return (kind, at, at + length) if at + length <= len(data) else None


def _sheet_names(blocks: Iterator[bytes]) -> dict[str, str]:
    """Return the names of sheets by their relation, or the relations by the part of a sheet."""
    found, parser = dict[str, str](), expat.ParserCreate()

    def start(name: str, attributes: dict[str, str]) -> None:
        if _local(name) == "sheet" and "name" in attributes:
            relation = next((each for key, each in attributes.items() if _local(key) == "id"), "")
            found[relation] = attributes["name"]
        elif _local(name) == "Relationship":
            target = attributes.get("Target", "")
            part = target.removeprefix("/") if target.startswith("/") else f"xl/{target}"
            found[part] = attributes.get("Id", "")

    parser.StartElementHandler = start
    _parse(blocks, parser)
    return found
