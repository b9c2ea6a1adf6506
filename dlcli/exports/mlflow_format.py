"""Export of a run as an MLflow model of the `python_function` flavor, which needs no TensorFlow.

The folder contains what MLflow reads (`MLmodel`, `requirements.txt`, `python_env.yaml`) and, in
`run`, the files of the run that predictions require. It is written without MLflow, in the format of
https://mlflow.org/docs/latest/python_api/mlflow.pyfunc.html.
"""

from __future__ import annotations

import json
import platform
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from dlcli import __version__
from dlcli.columns.value_problems import ValueProblems
from dlcli.exports.export_folder import new_folder
from dlcli.exports.formats import FolderFormat
from dlcli.prediction.predictor import Predictor
from dlcli.runs.run import Run
from dlcli.runs.run_folder import copy_for_predictions
from dlcli.schema.yaml_document import dump_yaml

LOADER = "dlcli.api.mlflow_model"
"""The module that MLflow imports to load the model."""
RUN = "run"
_REQUIREMENTS = (f"dlcli-keras-runtime=={__version__}", "mlflow-skinny>=3.17,<4", "pandas")
"""Packages that load the model. The complete `mlflow` 3.17 requires an older pyarrow than dlcli."""


def export_mlflow(run: Run, output: Path) -> None:
    """Write a run as an MLflow model.

    Args:
        run: a training run.
        output: the folder to create.

    Raises:
        UsageError: if the folder exists or can't be created.
        RunError: if the run has no network or is damaged.
    """
    run.require_network()
    predictor = run.predictor
    environment = {
        "python": platform.python_version(),
        "build_dependencies": ["pip"],
        "dependencies": ["-r requirements.txt"],
    }
    with new_folder(output) as folder:
        (folder / RUN).mkdir()
        copy_for_predictions(run, folder / RUN)
        (folder / "MLmodel").write_text(dump_yaml(_description(predictor)), encoding="utf-8")
        (folder / "python_env.yaml").write_text(dump_yaml(environment), encoding="utf-8")
        (folder / "requirements.txt").write_text("\n".join([*_REQUIREMENTS, ""]), encoding="utf-8")


def _description(predictor: Predictor) -> dict[str, object]:
    """Return the content of `MLmodel`."""
    return {
        "flavors": {
            "python_function": {
                "loader_module": LOADER,
                "data": RUN,
                "env": {"virtualenv": "python_env.yaml"},
                "python_version": platform.python_version(),
            }
        },
        "model_uuid": uuid.uuid4().hex,
        "signature": {
            "inputs": json.dumps(list(_inputs(predictor))),
            "outputs": json.dumps(list(_outputs(predictor))),
            "params": None,
        },
        "utc_time_created": f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S.%f}",
    }


def _inputs(predictor: Predictor) -> Iterator[dict[str, object]]:
    """Yield the required columns, of any type: MLflow refuses integers for a column of floats.

    Values are checked by dlcli, as in `dlcli predict`.
    """
    for name in predictor.columns:
        yield {"type": "any", "name": name, "required": True}


def _outputs(predictor: Predictor) -> Iterator[dict[str, object]]:
    """Yield the columns of predictions, which are known from an empty table."""
    columns = {name: pa.nulls(0) for name in predictor.columns}
    empty = predictor.predict(predictor.batch(pa.table(columns), "data"), ValueProblems())
    for column in pa.table(empty.columns()).schema:
        yield {"type": _output_type(column.type), "name": column.name, "required": True}


def _output_type(type: pa.DataType) -> str:
    if pa.types.is_floating(type):
        return "double" if type == pa.float64() else "float"
    if pa.types.is_boolean(type):
        return "boolean"
    if pa.types.is_integer(type):
        return "long"
    is_string = pa.types.is_string(type) or pa.types.is_large_string(type)
    return "string" if is_string else "any"


FORMAT = FolderFormat(export_mlflow)
