"""Train a network on given rows with a given config, the unit of work of all procedures.

`train` performs one fit, `cross_validate` one per fold, `tune` one per candidate and fold; the
linear baseline is also a fit.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import islice
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from dlcli import is_command_line, training_job
from dlcli.arrays import Indices, floats, integers
from dlcli.cluster import ALONE, Cluster, Workers
from dlcli.columns.value_problems import ValueNote, ValueProblems
from dlcli.config.config_schema import Config
from dlcli.encoding.encoded_rows import EncodedRows
from dlcli.errors import DivergenceError, require_packages
from dlcli.metrics.definitions import main_metric
from dlcli.metrics.intervals import (
    DifferenceEstimate,
    Estimate,
    estimate_statistic_differences,
    estimate_statistics,
)
from dlcli.metrics.statistic import Metrics, Statistic
from dlcli.network.head import resolve_head
from dlcli.network.layers import Weights
from dlcli.pipeline import members, preparation
from dlcli.pipeline.events import DeviceEvent, Events
from dlcli.pipeline.members import FitObserver, FittedMember, Member, MemberDivergence
from dlcli.pipeline.preflight import available_memory
from dlcli.prediction.conformal import REPORTED_LEVEL, Conformal
from dlcli.prediction.predictions import Predictions
from dlcli.prediction.predictor import (
    Ensemble,
    EnsembleGroup,
    EnsembleMember,
    MemberModel,
    Predictor,
    Selection,
    member_weight,
)
from dlcli.runs.documents import rounded_median
from dlcli.splitting import Split
from dlcli.tables.table import Table
from dlcli.tasks import prior_shift
from dlcli.tasks.decision import FittedDecision, Origin, fit_decision
from dlcli.tasks.task import DecodedRows, Outputs, Task, exposures_of
from dlcli.training_job import Checkpointer, Device, EpochProgress, Job, TrainingResult

if TYPE_CHECKING:
    from dlcli.training.compiled_engine import ProgramCache

_REDIRECTING = threading.RLock()
"""Held while standard error, which all threads share, is redirected."""
LOG_LEVEL = "TF_CPP_MIN_LOG_LEVEL"
"""TensorFlow's log level; if the user has set it lower, the log is not suppressed."""
_SILENT = "3"
_UNUSED = ("pandas", "sklearn", "IPython")
"""Packages that Keras imports and dlcli does not use."""
SELECTION_ROUNDS = 50
"""Number of additions of a group of networks to an ensemble."""
_MEMORY_SHARE = 4
"""Encoded rows are kept for later fits in at most 1 / `_MEMORY_SHARE` of the memory."""


def load_tensorflow(config: Config, events: Events, cluster: Cluster = ALONE) -> Device:
    """Load TensorFlow and prepare the device; fast if both were done before.

    Args:
        config: the config, for `device` and `threads`.
        events: receives the device.
        cluster: the workers; workers on one machine use different GPUs if possible.

    Raises:
        ConfigError: if the config requires a GPU and there is none.
        UsageError: if TensorFlow already runs in this process with another device or threads.
    """
    is_loaded = "tensorflow" in sys.modules
    if not is_loaded:
        require_packages("training", None, "tensorflow", "keras")
    paused = nullcontext() if is_loaded else pause_collection()
    with quiet_tensorflow(), paused, hide_unused_packages():
        from dlcli.training.engines import prepare_device

        device = prepare_device(config.device, config.threads, cluster.local_rank)
    events.emit(DeviceEvent(device=device.name, threads=device.threads, gpus=device.gpus))
    return device


@contextmanager
def quiet_tensorflow() -> Iterator[None]:
    """Suppress the output of TensorFlow's C++ code to standard error while it is loaded.

    It writes before it reads its log level, so the file descriptor is redirected. Errors are
    exceptions and are not suppressed. Other threads wait, because nested redirections in threads
    would restore the wrong descriptor.
    """
    with _REDIRECTING:
        if os.environ.setdefault(LOG_LEVEL, _SILENT) != _SILENT:
            yield
            return
        try:
            original = os.dup(2)
        except OSError:  # no standard error
            yield
            return
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 2)
        os.close(null)
        try:
            yield
        finally:
            os.dup2(original, 2)
            os.close(original)


@contextmanager
def hide_unused_packages() -> Iterator[None]:
    """Hide packages that Keras imports if they are installed, in the process of a command.

    Keras imports pandas, scikit-learn and IPython for inputs and wrappers that dlcli does not use,
    which takes a second and a fifth of its memory. Keras also works without them. Afterwards, they
    can be imported as usual. Nothing is hidden in a user's program, which may use them with Keras.
    """
    hidden = [name for name in _UNUSED if name not in sys.modules] if is_command_line.get() else []
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # importing it raises an error
    try:
        yield
    finally:
        for name in hidden:
            if sys.modules.get(name) is None:
                sys.modules.pop(name, None)


@contextmanager
def without_retracing_warnings() -> Iterator[None]:
    """Suppress TensorFlow's warnings about several programs in one process, which are intended.

    Fits of different shapes have separate programs, which TensorFlow regards as repeated tracing of
    one program.
    """

    def is_other(record: logging.LogRecord) -> bool:
        return "triggered tf.function retracing" not in record.getMessage()

    logger = logging.getLogger("tensorflow")
    logger.addFilter(is_other)  # one filter per block, as blocks may be nested
    try:
        yield
    finally:
        logger.removeFilter(is_other)


@contextmanager
def without_array_warnings() -> Iterator[None]:
    """Suppress NumPy's warnings about Keras's variables, which no user can act on.

    Keras 3.15's `Variable.__array__` lacks the argument `copy` of NumPy 2; it copies.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "__array__ implementation", DeprecationWarning)
        yield


@contextmanager
def pause_collection() -> Iterator[None]:
    """Pause garbage collection while many permanent objects are created.

    Loading TensorFlow creates about a million objects; repeated garbage collection takes a tenth of
    the time. Afterwards, garbage collection is on, even if the program started without it, because
    unused models are cyclic garbage. Don't use this in a process that has trained: it excludes all
    existing objects from collection, including old models.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@dataclass(frozen=True)
class FitResult:
    """A network or ensemble trained on given rows, with its predictions of them.

    In an ensemble with folds, validation rows are the training rows whose fold has a member, each
    predicted by the members that were not trained on it. Predictions and metrics of a set are
    computed on first use and cached.
    """

    config: Config
    """The trained config, with resolved output, loss and metrics."""
    rows: preparation.FitRows
    """The rows, with their encoding."""
    plan: preparation.FitPlan
    """The network and its training."""
    job: Job
    """The job of the engine; for an ensemble, the job of one network on all training rows."""
    members: tuple[FittedMember, ...]
    """The network, or the networks of an ensemble."""
    seconds: float
    """The duration of encoding and training."""
    selection: Selection | None = None
    """The selection of the groups of an ensemble; `None` if all members predict."""
    decision: FittedDecision | None = None
    """The decision for a class, see `decided`."""
    _predictions: dict[str, Predictions] = field(default_factory=dict, repr=False)
    _metrics: dict[str, Metrics] = field(default_factory=dict, repr=False)

    @cached_property
    def training(self) -> TrainingResult:
        """Weights, history and best epoch; for an ensemble, all weights and the mean history."""
        if self.config.ensemble is None:
            return self.members[0].training
        weights = {
            member_weight(number, name): array
            for number, member in enumerate(self.members, start=1)
            for name, array in member.training.weights.items()
        }
        history = members.mean_history([member.training for member in self.members])
        return TrainingResult(weights, history, None)

    @cached_property
    def ensemble(self) -> Ensemble | None:
        """The training of each member; `None` for a single network."""
        if self.config.ensemble is None:
            return None
        members = [
            EnsembleMember(
                seed=each.seed,
                settings=each.settings,
                weight=each.model.weight,
                task=each.model.task,
                rows=each.rows,
                best_epoch=each.training.best_epoch,
                history={name: tuple(v) for name, v in each.training.history.items()},
            )
            for each in self.members
        ]
        multiplier = self.config.input.scaling_multiplier
        return Ensemble(
            members=tuple(members),
            selection=self.selection,
            learning_rate_multiplier=multiplier,
        )

    @cached_property
    def predictor(self) -> Predictor:
        """The trained network with its encoding."""
        each = tuple(member.model for member in self.members)
        models = () if self.config.ensemble is None else each
        weights, network = self.training.weights, each[0].network
        encoding, decision = self.rows.encoding, self.decision
        return Predictor(self.config, encoding, network, weights, models, decision=decision)

    @property
    def tables(self) -> dict[str, Table]:
        """The rows of each nonempty set, by name."""
        return self.rows.tables

    @property
    def encoded(self) -> Mapping[str, EncodedRows]:
        """The encoded rows by set: `train`, `validation`, `test`."""
        return self.rows.encoded

    @property
    def evaluation_set(self) -> Literal["test", "validation"]:
        """The evaluation set: test rows, or validation rows if there are none."""
        return "validation" if self.rows.split.test is None else "test"

    @property
    def parameters(self) -> int:
        """The number of trained parameters, of all members."""
        return sum(member.model.network.trainable_parameters for member in self.members)

    @property
    def best_epoch(self) -> int | None:
        """The epoch of the weights, from 1; for an ensemble, the median over its members.

        `None` means the last epoch.
        """
        trainings = [each.training for each in self.members]
        if all(each.best_epoch is None for each in trainings):
            return None
        return rounded_median([each.best_epoch or each.epochs for each in trainings])

    def predictions(self, name: str) -> Predictions:
        """Return the predictions of the rows of a set."""
        if name not in self._predictions:
            rows, predictor = self.encoded[name], self.predictor
            predictions = (
                predictor.predict_by_fold(lambda some: rows.select(some).inputs, self.held_out)
                if name == "validation" and self.config.ensemble_folds is not None
                else predictor.predict_encoded(rows.inputs)
            )
            self._predictions[name] = self._with_costs(predictions, name)
        return self._predictions[name]

    def _with_costs(self, predictions: Predictions, name: str) -> Predictions:
        return self.predictor.with_costs(predictions, self.tables[name], ValueProblems())

    @property
    def held_out(self) -> list[Indices]:
        """The indices of each fold's rows in the validation rows; without folds, all indices."""
        if self.config.ensemble_folds is None:
            return [np.arange(self.tables["validation"].rows)]
        alone = self.members[: self.config.ensemble_folds]
        rows = members.out_of_fold_rows(alone)  # all training rows, unless a fold has no network
        folds = [each.held_out for each in alone if each.held_out is not None]
        return [np.searchsorted(rows, fold) for fold in folds]

    @cached_property
    def conformal(self) -> Conformal | None:
        """The errors of held-out rows, for intervals; `None` without such rows and for labels.

        A distilled network has none: its teacher was trained on the validation rows.
        """
        task = self.predictor.task
        if "validation" not in self.tables or task.outcome == "labels":
            return None
        if self.config.distill is not None:
            return None
        predictions, rows = self.predictions("validation"), self.encoded["validation"]
        chosen = self.held_out
        if rows.weights is not None:
            chosen = [fold[rows.weights[fold] > 0] for fold in chosen]
        if not all(map(len, chosen)):
            return None
        folds = [(predictions.take(fold), rows.target[fold]) for fold in chosen]
        conformal = Conformal.fit(folds, self.config.output)
        has_intervals = task.outcome != "classes" and conformal.reaches(REPORTED_LEVEL)
        if "test" not in self.tables or not has_intervals:
            return conformal
        predictor = replace(self.predictor, conformal=conformal, level=REPORTED_LEVEL)
        test = self.encoded["test"]
        tested = predictor.predict_encoded(test.inputs)
        return conformal.with_test(tested, self.decoded("test").values, test.weights)

    def decided(self, *, on_validation_rows: bool) -> FitResult:
        """Return the result with the decision of the config, if it has one.

        Args:
            on_validation_rows: whether a threshold may be chosen on the validation rows; for an
                ensemble with folds, these are its out-of-fold rows.
        """
        section, task = self.config.decision, self.predictor.task
        has_rows = on_validation_rows and "validation" in self.tables
        if section is None or (section.needs_rows and not has_rows):
            return self
        known = task.at_prevalence(self.decoded("validation")) if has_rows else None
        origin: Origin = "validation" if self.config.ensemble_folds is None else "out-of-fold"
        decision = fit_decision(section, task.classes, known, origin)
        return replace(self, decision=decision, _predictions={}, _metrics={})

    def row_losses(self, name: str, outputs: Outputs | None = None) -> NDArray[np.float64]:
        """Return the loss of each row of a set, without weights and regularization penalty.

        Args:
            name: the set.
            outputs: outputs before decoding, (rows, units). [default: the network's]

        Returns:
            (rows,).
        """
        from dlcli.training.objectives import keras_loss

        section, rows = self.job.head.loss, self.encoded[name]
        loss = keras_loss(section)
        loss.reduction = "none"
        outputs = self.predictions(name).outputs if outputs is None else outputs
        labels = self.predictor.task.loss_labels(rows.target, section, outputs.shape[1])
        return np.asarray(loss(labels, outputs), dtype=np.float64)

    def select_groups(self) -> FitResult:
        """Return the ensemble of `ensemble.select: greedy`.

        The groups of `ensemble.vary` are added one by one, with repetition, to the mean of their
        out-of-fold predictions, each time the one that lowers its loss the most: Caruana et al.,
        Ensemble Selection from Libraries of Models (2004). How often each was added when the loss
        was lowest is its weight.
        """
        size = self.config.ensemble_folds
        assert size is not None  # as the config requires
        groups = [self.members[at : at + size] for at in range(0, len(self.members), size)]
        alone = [replace(self, members=group, _predictions={}, _metrics={}) for group in groups]
        outputs = [each.predictions("validation").outputs for each in alone]
        weights, task = self.encoded["validation"].weights, self.predictor.task

        def loss(counts: NDArray[np.int64]) -> float:
            mean = task.average(outputs, [task] * len(outputs), counts.tolist())
            return float(np.average(self.row_losses("validation", mean), weights=weights))

        counts, best = np.zeros(len(groups), np.int64), (np.inf, np.zeros(len(groups), np.int64))
        for _ in range(SELECTION_ROUNDS):
            candidates = [counts + one for one in np.eye(len(groups), dtype=np.int64)]
            losses = [*map(loss, candidates)]
            counts = candidates[int(np.argmin(losses))]
            best = min(best, (min(losses), counts), key=lambda pair: pair[0])
        kept = zip(groups, best[1].tolist(), strict=True)
        members = tuple(
            replace(member, model=replace(member.model, weight=float(count)))
            for group, count in kept
            if count
            for member in group
        )
        chosen = replace(self, members=members, _predictions={}, _metrics={})
        return replace(chosen, selection=chosen._compare_with(alone, best[1]))

    def _compare_with(self, groups: Sequence[FitResult], counts: NDArray[np.int64]) -> Selection:
        """Compare the ensemble with each of its groups, on the out-of-fold rows.

        Args:
            groups: the fit of each group.
            counts: the weight of each group.
        """
        metric = main_metric(self.config.metrics or (), self.metrics("validation"))
        name = metric or ""

        def statistics(result: FitResult) -> dict[str, Statistic]:
            found = result.predictor.task.statistics(result.decoded("validation"))
            return {name: found[name]} if metric else {}

        own, each = statistics(self), [statistics(group) for group in groups]
        values = [estimate_statistics(found).get(name, Estimate()) for found in (own, *each)]
        differences = estimate_statistic_differences(each[0], own, paired=True)
        shares = counts / counts.sum()
        return Selection(
            metric=metric,
            value=values[0],
            difference=differences.get(name, DifferenceEstimate()),
            groups=tuple(
                EnsembleGroup(settings=group.members[0].settings, share=share, value=value)
                for group, share, value in zip(groups, shares.tolist(), values[1:], strict=True)
            ),
        )

    def metrics(self, name: str) -> Metrics:
        """Return the metrics of a set."""
        if name not in self._metrics:
            self._metrics[name] = self.predictor.task.metrics(self.decoded(name))
        return self._metrics[name]

    def decoded(self, name: str) -> DecodedRows:
        """Return the rows of a set with their true values and predictions."""
        return self.predictions(name).with_truth(self.tables[name], self.encoded[name].weights)

    @cached_property
    def constant_outputs(self) -> NDArray[np.float64]:
        """The output of the constant model, fitted to the target of training rows, (outputs,)."""
        task = self.rows.encoding.task.for_loss(self.config.loss)
        train, weights = self.rows.split.train, self.encoded["train"].weights
        return task.constant_outputs(train, weights, self.config)

    def constant_decoded(self, name: str) -> DecodedRows:
        """Return the rows of a set with their true values and the constant model's predictions."""
        rows, outputs = self.encoded[name], self.constant_outputs
        repeated = np.broadcast_to(outputs, (len(rows.inputs), len(outputs)))
        exposures = exposures_of(self.tables[name], self.config.data.exposure)
        if exposures is not None:
            repeated = repeated * exposures
        predictions = self._with_costs(self.predictor.decode(repeated), name)
        return predictions.with_truth(self.tables[name], rows.weights)

    def prediction_table(
        self,
        name: str,
        columns: Mapping[str, pa.Array] | None = None,
        some: NDArray[np.int64] | None = None,
    ) -> pa.Table:
        """Return row number, target and prediction of the rows of a set, for a run folder.

        Includes files if there are several, and weights if rows have weights.

        Args:
            name: the set.
            columns: additional columns, after the row number.
            some: the indices of the rows to return; all if omitted.
        """
        table, weights = self.tables[name], self.encoded[name].weights
        predictions = self.predictions(name)
        if some is not None:
            table, predictions = table.take(some), predictions.take(some)
            weights = None if weights is None else weights[some]
        has_files = any(each.files for each in self.tables.values())
        exposures = exposures_of(table, self.config.data.exposure)
        return pa.table(
            {
                **({"file": table.file_names()} if has_files else {}),
                "row": integers(table.row_numbers),
                **(columns or {}),
                **({} if weights is None else {"weight": floats(weights)}),
                **({} if exposures is None else {"exposure": floats(exposures[:, 0])}),
                **predictions.stored_costs(),
                **predictions.truth(table),
                **predictions.columns(),
            }
        )


def fit(
    rows: preparation.FitRows,
    plan: preparation.FitPlan,
    checkpointer: Checkpointer = training_job.NO_CHECKPOINTS,
    observer: FitObserver | None = None,
) -> FitResult:
    """Train a network. TensorFlow must be loaded, see `load_tensorflow`.

    Args:
        rows: the encoded rows.
        plan: the network and its training.
        checkpointer: stores checkpoints, returns the checkpoint to resume from, and ends training
            on a signal.
        observer: receives the progress.

    Raises:
        DivergenceError: if the loss or the weights become NaN or infinite.
        OutOfMemoryError: if memory runs out.
        TrainingError: if a checkpoint can't be stored.
        RunError: if no checkpoint can be resumed.
        Interrupted: if a signal arrived.
    """
    start = time.perf_counter()
    train, validation = rows.encoded["train"], rows.encoded.get("validation")
    soft = None
    if plan.distilled is not None:
        train, soft = plan.distilled
    task = rows.encoding.task.with_frequencies(train.target, train.weights, plan.config)
    rows = replace(rows, encoding=rows.encoding.model_copy(update={"task": task}))
    job = Job(plan.config, plan.network, plan.head, task, train, validation)
    start_at, placed = plan.initial_weights, plan.device_inputs
    if start_at is not None and task.class_weights:  # as in the loss
        start_at = prior_shift.shift_bias(start_at, task.class_weights)
    until = plan.until or plan.config.stop_after_epoch
    job = replace(job, initial_weights=start_at, until=until, placed=placed)
    job = replace(job, soft_labels=soft)
    observer = observer or FitObserver()
    with without_array_warnings():
        trained = tuple(_fit_members(job, rows, plan, checkpointer, observer))
    config = job.config.with_scaling_layer(trained[0].learning_rate_multiplier)
    job = replace(job, config=config)
    if config.ensemble_folds is not None:  # each training row is held out for a member
        held_out, validated = rows.split.train, job.train
        if config.validated_folds != config.ensemble_folds:  # unless its fold has no network
            chosen = members.out_of_fold_rows(trained)
            held_out, validated = held_out.take(chosen), validated.select(chosen)
        split = replace(rows.split, validation=held_out)
        encoded = {"train": job.train, "validation": validated, **rows.encoded}
        rows = replace(rows, split=split, encoded=encoded)
    result = FitResult(config, rows, plan, job, trained, 0.0)
    if config.ensemble is not None and config.ensemble.select == "greedy":
        result = result.select_groups()
        assert result.selection is not None
        observer.selected(result.selection)
    return replace(result, seconds=time.perf_counter() - start)


def _fit_members(
    job: Job,
    rows: preparation.FitRows,
    plan: preparation.FitPlan,
    checkpointer: Checkpointer,
    observer: FitObserver,
) -> Iterator[FittedMember]:
    """Train the network, or the members of an ensemble, which share a compiled program."""
    from dlcli.training.compiled_engine import ProgramCache

    config, at_once = job.config, 1
    if config.ensemble is not None:
        plan = replace(plan, programs=plan.programs or ProgramCache())
        at_once = members.networks_at_once(config.networks, rows, plan)

    def fit_one(member: Member, report: EpochProgress) -> FittedMember:
        trained = fit_member(member, plan, report, checkpointer)
        own = member.job
        rate = own.config.input.scaling_multiplier
        size, seed = len(own.train.inputs), own.config.seed
        model = MemberModel(own.network, own.task)
        trained = replace(trained, weights=with_corrected_bias(trained.weights, own.task))
        return FittedMember(seed, size, member.held_out, rate, trained, model, member.settings)

    def fit_all() -> Iterator[FittedMember]:
        left = members.make_members(job, rows)
        if config.input.scaling_layer == "auto" and config.ensemble is not None:
            first = members.fit_with_and_without_factors(next(left), fit_one, observer, at_once)
            yield first
            chosen = config.with_scaling_layer(first.learning_rate_multiplier)
            left = islice(members.make_members(replace(job, config=chosen), rows), 1, None)
        yield from members.fit_each(left, fit_one, observer.epoch, at_once)

    try:
        with without_retracing_warnings():
            for number, each in enumerate(fit_all(), start=1):
                observer.member(number, each.training)
                yield each
    except MemberDivergence as caught:
        observer.diverged(caught.error, caught.job)
        raise caught.error from None


def with_corrected_bias(weights: Weights, task: Task) -> Weights:
    """Return trained weights with the output's bias of the probabilities to predict.

    Checkpoints contain the trained bias, so resumed training is not affected.
    """
    if not task.training_ratios:
        return weights
    return prior_shift.shift_bias(weights, [1 / ratio for ratio in task.training_ratios])


def fit_member(
    member: Member, plan: preparation.FitPlan, report: EpochProgress, checkpointer: Checkpointer
) -> TrainingResult:
    """Train a network, unless it is a member of an ensemble whose result is stored."""
    from dlcli.training.engines import train_job

    number, ensemble, own = member.number, member.job.config.ensemble, checkpointer
    if ensemble is not None:
        # A network of the scaling layer's trial that is not a member is trained with the first one.
        is_trial = number > ensemble.members and plan.finished > 0
        if plan.until is None or number <= plan.finished or is_trial:
            found = checkpointer.finished_member(number, member.job)
            if found is not None:
                return found
        own = checkpointer.of_member(number)
    try:
        trained = train_job(member.job, plan.engine, report, own, plan.programs)
    except DivergenceError as error:
        if ensemble is not None:
            error.args = (f"{error}, in member {number} of {ensemble.members}",)
            error.member = number
        raise MemberDivergence(error, member.job) from None
    if ensemble is not None and plan.until is None:
        checkpointer.save_member(number, trained)
    return trained


def release_memory(error: Exception) -> str:
    """Free the memory of a failed fit.

    The frames of its traceback reference the encoded rows and the engine's data on the device.

    Returns:
        The first line of the message.
    """
    traceback.clear_frames(error.__traceback__)
    gc.collect()
    return str(error).partition("\n")[0]


@dataclass
class FitContext:
    """The state that many fits in one process share.

    TensorFlow is loaded once. Rows are encoded once for all configs with the same encoding. Fits
    whose programs differ only in runtime values or sizes share a program, see
    `dlcli.training.ProgramCache`.

    Args:
        dataset: all rows, and their target.
        config: the original config, with device and threads; the other configs are variants of it.
        events: receives warnings about the rows, without repetition.
        fits: the approximate number of fits that share a program; with many, compiling saves time.
        keep_encodings: whether to keep encoded rows for other configs on the same rows.
        any_size: whether configs differ in batch size, or in the units of hidden layers.
    """

    dataset: preparation.Dataset
    config: Config
    events: Events
    fits: int = 1
    keep_encodings: bool = True
    any_size: bool = False
    at_once: int = field(default=1, init=False)
    """Number of fits like the latest that run at the same time, each in a thread."""
    _noted: set[tuple[str, str, str]] = field(default_factory=set, repr=False)
    _kept: dict[object, preparation.FitRows] = field(default_factory=dict, repr=False)

    @property
    def workers(self) -> Workers:
        """The workers that train together."""
        return self.dataset.storage.workers

    @cached_property
    def device(self) -> Device:
        """The device; TensorFlow is loaded on first use."""
        return load_tensorflow(self.config, self.events, self.workers.cluster)

    @cached_property
    def programs(self) -> ProgramCache:
        """The compiled programs; TensorFlow is loaded on first use."""
        assert self.device
        from dlcli.training.compiled_engine import ProgramCache

        return ProgramCache(any_size=self.any_size)

    def fit(
        self,
        config: Config,
        split: Split,
        checkpointer: Checkpointer = training_job.NO_CHECKPOINTS,
        observer: FitObserver | None = None,
        on_notes: preparation.ReportNotes | None = None,
    ) -> FitResult:
        """Encode rows, unless they are already encoded, and train on them.

        Args:
            config: a variant with the unchanged `data` section.
            split: the rows of each set.
            checkpointer: see `fit`.
            observer: receives the progress.
            on_notes: receives the notes on the rows; if omitted, the first note on each column in
                all fits becomes a warning.

        Raises:
            ConfigError: if the config does not fit the target.
            DataError: if values of held-out rows can't be encoded.
            DivergenceError, OutOfMemoryError, Interrupted: see `fit`.
        """
        start = time.perf_counter()
        rows = self._encoded(config, split, on_notes)
        plan = preparation.plan_fit(config, rows, self.fits * config.networks)
        plan = replace(plan, programs=self.programs, device=self.device)
        if config.ensemble is None:  # members share the threads
            self.at_once = members.networks_at_once(self.fits, rows, plan)
        result = fit(rows, plan, checkpointer, observer)
        # The rows of a fold, on which the result is evaluated, are in place of test rows.
        result = result.decided(on_validation_rows=rows.split.test is not None)
        return replace(result, seconds=time.perf_counter() - start)

    def _encoded(
        self, config: Config, split: Split, on_notes: preparation.ReportNotes | None
    ) -> preparation.FitRows:
        """Return the encoded rows of a split, reused from an earlier fit with the same encoding."""
        head = resolve_head(config, self.dataset.task)
        key = split, repr(config.input), repr(head.output.scaling)
        if key in self._kept:
            self.dataset.task.check_values(head.loss, self.dataset.tables)
            return self._kept[key]
        events = Events(self.events.warn_once)
        rows = preparation.prepare_rows(config, self.dataset, split, events)
        rows = preparation.encode_sets(rows, events, partial(self._report, on_notes))
        if self.keep_encodings:
            while self._kept and self._excess(rows) > 0:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = rows
        return rows

    def _excess(self, rows: preparation.FitRows) -> float:
        kept = sum(map(_size, self._kept.values()))
        # All workers encode the same rows.
        available: float = min(self.workers.gather(available_memory()))
        return kept + _size(rows) - (available + kept) / _MEMORY_SHARE

    def _report(
        self, on_notes: preparation.ReportNotes | None, rows: str, notes: Sequence[ValueNote]
    ) -> None:
        """Report notes on the rows of a fit; without `on_notes`, the first note on each column.

        The rows of a fold are in place of test rows, and are called held-out rows.
        """
        rows = rows.replace("test rows", "held-out rows", 1)
        if on_notes is not None:
            on_notes(rows, notes)
            return
        new = [note for note in notes if (rows, note.column, note.kind) not in self._noted]
        self._noted.update((rows, note.column, note.kind) for note in new)
        preparation.warn_of_notes(rows, new, self.events)


def _size(rows: preparation.FitRows) -> int:
    """Return the approximate size of encoded rows in bytes."""
    return sum(4 * len(each.inputs) * each.inputs.compact.width for each in rows.encoded.values())
