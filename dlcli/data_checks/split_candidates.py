"""Columns by which rows might belong together: identifiers, the units of panels, and times."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from dlcli.arrays import Indices
from dlcli.columns.column_type import Decision
from dlcli.data_checks import sample as sampling
from dlcli.errors import DataError
from dlcli.tables.row_times import time_ranks
from dlcli.tables.table import Table

FEWEST_GROUPS = 5
_FEWEST_ROWS = 1.5
"""Minimum of the average rows per group."""
_FEWEST_TIMES = 10
_LEAST_ORDER = 0.95
"""Minimum correlation of the rows' times with the sorted times; in tables with another order of
rows, it was at most 0.53."""
_EXPECTED_PAIRS = 10
"""Pairs of rows with the same unit and time that chance would give, from which their absence shows
that the table is a panel."""
_MOST_PAIRS = 0.02
"""Maximum share of these pairs in a panel, because a few rows may be repeated."""
_MOST_COLUMNS = 100
_MOST_STEPS = 6
"""Maximum number of times that units are combined with."""

_IDENTIFIER = re.compile(
    r"(?i:(?:^|[\W_])(?:[phu]?id|uuid|guid|nr|subj|subject|patient|participant|person|individual"
    r"|respondent|household|family|customer|client|user|member|pupil|student|animal"
    r"|(?:subject|patient|person|household|family|customer|user)id)$)|[a-z]I[dD]$"
)
"""Column names of groups that rows may belong to; not of counts, such as `number` or `child`."""
_SUBJECT = re.compile(
    r"(?i:^id$|(?:^|[\W_])(?:subj|subject|patient|participant|person|individual|respondent"
    r"|household|family|animal)(?:_?id)?$)"
)
"""Column names of subjects whose rows may be in any order. `store_id` is not among them, as it may
be an ordinary category."""
_RECURRING = frozenset(
    [
        "account",
        "airport",
        "article",
        "branch",
        "building",
        "carrier",
        "category",
        "channel",
        "department",
        "dept",
        "device",
        "item",
        "line",
        "location",
        "machine",
        "meter",
        "plant",
        "product",
        "route",
        "sensor",
        "series",
        "shop",
        "site",
        "sku",
        "station",
        "stock",
        "store",
        "symbol",
        "ticker",
        "warehouse",
    ]
)
"""Words in the names of units that new rows are usually about, too: they are split in time."""
STEP = re.compile(
    r"(?i:(?:^|[\W_])(?:date|time|year|yr|quarter|month|week|day|hour|period|visit|wave|round|age"
    r"|session|occasion|trial)s?[0-9]*$)|(?:Date|Time|Year|Month|Week|Day)$"
)
"""Column names of what advances from one row of a subject to the next."""
_CALENDAR = re.compile(r"(?i:(?:^|[\W_])(?:date|time|year|yr)s?$)|(?:Date|Time|Year)$")
_PERIOD_NAME = re.compile(r"(?i:date|time|year|yr|quarter|month|week|period|trend)")
_FRACTION = re.compile(r"-?[0-9]*[.,][0-9]+")
_YEARS = (1500.0, 2200.0)
_YEARS_WITH_UNIT = (190_000.0, 219_953.0)
"""Range of months such as 202403 and weeks such as 201729."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_UNITS = {
    **dict.fromkeys(("year", "yr", "yyyy"), "year"),
    **dict.fromkeys(("quarter", "qtr"), "quarter"),
    **dict.fromkeys(("month", "mo", "mon", "mnth", "mth"), "month"),
    **dict.fromkeys(("week", "wk"), "week"),
    **dict.fromkeys(("day", "mday", "yday", "dayof"), "day"),
    **dict.fromkeys(("hour", "hr"), "hour"),
    **dict.fromkeys(("minute", "min"), "minute"),
}
"""Units of time by the words in column names."""
_FILL_WORDS = frozenset(("of", "the", "in", "no", "num", "number", "nr"))
_BOUNDS = {
    "quarter": (1, 4),
    "month": (1, 12),
    "week": (0, 53),
    "day": (1, 366),
    "hour": (0, 24),
    "minute": (0, 59),
}
"""The least and the largest value of each unit."""
_NEXT = {
    "year": ("month", "week", "quarter", "day"),
    "quarter": (),
    "month": ("day",),
    "week": ("day",),
    "day": ("hour",),
    "hour": ("minute",),
    "minute": (),
}
"""The units that continue a time, the preferred ones first."""
_CLEAR_GROUPS = 10
"""Minimum number of groups by which a starter config splits: 15 % of them are at least one, and an
ensemble of eight networks can validate each one on other groups."""


@dataclass(frozen=True, eq=False)
class GroupCandidate:
    """A column whose values may be subjects."""

    column: str
    groups: Indices
    """The group of each row, (rows,)."""
    is_identifier: bool
    """Whether its name and its blocks, or its combination with a time, show that it identifies
    subjects."""
    step: tuple[str, ...] = ()
    """The columns of the time that advances within the groups."""
    recurs: bool = False
    """Whether new rows are about the same groups, later."""
    may_be_new: bool = False
    """Whether only the order of rows shows that groups recur, so new rows may be of new groups."""
    may_be_amount: bool = False
    """Whether the groups may be amounts, such as doses, by which a model predicts other groups."""

    @property
    def is_clear(self) -> bool:
        """Whether it identifies enough subjects to decide before other candidates."""
        return self.is_identifier and int(self.groups.max()) + 1 >= _CLEAR_GROUPS


@dataclass(frozen=True, eq=False)
class TimeCandidate:
    """Columns that form the time of a row."""

    columns: tuple[str, ...]
    ranks: Indices
    """The rank of each row's time, (rows,)."""
    groups: Indices | None = None
    """The unit of each row of a panel, (rows,)."""


# Groups


def find_groups(table: Table, decisions: Mapping[str, Decision]) -> Iterator[GroupCandidate]:
    """Yield columns that may identify subjects, the likeliest ones first.

    Args:
        table: all rows.
        decisions: the type of each column that may be a feature.
    """
    start = next(table.parts(sampling.MOST_ROWS))
    steps = [*_find_steps(start, decisions)]
    of_time = {column for step in steps for column in step.columns}
    scattered, panels, in_blocks = [], [], set[str]()
    for column in filter(_IDENTIFIER.search, decisions):
        groups = _repeated(table, column)
        if groups is None:
            continue
        if _is_in_blocks(groups):
            step = _find_step(steps, groups[: start.rows])
            in_blocks.add(column)
            yield GroupCandidate(column, groups, is_identifier=True, step=step)
        elif _SUBJECT.search(column):
            scattered.append(GroupCandidate(column, groups, is_identifier=True))
    for column in decisions if steps and len(decisions) <= _MOST_COLUMNS else ():
        if STEP.search(column) or column in of_time or column in in_blocks:
            continue
        groups = _repeated(start, column)
        if groups is not None and (panel := _panel_of(column, groups, steps)):
            whole = _repeated(table, column)
            if whole is not None and (panel.is_identifier or _is_in_blocks(whole)):
                panels.append(replace(panel, groups=whole))
    yield from panels
    known = {each.column for each in panels}
    yield from (each for each in scattered if each.column not in known)


def _panel_of(
    column: str, groups: Indices, steps: Sequence[TimeCandidate]
) -> GroupCandidate | None:
    """Return the candidate for a column that has each time once, or whose times increase in blocks.

    Args:
        column: the column.
        groups: the group of each row at the start of the table, (rows,).
        steps: the times of these rows.
    """
    panel = _find_panel(steps, groups)
    if panel is not None:
        has_times = int(panel.ranks.max()) + 1 >= _FEWEST_TIMES
        is_unit = _is_recurring(column)
        recurs = has_times and (is_unit or _are_ordered(panel.ranks))
        return GroupCandidate(
            *(column, groups, True, panel.columns, recurs),
            may_be_new=not is_unit,
            may_be_amount=not _IDENTIFIER.search(column),
        )
    step = _find_step(steps, groups) if _is_in_blocks(groups) else ()
    if not step or _IDENTIFIER.search(column):
        return None
    return GroupCandidate(column, groups, is_identifier=False, step=step)


def _repeated(table: Table, column: str) -> Indices | None:
    """Return the group of each row, (rows,); `None` if values are missing or are not groups."""
    values = table.column(column)
    if values.kind == "number":  # the texts of many fractions take long
        numbers = values.numbers().values
        if np.isnan(numbers).any() or (numbers % 1).any():
            return None
    try:
        groups, names = table.codes(column)
    except DataError:
        return None
    repeats = FEWEST_GROUPS <= len(names) <= table.rows / _FEWEST_ROWS
    if not repeats or groups.min() < 0 or any(map(_FRACTION.fullmatch, names)):
        return None
    return groups


def _is_in_blocks(groups: Indices) -> bool:
    return int(np.count_nonzero(np.diff(groups))) == int(groups.max())


def _is_recurring(column: str) -> bool:
    return not _RECURRING.isdisjoint(_words(column))


def _find_step(steps: Sequence[TimeCandidate], groups: Indices) -> tuple[str, ...]:
    """Find a time that increases from row to row within each block, and restarts in the next."""
    inside = np.diff(groups) == 0
    for step in steps:
        if 2 * step.ranks.max() >= len(step.ranks):
            continue
        changes = np.diff(step.ranks)
        if (changes[inside] > 0).all() and (changes[~inside] < 0).mean() > 0.5:
            return step.columns
    return ()


def _find_panel(steps: Sequence[TimeCandidate], groups: Indices) -> TimeCandidate | None:
    """Find a time that each group has at most once, although chance would repeat many."""
    for step in steps:
        times = int(step.ranks.max()) + 1
        if not 2 < times <= len(groups) / _FEWEST_ROWS:
            continue
        shares = [np.bincount(each) / len(groups) for each in (groups, step.ranks)]
        expected = len(groups) * (len(groups) - 1) / 2
        for each in shares:
            expected *= float((each**2).sum())
        if expected < _EXPECTED_PAIRS:
            continue
        _, counts = np.unique(groups * times + step.ranks, return_counts=True)
        if float((counts * (counts - 1) / 2).sum()) <= _MOST_PAIRS * expected:
            return step
    return None


def _find_steps(table: Table, decisions: Mapping[str, Decision]) -> Iterator[TimeCandidate]:
    """Yield the times that rows of a subject may differ in, at most some."""
    chains = [*_find_chains(table, [*decisions], is_panel=True)]
    of_chains = {column for chain in chains for column in chain}
    dates = [name for name in decisions if _is_date(decisions[name]) and name not in of_chains]
    named = [name for name in decisions if STEP.search(name) and name not in of_chains]
    every = dict.fromkeys([*chains, *((name,) for name in (*dates, *named))])
    for columns in [*every][:_MOST_STEPS]:
        if (ranks := _ranks(table, columns)) is not None:
            yield TimeCandidate(columns, ranks)


# Times


def find_times(table: Table, decisions: Mapping[str, Decision]) -> Iterator[TimeCandidate]:
    """Yield the times of rows.

    They are several columns such as year and month, or dates, years and periods by which rows are
    sorted, in the whole table or in each of a few units.

    Args:
        table: the rows.
        decisions: the type of each column that may be a feature.
    """
    found: set[str] = set()
    for columns in _find_chains(table, [*decisions]):
        candidate = _time(table, columns)
        # Without a year, only the order of rows shows that there is one year.
        has_year = _unit_of(columns[0]) == "year"
        if candidate and (has_year or _are_ordered(candidate.ranks)):
            found.update(columns)
            yield candidate
    for column, decision in decisions.items():
        if column in found or not (_is_date(decision) or _is_calendar(table, column)):
            continue
        candidate = _time(table, (column,))
        if candidate and (_are_ordered(candidate.ranks) or _restart_rarely(candidate.ranks)):
            yield candidate


def time_in_panel(table: Table, candidate: GroupCandidate) -> TimeCandidate | None:
    """Return the time of a panel with the group of each row; `None` if there are few times.

    Args:
        table: the rows.
        candidate: the units of the panel.
    """
    time = _time(table, candidate.step)
    try:
        groups, _ = table.codes(candidate.column)
    except DataError:
        return None
    return time and TimeCandidate(time.columns, time.ranks, groups)


def _time(table: Table, columns: tuple[str, ...]) -> TimeCandidate | None:
    ranks = _ranks(table, columns)
    has_times = ranks is not None and ranks.max() + 1 >= _FEWEST_TIMES
    return TimeCandidate(columns, ranks) if has_times and ranks is not None else None


def _is_date(decision: Decision) -> bool:
    return (decision.otherwise or decision).feature.is_time


def _is_calendar(table: Table, column: str) -> bool:
    """Return whether a column has years, or periods such as 201729, 202403 and 2024-Q4."""
    if not _PERIOD_NAME.search(column):
        return False
    values = table.column(column)
    if not values.looks_numeric():
        return values.kind == "text" and _ranks(table, (column,)) is not None
    numbers = values.numbers().values
    least, most = np.fmin.reduce(numbers), np.fmax.reduce(numbers)  # NaN if all are NaN
    if _CALENDAR.search(column) and least >= _YEARS[0] and most <= _YEARS[1]:
        return True
    is_period = least >= _YEARS_WITH_UNIT[0] and most <= _YEARS_WITH_UNIT[1]
    if is_period:
        units = numbers[~np.isnan(numbers)] % 100
        return bool(((units >= 1) & (units <= 53) & (units % 1 == 0)).all())
    may_count = _unit_of(column) in ("quarter", "month", "week", "day") or column.lower() == "trend"
    return may_count and _counts_up(numbers)


def _counts_up(numbers: np.ndarray) -> bool:
    """Return whether integers count up from 0 or 1, each as often as rows have it."""
    steps = np.diff(numbers)
    return numbers[0] in (0, 1) and bool(np.isin(steps, (0, 1)).all())


def _find_chains(
    table: Table, columns: Sequence[str], *, is_panel: bool = False
) -> Iterator[tuple[str, ...]]:
    """Yield columns that form a time, such as year, month, day and hour, the longest unit first.

    Args:
        table: the rows.
        columns: the names of all columns that may be features.
        is_panel: also yield single units.
    """
    by_context: dict[tuple[str, ...], dict[str, str]] = defaultdict(dict)
    for column in columns:
        unit = _unit_of(column)
        if unit is not None and _holds_unit(table, column, unit):
            context = tuple(
                word for word in _words(column) if word not in _UNITS and word not in _FILL_WORDS
            )
            by_context[context].setdefault(unit, column)
    for units in by_context.values():
        chain = _chain(table, units)
        if len(chain) > 1 or (is_panel and chain):
            yield tuple(units[unit] for unit in chain)


def _chain(table: Table, units: Mapping[str, str]) -> list[str]:
    """Return the units of a time, the longest first, without gaps and without days of the week."""
    usable = {*units}
    if "day" in usable:
        most = int(np.nanmax(table.column(units["day"]).numbers().values))
        if most > 31:  # a day of the year
            usable -= {"month", "week", "quarter"}
        elif most <= 7 and "week" not in usable:
            usable.discard("day")
    chain = [unit for unit in _NEXT if unit in usable][:1]
    while chain and (following := next((u for u in _NEXT[chain[-1]] if u in usable), None)):
        chain.append(following)
    return chain


def _holds_unit(table: Table, column: str, unit: str) -> bool:
    """Return whether all values are values of a unit of time."""
    values = table.column(column)
    if not values.looks_numeric():
        is_text = unit in ("month", "quarter") and values.kind == "text"
        return is_text and _ranks(table, (column, column)) is not None
    numbers = values.numbers().values
    if np.isnan(numbers).any() or (numbers % 1 != 0).any():
        return False
    least, most = float(numbers.min()), float(numbers.max())
    if unit == "year":
        return (_YEARS[0] <= least and most <= _YEARS[1]) or (least >= 0 and most <= 99)
    return _BOUNDS[unit][0] <= least and most <= _BOUNDS[unit][1]


def _unit_of(column: str) -> str | None:
    """Return the unit of time that a column's name stands for; `None` for days of the week."""
    words = _words(column)
    units = [_UNITS[word] for word in words if word in _UNITS]
    return None if not units or units[:2] == ["day", "week"] else units[0]


def _words(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(name)]


def _are_ordered(ranks: Indices) -> bool:
    """Return whether all but a few rows are sorted by time, in either direction."""
    if not ranks.max():
        return False
    in_order = np.sort(ranks)
    correlations = np.corrcoef([ranks, in_order, in_order[::-1]])[0, 1:]
    return bool(correlations.max() >= _LEAST_ORDER)


def _restart_rarely(ranks: Indices) -> bool:
    """Return whether rows are sorted by time within a few units, too few for a group split."""
    steps = np.diff(ranks)
    return bool(min(np.sum(steps < 0), np.sum(steps > 0)) < FEWEST_GROUPS)


def _ranks(table: Table, columns: Collection[str]) -> Indices | None:
    try:
        return time_ranks(table, [*columns])
    except DataError:
        return None
