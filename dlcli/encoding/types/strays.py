"""A few values that are not what all others of their column are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlcli.encoding.types.held import Held, Mask, percent, shortened
from dlcli.errors import plural
from dlcli.tables import USUAL_MISSING_WORDS, missing_setting

_MOST_WORDS = 100


@dataclass(frozen=True)
class Strays:
    """Values that are not what the others are."""

    words: tuple[str, ...]
    """The most frequent first."""
    rows: int
    """The rows that hold one."""
    share: float
    """The share of the other values."""
    are_usual: bool
    """Whether all of them usually stand for missing values."""

    def reason(self, what: str) -> str:
        """Why the column is taken for what the others are.

        Args:
            what: what they are.
        """
        others = len(self.words) - 1
        more = f" and {plural(others, 'more value')}" if others else ""
        where = f"in {plural(self.rows, 'row')} {'are' if others else 'is'} not"
        told = f"{percent(self.share)} are {what}, '{shortened(self.words[0])}'{more} {where}"
        if not self.are_usual:
            return told
        return f"{told}; say {missing_setting(self.words)}"


def find_strays(held: Held, which: Mask) -> Strays | None:
    """Looks at values that are not what the others are.

    Args:
        held: the column.
        which: they, among its different values, (distinct values,).

    Returns:
        What there is to tell of them; None if there are none, no others, or over a hundred.
    """
    count = int(np.count_nonzero(which))
    if not 0 < count < len(which) or count > _MOST_WORDS:
        return None
    words = tuple(held.frequent(which, _MOST_WORDS))
    share = 1 - held.share(which)
    are_usual = all(word.lower() in USUAL_MISSING_WORDS for word in words)
    return Strays(words, held.rows(which), share, are_usual)
