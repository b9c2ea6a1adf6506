"""Both engines train the same weights from the same start, for every config.

Each case changes one thing in a small job, or two that meet in the program (a last, smaller batch
and batch normalization, say), and compares final weights and every column of the history. They are
compared in float64 over many steps, where a difference in the mathematics grows and rounding stays
far below it; in float32 over few, where rounding shows; and in half precision.
"""

from __future__ import annotations

import numpy as np
import pytest

from dlcli.config import Optimizer, members_of

# Keras's own plateau asks NumPy for a copy in the way of NumPy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RATES = {"adadelta": 1.0, "adafactor": 0.1, "ftrl": 0.3, "lion": 0.003, "adagrad": 0.1}
"""Learning rates that suit 13 rows where the optimizer's usual one does not."""


def hidden(**options):
    return {"config": {"hidden": ({"units": 4, "activation": "tanh", **options},)}}


def stack(*activations):
    """A layer for each activation, at a rate that suits the steepest."""
    layers = tuple({"units": 4, "activation": each} for each in ("tanh", *activations))
    return {"config": {"hidden": layers, "optimizer": {"name": "sgd", "learning_rate": 0.01}}}


def optimizer(name="adam", **options):
    return {
        "config": {"optimizer": {"learning_rate": RATES.get(name, 0.02), "name": name} | options}
    }


def loss(loss, target, **output):
    return {"target": target, "config": {"loss": loss, "output": output}}


def metrics(target, *names, **config):
    return {"target": target, "validation": 9, "config": {"metrics": names, **config}}


NORMALIZED = {"batch_normalization": {}, "use_bias": False}
PENALTY = {"name": "l1_l2", "l1": 0.01, "l2": 0.02}
TWO_LAYERS = {
    "hidden": (
        {"units": 4, "activation": "relu", **NORMALIZED, "dropout": 0.3},
        {"units": 3, "activation": "tanh", "dropout": 0.2, "kernel_regularizer": PENALTY},
    )
}
THRESHOLD = {"name": "threshold", "threshold": 0.1, "default_value": -0.5}
BALANCED = {"target": "four", "config": {"class_weight": "balanced"}}

# Both engines train the same Keras objects, which tests/keras_model and test_training_objectives
# compare with NumPy, so that one case for each kind of object is enough.
ACTIVATIONS = {
    "activations": stack("relu", "gelu", "softsign"),
    "parametric activations": stack(THRESHOLD, {"name": "leaky_relu", "negative_slope": 0.3}),
}
LAYERS = {
    "no hidden layer": {"config": {"hidden": ()}},
    "dropout": hidden(dropout=0.5),
    "normalized": hidden(**NORMALIZED),
    "orthogonal": hidden(kernel_regularizer={"name": "orthogonal_regularizer"}),
    "penalized output and bias": {
        "config": {"output": {"kernel_regularizer": PENALTY, "bias_regularizer": PENALTY}},
        "validation": 5,
    },
    "two layers of everything": {"config": TWO_LAYERS, "validation": 5},
}
OPTIMIZERS = {name: optimizer(name) for name in members_of(Optimizer)}
OPTIMIZER_OPTIONS = {
    "sgd with Nesterov's momentum": optimizer("sgd", momentum=0.9, nesterov=True),
    "clipnorm": optimizer("adam", clipnorm=0.1),
    "average": optimizer("adam", use_ema=True, ema_momentum=0.9),
    "average that overwrites": optimizer(
        "adam", use_ema=True, ema_momentum=0.8, ema_overwrite_frequency=3
    ),
    "accumulation": optimizer("adam", gradient_accumulation_steps=3),
    "accumulation, clipped, decayed": optimizer(
        "adamw", gradient_accumulation_steps=3, clipnorm=0.1, weight_decay=0.05
    ),
    "loss scale": optimizer("adam", loss_scale_factor=64.0),
    "muon without the output": optimizer("muon", exclude_layers=("output",)),
    "schedule_free_adamw with warmup": optimizer("schedule_free_adamw", warmup_steps=7),
    "global clipnorm": optimizer("adamw", global_clipnorm=0.1),
}
LOSSES = {
    "mean_squared_error": loss("mean_squared_error", "number"),
    "mean_absolute_error": loss("mean_absolute_error", "number"),
    "huber": loss({"name": "huber", "delta": 0.3}, "number"),
    "log_cosh": loss("log_cosh", "number"),
    "mean_absolute_percentage_error": loss("mean_absolute_percentage_error", "count"),
    "mean_squared_logarithmic_error": loss("mean_squared_logarithmic_error", "count"),
    "poisson": loss("poisson", "count", activation={"name": "softplus"}),
    "several numbers": loss("mean_squared_error", "numbers"),
    "cosine_similarity": loss("cosine_similarity", "numbers"),
    "kl_divergence": loss("kl_divergence", "numbers"),
    "binary_crossentropy": loss({"name": "binary_crossentropy", "label_smoothing": 0.1}, "two"),
    "binary_focal_crossentropy": loss(
        {"name": "binary_focal_crossentropy", "apply_class_balancing": True}, "two"
    ),
    "labels": loss("binary_crossentropy", "labels"),
    "hinge": loss("hinge", "two"),
    "squared_hinge": loss("squared_hinge", "two", activation={"name": "tanh"}),
    "two classes with two units": loss("sparse_categorical_crossentropy", "two"),
    "sparse_categorical_crossentropy": loss("sparse_categorical_crossentropy", "four"),
    "categorical_crossentropy": loss(
        {"name": "categorical_crossentropy", "label_smoothing": 0.1}, "four"
    ),
    "categorical_focal_crossentropy": loss("categorical_focal_crossentropy", "four"),
    "categorical_generalized_cross_entropy": loss("categorical_generalized_cross_entropy", "four"),
    "categorical_hinge": loss("categorical_hinge", "four"),
}
BATCHES = {
    "batches without a rest": {"rows": 12, "config": {"batch_size": 4}},
    "batches with a rest": {"rows": 11, "config": {"batch_size": 4}},
    "all rows at once": {"rows": 13, "config": {"batch_size": 13}},
    "a single row": {"rows": 1, "config": {"batch_size": 4}},
    "normalized batches with a rest": {"rows": 11, **hidden(**NORMALIZED)},
    "normalized batches with a rest of one row": {"rows": 13, **hidden(**NORMALIZED)},
    "a penalty with a rest": {"rows": 11, **hidden(kernel_regularizer=PENALTY)},
}
WEIGHTS = {
    "row weights": {"weighted": "train"},
    "row weights, normalized": {"weighted": "train", **hidden(**NORMALIZED)},
    "named classes": {"target": "two", "config": {"class_weight": {"a": 3.0, "b": 0.25}}},
    "balanced classes and row weights": {"weighted": "train", **BALANCED},
}
METRICS = {
    "metrics of a number": metrics("number", "mse", "rmse", "mae", "r2"),
    "metrics of two classes": metrics("two", "accuracy", "auc", "precision", "recall", "f1"),
    "metrics of a margin": metrics("two", "accuracy", "auc", "precision", "f1", loss="hinge"),
    "metrics of four classes": metrics("four", "accuracy", "f1", "top_3_accuracy"),
    "metrics of one-hot classes": metrics(
        "four", "accuracy", "f1", "top_3_accuracy", loss="categorical_crossentropy"
    ),
    "weighted metrics of two classes": {
        "weighted": "train validation",
        **metrics("two", "accuracy", "auc", "precision", "recall", "f1"),
    },
    "metrics of labels": metrics(
        "labels",
        "accuracy",
        "subset_accuracy",
        "auc",
        "macro_f1",
        "micro_f1",
        "micro_precision",
        "micro_recall",
    ),
    "metrics of a count": metrics("count", "poisson_deviance", "mae", loss="poisson"),
    "metrics with class weights": metrics("two", "accuracy", "auc", class_weight="balanced"),
}
VALIDATION = {
    "validation": {"validation": 9},
    "validation, all weighted": {"validation": 9, "weighted": "train validation"},
    "validation after dropout and normalization": {
        "validation": 9,
        **hidden(**NORMALIZED, dropout=0.4, kernel_regularizer=PENALTY),
    },
}
PLATEAU = {"name": "reduce_on_plateau", "patience": 0, "factor": 0.5, "min_delta": 0.1}
RATES_THAT_CHANGE = {
    "plateau": {"validation": 9, "config": {"learning_rate_schedule": PLATEAU}},
    "cosine": {"config": {"learning_rate_schedule": {"name": "cosine_decay"}}},
}
FTRL = {"name": "ftrl", "learning_rate": 0.3, "l1_regularization_strength": 0.01}
COMBINED = {
    "ftrl with penalties in batches of one row": {
        "rows": 10,
        "config": {
            "batch_size": 1,
            "optimizer": {**FTRL, "l2_shrinkage_regularization_strength": 0.01},
        },
    },
    "sgd with weight decay, only validation weighted": {
        "validation": 9,
        "weighted": "validation",
        **optimizer("sgd", weight_decay=0.1),
    },
    "focal loss of labels, weighted metrics": {
        "weighted": "train validation",
        **metrics(
            "labels",
            *("subset_accuracy", "auc", "macro_f1", "micro_f1", "micro_recall"),
            loss={
                "name": "binary_focal_crossentropy",
                "alpha": 0.5,
                "apply_class_balancing": True,
            },
        ),
    },
}
"""Cases that would each pay for a training of its own, of parts that don't affect each other."""
CASES = {
    **ACTIVATIONS,
    **LAYERS,
    **OPTIMIZERS,
    **OPTIMIZER_OPTIONS,
    **LOSSES,
    **BATCHES,
    **WEIGHTS,
    **METRICS,
    **VALIDATION,
    **RATES_THAT_CHANGE,
    **COMBINED,
}
# Keras's own code mixes a float32 constant, or TensorFlow's top-k operation, with float64.
ONLY_IN_FLOAT32 = [
    "orthogonal",
    "metrics of four classes",
    "metrics of one-hot classes",
]
UNDER_XLA = [
    "two layers of everything",
    "muon",
    "average that overwrites",
    "accumulation, clipped, decayed",
    "kl_divergence",
    "normalized batches with a rest of one row",
    "balanced classes and row weights",
    "weighted metrics of two classes",
    "metrics of a count",
]
IN_FLOAT32 = [
    *ONLY_IN_FLOAT32,
    "two layers of everything",
    "row weights",
    "adam",
    "average that overwrites",
    "loss scale",
    "binary_crossentropy",
    "validation, all weighted",
]
IN_HALF_PRECISION = [
    *((case, "mixed_bfloat16") for case in ("two layers of everything", "row weights", "plateau")),
    ("two layers of everything", "mixed_float16"),
    ("clipnorm", "mixed_float16"),
    ("average that overwrites", "mixed_float16"),
    ("accumulation", "mixed_float16"),
    ("metrics of a number", "mixed_float16"),
]


@pytest.fixture
def check(make_job, train):
    """Train a case with the Keras engine and another one, and compare weights and history."""

    def compare(case, engine, tolerance, **config):
        given = CASES[case]
        job = make_job(**{**given, "config": {**given.get("config", {}), **config}})
        expected, result = train(job, "keras"), train(job, engine)
        for name, weight in expected.weights.items():
            np.testing.assert_allclose(
                result.weights[name], weight, rtol=0, atol=tolerance, err_msg=name
            )
        assert list(result.history) == list(expected.history)
        assert expected.history["loss"][0] != expected.history["loss"][-1]
        for name, values in expected.history.items():
            assert len(values) == job.config.epochs
            # The history is rounded to float32 whatever training computes in.
            wanted = max(tolerance, 2e-7)
            np.testing.assert_allclose(
                result.history[name], values, rtol=wanted, atol=wanted, err_msg=name
            )

    return compare


# Rounding in float64 is 1e-16 of a number near 1, and some sixty steps of contracting descent
# add it up rather than multiply it. The largest difference is 1e-13, and a difference in the
# mathematics would be a million times larger.
EXACT = 1e-12


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("case", [case for case in CASES if case not in ONLY_IN_FLOAT32])
def test_in_float64_they_agree_over_many_steps(case, check):
    check(case, "graph", EXACT, epochs=15)


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("case", UNDER_XLA)
def test_in_float64_they_agree_under_xla(case, check):
    check(case, "xla", EXACT, epochs=15)


# Rounding in float32 is 6e-8 of a number near 1, and over some thirty steps the largest difference
# is four times that; the rest is for processors that add in another order.
ROUNDED = 2e-6


@pytest.mark.parametrize("case", IN_FLOAT32)
def test_in_float32_they_agree_over_few_steps(case, check):
    check(case, "graph", ROUNDED, epochs=8)


@pytest.mark.slow
def test_in_float32_they_agree_over_few_steps_under_xla(check):
    check("two layers of everything", "xla", ROUNDED, epochs=8)


# Both round the same products to half precision, so that they mostly differ by float32's rounding.
# Where that changes the last digit of an entry of a gradient, 2**-8 of it in bfloat16, one of some
# hundred, a weight moves by about 1e-4.
HALF = 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(("case", "precision"), IN_HALF_PRECISION)
def test_in_half_precision_they_agree_over_few_steps(case, precision, check):
    check(case, "graph", HALF, epochs=5, precision=precision)
