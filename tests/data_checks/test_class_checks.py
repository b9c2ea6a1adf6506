"""Classes with few rows, or with none to learn from."""

from __future__ import annotations

import pytest
from inline_snapshot import snapshot

from dlcli.config.data_section import Target
from dlcli.data_checks.target_checks import find_imbalance, find_rare_classes
from dlcli.tasks.inference import infer_task


def labels(**counts):
    return {"y": [name for name, count in counts.items() for _ in range(count)]}


def kind(*tables):
    return infer_task(Target(column="y"), tables)


@pytest.mark.parametrize(("rows", "is_found"), [(9, True), (10, False)])
def test_a_class_of_fewer_than_ten_rows_is_rare(rows, is_found, table):
    train = table(labels(a=40, b=rows))
    found = find_rare_classes({"train": train}, kind(train))
    assert (found is not None) == is_found
    assert not is_found or found.message == "classes with few rows: 'b' (9 rows)"


@pytest.mark.parametrize(
    ("rare", "is_found"),
    [("escalted", True), ("Escalated", False), ("deescalated", False), ("solved", False)],
)
def test_a_rare_class_that_resembles_a_frequent_one_may_be_misspelled(rare, is_found, table):
    train = table({"y": ["escalated"] * 40 + ["open"] * 40 + [rare] * 2})
    advice = find_rare_classes({"train": train}, kind(train)).advice
    hint = f"; '{rare}' may be a misspelling of 'escalated'"
    assert advice.endswith(hint) == is_found


def test_numbered_classes_are_not_called_misspelled(table):
    train = table({"y": ["level 1"] * 40 + ["level 2"] * 2})
    assert "misspelling" not in find_rare_classes({"train": train}, kind(train)).advice


def test_rows_of_all_sets_count(table):
    train, test = table(labels(a=40, b=6)), table(labels(a=5, b=4))
    assert find_rare_classes({"train": train, "test": test}, kind(train, test)) is None


def test_a_class_that_only_held_out_rows_have_is_found(table):
    train, test = table(labels(a=40, b=20)), table(labels(b=5, c=15))
    found = find_rare_classes({"train": train, "test": test}, kind(train, test))
    assert found.message == snapshot("classes without a training row: 'c' (15 rows)")
    assert (found.rows, found.severity) == (15, "warning")


def test_a_small_table_has_no_rare_classes(table):
    train = table(labels(a=10, b=9))
    assert find_rare_classes({"train": train}, kind(train)) is None


@pytest.mark.parametrize(("rows", "is_found"), [(101, True), (100, False)])
def test_more_than_ten_to_one_is_unbalanced(rows, is_found, table):
    every = table(labels(a=rows, b=10))
    found = find_imbalance(every, kind(every))
    assert (found is not None) == is_found
    assert not is_found or (found.severity, found.columns) == ("note", ("y",))


def test_unbalanced_classes_are_evaluated_by_a_metric_that_all_results_have(table):
    every = table(labels(a=101, b=10, c=10))
    assert find_imbalance(every, kind(every)).advice == (
        "accuracy is misleading: see balanced accuracy in the results; class_weight: balanced "
        "finds more rows of rare classes"
    )


def test_for_two_unbalanced_classes_the_threshold_is_suggested_first(table):
    every = table(labels(a=101, b=10))
    assert find_imbalance(every, kind(every)).advice == (
        "accuracy is misleading: see balanced accuracy in the results; to find more rows of the "
        "rare class, lower its decision threshold, or set class_weight: balanced"
    )


def test_numbers_have_no_classes(table):
    numbers = table({"y": [0.5 * at for at in range(30)]})
    assert find_rare_classes({"train": numbers}, kind(numbers)) is None
    assert find_imbalance(numbers, kind(numbers)) is None
