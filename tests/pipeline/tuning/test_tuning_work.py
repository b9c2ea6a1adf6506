"""What all trials of a search have in common."""

from __future__ import annotations

import numpy as np
import pytest

from dlcli.config import BinaryCrossentropy, MeanSquaredError, Poisson, Tune, load_config
from dlcli.config.training_choices import Hinge
from dlcli.errors import ConfigError
from dlcli.pipeline import Events
from dlcli.pipeline.data_loading import read_candidates
from dlcli.pipeline.search_context import (
    Work,
    most_trials,
    searched,
    steps_of,
    trainings_a_program,
    warn_of_many,
)
from dlcli.tasks import Binary, Regression
from tests.pipeline.tuning.searches import line_file


def quiet(*_):
    """Tells nobody."""


def work_of(file):
    events = Events(quiet)
    with file.located():
        return Work.of(file, read_candidates(file, events), events)


def problem_of(file):
    with pytest.raises(ConfigError) as error, file.located():
        work_of(file)
    [problem] = error.value.problems
    return str(problem)


def test_a_config_without_a_search_is_told_how_to_say_one(tmp_path):
    file = line_file(tmp_path, overrides=["tune=null"])

    with pytest.raises(ConfigError) as error:
        searched(file)
    assert str(error.value) == (
        "tune: is missing: say what to vary, as in --set 'tune={space: {optimizer.learning_rate: "
        "{low: 1e-4, high: 1e-1, log: true}}}'"
    )


def test_what_it_is_told_is_a_search(tmp_path):
    space = "tune={space: {optimizer.learning_rate: {low: 1e-4, high: 1e-1, log: true}}}"

    assert most_trials(searched(line_file(tmp_path, overrides=[space]))) == 50


GRID = {
    "optimizer.learning_rate": {"low": 0.001, "high": 0.1, "step": 0.001},
    "batch_size": {"low": 1, "high": 101},
}
"""100 rates and 101 sizes."""


@pytest.mark.parametrize(
    ("bounds", "is_warned"), [({}, True), ({"trials": 10_001}, False), ({"time": "1h"}, False)]
)
def test_of_a_grid_that_is_too_large_and_not_bounded_is_warned(bounds, is_warned):
    told = []
    tune = Tune.model_validate({"space": GRID, "sampler": {"name": "grid"}, **bounds})
    warn_of_many(tune, Events(lambda event, fields: told.append((event, fields["message"]))))

    message = (
        "all 10,100 combinations will be tried; to try fewer, from all over the grid: "
        "--set tune.trials=100, or --set tune.time=1h"
    )
    assert told == [("warning", message)] * is_warned


def test_without_rows_to_judge_by_there_is_no_search(tmp_path):
    file = line_file(tmp_path, overrides=["data.validation=null"])

    with pytest.raises(ConfigError) as error:
        searched(file)
    assert str(error.value) == (
        "tune.folds: is missing, and so are validation rows: there is nothing to judge candidates "
        "by; set tune.folds: 5 or data.validation: 0.15"
    )


def test_folds_will_do_in_their_place(tmp_path):
    file = line_file(tmp_path, overrides=["data.validation=null", "tune.folds=3"])

    assert len(work_of(file).parts) == 3


def test_a_metric_of_another_kind_of_target_is_refused(tmp_path):
    file = line_file(tmp_path, overrides=["tune.metric=accuracy"])

    assert problem_of(file) == (
        "--set 'tune.metric=accuracy': tune.metric: 'val_accuracy' is no metric of 'y'; allowed: "
        "val_loss, val_mse, val_rmse, val_mae, val_r2, val_median_absolute_error"
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


def test_candidates_are_trained_and_judged_by_the_rows_of_train(tmp_path):
    [part] = work_of(line_file(tmp_path)).parts

    assert (part.train.rows, part.validation.rows, part.test) == (30, 15, None)


def test_folds_judge_each_row_once_and_no_test_row(tmp_path):
    work = work_of(line_file(tmp_path, overrides=["tune.folds=3"]))
    judging = np.concatenate([part.validation.row_numbers for part in work.parts])

    assert sorted(judging) == sorted(work.context.dataset.candidates.row_numbers)
    assert len(judging) == 45
    for part in work.parts:
        assert not set(part.train.row_numbers) & set(part.validation.row_numbers)


def test_there_are_no_more_trials_than_combinations(tmp_path):
    file = line_file(tmp_path, overrides=["tune.trials=50"])

    assert most_trials(searched(file)) == 4


def test_a_grid_is_tried_whole(tmp_path):
    file = line_file(tmp_path, overrides=["tune.trials=null"])

    assert most_trials(searched(file)) == 4


def test_time_alone_sets_no_number(tmp_path):
    space = "tune.space={optimizer.learning_rate: {low: 0.1, high: 0.2}}"
    more = ["tune.trials=null", "tune.time=10s", "tune.sampler=random", space]

    assert most_trials(searched(line_file(tmp_path, overrides=more))) is None


def test_parts_are_looked_at_after_the_most_epochs_of_any_candidate(tmp_path):
    file = line_file(tmp_path, overrides=["tune.space={epochs: [10, 200]}"])

    assert steps_of(file.config).most == 200
    assert steps_of(load_config(file.path).config).most == 20


def shared_by(parts, trials, **space):
    tune = Tune.model_validate({"trials": trials, "space": space})
    return trainings_a_program(tune, parts)


def test_candidates_that_differ_in_numbers_share_a_program():
    rates = {"optimizer.learning_rate": {"low": 1e-4, "high": 0.1, "log": True}}
    assert shared_by(5, 40, **rates) == 200
    assert shared_by(5, 40, **rates, batch_size=(16, 32, 64, 128)) == 50
    assert shared_by(1, 40, hidden={"units": (8, 16), "dropout": {"low": 0.1, "high": 0.5}}) == 20


def test_where_each_candidate_has_a_shape_of_its_own_folds_alone_share_one():
    assert shared_by(5, 40, batch_size={"low": 1, "high": 1000}) == 5
    assert shared_by(1, 40, **{"optimizer.beta_1": {"low": 0.5, "high": 0.9}}) == 1
