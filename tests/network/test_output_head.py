"""Output, loss and metrics: what follows from the target, and what contradicts it."""

from __future__ import annotations

import math

import keras
import numpy as np
import pytest

from dlcli.config.config_schema import Config
from dlcli.config.layer_choices import Activation
from dlcli.config.training_choices import Loss
from dlcli.errors import ConfigError, DataError
from dlcli.network.head import resolve_head
from dlcli.schema.section import members_of
from dlcli.tables.table_files import read_table
from dlcli.tasks.classification import Binary, Multiclass, Multilabel
from dlcli.tasks.regression import Counts, Regression

TARGETS = {
    "number": Regression(columns=("y",)),
    "numbers": Regression(columns=("u", "v")),
    "two": Binary(columns=("y",), classes=("no", "yes")),
    "three": Multiclass(columns=("y",), classes=("a", "b", "c")),
    "four": Multiclass(columns=("y",), classes=("a", "b", "c", "d")),
    "labels": Multilabel(columns=("u", "v", "w"), labels=("u", "v", "w")),
    "count": Counts(columns=("y",)),
}
LOSSES = {name: section.__name__ for name, section in members_of(Loss).items()}
"""The name of each loss, and of its class in Keras."""

PROBABILITY = ["binary_crossentropy", "binary_focal_crossentropy"]
MARGIN = ["hinge", "squared_hinge"]
CLASSES = [
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_generalized_cross_entropy",
    "categorical_hinge",
    "sparse_categorical_crossentropy",
]
NUMBER = [
    "huber",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "poisson",
]
OTHERS = ["tweedie", "gamma", "binomial"]
"""Losses of a number that Keras lacks."""
FITTING = {
    "number": NUMBER,
    "numbers": [*NUMBER, "cosine_similarity", "kl_divergence"],
    "two": [*PROBABILITY, *MARGIN, *CLASSES],
    "three": CLASSES,
    "four": CLASSES,
    "labels": PROBABILITY,
    "count": NUMBER,
}


def config(**sections):
    data = {"train": "t.csv", "target": "y", "validation": 0.2}
    return Config.model_validate({"data": data, "hidden": (), "epochs": 1, **sections})


def head(target, **sections):
    """Units, activation, scaling and loss by name."""
    found = resolve_head(config(**sections), TARGETS[target])
    assert found.output.activation is not None
    scaling = found.output.scaling.name if found.output.scaling else None
    return found.output.units, found.output.activation.name, scaling, found.loss.name


def problems(target, **sections):
    with pytest.raises(ConfigError) as caught:
        resolve_head(config(**sections), TARGETS[target])
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("number", (1, "linear", "standard", "mean_squared_error")),
        ("numbers", (2, "linear", "standard", "mean_squared_error")),
        ("two", (1, "sigmoid", None, "binary_crossentropy")),
        ("three", (3, "softmax", None, "sparse_categorical_crossentropy")),
        ("labels", (3, "sigmoid", None, "binary_crossentropy")),
        ("count", (1, "exponential", "none", "poisson")),
    ],
)
def test_output_and_loss_follow_from_the_target(target, expected):
    assert head(target) == expected


@pytest.mark.parametrize(
    ("target", "metrics"),
    [
        ("number", ("mae",)),
        ("count", ("mae",)),
        ("two", ("accuracy",)),
        ("three", ("accuracy",)),
        ("labels", ("accuracy",)),
    ],
)
def test_without_metrics_each_epoch_shows_the_default_one(target, metrics):
    assert resolve_head(config(), TARGETS[target]).metrics == metrics


@pytest.mark.parametrize("target", ["three", "labels"])
def test_f1_of_several_parts_is_their_mean_wherever_it_is_named(target):
    given = config(
        metrics=("f1", "accuracy", "macro_f1"),
        early_stopping={"monitor": "val_f1"},
        learning_rate_schedule={"name": "reduce_on_plateau", "monitor": "f1"},
        gates={"validation.f1": {"at_least": 0.5}, "validation.accuracy": {"at_least": 0.5}},
        tune={"metric": "val_f1", "folds": 5},
    )
    found = resolve_head(given, TARGETS[target]).resolve(given)
    assert found.metrics == ("macro_f1", "accuracy")
    assert found.early_stopping.monitor == "val_macro_f1"
    assert found.learning_rate_schedule.monitor == "macro_f1"
    assert list(found.gates) == ["validation.macro_f1", "validation.accuracy"]
    assert found.tune.metric == "val_macro_f1"


def test_two_gates_of_one_metric_are_refused():
    gates = {"validation.f1": {"at_least": 0.9}, "validation.macro_f1": {"at_least": 0.1}}
    given = config(gates=gates)
    with pytest.raises(ConfigError) as caught:
        resolve_head(given, TARGETS["three"]).resolve(given)
    assert "is the same as validation.macro_f1, which also has a gate" in str(caught.value)


def test_f1_of_two_classes_is_that_of_the_second():
    given = config(metrics=("f1",))
    assert resolve_head(given, TARGETS["two"]).resolve(given).metrics == ("f1",)
    assert problems("two", metrics=("macro_f1",)) == [
        "metrics[0]: 'macro_f1' does not fit the target 'y' (2 classes); "
        "use one or more of accuracy, balanced_accuracy, auc, precision, recall, f1, log_loss, brier"
    ]


def test_an_empty_list_of_metrics_is_kept():
    assert resolve_head(config(metrics=()), TARGETS["number"]).metrics == ()


@pytest.mark.parametrize("output", [{"activation": "softmax"}, {"units": 2}])
def test_two_classes_get_two_units_where_the_output_asks_for_them(output):
    expected = (2, "softmax", None, "sparse_categorical_crossentropy")
    assert head("two", output=output) == expected


@pytest.mark.parametrize(
    ("loss", "target", "expected"),
    [
        ("hinge", "two", (1, "linear", None, "hinge")),
        ("binary_focal_crossentropy", "two", (1, "sigmoid", None, "binary_focal_crossentropy")),
        ("categorical_hinge", "two", (2, "softmax", None, "categorical_hinge")),
        ("categorical_crossentropy", "three", (3, "softmax", None, "categorical_crossentropy")),
        ("huber", "number", (1, "linear", "standard", "huber")),
        ("poisson", "number", (1, "exponential", "none", "poisson")),
        ("mean_squared_error", "count", (1, "linear", "standard", "mean_squared_error")),
        (
            "binary_focal_crossentropy",
            "labels",
            (3, "sigmoid", None, "binary_focal_crossentropy"),
        ),
        ("kl_divergence", "numbers", (2, "softmax", "none", "kl_divergence")),
        ("cosine_similarity", "numbers", (2, "linear", "none", "cosine_similarity")),
        (
            "mean_absolute_percentage_error",
            "number",
            (1, "linear", "none", "mean_absolute_percentage_error"),
        ),
        (  # Keras takes outputs below 0 as 0, where the loss has no gradient
            "mean_squared_logarithmic_error",
            "number",
            (1, "exponential", "none", "mean_squared_logarithmic_error"),
        ),
    ],
)
def test_the_output_follows_from_the_loss(loss, target, expected):
    assert head(target, loss=loss) == expected


def test_an_activation_that_bends_the_output_leaves_the_target_unscaled():
    assert head("number", output={"activation": "softplus"})[2] == "none"


@pytest.mark.parametrize("scaling", ["standard", "log1p", "none"])
def test_a_declared_scaling_is_kept(scaling):
    assert head("number", output={"scaling": scaling, "activation": "tanh"})[2] == scaling


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_either_fits_the_target_or_is_the_one_problem(loss, target):
    if loss == "quantile" and target in ("number", "count"):
        assert head(target, loss=loss) == (3, "linear", "standard", "quantile")
    elif loss in FITTING[target] or (loss in OTHERS and NUMBER[0] in FITTING[target]):
        assert head(target, loss=loss)[3] == loss
    else:
        (problem,) = problems(target, loss=loss)
        assert problem.startswith(f"loss: '{loss}' ")


BATCHES = {
    "number": np.array([[0.5], [2.0]]),
    "numbers": np.array([[0.25, 0.75], [1.0, 0.0]]),
    "two": np.array([[0], [1]]),
    "three": np.array([[2], [0]]),
    "four": np.array([[3], [1]]),
    "labels": np.array([[1, 0, 1], [0, 0, 0]]),
    "count": np.array([[0.0], [3.0]]),
}
"""Two rows of each target, as it is labelled: numbers as they are, classes by their place."""


@pytest.mark.parametrize(
    ("target", "loss"), [(target, loss) for target in TARGETS for loss in FITTING[target]]
)
def test_keras_computes_a_loss_that_fits_on_the_output_that_follows(target, loss):
    units, activation, _, name = head(target, loss=loss)
    labels = BATCHES[target]
    if name in {"sparse_categorical_crossentropy", "categorical_generalized_cross_entropy"}:
        labels = labels[:, 0]
    elif name in CLASSES:
        labels = np.eye(units)[labels[:, 0]]
    sums = keras.ops.convert_to_tensor(np.linspace(-1, 1, 2 * units).reshape(2, units), "float32")
    output = getattr(keras.activations, activation)(sums)
    value = getattr(keras.losses, LOSSES[name])()(labels, output)
    assert np.isfinite(value).all()


@pytest.mark.parametrize(
    ("target", "loss", "message"),
    [
        (
            "number",
            "cosine_similarity",
            "loss: 'cosine_similarity' does not fit the target 'y' (a number); use one of "
            "mean_squared_error, mean_absolute_error, mean_absolute_percentage_error, "
            "mean_squared_logarithmic_error, huber, log_cosh, poisson, tweedie, "
            "gamma, binomial, quantile; it fits several columns as data.target",
        ),
        (
            "number",
            "binary_crossentropy",
            "loss: 'binary_crossentropy' does not fit the target 'y' (a number); use one "
            "of mean_squared_error, mean_absolute_error, mean_absolute_percentage_error, "
            "mean_squared_logarithmic_error, huber, log_cosh, poisson, tweedie, "
            "gamma, binomial, quantile; for classes, set data.target: {column: ..., type: categorical}",
        ),
        (
            "two",
            "mean_squared_error",
            "loss: 'mean_squared_error' does not fit the target 'y' (2 classes); use one of "
            "binary_crossentropy, binary_focal_crossentropy, hinge, squared_hinge, "
            "sparse_categorical_crossentropy, categorical_crossentropy, "
            "categorical_focal_crossentropy, categorical_generalized_cross_entropy, "
            "categorical_hinge",
        ),
        (
            "labels",
            "sparse_categorical_crossentropy",
            "loss: 'sparse_categorical_crossentropy' does not fit the target 'u', 'v', "
            "'w' (3 labels); use one of binary_crossentropy, binary_focal_crossentropy",
        ),
        (
            "labels",
            "mean_squared_error",
            "loss: 'mean_squared_error' does not fit the target 'u', 'v', 'w' (3 labels); "
            "use one of binary_crossentropy, binary_focal_crossentropy; "
            "for numbers, set data.target: {column: [...], type: numeric}",
        ),
        (
            "numbers",
            "binary_crossentropy",
            "loss: 'binary_crossentropy' does not fit the target 'u', 'v' (2 numbers); use "
            "one of mean_squared_error, mean_absolute_error, mean_absolute_percentage_error, "
            "mean_squared_logarithmic_error, huber, log_cosh, poisson, tweedie, "
            "gamma, binomial, cosine_similarity, kl_divergence; for labels, set data.target: {column: [...], type: multi_label}",
        ),
        (
            "three",
            "binary_crossentropy",
            "loss: 'binary_crossentropy' does not fit the target 'y' (3 classes); use one of "
            "sparse_categorical_crossentropy, categorical_crossentropy, "
            "categorical_focal_crossentropy, categorical_generalized_cross_entropy, "
            "categorical_hinge",
        ),
    ],
)
def test_a_loss_that_contradicts_the_target_is_reported_with_those_that_fit(target, loss, message):
    assert problems(target, loss=loss) == [message]


@pytest.mark.parametrize(
    ("target", "sections", "message"),
    [
        (
            "labels",
            {"output": {"activation": "softmax"}},
            "output.activation: 'softmax' does not fit the loss 'binary_crossentropy'; "
            "use sigmoid, hard_sigmoid, sparse_sigmoid",
        ),
        (
            "labels",
            {"output": {"units": 2}},
            "output.units: expected 3 (one for each of the 3 labels u, v, w), got 2",
        ),
        (
            "labels",
            {"output": {"scaling": "standard"}},
            "output.scaling: requires a numeric target, but the target is 'u', 'v', 'w' (3 labels)",
        ),
        (
            "labels",
            {"class_weight": "balanced"},
            "class_weight: requires classes, but the target 'u', 'v', 'w' consists of labels; "
            "weight rows by data.sample_weight, or weight rare labels by loss: {name: "
            "binary_focal_crossentropy, apply_class_balancing: true, alpha: ...}",
        ),
        (
            "labels",
            {"metrics": ("recall",)},
            "metrics[0]: 'recall' does not fit the target 'u', 'v', 'w' (3 labels); use one or more of accuracy, "
            "subset_accuracy, auc, macro_f1, micro_precision, micro_recall, micro_f1, log_loss, "
            "brier",
        ),
        (
            "number",
            {"metrics": ("poisson_deviance",)},
            "metrics[0]: 'poisson_deviance' does not fit the target 'y' (a number); "
            "use one or more of mae, mse, rmse, r2",
        ),
        (
            "number",
            {"output": {"units": 2}},
            "output.units: expected 1 (one for each of the target's columns 'y'), got 2",
        ),
        (
            "numbers",
            {"output": {"units": 1}},
            "output.units: expected 2 (one for each of the target's columns 'u', 'v'), got 1",
        ),
        (
            "four",
            {"output": {"units": 3}},
            "output.units: expected 4 (one for each of the 4 classes a, b, c, d), got 3",
        ),
        (
            "two",
            {"output": {"units": 2}, "loss": "binary_crossentropy"},
            "output.units: expected 1 (one probability for two classes with "
            "'binary_crossentropy'), got 2",
        ),
        (
            "two",
            {"output": {"units": 1}, "loss": "categorical_hinge"},
            "output.units: expected 2 (one for each of the 2 classes no, yes), got 1",
        ),
        (
            "two",
            {"output": {"units": 1, "activation": "softmax"}},
            "output.activation: 'softmax' is constant for a single unit; use sigmoid",
        ),
        (
            "number",
            {"output": {"activation": "log_softmax"}},
            "output.activation: 'log_softmax' is constant for a single unit; use linear",
        ),
        (
            "two",
            {"output": {"activation": "relu"}},
            "output.activation: 'relu' does not fit the loss 'binary_crossentropy'; "
            "use sigmoid, hard_sigmoid, sparse_sigmoid",
        ),
        (
            "two",
            {"output": {"activation": "sigmoid"}, "loss": "hinge"},
            "output.activation: 'sigmoid' does not fit the loss 'hinge'; "
            "use linear, hard_tanh, softsign, tanh",
        ),
        (
            "three",
            {"output": {"activation": "sigmoid"}},
            "output.activation: 'sigmoid' does not fit the loss "
            "'sparse_categorical_crossentropy'; use softmax",
        ),
        (
            "number",
            {"output": {"activation": "linear"}, "loss": "poisson"},
            "output.activation: 'linear' does not fit the loss 'poisson'; use "
            "exponential, hard_sigmoid, relu, relu6, sigmoid, softmax, softplus, sparse_plus, "
            "sparse_sigmoid, squareplus",
        ),
        (
            "two",
            {"output": {"scaling": "standard"}},
            "output.scaling: requires a numeric target, but the target is 'y' (2 classes)",
        ),
        (
            "number",
            {"output": {"scaling": "standard"}, "loss": "poisson"},
            "output.scaling: 'poisson' requires an unscaled target; use none",
        ),
        (
            "number",
            {"class_weight": "balanced"},
            "class_weight: the target 'y' is a number and has no classes",
        ),
        (
            "number",
            {"metrics": ("mae", "accuracy")},
            "metrics[1]: 'accuracy' does not fit the target 'y' (a number); use one or more of mae, mse, rmse, r2",
        ),
        (
            "two",
            {"metrics": ("r2",)},
            "metrics[0]: 'r2' does not fit the target 'y' (2 classes); "
            "use one or more of accuracy, balanced_accuracy, auc, precision, recall, f1, log_loss, brier",
        ),
        (
            "three",
            {"metrics": ("top_3_accuracy",)},
            "metrics[0]: 'top_3_accuracy' does not fit the target 'y' (3 classes); "
            "use one or more of accuracy, balanced_accuracy, macro_f1, log_loss",
        ),
        (
            "number",
            {"early_stopping": {"monitor": "val_rmse"}},
            "early_stopping.monitor: 'val_rmse' is not computed; add it to metrics",
        ),
        (
            "three",
            {"early_stopping": {"monitor": "val_auc"}},
            "early_stopping.monitor: 'val_auc' does not fit the target 'y' (3 classes); "
            "use one of loss, accuracy, balanced_accuracy, macro_f1, log_loss",
        ),
        (
            "number",
            {"learning_rate_schedule": {"name": "reduce_on_plateau", "monitor": "r2"}},
            "learning_rate_schedule.monitor: 'r2' is not computed; add it to metrics",
        ),
        (
            "two",
            {"tune": {"metric": "val_micro_f1", "folds": 5}},
            "tune.metric: 'val_micro_f1' does not fit the target 'y' (2 classes); "
            "allowed: val_loss, val_accuracy, val_balanced_accuracy, val_auc, "
            "val_average_precision, val_precision, val_recall, val_f1, val_log_loss, val_brier, "
            "val_calibration_error",
        ),
    ],
)
def test_a_contradiction_is_reported_at_its_key_with_what_would_fit(target, sections, message):
    assert problems(target, **sections) == [message]


@pytest.mark.parametrize(
    ("target", "sections", "why"),
    [
        ("number", {}, "the target is a number"),
        ("numbers", {}, "the target is 2 numbers"),
        ("two", {"loss": "hinge"}, "'hinge' trains a margin"),
    ],
)
def test_a_floor_of_probabilities_is_refused_where_there_are_none(target, sections, why):
    found = problems(target, output={"probability_floor": "auto"}, **sections)
    assert found == [f"output.probability_floor: requires probabilities, but {why}; omit it"]


@pytest.mark.parametrize(
    ("given", "rows", "expected"),
    [("auto", 1_500, 0.00333), ("auto", 12, 0.1), (0.2, 1_500, 0.2), (None, 1_500, None)],
)
def test_an_automatic_floor_is_that_of_five_rows_up_to_a_tenth(given, rows, expected):
    found = resolve_head(config(output={"probability_floor": given}), TARGETS["two"])
    assert found.for_rows(rows).output.probability_floor == expected


def test_the_usual_metric_can_be_monitored():
    sections = {"early_stopping": {"monitor": "val_mae"}}
    assert resolve_head(config(**sections), TARGETS["number"]).metrics == ("mae",)


def test_several_numbers_of_any_units_are_measured_by_their_share_of_variance():
    assert resolve_head(config(), TARGETS["numbers"]).metrics == ("r2",)


def test_four_classes_can_show_their_top_3():
    found = resolve_head(config(metrics=("top_3_accuracy",)), TARGETS["four"])
    assert found.metrics == ("top_3_accuracy",)


def test_all_contradictions_are_reported_at_once():
    output = {"units": 1, "scaling": "log1p"}
    found = problems("three", output=output, loss="hinge", metrics=("auc",))
    paths = [problem.partition(":")[0] for problem in found]
    assert paths == ["loss", "output.scaling", "output.units", "metrics[0]"]


def test_counts_can_show_their_deviance():
    found = resolve_head(config(metrics=("poisson_deviance",)), TARGETS["count"])
    assert found.metrics == ("poisson_deviance",)


def test_every_unknown_class_of_class_weight_is_named_with_the_nearest_one():
    with pytest.raises(ConfigError) as caught:
        resolve_head(config(class_weight={"yess": 2.0, "no": 1.0, "kiwi": 2.0}), TARGETS["two"])
    assert [str(problem) for problem in caught.value.problems] == [
        "class_weight.yess: no such class; did you mean 'yes'?",
        "class_weight.kiwi: no such class; there are no, yes",
    ]


@pytest.mark.parametrize("loss", ["poisson", "mean_squared_logarithmic_error"])
def test_a_loss_of_logarithms_refuses_a_negative_target_with_its_row(tmp_path, loss):
    (tmp_path / "t.csv").write_text("y\n1\n0\n-2\n")
    table = read_table(tmp_path / "t.csv")
    resolved = resolve_head(config(loss=loss), TARGETS["number"])
    with pytest.raises(DataError, match=f"row 3, column 'y': the loss '{loss}' needs .* got -2"):
        TARGETS["number"].check_values(resolved.loss, [table])


def test_a_loss_of_percentages_refuses_a_target_of_0_with_its_row(tmp_path):
    (tmp_path / "t.csv").write_text("y\n1\n-2\n0\n")
    loss = "mean_absolute_percentage_error"
    resolved = resolve_head(config(loss=loss), TARGETS["number"])
    with pytest.raises(DataError, match=f"row 3, column 'y': the loss '{loss}' needs .*, got 0"):
        TARGETS["number"].check_values(resolved.loss, [read_table(tmp_path / "t.csv")])


def test_other_losses_take_a_target_of_0_or_less(tmp_path):
    (tmp_path / "t.csv").write_text("y\n-2\n0\n")
    head = resolve_head(config(), TARGETS["number"])
    TARGETS["number"].check_values(head.loss, [read_table(tmp_path / "t.csv")])


def test_an_output_that_cannot_reach_its_target_is_reported_with_both_ranges(tmp_path):
    (tmp_path / "t.csv").write_text("y\n20\n30\n")
    table = read_table(tmp_path / "t.csv")
    resolved = resolve_head(config(output={"activation": "sigmoid"}), TARGETS["number"])
    assert list(TARGETS["number"].training_warnings(resolved.output, table)) == [
        "the target 'y' ranges from 20 to 30, but the output activation 'sigmoid' only reaches 0 "
        "to 1; set an output.activation that covers the range of the target, such as linear if "
        "the loss allows it"
    ]
    scaled = resolve_head(
        config(output={"activation": "sigmoid", "scaling": "standard"}), TARGETS["number"]
    )
    (warning,) = TARGETS["number"].training_warnings(scaled.output, table)
    assert "'y', scaled, ranges from -1 to 1, but the output activation 'sigmoid'" in warning


def test_the_limits_of_an_output_follow_from_its_parameters():
    limits = {
        (0.0, 1.0): {"max_value": 1.0},
        (-math.inf, math.inf): {"negative_slope": 0.1},
        (-2.0, math.inf): {"threshold": -2.0},
    }
    for bounds, parameters in limits.items():
        activation = config(output={"activation": {"name": "relu", **parameters}}).output.activation
        assert activation.bounds == bounds


@pytest.mark.parametrize("output", [{}, {"activation": "softplus"}, {"activation": "elu"}])
def test_an_output_that_reaches_its_target_is_not_reported(tmp_path, output):
    (tmp_path / "t.csv").write_text("y\n20\n30\n")
    table = read_table(tmp_path / "t.csv")
    resolved = resolve_head(config(output=output), TARGETS["number"])
    assert list(TARGETS["number"].training_warnings(resolved.output, table)) == []


def test_a_label_that_is_the_same_in_all_training_rows_is_reported(tmp_path):
    (tmp_path / "t.csv").write_text("u,v,w\n1,0,1\n1,0,0\n")
    table = read_table(tmp_path / "t.csv")
    target = TARGETS["labels"]
    assert list(target.training_warnings(resolve_head(config(), target).output, table)) == [
        "all training rows have the label 'u', so there is nothing to learn about it",
        "no training row has the label 'v', so there is nothing to learn about it",
    ]


@pytest.mark.parametrize(
    "activation",
    [section for name, section in members_of(Activation).items() if name != "threshold"],
    ids=lambda section: section.__name__,
)
def test_an_activation_stays_in_its_bounds_and_reaches_them(activation):
    sums = np.linspace(-40, 40, 8001, dtype=np.float32)
    rows = np.stack([sums, -sums], axis=1)  # softmax has something to share
    name = activation.model_fields["name"].default
    values = np.asarray(getattr(keras.activations, name)(keras.ops.convert_to_tensor(rows)))
    low, high = activation().bounds
    assert values.min() >= low
    assert values.max() <= high
    assert np.isinf(low) or values.min() == pytest.approx(low, abs=0.03)
    assert np.isinf(high) or values.max() == pytest.approx(high, abs=0.03)
    assert ("positive" in activation.gives) == (values.min() >= 0)
