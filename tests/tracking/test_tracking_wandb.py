"""Weights & Biases' tracking, read back from its offline files."""

from __future__ import annotations

import json
import struct
import sys
from pathlib import Path

import pytest

from dlcli.errors import DivergenceError, Interrupted, UsageError
from tests.tracking.replay import (
    epoch,
    fold,
    make_folder,
    replay,
    result,
    resumed,
    run_event,
    trained,
    trial,
)

with pytest.MonkeyPatch.context() as patch:
    # It looks for pandas, without loading it, and expects no error if tests hide pandas.
    patch.setattr(
        sys, "meta_path", [each for each in sys.meta_path if not hasattr(each, "hides_packages")]
    )
    wandb = pytest.importorskip("wandb")

RUN = Path("runs/line")
SETTINGS = {"hidden[0].units": 16, "input.features['Length (mm)'].scaling": "none"}


@pytest.fixture(autouse=True)
def line(tmp_path, monkeypatch):
    """A run folder; W&B is offline, and writes to the test's own folder."""
    for name in ("API_KEY", "BASE_URL", "DIR", "ENTITY", "PROJECT", "RUN_GROUP", "RUN_ID"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    for name in ("CACHE_DIR", "CONFIG_DIR", "DATA_DIR"):
        monkeypatch.setenv(f"WANDB_{name}", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.chdir(tmp_path)
    yield make_folder(RUN)
    wandb.teardown()


def story(*events, ends=None):
    return replay("wandb", [run_event(RUN), *events], ends)


def records(path):
    """The records of a .wandb file, a log of LevelDB with a header of seven bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, at, parts = path.read_bytes(), 7, b""
    while at + 7 <= len(content):
        if (left := -at % 2**15) < 7:
            at += left
            continue
        length, kind = struct.unpack_from("<HB", content, at + 4)
        parts += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            yield Record.FromString(parts)
            parts = b""


def items(updates):
    return {each.key or "/".join(each.nested_key): json.loads(each.value_json) for each in updates}


class Logged:
    """The contents of an offline run."""

    def __init__(self, path):
        found = [*records(path)]
        [self.run] = [each.run for each in found if each.HasField("run")]
        self.config = items(self.run.config.update)
        self.points = [items(each.history.item) for each in found if each.HasField("history")]
        self.summary = {}
        for each in found:
            self.summary |= items(each.summary.update)
        self.artifacts = [each.artifact for each in found if each.HasField("artifact")]
        [self.exit_code] = [each.exit.exit_code for each in found if each.HasField("exit")]

    def curve(self, name):
        return [(point["epoch"], point[name]) for point in self.points if name in point]


def logged():
    wandb.teardown()  # as at the end of a program, after which all files are complete
    return [Logged(path) for path in sorted(Path("wandb").glob("offline-run-*/*.wandb"))]


def test_a_training_has_a_config_curves_and_final_metrics():
    epochs = [epoch(1, loss=0.5, val_loss=0.75), epoch(2, loss=0.25, val_loss=1.5)]
    [(event, fields)] = story(*epochs, trained(2), result(RUN, 2))
    [run] = logged()
    assert (run.run.project, run.run.display_name, run.run.job_type) == ("dlcli", "line", "train")
    assert run.config["hidden"]["0"]["units"] == 3
    assert run.config["optimizer"]["learning_rate"] == 0.01
    assert run.config["dlcli"] == {
        **{"version": "0.1.0", "run": "runs/line", "data_sha256": "d1" * 32},
        **{"git_commit": "c0ffee", "git_dirty": "true"},
    }
    assert run.curve("loss") == [(1, 0.5), (2, 0.25)]
    assert run.curve("val_loss") == [(1, 0.75), (2, 1.5)]
    final = {"train_mse": 0.5, "validation_mse": 0.75, "test_mse": 1.5}
    assert {name: run.summary.get(name) for name in final} == final
    assert run.exit_code == 0
    place = fields["place"]
    assert (event, fields) == (
        "tracking",
        {
            **{"tracker": "Weights & Biases", "run_id": run.run.run_id, "place": place},
            "look": f"wandb sync {place}",
        },
    )
    assert Path(place).is_dir() and place.startswith("wandb/offline-run-")


def test_a_resumed_training_continues_the_same_run(monkeypatch):
    monkeypatch.setenv("WANDB_PROJECT", "houses")
    story(epoch(1, loss=0.5), ends=Interrupted("SIGINT", 2))
    story(resumed(1), epoch(2, loss=0.25), ends=DivergenceError("nan", 3))
    first, second = logged()
    assert first.run.run_id == second.run.run_id
    assert first.run.project == "houses"
    assert (first.curve("loss"), second.curve("loss")) == ([(1, 0.5)], [(2, 0.25)])
    assert (first.exit_code, second.exit_code) == (255, 1)


def test_a_strangers_folder_cant_name_the_run_to_continue():
    (RUN / "trackers.json").write_text('{"wandb": "abc123"}')
    story()
    [run] = logged()
    assert run.run.run_id != "abc123"


def test_folds_and_trials_are_runs_of_one_group():
    make_folder(Path("runs/other")).write_plan({"folds": 2})
    replay("wandb", [run_event("runs/other"), fold(1, mae=0.5), trial(3, 0.25, **SETTINGS)])
    runs = {run.run.display_name: run for run in logged()}
    assert {name: run.run.job_type for name, run in runs.items()} == {
        **{"other": "cv", "fold-1": "fold", "trial-3": "trial"},
    }
    assert {run.run.run_group for run in runs.values()} == {f"other-{runs['other'].run.run_id}"}
    assert runs["fold-1"].summary["mae"] == 0.5
    assert runs["trial-3"].summary["val_mae"] == 0.25
    assert runs["trial-3"].config["hidden"] == {"0": {"units": 16}}
    assert runs["trial-3"].config["input"] == {"features": {"Length (mm)": {"scaling": "none"}}}


def test_the_files_of_a_whole_run_are_an_artifact(line):
    line.finish()
    story()
    [run] = logged()
    [artifact] = run.artifacts
    assert (artifact.name, artifact.type) == ("line", "model")
    assert sorted(entry.path for entry in artifact.manifest.contents) == [
        *("config.yaml", "environment.json", "manifest.json", "resolved.yaml"),
    ]


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({}, "nobody is logged in to https://"),
        ({"WANDB_API_KEY": "short"}, "WANDB_API_KEY invalid: API key must have 40+ characters"),
    ],
)
def test_a_missing_login_is_an_error_before_training(variables, message, monkeypatch):
    monkeypatch.delenv("WANDB_MODE")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError) as raised:
        story()
    assert str(raised.value).startswith(f"Weights & Biases: {message}")
    assert str(raised.value).endswith(
        "; run 'wandb login', set WANDB_MODE=offline, or train without this tracker"
    )


def test_what_w_and_b_raises_midway_is_one_warning_and_ends_its_run(monkeypatch):
    def fail(*_):
        raise wandb.errors.CommError("http://me:secret@host is down")

    monkeypatch.setattr(wandb.Run, "log", fail)
    told = story(epoch(1, loss=0.5), epoch(2, loss=0.25), trained(2), result(RUN, 2))
    message = "http://...@host is down; logging stopped, training continues"
    assert told[1:] == [("warning", {"message": f"Weights & Biases: {message}"})]
    assert [run.exit_code for run in logged()] == [1]
