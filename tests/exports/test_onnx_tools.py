"""What other tools do with an ONNX export: check it, infer its shapes, quantize it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from untrained_runs import make_run

from dlcli.exports.export_folder import export_run

CONFIG = """\
data: {train: rows.csv, target: y}
input:
  features:
    x: numeric
    color: categorical
    note: {type: text, encoding: {name: tf_idf, min_count: 1}}
    day: {type: datetime, parts: [year, weekday]}
hidden: [{units: 4, activation: relu}]
epochs: 1
"""
TOOLS = """\
import sys
import onnx
from onnxruntime.quantization import quantize_dynamic
model = onnx.load(sys.argv[1])
onnx.checker.check_model(model, full_check=True)
onnx.shape_inference.infer_shapes(model)
quantize_dynamic(sys.argv[1], sys.argv[2])
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """An export of numbers, categories, texts and dates."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("tools")
        patch.chdir(folder)
        words = ["very good", "Not good", "bad", "very bad"]
        rows = [
            f"{at},{['red', 'blue'][at % 2]},{words[at % 4]},2024-01-{at + 1:02},{at / 3}"
            for at in range(20)
        ]
        Path("rows.csv").write_text("\n".join(["x,color,note,day,y", *rows]) + "\n")
        Path("c.yaml").write_text(CONFIG)
        run = make_run(Path("c.yaml"), folder / "run")
        export_run(run, "onnx", folder / "onnx")
        yield folder / "onnx" / "model.onnx"


@pytest.mark.slow
def test_the_checker_shape_inference_and_quantization_accept_it(exported, tmp_path):
    """In another process, which they would end."""
    done = subprocess.run(
        [sys.executable, "-c", TOOLS, exported, tmp_path / "small.onnx"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    session = onnxruntime.InferenceSession(tmp_path / "small.onnx")
    assert session.run(None, inputs(session, 2))[0].shape == (2,)


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_any_number_of_rows_is_predicted(exported, rows):
    session = onnxruntime.InferenceSession(exported)
    assert session.run(None, inputs(session, rows))[0].shape == (rows,)


def inputs(session, rows):
    """The same values in each row."""
    texts = {"color": "red", "note": "very good", "day": "2024-01-05"}
    return {
        each.name: np.array([texts[each.name]] * rows, dtype=object)
        if "string" in each.type
        else np.ones(rows, np.float64 if "double" in each.type else np.float32)
        for each in session.get_inputs()
    }
