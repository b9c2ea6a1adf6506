"""MLflow's tracking: on a server, or in a database in the current folder."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, TypeVar

from dlcli.runs import Run, read_mlflow_run, tracked_files, write_mlflow_run
from dlcli.tracking.failures import without_secrets
from dlcli.tracking.mlflow_store import connect, patience
from dlcli.tracking.parameters import Parameter, shortened
from dlcli.tracking.tracker import Begun, Fields, Outcome, Values

if TYPE_CHECKING:
    from mlflow.entities import Metric
    from mlflow.entities import Run as Tracked

_SECONDS = 1.0
"""How long an epoch may wait to be sent."""
_SHARE = 10
"""Epochs are sent at most once in so many times as long as it takes to send them."""


class MLflow:
    """Tracks parameters, curves, final metrics and the files of the run folder.

    The tracking URI and the experiment are those of MLflow's own environment variables.

    Raises:
        UsageError: if there is nothing there.
    """

    name = "MLflow"

    def __init__(self) -> None:
        self._store = connect()
        self._run_id = ""
        self._told = 0
        """The last epoch that was tracked by the process before, if training goes on."""
        self._waiting: list[Metric] = []
        self._due = 0.0

    def begin(self, begun: Begun) -> Fields:
        """Makes a run of MLflow, or opens the one from before; see `Tracker`."""
        with patience():
            earlier = self._earlier(begun)
            if earlier is None:
                self._run_id = self._make(begun)
                write_mlflow_run(begun.folder, self._run_id)
            else:
                self._go_on(earlier)
        return self._place()

    def resume(self, epochs: int) -> None:
        """Does nothing: the epochs that come again are exact copies; see `Tracker`."""

    def measure(self, epoch: int, values: Values) -> None:
        """Sends a point of each curve, with those that are due to be sent; see `Tracker`."""
        if epoch <= self._told:
            return
        self._add(epoch, values)
        if time.monotonic() >= self._due:
            self._send()

    def judge(self, epochs: int, metrics: Mapping[str, Values]) -> None:
        """Sends the final metrics as `test_accuracy` and so on; see `Tracker`."""
        for split, values in metrics.items():
            self._add(epochs, {f"{split}_{name}": value for name, value in values.items()})
        self._send()

    def end(self, outcome: Outcome, run: Run | None) -> None:
        """Sends the files of a run that is whole, and how training ended; see `Tracker`."""
        if not self._run_id:
            return
        try:
            self._send()
            with patience(for_files=True):
                for path in tracked_files(run) if run else ():
                    self._store.client.log_artifact(self._run_id, str(path))
        finally:
            with patience():
                self._store.client.set_terminated(self._run_id, outcome.value)

    def close(self) -> None:
        """Does nothing: no connection stays open; see `Tracker`."""

    def _earlier(self, begun: Begun) -> Tracked | None:
        """The run of MLflow that a process before has begun, if it is there still."""
        run_id = read_mlflow_run(begun.folder)
        if run_id is None:
            return None
        from mlflow.exceptions import MlflowException

        try:
            found = self._store.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
        is_ours = _RUN in found.data.tags  # the id may be a stranger's
        return found if is_ours and found.info.lifecycle_stage == "active" else None

    def _go_on(self, earlier: Tracked) -> None:
        self._run_id = earlier.info.run_id
        self._store.client.update_run(self._run_id, status="RUNNING")
        known = self._store.client.get_metric_history(self._run_id, "loss")
        self._told = max((metric.step for metric in known), default=0)

    def _make(self, begun: Begun) -> str:
        """Makes a run of MLflow with all that is known before training."""
        from mlflow.entities import Param
        from mlflow.utils.validation import (
            MAX_PARAM_VAL_LENGTH,
            MAX_PARAMS_TAGS_PER_BATCH,
            MAX_TAG_VAL_LENGTH,
        )

        client = self._store.client
        tags = {key: shortened(text, MAX_TAG_VAL_LENGTH) for key, text in _tags(begun).items()}
        made = client.create_run(self._store.experiment_id, tags=tags, run_name=begun.folder.name)
        parameters = [
            Param(_key(path), shortened(_text(value), MAX_PARAM_VAL_LENGTH))
            for path, value in begun.parameters.items()
        ]
        for some in _batches(parameters, MAX_PARAMS_TAGS_PER_BATCH):
            client.log_batch(made.info.run_id, params=some)
        return str(made.info.run_id)

    def _add(self, step: int, values: Values) -> None:
        from mlflow.entities import Metric

        now = time.time_ns() // 1_000_000
        self._waiting += [Metric(name, value, now, step) for name, value in values.items()]

    def _send(self) -> None:
        from mlflow.utils.validation import MAX_METRICS_PER_BATCH

        waiting, self._waiting = self._waiting, []
        start = time.monotonic()
        with patience():
            for some in _batches(waiting, MAX_METRICS_PER_BATCH):
                self._store.client.log_batch(self._run_id, metrics=some)
        end = time.monotonic()
        self._due = end + max(_SECONDS, _SHARE * (end - start))

    def _place(self) -> Fields:
        uri, experiment = without_secrets(self._store.uri), self._store.experiment_id
        told: Fields = {"tracker": self.name, "run_id": self._run_id}
        if uri.startswith(("http://", "https://")):
            address = f"{uri.rstrip('/')}/#/experiments/{experiment}/runs/{self._run_id}"
            return {**told, "place": address}
        look = shlex.join([*_viewer(), "ui", "--backend-store-uri", uri])
        return {**told, "place": f"{uri}, run {self._run_id}", "look": look}


def _viewer() -> list[str]:
    """The command of the whole MLflow; the extra has only what tracks, and not what shows."""
    return ["mlflow"] if find_spec("flask") else ["pipx", "run", "mlflow"]


_RUN = "dlcli.run"
"""The tag with the run folder; runs of others have none."""


def _tags(begun: Begun) -> dict[str, str]:
    """What it was made with, by MLflow's own names where there are some."""
    environment = begun.environment
    tags = {
        "mlflow.source.name": "dlcli train",
        "mlflow.source.type": "LOCAL",
        "dlcli.version": str(environment["dlcli"]),
        "dlcli.data_sha256": " ".join(str(file["sha256"]) for file in environment["data"]),
        _RUN: str(begun.folder),
    }
    if git := environment["git"]:
        tags["mlflow.source.git.commit"] = str(git["commit"])
        tags["dlcli.git_dirty"] = _text(git["dirty"])
    return tags


Item = TypeVar("Item")


def _batches(items: Sequence[Item], most: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + most] for start in range(0, len(items), most))


def _key(path: str) -> str:
    """A path in the letters that MLflow allows: `hidden.0.units`."""
    return path.replace("[", ".").replace("]", "")


def _text(value: Parameter) -> str:
    """A value as YAML has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
