"""Runs that look faulty at first sight have no findings; similar faulty ones have."""

from __future__ import annotations

import pytest

from dlcli.diagnosis.findings import examine
from tests.diagnosis.cases import CLASSES, ROWS, classified, dense, layers, r2

HALF = r2(0.5, 0.5)


def on_both(scores):
    return {"train": scores, "validation": scores}


def baseline(**scores):
    return {"constant": on_both(scores)}


# 3 % of the rows are of the rare class: 88 % of it are found, and of the other 95.5 %.
BALANCED = {
    "accuracy": 0.95,
    "balanced_accuracy": 0.917,
    "auc": 0.94,
    "log_loss": 0.25,
    "confusion": [[926, 44], [4, 26]],
}
MANY = {"train": 1000, "validation": 1000}


def test_weights_of_classes_cost_accuracy_and_log_loss_and_yet_much_is_learned(named):
    nothing = baseline(accuracy=0.97, balanced_accuracy=0.5, auc=0.5, log_loss=0.135)
    fields = {"config": CLASSES, "rows": MANY, "baselines": nothing}
    assert named("class_weight=balanced", metrics=on_both(BALANCED), **fields) == []
    ill = {**BALANCED, "balanced_accuracy": 0.52, "auc": 0.54}
    rules = named("class_weight=balanced", metrics=on_both(ill), **fields)
    assert rules == ["underfitting"]  # a tenth of the way from 0.5 to 1 is 0.55


def test_rare_labels_that_are_ranked_well_are_learned(named):
    nothing = baseline(accuracy=0.98, auc=0.5, average_precision=0.02, log_loss=0.098)
    fields = {"config": CLASSES, "rows": MANY, "baselines": nothing}
    ranked = {"accuracy": 0.98, "auc": 0.9, "average_precision": 0.4, "log_loss": 0.07}
    assert named(metrics=on_both(ranked), **fields) == []
    ill = {"accuracy": 0.98, "auc": 0.5, "average_precision": 0.02, "log_loss": 0.095}
    assert "underfitting" in named(metrics=on_both(ill), **fields)


@pytest.mark.parametrize("baselines", [baseline(auc=0.5), {}])
def test_margins_without_a_log_loss_are_evaluated_by_their_ranking(named, baselines):
    fields = {"config": CLASSES, "rows": MANY, "baselines": baselines}
    settings = ("loss=hinge", "output.activation=linear")
    scores = {"accuracy": 0.6, "auc": 0.9, "confusion": [[600, 0], [400, 0]]}
    assert "underfitting" not in named(*settings, metrics=on_both(scores), **fields)
    ill = {**scores, "auc": 0.5}
    assert "underfitting" in named(*settings, metrics=on_both(ill), **fields)


def test_numbers_with_outliers_are_evaluated_by_their_absolute_error(named):
    scores = {"r2": 0.03, "mae": 2.0}
    assert "underfitting" in named(metrics=on_both(scores), baselines=baseline(r2=0.0, mae=2.1))
    assert named(metrics=on_both(scores), baselines=baseline(r2=0.0, mae=4.0)) == []


def test_a_very_high_rate_is_named_if_a_linear_model_fits_training_rows_better(named):
    classes = [[500, 0], [0, 500]]
    scores = {"accuracy": 0.83, "log_loss": 0.3, "confusion": classes}
    linear = {"accuracy": 0.98, "log_loss": 0.1, "confusion": classes}
    constant = {"accuracy": 0.5, "log_loss": 0.69}
    baselines = {"linear": on_both(linear), "constant": on_both(constant)}
    fields = {"config": CLASSES, "rows": MANY, "baselines": baselines, "metrics": on_both(scores)}
    assert "learning_rate_too_high" in named("optimizer.learning_rate=10", **fields)
    assert "learning_rate_too_high" not in named("optimizer.learning_rate=0.005", **fields)


def some_rare(usual, found, rows):
    """A confusion matrix: rows of one class, and of each rare one those that are found."""
    count = len(found) + 1
    lines = [[0.0] * count for _ in range(count)]
    lines[0][0], lines[0][1] = usual
    for at, right in enumerate(found, start=1):
        lines[at][at], lines[at][0] = right, rows - right
    return lines


def imbalances(case, confusion):
    rows = {"train": 800, "validation": int(sum(map(sum, confusion)))}
    made = case(config=CLASSES, metrics=classified(confusion), rows=rows)
    return [finding.observation for finding in examine(made) if finding.rule == "imbalance"]


def test_the_worst_of_many_rare_classes_may_be_so_at_random(case):
    confusion = some_rare((900, 100), [8] * 29 + [4], rows=10)
    assert imbalances(case, confusion) == []


def test_missed_rare_classes_are_tested_combined(case):
    confusion = some_rare((880, 20), [6] * 4 + [4], rows=20)
    assert imbalances(case, confusion) == [
        "5 rare classes with 10 % of the rows have a combined recall of 28 % (lowest: 20 %), "
        "the most frequent class 97.8 %; always predicting this class would give an accuracy of "
        "0.9"
    ]


def test_one_of_many_rare_classes_that_is_never_found_is_found_by_the_rule(case):
    # 0.02275/30 is the quantile −3.17, and (2/24) + 3.17 · 0.056 = 0.26 is less than a half.
    confusion = some_rare((900, 100), [16] * 29 + [0], rows=20)
    (observation,) = imbalances(case, confusion)
    assert observation.startswith(
        "a rare class with 1.25 % of the rows has a recall of 0 %, the most "
    )


def trembling(level, size, start=2.0):
    """A loss that falls to a level within two epochs, and jumps up and down there."""
    return [start, (start + level) / 2, *[level + size * (-1) ** at for at in range(38)]]


@pytest.mark.parametrize("curve", [trembling(0.02, 0.01), [2.0, 1.0, *[0.01] * 20, *[0.03] * 18]])
def test_a_loss_that_passes_through_0_is_measured_by_its_fall(named, curve):
    assert named("loss=poisson", history={"loss": curve}, metrics=HALF) == []
    assert named(history={"loss": curve}, metrics=HALF) == ["learning_rate_too_high"]


def test_a_loss_below_0_may_jump_too_far(named):
    history = {"loss": trembling(-0.5, 0.2, start=0.0)}
    rules = named("loss=cosine_similarity", history=history, metrics=HALF)
    assert rules == ["learning_rate_too_high"]


def test_a_loss_without_a_least_value_of_0_rises_by_no_share(case):
    history = {
        "loss": [1.0 - 0.02 * at for at in range(40)],
        "val_loss": [1.0, 0.5, *[0.001 + 0.005 * at for at in range(38)]],
    }
    found = examine(case("loss=poisson", history=history, metrics=r2(0.62, 0.6)))
    (observation,) = [finding.observation for finding in found if finding.rule == "overfitting"]
    assert observation == (
        "validation loss rose from 0.001 in epoch 3 to 0.178 on average over the last tenth of the "
        "epochs, while training loss fell"
    )


def test_a_rate_far_from_usual_is_first_of_all_replaced_by_the_usual_one(case):
    explanation = layers(dense("hidden_1", dead=0.9))
    made = case("optimizer.learning_rate=1000000", metrics=r2(0.01, 0.0), explanation=explanation)
    first = {finding.rule: finding.patches[0].overrides for finding in examine(made)}
    usual = ("optimizer.learning_rate=0.001",)
    assert first == {"learning_rate_too_high": usual, "dead_units": usual}


@pytest.mark.parametrize(
    ("penalty", "speaks"),
    [
        ("l1", False),
        ("{name: l1_l2, l1: 0.001}", False),
        ("{name: l1_l2, l2: 0.001}", True),
        ("l2", True),
    ],
)
def test_units_that_l1_has_pruned_are_not_dead(named, penalty, speaks):
    explanation = layers(dense("hidden_1", dead=0.6))
    setting = f"hidden[0].kernel_regularizer={penalty}"
    rules = named(setting, metrics=HALF, explanation=explanation)
    assert rules == (["dead_units"] if speaks else [])


def test_a_penalty_that_has_pruned_too_much_is_removed(case):
    explanation = layers(dense("hidden_1", dead=1.0))
    made = case("hidden[0].kernel_regularizer=l1", metrics=r2(0.0, 0.0), explanation=explanation)
    (finding,) = examine(made)
    assert finding.rule == "underfitting"
    assert finding.patches[0].overrides == ("hidden[0].kernel_regularizer=null",)


@pytest.mark.parametrize(
    ("first", "last", "speaks"),
    [(0.0, 0.5, False), (0.0, 0.0, True), (0.0, 5e-4, True), (1e-5, 0.5, True)],
)
def test_an_output_that_begins_at_0_lets_gradients_through_later(named, first, last, speaks):
    explanation = layers(
        dense("hidden_1", first_gradient=first, last_gradient=last, weight_norm=4.0),
        dense("output", first_gradient=1.0, last_gradient=1.0, weight_norm=4.0),
    )
    rules = named(metrics=HALF, explanation=explanation)
    assert rules == (["vanishing_gradients"] if speaks else [])


def test_few_validation_rows_are_reported_with_the_rarest_class_and_a_range_of_accuracy(case):
    # (28 + 2)/34 = 0.8824, and 2 · √(0.8824 · 0.1176/34) = 0.1105.
    metrics = classified([[26, 0], [2, 2]])
    rows = {"train": 100, "validation": 30}
    (finding,) = examine(case(config=CLASSES, metrics=metrics, rows=rows))
    assert finding.observation == (
        "there are 30 validation rows, 4 of the rarest class: accuracy 93 % (95 % CI: 77 % to 99 %)"
    )


def test_weighted_rows_of_the_rarest_class_are_not_counted(case):
    metrics = classified([[0.5, 0], [0, 3.0]])
    (finding,) = examine(
        case("data.sample_weight=w", config=CLASSES, metrics=metrics, rows={"validation": 1})
    )
    assert finding.observation.startswith("there is 1 validation row: accuracy 100 %")


def test_few_validation_rows_are_reported_with_a_range_of_r2(case):
    # 2 · 0.5 · √(2/30) = 0.258
    (finding,) = examine(case(metrics=HALF, rows={"train": 100, "validation": 30}))
    assert finding.observation == ("there are 30 validation rows: R² 0.50 (95 % CI: 0.24 to 0.76)")


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ({}, "there are no validation rows: all 800 rows are used for training"),
        (
            {"test": 50},
            "there are no validation rows: all 800 rows outside the test set are used for training",
        ),
    ],
)
def test_missing_validation_rows_are_reported(case, test, words):
    metrics = {"train": {"r2": 0.5}}
    rows = {"train": ROWS["train"], **test}
    (finding,) = examine(case("data.validation=null", metrics=metrics, rows=rows))
    assert finding.observation == words
    assert ("use test rows only at the end" in finding.meaning) is bool(test)
