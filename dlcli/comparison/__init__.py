"""Runs side by side: what differs, their metrics, and which differences are significant."""

from dlcli.comparison.compared_runs import ComparedRun, Pairs, pair_rows
from dlcli.comparison.comparison import (
    SPLITS,
    Comparison,
    Fact,
    RunDifference,
    Side,
    check_different,
    compare,
    to_document,
)
from dlcli.comparison.config_differences import Setting, as_text
from dlcli.comparison.held_out import HeldOut, estimate_differences, estimate_metrics, read_rows

__all__ = [
    "RunDifference",
    "ComparedRun",
    "Comparison",
    "Fact",
    "HeldOut",
    "Pairs",
    "SPLITS",
    "Setting",
    "Side",
    "as_text",
    "check_different",
    "compare",
    "estimate_differences",
    "estimate_metrics",
    "pair_rows",
    "read_rows",
    "to_document",
]
