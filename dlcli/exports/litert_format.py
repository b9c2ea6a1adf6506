"""Export to LiteRT (TensorFlow Lite): numbers only, and a recipe of what becomes numbers how.

The interpreter has no texts unless select operators are built in. So the client looks up
categories, computes the parts of dates and counts words; `recipe.json` has the vocabularies and
says how.
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcli.columns.boolean import BooleanEncoder
from dlcli.columns.category import CategoryEncoder
from dlcli.columns.date_time import DatetimeEncoder
from dlcli.columns.registry import FeatureEncoder
from dlcli.columns.text import TextEncoder
from dlcli.columns.value_issues import ValueIssues
from dlcli.encoding.encoded_rows import InMemoryInputs
from dlcli.errors import ExportError, require_packages
from dlcli.exports.agreement import Arrays, Runner
from dlcli.exports.encoding_graph import (
    encode_codes,
    encode_column,
    encode_counts,
    in_input_order,
    other_codes,
)
from dlcli.exports.model_interface import (
    Exported,
    ModelFormat,
    ModelInput,
    ModelOutput,
    example_inputs,
    input_of,
    outputs_of_model,
    values_of,
    with_signature_names,
)
from dlcli.exports.operations import WORD, Dtype, Function, Value
from dlcli.exports.prediction_graph import predict
from dlcli.exports.tensorflow_operations import (
    SIGNATURE,
    TensorflowOperations,
    store_saved_model,
    tensorflow_loaded,
)
from dlcli.prediction.predictor import Predictor
from dlcli.tables.table import Table

FILE = "model.tflite"
RECIPE = "recipe.json"
_TURN = (6.28125, 0.00193500518798828125, 3.0199157663446e-07)
"""2π as a sum, whose first parts have few digits."""
_MOST_EXPONENT = 110.0
"""The exponential is infinite in 32 bits from there on, and 0 of the negative."""


class _FloatOperations(TensorflowOperations):
    """Operations that LiteRT has built in: float32 instead of float64, and no texts."""

    def constant(self, array: NDArray[Any]) -> Value:
        return super().constant(array.astype(np.float32) if array.dtype == np.float64 else array)

    def cast(self, x: Value, dtype: Dtype) -> Value:
        return super().cast(x, "float32" if dtype == "float64" else dtype)

    def apply(self, function: Function, x: Value) -> Value:
        if function == "isnan":
            return self._tf.not_equal(x, x)
        if function in ("sin", "cos"):
            # LiteRT's leave [-1, 1] from about 1e8 on. Whole turns are subtracted in three parts,
            # of which products with up to some thousand are exact (Cody and Waite 1980).
            turns = self._tf.floor(x / (2 * math.pi) + 0.5)
            for part in _TURN:
                x = x - turns * part
            x = self.clip(x, -math.pi, math.pi)
        if function == "exp":
            # LiteRT's sigmoid, which the converter makes of it, is NaN from about 1e27 on.
            x = self.clip(x, -_MOST_EXPONENT, _MOST_EXPONENT)
        return super().apply(function, x)

    def log1p(self, x: Value) -> Value:
        # In 32 bits 1 + x loses digits of a small x, for which the series x - x²/2 + ... converges.
        series = x * 0.0
        for power in range(8, 0, -1):
            series = (1 / power if power % 2 else -1 / power) * x + series * x
        return self.where(self.apply("abs", x) < 0.1, series, super().log1p(x))

    def lookup(self, table: NDArray[Any], index: Value) -> Value:
        return index if table.dtype == object else super().lookup(table, index)


def describe_for_litert(predictor: Predictor) -> Exported:
    """Describe the model with inputs and outputs of numbers."""
    inputs = with_signature_names(
        _input(feature, predictor) for feature in predictor.encoding.features
    )
    return Exported(predictor, inputs, tuple(map(_output, outputs_of_model(predictor))))


def _input(feature: FeatureEncoder, predictor: Predictor) -> ModelInput:
    name = feature.column
    if isinstance(feature, CategoryEncoder):
        advice = f"The code of the category: its index in `categories` of {RECIPE}, see there."
        return ModelInput(name, "int32", (advice,))
    if isinstance(feature, DatetimeEncoder):
        advice = f"The parts of the date, computed as {RECIPE} says: {'; '.join(feature.inputs)}."
        return ModelInput(name, "float32", (advice,), (len(feature.inputs),))
    if isinstance(feature, TextEncoder):
        advice = f"The number of times that the text has each of the `tokens` of {RECIPE}."
        return ModelInput(name, "float32", (advice,), (len(feature.tokens),))
    of_column = input_of(feature, predictor.encoding)
    return replace(of_column, type="uint8" if of_column.type == "uint8" else "float32")


def _output(of_model: ModelOutput) -> ModelOutput:
    """Describe an output of a model without texts and float64."""
    if of_model.type == "string":
        meaning = f"The index of the predicted class in `classes` of {RECIPE}."
        return replace(of_model, type="int64", meaning=meaning)
    return replace(of_model, type="float32") if of_model.type == "float64" else of_model


def write_litert(exported: Exported, folder: Path, *, quantize: bool = False) -> None:
    """Write a run's predictor as `model.tflite`, with `recipe.json`.

    Args:
        exported: the model.
        folder: where to.
        quantize: whether to store weights of 8 bits, of layers with 1,024 or more.

    Raises:
        ExportError: for an operation that LiteRT does not have built in.
    """
    predictor = exported.predictor
    with tensorflow_loaded() as tf, tempfile.TemporaryDirectory() as temporary:
        saved = Path(temporary) / "model"
        with tf.Graph().as_default():
            values = {
                each.name: tf.compat.v1.placeholder(each.type, [None, *each.shape])
                for each in exported.inputs
            }
            ops = _FloatOperations()
            outputs = predict(ops, predictor, _matrix(ops, predictor, [*values.values()]))
            named = {name: tf.identity(each) for name, each in outputs.items()}
            store_saved_model(saved, {SIGNATURE: (values, named)})
        converter = tf.lite.TFLiteConverter.from_saved_model(str(saved), signature_keys=[SIGNATURE])
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        if quantize:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        try:
            content = converter.convert()
        except Exception as error:  # the converter has no base class of its errors
            first = str(error).strip().partition("\n")[0]
            raise ExportError(f"LiteRT has not all operations of the network: {first}") from None
    (folder / FILE).write_bytes(content)
    recipe = json.dumps(_recipe(exported), indent=2, ensure_ascii=False)
    (folder / RECIPE).write_text(f"{recipe}\n", encoding="utf-8")


def _matrix(ops: _FloatOperations, predictor: Predictor, inputs: Sequence[Value]) -> Value:
    """Encode what the client sends for each column, float32 (rows, inputs)."""
    features = predictor.encoding.features
    values = {feature.column: x for feature, x in zip(features, inputs, strict=True)}
    parts = []
    for feature in in_input_order(features):
        x = values[feature.column]
        if isinstance(feature, CategoryEncoder):
            parts.append(encode_codes(ops, feature, ops.cast(x, "int64")))
        elif isinstance(feature, DatetimeEncoder):
            parts.append(x)
        elif isinstance(feature, TextEncoder):
            parts.append(encode_counts(ops, feature, x))
        else:
            parts.append(encode_column(ops, feature, x, predictor.missing_words(feature.column)))
    return ops.concat(parts)


def load_litert(folder: Path) -> Runner:
    """Load `model.tflite` into LiteRT's own interpreter.

    Raises:
        UsageError: without the package that it needs.
        ExportError: for a file that is no such model.
    """
    require_packages("a LiteRT model", "litert", "ai_edge_litert")
    from ai_edge_litert.interpreter import Interpreter

    try:
        runner = Interpreter(model_path=str(folder / FILE)).get_signature_runner(SIGNATURE)
        classes = json.loads((folder / RECIPE).read_text(encoding="utf-8"))["classes"]
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ExportError(f"{folder / FILE}: can't be loaded: {error}") from None

    def run(values: Arrays) -> dict[str, NDArray[Any]]:
        outputs: dict[str, NDArray[Any]] = runner(**values)
        if classes and isinstance(classes[0], str):
            outputs = {**outputs, "prediction": np.array(classes)[outputs["prediction"]]}
        return outputs

    return run


def litert_values(exported: Exported, table: Table) -> dict[str, NDArray[Any]]:
    """Return what a client sends: what the recipe makes of the rows of a table."""
    issues, found = ValueIssues(lenient=True), dict[str, NDArray[Any]]()
    for each, feature in zip(exported.inputs, exported.predictor.encoding.features, strict=True):
        name = each.name
        if isinstance(feature, CategoryEncoder):
            codes = feature.codes(table, issues)
            found[name] = np.where(codes < 0, len(feature.code_names), codes).astype(np.int32)
        elif isinstance(feature, DatetimeEncoder):
            found[name] = np.zeros((table.rows, len(feature.inputs)), np.float32)
            feature.encode(table, found[name], issues)
        elif isinstance(feature, TextEncoder):
            counting = feature.model_copy(update={"encoding": "count"})
            counts = counting.encode(table, issues)
            dense = np.zeros((table.rows, 0), np.float32)
            found[name] = InMemoryInputs(dense, (counts,)).part(0, table.rows)
        else:
            values = values_of(feature, table)
            with np.errstate(over="ignore"):
                found[name] = values.astype("uint8" if values.ndim > 1 else np.float32)
    return found


def _recipe(exported: Exported) -> dict[str, Any]:
    """Return what becomes numbers how, as JSON."""
    predictor = exported.predictor
    columns = {
        feature.column: _recipe_of(feature, predictor.missing_words(feature.column))
        for feature in predictor.encoding.features
    }
    task = predictor.task
    return {"columns": columns, "classes": task.class_values.tolist(), "labels": [*task.labels]}


def _recipe_of(feature: FeatureEncoder, missing: tuple[str, ...]) -> dict[str, Any]:
    if isinstance(feature, CategoryEncoder):
        other, without = other_codes(feature)
        return {
            "steps": [
                "remove blanks around the text; write true and false in lower case, and whole "
                "numbers without a decimal point",
                "send the index of the text in `categories`; `missing` if it is empty or one of "
                "`missing_words`; `other` for any other",
            ],
            "categories": [*feature.categories],
            "missing": without,
            "missing_words": [*missing],
            "other": other,
        }
    if isinstance(feature, DatetimeEncoder):
        scalings = {"year": feature.year, "elapsed": feature.elapsed}
        fill = feature.fill or feature.earliest
        return {
            "steps": [
                "read the text by the first of `formats` that fits; a time without an offset from "
                "UTC is of `timezone`; if it is missing or unreadable, use `fill`",
                "send the parts of the local time in order: a scaled number (x - offset) / scale, "
                "of the year or of the days since `earliest`; of any other the sine and the cosine "
                "of 2 pi step / steps, counted from 0: month of 12, day of the days of its month, "
                "weekday from Monday, day_of_year of 365 or 366, hour, minute, second",
                "if `marks_missing`, send 1 at the end for a missing time, else 0",
            ],
            "formats": [*feature.formats],
            "timezone": feature.timezone,
            "parts": [*feature.parts],
            "earliest": feature.earliest.isoformat(),
            "fill": fill.isoformat(),
            "scalings": {
                name: {"offset": each.offset, "scale": each.scale}
                for name, each in scalings.items()
                if each is not None
            },
            "marks_missing": feature.indicator,
        }
    if isinstance(feature, TextEncoder):
        return {
            "steps": [
                "apply Unicode's NFKC, remove invisible characters, write lower case, ’ as ' and "
                "ς as σ",
                "find all matches of `word` (a pattern of RE2); a token is a word or several "
                "consecutive ones with a space between",
                "send how often the text has each of `tokens`; a missing text has none",
            ],
            "word": WORD,
            "tokens": [*feature.tokens],
            "missing_words": [*missing],
        }
    number = "1 for true, 0 for false" if isinstance(feature, BooleanEncoder) else "the number"
    return {"steps": [f"send {number}, NaN if it is missing"]}


def litert_usage(exported: Exported) -> str:
    """Return an example in Python."""
    lines = [
        "import numpy as np",
        "from ai_edge_litert.interpreter import Interpreter",
        "",
        f'model = Interpreter(model_path="{FILE}").get_signature_runner("{SIGNATURE}")',
        "outputs = model(",
        "    **{",
    ]
    return "\n".join([*lines, *example_inputs(exported, _example), "    }", ")", ""])


def _example(each: ModelInput) -> str:
    return f"np.zeros(({', '.join(map(str, (1, *each.shape)))},), np.{each.type})"


LITERT = ModelFormat(
    *(describe_for_litert, write_litert, load_litert, litert_usage, litert_values),
    # Large numbers, such as times in seconds, are rounded to 32 bits before they are scaled.
    tolerance=1e-3,
)
QUANTIZED_LITERT = replace(LITERT, write=partial(write_litert, quantize=True), tolerance=0.1)
"""With weights of 8 bits."""
