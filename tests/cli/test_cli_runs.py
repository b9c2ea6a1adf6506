"""`dlcli runs` on the runs of the corpus for compatibility: one of each kind."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import pytest

import dlcli as library
from dlcli.runs.run_writer import RunWriter

CORPUS = Path(__file__).parents[1] / "compatibility" / "corpus" / library.__version__ / "runs"
NAMES = {each.name for each in CORPUS.iterdir()}


@pytest.fixture(autouse=True)
def runs(folder):
    """The runs, of which `damaged` has a changed file."""
    copied = shutil.copytree(CORPUS, folder / "runs")
    shutil.copytree(CORPUS / "outputs", copied / "damaged")
    (copied / "damaged" / "metrics.json").write_text("{}")
    (copied / "no_run").mkdir()
    return copied


def listed(dlcli, *arguments):
    result = dlcli("runs", "--json", *arguments)
    assert result.exit_code == 0, result.stderr
    return {Path(run["path"]).name: run for run in json.loads(result.stdout)["runs"]}


def test_each_kind_of_run_is_listed(dlcli):
    found = listed(dlcli)
    assert set(found) == {*NAMES, "damaged"}
    assert {name: run["state"] for name, run in found.items() if run["state"] != "finished"} == {
        "interrupted": "unfinished",
        "damaged": "damaged",
    }
    assert {name: found[name]["rows"] for name in ("regression", "classes", "validated")} == {
        "regression": "test",
        "classes": "validation",
        "validated": "out-of-fold",
    }
    assert found["interrupted"]["note"] == "resume with: dlcli train --resume runs/interrupted"
    assert found["interrupted"]["target"] == ["price"]
    assert "metrics.json: has 2 bytes" in found["damaged"]["note"]
    metrics = json.loads((CORPUS / "regression" / "metrics.json").read_text())["test"]
    assert found["regression"]["metrics"] == metrics


def test_runs_are_filtered_and_sorted(dlcli):
    found = listed(dlcli, "--target", "price", "--sort", "RMSE")
    errors = [run["metrics"]["rmse"] for run in found.values()]
    assert errors == sorted(errors)
    assert set(found) == {"regression", "quantiles", "outputs", "validated", "searched"}
    best = listed(dlcli, "--sort", "r2")
    assert next(iter(best)) == max(best, key=lambda name: best[name]["metrics"]["r2"])


def test_the_list_is_a_table(dlcli, runs):
    for each in runs.iterdir():
        if each.name not in ("regression", "interrupted"):
            shutil.rmtree(each)
    os.utime(runs / "interrupted", (4e9, 4e9))
    assert dlcli("runs", str(runs.relative_to(Path.cwd()))).stdout == (
        "runs: 2 runs\n\n"
        "run          date        target  result     rows\n"
        "interrupted  2096-10-02  price                    unfinished\n"
        f"regression   {DATE}  price   R² 0.4993  test\n\n"
        "interrupted: resume with: dlcli train --resume runs/interrupted\n"
    )


DATE = json.loads((CORPUS / "regression" / "manifest.json").read_text())["created"][:10]


def test_a_running_training_is_listed_and_not_removed(dlcli):
    with RunWriter(Path("runs/interrupted")).locked():
        run = listed(dlcli)["interrupted"]
        assert (run["state"], run["note"]) == ("running", f"process {os.getpid()}")
        result = dlcli("runs", "--remove", "runs/interrupted", "--yes")
    assert (result.exit_code, result.stderr) == (
        5,
        f"error: runs/interrupted: process {os.getpid()} is training it, so it is not removed\n",
    )
    assert Path("runs/interrupted").is_dir()


def test_the_page_has_a_sortable_list_and_a_chart_for_each_target(dlcli):
    result = dlcli("runs", "--output", "runs.html")
    assert result.exit_code == 0, result.stderr
    page = Path("runs.html").read_text(encoding="utf-8")
    assert '<table class="sortable">' in page
    assert "<figcaption>Loss: price</figcaption>" in page
    assert re.search(r"regression from [0-9.]+ to [0-9.]+", page)
    assert "interrupted: resume with: dlcli train --resume runs/interrupted" in page


def test_a_part_of_a_run_that_is_being_trained_is_not_removed(dlcli):
    shutil.copytree("runs/regression", "runs/interrupted/best")
    with RunWriter(Path("runs/interrupted")).locked():
        result = dlcli("runs", "--remove", "runs/interrupted/best", "--yes")
    assert (result.exit_code, Path("runs/interrupted/best").is_dir()) == (5, True)


def test_a_folder_with_the_manifest_of_another_program_is_not_removed(dlcli):
    Path("runs/no_run/manifest.json").write_text('{"manifest_version": 3}')
    result = dlcli("runs", "--remove", "runs/no_run", "--yes")
    assert (result.exit_code, Path("runs/no_run").is_dir()) == (5, True)


def test_runs_are_removed(dlcli, runs):
    chosen = ["--remove", "runs/classes", "--remove", "runs/interrupted"]
    result = dlcli("runs", *chosen, "--yes")
    assert result.stdout == "removed: runs/classes\nremoved: runs/interrupted\n"
    assert {each.name for each in runs.iterdir()} == {
        *(NAMES - {"classes", "interrupted"}),
        "damaged",
        "no_run",
    }


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--remove", "runs/classes"], 2, "--remove requires --yes if nobody can confirm it"),
        (
            ["--remove", "runs/classes", "--remove", "runs/no_run", "--yes"],
            5,
            "runs/no_run: is not a run folder, so it is not removed",
        ),
        (["--sort", "rms"], 2, "unknown metric 'rms'; did you mean 'rmse'?"),
        (["nowhere"], 2, "nowhere: is not a folder; name the folder of your runs"),
    ],
)
def test_mistakes_are_refused(dlcli, runs, arguments, code, message):
    result = dlcli("runs", *arguments)
    assert (result.exit_code, message in result.stderr) == (code, True), result.stderr
    assert (runs / "classes").is_dir()
