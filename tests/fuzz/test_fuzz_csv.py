"""CSV files with anything wrong in them: an answer or one explained error, soon and in little room.

120 files by default. For more, by hand: `DLCLI_FUZZ=10000 pytest tests/fuzz`.
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

FILES = int(os.environ.get("DLCLI_FUZZ", "120"))
WORKER = Path(__file__).with_name("csv_worker.py")


def test_a_seed_gives_the_same_file_always():
    assert [mangled(seed) for seed in range(20)] == [mangled(seed) for seed in range(20)]
    assert len({mangled(seed)[1] for seed in range(20)}) > 15


@pytest.mark.slow
def test_of_mangled_files_nothing_comes_but_an_answer_or_an_explained_error(tmp_path):
    """In a process of its own, which a file might take with it."""
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
