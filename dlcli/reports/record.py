"""All that a run keeps, read and understood."""

from __future__ import annotations

from dataclasses import dataclass

from dlcli.config import Config
from dlcli.explanation import Explanation
from dlcli.metrics import main_metric
from dlcli.prediction import Predictor, StoredPredictions
from dlcli.reports.judged import Judged, judged_rows
from dlcli.reports.log import Log
from dlcli.reports.wording import SPLITS
from dlcli.runs import DIVERGED, MetricsBySplit, Run
from dlcli.tasks import Task


@dataclass(frozen=True)
class Record:
    """What a page tells of a run; what an older or diverged run lacks is empty."""

    run: Run
    config: Config
    """The resolved one."""
    config_text: str
    """The one that was given."""
    resolved_text: str
    target: Task
    log: Log
    history: dict[str, list[float]]
    environment: dict[str, object]
    metrics: MetricsBySplit
    baselines: dict[str, MetricsBySplit]
    explanation: Explanation | None
    judged: tuple[Judged, ...]
    """The rows of each set, the most independent of training first."""

    @classmethod
    def of(cls, run: Run) -> Record:
        """Reads a run.

        Raises:
            RunError: if a file of it is damaged, or they don't fit together.
        """
        predictor = Predictor.load(run)
        return cls(
            run=run,
            config=predictor.config,
            config_text=run.config_text(),
            resolved_text=run.resolved_path().read_text("utf-8"),
            target=predictor.encoding.task,
            log=Log.of(run),
            history=run.read_history() if run.has("history.csv") else {},
            environment=run.read_environment() if run.has("environment.json") else {},
            metrics=run.read_metrics() if run.has("metrics.json") else {},
            baselines=run.read_baselines() if run.has("baselines.json") else {},
            explanation=Explanation.of(run) if run.has("explanation.json") else None,
            judged=_judged(run, predictor.encoding.task),
        )

    @property
    def diverged(self) -> bool:
        """Whether training came to no end."""
        return self.run.kind == DIVERGED

    @property
    def splits(self) -> list[str]:
        """The sets that were scored, the most independent of training first."""
        return [name for name in SPLITS if name in self.metrics]

    @property
    def names(self) -> tuple[str, ...]:
        """The classes or labels; none of numbers."""
        return self.target.names

    def rows(self, split: str) -> int | None:
        """How many rows a set has, if that is known."""
        return self.log.data.rows.get(split) if self.log.data else None

    @property
    def main_metric(self) -> str | None:
        """The metric to judge by: the first that the config names and that can be compared."""
        if not self.splits:
            return None
        return main_metric(self.config.metrics or (), self.metrics[self.splits[0]])


def _judged(run: Run, target: Task) -> tuple[Judged, ...]:
    found: list[Judged] = []
    if run.has("predictions.parquet"):
        found += judged_rows(
            StoredPredictions(run.read_predictions(), f"{run.path}: its predictions"), target
        )
    if run.has("sample.parquet"):
        place = f"{run.path}: its sample of training rows"
        found += judged_rows(StoredPredictions(run.read_sample(), place), target, is_sample=True)
    return tuple(sorted(found, key=lambda rows: SPLITS.index(rows.split)))
