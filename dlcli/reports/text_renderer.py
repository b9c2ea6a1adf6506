"""Views as plain text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from dlcli.errors import printable
from dlcli.reports import formatting as fmt
from dlcli.reports.views import Block, Code, Findings, Group, Table, Text, View

_NARROWEST_CELL = 12
_FINDING_INDENT = 11


def render_text(view: View, width: int | None = None) -> str:
    """Render what a terminal shows of a view: its blocks, sentences, notes and links.

    Charts, figures and sections are for pages only.

    Args:
        view: the view of a result.
        width: characters of a line, at which sentences are broken and the longest cells of tables
            cut; `None` leaves them as long as they are. Commands are never broken.

    Returns:
        Lines of printable characters, without a line end after the last one.
    """
    parts = [
        *(list(_block_lines(block, width)) for block in view.blocks),
        [line for text in view.sentences for line in _wrap(text, width)]
        + [line for text in view.notes for line in _wrap(f"note: {text}", width, indent=6)],
        [printable(f"{label}: {target}") for label, target in view.links],
    ]
    return "\n\n".join("\n".join(lines) for lines in parts if lines)


def render_table(table: Table, width: int | None = None) -> list[str]:
    """Render a table as aligned lines: its caption, its header unless that is empty, and its rows.

    Args:
        table: columns of text are aligned to the left, those of numbers to the right.
        width: characters of a line, to which the longest texts are cut if that suffices; numbers
            are never cut.
    """
    lines = list(_wrap(table.caption, width))
    body = [list(map(printable, row)) for row in table.rows]
    rows = [list(map(printable, table.header)), *body] if any(table.header) else body
    if not rows:
        return lines
    columns = range(len(rows[0]))
    widths = [max(len(row[at]) for row in rows) for at in columns]
    if width is not None:
        widths = _fit(widths, table, body, width)
    for row in rows:
        cells = (fmt.shorten(cell, size) for cell, size in zip(row, widths, strict=True))
        aligned = [
            cell.ljust(widths[at]) if at in table.text_columns else cell.rjust(widths[at])
            for at, cell in enumerate(cells)
        ]
        lines.append("  ".join(aligned).rstrip())
    return lines


def _fit(
    widths: Sequence[int], table: Table, body: Sequence[Sequence[str]], total: int
) -> list[int]:
    """Narrow the widest columns until a line fits, but none of numbers below its numbers."""
    numbers = [max((len(row[at]) for row in body), default=0) for at in range(len(widths))]
    least = [
        _NARROWEST_CELL if at in table.text_columns else size for at, size in enumerate(numbers)
    ]
    space, fitted = total - 2 * (len(widths) - 1), list(widths)
    for most in range(max(widths), _NARROWEST_CELL - 1, -1):
        fitted = [min(size, max(most, low)) for size, low in zip(widths, least, strict=True)]
        if sum(fitted) <= space:
            break
    return fitted


def _block_lines(block: Block, width: int | None) -> Iterator[str]:
    if isinstance(block, Text):
        yield from _wrap(block.text, width)
    elif isinstance(block, Table):
        yield from render_table(block, width)
    elif isinstance(block, Code):
        yield from block.text.splitlines()
    elif isinstance(block, Findings):
        yield from _finding_lines(block, width)
    elif isinstance(block, Group):
        yield from [printable(block.title)] if block.title else []
        for part in block.blocks:
            yield from _block_lines(part, width)


def _finding_lines(block: Findings, width: int | None) -> Iterator[str]:
    for number, finding in enumerate(block.findings, start=1):
        yield from [""] if number > 1 else []
        yield f"{number}. {finding.rule.replace('_', ' ')}"
        yield from _labelled("saw", finding.observation, width)
        yield from _labelled("means", finding.meaning, width)
        for patch in finding.patches:
            yield f"   {'try':<8}{printable(patch.command(block.config))}"
            yield from _labelled("", patch.why, width)
        yield from _labelled("source", finding.source, width)


def _labelled(label: str, text: str, width: int | None) -> Sequence[str]:
    shown = fmt.shorten(text, fmt.LONGEST_TEXT)
    return _wrap(shown, width, label=f"   {label:<8}", indent=_FINDING_INDENT)


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
