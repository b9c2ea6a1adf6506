"""The `input` section: the features, their types, and the settings of numbers."""

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field, PlainValidator

from dlcli.columns.number import Direct, NumericEncoding, unused_scalings
from dlcli.columns.registry import Feature
from dlcli.columns.scaling import Scaling, Standard
from dlcli.schema import section


def _expand_list(value: object) -> object:
    """Expand a list of columns to columns of type `auto`."""
    if isinstance(value, Mapping):
        return value
    if not isinstance(value, tuple) or not all(isinstance(name, str) for name in value):
        message = (
            f"expected columns with their types, or a list of columns, got {section.shown(value)}"
        )
        names = value if isinstance(value, tuple) else ()
        message += next(filter(None, map(section.with_quotes, names)), "")
    elif len(set(value)) < len(value):
        message = "names a column twice"
    else:
        return dict.fromkeys(value, "auto")
    raise section.value_error(message)


Features = Annotated[
    Mapping[str, Feature],
    BeforeValidator(_expand_list, json_schema_input_type=Mapping[str, Feature] | tuple[str, ...]),
]


FEWEST_TRIAL_ROWS = 100
"""Validation rows below which a network can't show whether it is better without a scaling layer."""


class ScalingLayer(section.Section):
    """A trained weight for each column, first 1, by which all inputs of the column are multiplied.

    So training can reduce the effect of a whole column, similar to the scaling layer of RealMLP
    (Holzmüller et al. 2024, https://arxiv.org/abs/2407.04491). The trained network has these
    weights in the kernel of its first layer.
    """

    learning_rate_multiplier: section.Positive = 40.0
    """Learning rate of these weights, as a multiple of the optimizer's (of its square with
    optimizers that don't adapt to each weight, such as sgd)."""


def _parse_scaling_layer(value: object) -> object:
    """Return a scaling layer, `auto`, or none."""
    if value is None or value == "auto" or isinstance(value, ScalingLayer):
        return value
    if isinstance(value, Mapping):
        return ScalingLayer.model_validate(value)
    multiplier = value if section.is_number(value) else 40
    expected = "auto, or keys and values"
    way_out = f"write {{learning_rate_multiplier: {multiplier}}}, or omit it for none"
    raise section.value_error(f"expected {expected}, got {section.shown(value)}; {way_out}")


_AUTO = Annotated[Literal["auto"], Field(description="The default one, unless it harms.")]
ScalingLayerChoice = Annotated[
    Literal["auto"] | ScalingLayer,
    PlainValidator(_parse_scaling_layer, json_schema_input_type=_AUTO | ScalingLayer),
    section.Described("auto, or its parameters"),
]


class Input(section.Section):
    """The features and their types."""

    elsewhere: ClassVar[Mapping[str, str]] = {
        "feature_scale": "write scaling_layer: VALUE, its present name",
    }

    @classmethod
    def moved(cls, key: str, value: object) -> str:
        """Return the scaling layer that a number means."""
        if key == "feature_scale" and section.is_number(value):
            value = {"learning_rate_multiplier": value}
        return super().moved(key, value)

    scaling: Scaling = Standard()
    """Default scaling of numeric features.

    Examples: [robust, {name: divide, by: 255}]
    """
    encoding: NumericEncoding = Direct()
    """Default encoding of numeric features.

    Examples: [{name: piecewise_linear, bins: 16}]
    """
    scaling_layer: ScalingLayerChoice | None = None
    """A trained weight for each column. `auto` has one with the default parameters, unless it
    harms: an ensemble whose networks have 100 validation rows or more first trains one network with
    and without it, and has none if the validation loss, whatever `early_stopping` monitors, is
    lower without it by more than one part in √rows. Omitted: none."""
    features: Features | None = None
    """Columns with their types, or a list of columns. In patterns, `*` is any text and `?` any
    character; a name has priority over a pattern, a longer pattern over a shorter one. Omitted:
    every column without another role in the config.

    Examples: [[area, rooms, city], {zip: categorical, "sensor_*": numeric, id: ignored, "*": auto}]
    """

    @property
    def scaling_multiplier(self) -> float | None:
        """The learning-rate multiplier of the scaling layer; `None` without one.

        With `auto`, it is the default, unless training leaves the layer out.
        """
        layer = ScalingLayer() if self.scaling_layer == "auto" else self.scaling_layer
        return layer.learning_rate_multiplier if layer else None

    def conflicts(self) -> Iterator[section.Conflict]:
        """Yield empty features, and scalings that bins don't use."""
        if self.features is not None and not self.features:
            yield "features", "names no column; omit it to use all"
        is_default = not self.differs("scaling")
        yield from unused_scalings(self.encoding, self.features or {}, is_default=is_default)
