"""Export of `model.keras`: encoded rows to decoded outputs, for the user's own Keras code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcli.columns.client_values import ModelInput
from dlcli.columns.value_problems import ValueProblems
from dlcli.exports.agreement import Arrays, Runner
from dlcli.exports.model_interface import Exported, ModelFormat, ModelOutput
from dlcli.exports.tensorflow_operations import tensorflow_loaded
from dlcli.prediction.predictions import Predictions
from dlcli.prediction.predictor import Predictor
from dlcli.runs.manifest import RunFile
from dlcli.tables.table import Table

FILE = RunFile.MODEL
_INPUT, _OUTPUT = "input", "output"


def describe_for_keras(predictor: Predictor) -> Exported:
    """Describe the model of encoded rows."""
    names = [name for block in predictor.encoding.layout.blocks for name in block.inputs]
    advice = (
        f"Rows as dlcli encodes them, with {RunFile.ENCODING} in this folder: "
        f"{'; '.join(names[:20])}{'; ...' if len(names) > 20 else '.'}",
    )
    kind = predictor.task.outcome
    meaning = "The probability of each class or label, or of the second of two classes; or a margin"
    if kind == "numbers":
        meaning = "The values in the target's unit"
    output = ModelOutput(_OUTPUT, "float32", (predictor.network.outputs,), f"{meaning}.")
    return Exported(predictor, (ModelInput(_INPUT, "float32", advice, (len(names),)),), (output,))


def write_keras(exported: Exported, folder: Path) -> Runner:
    """Build the trained model and write it, with the encoding.

    Returns:
        The model itself. It is not loaded again, as a stranger's file may run code when it is.
    """
    from dlcli.keras_model import build_trained_model

    predictor = exported.predictor
    tasks = predictor.tasks or (predictor.task,)
    members = [(task, predictor.weights_of(number)) for number, task in enumerate(tasks, start=1)]
    with tensorflow_loaded():
        model = build_trained_model(predictor.network, members)
        model.save(folder / FILE)
    text = predictor.encoding.model_dump_json(indent=2)
    (folder / RunFile.ENCODING).write_text(text, encoding="utf-8")

    def run(values: Arrays) -> dict[str, NDArray[Any]]:
        return {_OUTPUT: model.predict(values[_INPUT], verbose=0)}

    return run


def keras_values(exported: Exported, table: Table) -> dict[str, NDArray[Any]]:
    """Return encoded rows."""
    inputs = exported.predictor.encoding.transform(table, ValueProblems(lenient=True))
    return {_INPUT: inputs.part(0, len(inputs))}


def keras_outputs(predictions: Predictions) -> dict[str, NDArray[Any]]:
    """Return numbers in the target's unit, else the outputs as they are."""
    is_number = predictions.task.outcome == "numbers"
    outputs = predictions.decoded if is_number else predictions.outputs
    with np.errstate(over="ignore"):
        return {_OUTPUT: outputs.astype(np.float32)}


def keras_usage(exported: Exported) -> str:
    """Return an example in Python."""
    width = exported.predictor.network.inputs
    return "\n".join(
        [
            "import numpy as np",
            "from tensorflow import keras",
            "",
            f'model = keras.models.load_model("{FILE}")',
            f'outputs = model.predict(np.zeros((1, {width}), dtype="float32"))',
            "",
        ]
    )


FORMAT = ModelFormat(
    describe_for_keras,
    write_keras,
    None,
    keras_usage,
    keras_values,
    keras_outputs,
    has_intervals=False,
)
