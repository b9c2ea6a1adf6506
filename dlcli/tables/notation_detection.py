"""Detection of number notation in text: separators, units and negative numbers.

All values of a column decide its notation. If they are ambiguous, such as `1,234`, the other
columns decide, or else the delimiter: files with decimal commas separate fields by semicolons.
Signs and units are found in a sample and removed before separators are detected.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dlcli.arrays import integers
from dlcli.errors import joined, listed
from dlcli.tables.column import USUAL_MISSING_WORDS, Column
from dlcli.tables.number_notation import GAP, NEGATIVES, Notation
from dlcli.tables.table import FileNote, Table
from dlcli.tables.table_formats import CsvFormat

_PLAIN = Notation()
_COMMA_THOUSANDS = Notation(".", ",")
_POINT_THOUSANDS = Notation(",", ".")
_PROGRAM_SPACES = ("\u00a0", "\u202f", "\u2009")
"""Spaces that programs write between thousands, and that people do not type."""
_SIGNS = (",", "'", "\u2019", " ", *_PROGRAM_SPACES)
"""Characters that do not occur in numbers of the default notation."""
_DIGITS = tuple("0123456789")
_ADDRESS = r"^\d+\.\d+\.\d+\.\d+$"
_PLAIN_CHARACTERS = b"0123456789.+-eE"
_SAMPLE = 1000


_Fit = tuple[Notation, ...]
"""The notations that fit most values of a column, the simpler first; empty for words."""


def detect_notations(
    table: Table, names: Sequence[str], form: CsvFormat, delimiter: str
) -> tuple[dict[str, Notation], tuple[FileNote, ...], str]:
    """Detect the notation of numbers in each column of text.

    Args:
        table: the table; read column by column.
        names: the columns of text.
        form: the declared format.
        delimiter: the delimiter of the file's fields.

    Returns:
        The notations by column, without the default one; notes on them; and the decimal separator
        that unambiguous numbers have, empty if they have none or both.
    """
    candidates = _candidates(form)
    marks: dict[str, Notation] = {}
    with_signs: dict[str, _Fit] = {}
    with_points: dict[str, _Fit] = {}
    for name in names:
        column = table.column(name)
        if not (marked := find_marks(column)).is_plain:
            marks[name] = marked
            column = replace(column, values=marked.without_marks(column.present_texts()))
        are_plain = _are_plain(column.values)  # true for most columns, and fast
        if len(candidates) == 1 or not _holds(column.values, *_DIGITS):
            continue
        values = None if are_plain else _values_with_signs(column)
        if _PLAIN not in candidates:
            values = column.present_texts()
        if values is not None:
            with_signs[name] = _fit(values, candidates)
        elif form.decimal == "auto" and _holds(column.values, "."):
            with_points[name] = _fit_points(column, candidates)
    certain = {
        name: fit[0]
        for name, fit in {**with_signs, **with_points}.items()
        if fit and _PLAIN not in fit and not _is_ambiguous(fit)
    }
    if _PLAIN not in candidates:
        certain = {**dict.fromkeys(names, candidates[0]), **certain}
    with_points = {name: fit for name, fit in with_points.items() if name not in certain}
    commas = any(notation.decimal == "," for notation in certain.values())
    points = _COMMA_THOUSANDS in certain.values() or any(
        fit[:1] == (_PLAIN,) and _POINT_THOUSANDS not in fit for fit in with_points.values()
    )
    is_known = commas != points
    decimal = "," if (commas if is_known else delimiter == ";") else "."
    settled = {
        name: next(notation for notation in fit if notation.decimal == decimal)
        for name, fit in with_signs.items()
        if _is_ambiguous(fit)
    }
    grouped = {
        name: _POINT_THOUSANDS
        for name, fit in with_points.items()
        if decimal == "," and _POINT_THOUSANDS in fit
    }
    doubtful = grouped if is_known else {**grouped, **settled}
    notations = {**certain, **settled, **grouped}
    for name, marked in marks.items():
        written = notations.get(name, _PLAIN)
        notations[name] = replace(marked, decimal=written.decimal, thousands=written.thousands)
    sure = {name: notation for name, notation in notations.items() if name not in doubtful}
    doubts = [_doubt(table.column(name), decimal) for name in doubtful]
    return notations, (*_notes_on(sure, form), *doubts), decimal if is_known else ""


def _is_ambiguous(fit: _Fit) -> bool:
    """Return whether commas may separate either thousands or decimals."""
    has_comma = any(notation.decimal == "," for notation in fit)
    return _COMMA_THOUSANDS in fit and has_comma and _PLAIN not in fit


def _candidates(form: CsvFormat) -> tuple[Notation, ...]:
    """Return the notations that a declaration allows, the simpler first."""
    decimals = (".", ",") if form.decimal == "auto" else (form.decimal,)
    known = {"auto": ("", ",", ".", "'", " "), "none": ("",)}
    separators = known.get(form.thousands, (form.thousands,))
    pairs = product(separators, decimals)
    return tuple(Notation(decimal, sign) for sign, decimal in pairs if decimal != sign)


def _values_with_signs(column: Column) -> pa.ChunkedArray | None:
    """Return a column's texts, None if all its numbers are in the default notation."""
    if not _holds(column.values, *_SIGNS):
        return None
    values = column.present_texts()
    return values if _holds(values, *_SIGNS) else None


def _are_plain(values: pa.ChunkedArray) -> bool:
    """Return whether texts hold only the characters of numbers in the default notation."""
    return not any(raw.translate(None, _PLAIN_CHARACTERS) for raw in _contents(values))


def _holds(values: pa.ChunkedArray, *signs: str) -> bool:
    """Return whether some texts may hold a sign."""
    for raw in _contents(values):
        is_ascii = raw.isascii()
        if any(sign.encode() in raw for sign in signs if sign.isascii() or not is_ascii):
            return True
    return False


def _contents(values: pa.ChunkedArray) -> Iterator[bytes]:
    """Yield the memory of texts, which other texts may surround."""
    for chunk in values.chunks:
        content = chunk.buffers()[2]
        yield b"" if content is None else content.to_pybytes()


def _fit(values: pa.ChunkedArray, candidates: Sequence[Notation]) -> _Fit:
    usable = [each for each in candidates if _is_plausible(each, values, candidates)]
    sample = values.slice(0, _SAMPLE)
    if not any(_count(notation, sample) for notation in usable):
        return ()
    counts = {notation: _count(notation, values) for notation in usable}
    most = max(counts.values())
    if 2 * most <= len(values):
        return ()
    return tuple(notation for notation, count in counts.items() if count == most)


def _is_plausible(
    notation: Notation, values: pa.ChunkedArray, candidates: Sequence[Notation]
) -> bool:
    if not notation.thousands:
        return True
    # Digits with spaces may be telephone numbers, unless they have decimals or the non-breaking
    # spaces that programs write, or the config declares the separator.
    is_open = notation.thousands == " " and any(not each.thousands for each in candidates)
    is_certain = not is_open or _holds(values, ",", ".", *_PROGRAM_SPACES)
    return is_certain and _holds(values, *notation.separators)


def _fit_points(column: Column, candidates: Sequence[Notation]) -> _Fit:
    """Return the notations of numbers without a comma; a sample mostly shows the default one."""
    is_short = len(column.values) <= _SAMPLE
    sample = column if is_short else replace(column, values=column.values.slice(0, _SAMPLE))
    if sample.is_written(_PLAIN) and not _have_point_thousands(sample):
        return (_PLAIN,)
    values = column.present_texts()
    fit = _fit(values, candidates)
    with_points = values.filter(pc.match_substring(values, "."))
    if not any(_count(notation, with_points) for notation in fit):
        return ()  # points only in words, such as 'No.'
    if _PLAIN in fit:
        return fit
    are_addresses = pc.all(pc.match_substring_regex(values, _ADDRESS)).as_py()
    return () if are_addresses else fit


_has_point_thousands = re.compile(_POINT_THOUSANDS.pattern).match


def _have_point_thousands(column: Column) -> bool:
    """Return whether points may separate thousands in all numbers."""
    if not column.missing()[0] and not _has_point_thousands(column.values[0].as_py().strip()):
        return False
    return column.is_written(_POINT_THOUSANDS)


def _count(notation: Notation, values: pa.ChunkedArray) -> int:
    return int(pc.sum(notation.fits(values), min_count=0).as_py())


# Units and negative numbers

MOST_NAMES = 10
"""Maximum number of distinct numbers with a unit that count as names, such as `36 months`; numbers
with currencies and percent signs never do."""
CURRENCY_CODES = (
    "AUD|BRL|CAD|CHF|CNY|CZK|DKK|EUR|GBP|HKD|HUF|IDR|ILS|INR|JPY|KRW|MXN|NOK|NZD|PLN|RUB|SEK|SGD"
    r"|THB|TRY|USD|ZAR|Rs\.?|Rp\.?"
)
"""Regular expression of currency codes that often precede an amount (ISO 4217), and of the
abbreviations of rupees and rupiah."""
_NEGATIVE_SIGNS = ("(", "\u2212", "-")
_NEARLY_ALL = 0.9
_FEWEST_MULTIPLES = 0.1
_MISSING_WORDS = frozenset(USUAL_MISSING_WORDS)
_THOUSANDS_AND_MORE = frozenset(("k", "K", "m", "M", "b", "B", "bn", "Bn"))
_CURRENCY = r"[$\u00a2-\u00a5\u0e3f\u20a0-\u20c0\uffe5]"
_OF_AMOUNTS = re.compile(rf"[A-Z]{{0,3}}{_CURRENCY}|{CURRENCY_CODES}|[%％‰]")
_DIGIT = re.compile("[0-9]")
_MAY_BE_NEGATIVE = re.compile(r"[(\u2212]|-\s*$", re.MULTILINE)
_NO_PLAIN_NUMBER = re.compile(r"[^0-9.,+\-eE\s]")
_AMOUNT = re.compile(
    rf"[+-]?(?:(?P<before>[A-Z]{{0,3}}{_CURRENCY}|{CURRENCY_CODES}){GAP})?[+-]?"
    r"(?:(?P<zero>0[.,]?0*)|0?[.,][0-9]+|0[.,][0-9]*|[1-9](?:[0-9.,'\u2019 \u00a0\u202f]*[0-9.,])?)"
    rf"(?:(?![eE](?:[0-9+-]|$))(?P<after>{GAP}(?:[%％‰]|{_CURRENCY}|°?[^\W\d_][\w/%]{{0,9}}|°)))?"
)
"""A number in any notation, with an optional unit or multiple before or after it."""


def find_marks(column: Column) -> Notation:
    """Find the unit, multiples and notation of negative numbers; separators are not set."""
    negative = ""
    if _holds(column.values, *_NEGATIVE_SIGNS):
        negative = _negative_of(_sample_texts(column.values), column.missing_words)
    if negative:
        texts = Notation(negative=negative).without_marks(column.present_texts())
        column = replace(column, values=texts)
    measure = None if _are_plain(column.values) else find_measure(column)
    return replace(measure or _PLAIN, negative=negative)


def _negative_of(texts: Sequence[str], missing_words: Collection[str] = ()) -> str:
    """Return the notation of negative numbers, see `Notation.negative`.

    The condition: nine tenths of the distinct texts, and more than `MOST_NAMES`, are numbers; some
    of them, but not all, are negative.
    """
    if not _MAY_BE_NEGATIVE.search("\n".join(texts)):  # quick, for most
        return ""
    distinct = {*map(str.strip, texts)} - {"", *missing_words, *_MISSING_WORDS}
    for negative, (pattern, replacement, _) in NEGATIVES.items():
        marked = [text for text in distinct if re.search(pattern, text)]
        plain = {text: re.sub(pattern, replacement, text) for text in distinct}
        amounts = [text for text in distinct if _AMOUNT.fullmatch(plain[text])]
        is_usual = max(MOST_NAMES + 1, _NEARLY_ALL * len(distinct)) <= len(amounts)
        if is_usual and 0 < len({*marked}.intersection(amounts)) < len(amounts):
            return negative
    return ""


def find_measure(column: Column) -> Notation | None:
    """Find the unit of a column's numbers, or the multiples in which they are written.

    In a sample, nine tenths of the nonzero values must have the same unit: a currency, a percent
    sign or a word. Or nine tenths must be numbers, and a tenth of these must end with `k`
    (thousand), `M` (million) or the like. More than `MOST_NAMES` values must be distinct, except
    for currencies and percent signs.

    Returns:
        A notation without separators; None if there is neither a unit nor a multiple.
    """
    texts = _sample_texts(column.values)
    joined = "".join(texts)
    if not _NO_PLAIN_NUMBER.search(joined) or not _DIGIT.search(joined):  # quick, for most
        return None
    counts = Counter(map(str.strip, texts))
    for text in [*counts]:
        if not text or text in column.missing_words or text in _MISSING_WORDS:
            del counts[text]
    matches = {text: match for text in counts if (match := _AMOUNT.fullmatch(text))}
    endings = {match["after"] for match in matches.values()} - {None}
    multiples = endings <= _THOUSANDS_AND_MORE and not endings.isdisjoint(("k", "K", "M"))
    by_unit = defaultdict[str, list[str]](list)
    for text, match in matches.items():
        units = [match["before"], None if multiples else match["after"]]
        if not all(units):
            by_unit[Notation(unit=(units[0] or units[1] or "").strip()).stem].append(text)

    def rows(texts: Iterable[str]) -> int:
        return sum(counts[text] for text in texts)

    bare = by_unit.pop("", [])
    stem, amounts = max(by_unit.items(), key=lambda item: rows(item[1]), default=("", []))
    zeros = rows(text for text in bare if matches[text]["zero"])
    are_amounts = len(amounts) > MOST_NAMES or _OF_AMOUNTS.fullmatch(stem)
    if amounts and are_amounts and rows(amounts) >= _NEARLY_ALL * (counts.total() - zeros):
        found = {matches[text]["before"] or matches[text]["after"].strip() for text in amounts}
        return Notation(unit=max(found, key=len), multiples=multiples)
    followed = [text for text, match in matches.items() if match["after"]]
    are_most = len(matches) > MOST_NAMES and rows(matches) >= _NEARLY_ALL * counts.total()
    if multiples and are_most and rows(followed) >= _FEWEST_MULTIPLES * counts.total():
        return Notation(multiples=True)
    return None


def _sample_texts(values: pa.ChunkedArray) -> list[str]:
    """Return the nonempty texts of evenly spaced rows."""
    if len(values) > _SAMPLE:
        values = values.take(integers(np.linspace(0, len(values) - 1, _SAMPLE).astype(np.int64)))
    return [text for text in values.to_pylist() if text]


def _notes_on(notations: Mapping[str, Notation], form: CsvFormat) -> Iterator[FileNote]:
    """Yield a note on the columns of each unambiguous notation, without declared settings."""
    for notation in dict.fromkeys(notations.values()):
        names = [name for name, each in notations.items() if each == notation]
        signs = ["a decimal comma"] * (form.decimal == "auto" and notation.decimal == ",")
        if form.thousands == "auto" and notation.thousands:
            signs.append(f"'{notation.thousands}' as the thousands separator")
        signs += notation.words
        if signs:
            yield FileNote(f"numbers in {listed(names)} are written with {joined(signs)}")


_SIGN = re.compile(f"[{''.join(_SIGNS)}]")
_NO_NUMBER = re.compile(rf"[^0-9.+\-eE{''.join(_SIGNS)}]")


def may_have_notation(texts: Sequence[str]) -> bool:
    """Return whether `detect_notations` may find more than plain numbers in texts of a column.

    Args:
        texts: few texts, without surrounding spaces.
    """
    if _negative_of(texts):
        return True
    with_unit = filter(_OF_AMOUNTS.search, texts)
    if any(map(_AMOUNT.fullmatch, with_unit)):
        return True
    separated = [text for text in texts if _SIGN.search(text) and _DIGIT.search(text)]
    if not separated:  # fast path for most columns
        return False
    if any(_AMOUNT.fullmatch(text) or not _NO_NUMBER.search(text) for text in separated):
        return True
    return sum(map(bool, map(_AMOUNT.fullmatch, {*texts}))) > MOST_NAMES


def _doubt(column: Column, decimal: str) -> FileNote:
    """Return a note on an ambiguous column, with its first value with a comma or a point."""
    values, name = column.present_texts(), column.name
    sign = "," if _holds(values, ",") else "."
    example = values.filter(pc.match_substring(values, sign))[0].as_py()
    is_decimal = sign == decimal
    readings = [example.replace(sign, ""), example.replace(sign, ".", 1)]
    otherwise = f'"{sign}"' if is_decimal else "none"
    message = (
        f"column '{name}': {example} may mean {readings[0]} or {readings[1]} and was read as "
        f"{readings[is_decimal]}; for the other meaning, correct the file, or train with "
        f"data.format: {{name: csv, thousands: {otherwise}}}"
    )
    return FileNote(message, True, name)
