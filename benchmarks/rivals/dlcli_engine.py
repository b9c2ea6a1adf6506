"""dlcli's own engine, as `dlcli train` calls it once the rows are encoded."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.marks import Mark, Stopwatch, last_of_each_burst
from benchmarks.rows import Rows
from benchmarks.workloads import Workload
from dlcli.config import Config
from dlcli.encoding import EncodedRows, InMemoryInputs, plain_layout
from dlcli.network import build_network, choose_engine, resolve_head
from dlcli.pipeline.fit import quiet_tensorflow
from dlcli.tasks import Regression, Task, classification

with quiet_tensorflow():
    from dlcli import training

SECONDS_BETWEEN_DISPATCHES = 1e-3
"""Longer than telling of an epoch takes, shorter than a dispatch."""


def train(workload: Workload, rows: Rows, epochs: int) -> list[Mark]:
    """Trains with the engine that dlcli chooses itself."""
    training.prepare_device("cpu", "auto")
    stopwatch = Stopwatch()
    job = _job(workload, rows, epochs)
    engine = choose_engine(job.config, job.network, workload.rows)

    def progress(epoch: int, values: Mapping[str, float]) -> None:
        stopwatch.mark(epoch)

    training.train_job(job, engine, progress)
    stopwatch.mark(epochs)
    return last_of_each_burst(stopwatch.marks, SECONDS_BETWEEN_DISPATCHES)


def _job(workload: Workload, rows: Rows, epochs: int) -> training.Job:
    config = _config(workload, epochs)
    task = _task(workload)
    head = resolve_head(config, task)
    network = build_network(plain_layout(workload.inputs), config.hidden, head.output)
    validation = None
    if workload.validation_rows:
        validation = EncodedRows(InMemoryInputs(rows.validation_matrix), rows.validation_target)
    encoded = EncodedRows(InMemoryInputs(rows.matrix), rows.target)
    return training.Job(config, network, head, task, encoded, validation)


def _config(workload: Workload, epochs: int) -> Config:
    layer = {"activation": "relu", "dropout": workload.dropout}
    data, stopping = {"train": "rows.csv", "target": "y"}, {}
    if workload.validation_rows:
        data["validation"] = "validation.csv"
        stopping = {"early_stopping": {"patience": epochs}}
    return Config.model_validate(
        {
            "data": data,
            "hidden": tuple({"units": units, **layer} for units in workload.hidden),
            "optimizer": {"name": "adam", "learning_rate": 1e-3},
            "metrics": (),  # as the others, which measure the loss alone
            "epochs": epochs,
            "batch_size": workload.batch_size,
            **stopping,
        }
    )


def _task(workload: Workload) -> Task:
    if workload.classes:
        return classification("y", tuple(map(str, range(workload.classes))), "integer")
    return Regression(columns=("y",))
