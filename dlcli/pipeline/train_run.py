"""Train what a config describes: read, split, encode, build, fit, evaluate, explain, save."""

from __future__ import annotations

import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from dlcli.config.config_file import ConfigFile, Tables, dump_config
from dlcli.errors import DivergenceError
from dlcli.pipeline import recorded_fit, run_recording
from dlcli.pipeline.baselines import save_baselines
from dlcli.pipeline.events import Events, Listener, ignore
from dlcli.pipeline.fit import AdvisingObserver, FitResult, fit, load_tensorflow
from dlcli.pipeline.preflight import check_memory, row_storage, warn_of_linear_layers
from dlcli.pipeline.preparation import FitPlan, encode_sets, initial_weights, prepare
from dlcli.pipeline.run_recording import Recording, TypeReasons
from dlcli.runs.manifest import DIVERGED, RunFile, is_unfinished
from dlcli.runs.run import Run
from dlcli.runs.run_reader import is_run_folder, open_run
from dlcli.safe_files import has_content
from dlcli.workers import NO_OTHERS, Workers

_OF_THREAD = threading.local()
"""The compiled programs of a thread, which no other may use at the same time."""


def train(
    source: ConfigFile | Path,
    output: Path | None = None,
    listener: Listener = ignore,
    *,
    tables: Tables | None = None,
    suffix: str | None = None,
) -> Run:
    """Train what a config describes, or resume an interrupted training.

    The result of a resumed training is bit-identical to that of an uninterrupted one.

    Args:
        source: the config, or the run folder.
        output: the folder of a new run, which must not exist; else `runs/<name>`, `runs/<name>-2`,
            ...
        listener: receives events.
        tables: the tables in memory that an interrupted training was begun with.
        suffix: appended to the name in the default name of the run folder.

    Returns:
        The finished run.

    Raises:
        DlcliError: nothing is left of a new run then, unless it can be resumed.
    """
    recorded = run_recording.recorded(source, "train", output, listener, tables, suffix)
    with recorded as recording:
        return train_recorded(recording)


def fit_only(file: ConfigFile, listener: Listener = ignore) -> FitResult:
    """Fit what a config describes, without baselines and without a run folder.

    Later fits in the same thread share the compiled program where only runtime values differ.

    Args:
        file: the config.
        listener: receives events.

    Raises:
        DlcliError: see `train`.
    """
    config, events = file.config, Events(listener)
    with file.located(), row_storage(file, None, events) as storage:
        rows, plan = prepare(file, events, storage)
        check_memory(rows, plan)
        rows = encode_sets(rows, events)
        initial = initial_weights(file, plan.network)
        device = load_tensorflow(config, events)
        from dlcli.training.compiled_engine import ProgramCache

        programs = vars(_OF_THREAD).setdefault("programs", ProgramCache())
        plan = replace(plan, initial_weights=initial, programs=programs, device=device)
        result = fit(rows, plan, observer=AdvisingObserver())
        resolved = run_recording.resolved_config(file, rows, plan, Path(), device.threads)
        return replace(result, config=resolved)


def train_recorded(recording: Recording) -> Run:
    """Train what a config describes, and store it.

    Args:
        recording: the run; the other workers of a cluster call this at the same time.
    """
    file, config, events = recording.file, recording.file.config, recording.events
    with row_storage(file, recording.output, events, recording.workers) as storage:
        # Read, split, build, encode.
        rows, plan = prepare(file, events, storage)
        warn_of_linear_layers(config, events)
        check_memory(rows, plan)
        images = run_recording.image_fingerprints(rows)
        rows = encode_sets(rows, events)
        plan = _with_device(plan, recording)
        with recording.begin_training(rows, plan, images) as writer:
            rows = TypeReasons.applied(rows, writer)
            # Fit, explain, evaluate; each is saved at once.
            result = recorded_fit.fit_with_checkpoints(rows, plan, writer, events)
            recorded_fit.save_network(result, writer)
            metrics = recorded_fit.save_metrics(result, writer)
            baselines, comparison = save_baselines(result, writer, events)
            gates = recorded_fit.save_gates(result, comparison, writer)
            recorded_fit.report_result(
                result, metrics, baselines, comparison, gates, writer, events
            )
            return writer.finish()


def _with_device(plan: FitPlan, recording: Recording) -> FitPlan:
    """Load TensorFlow, and the initial weights, which a resumed training does not need."""
    file = recording.file
    initial = initial_weights(file, plan.network) if recording.starts_over else None
    device = load_tensorflow(file.config, recording.events, recording.workers.cluster)
    return replace(plan, initial_weights=initial, device=device)


def join_training(file: ConfigFile, workers: Workers, starts_over: bool) -> None:
    """Train together with worker 0, which stores the run, on another worker of its cluster.

    Args:
        file: the config.
        workers: the workers.
        starts_over: whether training starts from its beginning, see `Recording`.

    Raises:
        DlcliError: see `train`; what all workers find is raised by each of them.
    """
    with TemporaryDirectory(prefix="dlcli-worker-") as folder:
        output = Path(folder) / "run"
        with run_recording.recorded(file, "train", output, ignore) as recording:
            recording.workers, recording.resumes = workers, not starts_over
            train_recorded(recording)


def train_child_run(
    folder: Path,
    name: str,
    file: ConfigFile,
    listener: Listener,
    workers: Workers = NO_OTHERS,
) -> Run:
    """Train a config as the run `folder/name` within another run, or resume it.

    A finished run of the same config is returned as it is; one of another config is replaced.

    Args:
        folder: the folder of the other run, which is locked.
        name: the name of the run to train.
        file: its config.
        listener: receives events.
        workers: those that train together. Worker 0, which is this one, announces config and start
            to the others, see `join_training`.

    Raises:
        DivergenceError: also if it has diverged in an earlier process.
        Interrupted: if a signal has arrived; the message says how to resume the other run.
        DlcliError: see `train`.
    """
    child = folder / name
    source: ConfigFile | Path = child
    if not is_run_of(child, file):
        if os.path.isdir(child) and not child.is_symlink():
            shutil.rmtree(child)  # of another config, or interrupted before it began
        source = file
    elif not is_unfinished(child):
        run = open_run(child)
        if run.kind == DIVERGED:
            raise DivergenceError(f"{child}: has diverged", 0)
        return run
    recorded = run_recording.recorded(source, "train", child, listener, file.tables)
    with recorded as recording:
        recording.workers = workers
        if workers.size > 1:
            # Each has its own threads, with which TensorFlow already runs.
            config = recording.file.config.model_copy(update={"threads": "auto"})
            recording.file = replace(recording.file, config=config)
            text = dump_config(run_recording.moved_config(recording.file, Path()))
            workers.gather({"config": text, "starts_over": recording.starts_over})
        return train_recorded(recording)


def is_run_of(folder: Path, file: ConfigFile) -> bool:
    """Return whether a folder is a run of a config, finished or resumable."""
    is_same = has_content(folder / RunFile.CONFIG, file.text.encode())
    return is_same and is_run_folder(folder)
