"""Dates and times."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import AwareDatetime, Field, model_validator

from dlcli.config import Datetime, ErrorIfMissing, Part, Standard, format_error, time_zone_error
from dlcli.encoding.columns.column import DenseEncoder, no_value, refuse_gaps
from dlcli.encoding.columns.filled import wants_indicator
from dlcli.encoding.inputs import Matrix
from dlcli.encoding.layout import Block
from dlcli.errors import DataError
from dlcli.preprocessing import Floats, LinearScaling, ValueIssues, dates_if_midnight, fit_scaling
from dlcli.tables import DAY, SECOND, Moments, Table, Times, to_local

_MINUTE, _HOUR = 60 * SECOND, 3600 * SECOND
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LINEAR: tuple[Part, ...] = ("year", "elapsed")
_AUTO_CYCLES: tuple[Part, ...] = ("month", "day", "weekday", "hour")
"""Minutes and seconds are mostly noise, the year follows from the time elapsed, and the day of the
year from the month and the day."""

_LENGTHS: dict[Part, range] = {
    "month": range(12, 13),
    "day": range(28, 32),
    "weekday": range(7, 8),
    "day_of_year": range(365, 367),
    "hour": range(24, 25),
    "minute": range(60, 61),
    "second": range(60, 61),
}
"""How many steps it may take to go round."""

_OF_THE_CLOCK: tuple[Part, ...] = ("hour", "minute", "second")
"""What the day doesn't decide."""

Moment = Annotated[AwareDatetime, Field(strict=False)]  # JSON has times only as text
Places = NDArray[np.int64]


class DatetimeEncoder(DenseEncoder):
    """Parts of a time: filled where missing, then scaled or wound around a circle."""

    encoding: Literal["datetime"] = "datetime"
    type: Literal["datetime"] = "datetime"
    formats: Annotated[tuple[str, ...], Field(min_length=1)]
    """How text and numbers are written; the first that fits a value counts."""
    timezone: str
    """Where the parts are told; values without an offset are taken as of there."""
    parts: Annotated[tuple[Part, ...], Field(min_length=1)]
    """What becomes inputs, in order."""
    year: LinearScaling | None = None
    """Of the year."""
    elapsed: LinearScaling | None = None
    """Of the days since `earliest`."""
    earliest: Moment
    """The training rows' earliest time."""
    latest: Moment
    """The training rows' latest time."""
    fill: Moment | None
    """What stands in for a gap; a gap is an error if null."""
    indicator: bool
    """Whether an input behind the others is 1 where there was a gap, else 0."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        faults = [*map(format_error, self.formats), time_zone_error(self.timezone)]
        for fault in filter(None, faults):
            raise ValueError(fault)
        if len(set(self.parts)) < len(self.parts):
            raise ValueError("a part occurs twice")
        scaled = {"year": self.year, "elapsed": self.elapsed}
        if {part for part in scaled if scaled[part]} != set(self.parts) & set(_LINEAR):
            raise ValueError("year and elapsed have scalings where they are parts, and only there")
        return self

    @property
    def blocks(self) -> tuple[Block, ...]:
        """What the column becomes."""
        names = [name for part in self.parts for name in self._names(part)]
        names += [f"{self.column} is missing"] if self.indicator else []
        return (Block(self.column, "numeric", tuple(names)),)

    def encode(self, table: Table, out: Matrix, issues: ValueIssues) -> None:
        """Writes the column's inputs into `out`, zeros of shape (rows, inputs)."""
        times = table.parse_times(self.column, self.formats, self.timezone)
        issues.refuse(times.unreadable, table, self.column, times.complaint)
        self._tell_range(times, issues)
        moments = self._fill_gaps(times, table, out, issues)
        calendar = _Calendar(to_local(moments, self.timezone))
        start = 0
        for part in self.parts:
            stop = start + len(self._names(part))
            with np.errstate(over="ignore"):  # a stranger's scaling may leave float32
                self._write(part, moments, calendar, out[:, start:stop])
            start = stop

    def _names(self, part: Part) -> tuple[str, ...]:
        name = f"{self.column} {part}"
        return (name,) if part in _LINEAR else (f"{name} sine", f"{name} cosine")

    def _write(self, part: Part, moments: Moments, calendar: _Calendar, out: Matrix) -> None:
        if part == "year" and self.year:
            out[:, 0] = self.year.apply(calendar.years)
        elif part == "elapsed" and self.elapsed:
            out[:, 0] = self.elapsed.apply(_days(moments, _microseconds(self.earliest)))
        else:
            out[:] = calendar.circle(part)

    def _tell_range(self, times: Times, issues: ValueIssues) -> None:
        """Tells of rows outside the training rows' range."""
        low, high = _microseconds(self.earliest), _microseconds(self.latest)
        outside = (times.moments < low) | (times.moments > high)
        outside &= ~(times.missing | times.unreadable)
        rows = int(outside.sum())
        issues.add_outside(self.column, rows, self.earliest.isoformat(), self.latest.isoformat())

    def _fill_gaps(self, times: Times, table: Table, out: Matrix, issues: ValueIssues) -> Moments:
        """Fills gaps, and tells of them in the last column of `out` if there is an input for it."""
        empty = times.missing | times.unreadable
        issues.add_missing(self.column, int(times.missing.sum()))
        if self.fill is None:
            refuse_gaps(times.missing, table, self.column, issues)
            return np.where(empty, _microseconds(self.earliest), times.moments)
        if self.indicator:
            out[:, -1] = empty
        else:
            (fill,) = dates_if_midnight([self.fill.isoformat()])
            meaning = f"{fill} stands in, and no input tells"
            issues.add_unencoded_missing(self.column, int(times.missing.sum()), meaning)
        return np.where(empty, _microseconds(self.fill), times.moments)


class _Calendar:
    """What clocks and calendars show, row by row.

    What the day decides is worked out once a day, and looked up.

    Args:
        local: microseconds since 1970-01-01T00:00 by the clocks of a place, (rows,).
    """

    def __init__(self, local: Moments) -> None:
        self._local = local
        self._days, self._rows_days = _table_of_days(local // DAY)

    @property
    def years(self) -> Floats:
        """The years, (rows,)."""
        years = (self._year_counts + 1970).astype(np.float64)
        return np.take(years, self._rows_days)

    def steps(self, part: Part) -> Places:
        """How far a cycle has gone, in whole steps from 0, (rows,)."""
        places, _ = self._cycle(part)
        return places if part in _OF_THE_CLOCK else np.take(places, self._rows_days)

    def circle(self, part: Part) -> Matrix:
        """Sine and cosine of 2π·steps/length of a cycle, (rows, 2).

        They are looked up, which is fast, and the same bits however many rows there are.
        """
        places, lengths = self._cycle(part)
        starts, points = _circles(_LENGTHS[part])
        places = starts[lengths - _LENGTHS[part][0]] + places
        if part not in _OF_THE_CLOCK:
            places = np.take(places, self._rows_days)
        return np.take(points, places, axis=0)

    def _cycle(self, part: Part) -> tuple[Places, Places | int]:
        """How far a cycle has gone, and how many steps it has: by rows for clocks, else by days.

        A month has as many steps as it has days, so that its last day is next to the first of any
        other; and a year likewise.
        """
        match part:
            case "month":
                return self._month_counts % 12, 12
            case "day":
                return self._within(self._month_counts, "M")
            case "weekday":
                return (self._days + 3) % 7, 7  # 1970 began on a Thursday, and a week on Monday
            case "day_of_year":
                return self._within(self._year_counts, "Y")
            case "hour":
                return self._local // _HOUR % 24, 24
            case "minute":
                return self._local // _MINUTE % 60, 60
            case "second":
                return self._local // SECOND % 60, 60
        raise TypeError(f"'{part}' is no cycle")

    def _within(self, counts: Places, unit: Literal["M", "Y"]) -> tuple[Places, Places]:
        """The day within a month or a year, from 0, and how many days that has."""
        starts, ends = _first_days(counts, unit), _first_days(counts + 1, unit)
        return self._days - starts, ends - starts

    @cached_property
    def _month_counts(self) -> Places:
        """Months since January 1970."""
        return self._days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)

    @cached_property
    def _year_counts(self) -> Places:
        """Years since 1970."""
        return np.floor_divide(self._month_counts, 12)


def _table_of_days(days: Places) -> tuple[Places, Places]:
    """A table of days since 1970, and the place there of each row's, (rows,).

    It has all days from the first to the last, unless rows are fewer.
    """
    if len(days):
        first, last = int(days.min()), int(days.max())
        if last - first < len(days):
            return np.arange(first, last + 1), days - first
    return days, np.arange(len(days))


def _first_days(counts: Places, unit: Literal["M", "Y"]) -> Places:
    """The first days of months or years that are counted from 1970, in days from then."""
    return counts.astype(f"datetime64[{unit}]").astype("datetime64[D]").astype(np.int64)


@lru_cache
def _circles(lengths: range) -> tuple[Places, NDArray[np.float32]]:
    """Where the circle of each length starts, and sines and cosines of one behind the other."""
    starts = np.cumsum([0, *lengths[:-1]])
    angles = [2 * math.pi * step / steps for steps in lengths for step in range(steps)]
    points = [(math.sin(angle), math.cos(angle)) for angle in angles]
    return starts, np.array(points, dtype=np.float32)


def _days(moments: Moments, since: int) -> Floats:
    return (moments - since) / DAY


def _microseconds(moment: datetime) -> int:
    """Since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def _moment(microseconds: int) -> datetime:
    return _EPOCH + int(microseconds) * _MICROSECOND


def fit_datetime(column: str, feature: Datetime, train: Table) -> DatetimeEncoder:
    """Fits the encoder of a column of times.

    Args:
        column: its name.
        feature: what is said of it.
        train: the training rows.

    Raises:
        DataError: for a value that is no time, or no value, or dates that have two meanings.
    """
    formats = feature.formats or _guessed_formats(column, train)
    times = train.parse_times(column, formats, feature.timezone)
    train.refuse(times.unreadable, column, times.complaint)
    present = np.sort(times.moments[~times.missing])
    if not len(present):
        raise no_value(column, train)
    calendar = _Calendar(to_local(present, feature.timezone))
    days = _days(present, int(present[0]))
    parts = _varying(calendar) if feature.parts == "auto" else feature.parts
    return DatetimeEncoder(
        column=column,
        missing_share=1 - len(present) / train.rows,
        formats=formats,
        timezone=feature.timezone,
        parts=parts,
        year=fit_scaling(Standard(), calendar.years) if "year" in parts else None,
        elapsed=fit_scaling(Standard(), days) if "elapsed" in parts else None,
        earliest=_moment(present[0]),
        latest=_moment(present[-1]),
        fill=None if isinstance(feature.missing, ErrorIfMissing) else _moment(_median(present)),
        indicator=wants_indicator(feature.missing, bool(times.missing.any())),
    )


def _median(ascending: Moments) -> int:
    """The middle one, or the earlier of two: their mean might be a time of day that none has."""
    return int(ascending[(len(ascending) - 1) // 2])


def _varying(calendar: _Calendar) -> tuple[Part, ...]:
    """The parts in which rows differ; the time elapsed is always among them."""
    return ("elapsed", *(part for part in _AUTO_CYCLES if np.ptp(calendar.steps(part))))


def _guessed_formats(column: str, train: Table) -> tuple[str, ...]:
    """The formats that all training rows are written in.

    Raises:
        DataError: if the day might be the month, or the column has numbers, which may be anything.
    """
    if train.kind(column) == "number":
        message = "expected dates, the column holds numbers; say format: unix, unix_ms or '%Y%m%d'"
        raise DataError(message, file=train.file, column=column)
    guess = train.guess_times(column)
    if guess and guess.is_ambiguous:
        raise DataError(guess.question, file=train.file, column=column)
    return guess.readings[0] if guess else ("iso",)
