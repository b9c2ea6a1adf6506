"""Confidence intervals agree with formulas and published tables."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from inline_snapshot import snapshot

from dlcli.config.training_choices import Hinge
from dlcli.metrics import intervals
from dlcli.metrics.definitions import statistics_of
from dlcli.metrics.intervals import (
    estimate_statistic_differences,
    estimate_statistics,
    paired_share_interval,
    share_interval,
    student_quantile,
)
from dlcli.metrics.metric import NumberRows
from dlcli.metrics.statistic import Ranking, Ratio
from dlcli.prediction.predictions import HeldOut
from dlcli.tasks.classification import Multilabel
from tests.comparison.hand_made import held_out, numbers, two_classes

Z = 1.959964


def estimate_metrics(held: HeldOut, only=None, resamples=None):
    return estimate_statistics(held.statistics(only), resamples)


def estimate_differences(first: HeldOut, second: HeldOut, *, paired: bool, only=None):
    pair = (each.statistics(only) for each in (first, second))
    return estimate_statistic_differences(*pair, paired=paired)


def share(hits: int, rows: int, weight: float = 1.0) -> Ratio:
    return Ratio(np.full(rows, weight), np.arange(rows) < hits, np.ones(rows))


@pytest.mark.parametrize(
    ("freedom", "quantile"), [(4, 2.776), (9, 2.262), (29, 2.045), (1, 12.706), (2, 4.303)]
)
def test_students_quantile_is_that_of_the_tables(freedom, quantile):
    assert student_quantile(0.975, freedom) == pytest.approx(quantile, abs=0.0005)


def test_a_share_has_wilsons_interval():
    # Newcombe, Statistics in Medicine 17 (1998), table I: 81 of 263.
    assert share_interval(share(81, 263)) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_a_share_of_0_or_1_has_an_interval():
    # 1 / (1 + z² / 20)
    assert share_interval(share(20, 20)) == (pytest.approx(0.8389, abs=5e-5), 1.0)
    assert share_interval(share(0, 20)) == (0.0, pytest.approx(0.1611, abs=5e-5))
    assert share_interval(share(1, 1)) == (pytest.approx(0.2065, abs=5e-5), 1.0)


def test_a_weighted_share_has_its_effective_number_of_rows():
    assert share_interval(share(3, 10, weight=5)) == pytest.approx(share_interval(share(3, 10)))
    lopsided = Ratio(np.array([8.0, 1.0, 1.0]), np.ones(3), np.ones(3))
    rows = 100 / 66  # which is not rounded
    assert share_interval(lopsided) == (pytest.approx(rows / (rows + Z**2)), 1.0)
    half = Ratio(np.array([2.0, 1.0, 1.0]), np.array([1, 0, 0]), np.ones(3))
    found = proportion_of(0.5, 16 / 6)
    assert share_interval(half) == pytest.approx(found)


def proportion_of(share: float, rows: float) -> tuple[float, ...]:
    """Solve `(p - share)² = z² p (1 - p) / rows` for p: Wilson, JASA 22 (1927)."""
    ratio = Z**2 / rows
    return tuple(sorted(np.roots([1 + ratio, -2 * share - ratio, share**2])))


def test_a_difference_of_shares_of_the_same_rows_has_bonett_and_prices_interval():
    first, second = share(4, 98), share(0, 98)
    second.numerators[10:22] = True  # 12 gained, 4 lost: 0.13 and 0.05 of 100
    half = Z * math.sqrt((0.18 - 0.08**2) / 100)
    assert paired_share_interval(first, second) == pytest.approx((0.08 - half, 0.08 + half))


def test_a_difference_of_shares_of_other_rows_has_newcombes_interval():
    # Newcombe, Statistics in Medicine 17 (1998), table II, method 10: 56 of 70 less 48 of 80.
    truth = np.ones(80, np.int64)
    first, second = (
        two_classes(truth[:rows], np.where(np.arange(rows) < hits, 0.9, 0.1))
        for hits, rows in ((48, 80), (56, 70))
    )
    found = estimate_differences(first, second, paired=False, only=["accuracy"])["accuracy"]
    assert (found.lower, found.upper) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_the_mean_of_many_rows_has_students_interval():
    errors = np.tile([0.0, 2.0], 10_000)
    found = estimate_metrics(numbers(np.zeros(20_000), errors))["mae"]
    half = Z / math.sqrt(20_000)  # the deviation is 1
    assert (found.value, found.lower, found.upper) == pytest.approx(
        (1, 1 - half, 1 + half), abs=1e-5
    )


def test_the_mean_of_some_symmetric_rows_has_nearly_students_interval():
    errors = np.linspace(1, 3, 101)
    found = estimate_metrics(numbers(np.zeros(101), errors), only=["mae"])["mae"]
    half = 1.984 * np.std(errors, ddof=1) / math.sqrt(101)
    assert found.lower == pytest.approx(2 - half, abs=0.1 * half)
    assert found.upper == pytest.approx(2 + half, abs=0.1 * half)


@pytest.mark.parametrize("rows", [400, 12_000])
def test_the_auc_has_the_interval_of_delong_on_the_logit_scale(rows):
    """DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988), of as many rows of each class."""
    generator = np.random.default_rng(3)
    truth = np.arange(rows) % 2
    scores = generator.normal(size=rows) + truth
    above = scores[truth == 1][:, np.newaxis] > scores[truth == 0]
    variance = sum(np.var(above.mean(axis=axis), ddof=1) / (rows / 2) for axis in (0, 1))
    auc = above.mean()
    half = student_quantile(0.975, rows / 2 - 1) * math.sqrt(variance) / (auc * (1 - auc))

    chances = 1 / (1 + np.exp(-scores))
    found = estimate_metrics(two_classes(truth, chances), only=["auc"])["auc"]
    ends = (1 / (1 + (1 - auc) / auc * math.exp(each)) for each in (half, -half))
    assert (found.value, found.lower, found.upper) == pytest.approx((auc, *ends))


def test_the_rows_of_a_rare_class_determine_the_interval():
    """Of 100,000 rows 90 are positive: these are what the AUC and the balanced accuracy hang on."""
    generator = np.random.default_rng(5)
    truth = np.arange(100_000) < 90
    scores = generator.normal(size=100_000) + 1.6 * truth
    # The share of negatives beaten is Φ(score), and the AUC the mean of it over 90 positives.
    draws = 1.6 + generator.normal(size=(400, 90))
    error = np.std([np.mean([NormalDist().cdf(each) for each in line]) for line in draws])
    assert error == pytest.approx(0.018, abs=0.003)

    held = two_classes(truth.astype(int), 1 / (1 + np.exp(0.8 - scores)))
    found = estimate_metrics(held, only=["auc", "balanced_accuracy"])
    auc, balanced = found["auc"], found["balanced_accuracy"]
    assert (auc.upper - auc.lower) / (2 * Z) == pytest.approx(error, rel=0.25)
    # Scores beyond 0.8 are called positive; the recall of 90 rows varies by √(p (1 - p) / 90).
    recall = NormalDist().cdf(0.8)
    half = Z / 2 * math.sqrt(recall * (1 - recall) / 90)
    assert (balanced.upper - balanced.lower) / 2 == pytest.approx(half, rel=0.15)


@pytest.mark.parametrize("positives", [1, 2])
def test_too_few_rows_of_a_class_among_many_show_no_error(positives):
    truth = (np.arange(12_000) < positives).astype(int)
    found = estimate_metrics(two_classes(truth, np.linspace(0.9, 0.1, 12_000)[::-1]))
    for name in ("auc", "average_precision", "balanced_accuracy"):
        assert found[name].reason == snapshot("undefined in too many bootstrap resamples"), name


def of_labels(rows: int, labels: int, seed: int = 2) -> HeldOut:
    generator = np.random.default_rng(seed)
    marks = generator.integers(0, 2, (rows, labels))
    names = tuple(f"l{at}" for at in range(labels))
    scores = 1 / (1 + np.exp(-marks - generator.normal(size=(rows, labels))))
    return held_out(Multilabel(columns=names, labels=names), marks, scores)


def test_many_labels_are_not_resampled(monkeypatch):
    held = of_labels(500, 50)
    work = []
    of = Ranking.of
    monkeypatch.setattr(
        Ranking, "of", lambda self, weights: work.append(weights.shape) or of(self, weights)
    )
    found = estimate_differences(held, of_labels(500, 50, seed=3), paired=True, only=["auc"])
    assert found["auc"].lower is not None
    assert set(work) == {(500,)}  # not resampled


@pytest.mark.parametrize("name", ["auc", "average_precision"])
def test_labels_that_are_not_resampled_have_an_interval_as_long_as_that_of_resamples(
    monkeypatch, name
):
    held = of_labels(300, 3)
    resampled = estimate_metrics(held, only=[name], resamples=1_000)[name]
    monkeypatch.setattr(intervals, "MANY", 0)
    found = estimate_metrics(held, only=[name])[name]
    assert found != resampled
    width = resampled.upper - resampled.lower
    assert found.upper - found.lower == pytest.approx(width, rel=0.15)


def test_many_rows_and_some_other_ones_have_the_interval_of_both_errors(monkeypatch):
    monkeypatch.setattr(intervals, "MANY", 300)
    generator = np.random.default_rng(4)
    sides, variance = [], 0.0
    for rows in (200, 400):
        truth = np.arange(rows) % 2
        scores = generator.normal(size=rows) + truth
        sides.append(two_classes(truth, 1 / (1 + np.exp(-scores))))
        above = scores[truth == 1][:, np.newaxis] > scores[truth == 0]
        variance += sum(np.var(above.mean(axis=axis), ddof=1) / (rows / 2) for axis in (0, 1))
    found = estimate_differences(*sides, paired=False, only=["auc"])["auc"]
    assert (found.upper - found.lower) / 2 == pytest.approx(Z * math.sqrt(variance), rel=0.1)


def test_of_few_rows_only_a_share_has_an_interval():
    found = estimate_metrics(two_classes([0, 1, 1], [0.2, 0.6, 0.4]))
    assert (found["log_loss"].lower, found["log_loss"].reason) == (None, "fewer than 10 rows")
    assert found["accuracy"].lower == pytest.approx(0.2077, abs=5e-5)  # Wilson, 2 of 3


def test_one_row_has_no_interval():
    found = estimate_metrics(numbers([1], [2]))
    assert (found["mae"].value, found["mae"].reason) == (1.0, "fewer than 10 rows")
    assert (found["r2"].value, found["r2"].reason) == (None, None)


def test_an_auc_of_1_has_the_interval_of_a_share_of_the_rows_of_the_rarer_class():
    found = estimate_metrics(two_classes([0, 0, 1] * 20, [0.1, 0.2, 0.9] * 20))
    assert (found["auc"].value, found["auc"].upper) == (1.0, 1.0)
    assert found["auc"].lower == pytest.approx(20 / (20 + Z**2))
    assert found["accuracy"].lower == pytest.approx(60 / (60 + Z**2))


def test_equal_scores_of_all_rows_have_no_interval_of_the_auc():
    found = estimate_metrics(two_classes([0, 1] * 20, [0.5] * 40))["auc"]
    assert (found.value, found.lower) == (0.5, None)
    assert found.reason == (
        snapshot("the same in every bootstrap resample, so its uncertainty is unknown")
    )


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_intervals_have_the_unit_of_the_target(scale):
    rng = np.random.default_rng(1)
    truth, errors = rng.normal(size=60), rng.normal(size=60)
    found, expected = (
        estimate_metrics(numbers(truth * unit, (truth + errors) * unit)) for unit in (scale, 1.0)
    )
    for metric, power in {"mae": 1, "rmse": 1, "mse": 2, "median_absolute_error": 1}.items():
        ends = np.array([expected[metric].lower, expected[metric].upper]) * scale**power
        assert [found[metric].lower, found[metric].upper] == pytest.approx(ends, rel=1e-9, abs=0)


def test_a_difference_of_aucs_reaches_students_interval_of_the_rows_of_the_rarer_class():
    first = [0.9, 0.8, 0.7, 0.6, *np.linspace(0.5, 0, 20)]
    second = [0.9, 0.8, 0.45, 0.38, *np.linspace(0.5, 0, 20)]
    runs = [two_classes([1] * 4 + [0] * 20, scores) for scores in (first, second)]
    found = estimate_differences(*runs, paired=True, only=["auc"])["auc"]
    # In the second ranking, the positive rows are above 20, 20, 18 and 15 of the negative ones, two
    # negative rows above 2 of the positive ones and three above 1. The first ranking is perfect, so
    # that its deviations are 0.
    placements = np.array([20, 20, 18, 15]) / 20, np.array([2, 2, 1, 1, 1] + [0] * 15) / 4
    error = math.sqrt(sum(np.var(each) / len(each) for each in placements))
    half = student_quantile(0.975, 3) * math.sqrt(4 / 3) * error
    assert found.value == pytest.approx(-7 / 80)
    assert found.lower <= -7 / 80 - half + 1e-9
    assert found.upper == pytest.approx(-7 / 80 + half)
    assert found.verdict == "not_significant"


def test_a_class_of_one_row_leaves_the_auc_without_an_interval():
    found = estimate_metrics(two_classes([1] + [0] * 29, np.linspace(0.9, 0.1, 30)))
    assert found["auc"].reason == snapshot("undefined in too many bootstrap resamples")


def test_a_row_with_nearly_all_weight_of_its_class_leaves_the_auc_without_an_interval():
    truth, weight = np.isin(np.arange(30), (10, 20)), np.where(np.arange(30) == 20, 1e-20, 1.0)
    held = two_classes(truth.astype(int), np.linspace(0.9, 0.1, 30), weight=weight)
    reason = snapshot("undefined in too many bootstrap resamples")
    assert estimate_metrics(held, only=["auc"])["auc"].reason == reason
    pair = estimate_differences(held, held, paired=True, only=["auc"])
    assert pair["auc"].verdict == "unknown"


def test_an_interval_does_not_exceed_the_range_of_its_metric():
    chances = np.where(np.arange(12) % 2, 0.9, 0.1)
    chances[3] = 0.3
    found = estimate_metrics(two_classes(np.arange(12) % 2, chances))
    for estimate in found.values():
        assert estimate.lower is None or estimate.lower >= 0
    assert found["auc"].upper is None or found["auc"].upper <= 1


def test_one_row_of_nearly_all_loss_leaves_intervals_within_the_range_of_their_metrics():
    truth = np.arange(52) % 2
    right = 1 - np.geomspace(1e-6, 1e-2, 52)
    chances = np.where(truth == 1, right, 1 - right)
    wrong = two_classes(truth, np.where(np.arange(52) == 50, 1 - chances, chances))
    good = two_classes(truth, np.where(truth == 1, 0.999 * right, 1 - 0.999 * right))
    found = estimate_metrics(wrong, ["log_loss"])["log_loss"]
    assert (found.lower, found.upper) == (0, -math.log(np.finfo(np.float64).eps))  # of 0
    change = estimate_differences(wrong, good, paired=True, only=["brier"])["brier"]
    assert change.lower == pytest.approx(-1, abs=1e-5)


def test_rows_of_weight_0_are_ignored():
    few = estimate_metrics(numbers([0] * 12, range(12)))
    more = numbers([0] * 14, [*range(12), 100, 200], weight=[1] * 12 + [0] * 2)
    assert estimate_metrics(more) == few


def test_the_same_rows_have_the_same_interval_each_time():
    held = numbers([0] * 30, range(30))
    assert estimate_metrics(held) == estimate_metrics(held)


TRUTH = np.linspace(0, 10, 40)
NOISE = np.resize([1.0, -1.0, 0.5, -0.5, 2.0], 40)


def test_a_smaller_error_is_better_and_a_larger_one_worse():
    rough, fine = numbers(TRUTH, TRUTH + NOISE), numbers(TRUTH, TRUTH + 0.1 * NOISE)
    better = estimate_differences(rough, fine, paired=True)
    assert {name: each.verdict for name, each in better.items()} == dict.fromkeys(
        ("mse", "rmse", "mae", "r2", "median_absolute_error"), "better"
    )
    assert better["mae"].value == pytest.approx(-0.9)  # of a mean of 1
    worse = estimate_differences(fine, rough, paired=True)
    assert {each.verdict for each in worse.values()} == {"worse"}


def test_a_small_difference_is_significant_only_on_the_same_rows():
    generator = np.random.default_rng(0)
    first = numbers(TRUTH, TRUTH + 10 * NOISE)
    second = numbers(TRUTH, TRUTH + 9.5 * NOISE + 0.05 * generator.normal(size=40))
    assert estimate_differences(first, second, paired=True)["mae"].verdict == "better"
    assert estimate_differences(first, second, paired=False)["mae"].verdict == "not_significant"


def test_the_same_predictions_make_no_difference():
    held = two_classes([0, 1] * 10, [0.2, 0.7, 0.6, 0.9] * 5)
    found = estimate_differences(held, held, paired=True)
    assert found["log_loss"].verdict == found["auc"].verdict == "same"
    # Of 20 rows without a disagreement: ± z √(2 / 22) / √22
    assert found["accuracy"].upper == pytest.approx(Z * math.sqrt(2 / 22**2))
    assert found["accuracy"].verdict == "not_significant"


def test_a_difference_that_is_the_same_on_every_row_has_no_interval():
    first, second = numbers(TRUTH, TRUTH + 1), numbers(TRUTH, TRUTH + 2)
    found = estimate_differences(first, second, paired=True)["mae"]
    assert (found.value, found.lower, found.verdict) == (pytest.approx(1), None, "unknown")


def test_a_difference_on_few_rows_of_many_has_an_interval():
    other = TRUTH + NOISE
    other[:2] += [3, -3]
    found = estimate_differences(numbers(TRUTH, TRUTH + NOISE), numbers(TRUTH, other), paired=True)
    assert found["mae"].value == pytest.approx(6 / 40)
    assert found["mae"].verdict == "not_significant"
    assert found["mae"].upper is not None
    assert found["mae"].upper < 1


def test_a_metric_of_one_of_the_runs_alone_is_no_difference():
    margin = two_classes([0, 1], [-1, 1], loss=Hinge())
    found = estimate_differences(two_classes([0, 1], [0.1, 0.9]), margin, paired=True)
    assert "log_loss" not in found
    assert found["accuracy"].value == 0


def test_squares_that_overflow_have_no_interval():
    large = estimate_metrics(numbers([0] * 20, np.linspace(1e72, 2e73, 20)))["mse"]
    assert large.lower is not None
    assert large.lower < (large.value or 0)
    larger = estimate_metrics(numbers([0] * 20, np.linspace(1e153, 2e154, 20)))["mse"]
    assert (larger.value, larger.lower) == (None, None)


def test_a_row_with_most_of_the_weight_leaves_no_interval_of_a_difference():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=40)
    weights = np.ones(40)
    weights[0] = 1e6
    first, second = (
        statistics_of(NumberRows.of(truth[:, np.newaxis], truth[:, np.newaxis] + noise, weights))
        for noise in rng.normal(size=(2, 40, 1))
    )
    found = estimate_statistic_differences(first, second, paired=True)
    assert {(each.lower, each.reason, each.verdict) for each in found.values()} == {
        (None, "a single row has most of the weight", "unknown")
    }


def test_an_undefined_metric_says_so_in_a_comparison():
    truth = np.column_stack([np.arange(20.0), np.full(20, 5.0)])
    metrics = statistics_of(NumberRows.of(truth, truth + 0.1))
    found = estimate_statistic_differences({"r2": metrics["r2"]}, metrics, paired=True)["r2"]
    assert (found.value, found.reason) == (None, "undefined on these rows")


def test_an_interval_of_a_difference_has_no_impossible_values():
    """A few huge errors make Student's interval of the MSE longer than the MSE itself."""
    rng = np.random.default_rng(0)
    truth, noise = rng.normal(size=(2, 200))
    huge = np.where(np.arange(200) < 3, 1e4, 1.0)
    near, far = (numbers(truth, truth + each) for each in (noise, noise * huge))
    own = estimate_metrics(near)
    found = estimate_differences(near, far, paired=True)
    assert found["mse"].lower == pytest.approx(-own["mse"].upper)
    assert found["r2"].upper == pytest.approx(1 - own["r2"].lower)
    back = estimate_differences(far, near, paired=True)
    assert back["mse"].upper == pytest.approx(own["mse"].upper)
    assert back["r2"].lower == pytest.approx(own["r2"].lower - 1)
