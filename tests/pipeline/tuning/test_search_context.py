"""The context that all trials of a search share."""

from __future__ import annotations

import numpy as np
import pytest
from inline_snapshot import snapshot

from dlcli.config.config_file import load_config
from dlcli.config.search_space import count_combinations
from dlcli.config.training_choices import BinaryCrossentropy, Hinge, MeanSquaredError, Poisson
from dlcli.config.tune_section import Tune
from dlcli.errors import ConfigError
from dlcli.pipeline.events import Events
from dlcli.pipeline.preparation import read_candidates
from dlcli.pipeline.search_plan import SearchContext, SearchPlan, combination, warn_of_large_grid
from dlcli.tasks.classification import Binary
from dlcli.tasks.regression import Regression
from tests.pipeline.tuning.search_examples import Recorder, line_file
from tests.pipeline.tuning.study_examples import DROPOUT, LAYERS, RATE, UNITS

pytestmark = pytest.mark.usefixtures("compiled_once")


def context_of(file):
    with file.located():
        return SearchContext.of(file, read_candidates(file, Events()), Events())


def plan_of(tune):
    return SearchPlan("planned", Tune.model_validate(tune), seed=7, epochs=20)


def problem_of(file):
    with pytest.raises(ConfigError) as error, file.located():
        context_of(file)
    [problem] = error.value.problems
    return str(problem)


GRID = {
    "optimizer.learning_rate": {"low": 0.001, "high": 0.1, "step": 0.001},
    "batch_size": {"low": 1, "high": 101},
}
"""100 rates and 101 sizes."""


@pytest.mark.parametrize(
    ("bounds", "is_warned"), [({}, True), ({"trials": 10_001}, False), ({"time": "1h"}, False)]
)
def test_a_large_grid_without_limits_has_a_warning(bounds, is_warned):
    recorder = Recorder()
    plan = plan_of({"space": GRID, "sampler": {"name": "grid"}, **bounds})
    warn_of_large_grid(plan, Events(recorder))

    message = (
        "all 10,100 combinations will be tried; to try a random part of the grid: "
        "overrides={'tune.trials': 100}, or overrides={'tune.time': '1h'}"
    )
    assert recorder.events == [("warning", {"message": message})] * is_warned


def test_a_search_without_rows_to_evaluate_candidates_on_is_refused(tmp_path):
    file = line_file(tmp_path, overrides=["data.validation=null"])

    with pytest.raises(ConfigError) as error:
        SearchPlan.of(file)
    assert str(error.value) == (
        snapshot(
            "tune.folds: is missing, and there are no validation rows to evaluate candidates; set "
            "tune.folds: 5 or data.validation: 0.15"
        )
    )


def test_folds_take_the_place_of_validation_rows(tmp_path):
    file = line_file(tmp_path, overrides=["data.validation=null", "tune.folds=3"])

    assert len(context_of(file).splits) == 3


def test_a_metric_that_the_target_does_not_have_is_refused(tmp_path):
    file = line_file(tmp_path, overrides=["tune.metric=accuracy"])

    assert problem_of(file) == (
        snapshot(
            "--set 'tune.metric=accuracy': 'val_accuracy' does not fit the target 'y' "
            "(a number); allowed: val_loss, val_mse, val_rmse, val_mae, val_r2, "
            "val_median_absolute_error"
        )
    )


@pytest.mark.parametrize(
    ("kind", "loss", "has", "has_not"),
    [
        (
            Regression(columns=("y",)),
            MeanSquaredError(),
            {"rmse", "r2"},
            {"poisson_deviance", "accuracy"},
        ),
        (Regression(columns=("y",)), Poisson(), {"poisson_deviance"}, {"auc"}),
        (
            Binary(columns=("y",), classes=("a", "b")),
            BinaryCrossentropy(),
            {"auc", "log_loss"},
            {"rmse"},
        ),
        (
            Binary(columns=("y",), classes=("a", "b")),
            Hinge(),
            {"auc", "accuracy"},
            {"log_loss", "brier"},
        ),
    ],
    ids=["numbers", "counts", "two classes", "margins"],
)
def test_metrics_are_those_of_the_target_and_its_loss(kind, loss, has, has_not):
    found = set(kind.metric_names(loss))

    assert has <= found
    assert not has_not & found


def test_candidates_are_trained_and_evaluated_on_the_rows_of_a_single_training(tmp_path):
    [split] = context_of(line_file(tmp_path)).splits

    assert (split.train.rows, split.validation.rows, split.test) == (30, 15, None)


def test_folds_hold_out_each_row_once_and_no_test_row(tmp_path):
    context = context_of(line_file(tmp_path, overrides=["tune.folds=3"]))
    held_out = np.concatenate([split.validation.row_numbers for split in context.splits])

    assert sorted(held_out) == sorted(context.fits.dataset.candidates.row_numbers)
    assert len(held_out) == 45
    for split in context.splits:
        assert not set(split.train.row_numbers) & set(split.validation.row_numbers)


def test_there_are_no_more_trials_than_combinations(tmp_path):
    file = line_file(tmp_path, overrides=["tune.trials=50"])

    assert SearchPlan.of(file).trials == 4


def test_a_grid_has_all_combinations(tmp_path):
    file = line_file(tmp_path, overrides=["tune.trials=null"])

    assert SearchPlan.of(file).trials == 4


def test_a_time_limit_alone_sets_no_number_of_trials(tmp_path):
    space = "tune.space={optimizer.learning_rate: {low: 0.1, high: 0.2}}"
    more = ["tune.trials=null", "tune.time=10s", "tune.sampler=random", space]

    assert SearchPlan.of(line_file(tmp_path, overrides=more)).trials is None


def test_folds_are_compared_after_the_most_epochs_of_any_candidate(tmp_path):
    file = line_file(tmp_path, overrides=["tune.space={epochs: [10, 200]}"])

    assert SearchPlan.of(file).max_epochs == 200
    assert SearchPlan.of(load_config(file.path)).max_epochs == 20


def shared_by(folds, trials, **space):
    return plan_of({"trials": trials, "space": space}).fits_per_program(folds)


def test_candidates_that_differ_in_runtime_values_share_a_program():
    rates = {"optimizer.learning_rate": {"low": 1e-4, "high": 0.1, "log": True}}
    assert shared_by(5, 40, **rates) == 200
    assert shared_by(5, 40, **rates, batch_size=(16, 32, 64, 128)) == 50
    layers = {"units": (8, 16), "dropout": {"low": 0.1, "high": 0.5}}
    assert shared_by(1, 40, hidden_layers=layers) == 20


@pytest.mark.parametrize(
    ("space", "shared"),
    [
        ("{batch_size: [4, 8]}", True),
        ("{hidden: [[{units: 3}], [{units: 4}]]}", True),
        ("{hidden_layers: {units: [3, 4]}}", True),
        ("{'hidden[0]': [{units: 3}, {units: 4}]}", True),
        ("{'hidden[0].units': [3, 4]}", True),
        ("{hidden_layers: {activation: [relu, tanh]}, optimizer.learning_rate: [0.1, 0.2]}", False),
    ],
)
def test_graphs_are_for_any_size_where_candidates_differ_in_size(tmp_path, space, shared):
    context = context_of(line_file(tmp_path, overrides=[f"tune.space={space}"]))

    assert context.fits.any_size is shared


def test_the_folds_of_a_candidate_with_its_own_shape_share_a_program():
    assert shared_by(5, 40, batch_size={"low": 1, "high": 1000}) == 5
    assert shared_by(1, 40, **{"optimizer.beta_1": {"low": 0.5, "high": 0.9}}) == 1


def test_combinations_are_counted_unless_a_range_is_continuous():
    assert count_combinations([UNITS, LAYERS, DROPOUT]) == 3 * 4 * 3
    assert count_combinations([UNITS, RATE]) is None


def test_a_spread_grid_has_each_combination_once():
    grid = [combination([UNITS, LAYERS], index, spread=True) for index in range(12)]

    assert len({tuple(values.values()) for values in grid}) == 12
