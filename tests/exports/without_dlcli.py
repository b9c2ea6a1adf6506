"""Run exported models on the rows that came with them, where dlcli can't be imported.

python -I without_dlcli.py FOLDER...
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

DTYPES = {"string": object}
HIDDEN = ("dlcli", "pandas", "sklearn", "IPython")
"""What can't be imported; Keras imports all but the first if it can, which takes it seconds."""


class Block:
    """Keeps packages from being imported."""

    def find_spec(self, name: str, *_: object) -> None:
        if name.partition(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"{name} is not to be used here", name=name)


def arrays(fields: dict[str, Any]) -> dict[str, np.ndarray]:
    return {
        name: np.array(each["values"], DTYPES.get(each["type"], each["type"]))
        for name, each in fields.items()
    }


def run_onnx(folder: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    import onnxruntime

    session = onnxruntime.InferenceSession(folder / "model.onnx")
    names = [each.name for each in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def run_saved_model(folder: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """By the loader of TensorFlow 1, and by that of TensorFlow 2, which must agree."""
    import tensorflow as tf

    v1, graph = tf.compat.v1, tf.Graph()
    with graph.as_default(), v1.Session() as session:
        loaded = v1.saved_model.load(session, ["serve"], str(folder / "model"))
        signature = loaded.signature_def["serving_default"]
        outputs = {name: each.name for name, each in signature.outputs.items()}
        feeds = {signature.inputs[name].name: array for name, array in inputs.items()}
        found = session.run(outputs, feeds)
    model = tf.saved_model.load(str(folder / "model"))
    again = model.signatures["serving_default"](
        **{name: tf.constant(array) for name, array in inputs.items()}
    )
    assert {*found} == {*again}
    for name, array in again.items():
        np.testing.assert_array_equal(array.numpy(), found[name])
    check_examples(model, inputs)
    return {name: texts(array) for name, array in found.items()}


def check_examples(model: Any, inputs: dict[str, np.ndarray]) -> None:
    """Send a row of ordinary values as a message, where floats have 32 bits."""
    import tensorflow as tf

    features, columns = {}, {}
    for name, array in inputs.items():
        value = next(each for each in array if is_ordinary(each))
        columns[name] = tf.constant(np.array([value], array.dtype))
        if array.dtype == object:
            feature = tf.train.Feature(bytes_list={"value": [value.encode()]})
        elif array.dtype == np.uint8:
            feature = tf.train.Feature(int64_list={"value": value.ravel().tolist()})
        else:
            feature = tf.train.Feature(float_list={"value": [value]})
        features[name] = feature
    message = tf.train.Example(features={"feature": features}).SerializeToString()
    found = model.signatures["serving_examples"](examples=tf.constant([message]))
    expected = model.signatures["serving_default"](**columns)
    assert {*found} == {*expected}
    for name, array in found.items():
        if array.dtype != tf.string:
            wanted = expected[name].numpy().astype(float)
            np.testing.assert_allclose(array.numpy().astype(float), wanted, rtol=1e-3, atol=1e-5)


def is_ordinary(value: Any) -> bool:
    """Whether a value is text, pixels, or a number of ordinary size."""
    return isinstance(value, str | np.ndarray) or bool(abs(value) < 1e30)


def texts(array: np.ndarray) -> np.ndarray:
    return np.array([each.decode() for each in array]) if array.dtype == object else array


def run_litert(folder: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(folder / "model.tflite"))
    outputs = interpreter.get_signature_runner("serving_default")(**inputs)
    classes = json.loads((folder / "recipe.json").read_text(encoding="utf-8"))["classes"]
    if classes and isinstance(classes[0], str):
        outputs["prediction"] = np.array(classes)[outputs["prediction"]]
    return outputs


def run_keras(folder: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    from tensorflow import keras

    model = keras.models.load_model(folder / "model.keras")
    return {"output": model.predict(inputs["input"], verbose=0)}


def largest_difference(folder: Path) -> float:
    check = json.loads((folder / "check.json").read_text(encoding="utf-8"))
    format = json.loads((folder / "export.json").read_text(encoding="utf-8"))["format"]
    outputs = globals()[f"run_{format}"](folder, arrays(check["inputs"]))
    found = 0.0
    for name, expected in arrays(check["outputs"]).items():
        if np.issubdtype(expected.dtype, np.floating):
            scale = np.maximum(np.abs(expected), np.quantile(np.abs(expected), 0.9))
            found = max(found, float(np.max(np.abs(outputs[name] - expected) / scale)))
        else:
            assert (outputs[name] == expected).all(), (folder, name)
    return found


sys.meta_path.insert(0, Block())
print(json.dumps({each: largest_difference(Path(each)) for each in sys.argv[1:]}))
