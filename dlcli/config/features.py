"""The `input` section: which columns the network reads, and as what."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from dlcli.config.section import (
    Conflict,
    Expected,
    Number,
    OneOf,
    Positive,
    PositiveInt,
    Section,
    shown,
)

Indicator = Annotated[
    Literal["auto"] | Annotated[bool, Field(strict=True)], Expected("true, false or auto")
]


class Standard(Section):
    """(x − mean)/standard deviation of the training rows."""

    name: Literal["standard"] = "standard"


class Log(Section):
    """Standard scaling of log(1 + x); negative values are errors."""

    name: Literal["log"] = "log"


class Divide(Section):
    """x/by, for columns whose range is known: pixels."""

    name: Literal["divide"] = "divide"
    by: Positive
    """Divisor, in the column's unit."""


class Unscaled(Section):
    """x itself."""

    name: Literal["none"] = "none"


Scaling = Annotated[Standard | Log | Divide | Unscaled, OneOf("scaling")]
OutputScaling = Annotated[Standard | Log | Unscaled, OneOf("scaling")]


class Median(Section):
    """The training rows' median stands in."""

    name: Literal["median"] = "median"
    indicator: Indicator = "auto"
    """Whether a column of 0 and 1 says where; `auto`: if training rows have gaps."""


class Mean(Section):
    """The training rows' mean stands in."""

    name: Literal["mean"] = "mean"
    indicator: Indicator = "auto"
    """Whether a column of 0 and 1 says where; `auto`: if training rows have gaps."""


class ConstantValue(Section):
    """A value of your own stands in."""

    name: Literal["constant"] = "constant"
    value: Number
    """The value, in the column's unit before scaling."""
    indicator: Indicator = "auto"
    """Whether a column of 0 and 1 says where; `auto`: if training rows have gaps."""


class MostFrequent(Section):
    """The training rows' most frequent value stands in."""

    name: Literal["most_frequent"] = "most_frequent"
    indicator: Indicator = "auto"
    """Whether a column of 0 and 1 says where; `auto`: if training rows have gaps."""


class MostFrequentCategory(Section):
    """The training rows' most frequent value stands in."""

    name: Literal["most_frequent"] = "most_frequent"


class OwnCategory(Section):
    """Missing is a category of its own; unseen, if no training row has a gap."""

    name: Literal["category"] = "category"


class Refuse(Section):
    """A gap is an error."""

    name: Literal["error"] = "error"


NumericMissing = Annotated[Median | Mean | ConstantValue | Refuse, OneOf("policy")]
BooleanMissing = Annotated[MostFrequent | Refuse, OneOf("policy")]
CategoricalMissing = Annotated[OwnCategory | MostFrequentCategory | Refuse, OneOf("policy")]


class OneHot(Section):
    """A column of 0 and 1 for each category."""

    name: Literal["one_hot"] = "one_hot"


Encoding = Annotated[OneHot, OneOf("encoding")]


class Auto(Section):
    """Number, boolean or categories, as the training rows show."""

    type: Literal["auto"] = "auto"


class Ignored(Section):
    """Not read by the network."""

    type: Literal["ignored"] = "ignored"


class Numeric(Section):
    """A number."""

    type: Literal["numeric"] = "numeric"
    scaling: Scaling | None = None
    """How values become inputs; as input.scaling, if left out."""
    missing: NumericMissing = Median()
    """What stands in for gaps."""


class Boolean(Section):
    """True or false, as 1 and 0."""

    type: Literal["boolean"] = "boolean"
    missing: BooleanMissing = MostFrequent()
    """What stands in for gaps."""


class Categorical(Section):
    """One of several values, as text."""

    type: Literal["categorical"] = "categorical"
    encoding: Encoding = OneHot()
    """How a category becomes inputs."""
    min_count: PositiveInt = 1
    """Training rows that a value needs to be a category of its own; rarer ones share one."""
    max_categories: PositiveInt = 100
    """Most categories; the most frequent stay, the others share one."""
    missing: CategoricalMissing = OwnCategory()
    """What stands in for gaps."""
    unseen: Literal["other", "error"] = "other"
    """What a value without a category of its own gets: the rare ones' (or none), or an error."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yields errors for unseen values where rare ones would be errors, too."""
        if self.unseen == "error" and self.min_count > 1:
            yield "unseen", f"can't be error beside min_count: {self.min_count}"


Feature = Annotated[
    Auto | Ignored | Numeric | Boolean | Categorical, OneOf("feature type", key="type")
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
    features: Features | None = None
    """Columns with their types, or a list of columns; `*` and `?` stand for any text and any
    character; an exact name wins over a pattern, a longer pattern over a shorter; if left out,
    every column that has no other part in the config."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yields an empty choice of features."""
        if self.features is not None and not self.features:
            yield "features", "names no column; leave it out to take all"
