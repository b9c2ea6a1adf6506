"""The order of the rules that infer types, and the thresholds that several of them share."""

from __future__ import annotations

from enum import IntEnum

from dlcli.errors import truncate


class InferenceOrder(IntEnum):
    """The order in which rules of inference are tried: the first that decides decides."""

    NAMES = 0
    """The column's name tells more than its values: postal codes."""
    DIGITS = 1
    """Digits that are no amounts: dates as 19750103."""
    NUMBERS = 2
    WORDS = 3
    """Few words that are the same in each table: true and false."""
    TIMES = 4
    PATHS = 5
    AMOUNTS = 6
    """Numbers that can't be read."""
    LISTS = 7
    TEXTS = 8
    OTHERS = 9
    """Whatever else has a text."""


NEARLY_ALL = 0.9
"""Share of the values from which on the others count as stray values."""
MIN_VALUES = 8
"""From here on, all values of a column are held out with a probability below 0.3^8 < 0.0001."""
MIN_ROWS = 20
"""Fewest rows from which identifiers are recognized and rows are held out by default."""
MAX_CODES = 10
"""Most distinct numbers that may be codes of categories."""
LEADING_ZERO = r"^0[0-9]+$"
"""The pattern of a number with leading zeros."""
_LONGEST_SHOWN = 40


def shorten(text: str) -> str:
    """Cut a value for a message if it is long."""
    return truncate(text, _LONGEST_SHOWN)
