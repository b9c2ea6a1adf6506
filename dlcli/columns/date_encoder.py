"""The encoder of dates and times: parts of times, where cyclic parts become sine and cosine."""

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, TypeVar
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import AwareDatetime, Field, model_validator

from dlcli.arrays import Array, Floats, Indices, Matrix
from dlcli.columns import column_exports, column_type, date_graph
from dlcli.columns.column_exports import UNKNOWN, ClientColumn, KnownValues
from dlcli.columns.column_type import Defaults
from dlcli.columns.graph_operations import Operations, Value
from dlcli.columns.layout import Block
from dlcli.columns.scaling import LinearScaling
from dlcli.columns.value_problems import ColumnProblems, ValueProblems, short_moments
from dlcli.errors import ExportError
from dlcli.schema.section import Section
from dlcli.tables import datetime_parsing, table_formats
from dlcli.tables.datetime_parsing import DAY, SECOND, UNIX_TICKS, first_day
from dlcli.tables.table_formats import Part

if TYPE_CHECKING:
    from dlcli.tables.number_notation import Notation
    from dlcli.tables.table import Rows, Table

_LINEAR: tuple[Part, ...] = ("year", "elapsed")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def to_moment(microseconds: int) -> datetime:
    """Return a time, given in microseconds since 1970-01-01T00:00Z."""
    return _EPOCH + int(microseconds) * _MICROSECOND


Moment = Annotated[AwareDatetime, Field(strict=False)]  # a string in JSON


_OFFSET = r":[0-9]{2}(?:[.,][0-9]+)? ?[+-][0-9]{2}(?::?[0-9]{2})?$"
"""The end of a text with a time and its UTC offset."""
_ODD_DATES = ("", "not a date", "2023-02-30", "2024-13-01", "20240101", "2024-01-01T25:00")


class DatetimeEncoder(column_type.FilledEncoder):
    """Parts of a time; missing times are filled, parts are scaled or become sine and cosine."""

    encoding: Literal["datetime"] = "datetime"
    type: Literal["datetime"] = "datetime"
    formats: Annotated[tuple[str, ...], Field(min_length=1)]
    """Formats of texts and numbers; the first format that matches a value applies."""
    timezone: str
    """Time zone of the parts, and of values without a UTC offset."""
    parts: Annotated[tuple[Part, ...], Field(min_length=1)]
    """The parts that become inputs, in order."""
    year: LinearScaling | None = None
    """Scaling of the year."""
    elapsed: LinearScaling | None = None
    """Scaling of the days since `earliest`."""
    earliest: Moment
    """The earliest time in the training rows."""
    latest: Moment
    """The latest time in the training rows."""
    fill: Moment | None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        faults = [*map(table_formats.format_error, self.formats)]
        faults.append(table_formats.time_zone_error(self.timezone))
        for fault in filter(None, faults):
            raise ValueError(fault)
        if len(set(self.parts)) < len(self.parts):
            raise ValueError("a part occurs twice")
        if self.scalings.keys() != {*self.parts} & {*_LINEAR}:
            raise ValueError("'scalings' does not match 'year' and 'elapsed' in 'parts'")
        return self

    @cached_property
    def scalings(self) -> dict[Part, LinearScaling]:
        """The scalings of the parts that are not cyclic."""
        scalings: dict[Part, LinearScaling | None] = {"year": self.year, "elapsed": self.elapsed}
        return {part: scaling for part, scaling in scalings.items() if scaling}

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks of inputs that encode the column."""
        names = []
        for part in self.parts:
            name = f"{self.column} {part}"
            names += [name] if part in _LINEAR else [f"{name} sine", f"{name} cosine"]
        return (Block(self.column, "numeric", (*names, *self.indicator_names)),)

    def encode(self, rows: "Rows", out: Matrix, problems: ValueProblems) -> None:
        """Write the column's inputs into `out`, zeros of shape (rows, inputs)."""
        times = rows.times_of(self.column, self.formats, self.timezone)
        moments, missing, wrong = times.moments, times.missing, times.unreadable
        earliest, latest = self._range
        outside = (moments < earliest) | (moments > latest)
        empty = missing | wrong
        if outside.any() or empty.any():  # there may be findings to record
            problems.refuse(wrong, rows, self.column, times.problem)
            if (beyond := outside & ~empty).any():
                ends = self.earliest.isoformat(), self.latest.isoformat()
                found = ColumnProblems.outside_range(moments[beyond], self._range, ends)
                problems.add(self.column, found, beyond)
            empty = self.find_empty(missing, wrong, rows, out, problems)
            moments = np.where(empty, self.fill_number, moments)
        self._write(moments, out)

    @property
    def fill_number(self) -> int:
        """The microseconds since 1970 that replace a missing or refused time."""
        return _microseconds(self.fill or self.earliest)

    @cached_property
    def _range(self) -> tuple[int, int]:
        return _microseconds(self.earliest), _microseconds(self.latest)

    def _write(self, moments: Indices, out: Matrix) -> None:
        """Write the inputs of moments, (rows,), into `out`."""
        local = LocalTimes(datetime_parsing.to_local(moments, self.timezone))
        start = 0
        for part in self.parts:
            if scaling := self.scalings.get(part):
                values = local.years if part == "year" else (moments - self._range[0]) / DAY
                with np.errstate(over="ignore"):  # scales in an untrusted file may be tiny
                    out[:, start] = scaling.apply(values)
                start += 1
            else:
                out[:, start : start + 2] = local.sine_and_cosine(part)
                start += 2

    # Exported models.

    def model_input(self, notation: "Notation") -> column_exports.ModelInput:
        """Describe the values that a client sends, see `ColumnEncoder`."""
        if self.timezone != "UTC":
            raise ExportError(
                f"column '{self.column}': an exported model can't convert times to the time zone "
                f"{self.timezone}; train with timezone: UTC, or with the date's parts as columns"
            )
        if self.formats in (("unix",), ("unix_ms",)):
            words = f"The {self._unit} since 1970-01-01T00:00Z; NaN for a missing value."
            return column_exports.ModelInput(self.column, "float64", (words, *self.missing_advice))
        if not all(map(date_graph.is_supported, self.formats)):
            raise ExportError(
                f"column '{self.column}': an exported model can't read dates written as "
                f"{' or '.join(self.formats)}; write them as 2024-12-31T23:59 and train with "
                "format: iso"
            )
        example = ", such as 2024-12-31T23:59" if "iso" in self.formats else ""
        words = (
            f"A date in UTC, in the format {self._written_formats}{example}, without an offset "
            "other than Z; empty for a missing value. Any other text counts as missing."
        )
        return column_exports.ModelInput(self.column, "string", (words, *self.missing_advice))

    @property
    def _unit(self) -> str:
        return "milliseconds" if self.formats[0] == "unix_ms" else "seconds"

    @property
    def _ticks(self) -> int | None:
        """Ticks per second of numeric times since 1970; None for text."""
        return UNIX_TICKS.get(self.formats[0])

    @property
    def _written_formats(self) -> str:
        return " or ".join("ISO 8601" if each == "iso" else each for each in self.formats)

    def client_values(self, table: "Table") -> Array:
        """Return the values that a client sends for the rows of a table, (rows,)."""
        column = table.column(self.column)
        if self._ticks:
            return column.numbers().values
        return np.array(column_exports.sent_texts(column), dtype=object)

    def graph(self, ops: Operations, x: Value, missing: Sequence[str]) -> Value:
        """Encode the column in a graph, see `ColumnEncoder`."""
        moments, readable = date_graph.read_times(ops, x, self.formats, missing)
        moments = ops.where(readable, moments, self.fill_number)
        calendar = date_graph.calendar_steps(ops, moments)
        parts = []
        for part in self.parts:
            if scaling := self.scalings.get(part):
                if part == "year":
                    values = ops.cast(calendar.year, "float64")
                else:
                    values = ops.cast(moments - self._range[0], "float64") / float(DAY)
                parts.append(ops.as_column(ops.cast(scaling.graph(ops, values), "float32")))
            else:
                starts, points = circles(part)
                start = ops.lookup(starts, calendar.further_steps(ops, part))
                parts.append(ops.lookup(points, start + calendar.steps[part]))
        return self.with_indicator(ops, parts, ~readable)

    def unread_values(self, table: "Table") -> str:
        """Return an error if times have a UTC offset, which exported models can't read."""
        column = table.column(self.column)
        if column.kind != "text":
            return ""
        if not pc.any(pc.match_substring_regex(column.present_texts(), _OFFSET)).as_py():
            return ""
        return (
            f"column '{self.column}' has times with a UTC offset, which an exported model can't "
            "read; write them in UTC"
        )

    def number_input(self, notation: "Notation") -> column_exports.ModelInput:
        """Describe the parts of a date that a client sends."""
        inputs = "; ".join(self.inputs)
        advice = f"The parts of the date, computed as in {column_exports.RECIPE}: {inputs}."
        return column_exports.ModelInput(self.column, "float32", (advice,), (len(self.inputs),))

    def number_values(self, table: "Table", problems: ValueProblems) -> Array:
        """Return the parts that a client sends for the rows of a table, (rows, inputs)."""
        found = np.zeros((table.rows, len(self.inputs)), np.float32)
        self.encode(table, found, problems)
        return found

    def number_graph(self, ops: Operations, x: Value, missing: Sequence[str]) -> Value:
        """Return the parts that a client sends."""
        return x

    def recipe(self, missing: Sequence[str]) -> dict[str, Any]:
        """Return the conversion of dates to their parts, see `ColumnEncoder`."""
        return {
            "steps": [
                "parse the text with the first of `formats` that fits; a time without a UTC offset "
                "is in `timezone`; for a missing or unreadable time, use `fill`",
                "send the parts of the local time in order. Send year and elapsed (the days since "
                "`earliest`) as (x - offset) / scale. Send each other part as the sine and the "
                "cosine of 2 pi step / steps, where step counts from 0 and steps is 12 for month, "
                "the number of days of the month for day, 7 for weekday (from Monday), 365 or 366 "
                "for day_of_year, 24 for hour, 60 for minute and second",
                "if `marks_missing`, append 1 for a missing time, else 0",
            ],
            "formats": [*self.formats],
            "timezone": self.timezone,
            "parts": [*self.parts],
            "earliest": self.earliest.isoformat(),
            "fill": (self.fill or self.earliest).isoformat(),
            "scalings": {
                part: {"offset": each.offset, "scale": each.scale}
                for part, each in self.scalings.items()
            },
            "marks_missing": self.indicator,
        }

    def check_values(self, missing: Sequence[str], folder: Path) -> tuple[list[Any], list[Any]]:
        """Return typical and unusual values for checks."""
        span = self.latest - self.earliest
        shares = (0, 0.03, 0.2, 0.31, 0.5, 0.77, 0.9, 1)
        moments = [self.earliest + span * share for share in shares]
        moments += [datetime(2024, 2, 29, 23, 59, 59), datetime(1900, 12, 31)]
        if ticks := self._ticks:
            return [at.timestamp() * ticks for at in moments], [None, 1e30]
        written = [
            (at + timedelta(microseconds=at.microsecond % 10)).replace(tzinfo=None).isoformat()
            if format == "iso"
            else table_formats.write_time(at, format)
            for at in moments
            for format in self.formats
        ]
        return written, [None, *_ODD_DATES, f" {written[0]} "]

    # Scripts.

    script_code: ClassVar = column_exports.ScriptCode(
        "date", "fit_date", values={"months": dict(enumerate(datetime_parsing.MONTHS.values(), 1))}
    )

    def script_settings(self, section: Section, defaults: Defaults) -> dict[str, Any]:
        """Return the settings of a script, see `ColumnEncoder`."""
        return {
            "type": "date",
            "formats": ["".join(table_formats.format_tokens(each)) for each in self.formats],
            "timezone": self.timezone,
            "parts": [*self.parts],
            "indicator": self.indicator,
        }

    # Servers.

    def client_column(self, notation: "Notation", known: KnownValues = UNKNOWN) -> ClientColumn:
        """Describe the values in requests, see `ColumnEncoder`."""
        low, high = short_moments([self.earliest.isoformat(), self.latest.isoformat()])
        meaning = f"The {self._unit} since 1970"
        if not self._ticks:
            zone = f"time zone {self.timezone} if it has no UTC offset"
            meaning = f"A time in the format {self._written_formats} ({zone})"
        span = self.latest - self.earliest
        moments = (
            self.earliest + span * at / (column_exports.CURVE_POINTS - 1)
            for at in range(column_exports.CURVE_POINTS)
        )
        return ClientColumn(
            self.column,
            ("number", "string") if self._ticks else ("string",),
            self._written(self.fill or self.earliest + span / 2),
            f"{meaning}; training rows: {low} to {high}.",
            low=low,
            high=high,
            is_required=not self.accepts_missing,
            along=self._written_all(moments) if span else (),
        )

    def _written_all(self, moments: Iterable[datetime]) -> tuple[object, ...]:
        """Write times, each once; empty if a time exceeds the calendar in the time zone."""
        try:
            return tuple(dict.fromkeys(map(self._written, moments)))
        except OverflowError:  # such as 9999-12-31T23:59Z in Berlin
            return ()

    def _written(self, moment: datetime) -> object:
        """Write a time in the column's format."""
        if ticks := self._ticks:
            return moment.timestamp() * ticks
        local = moment.astimezone(ZoneInfo(self.timezone))
        if self.formats[0] == "iso":
            plain = local.replace(tzinfo=None)
            return plain.isoformat(timespec="seconds").removesuffix("T00:00:00")
        return table_formats.write_time(local, self.formats[0])

    # Statistics and charts.

    axis = "times"

    def axis_values(self, table: "Table") -> Floats:
        """Return the times in seconds since 1970 (UTC), NaN where missing, (rows,)."""
        times = table.times_of(self.column, self.formats, self.timezone)
        return np.where(times.missing | times.unreadable, np.nan, times.moments / SECOND)

    @property
    def fitted_moments(self) -> dict[str, float]:
        """Minimum and maximum in the training rows."""
        return {"minimum": self.earliest.timestamp(), "maximum": self.latest.timestamp()}


# The parts of times.


Scalar = TypeVar("Scalar", bound=np.generic)


_CLOCK: dict[Part, tuple[int, int]] = {
    "hour": (3600 * SECOND, 24),
    "minute": (60 * SECOND, 60),
    "second": (SECOND, 60),
}
"""For each part of the time of day, the length of a step in microseconds, and the number of steps
in a cycle."""
_LENGTHS: dict[Part, range] = {
    "month": range(12, 13),
    "day": range(28, 32),
    "weekday": range(7, 8),
    "day_of_year": range(365, 367),
    **{part: range(steps, steps + 1) for part, (_, steps) in _CLOCK.items()},
}
"""The possible numbers of steps in a cycle of each cyclic part."""


_FEW = 64
"""Number of times up to which days are not looked up in a table."""


class LocalTimes:
    """Local times and their parts.

    There are usually more times than days. So values that depend only on the day are computed once
    for each day and then looked up.

    Args:
        local: microseconds since 1970-01-01T00:00 in local time, (rows,).
    """

    def __init__(self, local: Indices) -> None:
        self._local = local
        self._days = local // DAY
        """The days since 1970 in the table of days, or of the rows without a table, (days,)."""
        self._rows: Indices | None = None
        """The index of the day of each row in the table of days, (rows,)."""
        if len(local) > _FEW:
            first, last = int(self._days.min()), int(self._days.max())
            if last - first < len(local):
                self._rows = self._days - first
                self._days = np.arange(first, last + 1)

    @property
    def years(self) -> Floats:
        """The years, (rows,)."""
        return self._of_rows((self._months // 12 + 1970).astype(np.float64))

    def steps(self, part: Part) -> Indices:
        """Return the number of steps since the beginning of the cycle of a part, (rows,)."""
        if part in _CLOCK:
            step, steps = _CLOCK[part]
            return self._local // step % steps
        return self._of_rows(self._steps_and_lengths(part)[0])

    def sine_and_cosine(self, part: Part) -> Matrix:
        """Return sine and cosine of 2π·steps/length of a cycle, (rows, 2).

        The cycle of days has the length of the month, so the last day of any month is next to the
        first day. The same holds for the day of the year. Looking the values up in a table is fast,
        and the results are bit-identical for any number of rows.
        """
        starts, points = circles(part)
        if part in _CLOCK:
            return np.take(points, self.steps(part), axis=0)
        steps, lengths = self._steps_and_lengths(part)
        index = steps if len(starts) == 1 else starts[lengths - _LENGTHS[part][0]] + steps
        return self._of_rows(np.take(points, index, axis=0))

    def _of_rows(self, values: NDArray[Scalar]) -> NDArray[Scalar]:
        """Return the values of the days of the rows, (rows, ...)."""
        return values if self._rows is None else np.take(values, self._rows, axis=0)

    def _steps_and_lengths(self, part: Part) -> tuple[Indices, Indices | int]:
        """Return the number of steps since the beginning of the cycle, and its length, (days,)."""
        if part == "weekday":
            return (self._days + 3) % 7, 7  # 1970-01-01 was a Thursday, weeks begin on Mondays
        if part == "month":
            return self._months % 12, 12
        is_month = part == "day"
        first = self._months if is_month else self._months - self._months % 12
        begins = first_day(first)
        return self._days - begins, first_day(first + (1 if is_month else 12)) - begins

    @cached_property
    def _months(self) -> Indices:
        """The months since January 1970, (days,)."""
        return self._days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)


@lru_cache
def circles(part: Part) -> tuple[Indices, Matrix]:
    """Return sine and cosine of each step of a cyclic part, for each possible length of its cycle.

    Returns:
        starts: the index of the first step of each length in `points`, `(lengths,)`.
        points: the sines and cosines, `(steps of all lengths, 2)`.
    """
    lengths = _LENGTHS[part]
    starts = np.cumsum([0, *lengths[:-1]])
    angles = [2 * math.pi * step / steps for steps in lengths for step in range(steps)]
    points = [(math.sin(angle), math.cos(angle)) for angle in angles]
    return starts, np.array(points, dtype=np.float32)
