"""Suites of choosing by experiment: cross-validation and search, beside plain Keras scripts.

All is whole processes, from the shell's prompt to the shell's prompt. The configs are the shipped
ones, with their own epochs and early stopping. A search of dlcli also judges the config as given,
trains that and what it has found in full, and stores all of it; a Keras script prints a line.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from benchmarks.processes import ROOT, output, wall_seconds
from benchmarks.runner import Case, Figures
from benchmarks.tasks import Candidate, Layer, Task
from benchmarks.whole import DLCLI
from dlcli.config import Config, ConfigFile, CosineDecay, candidate, load_config
from dlcli.config.training_choices import AdamW

TABLES = ("iris", "breast_cancer", "digits")
"""Names of shipped configs."""
FOLDS = 5
TRIALS = 50
OURS_CV, LOOP_CV = "dlcli cv", "Keras loop over folds"
OURS, LOOP, TUNER = "dlcli tune", "Keras loop over candidates", "KerasTuner"
SPACE = (
    "{optimizer.learning_rate: {low: 1.0e-4, high: 1.0e-1, log: true}, "
    "hidden: {layers: {low: 1, high: 4}, units: [16, 32, 64, 128], "
    "activation: [relu, gelu, tanh], dropout: {low: 0.0, high: 0.5}}, "
    "batch_size: [32, 64, 128]}"
)
"""What is searched; `keras_tuner_search` has it in KerasTuner's words."""


@dataclass(frozen=True)
class Choice:
    """What is chosen from, and how much work that is."""

    config: str
    """The name of a shipped config."""
    folds: int = FOLDS
    """Of cross-validation."""
    trials: int = TRIALS
    """Of a search."""
    settings: tuple[str, ...] = ()
    """What else is changed of the config."""

    @property
    def path(self) -> Path:
        """The config."""
        return ROOT / "configs" / f"{self.config}.yaml"

    @property
    def search_settings(self) -> tuple[str, ...]:
        """The config's, with what is searched: by lot, and none given up before its end."""
        tune = f"tune={{trials: {self.trials}, sampler: random, pruner: none, space: {SPACE}}}"
        return (*self.settings, tune)


def cv_cases(choice: Choice, folder: Path) -> Iterator[Case]:
    """Yields a cross-validation by dlcli and by a plain Keras script.

    Args:
        choice: what to judge.
        folder: a place for runs.
    """
    runs = (folder / f"cv-{choice.config}-{number}" for number in count())
    task = folder / f"cv-{choice.config}.json"
    task_of(load_config(choice.path, choice.settings), choice.folds).write(task)
    yield Case(OURS_CV, partial(_cross_validate, choice, runs))
    yield Case(LOOP_CV, partial(_script, sys.executable, "keras_cv", task))


def search_cases(choice: Choice, folder: Path, rivals_python: str) -> Iterator[Case]:
    """Yields a search by dlcli, and by plain Keras scripts and KerasTuner, if that is installed.

    The Keras script tries the candidates that dlcli has tried just before.

    Args:
        choice: what to vary.
        folder: a place for runs.
        rivals_python: the interpreter that may have KerasTuner.
    """
    runs = (folder / f"tune-{choice.config}-{number}" for number in count())
    task = folder / f"tune-{choice.config}.json"
    yield Case(OURS, partial(_search, choice, runs, task))
    yield Case(LOOP, partial(_script, sys.executable, "keras_search", task))
    if has_tuner(rivals_python):
        yield Case(TUNER, partial(_script, rivals_python, "keras_tuner_search", task))


def has_tuner(python: str) -> bool:
    """Whether an interpreter has KerasTuner."""
    find = "import importlib.util as u; print(u.find_spec('keras_tuner') is not None)"
    return output([python, "-c", find]).strip() == "True"


def task_of(file: ConfigFile, folds: int = FOLDS) -> Task:
    """A config as plain data: one of classes in a CSV file, of which rows are held out."""
    config = file.config
    data, schedule, optimizer = config.data, config.learning_rate_schedule, config.optimizer
    assert isinstance(data.train, str) and isinstance(data.target.column, str)
    assert isinstance(data.test, float) and isinstance(data.validation, float)
    assert config.early_stopping is not None
    return Task(
        table=str(file.path.parent / data.train),
        target=data.target.column,
        test=data.test,
        validation=data.validation,
        folds=folds,
        optimizer=optimizer.name,
        weight_decay=optimizer.weight_decay if isinstance(optimizer, AdamW) else 0.0,
        warmup_epochs=schedule.warmup_epochs if isinstance(schedule, CosineDecay) else None,
        is_balanced=config.class_weight == "balanced",
        metrics=config.metrics or (),
        epochs=config.epochs,
        patience=config.early_stopping.patience,
        candidates=(candidate_of(config),),
    )


def candidate_of(config: Config) -> Candidate:
    """What a search varies of a config, as plain data."""
    hidden = tuple(
        Layer(
            layer.units,
            layer.activation.name,
            layer.dropout,
            layer.batch_normalization.momentum if layer.batch_normalization else None,
        )
        for layer in config.hidden
    )
    return Candidate(hidden, config.optimizer.learning_rate, config.batch_size)


def _cross_validate(choice: Choice, runs: Iterator[Path]) -> Figures:
    run = next(runs)
    folds = ("--folds", str(choice.folds))
    seconds = _dlcli("cv", choice.path, *folds, *_set(choice.settings), "--output", run)
    found = _read(run / "cv.json")
    trained = [fold["seconds"] for fold in found["results"]]
    return {"wall_seconds": seconds, "training_seconds": sum(trained)}


def _search(choice: Choice, runs: Iterator[Path], task: Path) -> Figures:
    """Searches, and writes what was tried as the task of others."""
    run = next(runs)
    seconds = _dlcli("tune", choice.path, *_set(choice.search_settings), "--output", run)
    found = _read(run / "tune.json")
    file = load_config(choice.path, choice.search_settings)
    tried = (candidate(file, trial["values"]).config for trial in found["trials"])
    replace(task_of(file), candidates=tuple(map(candidate_of, tried))).write(task)
    return {"wall_seconds": seconds, "training_seconds": found["seconds"]}


def _script(python: str, module: str, task: Path) -> Figures:
    command: list[str | Path] = [python, "-m", f"benchmarks.rivals.{module}", task]
    start = time.perf_counter()
    printed = output(command).splitlines()
    seconds = time.perf_counter() - start
    return {
        "wall_seconds": seconds,
        "training_seconds": json.loads(printed[-1])["training_seconds"],
    }


def _dlcli(*arguments: str | Path) -> float:
    return wall_seconds([*DLCLI, *arguments, "--quiet"])


def _set(settings: tuple[str, ...]) -> Iterator[str]:
    for setting in settings:
        yield from ("--set", setting)


def _read(path: Path) -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads(path.read_text("utf-8"))
    return document
