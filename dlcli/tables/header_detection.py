"""Detection of tables whose first line is a row of data instead of a header."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from dlcli.errors import DataError, first_names
from dlcli.tables.column import USUAL_MISSING_WORDS
from dlcli.tables.number_notation import Notation

is_number = re.compile(Notation().pattern).match
_FEWEST_ROWS = 2
_MOST = 0.5
"""Share of a column's values, or of the names, that counts as most of them."""
_DIGIT = re.compile("[0-9]")
_DIGITS = re.compile("[0-9]+")
_begins_like_number = re.compile(r"[^\w\s]{0,3}\s?[0-9]").match
_is_unit = re.compile(r"[(\[<] ?[^\W\d_][^()\[\]<>]{0,14}[)\]>]|[(\[<]?[%$€£¥][)\]>]?").fullmatch
"""Matches `(EUR)`, `[kg/m2]`, `%` and `(%)`."""
_FEWEST_AMOUNTS = 3
"""Minimum number of values that show that a column has no words."""
_MOST_SHOWN = 8
_QUICK = 20
"""Number of rows that refute most candidates."""


class MissingHeaderError(DataError):
    """A file whose first line looks like a row of data."""

    evidence = ""
    """The values in the first line that show it."""


def check_is_header(record: Sequence[str], rows: Sequence[Sequence[str]], file: str) -> None:
    """Check that the first line of a file is not a row of data.

    Args:
        record: the fields of the line.
        rows: the fields of the next lines.
        file: the file's name, for messages.

    Raises:
        MissingHeaderError: if most fields are values of their columns, and none is a word above
            numbers.
    """
    found = values_among_names(record, rows[:_QUICK]) and values_among_names(record, rows)
    if not found:
        return
    shown = first_names([f"'{name}'" for name in found], 3)
    message = (
        f"the first line looks like a row, not like a header: {shown} are like the values below; "
        "if there is no header, set data.header: none and data.names: [NAME, ...] "
        "(init and inspect: --header none --names NAME,...), or else data.header: 1"
    )
    error = MissingHeaderError(message, file=file)
    error.evidence = f"{file}: begins with {', '.join(record[:_MOST_SHOWN])}"
    raise error


def values_among_names(record: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the fields of a first line that are values of their columns, if it is a row.

    A number above numbers, a text that its column also has, and a text with digits in the same
    places as most of its column count as values. The line is a row if most of its fields are
    values, and no word is above numbers, unless they include it. Numbers that ascend or descend may
    be a header, such as
    years.

    Returns:
        The fields that are values; empty if the line is probably a header.
    """
    rows = [row for row in rows if len(row) == len(record)]
    fields = [(at, each) for at, raw in enumerate(record) if (each := raw.strip())]
    if len(fields) < 2 or len(rows) < _FEWEST_ROWS:
        return []
    is_repeated = list(record) in rows  # as in files that were concatenated with their headers
    numbers, texts = [], []
    for at, name in fields:
        values = [value for row in rows if (value := row[at].strip())]
        are_numbers = sum(is_number(value) is not None for value in values) > _MOST * len(values)
        if is_number(name):
            numbers += [name] * are_numbers
        elif name in USUAL_MISSING_WORDS:
            continue
        elif are_numbers and (is_repeated or name not in values):
            return []
        elif name in values or _is_written_like(name, values):
            texts.append(name)
    if not texts and _are_ordered(numbers):
        return []
    found = [name for _, name in fields if name in {*numbers, *texts}]
    return found if len(numbers + texts) >= max(2, _MOST * len(fields)) else []


def names_among_values(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the fields of the first row that are names, if it is a second header line.

    It is one if it has different words in columns whose next values all begin with a digit or a
    sign, and no number in any of these columns, and none of its fields occurs again in its column.
    One such word, or the same several times, suffices if it is a unit in brackets or the only one.

    Returns:
        The nonempty fields; empty if the first row is probably data.
    """
    first, *others = rows or [[]]
    others = [row for row in others if len(row) == len(first)]
    if len(others) < _FEWEST_AMOUNTS:
        return []
    fields = {at: field for at, raw in enumerate(first) if (field := raw.strip())}
    words = []
    for at in range(len(first)):
        values = [value for row in others[:_QUICK] if (value := row[at].strip())]
        if len(values) < _FEWEST_AMOUNTS or not all(map(_begins_like_number, values)):
            continue
        word = fields.get(at, "")
        if word in USUAL_MISSING_WORDS or _begins_like_number(word):
            return []
        words += [word] if word else []
    are_alone = len(fields) == len(words) < len(first)
    if not words or not (len({*words}) > 1 or are_alone or all(map(_is_unit, words))):
        return []
    recur = any(row[at].strip() == field for row in others for at, field in fields.items())
    return [] if recur else [*fields.values()]


def _is_written_like(name: str, values: Sequence[str]) -> bool:
    """Return whether digits are in the same places as in most values, such as dates."""
    if not _DIGIT.search(name):
        return False
    form = _DIGITS.sub("0", name)
    return sum(_DIGITS.sub("0", value) == form for value in values) > _MOST * len(values)


def _are_ordered(numbers: Sequence[str]) -> bool:
    found = [float(number) for number in numbers]
    steps = [after - before for before, after in pairwise(found)]
    return all(step > 0 for step in steps) or all(step < 0 for step in steps)
