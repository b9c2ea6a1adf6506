"""The data: rows, columns and what is to be known of them."""

from __future__ import annotations

from dlcli.explanation import Explanation
from dlcli.reports.blocks import Block, Card, Cards, Fold, Section, Table, Text, Warnings
from dlcli.reports.columns import MOST_CARDS, MOST_IN_SIGHT, column_cards, column_table
from dlcli.reports.log import DataEvent, FeaturesEvent
from dlcli.reports.record import Record
from dlcli.reports.wording import ROWS_OF, percent, short

_MOST_SIGNS = 600
"""Of a warning."""
_MOST_LISTED = 500
_WARNINGS_SHOWN = 8


def data(record: Record) -> Section:
    """The section."""
    blocks: list[Block] = []
    if record.log.data:
        blocks += _rows(record.log.data)
    blocks += _warnings(record)
    if record.explanation and record.explanation.columns:
        blocks += _columns(record.explanation)
    elif record.log.features:
        blocks.append(_types(record.log.features))
    return Section("data", "The data", tuple(blocks))


def _rows(event: DataEvent) -> list[Block]:
    total = sum(event.rows.values())
    cards = tuple(
        Card(
            ROWS_OF[name],
            f"{event.rows[name]:,}",
            f"{percent(event.rows[name] / total)}{_USE[name]}",
        )
        for name in reversed(ROWS_OF)
        if event.rows.get(name)
    )
    how = f", dealt out by a {short(event.split)} split" if event.split else ""
    return [Text(f"{total:,} rows of {short(event.file, 200)}{how}."), Cards(cards)]


_USE = {
    "train": ", learned from",
    "validation": ", tell when to stop",
    "test": ", judge the end",
}


def _warnings(record: Record) -> list[Block]:
    texts = [short(text, _MOST_SIGNS) for text in record.log.warnings]
    if not texts:
        return []
    shown, rest = tuple(texts[:_WARNINGS_SHOWN]), tuple(texts[_WARNINGS_SHOWN:])
    blocks: list[Block] = [Warnings(shown)]
    if rest:
        more = f" (of {len(rest) + record.log.more_warnings:,})" if record.log.more_warnings else ""
        blocks.append(Fold(f"{len(rest):,} more warnings{more}", (Warnings(rest),)))
    return blocks


def _columns(explanation: Explanation) -> list[Block]:
    columns, rows = explanation.columns, explanation.rows.get("train", 0)
    held_out = any(name != "train" for name in explanation.rows)
    text = "Bars show how the values of training rows are distributed."
    if held_out:
        text += " The orange line or ticks are the held-out rows: they should look alike."
    blocks: list[Block] = [Text(text), column_cards(columns[:MOST_IN_SIGHT], rows)]
    if folded := columns[MOST_IN_SIGHT:MOST_CARDS]:
        blocks.append(Fold(f"{len(folded)} more columns", (column_cards(folded, rows),)))
    blocks.append(Fold("All columns as a table", (column_table(columns),)))
    if explanation.unlisted_columns:
        blocks.append(Text(f"{explanation.unlisted_columns:,} more columns were not looked at."))
    return blocks


def _types(event: FeaturesEvent) -> Table:
    """What the columns were taken for, where nothing else is known of them."""
    pairs = list(event.columns.items())
    rows = tuple(
        (short(name), short(of.type), short(of.reason)) for name, of in pairs[:_MOST_LISTED]
    )
    rest = len(pairs) - len(rows)
    note = f"{rest:,} more are not listed." if rest else ""
    return Table(("column", "type", "why"), rows, "Columns", texts=3, note=note)
