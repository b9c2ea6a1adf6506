from __future__ import annotations

from collections import Counter
from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot

from dlcli.config.data_section import GroupSplit, RandomSplit, StratifiedSplit, TimeSplit
from dlcli.errors import DataError
from dlcli.splitting import Assignment, Shares, assign_rows, sample_rows
from dlcli.tables.table import Table

SHARES = st.builds(
    Shares, st.sampled_from([0.0, 0.1, 0.15, 0.3]), st.sampled_from([0.0, 0.1, 0.15, 0.3])
)


def column(values: list, storage: pa.DataType | None = None) -> Table:
    """A table with one column `by`, whose rows are those of a file from its row 11 on."""
    data = pa.table({"by": pa.array(values, storage)})
    return Table("data.csv", data, np.arange(11, 11 + len(values)))


def random_split(rows: int, shares: Shares, seed: int) -> Assignment:
    return assign_rows(column([0] * rows), RandomSplit(), None, shares, seed)


def stratified_split(classes: list, shares: Shares, seed: int) -> Assignment:
    return assign_rows(column(list(classes)), StratifiedSplit(), "by", shares, seed)


def group_split(table: Table, shares: Shares, seed: int) -> Assignment:
    return assign_rows(table, GroupSplit(column="by"), None, shares, seed)


def time_split(table: Table, shares: Shares) -> Assignment:
    return assign_rows(table, TimeSplit(column="by"), None, shares, 0)


def sizes(assignment: Assignment) -> tuple[int, ...]:
    return tuple(len(rows) for rows in assignment)


def values(rows: np.ndarray, of: list) -> list:
    return [of[row] for row in rows]


def lists(assignment: Assignment) -> tuple[list[int], ...]:
    return tuple(rows.tolist() for rows in assignment)


def every_row_is_in_one_set(assignment: Assignment, rows: int) -> bool:
    ascending = all(rows.tolist() == sorted(rows.tolist()) for rows in assignment)
    return ascending and sorted(np.concatenate(assignment).tolist()) == list(range(rows))


class TestRandom:
    @given(st.integers(8, 200), SHARES, st.integers(0, 2**64))
    def test_every_row_is_in_one_set(self, rows, shares, seed):
        assignment = random_split(rows, shares, seed)
        assert every_row_is_in_one_set(assignment, rows)
        assert all(rows.dtype == np.int64 for rows in assignment)

    def test_the_sets_have_their_shares_of_the_rows(self):
        assert sizes(random_split(150, Shares(validation=0.2, test=0.1), 0)) == (105, 30, 15)

    def test_a_small_share_is_a_row_at_least(self):
        assert sizes(random_split(3, Shares(validation=0.01, test=0.01), 0)) == (1, 1, 1)

    def test_without_shares_all_rows_train(self):
        assert lists(random_split(3, Shares(), 0)) == ([0, 1, 2], [], [])

    def test_the_same_seed_gives_the_same_rows(self):
        shares = Shares(0.2, 0.2)
        assert lists(random_split(50, shares, 7)) == lists(random_split(50, shares, 7))

    def test_another_seed_gives_other_rows(self):
        shares = Shares(0.2, 0.2)
        assert lists(random_split(50, shares, 7)) != lists(random_split(50, shares, 8))

    def test_every_row_has_the_same_probability(self):
        drawn = Counter(
            row for seed in range(600) for row in random_split(6, Shares(test=0.33), seed).test
        )
        # Each row is drawn in a third of the 600 splits, with a standard deviation of 11.5.
        assert all(140 < drawn[row] < 260 for row in range(6))

    def test_the_draw_is_not_the_one_of_a_plain_generator(self):
        plain = np.random.default_rng(7).permutation(50)[:10]
        assert set(random_split(50, Shares(test=0.2), 7).test) != set(plain)

    @pytest.mark.parametrize(
        ("rows", "shares", "expected"),
        [
            (2, Shares(0.1, 0.1), "2 rows are too few: validation needs 1, test 1 and training"),
            (1, Shares(test=0.5), "1 row is too few: validation needs 0, test 1 and training"),
            (10, Shares(0.5, 0.5), "10 rows are too few: validation needs 5, test 5 and training"),
        ],
    )
    def test_too_few_rows_are_refused(self, rows, shares, expected):
        with pytest.raises(DataError) as caught:
            random_split(rows, shares, 0)
        assert str(caught.value).startswith(f"data.csv: {expected}")


class TestStratified:
    @given(st.lists(st.integers(0, 4), min_size=20, max_size=120), SHARES, st.integers(0, 99))
    def test_every_row_is_in_one_set_and_every_class_trains(self, classes, shares, seed):
        assignment = stratified_split(classes, shares, seed)
        assert every_row_is_in_one_set(assignment, len(classes))
        assert sizes(assignment) == sizes(random_split(len(classes), shares, seed))
        assert set(values(assignment.train, classes)) == set(classes)

    @pytest.mark.parametrize("seed", range(20))
    def test_test_rows_are_the_same_whatever_validation_takes(self, seed):
        classes = [0] * 30 + [1] * 20 + [2] * 7
        first, *others = (
            stratified_split(classes, Shares(validation, 0.15), seed).test.tolist()
            for validation in (0.0, 0.1, 0.15, 0.3)
        )
        assert others == [first] * 3

    def test_every_set_has_the_proportions_of_the_table(self):
        classes = [0, 1, 1, 2, 2, 2, 2, 2, 2, 2] * 10
        assignment = stratified_split(classes, Shares(validation=0.2, test=0.1), 0)
        assert Counter(values(assignment.train, classes)) == {0: 7, 1: 14, 2: 49}
        assert Counter(values(assignment.validation, classes)) == {0: 2, 1: 4, 2: 14}
        assert Counter(values(assignment.test, classes)) == {0: 1, 1: 2, 2: 7}

    def test_the_largest_remainders_make_the_total_right(self):
        # A quarter of 5 + 7 + 8 rows is 1.25 + 1.75 + 2: the 0.75 gets the row that is left.
        classes = [0] * 5 + [1] * 7 + [2] * 8
        assignment = stratified_split(classes, Shares(test=0.25), 0)
        assert Counter(values(assignment.test, classes)) == {0: 1, 1: 2, 2: 2}

    def test_a_class_that_occurs_once_stays_in_training(self):
        classes = [0, 0, 0, 0, 1]
        for seed in range(20):
            assignment = stratified_split(classes, Shares(0.2, 0.4), seed)
            assert sizes(assignment) == (2, 1, 2)
            assert 4 in assignment.train

    def test_equal_remainders_are_decided_by_the_seed(self):
        classes = np.repeat(np.arange(10), 2).tolist()
        tested = {tuple(stratified_split(classes, Shares(test=0.1), s).test // 2) for s in range(9)}
        assert len(tested) > 1

    def test_the_same_seed_gives_the_same_rows(self):
        classes, shares = (np.arange(50) % 3).tolist(), Shares(0.2, 0.2)
        first, second = (stratified_split(classes, shares, 7) for _ in range(2))
        assert lists(first) == lists(second)

    def test_another_seed_gives_other_rows(self):
        classes, shares = (np.arange(50) % 3).tolist(), Shares(0.2, 0.2)
        first, second = (stratified_split(classes, shares, seed) for seed in (7, 8))
        assert lists(first) != lists(second)

    def test_only_classes_that_occur_once_are_refused(self):
        with pytest.raises(
            DataError,
            match=r"^data.csv: column 'by': each of the 10 classes occurs only once; is the target",
        ):
            stratified_split(range(10), Shares(test=0.2), 0)

    def test_more_held_out_rows_than_the_classes_can_spare_are_refused(self):
        classes = [0, 0, 1, 2, 3, 4]
        with pytest.raises(DataError, match=r"need 2 rows, but only 1 of 6 are available"):
            stratified_split(classes, Shares(0.2, 0.2), 0)


class TestGroup:
    @given(st.lists(st.integers(0, 9), min_size=30, max_size=90), SHARES, st.integers(0, 99))
    def test_no_group_is_on_two_sides(self, groups, shares, seed):
        groups = [*groups, 0, 1, 2]
        assignment = group_split(column(groups), shares, seed)
        assert every_row_is_in_one_set(assignment, len(groups))
        sides = [set(values(rows, groups)) for rows in assignment]
        assert sum(map(len, sides)) == len(set(groups))
        wanted = (True, shares.validation > 0, shares.test > 0)
        assert tuple(map(bool, sides)) == wanted

    def test_equal_groups_fill_their_shares(self):
        groups = [f"g{row % 10}" for row in range(100)]
        assert sizes(group_split(column(groups), Shares(0.2, 0.3), 0)) == (50, 20, 30)

    def test_a_group_too_large_for_a_share_trains(self):
        groups = ["large"] * 80 + ["a"] * 10 + ["b"] * 10
        for seed in range(9):
            assignment = group_split(column(groups), Shares(0.1, 0.1), seed)
            assert sizes(assignment) == (80, 10, 10)

    def test_the_nearest_group_is_taken_where_none_fits(self):
        groups = ["a"] * 20 + ["b"] * 30 + ["c"] * 50
        for seed in range(9):
            assert sizes(group_split(column(groups), Shares(test=0.1), seed)) == (80, 0, 20)

    def test_a_last_group_is_added_where_that_comes_nearer(self):
        # Wanted are 18 of 60: one group of 10 is 8 short, two are 2 over.
        groups = [row % 6 for row in range(60)]
        assert sizes(group_split(column(groups), Shares(test=0.3), 0)) == (40, 0, 20)

    def test_the_same_seed_gives_the_same_groups_and_another_others(self):
        table = column([row % 20 for row in range(100)])
        first, second, other = (
            lists(group_split(table, Shares(0.2, 0.2), seed)) for seed in (7, 7, 8)
        )
        assert first == second
        assert first != other

    def test_too_few_groups_are_refused(self):
        with pytest.raises(DataError) as caught:
            group_split(column(["a", "b", "a", "b"]), Shares(0.25, 0.25), 0)
        expected = snapshot(
            "data.csv: column 'by': 2 groups, expected at least 3: one for each set"
        )
        assert str(caught.value) == expected

    def test_a_row_without_a_group_is_refused(self):
        with pytest.raises(DataError, match=r"^data.csv: row 12, column 'by': expected a value"):
            group_split(column(["a", "", "b"]), Shares(test=0.3), 0)


class TestTime:
    @given(
        st.lists(st.integers(0, 30), min_size=20, max_size=80).filter(lambda t: len(set(t)) > 2),
        SHARES,
    )
    def test_the_sets_follow_each_other_in_time(self, times, shares):
        assignment = time_split(column(times), shares)
        assert every_row_is_in_one_set(assignment, len(times))
        held = [rows for rows in assignment if len(rows)]
        assert len(held) == 1 + (shares.validation > 0) + (shares.test > 0)
        for earlier, later in zip(held, held[1:], strict=False):
            assert max(values(earlier, times)) < min(values(later, times))

    @pytest.mark.parametrize(
        "times",
        [
            pytest.param(["10", "9", "8", "7"], id="numbers in text"),
            pytest.param([1.5, 1e-3, -1.0, -2.0], id="numbers"),
            pytest.param(["2024-01-02", "2024-01-01", "2023-12-31", "2020-02-29"], id="dates"),
            pytest.param(["2024-10", "2024-09", "2024-08", "2023-11"], id="months"),
            pytest.param(["010131", "000101", "991231", "980101"], id="dates of six digits"),
            pytest.param(["13/01/2024", "12/01/2024", "11/01/2024", "1/1/2024"], id="day first"),
            pytest.param(
                ["2024-01-01T10:00", "2024-01-01 09:00:00", "2024-01-01", "2023-12-31"],
                id="dates with times",
            ),
            pytest.param(
                [
                    "2024-01-01T10:00-05:00",
                    "2024-01-01T12:00Z",
                    "2024-01-01T13:00:00+03:00",
                    "2024-01-01T02:00:00.5-01:00",
                ],
                id="instants",
            ),
            pytest.param([datetime(year, 1, 1) for year in (2024, 2023, 1999, 1950)], id="native"),
        ],
    )
    def test_the_latest_rows_are_test_and_those_before_them_validation(self, times):
        assert lists(time_split(column(times), Shares(0.25, 0.25))) == ([2, 3], [1], [0])

    @pytest.mark.parametrize(
        "parts",
        [
            pytest.param([[2024, 2024, 2023, 2023], [2, 1, 12, 9]], id="year and month"),
            pytest.param([["24", "24", "23", "9"], ["Feb", "Jan", "Dec", "Jan"]], id="names"),
            pytest.param([[2024, 2024, 2023, 2023], ["Q2", "Q1", "Q4", "Q3"]], id="quarters"),
            pytest.param(
                [["2024-05-01", "2024-05-01", "2024-04-30", "2024-04-30"], ["9:30", "8:00"] * 2],
                id="date and time of day",
            ),
            pytest.param([[7, 7, 7, 6], [1, 1, 0, 9], [1, 0, 9, 9]], id="three columns"),
        ],
    )
    def test_several_columns_are_one_time(self, parts):
        names = tuple(f"part{at}" for at in range(len(parts)))
        data = pa.table(dict(zip(names, parts, strict=True)))
        table = Table("data.csv", data, np.arange(4))
        assigned = assign_rows(table, TimeSplit(column=names), None, Shares(0.25, 0.25), 0)
        assert lists(assigned) == ([2, 3], [1], [0])

    @pytest.mark.parametrize(
        "times",
        [
            ["2024-Q1", "2023Q4", "2023 Q3", "Q2 2023"],
            ["2024-W02", "2024-W01", "2023-W52", "2023-W9"],
            ["2024M2", "2024M1", "2023M12", "2023M11"],
        ],
    )
    def test_quarters_weeks_and_months_are_times(self, times):
        assert lists(time_split(column(times), Shares(0.25, 0.25))) == ([2, 3], [1], [0])

    @pytest.mark.parametrize("wrong", ["2024-Q5", "2024-W54", "2024-M0", "Feb"])
    def test_other_periods_and_months_without_a_year_are_not(self, wrong):
        with pytest.raises(DataError, match=f"row 12, .* got '{wrong}'"):
            time_split(column(["2024-Q1", wrong]), Shares(test=0.3))

    def test_one_instant_with_two_offsets_is_one_time(self):
        times = ["2024-01-01T00:00Z", "2024-01-01T10:00Z", "2024-01-01T12:00+02:00"]
        assert lists(time_split(column(times), Shares(test=0.3))) == ([0], [], [1, 2])

    @pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
    def test_native_times_of_every_unit_are_taken(self, unit):
        times = [datetime(year, 1, 1) for year in (2024, 2023, 1999)]
        table = column(times, pa.timestamp(unit, "UTC"))
        assert lists(time_split(table, Shares(test=0.3))) == ([1, 2], [], [0])

    def test_rows_of_one_time_stay_together(self):
        # Wanted are 2 test rows, but the last time has 3; then 2 validation rows, as there are.
        times = [1, 1, 1, 2, 3, 3, 4, 4, 4]
        assignment = time_split(column(times), Shares(0.22, 0.22))
        assert lists(assignment) == ([0, 1, 2, 3], [4, 5], [6, 7, 8])

    def test_validation_rows_are_left_where_the_nearest_time_begins_the_test_rows(self):
        times = [1] * 2 + [2] * 16 + [3] * 2
        assignment = time_split(column(times), Shares(0.1, 0.1))
        assert lists(assignment) == ([0, 1], [*range(2, 18)], [18, 19])

    def test_a_time_is_left_for_each_set(self):
        times = [1, 2, 3, 3, 3, 3, 3, 3]
        assignment = time_split(column(times), Shares(0.1, 0.1))
        assert lists(assignment) == ([0], [1], [2, 3, 4, 5, 6, 7])

    def test_one_time_for_all_rows_is_cut_in_the_order_of_the_rows(self):
        assert lists(time_split(column([5] * 4), Shares(0.25, 0.25))) == ([0, 1], [2], [3])

    def test_without_shares_all_rows_train(self):
        assert lists(time_split(column([3, 1, 2]), Shares())) == ([0, 1, 2], [], [])

    @pytest.mark.parametrize(
        ("times", "row", "shown"),
        [
            (["2024-01-01", "03/04/2021"], 12, "03/04/2021"),
            (["1", "2", "NA"], 13, "NA"),
            (["2024-01-01", "5"], 12, "5"),
            (["2024-01-01", "2024-99-99"], 12, "2024-99-99"),
            (["2024-01-01", "2023-02-29"], 12, "2023-02-29"),
            (["2024-01", "2024-13"], 12, "2024-13"),
            (["2024-01-01T10:00", "2024-01-01T10:00 noon"], 12, "2024-01-01T10:00 noon"),
        ],
    )
    def test_a_value_that_is_no_time_is_refused(self, times, row, shown):
        with pytest.raises(DataError) as caught:
            time_split(column(times), Shares(test=0.3))
        expected = f"expected a number or a date such as 2024-03-31, got '{shown}'"
        assert str(caught.value) == f"data.csv: row {row}, column 'by': {expected}"

    def test_flags_are_no_times(self):
        with pytest.raises(DataError) as caught:
            time_split(column([True, False]), Shares(test=0.3))
        assert str(caught.value) == (
            snapshot(
                "data.csv: row 11, column 'by': expected a number or a date such as 2024-03-31, got "
                "'true'; 1 more row has this problem"
            )
        )

    @pytest.mark.parametrize(
        ("times", "expected"),
        [
            (
                ["2024-01-01T10:00Z", "2024-01-01T11:00+01:00", "2024-01-01"],
                "a time with a UTC offset (as in earlier rows), got '2024-01-01'",
            ),
            (
                ["2024-01-01", "2024-01-02", "2024-01-01T10:00Z"],
                "a time without a UTC offset (as in earlier rows), got '2024-01-01T10:00Z'",
            ),
        ],
    )
    def test_times_with_and_without_offsets_are_refused(self, times, expected):
        with pytest.raises(DataError) as caught:
            time_split(column(times), Shares(test=0.3))
        assert str(caught.value) == f"data.csv: row 13, column 'by': expected {expected}"

    @pytest.mark.parametrize(
        ("times", "message"),
        [
            (
                ["09:30", "10:00"],
                "times without a date can't order the rows of several days; split by a date, or by a "
                "date and a time: [DATE, by]",
            ),
            (
                ["01/02/2024", "02/01/2024"],
                "no value shows whether the day or the month comes first ('%d/%m/%Y', '%m/%d/%Y'); write "
                "dates like 2024-03-31",
            ),
        ],
    )
    def test_times_without_a_date_and_dates_with_two_meanings_are_refused(self, times, message):
        with pytest.raises(DataError) as caught:
            time_split(column(times), Shares(test=0.3))
        assert str(caught.value) == f"data.csv: column 'by': {message}"

    def test_dates_are_ordered_in_whichever_way_they_are_written(self):
        days = column(["13.01.2024", "02.02.2024", "01.03.2023", "30.12.2023"])
        assert time_split(days, Shares(test=0.25)).test.tolist() == [1]

    def test_a_row_without_a_time_is_refused(self):
        with pytest.raises(DataError, match=r"^data.csv: row 13, column 'by': expected a value"):
            time_split(column([1.0, 2.0, None]), Shares(test=0.3))


# A sample


def sampled(table: Table, most: int, seed: int = 0, classes: str | None = None) -> list[int]:
    return (sample_rows(table, most, seed, classes).row_numbers - 11).tolist()


def test_a_sample_keeps_the_order_of_rows_and_depends_on_the_seed():
    table = column([0] * 1000)
    rows = sampled(table, 100, seed=1)
    assert len(rows) == 100 and rows == sorted({*rows})
    assert rows == sampled(table, 100, seed=1) != sampled(table, 100, seed=2)
    assert abs(np.mean(rows) - 500) < 100  # from the whole table


def test_a_table_with_fewer_rows_is_its_own_sample():
    table = column([0] * 10)
    assert sample_rows(table, 10) is table


def test_a_sample_has_the_proportions_of_the_classes_and_each_rare_class():
    classes = ["a"] * 8000 + ["b"] * 1999 + ["c"]
    rows = sampled(column(classes), 1000, classes="by")
    assert Counter(values(rows, classes)) == {"a": 799, "b": 200, "c": 1}
    assert rows == sorted({*rows})


def test_a_sample_smaller_than_the_number_of_classes_is_refused():
    with pytest.raises(DataError, match="2 rows are fewer than 3 classes; draw more rows"):
        sample_rows(column(["a", "b", "c", "c"]), 2, classes="by")
