"""Columns read from files, with file, row and column in every error.

CSV, TSV, Parquet, Arrow IPC and JSON lines, in one file or several, become one `Table`. Fields of
CSV and TSV stay text, so that zip codes keep their zeros, and a caller says per column how they are
to be taken: as numbers, as booleans or as categories. Rows are counted from 1 after the header;
blank lines are no rows.
"""

from dlcli.tables.arrays import (
    blanked,
    floats,
    from_utf8,
    index_in,
    indices_of,
    integers,
    mask_to_numpy,
    strings,
    to_numpy,
    utf8,
)
from dlcli.tables.column import USUAL_MISSING_WORDS, Column, Kind, missing_setting, plain
from dlcli.tables.notation import Notation
from dlcli.tables.reading import read_header, read_table
from dlcli.tables.sources import Source, expand, name_of
from dlcli.tables.stored import storing
from dlcli.tables.table import Table
from dlcli.tables.time_guess import TimeGuess
from dlcli.tables.times import Times, parse_times
from dlcli.tables.zones import DAY, SECOND, Moments, to_local

__all__ = [
    "Column",
    "DAY",
    "Kind",
    "Moments",
    "Notation",
    "SECOND",
    "Source",
    "Table",
    "TimeGuess",
    "Times",
    "USUAL_MISSING_WORDS",
    "blanked",
    "expand",
    "floats",
    "from_utf8",
    "index_in",
    "indices_of",
    "integers",
    "mask_to_numpy",
    "missing_setting",
    "name_of",
    "parse_times",
    "plain",
    "read_header",
    "read_table",
    "storing",
    "strings",
    "to_local",
    "to_numpy",
    "utf8",
]
