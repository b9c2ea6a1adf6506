"""The notations of numbers in text, and their conversion to the default notation."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from dlcli.arrays import strings

_EXPONENT = r"(?:[eE][+-]?[0-9]+)?"
_LOOKALIKES = {" ": " \u00a0\u202f\u2009", "'": "'\u2019"}
"""Variants of a thousands separator: non-breaking and thin spaces, the typographic apostrophe."""
SEPARATORS = ("", ",", ".", "'", " ")
"""Characters that may separate thousands."""
GAP = "[ \u00a0\u202f\u2009]?"
"""The spaces that may stand between a number and its unit."""
_LONGEST_UNIT = 12
_MULTIPLES = {"[kK]": "e3", "[mM]": "e6", "[bB]n?": "e9"}
"""The abbreviations of a thousand, a million and a billion, with their exponents."""
_IN_PARENTHESES = r"^([^0-9(]*)\(([^()\n]+)\)([^0-9)]*)$"
NEGATIVES = {
    "(n)": (_IN_PARENTHESES, r"-\1\2\3", "negative numbers in parentheses"),
    "\u2212n": ("\u2212", "-", "\u2212 as the minus sign"),
    "n-": (r"^(.+)-$", r"-\1", "the minus sign at the end"),
}
"""Ways to write negative numbers, except -n: in parentheses, with the typographic minus sign, or
with a minus sign at the end. Each has a regular expression, a replacement that puts a - in front,
and a name for messages."""


@dataclass(frozen=True)
class Notation:
    """A way to write numbers."""

    decimal: str = "."
    """The decimal separator: `.` or `,`."""
    thousands: str = ""
    """The optional thousands separator; empty for none."""
    unit: str = ""
    """The unit before or after the numbers, such as `$`, `%` or `kg`; empty for none.

    A number without the unit also has this unit. The exception is `%`: 0.12 may mean 12 %."""
    multiples: bool = False
    """True if `k`, `M` and `B` after a number multiply it by a thousand, a million, a billion."""
    negative: str = ""
    """The way to write negative numbers, a key of `NEGATIVES`; empty for a - in front only."""

    def __post_init__(self) -> None:
        is_known = self.decimal in (".", ",") and self.thousands in SEPARATORS
        is_known &= self.negative in ("", *NEGATIVES)
        if not is_known or len(self.unit) > _LONGEST_UNIT:
            raise ValueError("unsupported notation of numbers")

    @cached_property
    def is_plain(self) -> bool:
        """True for the default: a decimal point, no thousands separator, - as the minus sign."""
        return self == Notation()

    @property
    def measure(self) -> tuple[str, bool]:
        """The unit of the numbers, and whether they may have multiples."""
        return self.unit, self.multiples

    @property
    def words(self) -> list[str]:
        """Describe unit, multiples and negative numbers."""
        unit = [f"the unit {self.unit}" + f" (12 {self.unit} is 12, not 0.12)" * self.needs_unit]
        multiples = ["k for 1,000, M for 1,000,000"] * self.multiples
        negative = [NEGATIVES[self.negative][2]] if self.negative else []
        return [*unit * bool(self.unit), *multiples, *negative]

    @property
    def needs_unit(self) -> bool:
        """True if a number other than 0 must have the unit."""
        return self.unit in ("%", "％")

    @cached_property
    def pattern(self) -> str:
        """The regular expression that numbers match.

        A number with a decimal comma or a unit can't begin with 0 and another digit, as identifiers
        may.
        """
        sign = "[+\u2212-]?" if self.negative == "\u2212n" else "[+-]?"
        numbers = [self._numbers(sign)]
        if self.negative == "n-":
            numbers.append(f"(?:{self._numbers('')})-")
        if self.negative == "(n)":
            numbers.append(rf"\((?:{self._numbers('')})\)")
            if self.unit:
                amount, (before, after) = rf"\((?:{self._amount})\)", self._around
                numbers += [f"{before}{amount}", f"{amount}{after}"]
        return f"^(?:{'|'.join(numbers)})$"

    def _numbers(self, sign: str) -> str:
        """Return the regular expression of numbers with an optional sign."""
        point, amount = f"[{self.decimal}]", self._amount
        leading_zeros = "[0-9]+" if self.decimal == "," else f"[0-9]+(?:{point}[0-9]*)?"
        number = f"{sign}(?:{leading_zeros}|{self._plain_amount}){_EXPONENT}"
        if not self.unit and not self.multiples:
            return number
        bare = f"{sign}0(?:{point}0*)?" if self.needs_unit else f"{number}|{sign}{amount}"
        if not self.unit:
            return bare
        before, after = self._around
        return f"{bare}|{sign}{before}{amount}|{before}{sign}{amount}|{sign}{amount}{after}"

    @property
    def _plain_amount(self) -> str:
        """The regular expression of numbers without sign, exponent, multiples and unit."""
        point, between = f"[{self.decimal}]", f"[{self.separators}]"
        groups = f"|[1-9][0-9]{{0,2}}(?:{between}[0-9]{{3}})+" if self.thousands else ""
        if self.thousands == ",":  # lakh and crore of India, as in 12,34,567
            groups += "|[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3}"
        return f"(?:0|[1-9][0-9]*{groups})(?:{point}[0-9]*)?|{point}[0-9]+"

    @property
    def _amount(self) -> str:
        """The same regular expression with multiples."""
        multiple = f"(?:{'|'.join(_MULTIPLES)})?" if self.multiples else ""
        return f"(?:{self._plain_amount}){multiple}"

    @property
    def _around(self) -> tuple[str, str]:
        """The regular expressions of the unit before a number, and after it."""
        return f"{self._unit_pattern}{GAP}", f"{GAP}{self._unit_pattern}"

    @property
    def stem(self) -> str:
        """The unit; a word without its plural `s`."""
        is_word = self.unit.isalpha() and len(self.unit) > 2
        return self.unit.removesuffix("s") if is_word else self.unit

    @property
    def _unit_pattern(self) -> str:
        return re.escape(self.stem) + ("s?" if self.unit.isalpha() and len(self.unit) > 2 else "")

    @property
    def separators(self) -> str:
        """All characters that may separate thousands."""
        return _LOOKALIKES.get(self.thousands, self.thousands)

    def fits(self, texts: pa.ChunkedArray) -> pa.ChunkedArray:
        """Return the Arrow mask of texts that are numbers, null where the text is, (rows,).

        Args:
            texts: without surrounding spaces, (rows,).
        """
        return pc.match_substring_regex(texts, self.pattern)

    def plain(self, texts: pa.ChunkedArray) -> pa.ChunkedArray:
        """Rewrite numbers in the default notation; any other text becomes `not a number`.

        Args:
            texts: without surrounding spaces, (rows,).
        """
        if self.is_plain:
            return texts
        numbers = _replace_all(texts, self.replacements)
        return pc.if_else(self.fits(texts), numbers, strings(["not a number"], texts.type)[0])

    def without_marks(self, texts: pa.ChunkedArray) -> pa.ChunkedArray:
        """Remove the unit from numbers, and convert multiples and negative numbers.

        `$1.2k` becomes `1.2e3`.

        Args:
            texts: without surrounding spaces, (rows,).
        """
        return _replace_all(texts, self._of_marks)

    @property
    def replacements(self) -> list[tuple[str, str]]:
        """Regular expressions with replacements that convert a number to the default notation.

        Apply them in this order.
        """
        of_separators = [(f"[{self.separators}]", "")] * bool(self.thousands)
        of_separators += [(f"[{self.decimal}]", ".")] * (self.decimal != ".")
        return [*self._of_marks, *of_separators]

    @property
    def _of_marks(self) -> list[tuple[str, str]]:
        negative = [NEGATIVES[self.negative][:2]] if self.negative else []
        unit = [(f"{GAP}{self._unit_pattern}{GAP}", "")] * bool(self.unit)
        multiples = _MULTIPLES.items() if self.multiples else ()
        return [*negative, *unit, *((f"{letters}$", exponent) for letters, exponent in multiples)]


def _replace_all(texts: pa.ChunkedArray, pairs: Iterable[tuple[str, str]]) -> pa.ChunkedArray:
    for pattern, replacement in pairs:
        texts = pc.replace_substring_regex(texts, pattern, replacement)
    return texts
