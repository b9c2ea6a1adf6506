"""How large an error is, and how sure."""

from __future__ import annotations

import math

import pytest

from dlcli.diagnosis.evidence import Error, error_of


def test_of_numbers_it_is_the_unexplained_share(case):
    error = error_of(
        case(metrics={"validation": {"r2": 0.75}}, rows={"validation": 50}), "validation"
    )
    assert (error.share, error.words) == (0.25, "r2 0.75")
    assert error.deviation == pytest.approx(0.25 * math.sqrt(2 / 50))


def test_of_classes_it_is_the_wrong_share_against_the_most_frequent_class(case):
    # 10 of 100 rows are wrong; the most frequent class has 60, so that it is wrong in 40.
    scores = {"accuracy": 0.9, "confusion": [[55, 5], [5, 35]]}
    error = error_of(case(metrics={"train": scores}, rows={"train": 100}), "train")
    assert error.share == pytest.approx(0.1 / 0.4)
    wrong = 12 / 104
    assert error.deviation == pytest.approx(math.sqrt(wrong * (1 - wrong) / 104) / 0.4)


def test_of_labels_it_is_the_wrong_share_against_the_constant_model(case):
    found = case(
        metrics={"train": {"accuracy": 0.9}},
        baselines={"constant": {"train": {"accuracy": 0.8}}},
    )
    assert error_of(found, "train").share == pytest.approx(0.5)
    assert error_of(found, "train", "constant").share == pytest.approx(1.0)


@pytest.mark.parametrize(
    "scores",
    [
        {},
        {"r2": None},
        {"accuracy": 0.5},
        {"accuracy": 1.0, "confusion": [[3, 0], [0, 0]]},
        {"accuracy": 0.5, "confusion": [[1, "x"], [0, 1]]},
        {"accuracy": 0.5, "confusion": [[1], [0, 1]]},
        {"accuracy": "high", "confusion": 7},
        {"r2": 10**400},
        {"accuracy": 0.5, "confusion": [[10**400, 0], [0, 1]]},
    ],
)
def test_what_is_not_known_is_none(case, scores):
    assert error_of(case(metrics={"train": scores}), "train") is None


def test_nothing_is_known_without_a_count_of_rows(case):
    assert error_of(case(metrics={"train": {"r2": 0.5}}, rows={}), "train") is None


def test_more_by_two_standard_errors_of_the_difference_is_more():
    # √(0.03² + 0.04²) = 0.05
    assert Error(0.41, 0.03, "").is_more_than(Error(0.3, 0.04, ""))
    assert not Error(0.39, 0.03, "").is_more_than(Error(0.3, 0.04, ""))
