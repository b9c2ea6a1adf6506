"""Notes about columns, summarized in a few lines."""

from __future__ import annotations

from collections import Counter

import pytest
from inline_snapshot import snapshot

from dlcli.columns import value_problems as preprocessing
from dlcli.columns.value_problems import (
    ColumnProblems,
    ValueNote,
    merge_notes,
    short_moments,
    summarize_notes,
)

EMPTY = "without a value"
UNSEEN = "with an unknown category"


def lines(*notes):
    return [line.text for line in summarize_notes(notes)]


def test_a_note_says_column_rows_and_what_they_are_like():
    assert str(ValueNote("x", 1, EMPTY, ": 0 stands in")) == snapshot(
        "column 'x': 1 row without a value: 0 stands in"
    )
    assert str(ValueNote("x", 2, EMPTY)) == snapshot("column 'x': 2 rows without a value")


def test_notes_of_folds_are_added_up_by_column_and_kind():
    folds = [
        [ValueNote("x", 1, UNSEEN, values=("c",), encoding="zeros")],
        [
            ValueNote("x", 2, UNSEEN, values=("b", "c"), encoding="zeros"),
            ValueNote("y", 1, EMPTY, "", (), "0"),
        ],
    ]
    assert [*map(str, merge_notes(folds, 3))] == [
        f"column 'x': 3 rows {UNSEEN} ('b', 'c'): zeros; in 2 of 3 folds",
        f"column 'y': 1 row {EMPTY}: 0; in 1 of 3 folds",
    ]


def test_five_notes_of_a_kind_have_a_line_each_in_their_order():
    notes = [
        ValueNote(name, rows, EMPTY) for name, rows in zip("abcde", [1, 3, 2, 5, 4], strict=True)
    ]
    assert lines(*notes) == [str(note) for note in notes]


def test_more_are_those_of_the_most_rows_and_a_sum_of_the_others():
    rows = dict(a=1, b=7, c=2, d=9, e=3, f=7, g=8)
    notes = [ValueNote(name, count, UNSEEN, ": 'new'") for name, count in rows.items()]
    assert lines(*notes) == [
        "column 'd': 9 rows with an unknown category: 'new'",
        "column 'g': 8 rows with an unknown category: 'new'",
        "column 'b': 7 rows with an unknown category: 'new'",
        "column 'f': 7 rows with an unknown category: 'new'",
        "3 more columns: up to 3 rows each with an unknown category",
    ]


def test_a_sum_keeps_what_it_sums_up():
    notes = [ValueNote(name, 9 - at, EMPTY) for at, name in enumerate("abcdef")]
    *shown, last = summarize_notes(notes)
    assert last.rest == (notes[4], notes[5])
    assert [line.rest for line in shown] == [()] * 4


@pytest.mark.parametrize(("rows", "summary"), [(1, "1 row each"), (4, "4 rows each")])
def test_a_sum_of_columns_with_as_many_rows_names_that_number(rows, summary):
    notes = [ValueNote(name, rows, EMPTY) for name in "abcdef"]
    assert lines(*notes)[-1] == f"2 more columns: {summary} without a value"


def test_each_kind_is_told_for_itself():
    notes = [ValueNote(name, 1, kind) for name in "abcdef" for kind in (EMPTY, UNSEEN)]
    assert len(lines(*notes)) == 10
    assert lines(*notes)[4] == "2 more columns: 1 row each without a value"
    assert lines(*notes)[9] == "2 more columns: 1 row each with an unknown category"


def test_nothing_to_say_is_no_line():
    assert lines() == []


@pytest.mark.parametrize(
    ("moments", "short"),
    [
        (["2024-01-01T00:00:00", "2024-03-01T00:00:00"], ["2024-01-01", "2024-03-01"]),
        (["2024-01-01T00:00:00+00:00"], ["2024-01-01"]),
        (
            ["2024-01-01T00:00:00+00:00", "2024-01-01T12:00:00+00:00"],
            ["2024-01-01T00:00:00+00:00", "2024-01-01T12:00:00+00:00"],
        ),
        (["2024-01-01T00:00:00.000001"], ["2024-01-01T00:00:00.000001"]),
        (["1970-01-01T09:30:00+00:00", "1970-01-01T00:00:00"], ["09:30:00", "00:00:00"]),
        (["1970-01-01T00:00:00", "1970-01-02T00:00:00"], ["1970-01-01", "1970-01-02"]),
        (["1", "2.5"], ["1", "2.5"]),
    ],
)
def test_moments_are_days_if_all_are_at_midnight_and_times_if_they_have_no_date(moments, short):
    assert short_moments(moments) == short


def test_the_problems_of_any_number_of_rows_are_added_up_in_limited_memory(monkeypatch):
    monkeypatch.setattr(preprocessing, "_MOST_COUNTED", 2)
    total = ColumnProblems()

    total.add(
        ColumnProblems(Counter(a=1, b=2), 7, "all 0", "; A", missing=3, outside=1, range=(0, 9))
    )
    total.limit_values()
    total.add(ColumnProblems(Counter(b=1, c=4, d=5), 0, "all 0", outside=2, range=(0, 9)))
    total.limit_values()
    total.add(ColumnProblems(Counter(e=2)))
    total.limit_values()

    assert total.unseen == {"a": 1, "b": 3, "other values": 11}
    assert (total.unseen_index, total.unseen_encoding, total.unseen_hint) == (None, "all 0", "; A")
    assert (total.missing, total.outside, total.range) == (3, 3, (0, 9))
