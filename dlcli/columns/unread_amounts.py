"""Amounts that can't be read as numbers: with several units, in several or unknown notations."""

from __future__ import annotations

import pyarrow.compute as pc

from dlcli.columns.column_summary import ColumnView
from dlcli.columns.column_type import Decision, Ignored
from dlcli.columns.type_inference import MAX_CODES, NEARLY_ALL
from dlcli.errors import listed
from dlcli.tables.notation_detection import CURRENCY_CODES
from dlcli.tables.number_notation import Notation

_NUMBER = r"[+-]?[0-9]+(?:[.,' ][0-9]+)*"
_UNIT = r"\s?(?:[%$]|[^\x00-@\[-`{-\x7f][^\s0-9.,'+-]{0,9}[23]?)"  # \p{L} takes long to compile
_NUMBER_WITH_UNIT = rf"^(?:[+-]?\p{{Sc}}\s?{_NUMBER}|{_NUMBER}{_UNIT})$"
_MINUS = r"[+\x{2212}-]"
_CURRENCY = rf"(?:\p{{Sc}}|{CURRENCY_CODES})"
_GROUPED = r"(?:[0-9]+|[0-9]{1,3}(?:[.,' ][0-9]{3})+)(?:[.,][0-9]+)?"
_FRACTIONS = r"\x{bc}-\x{be}\x{2150}-\x{215e}"
_DIGITS = (
    r"\x{660}-\x{669}\x{6f0}-\x{6f9}\x{966}-\x{96f}\x{9e6}-\x{9ef}\x{e50}-\x{e59}\x{ff10}-\x{ff19}"
)
"""Digits in Arabic, Persian, Devanagari, Bengali, Thai, and of full width in East Asia."""
_OTHER_DIGITS = (
    rf"^{_MINUS}?[{_DIGITS}][{_DIGITS}\s.,:/年月日%\x{{66a}}-\x{{66c}}\x{{ff01}}-\x{{ff0f}}-]*$"
)
_UNREAD_NUMBER = (
    rf"^(?:\((?:{_CURRENCY}\s?)?{_GROUPED}\)|{_MINUS}\s{_GROUPED}"
    rf"|{_MINUS}?\s?{_CURRENCY}\s?{_MINUS}?{_GROUPED}|[1-9][0-9]{{0,2}}(?: [0-9]{{3}})+"
    rf"|{_MINUS}?{_GROUPED}[eE]{_MINUS}?[0-9]+{_UNIT}|{_MINUS}?[0-9]*\s?[{_FRACTIONS}])$"
)
"""A number that is not read: of several currencies, with a space after the minus sign,
only spaces between thousands, an exponent and a unit, or a fraction such as ½."""
_BEGINS_LIKE_AMOUNT = (
    rf"^[(+\x{{2212}}-]?\s?(?:(?:\p{{Sc}}|[A-Z]{{3}})\s?)?[0-9+\x{{2212}}{_FRACTIONS}{_DIGITS}-]"
)
"""The beginning of all of these. It compiles in a fraction of the time, which counts in a table of
many columns."""
_MOST_UNITS = 3


def decide_amounts(view: ColumnView) -> Decision | None:
    """Ignore numbers with several units, as `12 GB` and `512 MB`, in several or unread notations.

    They must be 90 % of the values, with at most three units, and more than `MAX_CODES` of them
    must differ; fewer are probably names, such as `36 months` and `60 months`. If nearly all have
    the same unit, they are numbers in the column's notation.
    """
    if view.column.kind != "text":
        return None
    if view.share(view.matches(_BEGINS_LIKE_AMOUNT)) < NEARLY_ALL:
        return None
    if (reason := _unread_amounts(view)) is None:
        return None
    warning = "ignored, since as categories they would not be amounts"
    return Decision(Ignored(), reason, warning)


def _unread_amounts(view: ColumnView) -> str | None:
    """Return why numbers can't be read; `None` if they are too few, or names."""
    which = view.matches(_OTHER_DIGITS)
    if view.share(which) >= NEARLY_ALL and which.sum() > MAX_CODES:
        return f"digits of another script, as '{view.example(which)}'; write them as 0 to 9"
    which = view.matches(_NUMBER_WITH_UNIT)
    if view.share(which) >= NEARLY_ALL and which.sum() > MAX_CODES:
        amounts = view.some(which)
        units = pc.utf8_trim_whitespace(pc.replace_substring_regex(amounts, _NUMBER, "")).unique()
        if len(units) == 1:
            return f"numbers with a unit, as '{view.example(which)}'; write the numbers alone"
        if len(units) <= _MOST_UNITS:
            return f"numbers with the units {listed(units.to_pylist())}; write them in one unit"
    unread = view.matches(_UNREAD_NUMBER)
    which = unread | view.matches(rf"^-?{_GROUPED}$")
    if view.share(which) < NEARLY_ALL or which.sum() <= MAX_CODES:
        return None
    if unread.any():
        return f"numbers written as '{view.example(unread)}'; write them plainly, as -1234.5"
    plain = which & view.matches(Notation().pattern)
    others = which & ~plain
    if not plain.any() or not others.any():
        return None
    written = f"'{view.example(plain)}' and '{view.example(others)}'"
    return f"numbers in several notations, as {written}; write them plainly, as -1234.5"
