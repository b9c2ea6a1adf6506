"""A run that is trained within the folder of another."""

from __future__ import annotations

import json
import signal

import pytest

from dlcli.config.config_file import load_config
from dlcli.errors import DlcliError, Interrupted, TrainingError
from dlcli.pipeline import train_run
from dlcli.pipeline.train_run import train, train_child_run
from dlcli.runs.manifest import RunFile
from dlcli.runs.run_folder import new_run, open_run, unfinished_run
from dlcli.runs.run_writer import RunWriter

pytestmark = pytest.mark.usefixtures("compiled_once")

LINE = """\
data: {train: line.csv, target: y}
hidden: []
epochs: 400
checkpoint: {seconds: 1.0e-9}
"""


def quiet(*_):
    """Tells nobody."""


@pytest.fixture
def file(tmp_path):
    rows = "\n".join(f"{x},{2 * x}" for x in range(40))
    (tmp_path / "line.csv").write_text(f"x,y\n{rows}\n")
    (tmp_path / "line.yaml").write_text(LINE)
    return load_config(tmp_path / "line.yaml")


@pytest.fixture
def search(tmp_path):
    """The folder of a search that was begun."""
    folder = tmp_path / "search"
    folder.mkdir()
    for name in ("config.yaml", "resolved.yaml", "environment.json", "study.json"):
        (folder / name).write_text("{}")
    return folder


@pytest.mark.slow
def test_a_resumed_child_run_has_the_weights_of_an_uninterrupted_one(file, search, tmp_path):
    undisturbed = train(file, tmp_path / "undisturbed")

    def end(event):
        if event.kind == "epoch" and event.epoch >= 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        train_child_run(search, "best", file, end)
    assert caught.value.__notes__ == [f"resume with: dlcli.resume({str(search)!r})"]
    run = train_child_run(search, "best", file, quiet)
    assert "resumed" in [event["event"] for event in run.events()]
    weights = [(each.path / "weights.npz").read_bytes() for each in (run, undisturbed)]
    assert weights[0] == weights[1]


@pytest.mark.usefixtures("handles_signals")
def test_an_interruption_names_the_command_that_resumes_the_parent(file, search):
    def interrupt(event):
        if event.kind == "epoch" and event.epoch == 2:
            signal.raise_signal(signal.SIGTERM)  # which no shell ignores

    with pytest.raises(Interrupted) as caught:
        train_child_run(search, "best", file, interrupt)
    assert str(caught.value).endswith(f"; resume with: dlcli tune --resume {search}")
    assert caught.value.exit_code == 143


def test_a_file_of_a_part_that_cannot_be_stored_names_the_command_that_resumes_the_parent(search):
    data = [{"key": "data.train", "file": "data"}]
    (search / "environment.json").write_text(json.dumps({"data": data}))
    (search / "best").mkdir()
    writer = RunWriter(search / "best")
    writer.has_partial_results = True
    (search / "best" / "config.yaml").mkdir()
    with pytest.raises(TrainingError) as caught:
        writer.write_text(RunFile.CONFIG, "")
    assert str(caught.value).endswith(f", then resume with: dlcli.resume({str(search)!r}, data)")


def test_messages_about_an_interrupted_part_name_the_command_that_resumes_the_parent(search):
    (search / "best").mkdir()
    for name in ("config.yaml", "resolved.yaml", "environment.json"):
        (search / "best" / name).write_text("{}")
    parent, found = f"resume with: dlcli.resume({str(search)!r})", []
    for opened in (open_run, new_run_in, unfinished_search):
        with pytest.raises(DlcliError) as caught:
            opened(search / "best")
        found.append(str(caught.value).rpartition("; ")[2])
    assert found == [parent] * 3


def new_run_in(folder):
    with new_run(folder, "best"):
        pass


def unfinished_search(folder):
    with unfinished_run(folder, "tune"):
        pass


def test_a_folder_that_was_ended_before_training_began_is_made_anew(file, search, monkeypatch):
    (search / "best").mkdir()
    (search / "best" / "config.yaml").write_text(file.text)
    monkeypatch.setattr(train_run, "train_recorded", lambda each: each.output.exists())
    assert train_child_run(search, "best", file, quiet) is False


def test_a_link_in_the_place_of_a_run_is_not_followed(file, search, tmp_path, monkeypatch):
    precious = tmp_path / "precious"
    precious.mkdir()
    (search / "best").symlink_to(precious)
    monkeypatch.setattr(train_run, "train_recorded", lambda *_: "refused")
    assert train_child_run(search, "best", file, quiet) == "refused"
    assert precious.is_dir()
