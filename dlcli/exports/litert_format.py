"""Export to LiteRT (TensorFlow Lite): numeric inputs only, with a recipe for their computation.

The interpreter supports no text unless select operators are built in. So the client looks up
categories, computes the parts of dates and counts words; `recipe.json` contains the vocabularies
and the steps.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcli.columns.column_exports import RECIPE, ModelInput
from dlcli.columns.column_type import in_input_order
from dlcli.columns.graph_operations import Dtype, Function, Value
from dlcli.columns.value_problems import ValueProblems
from dlcli.errors import ExportError, require_packages
from dlcli.exports import model_interface as interface
from dlcli.exports import saved_model_format as saved_model
from dlcli.exports.model_graph import predict
from dlcli.exports.model_interface import Arrays, Exported, ModelOutput, Runner
from dlcli.prediction.predictor import Predictor
from dlcli.tables.table import Table

FILE = "model.tflite"
_TURN = (6.28125, 0.00193500518798828125, 3.0199157663446e-07)
"""Terms whose sum is 2π. The first ones have few bits, so their products with integers up to some
thousand are exact (Cody and Waite 1980)."""
_MOST_EXPONENT = 110.0
"""A number whose exponential is infinite in float32, and 0 with a negative sign."""


class _FloatOperations(saved_model.TensorflowOperations):
    """Built-in operations of LiteRT: float32 instead of float64, and no text."""

    def constant(self, array: NDArray[Any]) -> Value:
        return super().constant(array.astype(np.float32) if array.dtype == np.float64 else array)

    def cast(self, x: Value, dtype: Dtype) -> Value:
        return super().cast(x, "float32" if dtype == "float64" else dtype)

    def apply(self, function: Function, *operands: Value) -> Value:
        x, *others = operands
        if function == "isnan":
            return self._tf.not_equal(x, x)
        if function in ("sin", "cos"):
            # From about 1e8 on, LiteRT's sine and cosine exceed [-1, 1], so subtract whole turns.
            turns = self._tf.floor(x / (2 * math.pi) + 0.5)
            for part in _TURN:
                x = x - turns * part
            x = self.clip(x, -math.pi, math.pi)
        if function == "exp":
            # Without this, the converter uses LiteRT's sigmoid, which is NaN from about 1e27 on.
            x = self.clip(x, -_MOST_EXPONENT, _MOST_EXPONENT)
        return super().apply(function, x, *others)

    def log1p(self, x: Value) -> Value:
        # Rounding 1 + x to float32 loses digits of a small x. There, x - x²/2 + ... converges fast.
        series = x * 0.0
        for power in range(8, 0, -1):
            series = (1 / power if power % 2 else -1 / power) * x + series * x
        return self.where(self.apply("abs", x) < 0.1, series, super().log1p(x))

    def lookup(self, table: NDArray[Any], index: Value) -> Value:
        return index if table.dtype == object else super().lookup(table, index)


class LitertFormat(interface.ModelFormat):
    """A run's predictor as `model.tflite`, with `recipe.json`; loading it needs a package.

    Args:
        is_quantized: whether to store 8-bit weights in layers with 1,024 weights or more.
    """

    usage = f"""\
import numpy as np
from ai_edge_litert.interpreter import Interpreter

model = Interpreter(model_path="{FILE}").get_signature_runner("{saved_model.SIGNATURE}")
outputs = model(
    **{{{{
{{inputs}}
    }}}}
)
"""

    def __init__(self, *, is_quantized: bool = False) -> None:
        self.is_quantized = is_quantized
        # Large numbers, such as times in seconds, are rounded to 32 bits before they are scaled.
        self.tolerance = 0.1 if is_quantized else 1e-3
        self.quantized = self if is_quantized else LitertFormat(is_quantized=True)

    def describe(self, predictor: Predictor) -> Exported:
        columns = interface.columns_of(predictor)
        inputs = (each.number_input(notation) for each, notation in columns)
        outputs = map(_output, interface.outputs_of_model(predictor))
        return Exported(predictor, interface.with_signature_names(inputs), tuple(outputs))

    def write(self, exported: Exported, folder: Path) -> None:
        predictor = exported.predictor
        with saved_model.tensorflow_loaded() as tf, tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary) / "model"
            with tf.Graph().as_default():
                values = {
                    each.name: tf.compat.v1.placeholder(each.type, [None, *each.shape])
                    for each in exported.inputs
                }
                ops = _FloatOperations()
                outputs = predict(ops, predictor, _matrix(ops, predictor, [*values.values()]))
                named = {name: tf.identity(each) for name, each in outputs.items()}
                saved_model.store_saved_model(path, {saved_model.SIGNATURE: (values, named)})
            converter = tf.lite.TFLiteConverter.from_saved_model(
                str(path), signature_keys=[saved_model.SIGNATURE]
            )
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
            if self.is_quantized:
                converter.optimizations = [tf.lite.Optimize.DEFAULT]
            try:
                content = converter.convert()
            except Exception as error:  # the converter's errors have no common base class
                first = str(error).strip().partition("\n")[0]
                message = f"LiteRT does not support an operation of the network: {first}"
                raise ExportError(message) from None
        (folder / FILE).write_bytes(content)
        recipe = json.dumps(_recipe(predictor), indent=2, ensure_ascii=False)
        (folder / RECIPE).write_text(f"{recipe}\n", encoding="utf-8")

    def load(self, folder: Path) -> Runner:
        require_packages("a LiteRT model", "litert", "ai_edge_litert")
        from ai_edge_litert.interpreter import Interpreter

        try:
            interpreter = Interpreter(model_path=str(folder / FILE))
            runner = interpreter.get_signature_runner(saved_model.SIGNATURE)
            classes = json.loads((folder / RECIPE).read_text(encoding="utf-8"))["classes"]
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            raise ExportError(f"{folder / FILE}: can't be loaded: {error}") from None

        def run(values: Arrays) -> dict[str, NDArray[Any]]:
            outputs: dict[str, NDArray[Any]] = runner(**values)
            if classes and isinstance(classes[0], str):
                outputs = {**outputs, "prediction": np.array(classes)[outputs["prediction"]]}
            return outputs

        return run

    def values(self, exported: Exported, table: Table) -> dict[str, NDArray[Any]]:
        problems = ValueProblems(lenient=True)
        pairs = zip(exported.inputs, exported.predictor.encoding.features, strict=True)
        return {each.name: feature.number_values(table, problems) for each, feature in pairs}

    def example(self, each: ModelInput) -> str:
        return f"np.zeros(({', '.join(map(str, (1, *each.shape)))},), np.{each.type})"


def _output(of_model: ModelOutput) -> ModelOutput:
    """Describe an output with the types of LiteRT: int64 for texts, float32 for float64."""
    if of_model.type == "string":
        meaning = f"{of_model.meaning} The number is its index in `classes` of {RECIPE}."
        return replace(of_model, type="int64", meaning=meaning)
    return replace(of_model, type="float32") if of_model.type == "float64" else of_model


def _matrix(ops: _FloatOperations, predictor: Predictor, inputs: Sequence[Value]) -> Value:
    """Encode the client's values of each column, float32 (rows, inputs)."""
    features = predictor.encoding.features
    values = {feature.column: x for feature, x in zip(features, inputs, strict=True)}
    parts = []
    for feature in in_input_order(features):
        missing = predictor.missing_words(feature.column)
        parts.append(feature.number_graph(ops, values[feature.column], missing))
    return ops.concat(parts)


def _recipe(predictor: Predictor) -> dict[str, Any]:
    """Return the steps from values to numbers, as JSON."""
    columns = {
        feature.column: feature.recipe(predictor.missing_words(feature.column))
        for feature in predictor.encoding.features
    }
    task = predictor.task
    return {"columns": columns, "classes": task.class_values.tolist(), "labels": [*task.labels]}


FORMAT = LitertFormat()
