"""The whole search judged by rows that it doesn't see."""

from __future__ import annotations

import numpy as np
import pytest

from dlcli.config import dump_config, load_config
from dlcli.errors import Interrupted, RunError
from dlcli.pipeline import Events, TrialResult
from dlcli.pipeline import Plan as Folds
from dlcli.pipeline import nested_search as nested
from dlcli.pipeline.checkpointing import StopOnSignal
from dlcli.pipeline.cross_validation import assign_folds
from dlcli.pipeline.data_loading import read_candidates
from dlcli.pipeline.nested_search import judge_at, judge_search, judge_together, without
from dlcli.pipeline.run_recording import moved_config
from dlcli.pipeline.search_context import Plan, Work
from dlcli.pipeline.search_trials import Site
from dlcli.runs import PartialResult, locked, new_run

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


def quiet(*_):
    """Tells nobody."""


@pytest.fixture
def file(tmp_path):
    """A search for the learning rate by which y = 2x + 1 is learned, and one by which it is not."""
    rows = "\n".join(f"{x},{2 * x + 1}" for x in range(60))
    (tmp_path / "line.csv").write_text(f"x,y\n{rows}\n")
    (tmp_path / "line.yaml").write_text(CONFIG)
    return load_config(tmp_path / "line.yaml")


@pytest.fixture
def pool(file):
    return read_candidates(file, Events(quiet))


@pytest.fixture
def work(file, pool):
    return Work.of(file, pool, Events(quiet))


@pytest.fixture
def writer(tmp_path, file):
    """A search's folder that was begun."""
    with new_run(tmp_path / "runs" / "line-tune", "line-tune") as writer:
        writer.write_resolved(dump_config(moved_config(file, writer.path, keep_tune=True)))
        writer.write_study({})
        yield writer


def keeper(writer):
    return StopOnSignal(writer, lambda: "2 trials", resumable=True)


def site_of(writer):
    return Site(writer.path, "token", None)


def rows_of(table):
    return set(table.row_numbers.tolist())


def test_an_outer_fold_is_seen_neither_by_its_search_nor_by_the_training_of_its_best(file, pool):
    for outer in assign_folds(pool, Folds(folds=3), file.config.seed):
        held_out = rows_of(pool.candidates.take(outer.rows.held_out))
        seen, part = without(pool, outer, file.config)
        assert rows_of(seen.candidates) == rows_of(pool.candidates) - held_out
        assert rows_of(seen.split.train) | rows_of(seen.split.validation) == rows_of(
            seen.candidates
        )
        assert not rows_of(part.train) & rows_of(part.validation)
        assert rows_of(part.test) == held_out
        assert seen.split.test is None


def test_outer_folds_are_all_rows_once_but_for_the_test_rows(file, pool):
    outers = assign_folds(pool, Folds(folds=3), file.config.seed)
    held_out = np.concatenate([outer.rows.held_out for outer in outers])
    assert sorted(held_out) == list(range(45))
    assert pool.test_rows == 15


@pytest.mark.slow
def test_each_outer_fold_finds_the_planted_rate_and_is_told_of(file, work, writer):
    told = []
    events = Events(lambda event, fields: told.append((event, fields)))
    found = judge_search(work, Plan.of(file), writer, keeper(writer), events)
    assert [(each.fold, each.held_out, each.trials) for each in found] == [
        (1, 15, 2),
        (2, 15, 2),
        (3, 15, 2),
    ]
    assert [each.values for each in found] == [{"optimizer.learning_rate": 0.05}] * 3
    assert all(each.value == each.metrics["rmse"] for each in found)
    assert [name for name, _ in told] == ["nested"] * 3
    assert [fields["fold"] for _, fields in told] == [1, 2, 3]


@pytest.fixture
def searches(monkeypatch):
    """Has searches come to something without any training; tells of which outer folds."""
    made = []

    def search(work, plan, outer, keeper):
        made.append(outer.fold)
        result = TrialResult(
            number=0, state="complete", values={}, value=1.0, standard_error=None, seconds=0.0
        )
        return (result,)

    monkeypatch.setattr(nested, "_trials", search)
    monkeypatch.setattr(nested, "_judged", lambda *_: nested.Judgement(2.0, None, {"rmse": 2.0}))
    return made


def test_what_is_finished_is_kept_and_not_searched_again(file, work, writer, searches, monkeypatch):
    plan = Plan.of(file)
    judged = nested._judged

    def end(*_):
        if len(searches) == 2:
            raise Interrupted("SIGTERM", 15)
        return judged()

    monkeypatch.setattr(nested, "_judged", end)
    with pytest.raises(Interrupted):
        judge_search(work, plan, writer, keeper(writer), Events(quiet))
    monkeypatch.setattr(nested, "_judged", judged)
    found = judge_search(work, plan, writer, keeper(writer), Events(quiet))
    assert searches == [1, 2, 2, 3]
    assert [each.fold for each in found] == [1, 2, 3]
    assert [(each.inner, each.value) for each in found] == [(1.0, 2.0)] * 3


def test_an_outer_fold_that_another_process_is_at_is_left_to_it(writer, searches):
    writer.write_plan({"folds": 3})
    held = writer.path / "folds" / ".2.held"
    held.mkdir()
    told = []
    with locked(held):
        judge_at(site_of(writer), lambda event, fields: told.append(fields["fold"]))
    assert (searches, told) == ([1, 3], [1, 3])
    judge_at(site_of(writer), quiet)
    assert searches == [1, 3, 2]


@pytest.mark.slow
def test_several_processes_come_to_what_one_does(file, work, writer, tmp_path):
    told = []
    listener = lambda event, fields: told.append((event, fields["fold"]))  # noqa: E731
    judge_together(site_of(writer), 2, work, writer, listener)
    assert sorted(told) == [("nested", 1), ("nested", 2), ("nested", 3)]
    together = judge_search(work, Plan.of(file), writer, keeper(writer), Events(quiet))

    with new_run(tmp_path / "alone", "alone") as other:
        other.write_resolved("# of the search\n")
        other.write_study({})
        alone = judge_search(work, Plan.of(file), other, keeper(other), Events(quiet))
    assert [each.values for each in together] == [each.values for each in alone]
    assert [each.value for each in together] == pytest.approx([each.value for each in alone])


def test_of_a_search_in_which_all_fails_there_is_no_value(file, work, writer, monkeypatch):
    monkeypatch.setattr(nested, "_trials", lambda *_: ())
    found = judge_search(work, Plan.of(file), writer, keeper(writer), Events(quiet))
    assert [(each.trials, each.inner, each.value, each.metrics) for each in found] == [
        (0, None, None, {})
    ] * 3


@pytest.mark.parametrize(
    ("result", "problem"),
    [
        ("{}", "is malformed at 'fold': Field required"),
        (
            '{"fold": 1, "held_out": 3, "trials": 1, "values": {}, "inner": 1.0, "value": 1.0, '
            '"metrics": {}}',
            "is of other rows; begin the search again",
        ),
    ],
)
def test_what_a_stranger_has_kept_is_refused(file, work, writer, searches, result, problem):
    writer.write_plan({"folds": 3})
    writer.write_partial_result(1, PartialResult(result))
    with pytest.raises(RunError) as caught:
        judge_search(work, Plan.of(file), writer, keeper(writer), Events(quiet))
    assert str(caught.value) == f"{writer.path}: the stored result of outer fold 1 {problem}"
