"""The examples in the README of an export."""

from types import SimpleNamespace
from typing import Any

from dlcli.columns.column_exports import ModelInput
from dlcli.exports.keras_format import KerasFormat
from dlcli.exports.model_interface import Exported
from dlcli.exports.onnx_format import OnnxFormat


def test_the_example_of_a_model_with_many_inputs_is_valid_python_with_all_of_them() -> None:
    predictor: Any = SimpleNamespace(network=SimpleNamespace(inputs=30))
    inputs = tuple(ModelInput(f"column {number}", "float64", ()) for number in range(30))

    usage = OnnxFormat().usage_of(Exported(predictor, inputs, ()))

    compile(usage, "README.md", "exec")
    assert "'column 0': " in usage
    assert "'column 29': " in usage


def test_the_keras_format_lists_all_inputs_and_how_to_encode_rows() -> None:
    names = tuple(f"input {number}" for number in range(30))
    layout = SimpleNamespace(blocks=(SimpleNamespace(inputs=names),))
    predictor: Any = SimpleNamespace(
        encoding=SimpleNamespace(layout=layout),
        task=SimpleNamespace(outcome="numbers", levels=()),
        network=SimpleNamespace(outputs=1),
    )
    (found,) = KerasFormat().describe(predictor).inputs
    assert "; ".join(names) in "".join(found.advice)
    assert "encode(table)" in "".join(found.advice)
    assert "`encode` refuses" in KerasFormat.bad_values
