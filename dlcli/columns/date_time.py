"""Columns of dates and times.

A time is encoded by its parts: the year and the elapsed days are scaled like numbers; a cyclic
part, such as the hour, becomes a sine and a cosine.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from dlcli.arrays import Indices, Matrix, np
from dlcli.columns.calendar_parts import (
    PARTS,
    Part,
    cyclic_steps,
    day_table,
    is_of_clock,
    sine_and_cosine,
    years,
)
from dlcli.columns.column_type import (
    ColumnType,
    Decision,
    Defaults,
    EncoderClasses,
    ErrorIfMissing,
    FilledEncoder,
    Ignored,
    Median,
    Rule,
    needs_indicator,
    require_values,
)
from dlcli.columns.layout import Block
from dlcli.columns.scaling import LinearScaling, Standard, fit_scaling
from dlcli.columns.type_inference import MAX_CODES, NEARLY_ALL, InferenceOrder
from dlcli.errors import DataError, listed
from dlcli.schema.section import Conflict, Expected, OneOf
from dlcli.tables.time_formats import format_error, time_zone_error

if TYPE_CHECKING:
    from dlcli.columns.column_summary import ColumnView, Strays
    from dlcli.columns.value_issues import ValueIssues
    from dlcli.tables.column import Column
    from dlcli.tables.datetime_parsing import TimeGuess
    from dlcli.tables.few_rows import FewValues
    from dlcli.tables.table import Table


Parts = Annotated[
    Literal["auto"]
    | Annotated[
        tuple[Annotated[Part, Expected(" or ".join([", ".join(PARTS[:-1]), PARTS[-1]]))], ...],
        Field(min_length=1),
    ],
    Expected(f"auto, or a list of {', '.join(PARTS)}"),
]


Formats = Annotated[
    str | Annotated[tuple[str, ...], Field(min_length=1)],
    Expected("a format as '%d.%m.%Y', iso, unix or unix_ms, or a list of them"),
]


TimeZone = Annotated[str, Expected("a time zone such as Europe/Berlin")]


DatetimeMissing = Annotated[Median | ErrorIfMissing, OneOf("policy")]


class Datetime(ColumnType):
    """A date, a date with a time, or a time alone."""

    plural = "dates"
    has_usual_missing_words = True

    type: Literal["datetime"] = "datetime"
    parts: Parts = "auto"
    """Parts of the time that are inputs. Year and elapsed (time since the earliest training row)
    have standard scaling; the others are cyclic: a sine and a cosine each. `auto` is elapsed,
    month, day, weekday and hour, as far as they vary in the training rows."""
    format: Formats | None = None
    """Format of the values: directives as in `%d.%m.%Y %H:%M` or `%H:%M`, or iso, or unix or
    unix_ms for seconds or milliseconds since 1970. Of several formats, the first that fits a value
    is used. Omitted: the format that fits all training rows, if there is only one."""
    timezone: TimeZone = "UTC"
    """Time zone of the parts, and of values without an offset."""
    missing: DatetimeMissing = Median()
    """Replacement of missing values."""

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats that the config sets."""
        return (self.format,) if isinstance(self.format, str) else self.format or ()

    def conflicts(self) -> Iterator[Conflict]:
        """Yield invalid formats and time zones, and duplicate parts."""
        if self.parts != "auto" and len(set(self.parts)) < len(self.parts):
            yield "parts", "names a part twice"
        for message in filter(None, map(format_error, self.formats)):
            yield "format", message
        if error := time_zone_error(self.timezone):
            yield "timezone", error

    @classmethod
    def rules(cls) -> Iterator[tuple[InferenceOrder, Rule]]:
        """Yield the rules of dates without separators, and of any other dates and times."""
        yield InferenceOrder.DIGITS, decide_dates_of_digits
        yield InferenceOrder.TIMES, decide_dates

    def has_unreadable(self, column: "Column") -> bool:
        """Return whether a column of which most values are of the type has one that is not."""
        from dlcli.tables.datetime_parsing import parse_times

        return bool(parse_times(column, self.formats).unreadable.any())

    @classmethod
    def encoders(cls) -> EncoderClasses:
        """Return the classes of encoders that `fit` makes."""
        return (DatetimeEncoder,)

    def fit(self, column: str, train: "Table", defaults: Defaults) -> "DatetimeEncoder":
        """Fit the encoder of a column on training rows.

        Raises:
            DataError: for a value that is no time, no value at all, or dates with two readings.
        """
        from dlcli.tables.datetime_parsing import DAY, parse_times, to_local

        formats = self.formats or _guessed_formats(column, train)
        times = parse_times(train.column(column), formats, self.timezone)
        train.refuse(times.unreadable, column, times.complaint)
        present = np.sort(times.moments[~times.missing])
        require_values(len(present), column, train)
        local = to_local(present, self.timezone)
        if self.parts == "auto":
            varying = (part for part in _AUTO_CYCLES if np.ptp(cyclic_steps(local, part)))
            parts: tuple[Part, ...] = ("elapsed", *varying)
        else:
            parts = self.parts
        elapsed = (present - present[0]) / DAY
        # Of two middle times the earlier one: their mean might be a time of day that no row has.
        median = present[(len(present) - 1) // 2]
        return DatetimeEncoder(
            column=column,
            missing_share=1 - len(present) / train.rows,
            formats=formats,
            timezone=self.timezone,
            parts=parts,
            year=fit_scaling(Standard(), years(local)) if "year" in parts else None,
            elapsed=fit_scaling(Standard(), elapsed) if "elapsed" in parts else None,
            earliest=_moment(present[0]),
            latest=_moment(present[-1]),
            fill=None if isinstance(self.missing, ErrorIfMissing) else _moment(median),
            indicator=needs_indicator(self.missing, bool(times.missing.any())),
        )


# Inference.


_FEWEST_DIGITS = 100_000
"""The least number of six digits."""


_DATE_NAME = re.compile(r"(?i)date|datum|fecha|dob|day|month|period|yymm")


def decide_dates_of_digits(view: "ColumnView") -> "Decision | None":
    """Decide for dates if all numbers are dates without separators, such as 19750103.

    Those of six digits, 750103 and 197501, must be in a column with the name of dates. Numbers of
    eight digits may be in any column if more than `MAX_CODES` differ, as only 4 % of such numbers
    are dates.
    """
    from dlcli.tables.datetime_parsing import compact_dates

    is_short = view.summary.bounds is not None and view.summary.bounds[0] < _FEWEST_DIGITS
    if not view.summary.whole or (is_short and view.column.kind == "number"):
        return None
    formats = compact_dates(view.distinct)
    is_clear = formats == ("%Y%m%d",) and view.summary.distinct > MAX_CODES
    if not formats or not (is_clear or _DATE_NAME.search(view.column.name)):
        return None
    feature = Datetime(format=formats[0] if len(formats) == 1 else formats)
    return Decision(feature, f"dates as {view.example(view.matches('.'))}")


_DATE_FORMATS = [
    "^" + sign.join(digits) + "(?:[T ].*)?$"
    for digits in (
        ("[0-9]{4}", "[0-9]{1,2}", "[0-9]{1,2}"),
        ("[0-9]{1,2}", "[0-9]{1,2}", "[0-9]{4}"),
    )
    for sign in ("-", r"\.", "/")
]


def decide_dates(view: "ColumnView") -> "Decision | None":
    """Decide for dates with separators, and times. Years and seconds since 1970 are numbers.

    A column of text may hold a few values without a digit, in 10 % of the rows at most. Training
    will refuse them unless they are declared missing. Dates in several formats, as of files that
    were written by different programs, are ignored.
    """
    from dlcli.tables.datetime_parsing import guess_times

    if guess := guess_times(view.column):
        return _dates(view, guess)
    if view.column.kind != "text":
        return None
    strays = view.strays(~view.matches("[0-9]"))
    if strays is not None:
        missing_words = (*view.column.missing_words, *strays.words)
        if guess := guess_times(replace(view.column, missing_words=missing_words)):
            return _dates(view, guess, strays)
    return _dates_in_several_formats(view)


def _dates_in_several_formats(view: "ColumnView") -> "Decision | None":
    if view.share(view.matches("^[0-9]{1,4}[-./][0-9]")) < NEARLY_ALL:
        return None
    found = [which for which in map(view.matches, _DATE_FORMATS) if which.any()]
    if len(found) < 2 or view.share(np.logical_or.reduce(found)) < NEARLY_ALL:
        return None
    examples = listed([*map(view.example, found)])
    reason = (
        f"dates in several formats, as {examples}; name each: {{type: datetime, format: [...]}}"
    )
    warning = "ignored, since as categories they would not be dates"
    return Decision(Ignored(), reason, warning)


def _dates(view: "ColumnView", guess: "TimeGuess", strays: "Strays | None" = None) -> "Decision":
    if view.column.kind != "text":
        return Decision(Datetime(), "stored as dates")
    if guess.is_ambiguous:
        advice = "ignored, since the day may be the month; declare {type: datetime, format: ...}"
        return Decision(Ignored(), f"dates, but {guess.question}", advice)
    formats = guess.readings[0]
    feature = Datetime(format=formats[0] if len(formats) == 1 else formats)
    noun = "dates" if guess.has_date else "times"
    noun += f" as {view.example(view.matches('[0-9]'))}"
    return Decision(feature, noun) if strays is None else feature.with_strays(strays, noun)


# Encoding.


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LINEAR: tuple[Part, ...] = ("year", "elapsed")
_AUTO_CYCLES: tuple[Part, ...] = ("month", "day", "weekday", "hour")
"""Cyclic parts that `parts: auto` chooses from. Minutes and seconds are mostly noise, the year
follows from the days elapsed, and the day of the year from the month and the day."""

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

    def encode(self, table: "Table", out: Matrix, issues: "ValueIssues") -> None:
        """Write the column's inputs into `out`, zeros of shape (rows, inputs)."""
        from dlcli.tables.datetime_parsing import parse_times

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
        self._write(moments, out)

    def encode_few(self, values: "FewValues", out: Matrix, issues: "ValueIssues") -> None:
        """Write the column's inputs of few rows, see `ColumnEncoder`."""
        moments = values.moments(self.formats, self.timezone)
        earliest, latest = self._range
        outside = sum(not earliest <= at <= latest for at in moments if at is not None)
        issues.add_outside(self.column, outside, self.earliest.isoformat(), self.latest.isoformat())
        fill = _microseconds(self.fill or self.earliest)
        missing = [row for row, moment in enumerate(moments) if moment is None]
        self.fill_few(missing, fill, out, issues)
        self._write(np.array([fill if at is None else at for at in moments]), out)

    @cached_property
    def _range(self) -> tuple[int, int]:
        return _microseconds(self.earliest), _microseconds(self.latest)

    def _write(self, moments: Indices, out: Matrix) -> None:
        """Write the inputs of moments, (rows,), into `out`."""
        from dlcli.tables.datetime_parsing import DAY, to_local

        local = to_local(moments, self.timezone)
        days, row_days = day_table(local)
        start = 0
        for part in self.parts:
            stop = start + len(self._names(part))
            with np.errstate(over="ignore"):  # scalings from a stranger's file may leave float32
                if part == "year" and self.year:
                    out[:, start] = self.year.apply(np.take(years(days), row_days))
                elif part == "elapsed" and self.elapsed:
                    out[:, start] = self.elapsed.apply((moments - self._range[0]) / DAY)
                elif is_of_clock(part):
                    out[:, start:stop] = sine_and_cosine(local, part)
                else:
                    out[:, start:stop] = np.take(sine_and_cosine(days, part), row_days, axis=0)
            start = stop

    def _names(self, part: Part) -> tuple[str, ...]:
        name = f"{self.column} {part}"
        return (name,) if part in _LINEAR else (f"{name} sine", f"{name} cosine")


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _moment(microseconds: int) -> datetime:
    return _EPOCH + int(microseconds) * _MICROSECOND


def _guessed_formats(column: str, train: "Table") -> tuple[str, ...]:
    """Return the formats that all training rows are written in.

    Raises:
        DataError: if the day might be the month, or if the column holds numbers, which may be
            anything.
    """
    from dlcli.tables.datetime_parsing import compact_dates, guess_times

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
