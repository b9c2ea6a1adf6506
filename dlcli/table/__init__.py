"""Columns read from files, with file, row and column in every error.

CSV, TSV, Parquet, Arrow IPC and JSON lines, in one file or several, become one `Table`. Fields of
CSV and TSV stay text, so that zip codes keep their zeros, and a caller says per column how they are
to be taken: as numbers, as booleans or as categories. Rows are counted from 1 after the header;
blank lines are no rows.
"""

from __future__ import annotations

from dlcli.table.reading import read_header, read_table
from dlcli.table.sources import Source, expand, name_of
from dlcli.table.table import Table

__all__ = ["Source", "Table", "expand", "name_of", "read_header", "read_table"]
