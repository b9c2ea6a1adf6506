"""The config's `input.features` applied to a table's columns, by their names and by patterns."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dlcli import config
from dlcli.encoding.layout import Block, EmbeddingTable, PeriodicForm
from dlcli.errors import ConfigError, Problem, did_you_mean, listed

UNMATCHED = config.Ignored.model_construct()  # without its validator, which takes long to build
"""The feature of a column that no name or pattern matches. It equals one that is declared ignored,
and is distinguished from it by identity."""
UNMATCHED_REASON = "not named"
"""The reason for it."""
_DELIMITERS = (",", ";", "|", "\t")


def choose_features(
    section: config.Input, columns: Sequence[str], reserved: Sequence[str]
) -> dict[str, config.Feature]:
    """Look up the config's feature for each column, by the header alone.

    Args:
        section: the config's `input`.
        columns: the table's columns.
        reserved: target, weight, group and time columns, which are no features.

    Returns:
        A feature for each column that isn't reserved, in the table's order; `UNMATCHED` for a
        column that no name or pattern matches.

    Raises:
        ConfigError: for a name that the table doesn't have, a pattern that matches nothing, a
            reserved column, or no feature at all.
    """
    features = {"*": config.Auto()} if section.features is None else section.features
    free = [column for column in columns if column not in reserved]
    problems = [
        Problem(config.format_path(("input", "features", name)), message)
        for name, feature in features.items()
        if (message := _complaint(name, columns, reserved, free))
        and not (name in reserved and isinstance(feature, config.Ignored))
    ]
    if problems:
        raise ConfigError(_one_column_problem(columns) or problems)
    patterns = _patterns(features, columns)
    chosen = {}
    for column in free:
        key = column if column in features else _first_match(column, patterns)
        chosen[column] = UNMATCHED if key is None else features[key]
    if all(isinstance(feature, config.Ignored) for feature in chosen.values()):
        message = (
            "leaves no column for the network to read"
            if free
            else f"there is nothing to read: the table has no column but {listed(columns)}"
        )
        raise ConfigError([Problem("input.features", message)])
    return chosen


def _complaint(
    name: str, columns: Sequence[str], reserved: Sequence[str], free: Sequence[str]
) -> str | None:
    if name in reserved:
        return "has another part in 'data' and can't be a feature; leave it out, or ignored, here"
    if name in columns or name == "*":
        return None
    if not _is_pattern(name, columns):
        return f"no such column in the table{did_you_mean(name, columns)}"
    return None if any(map(_regex(name).fullmatch, free)) else "fits no column of the table"


def _one_column_problem(columns: Sequence[str]) -> list[Problem]:
    """Return the one cause of all problems, if the table's fields were not split."""
    sign = max(_DELIMITERS, key=columns[0].count)
    if len(columns) > 1 or sign not in columns[0]:
        return []
    way_out = f"set data.format: {{name: csv, delimiter: {json.dumps(sign)}}}"
    message = f"the table has a single column, {config.shown(columns[0])}; {way_out}"
    return [Problem("input.features", message)]


def _patterns(names: Iterable[str], columns: Sequence[str]) -> list[str]:
    """Return the names that are patterns, the longest first."""
    return sorted((name for name in names if _is_pattern(name, columns)), key=len, reverse=True)


def _first_match(column: str, patterns: Sequence[str]) -> str | None:
    return next((name for name in patterns if _regex(name).fullmatch(column)), None)


def _is_pattern(name: str, columns: Sequence[str]) -> bool:
    # A column may be called 'smoker?', and its name doesn't match 'smokers'.
    return name == "*" or (name not in columns and ("*" in name or "?" in name))


def _regex(pattern: str) -> re.Pattern[str]:
    escaped = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.compile(escaped, re.DOTALL)


@dataclass(frozen=True)
class LargeInputAdvice:
    """The setting that lets a column's inputs be large, and a better one."""

    threshold: float
    """Absolute value above which inputs are large."""
    cause: str
    """The setting that lets them be large, in words."""
    setting: config.Setting
    """The better setting."""


def large_input_advice(block: Block, section: config.Input) -> LargeInputAdvice | None:
    """Return advice for a column, if anything in the config lets its inputs be large.

    Args:
        block: a block of the column's inputs.
        section: the config's `input`.
    """
    features = section.features or {}
    key: str | None = block.column
    if key not in features:
        key = _first_match(block.column, _patterns(features, ()))
    feature = config.Auto() if key is None else features[key]
    path = config.format_path(("input", "features", key or block.column))
    if isinstance(feature, config.Text) and isinstance(feature.encoding, config.Count):
        return LargeInputAdvice(config.LARGE, "encoding count", (f"{path}.encoding", "tf_idf"))
    is_number = block.kind == "numeric" and block.inputs == (block.column,)
    is_bounded = isinstance(block.form, PeriodicForm | EmbeddingTable)
    if not is_number or is_bounded or not isinstance(feature, config.Numeric | config.Auto):
        return None
    own = feature.scaling if isinstance(feature, config.Numeric) else None
    scaling = own or section.scaling
    if isinstance(scaling, config.Robust | config.Quantile):
        return None
    path = "input.scaling" if own is None else f"{path}.scaling"
    if isinstance(scaling, config.Unscaled | config.Divide):
        return LargeInputAdvice(config.LARGE, f"scaling {scaling.name}", (path, "standard"))
    return LargeInputAdvice(config.LARGE_STANDARDIZED, f"scaling {scaling.name}", (path, "robust"))
