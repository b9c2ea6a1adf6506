"""Views: the contents of a result, worded once for the terminal and the page.

Texts are plain: whatever names and values a run holds, they stay text.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from dlcli.reports import formatting as fmt

if TYPE_CHECKING:
    from dlcli.diagnosis import Finding

Item = TypeVar("Item")
Spec = Mapping[str, Any]
"""A chart in Vega-Lite."""


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Warnings:
    """Warnings about the blocks that follow."""

    kind: ClassVar[str] = "warnings"
    texts: tuple[str, ...]


@dataclass(frozen=True)
class Code:
    """A config or commands, shown in a fixed-width font."""

    kind: ClassVar[str] = "code"
    text: str
    caption: str = ""


@dataclass(frozen=True)
class Figure:
    """One number that matters."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Figures:
    """Numbers that matter, side by side."""

    kind: ClassVar[str] = "figures"
    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class Table:
    """Rows of cells."""

    kind: ClassVar[str] = "table"
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    text_columns: Collection[int] = (0,)
    """The columns, from 0, that hold text; the others hold numbers and are aligned to the right."""
    note: str = ""
    """An explanation below the table, on a page only."""
    marks: tuple[str, ...] = ()
    """A sign next to each row's name, on a page only: `↑` where higher is better."""

    @classmethod
    def of(
        cls,
        items: Sequence[Item],
        columns: Mapping[str, Callable[[Item], str]],
        caption: str = "",
        *,
        text_columns: Collection[int] = (0,),
        note: str = "",
        most: int | None = None,
        noun: str = "",
    ) -> Table:
        """List items, a row each.

        Args:
            items: what is listed.
            columns: by their headers: the function that returns an item's cell.
            caption: of the table.
            text_columns: the columns that hold text.
            note: an explanation below the table.
            most: the number of items that are listed; the note counts the others.
            noun: their name in the note.
        """
        rows = tuple(tuple(cell(item) for cell in columns.values()) for item in items[:most])
        note = f"{note} {fmt.omitted(len(items) - len(rows), noun)}".strip()
        return cls(tuple(columns), rows, caption, text_columns, note)


@dataclass(frozen=True)
class Chart:
    """A chart with a description for readers who can't see it; on a page only."""

    kind: ClassVar[str] = "chart"
    title: str
    spec: Spec
    description: str
    """A sentence with its main numbers."""
    reading: str = ""
    """A sentence that explains how to read it."""
    numbers: Table | None = None
    """Its numbers, folded."""
    legend: tuple[tuple[str, str], ...] = ()
    """Names, and their colors by name (`train`)."""
    offers_log: bool = False
    """True if readers may choose a logarithmic scale for y."""


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
class Findings:
    """Findings in a run, the most important first."""

    kind: ClassVar[str] = "findings"
    findings: tuple[Finding, ...]
    config: Path
    """The config that they propose to change."""


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
    """Blocks side by side where there is space."""

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
    """Blocks that are folded on a page until a reader opens them."""

    kind: ClassVar[str] = "fold"
    title: str
    blocks: tuple[Block, ...]


Block = (
    Text
    | Warnings
    | Code
    | Figures
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
    """A part of the page that its contents list."""

    anchor: str
    """Its address on the page: `training`."""
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class View:
    """The contents of a result.

    A terminal shows `blocks`, then the sentences, the notes and the links. A page shows the title,
    the sentences, the figures and the notes, then the sections.
    """

    title: str
    kicker: str = ""
    """The kind of page, above the title."""
    lead: str = ""
    """A sentence before all others, on a page only."""
    sentences: tuple[str, ...] = ()
    """The result in sentences, the most important first."""
    figures: tuple[Figure, ...] = ()
    notes: tuple[str, ...] = ()
    """Caveats, as sentences."""
    blocks: tuple[Block, ...] = ()
    """The blocks for a terminal; a page has the same ones in its sections."""
    links: tuple[tuple[str, str], ...] = ()
    """Paths of the result and commands for the next steps, each with its label."""
    sections: Callable[[], Sequence[Section]] = tuple
    """Makes the sections of the page, which may read large files; empty ones are not shown."""
    footer: str = ""
