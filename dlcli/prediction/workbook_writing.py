"""Rows written to a workbook (.xlsx) by XlsxWriter, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, BinaryIO

from dlcli.errors import UsageError, require_packages
from dlcli.prediction.predictions import finite_or_none

_MOST_ROWS = 2**20
"""Rows of a sheet, with the header."""
_MOST_COLUMNS = 2**14
_LONGEST_TEXT = 32_767
_LARGEST_EXACT = 10**15
"""Integers with more digits are written as text, because Excel stores 15 digits."""
_OPTIONS = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}


class WorkbookWriter:
    """Writes rows to the only sheet of a new workbook. Texts are never formulas.

    Raises:
        UsageError: without XlsxWriter.
    """

    def __init__(self, stream: BinaryIO) -> None:
        require_packages("writing .xlsx", "excel", "xlsxwriter")
        from xlsxwriter import Workbook

        self._book: Any = Workbook(stream, _OPTIONS)
        self._book.set_properties({"created": datetime(1980, 1, 1)})  # equal rows, equal bytes
        self._sheet: Any = self._book.add_worksheet("predictions")
        self._rows = 0

    def write(self, records: Iterable[Sequence[object]]) -> None:
        """Write rows; missing and non-finite values are empty cells.

        Raises:
            UsageError: for more rows or columns, or a longer text, than a sheet can have.
        """
        for record in records:
            if self._rows >= _MOST_ROWS or len(record) > _MOST_COLUMNS:
                message = f"a sheet has at most {_MOST_ROWS:,} rows and {_MOST_COLUMNS:,} columns"
                raise UsageError(f"{message}; write to a file that ends in .csv or .parquet")
            for column, value in enumerate(map(finite_or_none, record)):
                self._write_cell(column, value)
            self._rows += 1

    def _write_cell(self, column: int, value: object) -> None:
        place = self._rows, column
        if isinstance(value, bool):
            self._sheet.write_boolean(*place, value)
        elif isinstance(value, float) or (isinstance(value, int) and abs(value) < _LARGEST_EXACT):
            self._sheet.write_number(*place, value)
        elif value is not None:
            text = str(value)
            if len(text) > _LONGEST_TEXT:
                message = f"row {self._rows} has a text of {len(text):,} characters, but a cell has"
                way_out = "write to a file that ends in .csv or .parquet"
                raise UsageError(f"{message} at most {_LONGEST_TEXT:,}; {way_out}")
            self._sheet.write_string(*place, text)

    def close(self) -> None:
        """Write the workbook to its stream.

        Raises:
            OSError: if the stream can't be written.
        """
        from xlsxwriter.exceptions import FileCreateError

        try:
            self._book.close()
        except FileCreateError as error:  # its only argument is the error of the system
            cause = error.args[0]
            raise (cause if isinstance(cause, OSError) else OSError(str(cause))) from None
