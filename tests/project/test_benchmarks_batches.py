"""The benchmark of predictions of many rows: its table, and that it runs."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.batch_prediction import Measured, report
from benchmarks.forked import Ended

pytestmark = pytest.mark.release


def test_a_rival_is_compared_with_dlcli_in_the_same_engine_and_round() -> None:
    measured = [
        Measured("processes", "dlcli", 1, 2.0, 3.0, 200_000_000),
        Measured("processes", "NumPy", 1, 1.0, 1.5, 100_000_000),
        Measured("Ray Data", "dlcli", 2, 9.0, None, None),
        Measured("processes", "dlcli", 1, 4.0, 3.0, 200_000_000),
        Measured("processes", "NumPy", 1, 1.0, 1.7, 100_000_000),
        Measured("Ray Data", "dlcli", 2, 11.0, None, None),
    ]
    page = io.StringIO()

    Console(width=100, file=page).print(report(measured, 1000))

    lines = [line.split() for line in page.getvalue().splitlines()]
    assert ["processes", "dlcli", "1", "333", "1.00", "3.0", "200"] in lines
    assert ["processes", "NumPy", "1", "1,000", "3.00", "1.6", "100"] in lines
    assert ["Ray", "Data", "dlcli", "2", "100", "1.00", "-", "-"] in lines


def test_each_model_predicts_the_same_rows(
    run_module: Callable[..., Ended], tmp_path: Path
) -> None:
    result = tmp_path / "result.json"

    done = run_module(
        "benchmarks.batch_prediction", "--rows=3000", "--files=2", "--json", str(result)
    )

    assert done.code == 0, done.errors
    found = {(each["model"], each["jobs"]) for each in json.loads(result.read_text("utf-8"))}
    assert {
        (model, jobs) for model in ("dlcli", "NumPy", "onnxruntime") for jobs in (1, 2)
    } <= found
