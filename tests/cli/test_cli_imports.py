"""Modules that commands load: none that they don't need, and TensorFlow only for training."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dlcli.pipeline.fit import pause_collection

LISTING = """\
import json, sys
from dlcli.cli.program import main
for arguments in json.loads(sys.argv[1]):
    try:
        main(arguments, prog_name="dlcli")
    except SystemExit as end:
        modules = {name.partition(".")[0] for name in sys.modules}
        modules |= {name for name in sys.modules if name.startswith("dlcli.")}
        print("loaded:", json.dumps([end.code, sorted(modules)]), file=sys.stderr)
"""
HEAVY = {"tensorflow", "keras", "pandas", "sklearn", "scipy", "rich", "PIL"}


def assert_loads(commands, code, without):
    """Run commands one after the other in a process of their own, which loads no such modules."""
    process = [sys.executable, "-c", LISTING, json.dumps([line.split() for line in commands])]
    done = subprocess.run(process, capture_output=True, text=True)
    lines = [line for line in done.stderr.splitlines() if line.startswith("loaded: ")]
    found = [json.loads(line.removeprefix("loaded: ")) for line in lines]
    assert len(found) == len(commands)
    for command, (ended_with, modules) in zip(commands, found, strict=True):
        assert ended_with == code, command
        assert not without.intersection(modules), command
    return set(found[-1][1])


def test_help_loads_nothing_but_click():
    light = HEAVY | {"pydantic", "numpy", "pyarrow", "yaml", "asyncio"}
    assert "click" in assert_loads(["--help", "--version", "train -h"], 0, light)
    assert_loads(["trian"], 2, light)


@pytest.mark.usefixtures("folder")
def test_a_config_error_is_found_before_the_imports_for_data():
    Path("bad.yaml").write_text("epochs: ten\n")
    assert_loads(["train bad.yaml", "validate bad.yaml"], 2, HEAVY | {"numpy", "pyarrow"})


@pytest.mark.slow
@pytest.mark.usefixtures("pets")
def test_only_training_loads_tensorflow():
    commands = [
        "schema",
        "validate pets.yaml",
        "validate runs/pets",
        "init pets.csv --target pet",
        "init --example line",
        "inspect pets.csv --target pet",
        "predict runs/pets pets.csv --keep pet",
        "predict runs/pets pets.csv --format jsonl",
        "predict runs/pets pets.csv --output out.parquet",
        "evaluate runs/pets pets.csv",
        "report runs/pets",
        "diagnose runs/pets",
        "runs --output runs.html",
        "export runs/pets --format onnx --output out",
        "validate out",
    ]
    assert_loads(commands, 0, HEAVY)


@pytest.mark.slow
@pytest.mark.usefixtures("pets")
def test_predict_loads_only_the_packages_that_it_needs():
    packages = """comparison data_checks diagnosis explanation keras_model pipeline.fit pipeline.events
    pipeline.preparation pipeline.train_run reports.views
    splitting starter tracking training cli.event_log"""
    unneeded = {f"dlcli.{name}" for name in packages.split()}
    assert_loads(
        ["predict runs/pets pets.csv"], 0, unneeded | {"jinja2", "altair", "optuna", "asyncio"}
    )


def test_garbage_is_collected_once_tensorflow_is_loaded():
    gc.disable()  # as the program starts
    with pause_collection():
        pass
    assert gc.isenabled()


FAKE = """\
import os
with open(os.environ["IMPORTED"], "a") as stream:
    stream.write(f"{__name__}\\n")
"""
TRAINING = """\
import sys
from dlcli.cli.program import main
try:
    main(["train", "pets.yaml", "--output", "new"], prog_name="dlcli")
except SystemExit as end:
    assert end.code == 0
    assert "tensorflow" in sys.modules
    import pandas, sklearn, IPython
"""


@pytest.mark.slow
@pytest.mark.usefixtures("pets")
def test_a_training_loads_tensorflow_and_no_package_that_only_keras_looks_for():
    packages, imported = Path("packages").absolute(), Path("imported").absolute()
    packages.mkdir()
    for name in ("pandas", "sklearn", "IPython"):
        (packages / f"{name}.py").write_text(FAKE)
    paths = os.pathsep.join([str(packages), str(Path(__file__).parents[2])])
    variables = {**os.environ, "PYTHONPATH": paths, "IMPORTED": str(imported)}
    done = subprocess.run([sys.executable, "-c", TRAINING], env=variables, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    assert imported.read_text().split() == ["pandas", "sklearn", "IPython"]  # once, by the test
