"""The delimiter and the header of delimited text, and the names of its columns."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice

from dlcli.errors import DataError, first_names, listed, plural
from dlcli.tables.header_detection import check_is_header, is_number, names_among_values
from dlcli.tables.source_files import WRITE_HEADER
from dlcli.tables.table import FileNote
from dlcli.tables.table_formats import TableFormat, is_tsv
from dlcli.tables.text_lines import (
    BYTE_ORDER_MARK,
    SPACES,
    RowLines,
    long_fields,
    separator,
    strict_records,
)

WRONG_QUOTE = "a closing quote is missing or not at the end of its field"
ROW_NAME = "row_name"
"""The name of the first column if the header lacks it, as in files that R writes."""
_DELIMITERS = (",", "\t", ";", "|")
"""The candidates, the most common first."""
_SAMPLE_RECORDS = 20
_MOST_RECORDS = 1000
"""Maximum number of rows that are compared with the first line."""
_SAMPLE_CHARACTERS = 2**16
_TITLE = "if it is a title, set data.skip_lines (--skip-lines in init and inspect)"
_EXCEL_HINT = re.compile(r"(?i)\"?sep=.?\"?(?=[\r\n])")


@dataclass(frozen=True)
class TextHeader:
    """The header of a file."""

    names: tuple[str, ...]
    """The columns' names."""
    delimiter: str
    size: int
    """Number of UTF-8 bytes before the first row."""
    records: int
    """Number of records before the first row."""
    form: TableFormat
    """The format of the file; a plain file has only a header and rows."""
    file_notes: tuple[FileNote, ...] = ()
    """On delimiter and names."""
    nameless: tuple[str, ...] = ()
    """The names that dlcli gave to columns without one."""


def read_text_header(text: str, form: TableFormat, file: str) -> TextHeader:
    """Read the delimiter and the names of the columns.

    Spaces around a name are removed. A column without a name is called by its position, and a
    repeated name gets a number.

    Args:
        text: the file's beginning, with the whole of the header.
        form: the declared format.
        file: its name, for messages.

    Raises:
        DataError: for an empty file, a first line that is a row or a title, or a number of names
            that does not fit.
    """
    form = _plain_form(text, form, file)
    delimiter, notes = find_delimiter(text, form, file)
    body = text.removeprefix(BYTE_ORDER_MARK)
    all_lines = list(io.StringIO(body, newline=""))
    _refuse_excel_hint(all_lines[form.skip_lines :], file)
    lines = RowLines(all_lines, replace(form, footer=""), delimiter)
    reader = filter(None, strict_records(lines, delimiter))
    try:
        with long_fields():
            if (first := next(reader, None)) is None:
                raise DataError("is empty, expected a header and rows", file=file)
            records = [first] if _has_header(first, form) else []
            if records and isinstance(form.header, int):
                records += islice(reader, form.header - 1)
    except csv.Error:
        raise DataError(f"in the header, {WRONG_QUOTE}", file=file) from None
    end = lines.number if records else form.skip_lines
    size = len((text[: len(text) - len(body)] + "".join(all_lines[:end])).encode())
    header = TextHeader((), delimiter, size, len(records), form, notes)
    if not records:
        return replace(header, names=_declared_names(len(first), form, file))
    if len(form.names) == len(first):
        return replace(header, names=form.names)
    rows = _next_records(reader)
    if form.header == "auto":
        check_is_header(first, rows, file)
        header = replace(header, file_notes=(*notes, *_second_header_notes(rows)))
    return _named(header, _joined(records), rows, file)


def _plain_form(text: str, form: TableFormat, file: str) -> TableFormat:
    """Return the format of a plain file if its first line has the columns of training.

    It may have totals at the end.
    """
    if not form.columns:
        return form
    plain = TableFormat(form.format, header=1, footer=form.footer)
    records = sample_records(text, plain, separator(find_delimiter(text, plain, file)[0]))
    names = {name.strip() for name in records[0]} if records else set()
    return plain if names.issuperset(form.columns) else form


def _refuse_excel_hint(lines: Sequence[str], file: str) -> None:
    first = next((line for line in lines if line.strip("\r\n")), "")
    if hint := _EXCEL_HINT.match(first):
        raise DataError(f"its first line, '{hint[0]}', is meant for Excel; delete it", file=file)


def _has_header(first: Sequence[str], form: TableFormat) -> bool:
    """Return whether a file has a header, which may also be that of a plain file."""
    if form.header == "none" or (form.header == "auto" and form.names):
        fields = [field.strip() for field in first]
        known = set(form.names).intersection(fields)
        return len({*fields}) == len(fields) and 2 * len(known) > len(fields)
    return True


def _declared_names(width: int, form: TableFormat, file: str) -> tuple[str, ...]:
    """Return the names of a file without a header.

    Raises:
        DataError: if their number differs from that of the fields.
    """
    if not form.names:
        return tuple(f"column_{at}" for at in range(1, width + 1))
    present = tuple(name for name in form.names if name not in form.absent)
    for names in (form.names, present):
        if len(names) == width:
            return names
    message = f"has {plural(len(form.names), 'name')}, but the first row has"
    raise DataError(f"data.names {message} {plural(width, 'field')}", file=file)


def _next_records(reader: Iterator[list[str]]) -> list[list[str]]:
    """Return the next records; without the last, which the end of the text may cut."""
    rows: list[list[str]] = []
    with long_fields(), suppress(csv.Error):
        rows += islice(reader, _MOST_RECORDS)
    return rows


def _second_header_notes(rows: Sequence[Sequence[str]]) -> Iterator[FileNote]:
    """Yield a note if the first row may be a second header line."""
    if names := names_among_values(rows):
        shown = first_names([f"'{name}'" for name in names], 3)
        message = f"the first row, {shown}, looks like a second header line"
        way_out = "if it is one, set data.header: 2 (--header 2 in init and inspect)"
        yield FileNote(f"{message}; {way_out}", True, settings=(("header", 2),))


def _joined(records: Sequence[Sequence[str]]) -> list[str]:
    """Join several header lines: an upper name also applies to empty fields on its right."""
    *above, names = [[field.strip() for field in record] for record in records]
    for upper in reversed(above):
        last, parts = "", []
        for at, name in enumerate(names):
            own = upper[at] if at < len(upper) else ""
            last = own or (last if name else "")
            parts.append(" ".join(filter(None, (last, name))))
        names = parts
    return names


def _named(
    header: TextHeader, names: list[str], rows: Sequence[Sequence[str]], file: str
) -> TextHeader:
    """Complete the names of a header: row names, columns without a name, and repeated names.

    Raises:
        DataError: if most columns have no name.
    """
    notes, nameless = [*header.file_notes], []
    sample = rows[:_SAMPLE_RECORDS]
    if _have_row_names(sample, len(names)):
        names, nameless = [ROW_NAME, *names], [ROW_NAME]
        message = f"the header has one field less than the rows, so the first column is {ROW_NAME}"
        notes.append(FileNote(message))
    elif not names[0]:
        names[0] = "column_1"
        nameless = ["column_1"]
    empty = [at for at, name in enumerate(names) if not name]
    filled = [at for at in empty if any(row[at].strip() for row in rows if at < len(row))]
    if 2 * len(filled) > len(names) > 2:
        named = f"the header has names for {len(names) - len(empty)} of {len(names)} columns"
        raise DataError(f"{named}; name all columns; {_TITLE}", file=file)
    for at in empty:
        names[at] = f"column_{at + 1}"
    if filled:
        given = listed([names[at] for at in filled])
        notes.append(FileNote(f"columns without a name are called {given}", True))
    names, renamed = _distinct(names)
    if renamed:
        notes.append(FileNote(f"the header repeats names; renamed: {listed(renamed)}", True))
    notes += _note_on_names(names)
    return replace(header, names=tuple(names), file_notes=tuple(notes), nameless=tuple(nameless))


def _distinct(names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Give repeated names a number, as pandas does: `x`, `x.1`, `x.2`; also return the new names.

    Args:
        names: the names of all columns.
    """
    taken, found, renamed = set(names), [], []
    counts: dict[str, int] = {}
    for name in names:
        count = counts.get(name, -1) + 1
        new = f"{name}.{count}" if count else name
        while count and new in taken:
            count += 1
            new = f"{name}.{count}"
        counts[name] = count
        taken.add(new)
        found.append(new)
        renamed += [new] * (new != name)
    return found, renamed


def find_delimiter(text: str, form: TableFormat, file: str) -> tuple[str, tuple[FileNote, ...]]:
    """Find the delimiter that gives the first records as many fields as the header.

    Args:
        text: the file's beginning.
        form: the declared format.
        file: the file's name, which may have the ending of TSV.

    Returns:
        The delimiter, and notes on it.

    Raises:
        DataError: if fields are separated by several spaces.
    """
    if form.csv.delimiter != "auto":
        return form.csv.delimiter, ()
    expected = "\t" if is_tsv(file) else ","
    candidates = sorted(_DELIMITERS, key=lambda sign: sign != expected)
    records = {sign: sample_records(text, form, sign) for sign in candidates}
    found = {sign: fit for sign in candidates if (fit := _fit(records[sign]))[1] > 1}
    if not found:
        return _spaces(text, form) or (",", tuple(_title_notes(records)))
    best = max(found, key=lambda sign: (found[sign][0], found[sign][0] and found[sign][1]))
    names = {sign: "tab" if sign == "\t" else f"'{sign}'" for sign in found}
    rivals = [names[sign] for sign, (share, _) in found.items() if share == found[best][0] == 1]
    if len(rivals) > 1:
        message = f"the delimiter could be {' or '.join(rivals)}; {names[best]} was chosen; "
        way_out = "to choose, set data.format: {name: csv, delimiter: ...}"
        return best, (FileNote(message + way_out, True),)
    return best, () if best == expected else (FileNote(f"the delimiter is {names[best]}"),)


def _spaces(text: str, form: TableFormat) -> tuple[str, tuple[FileNote, ...]] | None:
    """Return the delimiter and a note if spaces separate numbers, and perhaps words.

    The delimiter is one space, or any number of them in tables with aligned columns.
    """
    for delimiter, called in ((" ", "a space"), (SPACES, "one or more spaces")):
        rows = sample_records(text, form, delimiter)
        if len(rows) < 2:
            return None
        width = len(rows[-1])
        values = [field for row in rows[1:] for field in row]
        is_table = all(len(row) == width for row in rows[1:]) and len(rows[0]) in (width - 1, width)
        if len(rows[0]) < 2 or not is_table or "" in values:
            continue
        if sum(is_number(value) is not None for value in values) >= len(values) / 2:
            return delimiter, (FileNote(f"the delimiter is {called}"),)
    return None


def _title_notes(records: Mapping[str, Sequence[list[str]]]) -> Iterator[FileNote]:
    """Yield a note if the first line may be a title: all other lines have several fields."""
    for sign, of_sign in records.items():
        widths = {len(record) for record in of_sign[1:]}
        if len(widths) == 1 and (width := widths.pop()) > 1:
            name = "tab" if sign == "\t" else f"'{sign}'"
            message = f"the first line has no {name}, but all other lines have {width - 1}"
            yield FileNote(f"{message}; {_TITLE}", True)


def _fit(records: Sequence[list[str]]) -> tuple[float, int]:
    """Return the share of rows with as many fields as the header, and the number of these.

    All rows may have one field more, a row name.
    """
    width = len(records[0]) if records else 0
    rows = records[1:]
    if _have_row_names(rows, width):
        return 1.0, width
    return sum(len(row) == width for row in rows) / max(len(rows), 1), width


def _have_row_names(rows: Sequence[Sequence[str]], width: int) -> bool:
    """Return whether rows have a field more than the header: distinct names, as R writes them."""
    if len(rows) < 2 or width < 2 or any(len(row) != width + 1 for row in rows):
        return False
    end_with_delimiter = not any(row[-1].strip() for row in rows)
    return len({row[0] for row in rows}) == len(rows) and not end_with_delimiter


def sample_records(text: str, form: TableFormat, delimiter: str) -> list[list[str]]:
    """Return the first records, including the header."""
    sample = text[:_SAMPLE_CHARACTERS].removeprefix(BYTE_ORDER_MARK)
    lines = RowLines(io.StringIO(sample, newline=""), replace(form, footer=""), delimiter)
    records = list(filter(None, csv.reader(iter(lines), delimiter=separator(delimiter))))
    if len(text) > _SAMPLE_CHARACTERS:
        records.pop()  # it may be incomplete
    return records[: 1 + _SAMPLE_RECORDS]


def _note_on_names(names: Sequence[str]) -> Iterator[FileNote]:
    """Yield a note if the names look like a row: they contain a fraction, or only numbers.

    Consecutive integers are accepted, since programs number nameless columns.

    Args:
        names: the names of the columns of a file that may lack a header.
    """
    numbers = [name for name in names if is_number(name)]
    fractions = [name for name in numbers if not name.isdecimal()]
    if not fractions and (len(names) < 2 or len(numbers) < len(names)):
        return
    counted = [] if fractions else range(int(numbers[0]), int(numbers[0]) + len(numbers))
    if fractions or [int(number) for number in numbers] != [*counted]:
        named = f"the header contains the names {listed(fractions or numbers)}"
        yield FileNote(f"{named}; {WRITE_HEADER}", True)
