"""What may be wrong with a table: each check by itself, in NumPy, and what to do about it."""

from dlcli.data_checks.finding import DataIssue, number
from dlcli.data_checks.inspection import Inspection, inspect_split, inspect_table, require_column
from dlcli.data_checks.overview import ColumnOverview
from dlcli.data_checks.sample import draw

__all__ = [
    "ColumnOverview",
    "DataIssue",
    "Inspection",
    "draw",
    "inspect_split",
    "inspect_table",
    "number",
    "require_column",
]
