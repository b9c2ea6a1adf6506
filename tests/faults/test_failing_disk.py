"""The nth write, sync, rename or new file of a command fails, for n = 1, 2, 3 ….

Each command then ends with one line and an exit code, and leaves nothing half-written: its output
is whole, or absent, or a run folder that the named command resumes. By default, five operations are
tried of each command. To try all: `DLCLI_FAULTS=100000 pytest -m release tests/faults`.
"""

from __future__ import annotations

import pytest

from tests.faults.bench import (
    BROKEN,
    FULL,
    NEEDED,
    check_resumed,
    check_whole_or_absent,
    run_differences,
    search_differences,
)

pytestmark = NEEDED

FAULTS = pytest.mark.parametrize("fault", [FULL, BROKEN], ids=["full", "one_fails"])


@FAULTS
@pytest.mark.parametrize(
    "command",
    [("train", "run.yaml"), ("train", "ensemble.yaml"), ("cv", "run.yaml", "--folds", "2")],
    ids=lambda command: " ".join(command[:2]),
)
def test_a_training_is_whole_or_absent_or_resumed(command, fault, bench):
    check_resumed(bench, fault, command, run_differences)


@FAULTS
def test_a_search_is_whole_or_absent_or_resumed(fault, bench):
    check_resumed(bench, fault, ("tune", "search.yaml"), search_differences)


@FAULTS
@pytest.mark.parametrize("name", ["p.csv", "p.parquet", "p.xlsx"])
def test_predictions_are_whole_or_absent(name, fault, bench):
    command = ["predict", "run", "rows.csv", "--output", f"disk/{name}", "--quiet"]
    check_whole_or_absent(bench, fault, command)


@FAULTS
@pytest.mark.parametrize("format", ["onnx", "python"])
def test_an_export_is_whole_or_absent(format, fault, bench):
    command = ["export", "run", "--format", format, "--output", "disk/out", "--quiet"]
    check_whole_or_absent(bench, fault, command)
