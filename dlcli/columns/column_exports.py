"""What exports and servers have of a column: values that clients send, and code of scripts."""

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
"""The file of an exported model that says how values become numbers, see `ColumnEncoder.recipe`."""
MOST_CHECKED = 200
"""Most categories of a column that made-up rows have."""
_INVISIBLE = re.compile("[\ufe00-\ufe0f]")
"""Variation selectors; the other invisible characters are those of Unicode's category Cf."""
_WHOLE = re.compile(r"(-?(?:0|[1-9][0-9]*))\.0+")


@dataclass(frozen=True)
class ModelInput:
    """One input of an exported model: a column of the table, one value a row."""

    name: str
    """The column's name, as far as the format allows it."""
    type: str
    """NumPy's name of the values' type; `string` for texts."""
    advice: tuple[str, ...]
    """The values to send, in sentences."""
    shape: tuple[int, ...] = ()
    """The shape of a row's value; of a plain one ()."""


def sent_texts(column: Column) -> list[str]:
    """Return the texts of a column as a client sends them, empty where missing, (rows,)."""
    from dlcli.arrays import strings

    texts = column.values if column.kind == "text" else column.canonical()
    values: list[str] = pc.fill_null(texts, strings([""], texts.type)[0]).to_pylist()
    return values


def plain_text(text: str) -> str:
    """Do what the documentation asks for texts: normalize them, and remove what is invisible."""
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
    """Return a name on one line, without what would end code in Markdown."""
    return " ".join(name.split()).replace("`", "'")


JsonType = Literal["number", "string", "boolean", "integer"]
CURVE_POINTS = 25
"""Points of a curve of predictions along numbers or times."""


class KnownValues(NamedTuple):
    """What is known of the training rows' values of a column."""

    frequent: Sequence[str] = ()
    """The most frequent ones."""
    middle: float | None = None
    """The median of numbers."""


UNKNOWN = KnownValues()


@dataclass(frozen=True)
class ClientColumn:
    """A column that each row of a request to a server must have."""

    name: str
    types: tuple[JsonType, ...]
    """Types of the values in JSON; the usual one is first."""
    typical: object
    """A value as most rows have it."""
    meaning: str
    """The meaning of values, and those of training rows, in a sentence or two."""
    low: float | str | None = None
    high: float | str | None = None
    """The training rows' range of numbers, and of times as ISO 8601."""
    choices: tuple[str, ...] = ()
    """The values of the training rows if they are few, the most frequent first if it is known."""
    is_long: bool = False
    """True if a field of several lines suits the values."""
    is_required: bool = False
    """True if null is refused."""
    along: Sequence[object] = ()
    """Values of a curve of predictions, from the lowest to the highest, or of each choice."""

    @property
    def is_amount(self) -> bool:
        """True if values are numbers in a known range."""
        return isinstance(self.low, float)

    @property
    def description(self) -> str:
        """The meaning of values, null included."""
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
