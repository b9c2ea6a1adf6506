"""Both engines train the same weights from the same start, for every config.

Each case changes a few things in a small job, some of which meet in the program (a last, smaller
batch and batch normalization, say), and compares final weights and every column of the history.
They are compared in float64 over many steps, where a difference in the mathematics grows and
rounding stays far below it; in float32 over few, where rounding shows; and in half precision.
"""

from __future__ import annotations

import numpy as np
import pytest

from dlcli.config.training_choices import Optimizer
from dlcli.schema.section import members_of

# Keras's own plateau asks NumPy for a copy in the way of NumPy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

RATES = {"adadelta": 1.0, "adafactor": 0.1, "ftrl": 0.3, "lion": 0.003, "adagrad": 0.1}
"""Learning rates that suit 13 rows where the optimizer's usual one does not."""
OPTIONS = {
    "sgd": {"momentum": 0.9, "nesterov": True},
    "adam": {"use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 3},
    "adamw": {"gradient_accumulation_steps": 3, "clipnorm": 0.1, "weight_decay": 0.5},
    "adamax": {"clipnorm": 0.1},
    "nadam": {"use_ema": True, "ema_momentum": 0.9},
    "adadelta": {"gradient_accumulation_steps": 3},
    "rmsprop": {"loss_scale_factor": 64.0},
    "lamb": {"global_clipnorm": 0.1},
    "muon": {"exclude_layers": ("output",)},
    "schedule_free_adamw": {"warmup_steps": 7},
    "ftrl": {"l1_regularization_strength": 0.01, "l2_shrinkage_regularization_strength": 0.01},
}
"""An option of each optimizer, or several that meet; plain SGD is in other cases."""


def optimizer(name, loss="mean_squared_error", target="number", **config):
    """An optimizer with its options, and a loss that it minimizes."""
    section = {"learning_rate": RATES.get(name, 0.02), "name": name, **OPTIONS.get(name, {})}
    return {"target": target, "config": {"optimizer": section, "loss": loss, **config}}


def hidden(**options):
    return ({"units": 4, "activation": "tanh", **options},)


def stack(*activations):
    """A layer for each activation."""
    return tuple({"units": 4, "activation": each} for each in ("tanh", *activations))


def metrics(target, *names, **config):
    return {"target": target, "validation": 9, "config": {"metrics": names, **config}}


def softened(loss):
    return {"name": loss, "label_smoothing": 0.1}


def balancing(loss, **options):
    return {"name": loss, "apply_class_balancing": True, **options}


MULTIPLIERS = {"kernels": "inverse_sqrt_fan_in", "biases": 0.3}
NORMALIZED = {"batch_normalization": {}, "use_bias": False}
PENALTY = {"name": "l1_l2", "l1": 0.01, "l2": 0.02}
TWO_LAYERS = (
    {"units": 4, "activation": "relu", **NORMALIZED, "dropout": 0.3},
    {"units": 3, "activation": "tanh", "dropout": 0.2, "kernel_regularizer": PENALTY},
)
THRESHOLD = {"name": "threshold", "threshold": 0.1, "default_value": -0.5}
PLATEAU = {"name": "reduce_on_plateau", "patience": 0, "factor": 0.5, "min_delta": 0.1}

# Both engines train the same Keras objects, which tests/keras_model and test_training_objectives
# compare with NumPy, so that one case for each kind of object is enough. Each case has several
# that don't affect each other, as tracing takes nearly all of its time.
OPTIMIZERS = {
    "sgd": {
        "validation": 9,
        "weighted": "train validation",
        **optimizer("sgd", "mean_absolute_error", metrics=("mse", "mae", "r2")),
    },
    "adam": {
        "rows": 12,  # batches without a rest
        "validation": 9,
        **optimizer(
            *("adam", "log_cosh"),
            metrics=("rmse",),
            hidden=hidden(dropout=0.5),
            input={"scaling_layer": {"learning_rate_multiplier": 3.0}},
            learning_rate_schedule=PLATEAU,
        ),
    },
    "adamw": {
        "validation": 9,
        "weighted": "validation",
        **optimizer(
            *("adamw", "cosine_similarity", "numbers"),
            learning_rate_multipliers=MULTIPLIERS,
            exclude_from_weight_decay=("biases", "scaling_layer"),
            input={"scaling_layer": {"learning_rate_multiplier": 3.0}},
        ),
    },
    "adamax": optimizer("adamax", softened("binary_crossentropy"), "two"),
    "nadam": {
        "weighted": "train",
        **optimizer("nadam", softened("categorical_crossentropy"), "four", class_weight="balanced"),
    },
    "adadelta": optimizer("adadelta", "mean_squared_logarithmic_error", "count"),
    "adagrad": optimizer("adagrad", {"name": "huber", "delta": 0.3}),
    "adafactor": optimizer(
        *("adafactor", "kl_divergence", "numbers"),
        learning_rate_schedule={"name": "cosine_decay"},
    ),
    "rmsprop": optimizer("rmsprop", "binary_crossentropy", "labels"),
    "lamb": optimizer("lamb", "categorical_focal_crossentropy", "four"),
    "lion": optimizer("lion", balancing("binary_focal_crossentropy"), "two"),
    "muon": {
        "weighted": "train",  # and normalized, with a rest of one row
        **optimizer("muon", "categorical_hinge", "four", hidden=hidden(**NORMALIZED)),
    },
    "schedule_free_adamw": {
        "validation": 9,
        "weighted": "train validation",
        **optimizer(
            *("schedule_free_adamw", "sparse_categorical_crossentropy", "two"),
            metrics=("accuracy", "auc", "precision", "recall", "f1"),
            class_weight={"a": 3.0, "b": 0.25},
        ),
    },
    "ftrl": {
        "validation": 9,
        **optimizer(
            *("ftrl", "squared_hinge", "two"),
            metrics=("accuracy", "auc", "precision"),
            output={"activation": {"name": "tanh"}},
            batch_size=1,
        ),
    },
}
LAYERS_AND_BATCHES = {
    "parametric activations, all rows at once": {
        "target": "four",
        "config": {
            "hidden": stack(
                *(THRESHOLD, {"name": "leaky_relu", "negative_slope": 0.3}, "gelu", "softsign")
            ),
            "optimizer": {"name": "sgd", "learning_rate": 0.01},  # for the steepest
            "batch_size": 13,
            "loss": "categorical_generalized_cross_entropy",
        },
    },
    "no hidden layer, a single row": {"rows": 1, "config": {"hidden": ()}},
    "two layers of everything, a rest": {
        "rows": 11,
        "validation": 5,
        "weighted": "train",
        "target": "two",
        "config": {
            "hidden": TWO_LAYERS,
            "metrics": ("accuracy", "auc"),
            "input": {"scaling_layer": {"learning_rate_multiplier": 2.0}},
        },
    },
    "a count, penalized output and bias, a padded rest": {
        "rows": 11,
        "validation": 5,
        "target": "count",
        "config": {
            "output": {"kernel_regularizer": PENALTY, "bias_regularizer": PENALTY},
            "loss": "poisson",
            "metrics": ("poisson_deviance", "mae"),
            "learning_rate_schedule": {"name": "cosine_decay_restarts"},
        },
    },
}
WEIGHTS_AND_METRICS = {
    "a Tweedie deviance": {
        "rows": 11,
        "validation": 5,
        "weighted": "train validation",
        **metrics("count", "tweedie_deviance", "d2", loss={"name": "tweedie", "power": 1.7}),
    },
    "quantiles": {
        **metrics(
            "number",
            *("pinball_loss", "coverage", "mean_width", "r2"),
            loss={"name": "quantile", "levels": (0.1, 0.5, 0.9)},
        ),
        "weighted": "train validation",
    },
    "a gamma deviance": metrics("count", "gamma_deviance", "d2", loss="gamma"),
    "four classes, orthogonal layer": metrics(
        "four",
        *("accuracy", "f1", "top_3_accuracy"),
        hidden=hidden(kernel_regularizer={"name": "orthogonal_regularizer"}),
    ),
    "one-hot classes": metrics(
        "four", "accuracy", "f1", "top_3_accuracy", loss="categorical_crossentropy"
    ),
    "weighted labels": {
        "weighted": "train validation",
        **metrics(
            "labels",
            *("accuracy", "subset_accuracy", "auc", "macro_f1", "micro_f1"),
            loss=balancing("binary_focal_crossentropy", alpha=0.5),
        ),
    },
}
CASES = {**OPTIMIZERS, **LAYERS_AND_BATCHES, **WEIGHTS_AND_METRICS}
# Keras's own code mixes a float32 constant, or TensorFlow's top-k operation, with float64.
ONLY_IN_FLOAT32 = ["four classes, orthogonal layer", "one-hot classes"]
FOR_RELEASES = [
    *("adamax", "nadam", "adadelta", "adagrad", "adafactor", "rmsprop", "lamb", "lion", "ftrl"),
]
"""Optimizers that differ from others by Keras's own update of a weight alone."""
UNDER_XLA = ["two layers of everything, a rest"]
UNDER_XLA_FOR_RELEASES = ["muon", "adamw", "schedule_free_adamw"]
IN_FLOAT32 = [
    "four classes, orthogonal layer",
    *(pytest.param(case, marks=pytest.mark.release) for case in ("one-hot classes", "adam")),
]
SCALED = {"optimizer": optimizer("adam")["config"]["optimizer"], "learning_rate_schedule": PLATEAU}
"""What changes variables of the optimizer, which half precision wraps to scale the loss."""
IN_HALF_PRECISION = [
    # As in the other half precision, but for the scale of the loss.
    pytest.param(
        *("two layers of everything, a rest", "mixed_bfloat16", {}), marks=pytest.mark.release
    ),
    ("two layers of everything, a rest", "mixed_float16", SCALED),
    pytest.param("adamw", "mixed_float16", {}, marks=pytest.mark.release),
]


def test_every_optimizer_is_compared():
    assert OPTIMIZERS.keys() == set(members_of(Optimizer))
    assert OPTIONS.keys() < OPTIMIZERS.keys()


@pytest.fixture
def check(make_job, train):
    """Train a case with the Keras engine and other ones, and compare weights and history."""

    def compare(case, engines, tolerance, **config):
        given = CASES[case]
        job = make_job(**{**given, "config": {**given.get("config", {}), **config}})
        expected = train(job, "keras")
        assert expected.history["loss"][0] != expected.history["loss"][-1]
        for engine in engines:
            result = train(job, engine)
            for name, weight in expected.weights.items():
                np.testing.assert_allclose(
                    result.weights[name], weight, 0, tolerance, err_msg=f"{name}, {engine}"
                )
            assert list(result.history) == list(expected.history)
            for name, values in expected.history.items():
                assert len(values) == job.config.epochs
                # The history is rounded to float32 whatever training computes in.
                wanted = max(tolerance, 2e-7)
                np.testing.assert_allclose(
                    result.history[name], values, wanted, wanted, err_msg=f"{name}, {engine}"
                )

    return compare


# Rounding in float64 is 1e-16 of a number near 1, and some sixty steps of contracting descent
# add it up rather than multiply it. The largest difference is 1e-13, and a difference in the
# mathematics would be a million times larger.
EXACT = 1e-12


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=pytest.mark.release if case in FOR_RELEASES else ())
        for case in CASES
        if case not in ONLY_IN_FLOAT32
    ],
)
def test_in_float64_they_agree_over_many_steps(case, check):
    check(case, ("graph", "xla") if case in UNDER_XLA else ("graph",), EXACT, epochs=15)


@pytest.mark.release
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("case", UNDER_XLA_FOR_RELEASES)
def test_in_float64_more_cases_agree_under_xla(case, check):
    check(case, ("xla",), EXACT, epochs=15)


# Rounding in float32 is 6e-8 of a number near 1, and over some thirty steps the largest difference
# is four times that; the rest is for processors that add in another order.
ROUNDED = 2e-6


@pytest.mark.slow
@pytest.mark.parametrize("case", IN_FLOAT32)
def test_in_float32_they_agree_over_few_steps(case, check):
    check(case, ("graph",), ROUNDED, epochs=8)


@pytest.mark.release
def test_in_float32_they_agree_over_few_steps_under_xla_too(check):
    check("two layers of everything, a rest", ("xla",), ROUNDED, epochs=8)


# Both round the same products to half precision, so that they mostly differ by float32's rounding.
# Where that changes the last digit of an entry of a gradient, 2**-8 of it in bfloat16, one of some
# hundred, a weight moves by about 1e-4.
HALF = 1e-3


@pytest.mark.slow
@pytest.mark.parametrize(("case", "precision", "changes"), IN_HALF_PRECISION)
def test_in_half_precision_they_agree_over_few_steps(case, precision, changes, check):
    check(case, ("graph",), HALF, epochs=5, precision=precision, **changes)
