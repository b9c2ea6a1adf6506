"""Columns in exports and servers: the values that clients send, and the code of scripts."""

from __future__ import annotations

import json
import re
import textwrap
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

from dlcli.arrays import pc
from dlcli.errors import printable

if TYPE_CHECKING:
    from dlcli.tables.column import Column

RECIPE = "recipe.json"
"""The file of an exported model that describes how values become numbers, see
`ColumnEncoder.recipe`."""
MOST_CHECKED = 200
"""Maximum number of a column's categories in synthetic rows."""
_INVISIBLE = re.compile("[\ufe00-\ufe0f]")
"""Variation selectors; the other invisible characters are in Unicode's category Cf."""
_WHOLE = re.compile(r"(-?(?:0|[1-9][0-9]*))\.0+")


@dataclass(frozen=True)
class ModelInput:
    """One input of an exported model: a column of the table, with one value per row."""

    name: str
    """The name of the column, adapted to the format."""
    type: str
    """The NumPy dtype of the values; `string` for texts."""
    advice: tuple[str, ...]
    """Sentences about the values to send."""
    shape: tuple[int, ...] = ()
    """The shape of a row's value; () for a single value."""


def sent_texts(column: Column) -> list[str]:
    """Return the texts that a client sends for a column, empty where missing, (rows,)."""
    from dlcli.arrays import strings

    texts = column.values if column.kind == "text" else column.canonical()
    values: list[str] = pc.fill_null(texts, strings([""], texts.type)[0]).to_pylist()
    return values


def plain_text(text: str) -> str:
    """Normalize a text as documented for clients, and remove invisible characters."""
    if whole := _WHOLE.fullmatch(text.strip()):
        return whole[1]
    if text.isascii():
        return text
    normal = _INVISIBLE.sub("", unicodedata.normalize("NFKC", text))
    kept = (sign for sign in normal if unicodedata.category(sign) != "Cf" or sign == "\u200b")
    return "".join(kept)


def as_code(name: str) -> str:
    """Return a name as code in Markdown."""
    return f"`{single_line(name)}`"


def single_line(name: str) -> str:
    """Return a name on one line, without characters that end code in Markdown."""
    return " ".join(name.split()).replace("`", "'")


JsonType = Literal["number", "string", "boolean", "integer"]
CURVE_POINTS = 25
"""Number of points in a curve of predictions along numbers or times."""


class KnownValues(NamedTuple):
    """Statistics of a column in the training rows."""

    frequent: Sequence[str] = ()
    """The most frequent values."""
    middle: float | None = None
    """The median of numbers."""


UNKNOWN = KnownValues()


@dataclass(frozen=True)
class ClientColumn:
    """A column that each row of a request to a server must have."""

    name: str
    types: tuple[JsonType, ...]
    """JSON types of the values; the usual type is first."""
    typical: object
    """A typical value."""
    meaning: str
    """The meaning of the values, and their range in the training rows."""
    low: float | str | None = None
    high: float | str | None = None
    """Minimum and maximum of numbers or times (ISO 8601) in the training rows."""
    choices: tuple[str, ...] = ()
    """The values of the training rows, if there are few; the most frequent first if known."""
    is_long: bool = False
    """True if a form needs a field of several lines."""
    is_required: bool = False
    """True if null is refused."""
    along: Sequence[object] = ()
    """Ascending values for a curve of predictions, or choices."""

    @property
    def is_amount(self) -> bool:
        """True if values are numbers in a known range."""
        return isinstance(self.low, float)

    @property
    def description(self) -> str:
        """The meaning of the values, including null."""
        is_null = "is refused" if self.is_required else "is a missing value"
        return f"{self.meaning} null {is_null}."

    @property
    def schema(self) -> dict[str, object]:
        """JSON Schema of the column's values."""
        return {
            "type": [*self.types] if self.is_required else [*self.types, "null"],
            "description": self.description,
            "examples": [self.typical],
        }


WIDTH = 98


@dataclass(frozen=True)
class ScriptCode:
    """The code of a script that fits and encodes columns in the same way as an encoder."""

    template: str
    """The template of its functions, in the folder `templates`; its variable `specs` contains the
    settings of all columns with such an encoder."""
    fit: str | None
    """The function that fits a column, given its values and settings; None if nothing is fitted."""
    imports: tuple[str, ...] = ()
    """The modules that the functions need, as statements."""
    packages: tuple[str, ...] = ()
    """The packages with these modules, as requirements."""
    values: Mapping[str, object] = field(default_factory=dict)
    """Further values for the template."""


def literal(value: object, indent: int = 0, before: int = 0) -> str:
    """Return a value as Python code, on one line or with one or several elements per line.

    Args:
        value: a value of plain types.
        indent: number of spaces before all lines except the first.
        before: number of further characters before the value on the first line.
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
    # `wrap` could split texts with spaces, so each gets a separate line.
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
    """Yield a call on one line, or with one argument per line."""
    line = f"{start}({', '.join(arguments)}){end}"
    if len(line) <= WIDTH - 4:
        yield line
        return
    yield f"{start}("
    yield from (f"    {each}," for each in arguments)
    yield f"){end}"
