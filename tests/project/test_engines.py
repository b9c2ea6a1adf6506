"""The recipes for Ray Data and Spark run on these engines, each in processes of its own.

For releases, as starting an engine takes most of the time; tests/api/test_batches.py has what the
recipes need of dlcli: batches in each form, and models that are sent to other processes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from tests.catalogue.hand_made import make_run

ROOT = Path(__file__).parents[2]
HIDDEN = ROOT / "tests" / "without_pandas"
CONFIG = """\
data: {train: iris.csv, target: species}
hidden: []
epochs: 1
"""


def run_recipes(engine: str) -> str:
    """What the recipes for an engine print, in the current folder; with pandas, as both load it."""
    shutil.copy(ROOT / "data" / "iris.csv", "iris.csv")
    kernel = np.random.default_rng(0).normal(size=(4, 3))
    make_run(CONFIG, "iris", {"output/kernel": kernel, "output/bias": np.zeros(3)})
    paths = os.environ["PYTHONPATH"].split(os.pathsep)
    visible = [path for path in paths if path != str(HIDDEN)]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(visible),
        "PYSPARK_PYTHON": sys.executable,
        "RAY_USAGE_STATS_ENABLED": "0",
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    script = str(Path(__file__).with_name("engine_recipes.py"))
    command = [sys.executable, script, engine]
    answer = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


@pytest.mark.release
def test_the_recipes_for_ray_data_predict_what_the_model_does(tmp_path, monkeypatch):
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed: it is the extra `ray`")
    monkeypatch.chdir(tmp_path)

    printed = run_recipes("Ray Data").splitlines()

    assert printed[-2:] == ["predicted/actors: 3000 rows", "predicted/ray: 3000 rows"]


@pytest.mark.release
def test_the_recipe_for_spark_predicts_what_the_model_does(tmp_path, monkeypatch):
    if find_spec("pyspark") is None or shutil.which("java") is None:
        pytest.skip("Spark is not installed: it is the package `pyspark`, and needs Java")
    monkeypatch.chdir(tmp_path)

    assert run_recipes("Spark").splitlines()[-1] == "predicted/spark: 3000 rows"
