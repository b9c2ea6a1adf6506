"""The notes of a cross-validation."""

from __future__ import annotations

import numpy as np
import pytest

from dlcli.config.config_schema import EarlyStopping
from dlcli.pipeline.cv_summary import notes_of
from dlcli.prediction.baseline_comparison import BaselineDifference
from dlcli.runs.documents import CrossValidation
from dlcli.tasks.classification import Multiclass, Multilabel
from tests.comparison.hand_made import held_out, numbers, two_classes
from tests.pipeline.hand_made_results import failed, fold, folds

pytestmark = pytest.mark.usefixtures("compiled_once")

ALWAYS = (
    "the intervals in the column 'all rows' reflect only the choice of evaluation rows; the "
    "intervals in 'mean of folds' also reflect the choice of training rows"
)


def notes(results, held=None, *, compared=(), split="random", rows=250, metric=None, stopping=None):
    fields = {"results": results, "split": split, "rows": rows, "main_metric": metric}
    document = CrossValidation.model_construct(**fields)
    found = notes_of(document, held or [None] * len(results), compared, stopping)
    *others, last = found
    assert last == ALWAYS
    return others


def test_there_is_nothing_to_bear_in_mind_but_what_intervals_are():
    held = [decided(40), decided(42)]
    assert notes(folds("accuracy", [0.8, 0.84]), held, metric="accuracy") == []


def test_folds_that_failed_are_counted():
    assert notes([fold(1, {}), failed(2), failed(3)]) == [
        "2 of 3 folds failed, so metrics cover only the other folds; a network trained on all "
        "rows may also fail"
    ]


def test_folds_in_which_the_network_is_significantly_worse_than_a_constant_are_counted():
    better, unclear, worse = (
        BaselineDifference(metric="log_loss", network=0.5, baseline=0.7, verdict=verdict)
        for verdict in ("better", "not_significant", "worse")
    )
    assert notes(folds("accuracy", [0.8] * 3), compared=[better, unclear, worse]) == [
        "in 1 of 3 folds the network is significantly worse than a constant model in log loss"
    ]
    assert notes(folds("accuracy", [0.8] * 2), compared=[better, unclear]) == []


def decided(right, rows=50):
    """Rows of two classes in turn, of which so many are told right."""
    truth = np.arange(rows) % 2
    return two_classes(truth, np.where(np.arange(rows) < right, truth, 1 - truth) * 0.8 + 0.1)


def test_folds_that_differ_by_more_than_their_rows_explain_are_noted():
    held = [decided(45), decided(45), decided(20)]
    results = folds("accuracy", [0.9, 0.9, 0.4])
    assert notes(results, held, metric="accuracy") == [
        "over folds, accuracy ranges from 0.4 to 0.9, more than random splits explain: training "
        "varies between folds, or similar rows are next to each other; if rows form groups, set data.split: {name: group, column: ...}"
    ]


@pytest.mark.parametrize(
    ("split", "reason"),
    [
        ("time", "earlier folds have fewer training rows, and the data may drift over time"),
        ("group", "training varies between folds, or groups differ"),
    ],
)
def test_of_times_and_groups_folds_differ_for_reasons_of_their_own(split, reason):
    held = [decided(45), decided(45), decided(20)]
    found = notes(folds("accuracy", [0.9, 0.9, 0.4]), held, metric="accuracy", split=split)
    assert found[0] == (
        "over folds, accuracy ranges from 0.4 to 0.9, more than random splits explain: " + reason
    )


@pytest.mark.parametrize(("worst", "differs"), [(1.6, False), (1.7, True)])
def test_folds_are_set_against_the_variance_that_their_rows_have_together(worst, differs):
    """If half of 50 errors are 0 and half 2 m, their mean is m, and s² is m² / 50.

    Of folds with 1, 1 and m so S² = 50 (2 + m²) / 147 and Q = 98 (m - 1)² / (2 + m²), which is 7.7
    and 9.8; chi-squared of two degrees of freedom is 9.2 or more in 1 of 100.
    """
    means = [1.0, 1.0, worst]
    held = [numbers(np.zeros(50), np.arange(50) % 2 * 2 * mean) for mean in means]
    assert (notes(folds("mae", means), held, metric="mae") != []) is differs


def test_folds_that_differ_by_what_50_rows_leave_open_are_not():
    held = [decided(45), decided(42), decided(39)]
    assert notes(folds("accuracy", [0.9, 0.84, 0.78]), held, metric="accuracy") == []


def test_only_the_folds_of_one_repeat_are_compared():
    """All repeats together are dealt the same rows again."""
    results = [fold(1, {"accuracy": 0.9}), fold(1, {"accuracy": 0.4}, repeat=2)]
    assert notes(results, [decided(45), decided(20)], metric="accuracy") == []


CHANCE = {
    "mae": lambda generator: numbers(np.zeros(30), generator.normal(size=30)),
    "mse": lambda generator: numbers(np.zeros(30), generator.lognormal(size=30)),
    "rmse": lambda generator: numbers(np.zeros(30), generator.lognormal(size=30)),
    "auc": lambda generator: scored(generator, generator.random(30) < 0.3),
}


def scored(generator, truth):
    outputs = 1 / (1 + np.exp(-generator.normal(size=30) - 1.5 * truth))
    return two_classes(truth.astype(np.int64), outputs)


@pytest.mark.slow
@pytest.mark.parametrize("metric", CHANCE)
def test_folds_that_differ_at_random_are_seldom_noted(metric):
    """The test is to be wrong in 1 of 100, also of a few rows and of errors that lie far out."""
    generator, told = np.random.default_rng(0), 0
    for _ in range(200):
        held = [CHANCE[metric](generator) for _ in range(10)]
        scores = [each.task.metrics(each) for each in held]
        results = [
            fold(at, {name: each.get(name) for name in (metric, "mse")})
            for at, each in enumerate(scores)
        ]
        told += any("over folds" in note for note in notes(results, held, metric=metric))
    assert told <= 6


def test_folds_of_few_rows_say_little_by_themselves():
    results = [fold(1, {}, held_out=30), fold(2, {}, held_out=12)]
    assert notes(results) == [
        "a fold has only 12 rows, so its metrics are noisy: prefer the pooled metrics"
    ]
    assert notes(results[:1]) == []


def test_classes_that_a_fold_lacks_are_named():
    target = Multiclass(columns=("y",), classes=("a", "b", "c"))
    held = [
        held_out(target, np.array(truth), np.full((4, 3), 1 / 3))
        for truth in ([0, 0, 1, 1], [0, 1, 0, 1], [0, 1, 2, 0])
    ]
    results = [fold(at, {}) for at in range(3)]
    assert notes(results, held) == [
        "up to 2 of 3 folds have no rows of 'c', so their metrics do not cover such rows; "
        "data.split: stratified keeps the class proportions in each fold"
    ]
    assert notes(results, held, split="stratified") == [
        "up to 2 of 3 folds have no rows of 'c', so their metrics do not cover such rows"
    ]


def test_labels_that_a_fold_lacks_are_named():
    target = Multilabel(columns=("a", "b"), labels=("a", "b"))
    held = [held_out(target, np.array([[1, 0], [0, 0]]), np.full((2, 2), 0.5)), None]
    assert notes([fold(1, {}), fold(2, {})], held, split="stratified") == [
        "up to 1 of 1 fold have no rows of 'b', so their metrics do not cover such rows"
    ]


def test_a_metric_that_some_folds_lack_is_named():
    results = [*folds("auc", [0.7, None]), failed(3)]
    assert notes(results)[-1] == (
        "auc is undefined in 1 of 2 folds: its mean covers the other folds only"
    )
    assert notes(folds("auc", [None, None])) == []


def test_rows_of_a_group_are_not_independent():
    assert notes([fold(1, {})], split="group") == [
        "pooled intervals treat rows as independent; rows of one group are similar, so these "
        "intervals are too narrow: prefer the intervals over folds"
    ]


def test_the_earliest_times_are_never_evaluated():
    results = [fold(1, {}), fold(2, {}), fold(1, {}, repeat=2)]
    assert notes(results, split="time", rows=150) == [
        "each fold is evaluated by a network trained on earlier rows, the first on few rows; "
        "the earliest 50 rows are never evaluated",
        "pooled intervals treat rows as independent; rows of neighboring times may be similar, "
        "so these intervals may be too narrow",
    ]


def test_early_stopping_by_training_rows_is_noted():
    stopping = EarlyStopping(monitor="loss")
    assert notes([fold(1, {})], stopping=stopping) == [
        "early stopping monitored loss of the training rows, which does not show overfitting: "
        "set data.validation: 0.15 and early_stopping.monitor: val_loss"
    ]
    assert notes([fold(1, {}, validation=20)], stopping=EarlyStopping()) == []
    of_folds = EarlyStopping(monitor="val_loss")
    assert notes([fold(1, {})], stopping=of_folds) == []
