"""Searches whose candidates are trained by two workers together, against those of one process."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.forked import Ended
from dlcli.config.search_space import Value
from dlcli.pipeline.search_plan import SearchContext
from dlcli.pipeline.search_trials import join_trial
from tests.cluster.test_cluster_training import _write_table
from tests.forks import Forks

pytestmark = pytest.mark.slow
CONFIG = """
name: together
data: {train: table.csv, validation: 0.2, test: 0.2, target: price}
input: {features: {size: numeric, age: numeric, color: categorical}}
hidden: [{units: 8, activation: relu, dropout: 0.2}]
optimizer: {name: sgd, learning_rate: 0.01, momentum: 0.9}
metrics: []
early_stopping: {monitor: val_loss, patience: 3, restore_best_weights: true}
batch_size: 16
epochs: 6
tune:
  folds: 2
  trials: 3
  sampler: grid
  pruner: {name: median, startup_trials: 1, warmup: 0}
  space:
    optimizer.learning_rate: [1.0e+30, 0.01, 1.0e-6]
"""
"""The first candidate diverges, and the third is pruned."""
QUICK: dict[str, object] = {"dlcli.pipeline.baselines.UPDATES": 20}
"""Steps of the linear model."""
Together = Callable[..., Ended]
_joined = 0


def _end_at_second(context: SearchContext, values: Mapping[str, Value]) -> None:
    """Join a trial; in the second one, the process is killed."""
    global _joined  # noqa: PLW0603  (of a process of its own)
    _joined += 1
    if _joined == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    join_trial(context, values)


def _search(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "tune.json").read_text())
    return document


def _results(document: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """What a search found, without times and processes."""
    names = ("number", "state", "values", "value", "folds", "epochs", "metrics", "parameters")
    return [tuple(trial[name] for name in names) for trial in document["trials"]]


@pytest.fixture
def together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forks: Forks) -> Together:
    """Searches of two workers in a folder with a table and a config."""
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    monkeypatch.chdir(tmp_path)
    _write_table(tmp_path)
    (tmp_path / "together.yaml").write_text(CONFIG)

    def run(output: str, **patches: object) -> Ended:
        command = ("2", "tune", "together.yaml", "-o", output, "--workers", "2")
        module = "tests.cluster.forked_workers"
        return forks.start(*command, module=module, patches={**QUICK, **patches}).end()

    return run


def test_workers_search_like_one_process(tmp_path: Path, together: Together, forks: Forks) -> None:
    whole = together("whole")
    alone = forks.start("tune", "together.yaml", "-o", "alone", patches=QUICK).end()
    assert (alone.code, whole.code) == (0, 0), alone.errors + whole.errors

    expected, found = _search(tmp_path / "alone"), _search(tmp_path / "whole")
    assert [trial["state"] for trial in found["trials"]].count("pruned") >= 1
    assert found["trials"][0]["state"] == "failed"
    assert "diverged" in found["trials"][0]["problem"]
    for ours, theirs in zip(found["trials"], expected["trials"], strict=True):
        assert (ours["state"], ours["values"]) == (theirs["state"], theirs["values"])
        assert ours["value"] == (theirs["value"] and pytest.approx(theirs["value"], rel=1e-4))
    assert found["best"] == expected["best"]
    for ours, theirs in zip(found["finalists"], expected["finalists"], strict=True):
        assert ours["metrics"]["rmse"] == pytest.approx(theirs["metrics"]["rmse"], rel=1e-4)
    environment = json.loads((tmp_path / "whole" / "environment.json").read_text())
    assert environment["workers"] == 2


@pytest.mark.release
def test_a_search_resumes_to_the_bit_after_a_worker_was_killed(
    tmp_path: Path, together: Together
) -> None:
    killed = together("killed", **{"dlcli.pipeline.search_trials.join_trial": _end_at_second})
    assert killed.code != 0 and not (tmp_path / "killed" / "tune.json").exists()
    assert "another worker ended" in killed.errors
    assert "dlcli tune --resume killed" in killed.errors

    resumed, whole = together("killed"), together("whole")  # as a scheduler starts workers again
    assert (resumed.code, whole.code) == (0, 0), resumed.errors + whole.errors
    again, found = _search(tmp_path / "killed"), _search(tmp_path / "whole")
    assert _results(again) == _results(found)
    assert again["finalists"] == found["finalists"]
    best = [tmp_path / run / "best" / "weights.npz" for run in ("killed", "whole")]
    assert best[0].read_bytes() == best[1].read_bytes()
