"""The config that trains on the rows of all folds, and its training."""

from __future__ import annotations

import gc
import traceback

from dlcli.config import (
    Config,
    ConstantLearningRate,
    CosineDecay,
    PiecewiseConstant,
    ReduceOnPlateau,
    Schedule,
    load_config,
)
from dlcli.errors import DivergenceError, OutOfMemoryError
from dlcli.pipeline.events import Events, Listener
from dlcli.pipeline.inside import train_inside
from dlcli.pipeline.selection.notes import REFIT_FAILED
from dlcli.runs import Run, RunWriter

NAME = "refit"
"""The run folder within that of the cross-validation."""


def refit_config(config: Config, epochs: int, events: Events) -> Config:
    """The config that trains on all rows but the test ones, for so many epochs.

    Nothing is left to steer by: training ends after the epochs that were best in the folds.

    Args:
        config: that of the folds.
        epochs: the median over folds of the best one.
        events: are told of a schedule that can't be kept.
    """
    data = config.data
    if isinstance(data.validation, float):
        data = data.model_copy(update={"train_on_validation": True})
    schedule = _schedule(config, epochs, has_validation=data.has_validation)
    if schedule is None:
        message = (
            "refit.yaml: learning_rate_schedule waits for validation rows, which are learned "
            "from there; the rate stays as it is"
        )
        events.emit("warning", message=message)
    return config.model_copy(
        update={
            "data": data,
            "early_stopping": None,
            "epochs": epochs,
            "learning_rate_schedule": schedule or ConstantLearningRate(),
        }
    )


def _schedule(config: Config, epochs: int, *, has_validation: bool) -> Schedule | None:
    """The schedule that does in the first epochs what it did in the folds; `None` if none can."""
    schedule = config.learning_rate_schedule
    if isinstance(schedule, ReduceOnPlateau):
        watches_validation = schedule.monitor.startswith("val_")
        return None if watches_validation and not has_validation else schedule
    if isinstance(schedule, PiecewiseConstant):
        return _reached(schedule, epochs)
    if isinstance(schedule, CosineDecay):
        # An end that was left to the last epoch would come earlier; a rise may take them all.
        decay = schedule.decay_epochs or config.epochs - schedule.warmup_epochs
        warmup = min(schedule.warmup_epochs, epochs - 1)
        return schedule.model_copy(update={"decay_epochs": decay, "warmup_epochs": warmup})
    return schedule


def _reached(schedule: PiecewiseConstant, epochs: int) -> Schedule:
    """The part of a schedule that is reached."""
    count = sum(boundary < epochs for boundary in schedule.boundaries)
    if not count:
        return ConstantLearningRate()
    boundaries, values = schedule.boundaries[:count], schedule.values[:count]
    return PiecewiseConstant(boundaries=boundaries, values=values)


def refit(writer: RunWriter, events: Events, listener: Listener) -> Run | None:
    """Trains what `refit.yaml` says as the run `refit/`, or goes on with it.

    Args:
        writer: the cross-validation.
        events: are told if it fails.
        listener: is told of each epoch, of which the run's own log tells, too.

    Returns:
        The run; `None` if it can't be trained, of which a warning tells.

    Raises:
        Interrupted: if a signal has come; its message says how the cross-validation goes on.
        DlcliError: of the kind that fits.
    """
    file = load_config(writer.path / "refit.yaml")

    def pass_on(event: str, fields: dict[str, object]) -> None:
        if event in ("epoch", "trained"):
            listener(event, fields)

    try:
        return train_inside(writer.path, NAME, file, pass_on)
    except (DivergenceError, OutOfMemoryError) as error:
        traceback.clear_frames(error.__traceback__)  # they hold what takes up the memory
        gc.collect()
        reason = str(error).partition("\n")[0]
        events.emit("warning", message=f"{REFIT_FAILED}: {reason}")
        return None
