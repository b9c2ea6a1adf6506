"""Cross-validations and searches with everything that a page shows, written by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from dlcli.metrics.intervals import Estimate
from dlcli.prediction.baseline_comparison import BaselineDifference
from dlcli.runs.documents import (
    CrossValidation,
    Finalist,
    FoldResult,
    NestedFold,
    Search,
    StoredDimension,
    TrialResult,
)
from dlcli.runs.manifest import RunFile
from dlcli.runs.run import Run
from dlcli.runs.run_folder import new_run
from dlcli.runs.run_writer import RunWriter
from tests.reports.hand_made_runs import HOSTILE

HISTORY = {
    "epoch": (1, 2, 3),
    "loss": (2.0, 1.0, 0.5),
    "val_loss": (2.5, 1.5, 1.75),
    "learning_rate": (0.1, 0.1, 0.1),
}


def fold(
    number: int, *, repeat: int = 1, accuracy: float | None = 0.75, **changes: Any
) -> FoldResult:
    """A fold of four rows of which a network has two numbers to learn."""
    given: dict[str, Any] = {
        "repeat": repeat,
        "fold": number,
        "train": 6,
        "validation": 2,
        "held_out": 4,
        "inputs": 1,
        "parameters": 12,
        "epochs": 3,
        "best_epoch": 2,
        "seconds": 0.5,
        "metrics": {"accuracy": accuracy, "log_loss": 0.5},
        "constant": {"accuracy": 0.5},
        "history": HISTORY,
    }
    return FoldResult(**{**given, **changes})


AGAINST_CONSTANT = BaselineDifference(
    metric="log_loss",
    network=0.5,
    baseline=0.75,
    value=-0.25,
    lower=-0.5,
    upper=-0.125,
    verdict="better",
)


def cross_validation(**changes: Any) -> CrossValidation:
    """Two folds of a classification with two classes, one of them with a hostile name."""
    given: dict[str, Any] = {
        "name": "kinds",
        "target": ("kind",),
        "task": "classes",
        "classes": ("cat", HOSTILE),
        "split": "stratified",
        "folds": 2,
        "repeats": 1,
        "seed": 7,
        "rows": 8,
        "set_aside": 2,
        "main_metric": "accuracy",
        "results": (fold(1), fold(2, accuracy=1.0)),
        "pooled": {"accuracy": Estimate(value=0.875, lower=0.625, upper=1.0)},
        "by_fold": {"accuracy": Estimate(value=0.875, lower=0.5, upper=1.0)},
        "deviations": {"accuracy": 0.125},
        "constant": {"accuracy": 0.5},
        "against_constant": AGAINST_CONSTANT,
        "best_epochs": 2,
        "notes": (f"a note about {HOSTILE}",),
    }
    return CrossValidation(**{**given, **changes})


CLASS_ROWS: Mapping[str, Sequence[object]] = {
    "row": [1, 2, 3, 4, 1, 2, 3, 4],
    "repeat": [1, 1, 1, 1, 2, 2, 2, 2],
    "fold": [1, 1, 2, 2, 1, 1, 2, 2],
    "target": ["cat", "cat", HOSTILE, HOSTILE] * 2,
    "prediction": ["cat", HOSTILE, HOSTILE, HOSTILE, *["cat"] * 4],
    f"probability_{HOSTILE}": [0.25, 0.75, 0.75, 1.0, 0, 0, 0, 0],
    "probability_cat": [0.75, 0.25, 0.25, 0.0, 1, 1, 1, 1],
}
"""Predictions of two repeats, in the second of which all are called cats."""
NUMBER_ROWS: Mapping[str, Sequence[object]] = {
    "row": [1, 2, 3],
    "repeat": [1, 1, 1],
    "fold": [1, 2, 2],
    "target": [1.0, 2.0, 4.0],
    "prediction": [1.5, 2.0, 3.0],
}


def cross_validation_run(
    folder: Path,
    found: CrossValidation | None = None,
    rows: Mapping[str, Sequence[object]] | None = CLASS_ROWS,
    *,
    refit: bool = True,
    target: object = "kind",
    refit_problem: str | None = None,
) -> Run:
    """The folder of a cross-validation.

    Args:
        folder: in which it is made, as `cv`.
        found: what it came to.
        rows: the out-of-fold predictions.
        refit: whether there is a config that trains on all rows.
        target: the config's `data.target`.
        refit_problem: why training on all rows failed.
    """
    with new_run(folder / "cv", "cv") as writer:
        _begin(writer, target)
        if refit_problem is not None:
            writer.log("result", refit_problem=refit_problem)
        writer.write_text(RunFile.CROSS_VALIDATION, (found or cross_validation()).model_dump_json())
        if refit:
            writer.write_text(RunFile.REFIT, "epochs: 2\n")
        if rows is not None:
            writer.write_table(
                RunFile.PREDICTIONS, pa.table({name: list(each) for name, each in rows.items()})
            )
        return writer.finish("cv")


def _begin(writer: RunWriter, target: object = "kind") -> None:
    """Writes what each kind of run has."""
    text = json.dumps(
        {"data": {"train": f"{HOSTILE}.csv", "target": target}, "hidden": [], "epochs": 3}
    )
    writer.write_text(RunFile.CONFIG, text)
    writer.write_resolved(text)
    writer.write_json(RunFile.ENVIRONMENT, {"dlcli": "0.1.0", "command": ["dlcli", "cv", HOSTILE]})
    writer.log("warning", message=f"a warning about {HOSTILE}")


RATE = StoredDimension(path="optimizer.learning_rate", kind="float", low=1e-4, high=1e-2, log=True)
UNITS = StoredDimension(path="hidden_layers.units", kind="choice", choices=(8, 16, 32))
LAYERS = StoredDimension(path="hidden_layers.number", kind="integer", low=1, high=4, step=1)


def trial(number: int | None, value: float | None, **changes: Any) -> TrialResult:
    """A candidate; one without a value has failed."""
    given: dict[str, Any] = {
        "number": number,
        "state": "complete" if value is not None else "failed",
        "values": {RATE.path: 1e-3, UNITS.path: 16, LAYERS.path: 2},
        "value": value,
        "standard_error": 0.0625,
        "folds": (),
        "metrics": {"accuracy": 0.5},
        "parameters": 100,
        "epochs": 3,
        "best_epoch": 2,
        "seconds": 0.25,
        "problem": None if value is not None else f"diverged: {HOSTILE}",
    }
    return TrialResult(**{**given, **changes})


TRIALS = (
    trial(0, 0.5, parameters=400),
    trial(1, None),
    trial(2, 0.75, state="pruned"),
    trial(3, 0.25, parameters=900, values={RATE.path: 1e-2, UNITS.path: 32, LAYERS.path: 4}),
    trial(4, 0.3125, parameters=50, values={RATE.path: 1e-4, UNITS.path: 8, LAYERS.path: 1}),
)
"""The third is the best of those that may be compared, the fourth within 0.0625 of it."""


def finalists(**changes: Any) -> tuple[Finalist, ...]:
    """Three networks that were trained in full; `changes` are the best one's."""

    def made(name: str, accuracy: float, **more: Any) -> Finalist:
        given = {"name": name, "run": name, "split": "test", "metric": "accuracy"}
        sizes = {"parameters": 100, "epochs": 3, "metrics": {"accuracy": accuracy}}
        return Finalist(**{**given, **sizes, **more})

    gain = {"gain": Estimate(value=0.125, lower=0.0625, upper=0.1875), "verdict": "better"}
    return made("default", 0.75), made("best", 0.875, **{**gain, **changes}), made("smallest", 0.75)


def nested(number: int, inner: float, value: float) -> NestedFold:
    """A search without one outer fold."""
    return NestedFold(
        fold=number,
        train=16,
        held_out=4,
        trials=5,
        values={UNITS.path: 16, RATE.path: 1e-3},
        inner=inner,
        value=value,
        metrics={},
    )


def search(**changes: Any) -> Search:
    """Five candidates, one of which failed and one of which was ended early."""
    given: dict[str, Any] = {
        "name": "kinds",
        "study": "kinds",
        "metric": "val_loss",
        "direction": "minimize",
        "sampler": "tpe",
        "folds": 5,
        "rows": 8,
        "set_aside": 2,
        "seed": 7,
        "dimensions": (RATE, UNITS, LAYERS),
        "trials": TRIALS,
        "default": trial(None, 0.4375, parameters=200),
        "best": 3,
        "smallest": 4,
        "importances": {RATE.path: 0.25, UNITS.path: 0.625, LAYERS.path: 0.125},
        "finalists": finalists(),
        "nested": (nested(1, 0.25, 0.5), nested(2, 0.25, 0.375)),
        "nested_value": Estimate(value=0.4375, lower=0.25, upper=0.625),
        "seconds": 90.0,
        "notes": (f"a note about {HOSTILE}",),
    }
    return Search(**{**given, **changes})


def search_run(folder: Path, found: Search | None = None, study: str = "") -> Run:
    """The folder of a search.

    Args:
        folder: in which it is made, as `search`.
        found: what it came to.
        study: the content of study.json, if there is one.
    """
    with new_run(folder / "search", "search") as writer:
        _begin(writer)
        if study:
            writer.write_text(RunFile.STUDY, study)
        writer.write_text(RunFile.SEARCH, (found or search()).model_dump_json())
        writer.write_text(RunFile.BEST, "epochs: 2\n")
        writer.write_text(RunFile.SMALLEST, "epochs: 3\n")
        return writer.finish("tune")
