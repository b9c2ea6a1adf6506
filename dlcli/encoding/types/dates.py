"""Columns of dates."""

from __future__ import annotations

from dlcli.config import Datetime, Ignored
from dlcli.encoding.types.decision import Decision
from dlcli.encoding.types.held import NEARLY_ALL, Held, shortened
from dlcli.encoding.types.strays import Strays, find_strays
from dlcli.tables import TimeGuess

_AMBIGUOUS = "left out, since a day may be a month; declare {type: datetime, format: ...}"
_STRAYS = (
    "read as dates, so that training will refuse the rest; correct it, name it in data.missing, "
    "or declare the column categorical"
)


def judge_dates(held: Held) -> Decision | None:
    """Takes a column for dates; numbers never are, be they years or seconds since 1970.

    A text column may hold a few values without a digit: 10 % of the rows at most, or any number of
    words that usually stand for missing values. Training will refuse them unless they are declared.
    """
    if guess := held.table.guess_times(held.name):
        return _decision(held, guess)
    if held.kind != "text":
        return None
    without_digit = ~held.fitting("[0-9]")
    strays = find_strays(held, without_digit)
    if strays is None or not (strays.are_usual or strays.share >= NEARLY_ALL):
        return None
    guess = held.without(strays.words).guess_times(held.name)
    return _decision(held, guess, strays) if guess else None


def _decision(held: Held, guess: TimeGuess, strays: Strays | None = None) -> Decision:
    if held.kind != "text":
        return Decision(Datetime(), "stored as dates")
    if guess.is_ambiguous:
        return Decision(Ignored(), f"dates, but {guess.question}", _AMBIGUOUS)
    formats = guess.readings[0]
    feature = Datetime(format=formats[0] if len(formats) == 1 else formats)
    example = shortened(held.first(held.fitting("[0-9]")))
    if strays is None:
        return Decision(feature, f"dates as {example}")
    words = strays.words if strays.are_usual else ()
    return Decision(feature, strays.reason(f"dates as {example}"), _STRAYS, words)
