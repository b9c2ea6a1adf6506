"""Words for missing values, such as `NA`: the columns in which they are no values.

Where the config lists no words, the usual ones are missing among numbers, dates and true/false. In
other columns, `-` may be a class, and `NA` a country: there they are missing only if they are in
such a column of the same table, and if two other values are left; a class of the target only if
it is a clear word, as `none` is not.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from dlcli.columns.registry import Feature, rules_of_usual_missing_words
from dlcli.columns.type_inference import view_column
from dlcli.config.data_section import Data, Missing
from dlcli.encoding.column_types import some_values
from dlcli.errors import listed, plural
from dlcli.tables.column import CLEAR_MISSING_WORDS, USUAL_MISSING_WORDS
from dlcli.tables.table import FileNote, Table
from dlcli.tables.table_files import MissingWords

Features = Mapping[str, Feature]


def words_to_read(data: Data | None = None) -> MissingWords:
    """Return the words with which a table is read before `settle_missing_words`.

    Args:
        data: the config's `data`; None without a config.
    """

    def words(column: str) -> tuple[str, ...]:
        declared = data.missing_words(column) if data else None
        return USUAL_MISSING_WORDS if declared is None else declared

    return words


def words_to_predict(data: Data, features: Features) -> MissingWords:
    """Return the words with which other rows are read as training read its own.

    Args:
        data: the `data` of the resolved config.
        features: the resolved features.
    """

    def words(column: str) -> tuple[str, ...]:
        declared = data.missing_words(column)
        if declared is None:
            return USUAL_MISSING_WORDS if _is_number_or_date(column, data, features) else ()
        return declared

    return words


def settle_missing_words(
    tables: Sequence[Table], data: Data | None = None, features: Features | None = None
) -> tuple[Table, ...]:
    """Decide which of the usual words are missing values in each column of a training table.

    Args:
        tables: the whole training table, followed by those of other rows.
        data: the config's `data`, whose words are left as they are; None without a target.
        features: the declared feature of each column.

    Returns:
        The tables, read alike, with a note on the words that they hold.
    """
    train, features = tables[0], features or {}
    auto = {name for name in train.columns if data is None or data.missing_words(name) is None}
    if not auto:
        return tuple(tables)
    held = [_usual_words(table) for table in tables]
    numbers = {name for name in auto if data and _is_number_or_date(name, data, features)}
    numbers |= {
        name
        for name in sorted(auto - numbers)  # workers of a cluster read columns in the same order
        if any(name in words for words in held) and _holds_numbers_or_dates(train, name)
    }
    settled = {**train.missing_words, **dict.fromkeys(numbers, USUAL_MISSING_WORDS)}
    missing = {
        word
        for name, words in held[0].items()
        if name in numbers or name not in auto
        for word in words
        if word in settled[name]
    }
    elsewhere = tuple(word for word in USUAL_MISSING_WORDS if word in missing)
    settled |= dict.fromkeys(auto - numbers, elsewhere)
    for name in (auto - numbers).intersection(data.target.columns if data else ()):
        settled[name] = tuple(word for word in elsewhere if word in CLEAR_MISSING_WORDS)
    for name in sorted((auto - numbers).intersection(held[0])):
        _, values = replace(train, missing_words=settled).codes(name)
        if len(values) == 1:  # the word is the other one
            settled[name] = ()
    read = []
    for table, words in zip(tables, held, strict=True):
        read.append(_with_note(replace(table, missing_words=settled), words, auto))
        read[-1].reuse(table)
        read[-1].parse_together()
    return tuple(read)


def _usual_words(table: Table) -> dict[str, dict[str, int]]:
    """Return the usual words for missing values in each column that holds some, with their rows."""
    texts = [name for name in table.columns if table.kind(name) == "text"]
    every = ((name, table.column(name).usual_missing_words()) for name in texts)
    return {name: words for name, words in every if words}


def _is_number_or_date(column: str, data: Data, features: Features) -> bool:
    """Return whether a column is declared as numbers, dates or true/false."""
    if column in data.target.columns:
        return data.target.type in ("numeric", "count")
    feature = features.get(column)
    is_weight = column == data.sample_weight
    return is_weight or (feature is not None and feature.has_usual_missing_words)


def _holds_numbers_or_dates(train: Table, column: str) -> bool:
    """Return whether nearly all values but the usual words are numbers, dates or true/false."""
    is_read_so = train.missing_words.get(column) == USUAL_MISSING_WORDS
    table = train if is_read_so else replace(train, missing_words={column: USUAL_MISSING_WORDS})
    table = some_values(table, column)
    if table.column(column).looks_numeric():  # the quick answer for most
        return True
    view = view_column(table, column)
    return any(rule(view) for rule in rules_of_usual_missing_words())


def _with_note(table: Table, held: Mapping[str, Mapping[str, int]], auto: Collection[str]) -> Table:
    """Add a note on the words that count as missing, if there are any.

    Args:
        table: with the words that count as missing.
        held: the usual words in each column, with their rows.
        auto: the columns that the config lists no words for.
    """
    counted = {
        name: missing
        for name, words in held.items()
        if name in auto
        if (missing := {w: n for w, n in words.items() if w in table.missing_words[name]})
    }
    if not counted:
        return table
    words = dict.fromkeys(word for words in counted.values() for word in words)
    count = sum(sum(words.values()) for words in counted.values())
    verb = "counts" if len(words) == 1 else "count"
    message = (
        f"{table.file}: {listed(words)} {verb} as missing: {plural(count, 'value')} of "
        f"{listed(counted, 3)}; data.missing: [] turns this off"
    )
    return replace(table, file_notes=(*table.file_notes, FileNote(message)))


def resolved_missing(data: Data, features: Features, train: Table) -> Missing:
    """Return `data.missing` with the words that only the training table shows.

    Args:
        data: the config's `data`, with the resolved target.
        features: the resolved features.
        train: rows of the training table.
    """
    if isinstance(data.missing, tuple):
        return data.missing
    read = [name for name, each in features.items() if each.is_read]
    shown = {
        name: train.missing_words[name]
        for name in (*data.target.columns, *read)
        if data.missing_words(name) is None and not _is_number_or_date(name, data, features)
        if train.missing_words.get(name)
    }
    declared = data.missing if isinstance(data.missing, Mapping) else {}
    return {**declared, **shown} or "auto"
