"""Predictions for another frequency of the classes, on the command line and in Python."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import dlcli
from dlcli.cli.program import main
from dlcli.config.config_file import load_config
from dlcli.errors import UsageError
from dlcli.pipeline.train_run import train

CONFIG = """
data: {train: rows.csv, target: {column: y, positive_class: "yes"}, validation: 0.3}
hidden: []
epochs: 1
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with runs: of classes, of numbers, and with a loss that is no proper score."""
    folder = tmp_path_factory.mktemp("prevalence")
    rng = np.random.default_rng(0)
    x = rng.normal(size=90)
    y = np.where(x + rng.normal(size=90) > 1, "yes", "no")
    lines = [f"{a:.3f},{b}" for a, b in zip(x, y, strict=True)]
    (folder / "rows.csv").write_text("\n".join(["x,y", *lines]) + "\n")
    (folder / "c.yaml").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dlcli.pipeline.baselines.is_affordable", lambda network: False)
        train(load_config(folder / "c.yaml"), folder / "classes")
        train(load_config(folder / "c.yaml", ["data.target=x"]), folder / "numbers")
        focal = ["loss=binary_focal_crossentropy"]
        train(load_config(folder / "c.yaml", focal), folder / "focal")
    return folder


@pytest.fixture(autouse=True)
def current(runs, monkeypatch):
    """The folder is the current one."""
    monkeypatch.chdir(runs)


def run_command(*arguments):
    return CliRunner().invoke(main, ["predict", *arguments])


def probabilities(*arguments):
    result = run_command("classes", "rows.csv", *arguments)
    assert result.exit_code == 0, result.stderr
    return np.array(
        [float(row["probability_yes"]) for row in csv.DictReader(result.stdout.splitlines())]
    )


def frequency():
    task = json.loads(Path("classes", "encoding.json").read_text())["task"]
    return task["frequencies"][1]


def test_the_odds_are_multiplied_by_the_ratio_of_the_odds_of_the_frequencies():
    before, after = probabilities(), probabilities("--prevalence", "yes=0.02")
    pi = frequency()
    factor = (0.02 / 0.98) / (pi / (1 - pi))
    assert after / (1 - after) == pytest.approx(factor * before / (1 - before), rel=1e-5)


def test_the_frequency_of_the_training_rows_changes_nothing():
    assert probabilities("--prevalence", f"yes={frequency()!r}") == pytest.approx(probabilities())


def test_python_returns_the_same_probabilities():
    expected = probabilities("--prevalence", "no=0.6")
    model = dlcli.load("classes")
    found = model.predict("rows.csv", prevalence={"no": 0.6}).probabilities[:, 1]
    assert found == pytest.approx(expected)
    rows = [
        {"x": float(row["x"])} for row in csv.DictReader(Path("rows.csv").read_text().splitlines())
    ][:5]
    few = model.predict_rows(rows, prevalence={"no": 0.6})
    assert few.probabilities[:, 1] == pytest.approx(expected[:5])
    batch = model.predict_batch({"x": np.array([row["x"] for row in rows])}, prevalence={"no": 0.6})
    assert batch["probability_yes"] == pytest.approx(expected[:5])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("classes", "--prevalence", "yes"), "expected a class and a share between 0 and 1"),
        (("classes", "--prevalence", "yes=1.5"), "expected a class and a share between 0 and 1"),
        (
            ("classes", "--prevalence", "yes=0.1", "--prevalence", "yes=0.2"),
            "the class yes is given twice",
        ),
        (("classes", "--prevalence", "y=0.1"), "--prevalence y: no such class"),
        (
            ("classes", "--prevalence", "yes=0.1", "--prevalence", "no=0.2"),
            "--prevalence: expected a sum of 1 over all classes, got 0.3",
        ),
        (
            ("classes", "--prevalence", "yes=0.1", "--interval", "0.8"),
            "--prevalence can't be combined with --interval, whose coverage would change",
        ),
        (("numbers", "--prevalence", "yes=0.1"), "--prevalence: requires classes"),
        (
            ("focal", "--prevalence", "yes=0.1"),
            "--prevalence: can't correct the probabilities, because the loss "
            "'binary_focal_crossentropy' does not train",
        ),
    ],
)
def test_an_impossible_prevalence_is_refused(arguments, message):
    run, *options = arguments
    result = run_command(run, "rows.csv", *options)
    assert result.exit_code == 2
    assert message in result.stderr


def test_python_refuses_other_values():
    with pytest.raises(UsageError, match="prevalence: expected a mapping from classes to shares"):
        dlcli.load("classes").predict("rows.csv", prevalence={"yes": 2})


def test_a_folder_is_predicted_with_one_prevalence(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text(Path("rows.csv").read_text())
    output = ("--output", str(tmp_path / "out"), "--quiet")
    first = run_command("classes", str(tmp_path / "in"), *output, "--prevalence", "yes=0.02")
    assert first.exit_code == 0, first.stderr
    with (tmp_path / "out" / "a.csv").open() as lines:
        found = [float(row["probability_yes"]) for row in csv.DictReader(lines)]
    assert found == pytest.approx(probabilities("--prevalence", "yes=0.02"))
    second = run_command("classes", str(tmp_path / "in"), *output)
    assert second.exit_code == 2
    assert "was started with another --prevalence" in second.stderr
