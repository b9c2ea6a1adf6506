"""The values that clients of exported models and of servers send, column by column."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dlcli.arrays import pc

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
