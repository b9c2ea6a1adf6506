"""What stands in for a gap."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dlcli.config.section import Expected, Number, OneOf, Section

Indicator = Annotated[
    Literal["auto"] | Annotated[bool, Field(strict=True)], Expected("true, false or auto")
]


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


class MissingCategory(Section):
    """Missing is a category of its own; unseen, if no training row has a gap."""

    name: Literal["category"] = "category"


class EmptyText(Section):
    """A text without a word stands in."""

    name: Literal["no_words"] = "no_words"


class ErrorIfMissing(Section):
    """A gap is an error."""

    name: Literal["error"] = "error"


NumericMissing = Annotated[Median | Mean | ConstantValue | ErrorIfMissing, OneOf("policy")]
BooleanMissing = Annotated[MostFrequent | ErrorIfMissing, OneOf("policy")]
CategoricalMissing = Annotated[
    MissingCategory | MostFrequentCategory | ErrorIfMissing, OneOf("policy")
]
TextMissing = Annotated[EmptyText | ErrorIfMissing, OneOf("policy")]
DatetimeMissing = Annotated[Median | ErrorIfMissing, OneOf("policy")]
