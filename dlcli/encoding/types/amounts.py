"""Columns of numbers with something around them: a unit, a currency, a percent sign."""

from __future__ import annotations

import pyarrow.compute as pc

from dlcli.config import Ignored
from dlcli.encoding.types.decision import Decision
from dlcli.encoding.types.held import NEARLY_ALL, Held, Mask, shortened
from dlcli.encoding.types.numbers import FEW

_NUMBER = r"[+-]?[0-9]+(?:[.,' ][0-9]+)*"
_UNIT = r"\s?(?:%|\p{Sc}|[\p{L}°µ][\p{L}0-9²³/%]{0,7})"
_WITH_UNIT = rf"^(?:[+-]?\p{{Sc}}\s?{_NUMBER}|{_NUMBER}{_UNIT})$"
_MOST_UNITS = 3
_ADVICE = "left out, since as categories they would not be amounts"


def judge_amounts(held: Held) -> Decision | None:
    """Leaves out numbers with a unit, such as `12 kg`, `12%` and `$1,200`.

    They are 90 % of the values, with three units at most, and more than `FEW` of them differ; fewer
    may well be names, as `36 months` and `60 months`.
    """
    if held.kind != "text":
        return None
    which = held.fitting(_WITH_UNIT)
    if held.share(which) < NEARLY_ALL or which.sum() <= FEW or _units(held, which) > _MOST_UNITS:
        return None
    reason = f"numbers with a unit, as '{shortened(held.first(which))}'; write the numbers alone"
    return Decision(Ignored(), reason, _ADVICE)


def _units(held: Held, which: Mask) -> int:
    """How many different things there are around the numbers."""
    around = pc.replace_substring_regex(held.those(which), _NUMBER, "")
    return len(pc.utf8_trim_whitespace(around).unique())
