"""A column of a table: its missing values, and all others as numbers, booleans or texts."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, lru_cache
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dlcli.arrays import floats, integers, mask_to_numpy, strings, to_numpy
from dlcli.errors import DataError, truncate
from dlcli.tables.number_notation import Notation

Kind = Literal["text", "number", "boolean", "other"]


def _in_any_case(*words: str) -> tuple[str, ...]:
    """Return words as written, in lower case, in upper case and capitalized."""
    forms = (str, str.lower, str.upper, str.capitalize)
    return tuple(dict.fromkeys(form(word) for word in words for form in forms))


_SPREADSHEET_ERRORS = ("#DIV/0!", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!")
"""Texts of failed formulas in Excel and other spreadsheets, other than `#N/A`."""
_ABBREVIATIONS = ("n.a.", "n. a.", "k.A.", "k. A.", "n/d", "s/d", "н/д", "NaT")
"""Not available, keine Angabe, não disponível, sin dato, нет данных, not a time."""
CLEAR_MISSING_WORDS = (
    *_in_any_case("NA", "N/A", "#N/A", "<NA>", "NaN", "null", "missing", "?"),
    *_in_any_case(*_ABBREVIATIONS, "keine Angabe", "no data", "sin dato", "sin datos"),
    *_in_any_case("non renseigné", "não informado", "brak danych", "нет данных", "не указано"),
    *("无数据", "暂无数据", "暂无", "データなし"),
    *_SPREADSHEET_ERRORS,
)
"""Spellings of a missing value that can't be the name of a class."""
UNKNOWN_WORDS = (
    *_in_any_case("unknown", "unbekannt", "inconnu", "desconocido", "desconhecido", "неизвестно"),
    *("未知", "不明", "不详"),
)
"""Words for unknown, which may also name a class."""
USUAL_MISSING_WORDS = (
    *(*CLEAR_MISSING_WORDS, *UNKNOWN_WORDS),
    *_in_any_case("None", "nil", "-", "--", "–", "—", "/", ".", "..", "...", "…"),
    *("n.d.", "N.D.", "无", "無", "なし", "없음"),  # N.D. is also North Dakota
)
"""Common spellings of a missing value."""
_WHOLE = r"^-?(?:0|[1-9][0-9]*)$"
ZERO_DECIMALS = r"^(?:-?(0)|(-?[1-9][0-9]*))\.0+$"
TRUE_WORDS = ("true", "1", "1.0")  # pandas writes 0/1 columns with gaps as 0.0 and 1.0
FALSE_WORDS = ("false", "0", "0.0")
_MAY_BE_NUMBER = r"^[+-]?[0-9]*[.,]?[0-9]*(?:[eE][+-]?[0-9]+)?$|(?i:nan|inf)"
"""Matches at least what Arrow converts to a number."""
_INFINITY = r"^[+-]?(?i:inf(?:inity)?)$"
_LONGEST_SHOWN = 43
_ROWS_AT_ONCE = 8192
"""Rows of long texts that are converted at once, since the conversion makes several copies."""


@dataclass(frozen=True, eq=False)
class Parsed:
    """A column's values as numbers, with a record of unreadable values."""

    values: NDArray[np.float64]
    """NaN where missing or unreadable, (rows,)."""
    unreadable: NDArray[np.bool_]
    """Mask of unreadable values, (rows,)."""
    problem: Callable[[int], str]
    """Describes the problem with the value at an index."""

    @property
    def missing(self) -> NDArray[np.bool_]:
        """Mask of missing values, (rows,)."""
        return np.isnan(self.values) & ~self.unreadable


@dataclass(frozen=True, eq=False)
class Column:
    """The values of one column.

    Args:
        name: the column's name.
        values: the values as stored, (rows,).
        file: the table's file, for messages.
        missing_words: spellings of a missing value in addition to nulls, NaN and empty fields; in a
            column of numbers, a spelling that is a number is compared by value.
        notation: the notation of numbers in text.
    """

    name: str
    values: pa.ChunkedArray
    file: str
    missing_words: tuple[str, ...]
    notation: Notation = Notation()

    # Set by `parse_together`; unknown until then.
    lacks_usual_words: bool = field(default=False, init=False)
    """True if no text is known to be a usual word for a missing value."""
    _are_numbers: bool = field(default=False, init=False)
    """True if there are texts, and all are known to be numbers in the notation."""
    known_codes: NDArray[np.int64] | None = field(default=None, init=False, repr=False)
    """The index of each value among the distinct texts, -1 where missing, (rows,)."""

    @cached_property
    def kind(self) -> Kind:
        """The kind of the stored values; dates, lists and bytes are `other`."""
        return column_kind(self.values.type)

    def missing(self) -> NDArray[np.bool_]:
        """Return the mask of values that are null, NaN, blank or a missing word, (rows,)."""
        return ~self._is_present

    def numbers(self) -> Parsed:
        """Return the values as numbers, in read-only arrays.

        Raises:
            DataError: for a column that holds neither numbers nor text.
        """
        if self.kind in ("boolean", "other"):
            raise self.error(f"expected numbers, but the column holds {self.values.type}")

        def problem(index: int) -> str:
            unit = self.notation.unit
            written = f" in {unit}"
            if self.notation.needs_unit:
                written = " with its unit, such as '12 %'"
            expected = f"expected a finite number{written if unit else ''}"
            return f"{expected}, got {self.shown(index)}{self.missing_hint(index)}"

        return Parsed(self._numbers, self._is_unreadable, problem)

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
        """Mask of values that are not numbers, in a read-only array, (rows,)."""
        is_unreadable = self._is_present & np.isnan(self._numbers)
        is_unreadable.flags.writeable = False
        return is_unreadable

    def looks_numeric(self) -> bool:
        """Return whether all values are numbers, and there is at least one.

        A spelling of a missing value that is not in the missing words is not a number. Infinities
        count as numbers here: `numbers` then reports them, and the column does not become
        categorical.
        """
        if self.kind in ("boolean", "other"):
            return False
        if self._are_numbers or self._parsed is None:
            return self._are_numbers
        parsed = self._parsed[self._is_present]
        return parsed.size > 0 and not bool(np.isnan(parsed).any())

    def is_written(self, notation: Notation) -> bool:
        """Return whether all values are texts that are numbers in a notation."""
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
            raise self.error(f"expected booleans, but the column holds {self.values.type}")
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

        A column of text must hold at least one value; 1 and 0 count as numbers.
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
        if self.known_codes is not None:
            return self.known_codes.copy(), [*self.distinct.words]
        if pa.types.is_nested(self.values.type):
            raise self.error(f"expected single values, but the column holds {self.values.type}")
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

        For every file format, integers are written without a decimal point and booleans in lower
        case, so a Parquet 3.0 and a CSV `3.0` both equal a CSV `3`.

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
            # Matching takes a third of the time of replacing.
            is_integer = pc.match_substring_regex(words, ZERO_DECIMALS)
            if not pc.any(is_integer).as_py():
                return words
            return pc.replace_substring_regex(words, ZERO_DECIMALS, r"\1\2")
        try:
            texts = values.cast(pa.string())
        except MemoryError:
            raise
        except pa.ArrowException:
            message = f"expected values that can be written as text, but the column holds {storage}"
            raise self.error(message) from None
        if pa.types.is_floating(storage):
            whole = values.cast(pa.int64(), safe=False)
            is_whole = pc.equal(whole.cast(storage, safe=False), values)
            return pc.if_else(is_whole, whole.cast(pa.string()), texts)
        if pa.types.is_decimal(storage):
            return pc.replace_substring_regex(texts, r"(\.\d*[1-9])0+$|\.0*$", r"\1")
        return texts

    def present_texts(self) -> pa.ChunkedArray:
        """Return the texts that are not missing, without surrounding spaces, (values,)."""
        return _trim(self.values.filter(self._present))

    def shown(self, index: int) -> str:
        """Return a value in quotes, truncated if it is long."""
        return f"'{truncate(str(self.values[index].as_py()), _LONGEST_SHOWN)}'"

    def missing_hint(self, index: int) -> str:
        """Suggest adding a value to the missing words if it is a common spelling; else empty."""
        text = str(self.values[index].as_py()).strip()
        if self.kind != "text" or text not in USUAL_MISSING_WORDS:
            return ""
        return f"; if it means a missing value, add {json.dumps(text)} to data.missing"

    def usual_missing_words(self) -> dict[str, int]:
        """Return the usual missing words in the column, with the number of rows of each."""
        if self.kind != "text" or self.lacks_usual_words:
            return {}
        texts = _trim(self.values)
        found = texts.filter(pc.is_in(texts, value_set=_word_set(USUAL_MISSING_WORDS, texts.type)))
        return {each["values"]: each["counts"] for each in found.value_counts().to_pylist()}

    def with_missing_words(self, words: tuple[str, ...]) -> Column:
        """Return the column with other missing words that do not occur in it."""
        column = replace(self, missing_words=words)
        vars(column).update(vars(self) | {"missing_words": words})  # keeps what was parsed
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
        """Mask of values that are not missing, (rows,)."""
        return mask_to_numpy(self._present)

    @cached_property
    def distinct(self) -> DistinctTexts:
        """The distinct canonical texts, and the number of rows of each.

        Raises:
            DataError: for values without a text form, such as lists.
        """
        return count_texts(self.canonical_texts())

    @cached_property
    def _parsed(self) -> NDArray[np.float64] | None:
        """The present values as numbers, undefined elsewhere, (rows,); None if one is not."""
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

    @staticmethod
    def parse_together(columns: Sequence[Column]) -> None:
        """Compute the cached properties of text columns of equal length and missing words.

        Each distinct text is parsed once; all masks and numbers of these are (distinct texts,).
        """
        shape = (len(columns), len(columns[0].values))
        values = pa.concat_arrays([chunk for column in columns for chunk in column.values.chunks])
        encoded = values.dictionary_encode(null_encoding="encode")
        indices = to_numpy(encoded.indices, np.int32).reshape(shape)
        joined = replace(columns[0], values=pa.chunked_array([encoded.dictionary]))
        texts, present, is_present = _trim(joined.values), joined._present, joined._is_present
        fits = pc.and_kleene(present, joined.notation.fits(texts))
        is_number = mask_to_numpy(fits)
        parsed = joined._parse(fits)
        is_word = is_present & ~mask_to_numpy(pc.match_substring_regex(texts, _MAY_BE_NUMBER))
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
        if not canonical.equals(encoded.dictionary):  # else all are distinct
            recoded = canonical.dictionary_encode()
            canonical = recoded.dictionary
            canonical_indices = to_numpy(recoded.indices, np.int32)[indices]
        for group in (are_numbers, ~are_numbers):  # each group shares a cache
            chosen = are_present & group[:, np.newaxis]
            held, owners = canonical_indices[chosen], np.nonzero(chosen)[0]
            codes = np.full(shape, -1)
            codes[chosen], distinct = count_together(canonical, held, owners, len(columns))
            for at in np.flatnonzero(group).tolist():
                known = vars(columns[at])
                known["distinct"], known["known_codes"] = distinct[at], codes[at]


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
    """Return a word; an integer also with and without the `.0` that pandas may add."""
    whole = re.sub(ZERO_DECIMALS, r"\1\2", word)
    return (word, whole, f"{whole}.0") if re.match(_WHOLE, whole) else (word,)


def missing_texts(words: Iterable[str]) -> tuple[str, ...]:
    """Return all stripped texts that are missing values, given the missing words."""
    return ("", *(text for word in words for text in _spellings(word.strip())))


def missing_numbers(words: Iterable[str]) -> list[float]:
    """Return all numbers that are missing values, given the missing words; may include `inf`."""
    numbers = map(_number_of, map(str.strip, words))
    return [number for number in numbers if number is not None]


@cache  # called for every column of every table
def _number_of(word: str) -> float | None:
    """Return a missing word as a number; `None` if it is not one."""
    return float(word) if re.match(f"{Notation().pattern}|{_INFINITY}", word) else None


def _equals_one(values: pa.ChunkedArray, numbers: Sequence[float]) -> pa.ChunkedArray:
    """Return the Arrow mask of the values that equal one of some numbers, (rows,)."""
    wanted = floats(np.array(numbers))
    if pa.types.is_floating(values.type):
        # 0.1 in 32 bits differs from 0.1 in 64 bits, so these take the precision of the values.
        return pc.is_in(values, value_set=wanted.cast(values.type, safe=False))
    return pc.is_in(values.cast(pa.float64(), safe=False), value_set=wanted)


def _among(values: pa.ChunkedArray, words: tuple[str, ...]) -> NDArray[np.bool_]:
    return mask_to_numpy(pc.is_in(values, value_set=_word_set(words, values.type)))


@lru_cache  # many columns may share the same words
def _word_set(words: tuple[str, ...], storage: pa.DataType) -> pa.Array:
    return strings(words, storage)


def column_kind(storage: pa.DataType) -> Kind:
    """Return the kind of column for an Arrow type."""
    types = pa.types
    if types.is_dictionary(storage):
        return column_kind(storage.value_type)
    if types.is_string(storage) or types.is_large_string(storage) or types.is_null(storage):
        return "text"
    if types.is_boolean(storage):
        return "boolean"
    is_whole = types.is_integer(storage)
    is_number = is_whole or types.is_floating(storage) or types.is_decimal(storage)
    return "number" if is_number else "other"


Results = tuple[NDArray[Any], ...]
"""Arrays with an entry for each text, (texts,)."""
Function = Callable[[pa.Array, str], Results]
"""Computes results of texts, (texts,), and of an argument such as a pattern."""


@dataclass(frozen=True, eq=False)
class DistinctTexts:
    """The distinct texts of a column, in the order of their first row."""

    every: pa.Array
    """The texts of all columns that share the cache, one column after the other."""
    part: slice
    """The slice of this column's texts."""
    counts: NDArray[np.int64]
    """Number of rows with each text, (distinct texts,)."""
    computed: dict[tuple[Function, str], Results] = field(default_factory=dict)
    """Earlier results of `compute`, shared by all columns."""

    @cached_property
    def texts(self) -> pa.Array:
        """The texts, (distinct texts,)."""
        return self.every[self.part]

    @cached_property
    def words(self) -> list[str]:
        """The texts as Python strings."""
        return list(self.texts.to_pylist())

    def first(self, count: int) -> DistinctTexts:
        """Return at most the first `count` texts."""
        if len(self.counts) <= count:
            return self
        return DistinctTexts(self.texts[:count], slice(0, count), self.counts[:count])

    def compute(self, function: Function, argument: str) -> Results:
        """Return the result of a function for each text."""
        key = (function, argument)
        if key not in self.computed:
            self.computed[key] = function(self.every, argument)
        return tuple(results[self.part] for results in self.computed[key])

    def matches(self, pattern: str) -> NDArray[np.bool_]:
        """Return the mask of texts that match a pattern of RE2, (distinct texts,)."""
        return self.compute(_matches, pattern)[0]

    def count_matches(self, pattern: str) -> NDArray[np.int32]:
        """Return how often a pattern of RE2 matches each text, (distinct texts,)."""
        counts: NDArray[np.int32] = self.compute(_count_matches, pattern)[0]
        return counts


def _matches(texts: pa.Array, pattern: str) -> Results:
    return (mask_to_numpy(pc.match_substring_regex(texts, pattern)),)


def _count_matches(texts: pa.Array, pattern: str) -> Results:
    return (to_numpy(pc.count_substring_regex(texts, pattern), np.int32),)


def count_texts(texts: pa.ChunkedArray) -> DistinctTexts:
    """Count the distinct texts of a column without nulls, (rows,)."""
    counted = texts.value_counts()
    distinct = counted.field("values").cast(pa.string())
    counts = to_numpy(counted.field("counts"), np.int64)
    return DistinctTexts(distinct, slice(0, len(distinct)), counts)


def count_together(
    texts: pa.Array, indices: NDArray[np.int32], owners: NDArray[np.int64], columns: int
) -> tuple[NDArray[np.int64], list[DistinctTexts]]:
    """Find the distinct texts of each of many columns.

    Args:
        texts: the distinct texts of all columns, (texts,).
        indices: the index of each value's text, one column after the other, (values,).
        owners: the number of each value's column, from 0, (values,).
        columns: the number of columns.

    Returns:
        codes: the index of each value among the distinct texts of its column, (values,).
        distinct: the distinct texts of each column, (columns,).
    """
    size = max(len(texts), 1)
    pairs = integers(owners * size + indices).dictionary_encode()
    numbers = to_numpy(pairs.indices, np.int32)
    found, at = np.divmod(to_numpy(pairs.dictionary, np.int64), size)
    every = texts.take(integers(at)).cast(pa.string())
    counts = np.bincount(numbers, minlength=len(found))
    computed: dict[tuple[Function, str], Results] = {}
    edges = np.searchsorted(found, np.arange(columns + 1))
    parts = [slice(start, stop) for start, stop in pairwise(edges.tolist())]
    distinct = [DistinctTexts(every, part, counts[part], computed) for part in parts]
    return numbers - edges[owners], distinct
