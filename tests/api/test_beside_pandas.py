"""The Python API beside pandas, polars, scikit-learn and Jupyter, in a process of its own.

Keras imports pandas and scikit-learn wherever they are installed, so other tests hide them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
HIDDEN = TESTS / "without_pandas"
SCRIPTS = (
    TESTS / "api" / "beside_pandas.py",
    TESTS / "api" / "types_beside_pandas.py",
    TESTS / "exports" / "functions_of_scripts.py",
    TESTS / "project" / "python_of_pages.py",
)


def test_pandas_is_hidden_from_all_other_tests():
    with pytest.raises(ModuleNotFoundError, match="pandas is hidden"):
        find_spec("pandas")
    script = "import sklearn"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "sklearn is hidden" in answer.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "which", ["not release", pytest.param("release", marks=pytest.mark.release)]
)
def test_the_api_works_beside_pandas_polars_scikit_learn_and_jupyter(which):
    """In one process with the Python of the documentation, as it takes long to load them all."""
    paths = os.environ["PYTHONPATH"].split(os.pathsep)
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in paths if path != str(HIDDEN)),
        "DLCLI_TESTS_BESIDE_PANDAS": "1",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    # `--dist` of the project's own options is xdist's.
    options = ["-o", "addopts=--strict-markers", "-m", which]
    answer = subprocess.run(
        [*command, *options, *map(str, SCRIPTS)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert answer.returncode == 0, answer.stdout
