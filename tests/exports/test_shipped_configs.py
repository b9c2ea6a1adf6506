"""Each shipped config exports, and its model runs where no dlcli is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dlcli.exports import export_model
from dlcli.runs import Run

RUNNERS = Path(__file__).with_name("without_dlcli.py")
NAMES = [
    *("breast_cancer", "diabetes", "digits", "digits_png", "iris", "line"),
    *("penguins", "reviews", "steering", "tictactoe", "xor"),
]


def differences(format: str, folders: list[Path]) -> dict[str, float]:
    """The largest differences of outputs from those of dlcli, in a process without it."""
    process = [sys.executable, "-I", str(RUNNERS), format, *map(str, folders)]
    done = subprocess.run(process, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("format", ["onnx", "saved_model"])
def test_models_run_in_their_own_runtime_alone(
    format: str, shipped_runs: dict[str, Run], tmp_path: Path
) -> None:
    assert sorted(shipped_runs) == NAMES
    exports = [export_model(run, format, tmp_path / name) for name, run in shipped_runs.items()]

    found = differences(format, [each.path for each in exports])

    assert [*found] == NAMES
    assert all(size < 1e-5 for size in found.values()), found
    kinds = {kind for each in exports for kind in each.document.checked}
    assert kinds == {"training rows", "held-out rows", "made-up rows"}
