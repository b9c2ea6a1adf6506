"""What may be wrong with a table: each check by itself, in NumPy, and what to do about it."""

from dlcli.inspection.finding import Finding
from dlcli.inspection.inspection import (
    Inspection,
    inspect_split,
    inspect_table,
    require_column,
)
from dlcli.inspection.overview import ColumnOverview

__all__ = [
    "ColumnOverview",
    "Finding",
    "Inspection",
    "inspect_split",
    "inspect_table",
    "require_column",
]
