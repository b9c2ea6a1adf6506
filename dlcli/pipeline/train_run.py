"""Train what a config describes: read, split, encode, build, fit, evaluate, explain, save."""

from __future__ import annotations

import math
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dlcli.arrays import Indices
from dlcli.columns.value_issues import ValueIssues
from dlcli.comparison.baseline_comparison import BaselineComparison, Interval
from dlcli.comparison.gates import check_gate
from dlcli.config.config_file import ConfigFile, Tables, dump_config
from dlcli.config.config_schema import Config
from dlcli.data_checks.sample import draw
from dlcli.encoding.encoded_rows import EncodedRows
from dlcli.errors import DivergenceError, RunError, plural
from dlcli.explanation.explaining import explain
from dlcli.explanation.explanation_document import Explanation
from dlcli.metrics.intervals import Estimate, estimate_statistics
from dlcli.metrics.statistic import Metrics, finite
from dlcli.pipeline import run_recording
from dlcli.pipeline.baselines import evaluate_baselines
from dlcli.pipeline.checkpointing import RunCheckpointer, SharedCheckpointer, StopOnSignal
from dlcli.pipeline.events import Events, Listener
from dlcli.pipeline.fit import FitOptions, FitResult, advise, fit, load_tensorflow, release_memory
from dlcli.pipeline.members import FactorTrial, Progress
from dlcli.pipeline.preflight import check_memory_of_all, warn_of_linear_layers, working_folder
from dlcli.pipeline.preparation import Prepared, encode_sets, initial_weights, prepare, type_reason
from dlcli.pipeline.run_recording import Recording
from dlcli.runs.manifest import DIVERGED, RunFile, is_unfinished, resume_command
from dlcli.runs.run_folder import unfinished_runs_like
from dlcli.runs.run_reader import Run, initial_weights_option, is_run_folder, open_run
from dlcli.runs.run_writer import RunWriter
from dlcli.safe_files import has_content
from dlcli.tables.arrow_arrays import strings
from dlcli.tables.sharded_table import gather_json
from dlcli.training_job import NO_CHECKPOINTS, TrainingResult

if TYPE_CHECKING:
    from dlcli.training.collectives import Collectives

SAMPLE_ROWS = 2_000
"""Training rows whose predictions are stored, at most."""
_OF_THREAD = threading.local()
"""The compiled programs of a thread, which no other may use at the same time."""


def train(
    file: ConfigFile,
    output: Path | None = None,
    listener: Listener = lambda *_: None,
    *,
    suffix: str = "",
) -> Run:
    """Train what a config describes.

    Args:
        file: the config.
        output: the run folder, which must not exist; else `runs/<name>`, `runs/<name>-2`, ...
        listener: receives events.
        suffix: appended to the name in the default name of the run folder.

    Returns:
        The finished run.

    Raises:
        DlcliError: nothing is left of the run then, unless it can be resumed, see `resume`.
    """
    with run_recording.recorded_run(file, output, listener, suffix) as recording:
        return train_recorded(recording)


def resume(run: Path, listener: Listener = lambda *_: None, tables: Tables | None = None) -> Run:
    """Resume an interrupted run; the result is bit-identical to that of an uninterrupted one.

    Args:
        run: the run folder.
        listener: receives events.
        tables: the tables in memory that it was begun with.

    Returns:
        The same run, finished.

    Raises:
        DlcliError: the run stays as it is then.
    """
    with run_recording.resumed_run(run, "train", listener, tables) as recording:
        return train_recorded(recording)


def fit_only(file: ConfigFile, listener: Listener = lambda *_: None) -> FitResult:
    """Fit what a config describes, without baselines and without a run folder.

    Later fits in the same thread share the compiled program where only runtime values differ.

    Args:
        file: the config.
        listener: receives events.

    Raises:
        DlcliError: see `train`.
    """
    config, events = file.config, Events(listener)
    with file.located(), working_folder(file, None, events) as folder:
        prepared = prepare(file, events, folder)
        check_memory_of_all(prepared, config, None, on_disk=folder is not None)
        encoded = encode_sets(config.data.weight, prepared, events, folder)
        initial = initial_weights(file, prepared.network)
        device = load_tensorflow(config, events)
        from dlcli.training.compiled_engine import ProgramCache

        programs = vars(_OF_THREAD).setdefault("programs", ProgramCache())
        options = FitOptions(initial, programs=programs, device=device, on_divergence=advise)
        result = fit(config, prepared, encoded, lambda *_: None, NO_CHECKPOINTS, options)
        resolved = run_recording.resolved_config(file, prepared, Path(), device.threads)
        return replace(result, config=resolved)


def train_recorded(recording: Recording, workers: Collectives | None = None) -> Run:
    """Train what a config describes, and store it.

    Args:
        recording: the run.
        workers: the other workers of a cluster, which call this at the same time.
    """
    file, config, events = recording.file, recording.file.config, recording.events
    cluster = recording.cluster
    with working_folder(file, recording.output, events, cluster.host_share) as folder:
        # Read, split, encode, build.
        prepared = prepare(file, events, folder, workers)
        warn_of_linear_layers(config, events)
        check_memory_of_all(prepared, config, workers, on_disk=folder is not None)
        images = run_recording.image_fingerprints(prepared)
        encoded = encode_sets(config.data.weight, prepared, events, folder)
        # A resumed training has weights of its own.
        initial = initial_weights(file, prepared.network) if recording.starts_over else None
        device = load_tensorflow(config, events, cluster.local_rank)
        resolve = partial(run_recording.resolved_config, file, prepared, threads=device.threads)
        with recording.begin(lambda path: resolve(folder=path), device, images) as writer:
            for twin in unfinished_runs_like(writer) if recording.writer is None else ():
                message = f"{twin} is an unfinished run of the same config; resume with: "
                events.emit("warning", message=message + resume_command(twin))
            events.emit("run", folder=str(writer.path))
            # Fit, explain, evaluate; each is saved at once.
            options = FitOptions(initial, device=device)
            result = _fit_with_checkpoints(
                config, prepared, encoded, options, writer, events, workers
            )
            _save_network(result, writer)
            metrics = _save_metrics(result, writer)
            stop = StopOnSignal(writer, lambda: plural(result.training.epochs, "epoch"))
            baselines, comparison, models = evaluate_baselines(result, stop, events)
            writer.write_json(RunFile.BASELINES, baselines)
            writer.write_arrays(RunFile.BASELINE_WEIGHTS, models.arrays)
            verdicts = comparison.model_dump(mode="json")
            writer.write_json(RunFile.VERDICTS, verdicts)
            gates = _save_gates(result, comparison, writer)
            events.emit(
                "result",
                run=str(writer.path),
                epochs=result.training.epochs,
                metrics=metrics,
                baselines=baselines,
                verdicts=verdicts,
                **gates,
            )
            return writer.finish()


def join_training(file: ConfigFile, workers: Collectives, starts_over: bool) -> None:
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
        with run_recording.recorded_run(file, output, lambda *_: None) as recording:
            recording.cluster, recording.resumes = workers.cluster, not starts_over
            train_recorded(recording, workers)


def _fit_with_checkpoints(
    config: Config,
    prepared: Prepared,
    encoded: Mapping[str, EncodedRows],
    options: FitOptions,
    writer: RunWriter,
    events: Events,
    workers: Collectives | None,
) -> FitResult:
    """Fit, or resume it; after a divergence, finish the run with the last finite weights.

    Args:
        config: see `fit`; `checkpoint` gives the time between checkpoints.
        prepared: the rows, their encoding and the network.
        encoded: the encoded rows by set.
        options: where to start, and the device.
        writer: the run, which stores checkpoints.
        events: receives each epoch.
        workers: the other workers of a cluster.

    Raises:
        DivergenceError: if the loss or the weights become NaN or infinite.
        TrainingError: if a checkpoint or the weights can't be stored.
        Interrupted: if a signal has arrived.
    """
    reporter = _FitReporter(config, events)

    def fit_rows(
        progress: Progress, checkpointer: RunCheckpointer, options: FitOptions
    ) -> FitResult:
        shared = checkpointer if workers is None else SharedCheckpointer(workers, checkpointer)
        return fit(config, prepared, encoded, progress, shared, options)

    start = time.perf_counter()
    options = replace(
        options,
        on_member=reporter.member,
        on_factor_trial=reporter.factor_trial,
        on_divergence=lambda error, job: events.emit("diverged", **advise(error, job).model_dump()),
    )
    checkpointer = RunCheckpointer(writer, config.checkpoint.seconds, reporter.resumed)
    try:
        with checkpointer.handling_signals():
            result = fit_rows(reporter.epoch, checkpointer, options)
    except DivergenceError as error:
        release_memory(error)
        _save_last_finite(fit_rows, options, writer, error)
        raise
    trained, seconds = result.training, round(time.perf_counter() - start, 3)
    more: dict[str, object] = {}
    if result.ensemble is not None:
        more = {"members": len(result.members)}
    if workers is not None:
        more["cluster"] = _cluster_figures(workers, result, reporter.epochs, seconds)
    best = trained.best_epoch
    events.emit("trained", **more, epochs=trained.epochs, best_epoch=best, seconds=seconds)
    return result


@dataclass
class _FitReporter:
    """Emits the events of a fit."""

    config: Config
    events: Events
    epochs: int = 0
    """The number of epochs so far, of all networks."""

    def epoch(self, member: int, epoch: int, values: Mapping[str, float]) -> None:
        """Report an epoch of a network."""
        self.epochs += 1
        # JSON has no NaN, which a metric may well be: r2 of a constant target.
        known = {name: finite(value) for name, value in values.items()}
        self.events.emit(
            "epoch", **self._which(member), epoch=epoch, of=self.config.epochs, **known
        )

    def member(self, number: int, trained: TrainingResult) -> None:
        """Report that a member of an ensemble is trained."""
        if self.config.ensemble is not None:
            best = trained.best_epoch
            fields = {"epochs": trained.epochs, "best_epoch": best}
            self.events.emit("member", **self._which(number), **fields)

    def factor_trial(self, trial: FactorTrial) -> None:
        """Report whether an ensemble has factors of columns."""
        loss = {"with": finite(trial.with_factors), "without": finite(trial.without)}
        kept = not trial.leaves_out
        self.events.emit("scaling_layer", kept=kept, val_loss=loss, rows=trial.rows)

    def resumed(self, epochs: int, member: int | None) -> None:
        """Report that the training of a network is resumed, unless it is on trial."""
        if member is None or member <= self.config.networks:
            self.events.emit("resumed", **self._which(member), epochs=epochs)

    def _which(self, member: int | None) -> dict[str, object]:
        ensemble = self.config.ensemble
        return {} if ensemble is None else {"member": member, "members": ensemble.members}


def _cluster_figures(
    workers: Collectives, result: FitResult, epochs: int, seconds: float
) -> dict[str, object]:
    """Return the rows that all workers trained on a second, and the share of communication.

    The share follows from the time of a sum of the gradient that is measured on its own, after
    training; waiting for a slower worker is not part of it.
    """
    each = workers.seconds_per_sum(result.job.network.trainable_parameters)
    rows = fmean(member.rows for member in result.members)  # with folds, fewer than all
    steps = math.ceil(rows / result.config.batch_size)
    return {
        "workers": workers.size,
        "rows_per_second": round(rows * epochs / seconds, 1),
        "communication_share": round(min(1.0, each * steps * epochs / seconds), 3),
    }


def _save_last_finite(
    fit_rows: Callable[[Progress, RunCheckpointer, FitOptions], FitResult],
    options: FitOptions,
    writer: RunWriter,
    error: DivergenceError,
) -> None:
    """Finish a diverged run with the last finite weights, if an epoch was finished by then.

    It is trained once more, to the end of the last finite epoch, from the newest checkpoint before
    it. The result is the same to the bit, and this costs nothing as long as nothing diverges. An
    epoch whose loss was finite may have ended with weights that are not; then it is the one before.
    Without a checkpoint, training starts over.
    """
    checkpointer = RunCheckpointer(writer, math.inf)
    result = None
    with checkpointer.handling_signals(), suppress(RunError):  # there is no checkpoint to start at
        for until in range(error.epoch - 1, 0, -1):
            with suppress(DivergenceError):
                shorter = replace(
                    options,
                    until=until,
                    finished=error.member - 1,
                    on_member=lambda *_: None,
                    on_factor_trial=lambda *_: None,
                    on_divergence=lambda *_: None,
                )
                result = fit_rows(lambda *_: None, checkpointer, shorter)
                break
    if result is None:
        writer.not_resumable = True  # it would start over and diverge again
        return
    _save_network(result, writer)
    writer.finish(DIVERGED)
    trained = result.training
    best = f"the best until then, of epoch {trained.best_epoch}" if trained.best_epoch else ""
    which = best or f"after {plural(trained.epochs, 'epoch')}"
    note = f"  the last finite weights, {which}, are kept in {writer.path}"
    if result.ensemble is None:
        note += f"; to start from them: {initial_weights_option(writer.path)}"
    error.add_note(note)


def _save_network(result: FitResult, writer: RunWriter) -> None:
    """Store the trained network for dlcli and as a Keras model, and its explanation."""
    from dlcli.keras_model import build_trained_model

    prepared = result.prepared
    writer.write_text(RunFile.ENCODING, prepared.encoding.model_dump_json(indent=2))
    writer.write_arrays(RunFile.WEIGHTS, result.training.weights)
    writer.write_history(result.training.history)
    if result.ensemble is not None:
        writer.write_text(RunFile.ENSEMBLE, result.ensemble.model_dump_json())
    members = [(each.task, each.training.weights) for each in result.members]
    model = build_trained_model(prepared.network, members)
    with writer.model_file() as path:
        model.save(path)
    writer.write_text(RunFile.EXPLANATION, explain_result(result, writer).model_dump_json())


def _save_metrics(result: FitResult, writer: RunWriter) -> dict[str, Metrics]:
    """Store the metrics of each set, predictions, and the errors that intervals follow from.

    Stored are the predictions of all held-out rows, and of a sample of the training rows.
    """

    def with_set(name: str, some: NDArray[np.int64] | None = None) -> pa.Table:
        rows = result.tables[name].rows if some is None else len(some)
        return result.prediction_table(name, {"split": strings([name] * rows, pa.string())}, some)

    metrics = {name: result.metrics(name) for name in result.tables}
    some = draw(np.arange(result.tables["train"].rows), SAMPLE_ROWS, result.config.seed)
    writer.write_table(RunFile.SAMPLE, with_set("train", some))
    writer.write_json(RunFile.METRICS, metrics)
    if result.conformal is not None:
        writer.write_text(RunFile.CONFORMAL, result.conformal.model_dump_json())
    held_out = [with_set(name) for name in result.tables if name != "train"]
    if held_out:
        writer.write_table(RunFile.PREDICTIONS, pa.concat_tables(held_out))
    return metrics


def _save_gates(
    result: FitResult, comparison: BaselineComparison, writer: RunWriter
) -> dict[str, object]:
    """Check the gates of the config and store the results, if it has any.

    Returns:
        The results for the event, as `gates`.
    """
    gates = result.config.gates
    if not gates:
        return {}
    estimates: dict[str, Mapping[str, Estimate]] = {}
    for split in dict.fromkeys(name.partition(".")[0] for name in gates):
        if split in result.tables:
            statistics = result.predictor.task.statistics(result.decoded(split))
            named = {name: each for name, each in statistics.items() if f"{split}.{name}" in gates}
            estimates[split] = estimate_statistics(named)
    results = []
    for name, gate in gates.items():
        split, _, metric = name.partition(".")
        estimate = estimates.get(split, {}).get(metric)
        found = None if estimate is None else Interval.of(estimate)
        results.append(check_gate(name, gate, found, comparison.on(split)))
    return run_recording.store_gates(results, writer)


def explain_result(result: FitResult, writer: RunWriter) -> Explanation:
    """Explain a trained network, at a cost that does not grow with the table.

    Args:
        result: the trained network with its rows.
        writer: the run, whose log has the reasons for the types of columns.
    """
    from dlcli.training.objectives import gradient_norms

    job, member = result.job, result.members[0]
    if result.ensemble is not None:  # that of a member has its seed, and its scaling of the target
        target = member.task.encode(result.tables["train"], ValueIssues())
        train = replace(job.train, target=target)
        config = job.config.model_copy(update={"seed": member.seed})
        job = replace(job, config=config, task=member.task, train=train)
    norms = partial(gradient_norms, job, member.training.weights)
    prepared = with_logged_reasons(result.prepared, writer)
    sets = {name: (table, result.encoded[name]) for name, table in result.tables.items()}
    folds: list[Indices] = []
    if result.config.ensemble_folds is not None:
        if "test" in sets:
            del sets["validation"]  # training rows, which show less than test rows
        else:
            folds = result.held_out
    predictor, predictions = result.predictor, result.predictions
    return explain(predictor, sets, prepared.task, prepared.decisions, predictions, norms, folds)


def with_logged_reasons(prepared: Prepared, writer: RunWriter) -> Prepared:
    """Return what was prepared with the reasons for types that were logged when the run began.

    A resumed run reads its resolved config, in which every type is declared.
    """
    columns = writer.first_event("features").get("columns")
    logged = columns if isinstance(columns, dict) else {}
    decisions = {
        name: replace(decision, reason=_reason(logged.get(name)) or type_reason(decision))
        for name, decision in prepared.decisions.items()
    }
    why = _reason(writer.first_event("target")) or prepared.task.reason
    task = prepared.task.model_copy(update={"reason": why})
    return replace(prepared, decisions=decisions, task=task)


def _reason(fields: object) -> str | None:
    """Return the reason among the fields of an event, if it is a text."""
    reason = fields.get("reason") if isinstance(fields, dict) else None
    return reason if isinstance(reason, str) else None


def train_child_run(
    folder: Path,
    name: str,
    file: ConfigFile,
    listener: Listener,
    workers: Collectives | None = None,
) -> Run:
    """Train a config as the run `folder/name` within another run, or resume it.

    A finished run of the same config is returned as it is; one of another config is replaced.

    Args:
        folder: the folder of the other run, which is locked.
        name: the name of the run to train.
        file: its config.
        listener: receives events.
        workers: those of a cluster. Worker 0, which is this one, announces config and start to the
            others, see `join_training`.

    Raises:
        DivergenceError: also if it has diverged in an earlier process.
        Interrupted: if a signal has arrived; the message says how to resume the other run.
        DlcliError: see `train`.
    """
    child = folder / name
    with _naming_parent(folder, child):
        if not is_run_of(child, file):
            if os.path.isdir(child) and not child.is_symlink():
                shutil.rmtree(child)  # of another config, or interrupted before it began
            recorded = run_recording.recorded_run(file, child, listener)
        elif is_unfinished(child):
            recorded = run_recording.resumed_run(child, "train", listener, file.tables)
        else:
            run = open_run(child)
            if run.kind == DIVERGED:
                raise DivergenceError(f"{child}: has diverged", 0)
            return run
        with recorded as recording:
            if workers is not None:
                recording.cluster = workers.cluster
                # Each has its own, with which TensorFlow already runs.
                config = recording.file.config.model_copy(update={"threads": "auto"})
                recording.file = replace(recording.file, config=config)
                text = dump_config(run_recording.moved_config(recording.file, Path()))
                gather_json(workers, {"config": text, "starts_over": recording.starts_over})
            return train_recorded(recording, workers)


def is_run_of(folder: Path, file: ConfigFile) -> bool:
    """Return whether a folder is a run of a config, finished or resumable."""
    is_same = has_content(folder / RunFile.CONFIG, file.text.encode())
    return is_same and is_run_folder(folder)


@contextmanager
def _naming_parent(folder: Path, child: Path) -> Iterator[None]:
    """Have errors of a child run say how the parent is resumed."""
    try:
        yield
    except BaseException as error:
        child_command, parent_command = resume_command(child), resume_command(folder)
        error.args = tuple(
            each.replace(child_command, parent_command) if isinstance(each, str) else each
            for each in error.args
        )
        notes = getattr(error, "__notes__", [])
        notes[:] = [note for note in notes if child_command not in note]
        raise
