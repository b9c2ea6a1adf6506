"""MLflow models: the same predictions as dlcli, without TensorFlow and without MLflow to write them."""

from __future__ import annotations

import csv
import importlib
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import dlcli as library
from dlcli.errors import RunError
from dlcli.exports.export_folder import export_run
from dlcli.runs.manifest import RunFile
from dlcli.runs.run_folder import open_run

CORPUS = Path(__file__).parents[1] / "compatibility" / "corpus" / library.__version__ / "runs"

PREDICTING = """\
import sys
import mlflow.pyfunc, pandas
frame = pandas.read_csv(sys.argv[2])
mlflow.pyfunc.load_model(sys.argv[1]).predict(frame).to_csv(sys.stdout, index=False)
assert "tensorflow" not in sys.modules
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    export_run(open_run(CORPUS / "classes"), "mlflow", tmp_path / "model")
    return tmp_path / "model"


def test_the_description_names_the_loader_and_the_columns(model: Path) -> None:
    description = yaml.safe_load((model / "MLmodel").read_text())
    flavor = description["flavors"]["python_function"]
    loader = importlib.import_module(flavor["loader_module"])
    run = library.load(CORPUS / "classes")
    rows = [{column: None for column in run.columns}]

    loaded = loader._load_pyfunc(str(model / flavor["data"]))

    predicted = run.predict_rows(rows).to_arrow()
    assert loaded.model.predict_rows(rows).to_arrow() == predicted
    signature = description["signature"]
    inputs, outputs = (json.loads(signature[key]) for key in ("inputs", "outputs"))
    assert [each["name"] for each in inputs] == list(run.columns)
    assert [each["name"] for each in outputs] == predicted.column_names
    assert {each["type"] for each in outputs} == {"string", "double"}


def test_the_model_has_no_rows_of_the_table(model: Path) -> None:
    names = {each.name for each in (model / "run").iterdir()}
    assert RunFile.WEIGHTS in names
    assert not names & {RunFile.PREDICTIONS, RunFile.SAMPLE, RunFile.BACKGROUND}
    assert (
        f"dlcli-keras-runtime=={library.__version__}\n" in (model / "requirements.txt").read_text()
    )


def test_a_damaged_run_is_not_exported(tmp_path: Path) -> None:
    run = shutil.copytree(CORPUS / "classes", tmp_path / "run")
    (run / "metrics.json").write_text("{}")
    with pytest.raises(RunError, match=r"metrics\.json"):
        export_run(open_run(run), "mlflow", tmp_path / "model")
    assert not (tmp_path / "model").exists()


@pytest.mark.slow
def test_mlflow_loads_the_model_and_predicts_to_the_bit(model: Path, tmp_path: Path) -> None:
    for package in ("mlflow", "pandas"):
        if importlib.metadata.packages_distributions().get(package) is None:
            pytest.skip(f"there is no {package} to load the model")
    run = library.load(CORPUS / "classes")
    table = tmp_path / "rows.csv"
    table.write_text(f"{','.join(run.columns)}\n{','.join('1' for _ in run.columns)}\n")
    command = [sys.executable, "-W", "ignore", "-c", PREDICTING, str(model), str(table)]
    seen = {**os.environ, "PYTHONPATH": str(Path(library.__file__).parents[1])}  # not hiding pandas
    done = subprocess.run(command, capture_output=True, text=True, env=seen)
    assert done.returncode == 0, done.stderr
    [line] = csv.DictReader(done.stdout.splitlines())
    expected = run.predict(table).to_arrow().to_pylist()[0]
    assert line == {name: str(value) for name, value in expected.items()}
