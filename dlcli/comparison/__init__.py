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
from dlcli.comparison.estimates import Contrast, Estimate, contrast_metrics, estimate_metrics
from dlcli.comparison.held_out import HeldOut, read_rows
from dlcli.comparison.measures import measures_of
from dlcli.comparison.pairing import Pairs, pair_rows
from dlcli.comparison.proportions import Proportion
from dlcli.comparison.quantiles import NORMAL, TAIL, Z, student_quantile
from dlcli.comparison.resampling import LEAST, MOST_UNDEFINED, Replicates, replicate
from dlcli.comparison.settings import Setting, as_text
from dlcli.comparison.statistics import Means, Statistic
from dlcli.comparison.subject import Subject
from dlcli.comparison.wording import VERDICTS, data_words, names_of, rows_words, verdict_words

__all__ = [
    "Against",
    "Comparison",
    "Contrast",
    "Estimate",
    "Fact",
    "HeldOut",
    "LEAST",
    "MOST_UNDEFINED",
    "Means",
    "NORMAL",
    "Pairs",
    "Proportion",
    "Replicates",
    "SPLITS",
    "Setting",
    "Side",
    "Statistic",
    "Subject",
    "TAIL",
    "VERDICTS",
    "Z",
    "as_text",
    "check_different",
    "compare",
    "contrast_metrics",
    "data_words",
    "estimate_metrics",
    "measures_of",
    "names_of",
    "pair_rows",
    "read_rows",
    "replicate",
    "rows_words",
    "student_quantile",
    "to_document",
    "verdict_words",
]
