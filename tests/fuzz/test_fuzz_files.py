"""Damaged Parquet, Arrow, PNG and JPEG files end in a result or one explained error.

60 of each by default, and 3,000 as a release test.
For more: `DLCLI_FUZZ=100000 pytest -m "" tests/fuzz/test_fuzz_files.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import dlcli as package

pytest.importorskip("resource")  # what measures the memory; Windows has none

WORKER = Path(__file__).with_name("files_worker.py")
FILES = os.environ.get("DLCLI_FUZZ", "60")
MORE_FILES = os.environ.get("DLCLI_FUZZ", "3000")
VERBS = ("predicted", "inspected")


@pytest.mark.slow
@pytest.mark.parametrize(
    "files", [FILES, pytest.param(MORE_FILES, marks=pytest.mark.release)], ids=["few", "many"]
)
def test_damaged_files_end_in_a_result_or_an_explained_error(files, tmp_path):
    """In a separate process, which a file might crash."""
    here = {"PYTHONPATH": str(Path(package.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, WORKER, files],
        cwd=tmp_path,
        env={**os.environ, **here},
        capture_output=True,
        text=True,
        errors="replace",
    )
    assert (done.returncode, done.stderr) == (0, "")
    ends = json.loads(done.stdout)
    kinds = [f"{ending} {verb}" for ending in (".arrow", ".parquet") for verb in VERBS]
    assert {f"{kind}{end}" for kind in [*kinds, "image"] for end in ("", " refused")} <= {*ends}
