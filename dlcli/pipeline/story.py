"""The story: a config to a trained, explained and portable network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dlcli.config import Config, ConfigFile
from dlcli.encoding import EncodedRows
from dlcli.pipeline.baselines import score_baselines
from dlcli.pipeline.earlier import initial_weights
from dlcli.pipeline.events import Events, Listener
from dlcli.pipeline.explaining import as_first_told, explain
from dlcli.pipeline.fitting import fit
from dlcli.pipeline.judging import judge
from dlcli.pipeline.keeping import Interruptible
from dlcli.pipeline.loading import quiet_tensorflow, without_collection
from dlcli.pipeline.origin import (
    Images,
    check_data,
    check_images,
    check_unchanged,
    image_fingerprints,
    read_resolved,
    stamps_of,
    warn_of_changes,
    write_origin,
)
from dlcli.pipeline.preflight import check_memory
from dlcli.pipeline.preparation import Prepared, encode_sets, prepare
from dlcli.pipeline.resolution import resolved_config
from dlcli.pipeline.storage import working_folder
from dlcli.prediction import Predictor
from dlcli.runs import (
    Run,
    RunWriter,
    Weights,
    new_run,
    resume_command,
    unfinished_run,
    unfinished_runs_like,
)

if TYPE_CHECKING:
    from dlcli.training import Device, Job, TrainingResult


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
        DlcliError: of the kind that fits; nothing is left of the run then, unless training was
            under way and can go on, see `resume`.
    """
    events = Events(listener)
    with file.located(), working_folder(file, output) as folder:
        stamps = stamps_of(file)
        made = _make_ready(file, events, folder)
        with new_run(output, file.name) as writer:
            events.log_to(writer)
            resolved = resolved_config(file, made.prepared, writer.path, made.device.threads)
            write_origin(writer, file, resolved, made.device, made.images)
            check_unchanged(stamps)
            for twin in unfinished_runs_like(writer):
                message = f"{twin} is an unfinished run of the same config; go on with it by: "
                events.emit("warning", message=message + resume_command(twin))
            return _carry_out(writer, resolved, made, events)


def resume(run: Path, listener: Listener = lambda *_: None) -> Run:
    """Goes on with a run that was ended: as if nothing had happened, to the bit.

    Args:
        run: the run folder.
        listener: is told what happens.

    Returns:
        The same run, finished.

    Raises:
        DlcliError: of the kind that fits; the run stays as it is then.
    """
    events = Events(listener)
    with unfinished_run(run) as writer:
        file = read_resolved(writer)
        with file.located(), working_folder(file, run) as folder:
            stamps = stamps_of(file)
            check_data(writer, file)
            made = _make_ready(file, events, folder, begins=not writer.can_resume)
            check_unchanged(stamps)
            check_images(writer, made.images)
            warn_of_changes(writer, file, made.device, events)
            events.log_to(writer)
            return _carry_out(writer, file.config, made, events)


@dataclass(frozen=True)
class _Ready:
    """All that training needs."""

    prepared: Prepared
    images: Images
    encoded: Mapping[str, EncodedRows]
    device: Device
    job: Job


def _make_ready(
    file: ConfigFile, events: Events, folder: Path | None, *, begins: bool = True
) -> _Ready:
    if folder is not None:
        events.emit("storage", folder=str(folder))
    prepared = prepare(file, events, folder)
    check_memory(prepared, file.config, folder, events)
    images = image_fingerprints(prepared)
    encoded = encode_sets(file.config.data.weight, prepared, events, folder)
    # A training that goes on has weights of its own.
    initial = initial_weights(file, prepared.network) if begins else None
    device = _device(file.config, events)  # TensorFlow is loaded from here on
    job = _job(file.config, prepared, encoded, initial)
    return _Ready(prepared, images, encoded, device, job)


def _carry_out(writer: RunWriter, resolved: Config, made: _Ready, events: Events) -> Run:
    """Trains, stores and judges."""
    events.emit("run", folder=str(writer.path))
    prepared = made.prepared
    store = partial(_store, writer, resolved, made)
    trained = fit(writer, made.job, prepared.engine, events, store)
    store(trained)
    predictor = Predictor(resolved, prepared.encoding, prepared.network, trained.weights)
    metrics = judge(predictor, prepared.split, made.encoded, writer)
    keeper = Interruptible(writer, trained.epochs)
    baselines = score_baselines(predictor, prepared.split, made.encoded, made.job, keeper, events)
    writer.write_baselines(baselines)
    events.emit(
        "result",
        run=str(writer.path),
        epochs=trained.epochs,
        metrics=metrics,
        baselines=baselines,
    )
    return writer.finish()


def _store(writer: RunWriter, resolved: Config, made: _Ready, trained: TrainingResult) -> None:
    """Stores what was learned, also by a training that diverged, and what it shows."""
    prepared = made.prepared
    _write_network(writer, prepared, trained)
    predictor = Predictor(resolved, prepared.encoding, prepared.network, trained.weights)
    explanation = explain(predictor, as_first_told(prepared, writer), made.encoded, made.job)
    writer.write_explanation(explanation.model_dump_json())


def _device(config: Config, events: Events) -> Device:
    """Loads TensorFlow, and sets it up."""
    with quiet_tensorflow(), without_collection():
        from dlcli.training import prepare_device

        device = prepare_device(config.device, config.threads)
    events.emit("device", device=device.name, threads=device.threads)
    return device


def _job(
    config: Config,
    prepared: Prepared,
    encoded: Mapping[str, EncodedRows],
    initial: Mapping[str, Weights] | None,
) -> Job:
    """What to train."""
    from dlcli.training import Job

    network, head, target = prepared.network, prepared.head, prepared.encoding.target
    rows = encoded["train"], encoded.get("validation")
    return Job(config, network, head, target, *rows, initial)


def _write_network(writer: RunWriter, prepared: Prepared, trained: TrainingResult) -> None:
    """Stores what was learned: for dlcli itself, and as a model for the user's own Keras code."""
    from dlcli.keras_model import assign_weights, build_portable_model

    writer.write_encoding(prepared.encoding.model_dump_json(indent=2))
    writer.write_weights(trained.weights)
    writer.write_history(trained.history)
    model = build_portable_model(prepared.network, prepared.encoding.target)
    assign_weights(model, prepared.network, trained.weights)
    with writer.model_file() as path:
        model.save(path)
