"""Runs side by side: what differs, how well each does, and whether that is more than noise."""

from dlcli.comparison.comparison import (
    Against,
    Comparison,
    Fact,
    Side,
    check_different,
    compare,
)
from dlcli.comparison.estimates import Contrast, Estimate
from dlcli.comparison.settings import Setting

__all__ = [
    "Against",
    "Comparison",
    "Contrast",
    "Estimate",
    "Fact",
    "Setting",
    "Side",
    "check_different",
    "compare",
]
