"""`dlcli train --tensorboard` and `--mlflow`: what they ask for, and what is missing for them."""

from __future__ import annotations

from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from dlcli.errors import TrainingError, UsageError, require_packages
from dlcli.runs.run_folder import open_run
from tests.cli.conftest import make_run
from tests.cli.test_cli_imports import assert_loads

CONFIG = "data: {train: line.csv, target: y}\nhidden: []\nepochs: 1\n"


@pytest.fixture
def used(folder, monkeypatch):
    """The trackers of each training."""
    Path("line.csv").write_text("x,y\n0,0\n1,1\n2,2\n3,3\n")
    Path("line.yaml").write_text(CONFIG)
    names = []

    @contextmanager
    def tracked(trackers, listener):
        names.append(trackers)
        yield listener

    def train(*given, finish):
        make_run("line", kernel=1, bias=0)
        return open_run(Path("runs/line"))

    monkeypatch.setattr("dlcli.tracking.tracked_events.tracked", tracked)
    monkeypatch.setattr("dlcli.pipeline.train_run.train", train)
    return names


@pytest.mark.parametrize(
    ("options", "trackers"),
    [
        ([], ()),
        (["--tensorboard"], ("tensorboard",)),
        (["--mlflow"], ("mlflow",)),
        (["--mlflow", "--tensorboard"], ("tensorboard", "mlflow")),
        (["--mlflow", "--tracker", "tensorboard"], ("mlflow", "tensorboard")),
    ],
)
@pytest.mark.parametrize("what", [["line.yaml"], ["--resume", "runs/line"]])
def test_the_trackers_of_the_options_are_used(what, options, trackers, used, dlcli):
    result = dlcli("train", *what, *options)
    assert result.exit_code == 0, result.output
    assert result.output.endswith("\n\nrun: runs/line\nreport: dlcli report runs/line\n")
    assert used == [trackers]


@pytest.mark.parametrize("verb", ["cv", "tune"])
@pytest.mark.usefixtures("used")
def test_folds_and_trials_are_tracked_too(verb, used, dlcli, monkeypatch):
    def ended(*_):
        raise TrainingError("enough")

    monkeypatch.setattr("dlcli.pipeline.cross_validation.cross_validate", ended)
    monkeypatch.setattr("dlcli.pipeline.search.tune", ended)
    assert dlcli(verb, "line.yaml", "--tensorboard", "--mlflow").exit_code == 4
    assert used == [("tensorboard", "mlflow")]


def missing(package):
    return lambda name: None if name == package else find_spec(name)


@pytest.mark.parametrize("name", ["tensorboard", "mlflow"])
def test_a_missing_package_is_reported_before_anything_else(name, folder, monkeypatch, dlcli):
    monkeypatch.setattr("dlcli.errors.find_spec", missing(name))
    result = dlcli("train", "no-such.yaml", f"--{name}")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"error: --{name} needs the package {name}, which is not installed; install it in the "
        f"folder of dlcli's source: pip install '.[{name}]'\n"
    )


def test_an_unknown_tracker_is_reported_before_anything_else(folder, dlcli):
    result = dlcli("train", "no-such.yaml", "--tracker", "tensorbord")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("error: no tracker is named 'tensorbord'")


def test_a_folder_with_the_name_of_a_package_is_not_a_package(folder, monkeypatch):
    Path("tensorbird").mkdir()
    monkeypatch.syspath_prepend(str(folder))
    with pytest.raises(UsageError, match="^--board needs the package tensorbird"):
        require_packages("--board", "tensorboard", "tensorbird")


@pytest.mark.slow
@pytest.mark.usefixtures("folder")
def test_a_package_is_searched_for_and_not_loaded():
    heavy = {"tensorboard", "mlflow", "tensorflow", "pyarrow"}
    assert_loads(["train no-such.yaml --tensorboard --mlflow"], 2, heavy)
