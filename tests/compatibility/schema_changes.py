"""Values of one JSON Schema that another one refuses, for the keywords that pydantic writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from operator import ge, le
from typing import Any

Schema = dict[str, Any]
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_LIMITS: dict[str, Callable[[float, float], bool]] = {
    **dict.fromkeys(_LOWER, ge),
    **dict.fromkeys(_UPPER, le),
}
"""The limits, and how the earlier one compares with the present one that keeps all values."""
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}


def refusals(earlier: Schema, present: Schema) -> list[str]:
    """Return what a schema refuses and an earlier version of it accepts, with the path of each."""
    return _Comparison(earlier.get("$defs", {}), present.get("$defs", {})).of(earlier, present)


class _Comparison:
    def __init__(self, earlier: Schema, present: Schema) -> None:
        self._earlier, self._present = earlier, present
        self._known = dict[tuple[str, str], list[str]]()

    def of(self, old: Schema, new: Schema) -> list[str]:
        names = old.get("$ref", ""), new.get("$ref", "")
        if not any(names):
            return self._compare(old, new)
        if not all(names):
            return self._compare(_resolved(old, self._earlier), _resolved(new, self._present))
        if names not in self._known:
            self._known[names] = []  # what refers to itself
            pair = _resolved(old, self._earlier), _resolved(new, self._present)
            self._known[names] = self._compare(*pair)
        return self._known[names]

    def _compare(self, old: Schema, new: Schema) -> list[str]:
        if choices := _choices(old):
            return [each for choice in choices for each in self.of(choice, new)]
        if choices := _choices(new):
            closest = min((self.of(old, choice) for choice in choices), key=_distance)
            return [f": refuses {_label(old)}"] if _distance(closest)[0] else closest
        if values := _values(old):
            return [f": refuses {value!r}" for value in values if not _accepts(new, value)]
        if _values(new):
            return [f": accepts only {_values(new)}"]
        types = _types(old)
        if types - _types(new) if types else _types(new):
            return [f": was {sorted(types)}, is {sorted(_types(new))}"]
        return [*self._limits(old, new), *self._items(old, new), *self._properties(old, new)]

    @staticmethod
    def _limits(old: Schema, new: Schema) -> Iterator[str]:
        for key, keeps in _LIMITS.items():
            if key in new and not (key in old and keeps(old[key], new[key])):
                yield f": {key} was {old.get(key)}, is {new[key]}"
        if "pattern" in new and new["pattern"] != old.get("pattern"):
            yield f": pattern was {old.get('pattern')}, is {new['pattern']}"

    def _items(self, old: Schema, new: Schema) -> Iterator[str]:
        for key, name in (("items", "[]"), ("propertyNames", "{}")):
            if isinstance(new.get(key), dict):
                yield from _below(name, self.of(old.get(key, {}), new[key]))
        if old.get("prefixItems") != new.get("prefixItems"):
            yield ": the items have changed"

    def _properties(self, old: Schema, new: Schema) -> Iterator[str]:
        before, now = old.get("properties", {}), new.get("properties", {})
        others = new.get("additionalProperties", True)
        for name, schema in before.items():
            if name in now or isinstance(others, dict):
                yield from _below(f".{name}", self.of(schema, now.get(name, others)))
            elif not others:
                yield f".{name}: was removed"
        for name in sorted({*new.get("required", ())} - {*old.get("required", ())}):
            yield f".{name}: is required"
        free = old.get("additionalProperties", True)
        if free is not False and others is not True:
            any_value: Schema = {}
            if others is False:
                yield ".*: is refused"
            else:
                yield from _below(".*", self.of(any_value if free is True else free, others))


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    if "$ref" not in schema:
        return schema
    resolved: Schema = definitions[schema["$ref"].removeprefix("#/$defs/")]
    return _resolved(resolved, definitions)


def _choices(schema: Schema) -> list[Schema]:
    choices: list[Schema] = schema.get("anyOf") or schema.get("oneOf") or []
    return choices


def _values(schema: Schema) -> list[Any]:
    return [schema["const"]] if "const" in schema else schema.get("enum", [])


def _types(schema: Schema) -> set[str]:
    types = schema.get("type", [])
    types = {types} if isinstance(types, str) else {*types}
    return types | {"integer"} if "number" in types else types


def _accepts(schema: Schema, value: object) -> bool:
    values, types = _values(schema), _types(schema)
    return value in values if values else not types or _TYPES[type(value)] in types


def _distance(problems: list[str]) -> tuple[bool, int]:
    """Compare choices: another kind, or another section with a `name`, is the least similar."""
    other = any(each.startswith((":", ".name:", ".type:")) for each in problems)
    return other, len(problems)


def _label(schema: Schema) -> str:
    """Return the name of a section, or the values or types of another choice."""
    named = schema.get("properties", {}).get("name", schema)
    return ", ".join(map(str, _values(named) or sorted(_types(named)))) or "some values"


def _below(name: str, problems: list[str]) -> list[str]:
    return [f"{name}{each}" for each in problems]
