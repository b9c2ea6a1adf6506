"""Mangled configs: an answer or located errors, within limits of time and memory.

80 configs by default. For more: `DLCLI_FUZZ=10000 pytest tests/fuzz/test_fuzz_yaml.py`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mangled_yaml import TABLE, WRITTEN, mangled

import dlcli as package
from dlcli.config.config_file import load_config
from dlcli.pipeline.preflight import check

pytest.importorskip("resource")  # what measures the memory; Windows has none

CONFIGS = int(os.environ.get("DLCLI_FUZZ", "80"))
WORKER = Path(__file__).with_name("yaml_worker.py")


def test_a_seed_always_gives_the_same_config():
    assert [mangled(seed) for seed in range(20)] == [mangled(seed) for seed in range(20)]
    assert len({mangled(seed) for seed in range(20)}) > 15


@pytest.mark.parametrize("text", WRITTEN)
def test_the_configs_are_valid_before_they_are_mangled(text, tmp_path):
    (tmp_path / "t.csv").write_text(TABLE)
    (tmp_path / "c.yaml").write_text(text.replace("initial_weights: runs/earlier\n", ""))
    assert check(load_config(tmp_path / "c.yaml")).rows_read


@pytest.mark.slow
def test_mangled_configs_end_in_a_result_or_an_explained_error(tmp_path):
    """In a separate process, which a config might crash."""
    here = {"PYTHONPATH": str(Path(package.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, WORKER, "0", str(CONFIGS)],
        cwd=tmp_path,
        env={**os.environ, **here},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    *failures, summary = map(json.loads, done.stdout.splitlines())
    assert failures == []
    assert summary["configs"] == CONFIGS
    assert summary["loaded"] > CONFIGS / 10
    assert summary["checked"] > CONFIGS / 20
