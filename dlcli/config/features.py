"""The `input` section: which columns the network reads, and as what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, get_args

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from dlcli.config.encodings import (
    CategoricalEncoding,
    Direct,
    NumericEncoding,
    OneHot,
    PiecewiseLinear,
    TextEncoding,
    TfIdf,
)
from dlcli.config.missing import (
    BooleanMissing,
    CategoricalMissing,
    DatetimeMissing,
    EmptyText,
    Median,
    MissingCategory,
    MostFrequent,
    NumericMissing,
    TextMissing,
)
from dlcli.config.scalings import Scaling, Standard
from dlcli.config.section import (
    Conflict,
    Expected,
    Flag,
    NonNegative,
    NonNegativeInt,
    OneOf,
    PositiveInt,
    Section,
    shown,
)
from dlcli.config.times import format_error, time_zone_error


class Auto(Section):
    """What the training rows show: number, boolean, categories, text, date, image or nothing."""

    type: Literal["auto"] = "auto"


class Ignored(Section):
    """Not read by the network."""

    type: Literal["ignored"] = "ignored"


class Numeric(Section):
    """A number."""

    type: Literal["numeric"] = "numeric"
    scaling: Scaling | None = None
    """How values become inputs; as input.scaling, if left out."""
    encoding: NumericEncoding | None = None
    """How an input becomes several; as input.encoding, if left out."""
    missing: NumericMissing = Median()
    """What stands in for gaps."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yields a scaling of what fills bins."""
        if self.scaling and isinstance(self.encoding, PiecewiseLinear):
            yield "scaling", "has no effect beside encoding: piecewise_linear"


class Boolean(Section):
    """True or false, as 1 and 0."""

    type: Literal["boolean"] = "boolean"
    missing: BooleanMissing = MostFrequent()
    """What stands in for gaps."""


class Categorical(Section):
    """One of several values, as text."""

    type: Literal["categorical"] = "categorical"
    encoding: CategoricalEncoding = OneHot()
    """How a category becomes inputs."""
    min_count: PositiveInt = 1
    """Training rows that a value needs to be a category of its own; rarer ones share one."""
    max_categories: PositiveInt = 100
    """Most categories; the most frequent stay, the others share one."""
    missing: CategoricalMissing = MissingCategory()
    """What stands in for gaps."""
    unseen: Literal["other", "error"] = "other"
    """What a value without a category of its own gets: the rare ones' (or none), or an error."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yields errors for unseen values where rare ones would be errors, too."""
        if self.unseen == "error" and self.min_count > 1:
            yield "unseen", f"can't be error beside min_count: {self.min_count}"


class Text(Section):
    """Words in any order."""

    type: Literal["text"] = "text"
    encoding: TextEncoding = TfIdf()
    """How words become inputs."""
    missing: TextMissing = EmptyText()
    """What stands in for gaps."""


Part = Literal[
    "year", "month", "day", "weekday", "day_of_year", "hour", "minute", "second", "elapsed"
]
_PARTS = get_args(Part)
Parts = Annotated[
    Literal["auto"]
    | Annotated[
        tuple[Annotated[Part, Expected(" or ".join([", ".join(_PARTS[:-1]), _PARTS[-1]]))], ...],
        Field(min_length=1),
    ],
    Expected(f"auto, or a list of {', '.join(_PARTS)}"),
]


Formats = Annotated[
    str | Annotated[tuple[str, ...], Field(min_length=1)],
    Expected("a format as '%d.%m.%Y', iso, unix or unix_ms, or a list of them"),
]
TimeZone = Annotated[str, Expected("a time zone as Europe/Berlin")]


class Datetime(Section):
    """A date, or a date with a time of day."""

    type: Literal["datetime"] = "datetime"
    parts: Parts = "auto"
    """What becomes inputs. Year and elapsed, the time since the earliest training row, have
    standard scaling; the others go round, and become a sine and a cosine each. `auto`: elapsed,
    month, day, weekday and hour, as far as training rows differ in them."""
    format: Formats | None = None
    """How values are written, as in `%d.%m.%Y %H:%M`; iso; unix or unix_ms, which count from 1970;
    or several of these, of which the first that fits a value counts. If left out, the way that fits
    all training rows, if there is just one."""
    timezone: TimeZone = "UTC"
    """Where the parts are told; values without an offset are taken as of there."""
    missing: DatetimeMissing = Median()
    """What stands in for gaps."""

    @property
    def formats(self) -> tuple[str, ...]:
        """The declared formats."""
        return (self.format,) if isinstance(self.format, str) else self.format or ()

    def conflicts(self) -> Iterator[Conflict]:
        """Yields formats and zones that can't be read, and a part named twice."""
        if self.parts != "auto" and len(set(self.parts)) < len(self.parts):
            yield "parts", "names a part twice"
        for fault in filter(None, map(format_error, self.formats)):
            yield "format", fault
        if zone := time_zone_error(self.timezone):
            yield "timezone", zone


class Augmentation(Section):
    """How images vary from step to step in training, and only there."""

    shift: NonNegativeInt = 0
    """Most pixels that an image moves, along each side; what comes in is 0."""
    flip: Flag = False
    """Whether left and right change places in half of the images, by chance."""
    noise: NonNegative = 0.0
    """Standard deviation of what is added to each pixel; pixels are from 0 to 1."""


_Side = Annotated[int, Field(gt=0, le=1024)]
ImageShape = tuple[_Side, _Side, Literal[1, 3]]
Shape = Annotated[
    ImageShape,
    Expected(
        "[height, width, channels], with 1024 pixels a side at most, "
        "and 1 channel for greyscale or 3 for colour"
    ),
]


class Image(Section):
    """The path of a PNG or JPEG file, relative to the table's; transparency becomes white."""

    type: Literal["image"] = "image"
    shape: Shape
    """[height, width, channels] that images become, without regard to their proportions; 1 channel
    is greyscale, 3 are colour."""
    augmentation: Augmentation | None = None
    """How training varies them."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yields a shift that may leave nothing of an image."""
        if self.augmentation and self.augmentation.shift >= (side := min(self.shape[:2])):
            message = f"expected less than the {side} pixels of the shorter side"
            yield "augmentation.shift", f"{message}, got {self.augmentation.shift}"


Feature = Annotated[
    Auto | Ignored | Numeric | Boolean | Categorical | Text | Datetime | Image,
    OneOf("feature type", key="type"),
]


def _listed(value: object) -> object:
    """A list of columns is short for columns of type `auto`."""
    if isinstance(value, Mapping):
        return value
    if not isinstance(value, tuple) or not all(isinstance(name, str) for name in value):
        message = f"expected columns with their types, or a list of columns, got {shown(value)}"
    elif len(set(value)) < len(value):
        message = "names a column twice"
    else:
        return dict.fromkeys(value, "auto")
    raise PydanticCustomError("features", "{message}", {"message": message})


Features = Annotated[
    Mapping[str, Feature],
    BeforeValidator(_listed, json_schema_input_type=Mapping[str, Feature] | tuple[str, ...]),
]


class Input(Section):
    """Which columns the network reads, and as what."""

    scaling: Scaling = Standard()
    """Default for numeric features."""
    encoding: NumericEncoding = Direct()
    """Default for numeric features."""
    features: Features | None = None
    """Columns with their types, or a list of columns; `*` and `?` stand for any text and any
    character; an exact name wins over a pattern, a longer pattern over a shorter; if left out,
    every column that has no other part in the config."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yields an empty choice of features, and scalings of what fills bins."""
        if self.features is not None and not self.features:
            yield "features", "names no column; leave it out to take all"
        if isinstance(self.encoding, PiecewiseLinear):
            yield from self._unread_scalings()

    def _unread_scalings(self) -> Iterator[Conflict]:
        """Yields the scalings that only features with another encoding than the default read."""
        features = (self.features or {}).items()
        numeric = {column: each for column, each in features if isinstance(each, Numeric)}
        beside = "encoding: piecewise_linear"
        for column, feature in numeric.items():
            if feature.scaling and not feature.encoding:
                message = f"has no effect beside input.{beside}; give the feature its own encoding"
                yield ("features", column, "scaling"), message
        unscaled = [each.encoding for each in numeric.values() if not each.scaling]
        if not any(each and not isinstance(each, PiecewiseLinear) for each in unscaled):
            yield from self.without_effect("scaling", because=f"beside {beside}")
