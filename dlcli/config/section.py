"""The ground that every part of the config stands on: strict, frozen, explained."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Self, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import (
    CoreSchema,
    ErrorDetails,
    InitErrorDetails,
    PydanticCustomError,
    core_schema,
)

from dlcli.errors import did_you_mean

Conflict = tuple[str | tuple[str, ...], str]
"""The path of a key below its section, and what is wrong with it beside the others; a path in parts
where one of them is a name that may hold a dot."""

MOST_PROBLEMS = 100
"""Problems of a config that are told one by one."""

UNKNOWN_KEY = "unknown_key"
"""Type of the errors whose place is the key, not its value."""

NOTHING = "nothing"
"""A null, in messages: what a key has that nothing stands behind."""


class OfKey(str):
    """A message of a conflict that is about the key, not about its value."""


class Section(BaseModel):
    """A mapping of the config: typed, immutable, and closed to unknown keys."""

    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", use_attribute_docstrings=True
    )
    synonyms: ClassVar[Mapping[str, str]] = {}
    """Keys that others call otherwise, by what they call them, for messages."""

    def conflicts(self) -> Iterator[Conflict]:
        """Yields the keys that are right alone and wrong together."""
        yield from ()

    def differs(self, key: str) -> bool:
        """Tells whether a key says something else than its default."""
        return bool(getattr(self, key) != type(self).model_fields[key].get_default())

    @property
    def is_default(self) -> bool:
        """Whether a choice is all default: no more than its name."""
        return not any(self.differs(key) for key in type(self).model_fields)

    def without_effect(self, *keys: str, because: str) -> Iterator[Conflict]:
        """Yields a conflict for each of the keys that says something that nothing will read."""
        for key in keys:
            if self.differs(key):
                yield key, f"has no effect {because}"

    @model_validator(mode="wrap")
    @classmethod
    def _explained(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:  # noqa: ANN401
        try:
            section = handler(value)
        except ValidationError as error:
            raise _again(cls.__name__, list(_explained_first(error, cls))) from None
        if conflicts := list(section.conflicts()):
            raise _again(cls.__name__, [_conflict(*conflict) for conflict in conflicts])
        return section


def _again(title: str, lines: list[InitErrorDetails]) -> ValidationError:
    return ValidationError.from_exception_data(title, lines)


def _explained_first(error: ValidationError, section: type[Section]) -> Iterator[InitErrorDetails]:
    """As many of pydantic's errors in other words as are told; the others only count."""
    for at, line in enumerate(error.errors(include_url=False)):
        yield _explain(line, section) if at < MOST_PROBLEMS else _line("")


def _line(message: str, key: str | int | None = None, kind: str = "choice") -> InitErrorDetails:
    """A message about a value, or what it has under a key or index."""
    error = PydanticCustomError(kind, "{message}", {"message": message})
    return InitErrorDetails(type=error, loc=() if key is None else (key,), input=None)


def _conflict(path: str | tuple[str, ...], message: str) -> InitErrorDetails:
    kind = UNKNOWN_KEY if isinstance(message, OfKey) else "conflict"
    error = PydanticCustomError(kind, "{message}", {"message": message})
    parts = path if isinstance(path, tuple) else tuple(path.split("."))
    return InitErrorDetails(type=error, loc=parts, input=None)


def _explain(line: Any, section: type[Section]) -> InitErrorDetails:  # noqa: ANN401
    """One of pydantic's errors in the words of a config's author."""
    kind, loc, value = line["type"], line["loc"], line["input"]
    message = line["msg"]
    if kind == "extra_forbidden":
        kind, message = UNKNOWN_KEY, unknown_key(loc[0], section)
    elif kind == "missing":
        message = "is required"
    elif kind == "literal_error":
        expected = line["ctx"]["expected"]
        message = f"expected {expected}, got {shown(value)}{_nearest(value, expected)}"
    elif kind in {"model_type", "dict_type", "mapping_type"}:
        message = f"expected keys and values, got {shown(value)}"
    elif kind == "tuple_type":
        message = f"expected a list, got {shown(value)}"
    message += _way_out(message, loc, section)
    name = UNKNOWN_KEY if kind == UNKNOWN_KEY else "explained"
    error = PydanticCustomError(name, "{message}", {"message": message})
    return InitErrorDetails(type=error, loc=loc, input=value)


def _nearest(value: object, expected: str) -> str:
    """The nearest of some quoted choices to what was written."""
    return did_you_mean(value, re.findall("'([^']+)'", expected)) if isinstance(value, str) else ""


def _way_out(message: str, loc: tuple[int | str, ...], section: type[Section]) -> str:
    """What to do about a key without a value, as where all that stood below it is commented out.

    It is said once, by the section that has the key: those above find it in the message.
    """
    if not loc or not message.endswith(f"got {NOTHING}"):
        return ""
    field = section.model_fields.get(str(loc[0])) if len(loc) == 1 else None
    has_default = field is not None and not field.is_required()
    return "; fill it in" + (", or leave the key out for its default" if has_default else "")


def unknown_key(key: str, section: type[Section]) -> str:
    """Says that a key is unknown, with the nearest known one or else all of them."""
    known = list(section.model_fields)
    meant = section.synonyms.get(key, key)
    return "unknown key" + (did_you_mean(meant, known) or f"; allowed: {', '.join(known)}")


def shown(value: object) -> str:
    """A value as its author wrote it, on one line, cut to a readable length."""
    if value is None:
        return NOTHING
    if isinstance(value, str):
        text = f"'{value}'"
    elif isinstance(value, float):
        text = repr(value)
    else:
        text = json.dumps(value, default=str, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


class Expected:
    """Replaces whatever pydantic says of a value with `expected <phrase>, got <value>`.

    Of a list whose items have such a phrase of their own, the items that are wrong are told.

    Args:
        phrase: what is wanted, with range and unit: `a positive integer`.
    """

    def __init__(self, phrase: str) -> None:
        self.phrase = phrase

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        def validate(value: object, inner: core_schema.ValidatorFunctionWrapHandler) -> object:
            try:
                return inner(value)
            except ValidationError as error:
                if items := [line for line in error.errors() if _is_of_item(line)]:
                    lines = [_line(line["msg"], line["loc"][-1], "expected") for line in items]
                    raise _again(self.phrase, lines) from None
                message = f"expected {self.phrase}, got {shown(value)}{_hint(value, self.phrase)}"
                raise PydanticCustomError("expected", "{message}", {"message": message}) from None

        return core_schema.no_info_wrap_validator_function(validate, handler(source))


def _is_of_item(line: ErrorDetails) -> bool:
    return line["type"] == "expected" and line["loc"] != () and isinstance(line["loc"][-1], int)


def _hint(value: object, phrase: str) -> str:
    """The nearest of the words that were wanted; or quotes, which make a text of a number."""
    if isinstance(value, str):
        return did_you_mean(value, _words(phrase))
    wants_text = phrase.startswith(("a column", "a file", "text"))
    return f"; write '{value}' in quotes" if wants_text and isinstance(value, int | float) else ""


def _words(phrase: str) -> list[str]:
    """The words that may be written as they are: `true` and `false` of `true or false`."""
    lone = re.match(r"((?:\w+, )*\w+),? or (\w+$)?", phrase)
    return [*lone[1].split(", "), *filter(None, [lone[2]])] if lone else []


class Described(Expected):
    """Says what is wanted in the reference alone: messages are about the parts that are wrong."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return handler(source)


class OneOf:
    """A choice with parameters, written `name` or `{name: ..., parameter: ...}`.

    Stands in the metadata of an annotated union of sections, each of which has a literal under the
    deciding key.

    Args:
        noun: what is chosen, for messages: `optimizer`.
        key: the key that decides.
    """

    def __init__(self, noun: str, key: str = "name") -> None:
        self.noun = noun
        self.key = key

    def __get_pydantic_core_schema__(
        self,
        source: Any,  # noqa: ANN401
        handler: GetCoreSchemaHandler,
    ) -> CoreSchema:
        members = get_args(source) or (source,)
        options = {
            member.model_fields[self.key].annotation.__args__[0]: member for member in members
        }

        def validate(value: object, _: core_schema.ValidatorFunctionWrapHandler) -> object:
            if isinstance(value, members):
                return value
            option = options[self._chosen(value, options)]
            return option.model_validate({self.key: value} if isinstance(value, str) else value)

        return core_schema.no_info_wrap_validator_function(validate, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        long = handler(schema)
        members = long.get("anyOf") or [long]
        alone = []
        for member in map(handler.resolve_ref_schema, members):
            others = [key for key in member.get("required", []) if key != self.key]
            if not others:
                alone.append(member["properties"][self.key]["const"])
            member["required"] = [self.key, *others]  # again, where a member serves several choices
        return {"anyOf": [{"enum": alone}, *members]}

    @property
    def _a_noun(self) -> str:
        return f"{'an' if self.noun[0] in 'aeiou' else 'a'} {self.noun}"

    def _chosen(self, value: object, options: Mapping[str, type[Section]]) -> str:
        """The name of a choice; what is wrong with it stands where the name does."""
        name = value.get(self.key) if isinstance(value, dict) else value
        if isinstance(name, str) and name in options:
            return name
        if isinstance(value, dict) and self.key not in value:
            raise self._without_name(value, options)
        if isinstance(name, str):
            way_out = did_you_mean(name, list(options)) or f"; allowed: {', '.join(options)}"
            message = f"unknown {self.noun} '{name}'{way_out}"
        else:
            message = f"expected the name of {self._a_noun}, got {shown(name)}"
        raise _again(self.noun, [_line(message, self.key if isinstance(value, dict) else None)])

    def _without_name(
        self, value: Mapping[str, object], options: Mapping[str, type[Section]]
    ) -> ValidationError:
        known = {key for option in options.values() for key in option.model_fields}
        for key in value:
            if key not in known and (near := did_you_mean(key, [self.key])):
                return _again(self.noun, [_line(f"unknown key{near}", key, UNKNOWN_KEY)])
        message = f"expected {self._a_noun} as {{{self.key}: ...}}, got no '{self.key}'"
        return _again(self.noun, [_line(message)])


PositiveInt = Annotated[int, Field(gt=0, lt=2**31), Expected("a positive integer")]
NonNegativeInt = Annotated[int, Field(ge=0, lt=2**31), Expected("an integer of 0 or more")]
Number = Annotated[float, Field(allow_inf_nan=False), Expected("a number")]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), Expected("a number above 0")]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False), Expected("a number of 0 or more")]
Fraction = Annotated[float, Field(ge=0, lt=1), Expected("a number in [0, 1)")]
OpenFraction = Annotated[float, Field(gt=0, lt=1), Expected("a number between 0 and 1")]
Share = Annotated[float, Field(ge=0, le=1), Expected("a number from 0 to 1")]
Flag = Annotated[bool, Expected("true or false")]
Column = Annotated[str, Field(min_length=1), Expected("a column's name")]
Monitor = Annotated[str, Expected("the name of a loss or metric")]
