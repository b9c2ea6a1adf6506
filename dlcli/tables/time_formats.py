"""Formats of times, by directives as in C and Python, and the names of time zones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from itertools import combinations
from typing import Literal, TypeGuard, get_args

from dlcli.errors import did_you_mean

NamedFormat = Literal["iso", "unix", "unix_ms"]
"""ISO 8601, or seconds or milliseconds since 1970-01-01T00:00Z."""
Part = Literal[
    "year", "month", "day", "weekday", "day_of_year", "hour", "minute", "second", "elapsed"
]
"""A part of a time that can be an input."""
PARTS: tuple[Part, ...] = get_args(Part)


DIRECTIVES = {
    "%Y": "year of four digits",
    "%y": "year of two digits, from 1969 to 2068",
    "%m": "month",
    "%b": "name of the month, full or short, in one of 13 European languages",
    "%q": "quarter, after a Q",
    "%G": "year of an ISO week, of four digits, with %V",
    "%V": "ISO week, which stands for its Monday",
    "%d": "day",
    "%a": "name of the weekday, which is ignored",
    "%H": "hour from 0 to 23",
    "%I": "hour from 1 to 12, with %p",
    "%p": "AM or PM",
    "%M": "minute",
    "%S": "second",
    "%f": "fraction of a second",
    "%z": "offset from UTC, as +0130, +01:30, Z, UTC or GMT",
    "%%": "the sign %",
}
"""Directives of a format, as in C and Python, with their meanings for the reference."""


_YEARS = ("%Y", "%y", "%G")


_CLOCK = {"%H", "%I", "%p", "%M", "%S", "%f"}


_SYNONYMS = {"%B": "%b", "%A": "%a"}


def is_named_format(format: str) -> TypeGuard[NamedFormat]:
    """Return whether a format is a name instead of directives."""
    return format in get_args(NamedFormat)


def format_tokens(format: str) -> list[str]:
    """Split a format into its directives and the characters between them."""
    return [_SYNONYMS.get(token, token) for token in re.findall("%.|.", format, re.S)]


def write_time(moment: datetime, format: str) -> str:
    """Write a time in a format that is no named one; Python has no directive for a quarter."""
    quarter = str((moment.month + 2) // 3)
    directives = re.sub("%.", lambda found: quarter if found[0] == "%q" else found[0], format)
    return moment.strftime(directives)


def are_times_alone(formats: Sequence[str]) -> bool:
    """Return whether formats are of times without a date: times of day, or durations of hours."""
    return all(map(_is_time_alone, formats))


def _is_time_alone(format: str) -> bool:
    parts = {token for token in format_tokens(format) if token.startswith("%") and token != "%%"}
    return not is_named_format(format) and parts <= _CLOCK and bool(parts & {"%H", "%I", "%M"})


def format_error(format: str) -> str | None:
    """Return what is wrong with a format of times, or `None`."""
    if is_named_format(format):
        return None
    directives = [token for token in format_tokens(format) if token.startswith("%")]
    if unknown := [token for token in directives if token not in DIRECTIVES]:
        return f"unknown '{unknown[0]}' in '{format}'; allowed: {', '.join(DIRECTIVES)}"
    parts = [token for token in directives if token != "%%"]
    if repeated := [token for token in parts if parts.count(token) > 1]:
        return f"has {repeated[0]} twice in '{format}'"
    if len([token for token in parts if token in _YEARS]) != 1 and not _is_time_alone(format):
        others = "a time alone, as %H:%M, or one of " + ", ".join(get_args(NamedFormat))
        return f"expected a year, %Y or %y, in '{format}', or {others}"
    if "%d" in parts and not {"%m", "%b"} & set(parts):
        return f"has a day and no month, %m or %b, in '{format}'"
    return _combination_error(parts, format)


def _combination_error(parts: Sequence[str], format: str) -> str | None:
    """Return which directives of a format exclude or need each other, or `None`."""
    for one, other in (*combinations(("%m", "%b", "%q", "%V"), 2), ("%H", "%I")):
        if one in parts and other in parts:
            return f"has both {one} and {other} in '{format}'"
    if ("%I" in parts) != ("%p" in parts):
        return f"expected both %I and %p in '{format}', or %H instead"
    if ("%G" in parts) != ("%V" in parts):
        return f"expected both %G and %V in '{format}'"
    if "%q" in parts and not re.search("[Qq]%q", format):
        return f"expected a Q before %q in '{format}'"
    return None


def time_zone_error(zone: str) -> str | None:
    """Return what is wrong with the name of a time zone, or `None`."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

    if zone == "UTC":
        return None
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder of zones
        hint = did_you_mean(zone, sorted(available_timezones()))
        return f"unknown time zone '{zone}'{hint or '; expected one such as Europe/Berlin'}"
    return None
