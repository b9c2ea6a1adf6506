"""Sheets of workbooks: .xlsx, .xlsb, .xls and .ods, read by python-calamine.

The cells become what a CSV file of the sheet contains, so both give the same network. Dates are
text such as 2024-12-31, percentages are shares, and whole numbers have no decimal point.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from dlcli.errors import DataError, did_you_mean, first_names, listed, plural, require_packages
from dlcli.tables.memory_tables import array_of_objects
from dlcli.tables.source_files import Batches, SourceFile
from dlcli.tables.stored_columns import batch_rows
from dlcli.tables.table import FileNote
from dlcli.tables.table_formats import CsvFormat, TableFormat
from dlcli.tables.text_header import TextHeader, read_text_header
from dlcli.tables.text_lines import without_footer
from dlcli.tables.workbook_limits import SheetSize, damaged, measure_workbook

if TYPE_CHECKING:
    from python_calamine import CalamineSheet, CalamineWorkbook

_MOST_EXPANDED = 50
"""Limit of the ratio of a workbook's size in memory to the size of its file."""
_SAMPLE_ROWS = 1000
"""Number of rows by which the header is recognized."""
_MOST_TITLE_ROWS = 20
_MOST_MERGED_LINES = 4
"""Maximum number of header lines with merged cells above the last line."""
_WHOLE = 2.0**53
_ERROR = re.compile(r"#(?:N/A|REF!|DIV/0!|VALUE!|NAME\?|NUM!|NULL!|SPILL!|CALC!)")
_SHEET_OPTION = "set data.sheet (--sheet in init and inspect)"
Row = list[Any]
"""The values of a row: None, `bool`, `int`, `float`, `str`, `date` or `datetime`."""


def open_workbook(stored: SourceFile, form: TableFormat) -> Batches:
    """Open a sheet of a workbook.

    Raises:
        UsageError: without python-calamine.
        DataError: for a damaged or too large workbook, or a sheet that does not exist or must be
            chosen.
    """
    require_packages(f"reading {stored.file}", "excel", "python_calamine")
    from python_calamine import CalamineError, load_workbook

    if stored.path is None or stored.compression is not None:
        stored = stored.in_memory()
    most = stored.most_bytes(_MOST_EXPANDED)
    sizes = dict[str, SheetSize]()
    with stored.open() as stream:
        if stream.read(2) == b"PK":
            sizes = measure_workbook(stream, most, stored.file)
    try:
        source = stored.path or io.BytesIO(stored.content)
        with load_workbook(source) as workbook:
            sheet = _choose_sheet(workbook, form, stored.file)
    except CalamineError as error:
        raise damaged(stored.file, error) from None
    opened = _open_sheet(sheet, form, stored.file)
    errors = sizes.get(sheet.name, SheetSize()).errors
    first = sheet.start[1] if sheet.start else 0
    return opened.batches({at - first: count for at, count in errors.items() if count})


def _choose_sheet(workbook: CalamineWorkbook, form: TableFormat, file: str) -> CalamineSheet:
    """Return the named sheet, or the only visible sheet that has cells.

    A workbook to predict may have a single sheet with another name than that of training.

    Raises:
        DataError: if there is no such sheet, or several.
    """
    from python_calamine import SheetTypeEnum, SheetVisibleEnum

    sheets = [each for each in workbook.sheets_metadata if each.typ == SheetTypeEnum.WorkSheet]
    names = [each.name for each in sheets]
    if (name := form.sheet) and not (form.columns and name not in names and len(names) == 1):
        if name not in names:
            hint = did_you_mean(name, names) or f"; it has {listed(names)}"
            raise DataError(f"has no sheet '{name}'{hint}", file=file)
        return workbook.get_sheet_by_name(name)
    visible = [each.name for each in sheets if each.visible == SheetVisibleEnum.Visible]
    found = [sheet for each in visible if (sheet := workbook.get_sheet_by_name(each)).end]
    if len(found) > 1:
        choices = listed([sheet.name for sheet in found])
        largest = max(found, key=lambda sheet: sheet.height * sheet.width).name
        way_out = f"{_SHEET_OPTION}; '{largest}' is the largest"
        raise DataError(f"has several sheets, {choices}; {way_out}", file=file)
    if not found:
        hidden = f"; hidden: {listed(names)}" if len(names) > len(visible) else ""
        raise DataError(f"has no visible sheet with cells{hidden}", file=file)
    return found[0]


@dataclass
class _Column:
    """The types of a column's values."""

    types: set[type] = field(default_factory=set)
    has_time: bool = False
    """Whether a date has a time of day."""
    errors: int = 0
    """Number of cells with an error such as #N/A."""

    def add(self, value: object) -> None:
        """Take note of a value."""
        self.types.add(type(value))
        self.has_time |= isinstance(value, datetime) and value.time() != time()

    @property
    def storage(self) -> pa.DataType:
        """The type in Arrow."""
        if self.types == {bool}:
            return pa.bool_()
        if self.types == {int}:
            return pa.int64()
        return pa.float64() if self.types in ({float}, {int, float}) else pa.string()

    def array(self, values: Sequence[Any], file: str, name: str) -> pa.Array:
        """Return some of the column's values in its type."""
        storage = self.storage
        if all(value is None for value in values):
            return pa.nulls(len(values), storage)
        if pa.types.is_string(storage):
            values = [None if value is None else self.text(value) for value in values]
        elif pa.types.is_floating(storage):
            values = [None if value is None else float(value) for value in values]
        return array_of_objects(values, file, name).cast(storage)

    def text(self, value: object) -> str:
        """Return a value as in CSV."""
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, datetime):
            return str(value if self.has_time else value.date())
        if isinstance(value, date) and self.has_time:
            return f"{value} 00:00:00"
        return str(value)


@dataclass
class _OpenSheet:
    """A sheet whose header is known."""

    sheet: CalamineSheet
    file: str
    form: TableFormat
    header: TextHeader
    file_notes: list[FileNote]

    def batches(self, errors: dict[int, int]) -> Batches:
        """Return the rows.

        Args:
            errors: the number of cells with an error, by the index of the column.
        """
        names, columns = self.header.names, [_Column() for _ in self.header.names]
        for row in self._rows():
            for column, value in zip(columns, row, strict=False):
                if isinstance(value, str) and _ERROR.fullmatch(value):
                    column.errors += 1
                elif value is not None:
                    column.add(value)
        # Empty columns without a name are formatted cells next to the table.
        read = [
            at
            for at, column in enumerate(columns)
            if column.types or column.errors or names[at] != f"column_{at + 1}"
        ]
        schema = pa.schema([(names[at], columns[at].storage) for at in read])
        wrong = Counter({names[at]: columns[at].errors + errors.get(at, 0) for at in read})
        notes = [*self.file_notes, *self.header.file_notes]
        if found := [name for name, count in wrong.items() if count]:
            cells = plural(sum(wrong.values()), "cell")
            message = f"{cells} with an error such as #N/A in {listed(found)} count as missing"
            notes.append(FileNote(message, True))

        def rows() -> Iterator[pa.RecordBatch]:
            size, source = batch_rows(len(read)), self._rows()
            while some := list(islice(source, size)):
                arrays = [
                    columns[at].array([self._value(row, at) for row in some], self.file, names[at])
                    for at in read
                ]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)

        nameless = tuple(name for name in self.header.nameless if name in schema.names)
        return Batches(schema, rows(), file_notes=tuple(notes), nameless=nameless)

    def _rows(self) -> Iterator[Row]:
        header = self.header.records
        return islice(_rows(self.sheet, self.form, header), header, None)

    @staticmethod
    def _value(row: Row, at: int) -> object:
        value = row[at] if at < len(row) else None
        return None if isinstance(value, str) and _ERROR.fullmatch(value) else value


def _open_sheet(sheet: CalamineSheet, form: TableFormat, file: str) -> _OpenSheet:
    """Find the header of a sheet.

    Raises:
        DataError: see `read_text_header`.
    """
    notes, form = list[FileNote](), _plain_form(sheet, form)
    sample = list(islice(_rows(sheet, form), _SAMPLE_ROWS))
    is_auto, titles = form.header == "auto" and not form.names, 0
    if is_auto and not form.skip_lines and (titles := _title_rows(sample)):
        shown = first_names([f"'{value}'" for row in sample[:titles] for value in row if value], 3)
        notes.append(FileNote(f"{plural(titles, 'line')} above the header omitted: {shown}"))
        # Rows are counted in the sheet, which may have empty rows above and between the titles.
        form = replace(form, skip_lines=_sheet_row(sheet, titles))
        sample = sample[titles:]
    if is_auto and (lines := _merged_header_lines(sheet, form)):
        message = f"{lines + 1} header lines, because cells are merged; their names are joined"
        notes.append(FileNote(message))
        form = replace(form, header=lines + 1)
    first = titles + (form.header if isinstance(form.header, int) else 1)
    if titles and (number := _sheet_row(sheet, first)):
        notes[0] = notes[0]._replace(
            message=f"{notes[0].message}; row 1 is row {number + 1} of the sheet"
        )
    as_text = replace(form, format=CsvFormat(delimiter=","), comment="", skip_lines=0, footer="")
    header = read_text_header(_written(sample), as_text, file)
    if titles:  # which are recognized only if the header is, too
        header = replace(header, file_notes=tuple(_with_titles(header, form.skip_lines)))
    return _OpenSheet(sheet, file, form, header, notes)


def _with_titles(header: TextHeader, skip_lines: int) -> Iterator[FileNote]:
    """Yield the notes on a header; one that needs a setting also needs the titles to be skipped."""
    way_out = f"and data.skip_lines: {skip_lines} (--skip-lines {skip_lines})"
    for note in header.file_notes:
        if not note.settings:
            yield note
            continue
        settings = (*note.settings, ("skip_lines", skip_lines))
        yield note._replace(message=f"{note.message} {way_out}", settings=settings)


def _plain_form(sheet: CalamineSheet, form: TableFormat) -> TableFormat:
    """Return the format of a plain sheet if its first row has the columns of training."""
    if form.columns:
        plain = TableFormat(header=1, sheet=form.sheet, footer=form.footer)
        names = {str(value).strip() for value in next(_rows(sheet, plain), [])}
        form = plain if names.issuperset(form.columns) else replace(form, columns=())
    return form


def _written(rows: Iterable[Row]) -> str:
    """Return rows as CSV."""
    written = io.StringIO()
    column = _Column()
    csv.writer(written).writerows(
        ["" if value is None else column.text(value) for value in row] for row in rows
    )
    return written.getvalue()


def _title_rows(rows: Sequence[Row]) -> int:
    """Return the number of rows above the header that have only one value: titles."""
    widths = [sum(value is not None for value in row) for row in rows[: _MOST_TITLE_ROWS + 1]]
    count = next((at for at, width in enumerate(widths) if width > 1), 0)
    is_text = all(isinstance(value, str | None) for row in rows[:count] for value in row)
    return count if is_text else 0


def _sheet_row(sheet: CalamineSheet, count: int) -> int:
    """Return the index in the sheet of the row after some rows with values; 0 if there is none."""
    numbered = (at for at, row in enumerate(sheet.iter_rows()) if any(each != "" for each in row))
    return next(islice(numbered, count, None), 0)


def _merged_header_lines(sheet: CalamineSheet, form: TableFormat) -> int:
    """Return the number of header lines above the last one: those with merged neighbors."""
    merged = {top for (top, left), (_, right) in sheet.merged_cell_ranges or () if right > left}
    first = max(form.skip_lines, sheet.start[0] if sheet.start else 0)
    lines = 0
    while first + lines in merged and lines < _MOST_MERGED_LINES:
        lines += 1
    return lines


# Rows


def _rows(sheet: CalamineSheet, form: TableFormat, header: int = _SAMPLE_ROWS) -> Iterator[Row]:
    """Return the rows of a sheet that have values, without comments, titles and the footer.

    Args:
        sheet: the sheet.
        form: the format.
        header: the number of header lines; below them, merged cells apply to all their rows.
    """
    rows = _with_values(sheet, form, header)
    if not form.footer:
        return rows
    return without_footer(rows, form.footer, _beginning)


def _with_values(sheet: CalamineSheet, form: TableFormat, header: int) -> Iterator[Row]:
    merged, count = _merged_rows(sheet), 0
    lasting: dict[int, tuple[int, Any]] = {}
    for number, cells in enumerate(sheet.iter_rows()):
        row = [_plain(cell) for cell in cells]
        for column, last in merged.get(number, ()) if count >= header else ():
            lasting[column] = last, row[column]
        if number < form.skip_lines or all(value is None for value in row):
            continue
        for column, (last, value) in lasting.items():
            if number <= last:
                row[column] = value
        first = next(value for value in row if value is not None)
        if form.comment and isinstance(first, str) and first.startswith(form.comment):
            continue
        yield row
        count += 1


def _merged_rows(sheet: CalamineSheet) -> dict[int, list[tuple[int, int]]]:
    """Return the column and last row of merged cells of several rows, by their first row.

    Their value applies to all of these rows. Cells of several columns are headers or titles.
    """
    found: dict[int, list[tuple[int, int]]] = {}
    start = sheet.start or (0, 0)
    for (top, left), (bottom, right) in sheet.merged_cell_ranges or ():
        column = left - start[1]
        if bottom > top and left == right and 0 <= column < sheet.width:
            found.setdefault(top, []).append((column, bottom))
    return found


def _plain(cell: object) -> object:
    """Return the value of a cell: whole numbers as integers, None for an empty cell."""
    if isinstance(cell, float):
        return int(cell) if cell.is_integer() and abs(cell) < _WHOLE else cell
    if isinstance(cell, str):
        return cell if cell.strip() else None
    if isinstance(cell, time):
        return str(cell)
    if isinstance(cell, timedelta):
        return _plain(cell.total_seconds())
    return cell


def _beginning(row: Row) -> str:
    """Return the text of the first value of a row."""
    return str(next(value for value in row if value is not None))
