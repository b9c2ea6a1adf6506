"""`dlcli tune`: its output, and what it refuses."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from dlcli.cli.event_log import print_event
from dlcli.errors import TrainingError
from dlcli.metrics.intervals import Estimate
from dlcli.pipeline.events import (
    DefaultEvent,
    EarlierEvent,
    FinalistEvent,
    FinalistProgressEvent,
    NestedEvent,
    SearchResultEvent,
    SpaceEvent,
    TrialEvent,
    TrialProgressEvent,
)
from dlcli.pipeline.search_trials import SearchSettings
from dlcli.runs.documents import Finalist, NestedFold, Search, TrialResult
from tests.cli.test_cli_events import documented
from tests.reports.hand_made_experiments import search_run

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
UNUSED = {"metrics": {}, "best_epoch": None, "intermediate": []}
RESULT = {
    **{"run": "runs/rows-tune", "study": "rows", "metric": "val_mae", "direction": "minimize"},
    "default": {**TRIAL, **UNUSED, "number": None, "value": 1.0, "values": {}, "parameters": 2},
    "best": {**TRIAL, **UNUSED, "number": 1, "values": VALUES},
    "smallest": {
        **{**TRIAL, **UNUSED, "number": 0, "value": 0.28, "values": {"batch_size": 32}},
    },
    **{"trials": 3, "importances": {}, "finalists": [FINALIST, BEST], "nested_value": None},
    "ensemble": None,
    "notes": ["1 candidate failed to train"],
}


def candidate(number, **fields):
    return TrialResult(**{**TRIAL, "number": number, "folds": (), **fields})


def trial(number, of=3, of_folds=None, **fields):
    return TrialEvent(
        **{"number": number, "of": of, "ended": number + 1, "best": 1, "best_value": 0.25},
        **{"metric": "val_mae", "of_folds": of_folds},
        result=candidate(number, values=VALUES, **fields),
    )


DEFAULT = candidate(None, values={}, value=1.0, parameters=2)
FINALISTS = [
    Finalist(**FINALIST),
    Finalist(**{**BEST, "gain": Estimate(**GAIN)}),
]
NESTED = {
    **{"fold": 1, "train": 20, "held_out": 20, "trials": 2, "values": {}, "inner": 0.25},
    **{"value": 0.5, "metrics": {"mae": 0.5}},
}
EVENTS = [
    EarlierEvent(trials=1, of=3),
    DefaultEvent(metric="val_mae", result=candidate(None, values={}, value=1.0)),
    TrialProgressEvent(trial=2, of=3, metric="val_mae", best=None, best_value=None),
    trial(1),
    trial(2, state="pruned", value=0.5),
    trial(2, state="pruned", value=0.5, of_folds=5),
    trial(2, state="pruned", value=0.5, of_folds=5, folds=(0.5,)),
    trial(0, state="failed", value=None, problem="training diverged", of=None),
    FinalistEvent(held_out="test", result=FINALISTS[0]),
    FinalistProgressEvent(finalist="best"),
    FinalistEvent(held_out="out-of-fold", result=FINALISTS[1]),
    NestedEvent(of=2, result=NestedFold(**NESTED)),
    SearchResultEvent(
        run="runs/rows-tune",
        result=Search(
            **{"name": "rows", "study": "rows", "metric": "val_mae", "direction": "minimize"},
            **{"sampler": "random", "folds": None, "rows": 16, "set_aside": 4, "seed": 7},
            **{"dimensions": (), "trials": (), "default": DEFAULT, "best": None, "smallest": None},
            **{"finalists": tuple(FINALISTS), "seconds": 1.0, "notes": tuple(RESULT["notes"])},
        ),
        best=candidate(1, values=VALUES),
        smallest=candidate(0, value=0.28, values={"batch_size": 32}),
        trials=3,
    ),
]


def trial_line(number, **fields):
    place = {"number": number, "of": 3, "ended": number + 1, "best": 1, "best_value": 0.25}
    place["of_folds"] = None
    trial = {**TRIAL, **place, "metric": "val_mae", "values": VALUES, **fields}
    return {"event": "trial", **trial}


LINES = [
    {"event": "earlier", "trials": 1, "of": 3},
    {"event": "default", **TRIAL, "metric": "val_mae", "values": {}, "value": 1.0},
    trial_line(1),
    trial_line(2, state="pruned", value=0.5),
    trial_line(2, state="pruned", value=0.5, of_folds=5),
    trial_line(2, state="pruned", value=0.5, of_folds=5, folds=[0.5]),
    trial_line(0, state="failed", value=None, problem="training diverged", of=None),
    {"event": "finalist", "held_out": "test", **FINALIST},
    {"event": "finalist", "held_out": "out-of-fold", **BEST},
    {"event": "nested", **NESTED, "of": 2},
    {"event": "result", **RESULT},
]


@pytest.fixture
def rows(folder):
    Path("rows.csv").write_text("x,y\n" + "".join(f"{x},{2 * x}\n" for x in range(40)))
    Path("rows.yaml").write_text(CONFIG)


@pytest.fixture
def calls(rows, monkeypatch):
    """A search that only emits events; the arguments of its calls."""
    made = []

    def emit(listener, *what):
        made.append(what)
        for event in EVENTS:
            listener(event)
        return search_run(Path("runs"))

    def tune(source, settings, output, listener):
        if isinstance(source, Path):
            return emit(listener, source, settings)
        return emit(listener, source.path.name, settings, output)

    monkeypatch.setattr("dlcli.pipeline.search.tune", tune)
    return made


def test_events_go_to_standard_error_and_the_result_to_standard_output(dlcli, calls):
    values = "optimizer.learning_rate 0.01, batch_norm true, hidden [{units: 3}]"
    cost = "(1,200 parameters, 40 epochs, 1.25 s)"
    result = dlcli("tune", "rows.yaml")

    assert result.stderr.splitlines() == [
        "earlier   1 trial of 3 finished before",
        f"default   validation MAE 1  {cost}: the original config",
        f"trial     #1 (2 of 3 done)  validation MAE 0.25, the best so far  {cost}: {values}",
        f"trial     #2 (3 of 3 done)  pruned at epoch 40, with validation MAE 0.5: {values}",
        "trial     #2 (3 of 3 done)  pruned at epoch 40 of the first of 5 folds, with validation MAE 0.5: "
        f"{values}",
        f"trial     #2 (3 of 3 done)  pruned after 1 of 5 folds, with validation MAE 0.5: {values}",
        f"trial     #0 (1 done)  failed, training diverged: {values}",
        "finalist  default: test MAE 1.5",
        "finalist  best: out-of-fold MAE 1.00, −0.50 [−0.75, −0.25] against default",
        "nested    outer fold 1/2: 0.25 in the search, 0.5 on rows that the search did not use",
    ]
    lines = result.stdout.splitlines()
    assert lines[0] == "                  default    best  smallest"
    assert lines[-3:] == [
        "run: runs/search",
        "report: dlcli report runs/search",
        "predict: dlcli predict runs/search/best DATA",
    ]
    assert calls == [("rows.yaml", SearchSettings(), None)]


def test_the_options_reach_the_settings(dlcli, calls):
    options = ["--jobs", "3", "--storage", "sqlite:///a.db", "--nested", "--output", "mine"]
    dlcli("tune", "rows.yaml", *options, "--ensemble", "4")

    settings = SearchSettings(3, "sqlite:///a.db", nested=True, ensemble=4)
    assert calls == [("rows.yaml", settings, Path("mine"))]


@pytest.mark.usefixtures("rows")
def test_folds_override_those_of_the_config(dlcli, monkeypatch):
    read = []

    def tune(file, *_):
        read.append(file.config.tune.folds)
        raise TrainingError("enough")

    monkeypatch.setattr("dlcli.pipeline.search.tune", tune)
    assert dlcli("tune", "rows.yaml", "--folds", "3", "--set", "tune.folds=4").exit_code == 4
    assert read == [3]
    refused = dlcli("tune", "--resume", "mine", "--folds", "3")
    assert refused.exit_code == 2
    assert refused.stderr.splitlines()[0].endswith("; remove --folds")


def test_a_resumed_search_takes_jobs_and_storage(dlcli, calls):
    dlcli("tune", "--resume", "mine", "--jobs", "2", "--storage", "sqlite:///a.db")

    assert calls == [(Path("mine"), SearchSettings(2, "sqlite:///a.db"))]


def test_a_resumed_search_allows_no_other_option(dlcli, calls):
    result = dlcli("tune", "rows.yaml", "--resume", "mine", "--nested", "--set", "epochs=3")

    assert result.exit_code == 2
    assert result.stderr.splitlines()[0] == (
        snapshot(
            "error: --resume uses the config and the options of the interrupted run; remove CONFIG and --nested and --set"
        )
    )
    assert calls == []


def test_a_config_is_needed(dlcli, folder):
    result = dlcli("tune")

    assert (result.exit_code, result.stderr.splitlines()[0]) == (
        2,
        "error: missing argument 'CONFIG'",
    )


@pytest.mark.parametrize("url", ["", " "])
def test_a_storage_without_a_name_is_refused(dlcli, calls, url):
    result = dlcli("tune", "rows.yaml", "--storage", url)

    assert (result.exit_code, result.stderr.splitlines()[0]) == (
        2,
        "error: --storage is empty; omit it to store trials in the run folder",
    )
    assert calls == []


def test_the_password_is_masked_in_the_stored_command(dlcli, calls, monkeypatch):
    url = "postgresql+psycopg://me:secret@host/db"
    monkeypatch.setattr(sys, "argv", ["dlcli", "tune", "rows.yaml", f"--storage={url}"])
    dlcli("tune", "rows.yaml", "--storage", url)

    assert sys.argv[-1] == "--storage=postgresql+psycopg://me:***@host/db"
    assert calls[0][1].storage == url


@pytest.mark.usefixtures("calls")
def test_json_has_one_line_per_event_without_progress_and_the_result_last(dlcli):
    result = dlcli("tune", "rows.yaml", "--json")

    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert (lines, result.stderr) == (LINES, "")


@pytest.mark.usefixtures("calls")
def test_quiet_prints_only_the_result(dlcli):
    result = dlcli("tune", "rows.yaml", "--quiet")

    assert result.stderr == ""
    assert result.stdout.startswith("                  default")


def test_the_default_search_is_printed_as_it_could_be_written(capsys):
    learning_rate = {"low": 0.001, "high": 0.1, "log": True}
    space = {"hidden_layers": {"units": [16, 32]}, "optimizer.learning_rate": learning_rate}
    fields = {"rows": 60, "trials": 50, "folds": 5, "held_out": "validation", "space": space}
    print_event(SpaceEvent(**fields))
    assert capsys.readouterr().err.splitlines() == snapshot(
        [
            "space     default for 60 rows (tune.space is not set): 50 trials, on 5 folds",
            "          hidden_layers:",
            "            units: [16, 32]",
            "          optimizer.learning_rate: {low: 0.001, high: 0.1, log: true}",
        ]
    )
    print_event(SpaceEvent(**{**fields, "folds": None, "held_out": "out-of-fold"}))
    assert ": 50 trials, on the out-of-fold rows\n" in capsys.readouterr().err


def test_a_missing_driver_is_an_error_before_anything_is_created(dlcli, rows):
    result = dlcli("tune", "rows.yaml", "--storage", "mysql+pymysql://me:secret@host/db")

    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        snapshot(
            "error: --storage mysql+pymysql://me:***@host/db: needs the module pymysql, which is not "
            "installed; pip install pymysql"
        )
    )
    assert not Path("runs").exists()


@pytest.mark.parametrize("size", ["1", "33"])
def test_an_ensemble_of_too_few_or_too_many_candidates_is_refused(dlcli, calls, size):
    result = dlcli("tune", "rows.yaml", "--ensemble", size)

    assert result.exit_code == 2
    assert "'--ensemble': expected an integer from 2 to 32" in result.stderr.splitlines()[0]
    assert calls == []


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--nested",),
            snapshot(
                "error: --ensemble can't be combined with --nested: outer folds evaluate the best candidate; remove one of them"
            ),
        ),
        (
            ("--workers", "2"),
            snapshot("error: --workers can't be combined with --ensemble; remove one of them"),
        ),
        (
            ("--set", "tune.space={input.scaling: [standard, robust]}"),
            snapshot(
                "error: --set 'tune.space={input.scaling: [standard, robust]}': tune.space['input.scaling']: can't be varied: all networks read the same rows and inputs; remove it, or omit --ensemble"
            ),
        ),
    ],
)
def test_what_an_ensemble_of_candidates_can_not_have_is_refused_before_the_search(
    dlcli, options, message
):
    result = dlcli("tune", "rows.yaml", "--ensemble", "2", *options)

    assert (result.exit_code, result.stderr.splitlines()[0]) == (2, message)
    assert not Path("runs").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("rows", "compiled_once", "no_linear_baseline")
def test_the_result_has_the_weights_and_the_out_of_fold_error_of_the_ensemble(dlcli):
    result = dlcli("tune", "rows.yaml", "--ensemble", "2", "--set", "epochs=9")

    assert result.exit_code == 0, result.stderr
    names, *rows = [line.split() for line in result.stdout.split("\n\n")[1].splitlines()]
    assert names == ["weight", "out-of-fold", "MAE", "[95", "%]"]
    weights = {row[1]: int(row[2]) for row in rows if row[0] == "candidate"}
    assert (rows[0][0], set(weights), sum(weights.values())) == ("ensemble", {"#0", "#1"}, 100)
    assert "\nOut-of-fold MAE of the ensemble vs the best candidate alone, " in result.stdout
    last = result.stdout.splitlines()[-1]
    assert last == "predict with the ensemble: dlcli predict runs/rows-tune/ensemble DATA"
    predicted = dlcli("predict", "runs/rows-tune/ensemble", "rows.csv")
    assert len(predicted.stdout.splitlines()) == 41


@pytest.mark.slow
@pytest.mark.usefixtures("compiled_once", "no_linear_baseline")
def test_every_event_and_field_of_a_search_is_documented(dlcli, rows):
    result = dlcli("tune", "rows.yaml", "--json", "--nested")

    assert result.exit_code == 0, result.stderr
    emitted = [json.loads(line) for line in result.stdout.splitlines()]
    known = documented("Search")
    for event in known.keys() - {"earlier", "space", "progress"}:  # the last one only in Python
        fields = next(each for each in emitted if each["event"] == event)
        assert set(fields) - {"event"} == known[event], event
    others = documented().keys() | documented("Cross-validation").keys()
    assert {each["event"] for each in emitted} <= known.keys() | others
