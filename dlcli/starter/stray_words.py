"""A few words in columns of numbers or dates, which a starter config declares as missing."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dlcli.config.data_section import Target
from dlcli.encoding.column_types import infer_type
from dlcli.errors import first_names, plural
from dlcli.starter.commented_yaml import Line, comment, scalar
from dlcli.tables.table import Table

_MOST_WORDS = 10
"""Maximum number of distinct words; more are probably values."""
_MOST_ROWS = 5
"""Maximum number of rows that a comment names."""


@dataclass(frozen=True)
class StrayWords:
    """Words in a column of numbers or dates."""

    column: str
    words: tuple[str, ...]
    """The words, most frequent first."""
    rows: tuple[int, ...]
    """The numbers of their rows."""

    @property
    def description(self) -> str:
        """The words and their rows: `'**', 'see note' in rows 6, 10`."""
        shown = first_names([f"'{word}'" for word in self.words], _MOST_ROWS)
        where = first_names([f"{row:,}" for row in self.rows], _MOST_ROWS)
        return f"{shown} in {'row' if len(self.rows) == 1 else 'rows'} {where}"


def find_stray_words(table: Table, target: Target, excluded: Collection[str]) -> list[StrayWords]:
    """Find the words in columns whose other values are numbers or dates.

    Args:
        table: all rows.
        target: the target; it is searched unless it has declared classes.
        excluded: the columns that are not searched.
    """
    has_classes = target.type not in ("auto", "numeric", "count") or target.positive_class
    skipped = {*excluded, *(target.columns if has_classes else ())}
    found = []
    for name in table.columns:
        if name in skipped or table.kind(name) != "text":
            continue
        decision = infer_type(name, table)
        words = (decision.otherwise or decision).strays
        if 0 < len(words) <= _MOST_WORDS:
            texts = [text.strip() for text in _texts(table, name)]
            rows = table.row_numbers[np.isin(texts, words)]
            found.append(StrayWords(name, words, tuple(rows.tolist())))
    return found


def declared_missing(
    table: Table, strays: Sequence[StrayWords], words: Sequence[str]
) -> tuple[str, ...] | dict[str, tuple[str, ...]] | None:
    """Return `data.missing` for stray words, and for words that are missing in all columns.

    A list replaces the usual missing words, so it also contains those in the table.

    Args:
        table: all rows.
        strays: the stray words of columns.
        words: the words that are missing in all columns.
    """
    usual = {name: [*table.column(name).usual_missing_words()] for name in table.columns}
    if not strays:
        every = [*words, *(word for held in usual.values() for word in held)]
        return tuple(dict.fromkeys(every)) if words else None
    missing = {each.column: each.words for each in strays}
    held = [name for name in table.columns if name in missing or _may_hold(table, name, words)]
    return {
        name: tuple(dict.fromkeys((*missing.get(name, ()), *words, *usual[name]))) for name in held
    }


def _may_hold(table: Table, column: str, words: Sequence[str]) -> bool:
    if not words or table.kind(column) != "text":
        return bool(words)
    return not {*words}.isdisjoint(text.strip() for text in _texts(table, column))


def _texts(table: Table, column: str) -> list[str]:
    return [text or "" for text in table.column(column).values.to_pylist()]


def missing_lines(
    missing: Sequence[str] | Mapping[str, Sequence[str]] | None, strays: Sequence[StrayWords]
) -> Iterator[Line]:
    """Write `data.missing`, with the rows of stray words."""
    if missing is None:
        return
    if not isinstance(missing, Mapping):
        yield Line("missing", _listed(missing), "words that mean a missing value")
        return
    settings = ", ".join(f"{scalar(name)}: {_listed(words)}" for name, words in missing.items())
    yield Line("missing", f"{{{settings}}}", "words among numbers or dates, in few rows")
    for each in strays:
        yield comment(f"{scalar(each.column)}: {each.description}; correct them if they are values")


def stray_note(strays: Sequence[StrayWords]) -> str:
    """Return the note on columns with stray words."""
    columns = first_names([f"'{each.column}' ({each.description})" for each in strays], 3)
    return f"words in {plural(len(strays), 'column')} are declared as missing: {columns}"


def _listed(words: Sequence[str]) -> str:
    return json.dumps([*words], ensure_ascii=False)
