"""The comparison of CPU times with stored ones, on given measurements."""

from __future__ import annotations

import json

import pytest

from benchmarks.regression import RATIOS, STORED, Ratio, improvements, regressions
from benchmarks.runner import Outcome

STABLE = dict.fromkeys(RATIOS, 1.0)


def outcome(**seconds: list[float]) -> Outcome:
    return Outcome(
        "a", "b", {case: [{"cpu_seconds": s} for s in each] for case, each in seconds.items()}
    )


def test_a_case_is_divided_by_its_reference_of_the_same_round():
    measured = outcome(train=[9.0, 10.0, 40.0], work=[3.0, 2.0, 4.0])

    assert Ratio("train", "work").measured(measured) == 5.0  # of 3, 5 and 10


@pytest.mark.parametrize("train", [[], [9.0]], ids=["always", "once"])
def test_a_case_that_failed_has_no_ratio(train):
    assert Ratio("train", "work").measured(outcome(train=train, work=[3.0, 2.0])) is None


def test_only_ratios_beyond_the_margin_are_reported():
    stored = STABLE | {"epochs": 4.0, "dlcli predict": 4.0, "dlcli init": 4.0, "a request": 4.0}
    measured = STABLE | {
        "epochs": 6.1,
        "dlcli predict": 5.9,
        "dlcli init": 2.7,
        "a request": 2.6,
    }

    assert regressions(measured, stored) == [
        "epochs: 1.52 times the stored CPU time; the limit is 1.5"
    ]
    assert improvements(measured, stored) == [
        "a request: only 0.65 times the stored CPU time; --renew stores the new one"
    ]


def test_a_case_that_failed_or_is_new_does_not_pass():
    without = {name: ratio for name, ratio in STABLE.items() if name != "epochs"}

    assert regressions(without, STABLE) == ["epochs: could not be measured"]
    assert regressions(STABLE, without) == ["epochs: has no stored figure; --renew stores it"]


def test_each_ratio_is_stored():
    assert json.loads(STORED.read_text("utf-8")).keys() == RATIOS.keys()
