"""Rows and runs to compare, made by hand: nothing is trained."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from dlcli.config.config_file import ConfigFile, dump_config, load_config
from dlcli.config.training_choices import Loss
from dlcli.pipeline.events import Events
from dlcli.pipeline.preparation import prepare
from dlcli.pipeline.run_recording import resolved_config
from dlcli.prediction.predictions import HeldOut
from dlcli.runs.environment import fingerprint
from dlcli.runs.manifest import RunFile
from dlcli.runs.run import Run
from dlcli.runs.run_folder import new_run
from dlcli.runs.run_writer import RunWriter
from dlcli.tasks.classification import Binary
from dlcli.tasks.regression import Regression
from dlcli.tasks.task import Task

NUMBER = Regression(columns=("y",))
TWO = Binary(columns=("y",), classes=("no", "yes"))
HISTORY = {"loss": [2.0, 1.0]}


def numbers(truth: Sequence[float], prediction: Sequence[float], **more: Any) -> HeldOut:
    """Rows of a number."""
    columns = [np.array(each, float)[:, np.newaxis] for each in (truth, prediction)]
    return held_out(NUMBER, *columns, **more)


def two_classes(truth: Sequence[int], chances: Sequence[float], **more: Any) -> HeldOut:
    """Rows of two classes."""
    return held_out(TWO, np.array(truth), np.array(chances, float)[:, np.newaxis], **more)


def held_out(
    task: Task,
    truth: Any,
    outputs: Any,
    weight: Any = None,
    loss: Loss | None = None,
    **more: Any,
) -> HeldOut:
    weights, row = None if weight is None else np.array(weight, float), np.arange(1, len(truth) + 1)
    return HeldOut(truth, outputs, weights, task=task.for_loss(loss), row=row, **more)


def number_run(
    folder: Path,
    name: str,
    predictions: Mapping[int, float],
    *,
    config: Mapping[str, Any] | None = None,
    stored: Mapping[str, Any] | None = None,
    split: str = "test",
    kind: str = "train",
) -> Run:
    """A run that has predicted y of some rows of `table.csv`, where row 1 has y = 1, and so on.

    Args:
        folder: where the table, the config and the run come to lie.
        name: of the run.
        predictions: of the held-out rows, by their number; without any, no row is held out.
        config: more keys of the config.
        stored: `metrics`, `baselines`, `weights`, `verdicts` and `environment`, and `predictions`
            that are another table.
        split: the set that the rows are of.
        kind: what the run did.
    """
    write_table(folder / "table.csv")
    path = folder / f"{name}.yaml"
    path.write_text(json.dumps(_content(split if predictions else None, config or {})), "utf-8")
    given = {"metrics": {split: {"mse": 1.0}}, "predictions": _table(predictions, split)}
    with new_run(folder / name, name) as writer:
        _fill(writer, load_config(path), {**given, **(stored or {})}, kind)
        return writer.finish(kind)


def write_table(path: Path) -> None:
    if not path.exists():
        lines = [f"{row},{row % 3},{row}" for row in range(1, 101)]
        path.write_text("\n".join(["x,z,y", *lines]) + "\n", encoding="utf-8")


def _content(split: str | None, changes: Mapping[str, Any]) -> dict[str, Any]:
    held_out = {split: 0.5} if split else {}
    data = {"train": "table.csv", "target": "y", **held_out, **changes.get("data", {})}
    rest = {"input": {"features": ["x"], "scaling": "none"}, "hidden": [], "epochs": 2}
    return {**rest, **changes, "data": data}


def _table(predictions: Mapping[int, float], split: str) -> pa.Table | None:
    if not predictions:
        return None
    rows = list(predictions)
    columns = {"row": rows, "split": [split] * len(rows), "target": list(map(float, rows))}
    return pa.table({**columns, "prediction": list(predictions.values())})


def _fill(writer: RunWriter, file: ConfigFile, stored: Mapping[str, Any], kind: str) -> None:
    prepared, plan = prepare(file, Events())
    data = [{"key": "data.train", **fingerprint(file.path.parent / "table.csv")}]
    writer.write_text(RunFile.CONFIG, file.text)
    writer.write_resolved(
        dump_config(resolved_config(file, prepared, plan, writer.path, threads=1))
    )
    writer.write_text(RunFile.ENCODING, prepared.encoding.model_dump_json())
    writer.write_history(HISTORY)
    writer.write_json(RunFile.ENVIRONMENT, {"data": data, **stored.get("environment", {})})
    if kind == "train":
        writer.write_json(RunFile.METRICS, stored["metrics"])
    if stored["predictions"] is not None:
        writer.write_table(RunFile.PREDICTIONS, stored["predictions"])
    if "weights" in stored:
        arrays = {key: np.array(value, np.float32) for key, value in stored["weights"].items()}
        writer.write_arrays(RunFile.WEIGHTS, arrays)
    if "verdicts" in stored:
        writer.write_json(RunFile.VERDICTS, stored["verdicts"])
    if "baselines" in stored:
        writer.write_json(RunFile.BASELINES, stored["baselines"])
