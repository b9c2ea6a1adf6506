"""Runs side by side: what differs, how well each does, and whether that is more than noise."""

from dlcli.comparison.comparison import (
    SPLITS,
    Against,
    Comparison,
    Fact,
    Side,
    check_different,
    compare,
)
from dlcli.comparison.document import to_document
from dlcli.comparison.held_out import HeldOut, estimate_differences, estimate_metrics, read_rows
from dlcli.comparison.pairing import Pairs, pair_rows
from dlcli.comparison.settings import Setting, as_text
from dlcli.comparison.subject import Subject
from dlcli.comparison.wording import VERDICTS, data_words, names_of, rows_words, verdict_words

__all__ = [
    "Against",
    "Comparison",
    "Fact",
    "HeldOut",
    "Pairs",
    "SPLITS",
    "Setting",
    "Side",
    "Subject",
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
