"""A run as reports read it: its log, its files, and its rows with their predictions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from dlcli.errors import RunError, plural
from dlcli.metrics.definitions import main_metric
from dlcli.metrics.statistic import Floats, ThresholdCounts
from dlcli.pipeline import events
from dlcli.reports import formatting as fmt
from dlcli.reports.charts import MOST_SERIES
from dlcli.runs.manifest import RunFile
from dlcli.runs.run import Run
from dlcli.runs.run_reader import open_run
from dlcli.safe_files import parse_document
from dlcli.tasks.stored_predictions import StoredPredictions
from dlcli.tasks.task import TargetValues, Task

MOST_WARNINGS = 100


class RunLog(BaseModel):
    """The last event of each kind in a run's log; a diverged training logs no end."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    data: events.DataEvent | None = None
    target: events.TargetEvent | None = None
    features: events.FeaturesEvent | None = None
    network: events.NetworkEvent | None = None
    engine: events.EngineEvent | None = None
    device: events.DeviceEvent | None = None
    trained: events.TrainedEvent | None = None
    baselines: events.BaselinesEvent | None = None
    warnings: tuple[str, ...] = ()
    """Each once, in order; of very many, the number of further ones is the last."""
    is_resumed: bool = False
    """True if training was interrupted and resumed."""

    @classmethod
    def of(cls, run: Run) -> RunLog:
        """Read the log of a run.

        Raises:
            RunError: if it is damaged, or an event has other fields than dlcli writes.
        """
        last: dict[str, object] = {}
        warnings: dict[str, None] = {}
        for event in run.events():
            last[str(event.get("event"))] = event
            if event.get("event") == events.WarningEvent.kind:
                warnings[str(event.get("message", ""))] = None
        shown = list(warnings)[:MOST_WARNINGS]
        if more := len(warnings) - len(shown):
            shown.append(plural(more, "more warning"))
        is_resumed = events.ResumedEvent.kind in last
        fields = {**last, "warnings": tuple(shown), "is_resumed": is_resumed}
        return parse_document(cls, fields, f"{run.path / RunFile.EVENTS}:")


class Scores(NamedTuple):
    """The rows of a class or label, and the scores that the network gives each row for it."""

    is_positive: NDArray[np.bool_]
    """Shape `(rows,)`."""
    scores: Floats
    """Probabilities or margins, shape `(rows,)`."""


class PredictedNumbers(NamedTuple):
    """One predicted column of numbers, without the rows in which one is not finite."""

    column: str
    target: Floats
    """Shape `(rows,)`, as all below."""
    prediction: Floats
    weights: Floats


@dataclass(frozen=True)
class PredictedRows:
    """The rows of one set, read from their table when they are needed.

    Rows of weight 0 are omitted, and rows for which the network gave no finite score.
    """

    split: str
    """`test`, `validation` or `train`."""
    task: Task
    is_sample: bool
    """True if they are a random sample of the set."""
    weights: Floats
    """Shape `(rows,)`; 1 each unless the config names a column of weights."""
    is_weighted: bool
    """True if the config names such a column."""
    _columns: StoredPredictions
    without_weight: int = 0
    """The number of rows of weight 0, which are omitted."""

    @classmethod
    def of(
        cls, part: StoredPredictions, task: Task, split: str, *, is_sample: bool = False
    ) -> PredictedRows:
        """Select the rows that count.

        Raises:
            RunError: if a column is missing or damaged.
        """
        weights, without_weight = np.ones(part.rows), 0
        if is_weighted := part.has("weight"):
            weights = part.floats("weight")[:, 0]
            counts = np.isfinite(weights) & (weights > 0)
            without_weight = part.rows - int(np.count_nonzero(counts))
            part, weights = part.filtered(counts), weights[counts]
        if task.names:
            scores = task.read_decoded(part)
            finite = np.asarray(np.isfinite(scores).all(axis=1))
            part, weights = part.filtered(finite), weights[finite]
        return cls(split, task, is_sample, weights, is_weighted, part, without_weight)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return len(self.weights)

    @cached_property
    def values(self) -> TargetValues:
        """The true values, as the task has them."""
        return self.task.read_values(self._columns, "target")

    @cached_property
    def predicted_values(self) -> TargetValues:
        """The predicted values, as the task has them."""
        return self.task.read_values(self._columns, "prediction")

    @cached_property
    def decoded(self) -> Floats:
        """The decoded outputs of the network: probabilities, margins or numbers."""
        return self.task.read_decoded(self._columns)

    @cached_property
    def numbers(self) -> list[PredictedNumbers]:
        """The predicted columns of a task of numbers."""
        result = []
        for at, column in enumerate(self.task.columns):
            target, prediction = self.values[:, at], self.decoded[:, at]
            finite = np.isfinite(target) & np.isfinite(prediction)
            kept = target[finite], prediction[finite], self.weights[finite]
            result.append(PredictedNumbers(column, *kept))
        return result

    @cached_property
    def scores(self) -> Mapping[str, Scores]:
        """The scores of the second of two classes, or of each class or label unless there are many.

        Labels beyond the first few are omitted; of many classes there are none.
        """
        task, scores = self.task, self.decoded
        if task.labels:
            shown = enumerate(task.labels[:MOST_SERIES])
            return {name: Scores(self.values[:, at] > 0, scores[:, at]) for at, name in shown}
        if len(task.classes) == 2:
            return {task.classes[1]: Scores(self.values == 1, scores[:, -1])}
        classes = enumerate(task.classes if len(task.classes) <= MOST_SERIES else ())
        return {name: Scores(self.values == at, scores[:, at]) for at, name in classes}

    @cached_property
    def threshold_counts(self) -> dict[str, ThresholdCounts]:
        """The rows by their scores, for each of these classes or labels with rows of both kinds."""
        counted = {
            name: ThresholdCounts.of(each.is_positive, each.scores, self.weights)
            for name, each in self.scores.items()
        }
        return {name: each for name, each in counted.items() if each.is_defined}


@dataclass(frozen=True)
class RunRecord:
    """A run of any kind, whose files are read when they are needed."""

    run: Run
    log: RunLog

    @classmethod
    def of(cls, run: Run) -> Self:
        """Read the log of a run.

        Raises:
            RunError: if it is damaged; the properties raise it for other files.
        """
        return cls(run, RunLog.of(run))

    @property
    def title(self) -> str:
        """The name of its folder."""
        return fmt.shorten(self.run.path.resolve().name)

    @property
    def overrides(self) -> tuple[str, ...]:
        """The settings that the command changed in the config: `epochs=20` of `--set`."""
        command = self.run.environment.get("command")
        words = [*map(str, command)] if isinstance(command, list) else []
        found = []
        for word, following in pairwise([*words, ""]):
            if word == "--set":
                found.append(following)
            elif word.startswith("--set="):
                found.append(word.removeprefix("--set="))
        return tuple(found)

    def is_trained(self, name: str) -> bool:
        """Return whether a folder of this name within it is a finished training."""
        try:
            return open_run(self.run.path / name).kind == "train"
        except RunError:
            return False


@dataclass(frozen=True)
class TrainingRecord(RunRecord):
    """A training run."""

    @property
    def is_out_of_fold(self) -> bool:
        """True if training rows stand for validation rows, as in an ensemble with folds."""
        return self.run.config.ensemble_folds is not None

    @cached_property
    def predicted(self) -> list[PredictedRows]:
        """The rows of each set with their predictions, most independent of training first."""
        run = self.run
        tables = {False: run.predictions, True: run.sample}
        parts = [
            PredictedRows.of(table.of_split(split), run.task, split, is_sample=is_sample)
            for split in fmt.SPLITS
            for is_sample, table in tables.items()
            if table is not None
        ]
        return [part for part in parts if part.rows]

    @property
    def splits(self) -> list[str]:
        """The sets of rows with metrics, most independent of training first."""
        return [name for name in fmt.SPLITS if name in self.run.metrics]

    def rows(self, split: str) -> int | None:
        """Return the number of rows of a set, if the log has it."""
        if split == "validation" and self.is_out_of_fold:
            split = "train"
        return self.log.data.rows.get(split) if self.log.data else None

    def counted_rows(self, split: str) -> int | None:
        """Return the number of rows of a set without held-out rows of weight 0."""
        rows = self.rows(split)
        if rows is None or self.run.config.data.sample_weight is None:
            return rows
        held_out = [each for each in self.predicted if not each.is_sample]
        return rows - sum(each.without_weight for each in held_out if each.split == split)

    @property
    def main_metric(self) -> str | None:
        """The metric that decides: the first of the config's that can be compared."""
        if not self.splits:
            return None
        named = self.log.network.metrics if self.log.network else ()
        return main_metric(named, self.run.metrics[self.splits[0]])

    @property
    def best_epoch(self) -> int | None:
        """The epoch whose weights were kept, if one was chosen."""
        return self.log.trained.best_epoch if self.log.trained else None

    @property
    def epochs(self) -> int:
        """The number of epochs in the history."""
        return max((len(values) for values in self.run.history.values()), default=0)
