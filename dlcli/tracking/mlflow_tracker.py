"""Tracking with MLflow, on a server or in a database in the current folder."""

from __future__ import annotations

import logging
import os
import re
import shlex
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from dlcli.errors import UsageError, require_packages, truncate
from dlcli.pipeline.events import TrackingEvent
from dlcli.schema.urls import hide_secrets
from dlcli.tracking.tracked_events import reason
from dlcli.tracking.tracker import Outcome, Parameter, TrackedRun, TrackedValues, Tracker

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric
    from mlflow.entities import Run as MlflowRun

Item = TypeVar("Item")
_SECONDS = 1.0
"""Maximum time until an epoch is sent."""
_SHARE = 10
"""Sending takes at most 1 / `_SHARE` of the time."""
_RUN = "dlcli.run"
"""The tag with the run folder, which runs of other programs lack."""
_RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"
_TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
"""Turn off telemetry and output to standard output, which is reserved for the result."""
_CREDENTIALS = re.compile(r"(?<=://)[^/\s]*@")
"""User and password in a URL."""
_DATABASES = ("sqlite", "postgresql", "mysql", "mssql")


class MLflow(Tracker):
    """Tracks parameters, curves, final metrics and the files of the run folder.

    MLflow's environment variables set the tracking URI and the experiment.

    Raises:
        UsageError: if the store or the experiment does not exist.
    """

    name = "MLflow"

    def __init__(self) -> None:
        self._store = connect()
        self._run_id = ""
        self._tracked: dict[str, int] = {}
        """The last epoch of each network that an earlier process has tracked, if there was one."""
        self._waiting: list[Metric] = []
        self._due = 0.0

    def begin(self, run: TrackedRun) -> TrackingEvent:
        """Create an MLflow run, or continue the earlier one; see `Tracker`."""
        with short_timeouts():
            if earlier := self._earlier(run.earlier_id):
                self._run_id = earlier.info.run_id
                self._store.client.update_run(self._run_id, status="RUNNING")
                self._tracked = {
                    _network(name): self._last_step(name)
                    for name in earlier.data.metrics
                    if name.partition("/")[0] == "loss"
                }
            else:
                self._run_id = self._create(run)
        return self._place()

    def log_epoch(self, epoch: int, values: TrackedValues) -> None:
        """Add a point to each curve, and send collected points at intervals; see `Tracker`."""
        new = {n: value for n, value in values.items() if epoch > self._tracked.get(_network(n), 0)}
        self._add(epoch, new)
        if time.monotonic() >= self._due:
            self._send()

    def log_part(
        self, name: str, parameters: Mapping[str, Parameter], values: TrackedValues
    ) -> None:
        """Create a nested MLflow run for a fold or a trial; see `Tracker`."""
        client = self._store.client
        with short_timeouts():
            tags = {"mlflow.parentRunId": self._run_id}
            made = client.create_run(self._store.experiment_id, tags=tags, run_name=name)
            self._log_parameters(made.info.run_id, parameters)
            self._log_metrics(made.info.run_id, _points(0, values))
            client.set_terminated(made.info.run_id)

    def log_metrics(self, epochs: int, metrics: Mapping[str, TrackedValues]) -> None:
        """Send the final metrics as `test_accuracy` and so on; see `Tracker`."""
        for split, values in metrics.items():
            self._add(epochs, {f"{split}_{name}": value for name, value in values.items()})
        self._send()

    def end(self, outcome: Outcome, files: Sequence[Path]) -> None:
        """Send the files of a complete run and the status; see `Tracker`."""
        if not self._run_id:
            return
        try:
            self._send()
            with short_timeouts(for_files=True):
                for path in files:
                    self._store.client.log_artifact(self._run_id, str(path))
        finally:
            with short_timeouts():
                self._store.client.set_terminated(self._run_id, outcome.name)

    def _earlier(self, run_id: str | None) -> MlflowRun | None:
        """Return the MLflow run of an earlier process, if it still exists."""
        if run_id is None:
            return None
        from mlflow.exceptions import MlflowException

        try:
            earlier = self._store.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        is_ours = _RUN in earlier.data.tags  # run folders are untrusted
        return earlier if is_ours and earlier.info.lifecycle_stage == "active" else None

    def _last_step(self, name: str) -> int:
        history = self._store.client.get_metric_history(self._run_id, name)
        return max((metric.step for metric in history), default=0)

    def _create(self, run: TrackedRun) -> str:
        """Create an MLflow run with everything that is known before training."""
        from mlflow.utils.validation import MAX_TAG_VAL_LENGTH

        client = self._store.client
        tags = {key: truncate(text, MAX_TAG_VAL_LENGTH) for key, text in _tags(run).items()}
        made = client.create_run(self._store.experiment_id, tags=tags, run_name=run.folder.name)
        self._log_parameters(made.info.run_id, run.parameters)
        return str(made.info.run_id)

    def _log_parameters(self, run_id: str, parameters: Mapping[str, Parameter]) -> None:
        """Send parameters in batches, with the maximum batch size and text length of MLflow."""
        from mlflow.entities import Param
        from mlflow.utils.validation import MAX_PARAM_VAL_LENGTH, MAX_PARAMS_TAGS_PER_BATCH

        params = [
            Param(_key(path), truncate(_text(value), MAX_PARAM_VAL_LENGTH))
            for path, value in parameters.items()
        ]
        for some in _batches(params, MAX_PARAMS_TAGS_PER_BATCH):
            self._store.client.log_batch(run_id, params=some)

    def _add(self, step: int, values: TrackedValues) -> None:
        self._waiting += _points(step, values)

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        start = time.monotonic()
        with short_timeouts():
            self._log_metrics(self._run_id, waiting)
        end = time.monotonic()
        self._due = end + max(_SECONDS, _SHARE * (end - start))

    def _log_metrics(self, run_id: str, points: Sequence[Metric]) -> None:
        """Send points of curves in batches of the maximum size of MLflow."""
        from mlflow.utils.validation import MAX_METRICS_PER_BATCH

        for some in _batches(points, MAX_METRICS_PER_BATCH):
            self._store.client.log_batch(run_id, metrics=some)

    def _place(self) -> TrackingEvent:
        uri = hide_secrets(_CREDENTIALS.sub("", self._store.uri))
        experiment = self._store.experiment_id
        if uri.startswith(("http://", "https://")):
            address = f"{uri.rstrip('/')}/#/experiments/{experiment}/runs/{self._run_id}"
            return TrackingEvent(tracker=self.name, run_id=self._run_id, place=address)
        # The extra installs only tracking; the complete MLflow also has the web interface.
        viewer = ["mlflow"] if find_spec("flask") else ["pipx", "run", "mlflow"]
        look = shlex.join([*viewer, "ui", "--backend-store-uri", uri])
        place = f"{uri}, run {self._run_id}"
        return TrackingEvent(tracker=self.name, run_id=self._run_id, place=place, look=look)


def _tags(run: TrackedRun) -> dict[str, str]:
    """Return versions and data of a run, under MLflow's names if they exist."""
    ours = {f"dlcli.{name}": value for name, value in run.tags.items() if name != "git_commit"}
    tags = {
        "mlflow.source.name": f"dlcli {run.kind}",
        "mlflow.source.type": "LOCAL",
        _RUN: str(run.folder),
    }
    if commit := run.tags.get("git_commit"):
        tags["mlflow.source.git.commit"] = commit
    return ours | tags


def _points(step: int, values: TrackedValues) -> list[Metric]:
    from mlflow.entities import Metric

    now = time.time_ns() // 1_000_000
    return [Metric(name, value, now, step) for name, value in values.items()]


def _batches(items: Sequence[Item], most: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + most] for start in range(0, len(items), most))


def _network(name: str) -> str:
    """Return the member of an ensemble that a curve belongs to: `member_2` of `loss/member_2`."""
    return name.partition("/")[2]


def _key(path: str) -> str:
    """Return the path of a setting in characters that MLflow allows: `hidden.0.units`.

    Other characters, which may be in column names, become underscores.
    """
    from mlflow.utils.validation import MAX_ENTITY_KEY_LENGTH

    plain = re.sub(r"\['(.*?)'\]", r".\1", path).replace("[", ".").replace("]", "")
    return truncate(re.sub(r"[^\w.\- ]", "_", plain), MAX_ENTITY_KEY_LENGTH)


def _text(value: Parameter) -> str:
    """Format a value as in YAML."""
    return str(value).lower() if isinstance(value, bool) else str(value)


@dataclass(frozen=True)
class Store:
    """A tracking server or database."""

    client: MlflowClient
    uri: str
    """The tracking URI, including any password."""
    experiment_id: str


def connect() -> Store:
    """Find the store and the experiment; create the experiment if it does not exist.

    Raises:
        UsageError: if the store does not exist, or its server does not respond within seconds.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # else it logs each retry
    with short_timeouts():
        from mlflow import get_tracking_uri

        uri = get_tracking_uri()
        if uri.partition(":")[0].partition("+")[0] in _DATABASES:
            require_packages("--mlflow", "mlflow", "sqlalchemy", "alembic")
        try:
            return _find(uri)
        except UsageError:
            raise
        except Exception as error:
            raise UsageError(
                f"MLflow: can't track to {hide_secrets(uri)}: {reason(error)}; check that "
                "it exists, set MLFLOW_TRACKING_URI to another URI, or train without --mlflow"
            ) from error


def _find(uri: str) -> Store:
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "Default"
    number = os.environ.get("MLFLOW_EXPERIMENT_ID")
    found = client.get_experiment(number) if number else client.get_experiment_by_name(name)
    if found is None:
        return Store(client, uri, client.create_experiment(name))
    if found.lifecycle_stage != "active":
        raise UsageError(
            f"MLflow: the experiment '{found.name}' is deleted; restore it, or set "
            "MLFLOW_EXPERIMENT_NAME to another"
        )
    return Store(client, uri, str(found.experiment_id))


@contextmanager
def short_timeouts(*, for_files: bool = False) -> Iterator[None]:
    """Limit the time that MLflow waits for its server to seconds, unless the user has set it.

    The default of 7 retries of 120 seconds each would delay training. Warnings about MLflow's own
    code are suppressed.

    Args:
        for_files: whether to wait longer, as uploading a file may take a while.
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
