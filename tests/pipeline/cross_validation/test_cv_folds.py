"""The rows that each fold trains on, stops by and is evaluated on."""

from __future__ import annotations

from pathlib import Path

import pytest
from inline_snapshot import snapshot

from dlcli.errors import UsageError
from dlcli.pipeline.cross_validation import CrossValidationPlan
from tests.pipeline.cross_validation.small_rows import dataset_and_folds, row_numbers


def splits_of(plan, *settings):
    config, dataset, folds = dataset_and_folds(plan, *settings)
    return dataset, [each.split(config, dataset) for each in folds]


def test_every_row_is_held_out_once_and_learned_from_by_all_other_folds():
    _, splits = splits_of(CrossValidationPlan(folds=4))
    held_out = [row_numbers(split.test) for split in splits]
    assert sorted(sum(held_out, [])) == list(range(1, 21))
    assert [len(rows) for rows in held_out] == [5, 5, 5, 5]
    for split, rows in zip(splits, held_out, strict=True):
        assert row_numbers(split.train) == [row for row in range(1, 21) if row not in rows]
        assert split.validation is None


def test_test_rows_are_in_no_fold():
    dataset, splits = splits_of(CrossValidationPlan(folds=4), "data.test=0.2")
    pooled = row_numbers(dataset.candidates)
    assert (len(pooled), dataset.test_rows) == (16, 4)
    assert sorted(sum((row_numbers(split.test) for split in splits), [])) == pooled
    for split in splits:
        assert set(row_numbers(split.train)) < set(pooled)


def test_a_share_for_validation_is_taken_from_what_a_fold_learns_from():
    _, splits = splits_of(CrossValidationPlan(folds=4), "data.validation=0.2")
    for split in splits:
        sets = [row_numbers(table) for table in (split.train, split.validation, split.test)]
        assert [len(rows) for rows in sets] == [12, 3, 5]
        assert sorted(sum(sets, [])) == list(range(1, 21))


def test_each_fold_and_repeat_has_steering_rows_of_its_own():
    _, splits = splits_of(CrossValidationPlan(folds=2, repeats=2), "data.validation=0.5")
    assert len({tuple(row_numbers(split.validation)) for split in splits}) == 4


def test_a_file_for_validation_steers_every_fold():
    Path("more.csv").write_text("x,group,y\n100,a,200\n")
    _, splits = splits_of(CrossValidationPlan(folds=4), "data.validation=more.csv")
    for split in splits:
        assert (split.train.rows, split.test.rows) == (15, 5)
        assert split.validation.file.endswith("more.csv")


def test_nothing_steers_where_validation_rows_are_learned_from():
    _, splits = splits_of(
        CrossValidationPlan(folds=4), "data.validation=0.2", "data.train_on_validation=true"
    )
    for split in splits:
        assert (split.train.rows, split.validation, split.test.rows) == (15, None, 5)


def test_repeats_deal_rows_out_anew_and_begin_with_other_weights():
    config, _, folds = dataset_and_folds(CrossValidationPlan(folds=2, repeats=3), "seed=7")
    assert [(each.number, each.repeat, each.fold) for each in folds] == [
        *((1, 1, 1), (2, 1, 2)),
        *((3, 2, 1), (4, 2, 2)),
        *((5, 3, 1), (6, 3, 2)),
    ]
    assert [each.config(config).seed for each in folds] == [7, 7, 8, 8, 9, 9]
    assert len({tuple(each.rows.held_out.tolist()) for each in folds}) == 6


def test_the_last_seed_is_followed_by_the_first():
    config, _, folds = dataset_and_folds(CrossValidationPlan(folds=2, repeats=2), "seed=4294967295")
    assert folds[-1].config(config).seed == 0


def test_groups_stay_on_one_side():
    _, splits = splits_of(CrossValidationPlan(folds=2), "data.split={name: group, column: group}")
    for split in splits:
        inside, outside = (
            {"abcd"[(row - 1) % 4] for row in row_numbers(table)}
            for table in (split.train, split.test)
        )
        assert len(inside) == len(outside) == 2
        assert not inside & outside


def test_in_time_each_fold_learns_from_what_came_before():
    _, splits = splits_of(
        CrossValidationPlan(folds=3), "data.split={name: time, column: x}", "data.validation=0.2"
    )
    for split, (learned, steering, judging) in zip(
        splits,
        [((1, 4), (5, 5), (6, 10)), ((1, 8), (9, 10), (11, 15)), ((1, 12), (13, 15), (16, 20))],
        strict=True,
    ):
        for table, (first, last) in (
            (split.train, learned),
            (split.validation, steering),
            (split.test, judging),
        ):
            assert row_numbers(table) == list(range(first, last + 1))


def test_repeats_in_time_are_refused_as_they_would_be_the_same():
    with pytest.raises(UsageError) as caught:
        dataset_and_folds(
            CrossValidationPlan(folds=3, repeats=2), "data.split={name: time, column: x}"
        )
    message = snapshot("folds in time order are the same in each repeat; omit 'repeats'")
    assert str(caught.value) == message
