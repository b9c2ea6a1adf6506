"""Each shipped config exports, and its model runs where no dlcli is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dlcli.errors import UsageError
from dlcli.exports import export_model, validate_export
from dlcli.runs import Run

RUNNERS = Path(__file__).with_name("without_dlcli.py")
NAMES = [
    *("breast_cancer", "diabetes", "digits", "digits_png", "iris", "line"),
    *("penguins", "reviews", "steering", "tictactoe", "xor"),
]


FEWER = ("diabetes", "digits_png", "penguins", "reviews", "tictactoe")
"""Every type of column, and of target but several numbers."""


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
    exports = [export_model(run, "onnx", tmp_path / name) for name, run in shipped_runs.items()]

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
    whole = export_model(run, "litert", tmp_path / "whole")

    small = export_model(run, "litert", tmp_path / "small", quantize=True)

    sizes = [(each.path / "model.tflite").stat().st_size for each in (small, whole)]
    assert sizes[0] < 0.6 * sizes[1]
    differences = [
        each.document.checked["held-out rows"].largest_difference["probabilities"]
        for each in (small, whole)
    ]
    assert differences[0] > 1e-4 > differences[1]
    assert (small.document.quantized, whole.document.quantized) == (True, False)
    assert validate_export(small.path).document.tolerance == 0.1
    with pytest.raises(UsageError, match="is for the format litert"):
        export_model(run, "onnx", tmp_path / "other", quantize=True)


@pytest.mark.slow
def test_models_of_tensorflow_run_in_their_runtimes_alone(
    shipped_runs: dict[str, Run], tmp_path: Path
) -> None:
    formats = ("saved_model", "litert", "keras")
    exports = [
        export_model(shipped_runs[name], format, tmp_path / f"{name}-{format}")
        for name in FEWER
        for format in formats
    ]

    found = differences([each.path for each in exports])

    assert len(found) == len(FEWER) * len(formats)
    assert all(size < 1e-5 for size in found.values()), found
