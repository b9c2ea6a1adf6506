"""Runs with everything that a page shows, written by hand: nothing is trained."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dlcli.config.config_file import dump_config, load_config
from dlcli.explanation.explanation_document import (
    ColumnStatistics,
    Explanation,
    Histogram,
    Importance,
    LayerStatistics,
    PartialDependence,
    Point,
    ValueCount,
    WorstRow,
)
from dlcli.pipeline.events import Event, Events, TrainedEvent
from dlcli.pipeline.preparation import prepare
from dlcli.pipeline.run_recording import resolved_config
from dlcli.prediction.baseline_comparison import BaselineComparison
from dlcli.runs.manifest import DIVERGED, RunFile
from dlcli.runs.run import Run
from dlcli.runs.run_folder import new_run
from dlcli.runs.run_writer import RunWriter

HOSTILE = "</script><script>alert(1)</script>\"'`{{131*7}}<!--\u202e" + "x" * 300
"""A name that would run as code, end its element, or fill the page."""
NO_METRICS: Mapping[str, Mapping[str, object]] = {}
HISTORY = {"loss": [2.0, 1.0, 0.01], "val_loss": [2.5, 1.5, 1.6], "learning_rate": [0.1, 0.1, 0.01]}


def write_csv(path: Path, columns: Mapping[str, Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def make_run(  # noqa: PLR0913  (each is a file of the run)
    folder: Path,
    columns: Mapping[str, Sequence[object]],
    target: object,
    *,
    explanation: Explanation | None = None,
    outputs: Mapping[str, Sequence[Any]] | None = None,
    sample: Mapping[str, Sequence[Any]] | None = None,
    metrics: Mapping[str, Mapping[str, object]] | None = NO_METRICS,
    baselines: Mapping[str, Mapping[str, Mapping[str, object]]] | None = None,
    comparison: BaselineComparison | None = None,
    config: Mapping[str, object] | None = None,
    logged: Sequence[Event] = (),
) -> Run:
    """Make a run of a table with a linear network whose weights are all 0.5.

    Args:
        folder: of the table, the config and the run (`run`).
        columns: the table.
        target: the config's `data.target`.
        explanation: of the run, if it has one.
        outputs: the columns of the held-out predictions after `row` and `split`.
        sample: those of a sample of the training rows.
        metrics: by split; `None` if training diverged.
        baselines: the metrics of the simplest models, by name and split.
        comparison: the comparison with them.
        config: more of its keys.
        logged: events at the end of its log.
    """
    write_csv(folder / "table.csv", columns)
    data = {"train": "table.csv", "target": target}
    content = {"data": data, "input": {"scaling": "none"}, "hidden": [], "epochs": 3}
    path = folder / "config.yaml"
    path.write_text(json.dumps({**content, **(config or {})}), encoding="utf-8")
    with new_run(folder / "run", "run") as writer:
        if baselines is not None:
            writer.write_json(RunFile.BASELINES, baselines)
        if comparison is not None:
            writer.write_json(RunFile.VERDICTS, comparison.model_dump(mode="json"))
        _fill(writer, path, metrics, explanation, logged)
        for name, split, rows in (
            (RunFile.PREDICTIONS, "test", outputs),
            (RunFile.SAMPLE, "train", sample),
        ):
            if rows is not None:
                _write_rows(writer, name, split, rows)
        return writer.finish("train" if metrics is not None else DIVERGED)


def _fill(
    writer: RunWriter,
    path: Path,
    metrics: Mapping[str, Mapping[str, object]] | None,
    explanation: Explanation | None,
    logged: Sequence[Event],
) -> None:
    file = load_config(path)
    events = Events()
    prepared, plan = prepare(file, events)
    events.log_to(writer)
    events.warn(f"a warning about {HOSTILE}")
    writer.write_text(RunFile.CONFIG, file.text)
    writer.write_resolved(
        dump_config(resolved_config(file, prepared, plan, writer.path, threads=1))
    )
    writer.write_text(RunFile.ENCODING, prepared.encoding.model_dump_json())
    shapes = {each.name: each.shape for each in plan.network.weights}
    weights = {name: np.full(shape, 0.5, np.float32) for name, shape in shapes.items()}
    writer.write_arrays(RunFile.WEIGHTS, weights)
    writer.write_history(HISTORY)
    writer.write_json(
        RunFile.ENVIRONMENT, {"dlcli": "0.1.0", "command": ["dlcli", "train", HOSTILE]}
    )
    if metrics is not None:
        events.emit(TrainedEvent(epochs=3, best_epoch=2, seconds=1.5))
        writer.write_json(RunFile.METRICS, metrics)
    for event in logged:
        events.emit(event)
    if explanation is not None:
        writer.write_text(RunFile.EXPLANATION, explanation.model_dump_json())


def _write_rows(
    writer: RunWriter, name: RunFile, split: str, columns: Mapping[str, Sequence[Any]]
) -> None:
    rows = len(next(iter(columns.values())))
    table = {"row": range(1, rows + 1), "split": [split] * rows, **columns}
    writer.write_table(name, pa.table({key: list(values) for key, values in table.items()}))


def number_run(folder: Path, **changes: Any) -> Run:
    """Return a run that predicts a number, with a hostile column and a full explanation."""
    columns = {"x": [0, 1, 2, 3], HOSTILE: ["a", "b", "a", HOSTILE], "y": [1.5, 2, 4, 8.5]}
    outputs = {"target": [1.5, 2.0, 4.0, 8.5], "prediction": [1.0, 3.0, 4.0, 8.0]}
    metrics = {"test": {"rmse": 0.61, "mae": 0.5, "r2": 0.95}}
    given = {"outputs": outputs, "metrics": metrics, "explanation": full_explanation(), **changes}
    return make_run(folder, columns, "y", **given)


def class_run(folder: Path, **changes: Any) -> Run:
    """Return a run that predicts one of two kinds, one of them of a hostile name."""
    columns = {"x": [0.5, 1, 2, 3], "kind": ["cat", HOSTILE, "cat", HOSTILE]}
    chances = [0.1, 0.4, 0.6, 0.9]
    outputs = {
        "target": columns["kind"],
        "prediction": ["cat", "cat", HOSTILE, HOSTILE],
        f"probability_{HOSTILE}": chances,
        "probability_cat": [1 - chance for chance in chances],
    }
    metrics = {"test": {"accuracy": 0.5, "confusion": [[1, 1], [1, 1]]}}
    return make_run(folder, columns, "kind", **{"outputs": outputs, "metrics": metrics, **changes})


def full_explanation(columns: int = 3, outputs: Sequence[str] = ("y",)) -> Explanation:
    """Return an explanation with something in each of its parts."""
    names = [HOSTILE, *(f"column {at}" for at in range(1, columns))]
    return Explanation(
        rows={"train": 4, "test": 4},
        sampled_rows={"train": 4, "held_out": 4},
        columns=tuple(map(_column, names)),
        unlisted_columns=7,
        layers=(_layer("output"), _layer(HOSTILE)),
        outputs=tuple(outputs),
        importance_metric="rmse",
        importances=tuple(Importance(column=name, increase=1, deviation=0.5) for name in names),
        partial_dependences=(
            _dependence(names[0], len(outputs)),
            _dependence("x", len(outputs), 1.0),
        ),
        worst=(_worst(names),),
    )


def _column(name: str) -> ColumnStatistics:
    if name == HOSTILE:
        value = ValueCount(value=HOSTILE, train=3, held_out=1)
        kind = {"type": "categorical", "values": (value,), "distinct": 2}
    else:
        histogram = Histogram(edges=(0.0, 1.0, 3.0), train=(3, 1), held_out=(0, 2))
        numbers = {"mean": 1.0, "deviation": 0.5, "minimum": 0.0, "maximum": 3.0}
        kind = {"type": "numeric", "histogram": histogram, "distinct": None, **numbers}
    return ColumnStatistics(name=name, role="feature", reason="declared", missing=1, **kind)


def _layer(name: str) -> LayerStatistics:
    return LayerStatistics(
        name=name,
        kind="Dense",
        units=1,
        parameters=2,
        activation="relu",
        dead=0.25,
        first_gradient=1.0,
        last_gradient=0.001,
    )


def _dependence(column: str, outputs: int, number: float | None = None) -> PartialDependence:
    points = (
        Point(label=HOSTILE, number=number, predictions=(0.25,) * outputs),
        Point(label="b", number=number and number + 1, predictions=(0.75,) * outputs),
    )
    return PartialDependence(column=column, points=points)


def _worst(names: Sequence[str]) -> WorstRow:
    return WorstRow(
        file=None,
        row=2,
        split="test",
        target="2",
        prediction=HOSTILE,
        error=1.0,
        values={name: HOSTILE if name == HOSTILE else None for name in names},
    )
