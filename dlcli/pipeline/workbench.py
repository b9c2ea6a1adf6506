"""Many trainings in one process: what they have in common is done once.

TensorFlow is loaded once; rows are encoded once for all candidates that read them alike; and
trainings whose programs differ only in numbers share one, see `dlcli.training.Programs`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from dlcli.config import Config, Engine
from dlcli.encoding import EncodedRows
from dlcli.errors import DivergenceError
from dlcli.metrics import Metrics
from dlcli.network import Head, build_network, check_values, choose_engine, resolve_head
from dlcli.pipeline.events import Events
from dlcli.pipeline.fitting import add_advice
from dlcli.pipeline.loading import quiet_tensorflow, without_collection, without_retracing_warnings
from dlcli.pipeline.memory import available_memory
from dlcli.pipeline.pool import Pool
from dlcli.pipeline.preparation import Prepared, encode_sets, settle
from dlcli.prediction import Predictions, Predictor, constant_outputs
from dlcli.splitting import Split
from dlcli.tables import Table

if TYPE_CHECKING:
    from dlcli.training import Checkpointer, Device, Job, Programs, TrainingResult

Progress = Callable[[int, Mapping[str, float]], None]
"""Is told of each epoch, from 1, with its values by column of history.csv; may raise to end it."""
_SHARE = 4
"""Encoded rows are kept for others in at most one part in so many of the memory that there is."""


@dataclass(frozen=True, eq=False)
class Part:
    """Rows to train on, to steer by and to judge by."""

    train: Table
    """What is learned from, statistics and vocabularies included."""
    validation: Table | None = None
    """What early stopping looks at."""
    held_out: Table | None = None
    """What takes no part in training at all."""


@dataclass(frozen=True)
class Outcome:
    """What a training came to."""

    part: Part
    predictor: Predictor
    encoded: Mapping[str, EncodedRows]
    """By set: `train`, `validation`, `test`, the last of which are those held out."""
    job: Job
    engine: Engine
    trained: TrainingResult
    seconds: float
    """What encoding and training took."""

    @property
    def parameters(self) -> int:
        """Numbers that are trained."""
        weights = (weight for layer in self.job.network.weighted for weight in layer.weights)
        return sum(weight.size for weight in weights if weight.trainable)

    @property
    def judging(self) -> str:
        """The set that judges: the rows held out, or else those that steer."""
        return "validation" if self.part.held_out is None else "test"

    def table(self, name: str) -> Table:
        """The rows of a set."""
        tables = {"train": self.part.train, "validation": self.part.validation}
        table = tables.get(name, self.part.held_out)
        assert table is not None
        return table

    @cached_property
    def _predictions(self) -> dict[str, Predictions]:
        return {}

    def predictions(self, name: str) -> Predictions:
        """What the network says of the rows of a set."""
        if name not in self._predictions:
            inputs = self.encoded[name].inputs
            self._predictions[name] = self.predictor.predict_encoded(inputs)
        return self._predictions[name]

    def scores(self, name: str) -> Metrics:
        """How well it predicts a set."""
        return self.predictions(name).score(self.table(name), self.encoded[name].weights)

    def constant_scores(self, name: str) -> Metrics:
        """How well a model would that has seen only the target of the training rows."""
        rows = self.encoded[name]
        outputs = constant_outputs(
            self.job.target,
            self.part.train,
            self.job.train.weights,
            self.job.network.outputs,
            has_margin=self.job.head.loss.output == "margin",
        )
        spread = np.broadcast_to(outputs, (len(rows.inputs), len(outputs)))
        return self.predictor.understand(spread).score(self.table(name), rows.weights)


@dataclass
class _Encoded:
    prepared: Prepared
    rows: Mapping[str, EncodedRows]

    @property
    def bytes(self) -> int:
        """About what it takes."""
        return sum(4 * len(rows.inputs) * rows.inputs.width for rows in self.rows.values())


@dataclass
class Workbench:
    """Trains candidates on parts of a pool.

    Args:
        pool: the rows, and what is known of their target.
        config: the config as given, of which candidates are variants; device and threads are its.
        events: are told what is found in the rows, each warning once.
        trainings: about how many trainings of a shape there will be, over which compiling pays.
        keeps: whether encoded rows are kept for other candidates on the same part.
    """

    pool: Pool
    config: Config
    events: Events
    trainings: int = 1
    keeps: bool = True
    _kept: dict[object, _Encoded] = field(default_factory=dict, repr=False)
    _told: set[str] = field(default_factory=set, repr=False)

    @cached_property
    def device(self) -> Device:
        """What trains; TensorFlow is loaded and set up from here on."""
        with quiet_tensorflow(), without_collection():
            from dlcli.training import prepare_device

            device = prepare_device(self.config.device, self.config.threads)
        self.events.emit("device", device=device.name, threads=device.threads)
        return device

    @cached_property
    def programs(self) -> Programs:
        """The programs that were compiled."""
        assert self.device
        from dlcli.training import Programs

        return Programs()

    def train(
        self, config: Config, part: Part, progress: Progress, keeper: Checkpointer
    ) -> Outcome:
        """Trains a candidate.

        Args:
            config: the candidate; its `data` section is that of the config as given.
            part: its rows.
            progress: is told of each epoch, and may raise to end training.
            keeper: ends it when a signal comes.

        Raises:
            ConfigError: for a candidate that doesn't suit the target.
            DataError: for values of held-out rows that can't be encoded.
            DivergenceError: if the loss or the weights leave the numbers.
            OutOfMemoryError: if memory runs out.
            Interrupted: if a signal has come.
        """
        start = time.perf_counter()
        head = resolve_head(config, self.pool.target)
        check_values(head, self.pool.target, self.pool.labelled)
        encoded = self._encode(config, part, head)
        encoding = encoded.prepared.encoding
        network = build_network(encoding.layout, config.hidden, head.output)
        rows = encoded.rows
        engine = choose_engine(config, network, len(rows["train"].inputs), self.trainings)
        programs = self.programs  # TensorFlow is loaded from here on
        from dlcli.training import Job, train_job

        job = Job(
            config, network, head, encoding.target, rows["train"], rows.get("validation"), None
        )
        try:
            with without_retracing_warnings():
                trained = train_job(job, engine, progress, keeper, programs)
        except DivergenceError as error:
            add_advice(error, job)
            raise
        resolved = config.model_copy(
            update={"output": head.output, "loss": head.loss, "metrics": head.metrics}
        )
        predictor = Predictor(resolved, encoding, network, trained.weights)
        seconds = time.perf_counter() - start
        return Outcome(part, predictor, rows, job, engine, trained, seconds)

    def _encode(self, config: Config, part: Part, head: Head) -> _Encoded:
        """The rows of a part as a candidate reads them, which others may have read alike."""
        if not self.keeps:
            return self._made(config, part)
        key = (part, repr(config.input), repr(head.output.scaling))
        if key not in self._kept:
            made = self._made(config, part)
            while self._kept and self._excess(made) > 0:
                del self._kept[next(iter(self._kept))]
            self._kept[key] = made
        return self._kept[key]

    def _excess(self, made: _Encoded) -> float:
        kept = sum(each.bytes for each in self._kept.values())
        return kept + made.bytes - (available_memory() + kept) / _SHARE

    def _made(self, config: Config, part: Part) -> _Encoded:
        split = Split(part.train, part.validation, part.held_out)
        quiet = Events(self._tell_once)
        pool = self.pool
        prepared = settle(config, split, pool.dealt, pool.target, pool.labelled, quiet)
        return _Encoded(prepared, encode_sets(config.data.weight, prepared, quiet))

    def _tell_once(self, event: str, fields: dict[str, object]) -> None:
        """Passes each warning on once: they are much the same for all parts.

        Rows held out stand where test rows do, of which there are none.
        """
        message = str(fields.get("message")).replace("test rows", "held-out rows")
        if event == "warning" and message not in self._told:
            self._told.add(message)
            self.events.emit(event, **{**fields, "message": message})
