"""The nth large allocation of a command fails, for n = 1, 2, 3 ….

Each command then ends with one line that names the reason, or a library written in another language
ends the process. Either way, its output is whole, or absent, or a run folder that can be resumed.
`DLCLI_FAULTS` sets how many allocations are tried, as in `test_failing_disk.py`.
"""

from __future__ import annotations

import pytest

from tests.faults.bench import (
    NEEDED,
    NO_MEMORY,
    ONE_ALLOCATION,
    check_resumed,
    check_whole_or_absent,
    run_differences,
)

pytestmark = NEEDED

FAULTS = pytest.mark.parametrize("fault", [NO_MEMORY, ONE_ALLOCATION], ids=["all", "one_fails"])


def test_a_training_without_memory_is_whole_or_absent_or_resumed(bench):
    check_resumed(bench, ONE_ALLOCATION, ("train", "large.yaml"), run_differences)


@FAULTS
@pytest.mark.parametrize("name", ["p.csv", "p.parquet"])
def test_predictions_without_memory_are_whole_or_absent(name, fault, bench):
    command = ["predict", "run", "many.csv", "--output", f"disk/{name}", "--quiet"]
    check_whole_or_absent(bench, fault, command)


@FAULTS
def test_an_export_without_memory_is_whole_or_absent(fault, bench):
    command = ["export", "run", "--format", "onnx", "--output", "disk/out", "--quiet"]
    check_whole_or_absent(bench, fault, command)
