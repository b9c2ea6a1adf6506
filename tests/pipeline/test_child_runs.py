"""A run that is trained within the folder of another."""

from __future__ import annotations

import json
import re

import pytest

from dlcli.config.config_file import load_config
from dlcli.errors import Interrupted
from dlcli.pipeline import train_run
from dlcli.pipeline.train_run import train, train_child_run
from dlcli.runs.manifest import resume_command

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
    (folder / "study.json").write_text("{}")
    return folder


@pytest.mark.slow
def test_a_resumed_child_run_has_the_weights_of_an_uninterrupted_one(file, search, tmp_path):
    undisturbed = train(file, tmp_path / "undisturbed")

    def end(event, fields):
        if event == "epoch" and fields["epoch"] >= 100:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as caught:
        train_child_run(search, "best", file, end)
    assert getattr(caught.value, "__notes__", []) == []  # of the part, which is not to go on alone
    run = train_child_run(search, "best", file, quiet)
    assert "resumed" in [event["event"] for event in run.read_events()]
    weights = [(each.path / "weights.npz").read_bytes() for each in (run, undisturbed)]
    assert weights[0] == weights[1]


def test_an_interruption_names_the_command_that_resumes_the_parent(file, search, monkeypatch):
    part = search / "best"
    words = f"SIGINT after 2 epochs; resume with: dlcli.resume({str(part)!r})"

    def end(*_):
        raise Interrupted(words, 2)

    monkeypatch.setattr(train_run, "train_recorded", end)
    with pytest.raises(Interrupted) as caught:
        train_child_run(search, "best", file, quiet)
    assert str(caught.value) == (
        f"SIGINT after 2 epochs; resume with: dlcli.resume({str(search)!r})"
    )
    assert caught.value.exit_code == 130


def test_so_does_one_of_a_run_of_a_table_in_memory(file, search, monkeypatch):
    part = search / "best"

    def end(*_):
        part.mkdir()
        data = [{"key": "data.train", "file": "data"}]
        (part / "environment.json").write_text(json.dumps({"data": data}))
        command = resume_command(part)
        assert command.endswith(", data)")
        raise Interrupted(f"SIGINT after 2 epochs; resume with: {command}", 2)

    monkeypatch.setattr(train_run, "train_recorded", end)
    with pytest.raises(Interrupted, match=f"; resume with: {re.escape(resume_command(search))}$"):
        train_child_run(search, "best", file, quiet)


def test_a_folder_that_was_ended_before_training_began_is_made_anew(file, search, monkeypatch):
    (search / "best").mkdir()
    (search / "best" / "config.yaml").write_text(file.text)
    monkeypatch.setattr(train_run, "train_recorded", lambda each, _: each.output.exists())
    assert train_child_run(search, "best", file, quiet) is False


def test_a_link_in_the_place_of_a_run_is_not_followed(file, search, tmp_path, monkeypatch):
    precious = tmp_path / "precious"
    precious.mkdir()
    (search / "best").symlink_to(precious)
    monkeypatch.setattr(train_run, "train_recorded", lambda *_: "refused")
    assert train_child_run(search, "best", file, quiet) == "refused"
    assert precious.is_dir()
