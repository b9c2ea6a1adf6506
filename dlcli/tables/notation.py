"""How numbers are written: with which decimal sign, and with what between thousands."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from dlcli.tables.arrays import strings

_EXPONENT = r"(?:[eE][+-]?[0-9]+)?"
_LOOKALIKES = {" ": " \u00a0\u202f\u2009", "'": "'\u2019"}
"""What also stands for a sign between thousands: spaces that don't break, a typographer's mark."""
_SEPARATORS = ("", ",", ".", "'", " ")
_NO_NUMBER = "no number"


@dataclass(frozen=True)
class Notation:
    """A way to write numbers."""

    decimal: str = "."
    """What stands before the decimals."""
    thousands: str = ""
    """What may stand between thousands; empty for nothing."""

    def __post_init__(self) -> None:
        if self.decimal not in (".", ",") or self.thousands not in _SEPARATORS:
            raise ValueError("such numbers are not read")

    @property
    def is_plain(self) -> bool:
        """Whether it is the one of programs: a point and nothing else."""
        return self == Notation()

    @cached_property
    def pattern(self) -> str:
        """What numbers match, as a regular expression.

        No number begins with 0 before another digit and a comma: an identifier may.
        """
        point = f"[{self.decimal}]"
        groups = f"|[1-9][0-9]{{0,2}}(?:{self._between}[0-9]{{3}})+" if self.thousands else ""
        whole = f"(?:0|[1-9][0-9]*{groups})"
        leading_zeros = "[0-9]+" if self.decimal == "," else f"[0-9]+(?:{point}[0-9]*)?"
        number = f"{leading_zeros}|{whole}(?:{point}[0-9]*)?|{point}[0-9]+"
        return f"^[+-]?(?:{number}){_EXPONENT}$"

    def fits(self, values: pa.ChunkedArray) -> pa.ChunkedArray:
        """The Arrow mask of the texts that are numbers, null where a text is, (rows,).

        Args:
            values: texts without space around them, (rows,).
        """
        return pc.match_substring_regex(values, self.pattern)

    def plain(self, values: pa.ChunkedArray) -> pa.ChunkedArray:
        """The texts as programs write numbers; what is no number becomes a text that is none.

        Args:
            values: texts without space around them, (rows,).
        """
        if self.is_plain:
            return values
        numbers = values
        if self.thousands:
            numbers = pc.replace_substring_regex(numbers, self._between, "")
        if self.decimal != ".":
            numbers = pc.replace_substring(numbers, self.decimal, ".")
        other = strings([_NO_NUMBER], values.type)[0]
        return pc.if_else(self.fits(values), numbers, other)

    @property
    def separators(self) -> str:
        """The characters that may stand between thousands."""
        return _LOOKALIKES.get(self.thousands, self.thousands)

    @property
    def _between(self) -> str:
        return f"[{self.separators}]"
