"""The encoder that fits a column's type."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dlcli.config import Boolean, Categorical, Datetime, Feature, Image, Input, Numeric, Text
from dlcli.encoding.columns.boolean import BooleanEncoder, fit_boolean
from dlcli.encoding.columns.categorical import EmbeddingEncoder, OneHotEncoder, fit_categorical
from dlcli.encoding.columns.datetimes import DatetimeEncoder, fit_datetime
from dlcli.encoding.columns.images import ImageEncoder, fit_image
from dlcli.encoding.columns.numeric import NumericEncoder, fit_numeric
from dlcli.encoding.columns.piecewise import PiecewiseLinearEncoder
from dlcli.encoding.columns.text import TextEncoder, fit_text
from dlcli.tables import Table

FeatureEncoder = Annotated[
    NumericEncoder
    | PiecewiseLinearEncoder
    | BooleanEncoder
    | OneHotEncoder
    | EmbeddingEncoder
    | TextEncoder
    | DatetimeEncoder
    | ImageEncoder,
    Field(discriminator="encoding"),
]


def fit_feature(column: str, feature: Feature, section: Input, train: Table) -> FeatureEncoder:
    """Fits the encoder of one column.

    Args:
        column: its name.
        feature: its type, which must be decided.
        section: what holds for features that say nothing else.
        train: the training rows.

    Raises:
        DataError: for a value that isn't of the type, or a column without values.
        ConfigError: for a stand-in that the scaling has no place for.
    """
    if isinstance(feature, Numeric):
        return fit_numeric(column, feature, section, train)
    if isinstance(feature, Boolean):
        return fit_boolean(column, feature, train)
    if isinstance(feature, Categorical):
        return fit_categorical(column, feature, train)
    if isinstance(feature, Text):
        return fit_text(column, feature, train)
    if isinstance(feature, Datetime):
        return fit_datetime(column, feature, train)
    if isinstance(feature, Image):
        return fit_image(column, feature, train)
    raise TypeError(f"no encoder for the feature type '{feature.type}'")
