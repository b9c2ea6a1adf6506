"""Dates and times: read from text, numbers and Arrow values, in time zones, with guessed formats.

Arrow and the C library also parse times, but they read 30.02.2024 as March 1, ignore fractions of a
second, and expect month names in the machine's language.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache, partial
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dlcli.arrays import mask_to_numpy, strings, to_numpy
from dlcli.tables.column import Column, DistinctTexts
from dlcli.tables.table_formats import are_times_alone, format_tokens, is_named_format

Moments = NDArray[np.int64]
"""Microseconds since 1970-01-01T00:00, (rows,)."""
Mask = NDArray[np.bool_]

SECOND = 1_000_000
"""In microseconds."""
DAY = 86_400 * SECOND
"""In microseconds."""
_EARLIEST = -719_162 * DAY
"""0001-01-01T00:00Z, in microseconds since 1970."""
_LATEST = 2_932_897 * DAY - 1
"""The end of 9999-12-31, in microseconds since 1970."""
_EPOCH_DAY = date(1970, 1, 1).toordinal()
_TICKS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}
"""Ticks of Arrow's units per second."""
UNIX_TICKS = {"unix": 1, "unix_ms": 1_000}
"""Ticks per second of the numeric formats, which count from 1970."""
_NAMED = {
    "iso": "such as 2024-12-31 or 2024-12-31T23:59",
    "unix": "in seconds since 1970",
    "unix_ms": "in milliseconds since 1970",
}


@dataclass(frozen=True, eq=False)
class Times:
    """A column's values as times, with a record of unreadable values."""

    moments: Moments
    """Microseconds since 1970-01-01T00:00Z, 0 where missing or unreadable, (rows,)."""
    missing: Mask
    """Mask of missing values, (rows,)."""
    unreadable: Mask
    """Mask of unreadable values, (rows,)."""
    has_offset: Mask
    """Mask of values with a UTC offset, (rows,)."""
    problem: Callable[[int], str]
    """Describes the problem with the value at an index."""


class _Read(NamedTuple):
    moments: Moments
    """In UTC if the value has an offset, else local; undefined where unreadable."""
    has_offset: Mask
    readable: Mask


def parse_times(column: Column, formats: Sequence[str], zone: str = "UTC") -> Times:
    """Read a column's values as times from the year 1 to 9999.

    Args:
        column: dates and times as Arrow stores them, which need no format; text or numbers.
        formats: the formats of text and numbers: `iso`, `unix`, `unix_ms`, or directives as in
            `%d.%m.%Y`; the first that fits a value is used.
        zone: the time zone of values without an offset from UTC.

    Raises:
        DataError: for a column that cannot hold times.
    """
    missing = column.missing()
    if is_time(column.values.type):
        read = _read_arrow_times(column.values)
    elif column.kind in ("text", "number"):
        read = _read_formats(column, formats)
    else:
        raise column.error(f"expected dates, but the column holds {column.values.type}")
    moments = np.where(read.has_offset, read.moments, to_utc(read.moments, zone))
    usable = read.readable & (moments >= _EARLIEST) & (moments <= _LATEST) & ~missing
    moments, unreadable = np.where(usable, moments, 0), ~usable & ~missing
    problem = partial(_problem, column, formats)
    return Times(moments, missing, unreadable, read.has_offset, problem)


def is_time(storage: pa.DataType) -> bool:
    """Return whether an Arrow type holds dates, or times with a date."""
    return bool(pa.types.is_date(storage) or pa.types.is_timestamp(storage))


def _problem(column: Column, formats: Sequence[str], index: int) -> str:
    if is_time(column.values.type):
        text = column.values.slice(index, 1).cast(pa.string())[0]
        return f"expected a date in the years 1 to 9999, got '{text}'"
    shown = column.shown(index)
    named = (_NAMED[one] if is_named_format(one) else f"in the format {one}" for one in formats)
    written = " or ".join(named)
    noun = "time" if are_times_alone(formats) else "date"
    way_out = f"; if it is a {noun}, set format; if it means a missing value, set data.missing"
    return f"expected a {noun} {written}, got {shown}{column.missing_hint(index) or way_out}"


def _read_arrow_times(values: pa.ChunkedArray) -> _Read:
    storage = values.type
    if pa.types.is_date32(storage):
        ticks, factor, divisor = to_numpy(values, np.int32).astype(np.int64), DAY, 1
    else:
        per_second = _TICKS["ms" if pa.types.is_date64(storage) else storage.unit]
        ticks = to_numpy(values, np.int64)
        factor, divisor = max(SECOND // per_second, 1), max(per_second // SECOND, 1)
    in_range = (ticks >= _EARLIEST // factor) & (ticks <= _LATEST // factor) | (divisor > 1)
    moments = np.where(in_range, ticks, 0) * factor // divisor
    has_zone = pa.types.is_timestamp(storage) and storage.tz is not None
    return _Read(moments, np.full(len(moments), has_zone), in_range)


def _read_formats(column: Column, formats: Sequence[str]) -> _Read:
    """Read text or numbers, each value by the first format that fits it."""
    read: _Read | None = None
    for format in formats:
        ticks = UNIX_TICKS.get(format)
        found = _read_texts(column, format) if ticks is None else _read_unix(column, ticks)
        pairs = zip(read or found, found, strict=True)
        read = _Read._make(np.where((read or found).readable, *pair) for pair in pairs)
    assert read is not None  # there is a format
    return read


def read_unix(number: float, format: str) -> int | None:
    """Read one number as `unix` or `unix_ms`; None if it is not a valid time."""
    moment = number * (SECOND // UNIX_TICKS[format])
    return round(moment) if _EARLIEST <= moment <= _LATEST else None


def _read_unix(column: Column, ticks: int) -> _Read:
    """Read numbers as seconds since 1970, or as fractions of a second."""
    with np.errstate(over="ignore", invalid="ignore"):
        numbers = column.numbers().values * (SECOND // ticks)
        readable = (numbers >= _EARLIEST) & (numbers <= _LATEST)
    moments = np.round(np.where(readable, numbers, 0.0)).astype(np.int64)
    return _Read(moments, np.ones(len(moments), dtype=np.bool_), readable)


# Text: a format becomes a regular expression, whose groups are the parts of a time.

MONTHS = {
    "january": "january jan januar jänner janvier janv enero ene gennaio gen janeiro januari "
    "styczeń stycznia sty ocak oca январь января янв",
    "february": "february feb februar feber février fevrier févr fév fev febrero febbraio "
    "fevereiro februari luty lutego lut şubat şub февраль февраля февр фев",
    "march": "march mar märz maerz mär mrz mars marzo março marco maart mrt marzec marca mart "
    "март марта мар",
    "april": "april apr avril avr abril abr aprile kwiecień kwietnia kwi nisan nis "
    "апрель апреля апр",
    "may": "may mai mayo maggio mag maio mei maj maja mayıs май мая",
    "june": "june jun juni juin junio giugno giu junho czerwiec czerwca cze haziran haz "
    "июнь июня июн",
    "july": "july jul juli juillet juil julio luglio lug julho lipiec lipca lip temmuz tem "
    "июль июля июл",
    "august": "august aug août aout agosto ago augustus augusti sierpień sierpnia sie ağustos ağu "
    "август августа авг",
    "september": "september sep sept septembre septiembre setiembre settembre set setembro "
    "wrzesień września wrz eylül eyl сентябрь сентября сент сен",
    "october": "october oct oktober okt octobre octubre ottobre ott outubro out październik "
    "października paź ekim eki октябрь октября окт",
    "november": "november nov novembre noviembre novembro listopad listopada lis kasım kas "
    "ноябрь ноября нояб ноя",
    "december": "december dec dezember dez décembre decembre déc diciembre dic dicembre dezembro "
    "grudzień grudnia gru desember des aralık ara декабрь декабря дек",
}
"""Names of each month, full and short, that texts may have: in Danish, Dutch, English, French,
German, Italian, Norwegian, Polish, Portuguese, Russian, Spanish, Swedish and Turkish."""
_WEEKDAY = "[A-Za-zÀ-ÿĀ-žА-я]+"
"""The pattern of a weekday's name, which is ignored."""
_ORDINAL = "(?:st|nd|rd|th|er)?"
"""The pattern of an ordinal suffix of a day, such as in `1er mai`."""
CENTURY_TURN = 69
"""Two-digit years from here on belong to the last century, as in POSIX."""
_OFFSET = (
    "(?P<utc>(?:UTC|GMT)?[Zz]?)"
    "(?:(?:(?P<plus>[+])|(?P<minus>-))(?P<offset_hour>[0-9]{2})(?::?(?P<offset_minute>[0-9]{2}))?)?"
)
_ISO = (
    "(?P<year>[0-9]{4})-(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2})"
    "(?:[Tt ](?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})"
    f"(?::(?P<second>[0-9]{{2}})(?:[.,](?P<fraction>[0-9]{{1,9}}))?)? ?{_OFFSET})?)?"
)
"""ISO 8601 in its extended form, from a month to the fraction of a second.

As in RFC 3339 and in databases, a space may replace the T, and ` UTC` or ` GMT` the Z.
"""
_TEN_DIGITS = tuple("0123456789")
TIME_DIRECTIVES = {
    "%Y": ("year", 4, 4),
    "%y": ("short_year", 2, 2),
    "%m": ("month", 1, 2),
    "%q": ("quarter", 1, 1),
    "%G": ("week_year", 4, 4),
    "%V": ("week", 2, 2),
    "%d": ("day", 1, 2),
    "%H": ("hour", 1, 2),
    "%I": ("half_hour", 1, 2),
    "%M": ("minute", 1, 2),
    "%S": ("second", 1, 2),
    "%f": ("fraction", 1, 9),
}
"""The part that each numeric directive reads, with its minimum and maximum number of digits."""
TIME_PARTS = {
    "year": (1970, 1, 9999),
    "short_year": (0, 0, 99),
    "month": (1, 1, 12),
    "quarter": (1, 1, 4),
    "week_year": (1970, 1, 9999),
    "week": (1, 1, 53),
    "day": (1, 1, 31),
    "hour": (0, 0, 23),
    "half_hour": (12, 1, 12),
    "minute": (0, 0, 59),
    "second": (0, 0, 59),
    "fraction": (0, 0, 999_999_999),
    "offset_hour": (0, 0, 23),
    "offset_minute": (0, 0, 59),
}
"""The default of each numeric part, for texts that omit it, and its minimum and maximum."""


def _any_case(word: str) -> str:
    return "".join(f"[{letter}{letter.upper()}]" for letter in word)


def month_pattern(month: str) -> str:
    """Return the pattern of a month's names, in any case, with an optional period."""
    return rf"(?:{'|'.join(map(_any_case, MONTHS[month].split()))})[.]?"


_MONTH_NAMES = "|".join(f"(?P<{month}>{month_pattern(month)})" for month in MONTHS)
_WORD = r"[^0-9\s,/-]{3,12}"
"""A month name or any other word; this pattern compiles in a fraction of the time."""


def time_pattern(
    format: str,
    month_names: str = _MONTH_NAMES,
    halves: str = "[Aa][Mm]|(?P<afternoon>[Pp][Mm])",
) -> str:
    """Return the regular expression of a format, with a group for each part of a time.

    Args:
        format: `iso`, or directives as in `%d.%m.%Y`.
        month_names: the pattern of a month's name.
        halves: the pattern of AM and PM.
    """
    if format == "iso":
        return f"^{_ISO}$"
    tokens = format_tokens(format)
    letters = {"%b": month_names, "%p": halves, "%a": _WEEKDAY, "%z": _OFFSET, "%%": "%"}
    parts = []
    for token, following in zip(tokens, [*tokens[1:], ""], strict=True):
        if token in TIME_DIRECTIVES:
            name, least, most = TIME_DIRECTIVES[token]
            # Next to other digits the width is fixed, since the end of a number would be ambiguous.
            least = most if following in TIME_DIRECTIVES or following in _TEN_DIGITS else least
            ordinal = _ORDINAL if token == "%d" and "%b" in tokens else ""
            parts.append(f"(?P<{name}>[0-9]{{{least},{most}}}){ordinal}")
        else:
            parts.append(f"(?:{letters.get(token) or re.escape(token)})")
    return f"^{''.join(parts)}$"


def _read_texts(column: Column, format: str) -> _Read:
    """Read text or numbers by a format such as `%d.%m.%Y` or `iso`, each distinct text once."""
    if column.known_codes is not None and format in _GUESSED:
        found = column.distinct.compute(_read_distinct, format)
        return _Read._make(np.append(each, False)[column.known_codes] for each in found)
    texts = column.values if column.kind == "text" else column.canonical()
    texts = pc.fill_null(texts, strings([""], texts.type)[0])
    encoded = pa.chunked_array(texts.dictionary_encode()).combine_chunks()
    indices = to_numpy(encoded.indices, np.int32)
    return _Read._make(each[indices] for each in _read_distinct(encoded.dictionary, format))


def _read_distinct(texts: pa.Array, format: str) -> _Read:
    pattern = time_pattern(format)
    texts = pc.utf8_trim_whitespace(texts)
    # pandas writes whole numbers next to missing values as 19750103.0.
    texts = pc.replace_substring_regex(texts, r"^([0-9]{6}|[0-9]{8})\.0$", r"\1")
    groups = pc.extract_regex(texts, pattern)
    matched = mask_to_numpy(groups.is_valid())
    if not matched.any():
        return _Read(np.zeros(len(matched), dtype=np.int64), matched, matched)
    groups = groups.filter(groups.is_valid())
    parts = {name: np.full(len(groups), default) for name, (default, *_) in TIME_PARTS.items()}
    present = defaultdict[str, Mask](lambda: np.zeros(len(groups), dtype=np.bool_))
    for text, name in zip(groups.flatten(), groups.type.names, strict=True):
        lengths = pc.binary_length(text).cast(pa.int64())  # of 32 bits, or 64 for large strings
        here = to_numpy(lengths, np.int64) > 0
        if not here.any():
            continue
        present[name] = here
        if name in TIME_PARTS:
            pad, width = (pc.utf8_rpad, 9) if name == "fraction" else (pc.utf8_lpad, 1)
            numbers = to_numpy(pad(text, width, "0").cast(pa.int64()), np.int64)
            parts[name] = np.where(here, numbers, parts[name])
    moments, has_offset, valid = _moments_of(parts, present)
    if "%z" in format:
        valid &= has_offset
    return _Read._make(_at(matched, each) for each in (moments, has_offset, valid))


def local_time(parts: Mapping[str, Any], present: Container[str]) -> tuple[Any, Any]:
    """Combine parts to local times, by a formula that works for arrays, integers and graphs.

    Args:
        parts: the numeric parts, with defaults where a text omits them; `afternoon` is 1 for PM.

        present: the parts that occur in at least one text.

    Returns:
        moments: microseconds since 1970-01-01T00:00; undefined where invalid.
        valid: whether the date exists; the caller checks the ranges of the parts.
    """
    year = parts["year"]
    if "short_year" in present:
        year = parts["short_year"] - parts["short_year"] // CENTURY_TURN * 100 + 2000
    months = (year - 1970) * 12 + parts["month"] - 1 + (parts["quarter"] - 1) * 3
    days = first_day(months) + parts["day"] - 1
    valid = days < first_day(months + 1)  # a month may have fewer days
    if "week" in present:
        days = _first_monday(parts["week_year"]) + (parts["week"] - 1) * 7
        valid = days < _first_monday(parts["week_year"] + 1)  # most years have 52 weeks
    hour = parts["hour"] + parts["half_hour"] % 12 + parts["afternoon"] * 12
    seconds = (hour * 60 + parts["minute"]) * 60 + parts["second"]
    fraction = parts["fraction"] // 1000  # finer digits are dropped
    return days * DAY + seconds * SECOND + fraction, valid


def _moments_of(parts: dict[str, Any], present: defaultdict[str, Any]) -> tuple[Any, Any, Any]:
    """Combine the parts of texts, or of one text, to times.

    Args:
        parts: the numeric parts, with defaults where a text omits them, int64 (texts,) or integers.
        present: the parts that each text has, (texts,) or booleans.

    Returns:
        moments: in UTC if there is an offset, else local; undefined where invalid.
        has_offset: where there is an offset.
        valid: where all parts are in their ranges.
    """
    for at, name in enumerate(MONTHS):
        if name in present:
            parts["month"] = parts["month"] + at * present[name]
    parts["afternoon"] = present["afternoon"] * 1
    local, valid = local_time(parts, present)
    for name in TIME_PARTS.keys() & present:
        _, least, most = TIME_PARTS[name]
        valid = valid & (parts[name] >= least) & (parts[name] <= most)
    ahead = (parts["offset_hour"] * 60 + parts["offset_minute"]) * 60 * SECOND
    has_offset = present["minus"] | present["plus"] | present["utc"]
    return local + (2 * present["minus"] - 1) * ahead, has_offset, valid


@lru_cache
def _compiled(format: str) -> re.Pattern[str]:
    return re.compile(time_pattern(format))


_POINT_ZERO = re.compile(r"([0-9]{6}|[0-9]{8})\.0")


def read_moment(text: str, formats: Sequence[str], zone: str = "UTC") -> int | None:
    """Read one text as `parse_times` reads a column of texts.

    Args:
        text: without surrounding spaces.
        formats: as in `parse_times`, without `unix` and `unix_ms`.
        zone: the time zone if the text has no offset from UTC.

    Returns:
        Microseconds since 1970-01-01T00:00Z; None if it is not a valid time.
    """
    if whole := _POINT_ZERO.fullmatch(text):
        text = whole[1]
    for format in formats:
        if match := _compiled(format).match(text):
            texts = {name: part for name, part in match.groupdict().items() if part}
            parts = {name: default for name, (default, *_) in TIME_PARTS.items()}
            for name in TIME_PARTS.keys() & texts:
                parts[name] = int(texts[name].ljust(9, "0") if name == "fraction" else texts[name])
            present = defaultdict(bool, dict.fromkeys(texts, True))
            moment, has_offset, is_valid = _moments_of(parts, present)
            if is_valid and (has_offset or "%z" not in format):
                moment -= 0 if has_offset else _local_offset(moment, zone)
                return moment if _EARLIEST <= moment <= _LATEST else None
    return None


def _at(where: Mask, values: NDArray[Any]) -> NDArray[Any]:
    """Return an array with values where a mask is true, and zeros elsewhere."""
    spread = np.zeros(len(where), dtype=values.dtype)
    spread[where] = values
    return spread


def first_day(months: Any) -> Any:  # noqa: ANN401
    """Return the first day of each month, in days since 1970-01-01; valid from the year 1 on.

    Years start in March here, so a leap day is the last day of a year [1]_.

    .. [1] Howard Hinnant, chrono-Compatible Low-Level Date Algorithms, `days_from_civil`.
    """
    months = months + (1970 * 12 - 2)
    year, month = months // 12, months % 12
    return year * 365 + year // 4 - year // 100 + year // 400 + (month * 153 + 2) // 5 - 719_468


def weekday(days: Any) -> Any:  # noqa: ANN401
    """Return the days since the last Monday, given days since 1970-01-01."""
    return (days + 719_470) % 7  # for positive numbers, all graphs have the same remainder


def _first_monday(years: Any) -> Any:  # noqa: ANN401
    """Return the Monday of the first ISO week of each year: the week of January 4."""
    fourth = first_day((years - 1970) * 12) + 3
    return fourth - weekday(fourth)


# Guessing a format

_DATES = (
    *("%d/%m/%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%d/%y", "%Y/%m/%d"),
    *("%d-%m-%Y", "%m-%d-%Y", "%d-%m-%y", "%m-%d-%y"),
    *("%d.%m.%Y", "%d.%m.%y", "%Y.%m.%d"),  # with periods, the day never follows the month
    *("%b %d, %Y", "%b %d %Y", "%d %b %Y", "%d-%b-%Y", "%d-%b-%y"),
    *("%d. %b %Y", "%d de %b de %Y", "%d/%b/%Y", "%Y %b %d", "%Y-%b-%d"),
    *("%Y年%m月%d日", "%Y년 %m월 %d일"),
    *("%a, %b %d, %Y", "%a, %d %b %Y", "%a %d %b %Y", "%a, %d. %b %Y", "%a, %d de %b de %Y"),
    *("%a, %d.%m.%Y", "%a %d.%m.%Y"),
)
_CLOCKS = (" %H:%M", " %H:%M:%S", " %I:%M %p", " %I:%M:%S %p")
_OTHER_STYLES = (
    *("%b %Y", "%b-%Y", "%b-%y", "%b/%Y", "%b/%y", "%b de %Y", "%m/%Y", "%Y/%m"),
    *("%Y %b", "%Y-%b", "%Y年%m月"),
    *("%Y-Q%q", "%Y Q%q", "%YQ%q", "%Yq%q", "%Y/Q%q", "Q%q %Y", "Q%q-%Y", "Q%q/%Y"),
    *("%G-W%V", "%G W%V", "%GW%V"),
    *("%Y%m%dT%H%M%S", "%a %b %d %H:%M:%S %Y", "%a %b %d %H:%M:%S %z %Y"),
    *("%a, %d %b %Y %H:%M:%S %z", "%d %b %Y %H:%M:%S %z"),
    "%d/%b/%Y:%H:%M:%S %z",  # of web servers
)
_AFTER_CLOCKS = ("%d %b %Y", "%b %d, %Y", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y-%m-%d")
_STYLES = {
    "^[0-9]{1,2}:[0-9]{2}": tuple(clock.strip() for clock in _CLOCKS),
    f"^{_ISO}": ("iso",),
    **{
        time_pattern(date, _WORD).removesuffix("$"): (date, *(date + c for c in _CLOCKS))
        for date in _DATES
    },
    **{time_pattern(format, _WORD): (format,) for format in _OTHER_STYLES},
    **{
        time_pattern(clock + date, _WORD): (clock + date,)
        for clock in ("%H:%M:%S ", "%H:%M ")
        for date in _AFTER_CLOCKS
    },
}
"""Formats that are guessed, by the beginning of their texts; any word may be a month.

No format matches a number such as `9.00` (canonical text 9) or a score such as `2:1`.
"""
_GUESSED = frozenset(format for formats in _STYLES.values() for format in formats)


@dataclass(frozen=True)
class TimeGuess:
    """The possible readings of a column's values as dates."""

    readings: tuple[tuple[str, ...], ...]
    """Alternatives; each is a tuple of formats, and every value has one of them."""
    evidence: str = ""
    """What shows whether the day or the month comes first, if the values don't; else empty."""

    @property
    def is_ambiguous(self) -> bool:
        """True if there are several: no value shows whether the day or the month comes first."""
        return len(self.readings) > 1

    @property
    def order(self) -> str:
        """Whether the day or the month comes first in dates of digits; else empty."""
        found = re.match("%([dm])[/-]%([dm])", self.readings[0][0])
        return {"d": "day first", "m": "month first"}[found[1]] if found else ""

    @property
    def has_date(self) -> bool:
        """False for times alone."""
        return not are_times_alone(self.readings[0])

    @property
    def question(self) -> str:
        """The question to the user where the guess is ambiguous."""
        ways = [formats[0] if len(formats) == 1 else list(formats) for formats in self.readings]
        shown = " or ".join(f"format: {json.dumps(way)}" for way in ways)
        return f"no value shows whether the day or the month comes first; set {shown}"


def guess_times(column: Column) -> TimeGuess | None:
    """Guess the formats of a column's dates.

    Args:
        column: any column; numbers are never read as dates.

    Returns:
        None if the column is empty, or not all values can be read as dates.
    """
    if is_time(column.values.type):
        return TimeGuess((("iso",),))  # the likely format of the same dates in a text file
    if column.kind != "text":
        return None
    distinct = column.distinct
    if not len(distinct.texts):
        return None
    first = distinct.texts[0].as_py()
    if not re.search("[0-9]", first):
        return None
    readings = tuple(
        formats
        for beginning, style in _STYLES.items()
        if re.match(beginning, first)  # quick, for a table of many columns
        and distinct.matches(beginning).all()
        and (formats := _needed(style, distinct))
    )
    if len(readings) > 1:
        monthly = [formats for formats in readings if _is_monthly(formats, distinct)]
        if len(monthly) == 1:
            why = f"read as {monthly[0][0]}, in which all dates are on the same day of a month"
            return TimeGuess((monthly[0],), why)
    return TimeGuess(readings) if readings else None


_FEWEST_MONTHS = 13
"""Least number of months on whose same day all dates of a table are; 12 may be days of a month."""


def _is_monthly(formats: Sequence[str], distinct: DistinctTexts) -> bool:
    """Return whether all texts are dates on the same day of more than a year's months."""
    if len(formats) > 1:
        return False
    days = _Read._make(distinct.compute(_read_distinct, formats[0])).moments.astype("M8[us]")
    months = days.astype("M8[M]")
    is_same_day = len(np.unique(days.astype("M8[D]") - months.astype("M8[D]"))) == 1
    return is_same_day and len(np.unique(months)) >= _FEWEST_MONTHS


_COMPACT = {
    "%Y%m%d": "^(?:1[5-9]|2[01])[0-9]{6}$",
    "%Y%m": "^(?:1[5-9]|2[01])[0-9]{4}$",
    "%y%m%d": "^[0-9]{6}$",
    "%G%V": "^(?:1[5-9]|2[01])[0-9]{4}$",
}
"""Formats of dates without separators, with a pattern of the years 1500 to 2199."""
_WEEK_NAME = re.compile("(?i)week|woche|semaine|semana|yyyyww")
"""Pattern of the columns in whose values the week follows the year, as in 201729."""
_ALL_COMPACT = "^(?:(?:1[5-9]|2[01])[0-9]{6}|[0-9]{6})$"


def compact_dates(column: str, distinct: DistinctTexts) -> tuple[str, ...]:
    """Return the formats of dates without separators, such as 19750103, that read all texts.

    Args:
        column: its name; only in a column of weeks is 201729 the week `%G%V`.
        distinct: its values.

    Returns:
        `%G%V`, `%Y%m%d`, `%Y%m` or `%y%m%d`, or both `%Y%m%d` and `%y%m%d` if both occur; empty if
        they don't match all texts.
    """
    if not len(distinct.texts) or not distinct.matches(_ALL_COMPACT).all():
        return ()  # fast path for most columns
    readable = {}
    for format, digits in _COMPACT.items():
        readable[format] = distinct.matches(digits) & _readable(distinct, format)
    weeks = ["%G%V"] if _WEEK_NAME.search(column) else []
    alternatives = [(format,) for format in (*weeks, "%Y%m%d", "%Y%m", "%y%m%d")]
    for formats in (*alternatives, ("%Y%m%d", "%y%m%d")):
        if np.logical_or.reduce([readable[each] for each in formats]).all():
            return formats
    return ()


def _readable(distinct: DistinctTexts, format: str) -> Mask:
    """Return the mask of texts that have a format, (distinct texts,)."""
    return _Read._make(distinct.compute(_read_distinct, format)).readable


def _needed(style: Sequence[str], distinct: DistinctTexts) -> tuple[str, ...]:
    """Return the formats of a style that are needed to read all texts; empty if this fails."""
    formats: list[str] = []
    read = np.zeros(len(distinct.texts), dtype=np.bool_)
    for format in style:
        readable = _readable(distinct, format)
        if readable.any():
            formats.append(format)
            read |= readable
        if read.all():
            return tuple(formats)
    return ()


# Time zones come from `zoneinfo`: from the system, or else from the package `tzdata`. (pyarrow
# reads only the system's and needs a download on Windows.) The offset is looked up twice for each
# distinct day, not once for each row.

_DAY_SECONDS = 86_400
_FIRST_DAY = date(1, 1, 3).toordinal() - _EPOCH_DAY
_LAST_DAY = date(9999, 12, 29).toordinal() - _EPOCH_DAY
"""The days, from 1970, whose neighbors are valid dates in every zone."""
_CACHED_DAYS = 2**16
"""Cache of a hundred years in UTC and local time, so batches of rows reuse the offsets."""


def to_local(moments: Moments, zone: str) -> Moments:
    """Convert UTC to the local time of a zone, such as `Europe/Berlin`."""
    return moments if zone == "UTC" else moments + _offsets(moments, zone, is_local=False)


def to_utc(local: Moments, zone: str) -> Moments:
    """Convert the local time of a zone, such as `Europe/Berlin`, to UTC.

    If a local time occurs twice (in autumn), the first occurrence is used. A skipped time (in
    spring) has the offset from before the change (PEP 495, fold=0).
    """
    return local if zone == "UTC" else local - _offsets(local, zone, is_local=True)


def _offsets(moments: Moments, zone: str, *, is_local: bool) -> Moments:
    """Return the offset from UTC at each moment, in microseconds, (rows,)."""
    days, day_of = np.unique(moments // DAY, return_inverse=True)
    known = np.clip(days, _FIRST_DAY, _LAST_DAY)
    changes = [_change(zone, day, is_local) for day in known.tolist()]
    changed, before, after = np.array(changes, dtype=np.int64).reshape(-1, 3)[day_of].T
    offsets: Moments = np.where(moments % DAY < changed * SECOND, before, after)
    return offsets * SECOND


def _local_offset(moment: int, zone: str) -> int:
    """Return the offset from UTC at one local time, in microseconds, as `to_utc` uses it."""
    if zone == "UTC":
        return 0
    day, time = divmod(moment, DAY)
    changed, before, after = _change(zone, min(max(day, _FIRST_DAY), _LAST_DAY), True)
    return (before if time < changed * SECOND else after) * SECOND


@lru_cache(maxsize=_CACHED_DAYS)
def _change(zone: str, day: int, is_local: bool) -> tuple[int, int, int]:
    """Return the second of a day at which the offset changes, and the offsets before and after.

    No zone has ever changed its offset twice in a day and returned to the first one.
    """

    def offset(second: int) -> int:
        origin = datetime(1970, 1, 1, tzinfo=ZoneInfo(zone) if is_local else UTC)
        moment = (origin + timedelta(days=day, seconds=second)).astimezone(ZoneInfo(zone))
        return int((moment.utcoffset() or timedelta()).total_seconds())

    before, after = offset(0), offset(_DAY_SECONDS)
    if before == after:
        return 0, before, after
    changed = bisect_left(range(_DAY_SECONDS), True, key=lambda second: offset(second) != before)
    return changed, before, after
