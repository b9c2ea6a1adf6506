"""The story: a config to a trained, explained and portable network."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dlcli.config import Config, ConfigFile, dump_config
from dlcli.encoding import Rows
from dlcli.experiment.earlier import initial_weights
from dlcli.experiment.events import Events, Listener
from dlcli.experiment.loading import quiet_tensorflow, without_collection
from dlcli.experiment.preparation import Prepared, encode_sets, prepare, sets
from dlcli.experiment.resolution import resolved_config
from dlcli.experiment.storage import working_folder
from dlcli.experiment.tables import data_files
from dlcli.prediction import Predictions, Predictor
from dlcli.run import Draft, Run, collect_environment, new_run
from dlcli.split import Split
from dlcli.table import Table
from dlcli.table.arrays import integers

if TYPE_CHECKING:
    import pyarrow as pa

    from dlcli.config.training import Engine
    from dlcli.training import Device, Job, Trained


def train(
    file: ConfigFile, output: Path | None = None, listener: Listener = lambda *_: None
) -> Run:
    """Trains what a config describes.

    Args:
        file: the config.
        output: the run folder, which must not exist; else `runs/<name>`, `runs/<name>-2`, ...
        listener: is told what happens.

    Returns:
        The run.

    Raises:
        DlcliError: of the kind that fits; nothing is left of the run then.
    """
    events = Events(listener)
    with file.located(), working_folder(file, output) as folder:
        if folder is not None:
            events.tell("storage", folder=str(folder))
        prepared = prepare(file, events, folder)
        encoded = encode_sets(file, prepared, events, folder)
        device, job = _job(file, prepared, encoded, events)  # TensorFlow is loaded from here on
        with new_run(output, file.name) as draft:
            events.log_to(draft)
            resolved = resolved_config(file, prepared, draft.path, device.threads)
            trained = _fit(job, prepared.engine, events)
            _write_origin(draft, file, resolved, device)
            _write_network(draft, prepared, trained)
            predictor = Predictor(resolved, prepared.encoding, prepared.network, trained.weights)
            metrics = _judge(predictor, prepared.split, encoded, draft)
            events.tell("result", run=str(draft.path), epochs=trained.epochs, metrics=metrics)
            return draft.finish()


def _job(
    file: ConfigFile, prepared: Prepared, encoded: Mapping[str, Rows], events: Events
) -> tuple[Device, Job]:
    """Loads TensorFlow, sets it up, and says what to train."""
    config, initial = file.config, initial_weights(file, prepared.network)
    with quiet_tensorflow(), without_collection():
        from dlcli.training import Job, prepare_device

        device = prepare_device(config.device, config.threads)
    events.tell("device", device=device.name, threads=device.threads)
    network, head, target = prepared.network, prepared.head, prepared.encoding.target
    rows = encoded["train"], encoded.get("validation")
    return device, Job(config, network, head, target, *rows, initial)


def _fit(job: Job, engine: Engine, events: Events) -> Trained:
    from dlcli.training import train_job

    def progress(epoch: int, values: Mapping[str, float]) -> None:
        # JSON has no NaN, which a metric may well be: r2 of a target that is constant.
        told = {name: value if math.isfinite(value) else None for name, value in values.items()}
        events.tell("epoch", epoch=epoch, of=job.config.epochs, **told)

    start = time.perf_counter()
    trained = train_job(job, engine, progress)
    seconds = round(time.perf_counter() - start, 3)
    events.tell("trained", epochs=trained.epochs, best_epoch=trained.best_epoch, seconds=seconds)
    return trained


def _judge(
    predictor: Predictor, split: Split, encoded: Mapping[str, Rows], draft: Draft
) -> dict[str, Mapping[str, object]]:
    """Scores each set with the weights as they are stored, and stores the held-out predictions."""
    import pyarrow as pa

    metrics: dict[str, Mapping[str, object]] = {}
    parts: list[pa.Table] = []
    with_files = any(table.files for _, table in sets(split))
    for name, table in sets(split):
        predictions = predictor.predict_encoded(encoded[name].inputs)
        metrics[name] = predictions.score(table, encoded[name].weights)
        if name != "train":
            parts.append(_held_out(name, table, predictions, with_files=with_files))
    draft.write_metrics(metrics)
    if parts:
        draft.write_predictions(pa.concat_tables(parts))
    return metrics


def _held_out(name: str, table: Table, predictions: Predictions, *, with_files: bool) -> pa.Table:
    """Row, split, target and prediction of held-out rows; the row's file, if there are several."""
    import pyarrow as pa

    return pa.table(
        {
            **({"file": table.file_names()} if with_files else {}),
            "row": integers(table.row_numbers),
            "split": pa.array([name] * table.rows, pa.string()),
            **predictions.truth(table),
            **predictions.columns(),
        }
    )


def _write_origin(draft: Draft, file: ConfigFile, resolved: Config, device: Device) -> None:
    """Stores what the run was made from."""
    draft.write_config(file.text)
    draft.write_resolved(dump_config(resolved))
    draft.write_environment(
        collect_environment(
            seed=resolved.seed,
            threads=device.threads,
            device=device.name,
            data=data_files(file),
        )
    )


def _write_network(draft: Draft, prepared: Prepared, trained: Trained) -> None:
    """Stores what was learned: for dlcli itself, and as a model for the user's own Keras code."""
    from dlcli.model import assign_weights, build_portable_model

    draft.write_encoding(prepared.encoding.model_dump_json(indent=2))
    draft.write_weights(trained.weights)
    draft.write_history(trained.history)
    model = build_portable_model(prepared.network, prepared.encoding.target)
    assign_weights(model, prepared.network, trained.weights)
    with draft.model_file() as path:
        model.save(path)
