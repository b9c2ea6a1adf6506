"""Export of `model.keras`: encoded rows to decoded outputs, for the user's own Keras code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcli.columns.column_exports import ModelInput
from dlcli.columns.value_problems import ValueProblems
from dlcli.exports.model_interface import (
    Arrays,
    Exported,
    ModelFormat,
    ModelOutput,
    Runner,
    class_meaning,
    quantiles_meaning,
)
from dlcli.exports.saved_model_format import tensorflow_loaded
from dlcli.prediction.predictions import Predictions
from dlcli.prediction.predictor import Predictor
from dlcli.runs.manifest import RunFile
from dlcli.tables.table import Table
from dlcli.tasks.task import Task

FILE = RunFile.MODEL
_INPUT, _OUTPUT = "input", "output"


class KerasFormat(ModelFormat):
    """A run's trained model for encoded rows, with the encoding.

    `validate_export` does not load the model, because loading an untrusted file may run code.
    """

    usage = f"""\
import numpy as np
from tensorflow import keras

model = keras.models.load_model("{FILE}")
outputs = model.predict(np.zeros((1, {{width}}), dtype="float32"))
"""
    has_intervals = False
    bad_values = (
        "Encode rows with dlcli. `encode` refuses values that can't be read; with "
        '`on_bad_row="warn"`, they count as missing.'
    )

    def describe(self, predictor: Predictor) -> Exported:
        names = [name for block in predictor.encoding.layout.blocks for name in block.inputs]
        advice = (
            "Encoded rows, which `dlcli.load(RUN).encode(table)` returns in Python. "
            f"{RunFile.ENCODING} in this folder describes the encoding. The inputs are, in this "
            f"order: {'; '.join(names)}.",
        )
        inputs = (ModelInput(_INPUT, "float32", advice, (len(names),)),)
        output = ModelOutput(
            _OUTPUT, "float32", (predictor.network.outputs,), _meaning(predictor.task)
        )
        return Exported(predictor, inputs, (output,))

    def write(self, exported: Exported, folder: Path) -> Runner:
        from dlcli.keras_model import build_trained_model

        predictor = exported.predictor
        with tensorflow_loaded():
            model = build_trained_model(predictor)
            model.save(folder / FILE)
        text = predictor.encoding.model_dump_json(indent=2)
        (folder / RunFile.ENCODING).write_text(text, encoding="utf-8")

        def run(values: Arrays) -> dict[str, NDArray[Any]]:
            return {_OUTPUT: model.predict(values[_INPUT], verbose=0)}

        return run

    def load(self, folder: Path) -> None:
        return None

    def values(self, exported: Exported, table: Table) -> dict[str, NDArray[Any]]:
        inputs = exported.predictor.encoding.transform(table, ValueProblems(lenient=True))
        return {_INPUT: inputs.part(0, len(inputs))}

    def outputs(self, predictions: Predictions) -> dict[str, NDArray[Any]]:
        is_number = predictions.task.outcome == "numbers"
        outputs = predictions.decoded if is_number else predictions.outputs
        with np.errstate(over="ignore"):
            return {_OUTPUT: outputs.astype(np.float32)}


def _meaning(task: Task) -> str:
    """Return the meaning of the outputs, and how a class follows from them if it is not usual."""
    if task.outcome == "numbers":
        return quantiles_meaning(task) if task.levels else "The values in the target's unit."
    meaning = (
        "The probability of each class or label, or of the second of two classes; or a margin."
    )
    return meaning if task.decision is None else f"{meaning} {class_meaning(task)}"


FORMAT = KerasFormat()
