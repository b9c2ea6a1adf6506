"""Views: the contents of a result, shared by terminal and page, and their plain text.

Texts are plain text: names and values of a run are never interpreted as markup.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dlcli.errors import display_width, padded, printable
from dlcli.reports import formatting as fmt

if TYPE_CHECKING:
    from dlcli.diagnosis.remedies import Finding

Item = TypeVar("Item")
Spec = Mapping[str, Any]
"""A Vega-Lite specification."""
_NARROWEST_CELL = 12
_FINDING_INDENT = 13
_TILE_CHARACTERS = 8
"""Maximum number of characters of a word in a tile of normal width."""


class ViewBlock:
    """A part of a result's view."""

    @property
    def kind(self) -> str:
        """The name that templates use: the class name in lower case, without `Block`."""
        return type(self).__name__.removesuffix("Block").lower()


@dataclass(frozen=True)
class TextBlock(ViewBlock):
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class WarningsBlock(ViewBlock):
    """Warnings about the blocks that follow."""

    texts: tuple[str, ...]


@dataclass(frozen=True)
class DataFindingBlock(ViewBlock):
    """A finding of a data check, with advice."""

    severity: str
    message: str
    advice: str


@dataclass(frozen=True)
class CodeBlock(ViewBlock):
    """A config or commands, shown in a fixed-width font."""

    text: str
    caption: str = ""


@dataclass(frozen=True)
class Figure:
    """An important number."""

    label: str
    value: str
    note: str = ""

    @property
    def is_wide(self) -> bool:
        """True if a word of the value does not fit into a tile of normal width."""
        return any(len(word) > _TILE_CHARACTERS for word in self.value.split())


@dataclass(frozen=True)
class FiguresBlock(ViewBlock):
    """Important numbers, side by side."""

    figures: tuple[Figure, ...]


@dataclass(frozen=True)
class TableBlock(ViewBlock):
    """Rows of cells."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    caption: str = ""
    text_columns: Collection[int] = (0,)
    """Indices of text columns; other columns contain numbers and are right-aligned."""
    note: str = ""
    """An explanation below the table, on pages only."""
    marks: tuple[str, ...] = ()
    """A symbol next to each row's name, on pages only: `↑` if higher is better."""
    wraps: bool = False
    """Whether columns that do not fit into a line of text follow below, after the first column."""
    is_sortable: bool = False
    """Whether the headers of a page sort the rows."""

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
    ) -> TableBlock:
        """List items, one row for each.

        Args:
            items: the listed items.
            columns: by header, the function that returns the cell of an item.
            caption: the caption of the table.
            text_columns: the indices of text columns.
            note: an explanation below the table.
            most: the maximum number of listed items; the note contains the number of omitted ones.
            noun: the noun for an item in the note.
        """
        rows = tuple(tuple(cell(item) for cell in columns.values()) for item in items[:most])
        note = f"{note} {fmt.omitted(len(items) - len(rows), noun)}".strip()
        return cls(tuple(columns), rows, caption, text_columns, note)


@dataclass(frozen=True)
class ChartBlock(ViewBlock):
    """A chart with a description for readers who can't see it; on pages only."""

    title: str
    spec: Spec
    description: str
    """A sentence with the main numbers."""
    reading: str = ""
    """An explanation of how to read the chart."""
    numbers: TableBlock | None = None
    """The numbers of the chart, in a folded table."""
    legend: tuple[tuple[str, str], ...] = ()
    """Names, each with the name of its color (`train`)."""
    log_labels: str = ""
    """Vega expression of the labels of a logarithmic scale for y, if readers can switch to it."""
    is_log: bool = False
    """True if the scale for y is initially logarithmic."""


@dataclass(frozen=True)
class DrawingBlock(ViewBlock):
    """A drawing on a page."""

    svg: str
    """The SVG, with escaped texts."""
    description: str
    """A description for readers who can't see the drawing."""


@dataclass(frozen=True)
class FindingsBlock(ViewBlock):
    """Findings in a run, the most important first."""

    findings: tuple[Finding, ...]
    config: Path
    """The config to which the suggestions apply."""


@dataclass(frozen=True)
class ColumnCard:
    """A column of the data."""

    name: str
    type: str
    facts: tuple[str, ...]
    chart: ChartBlock | None


@dataclass(frozen=True)
class ColumnCardsBlock(ViewBlock):
    """Columns of the data, side by side."""

    columns: tuple[ColumnCard, ...]


@dataclass(frozen=True)
class GridBlock(ViewBlock):
    """Blocks side by side if there is space."""

    blocks: tuple[ViewBlock, ...]


@dataclass(frozen=True)
class GroupBlock(ViewBlock):
    """Blocks under a heading."""

    title: str
    blocks: tuple[ViewBlock, ...]


@dataclass(frozen=True)
class FoldBlock(ViewBlock):
    """Blocks that a page hides until the reader opens them."""

    title: str
    blocks: tuple[ViewBlock, ...]


@dataclass(frozen=True)
class PageSection:
    """A section of the page, listed in its navigation."""

    anchor: str
    """The link target: `training`."""
    title: str
    blocks: tuple[ViewBlock, ...]


def blocks(parts: Iterable[ViewBlock | str | None]) -> tuple[ViewBlock, ...]:
    """Convert texts to paragraphs and omit `None`, also in the functions below."""
    given = (TextBlock(part) if isinstance(part, str) else part for part in parts)
    return tuple(part for part in given if part is not None)


def section(anchor: str, title: str, *parts: ViewBlock | str | None) -> PageSection:
    """Make a section of the page."""
    return PageSection(anchor, title, blocks(parts))


def group(title: str, *parts: ViewBlock | str | None) -> GroupBlock:
    """Make a group of blocks."""
    return GroupBlock(title, blocks(parts))


def fold(title: str, *parts: ViewBlock | str | None) -> FoldBlock:
    """Make a group of blocks that is folded on a page."""
    return FoldBlock(title, blocks(parts))


def grid(parts: Iterable[ViewBlock | None]) -> GridBlock | None:
    """Make a grid of blocks; `None` if there are no blocks."""
    return GridBlock(found) if (found := blocks(parts)) else None


@dataclass(frozen=True)
class View:
    """The contents of a result.

    A terminal shows blocks, sentences, notes and links. A page shows title, sentences, figures,
    notes, warnings and sections.
    """

    title: str = ""
    kicker: str = ""
    """The kind of page, shown above the title."""
    lead: str = ""
    """The first sentence, on pages only."""
    sentences: tuple[str, ...] = ()
    """The result in sentences, the most important one first."""
    figures: tuple[Figure, ...] = ()
    notes: tuple[str, ...] = ()
    """Caveats, as sentences."""
    warnings: tuple[str, ...] = ()
    """Warnings of the run's log, as sentences, on pages only."""
    blocks: tuple[ViewBlock, ...] = ()
    """The blocks for a terminal; a page has the same blocks in its sections."""
    links: tuple[tuple[str, str], ...] = ()
    """Paths of the result and commands for the next steps, each with its label."""
    sections: Callable[[], Sequence[PageSection]] = tuple
    """Returns the sections of the page, and may read large files; empty sections are omitted."""
    footer: str = ""


def render_text(view: View, width: int | None = None) -> str:
    """Render a view for a terminal: its blocks, sentences, notes and links.

    Charts, figures and sections are for pages only.

    Args:
        view: the view of a result.
        width: the line length in characters, to which sentences are wrapped and the longest table
            cells are shortened; `None` for no limit. Commands are never wrapped.

    Returns:
        Lines of printable characters, without a final line end.
    """
    parts = [
        *(list(_block_lines(block, width)) for block in view.blocks),
        [line for text in view.sentences for line in _wrap(text, width)]
        + [line for text in view.notes for line in _wrap(f"note: {text}", width, indent=6)],
        [printable(f"{label}: {target}") for label, target in view.links],
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def render_table(table: TableBlock, width: int | None = None) -> list[str]:
    """Render a table as aligned lines: caption, header unless empty, and rows.

    Args:
        table: the table; text columns are left-aligned, columns of numbers right-aligned.
        width: the line length in characters; the longest texts are shortened to fit, never numbers.
    """
    lines = list(_wrap(table.caption, width))
    body = [list(map(printable, row)) for row in table.rows]
    rows = [list(map(printable, table.header)), *body] if any(table.header) else body
    if not rows:
        return lines
    columns = range(len(rows[0]))
    widths = [max(display_width(row[at]) for row in rows) for at in columns]
    if width is not None and table.wraps:
        groups = _column_groups(widths, width)
        if len(groups) > 1:
            parts = (render_table(_with_columns(table, each), width) for each in groups)
            return [*lines, *[line for part in parts for line in ("", *part)][1:]]
    if width is not None:
        widths = _fit_widths(widths, table, body, width)
    for row in rows:
        cells = (_cut_cell(cell, size) for cell, size in zip(row, widths, strict=True))
        aligned = [
            padded(cell, widths[at], left=at in table.text_columns) for at, cell in enumerate(cells)
        ]
        lines.append("  ".join(aligned).rstrip())
    return lines


def _column_groups(widths: Sequence[int], total: int) -> list[list[int]]:
    """Return the columns of each part of a wrapped table: the first one, and those that fit."""
    groups: list[list[int]] = []
    for at in range(1, len(widths)):
        used = sum(widths[each] + 2 for each in groups[-1]) if groups else total
        if used + widths[at] > total:
            groups.append([0])
        groups[-1].append(at)
    return groups


def _with_columns(table: TableBlock, columns: Sequence[int]) -> TableBlock:
    """Return some columns of a table, without its caption."""
    return TableBlock(
        tuple(table.header[at] for at in columns),
        tuple(tuple(row[at] for at in columns) for row in table.rows),
        text_columns=[at for at, column in enumerate(columns) if column in table.text_columns],
    )


def _cut_cell(cell: str, width: int) -> str:
    """Shorten a cell to a number of terminal columns."""
    most = width
    while display_width(cut := fmt.shorten(cell, most)) > width:
        most -= 1
    return cut


def _fit_widths(
    widths: Sequence[int], table: TableBlock, body: Sequence[Sequence[str]], total: int
) -> list[int]:
    """Narrow the widest columns until a line fits, but not below the width of numbers."""
    numbers = [
        max((display_width(row[at]) for row in body), default=0) for at in range(len(widths))
    ]
    least = [
        _NARROWEST_CELL if at in table.text_columns else size for at, size in enumerate(numbers)
    ]
    space, fitted = total - 2 * (len(widths) - 1), list(widths)
    for most in range(max(widths), _NARROWEST_CELL - 1, -1):
        fitted = [min(size, max(most, low)) for size, low in zip(widths, least, strict=True)]
        if sum(fitted) <= space:
            break
    return fitted


def _block_lines(block: ViewBlock, width: int | None) -> Iterator[str]:
    if isinstance(block, TextBlock):
        yield from _wrap(block.text, width)
    elif isinstance(block, TableBlock):
        yield from render_table(block, width)
    elif isinstance(block, DataFindingBlock):
        label = f"{block.severity}: "
        yield from _wrap(block.message, width, label=label, indent=len(label))
        yield from _wrap(block.advice, width, label=" " * len(label), indent=len(label))
    elif isinstance(block, CodeBlock):
        yield from block.text.splitlines()
    elif isinstance(block, FindingsBlock):
        yield from _finding_lines(block, width)
    elif isinstance(block, GroupBlock):
        yield from [printable(block.title)] if block.title else []
        for part in block.blocks:
            yield from _block_lines(part, width)


def _finding_lines(block: FindingsBlock, width: int | None) -> Iterator[str]:
    for number, finding in enumerate(block.findings, start=1):
        yield from [""] if number > 1 else []
        yield f"{number}. {finding.heading}"
        yield from _labelled("evidence", finding.observation, width)
        yield from _labelled("meaning", finding.meaning, width)
        for patch in finding.patches:
            yield f"   {'try':<10}{printable(patch.command(block.config))}"
            yield from _labelled("", patch.why, width)
        yield from _labelled("source", finding.source, width)


def _labelled(label: str, text: str, width: int | None) -> Sequence[str]:
    shown = fmt.shorten(text, fmt.LONGEST_TEXT)
    return _wrap(shown, width, label=f"   {label:<10}", indent=_FINDING_INDENT)


def _wrap(text: str, width: int | None, *, label: str = "", indent: int = 0) -> Sequence[str]:
    if width is None:
        return [f"{label}{printable(text)}"] if text else []
    return textwrap.wrap(
        printable(text),
        width,
        initial_indent=label,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
