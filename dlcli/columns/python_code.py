"""Python code as text, for scripts: values, calls, and the parts that a type of column adds."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dlcli.errors import printable

WIDTH = 98


@dataclass(frozen=True)
class ScriptCode:
    """The code of a script that fits and encodes columns as one encoder does."""

    template: str
    """The template of its functions, in the folder `templates`; its `specs` are the settings of all
    columns of such encoders."""
    fit: str | None
    """The function that fits a column, given its values and settings; None if nothing is fitted."""
    imports: tuple[str, ...] = ()
    """The modules that the functions need, as statements."""
    packages: tuple[str, ...] = ()
    """The packages that these are in, as requirements."""
    values: Mapping[str, object] = field(default_factory=dict)
    """Further values for the template."""


def literal(value: object, indent: int = 0, before: int = 0) -> str:
    """Return a value as Python code, on one line or with one element, or some, on each.

    Args:
        value: of plain types.
        indent: columns before further lines.
        before: columns before the first line, besides.
    """
    line = _one_line(value)
    if not isinstance(value, list | dict) or len(line) <= WIDTH - indent - before:
        return line
    inner = " " * (indent + 4)
    if isinstance(value, dict):
        elements = [f"{_one_line(key)}: {literal(each, indent + 4)}" for key, each in value.items()]
        body = "".join(f"{inner}{each},\n" for each in elements)
        return f"{{\n{body}{' ' * indent}}}"
    words = ", ".join(map(_one_line, value)) + ","
    width = WIDTH - indent - 4
    wrapped = textwrap.wrap(words, width, break_long_words=False, break_on_hyphens=False)
    # Texts with blanks may be cut within: then each has a line of its own.
    if any(" " in _one_line(each) for each in value):
        wrapped = [f"{_one_line(each)}," for each in value]
    body = "".join(f"{inner}{each}\n" for each in wrapped)
    return f"[\n{body}{' ' * indent}]"


def _one_line(value: object) -> str:
    if isinstance(value, str):
        return printable(json.dumps(value, ensure_ascii=False))
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_one_line(k)}: {_one_line(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        left, right = "[]" if isinstance(value, list) else "()"
        return left + ", ".join(map(_one_line, value)) + right
    return repr(value)


def call_lines(start: str, arguments: Sequence[str], end: str = "") -> Iterator[str]:
    """Yield a call on one line, or with one argument on each."""
    line = f"{start}({', '.join(arguments)}){end}"
    if len(line) <= WIDTH - 4:
        yield line
        return
    yield f"{start}("
    yield from (f"    {each}," for each in arguments)
    yield f"){end}"
