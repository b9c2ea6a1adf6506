"""dlcli's engine, called with encoded rows as by `dlcli train`."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.timing import EpochEnd, Stopwatch, last_of_each_burst
from benchmarks.workloads import EncodedData, Workload
from dlcli.columns.layout import plain_layout
from dlcli.config.config_schema import Config
from dlcli.encoding.encoded_rows import EncodedRows, InMemoryInputs
from dlcli.network.head import resolve_head
from dlcli.network.layers import build_network
from dlcli.pipeline.fit import quiet_tensorflow
from dlcli.tasks.classification import classification
from dlcli.tasks.regression import Regression
from dlcli.tasks.task import Task
from dlcli.training_job import Job, choose_engine

with quiet_tensorflow():
    from dlcli.training.engines import prepare_device, train_job

SECONDS_BETWEEN_DISPATCHES = 1e-3
"""More than the time to report an epoch, less than that of a dispatch."""


def train(workload: Workload, data: EncodedData, epochs: int) -> list[EpochEnd]:
    """Train with the engine that dlcli chooses."""
    prepare_device("cpu", "auto")
    stopwatch = Stopwatch()
    job = build_job(workload, data, epochs)
    engine = choose_engine(job.config, job.network, workload.rows)

    def progress(epoch: int, values: Mapping[str, float]) -> None:
        stopwatch.record(epoch)

    train_job(job, engine, progress)
    stopwatch.record(epochs)
    return last_of_each_burst(stopwatch.ends, SECONDS_BETWEEN_DISPATCHES)


def build_job(workload: Workload, data: EncodedData, epochs: int) -> Job:
    """Return the job that trains a workload."""
    config = _config(workload, epochs)
    task = _task(workload)
    head = resolve_head(config, task)
    network = build_network(plain_layout(workload.inputs), config.hidden, head.output)
    validation = None
    if workload.validation_rows:
        validation = EncodedRows(InMemoryInputs(data.validation_matrix), data.validation_target)
    encoded = EncodedRows(InMemoryInputs(data.matrix), data.target)
    return Job(config, network, head, task, encoded, validation)


def _config(workload: Workload, epochs: int) -> Config:
    layer = {"activation": "relu", "dropout": workload.dropout}
    files, stopping = {"train": "rows.csv", "target": "y"}, {}
    if workload.validation_rows:
        files["validation"] = "validation.csv"
        stopping = {"early_stopping": {"patience": epochs}}
    return Config.model_validate(
        {
            "data": files,
            "hidden": tuple({"units": units, **layer} for units in workload.hidden),
            "optimizer": {"name": "adam", "learning_rate": 1e-3},
            "metrics": (),  # only the loss, as the rivals
            "epochs": epochs,
            "batch_size": workload.batch_size,
            **stopping,
        }
    )


def _task(workload: Workload) -> Task:
    if workload.classes:
        return classification("y", tuple(map(str, range(workload.classes))), "integer")
    return Regression(columns=("y",))
