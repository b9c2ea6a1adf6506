"""Candidates: their value by the metric that a search optimizes, and pruning."""

from __future__ import annotations

import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from inline_snapshot import snapshot
from optuna import TrialPruned
from optuna.pruners import NopPruner
from optuna.storages import InMemoryStorage

from dlcli.cluster import NO_OTHERS
from dlcli.config.config_file import load_config
from dlcli.config.search_space import Dimension
from dlcli.config.training_choices import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    Hinge,
    Huber,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
)
from dlcli.config.tune_section import MedianPruning, NoPruner
from dlcli.errors import ConfigError, DataError, DivergenceError, Problem
from dlcli.pipeline import search_trials
from dlcli.pipeline.events import Events
from dlcli.pipeline.fit import FitContext, FitResult
from dlcli.pipeline.preparation import read_candidates
from dlcli.pipeline.search_plan import SearchContext, make_pruner
from dlcli.pipeline.search_study import Study
from dlcli.pipeline.search_trials import (
    TrialEvaluation,
    TrialReporter,
    evaluate,
    evaluate_candidate,
)
from dlcli.runs.documents import mean_metrics
from dlcli.splitting import Split
from dlcli.tasks.classification import Binary, Multiclass
from dlcli.tasks.regression import Regression
from tests.pipeline.tuning.search_examples import line_file
from tests.pipeline.tuning.study_examples import RATE, UNITS, finish, plan

pytestmark = pytest.mark.usefixtures("compiled_once")

COLORS = "x,c\n" + "".join(f"{x},{'red' if x % 3 else 'blue'}\n" for x in range(40))
NUMBER = Regression(columns=("y",))
TWO = Binary(columns=("c",), classes=("a", "b"))
L2 = Dimension("hidden_layers.kernel_regularizer.l2", "float", 0.0, 0.1)
THREE = Multiclass(columns=("c",), classes=("a", "b", "c"))


# The value of a trained network


def fit_line(file):
    """Train a config; its validation rows are the evaluation set."""
    dataset = read_candidates(file, Events())
    context = FitContext(dataset, file.config, Events())
    _ = context.programs

    split = replace(dataset.split, test=None)
    return context.fit(file.config, split)


def test_the_direction_is_that_of_the_metric():
    assert plan(metric="val_loss").direction == "minimize"
    assert plan(metric="val_rmse").direction == "minimize"
    assert plan(metric="val_accuracy").direction == "maximize"


@pytest.mark.parametrize(
    ("task", "loss", "target", "outputs", "expected"),
    [
        (NUMBER, MeanSquaredError(), [[1.0], [2.0]], [[1.5], [0.0]], [0.25, 4.0]),
        (NUMBER, MeanSquaredError(), [[1.0, 2.0]], [[2.0, 4.0]], [2.5]),
        (NUMBER, Huber(delta=1.0), [[0.0], [0.0]], [[0.5], [3.0]], [0.125, 2.5]),
        (TWO, BinaryCrossentropy(), [1, 0], [[0.5], [0.75]], [math.log(2), math.log(4)]),
        (TWO, Hinge(), [1, 0], [[0.25], [0.5]], [0.75, 1.5]),
        (THREE, SparseCategoricalCrossentropy(), [2], [[0.25, 0.25, 0.5]], [math.log(2)]),
        (THREE, CategoricalCrossentropy(), [0], [[0.25, 0.25, 0.5]], [math.log(4)]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_loss_of_each_row_is_that_of_its_formula(task, loss, target, outputs, expected):
    result = SimpleNamespace(
        job=SimpleNamespace(head=SimpleNamespace(loss=loss)),
        encoded={"validation": SimpleNamespace(target=np.array(target))},
        predictor=SimpleNamespace(task=task),
    )
    found = FitResult.row_losses(result, "validation", np.array(outputs, np.float32))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("metric", ["val_rmse", "val_loss"])
def test_an_ensemble_is_evaluated_on_the_rows_of_a_fold_that_none_of_its_members_saw(
    metric, tmp_path
):
    overrides = ["data.validation=null", "ensemble={members: 2}", "epochs=2", "tune.folds=2"]
    overrides += [f"tune.metric={metric}", "output={scaling: none}"]
    file = line_file(tmp_path, overrides=overrides)
    context = SearchContext.of(file, read_candidates(file, Events()), Events())
    _ = context.fits.programs
    from dlcli.training_job import NO_CHECKPOINTS

    found = evaluate_candidate(context, {}, TrialReporter(context.plan), NO_CHECKPOINTS)
    squares = []
    for split in context.splits:
        rows = Split(split.train, None, split.validation)
        fitted = context.fits.fit(file.config, rows)
        predicted = fitted.predictor.predict_encoded(fitted.encoded["test"].inputs)
        errors = predicted.outputs[:, 0] - split.validation.column("y").numbers().values
        squares.append(np.mean(errors**2))
    expected = squares if metric == "val_loss" else np.sqrt(squares)
    assert found.folds == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
def test_the_loss_is_the_best_val_loss_without_the_regularization_penalty(tmp_path):
    """With this learning rate, the best epoch is an early one, whose weights are restored."""
    layer = "{units: 8, activation: tanh, kernel_regularizer: {name: l2, l2: 0.01}}"
    overrides = ["optimizer={name: adam, learning_rate: 0.3}", "early_stopping={patience: 6}"]
    result = fit_line(line_file(tmp_path, overrides=[f"hidden=[{layer}]", *overrides]))
    evaluation = evaluate(result, "loss")

    losses = result.training.history["val_loss"]
    penalty = 0.01 * np.square(result.training.weights["hidden_1/kernel"]).sum()
    assert min(losses) < losses[-1]
    assert evaluation.value == pytest.approx(min(losses) - penalty, rel=1e-4)
    assert evaluation.metrics["loss"] == evaluation.value
    assert evaluation.best_epoch == 1 + np.argmin(losses) < evaluation.epochs


@pytest.mark.slow
def test_the_loss_of_classes_is_val_loss_too(tmp_path):
    (tmp_path / "rows.csv").write_text(COLORS)
    (tmp_path / "rows.yaml").write_text(
        "data: {train: rows.csv, target: c, validation: 0.5}\nhidden: [{units: 3}]\nepochs: 3\n"
        "loss: {name: binary_crossentropy, label_smoothing: 0.1}\n"
    )
    result = fit_line(load_config(tmp_path / "rows.yaml"))

    expected = result.training.history["val_loss"][-1]
    assert evaluate(result, "loss").value == pytest.approx(expected, rel=1e-4)


def test_the_loss_is_a_weighted_mean_with_its_standard_error(tmp_path):
    file = line_file(tmp_path, overrides=["data.sample_weight=w", "epochs=1"])
    rows = "\n".join(f"{x},{2 * x + 1},{x % 4}" for x in range(60))
    (tmp_path / "line.csv").write_text(f"x,y,w\n{rows}\n")
    result = fit_line(file)
    losses, weights = result.row_losses("validation"), result.encoded["validation"].weights
    evaluation = evaluate(result, "loss")

    value = (losses * weights).sum() / weights.sum()
    influences = weights * (losses - value) / weights.sum()
    assert evaluation.value == pytest.approx(value)
    assert evaluation.standard_error == pytest.approx(np.sqrt(np.square(influences).sum()))


def test_another_metric_is_that_of_the_validation_rows(tmp_path):
    result = fit_line(line_file(tmp_path, overrides=["epochs=2"]))
    evaluation = evaluate(result, "mae")

    truth = result.tables["validation"].column("y").numbers().values
    errors = np.abs(truth - result.predictions("validation").decoded[:, 0])
    assert evaluation.value == pytest.approx(errors.mean())
    assert evaluation.standard_error == pytest.approx(errors.std() / np.sqrt(len(errors)))


def test_an_undefined_metric_has_no_value(tmp_path):
    """The target is constant but for one row, so r2 of the others is undefined."""
    file = line_file(tmp_path, overrides=["epochs=1"])
    (tmp_path / "line.csv").write_text("x,y\n" + "".join(f"{x},{x < 1:d}.5\n" for x in range(60)))

    assert evaluate(fit_line(file), "r2").value is None


def evaluation(value, parameters=10, epochs=7, best_epoch=None, error=0.125, **metrics):
    metrics = metrics or {"loss": value}
    return TrialEvaluation(value, error, metrics, parameters, epochs, best_epoch or epochs)


def test_metrics_over_folds_are_means_of_those_that_are_defined():
    folds = [{"accuracy": 0.5, "auc": None}, {"accuracy": 1.0, "auc": 0.75}]

    assert mean_metrics(folds) == {"accuracy": 0.75, "auc": 0.75}


# Intermediate values


def recording_reporter(how=None, *, prunes_at=None):
    """Return a reporter, and the steps and values that it reports."""
    found = []

    def report(value, step):
        found.append((step, value))
        return step == prunes_at

    return TrialReporter(how or plan(), report), found


@pytest.mark.parametrize(
    ("epochs", "expected"), [(95, [10, 20, 30, 40, 50, 60, 70, 80, 90]), (3, [1, 2, 3])]
)
def test_at_most_ten_epochs_are_reported(epochs, expected):
    reporter, found = recording_reporter(plan(epochs=epochs))
    progress = reporter.progress(1)
    for epoch in range(1, epochs + 1):
        progress(1, epoch, {"val_loss": 1 / epoch})

    assert [step for step, _ in found] == expected


def test_epochs_of_the_first_fold_are_reported_and_then_folds():
    reporter, found = recording_reporter(plan(epochs=2))
    for fold in (1, 2):
        reporter.progress(fold)(1, 1, {"val_loss": 0.5 + fold})
        reporter.report_value(0.25, reporter.plan.step_after_fold(fold))

    assert found == [(1, 1.5), (3, 0.25), (4, 0.25)]


def test_of_an_ensemble_the_epochs_of_the_first_member_are_reported():
    reporter, found = recording_reporter(plan(epochs=2))
    for member in (2, 1):
        reporter.progress(1)(member, 1, {"val_loss": float(member)})

    assert found == [(1, 1.0)]


def test_a_pruned_candidate_is_trained_no_further():
    reporter, _ = recording_reporter(prunes_at=4)
    progress = reporter.progress(1)
    progress(1, 2, {"val_loss": 3.0})

    with pytest.raises(TrialPruned):
        progress(1, 4, {"val_loss": 2.0})
    assert (reporter.last, reporter.epochs) == (2.0, 4)


@pytest.mark.parametrize("values", [{}, {"val_loss": math.nan}, {"loss": 0.5}])
def test_missing_and_undefined_values_are_not_reported(values):
    reporter, found = recording_reporter()
    reporter.progress(1)(1, 2, values)

    assert found == []


def test_folds_are_reported_where_epochs_are_not():
    reporter, found = recording_reporter(plan([L2]))
    reporter.progress(1)(1, 2, {"val_loss": 0.5})
    reporter.report_value(0.5, reporter.plan.step_after_fold(1))

    assert found == [(21, 0.5)]


def test_losses_of_epochs_are_not_compared_between_regularizers():
    stacks = Dimension("hidden", "choice", choices=(({"units": 1},), ({"units": 2},)))

    assert plan([RATE, UNITS]).prunes_at_epochs
    assert not plan([RATE, L2]).prunes_at_epochs
    assert not plan([stacks]).prunes_at_epochs
    assert plan([L2, stacks], metric="val_rmse").prunes_at_epochs


# Pruning


def pruned_study(**settings):
    how = plan(trials=9, pruner=MedianPruning(**settings), epochs=10)
    return Study(how, InMemoryStorage())


def test_a_candidate_worse_than_the_median_at_its_epoch_is_pruned():
    study = pruned_study(startup_trials=3)
    for value in (0.1, 0.2, 0.3):
        running = study.ask()
        assert not study.report(running, value, 5)
        finish(study, running)

    assert not study.report(study.ask(), 0.15, 5)
    assert study.report(study.ask(), 0.25, 5)


def test_no_candidate_is_pruned_during_warmup():
    study = pruned_study(startup_trials=1, warmup=0.25)
    running = study.ask()
    for step in (2, 3):
        study.report(running, 0.1, step)
    finish(study, running)
    worse = study.ask()

    assert not study.report(worse, 0.9, 2)
    assert study.report(worse, 0.9, 3)


def test_after_a_fold_only_the_worst_quarter_is_pruned():
    study = pruned_study(startup_trials=4)
    after_fold = study.plan.step_after_fold(1)
    for value in (0.1, 0.2, 0.3, 0.4):
        running = study.ask()
        assert not study.report(running, value, after_fold)
        finish(study, running)

    assert not study.report(study.ask(), 0.3, after_fold)
    assert study.report(study.ask(), 0.45, after_fold)


def test_a_good_epoch_of_the_first_fold_does_not_hide_bad_folds():
    study = pruned_study(startup_trials=4)
    after_fold = study.plan.step_after_fold(2)
    for value in (0.1, 0.2, 0.3, 0.4):
        running = study.ask()
        study.report(running, value, after_fold)
        finish(study, running)

    worst = study.ask()
    assert not study.report(worst, 0.05, 5)
    assert study.report(worst, 0.45, after_fold)


def test_the_pruner_none_prunes_nothing():
    assert isinstance(make_pruner(plan(pruner=NoPruner())), NopPruner)


# Candidates


class Fits:
    """Gives planned results of fits, each after one reported epoch."""

    workers = NO_OTHERS

    def __init__(self, *results):
        self.results = list(results)

    def fit(self, config, split, stop, observer):
        observer.epoch(1, 4, {"val_loss": 0.75})
        result = self.results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result


@pytest.fixture
def evaluated(monkeypatch):
    """Evaluate a candidate on folds with planned evaluations or errors."""
    monkeypatch.setattr(search_trials, "evaluate", lambda result, metric: result)
    monkeypatch.setattr(
        search_trials, "candidate", lambda file, values: SimpleNamespace(config=None)
    )

    def call(*results, prunes_at=None, values={"batch_size": 16}):  # noqa: B006
        context = SimpleNamespace(
            file=None,
            plan=plan(epochs=10),
            splits=[None] * len(results),
            rows_of=lambda config, split: split,
            fits=Fits(*results),
        )
        reporter = TrialReporter(context.plan, lambda value, step: step == prunes_at)
        return evaluate_candidate(context, values, reporter, None)

    return call


def test_one_evaluation_set_has_the_standard_error_of_its_rows(evaluated):
    result = evaluated(evaluation(0.5, epochs=9, best_epoch=4))

    assert (result.state, result.value, result.standard_error) == ("complete", 0.5, 0.125)
    assert (result.folds, result.metrics) == ((), {"loss": 0.5})
    assert (result.parameters, result.epochs, result.best_epoch) == (10, 9, 4)
    assert result.values == {"batch_size": 16}


def test_folds_have_their_mean_and_its_standard_error(evaluated):
    result = evaluated(evaluation(0.25, 10, 7), evaluation(0.75, 12, 10, best_epoch=8))

    assert (result.value, result.folds) == (0.5, (0.25, 0.75))
    assert result.standard_error == pytest.approx(0.25)  # S = 0.3536, divided by the root of 2
    assert (result.parameters, result.epochs, result.best_epoch) == (12, 9, 8)


def test_a_candidate_pruned_at_an_epoch_has_its_last_value(evaluated):
    result = evaluated(evaluation(0.5), prunes_at=4)

    assert (result.state, result.value, result.epochs) == ("pruned", 0.75, 4)
    assert (result.folds, result.standard_error) == ((), None)


def test_a_candidate_pruned_after_a_fold_keeps_its_folds(evaluated):
    result = evaluated(evaluation(0.5), evaluation(0.5), prunes_at=11)

    assert (result.state, result.value, result.folds) == ("pruned", 0.5, (0.5,))
    assert result.epochs == 7


@pytest.mark.slow
@pytest.mark.parametrize(
    "error",
    [
        DivergenceError("training diverged: the loss became nan\nmore", 3),
        ConfigError([Problem("", "training diverged: the loss became nan")]),
        DataError("training diverged: the loss became nan"),
    ],
)
def test_a_candidate_that_can_not_be_trained_fails_with_the_reason(evaluated, error):
    result = evaluated(evaluation(0.5), error)

    assert (result.state, result.value) == ("failed", None)
    assert result.problem == snapshot("training diverged: the loss became nan")


def test_a_metric_that_is_undefined_in_a_fold_is_a_failure(evaluated):
    result = evaluated(evaluation(0.5), evaluation(None))

    assert (result.state, result.problem) == ("failed", "val_loss is undefined")


def test_rows_on_which_the_original_config_can_not_be_trained_end_the_search(evaluated):
    with pytest.raises(DataError):
        evaluated(DataError("row 3, column 'x': expected a number, got 'ten'"), values={})
