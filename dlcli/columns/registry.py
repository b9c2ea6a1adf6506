"""The types of columns, by their names in the config."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Annotated, Any, get_args

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from dlcli.columns.column_type import ColumnEncoder, ColumnType, Rule
from dlcli.schema.section import OneOf

_TYPES: dict[str, tuple[str, ...]] = {
    "auto": ("column_type.Auto",),
    "ignored": ("column_type.Ignored",),
    "numeric": (
        "number.Numeric",
        "number_encoders.NumericEncoder",
        "number_encoders.PiecewiseLinearEncoder",
        "number_encoders.VariedEncoder",
        "exposure.ExposureEncoder",
    ),
    "boolean": ("boolean.Boolean", "boolean.BooleanEncoder"),
    "categorical": (
        "category.Categorical",
        "category.OneHotEncoder",
        "category.EmbeddingEncoder",
        "category.OrderEncoder",
    ),
    "text": ("text.Text", "text.TextEncoder"),
    "datetime": ("date_time.Datetime", "date_encoder.DatetimeEncoder"),
    "image": ("image.Image", "image.ImageEncoder"),
}
"""The module and class of each type, followed by its encoders; all are loaded on first use."""


def _load(path: str) -> Any:  # noqa: ANN401
    """Return an object that a module of this package defines."""
    module, _, name = path.partition(".")
    return getattr(import_module(f"dlcli.columns.{module}"), name)


class _Types(Mapping[str, type[ColumnType]]):
    """The classes of all types, by name."""

    def __getitem__(self, name: str) -> type[ColumnType]:
        found: type[ColumnType] = _load(_TYPES[name][0])
        return found

    def __contains__(self, name: object) -> bool:
        return name in _TYPES

    def __iter__(self) -> Iterator[str]:
        return iter(_TYPES)

    def __len__(self) -> int:
        return len(_TYPES)


COLUMN_TYPES = _Types()


def type_named(name: str) -> type[ColumnType]:
    """Return the type with a name; the base class for other names, such as types of targets."""
    return COLUMN_TYPES.get(name, ColumnType)


Feature = Annotated[ColumnType, OneOf("feature type", key="type", members=COLUMN_TYPES)]


_RULES = (
    "category.decide_postal_codes",  # the column's name is more informative than its values
    "category.decide_codes",
    "date_time.decide_dates_of_digits",
    "number.decide_numbers",
    "boolean.decide_words",
    "date_time.decide_dates",
    "image.decide_images",
    "number.decide_amounts",
    "text.decide_lists",
    "text.decide_text",
    "category.decide_categories",  # all other columns of text
)
"""The rules of all types, in order; the first rule that returns a decision wins."""


@cache
def inference_rules() -> tuple[Rule, ...]:
    """Return the rules of all types, in order."""
    return tuple(map(_load, _RULES))


@cache
def rules_of_usual_missing_words() -> tuple[Rule, ...]:
    """Return the rules of the types in which words such as `NA` and `-` mean missing values."""
    modules = {each.__module__ for each in COLUMN_TYPES.values() if each.has_usual_missing_words}
    return tuple(rule for rule in inference_rules() if rule.__module__ in modules)


@cache
def encoder_classes() -> tuple[type[ColumnEncoder], ...]:
    """Return the classes of encoders."""
    return tuple(_load(path) for _, *paths in _TYPES.values() for path in paths)


class _AnyEncoder:
    """Marks an encoder of any column type; `encoding` identifies its class in JSON."""

    def __get_pydantic_core_schema__(
        self,
        source: Any,  # noqa: ANN401
        handler: GetCoreSchemaHandler,
    ) -> CoreSchema:
        choices = {
            name: handler.generate_schema(encoder)
            for encoder in encoder_classes()
            for name in get_args(encoder.model_fields["encoding"].annotation)
        }
        return core_schema.tagged_union_schema(choices, "encoding")


FeatureEncoder = Annotated[ColumnEncoder, _AnyEncoder()]


def in_order_of_types(encoders: Iterable[ColumnEncoder]) -> list[ColumnEncoder]:
    """Return encoders in the order of the types."""
    names = [*COLUMN_TYPES]
    return sorted(encoders, key=lambda encoder: names.index(encoder.type))
