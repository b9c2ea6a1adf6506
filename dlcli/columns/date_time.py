"""Columns of dates and times: the section of the config, and the rules that infer it.

A time is encoded by its parts: the year and the elapsed days are scaled like numbers; a cyclic
part, such as the hour, becomes a sine and a cosine. See `date_encoder`.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from dlcli.arrays import Indices, LazyModule, np
from dlcli.columns import column_type
from dlcli.columns.column_type import Decision, Defaults
from dlcli.columns.scaling import Standard
from dlcli.errors import DataError, listed
from dlcli.schema.section import TEXTS_IF_LONG, Conflict, Expected, OneOf
from dlcli.tables.table_formats import PARTS, Part, format_error, time_zone_error

if TYPE_CHECKING:
    from dlcli.columns.date_encoder import DatetimeEncoder, LocalTimes
    from dlcli.columns.type_inference import ColumnView, Strays
    from dlcli.tables import datetime_parsing
    from dlcli.tables.column import Column
    from dlcli.tables.table import Table
else:
    datetime_parsing = LazyModule("dlcli.tables.datetime_parsing")


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
    Expected("a format such as '%d.%m.%Y', iso, unix or unix_ms, or a list of formats"),
    TEXTS_IF_LONG,
]


TimeZone = Annotated[str, Expected("a time zone such as Europe/Berlin")]


DatetimeMissing = Annotated[
    column_type.MedianImputation | column_type.ErrorIfMissing, OneOf("policy")
]


_AUTO_CYCLES: tuple[Part, ...] = ("month", "day", "weekday", "hour")
"""Cyclic parts from which `parts: auto` chooses. Minutes and seconds are mostly noise, the elapsed
days determine the year, and month and day determine the day of the year."""


class Datetime(column_type.ColumnType):
    """A column of dates, of dates with a time, or of times of day."""

    plural = "dates"
    has_usual_missing_words = True

    type: Literal["datetime"] = "datetime"
    parts: Parts = "auto"
    """Parts of the time that become inputs. `elapsed`, the time since the earliest training row,
    and `year` are one input each, with standard scaling. Each other part is cyclic and becomes two
    inputs, a sine and a cosine. `auto`: `elapsed`, and those of month, day, weekday and hour that
    vary in the training rows; the weekday only if the day varies, unlike in monthly dates."""
    format: Formats | None = None
    """Format of the values: directives such as `%d.%m.%Y %H:%M` or `%H:%M`; `iso`; or `unix` or
    `unix_ms`, the number of seconds or milliseconds since 1970. In a list of formats, the first one
    that fits a value is used. Omitted: the format is detected from all training rows; if several
    formats fit, dates are ambiguous and refused."""
    timezone: TimeZone = "UTC"
    """Time zone for the parts, such as the hour. Values without a UTC offset are read as
    times in this time zone."""
    missing: DatetimeMissing = column_type.MedianImputation()
    """Treatment of missing values."""

    @property
    def formats(self) -> tuple[str, ...]:
        """The formats that the config sets."""
        return (self.format,) if isinstance(self.format, str) else self.format or ()

    def conflicts(self) -> Iterator[Conflict]:
        """Yield invalid formats and time zones, and duplicate parts."""
        if self.parts != "auto" and len(set(self.parts)) < len(self.parts):
            yield "parts", "lists a part twice"
        for message in filter(None, map(format_error, self.formats)):
            yield "format", message
        if error := time_zone_error(self.timezone):
            yield "timezone", error

    def has_unreadable(self, column: "Column") -> bool:
        """Return whether a column of mostly this type has a value of another type."""
        return bool(datetime_parsing.parse_times(column, self.formats).unreadable.any())

    def fit(self, column: str, train: "Table", defaults: Defaults) -> "DatetimeEncoder":
        """Fit the encoder of a column on training rows.

        Raises:
            DataError: for a value that is not a time, a column without values, or ambiguous dates.
        """
        from dlcli.columns import date_encoder

        formats = self.formats or _guessed_formats(column, train)
        times = datetime_parsing.parse_times(train.column(column), formats, self.timezone)
        train.refuse(times.unreadable, column, times.problem)
        present = np.sort(times.moments[~times.missing])
        column_type.require_values(len(present), column, train)
        local = date_encoder.LocalTimes(datetime_parsing.to_local(present, self.timezone))
        if self.parts == "auto":
            parts: tuple[Part, ...] = ("elapsed", *_varying_cycles(local))
        else:
            parts = self.parts
        elapsed = (present - present[0]) / datetime_parsing.DAY
        # The earlier of two middle times, because their mean may be an unusual time of day.
        median = present[(len(present) - 1) // 2]
        is_required = isinstance(self.missing, column_type.ErrorIfMissing)
        return date_encoder.DatetimeEncoder(
            column=column,
            missing_share=1 - len(present) / train.rows,
            formats=formats,
            timezone=self.timezone,
            parts=parts,
            year=Standard().fit(local.years) if "year" in parts else None,
            elapsed=Standard().fit(elapsed) if "elapsed" in parts else None,
            earliest=date_encoder.to_moment(present[0]),
            latest=date_encoder.to_moment(present[-1]),
            fill=None if is_required else date_encoder.to_moment(median),
            indicator=column_type.needs_indicator(self.missing, bool(times.missing.any())),
        )

    def with_known_values(
        self, column: str, table: "Table", early: Indices, late: Indices
    ) -> "Datetime | None":
        """Return the type with the cyclic parts that recur, see `ColumnType`."""
        from dlcli.columns import date_encoder

        formats = self.formats or _guessed_formats(column, table)
        times = datetime_parsing.parse_times(table.column(column), formats, self.timezone)
        local = date_encoder.LocalTimes(datetime_parsing.to_local(times.moments, self.timezone))
        steps = {part: local.steps(part) for part in _varying_cycles(local)}
        parts = tuple(
            part
            for part, values in steps.items()
            if column_type.are_mostly_known(values[early], values[late])
        )
        return self.model_copy(update={"parts": parts}) if parts else None

    is_time = True


# Inference.


_FEWEST_DIGITS = 100_000
"""The smallest six-digit number."""


_DATE_NAME = re.compile(r"(?i)date|datum|fecha|dob|day|month|period|yymm")


def decide_dates_of_digits(view: "ColumnView") -> Decision | None:
    """Decide for dates if all numbers are dates without separators, such as 19750103.

    Six-digit dates, such as 750103, 197501 and the week 197529, require a column name that suggests
    dates.
    Eight-digit dates are accepted in any column with more than `MAX_CODES` distinct values, since
    only 4 % of eight-digit numbers are dates.
    """
    is_short = view.summary.bounds is not None and view.summary.bounds[0] < _FEWEST_DIGITS
    if not view.summary.whole or (is_short and view.column.kind == "number"):
        return None
    formats = datetime_parsing.compact_dates(view.column.name, view.distinct)
    is_clear = formats == ("%Y%m%d",) and view.are_amounts(view.matches("."))
    is_named = formats == ("%G%V",) or _DATE_NAME.search(view.column.name)
    if not formats or not (is_clear or is_named):
        return None
    feature = Datetime(format=formats[0] if len(formats) == 1 else formats)
    return Decision(feature, f"dates such as {view.example(view.matches('.'))}")


_DATE_FORMATS = [
    "^" + sign.join(digits) + "(?:[T ].*)?$"
    for digits in (
        ("[0-9]{4}", "[0-9]{1,2}", "[0-9]{1,2}"),
        ("[0-9]{1,2}", "[0-9]{1,2}", "[0-9]{4}"),
    )
    for sign in ("-", r"\.", "/")
]


def decide_dates(view: "ColumnView") -> Decision | None:
    """Decide for dates with separators, and for times. Years and seconds since 1970 are numbers.

    A column of text may contain a few values without a digit, in up to 10 % of the rows. Training
    refuses them unless they are declared missing. Dates in several formats, as in files from
    different programs, are ignored.
    """
    if guess := datetime_parsing.guess_times(view.column):
        return _dates(view, guess)
    if view.column.kind != "text":
        return None
    strays = view.strays(~view.matches("[0-9]"))
    if strays is not None:
        missing_words = (*view.column.missing_words, *strays.words)
        if guess := datetime_parsing.guess_times(replace(view.column, missing_words=missing_words)):
            return _dates(view, guess, strays)
    return _dates_in_several_formats(view)


def _dates_in_several_formats(view: "ColumnView") -> Decision | None:
    if not view.are_nearly_all(view.matches("^[0-9]{1,4}[-./][0-9]")):
        return None
    found = [which for which in map(view.matches, _DATE_FORMATS) if which.any()]
    if len(found) < 2 or not view.are_nearly_all(np.logical_or.reduce(found)):
        return None
    examples = listed([*map(view.example, found)])
    reason = (
        f"dates in several formats, such as {examples}; list the formats: "
        "{type: datetime, format: [...]}"
    )
    warning = "ignored instead of read as categories"
    return Decision(column_type.Ignored(), reason, warning)


def _dates(
    view: "ColumnView", guess: "datetime_parsing.TimeGuess", strays: "Strays | None" = None
) -> Decision:
    if view.column.kind != "text":
        return Decision(Datetime(), "stored as dates")
    if guess.is_ambiguous:
        advice = "ignored, as day and month can't be told apart; set {type: datetime, format: ...}"
        return Decision(column_type.Ignored(), f"dates, but {guess.question}", advice)
    formats = guess.readings[0]
    feature = Datetime(format=formats[0] if len(formats) == 1 else formats)
    noun = "dates" if guess.has_date else "times"
    noun += f" such as {view.example(view.matches('[0-9]'))}"
    order = guess.evidence or guess.order
    noun += f", {order}" if order else ""
    return Decision(feature, noun) if strays is None else feature.with_strays(strays, noun)


# Fitting.


def _varying_cycles(times: "LocalTimes") -> tuple[Part, ...]:
    """Return the cyclic parts that vary, without the weekday if the dates are monthly."""
    varying = tuple(part for part in _AUTO_CYCLES if np.ptp(times.steps(part)))
    return varying if "day" in varying else tuple(part for part in varying if part != "weekday")


def _guessed_formats(column: str, train: "Table") -> tuple[str, ...]:
    """Return the formats of all training rows.

    Raises:
        DataError: if day and month are ambiguous, or if the column holds numbers, whose format is
            ambiguous.
    """
    values = train.column(column)
    may_be_digits = values.kind in ("number", "text")
    if may_be_digits and (formats := datetime_parsing.compact_dates(column, values.distinct)):
        return formats
    if values.kind == "number":
        message = "expected dates, but the column holds numbers"
        way_out = "set format: unix, unix_ms or '%Y%m%d'"
        raise DataError(f"{message}; {way_out}", file=train.file, column=column)
    guess = datetime_parsing.guess_times(values)
    if guess and guess.is_ambiguous:
        raise DataError(guess.question, file=train.file, column=column)
    return guess.readings[0] if guess else ("iso",)
