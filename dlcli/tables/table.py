"""Tables of named columns, with the file and number of each row, and the reading of a column."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, lru_cache, partial
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dlcli.errors import DataError, plural
from dlcli.tables.arrow_arrays import (
    FALSE,
    floats,
    integers,
    mask_to_numpy,
    plain,
    strings,
    to_numpy,
    widened,
)
from dlcli.tables.disk_table import StoredColumns
from dlcli.tables.distinct_texts import DistinctTexts, count_texts, count_together
from dlcli.tables.sharded_table import ShardedColumns, gather_results, in_agreement

Kind = Literal["text", "number", "boolean", "other"]
Result = TypeVar("Result")
WayOut = Callable[[bool], str]
"""Ends an error about a value; the argument says whether most values of the column are wrong."""


def _in_any_case(*words: str) -> tuple[str, ...]:
    """Return words as written, in lower case, in capital letters, and with one in front."""
    forms = (str, str.lower, str.upper, str.capitalize)
    return tuple(dict.fromkeys(form(word) for word in words for form in forms))


_SPREADSHEET_ERRORS = ("#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!")
"""The texts of cells whose formulas failed, besides `#N/A`, in Excel and other spreadsheets."""
CLEAR_MISSING_WORDS = (
    *_in_any_case("NA", "N/A", "#N/A", "<NA>", "NaN", "null", "missing", "?"),
    *_SPREADSHEET_ERRORS,
)
"""Spellings of a missing value that are no names of classes."""
USUAL_MISSING_WORDS = (*CLEAR_MISSING_WORDS, *_in_any_case("None", "nil", "-", "--", "."))
"""Common spellings of a missing value."""
_USUAL = frozenset(USUAL_MISSING_WORDS)
_WHOLE = r"^-?(?:0|[1-9][0-9]*)$"
ZERO_DECIMALS = r"^(?:-?(0)|(-?[1-9][0-9]*))\.0+$"
TRUE_WORDS = ("true", "1", "1.0")  # pandas writes 0/1 columns with gaps as 0.0 and 1.0
FALSE_WORDS = ("false", "0", "0.0")
_MAY_BE_NUMBER = r"^[+-]?[0-9]*[.,]?[0-9]*(?:[eE][+-]?[0-9]+)?$|(?i:nan|inf)"
"""Matches at least what Arrow converts to a number."""
_SHOWN_CHARACTERS = 40
_VALUES_KEPT = 1 << 21
"""Values of a table whose columns are kept, so that a wide one is parsed once for all checks."""
_SHORT = 1_000
"""Most values of columns that are parsed together with others."""
_FEWEST_TOGETHER = 8
_ROWS_AT_ONCE = 8192
"""Rows of long texts that are converted at once, as several copies are made on the way."""
_EXPONENT = r"(?:[eE][+-]?[0-9]+)?"
_LOOKALIKES = {" ": " \u00a0\u202f\u2009", "'": "'\u2019"}
"""Variants of a thousands separator: non-breaking and thin spaces, the typographic apostrophe."""
_SEPARATORS = ("", ",", ".", "'", " ")
GAP = "[ \u00a0\u202f\u2009]?"
"""The spaces that may be between a number and its unit."""
_LONGEST_UNIT = 12
_MULTIPLES = {"[kK]": "e3", "[mM]": "e6", "[bB]n?": "e9"}
"""The abbreviations of a thousand, a million and a billion, with their exponents."""
NEGATIVES = {
    "(n)": (r"^([^0-9(]*)\(([^()\n]+)\)([^0-9)]*)$", r"-\1\2\3"),
    "\u2212n": ("\u2212", "-"),
    "n-": (r"^(.+)-$", r"-\1"),
}
"""Ways to write negative numbers, besides -n: in parentheses, with a minus sign of typography, or
with one behind. Each has a regular expression, and what it is replaced by to have a - in front."""
_NEGATIVE_WORDS = {
    "(n)": "negative numbers in parentheses",
    "\u2212n": "\u2212 for minus",
    "n-": "the minus sign behind negative numbers",
}


@dataclass(frozen=True)
class Notation:
    """A way to write numbers."""

    decimal: str = "."
    """The decimal separator: `.` or `,`."""
    thousands: str = ""
    """The optional thousands separator; empty for none."""
    unit: str = ""
    """The unit before or after the numbers, such as `$`, `%` or `kg`; empty for none.

    A number without it is of this unit, too, except next to `%`: 0.12 may mean 12 %."""
    multiples: bool = False
    """True if `k`, `M` and `B` after a number multiply it by a thousand, a million, a billion."""
    negative: str = ""
    """The way to write negative numbers, of `NEGATIVES`; empty for a - in front alone."""

    def __post_init__(self) -> None:
        is_known = self.decimal in (".", ",") and self.thousands in _SEPARATORS
        is_known &= self.negative in ("", *NEGATIVES)
        if not is_known or len(self.unit) > _LONGEST_UNIT:
            raise ValueError("unsupported notation of numbers")

    @property
    def is_plain(self) -> bool:
        """True if it is the default: a decimal point, nothing between thousands, - for minus."""
        return self == Notation()

    @property
    def measure(self) -> tuple[str, bool]:
        """The unit of the numbers, and if they may be multiples."""
        return self.unit, self.multiples

    @property
    def words(self) -> list[str]:
        """Describe unit, multiples and negative numbers."""
        unit = [f"the unit {self.unit}" + " (12 % is 12, not 0.12)" * self.needs_unit]
        multiples = ["k for 1,000, M for 1,000,000"] * self.multiples
        negative = [_NEGATIVE_WORDS[self.negative]] if self.negative else []
        return [*unit * bool(self.unit), *multiples, *negative]

    @property
    def needs_unit(self) -> bool:
        """True if a number other than 0 must have the unit."""
        return self.unit == "%"

    @cached_property
    def pattern(self) -> str:
        """The regular expression that numbers match.

        A number with a decimal comma or a unit does not begin with 0 and another digit: an
        identifier may.
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
        """Return the regular expression of numbers with a sign where there may be one."""
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
        return f"(?:0|[1-9][0-9]*{groups})(?:{point}[0-9]*)?|{point}[0-9]+"

    @property
    def _amount(self) -> str:
        """The same with multiples."""
        multiple = f"(?:{'|'.join(_MULTIPLES)})?" if self.multiples else ""
        return f"(?:{self._plain_amount}){multiple}"

    @property
    def _around(self) -> tuple[str, str]:
        """The regular expressions of the unit before a number, and after it."""
        return f"{self._unit_pattern}{GAP}", f"{GAP}{self._unit_pattern}"

    @property
    def stem(self) -> str:
        """The unit, a word without its plural `s`."""
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
        """Return the Arrow mask of the texts that are numbers, null where a text is, (rows,).

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
        """Remove the unit from numbers, and write multiples and negative ones in the default way.

        `$1.2k` becomes `1.2e3`.

        Args:
            texts: without surrounding spaces, (rows,).
        """
        return _replace_all(texts, self._of_marks)

    @property
    def replacements(self) -> list[tuple[str, str]]:
        """Regular expressions, and what replaces them, that write a number in the default notation.

        They are applied in this order.
        """
        of_separators = [(f"[{self.separators}]", "")] * bool(self.thousands)
        of_separators += [(f"[{self.decimal}]", ".")] * (self.decimal != ".")
        return [*self._of_marks, *of_separators]

    @property
    def _of_marks(self) -> list[tuple[str, str]]:
        negative = [NEGATIVES[self.negative]] if self.negative else []
        unit = [(f"{GAP}{self._unit_pattern}{GAP}", "")] * bool(self.unit)
        multiples = _MULTIPLES.items() if self.multiples else ()
        return [*negative, *unit, *((f"{letters}$", exponent) for letters, exponent in multiples)]


def _replace_all(
    texts: pa.ChunkedArray, replacements: Iterable[tuple[str, str]]
) -> pa.ChunkedArray:
    for pattern, replacement in replacements:
        texts = pc.replace_substring_regex(texts, pattern, replacement)
    return texts


@dataclass(frozen=True, eq=False)
class Parsed:
    """A column's values as numbers, with those that cannot be read."""

    values: NDArray[np.float64]
    """NaN where missing or unreadable, (rows,)."""
    unreadable: NDArray[np.bool_]
    """Where there is a value that cannot be read, (rows,)."""
    complaint: Callable[[int], str]
    """Describes the problem with the value at an index."""

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Where there is no value, (rows,)."""
        return np.isnan(self.values) & ~self.unreadable


@dataclass(frozen=True, eq=False)
class Column:
    """The values of one column.

    Args:
        name: the column's name.
        values: the values as stored, (rows,).
        file: the table's file, for messages.
        missing_words: spellings of a missing value, besides nulls, NaN and empty fields; one that
            is a number is compared by value in a column of numbers.
        notation: the notation of numbers in text.
    """

    name: str
    values: pa.ChunkedArray
    file: str
    missing_words: tuple[str, ...]
    notation: Notation = Notation()

    @cached_property
    def kind(self) -> Kind:
        """The kind of the stored values; dates, lists and bytes are `other`."""
        return _kind(self.values.type)

    def missing(self) -> NDArray[np.bool_]:
        """Return where the value is null, NaN, blank or one of the missing words, (rows,)."""
        return ~self._is_present

    def numbers(self) -> Parsed:
        """Return the values as numbers, in arrays that can't be changed.

        Raises:
            DataError: for a column that holds neither numbers nor text.
        """
        if self.kind in ("boolean", "other"):
            raise self.error(f"expected numbers, the column holds {self.values.type}")

        def complaint(index: int) -> str:
            unit = self.notation.unit
            written = " with its unit, as '12 %'" if self.notation.needs_unit else f" in {unit}"
            expected = f"expected a finite number{written if unit else ''}"
            return f"{expected}, got {self.shown(index)}{self.missing_hint(index)}"

        return Parsed(self._numbers, self._is_unreadable, complaint)

    @cached_property
    def _numbers(self) -> NDArray[np.float64]:
        """The values as numbers, NaN where missing or unreadable, (rows,)."""
        present = readable = self._present
        values = self._parsed
        if self.kind == "number" and self.notation.needs_unit:
            readable = pc.and_(present, _equals_one(self.values, [0.0]))
        if values is None:
            readable = pc.and_kleene(present, self.notation.fits(_trim(self.values)))
            values = self._parse(readable)
        is_readable = self._is_present if readable is present else mask_to_numpy(readable)
        is_number = is_readable & np.isfinite(values)
        if not is_number.all():
            values = np.where(is_number, values, np.nan)
        values.flags.writeable = False  # as they are shared
        return values

    @cached_property
    def _is_unreadable(self) -> NDArray[np.bool_]:
        """Where a value is no number, in an array that can't be changed, (rows,)."""
        is_unreadable = self._is_present & np.isnan(self._numbers)
        is_unreadable.flags.writeable = False
        return is_unreadable

    def looks_numeric(self) -> bool:
        """Return whether there is a value, and every value is a number.

        A spelling of a missing value that is none of the missing words is not a number.
        Infinities count as numbers here, so that `numbers` reports them, instead of the column
        becoming categorical.
        """
        if self.kind in ("boolean", "other"):
            return False
        if self._are_numbers or self._parsed is None:
            return self._are_numbers
        parsed = self._parsed[self._is_present]
        return parsed.size > 0 and not bool(np.isnan(parsed).any())

    def is_written(self, notation: Notation) -> bool:
        """Return whether the values are texts, all of which are numbers in a notation."""
        if self.kind != "text":
            return False
        is_known = self._are_numbers and notation == self.notation
        return is_known or pc.all(notation.fits(self.present_texts())).as_py()

    def booleans(self) -> Parsed:
        """Return the values as 1 for true and 0 for false.

        Raises:
            DataError: for a column of another kind, such as dates.
        """
        if self.kind == "other":
            raise self.error(f"expected booleans, the column holds {self.values.type}")
        if self.kind == "boolean":
            values = to_numpy(pc.cast(self.values, pa.uint8()), np.uint8).astype(np.float64)
            values[mask_to_numpy(self.values.is_null())] = np.nan
            return Parsed(values, np.zeros(len(values), dtype=np.bool_), self.shown)
        words = self.canonical() if self.kind == "number" else _trim(self.values)
        lower = pc.utf8_lower(words)
        present = self._is_present
        ones, zeros = present & _among(lower, TRUE_WORDS), present & _among(lower, FALSE_WORDS)
        values = np.select([ones, zeros], [1.0, 0.0], np.nan)
        expected = "expected true, false, 1 or 0, got {}".format
        return Parsed(values, present & ~ones & ~zeros, lambda index: expected(self.shown(index)))

    def looks_boolean(self) -> bool:
        """Return whether values are stored as booleans, or all are spelled true or false.

        A column of text must hold a value, and 1 and 0 are numbers.
        """
        if self.kind != "text":
            return self.kind == "boolean"
        some = self.distinct.texts[:3].to_pylist()  # canonical texts are at most the two
        return bool(some) and {*some} <= {"true", "false"}

    def codes(self) -> tuple[NDArray[np.int64], list[str]]:
        """Return the values as categories.

        Returns:
            codes: the index of each value in the categories, -1 where missing, (rows,).
            categories: the distinct canonical texts, in the order of their first row.

        Raises:
            DataError: for values without a text form, such as lists.
        """
        if self._codes is not None:
            return self._codes.copy(), [*self.distinct.words]
        if pa.types.is_nested(self.values.type):
            raise self.error(f"expected plain values, the column holds {self.values.type}")
        encoded = pa.chunked_array(self.values.dictionary_encode()).combine_chunks()
        distinct = replace(self, values=pa.chunked_array([encoded.dictionary]))
        present, texts = distinct._present, distinct.canonical()
        categories = texts.filter(present).unique()
        codes = to_numpy(pc.index_in(texts, value_set=categories), np.int32).astype(np.int64)
        codes[~distinct._is_present] = -1
        of_rows = to_numpy(encoded.indices, np.int32)
        of_rows[mask_to_numpy(encoded.indices.is_null())] = -1
        return np.append(codes, -1)[of_rows], list(categories.to_pylist())

    def texts(self) -> NDArray[np.object_]:
        """Return the canonical text of each value, None where missing, (rows,).

        Whole numbers are written without a decimal point and booleans in lower case in every file
        format, so that a Parquet 3.0 or a CSV `3.0` equals a CSV `3`.

        Raises:
            DataError: for values without a text form, such as lists.
        """
        codes, categories = self.codes()
        return np.array([*categories, None], dtype=np.object_)[codes]

    def canonical_texts(self) -> pa.ChunkedArray:
        """Return the canonical texts of the values that are not missing, (values,).

        Raises:
            DataError: for values without a text form, such as lists.
        """
        present = self.values.filter(self._present)
        starts = range(0, max(len(present), 1), _ROWS_AT_ONCE)
        parts = [replace(self, values=present.slice(at, _ROWS_AT_ONCE)) for at in starts]
        texts = [part.canonical() for part in parts]
        return pa.chunked_array([chunk for part in texts for chunk in part.chunks], texts[0].type)

    def canonical(self) -> pa.ChunkedArray:
        """Return the canonical text of each value, undefined where it is missing, (rows,).

        Raises:
            DataError: for values without a text form, such as lists.
        """
        values, storage = self.values, self.values.type
        if self.kind == "text":
            words = _trim(values)
            lower = pc.utf8_lower(words)
            is_boolean = pc.is_in(lower, value_set=_word_set(("true", "false"), storage))
            words = pc.if_else(is_boolean, lower, words)
            return pc.replace_substring_regex(words, ZERO_DECIMALS, r"\1\2")
        try:
            texts = values.cast(pa.string())
        except pa.ArrowException:
            message = f"expected values with a text form, the column holds {storage}"
            raise self.error(message) from None
        if pa.types.is_floating(storage):
            whole = values.cast(pa.int64(), safe=False)
            is_whole = pc.equal(whole.cast(storage, safe=False), values)
            return pc.if_else(is_whole, whole.cast(pa.string()), texts)
        if pa.types.is_decimal(storage):
            without_zeros = pc.replace_substring_regex(texts, r"(\.\d*?)0+$", r"\1")
            return pc.replace_substring_regex(without_zeros, r"\.$", "")
        return texts

    def present_texts(self) -> pa.ChunkedArray:
        """Return the texts that are not missing, without surrounding spaces, (values,)."""
        return _trim(self.values.filter(self._present))

    def shown(self, index: int) -> str:
        """Return a value in quotes, truncated if it is long."""
        text = str(self.values[index].as_py())
        return f"'{text[:_SHOWN_CHARACTERS]}...'" if len(text) > _SHOWN_CHARACTERS else f"'{text}'"

    def missing_hint(self, index: int) -> str:
        """Suggest to declare a value as missing if it is a common spelling of that; else empty."""
        text = str(self.values[index].as_py()).strip()
        if self.kind != "text" or text not in USUAL_MISSING_WORDS:
            return ""
        return f"; if it means a missing value, add {json.dumps(text)} to data.missing"

    def usual_missing_words(self) -> dict[str, int]:
        """Return the usual words for missing values that the column holds, with their rows."""
        if self.kind != "text" or self.lacks_usual_words:
            return {}
        texts = _trim(self.values)
        found = texts.filter(pc.is_in(texts, value_set=strings(USUAL_MISSING_WORDS, texts.type)))
        return {each["values"]: each["counts"] for each in found.value_counts().to_pylist()}

    def with_missing_words(self, words: tuple[str, ...]) -> Column:
        """Return the column with other missing words, none of which it holds."""
        column = replace(self, missing_words=words)
        vars(column).update(vars(self) | {"missing_words": words})  # it remembers what was parsed
        return column

    def error(self, message: str) -> DataError:
        """Make an error about the column as a whole."""
        return DataError(message, file=self.file, column=self.name)

    @cached_property
    def _present(self) -> pa.ChunkedArray:
        """Return the Arrow mask of the values that are not missing, (rows,)."""
        present = pc.invert(pc.is_null(self.values, nan_is_null=True))
        if self.kind == "number" and (numbers := missing_numbers(self.missing_words)):
            return pc.and_not(present, _equals_one(self.values, numbers))
        if self.kind != "text":
            return present
        words = _word_set(missing_texts(self.missing_words), self.values.type)
        return pc.and_not(present, pc.is_in(_trim(self.values), value_set=words))

    @cached_property
    def _is_present(self) -> NDArray[np.bool_]:
        """Where the value is not missing, (rows,)."""
        return mask_to_numpy(self._present)

    # What `parse_together` knows; else the default.

    @cached_property
    def distinct(self) -> DistinctTexts:
        """The distinct canonical texts, and the number of rows of each.

        Raises:
            DataError: for values without a text form, such as lists.
        """
        return count_texts(self.canonical_texts())

    @property
    def codes_are_known(self) -> bool:
        """True if the codes are known, as for short columns that were parsed together."""
        return self._codes is not None

    @cached_property
    def _codes(self) -> NDArray[np.int64] | None:
        """The index of each value among the distinct texts, -1 where missing, (rows,)."""
        return None

    @cached_property
    def _are_numbers(self) -> bool:
        """True if there are texts, and all are known to be numbers in the notation."""
        return False

    @cached_property
    def lacks_usual_words(self) -> bool:
        """True if no text is known to be a usual word for a missing value."""
        return False

    @cached_property
    def _parsed(self) -> NDArray[np.float64] | None:
        """The present values as numbers, undefined elsewhere, (rows,); None if one can't be."""
        try:
            return self._parse(self._present)
        except pa.ArrowInvalid:
            return None

    def _parse(self, present: pa.ChunkedArray) -> NDArray[np.float64]:
        """Return the present values as numbers, undefined elsewhere, (rows,).

        The texts `nan` and `inf` are accepted.
        """
        numbers = self.values
        if self.kind == "text":
            null = pa.nulls(1, numbers.type)[0]
            numbers = self.notation.plain(_trim(pc.if_else(present, numbers, null)))
        return to_numpy(numbers.cast(pa.float64(), safe=False), np.float64)


def _parse_together(columns: Sequence[Column]) -> None:
    """Compute the cached properties of columns of text of the same length that are read alike.

    Each distinct text is parsed once; all masks and numbers of these are (distinct texts,).
    """
    shape = (len(columns), len(columns[0].values))
    values = pa.concat_arrays([chunk for column in columns for chunk in column.values.chunks])
    encoded = values.dictionary_encode(null_encoding="encode")
    indices = to_numpy(encoded.indices, np.int32).reshape(shape)
    joined = replace(columns[0], values=pa.chunked_array([encoded.dictionary]))
    texts, present, is_present = _trim(joined.values), joined._present, joined._is_present
    fits = pc.and_kleene(present, joined.notation.fits(texts))
    is_number = mask_to_numpy(pc.fill_null(fits, FALSE))
    parsed = joined._parse(fits)
    may_be = pc.fill_null(pc.match_substring_regex(texts, _MAY_BE_NUMBER), FALSE)
    is_word = is_present & ~mask_to_numpy(may_be)
    is_usual = _among(texts, USUAL_MISSING_WORDS)
    present, are_present = present.take(encoded.indices), is_present[indices]
    are_numbers = np.logical_and.reduce((is_number | ~is_present)[indices], axis=1)
    are_numbers &= np.logical_or.reduce(are_present, axis=1)
    have_words = np.logical_or.reduce(is_word[indices], axis=1)
    have_usual = np.logical_or.reduce(is_usual[indices], axis=1)
    numbers = np.where(is_number & np.isfinite(parsed), parsed, np.nan)[indices]
    numbers.flags.writeable = False  # as they are shared
    for at, column in enumerate(columns):
        known = vars(column)
        known["_present"] = present.slice(at * shape[1], shape[1])
        known["_is_present"] = are_present[at]
        known["lacks_usual_words"] = not have_usual[at]
        if are_numbers[at]:
            known["_numbers"], known["_are_numbers"] = numbers[at], True
        elif have_words[at]:
            known["_parsed"] = None
    canonical, canonical_indices = joined.canonical().combine_chunks(), indices
    if not canonical.equals(encoded.dictionary):  # else they are distinct, as most numbers are
        recoded = canonical.dictionary_encode()
        canonical = recoded.dictionary
        canonical_indices = to_numpy(recoded.indices, np.int32)[indices]
    for group in (are_numbers, ~are_numbers):  # about which different questions are asked
        chosen = are_present & group[:, np.newaxis]
        held, owners = canonical_indices[chosen], np.nonzero(chosen)[0]
        codes = np.full(shape, -1)
        codes[chosen], distinct = count_together(canonical, held, owners, len(columns))
        for at in np.flatnonzero(group).tolist():
            known = vars(columns[at])
            known["distinct"], known["_codes"] = distinct[at], codes[at]


def missing_setting(words: Mapping[str, Sequence[str]]) -> str:
    """Return the config setting that declares words as missing: `data.missing: {"x": ["-999"]}`.

    Args:
        words: the words by column.
    """
    return f"data.missing: {json.dumps(words, ensure_ascii=False)}"


def _trim(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.utf8_trim_whitespace(values)


@cache
def _spellings(word: str) -> tuple[str, ...]:
    """Return a word, and a whole number also with and without the `.0` that pandas may add."""
    whole = re.sub(ZERO_DECIMALS, r"\1\2", word)
    return (word, whole, f"{whole}.0") if re.match(_WHOLE, whole) else (word,)


def missing_texts(words: Iterable[str]) -> tuple[str, ...]:
    """Return the texts without surrounding spaces that are missing values, given their words."""
    return ("", *(text for word in words for text in _spellings(word.strip())))


def missing_numbers(words: Iterable[str]) -> list[float]:
    """Return the numbers that are missing values, given the words for these."""
    is_number = re.compile(Notation().pattern).match
    return [float(word) for word in map(str.strip, words) if is_number(word)]


def _equals_one(values: pa.ChunkedArray, numbers: Sequence[float]) -> pa.ChunkedArray:
    """Return the Arrow mask of the values that equal one of some numbers, (rows,)."""
    wanted = floats(np.array(numbers))
    if pa.types.is_floating(values.type):
        # 0.1 in 32 bits differs from 0.1 in 64 bits, so these take the precision of the values.
        return pc.is_in(values, value_set=wanted.cast(values.type, safe=False))
    return pc.is_in(values.cast(pa.float64(), safe=False), value_set=wanted)


def _among(values: pa.ChunkedArray, words: tuple[str, ...]) -> NDArray[np.bool_]:
    return mask_to_numpy(pc.is_in(values, value_set=_word_set(words, values.type)))


@lru_cache  # a table may have many columns, with the same words
def _word_set(words: tuple[str, ...], storage: pa.DataType) -> pa.Array:
    return strings(words, storage)


def _kind(storage: pa.DataType) -> Kind:
    types = pa.types
    if types.is_dictionary(storage):
        return _kind(storage.value_type)
    if types.is_string(storage) or types.is_large_string(storage) or types.is_null(storage):
        return "text"
    if types.is_boolean(storage):
        return "boolean"
    is_whole = types.is_integer(storage)
    is_number = is_whole or types.is_floating(storage) or types.is_decimal(storage)
    return "number" if is_number else "other"


# Tables


class Remark(NamedTuple):
    """Something that was detected or guessed about a file."""

    message: str
    """For the user: `fields are separated by ';'`."""
    is_doubtful: bool = False
    """True if the guess may be wrong, so that the user should check it."""
    column: str | None = None
    """The one column that it is about."""


@dataclass(frozen=True, eq=False)
class Table:
    """Columns by name. Any name that is not in `columns` raises a KeyError.

    Args:
        file: the file as the user named it, for messages.
        data: the columns as stored.
        row_numbers: the number of each row in its file, counted from 1 after the header, (rows,).
        missing_words: spellings of a missing value by column, besides nulls, NaN and blank fields;
            one that is a number is compared by value in a column of numbers.
        files: the files that the rows come from, if not `file` alone, in their order.
        file_numbers: the index in `files` of each row's file, (rows,).
        notations: the notation of numbers in text, for the columns where it is not the default.
        remarks: what was detected about the files.
        nameless: the columns that have no name in a file, by the names that they got.
        unread: the columns of a file that were not read.
    """

    file: str
    data: pa.Table | StoredColumns | ShardedColumns
    row_numbers: NDArray[np.int64]
    missing_words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    files: tuple[str, ...] = ()
    file_numbers: NDArray[np.int32] | None = None
    notations: Mapping[str, Notation] = field(default_factory=dict)
    remarks: tuple[Remark, ...] = ()
    nameless: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns' names, in the order of the file."""
        return tuple(self.data.column_names)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.row_numbers)

    @property
    def notes(self) -> tuple[str, ...]:
        """The messages about the files that are certain."""
        return tuple(remark.message for remark in self.remarks if not remark.is_doubtful)

    @property
    def warnings(self) -> tuple[str, ...]:
        """The messages about the files that are guesses."""
        return tuple(remark.message for remark in self.remarks if remark.is_doubtful)

    # Rows

    def take(self, rows: NDArray[np.int64]) -> Table:
        """Return the table of some rows, in the order given.

        Args:
            rows: indices from 0, (rows,).
        """
        data = self.data
        if isinstance(data, pa.Table):
            data = pa.table({name: widened(data.column(name)) for name in self.columns})
        return self._part(data.take(integers(rows)), rows)

    def only(self, names: Iterable[str]) -> Table:
        """Return the table of some columns, in memory."""
        return replace(self, data=pa.table({name: self.data.column(name) for name in names}))

    def parts(self, rows: int) -> Iterator[Table]:
        """Yield consecutive parts of so many rows; the last may have fewer."""
        for start in range(0, self.rows, rows):
            yield self._part(self.data.slice(start, rows), slice(start, start + rows))

    @property
    def is_shared(self) -> bool:
        """True in a cluster, each of whose workers holds a share of the rows."""
        return isinstance(self.data, ShardedColumns)

    def own_rows(self) -> Table:
        """Return the rows that this process holds: in a cluster its share, elsewhere all."""
        if not isinstance(self.data, ShardedColumns):
            return self
        return self._part(self.data.own, self.data.shares.own)

    def by_row(self, compute: Callable[[Table], NDArray[Any]]) -> NDArray[Any]:
        """Compute an array of values of each row, (rows, ...); in a cluster each worker its own.

        Args:
            compute: returns the values of a table's rows, each of which follows from the row alone.
        """
        if not isinstance(self.data, ShardedColumns):
            return compute(self)
        shares = self.data.shares
        return shares.gather(in_agreement(shares.exchange, lambda: compute(self.own_rows())))

    def any_part(self, test: Callable[[Table], bool]) -> bool:
        """Return whether a test holds for the rows; in a cluster, for those of some worker.

        Args:
            test: holds for rows if it holds for some of them.
        """
        if not isinstance(self.data, ShardedColumns):
            return test(self)
        exchange = self.data.shares.exchange
        return any(gather_results(exchange, lambda: test(self.own_rows())))

    def by_column(
        self,
        names: Sequence[str],
        compute: Callable[[str, Table], Result],
        dump: Callable[[Result], str],
        load: Callable[[str], Result],
    ) -> list[Result]:
        """Compute something of each column; in a cluster each worker that of some columns.

        Args:
            names: the columns.
            compute: computes it, given the column's name, and a table that has this column.
            dump: writes it as a text, which is sent to the other workers.
            load: reads such a text.

        Raises:
            DlcliError: of the first column that `compute` fails on.
        """
        if not isinstance(self.data, ShardedColumns):
            return [compute(name, self) for name in names]
        exchange, found = self.data.shares.exchange, list[str]()

        def compute_own(own: tuple[str, Table] | None) -> str:
            return "" if own is None else dump(compute(*own))

        for start in range(0, len(names), exchange.size):
            some = names[start : start + exchange.size]
            work = partial(compute_own, self._one_of_each(some, exchange.rank))
            found += gather_results(exchange, work)[: len(some)]
        return [*map(load, found)]

    def _one_of_each(self, names: Sequence[str], rank: int) -> tuple[str, Table] | None:
        """Read columns in a cluster, one for each worker; return that of a worker, if any."""
        own = None
        for number, name in enumerate(names):
            alone = self.only([name])  # all take part in it, and most do not keep it
            if number == rank:
                own = name, alone
        return own

    def where(self, index: int) -> tuple[str, int]:
        """Return the file of a row, and its number in it, counted from 1 after the header.

        Args:
            index: the row's index from 0.
        """
        if self.file_numbers is None:
            return self.file, int(self.row_numbers[index])
        return self.files[self.file_numbers[index]], int(self.row_numbers[index])

    def file_names(self) -> pa.Array:
        """Return the file of each row, (rows,)."""
        names = self.files or (self.file,)
        numbers = self.file_numbers if self.file_numbers is not None else np.zeros(self.rows)
        return strings(names, pa.string()).take(integers(numbers.astype(np.int64)))

    def _part(
        self, data: pa.Table | StoredColumns | ShardedColumns, rows: NDArray[np.int64] | slice
    ) -> Table:
        numbers = self.file_numbers
        return replace(
            self,
            data=data,
            row_numbers=self.row_numbers[rows],
            file_numbers=None if numbers is None else numbers[rows],
        )

    # Columns

    def column(self, name: str) -> Column:
        """Return a column, as `Column` reads it."""
        if (column := self._kept.get(name)) is None:
            values = plain(self.data.column(name))
            notation = self.notations.get(name, Notation())
            words = self.missing_words.get(name, ())
            column = Column(name, values, self.file, words, notation)
            in_memory = isinstance(self.data, pa.Table)
            if in_memory and self.rows * len(self.columns) <= _VALUES_KEPT:
                self._kept[name] = column
        return column

    def kind(self, name: str) -> Kind:
        """Return the kind of a column's values, without reading them."""
        return _kind(self.data.schema.field(name).type)

    def reuse(self, earlier: Table) -> None:
        """Take over what another table of the same values parsed, for columns read alike."""
        for name, column in earlier._kept.items():
            if column.notation == self.notations.get(name, Notation()):
                words = self.missing_words.get(name, ())
                if words == column.missing_words:
                    self._kept[name] = column
                elif column.lacks_usual_words and _USUAL.issuperset(words + column.missing_words):
                    self._kept[name] = column.with_missing_words(words)

    def parse_together(self) -> None:
        """Parse all columns of text at once if they are short.

        Each of Arrow's functions takes longer to be called than to process some hundred values, so
        that a table of many short columns is parsed several times as fast.
        """
        is_short = self.rows <= _SHORT and self.rows * len(self.columns) <= _VALUES_KEPT
        if not is_short or not isinstance(self.data, pa.Table):
            return
        alike = defaultdict[tuple[object, ...], list[Column]](list)
        for column in map(self.column, self.columns):
            if column.kind == "text" and "_present" not in vars(column):
                alike[column.values.type, column.missing_words, column.notation].append(column)
        for columns in alike.values():
            if len(columns) >= _FEWEST_TOGETHER:
                _parse_together(columns)

    def keep(self, name: str) -> pa.ChunkedArray:
        """Return a column's values as stored, unchanged, (rows,)."""
        return self.data.column(name)

    def missing(self, name: str) -> NDArray[np.bool_]:
        """Return where a value is null, NaN, blank or one of the missing words, (rows,)."""
        return self.column(name).missing()

    def numbers(self, name: str, way_out: WayOut | None = None) -> NDArray[np.float64]:
        """Return a column as numbers, NaN where missing, (rows,).

        Args:
            name: the column.
            way_out: gives the end of the error by whether most values are wrong, unless the first
                wrong one is a common spelling of a missing value.

        Raises:
            DataError: for a value that is not a finite number, with its row.
        """
        return self._all_of(self.column(name).numbers(), name, way_out).copy()

    def booleans(self, name: str, way_out: WayOut | None = None) -> NDArray[np.float64]:
        """Return a column as 1 for true and 0 for false, NaN where missing, (rows,).

        Args:
            name: the column.
            way_out: see `numbers`.

        Raises:
            DataError: for a value other than true, false, 1 and 0, with its row.
        """
        return self._all_of(self.column(name).booleans(), name, way_out)

    def texts(self, name: str) -> NDArray[np.object_]:
        """Return the canonical text of a column's values, None where missing, (rows,).

        Whole numbers are written without a decimal point and booleans in lower case in every file
        format, so that a Parquet 3.0 or a CSV `3.0` equals a CSV `3`.

        Raises:
            DataError: for values without a text form, such as lists.
        """
        return self.column(name).texts()

    def codes(self, name: str) -> tuple[NDArray[np.int64], list[str]]:
        """Return a column as categories: the result of `texts`, without an object for each row.

        Returns:
            codes: the index of each value in the categories, -1 where missing, (rows,).
            categories: the distinct canonical texts, in the order of their first row.

        Raises:
            DataError: for values without a text form, such as lists.
        """
        return self.column(name).codes()

    def place(self, index: int) -> str:
        """Name a row in messages: `row 3`, of several files with its own."""
        file, row = self.where(index)
        return f"row {row} of {file}" if self.files else f"row {row}"

    def written_like(self, notations: Mapping[str, Notation]) -> Table:
        """Return the same rows, with numbers read in another table's notations where they fit.

        A few values may be ambiguous, such as `1.234`, while the other table settled the notation.
        Its units hold even where they don't fit, so that kilograms are never read as pounds.

        Args:
            notations: those of the other table's columns; any other column has the default one.
        """
        settled = {}
        for name in self.columns:
            wanted, own = (each.get(name, Notation()) for each in (notations, self.notations))
            if own.measure == wanted.measure:
                if own != wanted and self.column(name).is_written(wanted):
                    settled[name] = wanted
                continue
            signs = (sign for sign in _SEPARATORS if sign != wanted.decimal)
            ways = (wanted, *(replace(wanted, thousands=sign) for sign in signs))
            settled[name] = next(filter(self.column(name).is_written, ways), wanted)
        if not settled:
            return self
        remarks = tuple(remark for remark in self.remarks if remark.column not in settled)
        return replace(self, notations={**self.notations, **settled}, remarks=remarks)

    def refuse(self, wrong: NDArray[np.bool_], name: str, complaint: Callable[[int], str]) -> None:
        """Raise an error about the first wrong value of a column, with the number of the others.

        Args:
            wrong: where values are wrong, (rows,).
            name: the column.
            complaint: describes the problem with the value at an index.

        Raises:
            DataError: with file, row and column.
        """
        if wrong.any():
            at = int(np.argmax(wrong))
            file, row = self.where(at)
            others = int(np.count_nonzero(wrong)) - 1
            more = f" ({plural(others, 'more such row')})" if others else ""
            raise DataError(complaint(at) + more, file=file, row=row, column=name)

    @cached_property
    def _kept(self) -> dict[str, Column]:
        """The columns that were asked for, of a small table: they remember what was parsed."""
        return {}

    def _all_of(self, parsed: Parsed, name: str, way_out: WayOut | None) -> NDArray[np.float64]:
        def complaint(index: int) -> str:
            if way_out is None or self.column(name).missing_hint(index):
                return parsed.complaint(index)
            are_most = 2 * np.count_nonzero(parsed.unreadable) > np.count_nonzero(~parsed.missing)
            return parsed.complaint(index) + way_out(bool(are_most))

        self.refuse(parsed.unreadable, name, complaint)
        return parsed.values
