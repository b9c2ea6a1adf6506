"""Export to ONNX: preprocessing, network and decoding in one graph, without TensorFlow."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcli import __version__
from dlcli.columns.client_values import ModelInput
from dlcli.errors import ExportError, option, require_packages
from dlcli.exports.agreement import Arrays, Runner
from dlcli.exports.model_graph import encode, predict
from dlcli.exports.model_interface import Exported, ModelFormat, example_inputs
from dlcli.exports.onnx_operations import IR_VERSION, OPSETS, OnnxOperations

FILE = "model.onnx"
_NEEDED = ("an ONNX model", "onnx", "onnx", "onnxruntime")
"""The name of the format for messages, its extra, and its packages."""
_ROWS = "rows"
"""Name of the dimension of the rows."""
_DTYPES: dict[str, Any] = {"float64": np.float64, "string": object, "uint8": np.uint8}


def write_onnx(exported: Exported, folder: Path) -> None:
    """Write a run's predictor as `model.onnx`.

    Raises:
        UsageError: without the packages that it needs.
    """
    require_packages(*_NEEDED)
    import onnx
    from onnx import helper

    predictor, inputs = exported.predictor, exported.inputs
    taken = {each.name for each in exported.outputs}.intersection(each.name for each in inputs)
    if taken:
        raise ExportError(
            f"column '{min(taken)}': an output of the model has this name, and in an ONNX graph "
            f"all names differ; rename the column, or use {option('format', 'saved_model')}"
        )
    ops = OnnxOperations()
    values = {each.name: ops.input(each.name, _DTYPES[each.type]) for each in inputs}
    matrix = encode(ops, predictor.encoding.features, values, predictor.missing_words)
    found = predict(ops, predictor, matrix)
    outputs = {each: ops.output(found[each.name], each.name) for each in exported.outputs}
    graph = helper.make_graph(
        ops.nodes,
        "dlcli",
        [_tensor(each.name, _DTYPES[each.type], each.shape) for each in inputs],
        [_tensor(each.name, node.dtype, each.shape) for each, node in outputs.items()],
        ops.constants,
    )
    model = helper.make_model(
        graph,
        producer_name="dlcli",
        producer_version=__version__,
        opset_imports=[helper.make_opsetid(*each) for each in OPSETS.items()],
        ir_version=IR_VERSION,
    )
    task = predictor.task
    helper.set_model_props(model, {"classes": json.dumps(task.classes or task.labels)})
    onnx.save_model(model, folder / FILE)


def load_onnx(folder: Path) -> Runner:
    """Load `model.onnx` into ONNX Runtime.

    Raises:
        UsageError: without the packages that it needs.
        ExportError: for a file that is no such model.
    """
    require_packages(*_NEEDED)
    import onnxruntime

    try:
        session = onnxruntime.InferenceSession(
            str(folder / FILE), providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime has no base class of its errors
        raise ExportError(f"{folder / FILE}: can't be loaded: {error}") from None
    names = [each.name for each in session.get_outputs()]

    def run(values: Arrays) -> dict[str, NDArray[Any]]:
        return dict(zip(names, session.run(names, dict(values)), strict=True))

    return run


def _tensor(name: str, dtype: Any, shape: tuple[int, ...]) -> Any:  # noqa: ANN401
    from onnx import helper

    kind = 8 if np.dtype(dtype) == object else helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return helper.make_tensor_value_info(name, kind, [_ROWS, *shape])


def onnx_usage(exported: Exported) -> str:
    """Return an example in Python."""
    lines = [
        "import numpy as np",
        "import onnxruntime",
        "",
        f'session = onnxruntime.InferenceSession("{FILE}")',
        "outputs = session.run(",
        f"    {[each.name for each in exported.outputs]!r},",
        "    {",
    ]
    return "\n".join([*lines, *example_inputs(exported, _example), "    },", ")", ""])


def _example(each: ModelInput) -> str:
    if each.type == "string":
        return "np.array(['...'], dtype=object)"
    shape = f".reshape(1, {', '.join(map(str, each.shape))})" if each.shape else ""
    count = f"[0] * {math.prod(each.shape)}" if each.shape else "[np.nan]"
    return f"np.array({count}, dtype=np.{each.type}){shape}"


FORMAT = ModelFormat(Exported.of, write_onnx, load_onnx, onnx_usage)
