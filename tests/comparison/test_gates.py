"""Gates: what is required of a metric, and what a result that misses it says."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from inline_snapshot import snapshot

from dlcli.config.config_schema import Gate
from dlcli.errors import RequirementError
from dlcli.metrics.intervals import Estimate
from dlcli.prediction.baseline_comparison import BaselineDifference
from dlcli.prediction.gates import check_gate, require_gates

ACCURACY = Estimate(value=0.9, lower=0.85, upper=0.94)
ERROR = Estimate(value=3.0, lower=2.5, upper=3.75)


def failures(
    name: str,
    gate: Gate,
    found: Estimate | None,
    baselines: Mapping[str, BaselineDifference] | None = None,
) -> tuple[str, ...]:
    return check_gate(name, gate, found, baselines or {}).failures


@pytest.mark.parametrize(
    ("name", "gate", "found", "expected"),
    [
        ("test.accuracy", Gate(at_least=0.9), ACCURACY, ()),
        (
            "test.accuracy",
            Gate(at_least=0.95),
            ACCURACY,
            ("test.accuracy = 0.9 (required >= 0.95)",),
        ),
        ("test.rmse", Gate(at_most=3), ERROR, ()),
        ("test.rmse", Gate(at_most=2.75), ERROR, ("test.rmse = 3 (required <= 2.75)",)),
        (
            "test.rmse",
            Gate(at_most=15_000),
            Estimate(value=15_432.6),
            ("test.rmse = 15,433 (required <= 15,000)",),
        ),
        (
            "test.accuracy",
            Gate(at_least=0.99),
            Estimate(value=0.98999),
            ("test.accuracy = 0.98999 (required >= 0.99)",),
        ),
        (
            "test.mse",
            Gate(at_most=1_234_567),
            Estimate(value=1_234_567.25),
            ("test.mse = 1,234,567.25 (required <= 1,234,567)",),
        ),
        ("test.rmse", Gate(at_least=2, at_most=4), ERROR, ()),
        ("test.accuracy", Gate(at_least=0.85, compare="confidence_bound"), ACCURACY, ()),
        (
            "test.accuracy",
            Gate(at_least=0.86, compare="confidence_bound"),
            ACCURACY,
            ("the lower end of the 95 % CI of test.accuracy = 0.85 (required >= 0.86)",),
        ),
        (
            "test.rmse",
            Gate(at_most=3.5, compare="confidence_bound"),
            ERROR,
            ("the upper end of the 95 % CI of test.rmse = 3.75 (required <= 3.5)",),
        ),
        ("test.auc", Gate(at_least=0.5), Estimate(), ("test.auc is undefined",)),
        ("test.auc", Gate(at_least=0.5), None, ("test.auc is undefined",)),
        (
            "test.auc",
            Gate(at_least=0.5, compare="confidence_bound"),
            Estimate(value=1.0, reason="there is one class"),
            ("the lower end of the 95 % CI of test.auc is undefined: there is one class",),
        ),
    ],
)
def test_a_metric_is_compared_with_its_bounds(
    name: str, gate: Gate, found: Estimate | None, expected: tuple[str, ...]
) -> None:
    assert failures(name, gate, found) == expected


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ("better", ()),
        ("worse", ("test.rmse: the network is worse than the linear baseline",)),
        (
            "not_significant",
            ("test.rmse: the network is not clearly better than the linear baseline",),
        ),
        ("same", ("test.rmse: the network is not better than the linear baseline",)),
        ("unknown", ("test.rmse: the network is not known to be better than the linear baseline",)),
    ],
)
def test_better_than_a_baseline_is_beyond_the_interval_of_the_difference(
    verdict: str, expected: tuple[str, ...]
) -> None:
    difference = BaselineDifference(
        value=-1.0, metric="rmse", network=3.0, baseline=4.0, verdict=verdict
    )
    gate = Gate(better_than="linear")

    assert failures("test.rmse", gate, ERROR, baselines={"linear": difference}) == expected
    assert failures("test.rmse", gate, ERROR, baselines={}) == (
        "test.rmse: there is no linear baseline to compare with",
    )


def test_all_failed_gates_are_named_and_have_an_exit_code_of_their_own() -> None:
    results = (
        check_gate("test.accuracy", Gate(at_least=0.95), ACCURACY, {}),
        check_gate("train.accuracy", Gate(at_least=0.5), ACCURACY, {}),
        check_gate("test.rmse", Gate(at_most=1), ERROR, {}),
    )

    with pytest.raises(RequirementError) as caught:
        require_gates(results, "runs/car")

    assert str(caught.value) == (
        snapshot(
            "runs/car: gate failed: test.accuracy = 0.9 (required >= 0.95); test.rmse = 3 (required <= 1)"
        )
    )
    assert caught.value.exit_code == 6
    assert [each.sentence for each in results[:2]] == [
        "Gate failed: test.accuracy = 0.9 (required >= 0.95).",
        "Gate passed: train.accuracy = 0.9.",
    ]
    require_gates(results[1:2], "runs/car")
