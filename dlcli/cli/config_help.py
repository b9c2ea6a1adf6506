"""Documentation of the keys of a config and of their values, for `dlcli help KEY`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

_MOST_SHOWN = 3
_PART_OF_PATH = re.compile(r"\[i\]|\.\*")


class _Key(NamedTuple):
    """A key of the config."""

    path: str
    text: str
    """Its documentation."""
    words: frozenset[str]
    """The words that it accepts."""


def explain_key(name: str) -> str | None:
    """Return the documentation of the keys with a name, or of those with such a value.

    Args:
        name: a path, its end, or a value: `ensemble.vary`, `tolerance`, `greedy`.

    Returns:
        A paragraph for each key; `None` if there is no such key or value.
    """
    wanted = re.sub(r"\[\d+\]", "[i]", name.strip().lower().replace(" ", "_").replace("-", "_"))
    ends = {wanted, _PART_OF_PATH.sub("", wanted)}

    def is_named(path: str) -> bool:
        plain = _PART_OF_PATH.sub("", path)
        return bool({path, plain} & ends) or plain.endswith(f".{wanted}")

    keys = sorted(_keys(), key=lambda key: key.path.count("."))
    found = [key for key in keys if is_named(key.path)]
    found = found or [key for key in keys if wanted in key.words]
    if not found:
        return None
    by_text: dict[str, list[str]] = {}
    for key in found:
        paths = by_text.setdefault(key.text, [])
        if key.path not in paths:
            paths.append(key.path)
    parts = [f"{', '.join(paths[:_MOST_SHOWN])}\n\n{text}" for text, paths in by_text.items()]
    more = dict.fromkeys([paths[0] for paths in by_text.values()][_MOST_SHOWN:])
    return "\n\n".join([*parts[:_MOST_SHOWN], *([f"Also: {', '.join(more)}"] if more else [])])


def _keys() -> Iterator[_Key]:
    """Yield all keys; a key with several meanings, such as of optimizers, several times."""
    from dlcli.config.config_schema import Config

    schema = Config.model_json_schema()
    yield from _keys_below(schema, "", schema["$defs"])


def _keys_below(part: dict[str, Any], path: str, definitions: dict[str, Any]) -> Iterator[_Key]:
    if "$ref" in part:
        part = definitions[part["$ref"].rpartition("/")[2]]
    for name, below in part.get("properties", {}).items():
        own = f"{path}.{name}" if path else name
        if "description" in below:
            text = " ".join(below["description"].split())
            yield _Key(own, text, frozenset(_words(below)))
        yield from _keys_below(below, own, definitions)
    for below in part.get("anyOf", ()):
        yield from _keys_below(below, path, definitions)
    for key, step in (("items", "[i]"), ("additionalProperties", ".*")):
        if isinstance(part.get(key), dict):
            yield from _keys_below(part[key], path + step, definitions)


def _words(part: dict[str, Any]) -> Iterator[str]:
    """Yield the words among the allowed values."""
    for value in (part.get("const"), *part.get("enum", ())):
        if isinstance(value, str):
            yield value
    for below in part.get("anyOf", ()):
        yield from _words(below)
