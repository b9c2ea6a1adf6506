"""Folds: each row is held out once, at random, stratified, with its group, or in time."""

from __future__ import annotations

from collections import Counter
from itertools import combinations, pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from dlcli.config.data_section import (
    GroupSplit,
    RandomSplit,
    SplitChoice,
    StratifiedSplit,
    TimeSplit,
)
from dlcli.errors import DataError
from dlcli.splitting import Fold, Shares, assign_rows, hold_out, make_folds
from dlcli.tables.table import Table

RANDOM, STRATIFIED = RandomSplit(), StratifiedSplit()
GROUP, TIME = GroupSplit(column="by"), TimeSplit(column="by")
FOLDS = st.integers(2, 6)
SEEDS = st.integers(0, 2**32 - 1)


def table_of(values: list, classes: list | None = None) -> Table:
    """A table with a column `by` to split by, and the classes `y`."""
    columns = {"by": values} if classes is None else {"by": values, "y": classes}
    return Table("data.csv", pa.table(columns), np.arange(11, 11 + len(values)))


def of_classes(classes: list) -> Table:
    return table_of(list(range(len(classes))), classes)


def of(rows: np.ndarray, values: list) -> list:
    return [values[row] for row in rows]


def lists(folds: tuple[Fold, ...]) -> list[tuple[list[int], list[int]]]:
    return [(fold.train.tolist(), fold.held_out.tolist()) for fold in folds]


def sizes(folds: tuple[Fold, ...]) -> list[int]:
    return [len(fold.held_out) for fold in folds]


def partitions(folds: tuple[Fold, ...]) -> frozenset[tuple[int, ...]]:
    """The folds without their order."""
    return frozenset(tuple(fold.held_out.tolist()) for fold in folds)


def each_row_is_held_out_once(folds: tuple[Fold, ...], rows: int) -> bool:
    """And trained on in all other folds; indices ascend."""
    every = set(range(rows))
    held_out = sorted(row for fold in folds for row in fold.held_out.tolist())
    rest = all(
        fold.train.tolist() == sorted(every - set(fold.held_out.tolist()))
        and fold.held_out.tolist() == sorted(fold.held_out.tolist())
        for fold in folds
    )
    return rest and held_out == sorted(every)


def refusal(table: Table, how: SplitChoice, folds: int = 5, classes: str | None = None) -> str:
    with pytest.raises(DataError) as caught:
        make_folds(table, how, classes, folds, 0)
    return str(caught.value)


class TestRandom:
    @given(st.integers(12, 90), FOLDS, SEEDS)
    def test_each_row_is_held_out_once_in_folds_of_even_sizes(self, rows, folds, seed):
        assigned = make_folds(table_of(list(range(rows))), RANDOM, None, folds, seed)
        assert each_row_is_held_out_once(assigned, rows)
        assert sorted(set(sizes(assigned))) in ([rows // folds], [rows // folds, rows // folds + 1])
        assert all(rows.dtype == np.int64 for fold in assigned for rows in fold)

    def test_every_two_rows_meet_with_the_same_probability(self):
        table, met = table_of(list(range(6))), Counter()
        for seed in range(600):
            for fold in make_folds(table, RANDOM, None, 3, seed):
                met.update(combinations(fold.held_out.tolist(), 2))
        # Each of 15 pairs is one of 3 in every draw: 120 of 600, with a standard deviation of 9.8.
        assert len(met) == 15
        assert all(70 < count < 170 for count in met.values())

    def test_as_many_folds_as_rows_leave_one_out_each(self):
        assigned = make_folds(table_of([0, 0, 0]), RANDOM, None, 3, 0)
        assert partitions(assigned) == {(0,), (1,), (2,)}

    def test_more_folds_than_rows_are_refused(self):
        message = snapshot("data.csv: 3 rows, expected at least 4: one for each fold")
        assert refusal(table_of([1, 2, 3]), RANDOM, 4) == message

    def test_a_fold_without_two_rows_to_train_on_is_refused(self):
        message = "data.csv: 1 training row in fold 1 of 2, expected at least 2"
        way_out = "add rows or split differently"
        assert refusal(table_of([1, 2, 3]), RANDOM, 2) == f"{message}; {way_out}"

    def test_a_fold_that_would_train_on_one_class_is_refused(self):
        assert refusal(of_classes(["a", "a", "a", "b"]), RANDOM, 4, "y").endswith(
            " of 4 have the class 'a'; add rows of other classes or split differently"
        )


class TestStratified:
    @given(st.lists(st.sampled_from("abcde"), min_size=12, max_size=90), FOLDS, SEEDS)
    def test_each_class_is_spread_evenly_over_even_folds(self, drawn, folds, seed):
        classes = [*drawn, "a", "a", "b", "b"]
        assigned = make_folds(of_classes(classes), STRATIFIED, "y", folds, seed)
        assert each_row_is_held_out_once(assigned, len(classes))
        assert max(sizes(assigned)) - min(sizes(assigned)) <= 1
        for name in set(classes):
            counts = [of(fold.held_out, classes).count(name) for fold in assigned]
            assert max(counts) - min(counts) <= 1

    @given(st.lists(st.sampled_from("abcde"), min_size=12, max_size=40), FOLDS, SEEDS)
    def test_every_fold_trains_on_every_class_of_two_rows(self, drawn, folds, seed):
        classes = [*drawn, "a", "a", "b", "b"]
        twice = {name for name, count in Counter(classes).items() if count > 1}
        for fold in make_folds(of_classes(classes), STRATIFIED, "y", folds, seed):
            assert twice <= set(of(fold.train, classes))

    def test_every_fold_has_the_proportions_of_the_table(self):
        classes = ["a", "b", "b", "c", "c", "c", "c", "c", "c", "c"] * 5
        for fold in make_folds(of_classes(classes), STRATIFIED, "y", 5, 0):
            assert Counter(of(fold.held_out, classes)) == {"a": 1, "b": 2, "c": 7}

    def test_a_class_continues_at_the_fold_where_the_last_one_ended(self):
        # Of 3 folds, the rows of `a` are in the first, second, third and first, those of `b` in the
        # second and third: two rows each, where beginning anew would make folds of 3, 2 and 1.
        classes = ["a", "b", "a", "b", "a", "a"]
        assigned = make_folds(of_classes(classes), STRATIFIED, "y", 3, 4)
        assert [sorted(of(fold.held_out, classes)) for fold in assigned] == [
            ["a", "a"],
            ["a", "b"],
            ["a", "b"],
        ]

    def test_a_class_that_only_one_fold_can_train_without_is_refused(self):
        assert refusal(of_classes(["a"] * 6 + ["b"]), STRATIFIED, 3, "y") == (
            snapshot(
                "data.csv: column 'y': all training rows in fold 1 of 3 have the class 'a'; "
                "add rows of other classes or split differently"
            )
        )


class TestGroup:
    @given(st.lists(st.integers(0, 19), min_size=12, max_size=90), FOLDS, SEEDS)
    def test_each_group_is_whole_in_one_of_the_folds(self, drawn, folds, seed):
        groups = [*drawn, *range(folds), *range(folds)]
        assigned = make_folds(table_of(groups), GROUP, None, folds, seed)
        assert each_row_is_held_out_once(assigned, len(groups))
        held_out = [set(of(fold.held_out, groups)) for fold in assigned]
        assert all(held_out)
        assert sum(map(len, held_out)) == len(set(groups))

    @given(st.lists(st.integers(0, 19), min_size=12, max_size=90), FOLDS, SEEDS)
    def test_folds_differ_by_no_more_than_the_largest_group(self, drawn, folds, seed):
        groups = [*drawn, *range(folds), *range(folds)]
        counts = sizes(make_folds(table_of(groups), GROUP, None, folds, seed))
        assert max(counts) - min(counts) <= max(Counter(groups).values())

    @pytest.mark.parametrize("seed", range(9))
    def test_small_groups_make_up_for_a_large_one(self, seed):
        groups = ["large"] * 8 + ["a", "b", "c", "d"] * 2
        assert sizes(make_folds(table_of(groups), GROUP, None, 2, seed)) == [8, 8]

    def test_groups_that_all_differ_in_size_are_assigned_otherwise_by_another_seed(self):
        table = table_of([name for name, size in zip("abcdefgh", range(8, 16), strict=True)
                          for _ in range(size)])  # fmt: skip
        assigned = {partitions(make_folds(table, GROUP, None, 4, seed)) for seed in range(9)}
        assert len(assigned) > 5

    def test_more_folds_than_groups_are_refused(self):
        message = snapshot(
            "data.csv: column 'by': 2 groups, expected at least 5: one for each fold"
        )
        assert refusal(table_of(["a", "b", "a", "b", "a", "b"]), GROUP) == message

    def test_a_row_without_a_group_is_refused(self):
        assert refusal(table_of(["a", "b", "", "c"]), GROUP, 2) == (
            snapshot(
                "data.csv: row 13, column 'by': expected a value to split by, but it is missing; fill "
                "it in or remove the row"
            )
        )

    def test_groups_that_leave_one_class_to_train_on_are_refused(self):
        table = table_of(["g", "g", "h", "h"], ["a", "a", "b", "b"])
        assert refusal(table, GROUP, 2, "y").startswith(
            "data.csv: column 'y': all training rows in fold 1 of 2 have the class"
        )


class TestTime:
    @given(
        st.lists(st.integers(0, 30), min_size=12, max_size=80).filter(lambda t: len(set(t)) > 6),
        FOLDS,
    )
    def test_every_fold_is_evaluated_on_what_comes_next(self, drawn, folds):
        times = [*drawn, -1, -1]
        assigned = make_folds(table_of(times), TIME, None, folds, 0)
        assert all(list(rows) == sorted(rows) for fold in assigned for rows in fold)
        for fold in assigned:
            assert max(of(fold.train, times)) < min(of(fold.held_out, times))
        for fold, later in pairwise(assigned):
            known = sorted([*fold.train.tolist(), *fold.held_out.tolist()])
            assert later.train.tolist() == known
        assert len(assigned[-1].train) + len(assigned[-1].held_out) == len(times)

    def test_the_windows_are_those_of_scikit_learn(self):
        # TimeSeriesSplit(3).split(range(10)), whose windows are of 10 // (3 + 1) rows.
        assert lists(make_folds(table_of(list(range(10))), TIME, None, 3, 0)) == [
            ([0, 1, 2, 3], [4, 5]),
            ([0, 1, 2, 3, 4, 5], [6, 7]),
            ([0, 1, 2, 3, 4, 5, 6, 7], [8, 9]),
        ]

    def test_rows_are_given_in_the_order_of_the_file(self):
        dates = ["2024-03-01", "2024-01-01", "2024-05-01", "2024-02-01", "2024-04-01"]
        assert lists(make_folds(table_of(dates), TIME, None, 2, 0)) == [
            ([0, 1, 3], [4]),
            ([0, 1, 3, 4], [2]),
        ]

    def test_rows_of_one_time_stay_together(self):
        # Windows of 9 // 4 rows would begin at 3, 5 and 7: in the midst of 2, after it, and of 4.
        times = [1, 1, 2, 2, 2, 3, 4, 4, 5]
        assert lists(make_folds(table_of(times), TIME, None, 3, 0)) == [
            ([0, 1], [2, 3, 4]),
            ([0, 1, 2, 3, 4], [5]),
            ([0, 1, 2, 3, 4, 5], [6, 7, 8]),
        ]

    def test_a_time_is_left_for_each_fold(self):
        times = [1, 1, 2, 3, 4, 4, 4, 4, 4, 4]
        assert lists(make_folds(table_of(times), TIME, None, 3, 0)) == [
            ([0, 1], [2]),
            ([0, 1, 2], [3]),
            ([0, 1, 2, 3], [4, 5, 6, 7, 8, 9]),
        ]

    def test_more_folds_than_times_after_the_first_are_refused(self):
        assert refusal(table_of([1, 1, 2, 2, 3, 3]), TIME, 3) == (
            snapshot(
                "data.csv: column 'by': 3 times, expected at least 4: one to start with and one for each "
                "fold"
            )
        )

    def test_a_row_without_a_time_is_refused(self):
        message = "data.csv: row 12, column 'by': expected a value to split by, but it is missing"
        assert refusal(table_of([1.0, None, 2.0]), TIME, 2).startswith(message)


class TestSeeds:
    TABLE = table_of([row % 20 for row in range(60)], ["a", "b", "c"] * 20)

    @pytest.mark.parametrize("how", [RANDOM, STRATIFIED, GROUP], ids=lambda how: how.name)
    def test_the_same_seed_gives_the_same_folds_and_another_others(self, how):
        first, again, other, repeated = (
            make_folds(self.TABLE, how, "y", 5, seed) for seed in (7, 7, 8, (7, 1))
        )
        assert lists(first) == lists(again)
        assert len({partitions(first), partitions(other), partitions(repeated)}) == 3

    @pytest.mark.parametrize("how", [RANDOM, STRATIFIED, GROUP], ids=lambda how: how.name)
    def test_the_same_seed_holds_out_the_same_rows_and_another_others(self, how):
        first, again, other, repeated = (
            hold_out(self.TABLE, how, "y", 0.3, seed).held_out.tolist()
            for seed in (7, 7, 8, (7, 1))
        )
        assert first == again
        assert len({tuple(first), tuple(other), tuple(repeated)}) == 3

    def test_the_draws_are_not_those_of_the_split(self):
        tested = assign_rows(self.TABLE, RANDOM, None, Shares(test=0.2), 7).test.tolist()
        assert tested not in [held for _, held in lists(make_folds(self.TABLE, RANDOM, None, 5, 7))]
        assert hold_out(self.TABLE, RANDOM, None, 0.2, 7).held_out.tolist() != tested


class TestHoldOut:
    @given(st.integers(4, 60), st.sampled_from([0.05, 0.2, 0.5]), SEEDS)
    def test_a_share_of_the_rows_is_held_out_and_the_rest_trained_on(self, rows, share, seed):
        train, held_out = hold_out(table_of(list(range(rows))), RANDOM, None, share, seed)
        assert sorted([*train.tolist(), *held_out.tolist()]) == list(range(rows))
        assert len(held_out) == max(1, round(share * rows))

    def test_classes_keep_their_proportions(self):
        classes = ["a", "b", "b", "b", "b"] * 10
        fold = hold_out(of_classes(classes), STRATIFIED, "y", 0.2, 0)
        assert Counter(of(fold.held_out, classes)) == {"a": 2, "b": 8}

    def test_groups_stay_whole(self):
        groups = [f"g{row % 10}" for row in range(50)]
        fold = hold_out(table_of(groups), GROUP, None, 0.2, 0)
        assert len(fold.held_out) == 10
        assert not set(of(fold.train, groups)) & set(of(fold.held_out, groups))

    def test_of_times_the_latest_are_held_out(self):
        assert lists((hold_out(table_of([3, 1, 5, 2, 4]), TIME, None, 0.4, 0),)) == [
            ([0, 1, 3], [2, 4])
        ]

    def test_a_group_alone_can_not_be_split(self):
        with pytest.raises(DataError) as caught:
            hold_out(table_of(["g"] * 5), GROUP, None, 0.2, 0)
        message = snapshot("data.csv: column 'by': 1 group, expected at least 2: one for each set")
        assert str(caught.value) == message

    def test_a_single_class_left_to_train_on_is_refused(self):
        with pytest.raises(DataError) as caught:
            hold_out(table_of([1, 2, 3, 4], ["a", "a", "b", "b"]), TIME, "y", 0.5, 0)
        assert str(caught.value) == (
            snapshot(
                "data.csv: column 'y': all training rows have the class 'a'; add rows of "
                "other classes or split differently"
            )
        )
