"""Names in `--set` that were taken for more than a name: those of `c[0]`, `Sepal.Length`, `<=50K`.

What a column or class is called may look like a step of a path, unless it stands in quotes.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import get_args

from dlcli.config.features import Feature
from dlcli.config.overrides import label, read_argument
from dlcli.config.paths import Path, printable
from dlcli.config.ranges import Range
from dlcli.errors import Problem

_PLACES = {"input.features": "column", "class_weight": "class", "tune.space": "setting"}
"""Where keys are names of the user's own, and what they are the names of."""
_KEYS = sorted({key for kind in get_args(get_args(Feature)[0]) for key in kind.model_fields})
_KEYS_BEHIND = {
    "input.features": re.compile(rf"\.(?:{'|'.join(_KEYS)})(?:\.\w+)*$"),
    "tune.space": re.compile(rf"\.(?:{'|'.join(Range.model_fields)})$"),
}
"""What may follow a name."""
_LONG_VALUE = re.compile(r"""=\s*[{\["']""")


def with_quotes(problems: Iterable[Problem], arguments: Sequence[str]) -> Iterator[Problem]:
    """Adds how to quote the name in a `--set` to the problems that may come from it.

    Args:
        problems: what is wrong with a config.
        arguments: those of all `--set`.
    """
    hints = {label(argument): _hint(argument) for argument in arguments}
    for problem in problems:
        hint = hints.get(problem.position, "") if "did you mean" not in problem.message else ""
        yield replace(problem, message=problem.message + hint)


def _hint(argument: str) -> str:
    """How an argument reads with its name in quotes; empty if that would be the same."""
    path, value = _parted(argument)
    place = next((each for each in _PLACES if path.startswith((f"{each}.", f"{each}["))), None)
    if place is None:
        return ""
    rest = path[len(place) :]
    keys = _KEYS_BEHIND[place].search(rest) if place in _KEYS_BEHIND else None
    behind = keys[0] if keys else ""
    name = _bare(rest.removesuffix(behind))
    quoted = f"{place}[{json.dumps(name, ensure_ascii=False)}]{behind}={value}"
    if place == "tune.space" and name.startswith("hidden."):  # has its settings below it
        return ""
    if not (name and value) or _path(quoted) == _path(argument):
        return ""
    setting = printable(shlex.quote(quoted))
    return f"; if '{printable(name)}' is a {_PLACES[place]}, quote it: --set {setting}"


def _parted(argument: str) -> tuple[str, str]:
    """Path and value: the name may hold a `=`, a value in brackets or quotes as well."""
    long = _LONG_VALUE.search(argument)
    end = long.start() if long else argument.rfind("=")
    return (
        (argument[:end].strip(), argument[end + 1 :].strip()) if end > 0 else (argument.strip(), "")
    )


def _bare(step: str) -> str:
    """A name without the dot or the brackets that set it off."""
    return step[1:].removesuffix("]").strip("\"'") if step.startswith("[") else step[1:]


def _path(argument: str) -> Path | None:
    try:
        return read_argument(argument)[0]
    except ValueError:
        return None
