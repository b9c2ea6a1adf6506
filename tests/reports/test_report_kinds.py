"""Commands on the run folder of a cross-validation or a search."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from dlcli.cli.program import main
from dlcli.runs.manifest import MANIFEST
from dlcli.runs.run import Run
from tests.reports.hand_made_experiments import cross_validation_run, search_run
from tests.reports.hand_made_runs import number_run


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder of its own."""
    monkeypatch.chdir(tmp_path)


def dlcli(*arguments: object):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def dated(run: Run, hours: int) -> None:
    """Has a run be finished some hours after others."""
    created = datetime.fromisoformat("2024-02-29T00:00:00+00:00") + timedelta(hours=hours)
    manifest = run.manifest.model_copy(update={"created": created})
    (run.path / MANIFEST).write_bytes(manifest.to_json())


def test_a_page_is_made_of_either_and_has_no_picture_of_curves():
    kinds = ((cross_validation_run, "cv", "cv"), (search_run, "search", "tune"))
    for made, folder, command in kinds:
        made(Path())
        result = dlcli("report", folder)
        assert (result.exit_code, result.stdout) == (0, f"{folder}/report.html\n")
        assert "<!DOCTYPE html>" in Path(folder, "report.html").read_text(encoding="utf-8")
        refused = dlcli("report", folder, "--curves", "curves.png")
        assert refused.exit_code == 2
        assert refused.stderr == (
            f"error: {folder}: --curves requires a run of dlcli train, got a run of dlcli {command}\n"
        )


def test_without_a_run_the_latest_of_any_kind_is_named_for_a_page():
    for hours, made in enumerate((number_run, cross_validation_run, search_run)):
        Path("runs").mkdir(exist_ok=True)
        dated(made(Path("runs")), hours)
    result = dlcli("report")
    assert (result.exit_code, result.stderr) == (
        2,
        "error: missing argument 'RUN'; the latest run is runs/search: dlcli report runs/search\n",
    )


@pytest.mark.parametrize(
    ("command", "line"),
    [
        ("predict", "predict runs/run DATA"),
        ("evaluate", "evaluate runs/run DATA"),
        ("diagnose", "diagnose runs/run"),
        ("compare", "compare runs/run RUN"),
    ],
)
def test_for_other_commands_the_latest_training_is_named(command, line):
    for hours, made in enumerate((number_run, cross_validation_run, search_run)):
        Path("runs").mkdir(exist_ok=True)
        dated(made(Path("runs")), hours)
    result = dlcli(command)
    assert (result.exit_code, result.stderr) == (
        2,
        f"error: missing argument 'RUN'; the latest run is runs/run: dlcli {line}\n",
    )


def test_without_a_training_there_is_no_latest_run_to_predict_with():
    cross_validation_run(Path("runs"))
    result = dlcli("predict", "table.csv")
    assert (result.exit_code, result.stderr) == (
        2,
        "error: missing argument 'RUN', a run folder; create one: dlcli train CONFIG\n",
    )


@pytest.mark.parametrize("arguments", [("predict", "cv", "table.csv"), ("diagnose", "cv")])
def test_a_cross_validation_has_nothing_to_predict_with_or_to_diagnose(arguments):
    cross_validation_run(Path())
    result = dlcli(*arguments)
    assert (result.exit_code, result.stderr) == (
        5,
        "error: cv: is a cross-validation, which has no weights; "
        "train a network with: dlcli train cv/refit.yaml\n",
    )


def test_the_network_that_was_trained_in_it_is_named():
    search_run(Path())
    Path("search/best").mkdir()
    number_run(Path())
    result = dlcli("compare", "search", "run")
    assert (result.exit_code, result.stderr) == (
        5,
        "error: search: is a search, which has no weights; "
        "choose the trained run in it: search/best\n",
    )


def test_all_files_of_either_are_checked():
    search_run(Path())
    result = dlcli("validate", "search")
    assert result.stdout == "search: all 7 files are intact\n"
    Path("search/best.yaml").write_text("epochs: 9\n", encoding="utf-8")
    result = dlcli("validate", "search")
    assert (result.exit_code, result.stderr) == (
        5,
        "error: search/best.yaml: has changed since it was written; restore the run from a copy "
        "or train it again\n",
    )


def test_a_malformed_document_is_an_error():
    run = cross_validation_run(Path())
    text = (run.path / "cv.json").read_text(encoding="utf-8")
    with_bad_rows = text.replace('"rows":8', '"rows":"8"')
    (run.path / "cv.json").write_text(with_bad_rows, encoding="utf-8")
    manifest = run.manifest.describe(run.path, "cv")
    (run.path / MANIFEST).write_bytes(manifest.to_json())
    result = dlcli("report", "cv")
    assert (result.exit_code, result.stderr) == (
        5,
        "error: cv/cv.json: is malformed at 'rows': Input should be a valid integer; restore the "
        "run from a copy or train it again\n",
    )
