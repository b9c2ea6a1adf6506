"""Mangled CSV files end in a result or one explained error, in little time and memory.

40 files by default. For more, by hand: `DLCLI_FUZZ=10000 pytest tests/fuzz`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mangled_csv import mangled

import dlcli as package

pytest.importorskip("resource")  # what measures the memory; Windows has none

FILES = int(os.environ.get("DLCLI_FUZZ", "40"))
WORKER = Path(__file__).with_name("csv_worker.py")


def test_a_seed_always_gives_the_same_file():
    assert [mangled(seed) for seed in range(20)] == [mangled(seed) for seed in range(20)]
    assert len({mangled(seed)[1] for seed in range(20)}) > 15


@pytest.mark.slow
def test_mangled_files_end_in_a_result_or_an_explained_error(tmp_path):
    """In a separate process, which a file might crash."""
    here = {"PYTHONPATH": str(Path(package.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, WORKER, "0", str(FILES)],
        cwd=tmp_path,
        env={**os.environ, **here},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    *failures, summary = map(json.loads, done.stdout.splitlines())
    assert failures == []
    assert summary["files"] == FILES
    assert summary["read"] > FILES / 4
