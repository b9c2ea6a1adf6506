"""Decisions: thresholds by metrics and constraints, and the class of least expected cost."""

from __future__ import annotations

from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest

from dlcli.config.config_file import parse_decision
from dlcli.errors import ConfigError, RunError
from dlcli.safe_files import parse_document
from dlcli.tasks.classification import classification
from dlcli.tasks.decision import MOST_POINTS, FittedDecision, decision_problems, fit_decision
from dlcli.tasks.task import DecodedRows

PAIR = ("no", "yes")
THREE = ("a", "b", "c")


def rows(count=400, seed=0, weights=None):
    """True classes and probabilities that are informative but not calibrated."""
    draw = np.random.default_rng(seed)
    values = (draw.random(count) < 0.2).astype(np.int64)
    scores = 1 / (1 + np.exp(-(draw.standard_normal(count) + 2 * values - 1)))
    return SimpleNamespace(values=values, decoded=scores[:, np.newaxis], weights=weights)


def fitted(text, held_out=None, classes=PAIR):
    return fit_decision(parse_decision(text), classes, held_out, "validation")


def f1(values, decided, weights=None):
    weights = np.ones(len(values)) if weights is None else weights
    right = (weights * values * decided).sum()
    return 2 * right / ((weights * values).sum() + (weights * decided).sum())


def balanced_accuracy(values, decided):
    return (decided[values == 1].mean() + (~decided[values == 0]).mean()) / 2


SCORES = {
    "f1": f1,
    "accuracy": lambda values, decided: (values == decided).mean(),
    "balanced_accuracy": balanced_accuracy,
}


def each_threshold(held_out):
    scores = np.unique(held_out.decoded)
    return [*((scores[1:] + scores[:-1]) / 2), scores[0] / 2]


class TestMaximizing:
    @pytest.mark.parametrize("weights", [None, np.random.default_rng(1).random(150)])
    def test_the_best_threshold_of_few_rows_is_that_of_brute_force(self, weights):
        held_out = rows(150, weights=weights)
        best = max(
            f1(held_out.values, held_out.decoded[:, 0] > each, weights)
            for each in each_threshold(held_out)
        )
        found = fitted("maximize: f1", held_out)
        chosen = f1(held_out.values, held_out.decoded[:, 0] > found.threshold, weights)
        assert chosen == pytest.approx(best)
        assert max(point.value or 0 for point in found.curve) == pytest.approx(best)

    @pytest.mark.parametrize("metric", ["f1", "accuracy", "balanced_accuracy"])
    def test_many_rows_have_a_bounded_curve_that_comes_close(self, metric):
        held_out = rows(5_000)
        found = fitted(f"maximize: {metric}", held_out)
        grid = np.quantile(held_out.decoded, np.linspace(0, 0.999, 1500))
        best = max(SCORES[metric](held_out.values, held_out.decoded[:, 0] > each) for each in grid)
        decided = held_out.decoded[:, 0] > found.threshold
        assert SCORES[metric](held_out.values, decided) > best - 0.003
        assert len(found.curve) <= MOST_POINTS

    def test_recall_above_a_limit_has_the_highest_precision(self):
        held_out = rows(300)
        found = fitted("maximize: precision, recall: {at_least: 0.9}", held_out)
        decided = held_out.decoded[:, 0] > found.threshold
        assert decided[held_out.values == 1].mean() >= 0.9
        allowed = [point for point in found.curve if point.is_allowed]
        assert max(point.value for point in allowed) == pytest.approx(
            held_out.values[decided].mean()
        )

    def test_a_limit_on_positives_holds(self):
        held_out = rows(300)
        found = fitted("maximize: recall, positives: {at_most: 0.05}", held_out)
        share = (held_out.decoded[:, 0] > found.threshold).mean()
        assert 0.04 < share <= 0.05

    def test_a_limit_that_no_threshold_meets_is_named(self):
        values = np.array([0, 1, 0, 1, 0])
        decoded = np.array([[0.9], [0.8], [0.7], [0.3], [0.1]])
        held_out = SimpleNamespace(values=values, decoded=decoded, weights=None)
        found = fitted("maximize: f1, precision: {at_least: 0.99}", held_out)
        assert found.unmet == (
            "no threshold has precision >= 0.99 on these rows; the highest precision is 0.5"
        )
        assert found.threshold is not None

    def test_the_reason_names_the_rows(self):
        found = fitted("maximize: f1, recall: {at_least: 0.5}", rows(1200))
        assert (
            found.reason
            == "chosen on 1,200 validation rows to maximize F1 with recall at least 0.5"
        )


class TestCosts:
    def test_two_costs_are_a_threshold(self):
        found = fitted("costs: {false_positive: 1, false_negative: 19}")
        assert found.threshold == pytest.approx(0.05)
        assert found.costs == ((0, 1), (19, 0))

    def test_a_matrix_of_two_classes_is_one_too(self):
        found = fitted("costs: {no: {yes: 1}, yes: {no: 3}}")
        assert found.threshold == pytest.approx(0.25)

    def test_gains_of_right_predictions_count(self):
        """A call costs 5 and is worth 50 if the customer would leave."""
        found = fitted("costs: {no: {yes: 5}, yes: {no: 50, yes: 5}}")
        assert found.threshold == pytest.approx(0.1)

    def test_the_class_of_least_expected_cost(self):
        text = "costs: {a: {b: 1, c: 5}, b: {a: 2, c: 1}, c: {a: 10, b: 4}}"
        found = fitted(text, classes=THREE)
        draw = np.random.default_rng(0)
        probabilities = draw.dirichlet(np.ones(3), 500)
        cost = [[0, 1, 5], [2, 0, 1], [10, 4, 0]]
        by_hand = [
            min(range(3), key=lambda j, p=p: sum(p[i] * cost[i][j] for i in range(3)))
            for p in probabilities
        ]
        assert found.predict(probabilities).tolist() == by_hand

    def test_the_mean_cost_is_a_metric(self):
        task = classification("y", PAIR).decided_by(
            fitted("costs: {false_positive: 1, false_negative: 19}")
        )
        values, scores = np.array([0, 0, 1, 1]), np.array([[0.01], [0.1], [0.01], [0.9]])
        statistics = task.statistics(DecodedRows(values, scores, None))
        assert statistics["cost"].value == (0 + 1 + 19 + 0) / 4
        assert statistics["recall"].value == 0.5
        assert "cost" not in classification("y", PAIR).statistics(DecodedRows(values, scores, None))

    def test_costs_of_three_classes_change_their_metrics(self):
        text = "costs: {a: {b: 1, c: 1}, b: {a: 1, c: 1}, c: {a: 9, b: 9}}"
        task = classification("y", THREE).decided_by(fitted(text, classes=THREE))
        rows = DecodedRows(np.array([0, 2]), np.array([[0.7, 0.1, 0.2], [0.7, 0.1, 0.2]]), None)
        assert task.predict(rows.decoded).tolist() == [2, 2]
        assert task.statistics(rows)["accuracy"].value == 0.5
        assert task.statistics(rows)["cost"].value == 0.5
        effect = task.decision_effect(rows)
        assert (effect.value.value, effect.usual.value) == (0.5, 4.5)


class TestTheDefault:
    def test_all_metrics_at_the_threshold_of_a_half_are_those_without_a_decision(self):
        held_out, plain = rows(300), classification("y", PAIR)
        given = DecodedRows(held_out.values, held_out.decoded, None)
        decided = plain.decided_by(fitted("threshold: 0.5"))
        assert decided.metrics(given) == plain.metrics(given)

    @pytest.mark.parametrize("threshold", [0.2, 0.7])
    def test_predictions_and_metrics_use_the_same_threshold(self, threshold):
        held_out = rows(300)
        task = classification("y", PAIR).decided_by(fitted(f"threshold: {threshold}"))
        given = DecodedRows(held_out.values, held_out.decoded, None)
        predicted = task.predict(given.decoded)
        assert (predicted == (held_out.decoded[:, 0] > threshold)).all()
        assert task.statistics(given)["accuracy"].value == (predicted == held_out.values).mean()
        assert task.statistics(given)["f1"].value == pytest.approx(f1(held_out.values, predicted))

    def test_it_is_not_stored_with_the_task(self):
        task = classification("y", PAIR)
        assert task.decided_by(fitted("threshold: 0.2")).model_dump() == task.model_dump()


class TestProblems:
    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("{}", "decision: requires maximize, costs or threshold"),
            ("maximize: f1, threshold: 0.2", "can't be combined with maximize; omit one of them"),
            ("threshold: 0.2, recall: {at_least: 1}", "requires maximize, such as maximize: f1"),
            ("maximize: recall, recall: {at_least: 0.1}", "so a lower limit has no effect"),
            ("maximize: auc", "decision.maximize: expected 'accuracy', 'balanced_accuracy', 'f1'"),
            (
                "threshold: 1",
                "expected a probability between 0 and 1, got 1; for more than two classes, set costs instead of threshold",
            ),
            ("costs: {false_positive: -1}", "expected costs of 0 or more"),
            ("maximise: f1", "did you mean 'maximize'"),
        ],
    )
    def test_of_the_section(self, text, message):
        with pytest.raises(ConfigError) as caught:
            parse_decision(text)
        assert message in str(caught.value)

    @pytest.mark.parametrize(
        ("text", "classes", "expected"),
        [
            ("maximize: f1", THREE, [("maximize", "requires two classes, but there are 3")]),
            (
                "costs: {false_positive: 1}",
                PAIR,
                [("costs", "requires a number above 0 or a column for")],
            ),
            (
                "costs: {false_positive: 1, false_negative: 2}",
                THREE,
                [("costs", "false_positive requires two classes, but there are 3")],
            ),
            ("costs: {ye: {no: 1}}", PAIR, [("costs.ye", "no such class as 'ye'; did you mean")]),
            ("costs: {yes: 3}", PAIR, [("costs.yes", "expected the cost of each predicted class")]),
            ("costs: {yes: {yes: 0}}", PAIR, [("costs", "all costs are 0")]),
        ],
    )
    def test_with_the_classes(self, text, classes, expected):
        found = [*decision_problems(parse_decision(text), classes)]
        assert [key for key, _ in found][: len(expected)] == [key for key, _ in expected]
        for (_, message), (_, part) in zip(found, expected, strict=False):
            assert part in message


@pytest.mark.parametrize(
    ("classes", "fields", "fits"),
    [
        (2, {"threshold": 0.5}, True),
        (3, {"threshold": 0.5}, False),
        (2, {"costs": ((0.0, 1.0), (1.0, 0.0))}, True),
        (3, {"costs": ((0.0, 1.0), (1.0, 0.0))}, False),
        (2, {"costs": ((0.0, 1.0), (1.0,))}, False),
        (2, {}, False),
    ],
)
def test_a_strangers_decision_must_fit_the_classes(classes, fields, fits):
    assert FittedDecision(objective="cost", **fields).fits(classes) == fits


def test_a_strangers_decision_must_have_a_known_objective():
    with pytest.raises(RunError, match="at 'objective'"):
        parse_document(FittedDecision, '{"threshold": 0.5, "objective": "profit"}', "decision")


def test_candidates_include_the_ends_and_a_half():
    values, decoded = np.array([0, 1]), np.array([[0.3], [0.6]])
    held_out = SimpleNamespace(values=values, decoded=decoded, weights=None)
    thresholds = [point.threshold for point in fitted("maximize: f1", held_out).curve]
    assert thresholds == pytest.approx([0.15, 0.45, 0.5, 0.8])
    assert all(0 <= each <= 1 for each, _ in product(thresholds, [0]))


def test_with_costs_a_summary_has_the_cost_instead_of_the_accuracy():
    task = classification("y", PAIR)
    found = {"accuracy": 0.4, "auc": 0.8, "confusion": [[30, 60], [0, 10]]}
    assert task.headlines(("accuracy",), found) == ("auc", "accuracy")
    assert task.headlines(("accuracy",), {**found, "cost": 0.6}) == ("auc", "cost")
    assert task.headlines(("log_loss",), {**found, "log_loss": 1, "cost": 0.6}) == ("log_loss",)
    equal = {**found, "confusion": [[30, 20], [20, 30]], "cost": 0.6}
    assert task.headlines(("accuracy",), equal) == ("cost",)
