"""Columns of dates and times.

A time is encoded by its parts: the year and the elapsed days are scaled like numbers; a cyclic
part, such as the hour, becomes a sine and a cosine.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AwareDatetime, Field, model_validator

from dlcli.arrays import Floats, Indices, Matrix, np, pc
from dlcli.columns import column_type
from dlcli.columns.calendar_parts import PARTS, LocalTimes, Part
from dlcli.columns.client_values import CURVE_POINTS, RECIPE, ClientColumn, ModelInput, sent_texts
from dlcli.columns.layout import Block
from dlcli.columns.python_code import ScriptCode
from dlcli.columns.scaling import LinearScaling, Standard, fit_scaling
from dlcli.columns.type_inference import MAX_CODES, NEARLY_ALL, InferenceOrder
from dlcli.errors import DataError, ExportError, listed
from dlcli.schema.section import Conflict, Expected, OneOf, Section
from dlcli.tables.time_formats import format_error, format_tokens, time_zone_error, write_time

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dlcli.columns.column_summary import ColumnView, Strays
    from dlcli.columns.graph_operations import Operations, Value
    from dlcli.columns.value_problems import ValueProblems
    from dlcli.tables.column import Column
    from dlcli.tables.datetime_parsing import TimeGuess
    from dlcli.tables.number_notation import Notation
    from dlcli.tables.table import Rows, Table


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


DatetimeMissing = Annotated[column_type.Median | column_type.ErrorIfMissing, OneOf("policy")]


class Datetime(column_type.ColumnType):
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
    missing: DatetimeMissing = column_type.Median()
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
    def rules(cls) -> Iterator[tuple[InferenceOrder, column_type.Rule]]:
        """Yield the rules of dates without separators, and of any other dates and times."""
        yield InferenceOrder.DIGITS, decide_dates_of_digits
        yield InferenceOrder.TIMES, decide_dates

    def has_unreadable(self, column: "Column") -> bool:
        """Return whether a column of which most values are of the type has one that is not."""
        from dlcli.tables.datetime_parsing import parse_times

        return bool(parse_times(column, self.formats).unreadable.any())

    @classmethod
    def encoders(cls) -> column_type.EncoderClasses:
        """Return the classes of encoders that `fit` makes."""
        return (DatetimeEncoder,)

    def fit(self, column: str, train: "Table", defaults: column_type.Defaults) -> "DatetimeEncoder":
        """Fit the encoder of a column on training rows.

        Raises:
            DataError: for a value that is no time, no value at all, or dates with two readings.
        """
        from dlcli.tables.datetime_parsing import DAY, parse_times, to_local

        formats = self.formats or _guessed_formats(column, train)
        times = parse_times(train.column(column), formats, self.timezone)
        train.refuse(times.unreadable, column, times.problem)
        present = np.sort(times.moments[~times.missing])
        column_type.require_values(len(present), column, train)
        local = LocalTimes(to_local(present, self.timezone))
        if self.parts == "auto":
            varying = (part for part in _AUTO_CYCLES if np.ptp(local.steps(part)))
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
            year=fit_scaling(Standard(), local.years) if "year" in parts else None,
            elapsed=fit_scaling(Standard(), elapsed) if "elapsed" in parts else None,
            earliest=_moment(present[0]),
            latest=_moment(present[-1]),
            fill=None if isinstance(self.missing, column_type.ErrorIfMissing) else _moment(median),
            indicator=column_type.needs_indicator(self.missing, bool(times.missing.any())),
        )

    is_time = True


# Inference.


_FEWEST_DIGITS = 100_000
"""The least number of six digits."""


_DATE_NAME = re.compile(r"(?i)date|datum|fecha|dob|day|month|period|yymm")


def decide_dates_of_digits(view: "ColumnView") -> "column_type.Decision | None":
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
    return column_type.Decision(feature, f"dates as {view.example(view.matches('.'))}")


_DATE_FORMATS = [
    "^" + sign.join(digits) + "(?:[T ].*)?$"
    for digits in (
        ("[0-9]{4}", "[0-9]{1,2}", "[0-9]{1,2}"),
        ("[0-9]{1,2}", "[0-9]{1,2}", "[0-9]{4}"),
    )
    for sign in ("-", r"\.", "/")
]


def decide_dates(view: "ColumnView") -> "column_type.Decision | None":
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


def _dates_in_several_formats(view: "ColumnView") -> "column_type.Decision | None":
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
    return column_type.Decision(column_type.Ignored(), reason, warning)


def _dates(
    view: "ColumnView", guess: "TimeGuess", strays: "Strays | None" = None
) -> "column_type.Decision":
    if view.column.kind != "text":
        return column_type.Decision(Datetime(), "stored as dates")
    if guess.is_ambiguous:
        advice = "ignored, since the day may be the month; declare {type: datetime, format: ...}"
        return column_type.Decision(column_type.Ignored(), f"dates, but {guess.question}", advice)
    formats = guess.readings[0]
    feature = Datetime(format=formats[0] if len(formats) == 1 else formats)
    noun = "dates" if guess.has_date else "times"
    noun += f" as {view.example(view.matches('[0-9]'))}"
    return (
        column_type.Decision(feature, noun) if strays is None else feature.with_strays(strays, noun)
    )


# Encoding.


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LINEAR: tuple[Part, ...] = ("year", "elapsed")
_AUTO_CYCLES: tuple[Part, ...] = ("month", "day", "weekday", "hour")
"""Cyclic parts that `parts: auto` chooses from. Minutes and seconds are mostly noise, the year
follows from the days elapsed, and the day of the year from the month and the day."""

Moment = Annotated[AwareDatetime, Field(strict=False)]  # JSON has times only as text


_OFFSET = r":[0-9]{2}(?:[.,][0-9]+)? ?[+-][0-9]{2}(?::?[0-9]{2})?$"
"""The end of a text with a time and its offset from UTC."""
_ODD_DATES = ("", "not a date", "2023-02-30", "2024-13-01", "20240101", "2024-01-01T25:00")


class DatetimeEncoder(column_type.FilledEncoder):
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

    def encode(self, rows: "Rows", out: Matrix, problems: "ValueProblems") -> None:
        """Write the column's inputs into `out`, zeros of shape (rows, inputs)."""
        times = rows.times_of(self.column, self.formats, self.timezone)
        moments, missing, wrong = times.moments, times.missing, times.unreadable
        earliest, latest = self._range
        outside = (moments < earliest) | (moments > latest)
        empty = missing | wrong
        if outside.any() or empty.any():  # there may be something to record
            problems.refuse(wrong, rows, self.column, times.problem)
            ends = self.earliest.isoformat(), self.latest.isoformat()
            problems.add_outside(self.column, int(np.count_nonzero(outside & ~empty)), *ends)
            fill = _microseconds(self.fill or self.earliest)
            moments = self.fill_missing(moments, missing, wrong, fill, rows, out, problems)
        self._write(moments, out)

    @cached_property
    def _range(self) -> tuple[int, int]:
        return _microseconds(self.earliest), _microseconds(self.latest)

    def _write(self, moments: Indices, out: Matrix) -> None:
        """Write the inputs of moments, (rows,), into `out`."""
        from dlcli.tables.datetime_parsing import DAY, to_local

        local = LocalTimes(to_local(moments, self.timezone))
        start = 0
        for part in self.parts:
            with np.errstate(over="ignore"):  # scalings from a stranger's file may leave float32
                if part == "year" and self.year:
                    out[:, start] = self.year.apply(local.years)
                elif part == "elapsed" and self.elapsed:
                    out[:, start] = self.elapsed.apply((moments - self._range[0]) / DAY)
                else:
                    out[:, start : start + 2] = local.sine_and_cosine(part)
            start += len(self._names(part))

    def _names(self, part: Part) -> tuple[str, ...]:
        name = f"{self.column} {part}"
        return (name,) if part in _LINEAR else (f"{name} sine", f"{name} cosine")

    # Exported models.

    def model_input(self, notation: "Notation") -> ModelInput:
        """Describe the values that a client sends, see `ColumnEncoder`."""
        from dlcli.columns.date_graph import is_supported
        from dlcli.tables.datetime_parsing import UNIX_TICKS

        if self.timezone != "UTC":
            raise ExportError(
                f"column '{self.column}': an exported model can't convert to the time zone "
                f"{self.timezone}; train with timezone: UTC, or with parts of the date as columns"
            )
        if self.formats in (("unix",), ("unix_ms",)):
            words = f"The {self._unit} since 1970-01-01T00:00Z; NaN if it is missing."
            return ModelInput(self.column, "float64", (words, *self.missing_advice))
        if not all(each not in UNIX_TICKS and is_supported(each) for each in self.formats):
            raise ExportError(
                f"column '{self.column}': an exported model can't read dates written as "
                f"{' or '.join(self.formats)}; write them as 2024-12-31T23:59 and train with "
                "format: iso"
            )
        words = (
            f"A date as {self._written_formats}, in UTC, without an offset other than Z; empty if "
            "it is missing. Any other text counts as missing."
        )
        return ModelInput(self.column, "string", (words, *self.missing_advice))

    @property
    def _unit(self) -> str:
        return "milliseconds" if self.formats[0] == "unix_ms" else "seconds"

    @property
    def _written_formats(self) -> str:
        return " or ".join("ISO 8601" if each == "iso" else each for each in self.formats)

    def client_values(self, table: "Table") -> "NDArray[Any]":
        """Return what a client sends for the rows of a table, (rows,)."""
        from dlcli.tables.datetime_parsing import UNIX_TICKS

        column = table.column(self.column)
        if self.formats[0] in UNIX_TICKS:
            return column.numbers().values
        return np.array(sent_texts(column), dtype=object)

    def graph(self, ops: "Operations", x: "Value", missing: Sequence[str]) -> "Value":
        """Encode the column in a graph, see `ColumnEncoder`."""
        from dlcli.columns.calendar_parts import circles
        from dlcli.columns.date_graph import calendar_steps, read_times
        from dlcli.tables.datetime_parsing import DAY

        moments, readable = read_times(ops, x, self.formats, missing)
        moments = ops.where(readable, moments, _microseconds(self.fill or self.earliest))
        calendar = calendar_steps(ops, moments)
        parts = []
        for part in self.parts:
            if part == "year" and self.year:
                parts.append(_scaled(ops, self.year, ops.cast(calendar.year, "float64")))
            elif part == "elapsed" and self.elapsed:
                since = _microseconds(self.earliest)
                elapsed = ops.cast(moments - since, "float64") / float(DAY)
                parts.append(_scaled(ops, self.elapsed, elapsed))
            else:
                starts, points = circles(part)
                start = ops.lookup(starts, calendar.further_steps(ops, part))
                parts.append(ops.lookup(points, start + calendar.steps[part]))
        if self.indicator:
            parts.append(ops.as_column(ops.cast(~readable, "float32")))
        return ops.concat(parts)

    def unread_values(self, table: "Table") -> str:
        """Return why an exported model can't read texts with an offset from UTC, if there are."""
        column = table.column(self.column)
        if column.kind != "text":
            return ""
        if not pc.any(pc.match_substring_regex(column.present_texts(), _OFFSET)).as_py():
            return ""
        return (
            f"column '{self.column}' has times with an offset from UTC, which an exported model "
            "can't read: write them in UTC"
        )

    def number_input(self, notation: "Notation") -> ModelInput:
        """Describe the parts of a date that a client sends."""
        advice = f"The parts of the date, computed as {RECIPE} says: {'; '.join(self.inputs)}."
        return ModelInput(self.column, "float32", (advice,), (len(self.inputs),))

    def number_values(self, table: "Table", problems: "ValueProblems") -> "NDArray[Any]":
        """Return the parts that a client sends for the rows of a table, (rows, inputs)."""
        found = np.zeros((table.rows, len(self.inputs)), np.float32)
        self.encode(table, found, problems)
        return found

    def number_graph(self, ops: "Operations", x: "Value", missing: Sequence[str]) -> "Value":
        """Return the parts that a client sends."""
        return x

    def recipe(self, missing: Sequence[str]) -> dict[str, Any]:
        """Return how dates become their parts, see `ColumnEncoder`."""
        scalings = {"year": self.year, "elapsed": self.elapsed}
        return {
            "steps": [
                "read the text by the first of `formats` that fits; a time without an offset from "
                "UTC is of `timezone`; if it is missing or unreadable, use `fill`",
                "send the parts of the local time in order: a scaled number (x - offset) / scale, "
                "of the year or of the days since `earliest`; of any other the sine and the cosine "
                "of 2 pi step / steps, counted from 0: month of 12, day of the days of its month, "
                "weekday from Monday, day_of_year of 365 or 366, hour, minute, second",
                "if `marks_missing`, send 1 at the end for a missing time, else 0",
            ],
            "formats": [*self.formats],
            "timezone": self.timezone,
            "parts": [*self.parts],
            "earliest": self.earliest.isoformat(),
            "fill": (self.fill or self.earliest).isoformat(),
            "scalings": {
                name: {"offset": each.offset, "scale": each.scale}
                for name, each in scalings.items()
                if each is not None
            },
            "marks_missing": self.indicator,
        }

    def check_values(self, missing: Sequence[str], folder: Path) -> tuple[list[Any], list[Any]]:
        """Make up typical and odd values."""
        from dlcli.tables.datetime_parsing import UNIX_TICKS

        span = self.latest - self.earliest
        shares = (0, 0.03, 0.2, 0.31, 0.5, 0.77, 0.9, 1)
        moments = [self.earliest + span * share for share in shares]
        moments += [datetime(2024, 2, 29, 23, 59, 59), datetime(1900, 12, 31)]
        if ticks := UNIX_TICKS.get(self.formats[0]):
            return [at.timestamp() * ticks for at in moments], [None, 1e30]
        written = [
            (at + timedelta(microseconds=at.microsecond % 10)).replace(tzinfo=None).isoformat()
            if format == "iso"
            else write_time(at, format)
            for at in moments
            for format in self.formats
        ]
        return written, [None, *_ODD_DATES, f" {written[0]} "]

    # Scripts.

    @property
    def script_code(self) -> ScriptCode:
        """The functions of a script that fit and encode the column."""
        from dlcli.tables.datetime_parsing import MONTHS

        return ScriptCode(
            "date", "fit_date", values={"months": dict(enumerate(MONTHS.values(), 1))}
        )

    def script_settings(self, section: Section, defaults: column_type.Defaults) -> dict[str, Any]:
        """Return the settings of a script, see `ColumnEncoder`."""
        return {
            "type": "date",
            "formats": ["".join(format_tokens(each)) for each in self.formats],
            "timezone": self.timezone,
            "parts": [*self.parts],
            "indicator": self.indicator,
        }

    # Servers.

    def client_column(
        self, notation: "Notation", frequent: Sequence[str] = (), middle: float | None = None
    ) -> ClientColumn:
        """Describe what clients send, see `ColumnEncoder`."""
        from dlcli.columns.value_problems import short_moments
        from dlcli.tables.datetime_parsing import UNIX_TICKS

        low, high = short_moments([self.earliest.isoformat(), self.latest.isoformat()])
        is_number = self.formats[0] in UNIX_TICKS
        if is_number:
            meaning = f"A number of {self._unit} since 1970"
        else:
            zone = f"without offset in the zone {self.timezone}"
            meaning = f"A time as {self._written_formats}, {zone}"
        span = self.latest - self.earliest
        moments = (self.earliest + span * at / (CURVE_POINTS - 1) for at in range(CURVE_POINTS))
        return ClientColumn(
            self.column,
            ("number", "string") if is_number else ("string",),
            self._written(self.fill or self.earliest + span / 2),
            f"{meaning}; training rows: {low} to {high}.",
            low=low,
            high=high,
            is_required=not self.accepts_missing,
            along=self._written_all(moments) if span else (),
        )

    def _written_all(self, moments: Iterable[datetime]) -> tuple[object, ...]:
        """Write times, each once; none if one is past the calendar's end in the column's zone."""
        try:
            return tuple(dict.fromkeys(map(self._written, moments)))
        except OverflowError:  # such as 9999-12-31T23:59Z in Berlin
            return ()

    def _written(self, moment: datetime) -> object:
        """Write a time as the column has it."""
        from zoneinfo import ZoneInfo

        from dlcli.tables.datetime_parsing import UNIX_TICKS

        format = self.formats[0]
        if ticks := UNIX_TICKS.get(format):
            return moment.timestamp() * ticks
        local = moment.astimezone(ZoneInfo(self.timezone))
        if format == "iso":
            plain = local.replace(tzinfo=None)
            return plain.isoformat(timespec="seconds").removesuffix("T00:00:00")
        return write_time(local, format)

    # Statistics and charts.

    axis = "times"

    def axis_values(self, table: "Table") -> Floats:
        """Return the times in seconds since 1970 (UTC), NaN where missing, (rows,)."""
        from dlcli.tables.datetime_parsing import SECOND, parse_times

        times = parse_times(table.column(self.column), self.formats, self.timezone)
        return np.where(times.missing | times.unreadable, np.nan, times.moments / SECOND)

    @property
    def fitted_moments(self) -> dict[str, float]:
        """The range of the training rows; a mean of times is of little use."""
        return {"minimum": self.earliest.timestamp(), "maximum": self.latest.timestamp()}


def _scaled(ops: "Operations", scaling: LinearScaling, x: "Value") -> "Value":
    """Scale numbers in a graph, float64 (rows,), to float32 (rows, 1)."""
    return ops.as_column(ops.cast((x - scaling.offset) / scaling.scale, "float32"))


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
