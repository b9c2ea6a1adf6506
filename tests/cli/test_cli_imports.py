"""What each verb loads: nothing that it doesn't need, and TensorFlow only to train."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

LISTING = """\
import sys
from dlcli.cli import main
try:
    main(prog_name="dlcli")
finally:
    print("loaded:", *sorted({name.partition(".")[0] for name in sys.modules}), file=sys.stderr)
"""
HEAVY = {"tensorflow", "keras", "pandas", "sklearn", "scipy", "rich", "PIL"}


def loaded_by(*arguments):
    command = [sys.executable, "-c", LISTING, *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode, set(done.stderr.splitlines()[-1].split())


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "-h"], ["trian"]])
def test_help_loads_nothing_but_click(arguments):
    _, loaded = loaded_by(*arguments)
    assert "click" in loaded
    assert loaded.isdisjoint(HEAVY | {"pydantic", "numpy", "pyarrow", "yaml", "asyncio"})


@pytest.mark.usefixtures("folder")
def test_a_config_error_waits_for_no_data():
    Path("bad.yaml").write_text("epochs: ten\n")
    for verb in ("train", "validate"):
        code, loaded = loaded_by(verb, "bad.yaml")
        assert code == 2
        assert loaded.isdisjoint(HEAVY | {"numpy", "pyarrow"})


@pytest.mark.usefixtures("pets")
@pytest.mark.parametrize(
    "arguments",
    [
        ["predict", "pets.csv", "--keep", "pet"],
        ["predict", "pets.csv", "--format", "jsonl"],
        ["predict", "pets.csv", "--output", "out.parquet"],
        ["evaluate", "pets.csv"],
        ["report", "runs/pets"],
        ["diagnose", "runs/pets"],
        ["validate", "pets.yaml"],
        ["validate", "runs/pets"],
        ["init", "pets.csv", "--target", "pet"],
        ["init", "--example", "line"],
        ["inspect", "pets.csv", "--target", "pet"],
        ["schema"],
    ],
    ids=" ".join,
)
def test_only_training_loads_tensorflow(arguments):
    code, loaded = loaded_by(*arguments)
    assert code == 0
    assert loaded.isdisjoint(HEAVY)


@pytest.mark.slow
@pytest.mark.usefixtures("pets")
def test_training_loads_tensorflow():
    code, loaded = loaded_by("train", "pets.yaml")
    assert code == 0
    assert "tensorflow" in loaded
    assert loaded.isdisjoint({"pandas", "sklearn"})
