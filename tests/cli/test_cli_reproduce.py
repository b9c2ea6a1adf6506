"""Runs that are trained again: what is equal, what differs, and why."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from dlcli import reproduce as reproduce_in_python
from dlcli import train as train_in_python
from dlcli.config.config_file import load_config
from dlcli.errors import RunError, UsageError
from dlcli.pipeline import retraining, run_recording
from dlcli.pipeline.retraining import reproduce
from dlcli.pipeline.train_run import train
from dlcli.reports.command_views import reproduction_view
from dlcli.reports.views import render_text
from dlcli.runs.manifest import DIVERGED
from dlcli.runs.run_folder import open_run
from tests.catalogue import hand_made
from tests.recorded import recorded_in

pytestmark = pytest.mark.usefixtures("compiled_once", "no_linear_baseline", "folder")
CONFIG = """\
data: {train: rows.csv, validation: 0.2, target: y}
hidden: [{units: 3, activation: relu}]
epochs: 2
"""
LINEAR = "data: {train: rows.csv, target: y}\nhidden: []\nepochs: 1\n"
ROWS = "x,y\n" + "".join(f"{at % 7},{at % 5}\n" for at in range(30))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text(ROWS)
    (tmp_path / "rows.yaml").write_text(CONFIG)


@pytest.fixture
def run():
    return train(load_config(Path("rows.yaml")))


@pytest.fixture
def run_by_hand():
    """A run whose manifest does not list environment.json."""
    run = open_run(hand_made.make_run(LINEAR, "rows"))
    files = {name: each for name, each in run.manifest.files.items() if name != "environment.json"}
    return replace(run, manifest=run.manifest.model_copy(update={"files": files}))


def equal(found):
    return {part.part: part.equal for part in found.parts}


ALL = dict.fromkeys(("data", "versions", "encoding", "weights", "metrics"), True)


@pytest.mark.slow
def test_all_is_equal_in_a_new_run(run):
    events = []
    found = reproduce(run, listener=recorded_in(events))
    assert equal(found) == ALL
    assert found.differing == found.causes == ()
    assert found.again.path == Path("runs/rows-reproduced")
    assert "workers" not in found.parts[1].finding
    name, fields = events[-1]
    assert (name, fields["reproduced"], fields["causes"]) == ("result", True, [])
    assert fields["findings"] == {each.part: each.finding for each in found.parts}
    assert "bit-identical" in render_text(reproduction_view(found))


def test_a_run_without_its_environment_is_refused(run_by_hand):
    with pytest.raises(RunError, match="environment.json: is not part of this run; choose a run"):
        reproduce(run_by_hand)
    assert not Path("runs/rows-reproduced").exists()


@pytest.mark.slow
def test_a_changed_file_is_the_cause_and_within_no_tolerance(run):
    Path("rows.csv").write_text(ROWS.replace("6,", "9,"))
    events = []
    found = reproduce(run, listener=recorded_in(events), tolerance=0.99)
    assert {part for part, is_equal in equal(found).items() if not is_equal} == {
        *("data", "encoding", "weights", "metrics")
    }
    assert found.causes == ("'rows.csv' has changed",)
    assert found.differing[0] == "data"
    warning = {"message": "'rows.csv' has changed, so the weights will differ"}
    assert ("warning", warning) in events
    assert "likely cause: 'rows.csv' has changed" in render_text(reproduction_view(found))


def test_a_moved_file_is_read_from_its_new_path(run, dlcli):
    Path("moved").mkdir()
    Path("rows.csv").rename("moved/other.csv")
    events = []
    with pytest.raises(UsageError, match=r"rows\.csv: no such file; if it was moved, .*data=PATH"):
        reproduce(run, listener=recorded_in(events))
    assert events == []
    assert not Path("runs/rows-reproduced").exists()
    result = dlcli("reproduce", str(run.path), "--data", "moved/other.csv", "--json")
    result = json.loads(result.stdout.splitlines()[-1])
    assert result["parts"] == ALL
    assert result["findings"]["data"] == "'other.csv' with the same SHA-256"
    Path("moved/other.csv").write_text(ROWS.replace("6,", "9,"))
    changed = reproduce(run, moved={"train": Path("moved/other.csv")})
    assert changed.causes == ("trained on 'rows.csv', now on 'other.csv' with other content",)


def test_a_table_that_was_no_file_has_no_new_path(run):
    with pytest.raises(UsageError, match=r"data\.test is not a file, so it has no new path"):
        reproduce_in_python(run.path, test_data="moved.csv")


@pytest.fixture
def other_training(monkeypatch):
    """Let the second training have another seed, as if it could not be repeated."""

    def train_otherwise(file, *arguments, **options):
        config = file.config.model_copy(update={"seed": 5})
        return train(replace(file, config=config), *arguments, **options)

    monkeypatch.setattr(retraining, "train", train_otherwise)


@pytest.mark.usefixtures("other_training")
def test_without_any_change_it_is_a_bug(run):
    found = reproduce(run)
    assert found.differing == ("encoding", "weights", "metrics")
    assert "bug in dlcli" in found.causes[0]
    assert "the largest difference is" in found.parts[3].finding


@pytest.mark.usefixtures("other_training")
def test_metrics_decide_where_there_is_a_tolerance(run):
    far = reproduce(run, tolerance=0.0)
    near = replace(far, tolerance=far.metric_difference)
    assert far.differing == ("metrics",)
    assert near.differing == ()


@pytest.mark.parametrize(
    ("metric", "before", "now", "difference", "finding"),
    [
        ("auc", 0.8, 0.6, 0.25, "auc on test rows has a relative difference of 0.25: 0.8 and 0.6"),
        ("auc", None, 0.6, math.inf, "auc on test rows has a relative difference of inf: undef"),
        (
            "confusion",
            [[1, 0], [1, 2]],
            [[1, 0], [1.5, 1.5]],
            0.125,
            "confusion on test rows has a",
        ),
        ("confusion", [[1, 0], [1, 2]], [[1, 0]], math.inf, "confusion on test rows has a"),
        ("by_label", {"a": {"f1": 0.5}}, {"a": {"f1": 0.4}}, 0.2, "by_label.a.f1 on test rows has"),
    ],
)
def test_metrics_of_all_kinds_are_compared_by_their_size(metric, before, now, difference, finding):
    pair = ({"test": {"mse": 0.5, metric: each}} for each in (before, now))
    part, found = retraining._compare_metrics(*pair)
    assert found == pytest.approx(difference)
    assert part.finding.startswith(finding)
    assert not part.equal


def test_metrics_of_other_labels_are_other_metrics():
    pair = ({"test": {"by_label": {label: {"f1": 0.5}}}} for label in "ab")
    part, found = retraining._compare_metrics(*pair)
    assert (part.finding, found) == ("the metrics have different names", math.inf)


def test_a_run_of_several_workers_is_reproduced_by_one():
    [change] = run_recording.environment_changes({"workers": 2}, {}).values()
    assert change == "workers was 2 and is now 1"
    assert run_recording.environment_changes({"workers": 1}, {}) == {}


def test_a_device_that_worker_processes_choose_has_not_changed():
    assert run_recording.environment_changes({"device": "auto"}, {"device": "cpu"}) == {}


def test_another_version_is_named(run, monkeypatch):
    collect = run_recording.collect_environment
    monkeypatch.setattr(
        run_recording,
        "collect_environment",
        lambda **given: {**collect(**given), "keras": "9.9", "threads": 64},
    )
    found = reproduce(run)
    before = run.environment
    change = (
        f"keras was {before['keras']} and is now 9.9, threads was {before['threads']} and is now 64"
    )
    assert found.parts[1].finding == change
    assert found.differing == ("versions",)
    assert found.causes == ()  # as the weights are equal all the same
    assert replace(found, tolerance=0.0).differing == ()


@pytest.mark.slow
def test_a_table_in_memory_has_to_be_given():
    table = {"x": [1.0, 2.0, 3.0, 4.0], "y": [1.0, 2.0, 4.0, 3.0]}
    config = {"data": {"target": "y"}, "hidden": [], "epochs": 2}
    run = train_in_python(config, table, output="memory")
    with pytest.raises(UsageError, match=r"data\.train was a table in memory"):
        reproduce(run.folder)
    found = reproduce_in_python(run, table, output="again")
    assert found.reproduced
    assert found.run.path == Path("again")
    assert found.to_dict()["parts"] == ALL
    assert str(found).startswith("part")


def test_a_diverged_run_is_refused(run):
    diverged = replace(run, manifest=run.manifest.model_copy(update={"kind": DIVERGED}))
    with pytest.raises(RunError, match="diverged"):
        reproduce(diverged)
    assert not Path("runs/rows-reproduced").exists()


class TestCommand:
    """`dlcli reproduce`."""

    def test_ends_with_its_own_exit_code_if_something_differs(self, run, dlcli):
        Path("rows.csv").write_text(ROWS.replace("6,", "9,"))
        answer = dlcli("reproduce", "runs/rows", "--quiet", "--tolerance", "0")
        assert answer.exit_code == 6
        assert "weights   differs" in answer.stdout
        error = "error: runs/rows: not reproduced; different: data, metrics\n"
        assert answer.stderr.endswith(error)
        assert open_run(Path("runs/rows-reproduced")).kind == "train"  # it is kept

    def test_prints_the_result_as_json_last(self, run, dlcli):
        answer = dlcli("reproduce", "runs/rows", "--json", "--output", "again")
        assert answer.exit_code == 0
        result = json.loads(answer.stdout.splitlines()[-1])
        assert result["event"] == "result"
        assert result["run"] == "again"
        assert result["reproduced"] is True
        assert result["parts"] == ALL

    def test_refuses_a_tolerance_that_is_no_share(self, dlcli):
        answer = dlcli("reproduce", "runs/rows", "--tolerance", "2")
        assert answer.exit_code == 2
        assert "expected a share of at least 0 and below 1, got 2" in answer.stderr
