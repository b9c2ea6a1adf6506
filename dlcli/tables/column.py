"""One column of a table, and the ways to take its values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dlcli.errors import DataError
from dlcli.tables.arrays import floats, mask_to_numpy, strings, to_numpy
from dlcli.tables.notation import Notation

Kind = Literal["text", "number", "boolean", "other"]

_NUMBER = Notation().pattern
_WHOLE = r"^-?(?:0|[1-9][0-9]*)$"
_ZERO_DECIMALS = r"^(?:-?(0)|(-?[1-9][0-9]*))\.0+$"
_TRUE = ("true", "1", "1.0")  # pandas writes a 0/1 column with gaps as 0.0 and 1.0
_FALSE = ("false", "0", "0.0")
USUAL_MISSING_WORDS = frozenset(
    ("na", "n/a", "#n/a", "<na>", "nan", "null", "none", "nil", "missing", "?", "-", "--", ".")
)
"""What often stands for a missing value, in lower case; it counts as one only where declared."""
_SHOWN_CHARACTERS = 40
_ROWS_AT_ONCE = 8192
"""Long texts are copied several times over on the way; so many at a time take little memory."""


@dataclass(frozen=True, eq=False)
class Parsed:
    """A column's values read as something, and those that can't be."""

    values: NDArray[np.float64]
    """NaN where missing or unreadable, (rows,)."""
    unreadable: NDArray[np.bool_]
    """Where there is a value that can't be read, (rows,)."""
    complaint: Callable[[int], str]
    """What is wrong with the value at an index."""


@dataclass(frozen=True, eq=False)
class Column:
    """The values of one column.

    Args:
        name: the column's name.
        values: the values as stored, (rows,).
        file: the table's file, for messages.
        missing_words: what counts as missing, besides nulls, NaN and empty fields; a word that is a
            number counts by its value in a column of numbers.
        notation: how texts write numbers.
    """

    name: str
    values: pa.ChunkedArray
    file: str
    missing_words: tuple[str, ...]
    notation: Notation = Notation()

    @property
    def kind(self) -> Kind:
        """What the values are stored as; dates, lists and bytes are `other`."""
        storage = self.values.type
        if pa.types.is_string(storage) or pa.types.is_large_string(storage):
            return "text"
        if pa.types.is_boolean(storage):
            return "boolean"
        is_number = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
        return "number" if any(check(storage) for check in is_number) else "other"

    def missing(self) -> NDArray[np.bool_]:
        """Where the value is null, NaN, blank or one of the missing words, (rows,)."""
        return ~mask_to_numpy(self._present())

    def is_written(self, notation: Notation) -> bool:
        """Whether the values are texts, all of which are numbers in some notation."""
        if self.kind != "text":
            return False
        return bool(pc.all(notation.fits(self.present_texts())).as_py())

    def present_texts(self) -> pa.ChunkedArray:
        """The texts that are not missing, without space around them, (values,)."""
        return _trim(self.values.filter(self._present()))

    def numbers(self) -> Parsed:
        """The values as numbers.

        Raises:
            DataError: a column that holds no numbers and no text.
        """
        if self.kind in ("boolean", "other"):
            raise self.error(f"expected numbers, the column holds {self.values.type}")
        present = self._present()
        unreadable = np.zeros(len(self.values), dtype=np.bool_)
        try:
            parsed = self._parse(present)
        except pa.ArrowInvalid:
            is_number = self.notation.fits(_trim(self.values)).fill_null(False)
            unreadable = mask_to_numpy(pc.and_not(present, is_number))
            present = pc.and_(present, is_number)
            parsed = self._parse(present)
        where = mask_to_numpy(present)
        unreadable |= where & ~np.isfinite(parsed)
        parsed[unreadable | ~where] = np.nan
        return Parsed(parsed, unreadable, self._no_number)

    def looks_numeric(self) -> bool:
        """Whether there is a value, and every value is a number.

        Infinities are taken for numbers here, so that they are reported by `numbers` rather than
        turn a numeric column into categories.
        """
        if self.kind in ("boolean", "other"):
            return False
        present = self._present()
        try:
            parsed = self._parse(present)[mask_to_numpy(present)]
        except pa.ArrowInvalid:
            return False
        return parsed.size > 0 and not bool(np.isnan(parsed).any())

    def booleans(self) -> Parsed:
        """The values as 1 for true and 0 for false.

        Raises:
            DataError: a column that holds nothing of the kind.
        """
        if self.kind == "other":
            raise self.error(f"expected booleans, the column holds {self.values.type}")
        if self.kind == "boolean":
            return self._stored_booleans()
        words = _canonical(self.values) if self.kind != "text" else _trim(self.values)
        lower = pc.utf8_lower(words)
        present = mask_to_numpy(self._present())
        ones, zeros = present & _among(lower, _TRUE), present & _among(lower, _FALSE)
        values = np.select([ones, zeros], [1.0, 0.0], np.nan)
        expected = "expected true, false, 1 or 0, got {}".format
        return Parsed(values, present & ~ones & ~zeros, lambda index: expected(self.shown(index)))

    def _stored_booleans(self) -> Parsed:
        """Values stored as true and false, which can all be read."""
        marks = pc.cast(self.values, pa.uint8())
        values = to_numpy(marks, np.uint8).astype(np.float64)
        values[mask_to_numpy(self.values.is_null())] = np.nan
        return Parsed(values, np.zeros(len(values), dtype=np.bool_), self.shown)

    def looks_boolean(self) -> bool:
        """Whether there is a value, and every value is true or false in words, not 1 or 0."""
        if self.kind in ("number", "other"):
            return False
        present = mask_to_numpy(self._present())
        if self.kind == "text":
            words = _among(pc.utf8_lower(_trim(self.values)), ("true", "false"))
            return bool(present.any() and words[present].all())
        return bool(present.any())

    def codes(self) -> tuple[NDArray[np.int64], list[str]]:
        """The values as categories.

        Returns:
            codes: the place of each value in the categories, -1 where missing, (rows,).
            categories: the distinct canonical texts, in the order of their first row.

        Raises:
            DataError: values that have no text, such as lists.
        """
        if pa.types.is_nested(self.values.type):
            raise self.error(f"expected plain values, the column holds {self.values.type}")
        encoded = pa.chunked_array(self.values.dictionary_encode()).combine_chunks()
        distinct = replace(self, values=pa.chunked_array([encoded.dictionary]))
        places, categories = distinct._categories()
        indices = pa.chunked_array([encoded.indices])
        raw = to_numpy(indices, np.int32)
        raw[mask_to_numpy(indices.is_null())] = -1
        return np.append(places, -1)[raw], categories

    def texts(self) -> NDArray[np.object_]:
        """The canonical text of each value, None where missing, (rows,).

        Whole numbers are written without a point and true and false in lower case, whatever the
        format, so that a Parquet 3.0 or a CSV `3.0` equals a CSV `3`.

        Raises:
            DataError: values that have no text, such as lists.
        """
        codes, categories = self.codes()
        return np.array([*categories, None], dtype=np.object_)[codes]

    def canonical_texts(self) -> pa.ChunkedArray:
        """The canonical texts of the values that are not missing, (values,).

        Raises:
            DataError: values that have no text, such as lists.
        """
        present = self.values.filter(self._present())
        starts = range(0, max(len(present), 1), _ROWS_AT_ONCE)
        parts = [replace(self, values=present.slice(at, _ROWS_AT_ONCE)) for at in starts]
        texts = [part.canonical() for part in parts]
        return pa.chunked_array([chunk for part in texts for chunk in part.chunks], texts[0].type)

    def _categories(self) -> tuple[NDArray[np.int64], list[str]]:
        """The codes and categories of few values, each met once."""
        present = self._present()
        texts = self.canonical()
        categories = texts.filter(present).unique()
        places = to_numpy(pc.index_in(texts, value_set=categories), np.int32).astype(np.int64)
        places[~mask_to_numpy(present)] = -1
        return places, list(categories.to_pylist())

    def canonical(self) -> pa.ChunkedArray:
        """The canonical text of each value; what stands for a missing one is undefined, (rows,).

        Raises:
            DataError: values that have no text, such as lists.
        """
        try:
            return _canonical(self.values)
        except pa.ArrowException:
            message = f"expected values with a text, the column holds {self.values.type}"
            raise self.error(message) from None

    def _present(self) -> pa.ChunkedArray:
        """The Arrow mask of the values that are not missing, (rows,)."""
        present = pc.invert(pc.is_null(self.values, nan_is_null=True))
        if self.kind == "number" and self.missing_words:
            return pc.and_not(present, _equals_a_word(self.values, self.missing_words))
        if self.kind != "text":
            return present
        spelled = [text for word in self.missing_words for text in _spellings(word.strip())]
        words = strings(["", *spelled], self.values.type)
        return pc.and_not(present, pc.is_in(_trim(self.values), value_set=words))

    def _parse(self, present: pa.ChunkedArray) -> NDArray[np.float64]:
        """The present values as numbers, anything in the other places, (rows,).

        `nan` and `inf` in a text pass.
        """
        numbers = self.values
        if self.kind == "text":
            null = pa.nulls(1, numbers.type)[0]
            numbers = self.notation.plain(_trim(pc.if_else(present, numbers, null)))
        return to_numpy(numbers.cast(pa.float64(), safe=False), np.float64)

    def _no_number(self, index: int) -> str:
        """What is wrong with a value that is no finite number, with a likely way out."""
        return f"expected a finite number, got {self.shown(index)}{self.missing_hint(index)}"

    def missing_hint(self, index: int) -> str:
        """What to do about a word that often stands for a missing value; else nothing."""
        text = str(self.values[index].as_py()).strip()
        if self.kind != "text" or text.lower() not in USUAL_MISSING_WORDS:
            return ""
        setting = missing_setting([*self.missing_words, text])
        return f"; if it stands for a missing value, say {setting}"

    def shown(self, index: int) -> str:
        """A value in quotes, cut if it is long."""
        text = str(self.values[index].as_py())
        return f"'{text[:_SHOWN_CHARACTERS]}...'" if len(text) > _SHOWN_CHARACTERS else f"'{text}'"

    def error(self, message: str) -> DataError:
        """The error for the column as a whole."""
        return DataError(message, file=self.file, column=self.name)


def missing_setting(words: Sequence[str]) -> str:
    """What a config says to declare words as missing: `data.missing: ["-999"]`."""
    return f"data.missing: {json.dumps([*dict.fromkeys(words)], ensure_ascii=False)}"


def plain(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The values in a type that Arrow's functions know: dictionaries looked up, all-null as text.

    Args:
        values: the values as stored, (rows,).
    """
    storage = values.type
    if pa.types.is_dictionary(storage):
        return plain(values.cast(storage.value_type))
    if pa.types.is_null(storage):
        return values.cast(pa.string())
    if pa.types.is_float16(storage):
        return values.cast(pa.float32())
    return values


def _trim(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return pc.utf8_trim_whitespace(values)


def _spellings(word: str) -> tuple[str, ...]:
    """A word; a whole number also with and without the `.0` that pandas gives columns with gaps."""
    whole = re.sub(_ZERO_DECIMALS, r"\1\2", word)
    return (word, whole, f"{whole}.0") if re.match(_WHOLE, whole) else (word,)


def _equals_a_word(values: pa.ChunkedArray, words: Sequence[str]) -> pa.ChunkedArray:
    """The Arrow mask of the numbers that one of the words stands for, (rows,)."""
    stripped = map(str.strip, words)
    wanted = floats(np.array([float(word) for word in stripped if re.match(_NUMBER, word)]))
    if pa.types.is_floating(values.type):
        # A 0.1 of 32 bits is not the 0.1 of 64 bits, so the words take the values' precision.
        return pc.is_in(values, value_set=wanted.cast(values.type, safe=False))
    return pc.is_in(values.cast(pa.float64(), safe=False), value_set=wanted)


def _among(values: pa.ChunkedArray, words: tuple[str, ...]) -> NDArray[np.bool_]:
    """Where a text is one of the words, (rows,)."""
    return mask_to_numpy(pc.is_in(values, value_set=strings(words, values.type)))


def _canonical(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """The text of each value, (rows,)."""
    storage = values.type
    if pa.types.is_string(storage) or pa.types.is_large_string(storage):
        words = _trim(values)
        lower = pc.utf8_lower(words)
        is_boolean = pc.is_in(lower, value_set=strings(("true", "false"), storage))
        plain_words = pc.if_else(is_boolean, lower, words)
        return pc.replace_substring_regex(plain_words, _ZERO_DECIMALS, r"\1\2")
    texts = values.cast(pa.string())
    if pa.types.is_floating(storage):
        whole = values.cast(pa.int64(), safe=False)
        is_whole = pc.equal(whole.cast(storage, safe=False), values)
        return pc.if_else(is_whole, whole.cast(pa.string()), texts)
    if pa.types.is_decimal(storage):
        without_zeros = pc.replace_substring_regex(texts, r"(\.\d*?)0+$", r"\1")
        return pc.replace_substring_regex(without_zeros, r"\.$", "")
    return texts
