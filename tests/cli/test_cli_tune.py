"""`dlcli tune`: what it tells, and what it refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from dlcli.pipeline import Settings
from tests.cli.test_cli_events import documented

CONFIG = """\
data: {train: rows.csv, target: y, validation: 0.25, test: 0.25}
hidden: []
epochs: 2
tune:
  metric: mae
  trials: 2
  space: {optimizer.learning_rate: [0.01, 0.05]}
  sampler: grid
  folds: 2
"""
TRIAL = {
    **{"state": "complete", "value": 0.25, "standard_error": 0.05, "parameters": 1200},
    **{"epochs": 40, "seconds": 1.25, "worker": "host-1", "problem": None, "folds": []},
}
VALUES = {"optimizer.learning_rate": 0.01, "batch_norm": True, "hidden": "[{units: 3}]"}
GAIN = {"value": -0.5, "lower": -0.75, "upper": -0.25, "reason": None}
FINALIST = {
    **{"name": "default", "run": "default", "split": "test", "metrics": {"mae": 1.5}},
    **{"metric": "mae", "parameters": 2, "epochs": 9, "gain": None, "verdict": None},
}
BEST = {**FINALIST, "name": "best", "metrics": {"mae": 1.0}, "gain": GAIN, "verdict": "better"}
RESULT = {
    **{"run": "runs/rows-tune", "study": "rows", "metric": "val_mae", "direction": "minimize"},
    "default": {**TRIAL, "number": None, "value": 1.0, "values": {}, "parameters": 2},
    "best": {**TRIAL, "number": 1, "values": VALUES},
    "smallest": {**TRIAL, "number": 0, "value": 0.28, "values": {"batch_size": 32}},
    **{"trials": 3, "importances": {}, "finalists": [FINALIST, BEST], "nested_value": None},
    "notes": ["1 candidate could not be trained to the end"],
}


def trial(number, **fields):
    place = {"number": number, "of": 3, "ended": number + 1, "best": 1, "best_value": 0.25}
    return ("trial", {**TRIAL, **place, "metric": "val_mae", "values": VALUES, **fields})


EVENTS = [
    ("earlier", {"trials": 1, "of": 3}),
    ("default", {**TRIAL, "metric": "val_mae", "values": {}, "value": 1.0}),
    ("progress", {"trial": 2, "of": 3, "metric": "val_mae", "best": None, "best_value": None}),
    trial(1),
    trial(2, state="pruned", value=0.5),
    trial(2, state="pruned", value=0.5, folds=[0.5]),
    trial(0, state="failed", value=None, problem="training diverged", of=None),
    ("finalist", FINALIST),
    ("progress", {"finalist": "best"}),
    ("finalist", BEST),
    ("nested", {"fold": 1, "of": 2, "inner": 0.25, "value": 0.5}),
    ("result", RESULT),
]


@pytest.fixture
def rows(folder):
    Path("rows.csv").write_text("x,y\n" + "".join(f"{x},{2 * x}\n" for x in range(40)))
    Path("rows.yaml").write_text(CONFIG)


@pytest.fixture
def told(rows, monkeypatch):
    """A search that tells its events and does nothing; what it was asked for."""
    asked = []

    def tell(listener, *what):
        asked.append(what)
        for event, fields in EVENTS:
            listener(event, fields)

    def tune(file, settings, output, listener):
        tell(listener, file.path.name, settings, output)

    def resume(run, settings, listener):
        tell(listener, run, settings)

    monkeypatch.setattr("dlcli.pipeline.tuning.tune", tune)
    monkeypatch.setattr("dlcli.pipeline.tuning.resume_tuning", resume)
    return asked


def test_the_story_is_told_on_standard_error_and_the_result_on_standard_output(dlcli, told):
    values = "optimizer.learning_rate 0.01, batch_norm true, hidden [{units: 3}]"
    took = "(1,200 parameters, 40 epochs, 1.25 s)"
    result = dlcli("tune", "rows.yaml")

    assert result.stderr.splitlines() == [
        "earlier   1 trial of 3, ended before",
        f"default   val_mae 1  {took}: the config as given",
        f"trial     #1  2/3  val_mae 0.25, the best so far  {took}: {values}",
        f"trial     #2  3/3  given up at val_mae 0.5: {values}",
        f"trial     #2  3/3  given up after 1 fold at val_mae 0.5: {values}",
        f"trial     #0  1  failed, training diverged: {values}",
        "finalist  default: test mae 1.5",
        "finalist  best: test mae 1: mae -0.5 [-0.75, -0.25]: better, more than noise",
        "nested    outer fold 1/2: found 0.25, rows that it did not see say 0.5",
    ]
    assert result.stdout.splitlines() == [
        "                  default   best  smallest",
        "val_mae                 1   0.25      0.28",
        "± standard error     0.05   0.05      0.05",
        "parameters              2  1,200     1,200",
        "test mae              1.5      1",
        "",
        f"the best of 3 trials is #1: {values}",
        "the smallest network within one standard error of it is #0: batch_size 32",
        "best against default, mae -0.5 [-0.75, -0.25]: better, more than noise",
        "note: 1 candidate could not be trained to the end",
        "",
        "run: runs/rows-tune",
        "report: dlcli report runs/rows-tune",
        "to predict: dlcli predict runs/rows-tune/best DATA",
    ]
    assert told == [("rows.yaml", Settings(), None)]


def test_a_best_that_lost_is_not_offered_to_predict_with(dlcli, told, monkeypatch):
    lost = {**BEST, "metrics": {"mae": 2.0}, "verdict": "worse"}
    events = [("result", {**RESULT, "finalists": [FINALIST, lost]})]
    monkeypatch.setattr(sys.modules[__name__], "EVENTS", events)

    lines = dlcli("tune", "rows.yaml").stdout.splitlines()
    assert lines[-1] == "to predict: dlcli predict runs/rows-tune/default DATA"


def test_a_best_that_is_the_smallest_and_was_not_trained_is_told_so(dlcli, told, monkeypatch):
    alone = {"best": RESULT["best"], "smallest": RESULT["best"], "finalists": [], "notes": []}
    nested = {"nested_value": {"value": 0.5, "lower": 0.25, "upper": 0.75, "reason": None}}
    events = [("result", {**RESULT, **alone, **nested})]
    monkeypatch.setattr(sys.modules[__name__], "EVENTS", events)

    lines = dlcli("tune", "rows.yaml").stdout.splitlines()
    assert "no smaller network is within one standard error of it" in lines
    assert (
        "what the whole search gives, by rows that it did not see: val_mae 0.5 [0.25, 0.75]"
        in lines
    )
    assert lines[-1] == "to train the best: dlcli train runs/rows-tune/best.yaml"


def test_the_settings_are_what_the_options_say(dlcli, told):
    options = ["--jobs", "3", "--storage", "sqlite:///a.db", "--nested", "--output", "mine"]
    dlcli("tune", "rows.yaml", *options)

    assert told == [("rows.yaml", Settings(3, "sqlite:///a.db", nested=True), Path("mine"))]


def test_a_search_that_goes_on_takes_jobs_and_storage(dlcli, told):
    dlcli("tune", "--resume", "mine", "--jobs", "2", "--storage", "sqlite:///a.db")

    assert told == [(Path("mine"), Settings(2, "sqlite:///a.db"))]


def test_a_search_that_goes_on_takes_nothing_else(dlcli, told):
    result = dlcli("tune", "rows.yaml", "--resume", "mine", "--nested", "--set", "epochs=3")

    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        "Error: --resume goes on with what the run began with, and takes no CONFIG and no --nested "
        "and no --set."
    )
    assert told == []


def test_a_config_is_needed(dlcli):
    result = dlcli("tune")

    assert (result.exit_code, result.stderr.splitlines()[-1]) == (
        2,
        "Error: Missing argument 'CONFIG'.",
    )


@pytest.mark.parametrize("url", ["", " "])
def test_a_storage_without_a_name_is_refused(dlcli, told, url):
    result = dlcli("tune", "rows.yaml", "--storage", url)

    assert (result.exit_code, result.stderr.splitlines()[-1]) == (
        2,
        "Error: --storage is empty; leave it out to keep trials in the run folder.",
    )
    assert told == []


def test_a_password_is_taken_out_of_the_command_that_runs_store(dlcli, told, monkeypatch):
    url = "postgresql+psycopg://me:secret@host/db"
    monkeypatch.setattr(sys, "argv", ["dlcli", "tune", "rows.yaml", f"--storage={url}"])
    dlcli("tune", "rows.yaml", "--storage", url)

    assert sys.argv[-1] == "--storage=postgresql+psycopg://me:***@host/db"
    assert told[0][1].storage == url


@pytest.mark.usefixtures("told")
def test_json_is_a_line_an_event_the_last_the_result_and_no_word_of_progress(dlcli):
    result = dlcli("tune", "rows.yaml", "--json")

    lines = [json.loads(line) for line in result.stdout.splitlines()]
    wanted = [{"event": event, **fields} for event, fields in EVENTS if event != "progress"]
    assert (lines, result.stderr) == (wanted, "")


@pytest.mark.usefixtures("told")
def test_quiet_leaves_the_result(dlcli):
    result = dlcli("tune", "rows.yaml", "--quiet")

    assert result.stderr == ""
    assert result.stdout.startswith("                  default")


def test_a_config_without_a_search_is_told_how_to_say_one(dlcli, rows):
    result = dlcli("tune", "rows.yaml", "--set", "tune=null")

    assert result.exit_code == 2
    assert result.stderr == (
        "error: --set 'tune=null': tune: is missing: say what to vary, as in --set 'tune={space: "
        "{optimizer.learning_rate: {low: 1e-4, high: 1e-1, log: true}}}'\n"
    )


def test_a_missing_driver_is_told_before_anything_is_made(dlcli, rows):
    result = dlcli("tune", "rows.yaml", "--storage", "mysql+pymysql://me:secret@host/db")

    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        "error: --storage mysql+pymysql://me:***@host/db: needs the module pymysql, which is not "
        "installed; pip install pymysql"
    )
    assert not Path("runs").exists()


@pytest.mark.slow
def test_every_event_and_field_of_a_search_is_documented(dlcli, rows):
    result = dlcli("tune", "rows.yaml", "--json", "--nested")

    assert result.exit_code == 0, result.stderr
    told = [json.loads(line) for line in result.stdout.splitlines()]
    known = documented("Search")
    for event in known.keys() - {"earlier"}:
        fields = next(each for each in told if each["event"] == event)
        assert set(fields) - {"event"} == known[event], event
    others = documented().keys() | documented("Cross-validation").keys()
    assert {each["event"] for each in told} <= known.keys() | others
