"""The rules by which the values of a column decide on its type, with the reason."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dlcli.config.input_section import (
    Boolean,
    Categorical,
    Datetime,
    Feature,
    Ignored,
    Image,
    ImageShape,
    MultiHot,
    Numeric,
    Text,
)
from dlcli.encoding.column_summary import (
    LEADING_ZERO,
    MAX_CODES,
    ColumnSummary,
    ColumnView,
    shorten,
)
from dlcli.encoding.image_columns import image_files
from dlcli.encoding.text_columns import UNSPACED
from dlcli.errors import listed, plural
from dlcli.preprocessing import LARGEST, Mask
from dlcli.tables.arrow_arrays import integers, to_numpy
from dlcli.tables.datetime_parsing import TimeGuess, compact_dates, guess_times
from dlcli.tables.notation_detection import CURRENCY_CODES
from dlcli.tables.number_notation import Notation

NEARLY_ALL = 0.9
"""Share of the values from which on the others count as stray values."""
MIN_VALUES = 8
"""From here on, all values of a column are held out with a probability below 0.3^8 < 0.0001."""


@dataclass(frozen=True)
class Decision:
    """The type that was decided on for a column."""

    feature: Feature
    """The type with all parameters; never `auto`."""
    reason: str
    """`declared`, or what the rows show."""
    warning: str = ""
    """Advice, if the type may not be what the user wants; the same for all columns of a kind."""
    otherwise: Decision | None = None
    """The type that a column would have which is ignored as an identifier, a constant or a risk."""
    values: ColumnSummary | None = None
    """The counts that it follows from, of the rows looked at; None if declared."""


# Stray values: the few values of a column that are not of the same kind as all others.


_MOST_STRAYS = 100
_STRAYS_ADVICE = (
    "so training will refuse the other values; correct them, list them in data.missing, or declare "
    "the column categorical"
)


@dataclass(frozen=True)
class Strays:
    """Values that are not of the same kind as the others of their column."""

    words: tuple[str, ...]
    """The values, the most frequent first."""
    rows: int
    """Rows that hold one."""
    regular_share: float
    """Share of the other values."""

    def decision(self, feature: Feature, noun: str) -> Decision:
        """Decide for the type of the other values.

        Args:
            feature: that type.
            noun: what the other values are: `numbers`.
        """
        others = len(self.words) - 1
        more = f" and {plural(others, 'more value')}" if others else ""
        where = f"in {plural(self.rows, 'row')} {'are' if others else 'is'} not"
        percent = math.floor(1000 * self.regular_share) / 10  # 100 % only if all are
        reason = f"{percent:g} % are {noun}, '{shorten(self.words[0])}'{more} {where}"
        kind = "dates" if isinstance(feature, Datetime) else "numbers"
        return Decision(feature, reason, f"read as {kind}, {_STRAYS_ADVICE}")


def find_strays(view: ColumnView, which: Mask) -> Strays | None:
    """Collect values that are not of the same kind as the others.

    Args:
        view: the column.
        which: these values, among the distinct ones, (distinct values,).

    Returns:
        The stray values if there are any, a hundred at most, in up to 10 % of the rows; else None.
    """
    count = int(np.count_nonzero(which))
    if not 0 < count < len(which) or count > _MOST_STRAYS:
        return None
    indices, counts = np.flatnonzero(which), view.counts[which]
    order = np.argsort(-counts, kind="stable")
    words = view.texts.take(integers(indices[order])).to_pylist()
    strays = Strays(tuple(words), int(counts.sum()), 1 - view.share(which))
    return strays if strays.regular_share >= NEARLY_ALL else None


# The rules, in the order in which they are tried.

_NUMERIC = Numeric()  # shared, as very wide tables have thousands of such columns
_POSTAL_NAME = re.compile(
    r"(?:^|[\W_]|(?<=[a-z])(?=[A-Z]))"
    r"(?i:(?:zip|postal)[\W_]?(?:code)?|post[\W_]?code|plz|postleitzahl|pin[\W_]?code)$"
)
_POSTAL_CODE = r"^[0-9]{4,6}$"  # of five digits in many countries; a table may lack leading zeros


def decide_postal_codes(view: ColumnView) -> Decision | None:
    """Decide for categories if a column has the name of postal codes, and 90 % look like them."""
    if not _POSTAL_NAME.search(view.column.name) or view.has_leading_zeros:
        return None
    if view.share(view.matches(_POSTAL_CODE)) < NEARLY_ALL:
        return None
    count = _category_count(view.summary.distinct)
    return Decision(Categorical(), f"postal codes, by the column's name, {count}")


_FEWEST_DIGITS = 100_000
"""The least number of six digits."""
_DATE_NAME = re.compile(r"(?i)date|datum|fecha|dob|day|month|period|yymm")


def decide_dates_of_digits(view: ColumnView) -> Decision | None:
    """Decide for dates if all numbers are dates without separators, such as 19750103.

    Those of six digits, 750103 and 197501, must be in a column with the name of dates. Numbers of
    eight digits may be in any column if more than `MAX_CODES` differ, as only 4 % of such numbers
    are dates.
    """
    is_short = view.summary.bounds is not None and view.summary.bounds[0] < _FEWEST_DIGITS
    if not view.summary.whole or (is_short and view.column.kind == "number"):
        return None
    formats = compact_dates(view.distinct)
    is_clear = formats == ("%Y%m%d",) and view.summary.distinct > MAX_CODES
    if not formats or not (is_clear or _DATE_NAME.search(view.column.name)):
        return None
    feature = Datetime(format=formats[0] if len(formats) == 1 else formats)
    return Decision(feature, f"dates as {view.example(view.matches('.'))}")


def decide_numbers(view: ColumnView) -> Decision | None:
    """Decide for numbers, or for categories if numbers have leading zeros.

    A column of text may hold a few other values, in 10 % of the rows at most, if there are more
    than `MAX_CODES` numbers. Training will refuse them unless they are declared missing; as
    categories, the numbers would carry little information.
    """
    if view.column.kind not in ("number", "text"):
        return None
    if view.column.looks_numeric():
        if view.has_leading_zeros:
            return _codes(view)
        if view.summary.bounds is None:
            reason = f"all numbers, one of them infinite or beyond {LARGEST:.1e}"
        elif view.summary.may_be_codes:
            reason = "few distinct whole numbers, read as amounts"
        else:
            words = view.column.notation.words
            reason = f"all numbers, with {' and '.join(words)}" if words else "all numbers"
        return Decision(_NUMERIC, reason)
    if view.column.kind != "text":
        return None
    fits = view.matches(view.column.notation.pattern)
    strays = find_strays(view, ~fits)
    if strays is None or np.count_nonzero(fits) <= MAX_CODES:
        return None
    if (view.matches(LEADING_ZERO) & fits).any():
        return _codes(view)
    return strays.decision(Numeric(), "numbers")


def _codes(view: ColumnView) -> Decision:
    count = _category_count(view.summary.distinct)
    return Decision(Categorical(), f"codes with leading zeros, {count}")


def decide_booleans(view: ColumnView) -> Decision | None:
    """Decide for true and false, if written in these words; yes and no are categories."""
    if not view.column.looks_boolean():
        return None
    return Decision(Boolean(), "all true or false")


_DATE_FORMATS = [
    "^" + sign.join(digits) + "(?:[T ].*)?$"
    for digits in (
        ("[0-9]{4}", "[0-9]{1,2}", "[0-9]{1,2}"),
        ("[0-9]{1,2}", "[0-9]{1,2}", "[0-9]{4}"),
    )
    for sign in ("-", r"\.", "/")
]


def decide_dates(view: ColumnView) -> Decision | None:
    """Decide for dates with separators, and times. Years and seconds since 1970 are numbers.

    A column of text may hold a few values without a digit, in 10 % of the rows at most. Training
    will refuse them unless they are declared missing. Dates in several formats, as of files that
    were written by different programs, are ignored.
    """
    if guess := guess_times(view.column):
        return _dates(view, guess)
    if view.column.kind != "text":
        return None
    strays = find_strays(view, ~view.matches("[0-9]"))
    if strays is not None:
        missing_words = (*view.column.missing_words, *strays.words)
        if guess := guess_times(replace(view.column, missing_words=missing_words)):
            return _dates(view, guess, strays)
    return _dates_in_several_formats(view)


def _dates_in_several_formats(view: ColumnView) -> Decision | None:
    if view.share(view.matches("^[0-9]{1,4}[-./][0-9]")) < NEARLY_ALL:
        return None
    found = [which for which in map(view.matches, _DATE_FORMATS) if which.any()]
    if len(found) < 2 or view.share(np.logical_or.reduce(found)) < NEARLY_ALL:
        return None
    examples = listed([*map(view.example, found)])
    reason = (
        f"dates in several formats, as {examples}; name each: {{type: datetime, format: [...]}}"
    )
    warning = "ignored, since as categories they would not be dates"
    return Decision(Ignored(), reason, warning)


def _dates(view: ColumnView, guess: TimeGuess, strays: Strays | None = None) -> Decision:
    if view.column.kind != "text":
        return Decision(Datetime(), "stored as dates")
    if guess.is_ambiguous:
        advice = "ignored, since the day may be the month; declare {type: datetime, format: ...}"
        return Decision(Ignored(), f"dates, but {guess.question}", advice)
    formats = guess.readings[0]
    feature = Datetime(format=formats[0] if len(formats) == 1 else formats)
    noun = "dates" if guess.has_date else "times"
    noun += f" as {view.example(view.matches('[0-9]'))}"
    return Decision(feature, noun) if strays is None else strays.decision(feature, noun)


_IMAGE_SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
_PATHS_TRIED = 100
_IMAGES_OPENED = 10
_LARGEST_IMAGE_KEPT = 64
_USUAL_SIDE = 32
_GRAY_MODES = frozenset(("1", "L", "LA", "I", "I;16", "I;16B", "F"))


def decide_images(view: ColumnView) -> Decision | None:
    """Decide for images if 90 % of the values end like image paths, and the first leads to one.

    Images keep their size if the first ten have the same, of at most 64 pixels a side; else they
    are resized to 32 × 32. They are read as grayscale if the first ten are.
    """
    if view.column.kind != "text":
        return None
    ends = {suffix: view.matches(rf"(?i){re.escape(suffix)}$") for suffix in _IMAGE_SUFFIXES}
    every = np.logical_or.reduce([*ends.values()])
    if view.share(every) < NEARLY_ALL:
        return None
    rows = np.flatnonzero(~view.column.missing())[:_PATHS_TRIED]
    files = image_files(view.table.take(rows), view.column.name)[1]
    files = [file for file in files if file.suffix.lower() in _IMAGE_SUFFIXES][:_IMAGES_OPENED]
    shapes = [_image_shape(file) for file in files]
    if not any(shapes[:1]):
        reason = f"there is no image as '{view.example(every)}'; paths start at the table's folder"
        return Decision(Ignored(), reason, "ignored, although they end like paths of images")
    known = [shape for shape in shapes if shape]
    channels = max(shape[2] for shape in known)
    height, width = known[0][:2]
    keeps_size = len({shape[:2] for shape in known}) == 1
    keeps_size &= max(height, width) <= _LARGEST_IMAGE_KEPT
    if not keeps_size:
        height = width = _USUAL_SIDE
    kinds = dict.fromkeys(_IMAGE_SUFFIXES[suffix] for suffix, which in ends.items() if which.any())
    names = " and ".join(kinds)
    color = "grayscale" if channels == 1 else "color"
    size = f"{'' if keeps_size else 'resized to '}{width} × {height} pixels"
    reason = f"paths of {names} files, {color}, {size}"
    return Decision(Image(shape=(height, width, channels)), reason)


def _image_shape(file: Path) -> ImageShape | None:
    """Read height, width and channels from an image's header; None if the file is no image."""
    from PIL import Image as Pillow

    try:
        with Pillow.open(file, formats=("PNG", "JPEG")) as image:
            return image.height, image.width, 1 if image.mode in _GRAY_MODES else 3
    except Exception:  # Pillow has no error class of its own for broken files
        return None


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
        amounts = view.texts.take(integers(np.flatnonzero(which)))
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


FEWEST_WORDS = 3
"""Words that texts have on average; names of categories mostly have fewer."""
_MOST_CATEGORIES = Categorical.model_construct().max_categories
_VALUES_SAMPLED = 1_000

_WORD = rf"[{UNSPACED}]|[^\s{UNSPACED}]*\p{{L}}[^\s{UNSPACED}]*"
"""Anything with a letter between spaces, or a character of a script without spaces."""
_ASCII_WORD = r"\S*[A-Za-z]\S*"
"""The same for ASCII texts; unlike the classes of Unicode, it takes no time to compile."""


_LIST_SIGNS = (r"\|", ";", ",")
"""Signs between the items of a list, as patterns."""
_FEWEST_REPEATS = 5


def decide_lists(view: ColumnView) -> Decision | None:
    """Decide for texts with an input for each word if the values are lists, as `drama|comedy`.

    There are more of them than an encoding of categories keeps: of 5,000 movies by their decade and
    genres, it then had an error 2 % larger, and the same with few lists. At least half of the
    distinct values have a sign between items, which are names without digits. An item is in five of
    the values on average, and there are at most half as many items as values: in addresses, or
    family and first names, there are more.
    """
    if view.column.kind != "text" or view.summary.distinct <= _MOST_CATEGORIES:
        return None
    some = view.distinct.first(_VALUES_SAMPLED)
    for sign in _LIST_SIGNS:
        which = some.matches(sign)
        if 2 * which.sum() < len(which):
            continue
        items = pc.utf8_trim_whitespace(pc.split_pattern_regex(some.texts, sign).flatten())
        distinct = items.unique()
        repeats = len(items) / len(distinct)
        is_few = 2 * len(distinct) <= len(which) and repeats >= _FEWEST_REPEATS
        if is_few and not pc.any(pc.match_substring_regex(distinct, "[0-9]")).as_py():
            example = some.texts[int(which.argmax())].as_py()
            reason = f"lists of {len(distinct)} names, as '{shorten(example)}'"
            return Decision(Text(encoding=MultiHot()), reason)
    return None


def decide_text(view: ColumnView) -> Decision | None:
    """Decide for texts, or else for categories.

    Texts have at least three words on average, and either differ in at least half of the rows with
    a value, or there are more distinct ones than an encoding of categories keeps.
    """
    if view.column.kind != "text":
        return None
    distinct, present = view.summary.distinct, view.summary.present
    if 2 * distinct >= present or distinct > _MOST_CATEGORIES:
        some = view.distinct.first(_VALUES_SAMPLED)
        word = _ASCII_WORD if some.matches(r"^[\x00-\x7f]*$").all() else _WORD
        words = float(some.compute(_count_matches, word)[0].mean())
        if words >= FEWEST_WORDS:
            reason = f"text of {words:.0f} words on average, {plural(distinct, 'value')}"
            return Decision(Text(), reason)
    return Decision(Categorical(), f"text, {_category_count(distinct)}")


def _count_matches(texts: pa.Array, pattern: str) -> tuple[NDArray[np.int32]]:
    return (to_numpy(pc.count_substring_regex(texts, pattern), np.int32),)


def _category_count(distinct: int) -> str:
    cut = f"; the {_MOST_CATEGORIES} most frequent are kept" if distinct > _MOST_CATEGORIES else ""
    return f"{plural(distinct, 'value')}{cut}"


RULES = (
    decide_postal_codes,
    decide_dates_of_digits,
    decide_numbers,
    decide_booleans,
    decide_dates,
    decide_images,
    decide_amounts,
    decide_lists,
    decide_text,
)
"""The first that returns a decision decides."""
