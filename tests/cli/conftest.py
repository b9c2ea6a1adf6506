"""Runs whose weights are set by hand, so that no test of a command has to train."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from dlcli.cli.program import main
from dlcli.pipeline.fit import LOG_LEVEL
from tests.catalogue import hand_made

DOUBLE = """\
data: {train: points.csv, target: y}
input: {features: {x: numeric, id: ignored}, scaling: none}
hidden: []
output: {scaling: none}
epochs: 1
"""
"""y = 2x + 1."""
POINTS = "id,x,y\na,0,1\nb,1,3\nc,2,4\n"

PETS = """\
data: {train: pets.csv, target: pet}
input: {features: [x], scaling: none}
hidden: []
epochs: 1
"""
"""The probability of a dog is sigmoid(x): of -50 none, of 0 a half, of 50 all."""
PET_ROWS = "x,pet\n-50,cat\n0,cat\n50,dog\n50,cat\n"


COLORS = """\
data: {train: colors.csv, validation: new.csv, target: y}
input: {features: {"?": categorical, day: {type: datetime, parts: [elapsed]}}}
hidden: []
epochs: 1
"""
"""The columns a to g are all red, on the days of January 2024."""


def make_run(name: str, kernel: float | Sequence[float], bias: float) -> None:
    """Make runs/NAME out of NAME.yaml, with the weights of one layer of one unit."""
    weights = {"output/kernel": np.reshape(kernel, (-1, 1)), "output/bias": [bias]}
    hand_made.make_run(Path(f"{name}.yaml").read_text(encoding="utf-8"), name, weights)


@pytest.fixture(autouse=True)
def silence(monkeypatch):
    """Undo what `-v` sets, or later tests would print TensorFlow's log."""
    monkeypatch.setenv(LOG_LEVEL, "")
    monkeypatch.delenv(LOG_LEVEL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def double(folder):
    """runs/double, which was trained on points.csv."""
    Path("points.csv").write_text(POINTS)
    Path("double.yaml").write_text(DOUBLE)
    make_run("double", kernel=2, bias=1)


@pytest.fixture
def pets(folder):
    """runs/pets, which was trained on pets.csv."""
    Path("pets.csv").write_text(PET_ROWS)
    Path("pets.yaml").write_text(PETS)
    make_run("pets", kernel=1, bias=0)


@pytest.fixture
def colors(folder):
    """runs/colors, and new.csv of February: a is blue in the first row only, b in two, g in 7."""
    header = "a,b,c,d,e,f,g,day,y"
    red = [f"{'red,' * 7}2024-01-{day:02},{day}" for day in range(1, 32)]
    Path("colors.csv").write_text("\n".join([header, *red]) + "\n")
    new = [",".join("blue" if row <= at else "red" for at in range(7)) for row in range(7)]
    rows = [f"{colors},2024-02-01,1" for colors in new]
    Path("new.csv").write_text("\n".join([header, *rows]) + "\n")
    Path("colors.yaml").write_text(COLORS)
    make_run("colors", kernel=[0] * 8, bias=0)


@pytest.fixture
def dlcli():
    """Call a command in this process."""

    def call(*arguments, text=None):
        return CliRunner().invoke(main, list(arguments), input=text)

    return call


@pytest.fixture
def program():
    """The command line of a process of its own."""
    return [sys.executable, "-m", "dlcli"]
