"""The candidates of a search, as tables and charts need them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dlcli.metrics import finite_number
from dlcli.pipeline import Dimension, Search, TrialResult, Value, leaderboard
from dlcli.reports.wording import number, short

_FEWEST = 4
"""Values that have quartiles."""
_FENCE = 3.0
"""Quartile ranges beyond the worse quartile from which on a value is far out (Tukey 1977)."""


@dataclass(frozen=True)
class Candidates:
    """The candidates of a search."""

    search: Search

    @cached_property
    def board(self) -> tuple[TrialResult, ...]:
        """All of them, the best first; those without a value and unfinished ones last."""
        return leaderboard(self.search)

    @cached_property
    def complete(self) -> tuple[TrialResult, ...]:
        """Those with a value that may be compared, the best first."""
        return tuple(each for each in self.board if each.state == "complete" and known(each))

    @property
    def best(self) -> TrialResult | None:
        """The best one."""
        return _numbered(self.complete, self.search.best)

    @property
    def smallest(self) -> TrialResult | None:
        """The smallest that is good enough."""
        return _numbered(self.complete, self.search.smallest)

    @property
    def default(self) -> TrialResult | None:
        """The config as given, if it has a value."""
        default = self.search.default
        return default if default is not None and known(default) else None

    @cached_property
    def limit(self) -> float | None:
        """Where charts end on the worse side, if values lie so far out that the rest would be flat.

        That is three quartile ranges beyond the worse quartile of all complete candidates.
        """
        values = [value_of(each) for each in self.complete]
        if len(values) < _FEWEST:
            return None
        low, high = np.quantile(values, [0.25, 0.75]).tolist()
        beyond = _FENCE * (high - low)
        if not 0 < beyond < math.inf:
            return None
        limit: float = high + beyond if self._falls else low - beyond
        drawn = (value_of(each) for each in self.search.trials if known(each))
        return limit if any(self.is_better(limit, value) for value in drawn) else None

    def drawn(self, value: float) -> float:
        """Where a value is drawn: itself, or the limit if it lies beyond."""
        if self.limit is None:
            return value
        return min(value, self.limit) if self._falls else max(value, self.limit)

    @property
    def beyond(self) -> int:
        """How many complete candidates are drawn at the limit."""
        return sum(self.drawn(value_of(each)) != value_of(each) for each in self.complete)

    def improvements(self) -> list[TrialResult]:
        """Those that were better than all before them, in order of their numbers."""
        result: list[TrialResult] = []
        for each in sorted(self.complete, key=lambda trial: trial.number or 0):
            if not result or self.is_better(value_of(each), value_of(result[-1])):
                result.append(each)
        return result

    def is_better(self, value: float, other: float) -> bool:
        """Whether a value is better than another."""
        return value < other if self._falls else value > other

    @property
    def _falls(self) -> bool:
        """Whether lower is better."""
        return self.search.direction == "minimize"

    @cached_property
    def dimensions(self) -> tuple[Dimension, ...]:
        """What is varied, the most important first as far as that is known."""
        shares = self.search.importances
        return tuple(sorted(self.search.dimensions, key=lambda each: -(shares.get(each.path) or 0)))


def known(trial: TrialResult) -> bool:
    """Whether a candidate has a value."""
    return trial.value is not None


def value_of(trial: TrialResult) -> float:
    """The value of a candidate that has one."""
    assert trial.value is not None
    return trial.value


def _numbered(trials: Sequence[TrialResult], number: int | None) -> TrialResult | None:
    found = (each for each in trials if each.number == number)
    return None if number is None else next(found, None)


def spaced(trials: Sequence[TrialResult], most: int, first: int = 0) -> list[TrialResult]:
    """Some candidates: the first few, and of the others some at even distances.

    Args:
        trials: in order.
        most: how many are wanted.
        first: how many of these are the first.
    """
    if len(trials) <= most:
        return list(trials)
    places = np.linspace(first, len(trials) - 1, most - first).round().astype(int)
    return [*trials[:first], *(trials[at] for at in np.unique(places).tolist())]


def value_text(value: Value, most: int = 40) -> str:
    """A value of a setting, as one writes it in a config."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return short(value, most) if isinstance(value, str) else number(value)


def settings_text(values: Mapping[str, Value], dimensions: Sequence[Dimension], most: int) -> str:
    """What was varied in one line: `units 32, activation relu`.

    Args:
        values: of a candidate.
        dimensions: those that are shown, if the candidate has them.
        most: how many signs.
    """
    pairs = [
        f"{last_part(each.path)} {value_text(values[each.path], 24)}"
        for each in dimensions
        if each.path in values
    ]
    return short(", ".join(pairs), most)


def last_part(path: str) -> str:
    """The end of a setting's path, by which people know it: `units` of `hidden.units`."""
    return short(path.rpartition(".")[2] or path, 40)


def place_on_axis(dimension: Dimension, value: Value) -> float | None:
    """Where a value lies between the ends of its dimension, from 0 to 1; nothing if it doesn't."""
    if dimension.kind == "choice":
        return _place_of_choice(dimension, value)
    at, low, high = (finite_number(each) for each in (value, dimension.low, dimension.high))
    if at is None or low is None or high is None or not low <= at <= high:
        return None
    if dimension.log and low > 0:
        at, low, high = map(math.log, (at, low, high))
    span = high / 2 - low / 2  # halves, as the whole of it may be more than a float holds
    return min(1.0, max(0.0, (at / 2 - low / 2) / span)) if span else 0.5


def choice_of(dimension: Dimension, value: Value) -> int | None:
    """Which of the choices of a dimension a value is; nothing for any other."""
    for at, choice in enumerate(dimension.choices):
        if isinstance(choice, bool) == isinstance(value, bool) and choice == value:
            return at
    return None


def _place_of_choice(dimension: Dimension, value: Value) -> float | None:
    at, last = choice_of(dimension, value), len(dimension.choices) - 1
    if at is None:
        return None
    return at / last if last else 0.5


def ticks_of(dimension: Dimension, most: int = 6) -> list[tuple[float, str]]:
    """Places on an axis with what stands there: the choices, or both ends and the middle.

    Args:
        dimension: what is varied.
        most: labels; of more choices, some at even distances.
    """
    if dimension.kind == "choice":
        count = len(dimension.choices)
        places = np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int))
        signs = max(4, 60 // max(1, len(places)))
        return [
            (at / (count - 1) if count > 1 else 0.5, value_text(dimension.choices[at], signs))
            for at in places.tolist()
        ]
    low, high = finite_number(dimension.low), finite_number(dimension.high)
    if low is None or high is None or low > high:
        return []
    if low == high:
        return [(0.5, number(low))]
    is_log = dimension.log and low > 0
    middle = float(np.sqrt(low) * np.sqrt(high)) if is_log else low / 2 + high / 2
    inner = [] if dimension.kind == "integer" else [(0.5, number(middle))]
    return [(0.0, number(low)), *inner, (1.0, number(high))]
