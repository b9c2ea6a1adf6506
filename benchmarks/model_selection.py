"""Suites of cross-validation and hyperparameter search, compared with plain Keras scripts.

Whole processes are measured, with the shipped configs, including their epochs and early stopping. A
search of dlcli also evaluates the original config, trains it and the selected configs in full, and
saves everything; a Keras script prints a line.
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

from benchmarks.processes import DLCLI, ROOT, output, wall_seconds
from benchmarks.runner import Case, Figures
from benchmarks.tasks import Candidate, Layer, Task
from dlcli.config.config_file import ConfigFile, load_config
from dlcli.config.config_schema import Config
from dlcli.config.search_space import candidate
from dlcli.config.training_choices import AdamW, CosineDecay

TABLES = ("iris", "breast_cancer", "digits")
"""Names of shipped configs."""
FOLDS = 5
TRIALS = 50
DLCLI_CV, KERAS_CV = "dlcli cv", "Keras loop over folds"
JOBS = 2
DLCLI_TUNE, DLCLI_TUNE_JOBS = "dlcli tune", f"dlcli tune --jobs {JOBS}"
KERAS_TUNE, TUNER = "Keras loop over candidates", "KerasTuner"
SPACE = (
    "{optimizer.learning_rate: {low: 1.0e-4, high: 1.0e-1, log: true}, "
    "hidden_layers: {number: {low: 1, high: 4}, units: [16, 32, 64, 128], "
    "activation: [relu, gelu, tanh], dropout: {low: 0.0, high: 0.5}}, "
    "batch_size: [32, 64, 128]}"
)
"""The search space; `keras_tuner_search` defines the same for KerasTuner."""


@dataclass(frozen=True)
class Selection:
    """A config to cross-validate and to search from, and the amount of work."""

    config: str
    """Name of a shipped config."""
    folds: int = FOLDS
    trials: int = TRIALS
    settings: tuple[str, ...] = ()
    """Further changes to the config, as for `--set`."""

    @property
    def path(self) -> Path:
        """The config file."""
        return ROOT / "configs" / f"{self.config}.yaml"

    @property
    def search_settings(self) -> tuple[str, ...]:
        """The settings with a random search that prunes no trial."""
        tune = f"tune={{trials: {self.trials}, sampler: random, pruner: none, space: {SPACE}}}"
        return (*self.settings, tune)


def cv_cases(selection: Selection, folder: Path) -> Iterator[Case]:
    """Yield a cross-validation by dlcli and by a plain Keras script.

    Args:
        selection: the config and the folds.
        folder: for the runs.
    """
    runs = (folder / f"cv-{selection.config}-{number}" for number in count())
    task = folder / f"cv-{selection.config}.json"
    task_of(load_config(selection.path, selection.settings), selection.folds).write(task)
    yield Case(DLCLI_CV, partial(_cross_validate, selection, runs))
    yield Case(KERAS_CV, partial(_script, sys.executable, "keras_cv", task))


def search_cases(selection: Selection, folder: Path, rivals_python: str) -> Iterator[Case]:
    """Yield a search by dlcli, by a plain Keras script and by KerasTuner, if it is installed.

    dlcli searches in one and in several processes, which try the same candidates. The Keras script
    trains the candidates of the preceding search.

    Args:
        selection: the config and the number of trials.
        folder: for the runs.
        rivals_python: the interpreter that may have KerasTuner.
    """
    runs = (folder / f"tune-{selection.config}-{number}" for number in count())
    task = folder / f"tune-{selection.config}.json"
    yield Case(DLCLI_TUNE, partial(_search, selection, runs, task))
    yield Case(DLCLI_TUNE_JOBS, partial(_search, selection, runs, task, "--jobs", str(JOBS)))
    yield Case(KERAS_TUNE, partial(_script, sys.executable, "keras_search", task))
    find = "import importlib.util as u; print(u.find_spec('keras_tuner') is not None)"
    if output([rivals_python, "-c", find]).strip() == "True":
        yield Case(TUNER, partial(_script, rivals_python, "keras_tuner_search", task))


def task_of(file: ConfigFile, folds: int = FOLDS) -> Task:
    """Convert a config to a task; it has classes in a CSV file, and shares of held-out rows."""
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
    """Return the settings of a config that a search varies."""
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


def _cross_validate(selection: Selection, runs: Iterator[Path]) -> Figures:
    run = next(runs)
    folds = ("--folds", str(selection.folds))
    seconds = _dlcli("cv", selection.path, *folds, *_set(selection.settings), "--output", run)
    result = _read(run / "cv.json")
    training_seconds = sum(fold["seconds"] for fold in result["results"])
    return {"wall_seconds": seconds, "training_seconds": training_seconds}


def _search(selection: Selection, runs: Iterator[Path], task: Path, *options: str) -> Figures:
    """Search, and write the candidates that were tried as a task for the rivals."""
    run = next(runs)
    settings = selection.search_settings
    seconds = _dlcli("tune", selection.path, *_set(settings), *options, "--output", run)
    result = _read(run / "tune.json")
    file = load_config(selection.path, settings)
    configs = (candidate(file, trial["values"]).config for trial in result["trials"])
    replace(task_of(file), candidates=tuple(map(candidate_of, configs))).write(task)
    return {"wall_seconds": seconds, "training_seconds": result["seconds"]}


def _script(python: str, module: str, task: Path) -> Figures:
    command: list[str | Path] = [python, "-m", f"benchmarks.rivals.{module}", task]
    start = time.perf_counter()
    lines = output(command).splitlines()
    seconds = time.perf_counter() - start
    printed = json.loads(lines[-1])
    figures = {name: printed[name] for name in ("training_seconds", "epochs") if name in printed}
    return {"wall_seconds": seconds, **figures}


def _dlcli(*arguments: str | Path) -> float:
    return wall_seconds([*DLCLI, *arguments, "--quiet"])


def _set(settings: tuple[str, ...]) -> Iterator[str]:
    for setting in settings:
        yield from ("--set", setting)


def _read(path: Path) -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads(path.read_text("utf-8"))
    return document
