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
from dlcli.comparison.wording import VERDICTS, data_words, names_of, rows_words, verdict_words

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
    "VERDICTS",
    "as_text",
    "check_different",
    "compare",
    "data_words",
    "estimate_differences",
    "estimate_metrics",
    "names_of",
    "pair_rows",
    "read_rows",
    "rows_words",
    "to_document",
    "verdict_words",
]
