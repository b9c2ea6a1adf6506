"""Where MLflow tracks, found before training begins."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlcli.errors import UsageError
from dlcli.tracking.failures import reason, without_secrets
from dlcli.tracking.packages import check_installed

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment

_RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
_TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Nobody is told who has trained, and standard output is the result's."""
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")


@dataclass(frozen=True)
class Store:
    """Where runs are tracked."""

    client: MlflowClient
    uri: str
    """The tracking URI, with the password if it has one."""
    experiment_id: str


def connect() -> Store:
    """Finds the store and the experiment, which is made if it isn't there.

    Raises:
        UsageError: if there is no such store, or its server does not answer within seconds.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # it tells of each retry
    with patience():
        from mlflow import get_tracking_uri

        uri = get_tracking_uri()
        if uri.partition(":")[0].partition("+")[0] in _DATABASES:
            check_installed("mlflow", "sqlalchemy", "alembic")
        try:
            return _found(uri)
        except UsageError:
            raise
        except Exception as error:
            raise UsageError(
                f"MLflow: can't track to {without_secrets(uri)}: {reason(error)}; see that it is "
                "there, set MLFLOW_TRACKING_URI to another, or train without --mlflow"
            ) from error


def _found(uri: str) -> Store:
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    if number := os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return Store(client, uri, _usable(client.get_experiment(number)))
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "Default"
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        return Store(client, uri, client.create_experiment(name))
    return Store(client, uri, _usable(experiment))


def _usable(experiment: Experiment) -> str:
    if experiment.lifecycle_stage != "active":
        raise UsageError(
            f"MLflow: the experiment '{experiment.name}' is deleted; restore it, or set "
            "MLFLOW_EXPERIMENT_NAME to another"
        )
    return str(experiment.experiment_id)


@contextmanager
def patience(*, for_files: bool = False) -> Iterator[None]:
    """Has MLflow wait for its server for seconds, and not for minutes, unless the user says so.

    Its own 7 retries of 120 seconds each would hold training up. What it warns of meanwhile is of
    its own code.

    Args:
        for_files: wait longer, as a server may take its time to store one.
    """
    limits = {_RETRIES: "1", _TIMEOUT: "60" if for_files else "5"}
    ours = {name: value for name, value in limits.items() if name not in os.environ}
    os.environ.update(ours)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name in ours:
            os.environ.pop(name, None)
