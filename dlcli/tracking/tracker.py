"""The interface of trackers, for the built-in ones and for plug-ins."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from dlcli.pipeline.events import TrackingEvent
from dlcli.runs.manifest import RunKind

Parameter = bool | int | float | str
TrackedValues = Mapping[str, float]
"""Finite numbers by name."""


class Outcome(StrEnum):
    """The outcome of a training."""

    FINISHED = "finished"
    FAILED = "failed"
    KILLED = "killed"
    """A signal ended training, which can be resumed."""


@dataclass(frozen=True)
class TrackedRun:
    """A run whose training begins or is resumed."""

    folder: Path
    """The run folder. Its name is the name of the run."""
    kind: RunKind
    """The command: `train`, `cv` or `tune`."""
    parameters: Mapping[str, Parameter]
    """The values of the resolved config by path, such as `hidden[0].units`; lists and mappings of
    columns or classes as JSON."""
    tags: Mapping[str, str]
    """The `version` of dlcli, the `data_sha256` of the data files, and in a Git repository
    `git_commit` and `git_dirty`."""
    earlier_id: str | None = None
    """The `run_id` that the tracker returned before the training was interrupted; `None` in a new
    run. A run folder may come from a stranger, so check that the ID belongs to a run of dlcli."""


class Tracker(ABC):
    """A tracker of trainings; subclass it, and override `begin` and other methods as needed.

    An object is created without arguments before training; if this fails, the command ends with an
    error. From then on, dlcli calls the methods one at a time, in the order below. An exception in
    any method is reported as one warning. The training continues, and no other method of the
    tracker is called except `close`. Training waits for each call, so methods should be fast.
    """

    name: str
    """The name of the tool in messages, such as `MLflow`. [default: the name of the class]"""

    def __init_subclass__(cls) -> None:
        """Set the default name."""
        if not hasattr(cls, "name"):
            cls.name = cls.__name__

    @abstractmethod
    def begin(self, run: TrackedRun) -> TrackingEvent:
        """Begin tracking; called once, before the first epoch.

        Returns:
            The destination to report. Its `run_id`, up to 128 letters, digits and dashes, is
            stored in the run folder; see `TrackedRun.earlier_id`.
        """

    def resume(self, epochs: int) -> None:
        """Prepare for training to resume after an epoch; only called for a single network.

        Args:
            epochs: the number of epochs in the checkpoint. Later epochs are repeated with the same
                values, even if they were already tracked.
        """

    def log_epoch(self, epoch: int, values: TrackedValues) -> None:
        """Track an epoch.

        After 500 epochs, only some are tracked.

        Args:
            epoch: the epoch, counted from 1.
            values: the values by column of `history.csv`: `loss`, `val_loss`. In an ensemble, each
                network has its own calls and names: `loss/member_1`.
        """

    def log_part(
        self, name: str, parameters: Mapping[str, Parameter], values: TrackedValues
    ) -> None:
        """Track a fold of a cross-validation or a trial of a search.

        Args:
            name: the name of the part, such as `fold-1` or `trial-0`.
            parameters: the settings of a trial by path; empty for a fold.
            values: the metrics.
        """

    def log_metrics(self, epochs: int, metrics: Mapping[str, TrackedValues]) -> None:
        """Track the final metrics.

        Args:
            epochs: the number of epochs of the final network.
            metrics: the metrics by split: `train`, `validation`, `test`.
        """

    def end(self, outcome: Outcome, files: Sequence[Path]) -> None:
        """End tracking; called even if training never began.

        Args:
            outcome: the outcome of the training.
            files: the files of the run folder; empty if the run is unfinished.
        """

    def close(self) -> None:
        """Release all resources; the last call, also after an exception."""
