"""The arguments RUN and DATA: what is missing or exchanged is named, with the line to type."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from inline_snapshot import snapshot

pytestmark = pytest.mark.usefixtures("double")


@pytest.mark.parametrize("verb", ["predict", "evaluate"])
@pytest.mark.parametrize(
    ("arguments", "message", "line"),
    [
        ([], "missing argument 'RUN'; the latest run is runs/double", "runs/double DATA"),
        (
            ["points.csv"],
            "missing argument 'RUN'; the latest run is runs/double",
            "runs/double points.csv",
        ),
        (["-"], "missing argument 'RUN'; the latest run is runs/double", "runs/double -"),
        (["runs/double"], "missing argument 'DATA', the table", "runs/double DATA"),
        (
            ["points.csv", "runs/double"],
            "points.csv: expected a run folder first, then the data",
            "runs/double points.csv",
        ),
        (
            ["new.csv", "runs/double"],
            "new.csv: expected a run folder first, then the data",
            "runs/double new.csv",
        ),
        (
            ["runs/double", "runs/double"],
            "runs/double: is a run folder, expected a table",
            "runs/double DATA",
        ),
        (
            ["runs/double", "a.csv", "b.csv"],
            "expected RUN DATA, got 3 arguments; quote a glob pattern",
            "runs/double '*.csv'",
        ),
        (
            ["a.csv", "b.csv", "c.csv"],
            "expected RUN DATA, got 3 arguments; quote a glob pattern",
            "RUN '*.csv'",
        ),
    ],
)
def test_the_line_to_type_is_named(dlcli, verb, arguments, message, line):
    result = dlcli(verb, *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"error: {message}: dlcli {verb} {line}\n"


def test_a_name_with_a_space_is_quoted_in_the_line_to_type(dlcli):
    assert dlcli("predict", "my rows.csv").stderr.endswith(
        ": dlcli predict runs/double 'my rows.csv'\n"
    )


def test_a_run_that_may_not_be_read_is_not_called_missing(dlcli, monkeypatch):
    real = os.stat

    def stat(path, *arguments, **options):
        if str(path).startswith("runs/double/"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "stat", stat)
    result = dlcli("predict", "runs/double", "points.csv")
    assert result.exit_code == 5
    assert result.stderr == snapshot("error: runs/double: can't be read: Permission denied\n")


def test_a_run_that_is_misspelled_is_named_even_without_data(dlcli):
    result = dlcli("predict", "runs/doubel")
    assert result.exit_code == 5
    assert result.stderr == snapshot(
        "error: runs/doubel: no such run folder; did you mean 'runs/double'?\n"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["report", "double"], 5, "double: no such run folder; did you mean 'runs/double'?"),
        (
            ["report", "double.yaml"],
            5,
            "double.yaml: expected a run folder, got a config; did you mean 'runs/double'?",
        ),
        (
            ["predict", "double.yaml"],
            5,
            "double.yaml: expected a run folder, got a config; did you mean 'runs/double'?",
        ),
        (
            ["diagnose", "new.yaml"],
            5,
            "new.yaml: expected a run folder, got a config; train it first: dlcli train new.yaml",
        ),
        (["report", "points.csv"], 5, "points.csv: expected a run folder, got a file"),
        (["evaluate", "duoble", "points.csv"], 5, "duoble: no such run folder; did you mean 'runs"),
        (
            ["report", "runs/double/weights.npz"],
            5,
            "runs/double/weights.npz: expected a run folder, got a file; did you mean 'runs/do",
        ),
        (
            ["report", "s3://bucket/runs/double"],
            5,
            "s3://bucket/runs/double: only predict, evaluate and dlcli.load accept the URL of a run",
        ),
        (
            ["predict", "runs/double", "new.yaml"],
            3,
            "new.yaml: is a YAML file, perhaps a config; expected",
        ),
        (["init", "new.yaml"], 3, "new.yaml: is a YAML file, perhaps a config; expected a table"),
        (["inspect", "runs/double"], 2, "runs/double: is a run folder, expected a table"),
    ],
)
def test_what_stands_in_the_place_of_another_argument_is_named(dlcli, arguments, code, message):
    Path("new.yaml").write_text(Path("double.yaml").read_text())
    result = dlcli(*arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith(f"error: {message}")


def test_of_a_folder_of_runs_one_is_to_be_named(dlcli):
    result = dlcli("report", "runs")
    assert (result.exit_code, result.stderr) == (
        5,
        "error: runs: is a folder of runs; choose one of them: 'runs/double'\n",
    )


def test_an_unfinished_run_is_a_run_folder(dlcli):
    Path("runs/double/manifest.json").unlink()
    Path("runs/double/environment.json").touch()
    Path("runs/double/config.yaml").touch()
    result = dlcli("predict", "runs/double")
    assert result.stderr.startswith("error: missing argument 'DATA', the table: ")


def test_results_name_the_run_that_was_used(dlcli):
    evaluated = dlcli("evaluate", "runs/double", "points.csv", "--json").stdout
    assert evaluated.startswith('{"run": "runs/double", ')
