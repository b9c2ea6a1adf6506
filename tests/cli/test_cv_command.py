"""`dlcli cv`: its output, and what it refuses."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from dlcli.errors import TrainingError
from dlcli.metrics.intervals import Estimate
from dlcli.pipeline.events import (
    CrossValidationResultEvent,
    FoldEvent,
    FoldProgressEvent,
    KeptEvent,
    RowsEvent,
)
from dlcli.runs.documents import CrossValidation, FoldResult
from tests.reports.hand_made_experiments import cross_validation_run

CONFIG = """\
data: {train: rows.csv, target: y, test: 0.2}
input: {features: [x]}
hidden: []
epochs: 3
"""


def interval(value, lower=None, upper=None):
    return {"value": value, "lower": lower, "upper": upper, "reason": None}


FOLD = {
    **{"repeat": 1, "fold": 1, "of": 2, "repeats": 1, "epochs": 3, "best_epoch": 2},
    **{"seconds": 1.25, "metric": "mae", "metrics": {"mae": 0.5}, "problem": None},
}
RESULT = {
    "run": "runs/rows-cv",
    "metrics": {"mae": interval(0.5, 0.25, 0.75), "r2": interval(0.9)},
    **{"split": "random", "folds": 2, "repeats": 1, "set_aside": 4, "main_metric": "mae"},
    "by_fold": {"mae": interval(0.55, 0.5, 0.6), "r2": interval(None)},
    "deviations": {"mae": 0.125, "r2": None},
    "constant": {"mae": 2.0, "r2": 0.0},
    **{"best_epochs": 2, "notes": ["few rows"], "refit": None},
}
LINES = [
    {
        **{"event": "rows", "file": "rows.csv", "rows": 16, "set_aside": 4, "split": "random"},
        **{"seed": 7, "notes": ["the delimiter is ;"]},
    },
    {"event": "kept", "folds": 1, "of": 2},
    {"event": "fold", **FOLD},
    {"event": "fold", **FOLD, "fold": 2, "problem": "training diverged"},
    {"event": "result", **RESULT},
]


def fold_event(number, problem=None):
    sizes = {"train": 8, "validation": 0, "held_out": 8, "inputs": 1, "parameters": 2}
    result = FoldResult(
        **{"repeat": 1, "fold": number, **sizes, "epochs": 3, "best_epoch": 2, "seconds": 1.25},
        metrics={"mae": 0.5},
        problem=problem,
    )
    return FoldEvent(result=result, of=2, repeats=1, metric="mae")


def intervals(values):
    return {name: Estimate(**value) for name, value in values.items()}


EVENTS = [
    RowsEvent(
        **{"file": "rows.csv", "rows": 16, "set_aside": 4, "split": "random", "seed": 7},
        notes=["the delimiter is ;"],
    ),
    KeptEvent(folds=1, of=2),
    FoldProgressEvent(done=1, folds=2, epoch=0, of=3),
    fold_event(1),
    fold_event(2, problem="training diverged"),
    CrossValidationResultEvent(
        run=RESULT["run"],
        metrics=intervals(RESULT["metrics"]),
        result=CrossValidation(
            **{"name": "rows", "target": ("y",), "task": "numbers", "seed": 7, "rows": 16},
            **{name: RESULT[name] for name in ("split", "folds", "repeats", "set_aside")},
            **{name: RESULT[name] for name in ("main_metric", "deviations", "constant")},
            **{"best_epochs": 2, "notes": ("few rows",), "results": (), "pooled": {}},
            by_fold=intervals(RESULT["by_fold"]),
        ),
        refit=None,
    ),
]


@pytest.fixture
def rows(folder):
    numbers = (7 * row % 20 for row in range(20))  # in an order that is no row index
    Path("rows.csv").write_text("x,y\n" + "".join(f"{x},{2 * x}\n" for x in numbers))
    Path("rows.yaml").write_text(CONFIG)


@pytest.fixture
def calls(rows, monkeypatch):
    """A cross-validation that only emits events; the arguments of its calls."""
    made = []

    def cross_validate(file, plan, output, listener, jobs):
        made.append((file.path.name, plan.model_dump(exclude_none=True), output, jobs))
        for event in EVENTS:
            listener(event)
        return cross_validation_run(Path("runs"))

    monkeypatch.setattr("dlcli.pipeline.cross_validation.cross_validate", cross_validate)
    return made


def test_events_go_to_standard_error_and_the_result_to_standard_output(dlcli, calls):
    result = dlcli("cv", "rows.yaml")
    assert result.stderr.splitlines() == snapshot(
        [
            "rows      rows.csv: 16 rows, 4 test rows set aside (random, seed 7)",
            "          the delimiter is ;",
            "kept      1 of 2 folds finished before",
            "fold      1/2  MAE 0.50  (best epoch 2 of 3, 1.25 s)",
            "fold      2/2  failed: training diverged",
        ]
    )
    lines = result.stdout.splitlines()
    assert (
        lines[0] == "          all rows [95 % CI]  mean of folds [95 % CI]  ± over folds  constant"
    )
    assert lines[-3:] == [
        "run: runs/cv",
        "report: dlcli report runs/cv",
        "train on all rows except the test rows: dlcli train runs/cv/refit.yaml",
    ]
    plan = {"folds": 5, "repeats": 1, "refit": False, "by": ()}
    assert calls == [("rows.yaml", plan, None, 1)]


def test_the_options_reach_the_plan(dlcli, calls):
    options = ("--folds", "3", "--repeats", "4", "--refit", "--output", "mine", "--jobs", "2")
    dlcli("cv", "rows.yaml", *options, "--by", "sex,region", "--by", "age")
    plan = {"folds": 3, "repeats": 4, "refit": True, "by": ("sex,region", "age")}
    assert calls == [("rows.yaml", plan, Path("mine"), 2)]


@pytest.mark.usefixtures("calls")
def test_json_has_one_line_per_event_without_progress_and_the_result_last(dlcli):
    result = dlcli("cv", "rows.yaml", "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert (lines, result.stderr) == (LINES, "")


@pytest.mark.usefixtures("calls")
def test_quiet_prints_only_the_result(dlcli):
    result = dlcli("cv", "rows.yaml", "--quiet")
    assert result.stderr == ""
    assert result.stdout.startswith("          all rows [95 % CI]")


def test_an_unfinished_run_has_no_result(dlcli, rows, monkeypatch):
    def cross_validate(file, plan, output, listener, jobs):
        listener(EVENTS[-1])
        raise TrainingError("disk full")

    monkeypatch.setattr("dlcli.pipeline.cross_validation.cross_validate", cross_validate)
    result = dlcli("cv", "rows.yaml", "--json")
    assert (result.exit_code, result.stdout, result.stderr) == (4, "", "error: disk full\n")


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["rows.yaml"], "CONFIG"),
        (["--folds", "3"], "--folds"),
        (["--repeats", "2", "--refit"], "--repeats and --refit"),
        (["--set", "epochs=1", "--output", "mine"], "--set and --output"),
    ],
)
def test_options_of_a_resumed_run_cant_be_changed(options, named, dlcli):
    result = dlcli("cv", "--resume", "runs/rows-cv", *options)
    assert result.exit_code == 2
    assert result.stderr == (
        "error: --resume uses the config and the options of the interrupted run; "
        f"remove {named}\nsee: dlcli cv --help\n"
    )


RANGE = (
    "error: invalid value for '--folds': expected an integer from 2 to 100,000, got 1\n"
    "see: dlcli cv --help\n"
)


@pytest.mark.usefixtures("rows")
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "error: missing argument 'CONFIG'; try 'rows.yaml'\nsee: dlcli cv --help\n"),
        (["rows.yaml", "--folds", "1"], 2, RANGE),
        (["rows.yaml", "--folds", "ten"], 2, RANGE.replace("1\n", "ten\n")),
        (
            ["--resume", "nowhere"],
            *(5, "error: nowhere: no such run folder\n"),
        ),
        (
            ["rows.yaml", "--folds", "17"],
            *(3, "error: rows.csv: 16 rows, expected at least 17: one for each fold\n"),
        ),
    ],
)
def test_a_mistake_is_explained_and_leaves_no_run(arguments, code, message, dlcli):
    result = dlcli("cv", *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.endswith(message)
    assert not Path("runs").exists()


@pytest.mark.usefixtures("rows")
def test_an_output_that_exists_is_refused_at_once(dlcli):
    Path("mine").mkdir()
    result = dlcli("cv", "rows.yaml", "--output", "mine")
    assert (result.exit_code, result.stderr) == (
        2,
        "error: mine: already exists; choose a new folder with --output, or remove this one first\n",
    )


@pytest.mark.slow
@pytest.mark.usefixtures("rows")
def test_ctrl_c_names_the_command_that_resumes_and_it_works(forks):
    command = forks.start("cv", "rows.yaml", "--folds", "2", "--json", "--set", "epochs=30000")
    command.wait_for("fold")
    command.kill(signal.SIGINT)
    ended = command.end()
    way_on = "resume with: dlcli cv --resume runs/rows-cv"
    assert ended.code == 130
    assert re.fullmatch(rf"ended by SIGINT after 1 of 2 folds; {way_on}\n", ended.errors)
    again = forks.start("cv", "--resume", "runs/rows-cv", "--json")
    assert (again.end().code, again.end().errors) == (0, "")
    assert [each["event"] for each in again.events()][-3:] == ["kept", "fold", "result"]
    assert "folds" not in os.listdir("runs/rows-cv")
