"""Folds combined: means, pooled metrics, and the document."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from inline_snapshot import snapshot

from dlcli.config.training_choices import Huber, MeanSquaredError, Poisson
from dlcli.errors import RunError
from dlcli.metrics.intervals import Estimate
from dlcli.pipeline.cross_validation import CrossValidationPlan
from dlcli.pipeline.cv_summary import (
    FinishedFold,
    StoredFold,
    combine_folds,
    fold_intervals,
    median_epochs,
    pooled_estimates,
)
from dlcli.pipeline.search_trials import combine
from dlcli.runs.documents import FoldResult
from dlcli.tasks.classification import Binary
from dlcli.tasks.regression import Regression
from tests.comparison.hand_made import numbers, two_classes
from tests.pipeline.cross_validation.small_rows import dataset_and_folds
from tests.pipeline.hand_made_results import failed, fold, folds, outer


def interval(values, metric="rmse", **more):
    return fold_intervals(folds(metric, values, **more), [metric])[0][metric]


def test_the_mean_over_folds_has_the_corrected_interval_of_nadeau_and_bengio():
    # Mean 4, S² = 2.5; of 5 folds with 50 rows to 200: √((1/5 + 1/4) 2.5), t = 2.776.
    half = 2.776 * math.sqrt(0.45 * 2.5)
    found = interval([2.0, 3.0, 4.0, 5.0, 6.0])
    assert (found.value, found.lower, found.upper) == pytest.approx(
        (4, 4 - half, 4 + half), abs=3e-3
    )


def test_a_fold_with_few_training_rows_for_its_held_out_ones_widens_the_interval():
    # 50 rows to 25: √((1/5 + 2) 2.5).
    half = 2.776 * math.sqrt(2.2 * 2.5)
    assert interval([12.0, 13.0, 14.0, 15.0, 16.0], train=25).upper == pytest.approx(
        14 + half, abs=0.01
    )


@pytest.mark.parametrize(("count", "quantile"), [(2, 12.706), (3, 4.303), (4, 3.182), (10, 2.262)])
def test_few_folds_have_students_quantile_of_the_tables(count, quantile):
    values = np.arange(count) + 1_000.0
    half = quantile * math.sqrt((1 / count + 0.25) * np.var(values, ddof=1))
    found = interval(list(values))
    assert found.lower is not None
    assert found.upper is not None
    assert (found.upper - found.lower) / 2 == pytest.approx(half, rel=2e-3)


def test_more_repeats_make_the_interval_narrower_only_to_where_rows_are_shared():
    """However many folds, the variance stays above a quarter of that of one of them."""
    values = [10.0, 11.0] * 500
    half = 1.962 * math.sqrt((1 / 1_000 + 0.25) * np.var(values, ddof=1))
    assert interval(values).upper == pytest.approx(10.5 + half, rel=1e-4)


def test_the_interval_of_a_share_stays_within_what_a_share_can_be():
    found = interval([0.99, 0.6, 0.95], metric="accuracy")
    assert found.upper == 1.0
    found = interval([0.01, 0.4, 0.05], metric="accuracy")
    assert found.lower == 0.0


def test_only_the_coefficient_of_determination_goes_below_zero():
    values = [0.1, 0.9]
    assert interval(values, "mae").lower == 0.0
    assert (interval(values, "r2").lower or 0) < -1


def test_the_standard_deviation_is_that_of_a_sample():
    _, deviations = fold_intervals(folds("mae", [1.0, 3.0]), ["mae"])
    assert deviations["mae"] == pytest.approx(math.sqrt(2))


def test_equal_values_have_a_standard_deviation_of_exactly_0():
    _, deviations = fold_intervals(folds("accuracy", [0.9915] * 3), ["accuracy"])
    assert deviations["accuracy"] == 0


def test_a_single_fold_has_a_mean_and_no_interval():
    means, deviations = fold_intervals(folds("mae", [1.5]), ["mae"])
    assert means["mae"] == Estimate(value=1.5, reason="a single fold has no spread")
    assert deviations["mae"] is None


def test_folds_that_are_all_alike_have_no_interval():
    reason = "the same in every fold, so its uncertainty is unknown"
    assert interval([1.0, 1.0, 1.0], "accuracy") == Estimate(value=1.0, reason=reason)
    assert interval([0.1 + 0.2, 0.3], "accuracy").reason == reason


def test_folds_without_a_value_are_omitted_from_the_mean():
    results = [*folds("auc", [0.6, None, 0.8]), failed(4)]
    means, deviations = fold_intervals(results, ["auc"])
    assert means["auc"].value == pytest.approx(0.7)
    assert deviations["auc"] == pytest.approx(math.sqrt(0.02))
    # Of the two that are left: t = 12.706, far beyond what an AUC can be.
    assert (means["auc"].lower, means["auc"].upper) == (0.0, 1.0)


def test_a_metric_that_no_fold_has_is_undefined():
    means, deviations = fold_intervals([failed(1), failed(2)], ["auc"])
    assert means == {"auc": Estimate(value=None)}
    assert deviations == {"auc": None}


def test_values_beyond_floats_squared_have_no_interval():
    means, deviations = fold_intervals(folds("mse", [1e200, 3e200]), ["mse"])
    assert means["mse"] == Estimate(value=2e200, reason="too large for a float")
    assert deviations["mse"] is None


@pytest.mark.parametrize(
    ("epochs", "expected"), [([10, 30, 20], 20), ([10, 11], 11), ([10, 12], 11), ([7], 7)]
)
def test_all_rows_are_trained_on_for_the_median_of_epochs_half_of_one_rounded_up(epochs, expected):
    results = [fold(at, {}, epochs=50, best_epoch=each) for at, each in enumerate(epochs)]
    assert median_epochs(results) == expected


def test_a_fold_without_a_best_epoch_counts_with_all_of_its_epochs():
    results = [fold(1, {}, epochs=40), fold(2, {}, epochs=40, best_epoch=20)]
    assert median_epochs(results) == 30


def test_a_failed_fold_is_ignored_in_the_median_of_epochs():
    results = [fold(1, {}, epochs=9), fold(2, {}, epochs=3, problem="the loss is NaN")]
    assert median_epochs(results) == 9
    assert median_epochs([failed(1)]) is None


def test_a_nested_search_gives_what_its_outer_folds_say_by_their_rows():
    # (100 · 1 + 50 · 4) / 150 = 2, and S² = 1 + 4; shares 2/3 and 1/3: Σ p² = 5/9; rows that judge
    # to those that are learned from: 100 / 50 and 50 / 100, on average 1.25.
    half = 12.706 * math.sqrt((5 / 9 + 1.25) * 5)
    found = combine([outer(1, 1.0, 100, train=50), outer(2, 4.0, 50, train=100)])
    assert found.value == pytest.approx(2)
    assert (found.lower, found.upper) == pytest.approx((2 - half, 2 + half), rel=1e-4)


def test_outer_folds_of_one_size_have_the_interval_of_folds():
    found = combine([outer(at, at + 2.0) for at in range(5)])
    half = 2.776 * math.sqrt((1 / 5 + 1 / 4) * 2.5)
    assert (found.value, found.upper) == pytest.approx((4, 4 + half), abs=3e-3)


def test_outer_folds_in_time_learn_from_the_rows_before_them():
    found = combine([outer(at, at + 2.0, train=50 * (at + 1)) for at in range(5)])
    ratio = sum(1 / number for number in range(1, 6)) / 5
    half = 2.776 * math.sqrt((1 / 5 + ratio) * 2.5)
    assert found.upper == pytest.approx(4 + half, abs=3e-3)


def test_the_interval_of_a_nested_search_stays_within_what_its_metric_can_be():
    found = combine([outer(1, 0.6), outer(2, 0.95)], "val_accuracy")
    assert (found.lower, found.upper) == (0.0, 1.0)
    assert (combine([outer(1, 0.1), outer(2, 0.9)], "val_r2").lower or 0) < -1


@pytest.mark.parametrize(("loss", "is_cut"), [(Huber(), True), (Poisson(), False), (None, False)])
def test_the_loss_of_a_nested_search_is_not_below_zero_unless_it_can_be(loss, is_cut):
    found = combine([outer(1, 0.1), outer(2, 0.9)], "val_loss", loss)
    assert (found.lower == 0.0) == is_cut
    assert found.lower is not None


def test_an_outer_fold_without_a_result_is_noted():
    found = combine([outer(1, 1.0), outer(2, None), outer(3, 3.0)])
    assert found == Estimate(value=2.0, reason="1 of 3 outer folds have no value")
    assert combine([outer(1, None)]) == Estimate(value=None)
    assert combine([]) == Estimate(value=None)


def decided(right: int, rows: int = 100):
    """Rows of two classes in turn, of which the first so many are told right."""
    truth = np.arange(rows) % 2
    return two_classes(truth, np.where(np.arange(rows) < right, truth, 1 - truth) * 0.8 + 0.1)


def test_the_accuracy_of_all_rows_has_wilsons_interval():
    # Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263.
    found = pooled_estimates([decided(81, 263)])["accuracy"]
    assert found.value == pytest.approx(81 / 263)
    assert (found.lower, found.upper) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_repeats_are_averaged_value_and_ends():
    # Wilson's intervals of 80 and of 90 of 100: 0.7112 to 0.8666, and 0.8256 to 0.9448.
    found = pooled_estimates([decided(80), decided(90)])["accuracy"]
    assert found.value == pytest.approx(0.85)
    assert (found.lower, found.upper) == pytest.approx((0.7684, 0.9057), abs=1e-4)


def test_repeats_that_agree_make_no_interval_narrower():
    once = pooled_estimates([decided(80)])
    thrice = pooled_estimates([decided(80)] * 3)
    for name, interval in once.items():
        assert thrice[name].lower == pytest.approx(interval.lower), name
        assert thrice[name].upper == pytest.approx(interval.upper), name


def test_the_mean_of_errors_has_the_mean_of_students_intervals():
    errors = np.linspace(1, 3, 101)
    half = 1.984 * np.std(errors, ddof=1) / np.sqrt(101)
    found = pooled_estimates([numbers(np.zeros(101), factor * errors) for factor in (1, 2)])["mae"]
    assert found.value == pytest.approx(3)  # of 2 and 4
    assert found.upper == pytest.approx(3 + 1.5 * half, abs=0.15 * half)


def test_a_metric_that_a_repeat_lacks_is_the_mean_of_the_others_with_a_reason():
    # Where nothing is called positive, precision is undefined.
    nothing = two_classes([0, 1] * 10, [0.1] * 20)
    half_right = two_classes([0, 1] * 10, [0.9] * 20)
    found = pooled_estimates([nothing, half_right])["precision"]
    assert found == Estimate(value=0.5, reason="undefined in 1 of 2 repeats")


def test_a_metric_that_no_repeat_has_is_undefined():
    found = pooled_estimates([two_classes([0, 1] * 10, [0.1] * 20)] * 2)["precision"]
    assert found == Estimate(value=None)


def test_too_few_rows_have_no_interval_and_say_why():
    found = pooled_estimates([numbers([1.0, 2.0], [1.5, 3.0])] * 2)["mae"]
    assert found == Estimate(value=0.75, reason="fewer than 10 rows")


def test_values_as_large_as_floats_get_have_a_mean():
    largest = numbers([0.0], [1.7e308])
    assert pooled_estimates([largest, largest])["mae"].value == pytest.approx(1.7e308)


NUMBERS = Regression(columns=("y",))
CLASSES = Binary(columns=("y",), classes=("a", "b"))


def combined(folds, target=NUMBERS, repeats=1):
    config, dataset, _ = dataset_and_folds(CrossValidationPlan(folds=2), "seed=7")
    resolved = config.model_copy(update={"loss": MeanSquaredError(), "metrics": ("mae",)})
    dataset = replace(dataset, task=target)
    return combine_folds(folds, "rows", resolved, repeats, dataset, "runs/x")[0]


def finished(number, columns, constant, repeat=1, **changes):
    rows = len(next(iter(columns.values()), ()))
    counts = {"train": 10, "validation": 0, "held_out": rows, "inputs": 1, "parameters": 2}
    result = FoldResult(
        repeat=repeat,
        fold=number,
        **counts,
        epochs=number,
        best_epoch=None,
        seconds=0.5,
        metrics=changes.pop("metrics", {}),
        constant=changes.pop("alone", {}),
        history={},
        problem=changes.pop("problem", None),
    )
    places = {
        "row": list(range(1, rows + 1)),
        "repeat": [repeat] * rows,
        "fold": [number] * rows,
    }
    stored = StoredFold(result=result, constant=constant)
    return FinishedFold(stored, pa.table({**places, **columns}) if columns else None)


TWO = [
    finished(1, {"target": [0.0, 2.0], "prediction": [1.0, 2.0]}, (5.0,), metrics={"mae": 0.5}),
    finished(2, {"target": [4.0, 6.0], "prediction": [4.0, 3.0]}, (1.0,), metrics={"mae": 1.5}),
]


def test_metrics_are_of_all_rows_and_their_means_of_the_folds():
    found = combined(TWO)
    assert found.pooled["mae"].value == 1.0  # (1 + 0 + 0 + 3) / 4
    assert found.pooled["mse"].value == 2.5  # (1 + 0 + 0 + 9) / 4
    assert found.pooled["r2"].value == 0.5  # 1 - 10 / 20
    assert found.by_fold["mae"].value == 1.0
    assert found.deviations["mae"] == pytest.approx(math.sqrt(0.5))
    assert (found.main_metric, found.best_epochs) == ("mae", 2)  # epochs 1 and 2: 1.5, rounded up


def test_the_constant_model_knows_only_the_training_rows_of_each_fold():
    found = combined(TWO)
    assert found.constant["mae"] == 4.0  # (5 + 3 + 3 + 5) / 4
    assert found.constant["mse"] == 17.0  # (25 + 9 + 9 + 25) / 4


def test_repeats_are_averaged():
    again = finished(1, {"target": [0.0, 4.0], "prediction": [2.0, 4.0]}, (0.0,), repeat=2)
    other = finished(2, {"target": [2.0, 6.0], "prediction": [2.0, 12.0]}, (0.0,), repeat=2)
    found = combined([*TWO, again, other], repeats=2)
    assert found.pooled["mae"].value == 1.5  # 1 and 2
    assert found.constant["mae"] == 3.5  # 4 and 3


def test_a_constant_model_orders_no_rows_though_its_shares_differ_by_fold():
    columns = {"target": ["a", "b"], "prediction": ["a", "b"], "probability_a": [0.9, 0.2]}
    columns["probability_b"] = [0.1, 0.8]
    alone = {"auc": 0.5, "average_precision": 0.5}
    first = finished(1, columns, (0.4,), alone=alone)
    second = finished(2, {**columns, "target": ["b", "b"]}, (0.2,), alone=dict.fromkeys(alone))
    found = combined([first, second], CLASSES)
    assert (found.constant["auc"], found.constant["average_precision"]) == (0.5, 0.5)
    assert found.constant["accuracy"] == 0.25  # 'a' throughout


def test_a_failed_fold_is_omitted_and_noted():
    lost = finished(2, {}, (), problem="training diverged: the loss became inf in epoch 2")
    found = combined([TWO[0], lost])
    assert found.pooled["mae"].value == 0.5
    assert found.constant["mae"] == 4.0
    assert found.best_epochs == 1
    assert found.notes[0].startswith("1 of 2 folds failed")


def test_the_document_has_the_plan():
    found = combined(TWO)
    kept = {"name", "target", "task", "classes", "split", "column", "folds", "repeats", "seed"}
    assert found.model_dump(include={*kept, "rows", "set_aside"}) == {
        "name": "rows",
        "target": ("y",),
        "task": "numbers",
        "classes": (),
        "split": "random",
        "column": None,
        "folds": 2,
        "repeats": 1,
        "seed": 7,
        "rows": 20,
        "set_aside": 0,
    }


def test_predictions_of_another_target_are_refused():
    with pytest.raises(RunError) as caught:
        combined(
            [
                replace(TWO[0], stored=TWO[0].stored.model_copy(update={"constant": (1.0, 2.0)})),
                TWO[1],
            ]
        )
    message = snapshot(
        "runs/x: its stored folds belong to another target; start the cross-validation again"
    )
    assert str(caught.value) == message


def test_predictions_with_other_columns_are_refused():
    odd = replace(TWO[1], predictions=TWO[1].predictions.append_column("odd", [[1, 2]]))
    with pytest.raises(RunError) as caught:
        combined([TWO[0], odd])
    message = snapshot(
        "runs/x: its stored folds have different columns; start the cross-validation again"
    )
    assert str(caught.value) == message
