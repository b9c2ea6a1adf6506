"""Metrics of weighted rows are those of rows that are repeated, and their derivatives are exact."""

from __future__ import annotations

import numpy as np
import pytest

from dlcli.config.training_choices import Hinge, Poisson
from dlcli.metrics.statistic import Difference, FunctionOfSums, Mean, Metrics, Ratio
from dlcli.prediction.predictions import HeldOut
from dlcli.tasks.classification import Multiclass, Multilabel
from dlcli.tasks.regression import Counts
from tests.comparison.hand_made import NUMBER, TWO, held_out, numbers, two_classes

ROWS = 40
PAIR = Counts(columns=("a", "b"))
FOUR = Multiclass(columns=("y",), classes=("a", "b", "c", "d"))
LABELS = Multilabel(columns=("p", "q", "r"), labels=("p", "q", "r"))


def of_every_kind(weighted: bool) -> dict[str, HeldOut]:
    """Rows of each kind of target; equal scores and equal errors are among them."""
    generator = np.random.default_rng(7)
    weight = generator.integers(1, 4, ROWS) / 2 if weighted else None
    halves = np.round(generator.normal(size=(ROWS, 2)) * 2) / 2
    counts = generator.poisson(3.0, (ROWS, 2)).astype(float)
    tenths = generator.integers(1, 10, (ROWS, 3)) / 10
    four = generator.integers(1, 6, (ROWS, 4)).astype(float)
    marks = generator.integers(0, 2, (ROWS, 3))
    classes = generator.integers(0, 4, ROWS)
    given = {
        "number": (NUMBER, halves[:, :1], halves[:, 1:]),
        "numbers": (PAIR, halves, halves[::-1]),
        "counts": (PAIR, counts, counts[::-1] + 0.5),
        "two classes": (TWO, marks[:, 0], tenths[:, :1]),
        "classes": (FOUR, classes, four / four.sum(axis=1, keepdims=True)),
        "labels": (LABELS, marks, tenths),
    }
    rows = {name: held_out(*each, weight=weight) for name, each in given.items()}
    rows["counts"] = held_out(*given["counts"], weight=weight, loss=Poisson())
    rows["margin"] = held_out(TWO, marks[:, 0], tenths[:, :1] - 0.5, weight, Hinge())
    return rows


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", of_every_kind(False))
def test_a_metric_of_resamples_is_that_of_repeated_rows(kind: str, weighted: bool):
    held = of_every_kind(weighted)[kind]
    counts = np.random.default_rng(1).multinomial(ROWS, np.full(ROWS, 1 / ROWS), 20).astype(float)
    counts[0] = 1
    counts[1, held.values.reshape(ROWS, -1)[:, 0] == 1] = 0  # a class is missing
    drawn = [metrics_of(held.take(np.repeat(np.arange(ROWS), line.astype(int)))) for line in counts]

    statistics = held.statistics()
    assert list(statistics) == [
        name for name, value in metrics_of(held).items() if not isinstance(value, list | dict)
    ]
    for name, statistic in statistics.items():
        if name == "calibration_error":  # whose bins are the same in all resamples
            continue
        expected = [np.nan if each[name] is None else each[name] for each in drawn]
        values = statistic.of(counts * statistic.weights)
        np.testing.assert_allclose(values, expected, 1e-9, err_msg=name)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", of_every_kind(False))
def test_an_influence_is_the_derivative_by_how_often_the_row_counts(kind: str, weighted: bool):
    step = 1e-5 * np.eye(ROWS)
    for name, statistic in of_every_kind(weighted)[kind].statistics().items():
        if name != "median_absolute_error":  # which has no derivative
            more, less = (statistic.of((1 + sign * step) * statistic.weights) for sign in (1, -1))
            influences = statistic.influences()
            np.testing.assert_allclose(influences, (more - less) / 2e-5, atol=1e-7, err_msg=name)


def test_the_influence_on_a_difference_is_the_difference_of_influences():
    first, second = (
        two_classes([0, 1] * 4, np.linspace(0.1, 0.9, 8)),
        two_classes([0, 1] * 4, [0.5] * 8),
    )
    pair = [each.statistics()["auc"] for each in (first, second)]
    # Of 8 rows 10 of 16 pairs are in order; the first row, 0, is beaten by all four ones.
    found = Difference(pair[0].weights, pair[1], pair[0]).influences()
    assert found[0] == pytest.approx((1 - 10 / 16) / 4)


def test_the_standard_error_of_a_median_is_that_of_its_density():
    """Of normal errors, `|e|` has the median 0.674 and there the density 2 φ(0.674) = 0.636."""
    errors = np.random.default_rng(3).normal(size=4_000)
    statistic = numbers(np.zeros(4_000), errors).statistics()["median_absolute_error"]
    assert statistic.standard_error() == pytest.approx(0.5 / 0.636 / np.sqrt(4_000), rel=0.1)


def test_a_difference_is_that_of_two_metrics():
    first, second = two_classes([0, 1, 1], [0.2, 0.4, 0.9]), two_classes([0, 1, 1], [0.2, 0.6, 0.9])
    pair = [each.statistics()["f1"] for each in (first, second)]
    assert Difference(pair[0].weights, *pair).value == pytest.approx(1 - 2 / 3)


def metrics_of(held: HeldOut) -> Metrics:
    return held.task.metrics(held)


def mean_of(held: HeldOut, name: str) -> Mean:
    statistic = held.statistics()[name]
    assert isinstance(statistic, Mean)
    return statistic


def test_the_error_of_a_mean_is_that_of_textbooks():
    statistic = mean_of(numbers([0, 0, 0, 0], [1, 2, 3, 4]), "mae")
    # The mean squared deviation of 1, 2, 3, 4 is 5/4; divided by 4 rows.
    assert statistic.errors(np.ones((1, 4))) == pytest.approx([np.sqrt(5 / 16)])
    assert statistic.standard_error() == pytest.approx(np.sqrt(5 / 16))
    assert statistic.errors(np.array([[2.0, 0, 0, 2]])) == pytest.approx([1.5 / 2])


def test_the_error_of_a_root_is_that_of_the_delta_method():
    statistic = mean_of(numbers([0, 0], [1, 7]), "rmse")
    # The squares 1 and 49 have mean 25 and deviation 24, over √2 rows; the root's slope is 1/10.
    assert statistic.errors(np.ones((1, 2))) == pytest.approx([24 / np.sqrt(2) / 10])


def test_the_error_of_a_difference_knows_that_its_rows_are_the_same():
    first, second = numbers([0, 0, 0], [1, 2, 6]), numbers([0, 0, 0], [2, 3, 7])
    difference = mean_of(second, "mae").minus(mean_of(first, "mae"))
    assert difference.value == pytest.approx(1)
    assert difference.errors(np.ones((1, 3))) == pytest.approx([0], abs=1e-12)


def test_a_function_of_sums_has_the_value_and_the_influences_of_the_ratio_that_it_is():
    weights, hits, counted = np.array([1.0, 2, 3]), np.array([1.0, 0, 1]), np.array([1.0, 1, 1])
    ratio = Ratio(weights, hits, counted)
    terms = (hits[np.newaxis], counted[np.newaxis])
    found = FunctionOfSums(weights, terms, lambda a, b: (a / b)[..., 0])
    assert found.value == ratio.value == pytest.approx(4 / 6)
    assert found.influences() == pytest.approx(ratio.influences())
    resamples = np.array([[1.0, 1, 0], [0, 2, 1]])
    assert found.of(resamples) == pytest.approx(ratio.of(resamples))
