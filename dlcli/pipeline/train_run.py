"""Train the network of a config: read, split, encode, build, fit, evaluate, explain, save."""

from __future__ import annotations

import math
import os
import shutil
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dlcli.arrays import Indices, Matrix, strings
from dlcli.cluster import NO_OTHERS, Workers
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_file import ConfigFile, Tables, dump_config
from dlcli.config.config_schema import Config
from dlcli.config.search_space import with_settings
from dlcli.diagnosis.case import Magnitudes
from dlcli.errors import DivergenceError, RunError, plural
from dlcli.explanation.background import background_of
from dlcli.explanation.explaining import explain, list_columns
from dlcli.explanation.explanation_document import Explanation
from dlcli.metrics.intervals import Estimate, estimate_statistics
from dlcli.metrics.statistic import Metrics, Number, finite
from dlcli.pipeline import events as event_types
from dlcli.pipeline import run_recording
from dlcli.pipeline.baselines import save_baselines
from dlcli.pipeline.distillation import distill_rows, find_teacher, fingerprint_of
from dlcli.pipeline.events import Events, Listener, ignore
from dlcli.pipeline.fit import (
    FitResult,
    fit,
    load_tensorflow,
    release_memory,
    without_array_warnings,
)
from dlcli.pipeline.members import FactorTrial, FitObserver
from dlcli.pipeline.preflight import check_plan, row_storage
from dlcli.pipeline.preparation import FitPlan, FitRows, encode_sets, initial_weights, prepare
from dlcli.pipeline.run_recording import Recording, TypeReasons
from dlcli.pipeline.teacher_comparison import save_comparison
from dlcli.pipeline.time_limit import check_workers, within_time_limit
from dlcli.prediction.baseline_comparison import BaselineComparison
from dlcli.prediction.gates import GateResult, check_gate, check_group_gate
from dlcli.prediction.groups import measure_groups
from dlcli.prediction.predictor import Predictor, Selection
from dlcli.runs.manifest import DIVERGED, RunFile, is_unfinished
from dlcli.runs.run import BACKGROUND_ARRAY, Run, initial_weights_option
from dlcli.runs.run_folder import is_run_folder, open_run
from dlcli.runs.run_writer import RunWriter, remove_resume_files
from dlcli.safe_files import has_content
from dlcli.splitting import draw
from dlcli.tasks import prior_shift
from dlcli.training_job import Job, RunCheckpointer, TrainingResult

SAMPLE_ROWS = 2_000
"""Maximum number of training rows whose predictions are stored."""
_OF_THREAD = threading.local()
"""The compiled programs of a thread; threads must not use the same program at the same time."""


def train(
    source: ConfigFile | Path,
    output: Path | None = None,
    listener: Listener = ignore,
    *,
    tables: Tables | None = None,
    suffix: str | None = None,
    finish: bool = False,
) -> Run:
    """Train the network of a config, or resume interrupted training.

    Resumed and uninterrupted training have the same weights to the bit.

    Args:
        source: the config, or the run folder.
        output: the folder of a new run, which must not exist. [default: `runs/<name>`,
            `runs/<name>-2`, ...]
        listener: receives events.
        tables: the tables in memory of interrupted training.
        suffix: appended to the name in the default name of the run folder.
        finish: whether interrupted training ends with what was trained, see `early_end`.

    Returns:
        The finished run.

    Raises:
        DlcliError: the folder of a new run is then removed, unless the run can be resumed.
    """
    recorded = run_recording.recorded(
        source, "train", output, listener, tables, suffix, finish=finish
    )
    with recorded as recording:
        return train_recorded(recording)


def fit_only(
    file: ConfigFile, listener: Listener = ignore, earlier: Predictor | None = None
) -> FitResult:
    """Fit the network of a config, without baselines and without a run folder.

    Later fits in the same thread share the compiled program if only runtime values differ.

    Args:
        file: the config.
        listener: receives events.
        earlier: a single network to continue with, instead of `initial_weights` and
            `initial_encoding`.

    Raises:
        DlcliError: see `train`.
    """
    config, events = file.config, Events(listener)
    with file.located(), row_storage(file, None, events) as storage:
        rows, plan = prepare(file, events, storage, earlier)
        check_plan(rows, plan, events)
        rows = encode_sets(rows, events)
        initial = initial_weights(file, plan.network, earlier)
        teacher = find_teacher(file)
        distilled = None if teacher is None else distill_rows(teacher, rows, plan)
        device = load_tensorflow(config, events)
        from dlcli.training.compiled_engine import ProgramCache

        programs = vars(_OF_THREAD).setdefault("programs", ProgramCache())
        plan = replace(plan, initial_weights=initial, distilled=distilled)
        plan = replace(plan, programs=programs, device=device)
        result = fit(rows, plan)
        resolved = run_recording.resolved_config(file, rows, plan, Path(), device.threads)
        return replace(result, config=resolved).decided(on_validation_rows=True)


def train_recorded(recording: Recording) -> Run:
    """Train the network of a config, and store the run.

    Args:
        recording: the run; the other workers of a cluster call this function at the same time.
    """
    file, config, events = recording.file, recording.file.config, recording.events
    check_workers(config, recording.workers)
    with row_storage(file, recording.output, events, recording.workers) as storage:
        # Read, split, build, encode.
        rows, plan = prepare(file, events, storage)
        check_plan(rows, plan, events)
        images = run_recording.image_fingerprints(rows)
        rows = encode_sets(rows, events)
        teacher = find_teacher(file)
        # A resumed training does not need initial weights.
        initial = initial_weights(file, plan.network) if recording.starts_over else None
        device = load_tensorflow(config, events, recording.workers.cluster)
        distilled = None if teacher is None else distill_rows(teacher, rows, plan)
        plan = replace(plan, initial_weights=initial, distilled=distilled, device=device)
        config = within_time_limit(config, rows, plan, events)
        recording.file = file = replace(file, config=config)
        plan = replace(plan, config=plan.config.within_epochs(config.epochs))
        inputs = {"images": images, "teacher": fingerprint_of(teacher)}
        with recording.begin_training(rows, plan, inputs) as writer:
            rows = TypeReasons.applied(rows, writer)
            # Fit, explain, evaluate; each is saved at once.
            result = fit_with_checkpoints(rows, plan, writer, events)
            result = save_decision(result, writer, events)
            save_network(result, writer)
            metrics = save_metrics(result, writer)
            baselines, comparison = save_baselines(result, writer, events)
            distillation = None if teacher is None else save_comparison(result, teacher, writer)
            save_groups(result, writer)
            gates = save_gates(result, comparison, writer)
            events.emit(
                event_types.TrainingResultEvent(
                    run=str(writer.path),
                    epochs=result.training.epochs,
                    metrics=metrics,
                    baselines=baselines,
                    verdicts=comparison,
                    distillation=distillation,
                    gates=gates,
                )
            )
            recording.store_early_end(writer)
            return writer.finish()


def join_training(file: ConfigFile, workers: Workers, starts_over: bool) -> None:
    """Train on another worker of a cluster, together with worker 0, which stores the run.

    Args:
        file: the config.
        workers: the workers.
        starts_over: whether training starts from the beginning, see `Recording`.

    Raises:
        DlcliError: see `train`; an error that occurs on all workers is raised by each.
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

    A finished run of the same config is returned; a run of another config is replaced.

    Args:
        folder: the folder of the other run, which is locked.
        name: the name of the run to train.
        file: the config of the run to train.
        listener: receives events.
        workers: the workers that train together. This is worker 0, which sends the config and
            whether to start over to the other workers, see `join_training`.

    Raises:
        DivergenceError: if training diverges, now or in an earlier process.
        Interrupted: if a signal has arrived; the message contains the command to resume the other
            run.
        DlcliError: see `train`.
    """
    child = folder / name
    source: ConfigFile | Path = child
    if not is_run_of(child, file):
        if os.path.isdir(child) and not child.is_symlink():
            shutil.rmtree(child)  # it has another config, or was interrupted before training
        source = file
    elif not is_unfinished(child):
        run = open_run(child)
        remove_resume_files(child)  # which may remain after a crash
        if run.kind == DIVERGED:
            raise DivergenceError(f"{child}: has diverged", 0)
        return run
    recorded = run_recording.recorded(source, "train", child, listener, file.tables)
    with recorded as recording:
        recording.workers = workers
        if workers.size > 1:
            # TensorFlow already runs with this worker's number of threads.
            config = recording.file.config.model_copy(update={"threads": "auto"})
            recording.file = replace(recording.file, config=config)
            text = dump_config(run_recording.moved_config(recording.file, Path()))
            workers.gather({"config": text, "starts_over": recording.starts_over})
        return train_recorded(recording)


def is_run_of(folder: Path, file: ConfigFile) -> bool:
    """Return whether a folder is a run of a config, finished or resumable."""
    is_same = has_content(folder / RunFile.CONFIG, file.text.encode())
    return is_same and is_run_folder(folder)


def fit_with_checkpoints(
    rows: FitRows, plan: FitPlan, writer: RunWriter, events: Events
) -> FitResult:
    """Fit or resume a fit; after a divergence, finish the run with the last finite weights.

    Args:
        rows: the encoded rows.
        plan: the network and its training; its config has the time between checkpoints.
        writer: the run, which stores checkpoints.
        events: receives each epoch.

    Raises:
        DivergenceError: if the loss or the weights become NaN or infinite.
        TrainingError: if a checkpoint or the weights can't be stored.
        Interrupted: if a signal has arrived.
    """
    workers = rows.storage.workers
    reporter = _FitReporter(plan.config, events)
    seconds = plan.config.checkpoint.seconds
    checkpointer = RunCheckpointer(writer, seconds, reporter.resumed, workers)
    try:
        with checkpointer.handling_signals():
            result = fit(rows, plan, checkpointer, reporter)
    except DivergenceError as error:
        release_memory(error)
        _save_last_finite(rows, plan, writer, error)
        raise
    reporter.trained(result, workers, round(result.seconds, 3))
    return result


class _FitReporter(FitObserver):
    """Emits the events of a fit."""

    def __init__(self, config: Config, events: Events) -> None:
        super().__init__()
        self.config = config
        self.events = events
        self.epochs = 0
        """The number of finished epochs of all networks."""

    def epoch(self, member: int, epoch: int, values: Mapping[str, float]) -> None:
        """Report an epoch of a network."""
        self.epochs += 1
        # JSON has no NaN, but a metric may be NaN, such as r2 of a constant target.
        known = {name: finite(value) for name, value in values.items()}
        which, of = self._which(member), self.config.epochs
        self.events.emit(event_types.EpochEvent(**which, epoch=epoch, of=of, values=known))

    def member(self, number: int, trained: TrainingResult) -> None:
        """Report that a member of an ensemble is trained."""
        if self.config.ensemble is not None:
            which, epochs, best = self._which(number), trained.epochs, trained.best_epoch
            self.events.emit(event_types.MemberEvent(**which, epochs=epochs, best_epoch=best))

    def factor_trial(self, trial: FactorTrial) -> None:
        """Report whether an ensemble has a scaling layer."""
        loss: Mapping[Literal["with", "without"], Number]
        loss = {"with": finite(trial.with_factors), "without": finite(trial.without)}
        kept = not trial.leaves_out
        self.events.emit(event_types.ScalingLayerEvent(kept=kept, val_loss=loss, rows=trial.rows))

    def selected(self, selection: Selection) -> None:
        """Report the settings that an ensemble keeps, and their shares of the mean."""
        self.events.emit(event_types.SelectedEvent(result=selection))

    def diverged(self, error: DivergenceError, job: Job) -> Magnitudes:
        """Add the likely causes as notes, and report the magnitudes that they are derived from."""
        magnitudes = super().diverged(error, job)
        self.events.emit(event_types.DivergedEvent(magnitudes=magnitudes))
        return magnitudes

    def resumed(self, epochs: int, member: int | None) -> None:
        """Report resumed training of a network, unless it only tests the scaling layer."""
        if member is None or member <= self.config.networks:
            self.events.emit(event_types.ResumedEvent(**self._which(member), epochs=epochs))

    def _which(self, member: int | None) -> dict[str, Any]:
        ensemble = self.config.ensemble
        return {} if ensemble is None else {"member": member, "members": ensemble.members}

    def trained(self, result: FitResult, workers: Workers, seconds: float) -> None:
        """Report the end of the fit."""
        figures = None
        if workers.size > 1:
            figures = cluster_figures(workers, result, self.epochs, seconds)
        self.events.emit(
            event_types.TrainedEvent(
                members=None if result.ensemble is None else len(result.members),
                cluster=figures,
                epochs=result.training.epochs,
                best_epoch=result.training.best_epoch,
                seconds=seconds,
            )
        )


def cluster_figures(
    workers: Workers, result: FitResult, epochs: int, seconds: float
) -> event_types.ClusterFigures:
    """Return the rows per second of all workers together, and the share of communication.

    The share is computed from the time to sum a gradient over workers, which is measured after
    training. It excludes waiting for slower workers.
    """
    each = workers.seconds_per_sum(result.job.network.trainable_parameters)
    rows = fmean(member.rows for member in result.members)  # with folds, fewer than all
    steps = math.ceil(rows / result.config.batch_size)
    return event_types.ClusterFigures(
        workers=workers.size,
        rows_per_second=round(rows * epochs / seconds, 1),
        communication_share=round(min(1.0, each * steps * epochs / seconds), 3),
    )


def _save_last_finite(
    rows: FitRows, plan: FitPlan, writer: RunWriter, error: DivergenceError
) -> None:
    """Finish a diverged run with the last finite weights, if it has finished an epoch.

    Training is repeated, from the newest earlier checkpoint or from the beginning, to the end of
    the last epoch whose loss is finite; if its weights are not finite, to the end of the epoch
    before. The repetition has the same weights to the bit. So training that does not diverge has no
    cost for copies of weights.
    """
    checkpointer = RunCheckpointer(writer, math.inf, workers=rows.storage.workers)
    result = None
    with checkpointer.handling_signals(), suppress(RunError):  # no checkpoint can be resumed
        for until in range(error.epoch - 1, 0, -1):
            with suppress(DivergenceError):
                shorter = replace(plan, until=until, finished=error.member - 1)
                result = fit(rows, shorter, checkpointer)
                break
    if result is None:
        writer.not_resumable = True  # a resumed run would diverge again
        return
    save_network(result, writer)
    writer.finish(DIVERGED)
    trained = result.training
    best = f"the best so far, of epoch {trained.best_epoch}" if trained.best_epoch else ""
    which = best or f"after {plural(trained.epochs, 'epoch')}"
    note = f"  the last finite weights ({which}) are kept in {writer.path}"
    if result.ensemble is None:
        note += f"; to start from these: {initial_weights_option(writer.path)}"
    error.add_note(note)


def save_network(result: FitResult, writer: RunWriter) -> None:
    """Store the trained network for dlcli and as a Keras model, and its explanation."""
    from dlcli.keras_model import build_trained_model

    writer.write_text(RunFile.ENCODING, result.rows.encoding.model_dump_json(indent=2))
    writer.write_arrays(RunFile.WEIGHTS, result.training.weights)
    writer.write_history(result.training.history)
    if result.ensemble is not None:
        writer.write_text(RunFile.ENSEMBLE, result.ensemble.model_dump_json())
    model = build_trained_model(result.predictor)
    with writer.stored(RunFile.MODEL) as path, without_array_warnings():
        model.save(path)
    background = None
    if count := result.config.explanation.background_rows:
        rows = {"train": (result.tables["train"], result.encoded["train"])}
        background = background_of(result.predictor, rows, count)
        writer.write_arrays(RunFile.BACKGROUND, {BACKGROUND_ARRAY: background})
    explanation = explain_result(result, background)
    writer.write_text(RunFile.EXPLANATION, explanation.model_dump_json())


def save_decision(result: FitResult, writer: RunWriter, events: Events) -> FitResult:
    """Choose and store the decision for a class, if the config has one."""
    result = result.decided(on_validation_rows=True)
    if (decision := result.decision) is not None:
        writer.write_text(RunFile.DECISION, decision.model_dump_json())
        classes = result.predictor.task.classes
        events.emit(
            event_types.DecisionEvent(
                threshold=decision.threshold,
                objective=decision.objective,
                origin=decision.origin,
                rows=decision.rows,
                words=f"{decision.describe(classes)} ({decision.reason})",
            )
        )
        if decision.unmet:
            events.warn(f"decision: {decision.unmet}")
    return result


def save_metrics(result: FitResult, writer: RunWriter) -> dict[str, Metrics]:
    """Store the metrics of each set, predictions, and the errors from which intervals are computed.

    The predictions of all held-out rows and of a sample of the training rows are stored.
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


def save_groups(result: FitResult, writer: RunWriter) -> None:
    """Store the metrics of groups of held-out rows, if the config names columns for them."""
    columns = result.config.group_columns
    held_out = [name for name in ("test", "validation") if name in result.tables]
    if not columns or not held_out:
        return
    name, predictor = held_out[0], result.predictor
    groups = measure_groups(
        predictor.task,
        result.tables[name],
        result.decoded(name),
        [*columns],
        predictor.encoders,
        rows=name,
    )
    writer.write_text(RunFile.GROUPS, groups.model_dump_json())


def save_gates(
    result: FitResult, comparison: BaselineComparison, writer: RunWriter
) -> Sequence[GateResult] | None:
    """Check the gates of the config and store the results, if it has any."""
    gates = result.config.gates
    if not gates:
        return None
    estimates: dict[str, Mapping[str, Estimate]] = {}
    for split in dict.fromkeys(name.partition(".")[0] for name in gates):
        if split in result.tables:
            statistics = result.predictor.task.statistics(result.decoded(split))
            named = {name: each for name, each in statistics.items() if f"{split}.{name}" in gates}
            estimates[split] = estimate_statistics(named)
    results = []
    for name, gate in gates.items():
        split, _, metric = name.partition(".")
        if gate.for_each is not None:
            table, decoded = result.tables[split], result.decoded(split)
            task, encoders = result.predictor.task, result.predictor.encoders
            results.append(check_group_gate(name, gate, task, table, decoded, encoders))
            continue
        estimate = estimates.get(split, {}).get(metric)
        results.append(check_gate(name, gate, estimate, comparison.on(split)))
    return run_recording.store_gates(results, writer)


def explain_result(result: FitResult, background: Matrix | None = None) -> Explanation:
    """Explain a trained network; the time does not grow with the number of rows.

    Args:
        result: the trained network.
        background: the encoded background rows, (background rows, inputs); `None` without any.
    """
    from dlcli.training.engines import gradient_norms

    job, member = result.job, result.members[0]
    if result.ensemble is not None:  # a member's job has another seed and scaling of the target
        model = member.model
        target = model.task.encode(result.tables["train"], ValueProblems())
        train = replace(job.train, target=target)
        config = with_settings(job.config, member.settings)
        config = config.model_copy(update={"seed": member.seed})
        job = replace(job, config=config, network=model.network, task=model.task, train=train)
    trained, ratios = member.training.weights, member.model.task.training_ratios
    if ratios:  # the gradient of the loss, which has class weights
        trained = prior_shift.shift_bias(trained, ratios)
    norms = partial(gradient_norms, job, trained)
    tables = {name: (table, result.encoded[name]) for name, table in result.tables.items()}
    folds: list[Indices] = []
    if result.config.ensemble_folds is not None:
        if "test" in tables:
            del tables["validation"]  # these are training rows; test rows are more informative
        else:
            folds = result.held_out
    predictor, rows = result.predictor, result.rows
    listed = list_columns(rows.task, result.config.data.sample_weight, rows.decisions)
    return explain(predictor, tables, listed, result.predictions, norms, folds, background)
