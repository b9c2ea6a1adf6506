"""Losses and metrics against their formulas, with the labels and units of a task."""

from __future__ import annotations

from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf
from pydantic import TypeAdapter

from dlcli.columns.scaling import LinearScaling
from dlcli.config.training_choices import Loss
from dlcli.tasks.classification import classification
from dlcli.tasks.regression import Regression
from dlcli.tasks.task import DecodedRows
from dlcli.training.objectives import (
    COMPACT,
    MOST_SUMMED_INPUTS,
    FormulaLoss,
    OneHotCrossentropy,
    RuntimeValues,
    SummedDense,
    keras_loss,
    keras_metrics,
)
from tests.training.conftest import build_job

NUMBER = (np.array([[1.0], [3.0], [2.0]]), np.array([[1.5], [0.5], [2.25]]))
SHARES = (
    np.array([[0.2, 0.3, 0.5], [0.6, 0.3, 0.1]]),
    np.array([[0.1, 0.4, 0.5], [0.3, 0.3, 0.4]]),
)
TWO = (np.array([1, 0, 1]), np.array([[0.9], [0.4], [0.3]]))
MARGIN = (np.array([1, 0, 1]), np.array([[0.9], [-1.4], [-0.3]]))
LABELS = (
    np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 1.0, 0.0], [1.0, 0.0, 1.0]]),
    np.array([[0.9, 0.2, 0.1], [0.6, 0.7, 0.2], [0.3, 0.5, 0.4], [0.8, 0.6, 0.9]]),
)
THREE = (
    np.array([2, 0, 1, 1]),
    np.array([[0.1, 0.4, 0.5], [0.3, 0.3, 0.4], [0.2, 0.7, 0.1], [0.6, 0.1, 0.3]]),
)


def signs(places):
    return 2 * places[:, np.newaxis] - 1


def positive(y, p):
    """The probability of the true class."""
    return np.where(y[:, np.newaxis] == 1, p, 1 - p)


def true_class(y, p):
    return p[np.arange(len(y)), y]


def smoothed(y, p):
    return 0.9 * (y[:, np.newaxis] == np.arange(p.shape[1])) + 0.1 / p.shape[1]


def focal(probability, gamma=2.0):
    return -((1 - probability) ** gamma) * np.log(probability)


def cosines(y, p):
    return (y * p).sum(axis=1) / np.linalg.norm(y, axis=1) / np.linalg.norm(p, axis=1)


def huber(error, delta):
    return np.where(error <= delta, error**2 / 2, delta * error - delta**2 / 2)


def best_wrong_class(y, p):
    return np.where(np.arange(p.shape[1]) == y[:, np.newaxis], 0, p).max(axis=1)


LOSSES = [
    ("mean_squared_error", NUMBER, lambda y, p: (y - p) ** 2),
    ("mean_absolute_error", NUMBER, lambda y, p: abs(y - p)),
    ("mean_absolute_percentage_error", NUMBER, lambda y, p: 100 * abs(y - p) / y),
    ("mean_squared_logarithmic_error", NUMBER, lambda y, p: np.log((1 + y) / (1 + p)) ** 2),
    ({"name": "huber", "delta": 1.0}, NUMBER, lambda y, p: huber(abs(y - p), 1.0)),
    ("log_cosh", NUMBER, lambda y, p: np.log(np.cosh(p - y))),
    ("poisson", NUMBER, lambda y, p: p - y * np.log(p)),
    (
        {"name": "tweedie", "power": 1.2},
        NUMBER,
        lambda y, p: 2 * (y**0.8 / (-0.2 * 0.8) + y * p**-0.2 / 0.2 + p**0.8 / 0.8),
    ),
    ("gamma", NUMBER, lambda y, p: 2 * (np.log(p / y) + y / p - 1)),
    (
        "binomial",
        SHARES,
        lambda y, p: 2 * (y * np.log(y / p) + (1 - y) * np.log((1 - y) / (1 - p))).mean(axis=1),
    ),
    ("cosine_similarity", SHARES, lambda y, p: -cosines(y, p)),
    ("kl_divergence", SHARES, lambda y, p: (y * np.log(y / p)).sum(axis=1)),
    ("binary_crossentropy", TWO, lambda y, p: -np.log(positive(y, p))),
    (
        "binary_crossentropy",
        LABELS,
        lambda y, p: -np.log(np.where(y == 1, p, 1 - p)).mean(axis=1),
    ),
    ("binary_focal_crossentropy", TWO, lambda y, p: focal(positive(y, p))),
    ("hinge", MARGIN, lambda y, p: np.maximum(1 - signs(y) * p, 0)),
    ("squared_hinge", MARGIN, lambda y, p: np.maximum(1 - signs(y) * p, 0) ** 2),
    ("sparse_categorical_crossentropy", THREE, lambda y, p: -np.log(true_class(y, p))),
    (
        {"name": "categorical_crossentropy", "label_smoothing": 0.1},
        THREE,
        lambda y, p: -(smoothed(y, p) * np.log(p)).sum(axis=1),
    ),
    ("categorical_focal_crossentropy", THREE, lambda y, p: 0.25 * focal(true_class(y, p))),
    (
        {"name": "categorical_generalized_cross_entropy", "q": 0.7},
        THREE,
        lambda y, p: (1 - true_class(y, p) ** 0.7) / 0.7,
    ),
    (
        "categorical_hinge",
        THREE,
        lambda y, p: np.maximum(1 + best_wrong_class(y, p) - true_class(y, p), 0),
    ),
]


LOSS_NAMES = [
    f"{section['name'] if isinstance(section, dict) else section} of {len(outputs[0])} units"
    for section, (_, outputs), _ in LOSSES
]


def labels_of(encoded, loss, units):
    """The labels of numbers, (rows, columns), or of indices of classes, (rows,)."""
    task = Regression(columns=("y",)) if encoded.ndim == 2 else classification("y", ("a", "b"))
    return task.loss_labels(encoded, loss, units)


@pytest.mark.parametrize(("section", "rows", "formula"), LOSSES, ids=LOSS_NAMES)
def test_a_loss_is_the_mean_of_its_formula(section, rows, formula):
    target, outputs = rows
    given = section if isinstance(section, dict) else {"name": section}
    loss = TypeAdapter(Loss).validate_python(given)
    labels = labels_of(target, loss, outputs.shape[1])
    result = float(keras_loss(loss)(labels, outputs))
    assert result == pytest.approx(formula(target, outputs).mean(), rel=1e-5)


@pytest.mark.parametrize(("section", "rows", "formula"), LOSSES, ids=LOSS_NAMES)
def test_a_weighted_loss_is_the_weighted_sum_over_all_rows(section, rows, formula):
    target, outputs = rows
    given = section if isinstance(section, dict) else {"name": section}
    loss = TypeAdapter(Loss).validate_python(given)
    labels = labels_of(target, loss, outputs.shape[1])
    weights = np.arange(1.0, len(target) + 1)
    values = formula(target, outputs).reshape(len(target))
    result = float(keras_loss(loss)(labels, outputs, sample_weight=weights))
    assert result == pytest.approx((weights * values).mean(), rel=1e-5)


def measure(name, target, labels, outputs, loss="mean_squared_error"):
    section = TypeAdapter(Loss).validate_python({"name": loss})
    outputs = np.array(outputs, np.float32)
    runtime = RuntimeValues(replace(build_job(), task=target))
    (metric,) = keras_metrics([name], target, outputs.shape[1], section, runtime)
    metric.update_state(np.array(labels), outputs)
    return float(metric.result())


def numbers(*scalings):
    return Regression(columns=tuple("abc"[: len(scalings)]), scalings=scalings)


METRES = LinearScaling(name="standard", offset=30.0, scale=4.0)


def test_a_metric_of_a_number_is_in_its_own_unit():
    # Errors of 0.5 and 1 deviations are 2 and 4 metres.
    labels, outputs = np.float32([[0.0], [1.0]]), [[0.5], [0.0]]
    assert measure("mae", numbers(METRES), labels, outputs) == pytest.approx(3)
    assert measure("mse", numbers(METRES), labels, outputs) == pytest.approx(10)
    assert measure("rmse", numbers(METRES), labels, outputs) == pytest.approx(np.sqrt(10))


def test_a_metric_of_a_logarithmic_number_is_in_its_own_unit():
    scaling = LinearScaling(name="log1p", offset=0.0, scale=1.0)
    labels, outputs = np.log(np.float32([[5.0]])), np.log([[8.0]])  # 4 and 7
    assert measure("mae", numbers(scaling), labels, outputs) == pytest.approx(3, rel=1e-6)


def test_a_metric_of_several_numbers_is_their_mean():
    labels, outputs = np.float32([[0.0, 0.0]]), [[0.5, 3.0]]
    scalings = (METRES, LinearScaling(name="none"))
    assert measure("mae", numbers(*scalings), labels, outputs) == pytest.approx(2.5)
    assert measure("rmse", numbers(*scalings), labels, outputs) == pytest.approx(2.5)


def test_a_metric_of_a_number_keeps_its_digits_far_from_0():
    far = numbers(LinearScaling(name="standard", offset=1e9, scale=1.0))
    labels, outputs = np.float32([[0.0], [2.0], [4.0]]), [[1.0], [2.0], [3.0]]
    assert measure("r2", far, labels, outputs) == pytest.approx(0.75)
    assert measure("mae", far, labels, outputs) == pytest.approx(2 / 3)


def test_r2_is_the_share_of_the_variance_explained():
    # Squared errors sum to 2, squared deviations from the mean to 8.
    labels, outputs = np.float32([[0.0], [2.0], [4.0]]), [[1.0], [2.0], [3.0]]
    assert measure("r2", numbers(METRES), labels, outputs) == pytest.approx(0.75)


def test_a_margin_counts_as_the_second_class_above_0(make_job):
    target, labels = make_job(target="two").task, np.float32([[1], [1], [0], [0]])
    outputs = [[0.1], [-0.1], [0.2], [-3.0]]
    assert measure("accuracy", target, labels, outputs, "hinge") == 0.5


def test_a_probability_counts_as_the_second_class_above_a_half(make_job):
    target, labels = make_job(target="two").task, np.float32([[1], [1], [0], [0]])
    outputs = [[0.6], [0.51], [0.2], [0.9]]
    assert measure("accuracy", target, labels, outputs, "binary_crossentropy") == 0.75
    assert measure("recall", target, labels, outputs, "binary_crossentropy") == 1
    assert measure("precision", target, labels, outputs, "binary_crossentropy") == pytest.approx(
        2 / 3
    )


def test_of_two_shares_the_second_class_is_the_positive_one(make_job):
    target, labels = make_job(target="two").task, np.int32([1, 1, 0, 0])
    outputs = [[0.4, 0.6], [0.49, 0.51], [0.8, 0.2], [0.1, 0.9]]
    loss = "sparse_categorical_crossentropy"
    names = ("accuracy", "recall", "precision", "f1")
    found = [measure(name, target, labels, outputs, loss) for name in names]
    assert found == pytest.approx([0.75, 1, 2 / 3, 0.8], rel=1e-4)
    # Of the four pairs of a row of each class, the second class is the more probable in two.
    assert measure("auc", target, labels, outputs, loss) == pytest.approx(0.5, abs=0.01)


def test_the_most_probable_class_counts_even_if_there_are_as_many_rows_as_classes(make_job):
    target, labels = make_job(target="four").task, np.int32([0, 1, 2, 3])
    outputs = np.float32([[4, 1, 2, 3], [4, 3, 2, 1], [1, 2, 4, 3], [4, 3, 2, 1]]) / 10
    loss = "sparse_categorical_crossentropy"
    assert measure("accuracy", target, labels, outputs, loss) == 0.5
    assert measure("top_3_accuracy", target, labels, outputs, loss) == 0.75


@pytest.mark.parametrize(
    ("target", "rows", "loss"),
    [
        ("two", TWO, "binary_crossentropy"),
        ("four", THREE, "sparse_categorical_crossentropy"),
        ("four", THREE, "categorical_crossentropy"),
        ("labels", LABELS, "binary_crossentropy"),
    ],
)
def test_each_metric_of_sums_is_that_of_the_final_rows(make_job, target, rows, loss):
    task, section = make_job(target=target).task, TypeAdapter(Loss).validate_python({"name": loss})
    values, outputs = rows
    if target == "four":  # of which one never occurs and is never predicted
        outputs = np.pad(outputs, ((0, 0), (0, 1)))
    final = task.metrics(DecodedRows(values, outputs, None))
    labels = task.loss_labels(values, section, outputs.shape[1])
    for name in set(task.epoch_metrics(section)) - {"auc"}:
        assert measure(name, task, labels, outputs, loss) == pytest.approx(final[name]), name


# Decided: a; a and b; none; a, b and c. So b is missed in the third row and added in the last.
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", 10 / 12),
        ("subset_accuracy", 0.5),
        ("auc", 11 / 12),
        ("macro_f1", (1 + 0.5 + 1) / 3),
        ("micro_f1", 5 / 6),
        ("micro_precision", 5 / 6),
        ("micro_recall", 5 / 6),
    ],
)
def test_a_metric_of_labels_equals_the_final_metric_of_that_name(make_job, name, expected):
    target = make_job(target="labels").task
    labels, outputs = LABELS
    found = measure(name, target, np.float32(labels), outputs, "binary_crossentropy")
    assert found == pytest.approx(expected, abs=0.005)  # Keras's AUC goes by 200 thresholds


def test_the_deviance_of_counts_is_that_of_their_means():
    # scikit-learn 1.9.1: mean_poisson_deviance.
    labels, outputs = np.float32([[2.0], [0.0], [5.0]]), [[1.0], [0.5], [4.0]]
    target = numbers(LinearScaling(name="none"))
    found = measure("poisson_deviance", target, labels, outputs, "poisson")
    assert found == pytest.approx(0.668008078460626)


@pytest.mark.parametrize("width", [3, MOST_SUMMED_INPUTS + 1])
@pytest.mark.parametrize("use_bias", [True, False])
def test_a_summed_unit_equals_keras_dense(width, use_bias):
    rng = np.random.default_rng(0)
    settings = {"units": 1, "activation": "tanh", "use_bias": use_bias}
    plain, summed = keras.layers.Dense(**settings), SummedDense(**settings)
    rows = tf.constant(rng.normal(size=(5, width)), "float32")
    for layer in (plain, summed):
        layer.build((None, width))
        shapes = [weight.shape for weight in layer.weights]
        layer.set_weights([np.linspace(-0.1, 0.2, shape[0]).reshape(shape) for shape in shapes])
    results = []
    for layer in (plain, summed):
        with tf.GradientTape() as tape:
            tape.watch(rows)
            outputs = layer(rows)
        results.append([outputs, *tape.gradient(outputs, [rows, *layer.trainable_variables])])
    for expected, found in zip(*results, strict=True):
        assert expected.shape == found.shape
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("softmax", "largest", "tolerance"),
    # Without the logits that Keras's softmax leaves, Keras clips probabilities at 1e-7.
    [(keras.activations.softmax, 90, 1e-6), (tf.nn.softmax, 2, 1e-5)],
    ids=["by logits", "by probabilities"],
)
def test_cross_entropy_by_one_hot_labels_is_that_of_keras_with_its_gradient(
    softmax, largest, tolerance
):
    labels, x = tf.constant([2, 0, 1, 2]), largest
    logits = np.array([[3, -1, 0.5], [x, 0, -x], [-x, 0, x], [0, 0, 0]], np.float32)
    weights = tf.constant([1.0, 0.5, 2.0, 0.0])

    def loss_and_gradient(loss):
        with tf.GradientTape() as tape:
            given = tf.Variable(logits)
            value = loss(labels, softmax(given * 1), sample_weight=weights)
        return [value.numpy(), *tape.gradient(value, given).numpy().ravel()]

    expected = loss_and_gradient(keras.losses.SparseCategoricalCrossentropy())
    found = loss_and_gradient(OneHotCrossentropy())
    assert found == pytest.approx(expected, rel=tolerance, abs=tolerance**2)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("Adam", {"beta_1": 0.8, "epsilon": 1e-3}),
        ("Adam", {"amsgrad": True}),
        ("Adam", {"gradient_accumulation_steps": 2}),
        ("AdamW", {"weight_decay": 0.1, "clipnorm": 0.5, "use_ema": True}),
    ],
    ids=str,
)
def test_the_update_of_all_weights_at_once_is_that_of_keras_to_the_bit(name, options):
    rng = np.random.default_rng(0)

    def draw(*shape):
        return tf.constant(rng.normal(size=shape), tf.float32)

    # As of a layer, and as of an embedding.
    gradients = [(draw(3, 2), tf.IndexedSlices(draw(2, 2), [1, 3], [4, 2])) for _ in range(4)]

    def train(kind):
        weights = [keras.Variable(np.ones(shape, np.float32)) for shape in ((3, 2), (4, 2))]
        optimizer = kind(learning_rate=0.1, **options)
        optimizer.build(weights)
        for given in gradients:
            optimizer.apply([*given], weights)
        return [variable.numpy().tolist() for variable in (*weights, *optimizer.variables)]

    assert train(COMPACT[name]) == train(getattr(keras.optimizers, name))


def pinball(true, output):
    error = true - output
    return np.maximum(0.75 * error, -0.25 * error)


def test_a_loss_of_a_formula_is_traced_with_its_gradient():
    labels, outputs = np.float32([[1.0], [3.0], [2.0]]), tf.Variable([[1.5], [0.5], [2.5]])
    with tf.GradientTape() as tape:
        loss = FormulaLoss(pinball)(labels, outputs)
    assert float(loss) == pytest.approx((0.125 + 1.875 + 0.125) / 3)
    assert tape.gradient(loss, outputs).numpy().ravel() * 3 == pytest.approx([0.25, -0.75, 0.25])
