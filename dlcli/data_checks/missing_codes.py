"""Values that probably stand for missing ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dlcli.data_checks.apart import FEWEST_OTHERS, is_far
from dlcli.data_checks.finding import DataIssue, listed
from dlcli.data_checks.odd_values import is_nearly_numeric
from dlcli.data_checks.sample import Codes, Floats, Sample, SampledColumn
from dlcli.errors import plural
from dlcli.tables import USUAL_MISSING_WORDS, missing_setting

_CODES = tuple(1 - 10.0**digits for digits in range(1, 10))
"""-9, -99, -999 and so on, which are no amounts beside such of 0 and more."""
FEWEST_REPEATS = 5
"""Rows that a value must have to be taken for a code: an outlier comes alone."""
_PLAIN_WORDS = USUAL_MISSING_WORDS - {"none", "nil", "-", "--", "."} | {"unknown"}
"""Words that no category is called; `none` may well be one."""


def find_missing_codes(sample: Sample) -> DataIssue | None:
    """Finds numbers that stand apart from all others and repeat, as -999 does.

    Such a number is the least or the greatest of its column; lies farther from the nearest other
    value than those lie from each other, or where all others are 0 or more is -9, -99, -999 and so
    on, or, if they reach 10, -1; is held by 5 rows or more, and by more than half of the other
    values are; and there are 10 other values.
    """
    codes = {name: code_of(column) for name, column in sample.columns.items()}
    found = {name: place for name, place in codes.items() if place is not None}
    if not found:
        return None
    texts = {name: sample.columns[name].text(place) for name, place in found.items()}
    rows = {name: int(sample.columns[name].counts[place]) for name, place in found.items()}
    details = {name: f"{texts[name]} in {plural(rows[name], 'row')}" for name in found}
    message = f"a value far from all others, and repeated: {listed(details)}"
    setting = f"{missing_setting([*texts.values()])}, which holds for every column"
    advice = f"if it stands for a missing one, leave the field empty, or say {setting}"
    return DataIssue("missing_codes", "warning", tuple(found), sum(rows.values()), message, advice)


def find_zeros(sample: Sample) -> DataIssue | None:
    """Finds zeros where all other numbers are well above.

    The next number is at least a fifth of the median of those above 0, and at least 5 times as far
    from 0 as they lie apart on average; at least 5 rows hold 0; and there are 10 other values.
    """
    found = {
        name: plural(int(column.counts[0]), "row")
        for name, column in sample.columns.items()
        if _has_odd_zeros(column)
    }
    if not found:
        return None
    message = f"0 where all other values are far above: {listed(found)}"
    advice = "if it stands for a missing one, leave the field empty"
    return DataIssue("zeros", "note", tuple(found), None, message, advice)


def find_missing_words(sample: Sample) -> DataIssue | None:
    """Finds categories, of features and of the target, called `?`, `NA`, `unknown` and the like."""
    texts = {
        name: column.texts or ()
        for name, column in sample.columns.items()
        if not is_nearly_numeric(column)
    }
    every_text = {**texts, **sample.classes}
    found = {name: words for name, known in every_text.items() if (words := _words(known))}
    if not found:
        return None
    details = {name: ", ".join(words) for name, words in found.items()}
    every = [*dict.fromkeys(word for words in found.values() for word in words)]
    message = f"categories that are called as missing values are: {listed(details)}"
    advice = f"if they stand for such, say {missing_setting(every)}"
    return DataIssue("missing_words", "note", tuple(found), None, message, advice)


def code_of(column: SampledColumn) -> int | None:
    """The place of a number that looks like a code for missing values, if there is one."""
    numbers, counts = column.numbers, column.counts
    if numbers is None or len(numbers) <= FEWEST_OTHERS:
        return None
    for place, others in ((0, slice(1, None)), (len(numbers) - 1, slice(None, -1))):
        # A zero may be an amount like the others: `find_zeros` looks closer.
        is_apart = numbers[place] != 0 and _is_apart(float(numbers[place]), numbers[others])
        if is_apart and _is_frequent(int(counts[place]), counts[others]):
            return place
    return None


def _is_apart(value: float, others: Floats) -> bool:
    if others[0] >= 0 and (value in _CODES or (value == -1 and others[-1] >= FEWEST_OTHERS)):
        return True
    return is_far(value, others)


def _is_frequent(rows: int, others: Codes) -> bool:
    return rows >= FEWEST_REPEATS and rows > float(np.median(others))


def _has_odd_zeros(column: SampledColumn) -> bool:
    numbers, counts = column.numbers, column.counts
    if numbers is None or len(numbers) <= FEWEST_OTHERS or numbers[0] != 0:
        return False
    others = numbers[1:]
    median = float(np.median(np.repeat(others, counts[1:])))
    spacing = float(others[-1] - others[0]) / (len(others) - 1)
    is_apart = others[0] >= max(0.2 * median, 5 * spacing)
    return bool(is_apart and _is_frequent(int(counts[0]), counts[1:]))


def _words(texts: Sequence[str]) -> list[str]:
    return [text for text in texts if text.lower() in _PLAIN_WORDS]
