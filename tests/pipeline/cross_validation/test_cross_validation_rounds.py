"""Which rows each fold learns from, steers by and is judged by."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcli.errors import UsageError
from dlcli.pipeline import Plan
from tests.pipeline.cross_validation.small_rows import pool_and_rounds, row_numbers


def parts_of(plan, *settings):
    config, pool, rounds = pool_and_rounds(plan, *settings)
    return pool, [each.part(config, pool) for each in rounds]


def test_every_row_is_held_out_once_and_learned_from_by_all_other_folds():
    _, parts = parts_of(Plan(folds=4))
    held_out = [row_numbers(part.held_out) for part in parts]
    assert sorted(sum(held_out, [])) == list(range(1, 21))
    assert [len(rows) for rows in held_out] == [5, 5, 5, 5]
    for part, rows in zip(parts, held_out, strict=True):
        assert row_numbers(part.train) == [row for row in range(1, 21) if row not in rows]
        assert part.validation is None


def test_test_rows_are_in_no_fold():
    pool, parts = parts_of(Plan(folds=4), "data.test=0.2")
    pooled = row_numbers(pool.rows)
    assert (len(pooled), pool.set_aside) == (16, 4)
    assert sorted(sum((row_numbers(part.held_out) for part in parts), [])) == pooled
    for part in parts:
        assert set(row_numbers(part.train)) < set(pooled)


def test_a_share_for_validation_is_taken_from_what_a_fold_learns_from():
    _, parts = parts_of(Plan(folds=4), "data.validation=0.2")
    for part in parts:
        sets = [row_numbers(table) for table in (part.train, part.validation, part.held_out)]
        assert [len(rows) for rows in sets] == [12, 3, 5]
        assert sorted(sum(sets, [])) == list(range(1, 21))


def test_each_fold_and_repeat_has_steering_rows_of_its_own():
    _, parts = parts_of(Plan(folds=2, repeats=2), "data.validation=0.5")
    assert len({tuple(row_numbers(part.validation)) for part in parts}) == 4


def test_a_file_for_validation_steers_every_fold():
    Path("more.csv").write_text("x,group,y\n100,a,200\n")
    _, parts = parts_of(Plan(folds=4), "data.validation=more.csv")
    for part in parts:
        assert (part.train.rows, part.held_out.rows) == (15, 5)
        assert part.validation.file.endswith("more.csv")


def test_nothing_steers_where_validation_rows_are_learned_from():
    _, parts = parts_of(Plan(folds=4), "data.validation=0.2", "data.train_on_validation=true")
    for part in parts:
        assert (part.train.rows, part.validation, part.held_out.rows) == (15, None, 5)


def test_repeats_deal_rows_out_anew_and_begin_with_other_weights():
    config, _, rounds = pool_and_rounds(Plan(folds=2, repeats=3), "seed=7")
    assert [(each.number, each.repeat, each.fold) for each in rounds] == [
        *((1, 1, 1), (2, 1, 2)),
        *((3, 2, 1), (4, 2, 2)),
        *((5, 3, 1), (6, 3, 2)),
    ]
    assert [each.config(config).seed for each in rounds] == [7, 7, 8, 8, 9, 9]
    assert len({tuple(each.rows.held_out.tolist()) for each in rounds}) == 6


def test_the_last_seed_is_followed_by_the_first():
    config, _, rounds = pool_and_rounds(Plan(folds=2, repeats=2), "seed=4294967295")
    assert rounds[-1].config(config).seed == 0


def test_groups_stay_on_one_side():
    _, parts = parts_of(Plan(folds=2), "data.split={name: group, column: group}")
    for part in parts:
        inside, outside = (
            {"abcd"[(row - 1) % 4] for row in row_numbers(table)}
            for table in (part.train, part.held_out)
        )
        assert len(inside) == len(outside) == 2
        assert not inside & outside


def test_in_time_each_fold_learns_from_what_came_before():
    _, parts = parts_of(Plan(folds=3), "data.split={name: time, column: x}", "data.validation=0.2")
    for part, (learned, steering, judging) in zip(
        parts,
        [((1, 4), (5, 5), (6, 10)), ((1, 8), (9, 10), (11, 15)), ((1, 12), (13, 15), (16, 20))],
        strict=True,
    ):
        for table, (first, last) in (
            (part.train, learned),
            (part.validation, steering),
            (part.held_out, judging),
        ):
            assert row_numbers(table) == list(range(first, last + 1))


def test_repeats_in_time_are_refused_as_they_would_be_the_same():
    with pytest.raises(UsageError) as caught:
        pool_and_rounds(Plan(folds=3, repeats=2), "data.split={name: time, column: x}")
    message = "folds in time are the same at each repeat; leave --repeats out"
    assert str(caught.value) == message
