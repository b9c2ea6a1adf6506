"""A loss that Keras lacks needs its section with a formula, and its metric: the whole way."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
from dataclasses import replace
from types import MappingProxyType
from dlcli.metrics import definitions
from dlcli.metrics.metric import MeanOf, Metric, quantile_center

PINBALL = Metric(
    "pinball_loss",
    higher_is_better=False,
    forms={"numbers": MeanOf(lambda rows: abs(rows.errors) / 2)},
    of_loss=True,
)
definitions.METRICS = MappingProxyType({**definitions.METRICS, PINBALL.name: PINBALL})

import numpy as np
from dlcli.config.training_choices import _Loss

class Pinball(_Loss, name="pinball"):
    '''A loss of a quantile.'''

    quantile: float = 0.5
    '''The quantile.'''

    def formula(self, true, output):
        error = true - output
        return np.maximum(self.quantile * error, (self.quantile - 1) * error)

    @property
    def comparison_metric(self):
        return PINBALL.by_formula(self.formula, quantile_center(self.quantile))

from dlcli.__main__ import run
run()
"""
CONFIG = """
data: {train: t.csv, target: {column: y, type: numeric}, validation: 0.25, test: 0.25}
hidden: []
loss: {name: pinball, quantile: 0.9}
metrics: [pinball_loss]
epochs: 3
"""


@pytest.mark.slow
def test_a_loss_of_a_formula_is_trained_compared_and_exported(tmp_path):
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "c.yaml").write_text(CONFIG)
    lines = [f"{at % 7},{at % 11}" for at in range(80)]
    (tmp_path / "t.csv").write_text("\n".join(["x,y", *lines]))

    def run(*arguments):
        command = [sys.executable, "program.py", *arguments]
        environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("train", "c.yaml", "-q", "-o", "run")
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    header, *_, last = (tmp_path / "run" / "history.csv").read_text().split()
    history = dict(zip(header.split(","), map(float, last.split(",")), strict=True))
    assert history["val_pinball_loss"] == pytest.approx(metrics["validation"]["pinball_loss"])
    constant = json.loads((tmp_path / "run" / "baselines.json").read_text())["constant"]["train"]
    # The constant is the quantile of 0.9: above 9 of 10 rows, which lie evenly from 0 to 10.
    assert constant["mae"] == pytest.approx(4.3, abs=0.5)
    run("export", "run", "--format", "python", "-o", "script")
    script = (tmp_path / "script" / "train.py").read_text()
    assert "def pinball(true, output):" in script
    # The script reads its table by pandas, which tests hide from dlcli.
    environment = {"PATH": "/usr/bin:/bin"}
    command = [sys.executable, "train.py"]
    subprocess.run(command, cwd=tmp_path / "script", env=environment, check=True)
