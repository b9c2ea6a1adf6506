"""How times are told: formats such as `%d.%m.%Y %H:%M`, and time zones."""

from __future__ import annotations

from typing import Literal, TypeGuard, get_args

from dlcli.errors import did_you_mean

NamedFormat = Literal["iso", "unix", "unix_ms"]
"""ISO 8601, and seconds and milliseconds since 1970-01-01T00:00Z."""

DIRECTIVES = {
    "%Y": "year of four digits",
    "%y": "year of two digits, from 1969 to 2068",
    "%m": "month",
    "%b": "month by its English name, whole or its first three letters",
    "%d": "day",
    "%a": "weekday by its English name, which is passed over",
    "%H": "hour from 0 to 23",
    "%I": "hour from 1 to 12, beside %p",
    "%p": "AM or PM",
    "%M": "minute",
    "%S": "second",
    "%f": "fraction of a second",
    "%z": "offset from UTC, as +0130, +01:30 or Z",
    "%%": "the sign %",
}
"""What a format may ask for, in the letters of C and Python."""

_YEARS = ("%Y", "%y")
_SYNONYMS = {"%B": "%b", "%A": "%a"}


def is_named_format(format: str) -> TypeGuard[NamedFormat]:
    """Whether a format is known by its name, and has no directives."""
    return format in get_args(NamedFormat)


def format_tokens(format: str) -> list[str]:
    """The directives of a format, and the characters between them, in order."""
    tokens, at = [], 0
    while at < len(format):
        token = format[at : at + 2] if format[at] == "%" else format[at]
        tokens.append(_SYNONYMS.get(token, token))
        at += len(token)
    return tokens


def format_error(format: str) -> str | None:
    """What is wrong with a format, None if nothing is.

    Args:
        format: as in the config.
    """
    if is_named_format(format):
        return None
    asked = [token for token in format_tokens(format) if token.startswith("%")]
    if unknown := [token for token in asked if token not in DIRECTIVES]:
        return f"unknown '{unknown[0]}' in '{format}'; allowed: {', '.join(DIRECTIVES)}"
    parts = [token for token in asked if token != "%%"]
    if repeated := [token for token in parts if parts.count(token) > 1]:
        return f"asks for {repeated[0]} twice in '{format}'"
    if len([token for token in parts if token in _YEARS]) != 1:
        names = ", ".join(get_args(NamedFormat))
        return f"expected a year, %Y or %y, in '{format}', or one of {names}"
    return _half_told(parts, format)


def _half_told(parts: list[str], format: str) -> str | None:
    """What a format leaves open, or says twice in different words."""
    if "%d" in parts and not {"%m", "%b"} & set(parts):
        return f"has a day and no month, %m or %b, in '{format}'"
    for one, other in (("%m", "%b"), ("%H", "%I")):
        if one in parts and other in parts:
            return f"asks for both {one} and {other} in '{format}'"
    if ("%I" in parts) != ("%p" in parts):
        return f"expected %I and %p side by side in '{format}', or %H in their place"
    return None


def time_zone_error(zone: str) -> str | None:
    """What is wrong with a time zone's name, None if nothing is."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

    if zone == "UTC":
        return None
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder of zones
        hint = did_you_mean(zone, sorted(available_timezones()))
        return f"unknown time zone '{zone}'{hint or '; expected one as Europe/Berlin'}"
    return None
