"""A config as a flat list of parameters, such as trackers compare."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dlcli.config import Config, Section

Parameter = bool | int | float | str


def parameters_of(config: Config) -> dict[str, Parameter]:
    """The values of a config by their path: `hidden[0].units`, as `--set` takes it.

    What the schema names is a parameter of its own. What the user names, as columns and classes, is
    one value, as JSON: else a wide table had thousands of parameters, and any text for a name.
    """
    return dict(_flat("", config))


def _flat(path: str, value: object) -> Iterator[tuple[str, Parameter]]:
    if isinstance(value, Section):
        for key in type(value).model_fields:
            yield from _flat(f"{path}.{key}" if path else key, getattr(value, key))
    elif isinstance(value, tuple) and any(isinstance(item, Section) for item in value):
        for place, item in enumerate(value):
            yield from _flat(f"{path}[{place}]", item)
    elif isinstance(value, bool | int | float | str):
        yield path, value
    elif value is not None:
        yield path, json.dumps(_plain(value), ensure_ascii=False)


def _plain(value: object) -> Any:  # noqa: ANN401
    """The same as JSON has it."""
    if isinstance(value, Section):
        return value.model_dump(mode="json", exclude_none=True)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(item) for item in value]
    return value


def shortened(text: str, most: int) -> str:
    """A text of so many letters at most, of which the last say that more are left out."""
    return text if len(text) <= most else f"{text[: most - 3]}..."
