"""What the rules look at: a run, without its data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from dlcli.config import Config, ConfigFile, load_config
from dlcli.diagnosis.peaks import Peak, read_peaks
from dlcli.errors import ConfigError, RunError
from dlcli.explanation import Explanation
from dlcli.runs import DIVERGED, MetricsBySplit, Run

Split = str
"""`train`, `validation` or `test`."""


@dataclass(frozen=True)
class Case:
    """A run, as far as rules look at it; what an older run lacks is empty."""

    config: Config
    """The resolved config."""
    history: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """What was measured at each epoch, by name."""
    metrics: MetricsBySplit = field(default_factory=dict)
    """Of the trained network: split, then metric; empty if training diverged."""
    baselines: Mapping[str, MetricsBySplit] = field(default_factory=dict)
    """The same of `constant` and `linear`."""
    explanation: Explanation | None = None
    rows: Mapping[Split, int] = field(default_factory=dict)
    """How many rows each split has."""
    peaks: tuple[Peak, ...] = ()
    """How large the network's inputs are."""
    diverged: bool = False
    """Whether the loss left the numbers."""

    @classmethod
    def of(cls, run: Run) -> Case:
        """What a run holds.

        Raises:
            RunError: for a file that is damaged.
        """
        explanation = Explanation.of(run) if run.has("explanation.json") else None
        return cls(
            config=read_config(run).config,
            history=run.read_history() if run.has("history.csv") else {},
            metrics=run.read_metrics() if run.has("metrics.json") else {},
            baselines=run.read_baselines() if run.has("baselines.json") else {},
            explanation=explanation,
            rows=_plausible(explanation.rows if explanation else _logged_rows(run)),
            peaks=read_peaks(run, explanation),
            diverged=run.kind == DIVERGED,
        )

    def curve(self, name: str) -> Sequence[float]:
        """What was measured at each epoch; empty if nothing was."""
        return self.history.get(name, ())


def read_config(run: Run, overrides: Sequence[str] = ()) -> ConfigFile:
    """A run's resolved config.

    Raises:
        RunError: if it is damaged.
        ConfigError: if the overrides don't fit it.
    """
    path = run.resolved_path()
    try:
        file = load_config(path)
    except ConfigError as error:
        problem = replace(error.problems[0], position="")
        raise RunError(f"{run.path}: its resolved.yaml can't be read: {problem}") from None
    return load_config(path, overrides) if overrides else file


def _plausible(rows: Mapping[Split, int]) -> dict[Split, int]:
    """Counts that are some, and that a float can hold."""
    return {name: count for name, count in rows.items() if 0 <= count < 2**53}


def _logged_rows(run: Run) -> Mapping[Split, int]:
    """How many rows each split had, as training has told."""
    events: Iterator[dict[str, object]] = run.read_events() if run.has("events.jsonl") else iter(())
    told = next((event for event in events if event.get("event") == "data"), {})
    rows = told.get("rows")
    if not isinstance(rows, dict):
        return {}
    return {str(name): count for name, count in rows.items() if isinstance(count, int)}
