"""Rows that occur more than once, within a table and across a split."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from inline_snapshot import snapshot

from dlcli.data_checks import row_checks
from dlcli.data_checks.row_checks import find_duplicates, find_duplicates_across

ROWS = 100


def plain(rows=ROWS):
    """Rows that are all different."""
    at = np.arange(rows)
    classes = np.where(at % 3 == 0, "a", "b")
    return {"x": at / 7, "name": [f"n{i % 50}" for i in at], "y": classes}


def rows_of(columns, places):
    return {name: [values[place] for place in places] for name, values in columns.items()}


def test_rows_that_are_all_different_are_no_duplicates(sample):
    assert find_duplicates(sample(plain(), "y")) is None


def test_repeated_rows_are_counted(sample):
    found = find_duplicates(sample(rows_of(plain(), [*range(ROWS), 4, 4, 5]), "y"))
    assert (found.rows, found.severity) == (3, "note")
    assert found.message == (
        snapshot(
            "rows with the same features as an earlier row: 3 of 103 (2.91 %), "
            "3 of them with the same target"
        )
    )


def test_from_one_row_in_twenty_on_it_is_a_warning(sample):
    found = find_duplicates(sample(rows_of(plain(), [*range(95), *range(5)]), "y"))
    assert (found.rows, found.severity) == (5, "warning")


def test_a_repeated_row_of_another_target_is_distinguished(sample):
    columns = rows_of(plain(), [*range(ROWS), 3])
    columns["y"][-1] = "b"  # row 3 has "a"
    found = find_duplicates(sample(columns, "y"))
    assert ", 0 of them with the same target" in found.message
    assert found.advice == "so they are not copies, but the features don't distinguish them"


def test_even_many_repeated_rows_of_other_targets_are_no_warning(sample):
    columns = rows_of(plain(), [*range(95), *range(5)])
    columns["y"][-5:] = ["b" if name == "a" else "a" for name in columns["y"][:5]]
    assert find_duplicates(sample(columns, "y")).severity == "note"


def test_missing_values_are_equal_and_zeros_of_either_sign(sample):
    x = [*map(float, range(1, ROWS)), None, None, 0.0, -0.0]
    assert find_duplicates(sample({"x": x, "z": [*np.arange(99.0), 7, 7, 8, 8]})).rows == 2


def test_an_ignored_column_hides_no_repetition(sample):
    columns = rows_of(plain(), [*range(ROWS), 4])
    columns["id"] = list(range(ROWS + 1))
    assert find_duplicates(sample(columns, "y", id="ignored")).rows == 1


@pytest.mark.parametrize(("values", "is_found"), [(5, False), (11, True)])
def test_rows_that_must_be_equal_at_random_are_none(values, is_found, sample):
    # 100 rows and 1 more: 5^4 = 625 combinations are fewer than 20 a row, 11^4 = 14641 are not.
    digits = np.arange(ROWS) * values**4 // ROWS
    columns = {f"x{place}": digits // values**place % values for place in range(4)}
    repeated = {name: [*column, column[0]] for name, column in columns.items()}
    assert (find_duplicates(sample(repeated)) is not None) == is_found


def test_held_out_rows_that_were_trained_on_are_counted(sample, table):
    held_out = rows_of(plain(200), [3, 4, 5, *range(100, 117)])
    held_out["y"][0] = "b"  # row 3 has "a"
    found = find_duplicates_across(sample(plain(), "y"), {"test": table(held_out)})
    assert (found.rows, found.severity) == (3, "warning")
    assert found.message == (
        snapshot(
            "3 of 20 test rows (15 %) equal a training row in all features; 1 of these has another target"
        )
    )


def test_a_single_equal_row_is_a_note(sample, table):
    held_out = table(rows_of(plain(200), [3, *range(100, 110)]))
    found = find_duplicates_across(sample(plain(), "y"), {"validation": held_out})
    assert (found.rows, found.severity) == (1, "note")


def test_other_rows_are_no_duplicates(sample, table):
    held_out = table(rows_of(plain(200), range(100, 200)))
    assert find_duplicates_across(sample(plain(), "y"), {"test": held_out}) is None


def test_a_number_is_the_same_in_text(sample, table):
    held_out = rows_of(plain(200), [3, 4, 5, *range(100, 110)])
    held_out["x"] = [f"{float(value)!r}0" for value in held_out["x"]]
    assert find_duplicates_across(sample(plain(), "y"), {"test": table(held_out)}).rows == 3


def test_of_many_training_rows_only_those_that_may_be_equal_are_compared(
    sample, table, monkeypatch
):
    monkeypatch.setattr(row_checks, "_MOST_COMPARED", 50)
    held_out = table(rows_of(plain(200), [97, 98, 99, *range(150, 160)]))
    found = find_duplicates_across(sample(plain(150), "y"), {"test": held_out})
    assert found.rows == 3


def test_categories_that_are_stored_with_codes_are_compared_as_texts(sample, table, monkeypatch):
    def with_codes(rows):
        columns = {name: rows.data.column(name).dictionary_encode() for name in rows.columns}
        return replace(rows, data=pa.table(columns))

    monkeypatch.setattr(row_checks, "_MOST_COMPARED", 50)
    names = [f"n{at}" for at in range(200)]
    columns = {"x": [at // 2 for at in range(200)], "name": names, "y": ["a", "b"] * 100}
    held_out = table(rows_of(columns, [97, 98, 99, *range(150, 160)]))
    train = sample(rows_of(columns, range(150)), "y", x="numeric", name="categorical")
    found = find_duplicates_across(
        replace(train, whole=with_codes(train.whole)), {"test": with_codes(held_out)}
    )
    assert found.rows == 3


def test_held_out_values_that_are_no_numbers_are_left_to_the_encoding(sample, table):
    held_out = table({"x": ["one"], "name": ["n1"], "y": ["a"]})
    assert find_duplicates_across(sample(plain(), "y"), {"test": held_out}) is None
