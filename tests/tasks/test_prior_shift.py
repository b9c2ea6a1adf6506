"""Probabilities for other frequencies of the classes, by hand and by Bayes' theorem."""

import numpy as np
import pytest
from pydantic import ValidationError

from dlcli.config.config_schema import Output
from dlcli.config.layer_choices import SparseSigmoid
from dlcli.config.training_choices import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    Hinge,
    SparseCategoricalCrossentropy,
)
from dlcli.tasks.classification import Binary, Multiclass
from dlcli.tasks.prior_shift import (
    BIAS,
    complete_frequencies,
    frequency_problems,
    obstacle,
    shift,
    shift_bias,
)
from dlcli.tasks.task import DecodedRows

TWO = Binary(columns=("y",), classes=("no", "yes"))
ABC = Multiclass(columns=("y",), classes=("a", "b", "c"))


def test_probabilities_of_two_classes_are_shifted_by_bayes_theorem():
    # A test with 90 % sensitivity and 80 % specificity; the frequency falls from 1/2 to 1/10.
    half = 0.9 / (0.9 + 0.2)
    tenth = 0.09 / (0.09 + 0.18)
    found = shift(np.array([[half]]), [0.9 / 0.5, 0.1 / 0.5])
    assert found == pytest.approx(np.array([[tenth]]))


def test_probabilities_of_several_classes_are_multiplied_and_divided_by_their_sum():
    found = shift(np.array([[0.5, 0.3, 0.2], [0.0, 1.0, 0.0]]), [1, 2, 4])
    assert found == pytest.approx(np.array([[0.5, 0.6, 0.8], [0, 1.9, 0]]) / 1.9)


@pytest.mark.parametrize("units", [1, 3])
def test_a_bias_has_the_effect_on_all_rows(units):
    rng = np.random.default_rng(units)
    logits, bias = rng.normal(size=(20, units)), rng.normal(size=units)
    ratios = [0.3, 7.0, 1.5][: max(units, 2)]

    def probabilities(bias):
        z = logits + bias
        return 1 / (1 + np.exp(-z)) if units == 1 else np.exp(z) / np.exp(z).sum(1, keepdims=True)

    weights = shift_bias({BIAS: bias, "output/kernel": logits}, ratios)
    assert weights["output/kernel"] is logits
    expected = shift(probabilities(bias), ratios)
    assert probabilities(weights[BIAS]) == pytest.approx(expected)


def test_the_type_of_a_bias_is_kept():
    bias = np.zeros(1, np.float32)
    assert shift_bias({BIAS: bias}, [1, 3])[BIAS].dtype == np.float32


@pytest.mark.parametrize(
    ("loss", "output", "reason"),
    [
        (BinaryCrossentropy(), Output(), ""),
        (SparseCategoricalCrossentropy(), Output(), ""),
        (BinaryCrossentropy(label_smoothing=0.1), Output(), "label_smoothing also changes them"),
        (CategoricalCrossentropy(), Output(use_bias=False), "the output has no bias"),
        (
            BinaryCrossentropy(),
            Output(activation=SparseSigmoid()),
            "the output has the activation 'sparse_sigmoid'",
        ),
        *(
            (loss, Output(), f"the loss '{loss.name}' does not train probabilities of the rows")
            for loss in (BinaryFocalCrossentropy(), CategoricalGeneralizedCrossEntropy(), Hinge())
        ),
    ],
)
def test_only_cross_entropy_of_a_sigmoid_or_softmax_with_a_bias_can_be_corrected(
    loss, output, reason
):
    assert obstacle(loss, output).removesuffix("' classes") == reason


@pytest.mark.parametrize(
    ("given", "problems"),
    [
        ({"a": 0.2}, []),
        ({"a": 0.2, "b": 0.3, "c": 0.5}, []),
        ({"a": 0.2, "b": 0.3, "c": 0.4}, [(None, "expected a sum of 1 over all classes, got 0.9")]),
        ({"a": 0.4, "b": 0.6}, [(None, "the sum is 1, which leaves nothing for c")]),
        ({"d": 0.4}, [("d", "no such class; there are a, b, c")]),
    ],
)
def test_impossible_frequencies_are_refused(given, problems):
    assert [*frequency_problems(given, ABC.classes)] == problems


def test_omitted_classes_share_the_rest_as_in_the_training_rows():
    assert complete_frequencies({"yes": 0.02}, TWO.classes, (0.7, 0.3)) == (0.98, 0.02)
    found = complete_frequencies({"a": 0.4}, ABC.classes, (0.1, 0.6, 0.3))
    assert found == pytest.approx((0.4, 0.4, 0.2))


def test_the_prediction_is_the_largest_product_of_weight_and_probability():
    two = TWO.model_copy(update={"class_weights": (1.0, 4.0)})
    assert two.threshold == pytest.approx(0.2)
    assert two.predict(np.array([[0.19], [0.21]])).tolist() == [0, 1]
    several = ABC.model_copy(update={"class_weights": (1.0, 4.0, 1.0)})
    assert several.predict(np.array([[0.7, 0.2, 0.1], [0.8, 0.1, 0.1]])).tolist() == [1, 0]


def test_metrics_follow_the_prediction_and_log_loss_does_not():
    two = TWO.model_copy(update={"class_weights": (1.0, 4.0)})
    rows = DecodedRows(np.array([0, 1, 1]), np.array([[0.1], [0.3], [0.6]]), None)
    weighted, plain = two.metrics(rows), TWO.metrics(rows)
    assert (plain["recall"], weighted["recall"]) == (0.5, 1.0)
    assert plain["log_loss"] == weighted["log_loss"]
    several = ABC.model_copy(update={"class_weights": (1.0, 4.0, 1.0)})
    rows = DecodedRows(np.array([1, 0]), np.array([[0.7, 0.2, 0.1], [0.8, 0.1, 0.1]]), None)
    assert several.metrics(rows)["accuracy"] == 1.0
    assert ABC.metrics(rows)["accuracy"] == 0.5


@pytest.mark.parametrize(("task", "shares"), [(TWO, (0.9, 0.1)), (ABC, (0.1, 0.3, 0.6))])
def test_a_constant_with_balanced_weights_is_the_most_frequent_class(task, shares):
    weights = tuple(1 / (len(shares) * share) for share in shares)
    fitted = task.model_copy(update={"class_weights": weights})
    outputs = np.array([shares], np.float32)[:, -1:] if task is TWO else np.array([shares])
    assert fitted.predict(outputs.astype(np.float32)).tolist() == [int(np.argmax(shares))]


@pytest.mark.parametrize(
    "stored",
    [
        {"class_weights": (1.0,), "frequencies": (0.5, 0.5)},
        {"class_weights": (1.0, 0.0), "frequencies": (0.5, 0.5)},
        {"class_weights": (1.0, -1.0), "frequencies": (0.5, 0.5)},
        {"prevalence": (0.5, 0.5)},
    ],
)
def test_a_damaged_task_is_refused(stored):
    with pytest.raises(ValidationError):
        Binary(columns=("y",), classes=("no", "yes"), **stored)
