"""Checks of a table: each finds one kind of problem, and gives advice."""

from dlcli.data_checks.data_issue import DataIssue, number
from dlcli.data_checks.inspection import (
    ColumnOverview,
    Inspection,
    inspect_split,
    inspect_table,
    read_for_inspection,
    require_columns,
)
from dlcli.data_checks.naming_checks import MOST_VALUES, NamingKind, explain_by_values
from dlcli.data_checks.sample import draw, draw_sample, spread
from dlcli.data_checks.split_checks import SplitAdvice, advise_split
from dlcli.data_checks.target_checks import (
    MOST_CLASS_NUMBERS,
    explain_by_columns,
    select_leaks,
    type_without_classes,
)
