"""The columns that a served model reads and answers with, for documentation and the form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np

from dlcli.columns.boolean import BooleanEncoder
from dlcli.columns.category import CategoryEncoder
from dlcli.columns.date_time import DatetimeEncoder
from dlcli.columns.number import NumberEncoder
from dlcli.columns.registry import FeatureEncoder
from dlcli.columns.text import TextEncoder
from dlcli.columns.value_issues import short_moments
from dlcli.encoding.encoded_rows import InMemoryInputs
from dlcli.errors import first_names
from dlcli.explanation.explanation_document import ColumnStatistics
from dlcli.prediction.predictor import Predictor
from dlcli.runs.run import Run
from dlcli.tables.datetime_parsing import UNIX_TICKS
from dlcli.tables.number_notation import Notation
from dlcli.tables.time_formats import write_time

ColumnKind = Literal["number", "amount", "boolean", "category", "text", "time", "unix"]
"""An amount is a number that must be written with its unit."""
_SHOWN = 20
"""Categories that a description lists, at most."""


@dataclass(frozen=True)
class ServedColumn:
    """A column that each row of a request must have."""

    name: str
    kind: ColumnKind
    typical: object
    """A value as most rows have it."""
    meaning: str
    """The meaning of values, and those of training rows, in a sentence or two."""
    low: float | str | None = None
    high: float | str | None = None
    """The training rows' range of numbers, and of times as ISO 8601."""
    categories: tuple[str, ...] = ()
    """The categories of the training rows, the most frequent first if that is known."""
    is_required: bool = False
    """True if null is refused."""
    times: tuple[datetime, datetime] | None = None
    """The training rows' earliest and latest time."""
    format: str = ""
    """The format of times."""
    timezone: str = "UTC"
    """The time zone of times without an offset."""

    @property
    def description(self) -> str:
        """The meaning of values, null included."""
        is_null = "is refused" if self.is_required else "is a missing value"
        return f"{self.meaning} null {is_null}."

    def written(self, moment: datetime) -> object:
        """Write a time as the column has it."""
        if ticks := UNIX_TICKS.get(self.format):
            return moment.timestamp() * ticks
        local = moment.astimezone(ZoneInfo(self.timezone))
        if self.format == "iso":
            plain = local.replace(tzinfo=None)
            return plain.isoformat(timespec="seconds").removesuffix("T00:00:00")
        return write_time(local, self.format)

    @property
    def schema(self) -> dict[str, object]:
        """JSON Schema of the column's values."""
        types = {
            "number": ["number", "string"],
            "amount": ["string"],
            "unix": ["number", "string"],
            "boolean": ["boolean", "string", "integer"],
            "category": ["string", "number", "boolean"],
            "text": ["string", "number", "boolean"],
            "time": ["string"],
        }[self.kind]
        return {
            "type": types if self.is_required else [*types, "null"],
            "description": self.description,
            "examples": [self.typical],
        }


def served_columns(run: Run, predictor: Predictor) -> tuple[ServedColumn, ...]:
    """Describe the columns that each row must have, in the order of the training table.

    Args:
        run: may hold an explanation, which knows frequent values.
        predictor: the run's.
    """
    statistics = {each.name: each for each in run.explanation.columns}
    notations = predictor.encoding.notations
    return tuple(
        describe_column(
            feature, statistics.get(feature.column), notations.get(feature.column, Notation())
        )
        for feature in predictor.encoding.features
    )


def describe_column(
    feature: FeatureEncoder, known: ColumnStatistics | None, notation: Notation
) -> ServedColumn:
    """Describe the column of an encoder.

    Args:
        feature: any but that of images, which are not served.
        known: what the run's explanation knows of the column.
        notation: that of numbers in the training rows.
    """
    frequent = [each.value for each in known.values] if known else []
    column = partial(ServedColumn, feature.column, is_required=not feature.accepts_missing)
    if isinstance(feature, NumberEncoder):
        typical = _typical_number(feature, known)
        unit = f" in {notation.unit}" if notation.unit else ""
        ends = f"training rows: {feature.low:.12g} to {feature.high:.12g}."
        if notation.needs_unit:
            written = f"{typical:.12g} {notation.unit}".replace(".", notation.decimal)
            words = f"A number with its unit, as '{written}'; {ends}"
            return column("amount", written, words)
        words = f"A number{unit}; {ends}"
        return column("number", typical, words, low=feature.low, high=feature.high)
    if isinstance(feature, DatetimeEncoder):
        return _time_column(feature)
    if isinstance(feature, BooleanEncoder):
        return column("boolean", frequent[:1] == ["true"], "true or false.")
    if isinstance(feature, CategoryEncoder):
        order = {value: at for at, value in enumerate(frequent)}
        categories = sorted(feature.categories, key=lambda name: order.get(name, len(order)))
        others = "Others are refused." if feature.unseen == "error" else "There may be others."
        names = first_names(categories, _SHOWN)
        words = f"One of {len(categories):,} categories: {names}. {others}"
        usual = feature.fill or categories[0]
        return column("category", usual, words, categories=tuple(categories))
    assert isinstance(feature, TextEncoder)  # images are not served
    return column("text", frequent[0] if frequent else feature.tokens[0], "A text.")


def _time_column(feature: DatetimeEncoder) -> ServedColumn:
    typical = feature.fill or feature.earliest + (feature.latest - feature.earliest) / 2
    low, high = short_moments([feature.earliest.isoformat(), feature.latest.isoformat()])
    format = feature.formats[0]
    if format in UNIX_TICKS:
        unit = "seconds" if format == "unix" else "milliseconds"
        meaning = f"A number of {unit} since 1970"
    else:
        formats = ("ISO 8601" if each == "iso" else each for each in feature.formats)
        zone = f"without offset in the zone {feature.timezone}"
        meaning = f"A time as {' or '.join(formats)}, {zone}"
    column = ServedColumn(
        feature.column,
        "unix" if format in UNIX_TICKS else "time",
        None,
        f"{meaning}; training rows: {low} to {high}.",
        low=low,
        high=high,
        is_required=not feature.accepts_missing,
        times=(feature.earliest, feature.latest),
        format=format,
        timezone=feature.timezone,
    )
    return replace(column, typical=column.written(typical))


def _typical_number(feature: NumberEncoder, known: ColumnStatistics | None) -> float:
    """Return the median, as far as it is known, with few digits."""
    value = (feature.low + feature.high) / 2
    if known and known.histogram:
        counts, edges = np.array(known.histogram.train), known.histogram.edges
        at = int(np.searchsorted(np.cumsum(counts), counts.sum() / 2))
        at = min(at, len(counts) - 1)
        value = (edges[at] + edges[at + 1]) / 2
    elif feature.fill is not None and feature.low <= feature.fill <= feature.high:
        value = feature.fill
    short = float(f"{value:.3g}")
    return short if feature.low <= short <= feature.high else value


def answer_types(predictor: Predictor) -> dict[str, str]:
    """Return the type in JSON of each column of an answer, as that to one row shows."""
    inputs = InMemoryInputs(np.zeros((1, predictor.network.inputs), np.float32))
    columns = predictor.predict_encoded(inputs).lists()
    return {n: _JSON_TYPES.get(type(values[0]), "number") for n, values in columns.items()}


def answer_schemas(types: Mapping[str, str], classes: Sequence[str]) -> dict[str, object]:
    """Return the JSON Schema of each column of an answer.

    Args:
        types: see `answer_types`.
        classes: those of the target.
    """
    schemas: dict[str, object] = {}
    for name, kind in types.items():
        schema: dict[str, object] = {"type": kind if kind != "number" else ["number", "null"]}
        if kind == "array":
            schema["items"] = {}
        elif name.startswith("probability_"):
            schema |= {"minimum": 0, "maximum": 1}
        elif name == "prediction" and kind == "string" and classes:
            schema["enum"] = list(classes)
        schemas[name] = schema
    return schemas


_JSON_TYPES = {str: "string", bool: "boolean", int: "integer", list: "array"}
