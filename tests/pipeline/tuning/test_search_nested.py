"""The whole search, evaluated on rows that the search did not use."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import BaseModel

from dlcli.config.config_file import dump_config
from dlcli.errors import (
    ConfigError,
    DataError,
    DivergenceError,
    Interrupted,
    OutOfMemoryError,
    RunError,
)
from dlcli.pipeline import search_trials as nested
from dlcli.pipeline.cross_validation import CrossValidationPlan, assign_folds
from dlcli.pipeline.events import Events
from dlcli.pipeline.preparation import read_candidates
from dlcli.pipeline.run_recording import moved_config
from dlcli.pipeline.search_plan import SearchContext
from dlcli.pipeline.search_trials import (
    SearchAccess,
    TrialEvaluation,
    evaluate_search,
    exclude_fold,
    run_nested_worker,
)
from dlcli.runs.documents import TrialResult
from dlcli.runs.manifest import RunFile, locked
from dlcli.runs.run_folder import new_run
from dlcli.training_job import StopOnSignal
from tests.pipeline.tuning.search_examples import Recorder, line_file

pytestmark = pytest.mark.usefixtures("compiled_once")

CONFIG = """\
data: {train: line.csv, target: y, validation: 0.25, test: 0.25}
hidden: []
optimizer: {name: sgd, learning_rate: 0.01}
epochs: 20
tune:
  metric: rmse
  trials: 2
  space: {optimizer.learning_rate: [1.0e-6, 0.05]}
  sampler: grid
  folds: 3
"""


@pytest.fixture
def file(tmp_path):
    """A search between two learning rates, of which one fits the line."""
    return line_file(tmp_path, CONFIG)


@pytest.fixture
def dataset(file):
    return read_candidates(file, Events())


@pytest.fixture
def context(file, dataset):
    return SearchContext.of(file, dataset, Events())


@pytest.fixture
def writer(tmp_path, file):
    """The run folder of a search that has started."""
    with new_run(tmp_path / "runs" / "line-tune", "line-tune") as writer:
        writer.write_resolved(dump_config(moved_config(file, writer.path, keep_tune=True)))
        writer.write_json(RunFile.STUDY, {})
        yield writer


def stop(writer):
    return StopOnSignal(writer, lambda: "2 trials", resumable=True)


def access(writer, jobs=1):
    return SearchAccess(writer.path, "token", None, jobs)


def rows_of(table):
    return set(table.row_numbers.tolist())


def test_an_outer_fold_is_used_neither_by_its_search_nor_to_train_its_best_config(file, dataset):
    for outer in assign_folds(dataset, CrossValidationPlan(folds=3), file.config.seed):
        held_out = rows_of(dataset.candidates.take(outer.rows.held_out))
        seen, part = exclude_fold(dataset, outer, file.config)
        assert rows_of(seen.candidates) == rows_of(dataset.candidates) - held_out
        assert rows_of(seen.split.train) | rows_of(seen.split.validation) == rows_of(
            seen.candidates
        )
        assert not rows_of(part.train) & rows_of(part.validation)
        assert rows_of(part.test) == held_out
        assert seen.split.test is None


def test_outer_folds_have_each_row_once_but_for_test_rows(file, dataset):
    outers = assign_folds(dataset, CrossValidationPlan(folds=3), file.config.seed)
    held_out = np.concatenate([outer.rows.held_out for outer in outers])
    assert sorted(held_out) == list(range(45))
    assert dataset.test_rows == 15


@pytest.mark.slow
def test_each_outer_fold_finds_the_better_rate_and_is_reported(file, context, writer):
    recorder = Recorder()
    found = evaluate_search(access(writer), context, writer, stop(writer), Events(recorder))
    assert [(each.fold, each.held_out, each.trials) for each in found] == [
        (1, 15, 2),
        (2, 15, 2),
        (3, 15, 2),
    ]
    assert [each.values for each in found] == [{"optimizer.learning_rate": 0.05}] * 3
    assert all(each.value == each.metrics["rmse"] for each in found)
    assert [(name, fields["fold"]) for name, fields in recorder.events] == [
        ("nested", 1),
        ("nested", 2),
        ("nested", 3),
    ]


@pytest.fixture
def searches(monkeypatch):
    """Replace searches; gives the outer folds of which there was one."""
    made, exclude_fold = [], nested.exclude_fold

    def exclude(dataset, outer, config):
        made.append(outer.fold)
        return exclude_fold(dataset, outer, config)

    def search(context, stop):
        result = TrialResult(
            number=0, state="complete", values={}, value=1.0, standard_error=None, seconds=0.0
        )
        return (result,)

    evaluation = TrialEvaluation(2.0, None, {"rmse": 2.0}, 2, 20, 20)
    monkeypatch.setattr(nested, "exclude_fold", exclude)
    monkeypatch.setattr(nested, "run_inner_trials", search)
    monkeypatch.setattr(nested, "evaluate_best", lambda *_: evaluation)
    return made


def test_finished_outer_folds_are_kept(file, context, writer, searches, monkeypatch):
    evaluate = nested.evaluate_best

    def end(*_):
        if len(searches) == 2:
            raise Interrupted("SIGTERM", 15)
        return evaluate()

    monkeypatch.setattr(nested, "evaluate_best", end)
    with pytest.raises(Interrupted):
        evaluate_search(access(writer), context, writer, stop(writer), Events())
    monkeypatch.setattr(nested, "evaluate_best", evaluate)
    found = evaluate_search(access(writer), context, writer, stop(writer), Events())
    assert searches == [1, 2, 2, 3]
    assert [each.fold for each in found] == [1, 2, 3]
    assert [(each.inner, each.value) for each in found] == [(1.0, 2.0)] * 3


def test_folds_are_planned_again_if_a_process_was_killed_before_they_were_stored(
    context, writer, searches
):
    (writer.path / "folds").mkdir()
    found = evaluate_search(access(writer), context, writer, stop(writer), Events())
    assert searches == [each.fold for each in found] == [1, 2, 3]


def test_an_outer_fold_of_another_process_is_left_to_it(writer, searches):
    writer.write_plan({"folds": 3})
    held = writer.path / "folds" / ".2.held"
    held.mkdir()
    recorder = Recorder()
    with locked(held):
        run_nested_worker(access(writer), recorder)
    assert searches == [fields["fold"] for fields in recorder.named("nested")] == [1, 3]
    run_nested_worker(access(writer), recorder)
    assert searches == [1, 3, 2]


@pytest.mark.slow
@pytest.mark.usefixtures("preloaded_workers")
def test_several_processes_find_what_one_does(file, context, writer, tmp_path):
    recorder = Recorder()
    events = Events(recorder)
    parallel = evaluate_search(access(writer, jobs=2), context, writer, stop(writer), events)
    assert sorted(fields["fold"] for fields in recorder.named("nested")) == [1, 2, 3]

    with new_run(tmp_path / "alone", "alone") as other:
        other.write_resolved("# of the search\n")
        other.write_json(RunFile.STUDY, {})
        alone = evaluate_search(access(other), context, other, stop(other), Events())
    assert [each.values for each in parallel] == [each.values for each in alone]
    assert [each.value for each in parallel] == pytest.approx([each.value for each in alone])


def test_a_search_in_which_all_fails_has_no_value(file, context, writer, monkeypatch):
    monkeypatch.setattr(nested, "run_inner_trials", lambda *_: ())
    found = evaluate_search(access(writer), context, writer, stop(writer), Events())
    assert [(each.trials, each.inner, each.value, each.metrics) for each in found] == [
        (0, None, None, {})
    ] * 3


@pytest.mark.parametrize(
    "error",
    [
        ConfigError([]),
        DataError("a value can't be encoded"),
        DivergenceError("diverged", 1),
        OutOfMemoryError("too large"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_best_config_that_fails_without_an_outer_fold_has_no_value(
    error, context, writer, monkeypatch
):
    def fit(*_):
        raise error

    monkeypatch.setattr(context.fits, "fit", fit)
    best = TrialResult(number=0, state="complete", values={}, value=1.0, seconds=0.0)
    assert nested.evaluate_best(context, best, context.splits[0], stop(writer)) is None


class Anything(BaseModel, extra="allow"):
    """A result as a stranger may have written it."""


@pytest.mark.parametrize(
    ("result", "problem"),
    [
        ("{}", "the stored result of outer fold 1 is malformed at 'fold': Field required"),
        (
            '{"fold": 1, "train": 30, "held_out": 3, "trials": 1, "values": {}, "inner": 1.0, '
            '"value": 1.0, "metrics": {}}',
            "the stored result of outer fold 1 belongs to other rows; start the search again",
        ),
    ],
)
def test_a_malformed_result_of_an_outer_fold_is_refused(
    file, context, writer, searches, result, problem
):
    writer.write_plan({"folds": 3})
    writer.write_partial_result(1, Anything.model_validate_json(result))
    with pytest.raises(RunError) as caught:
        evaluate_search(access(writer), context, writer, stop(writer), Events())
    assert str(caught.value) == f"{writer.path}: {problem}"
