"""The benchmark of exports: what it measures, and its table."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.exports import Exported, measure, report
from dlcli.runs.run import Run

pytestmark = pytest.mark.release


def test_a_format_has_the_medians_of_its_runs_and_the_worst_difference() -> None:
    exports = [
        Exported("iris", "onnx", 1.0, 2_000, 1e-8, 0),
        Exported("digits", "onnx", 3.0, 4_000, 2e-7, 1),
        Exported("xor", "onnx", 9.0, 9_000, 0.0, 0),
        Exported("xor", "card", 0.5, 1_500, None, 0),
    ]
    page = io.StringIO()

    Console(width=100, file=page).print(report(exports))

    lines = [line.split() for line in page.getvalue().splitlines()]
    assert ["onnx", "3", "3.00", "4.0", "2.0e-07", "(digits)", "1"] in lines
    assert ["card", "1", "0.50", "1.5", "-", "-"] in lines


def test_an_export_is_measured_in_a_process_of_its_own(
    shipped_runs: dict[str, Run], tmp_path: Path
) -> None:
    found = measure(shipped_runs["iris"].path, "onnx", tmp_path / "out")

    assert (found.run, found.format, found.unequal) == ("iris", "onnx", 0)
    assert found.seconds > 0
    assert found.model_bytes == (tmp_path / "out/model.onnx").stat().st_size
    assert found.largest_difference is not None
    assert found.largest_difference < 1e-5
