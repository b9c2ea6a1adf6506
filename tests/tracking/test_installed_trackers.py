"""Trackers of installed packages: the example of the documentation, and packages with mistakes."""

from __future__ import annotations

import csv
import sys
import tomllib
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

import dlcli
from dlcli.cli.program import main
from dlcli.errors import UsageError
from dlcli.tracking.installed_trackers import find_tracker, open_tracker, tracker_packages

PAGE = Path(__file__).parents[2] / "docs" / "tracking.md"
CONFIG = {
    "data": {"target": "y", "validation": 0.25},
    "hidden": [],
    "metrics": ["mae"],
    "epochs": 3,
}
TABLE = {"x": [*range(20)], "y": [2 * x for x in range(20)]}


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package of one module with entry points, as pip does."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))

    def install(name, code, trackers):
        module = name.replace("-", "_")
        info = tmp_path / "site" / f"{module}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = [f"{key} = {value}" for key, value in trackers.items()]
        (info / "entry_points.txt").write_text("\n".join(["[dlcli.trackers]", *lines]))
        (tmp_path / "site" / f"{module}.py").write_text(code)
        monkeypatch.delitem(sys.modules, module, raising=False)

    return install


def block(start):
    """A block of code of the page, by its first line."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(f"{start}\n")
    return rest.partition("```")[0]


def rows(path):
    with path.open(newline="") as file:
        return [*csv.DictReader(file)]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::dlcli.DataWarning")  # as the rows are few
def test_the_package_of_the_documentation_tracks_a_training(install, tmp_path):
    project = tomllib.loads(block("# pyproject.toml"))["project"]
    code = block("# dlcli_curves.py")
    install(project["name"], code, project["entry-points"]["dlcli.trackers"])
    found = []
    run = dlcli.train(CONFIG, TABLE, output="line", trackers="curves", progress=found.append)
    curves, history = (rows(tmp_path / "line" / name) for name in ("curves.csv", "history.csv"))
    assert [row["epoch"] for row in curves] == ["1", "2", "3"]
    assert [float(row["val_loss"]) for row in curves] == [float(row["val_loss"]) for row in history]
    assert run.path == Path("line")
    assert [event.place for event in found if isinstance(event, dlcli.events.TrackingEvent)] == [
        "line/curves.csv"
    ]


def test_names_are_completed_and_listed_with_their_package(install):
    install("dlcli-curves", "", {"curves": "dlcli_curves:Curves"})
    packages = {"curves": ["dlcli-curves 1.0"], "mlflow": ["dlcli"], "tensorboard": ["dlcli"]}
    assert tracker_packages() == packages | {"wandb": ["dlcli"]}
    completion = ShellComplete(main, {}, "dlcli", "_DLCLI_COMPLETE")
    found = completion.get_completions(["train", "a.yaml", "--tracker"], "cu")
    assert [each.value for each in found] == ["curves"]


def test_an_unknown_name_is_an_error_with_the_known_ones(install, monkeypatch):
    with pytest.raises(UsageError) as raised:
        find_tracker("neptune")
    assert str(raised.value) == (
        "no tracker is named 'neptune'; there are mlflow, tensorboard, wandb; install the package "
        "that provides it"
    )
    with pytest.raises(UsageError, match="; did you mean 'mlflow'[?]$"):
        find_tracker("mlfow")


def test_a_name_of_two_packages_is_an_error(install):
    install("first", "", {"wandb": "first:Tracker"})
    with pytest.raises(UsageError) as raised:
        find_tracker("wandb")
    assert str(raised.value) == (
        "the tracker 'wandb' is provided by dlcli and first 1.0; uninstall all but one of them"
    )


ABSTRACT = "from dlcli import Tracker\nclass Curves(Tracker):\n    name = 'Curves'\n"


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import no_such_package", "can't be started: ModuleNotFoundError: No module named 'no_su"),
        ("x = 1", "can't be started: AttributeError: module 'dlcli_curves' has no attribute"),
        (ABSTRACT, "can't be started: TypeError: Can't instantiate abstract class Curves"),
        ("Curves = dict", "is not a subclass of dlcli.Tracker: dlcli_curves:Curves"),
    ],
)
def test_a_package_that_cant_be_used_is_an_error_before_training(code, message, install):
    install("dlcli-curves", code, {"curves": "dlcli_curves:Curves"})
    with pytest.raises(UsageError) as raised:
        open_tracker("curves")
    assert str(raised.value).startswith(f"the tracker 'curves' of dlcli-curves 1.0 {message}")


def test_an_argument_that_names_no_trackers_is_an_error():
    with pytest.raises(UsageError) as raised:
        dlcli.train(CONFIG, TABLE, trackers=[1])
    assert str(raised.value) == (
        "trackers: expected names of trackers, or objects of subclasses of dlcli.Tracker, got list"
    )
