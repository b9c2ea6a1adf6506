"""Runs side by side: what differs, their metrics, and which differences are significant."""

from dlcli.comparison.compared_runs import (
    ComparedRun,
    HeldOut,
    Pairs,
    estimate_differences,
    estimate_metrics,
    pair_rows,
    read_rows,
)
from dlcli.comparison.comparison import (
    SPLITS,
    Comparison,
    RunDifference,
    check_different,
    compare,
    to_document,
)
from dlcli.comparison.config_differences import Setting, as_text
