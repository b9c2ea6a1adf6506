"""One candidate: trained on each part, judged, or given up."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from dlcli.errors import ConfigError, DataError, DivergenceError, Problem
from dlcli.pipeline import search_trials as trial
from dlcli.pipeline.objective import Goal, Judgement, Steps, Watch


class Bench:
    """Gives what trainings come to, one after the other, and tells of one epoch."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)

    def fit(self, config, part, progress, keeper):
        progress(4, {"val_loss": 0.75})
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


def outcome(value, parameters=10, epochs=7, best_epoch=None, error=0.125):
    judgement = Judgement(value, error, {"loss": value})
    trained = SimpleNamespace(epochs=epochs, best_epoch=best_epoch)
    return SimpleNamespace(judgement=judgement, parameters=parameters, training=trained)


@pytest.fixture
def tried(monkeypatch):
    """Tries values on parts that come to given outcomes."""
    monkeypatch.setattr(trial, "judge", lambda outcome, goal: outcome.judgement)
    monkeypatch.setattr(trial, "candidate", lambda file, values: SimpleNamespace(config=None))

    def call(*outcomes, ends_at=None, values={"batch_size": 16}):  # noqa: B006
        parts = [None] * len(outcomes)
        goal = Goal("val_loss")
        work = SimpleNamespace(file=None, goal=goal, parts=parts, context=Bench(*outcomes))
        watch = Watch(goal, Steps(10, 10), lambda value, step: step == ends_at)
        return trial.try_values(work, values, watch, None)

    return call


def test_one_set_of_rows_has_the_standard_error_of_its_rows(tried):
    result = tried(outcome(0.5, epochs=9, best_epoch=4))

    assert (result.state, result.value, result.standard_error) == ("complete", 0.5, 0.125)
    assert (result.folds, result.metrics) == ((), {"loss": 0.5})
    assert (result.parameters, result.epochs, result.best_epoch) == (10, 9, 4)
    assert result.values == {"batch_size": 16}


def test_folds_have_their_mean_and_what_it_varies_by(tried):
    result = tried(outcome(0.25, 10, 7), outcome(0.75, 12, 10, best_epoch=8))

    assert (result.value, result.folds) == (0.5, (0.25, 0.75))
    assert result.standard_error == pytest.approx(0.25)  # sd 0.3536 over the root of 2
    assert (result.parameters, result.epochs, result.best_epoch) == (12, 9, 8)


def test_a_candidate_that_is_given_up_at_an_epoch_tells_when(tried):
    result = tried(outcome(0.5), ends_at=4)

    assert (result.state, result.value, result.epochs) == ("pruned", 0.75, 4)
    assert (result.folds, result.standard_error) == ((), None)


def test_a_candidate_that_is_given_up_after_a_fold_keeps_what_it_came_to(tried):
    result = tried(outcome(0.5), outcome(0.5), ends_at=11)

    assert (result.state, result.value, result.folds, result.epochs) == ("pruned", 0.5, (0.5,), 7)


@pytest.mark.parametrize(
    "error",
    [
        DivergenceError("training diverged: the loss became nan\nmore", 3),
        ConfigError([Problem("", "training diverged: the loss became nan")]),
    ],
)
def test_a_candidate_that_can_not_be_trained_fails_with_the_reason(tried, error):
    result = tried(outcome(0.5), error)

    assert (result.state, result.value) == ("failed", None)
    assert result.problem == "training diverged: the loss became nan"


def test_a_metric_that_is_undefined_in_a_fold_is_a_failure(tried):
    result = tried(outcome(0.5), outcome(None))

    assert (result.state, result.problem) == ("failed", "val_loss is undefined")


def test_a_loss_that_the_target_has_no_numbers_for_fails_its_candidate_alone(tried):
    result = tried(DataError("row 3, column 'y': poisson takes no negative value"))

    assert result.state == "failed"
    assert result.problem == "row 3, column 'y': poisson takes no negative value"


def test_rows_that_the_config_as_given_can_not_be_trained_on_end_the_search(tried):
    with pytest.raises(DataError):
        tried(DataError("row 3, column 'x': expected a number, got 'ten'"), values={})
