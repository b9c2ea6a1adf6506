"""The chart of the metric or cost by threshold."""

from __future__ import annotations

import pytest

from dlcli.reports.decision_chart import decision_chart
from dlcli.tasks.decision import CurvePoint, FittedDecision

COSTS = ((0.0, 1.0), (9.0, 0.0))


def decided(values, threshold=0.1, **fields):
    curve = tuple(CurvePoint(threshold=at, value=value) for at, value in values)
    return FittedDecision(
        threshold=threshold, origin="validation", rows=1200, curve=curve, **fields
    )


def test_it_names_the_cost_at_the_chosen_threshold_and_the_lowest_one():
    rule = decided([(0.05, 0.5), (0.11, 0.25), (0.2, 0.125)], objective="cost", costs=COSTS)
    found = decision_chart(rule)
    assert found.title == "Mean cost of a row by threshold"
    assert found.description == (
        "Mean cost of a row on 1,200 validation rows: 0.25 near the threshold 0.1; the lowest is "
        "0.125, at 0.2."
    )
    assert len(found.numbers.rows) == 3


def test_a_metric_has_its_highest_value_and_no_point_where_it_is_undefined():
    found = decision_chart(
        decided([(0.05, 0.5), (0.2, 0.75), (0.9, None)], threshold=0.2, objective="f1")
    )
    assert found.title == "F1 by threshold"
    assert found.description.endswith("the highest is 0.75, at 0.2.")
    assert len(found.numbers.rows) == 2


@pytest.mark.parametrize(
    "rule",
    [
        FittedDecision(threshold=0.3, objective="threshold"),
        FittedDecision(costs=((0, 1, 1), (1, 0, 1), (1, 1, 0)), objective="cost"),
    ],
)
def test_a_rule_that_was_not_evaluated_has_no_chart(rule):
    assert decision_chart(rule) is None
