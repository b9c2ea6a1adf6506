"""Export to TensorFlow's SavedModel: a graph of lookup tables and `tf.strings`, without Python.

It is written as TensorFlow 1 did, whose signatures have the columns' own names, as far as loaders
can read them: those of a `tf.function` are arguments of Python, and renamed if they are no
identifiers. All loaders read it.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcli.columns.client_values import ModelInput
from dlcli.errors import ExportError
from dlcli.exports import model_interface
from dlcli.exports.agreement import Arrays, Runner
from dlcli.exports.model_graph import encode, predict
from dlcli.exports.tensorflow_operations import (
    SIGNATURE,
    TensorflowOperations,
    store_saved_model,
    tensorflow_loaded,
)
from dlcli.prediction.predictor import Predictor

FOLDER = "model"
_EXAMPLES = "serving_examples"
"""The signature that takes serialized messages of `tf.train.Example`."""


def describe_for_saved_model(predictor: Predictor) -> model_interface.Exported:
    """Describe the model with inputs that a signature may have.

    Raises:
        ExportError: for a column whose values can't be read within a model, with its name.
    """
    exported = model_interface.Exported.of(predictor)
    return replace(exported, inputs=model_interface.with_signature_names(exported.inputs))


def write_saved_model(exported: model_interface.Exported, folder: Path) -> None:
    """Write a run's predictor as a SavedModel in `model/`."""
    predictor = exported.predictor
    with tensorflow_loaded() as tf, tf.Graph().as_default():
        v1 = tf.compat.v1
        examples = v1.placeholder(tf.string, [None], name="examples")
        parsed = tf.io.parse_example(
            examples, {each.name: _example_feature(tf, each) for each in exported.inputs}
        )
        # The columns are read from examples unless they are given.
        values = {
            each.name: v1.placeholder_with_default(
                tf.cast(parsed[each.name], each.type), [None, *each.shape]
            )
            for each in exported.inputs
        }
        ops, features = TensorflowOperations(), predictor.encoding.features
        columns = dict(zip((each.column for each in features), values.values(), strict=True))
        matrix = encode(ops, features, columns, predictor.missing_words)
        matrix = tf.ensure_shape(matrix, [None, predictor.network.inputs])
        found = predict(ops, predictor, matrix)
        outputs = {name: tf.identity(value) for name, value in found.items()}
        signatures = {SIGNATURE: (values, outputs), _EXAMPLES: ({"examples": examples}, outputs)}
        store_saved_model(folder / FOLDER, signatures, v1.tables_initializer())


def load_saved_model(folder: Path) -> Runner:
    """Load the SavedModel by the loader of TensorFlow 1, as servers do.

    Raises:
        ExportError: for a folder that is no such model.
    """
    with tensorflow_loaded() as tf, tf.Graph().as_default() as graph:
        v1 = tf.compat.v1
        session = v1.Session(graph=graph)
        try:
            loaded = v1.saved_model.load(session, ["serve"], str(folder / FOLDER))
        except (OSError, ValueError, RuntimeError, tf.errors.OpError) as error:
            raise ExportError(f"{folder / FOLDER}: can't be loaded: {error}") from None
    signature = loaded.signature_def[SIGNATURE]
    outputs = {name: each.name for name, each in signature.outputs.items()}

    def run(values: Arrays) -> dict[str, NDArray[Any]]:
        feeds = {signature.inputs[name].name: array for name, array in values.items()}
        found: dict[str, NDArray[Any]] = session.run(outputs, feeds)
        return {name: _decoded(array) for name, array in found.items()}

    return run


def saved_model_usage(exported: model_interface.Exported) -> str:
    """Return an example in Python."""
    lines = [
        "import numpy as np",
        "import tensorflow as tf",
        "",
        f'model = tf.saved_model.load("{FOLDER}")',
        f'outputs = model.signatures["{SIGNATURE}"](',
        "    **{",
    ]
    return "\n".join(
        [*lines, *model_interface.example_inputs(exported, _example), "    }", ")", ""]
    )


def _example(each: ModelInput) -> str:
    value = "['...']" if each.type == "string" else "[np.nan]"
    if each.shape:
        value = f"np.zeros((1, {', '.join(map(str, each.shape))}))"
    return f"tf.constant({value}, tf.{each.type})"


def _example_feature(tf: Any, each: ModelInput) -> Any:  # noqa: ANN401
    """Return how a column is read from a message: floats have 32 bits there."""
    if each.type == "string":
        return tf.io.FixedLenFeature([], tf.string, "")
    if each.type == "uint8":
        return tf.io.FixedLenFeature(each.shape, tf.int64)
    return tf.io.FixedLenFeature([], tf.float32, math.nan)


def _decoded(array: NDArray[Any]) -> NDArray[Any]:
    """Return texts as texts, which TensorFlow has as bytes."""
    if array.dtype != object:
        return array
    return np.array([each.decode() for each in array.ravel()]).reshape(array.shape)


FORMAT = model_interface.ModelFormat(
    describe_for_saved_model, write_saved_model, load_saved_model, saved_model_usage
)
