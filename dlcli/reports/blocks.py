"""What a page is made of: sections of blocks, which its template lays out.

Texts are plain: whatever a run's names and values hold, they stay text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

Spec = Mapping[str, Any]
"""A chart in Vega-Lite."""


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Warnings:
    """What is to be known before one trusts what follows."""

    kind: ClassVar[str] = "warnings"
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Code:
    """A text that a program reads, such as a config or a command."""

    kind: ClassVar[str] = "code"
    text: str
    caption: str = ""


@dataclass(frozen=True)
class Card:
    """One number that matters."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Cards:
    """Some numbers that matter, side by side."""

    kind: ClassVar[str] = "cards"
    cards: tuple[Card, ...]


@dataclass(frozen=True)
class Table:
    """Rows of cells, which scroll sideways within themselves."""

    kind: ClassVar[str] = "table"
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    texts: int = 1
    """How many columns, from the first, hold text; the others hold numbers."""
    note: str = ""
    """Said below it."""


@dataclass(frozen=True)
class Chart:
    """A chart, and all that one needs who can't see it."""

    kind: ClassVar[str] = "chart"
    title: str
    spec: Spec
    shows: str
    """What it shows, in a sentence with its main numbers."""
    reading: str = ""
    """How to read it, in a sentence."""
    numbers: Table | None = None
    """Its numbers, folded."""
    legend: tuple[tuple[str, str], ...] = ()
    """What its colours stand for: names, and colours by name (`train`)."""
    offers_log: bool = False
    """Whether one may choose a logarithmic scale for y."""


@dataclass(frozen=True)
class Layer:
    """One layer of a network."""

    name: str
    kind: str
    """Keras's name for it."""
    shape: str
    """`4 → 16`."""
    detail: str
    """The activation, or what else it does."""
    parameters: str


@dataclass(frozen=True)
class Layers:
    """A network, drawn as its layers in order."""

    kind: ClassVar[str] = "layers"
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Attempt:
    """Something to try."""

    why: str
    command: str
    """What tries it, as one types it."""


@dataclass(frozen=True)
class Finding:
    """Something that was seen, what it means, and what to try."""

    title: str
    text: str
    attempts: tuple[Attempt, ...] = ()
    source: str = ""
    """Where that is known from."""


@dataclass(frozen=True)
class Findings:
    """What to try next."""

    kind: ClassVar[str] = "findings"
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class ColumnCard:
    """A column of the data."""

    name: str
    type: str
    facts: tuple[str, ...]
    chart: Chart | None


@dataclass(frozen=True)
class ColumnCards:
    """Columns of the data, side by side."""

    kind: ClassVar[str] = "columns"
    columns: tuple[ColumnCard, ...]


@dataclass(frozen=True)
class Grid:
    """Blocks side by side where there is room."""

    kind: ClassVar[str] = "grid"
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Group:
    """Blocks under a heading of their own."""

    kind: ClassVar[str] = "group"
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Fold:
    """Blocks that are shown when one asks for them."""

    kind: ClassVar[str] = "fold"
    title: str
    blocks: tuple[Block, ...]


Block = (
    Text
    | Warnings
    | Code
    | Cards
    | Table
    | Chart
    | Layers
    | Findings
    | ColumnCards
    | Grid
    | Group
    | Fold
)


@dataclass(frozen=True)
class Section:
    """A part of the page that the contents name."""

    anchor: str
    """Its address on the page: `training`."""
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    """A page."""

    title: str
    """What it is of, also the browser's title."""
    kicker: str
    """What kind of page it is, above the title."""
    verdict: str
    """What came out, in a sentence or two."""
    summary: tuple[Block, ...]
    """What stands above all sections."""
    sections: tuple[Section, ...]
    footer: str = ""
