"""What a tracker is told, whatever it tells it to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from dlcli.config import Config, load_config
from dlcli.runs import Run, RunWriter
from dlcli.tracking.parameters import Parameter, parameters_of

Values = Mapping[str, float]
"""Numbers by name; what is undefined is left out."""
Fields = dict[str, object]
"""The fields of an event."""


class Outcome(StrEnum):
    """How a training ended; the values are MLflow's."""

    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"


@dataclass(frozen=True)
class Begun:
    """A training whose run folder is there."""

    folder: Path
    """The run folder, as the user would name it."""

    @cached_property
    def text(self) -> str:
        """The config with all that was inferred, as YAML."""
        return self._writer.resolved_path().read_text(encoding="utf-8")

    @cached_property
    def config(self) -> Config:
        """The same as a value."""
        return load_config(self._writer.resolved_path()).config

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """The same, flat: a value each by its path."""
        return parameters_of(self.config)

    @cached_property
    def environment(self) -> Mapping[str, Any]:
        """What it runs with, as `collect_environment` gives it."""
        return self._writer.read_environment()

    @property
    def _writer(self) -> RunWriter:
        return RunWriter(self.folder)


class Tracker(Protocol):
    """Tells a training to a tool for tracking. Any method may fail with any exception."""

    name: str
    """The tool's name, as its makers write it."""

    def begin(self, begun: Begun) -> Fields:
        """Begins, or goes on with what the run was tracked by before.

        Returns:
            where: the fields of the event `tracking`, at least `tracker` and `place`, and `look`,
            the command that shows it, if there is one.
        """

    def resume(self, epochs: int) -> None:
        """Takes in that training goes on after so many epochs; more may have been tracked."""

    def measure(self, epoch: int, values: Values) -> None:
        """Tracks an epoch, counted from 1, with its column values of history.csv."""

    def judge(self, epochs: int, metrics: Mapping[str, Values]) -> None:
        """Tracks the final metrics of each split, after so many epochs."""

    def end(self, outcome: Outcome, run: Run | None) -> None:
        """Ends; there is a run if its folder is whole."""

    def close(self) -> None:
        """Lets go of all that is open; nothing is told any more."""
