"""The `input` section: feature types with scalings, encodings, missing values and time formats."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import combinations
from typing import Annotated, ClassVar, Literal, TypeGuard, get_args

from pydantic import BeforeValidator, Field, PlainValidator

from dlcli.config.section import (
    Choice,
    Conflict,
    Described,
    Expected,
    Flag,
    NonNegative,
    NonNegativeInt,
    Number,
    OneOf,
    Positive,
    PositiveInt,
    Section,
    is_number,
    shown,
    value_error,
    with_quotes,
)
from dlcli.errors import did_you_mean

Quantiles = Annotated[int, Field(ge=2, le=100_000), Expected("an integer from 2 to 100000")]


class Standard(Choice, name="standard"):
    """(x − mean)/standard deviation, both of the training rows."""


class Robust(Choice, name="robust"):
    """z = (x − median)/interquartile range of the training rows, then z/√(1 + (z/limit)²).

    The second step hardly changes typical values and keeps outliers in ±limit (RealMLP,
    Holzmüller et al. 2024, https://arxiv.org/abs/2407.04491).
    """

    limit: Positive = 3.0
    """Limit of the absolute value of inputs."""


class MinMax(Choice, name="minmax"):
    """(x − minimum)/(maximum − minimum): 0 to 1 in training rows, maybe beyond in others."""


class Quantile(Choice, name="quantile"):
    """The normal quantile of the rank of x among the training rows, from −5.2 to 5.2."""

    quantiles: Quantiles = 1000
    """Maximum number of quantiles that are stored; values between them are interpolated."""


class Log1p(Choice, name="log1p"):
    """Standard scaling of log(1 + x); negative values are errors."""


class Divide(Choice, name="divide"):
    """x/by, for columns of a known range such as pixels."""

    by: Positive
    """Divisor, in the column's unit."""


class Unscaled(Choice, name="none"):
    """x itself."""


Scaling = Annotated[
    Standard | Robust | MinMax | Quantile | Log1p | Divide | Unscaled, OneOf("scaling")
]
OutputScaling = Annotated[Standard | Log1p | Unscaled, OneOf("scaling")]


Ngrams = Annotated[int, Field(gt=0, le=5), Expected("an integer from 1 to 5")]


class Direct(Choice, name="none"):
    """The scaled number itself."""


class Periodic(Choice, name="periodic"):
    """sin(2π·c·x) and cos(2π·c·x) of the scaled number, for several trained frequencies c.

    The initial frequencies are drawn from a normal distribution around 0 (Gorishniy et al. 2022,
    https://arxiv.org/abs/2203.05556, section 3.3).
    """

    frequencies: PositiveInt = 8
    """Number of frequencies; each gives two inputs."""
    deviation: Positive = 0.1
    """Standard deviation of the initial frequencies, in periods per unit of the scaled number."""


class PiecewiseLinear(Choice, name="piecewise_linear"):
    """The position of x in each of several bins: 0 below it, 1 above it, linear inside.

    The edges are quantiles of the training rows; the first and last bin are linear beyond theirs
    (Gorishniy et al. 2022, https://arxiv.org/abs/2203.05556, section 3.2).
    """

    bins: PositiveInt = 16
    """Maximum number of bins, each an input; there are fewer where quantiles coincide."""


class OneHot(Choice, name="one_hot"):
    """An input of 0 or 1 for each category."""


class Embedding(Choice, name="embedding"):
    """A trained vector for each category."""

    units: PositiveInt = 8
    """Length of the vector."""


class Vocabulary(Choice):
    """The tokens that have an input: words of letters, digits and underscores, in lower case.

    A word may contain an apostrophe (`don't`). In scripts without spaces between words, such as
    Chinese, each character is a word.
    """

    max_tokens: PositiveInt = 5000
    """Maximum number of tokens: those that are in most training rows."""
    min_count: PositiveInt = 1
    """Minimum number of training rows with a token."""
    ngrams: Ngrams = 1
    """Maximum number of adjacent words in a token, up to 5: 2 adds all pairs of neighbors."""


class MultiHot(Vocabulary, name="multi_hot"):
    """1 for each token in the text, else 0."""


class Count(Vocabulary, name="count"):
    """Number of occurrences of each token in the text."""


class TfIdf(Vocabulary, name="tf_idf"):
    """Counts times inverse document frequency, divided by their Euclidean norm over the text.

    The inverse document frequency is ln((1 + training rows) / (1 + training rows with the token))
    + 1.
    """


NumericEncoding = Annotated[Direct | Periodic | PiecewiseLinear, OneOf("encoding")]
CategoricalEncoding = Annotated[OneHot | Embedding, OneOf("encoding")]
TextEncoding = Annotated[MultiHot | Count | TfIdf, OneOf("encoding")]


Indicator = Annotated[
    Literal["auto"] | Annotated[bool, Field(strict=True)], Expected("true, false or auto")
]


class _Imputation(Choice):
    """A value that replaces missing ones."""

    indicator: Indicator = "auto"
    """Add an input of 0 or 1 that marks missing values; `auto` does if training rows have some."""


class Median(_Imputation, name="median"):
    """The median of the training rows."""


class Mean(_Imputation, name="mean"):
    """The mean of the training rows."""


class ConstantValue(_Imputation, name="constant"):
    """A given value."""

    value: Number
    """The value, in the unit of the column before scaling."""


class MostFrequent(_Imputation, name="most_frequent"):
    """The most frequent value of the training rows."""


class MostFrequentCategory(Choice, name="most_frequent"):
    """The most frequent value of the training rows."""


class MissingCategory(Choice, name="category"):
    """A separate category; it counts as unseen if no training row has missing values."""


class EmptyText(Choice, name="no_words"):
    """A text without words."""


class ErrorIfMissing(Choice, name="error"):
    """Missing values are errors."""


NumericMissing = Annotated[Median | Mean | ConstantValue | ErrorIfMissing, OneOf("policy")]
BooleanMissing = Annotated[MostFrequent | ErrorIfMissing, OneOf("policy")]
CategoricalMissing = Annotated[
    MissingCategory | MostFrequentCategory | ErrorIfMissing, OneOf("policy")
]
TextMissing = Annotated[EmptyText | ErrorIfMissing, OneOf("policy")]
DatetimeMissing = Annotated[Median | ErrorIfMissing, OneOf("policy")]


NamedFormat = Literal["iso", "unix", "unix_ms"]
"""ISO 8601, or seconds or milliseconds since 1970-01-01T00:00Z."""

DIRECTIVES = {
    "%Y": "year of four digits",
    "%y": "year of two digits, from 1969 to 2068",
    "%m": "month",
    "%b": "name of the month, full or short, in one of 13 European languages",
    "%q": "quarter, after a Q",
    "%G": "year of an ISO week, of four digits, with %V",
    "%V": "ISO week, which stands for its Monday",
    "%d": "day",
    "%a": "name of the weekday, which is ignored",
    "%H": "hour from 0 to 23",
    "%I": "hour from 1 to 12, with %p",
    "%p": "AM or PM",
    "%M": "minute",
    "%S": "second",
    "%f": "fraction of a second",
    "%z": "offset from UTC, as +0130, +01:30, Z, UTC or GMT",
    "%%": "the sign %",
}
"""Directives of a format, as in C and Python, with their meanings for the reference."""

_YEARS = ("%Y", "%y", "%G")
_CLOCK = {"%H", "%I", "%p", "%M", "%S", "%f"}
_SYNONYMS = {"%B": "%b", "%A": "%a"}


def is_named_format(format: str) -> TypeGuard[NamedFormat]:
    """Return whether a format is a name instead of directives."""
    return format in get_args(NamedFormat)


def format_tokens(format: str) -> list[str]:
    """Split a format into its directives and the characters between them."""
    return [_SYNONYMS.get(token, token) for token in re.findall("%.|.", format, re.S)]


def write_time(moment: datetime, format: str) -> str:
    """Write a time in a format that is no named one; Python has no directive for a quarter."""
    quarter = str((moment.month + 2) // 3)
    directives = re.sub("%.", lambda found: quarter if found[0] == "%q" else found[0], format)
    return moment.strftime(directives)


def are_times_alone(formats: Sequence[str]) -> bool:
    """Return whether formats are of times without a date: times of day, or durations of hours."""
    return all(map(_is_time_alone, formats))


def _is_time_alone(format: str) -> bool:
    parts = {token for token in format_tokens(format) if token.startswith("%") and token != "%%"}
    return not is_named_format(format) and parts <= _CLOCK and bool(parts & {"%H", "%I", "%M"})


def format_error(format: str) -> str | None:
    """Return what is wrong with a format of times, or `None`."""
    if is_named_format(format):
        return None
    directives = [token for token in format_tokens(format) if token.startswith("%")]
    if unknown := [token for token in directives if token not in DIRECTIVES]:
        return f"unknown '{unknown[0]}' in '{format}'; allowed: {', '.join(DIRECTIVES)}"
    parts = [token for token in directives if token != "%%"]
    if repeated := [token for token in parts if parts.count(token) > 1]:
        return f"has {repeated[0]} twice in '{format}'"
    if len([token for token in parts if token in _YEARS]) != 1 and not _is_time_alone(format):
        others = "a time alone, as %H:%M, or one of " + ", ".join(get_args(NamedFormat))
        return f"expected a year, %Y or %y, in '{format}', or {others}"
    if "%d" in parts and not {"%m", "%b"} & set(parts):
        return f"has a day and no month, %m or %b, in '{format}'"
    return _combination_error(parts, format)


def _combination_error(parts: Sequence[str], format: str) -> str | None:
    """Return which directives of a format exclude or need each other, or `None`."""
    for one, other in (*combinations(("%m", "%b", "%q", "%V"), 2), ("%H", "%I")):
        if one in parts and other in parts:
            return f"has both {one} and {other} in '{format}'"
    if ("%I" in parts) != ("%p" in parts):
        return f"expected both %I and %p in '{format}', or %H instead"
    if ("%G" in parts) != ("%V" in parts):
        return f"expected both %G and %V in '{format}'"
    if "%q" in parts and not re.search("[Qq]%q", format):
        return f"expected a Q before %q in '{format}'"
    return None


def time_zone_error(zone: str) -> str | None:
    """Return what is wrong with the name of a time zone, or `None`."""
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

    if zone == "UTC":
        return None
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder of zones
        hint = did_you_mean(zone, sorted(available_timezones()))
        return f"unknown time zone '{zone}'{hint or '; expected one such as Europe/Berlin'}"
    return None


class Auto(Section):
    """Inferred from all rows of the training file with a target: any of the types below.

    Ignored are identifiers, row indices and constants, and columns that training might fail on: of
    numbers or dates with a few other values, or of fewer than 8 values in 20 rows or more.
    """

    type: Literal["auto"] = "auto"


class Ignored(Section):
    """Not used."""

    type: Literal["ignored"] = "ignored"


class Numeric(Section):
    """A number."""

    synonyms: ClassVar[Mapping[str, str]] = {"max_categories": "one_hot_values"}
    type: Literal["numeric"] = "numeric"
    scaling: Scaling | None = None
    """Scaling of values. Omitted: input.scaling."""
    encoding: NumericEncoding | None = None
    """Encoding of scaled values as several inputs. Omitted: input.encoding."""
    one_hot_values: NonNegativeInt = 0
    """Maximum number of values that also have an input of 0 or 1 each, as categories have: the most
    frequent, of two or more training rows. For amounts that also identify what a row belongs to."""
    missing: NumericMissing = Median()
    """Replacement of missing values."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yield a scaling that bins don't use."""
        if self.scaling and isinstance(self.encoding, PiecewiseLinear):
            yield "scaling", "has no effect with encoding: piecewise_linear"


class Boolean(Section):
    """True or false, as 1 or 0."""

    type: Literal["boolean"] = "boolean"
    missing: BooleanMissing = MostFrequent()
    """Replacement of missing values."""


class Categorical(Section):
    """One of several values."""

    type: Literal["categorical"] = "categorical"
    encoding: CategoricalEncoding = OneHot()
    """Encoding of a category as inputs."""
    min_count: PositiveInt = 1
    """Minimum number of training rows of a category; rarer values share one category."""
    max_categories: PositiveInt = 100
    """Maximum number of categories: the most frequent; other values share one category."""
    missing: CategoricalMissing = MissingCategory()
    """Replacement of missing values."""
    unseen: Literal["other", "error"] = "other"
    """Handling of values that training rows don't have: as the shared category (or none), or as an
    error."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yield `unseen: error` where rare training values would be errors, too."""
        if self.unseen == "error" and self.min_count > 1:
            yield "unseen", f"can't be error with min_count: {self.min_count}"


class Text(Section):
    """A text, as a set of words in any order."""

    type: Literal["text"] = "text"
    encoding: TextEncoding = TfIdf()
    """Encoding of words as inputs."""
    missing: TextMissing = EmptyText()
    """Replacement of missing values."""


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
TimeZone = Annotated[str, Expected("a time zone such as Europe/Berlin")]


class Datetime(Section):
    """A date, a date with a time, or a time alone."""

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


class Augmentation(Section):
    """Random changes of images at each training step."""

    shift: NonNegativeInt = 0
    """Maximum shift in pixels, horizontally and vertically; new pixels are 0."""
    flip: Flag = False
    """Mirror half of the images horizontally, at random."""
    noise: NonNegative = 0.0
    """Standard deviation of the noise added to each pixel; pixels are from 0 to 1."""


_Side = Annotated[int, Field(gt=0, le=1024)]
ImageShape = tuple[_Side, _Side, Literal[1, 3]]
Shape = Annotated[
    ImageShape,
    Expected(
        "[height, width, channels], with at most 1024 pixels a side, "
        "and 1 channel for grayscale or 3 for color"
    ),
]


class Image(Section):
    """The path of a PNG or JPEG file, relative to the table; transparency becomes white."""

    type: Literal["image"] = "image"
    shape: Shape
    """[height, width, channels] to which images are resized, regardless of their aspect ratio; 1
    channel is grayscale, 3 are color."""
    augmentation: Augmentation | None = None
    """Random changes in training. Omitted: none."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yield a shift by the whole image."""
        if self.augmentation and self.augmentation.shift >= (side := min(self.shape[:2])):
            message = f"expected less than the {side} pixels of the shorter side"
            yield "augmentation.shift", f"{message}, got {self.augmentation.shift}"


Feature = Annotated[
    Auto | Ignored | Numeric | Boolean | Categorical | Text | Datetime | Image,
    OneOf("feature type", key="type"),
]


def _expand_list(value: object) -> object:
    """Expand a list of columns to columns of type `auto`."""
    if isinstance(value, Mapping):
        return value
    if not isinstance(value, tuple) or not all(isinstance(name, str) for name in value):
        message = f"expected columns with their types, or a list of columns, got {shown(value)}"
        names = value if isinstance(value, tuple) else ()
        message += next(filter(None, map(with_quotes, names)), "")
    elif len(set(value)) < len(value):
        message = "names a column twice"
    else:
        return dict.fromkeys(value, "auto")
    raise value_error(message)


Features = Annotated[
    Mapping[str, Feature],
    BeforeValidator(_expand_list, json_schema_input_type=Mapping[str, Feature] | tuple[str, ...]),
]


FEWEST_TRIAL_ROWS = 100
"""Validation rows below which a network can't show whether it is better without a scaling layer."""


class ScalingLayer(Section):
    """A trained weight for each column, first 1, by which all inputs of the column are multiplied.

    So training can reduce the effect of a whole column, similar to the scaling layer of RealMLP
    (Holzmüller et al. 2024, https://arxiv.org/abs/2407.04491). The trained network has these
    weights in the kernel of its first layer.
    """

    learning_rate_multiplier: Positive = 40.0
    """Learning rate of these weights, as a multiple of the optimizer's (of its square with
    optimizers that don't adapt to each weight, such as sgd)."""


def _parse_scaling_layer(value: object) -> object:
    """Return a scaling layer, `auto`, or none."""
    if value is None or value == "auto" or isinstance(value, ScalingLayer):
        return value
    if isinstance(value, Mapping):
        return ScalingLayer.model_validate(value)
    multiplier = value if is_number(value) else 40
    expected = "auto, or keys and values"
    way_out = f"write {{learning_rate_multiplier: {multiplier}}}, or omit it for none"
    raise value_error(f"expected {expected}, got {shown(value)}; {way_out}")


_AUTO = Annotated[Literal["auto"], Field(description="The default one, unless it harms.")]
ScalingLayerChoice = Annotated[
    Literal["auto"] | ScalingLayer,
    PlainValidator(_parse_scaling_layer, json_schema_input_type=_AUTO | ScalingLayer),
    Described("auto, or its parameters"),
]


class Input(Section):
    """The features and their types."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        "feature_scale": "write scaling_layer: VALUE, its present name",
    }

    @classmethod
    def moved(cls, key: str, value: object) -> str:
        """Return the scaling layer that a number means."""
        if key == "feature_scale" and is_number(value):
            value = {"learning_rate_multiplier": value}
        return super().moved(key, value)

    scaling: Scaling = Standard()
    """Default scaling of numeric features."""
    encoding: NumericEncoding = Direct()
    """Default encoding of numeric features."""
    scaling_layer: ScalingLayerChoice | None = None
    """A trained weight for each column. `auto` has one with the default parameters, unless it
    harms: an ensemble whose networks have 100 validation rows or more first trains one network with
    and without it, and has none if the validation loss, whatever `early_stopping` monitors, is
    lower without it by more than one part in √rows. Omitted: none."""
    features: Features | None = None
    """Columns with their types, or a list of columns. In patterns, `*` is any text and `?` any
    character; a name has priority over a pattern, a longer pattern over a shorter one. Omitted:
    every column without another role in the config."""

    @property
    def scaling_multiplier(self) -> float | None:
        """The learning-rate multiplier of the scaling layer; `None` without one.

        With `auto`, it is the default, unless training leaves the layer out.
        """
        layer = ScalingLayer() if self.scaling_layer == "auto" else self.scaling_layer
        return layer.learning_rate_multiplier if layer else None

    def conflicts(self) -> Iterator[Conflict]:
        """Yield empty features, and scalings that bins don't use."""
        if self.features is not None and not self.features:
            yield "features", "names no column; omit it to use all"
        if isinstance(self.encoding, PiecewiseLinear):
            yield from self._scalings_without_effect()

    def _scalings_without_effect(self) -> Iterator[Conflict]:
        features = (self.features or {}).items()
        numeric = {column: each for column, each in features if isinstance(each, Numeric)}
        for column, feature in numeric.items():
            if feature.scaling and not feature.encoding:
                message = "has no effect with input.encoding: piecewise_linear"
                way_out = "give the feature its own encoding"
                yield ("features", column, "scaling"), f"{message}; {way_out}"
        unscaled = [each.encoding for each in numeric.values() if not each.scaling]
        if not any(each and not isinstance(each, PiecewiseLinear) for each in unscaled):
            yield from self.without_effect("scaling", because="with encoding: piecewise_linear")
