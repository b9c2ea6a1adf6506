"""What the config wants of each column, by names and patterns."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from dlcli.config import Auto, Feature, Ignored, Input, format_path, shown
from dlcli.errors import ConfigError, Problem, did_you_mean, listed

UNMATCHED = Ignored()
"""What a column is that no name or pattern reaches: equal to one that is declared ignored, and
known from it by identity."""
UNMATCHED_REASON = "not named"
"""The reason for it."""
_DELIMITERS = (",", ";", "|", "\t")


def choose_features(
    section: Input, columns: Sequence[str], reserved: Sequence[str]
) -> dict[str, Feature]:
    """Says what the config wants of each column, by the header alone.

    Args:
        section: the config's `input`.
        columns: the table's columns.
        reserved: target, weight, group and time columns, which are no features.

    Returns:
        A feature for each column that isn't reserved, in the table's order; what no name or
        pattern reaches is `UNMATCHED`.

    Raises:
        ConfigError: for a name that the table doesn't have, a pattern that fits nothing, a
            reserved column, or no feature at all.
    """
    wanted = {"*": Auto()} if section.features is None else section.features
    free = [column for column in columns if column not in reserved]
    problems = [
        Problem(format_path(("input", "features", name)), message)
        for name, feature in wanted.items()
        if (message := _complaint(name, columns, reserved, free))
        and not (name in reserved and isinstance(feature, Ignored))
    ]
    if problems:
        raise ConfigError(_undivided(columns) or problems)
    patterns = [name for name in wanted if _is_pattern(name, columns)]
    patterns.sort(key=len, reverse=True)
    chosen = {column: _wish(column, wanted, patterns) for column in free}
    if all(isinstance(feature, Ignored) for feature in chosen.values()):
        message = (
            "leaves no column for the network to read"
            if free
            else f"there is nothing to read: the table has no column but {listed(columns)}"
        )
        raise ConfigError([Problem("input.features", message)])
    return chosen


def key_of(column: str, section: Input) -> str | None:
    """The key of `input.features` that speaks for a column: its name, or a pattern, if any does.

    Args:
        column: one of the columns that the network reads.
        section: the config's `input`.
    """
    wanted = section.features or {}
    if column in wanted:
        return column
    patterns = sorted((name for name in wanted if _is_pattern(name, ())), key=len, reverse=True)
    return next((name for name in patterns if _matcher(name).fullmatch(column)), None)


def _complaint(
    name: str, columns: Sequence[str], reserved: Sequence[str], free: Sequence[str]
) -> str | None:
    if name in reserved:
        return "has another part in 'data' and can't be a feature; leave it out, or ignored, here"
    if name in columns or name == "*":
        return None
    if not _is_pattern(name, columns):
        return f"no such column in the table{did_you_mean(name, columns)}"
    return None if any(map(_matcher(name).fullmatch, free)) else "fits no column of the table"


def _undivided(columns: Sequence[str]) -> list[Problem]:
    """The one problem behind all others, if the table's fields were not told apart."""
    sign = max(_DELIMITERS, key=columns[0].count)
    if len(columns) > 1 or sign not in columns[0]:
        return []
    way_out = f"say data.format: {{name: csv, delimiter: {json.dumps(sign)}}}"
    message = f"the table has a single column, {shown(columns[0])}; {way_out}"
    return [Problem("input.features", message)]


def _wish(column: str, wanted: Mapping[str, Feature], patterns: Sequence[str]) -> Feature:
    if column in wanted:
        return wanted[column]
    fitting = (name for name in patterns if _matcher(name).fullmatch(column))
    return wanted.get(next(fitting, ""), UNMATCHED)


def _is_pattern(name: str, columns: Sequence[str]) -> bool:
    # A column may well be called 'smoker?', and its name doesn't speak for 'smokers'.
    return name == "*" or (name not in columns and ("*" in name or "?" in name))


def _matcher(pattern: str) -> re.Pattern[str]:
    escaped = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(escaped, re.DOTALL)
