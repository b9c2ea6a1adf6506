"""The types of columns, by their names in the config."""

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from operator import itemgetter
from typing import Annotated, Any, get_args

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from dlcli.columns.column_type import ColumnEncoder, ColumnType, Rule
from dlcli.schema.section import OneOf

_TYPES = {
    "auto": "column_type.Auto",
    "ignored": "column_type.Ignored",
    "numeric": "number.Numeric",
    "boolean": "boolean.Boolean",
    "categorical": "category.Categorical",
    "text": "text.Text",
    "datetime": "date_time.Datetime",
    "image": "image.Image",
}
"""The module and the class of each type, which are loaded when the type is used."""


class _Types(Mapping[str, type[ColumnType]]):
    """The classes of all types, by name."""

    def __getitem__(self, name: str) -> type[ColumnType]:
        module, _, section = _TYPES[name].partition(".")
        found: type[ColumnType] = getattr(import_module(f"dlcli.columns.{module}"), section)
        return found

    def __contains__(self, name: object) -> bool:
        return name in _TYPES

    def __iter__(self) -> Iterator[str]:
        return iter(_TYPES)

    def __len__(self) -> int:
        return len(_TYPES)


COLUMN_TYPES = _Types()


def type_named(name: str) -> type[ColumnType]:
    """Return the type of a name, as documents of a run have it; the base class for a target's."""
    return COLUMN_TYPES.get(name, ColumnType)


Feature = Annotated[ColumnType, OneOf("feature type", key="type", members=COLUMN_TYPES)]


@cache
def inference_rules() -> tuple[Rule, ...]:
    """Return the rules of all types, in the order in which they are tried."""
    return _ordered(COLUMN_TYPES.values())


@cache
def rules_of_usual_missing_words() -> tuple[Rule, ...]:
    """Return the rules of the types in which `NA`, `-` and the like are missing values."""
    return _ordered(each for each in COLUMN_TYPES.values() if each.has_usual_missing_words)


def _ordered(types: Iterable[type[ColumnType]]) -> tuple[Rule, ...]:
    every = (rule for each in types for rule in each.rules())
    return tuple(rule for _, rule in sorted(every, key=itemgetter(0)))


class _AnyEncoder:
    """Marks the type of an encoder of a column of any type, which `encoding` tells in JSON."""

    def __get_pydantic_core_schema__(
        self,
        source: Any,  # noqa: ANN401
        handler: GetCoreSchemaHandler,
    ) -> CoreSchema:
        choices = {
            name: handler(encoder)
            for each in COLUMN_TYPES.values()
            for encoder in each.encoders()
            for name in get_args(encoder.model_fields["encoding"].annotation)
        }
        return core_schema.tagged_union_schema(choices, "encoding")


FeatureEncoder = Annotated[ColumnEncoder, _AnyEncoder()]


def in_order_of_types(encoders: Iterable[ColumnEncoder]) -> list[ColumnEncoder]:
    """Return encoders in the order of the types."""
    names = [*COLUMN_TYPES]
    return sorted(encoders, key=lambda encoder: names.index(encoder.type))
