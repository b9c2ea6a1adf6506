"""The networks that a fit trains, one or the members of an ensemble, and several at a time.

Each member of an ensemble has its own seed. With folds, each is validated on the rows of one
fold and trained on the others; with fewer folds than members, several have the same fold. The first
may be trained twice, with and without a scaling layer, to choose one form for all members.

A small network does not use all processors: on two of them, two networks train 1.5 times as fast in
parallel as one after the other. The number of parallel networks does not change any result.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Concatenate, Generic, NamedTuple, ParamSpec, Protocol, TypeVar

import numpy as np

from dlcli import training_job
from dlcli.arrays import Indices
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_schema import CompiledEngine
from dlcli.config.data_section import FEWEST_TRIAL_ROWS
from dlcli.config.search_space import Value, draw_settings, with_settings
from dlcli.diagnosis.case import Magnitudes
from dlcli.diagnosis.findings import advise_on_divergence
from dlcli.encoding.encoded_rows import EncodedRows
from dlcli.errors import DivergenceError, Interrupted, printable
from dlcli.network.layers import build_network
from dlcli.pipeline.preflight import available_memory, required_memory
from dlcli.pipeline.preparation import FitPlan, FitRows, member_folds
from dlcli.prediction.predictor import MemberModel, Selection
from dlcli.tasks.task import Task
from dlcli.training_job import EpochProgress, Job, TrainingResult

SECONDS_TO_ADD = 0.3
"""Time to create another set of variables for the compiled program."""
MEMORY_SHARE = 8
"""Networks that are trained in parallel use at most 1 / `MEMORY_SHARE` of the free memory."""
POLL_SECONDS = 0.1
"""Time between checks for signals, because signals do not interrupt a lock on all systems."""
MemberProgress = Callable[[int, int, Mapping[str, float]], None]
"""Called after each epoch with the network's number in its ensemble and the epoch, both from 1, and
the epoch's values by column of history.csv. Calls come from several threads, but one at a time. An
exception ends training."""


class Member(NamedTuple):
    """One network to train."""

    number: int
    """From 1."""
    job: Job
    """Its job, with the member's settings, seed, rows and scaling of the target."""
    held_out: Indices | None = None
    """With folds, the indices of the rows that it is validated on, among all training rows."""
    settings: Mapping[str, Value] = {}
    """Its settings that differ from the config, see `ensemble.vary`."""


@dataclass(frozen=True)
class FittedMember:
    """A trained network: the only one, or one of an ensemble."""

    seed: int
    rows: int
    """The number of its training rows."""
    held_out: Indices | None
    """In an ensemble with folds, the indices of the training rows that it was validated on."""
    learning_rate_multiplier: float | None
    """The learning rate multiplier of its scaling layer; `None` if it has no scaling layer."""
    training: TrainingResult
    """Weights, history and best epoch."""
    model: MemberModel
    """Its layers, task and weight in the mean of the members."""
    settings: Mapping[str, Value] = field(default_factory=dict)
    """Its settings that differ from the config, see `ensemble.vary`."""


class FactorTrial(NamedTuple):
    """A comparison of a network with and without a scaling layer, see `input.scaling_layer`."""

    rows: int
    """The number of validation rows."""
    with_factors: float
    """The validation loss of the kept epoch with the layer."""
    without: float
    unit: float = 1.0
    """The mean weight of these rows, by which their losses are multiplied."""

    @property
    def leaves_out(self) -> bool:
        """True if the loss without the layer is clearly lower: by more than the share 1 / √rows.

        One row with a loss of 1, about the loss of a constant prediction, is added to the loss with
        the layer, because ratios of losses are meaningless if all rows of a small fold are
        predicted well.
        """
        loss = abs(self.with_factors) + self.unit / self.rows
        return self.with_factors - self.without > loss / math.sqrt(self.rows)


class FitObserver:
    """Receives the progress of a fit; subclasses report it.

    Args:
        progress: receives each epoch.
    """

    def __init__(self, progress: MemberProgress = lambda *_: None) -> None:
        self._progress = progress

    def epoch(self, member: int, epoch: int, values: Mapping[str, float]) -> None:
        """Receive an epoch of a network, see `MemberProgress`."""
        self._progress(member, epoch, values)

    def member(self, number: int, trained: TrainingResult) -> None:
        """Receive a trained network; networks are numbered from 1 and arrive in order."""

    def factor_trial(self, trial: FactorTrial) -> None:
        """Receive the comparison that decides whether an ensemble has a scaling layer."""

    def selected(self, selection: Selection) -> None:
        """Receive the selection of the groups of an ensemble."""

    def diverged(self, error: DivergenceError, job: Job) -> Magnitudes:
        """Receive a divergence before it is raised, and add its likely causes as notes.

        Returns:
            The magnitudes that the causes are derived from.
        """
        magnitudes = training_job.measure_magnitudes(job, error.epoch)
        for finding in advise_on_divergence(job.config, job.network.layout.blocks, magnitudes):
            error.add_note(printable(f"  {finding.observation}; try {finding.patches[0].advice}"))
        return magnitudes


class Numbered(Protocol):
    """One of several fits: a member of an ensemble, or a fold."""

    @property
    def number(self) -> int:
        """From 1, in ascending order."""


Item = TypeVar("Item", bound=Numbered)
FitOutcome = TypeVar("FitOutcome")
Epoch = ParamSpec("Epoch")
"""The arguments with which an epoch is reported."""


class MemberDivergence(Exception):
    """A network has diverged."""

    def __init__(self, error: DivergenceError, job: Job) -> None:
        super().__init__(error, job)
        self.error = error
        self.job = job


def make_members(job: Job, rows: FitRows) -> Iterator[Member]:
    """Yield the networks of an ensemble; the rows of each are selected when it is yielded.

    Args:
        job: the job of one network on all training rows, whose config has an `ensemble`.
        rows: the rows and their split.

    Raises:
        DataError: if there are too few rows, groups or times for the folds.
    """
    config, ensemble = job.config, job.config.ensemble
    if ensemble is None:
        yield Member(1, job)
        return
    seeds = np.random.SeedSequence(config.seed).generate_state(ensemble.members).tolist()
    settings = draw_settings(config)
    alike = [_with_settings(job, each) for each in settings]
    size, members = ensemble.members // len(settings), []
    for at, seed in enumerate(seeds):
        own = alike[at // size]
        own = replace(own, config=own.config.model_copy(update={"seed": seed}))
        members.append(Member(at + 1, own, None, settings[at // size]))
    members = members[: ensemble.trained]
    if config.ensemble_folds is None:
        yield from members
        return
    folds = member_folds(config, rows)
    target = rows.split.train.only(job.task.columns)
    largest = max(len(fold.train) for fold in folds)
    for member in members:
        fold = folds[(member.number - 1) % len(folds)]
        # Statistics of the target must not include the member's validation rows.
        task = job.task.fit(job.head.output.scaling, target.take(fold.train))
        encoded = replace(job.train, target=task.encode(target, ValueProblems()))
        train, held_out = encoded.select(fold.train), encoded.select(fold.held_out)
        task = _with_own_class_weights(task, job, train)
        own = replace(member.job, task=task, train=train, validation=held_out)
        own = replace(own, rows_of_largest=largest)
        yield member._replace(job=own, held_out=fold.held_out)


def _with_own_class_weights(task: Task, job: Job, train: EncodedRows) -> Task:
    """Return the task of a member, with the class weights of its training rows.

    The frequencies of the classes are those of the rows of all members.
    """
    own = task.with_frequencies(train.target, train.weights, job.config)
    shared = {"frequencies": job.task.frequencies, "prevalence": job.task.prevalence}
    return own.model_copy(update=shared)


def _with_settings(job: Job, settings: Mapping[str, Value]) -> Job:
    """Return the job of a network with its own settings, and with the layers that they describe."""
    if not settings:
        return job
    config = with_settings(job.config, settings)
    layout = job.network.layout.read_with(config.input.encoding)
    network = build_network(layout, config.hidden, job.head.output)
    return replace(job, config=config, network=network)


def out_of_fold_rows(fitted: Sequence[FittedMember]) -> Indices:
    """Return the indices of the training rows that a network was validated on, ascending."""
    held_out = [each.held_out for each in fitted if each.held_out is not None]
    return np.unique(np.concatenate(held_out))


def networks_at_once(networks: int, rows: FitRows, plan: FitPlan) -> int:
    """Return the number of networks to train in parallel, each in a thread.

    Another one is worthwhile if it saves more time than the creation of its variables takes, and if
    it fits into memory.

    Args:
        networks: the total number of networks: members of an ensemble, or folds.
        rows: the encoded rows.
        plan: the network, its engine and device; without a device, the number is 1.
    """
    config, device, inputs = plan.config, plan.device, rows.encoded["train"].inputs
    is_compiled = isinstance(plan.engine, CompiledEngine)
    if networks == 1 or device is None or device.name != "cpu":
        return 1
    if not is_compiled or not inputs.is_resident:
        return 1
    batch = min(config.batch_size, len(inputs))
    steps = config.epochs * -(-len(inputs) // batch)
    seconds = networks * steps * training_job.estimate_step_seconds(plan.network, batch)
    each = sum(required_memory(rows, plan).values())
    room = 1 + available_memory() / (MEMORY_SHARE * each)  # infinite if the memory is unknown
    most = int(min(networks, device.threads, room))
    count = 1
    while count < most and seconds / (count * (count + 1)) > SECONDS_TO_ADD:
        count += 1
    return count


def fit_each(
    items: Iterable[Item],
    fit: Callable[[Item, Callable[Epoch, None]], FitOutcome],
    progress: Callable[Concatenate[int, Epoch], None],
    at_once: int,
) -> Iterator[FitOutcome]:
    """Fit the members of an ensemble, or folds, and yield the results in order.

    Args:
        items: the members or folds.
        fit: fits an item, and reports its epochs to the given function.
        progress: receives the number of an item with each of its epochs; called from several
            threads, but one at a time.
        at_once: number of items to fit in parallel, each in a thread.

    Raises:
        MemberDivergence: for the first network, in order, that diverges. All networks before it are
            trained to their end.
        DlcliError: if a network ends with another error.
    """
    if at_once > 1:
        yield from _FitThreads(fit, progress, at_once).run(items)
        return
    for item in items:
        yield fit(item, partial(progress, item.number))


class _Ended(Exception):
    """A network is no longer needed, because another one has failed."""


@dataclass
class _FitThreads(Generic[Item, Epoch, FitOutcome]):
    """Fits several networks in parallel."""

    fit: Callable[[Item, Callable[Epoch, None]], FitOutcome]
    progress: Callable[Concatenate[int, Epoch], None]
    count: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    end_from: float = math.inf
    """The number of the first network that is to end with its current epoch."""

    def run(self, items: Iterable[Item]) -> Iterator[FitOutcome]:
        """Fit members or folds, and yield the results in order."""
        begun: deque[tuple[int, Future[FitOutcome]]] = deque()
        with ThreadPoolExecutor(self.count) as pool:
            try:
                for item in items:
                    future = pool.submit(copy_context().run, self._fit_one, item)
                    begun.append((item.number, future))
                    del item  # with its rows
                    yield from self._finished(begun, self.count - 1)
                yield from self._finished(begun, 0)
            except BaseException:
                self.end_from = 0
                raise

    def _fit_one(self, item: Item) -> FitOutcome:
        def report(*epoch: Epoch.args, **named: Epoch.kwargs) -> None:
            with self.lock:
                if item.number >= self.end_from:
                    raise _Ended
                self.progress(item.number, *epoch, **named)

        return self.fit(item, report)

    def _finished(
        self, begun: deque[tuple[int, Future[FitOutcome]]], most: int
    ) -> Iterator[FitOutcome]:
        """Wait until at most `most` networks are running, and yield finished ones in order.

        Raises the error of the first network, in order, that has failed.
        """
        while True:
            for number, future in begun:
                if future.done() and (error := future.exception()) is not None:
                    self._end_others(number, error)
                    most = 0
            running = [future for _, future in begun if not future.done()]
            if len(running) <= most:
                break
            wait(running, POLL_SECONDS, FIRST_COMPLETED)
        errors = [future.exception() for _, future in begun if future.done()]
        for each in errors:
            if each is not None and not isinstance(each, _Ended):
                raise each
        while begun and begun[0][1].done():
            yield begun.popleft()[1].result()

    def _end_others(self, number: int, error: BaseException) -> None:
        """End networks that are no longer needed, because one has failed."""
        if isinstance(error, MemberDivergence):
            self.end_from = min(self.end_from, number + 1)
        elif not isinstance(error, Interrupted | _Ended):  # interrupted ones store a checkpoint
            self.end_from = 0


def fit_with_and_without_factors(
    member: Member,
    fit_one: Callable[[Member, EpochProgress], FittedMember],
    observer: FitObserver,
    at_once: int,
) -> FittedMember:
    """Train the first member of an ensemble with and without a scaling layer.

    With few validation rows, it is trained with the layer only.

    Args:
        member: the member.
        fit_one: trains a network.
        observer: receives the epochs of the network with the layer, and both losses.
        at_once: number of networks to train in parallel.

    Returns:
        The network with the layer; or the other one, if `FactorTrial.leaves_out` is true or only
        the network with the layer diverges.

    Raises:
        MemberDivergence: if both diverge, for the network with the layer.
    """

    def fit_either(each: Member, report_epoch: EpochProgress) -> FittedMember | MemberDivergence:
        try:
            return fit_one(each, report_epoch)
        except MemberDivergence as caught:
            return caught

    def shown(number: int, epoch: int, values: Mapping[str, float]) -> None:
        if number == member.number:
            observer.epoch(number, epoch, values)

    job = member.job
    assert job.config.ensemble is not None
    plain = replace(job, config=job.config.with_scaling_layer(None))
    # It is not a member, so its number follows the last member's.
    other = member._replace(number=job.config.ensemble.members + 1, job=plain)
    rows = 0 if job.validation is None else len(job.validation.inputs)
    pair = (member, other) if rows >= FEWEST_TRIAL_ROWS else (member,)
    found = [*fit_each(pair, fit_either, shown, at_once)]
    scaled, unscaled = found[0], found[-1]
    if isinstance(scaled, MemberDivergence):
        if isinstance(unscaled, MemberDivergence):
            raise scaled
        return unscaled
    if isinstance(unscaled, MemberDivergence) or unscaled is scaled:
        return scaled
    weights = None if job.validation is None else job.validation.weights
    unit = 1.0 if weights is None else float(weights.mean())
    trial = FactorTrial(rows, _kept_loss(scaled), _kept_loss(unscaled), unit)
    observer.factor_trial(trial)
    return unscaled if trial.leaves_out else scaled


def _kept_loss(fitted: FittedMember) -> float:
    """Return the validation loss of the epoch whose weights are kept."""
    trained = fitted.training
    return trained.history["val_loss"][(trained.best_epoch or trained.epochs) - 1]


def mean_history(trainings: Sequence[TrainingResult]) -> dict[str, list[float]]:
    """Return the mean of each epoch's values over the members that were trained in this epoch."""
    longest = max(each.epochs for each in trainings)
    return {
        name: [
            float(np.mean([each.history[name][at] for each in trainings if at < each.epochs]))
            for at in range(longest)
        ]
        for name in trainings[0].history
    }
