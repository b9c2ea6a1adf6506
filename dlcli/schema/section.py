"""The base of all config sections: strict, immutable models that explain their errors.

Modules with sections don't postpone the evaluation of annotations, because pydantic would parse
each of them again.
"""

import ast
import inspect
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import islice, pairwise
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self, Union, get_args, get_origin

import pydantic
import yaml
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import ErrorDetails, InitErrorDetails, PydanticCustomError, core_schema

from dlcli.errors import did_you_mean, did_you_mean_or_all, listed, most_similar, truncate
from dlcli.metrics.definitions import METRICS

Conflict = tuple[str | tuple[str | int, ...], str]
"""The path of a key in its section, and why its value conflicts with others. The path is a tuple if
a key may contain a dot, or for an item of a list."""

MAX_PROBLEMS = 100
"""Maximum number of problems of a config that are reported individually."""

_MOST_EXPLAINED = 1_000
"""Length of a list or a mapping up to which every wrong item is reported."""

UNKNOWN_KEY = "unknown_key"
"""Type of errors that are located at the key instead of its value."""

NOTHING = "nothing"
"""How messages show a null, the value of a key without a value."""


class FieldDoc(NamedTuple):
    """The documentation of a key, from the text below its field."""

    text: str
    examples: list[object] | None
    """Example values, from the YAML list after `Examples:`, for the schema and the docs."""


class Section(BaseModel):
    """A mapping in the config: typed, immutable, without unknown keys.

    pydantic builds a section at its first use, because most configs use few sections.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", defer_build=True)
    synonyms: ClassVar[Mapping[str, str]] = {}
    """Names of keys in other programs, for messages."""
    elsewhere: ClassVar[Mapping[str, str]] = {}
    """Keys of other programs, with their replacement here; VALUE stands for the value."""
    required: ClassVar[Mapping[str, str]] = {}
    """Examples of required keys, for messages."""
    aliases: ClassVar[tuple[str, ...]] = ()
    """Names of this section in Keras and scikit-learn, which configs may use."""

    @classmethod
    def field_docs(cls) -> dict[str, FieldDoc]:
        """Return the documentation of each field: the text below it in the source."""
        docs: dict[str, FieldDoc] = {}
        for section in reversed(cls.__mro__):
            if issubclass(section, Section):
                docs |= _docs_of_classes(section.__module__).get(section.__name__, {})
        return {key: docs[key] for key in cls.model_fields if key in docs}

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: pydantic.GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        found = handler(schema)
        properties = handler.resolve_ref_schema(found)["properties"]
        for key, doc in cls.field_docs().items():
            properties[key]["description"] = doc.text
            if doc.examples:
                properties[key]["examples"] = doc.examples
        return found

    @classmethod
    def instead_of(cls, value: object) -> str:
        """Return what to write instead of a value that is not a mapping; empty if unknown."""
        return ""

    @classmethod
    def misplaced(cls, value: object) -> str:
        """Return where to write an unknown key with such a value; empty if unknown."""
        return ""

    @classmethod
    def moved(cls, key: str, value: object) -> str:
        """Return what to write instead of a key of `elsewhere` with its value."""
        return cls.elsewhere[key].replace("VALUE", shown_in_yaml(value))

    def conflicts(self) -> Iterator[Conflict]:
        """Yield keys whose values are valid individually but not combined."""
        yield from ()

    def differs(self, key: str) -> bool:
        """Return whether a key differs from its default."""
        return bool(getattr(self, key) != type(self).model_fields[key].get_default())

    @property
    def is_default(self) -> bool:
        """True if all keys have their defaults."""
        return not any(self.differs(key) for key in type(self).model_fields)

    def without_effect(self, *keys: str, because: str) -> Iterator[Conflict]:
        """Yield a conflict for each key that is set although it has no effect."""
        for key in keys:
            if self.differs(key):
                yield key, f"has no effect {because}"

    @model_validator(mode="wrap")
    @classmethod
    def _explain_errors(cls, value: Any, handler: pydantic.ModelWrapValidatorHandler[Self]) -> Self:  # noqa: ANN401
        if isinstance(value, Mapping) and len(value) > _MOST_EXPLAINED:
            raise value_error(f"has {len(value):,} keys, more than {_MOST_EXPLAINED:,}")
        try:
            section = handler(value)
        except ValidationError as error:
            lines = _without_misspelled(error.errors(include_url=False), cls)
            # Only count problems beyond the limit.
            explained = [_explain(line, cls) for line in lines[:MAX_PROBLEMS]]
            explained += [_line("")] * len(lines[MAX_PROBLEMS:])
            raise _validation_error(cls.__name__, *explained) from None
        conflicts = []
        for path, message in section.conflicts():
            keys = path if isinstance(path, tuple) else path.split(".")
            conflicts.append(_line(message, *keys, kind="conflict"))
        if conflicts:
            raise _validation_error(cls.__name__, *conflicts)
        return section


class Choice(Section):
    """A section that is selected by its name, such as `class Adam(Choice, name="adam")`.

    This name is the default and the only value of the key `name`.
    """

    name: Any = ""  # a literal in each choice

    def __init_subclass__(cls, name: str | None = None) -> None:
        super().__init_subclass__()
        if name is not None:  # base classes have no name
            cls.__annotations__ = {"name": Literal[name], **inspect.get_annotations(cls)}
            cls.name = name
            _CHOICES.append(cls)


_CHOICES: list[type[Choice]] = []
"""All choices with a name, in the order of their definition."""


def members_of(choice: Any, key: str = "name") -> dict[str, Any]:  # noqa: ANN401
    """Return the sections of a choice: the members of a union, or the subclasses of a class.

    Args:
        choice: the union or the class, which may be annotated.
        key: the deciding key.

    Returns:
        The sections by the value of that key.
    """
    kind = choice.__origin__ if get_origin(choice) is Annotated else choice
    members = get_args(kind) or [each for each in _CHOICES if issubclass(each, kind)]
    return {member.model_fields[key].default: member for member in members}


@cache
def _docs_of_classes(module: str) -> dict[str, dict[str, FieldDoc]]:
    """Return the documentation of the fields of each class of a module.

    Reading the source takes long, so only the schema and the reference use it.
    """
    found: dict[str, dict[str, FieldDoc]] = {}
    for node in ast.parse(inspect.getsource(sys.modules[module])).body:
        if isinstance(node, ast.ClassDef):
            docs = found.setdefault(node.name, {})
            for field, doc in pairwise(node.body):
                match field, doc:
                    case (
                        ast.AnnAssign(target=ast.Name(id=name)),
                        ast.Expr(value=ast.Constant(value=str(text))),
                    ):
                        whole, _, examples = inspect.cleandoc(text).partition("\n\nExamples:")
                        docs[name] = FieldDoc(whole, yaml.safe_load(examples))
    return found


def value_error(
    message: str, kind: str = "choice", *, is_missing: bool = False
) -> PydanticCustomError:
    """Return the error to raise for a value in a validator.

    Args:
        message: the message.
        kind: the type of the error.
        is_missing: whether a required value is null, for example because all lines below a key are
            commented out; the section of the key adds a hint.
    """
    return PydanticCustomError(kind, "{message}", {"message": message, "is_missing": is_missing})


def not_as_expected(
    phrase: str, value: object, way_out: str = "", kind: str = "choice"
) -> PydanticCustomError:
    """Return the error to raise in a validator: `expected <phrase>, got <value><way_out>`."""
    message = f"expected {phrase}, got {shown(value)}{way_out}"
    return value_error(message, kind, is_missing=value is None)


def _validation_error(title: str, *lines: InitErrorDetails) -> ValidationError:
    return ValidationError.from_exception_data(title, list(lines))


def _line(
    error: PydanticCustomError | str, *loc: str | int, kind: str = "choice", value: object = None
) -> InitErrorDetails:
    own = value_error(error, kind) if isinstance(error, str) else error
    return InitErrorDetails(type=own, loc=loc, input=value)


def _without_misspelled(
    lines: Sequence[ErrorDetails], section: type[Section]
) -> Sequence[ErrorDetails]:
    """Remove errors about missing keys if an unknown key is a misspelling."""
    unknown = [str(line["loc"][0]) for line in lines if line["type"] == "extra_forbidden"]
    unknown = unknown[:MAX_PROBLEMS]
    names, synonyms = [*section.model_fields], section.synonyms
    meant = [most_similar(synonyms.get(key, key), names) for key in unknown]
    return [line for line in lines if line["type"] != "missing" or line["loc"][0] not in meant]


def _explain(line: ErrorDetails, section: type[Section]) -> InitErrorDetails:
    """Reword a pydantic error for the author of a config."""
    kind, loc, value, message = line["type"], line["loc"], line["input"], line["msg"]
    is_missing = line.get("ctx", {}).get("is_missing", value is None and kind in _OF_VALUES)
    if kind == "extra_forbidden":
        kind, message = UNKNOWN_KEY, _unknown_key(str(loc[0]), value, section)
    elif kind == "missing":
        example = section.required.get(str(loc[0]))
        message = f"is required; {example}" if example else "is required"
    elif kind == "literal_error":
        *others, last = words_of(section.model_fields[str(loc[0])].annotation, inside=True)
        near = did_you_mean(value, [*others, last]) if isinstance(value, str) else ""
        expected = f"{', '.join(map(repr, others))} or {last!r}" if others else repr(last)
        message = f"expected {expected}, got {shown(value)}{near}"
    elif kind in {"model_type", "dict_type", "mapping_type"}:
        message = f"expected keys and values, got {shown(value)}"
        if isinstance(value, tuple) and len(value) == 1 and isinstance(value[0], Mapping):
            message += "; the line has two dashes, as a line copied from a diff: remove one"
        elif way_out := "" if loc else section.instead_of(value):
            message += f"; {way_out}"
    elif kind == "tuple_type":
        message = f"expected a list, got {shown(value)}"
        if isinstance(value, str):
            message += f"; write {shown_in_yaml((value,))}"
    if loc and is_missing:
        is_missing = False
        field = section.model_fields.get(str(loc[0])) if len(loc) == 1 else None
        has_default = field is not None and not field.is_required()
        message += "; fill it in" + (", or omit the key for its default" if has_default else "")
    kind = UNKNOWN_KEY if kind == UNKNOWN_KEY else "explained"
    return _line(value_error(message, kind, is_missing=is_missing), *loc, value=value)


_OF_VALUES = ("literal_error", "model_type", "dict_type", "mapping_type", "tuple_type")
"""Types of pydantic errors whose reworded messages end with the value."""


def words_of(annotation: Any, *, inside: bool = False) -> Iterator[str]:  # noqa: ANN401
    """Yield the words that a type allows: literals, `true` and `false`.

    Args:
        annotation: the type.
        inside: whether to include the words of the items of lists and mappings.
    """
    if (origin := get_origin(annotation)) is Literal:
        yield from (each for each in get_args(annotation) if isinstance(each, str))
    elif annotation is bool:
        yield from ("true", "false")
    elif origin is Annotated:
        yield from words_of(annotation.__origin__, inside=inside)
    elif inside or origin in (Union, UnionType):
        for each in get_args(annotation):
            yield from words_of(each, inside=inside)


def _unknown_key(key: str, value: object, section: type[Section]) -> str:
    """Return the message for an unknown key, with a replacement or a similar key."""
    if line := _with_space(key, value):
        return f"unknown key; {line}"
    if key in section.elsewhere:
        return f"unknown key; {section.moved(key, value)}"
    if key[:1] in ("-", "+") and key[1:].strip() in section.model_fields:
        remedy = "this line" if key[0] == "-" else "the '+'"
        return f"unknown key; copied from a diff? remove {remedy}"
    if way_out := section.misplaced(value):
        return f"unknown key; {way_out}"
    meant = section.synonyms.get(key, key)
    return f"unknown key{did_you_mean_or_all(meant, list(section.model_fields))}"


def _with_space(key: str, value: object) -> str:
    """Return the correction of a key without a space after its colon, such as `{name:adam}`."""
    name, colon, text = key.partition(":")
    is_pair = colon and value is None and name.isidentifier()
    return f"write '{name}: {text}', with a space after the colon" if is_pair else ""


def shown(value: object) -> str:
    """Format a value as in a config, in one line of at most 60 characters."""
    if value is None:
        return NOTHING
    if isinstance(value, str):
        text = f"'{value}'"
    elif isinstance(value, float):
        text = repr(value)
    else:
        text = json.dumps(value, default=str, ensure_ascii=False)
    return truncate(text, 60)


def shown_in_yaml(value: object) -> str:
    """Format a value in YAML's flow style, in one line of at most 60 characters."""
    if isinstance(value, Mapping):
        pairs = (f"{key}: {shown_in_yaml(item)}" for key, item in value.items())
        return truncate(f"{{{', '.join(pairs)}}}", 60)
    if isinstance(value, tuple):
        return truncate(f"[{', '.join(map(shown_in_yaml, value))}]", 60)
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    return truncate(str(value), 60)


def is_number(value: object) -> bool:
    """Return whether a value is a number; booleans are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(eq=False)
class Expected:
    """Marks a type whose errors are all `expected <phrase>, got <value>`.

    If the items of a list also have a phrase, errors point to the wrong items instead.

    Args:
        phrase: the expected value, with range and unit: `a positive integer`.
        way_out: returns a hint for a wrong value. [default: the most similar allowed word]
    """

    phrase: str
    way_out: Callable[[object], str] | None = None

    def __get_pydantic_core_schema__(
        self, source: object, handler: pydantic.GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        def validate(value: object, inner: core_schema.ValidatorFunctionWrapHandler) -> object:
            try:
                return inner(value)
            except ValidationError as error:
                if lines := [_again(line) for line in error.errors() if _is_of_item(line)]:
                    raise _validation_error(self.phrase, *lines) from None
                words = [*words_of(source)] if isinstance(value, str) else []
                way_out = did_you_mean(str(value), words)
                if self.way_out is not None:
                    way_out = self.way_out(value)
                raise not_as_expected(self.phrase, value, way_out, "expected") from None

        return core_schema.no_info_wrap_validator_function(validate, handler(source))


def at_most(count: int) -> BeforeValidator:
    """Return a validator that refuses a longer list before its items are checked."""

    def check(value: object) -> object:
        if isinstance(value, tuple) and len(value) > count:
            raise value_error(f"has {len(value):,} entries, more than {count}")
        return value

    return BeforeValidator(check)


def _if_long(noun: str, kinds: type | UnionType) -> BeforeValidator:
    """Return a validator that ends at the first item of a long list that is of no such type."""

    def check(value: object) -> object:
        if isinstance(value, tuple | list) and len(value) > _MOST_EXPLAINED:
            other = next((at for at, item in enumerate(value) if not isinstance(item, kinds)), None)
            if other is not None:
                message = f"expected a list of {noun}, got {shown(value[other])} at [{other}]"
                raise value_error(message)
        return value

    return BeforeValidator(check)


TEXTS_IF_LONG = _if_long("texts", str)
SCALARS_IF_LONG = _if_long("texts or numbers", str | int | float)


def _check_in_parts(value: object, check: ValidatorFunctionWrapHandler) -> object:
    if not isinstance(value, Mapping) or len(value) <= _MOST_EXPLAINED:
        return check(value)
    entries, checked = iter(value.items()), dict[str, object]()
    while part := dict(islice(entries, _MOST_EXPLAINED)):
        checked |= check(part)
    return checked


IN_PARTS = WrapValidator(_check_in_parts)
"""A validator that ends at the first part of a long mapping with errors, which bounds their
number."""


def _again(line: ErrorDetails) -> InitErrorDetails:
    """Return the error of `Expected` for an item, at the position of the item."""
    error = value_error(line["msg"], "expected", is_missing=line["ctx"]["is_missing"])
    return _line(error, line["loc"][-1], value=line["input"])


def _is_of_item(line: ErrorDetails) -> bool:
    return line["type"] == "expected" and line["loc"] != () and isinstance(line["loc"][-1], int)


def with_quotes(value: object) -> str:
    """Return the hint for a name that YAML reads as a number or a boolean."""
    return f"; write '{shown(value)}' in quotes" if isinstance(value, int | float) else ""


class Described(Expected):
    """Marks a type with a phrase for the reference; errors refer to its parts."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: pydantic.GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return handler(source)


@dataclass(eq=False)
class OneOf:
    """Marks a choice between sections: `name` or `{name: ..., parameter: ...}`.

    The marked type is a union of sections, or the base class of all choices. Each section has a
    literal as its `key`. Only the selected section is built.

    Args:
        noun: the noun in messages: `optimizer`.
        key: the deciding key.
        instead: hints for names of other programs that match several choices, by the name in lower
            case without underscores.
        members: the sections by name. [default: all sections of the marked type]
    """

    noun: str
    key: str = "name"
    instead: Mapping[str, str] = field(default_factory=dict)
    members: Mapping[str, type[Section]] | None = None

    def members_in(self, choice: Any) -> Mapping[str, Any]:  # noqa: ANN401
        """Return the sections by name, given the marked type."""
        return self.members or members_of(choice, self.key)

    def __get_pydantic_core_schema__(
        self, source: object, handler: pydantic.GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        self._members = self.members_in(source)
        alone: dict[str, Section] = {}  # sections are immutable

        def validate(value: object) -> object:
            if isinstance(value, Section) and isinstance(value, tuple(self._members.values())):
                return value
            name = self._chosen(value)
            others = value if isinstance(value, dict) else {}
            if others is not value:
                if name not in alone:
                    self._refuse_incomplete(name)
                    alone[name] = self._members[name].model_validate({self.key: name})
                return alone[name]
            return self._members[name].model_validate({**others, self.key: name})

        return core_schema.no_info_plain_validator_function(validate)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: pydantic.GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        for member in self._members.values():
            member.model_rebuild()
        union = [member.__pydantic_core_schema__ for member in self._members.values()]
        long = handler(core_schema.union_schema(union))
        options = long.get("anyOf") or [long]
        alone = []
        for option in map(handler.resolve_ref_schema, options):
            others = [key for key in option.get("required", []) if key != self.key]
            if not others:
                name = option["properties"][self.key]["const"]
                alone.append({"const": name, "description": option["description"]})
            option["required"] = [self.key, *others]  # may be repeated
        return {"anyOf": [*alone, *options]}

    def _spelled(self, name: str) -> str | None:
        """Return the choice for a spelling: `leaky_relu`, `LeakyReLU`, or an alias."""
        if name in self._members:
            return name
        for known, member in self._members.items():
            if name.lower() in (known, known.replace("_", ""), *member.aliases):
                return known
        return None

    def _refuse_incomplete(self, name: str) -> None:
        """Raise an error for a name without parameters if its section has required keys."""
        fields = self._members[name].model_fields.items()
        if needed := [key for key, field in fields if field.is_required()]:
            written = ", ".join([f"{self.key}: {name}", *(f"{key}: ..." for key in needed)])
            message = f"'{name}' requires {listed(needed)}; write {{{written}}}"
            raise _validation_error(self.noun, _line(message))

    def _chosen(self, value: object) -> str:
        """Return the selected name, or raise an error located at the name."""
        name = value.get(self.key) if isinstance(value, dict) else value
        if isinstance(name, str) and (known := self._spelled(name)):
            return known
        a_noun = f"{'an' if self.noun[0] in 'aeiou' else 'a'} {self.noun}"
        if isinstance(value, dict) and self.key not in value:
            keys = {key for member in self._members.values() for key in member.model_fields}
            for key, item in value.items():
                near = did_you_mean(key, [self.key]) if key not in keys else ""
                spaced = _with_space(key, item)
                if near or spaced:
                    message = f"unknown key; {spaced}" if spaced else f"unknown key{near}"
                    line = _line(message, key, kind=UNKNOWN_KEY)
                    raise _validation_error(self.noun, line)
            message = f"expected {a_noun} such as {{{self.key}: ...}}, but '{self.key}' is missing"
            for key, item in value.items():
                if known := self._spelled(key):  # {adam: {learning_rate: 0.1}}
                    parameters = [*item] if isinstance(item, dict) else []
                    if key in self._members[known].model_fields:  # {l2: 1e-4}
                        parameters = [key]
                    pairs = {self.key: known, **dict.fromkeys(parameters, "...")}
                    message += f"; write {shown_in_yaml(pairs)}"
            raise _validation_error(self.noun, _line(message))
        if isinstance(name, str):
            way_out = self.instead.get(name.lower().replace("_", ""))
            near = f"; {way_out}" if way_out else did_you_mean_or_all(name, [*self._members])
            message = f"unknown {self.noun} '{name}'{near}"
            error = value_error(message)
        else:
            error = not_as_expected(f"the name of {a_noun}", name)
        loc = (self.key,) if isinstance(value, dict) else ()
        raise _validation_error(self.noun, _line(error, *loc))


PositiveInt = Annotated[int, Field(gt=0, lt=2**31), Expected("a positive integer")]
NonNegativeInt = Annotated[int, Field(ge=0, lt=2**31), Expected("an integer of 0 or more")]
Number = Annotated[float, Field(allow_inf_nan=False), Expected("a number")]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False), Expected("a number above 0")]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False), Expected("a number of 0 or more")]


def _of_percent(value: object) -> str:
    """Return the fraction to write instead of a percentage such as 50."""
    is_percentage = isinstance(value, int | float) and 1 < value < 100  # noqa: PLR2004
    return f"; write {value / 100:g}" if is_percentage else ""  # type: ignore[operator]


Fraction = Annotated[
    float, Field(ge=0, lt=1), Expected("a number of 0 or more and below 1", _of_percent)
]
OpenFraction = Annotated[float, Field(gt=0, lt=1), Expected("a number between 0 and 1")]
Share = Annotated[float, Field(ge=0, le=1), Expected("a number from 0 to 1")]
Flag = Annotated[bool, Expected("true or false")]
ColumnName = Annotated[str, Field(min_length=1), Expected("a column name", with_quotes)]


# Names of metrics


_METRICS_BY_SPELLING = {
    spelling: name
    for name, metric in METRICS.items()
    for alias in (name, *metric.aliases)
    for spelling in (alias, alias.replace("_", ""))
}
"""Metrics by all their names, including those of Keras and scikit-learn."""


def to_metric(name: object) -> object:
    """Return dlcli's name of a metric, with an optional prefix `val_`."""
    if not isinstance(name, str):
        return name
    plain = name.lower().removeprefix("val_")
    prefix = "val_" if name.lower() != plain else ""
    known = _METRICS_BY_SPELLING.get(plain)
    return f"{prefix}{known}" if known else name


Monitor = Annotated[str, BeforeValidator(to_metric), Expected("the name of a loss or metric")]
