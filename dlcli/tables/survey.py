"""How the numbers of a table's columns are written, found out from all their values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dlcli.config import CsvFormat
from dlcli.errors import listed
from dlcli.tables.arrays import mask_to_numpy
from dlcli.tables.column import Column
from dlcli.tables.notation import Notation
from dlcli.tables.remarks import Remark

_PLAIN = Notation()
_COMMAS = Notation(".", ",")
_POINTS = Notation(",", ".")
_SIGNS = (",", "'", "\u2019", " ", "\u00a0", "\u202f", "\u2009")
"""What is not in a column of plain numbers."""
_ADDRESS = r"^\d+\.\d+\.\d+\.\d+$"
_SAMPLE = 1000


@dataclass(frozen=True)
class Survey:
    """What was found out about a table's numbers."""

    notations: Mapping[str, Notation]
    """Of the columns whose numbers are not plain."""
    remarks: tuple[Remark, ...] = ()
    """What is to be said of them."""


@dataclass(frozen=True)
class _Numbers:
    """A column of text, perhaps of numbers; its values are not kept, which may be many."""

    fits: tuple[Notation, ...] = ()
    """The notations that most values fit, the plainer first; none if it is no column of numbers."""
    example: str = ""
    """The first value with a comma, or else with a point, if that may be read in two ways."""

    @property
    def is_certain(self) -> bool:
        """Whether its numbers are not plain, and leave no choice."""
        return bool(self.fits) and _PLAIN not in self.fits and not self.is_ambiguous

    @property
    def is_ambiguous(self) -> bool:
        """Whether its commas may part thousands, or else stand before decimals."""
        has_comma = any(notation.decimal == "," for notation in self.fits)
        return _PLAIN not in self.fits and _COMMAS in self.fits and has_comma

    @property
    def has_points(self) -> bool:
        """Whether points certainly stand before its decimals."""
        return self.fits[:1] == (_PLAIN,) and _POINTS not in self.fits

    def reading(self, decimal: str) -> Notation:
        """The plainest notation with a decimal sign, among those that fit."""
        return next(notation for notation in self.fits if notation.decimal == decimal)


def survey(columns: Mapping[str, Column], form: CsvFormat, delimiter: str) -> Survey:
    """Finds out how numbers are written, in each column by all its values.

    Where a column leaves two readings, the others tell, else the delimiter: semicolons part fields
    where a comma stands before decimals.

    Args:
        columns: columns of text; each is asked for when its turn comes, and is not kept.
        form: what was declared.
        delimiter: what stands between fields.
    """
    candidates = _candidates(form)
    if len(candidates) == 1:
        return Survey(dict.fromkeys(columns, candidates[0]))
    signed = {
        name: _numbers(values, candidates)
        for name, column in columns.items()
        if (values := _with_signs(column, candidates)) is not None
    }
    certain = {name: each.fits[0] for name, each in signed.items() if each.is_certain}
    ambiguous = {name: each for name, each in signed.items() if each.is_ambiguous}
    if _PLAIN not in candidates:
        certain = {**dict.fromkeys(columns, candidates[0]), **certain}
    if form.decimal != "auto":
        return Survey(certain, tuple(_remarks(certain, form)))
    pointed = {
        name: _pointed(column, candidates)
        for name, column in columns.items()
        if name not in signed and holds(column.values, ".")
    }
    certain |= {name: each.fits[0] for name, each in pointed.items() if each.is_certain}
    pointed = {name: each for name, each in pointed.items() if name not in certain}
    found, doubts = _settled(certain, ambiguous, pointed, delimiter)
    sure = {name: notation for name, notation in found.items() if name not in doubts}
    return Survey(found, (*_remarks(sure, form), *doubts.values()))


def _with_signs(column: Column, candidates: Sequence[Notation]) -> pa.ChunkedArray | None:
    """The texts of a column, or None if it has no number that isn't plain."""
    if _PLAIN not in candidates:
        return column.present_texts()
    if not holds(column.values, *_SIGNS):  # the quick answer for most
        return None
    values = column.present_texts()
    return values if holds(values, *_SIGNS) else None


def holds(values: pa.ChunkedArray, *signs: str) -> bool:
    """Whether a sign may occur in some texts; it may also stand beside them in memory.

    Args:
        values: the texts, (values,).
        signs: what is looked for.
    """
    plain, others = _encoded(signs)
    for chunk in values.chunks:
        content = chunk.buffers()[2]
        raw = b"" if content is None else content.to_pybytes()
        if any(sign in raw for sign in (plain if raw.isascii() else plain + others)):
            return True
    return False


@cache  # a table may have a million columns
def _encoded(signs: tuple[str, ...]) -> tuple[list[bytes], list[bytes]]:
    """The signs of ASCII in UTF-8, and the others."""
    plain = [sign.encode() for sign in signs if sign.isascii()]
    return plain, [sign.encode() for sign in signs if not sign.isascii()]


def _candidates(form: CsvFormat) -> tuple[Notation, ...]:
    """The notations that a declaration leaves, the plainer first."""
    decimals = (".", ",") if form.decimal == "auto" else (form.decimal,)
    known = {"auto": ("", ",", ".", "'", " "), "none": ("",)}
    between = known.get(form.thousands, (form.thousands,))
    pairs = product(between, decimals)
    return tuple(Notation(decimal, sign) for sign, decimal in pairs if decimal != sign)


def _numbers(values: pa.ChunkedArray, candidates: Sequence[Notation]) -> _Numbers:
    usable = [each for each in candidates if _may_be(each, values, candidates)]
    sample = values.slice(0, _SAMPLE)
    if not any(_count(notation, sample) for notation in usable):
        return _Numbers()
    counts = [_count(notation, values) for notation in usable]
    most = max(counts)
    if 2 * most <= len(values):
        return _Numbers()
    best = tuple(each for each, count in zip(usable, counts, strict=True) if count == most)
    is_doubtful = _COMMAS in best or _POINTS in best
    return _Numbers(best, _example(values) if is_doubtful else "")


def _pointed(column: Column, candidates: Sequence[Notation]) -> _Numbers:
    """What numbers without a comma may be: mostly plain ones, which some rows show."""
    sample = replace(column, values=column.values.slice(0, _SAMPLE)).present_texts()
    plain = _count(_PLAIN, sample)
    if plain == len(sample) > _count(_POINTS, sample):
        return _Numbers((_PLAIN,))
    values = column.present_texts()
    numbers = _numbers(values, candidates)
    may_be_address = numbers.fits and _PLAIN not in numbers.fits
    return _Numbers() if may_be_address and _are_all(values, _ADDRESS) else numbers


def _are_all(values: pa.ChunkedArray, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(values, pattern)).as_py())


def _example(values: pa.ChunkedArray) -> str:
    """The first value with a comma, or else with a point."""
    sign = "," if holds(values, ",") else "."
    example: str = values.filter(pc.match_substring(values, sign))[0].as_py()
    return example


def _may_be(notation: Notation, values: pa.ChunkedArray, candidates: Sequence[Notation]) -> bool:
    """Whether there is reason to try a notation."""
    if not notation.thousands:
        return True
    # Digits with spaces may be telephone numbers; with decimals, or as declared, they are not.
    is_open = notation.thousands == " " and any(not each.thousands for each in candidates)
    return holds(values, *notation.separators) and (not is_open or holds(values, ",", "."))


def _count(notation: Notation, values: pa.ChunkedArray) -> int:
    return int(np.count_nonzero(mask_to_numpy(notation.fits(values))))


def _has_commas(notations: Mapping[str, Notation]) -> bool:
    return any(notation.decimal == "," for notation in notations.values())


def _settled(
    certain: Mapping[str, Notation],
    ambiguous: Mapping[str, _Numbers],
    pointed: Mapping[str, _Numbers],
    delimiter: str,
) -> tuple[dict[str, Notation], dict[str, Remark]]:
    """Takes the columns that leave two readings as the others are written.

    Returns:
        The notations of all columns that are not plain, and what is doubtful about some.
    """
    commas = _has_commas(certain)
    points = _COMMAS in certain.values() or any(each.has_points for each in pointed.values())
    is_told = commas != points
    decimal = "," if (commas if is_told else delimiter == ";") else "."
    taken = {name: each.reading(decimal) for name, each in ambiguous.items()}
    grouped = {
        name: each for name, each in pointed.items() if decimal == "," and _POINTS in each.fits
    }
    doubtful = grouped if is_told else {**grouped, **ambiguous}
    doubts = {name: _doubt(name, each, decimal) for name, each in doubtful.items()}
    return {**certain, **taken, **dict.fromkeys(grouped, _POINTS)}, doubts


def _remarks(notations: Mapping[str, Notation], form: CsvFormat) -> Iterator[Remark]:
    """Yields what is said of columns that leave no choice, but for what was declared."""
    for notation in dict.fromkeys(notations.values()):
        names = [name for name, each in notations.items() if each == notation]
        signs = ["a decimal comma"] * (form.decimal == "auto" and notation.decimal == ",")
        if form.thousands == "auto" and notation.thousands:
            signs.append(f"'{notation.thousands}' between thousands")
        if signs:
            yield Remark(f"the numbers of {listed(names)} have {' and '.join(signs)}")


def _doubt(name: str, column: _Numbers, decimal: str) -> Remark:
    """What is said of a column that leaves two readings."""
    example = column.example
    sign = "," if "," in example else "."
    is_decimal = sign == decimal
    readings = [example.replace(sign, ""), example.replace(sign, ".", 1)]
    otherwise = f'"{sign}"' if is_decimal else "none"
    message = (
        f"column '{name}': {example} may be {readings[0]} or {readings[1]}, taken as "
        f"{readings[is_decimal]}; otherwise say data.format: {{name: csv, thousands: {otherwise}}}"
    )
    return Remark(message, True, name)
