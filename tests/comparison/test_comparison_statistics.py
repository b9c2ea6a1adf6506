"""Metrics of many resamples at once are those of `dlcli.metrics`, one resample at a time."""

from __future__ import annotations

import numpy as np
import pytest

from dlcli.comparison import HeldOut, Means, measures_of
from dlcli.comparison.statistics import Difference
from dlcli.preprocessing import LinearScaling
from dlcli.tasks import ClassTarget, LabelTarget, NumberTarget
from tests.comparison.hand_made import NUMBER, TWO, held_out, numbers, two_classes

ROWS = 40
PAIR = NumberTarget(columns=("a", "b"), scalings=(LinearScaling(name="none"),) * 2, counts=True)
FOUR = ClassTarget(column="y", classes=("a", "b", "c", "d"), stored="text")
LABELS = LabelTarget(columns=("p", "q", "r"), labels=("p", "q", "r"), stored="integer")


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
    rows["counts"] = held_out(*given["counts"], weight=weight, has_deviance=True)
    rows["margin"] = held_out(TWO, marks[:, 0], tenths[:, :1] - 0.5, weight, has_margin=True)
    return rows


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", of_every_kind(False))
def test_a_metric_of_resamples_is_that_of_rows_that_count_so_often(kind: str, weighted: bool):
    held = of_every_kind(weighted)[kind]
    counts = np.random.default_rng(1).multinomial(ROWS, np.full(ROWS, 1 / ROWS), 20).astype(float)
    counts[0] = 1
    counts[1, held.truth.reshape(ROWS, -1)[:, 0] == 1] = 0  # a class is missing
    drawn = [held.take(np.repeat(np.arange(ROWS), line.astype(int))).scores() for line in counts]

    measures = measures_of(held)
    assert list(measures) == [
        name for name, value in held.scores().items() if not isinstance(value, list | dict)
    ]
    for name, measure in measures.items():
        expected = [np.nan if each[name] is None else each[name] for each in drawn]
        np.testing.assert_allclose(measure.statistic.values(counts), expected, 1e-9, err_msg=name)
        if measure.proportion:
            assert measure.proportion.share == pytest.approx(expected[0])


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["two classes", "classes", "labels", "margin"])
def test_what_a_row_pushes_is_the_derivative_by_how_often_it_counts(kind: str, weighted: bool):
    step = 1e-5 * np.eye(ROWS)
    for name, measure in measures_of(of_every_kind(weighted)[kind]).items():
        if not isinstance(measure.statistic, Means):
            change = measure.statistic.values(1 + step) - measure.statistic.values(1 - step)
            found = measure.statistic.influences()
            np.testing.assert_allclose(found, change / 2e-5, atol=1e-8, err_msg=name)


def test_what_a_row_pushes_a_difference_is_the_difference():
    first, second = (
        two_classes([0, 1] * 4, np.linspace(0.1, 0.9, 8)),
        two_classes([0, 1] * 4, [0.5] * 8),
    )
    pair = [measures_of(each)["auc"].statistic for each in (first, second)]
    # Of 8 rows 10 of 16 pairs are in order; the first row, 0, is beaten by all four ones.
    found = Difference(pair[1], pair[0]).influences()
    assert found is not None
    assert found[0] == pytest.approx((1 - 10 / 16) / 4)


def test_a_median_is_no_smooth_function_of_its_rows():
    statistic = measures_of(numbers([0, 0, 0], [1, 2, 3]))["median_absolute_error"].statistic
    assert statistic.influences() is None
    assert Difference(statistic, statistic).influences() is None


def test_a_difference_is_that_of_two_statistics():
    first, second = two_classes([0, 1, 1], [0.2, 0.4, 0.9]), two_classes([0, 1, 1], [0.2, 0.6, 0.9])
    pair = [measures_of(each)["f1"].statistic for each in (first, second)]
    whole, last_two = np.ones((1, 3)), np.ones((1, 2))

    assert Difference(*pair).values(whole) == pytest.approx([1 - 2 / 3])
    assert Difference(*pair).take(np.array([1, 2])).values(last_two) == pytest.approx([1 - 2 / 3])


def test_the_error_of_a_mean_is_that_of_textbooks():
    held = numbers([0, 0, 0, 0], [1, 2, 3, 4])
    statistic = measures_of(held)["mae"].statistic
    assert isinstance(statistic, Means)

    # The mean squared deviation of 1, 2, 3, 4 is 5/4; divided by 4 rows.
    assert statistic.errors(np.ones((1, 4))) == pytest.approx([np.sqrt(5 / 16)])
    assert statistic.errors(np.array([[2.0, 0, 0, 2]])) == pytest.approx([1.5 / 2])


def test_the_error_of_a_root_is_that_of_the_delta_method():
    held = numbers([0, 0], [1, 7])
    statistic = measures_of(held)["rmse"].statistic
    assert isinstance(statistic, Means)

    # The squares 1 and 49 have mean 25 and deviation 24, over √2 rows; the root's slope is 1/10.
    assert statistic.errors(np.ones((1, 2))) == pytest.approx([24 / np.sqrt(2) / 10])


def test_the_error_of_a_difference_knows_that_its_rows_are_the_same():
    first, second = numbers([0, 0, 0], [1, 2, 6]), numbers([0, 0, 0], [2, 3, 7])
    pair = [measures_of(each)["mae"].statistic for each in (second, first)]
    assert isinstance(pair[0], Means)
    assert isinstance(pair[1], Means)
    difference = pair[0].minus(pair[1])

    assert difference.values(np.ones((1, 3))) == pytest.approx([1])
    assert difference.errors(np.ones((1, 3))) == pytest.approx([0], abs=1e-12)
