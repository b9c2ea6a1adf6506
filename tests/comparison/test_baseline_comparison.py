"""A network compared with the simplest models: the verdict, and signs of a leak."""

from __future__ import annotations

import numpy as np
import pytest

from dlcli.columns.scaling import Log1p, Standard
from dlcli.config.config_schema import Config, Output
from dlcli.config.data_section import Data
from dlcli.config.training_choices import (
    BinaryCrossentropy,
    CategoricalFocalCrossentropy,
    Hinge,
    MeanAbsoluteError,
    MeanSquaredError,
    Poisson,
    SparseCategoricalCrossentropy,
)
from dlcli.prediction.baseline_comparison import (
    BaselineComparison,
    BaselineDifference,
    NearlyPerfect,
    compare_to_baseline,
    find_nearly_perfect,
)
from dlcli.tasks.classification import Binary, Multiclass, Multilabel
from dlcli.tasks.regression import Counts, Regression
from tests.comparison.hand_made import NUMBER, TWO, numbers, two_classes

TRUTH = np.arange(200) % 2


def chances(sure, *, wrong):
    """Probabilities of class 1: right by so much, but for so many rows that are just wrong."""
    right = np.where(TRUTH == 1, 0.5 + sure, 0.5 - sure)
    return np.where(np.arange(200) < wrong, np.where(TRUTH == 1, 0.49, 0.51), right)


def test_a_network_that_knows_more_is_better_though_two_more_rows_are_wrong():
    network = two_classes(TRUTH, chances(0.4, wrong=22))
    linear = two_classes(TRUTH, chances(0.2, wrong=20))
    found = compare_to_baseline(TWO, "log_loss", [(network, linear)])
    assert compare_to_baseline(TWO, "accuracy", [(network, linear)]).value == pytest.approx(-0.01)
    # 178 rows of -ln 0.9 and 22 of -ln 0.49, against 180 of -ln 0.7 and 20 of -ln 0.49.
    assert (found.network, found.baseline) == pytest.approx((0.17224, 0.39234), abs=1e-4)
    assert found.verdict == "better"
    assert found.lower < found.value < found.upper < 0
    assert found.gain == pytest.approx(0.561, abs=1e-3)
    assert found.gain > found.largest_gain * 0.5


def test_a_difference_within_its_interval_is_none():
    random = np.random.default_rng(1)
    noise, other = random.normal(size=(2, 100))
    found = compare_to_baseline(
        NUMBER, "rmse", [(numbers(np.zeros(100), noise), numbers(np.zeros(100), other))]
    )
    assert found.verdict == "not_significant"
    assert found.lower < 0 < found.upper


@pytest.mark.parametrize(("rows", "verdict"), [(40, "same"), (5, "unknown")])
def test_equal_predictions_are_the_same_and_few_rows_show_nothing(rows, verdict):
    one = numbers(np.arange(rows), np.arange(rows) + 1.0)
    found = compare_to_baseline(NUMBER, "mae", [(one, one)])
    assert (found.value, found.verdict) == (0, verdict)
    assert found.reason


def test_of_repeats_values_and_ends_are_averaged():
    truth, random = np.zeros(50), np.random.default_rng(2)
    pairs = [(numbers(truth, random.normal(size=50)), numbers(truth, truth + 3)) for _ in range(2)]
    one, two = (compare_to_baseline(NUMBER, "mae", [pair]) for pair in pairs)
    both = compare_to_baseline(NUMBER, "mae", pairs)
    for name in ("network", "baseline", "value", "lower", "upper"):
        mean = (getattr(one, name) + getattr(two, name)) / 2
        assert getattr(both, name) == pytest.approx(mean)
    assert both.verdict == "better"


@pytest.mark.parametrize(
    ("metric", "baseline", "ends", "gains"),
    [
        ("log_loss", 0.5, (-0.2, -0.1, 0.1), (0.2, 0.4)),
        ("auc", 0.5, (-0.1, 0.1, 0.2), (0.2, 0.4)),
        ("r2", 1.0, (0.0, 0.0, 0.0), (None, None)),
    ],
)
def test_a_gain_is_the_share_of_the_error_that_is_removed(metric, baseline, ends, gains):
    lower, value, upper = ends
    found = BaselineDifference(
        metric=metric, network=None, baseline=baseline, value=value, lower=lower, upper=upper
    )
    assert (found.gain, found.largest_gain) == (gains[0] and pytest.approx(gains[0]), gains[1])


ABC = Multiclass(columns=("y",), classes=("a", "b", "c"))
LABELS = Multilabel(columns=("a", "b"), labels=("a", "b"))
PAIR = Regression(columns=("u", "v"))
CROSS = SparseCategoricalCrossentropy()


@pytest.mark.parametrize(
    ("task", "loss", "scaling", "class_weight", "metric"),
    [
        (TWO, BinaryCrossentropy(), None, None, "log_loss"),
        (TWO, BinaryCrossentropy(), None, "balanced", "log_loss"),
        (TWO, BinaryCrossentropy(label_smoothing=0.1), None, "balanced", "auc"),
        (TWO, Hinge(), None, None, "auc"),
        (ABC, CROSS, None, None, "log_loss"),
        (ABC, CategoricalFocalCrossentropy(), None, "balanced", "balanced_accuracy"),
        (LABELS, BinaryCrossentropy(), None, None, "log_loss"),
        (NUMBER, MeanSquaredError(), Standard(), None, "rmse"),
        (NUMBER, MeanSquaredError(), Log1p(), None, "mae"),
        (NUMBER, MeanAbsoluteError(), Standard(), None, "mae"),
        (PAIR, MeanSquaredError(), Standard(), None, "r2"),
        (Counts(columns=("n",)), Poisson(), None, None, "poisson_deviance"),
    ],
)
def test_models_are_compared_by_what_training_optimizes(task, loss, scaling, class_weight, metric):
    output = Output(scaling=scaling)
    data = Data.model_construct(prevalence=None)
    config = Config.model_construct(loss=loss, output=output, class_weight=class_weight, data=data)
    assert task.comparison_metric(config).name == metric
    assert isinstance(task, Binary) or metric in task.metric_names(loss)


def test_models_for_another_prevalence_are_compared_by_their_ranking():
    data = Data.model_construct(prevalence={"yes": 0.1})
    config = Config.model_construct(loss=BinaryCrossentropy(), output=Output(), data=data)
    assert TWO.comparison_metric(config).name == "auc"


@pytest.mark.parametrize(
    ("model", "metrics", "constant", "rows", "found"),
    [
        ("linear", {"r2": 0.991}, {"r2": 0.0}, 20, ("r2", 0.991)),
        ("linear", {"r2": 0.989}, {"r2": 0.0}, 20, None),
        ("linear", {"accuracy": 1.0}, {"accuracy": 0.5}, 100, ("accuracy", 1.0)),
        ("linear", {"accuracy": 1.0}, {"accuracy": 0.5}, 98, None),  # 49 of them are missed
        ("linear", {"accuracy": 0.992}, {"accuracy": 0.5}, 1000, None),  # 1.6 % of the error
        ("linear", {"accuracy": 0.9995}, {"accuracy": 0.9}, 2000, ("accuracy", 0.9995)),
        ("constant", {"accuracy": 0.99}, {"accuracy": 0.99}, 20, ("accuracy", 0.99)),
        ("constant", {"accuracy": 0.98}, {"accuracy": 0.98}, 20, None),
        ("constant", {"r2": 0.0}, {"r2": 0.0}, 20, None),
        ("linear", {"accuracy": None}, {"accuracy": None}, 100, None),
        ("linear", {"accuracy": 0.99, "auc": 1.0}, {"accuracy": 0.95}, 2000, ("auc", 1.0)),
        ("linear", {"accuracy": 0.99, "auc": 0.998}, {"accuracy": 0.95}, 2000, None),
        ("linear", {"accuracy": 0.99, "auc": 1.0}, {"accuracy": 0.95}, 900, None),  # 45 are missed
    ],
)
def test_a_simple_model_that_leaves_hardly_any_error_is_nearly_perfect(
    model, metrics, constant, rows, found
):
    perfect = find_nearly_perfect(model, "test", metrics, constant, rows)
    assert (perfect and (perfect.metric, perfect.value)) == found


@pytest.mark.parametrize(("auc", "found"), [(0.9995, 0.9995), (0.998, None)])
def test_a_network_with_hidden_layers_is_nearly_perfect_by_its_auc(auc, found):
    metrics = {"accuracy": 1.0, "auc": auc}
    perfect = find_nearly_perfect("network", "test", metrics, {"accuracy": 0.9}, 999, only_auc=True)
    assert (perfect and perfect.value) == found


def perfect(model="linear", **more):
    return NearlyPerfect(model=model, split="test", metric="r2", value=0.99984, **more)


@pytest.mark.parametrize(
    ("comparison", "observation", "leaks"),
    [
        (
            BaselineComparison(leaks={"copy": 0.9997}, nearly_perfect=perfect()),
            "the column 'copy' alone predicts the target with 99.9 % less error than a constant "
            "prediction",
            ("copy",),
        ),
        (
            BaselineComparison(leaks={"a": 1.0, "b\n": 0.99}),
            "each of 'a', 'b\\n' alone predicts the target with at least 99 % less error than a "
            "constant prediction",
            ("a", "b\n"),
        ),
        (
            BaselineComparison(nearly_perfect=perfect(column="x", share=0.873)),
            "a linear model is nearly perfect: R² 0.9998 on test rows, most of it by the column "
            "'x', which alone predicts the target with 87.3 % less error than a constant prediction",
            (),
        ),
        (
            BaselineComparison(nearly_perfect=perfect(column="x", share=0.182)),
            "a linear model is nearly perfect: R² 0.9998 on test rows",
            (),
        ),
        (
            BaselineComparison(nearly_perfect=perfect("network")),
            "the network is nearly perfect: R² 0.9998 on test rows",
            (),
        ),
        (
            BaselineComparison(
                nearly_perfect=NearlyPerfect(
                    model="constant", split="test", metric="accuracy", value=0.99114
                )
            ),
            "always predicting the most frequent class has an accuracy of 99.11 % on test rows",
            (),
        ),
    ],
)
def test_what_is_too_good_is_named(comparison, observation, leaks):
    doubt = comparison.suspicion(out_of_fold=True)
    assert (doubt.observation, doubt.leaks) == (observation, leaks)


def test_of_several_targets_one_is_predicted():
    doubt = BaselineComparison(leaks={"a": 0.995}).suspicion(out_of_fold=False, of_several=True)
    assert doubt.observation == (
        "the column 'a' alone predicts a column of the target with 99.5 % less error than a "
        "constant prediction"
    )


def test_without_a_sign_of_a_leak_nothing_is_suspected():
    assert BaselineComparison().suspicion(out_of_fold=False) is None


@pytest.mark.parametrize(("out_of_fold", "rows"), [(True, "out-of-fold"), (False, "validation")])
def test_validation_rows_of_an_ensemble_are_out_of_fold(out_of_fold, rows):
    found = perfect().model_copy(update={"split": "validation"})
    doubt = BaselineComparison(nearly_perfect=found).suspicion(out_of_fold=out_of_fold)
    assert doubt.observation == f"a linear model is nearly perfect: R² 0.9998 on {rows} rows"
