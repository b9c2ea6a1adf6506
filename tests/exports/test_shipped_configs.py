"""Each shipped config exports, and its model runs where no dlcli is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from untrained_runs import make_run

from dlcli.config.layer_choices import Activation
from dlcli.errors import UsageError
from dlcli.exports.export_folder import Export, export_run, validate_export
from dlcli.exports.litert_format import _FloatOperations
from dlcli.exports.model_graph import activate
from dlcli.exports.saved_model_format import tensorflow_loaded
from dlcli.network.activations import activate as activate_by_dlcli
from dlcli.runs.run import Run
from dlcli.schema.section import members_of
from tests.forks import Forks

Formula = Callable[[_FloatOperations, Any], Any]
RUNNERS = Path(__file__).with_name("without_dlcli.py")
NAMES = [
    *("bikes", "breast_cancer", "diabetes", "digits", "digits_png", "iris", "line"),
    *("penguins", "reviews", "shoppers", "steering", "tictactoe", "xor"),
]


OF_TENSORFLOW = {
    "saved_model": ("penguins", "reviews"),
    "litert": ("digits_png", "penguins"),
    "keras": ("diabetes",),
}
"""By format, configs with types of columns that matter to it; all take too long."""
MORE_OF_TENSORFLOW = {
    "saved_model": ("diabetes", "digits_png"),
    "litert": ("breast_cancer", "reviews"),
}
"""The same types of columns in the other format, or alone."""


def differences(folders: list[Path]) -> dict[str, float]:
    """The largest differences of outputs from those of dlcli, in a process without it."""
    process = [sys.executable, "-I", str(RUNNERS), *map(str, folders)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(process, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_onnx_models_run_in_onnxruntime_alone(shipped_runs: dict[str, Run], tmp_path: Path) -> None:
    assert sorted(shipped_runs) == NAMES
    exports = [export_run(run, "onnx", tmp_path / name) for name, run in shipped_runs.items()]

    found = differences([each.path for each in exports])

    assert len(found) == len(NAMES)
    assert all(size < 1e-5 for size in found.values()), found
    kinds = {kind for each in exports for kind in each.document.checked}
    assert kinds == {"training rows", "held-out rows", "made-up rows"}


@pytest.mark.slow
def test_weights_of_8_bits_are_smaller_and_compared_with_a_wider_tolerance(
    shipped_runs: dict[str, Run], tmp_path: Path
) -> None:
    run = shipped_runs["digits"]
    small = export_run(run, "litert", tmp_path / "small", quantize=True)

    of_32_bits = 4 * run.predictor.network.parameters
    assert (small.path / "model.tflite").stat().st_size < of_32_bits
    found = small.document.checked["held-out rows"]
    assert 1e-4 < found.relative_difference["probabilities"] < 0.1
    assert small.document.quantized
    assert validate_export(small.path).document.tolerance == 0.1
    with pytest.raises(UsageError, match="has no effect with format=onnx"):
        export_run(run, "onnx", tmp_path / "other", quantize=True)


@pytest.mark.slow
def test_litert_may_round_large_numbers_that_differ_little(tmp_path: Path) -> None:
    rows = "".join(f"{1_700_000_000 + 25_000 * row},{row}\n" for row in range(40))
    (tmp_path / "t.csv").write_text(f"seconds,y\n{rows}")
    config = "data: {train: t.csv, target: y}\nhidden: [{units: 4}]\nepochs: 1\n"
    (tmp_path / "t.yaml").write_text(config)
    run = make_run(tmp_path / "t.yaml", tmp_path / "run")
    found = export_run(run, "litert", tmp_path / "model").document.checked["training rows"]
    assert 1e-5 < found.relative_difference["prediction"] < 1e-3


def by_litert(
    formulas: Mapping[str, Formula], x: np.ndarray, folder: Path
) -> dict[str, np.ndarray]:
    """Results of formulas in the operations of LiteRT, computed by its interpreter."""
    from ai_edge_litert.interpreter import Interpreter

    with tensorflow_loaded() as tf:
        ops, module = _FloatOperations(), tf.Module()
        module.run = tf.function(lambda x: {key: each(ops, x) for key, each in formulas.items()})
        traced = module.run.get_concrete_function(tf.TensorSpec([len(x)], tf.float32, name="x"))
        tf.saved_model.save(module, str(folder), signatures=traced)
        content = tf.lite.TFLiteConverter.from_saved_model(str(folder)).convert()
    return Interpreter(model_content=content).get_signature_runner()(x=x)


@pytest.mark.slow
def test_litert_has_the_sine_and_cosine_of_many_turns(tmp_path: Path) -> None:
    x = np.float32([0, 0.5, -2, 1e2, -1e3, 1e4, 5e4, -1e9, 3e38])
    waves: dict[str, Formula] = {
        "sin": lambda ops, x: ops.apply("sin", x),
        "cos": lambda ops, x: ops.apply("cos", x),
    }
    found = by_litert(waves, x, tmp_path)
    for function in (np.sin, np.cos):
        values = found[function.__name__]
        np.testing.assert_allclose(values[:-2], function(x[:-2].astype(np.float64)), atol=1e-6)
        assert (np.abs(values) <= 1).all()  # beyond, an angle in 32 bits has no digits left


@pytest.mark.slow
def test_litert_has_the_exact_gelu_though_no_error_function(tmp_path: Path) -> None:
    x, gelu = np.linspace(-6, 6, 25, dtype=np.float32), members_of(Activation)["gelu"]()

    found = by_litert({"y": lambda ops, x: activate(ops, gelu, x)}, x, tmp_path)["y"]

    np.testing.assert_allclose(found, activate_by_dlcli("gelu", x), atol=1e-6)


@pytest.mark.slow
def test_litert_has_the_sigmoid_of_any_number(tmp_path: Path) -> None:
    x = np.float32([0, 1, -1, 30, -30, 200, -200, 1e20, -1e20, 1e30, -1e30, 3e38, -3e38])
    sigmoid = members_of(Activation)["sigmoid"]()

    found = by_litert({"y": lambda ops, x: activate(ops, sigmoid, x)}, x, tmp_path)["y"]

    np.testing.assert_allclose(found, activate_by_dlcli("sigmoid", x), rtol=1e-6, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    "configs",
    [OF_TENSORFLOW, pytest.param(MORE_OF_TENSORFLOW, marks=pytest.mark.release)],
    ids=["some", "more"],
)
def test_models_of_tensorflow_run_in_their_runtimes_alone(
    configs: dict[str, tuple[str, ...]],
    shipped_runs: dict[str, Run],
    tmp_path: Path,
    forks: Forks,
) -> None:
    exports = [
        export_run(shipped_runs[name], format, tmp_path / f"{name}-{format}")
        for format, names in configs.items()
        for name in names
    ]

    assert_alike_alone(exports, forks)


def assert_alike_alone(exports: list[Export], forks: Forks) -> None:
    """Runs models in a fork of a process that has TensorFlow, where dlcli can't be imported."""
    folders = [str(each.path) for each in exports]
    ended = forks.run(str(RUNNERS), *folders, module="tests.exports.alone")
    assert ended.code == 0, ended.errors
    found = json.loads(ended.output)

    assert len(found) == len(exports)
    assert all(size < 1e-5 for size in found.values()), found


@pytest.mark.slow
def test_columns_may_have_names_that_are_no_parameters_of_python(
    tmp_path: Path, forks: Forks
) -> None:
    names = ["class", "a b", "a_b", "a-b", "a_b_", "km²", "1st", "arg_1st", "_", "y"]
    lines = [",".join(f"{(7 * row + at) % 10}.5" for at in range(10)) for row in range(30)]
    names, lines = [*names, "new"], [f"{line},{n % 3 == 0}" for n, line in enumerate(lines)]
    (tmp_path / "t.csv").write_text("\n".join([",".join(names), *lines]), encoding="utf-8")
    config = "data: {train: t.csv, target: y}\nhidden: []\nepochs: 1\n"
    (tmp_path / "t.yaml").write_text(config)
    run = make_run(tmp_path / "t.yaml", tmp_path / "run")

    exports = [export_run(run, each, tmp_path / each) for each in ("saved_model", "litert")]

    assert_alike_alone(exports, forks)
    readme = (exports[0].path / "README.md").read_text("utf-8")
    for name, column in {"class_": "class", "a_b_": "a_b", "km_": "km²"}.items():
        assert f"| `{name}` | float64 (rows) | Column '{column}'. A number" in readme
    recipe = json.loads((exports[1].path / "recipe.json").read_text("utf-8"))
    assert recipe["columns"]["new"]["steps"] == [
        "send 1 for true, 0 for false, NaN for a missing value"
    ]
