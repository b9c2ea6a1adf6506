"""The shipped examples train to the scores that they promise, and to the bit again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dlcli.columns.value_problems import ValueProblems
from dlcli.runs.run import Run
from dlcli.runs.run_folder import open_run
from dlcli.tables.table_files import read_table
from tests.forks import Forks

ROOT = Path(__file__).parents[2]
LEAST_ON_TEST_ROWS = {
    "bikes": ("r2", 0.88),
    "shoppers": ("auc", 0.88),
    "iris": ("accuracy", 0.93),
    "digits": ("accuracy", 0.96),
    "breast_cancer": ("accuracy", 0.95),
    "tictactoe": ("accuracy", 0.97),
    "penguins": ("accuracy", 0.95),
    "reviews": ("accuracy", 0.75),
    "digits_png": ("accuracy", 0.93),
    "steering": ("r2", 0.9),
    "steering_search": ("r2", 0.9),
    "diabetes": ("r2", 0.4),  # about half of its variance can't be predicted by anything
}
FOR_RELEASES = (
    *("digits", "digits_png", "steering_search", "breast_cancer", "tictactoe", "diabetes"),
    *("bikes", "shoppers"),
)
"""Those that take longest, or train what another one does from other files.

Of the rest, reviews has two classes, too, penguins has categories, and steering has numbers.
"""
QUICKLY = {"digits": ("epochs=14",)}
"""What an example for releases holds its score with, too."""

pytestmark = pytest.mark.slow


Train = Callable[..., Run]


@pytest.fixture(scope="module")
def train_config(forks: Forks) -> Train:
    """Trains away from other tests: a process sets TensorFlow's threads only once."""

    def train(config: Path, output: Path, *overrides: str) -> Run:
        arguments = (str(config), str(output), *overrides)
        ended = forks.run(*arguments, module="tests.project.plain_training")
        assert ended.code == 0, ended.errors
        return open_run(output)

    return train


@pytest.fixture(scope="module")
def train_example(train_config: Train) -> Train:
    def train_named(name: str, output: Path, *overrides: str) -> Run:
        return train_config(ROOT / "configs" / f"{name}.yaml", output, *overrides)

    return train_named


def train_from_the_shell(config: Path, output: Path, *overrides: str) -> Run:
    """Trains in a new process, whose texts hash otherwise, and which prints events alone."""
    settings = [part for override in overrides for part in ("--set", override)]
    command = [sys.executable, "-m", "dlcli", "train", str(config), "--json", "--output"]
    done = subprocess.run(
        [*command, str(output), *settings],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout.splitlines()[-1])["event"] == "result"
    return open_run(output)


def same_bits(some: Run, other: Run) -> bool:
    ours, theirs = some.predictor.weights, other.predictor.weights
    assert list(ours) == list(theirs)
    return all(ours[name].tobytes() == theirs[name].tobytes() for name in ours)


def test_every_example_is_tested_here() -> None:
    names = {path.stem for path in (ROOT / "configs").glob("*.yaml")}

    assert names == {"line", "xor", *LEAST_ON_TEST_ROWS}


@pytest.mark.parametrize(
    ("name", "overrides"),
    [
        *(
            pytest.param(
                name, (), marks=pytest.mark.release if name in FOR_RELEASES else (), id=name
            )
            for name in LEAST_ON_TEST_ROWS
        ),
        *(pytest.param(name, short, id=f"{name} quickly") for name, short in QUICKLY.items()),
    ],
)
def test_an_example_holds_its_score_on_rows_that_it_never_saw(
    name: str, overrides: tuple[str, ...], train_example: Train, tmp_path: Path
) -> None:
    metric, least = LEAST_ON_TEST_ROWS[name]

    score = train_example(name, tmp_path / "run", *overrides).metrics["test"][metric]

    assert isinstance(score, float)
    assert score >= least


def test_line_predicts_its_four_points(train_example: Train, tmp_path: Path) -> None:
    run = train_example("line", tmp_path / "run")

    table = read_table(ROOT / "data" / "line.csv")
    predictions = run.predictor.predict(table, ValueProblems())

    np.testing.assert_allclose(predictions.decoded, [[0], [1], [2], [3]], rtol=0, atol=0.01)


def test_xor_gets_all_four_cases_right(train_example: Train, tmp_path: Path) -> None:
    metrics = train_example("xor", tmp_path / "run").metrics

    assert metrics["train"]["confusion"] == [[2, 0], [0, 2]]


SHORT = ("epochs=3", "hidden[0].dropout=0.2", "hidden[0].batch_normalization=true")


@pytest.fixture(scope="module")
def first(train_example: Train, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return train_example("iris", tmp_path_factory.mktemp("first") / "run", *SHORT)


def test_a_config_trains_to_the_same_weights_again(first: Run, tmp_path: Path) -> None:
    second = train_from_the_shell(ROOT / "configs" / "iris.yaml", tmp_path / "second", *SHORT)

    assert same_bits(first, second)


def test_a_resolved_config_trains_to_the_same_weights_again(
    first: Run, train_config: Train, tmp_path: Path
) -> None:
    second = train_config(first.resolved_path(), tmp_path / "elsewhere" / "second")

    assert same_bits(first, second)
