"""What a target and its weights become before they are trained on."""

from __future__ import annotations

import numpy as np
import pytest

from dlcli.config.training_choices import (
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    CategoricalHinge,
    Hinge,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
)
from dlcli.tasks.classification import Binary, Multiclass
from dlcli.tasks.regression import Regression

FRUIT = Multiclass(columns=("y",), classes=("apple", "pear", "plum"))
PETS = Binary(columns=("y",), classes=("cat", "dog"))
PLACES = np.array([0, 2, 2, 1])


def weights_of(class_weight, places=(0, 0, 0, 1), weights=None):
    given = None if weights is None else np.array(weights, dtype=np.float64)
    result = FRUIT.loss_weights(np.array(places), given, class_weight)
    return None if result is None else result.tolist()


def test_numbers_stay_as_they_are():
    target = np.array([[1.5, 2.0]], np.float32)
    assert Regression(columns=("u", "v")).loss_labels(target, MeanSquaredError(), 2) is target


def test_two_classes_with_one_output_are_0_and_1():
    labels = PETS.loss_labels(np.array([0, 1, 1]), Hinge(), 1)
    assert (labels.tolist(), labels.dtype) == ([[0], [1], [1]], np.float32)


@pytest.mark.parametrize(
    "loss", [CategoricalCrossentropy(), CategoricalFocalCrossentropy(), CategoricalHinge()]
)
def test_categorical_losses_have_one_hot_labels(loss):
    labels = FRUIT.loss_labels(PLACES, loss, 3)
    assert labels.tolist() == [[1, 0, 0], [0, 0, 1], [0, 0, 1], [0, 1, 0]]
    assert labels.dtype == np.float32


@pytest.mark.parametrize(
    "loss", [SparseCategoricalCrossentropy(), CategoricalGeneralizedCrossEntropy()]
)
def test_losses_of_places_have_one_a_row(loss):
    labels = FRUIT.loss_labels(PLACES, loss, 3)
    assert (labels.tolist(), labels.dtype) == ([0, 2, 2, 1], np.int32)


def test_without_any_weights_there_are_none():
    assert weights_of(None) is None


def test_row_weights_pass_without_class_weights():
    assert weights_of(None, (0, 1), [0.5, 2.0]) == [0.5, 2.0]


def test_a_mapping_weighs_the_classes_that_it_names():
    assert weights_of({"apple": 2.0, "plum": 0.5}, (0, 1, 2)) == [2.0, 1.0, 0.5]


def test_class_weights_multiply_row_weights():
    assert weights_of({"apple": 2.0}, (0, 0, 1), [0.5, 3.0, 5.0]) == [1.0, 6.0, 5.0]


def test_balanced_is_rows_by_classes_times_rows_of_the_class():
    # n/(k·n_c) with n = 6, k = 3 and n_c = 3, 2, 1
    expected = [2 / 3] * 3 + [1.0] * 2 + [2.0]
    assert weights_of("balanced", (0, 0, 0, 1, 1, 2)) == pytest.approx(expected, rel=1e-7)


def test_balanced_gives_each_class_the_same_sum_of_row_weights():
    # Σw/(classes·Σw of c) = 8/(2·2) for apple and 8/(2·6) for pear, times the row weights
    result = weights_of("balanced", (0, 0, 1), [0.5, 1.5, 6.0])
    assert result == pytest.approx([1.0, 3.0, 4.0], rel=1e-7)


def test_balanced_counts_only_classes_that_have_rows():
    assert weights_of("balanced", (0, 0, 0, 1)) == pytest.approx([2 / 3] * 3 + [2.0], rel=1e-7)


def test_balanced_ignores_rows_of_weight_0():
    assert weights_of("balanced", (0, 1), [0.0, 1.0]) == [0.0, 1.0]


def test_numbers_have_no_classes_to_weigh():
    encoded = np.zeros((2, 1), np.float32)
    assert Regression(columns=("y",)).loss_weights(encoded, None, "balanced") is None
