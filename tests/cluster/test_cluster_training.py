"""Workers of this machine, as real processes, against a training in one process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from benchmarks.forked import Ended
from tests.forks import Forks

pytestmark = pytest.mark.slow
_ROOT = Path(__file__).parents[2]
REGRESSION = """
seed: 3
data: {train: table.csv, validation: 0.25, target: price, sample_weight: weight}
input:
  features:
    size: numeric
    age: {type: numeric, encoding: periodic}
    color: categorical
    shop: {type: categorical, encoding: embedding}
hidden: [{units: 7, activation: tanh, dropout: 0.3, kernel_regularizer: {name: l2, l2: 0.01}}]
metrics: [r2]
optimizer: {name: adam, learning_rate: 0.01, clipnorm: 0.5}
learning_rate_schedule: {name: reduce_on_plateau, monitor: loss, patience: 1, factor: 0.5}
early_stopping: {monitor: val_loss, patience: 2, restore_best_weights: true}
batch_size: 16
epochs: 5
"""
CLASSES = """
seed: 4
data: {train: table.csv, validation: 0.25, target: color}
input:
  features: {size: numeric, age: numeric, shop: {type: categorical, encoding: embedding}}
hidden: [{units: 6, activation: relu, batch_normalization: true, dropout: 0.2}]
metrics: [accuracy, f1]
class_weight: balanced
optimizer: {name: sgd, learning_rate: 0.05, momentum: 0.9}
batch_size: 7
epochs: 3
"""
ENSEMBLE = """
seed: 5
data: {train: table.csv, target: sold}
input: {features: {size: numeric, age: numeric}}
hidden: [{units: 4, activation: relu}]
metrics: [auc]
optimizer: sgd
ensemble: {members: 2, folds: 2}
batch_size: 1
epochs: 2
"""
RATES = """
seed: 6
data: {train: table.csv, validation: 0.25, target: {column: weight, type: numeric}, exposure: age}
input: {features: {size: numeric, color: categorical}}
hidden: [{units: 5, activation: tanh}]
loss: {name: tweedie, power: 1.4}
metrics: [tweedie_deviance, d2]
batch_size: 16
epochs: 3
"""
QUANTILES = """
seed: 7
data: {train: table.csv, validation: 0.25, target: price, sample_weight: weight}
input: {features: {size: {type: numeric, monotone: decreasing}, color: categorical}}
hidden: [{units: 5, activation: tanh}]
loss: {name: quantile, levels: [0.1, 0.5, 0.9]}
metrics: [pinball_loss, coverage]
batch_size: 7
epochs: 3
"""


def _write_table(folder: Path, rows: int = 71) -> None:
    rng = np.random.default_rng(2)
    lines = ["size,age,color,shop,sold,weight,price"]
    for row in range(rows):
        size, age, color = rng.normal(), rng.uniform(0, 9), rng.choice(["red", "green", "blue"])
        price = 3 * size + age + len(color) + 0.1 * rng.normal()
        sold = "yes" if price + rng.normal() > 8 else "no"
        given = f"{size:.4f},{age:.4f},{color},s{row % 6},{sold}"
        lines.append(f"{given},{1 + row % 2},{price:.4f}")
    (folder / "table.csv").write_text("\n".join(lines) + "\n")


def test_workers_train_what_one_process_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forks: Forks
) -> None:
    """In float64, so that only the order of additions differs; batches of 1 leave workers idle."""
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    _write_table(tmp_path)
    configs = {"a": REGRESSION, "b": CLASSES, "c": ENSEMBLE, "d": RATES, "e": QUANTILES}
    for name, text in configs.items():
        (tmp_path / f"{name}.yaml").write_text(text)

    ended = forks.run(str(tmp_path), "abcde", "abcde", module="tests.cluster.train_together")

    assert ended.code == 0, ended.errors
    for name in configs:
        _compare(tmp_path, name)


def _compare(folder: Path, name: str) -> None:
    expected = np.load(folder / f"{name}-1-0.npz")
    single = json.loads((folder / f"{name}-1-0.json").read_text())
    stored = [folder / f"{name}-2-{rank}.npz" for rank in range(2)]
    assert len({path.read_bytes() for path in stored}) == 1  # the same bits everywhere
    found = np.load(stored[0])
    assert [*found] == [*expected]
    for weight in expected:
        assert found[weight].dtype == np.float64
        np.testing.assert_allclose(found[weight], expected[weight], rtol=0, atol=1e-9)
    found_log = json.loads(stored[0].with_suffix(".json").read_text())
    assert [*found_log["history"]] == [*single["history"]]
    for column, values in single["history"].items():
        np.testing.assert_allclose(found_log["history"][column], values, rtol=1e-6)
    np.testing.assert_allclose(found_log["predictions"], single["predictions"], rtol=0, atol=1e-9)


LONG = """
name: long
data: {train: table.csv, validation: 0.25, target: sold}
class_weight: balanced
decision: {maximize: f1}
input: {features: {size: numeric, age: numeric, color: categorical}}
hidden: [{units: 8, activation: relu, dropout: 0.2}]
optimizer: {name: sgd, momentum: 0.9}
metrics: []
batch_size: 8
checkpoint: {seconds: 0.1}
epochs: 50
"""


@contextmanager
def _dlcli(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "dlcli", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(_ROOT)}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=folder, env=environment, text=True, stderr=pipe, stdout=pipe
    ) as process:
        yield process


def _children(process: int) -> list[int]:
    return [
        int(child)
        for task in Path(f"/proc/{process}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_killed_worker_ends_all_and_the_training_resumes_to_the_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forks: Forks
) -> None:
    monkeypatch.chdir(tmp_path)
    _write_table(tmp_path)
    (tmp_path / "long.yaml").write_text(LONG)
    train = ("train", "long.yaml", "--workers", "2", "-o")
    with _dlcli(tmp_path, *train, "killed", "--json") as killed:
        assert killed.stdout is not None
        for line in killed.stdout:
            if '"epoch"' in line and json.loads(line).get("epoch", 0) >= 8:
                break
        workers = _children(killed.pid)
        assert len(workers) == 2
        os.kill(max(workers), signal.SIGKILL)
        started = time.monotonic()
        _, errors = killed.communicate(timeout=90)
    assert time.monotonic() - started < 60
    assert killed.returncode == 4
    assert (
        "error: another worker ended" in errors and "worker 1 was terminated by SIGKILL" in errors
    )
    assert errors.count("resume with: dlcli train --resume killed") == 1
    assert "Traceback" not in errors
    assert not (tmp_path / "killed" / "manifest.json").exists()

    def run(name: str) -> Ended:
        in_workers = forks.start(
            *("2", *train, name),
            module="tests.cluster.forked_workers",
            patches={"dlcli.pipeline.baselines.UPDATES": 20},  # steps of the linear model
        )
        return in_workers.end()

    # The same command as before, as a scheduler gives it to each worker, resumes the named run.
    whole, resumed = run("whole"), run("killed")
    assert (whole.code, resumed.code) == (0, 0), whole.errors + resumed.errors
    assert "resumed" in resumed.errors and "resumed" not in whole.errors
    for name in ("weights.npz", "history.csv", "decision.json", "metrics.json"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    environment = json.loads((tmp_path / "whole" / "environment.json").read_text())
    assert environment["workers"] == 2
