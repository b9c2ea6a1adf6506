"""The networks that a fit trains, one or the members of an ensemble, and several at a time.

Each member of an ensemble has its own seed. With folds, each is validated on the rows of one
fold and trained on the others; with fewer folds than members, several have the same fold. The first
may be trained twice, to choose whether all have a scaling layer.

Small networks leave processors idle: two at a time train 1.5 times as fast on two processors as one
after the other. No result depends on how many are trained at a time.
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
from dlcli.errors import DivergenceError, Interrupted, printable
from dlcli.network.layers import build_network
from dlcli.pipeline.preflight import available_memory, required_memory
from dlcli.pipeline.preparation import FitPlan, FitRows, member_folds
from dlcli.prediction.predictor import MemberModel
from dlcli.training_job import EpochProgress, Job, TrainingResult

SECONDS_TO_ADD = 0.3
"""Time that a further set of variables for the compiled program takes."""
MEMORY_SHARE = 8
"""Networks that are trained at a time take at most one part in so many of the free memory."""
POLL_SECONDS = 0.1
"""Time from one look for signals to the next: a lock can't be interrupted on all systems."""
MemberProgress = Callable[[int, int, Mapping[str, float]], None]
"""Called after each epoch of a network, with the network's number in its ensemble and the epoch's,
both from 1, and the epoch's values by column of history.csv. It is called from several threads, but
never at the same time, and may raise to end training."""


class Member(NamedTuple):
    """One network to train."""

    number: int
    """From 1."""
    job: Job
    """Its job, with its own settings, seed, rows and scaling of the target."""
    held_out: Indices | None = None
    """With folds, the indices of the rows that it is validated on, among all training rows."""
    settings: Mapping[str, Value] = {}
    """Its settings that differ from the config, see `ensemble.vary`."""
    group: int = 1
    """The number, from 1, of the networks with these settings."""


@dataclass(frozen=True)
class FittedMember:
    """A trained network: the only one, or one of an ensemble."""

    seed: int
    rows: int
    """The number of its training rows."""
    held_out: Indices | None
    """In an ensemble with folds, the indices of the training rows that it was validated on."""
    learning_rate_multiplier: float | None
    """That of its scaling layer; `None`: it was trained without one."""
    training: TrainingResult
    """Weights, history and best epoch."""
    model: MemberModel
    """Its layers, task and weight in the mean of the members."""
    settings: Mapping[str, Value] = field(default_factory=dict)
    """Its settings that differ from the config, see `ensemble.vary`."""
    group: int = 1
    """The number, from 1, of the networks with these settings."""


class FactorTrial(NamedTuple):
    """A comparison of a network with and without a scaling layer, see `input.scaling_layer`."""

    rows: int
    """The number of validation rows."""
    with_factors: float
    """The validation loss of the epoch that is kept."""
    without: float
    unit: float = 1.0
    """The mean weight of these rows, which their losses are multiplied with."""

    @property
    def leaves_out(self) -> bool:
        """True if the loss is clearly lower without: by more than one part in √rows.

        One row with a loss of 1 (about the loss of a constant prediction) is added to both: where
        all rows of a small fold are predicted well, ratios of losses mean nothing.
        """
        loss = abs(self.with_factors) + self.unit / self.rows
        return self.with_factors - self.without > loss / math.sqrt(self.rows)


class FitObserver:
    """Receives the progress of a fit, which subclasses report.

    Args:
        progress: receives each epoch.
    """

    def __init__(self, progress: MemberProgress = lambda *_: None) -> None:
        self._progress = progress

    def epoch(self, member: int, epoch: int, values: Mapping[str, float]) -> None:
        """Receive each epoch of each network, see `MemberProgress`."""
        self._progress(member, epoch, values)

    def member(self, number: int, trained: TrainingResult) -> None:
        """Receive each network once it is trained, in order, numbered from 1."""

    def factor_trial(self, trial: FactorTrial) -> None:
        """Receive the comparison that shows whether an ensemble has a scaling layer."""

    def selected(self, trained: Sequence[FittedMember], kept: Sequence[FittedMember]) -> None:
        """Receive the members of an ensemble and those that are kept, see `ensemble.select`."""

    def diverged(self, error: DivergenceError, job: Job) -> Magnitudes:
        """Receive a divergence before it is raised, and add notes on the likely causes to it.

        Returns:
            The magnitudes that they are based on.
        """
        magnitudes = training_job.measure_magnitudes(job, error.epoch)
        for finding in advise_on_divergence(job.config, job.network.layout.blocks, magnitudes):
            error.add_note(printable(f"  {finding.observation}; try {finding.patches[0].advice}"))
        return magnitudes


class Numbered(Protocol):
    """A fit next to others: of a member of an ensemble, or a fold."""

    @property
    def number(self) -> int:
        """From 1, in ascending order."""


Item = TypeVar("Item", bound=Numbered)
FitOutcome = TypeVar("FitOutcome")
Epoch = ParamSpec("Epoch")
"""The arguments of a report of an epoch."""


class MemberDivergence(Exception):
    """A network has diverged."""

    def __init__(self, error: DivergenceError, job: Job) -> None:
        super().__init__(error, job)
        self.error = error
        self.job = job


def make_members(job: Job, rows: FitRows) -> Iterator[Member]:
    """Yield the networks of an ensemble; the rows of one are selected at a time.

    Args:
        job: one network on all training rows; its config's `ensemble` is read.
        rows: the rows, and how they were split.

    Raises:
        DataError: for too few rows, groups or times for the folds.
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
        members.append(Member(at + 1, own, None, settings[at // size], at // size + 1))
    if config.ensemble_folds is None:
        yield from members
        return
    folds = member_folds(config, rows)
    target = rows.split.train.only(job.task.columns)
    largest = max(len(fold.train) for fold in folds)
    for member in members:
        fold = folds[(member.number - 1) % len(folds)]
        # What is fitted on the target must not know the rows that the member is validated on.
        task = job.task.fit(job.head.output.scaling, target.take(fold.train))
        encoded = replace(job.train, target=task.encode(target, ValueProblems()))
        train, held_out = encoded.select(fold.train), encoded.select(fold.held_out)
        own = replace(member.job, task=task, train=train, validation=held_out)
        own = replace(own, rows_of_largest=largest)
        yield member._replace(job=own, held_out=fold.held_out)


def _with_settings(job: Job, settings: Mapping[str, Value]) -> Job:
    """Return the job of a network with its own settings, and with the layers that they describe."""
    if not settings:
        return job
    config = with_settings(job.config, settings)
    network = build_network(job.network.layout, config.hidden, job.head.output)
    return replace(job, config=config, network=network)


def networks_at_once(networks: int, rows: FitRows, plan: FitPlan) -> int:
    """Return how many networks to train at a time, each in a thread.

    One more is worthwhile if it saves more time than its variables take, and if there is memory.

    Args:
        networks: how many there are in all: members of an ensemble, or folds.
        rows: the encoded rows.
        plan: the network, its engine and device; without a device they are trained one by one.
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
        fit: fits one, and passes its epochs on.
        progress: receives the number of an item, and what `fit` passes on; never called from
            several threads at the same time.
        at_once: how many to fit at a time, each in a thread.

    Raises:
        MemberDivergence: for the first network, in order, that diverges. Those before it are
            trained to their end.
        DlcliError: if another error has ended one of them.
    """
    if at_once > 1:
        yield from _FitThreads(fit, progress, at_once).run(items)
        return
    for item in items:
        yield fit(item, partial(progress, item.number))


class _Ended(Exception):
    """A network is no longer needed, as another one has failed."""


@dataclass
class _FitThreads(Generic[Item, Epoch, FitOutcome]):
    """Fits several networks at a time."""

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
        """Wait until at most so many are running; yield the finished ones that no other precedes.

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
        """End networks that are no longer needed, as one has failed."""
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

    With few validation rows it is trained with them only.

    Args:
        member: the member.
        fit_one: trains it.
        observer: receives its epochs with the layer, and the losses.
        at_once: how many networks to train at a time.

    Returns:
        The network with the layer, unless `FactorTrial.leaves_out`, or only that one diverges.

    Raises:
        MemberDivergence: of the network with the layer, if both diverge.
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
    # It is stored behind the last member, of which it is none.
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
    """Return the mean of each epoch's values over the members that were trained so long."""
    longest = max(each.epochs for each in trainings)
    return {
        name: [
            float(np.mean([each.history[name][at] for each in trainings if at < each.epochs]))
            for at in range(longest)
        ]
        for name in trainings[0].history
    }
