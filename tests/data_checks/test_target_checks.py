"""Targets that hold something other than what is to be learned."""

from __future__ import annotations

import numpy as np
import pytest
from inline_snapshot import snapshot

from dlcli.config.data_section import Target
from dlcli.data_checks.inspection import inspect_table
from dlcli.data_checks.target_checks import (
    find_class_numbers,
    find_constant_target,
    find_far_target,
    find_long_tail,
    find_odd_classes,
    long_tail,
    refuse_names,
)
from dlcli.errors import DataError
from dlcli.tasks.inference import infer_task
from dlcli.tasks.task import Task

X = [1.5, 2.0, 4.0, 8.0] * 6


def test_a_number_that_is_always_the_same_leaves_nothing_to_learn(sample):
    found = find_constant_target(sample({"y": [3.5] * 24, "z": X}, ("y", "z")))
    assert found.message == snapshot("the same target in all rows: 'y'")
    assert (found.severity, found.rows) == ("warning", 24)


def test_of_several_targets_only_the_constant_ones_are_named(sample):
    columns = {"x": X, "a": [0, 1] * 12, "b": [0] * 24}
    assert find_constant_target(sample(columns, ("a", "b"))).columns == ("b",)


@pytest.mark.parametrize("target", [[3.5] * 23 + [4], ["a", "b"] * 12])
def test_other_targets_are_not_constant(target, sample):
    assert find_constant_target(sample({"x": X, "y": target}, "y")) is None


def test_numbers_with_a_word_among_them_are_doubtful_classes(sample):
    prices = [*map(str, range(23)), "free"]
    found = find_odd_classes(sample({"x": X, "y": prices}, "y"))
    assert found.message == (
        snapshot("a target treated as 24 classes: 'y' (95.8 % are numbers, 'free' in 1 row is not)")
    )
    assert found.severity == "warning"


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ([f"{kilos} kg" for kilos in range(12)] * 2, "numbers with a unit, such as '0 kg'"),
        ([f"2024-01-{day}" for day in range(10, 22)] * 2, "dates such as 2024-01-10"),
    ],
)
def test_amounts_and_dates_are_doubtful_classes(target, reason, sample):
    assert reason in find_odd_classes(sample({"x": X, "y": target}, "y")).message


@pytest.mark.parametrize(
    "target", [["a", "b"] * 12, ["007", "012"] * 12, [True, False] * 12, [0, 1] * 12]
)
def test_names_codes_and_flags_are_classes(target, sample):
    assert find_odd_classes(sample({"x": X, "y": target}, "y")) is None


def test_what_was_declared_is_not_doubted(sample, table):
    columns = {"x": X, "y": [*map(str, range(23)), "free"]}
    kind = infer_task(Target(column="y", type="categorical"), [table(columns)])
    assert isinstance(kind, Task)
    declared = sample(columns, "y")
    assert find_odd_classes(type(declared)(**{**vars(declared), "task": kind})) is None


def test_numbers_without_bounds_are_found(table):
    columns = {"x": [*map(str, X[1:]), "inf"], "z": [1e39, *X[1:]], "y": ["a", "b"] * 12}
    found = inspect_table(table(columns), "y").issues
    assert [finding.check for finding in found] == ["unbounded"]
    assert found[0].message == snapshot(
        "numbers that are infinite, or too large for 32 bits: 'x', 'z'"
    )


def test_numbers_that_are_the_same_once_they_are_rounded_leave_nothing_to_learn(sample):
    target = [str(10**29 + at) for at in range(24)]
    assert find_constant_target(sample({"y": target, "z": X}, ("y", "z"))).columns == ("y",)


def test_a_value_far_from_all_others_is_named_with_its_row(sample):
    target = [20.0 + at for at in range(23)]
    found = find_far_target(sample({"x": X, "y": [*target, 31_000.0]}, "y"))
    assert found.message == (
        snapshot("an outlier in the target: 'y' (31000 in row 24; other values: 20 to 42)")
    )
    assert found.severity == "warning"
    coded = find_far_target(sample({"x": X, "y": [*target[2:], *[-999] * 3]}, "y"))
    assert "'y' (-999 in 3 rows; other values: 22 to 42)" in coded.message
    # 11.5 is the median's distance from 20 and from 43, and 31.5 + 10 · 11.5 = 146.5
    for farthest, speaks in ((160.0, True), (130.0, False)):
        finding = find_far_target(sample({"x": X, "y": [*target, farthest]}, "y"))
        assert (finding is not None) is speaks


@pytest.mark.parametrize("target", [[5.0] * 23 + [9.5], [1.5, 2.5] * 12, ["a", "b"] * 12])
def test_few_distinct_values_have_no_outlier(target, sample):
    assert find_far_target(sample({"x": X, "y": target}, "y")) is None


@pytest.mark.parametrize("target", [[0, 1, 2] * 8, ["1", "2", "3", "4"] * 6, [1.0, 3.0, 2.0] * 8])
def test_a_few_integers_without_a_gap_may_number_classes(target, sample):
    found = find_class_numbers(sample({"x": X, "y": target}, "y"))
    low, high = min(map(float, target)), max(map(float, target))
    assert found.message == (
        f"a target with few distinct integers is treated as numeric: 'y' ({low:.0f} to {high:.0f})"
    )
    assert found.severity == "warning"


@pytest.mark.parametrize(
    "target",
    [
        [0, 1] * 12,
        [2, 3, 4] * 8,
        [0, 1, 3] * 8,
        [0, 0.5, 1] * 8,
        [*range(24)],
        ["1", "2", "a"] * 8,
        [2] * 23 + [2.5],
    ],
)
def test_other_targets_do_not_number_classes(target, sample):
    assert find_class_numbers(sample({"x": X, "y": target}, "y")) is None


@pytest.mark.parametrize("declared", ["numeric", "count", "categorical"])
def test_a_declared_target_is_not_taken_for_numbered_classes(declared, sample, table):
    columns = {"x": X, "y": [0, 1, 2] * 8}
    kind = infer_task(Target(column="y", type=declared), [table(columns)])
    found = sample(columns, "y")
    assert find_class_numbers(type(found)(**{**vars(found), "task": kind})) is None


TAILED = np.exp(np.random.default_rng(0).normal(4, 1.5, 200))
NOISE = np.random.default_rng(1).normal(0, 0.2, 200)


def test_a_target_over_orders_of_magnitude_is_trained_on_its_logarithm(sample):
    columns = {"x": np.log(TAILED) + NOISE, "y": TAILED}
    found = find_long_tail(sample({name: [*values] for name, values in columns.items()}, "y"))
    assert found.message == snapshot(
        "a target with a long tail: 'y' (a median of 58.7 and values up to 1,100)"
    )
    assert "output.scaling: log1p" in found.advice
    assert "loss: gamma" in found.advice


def test_a_sum_of_columns_with_long_tails_is_not_trained_on_its_logarithm(sample):
    other = TAILED[::-1]
    columns = {"a": [*TAILED], "b": [*other], "y": [*(TAILED + other)]}
    assert find_long_tail(sample(columns, "y")) is None


@pytest.mark.parametrize(
    ("values", "loss"),
    [
        (TAILED, "gamma"),
        (np.where(np.arange(200) % 2, TAILED, 0), "tweedie"),
        (-TAILED, None),
        (np.random.default_rng(0).normal(50, 5, 200), None),
        (TAILED[:40], None),
    ],
    ids=["positive", "half are zeros", "negative", "symmetric", "few rows"],
)
def test_the_loss_of_a_long_tail_depends_on_its_zeros(values, loss):
    tail = long_tail(values)
    assert (tail and tail.mean_loss) == loss


def test_dates_and_amounts_are_refused_earlier(table):
    dates = [f"2024-01-{10 + row % 20}" for row in range(60)]
    prices = [*map(str, range(59)), "free"]
    for target, advice in ((dates, "the days until the date"), (prices, "correct the values")):
        rows = table({"x": [*range(60)], "y": target})
        task = infer_task(Target(column="y"), [rows])
        with pytest.raises(DataError, match=f"has .. classes in 60 rows: .*; .*{advice}"):
            refuse_names(task, rows)
    rare = table({"x": [*range(60)], "y": [f"2024-01-{10 + row % 12}" for row in range(60)]})
    refuse_names(infer_task(Target(column="y"), [rare]), rare)


@pytest.mark.parametrize(
    ("count", "declared", "is_refused"),
    [(59, "auto", True), (30, "auto", False), (59, "categorical", False)],
    ids=["names", "classes of two rows", "declared"],
)
def test_names_are_no_target_unless_they_are_declared_as_classes(
    table, count, declared, is_refused
):
    names = [f"car {row % count}" for row in range(60)]
    rows = table({"x": [*range(60)], "y": names})
    task = infer_task(Target(column="y", type=declared), [rows])
    if not is_refused:
        refuse_names(task, rows)
        return
    message = "has 59 classes in 60 rows: is it a name.*declare the target with type: categorical"
    with pytest.raises(DataError, match=message):
        refuse_names(task, rows)
    assert [each.check for each in inspect_table(rows, "y").issues if each.check == "target"]
