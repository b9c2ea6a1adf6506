"""Columns of dates and times.

A time is encoded by its parts: the year and the elapsed days are scaled like numbers; a cyclic
part, such as the hour, becomes a sine and a cosine.
"""

from __future__ import annotations

import math
from calendar import isleap, monthrange
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cached_property, lru_cache
from typing import Annotated, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import AwareDatetime, Field, model_validator

from dlcli.config.input_section import (
    Datetime,
    ErrorIfMissing,
    Part,
    Standard,
    format_error,
    time_zone_error,
)
from dlcli.encoding.column_encoder import Block, FilledEncoder, needs_indicator, require_values
from dlcli.encoding.encoded_rows import Indices, Matrix
from dlcli.errors import DataError
from dlcli.preprocessing import LARGEST, Floats, LinearScaling, ValueIssues, fit_scaling
from dlcli.tables.arrow_arrays import integers, to_numpy
from dlcli.tables.datetime_parsing import (
    DAY,
    SECOND,
    Moments,
    compact_dates,
    guess_times,
    offset_at,
    parse_times,
    to_local,
)
from dlcli.tables.few_rows import FewValues, NeedsTable
from dlcli.tables.table import Table

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = _EPOCH.toordinal()
_MICROSECOND = timedelta(microseconds=1)
_LINEAR: tuple[Part, ...] = ("year", "elapsed")
_AUTO_CYCLES: tuple[Part, ...] = ("month", "day", "weekday", "hour")
"""Cyclic parts that `parts: auto` chooses from. Minutes and seconds are mostly noise, the year
follows from the days elapsed, and the day of the year from the month and the day."""

_CYCLES: dict[Part, tuple[Callable[[pa.Array], pa.Array], int, range]] = {
    "month": (pc.month, 1, range(12, 13)),
    "day": (pc.day, 1, range(28, 32)),
    "weekday": (pc.day_of_week, 0, range(7, 8)),  # from Monday
    "day_of_year": (pc.day_of_year, 1, range(365, 367)),
    "hour": (pc.hour, 0, range(24, 25)),
    "minute": (pc.minute, 0, range(60, 61)),
    "second": (pc.second, 0, range(60, 61)),
}
"""Of each cyclic part: pyarrow's function, its value for the first step, and the possible lengths
of the cycle, in steps."""
_CLOCK: tuple[Part, ...] = ("hour", "minute", "second")
"""Parts that differ within a day."""
_MONTH_LENGTHS = np.array([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_FEBRUARY = 1

Moment = Annotated[AwareDatetime, Field(strict=False)]  # JSON has times only as text


class DatetimeEncoder(FilledEncoder):
    """Parts of a time: filled where missing, then scaled, or as sine and cosine."""

    encoding: Literal["datetime"] = "datetime"
    type: Literal["datetime"] = "datetime"
    formats: Annotated[tuple[str, ...], Field(min_length=1)]
    """Formats of text and numbers; the first that matches a value applies."""
    timezone: str
    """Time zone of the parts, and of values without an offset of their own."""
    parts: Annotated[tuple[Part, ...], Field(min_length=1)]
    """The parts that become inputs, in order."""
    year: LinearScaling | None = None
    """Scaling of the year."""
    elapsed: LinearScaling | None = None
    """Scaling of the days since `earliest`."""
    earliest: Moment
    """The training rows' earliest time."""
    latest: Moment
    """The training rows' latest time."""
    fill: Moment | None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        faults = [
            *map(format_error, self.formats),
            time_zone_error(self.timezone),
        ]
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
        """The blocks of inputs that encode the column."""
        names = [name for part in self.parts for name in self._names(part)]
        return (Block(self.column, "numeric", (*names, *self.indicator_names)),)

    def encode(self, table: Table, out: Matrix, issues: ValueIssues) -> None:
        """Write the column's inputs into `out`, zeros of shape (rows, inputs)."""
        times = parse_times(table.column(self.column), self.formats, self.timezone)
        issues.refuse(times.unreadable, table, self.column, times.complaint)
        outside = times.moments < _microseconds(self.earliest)
        outside |= times.moments > _microseconds(self.latest)
        outside &= ~(times.missing | times.unreadable)
        ends = self.earliest.isoformat(), self.latest.isoformat()
        issues.add_outside(self.column, int(outside.sum()), *ends)
        fill = _microseconds(self.fill or self.earliest)
        moments = self.fill_missing(
            times.moments, times.missing, times.unreadable, fill, table, out, issues
        )
        local = to_local(moments, self.timezone)
        days, row_days = _day_table(local)
        start = 0
        for part in self.parts:
            stop = start + len(self._names(part))
            with np.errstate(over="ignore"):  # scalings from a stranger's file may leave float32
                if part == "year" and self.year:
                    out[:, start] = self.year.apply(np.take(_years(days), row_days))
                elif part == "elapsed" and self.elapsed:
                    since = _microseconds(self.earliest)
                    out[:, start] = self.elapsed.apply((moments - since) / DAY)
                elif part in _CLOCK:
                    out[:, start:stop] = sine_and_cosine(local, part)
                else:
                    out[:, start:stop] = np.take(sine_and_cosine(days, part), row_days, axis=0)
            start = stop

    def encode_few(self, values: FewValues, out: Matrix, issues: ValueIssues) -> None:
        """Write the column's inputs of few rows, see `ColumnEncoder`."""
        moments = values.moments(self.formats, self.timezone)
        earliest, latest = self._range
        outside = sum(not earliest <= at <= latest for at in moments if at is not None)
        issues.add_outside(self.column, outside, self.earliest.isoformat(), self.latest.isoformat())
        fill = _microseconds(self.fill or self.earliest)
        missing = [row for row, moment in enumerate(moments) if moment is None]
        self.fill_few(missing, fill, out, issues)
        for row, moment in enumerate(moments):
            inputs = [*self._inputs_at(fill if moment is None else moment)]
            out[row, : len(inputs)] = inputs

    @cached_property
    def _range(self) -> tuple[int, int]:
        return _microseconds(self.earliest), _microseconds(self.latest)

    def _inputs_at(self, moment: int) -> Iterator[float]:
        """Yield the inputs of a moment, as `encode` computes them.

        Raises:
            NeedsTable: for a day that Python's dates don't have, or an input beyond float32.
        """
        local = moment + offset_at(moment, self.timezone, is_local=False)
        try:
            day = date.fromordinal(local // DAY + _EPOCH_DAY)
        except (ValueError, OverflowError):
            raise NeedsTable from None
        for part in self.parts:
            scaled = None
            if part == "year" and self.year:
                scaled = self.year.apply_one(float(day.year))
            elif part == "elapsed" and self.elapsed:
                # Divided in float64 as NumPy does, which rounds the dividend first.
                scaled = self.elapsed.apply_one(float(moment - self._range[0]) / float(DAY))
            if scaled is None:
                yield from _point(part, day, local % DAY)
            elif abs(scaled) <= LARGEST:
                yield scaled
            else:
                raise NeedsTable

    def _names(self, part: Part) -> tuple[str, ...]:
        name = f"{self.column} {part}"
        return (name,) if part in _LINEAR else (f"{name} sine", f"{name} cosine")


def _point(part: Part, day: date, time: int) -> NDArray[np.float32]:
    """Return sine and cosine of a part of one time, as `sine_and_cosine` does.

    Args:
        part: a cyclic part.
        day: by the local calendar.
        time: microseconds since midnight.
    """
    steps: dict[Part, Callable[[], int]] = {
        "month": lambda: day.month - 1,
        "day": lambda: day.day - 1,
        "weekday": day.weekday,
        "day_of_year": lambda: day.timetuple().tm_yday - 1,
        "hour": lambda: time // (3600 * SECOND),
        "minute": lambda: time // (60 * SECOND) % 60,
        "second": lambda: time // SECOND % 60,
    }
    _, _, possible = _CYCLES[part]
    length = possible[0]
    if part == "day":
        length = monthrange(day.year, day.month)[1]
    elif part == "day_of_year":
        length += isleap(day.year)
    starts, points = circles(part)
    point: NDArray[np.float32] = points[starts[length - possible[0]] + steps[part]()]
    return point


def cyclic_steps(local: Moments, part: Part) -> Indices:
    """Return the steps since the beginning of a cycle, 0 for its first, (rows,).

    Args:
        local: microseconds since 1970-01-01T00:00 by local clocks, (rows,).
        part: a cyclic part.
    """
    function, first, _ = _CYCLES[part]
    return _calendar(function, local) - first


def sine_and_cosine(local: Moments, part: Part) -> Matrix:
    """Return sine and cosine of 2π·steps/length of a cycle, (rows, 2).

    The cycle of days is as long as the row's month, so that its last day is next to the first of
    any other month; likewise the day of the year. The values are looked up in a table, which is
    fast, and gives the same bits for any number of rows.
    """
    _, _, possible = _CYCLES[part]
    lengths: Indices | int = possible[0]
    if part in ("day", "day_of_year"):
        is_leap_year = _calendar(pc.is_leap_year, local)
        lengths = 365 + is_leap_year
        if part == "day":
            month = cyclic_steps(local, "month")
            lengths = _MONTH_LENGTHS[month] + is_leap_year * (month == _FEBRUARY)
    starts, points = circles(part)
    index = starts[lengths - possible[0]] + cyclic_steps(local, part)
    return np.take(points, index, axis=0)


def _day_table(local: Moments) -> tuple[Moments, Indices]:
    """Return a table of days, and the index there of each row's day, (rows,).

    There are usually more rows than days. So what depends on the day alone is computed once for
    each day, and looked up.
    """
    if len(local):
        first, last = int(local.min()) // DAY, int(local.max()) // DAY
        if last - first < len(local):
            return np.arange(first, last + 1) * DAY, local // DAY - first
    return local, np.arange(len(local))


@lru_cache
def circles(part: Part) -> tuple[Indices, NDArray[np.float32]]:
    """Return sine and cosine of each step of a cyclic part, for each possible length of its cycle.

    Returns:
        starts: where the circle of each length starts in the table, `(lengths,)`.
        points: the table, `(steps of all lengths, 2)`.
    """
    _, _, lengths = _CYCLES[part]
    starts = np.cumsum([0, *lengths[:-1]])
    angles = [2 * math.pi * step / steps for steps in lengths for step in range(steps)]
    points = [(math.sin(angle), math.cos(angle)) for angle in angles]
    return starts, np.array(points, dtype=np.float32)


def _calendar(function: Callable[[pa.Array], pa.Array], local: Moments) -> Indices:
    times = integers(local).view(pa.timestamp("us"))
    return to_numpy(function(times).cast(pa.int64()), np.int64)


def _years(local: Moments) -> Floats:
    return _calendar(pc.year, local).astype(np.float64)


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _moment(microseconds: int) -> datetime:
    return _EPOCH + int(microseconds) * _MICROSECOND


def fit_datetime(column: str, feature: Datetime, train: Table) -> DatetimeEncoder:
    """Fit the encoder of a column of times.

    Args:
        column: its name.
        feature: its settings.
        train: the training rows.

    Raises:
        DataError: for a value that is no time, no value at all, or dates with two readings.
    """
    formats = feature.formats or _guessed_formats(column, train)
    times = parse_times(train.column(column), formats, feature.timezone)
    train.refuse(times.unreadable, column, times.complaint)
    present = np.sort(times.moments[~times.missing])
    require_values(len(present), column, train)
    local = to_local(present, feature.timezone)
    if feature.parts == "auto":
        varying = (part for part in _AUTO_CYCLES if np.ptp(cyclic_steps(local, part)))
        parts: tuple[Part, ...] = ("elapsed", *varying)
    else:
        parts = feature.parts
    elapsed = (present - present[0]) / DAY
    # Of two middle times the earlier one: their mean might be a time of day that no row has.
    median = present[(len(present) - 1) // 2]
    return DatetimeEncoder(
        column=column,
        missing_share=1 - len(present) / train.rows,
        formats=formats,
        timezone=feature.timezone,
        parts=parts,
        year=fit_scaling(Standard(), _years(local)) if "year" in parts else None,
        elapsed=fit_scaling(Standard(), elapsed) if "elapsed" in parts else None,
        earliest=_moment(present[0]),
        latest=_moment(present[-1]),
        fill=None if isinstance(feature.missing, ErrorIfMissing) else _moment(median),
        indicator=needs_indicator(feature.missing, bool(times.missing.any())),
    )


def _guessed_formats(column: str, train: Table) -> tuple[str, ...]:
    """Return the formats that all training rows are written in.

    Raises:
        DataError: if the day might be the month, or if the column holds numbers, which may be
            anything.
    """
    values = train.column(column)
    may_be_digits = values.kind in ("number", "text")
    if may_be_digits and (formats := compact_dates(values.distinct)):
        return formats
    if values.kind == "number":
        message = "expected dates, the column holds numbers; set format: unix, unix_ms or '%Y%m%d'"
        raise DataError(message, file=train.file, column=column)
    guess = guess_times(values)
    if guess and guess.is_ambiguous:
        raise DataError(guess.question, file=train.file, column=column)
    return guess.readings[0] if guess else ("iso",)
