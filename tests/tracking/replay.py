"""Events of a training, sent to trackers without training."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dlcli.pipeline.events import (
    EpochEvent,
    Event,
    FoldEvent,
    ResumedEvent,
    RunEvent,
    TrainedEvent,
    TrainingResultEvent,
    TrialEvent,
)
from dlcli.prediction.baseline_comparison import BaselineComparison
from dlcli.runs.documents import FoldResult, TrialResult
from dlcli.runs.manifest import RunFile
from dlcli.runs.run_writer import RunWriter
from dlcli.tracking.tracked_events import tracked
from tests.recorded import Recorded, recorded

RESOLVED = """\
data:
  train: line.csv
  target: {column: y, type: numeric}
input:
  features: {x: {type: numeric}}
hidden:
  - {units: 3, activation: relu}
epochs: 2
optimizer: {name: sgd, learning_rate: 0.01}
"""
ENVIRONMENT = {
    "dlcli": "0.1.0",
    "data": [{"file": "line.csv", "sha256": "d1" * 32, "bytes": 9}],
    "git": {"commit": "c0ffee", "dirty": True},
}
METRICS = {"train": {"mse": 0.5, "r2": None}, "validation": {"mse": 0.75}, "test": {"mse": 1.5}}


def make_folder(path: Path) -> RunWriter:
    """A run folder at the beginning of training."""
    path.mkdir(parents=True)
    writer = RunWriter(path)
    writer.write_text(RunFile.CONFIG, RESOLVED)
    writer.write_resolved(RESOLVED)
    writer.write_json(RunFile.ENVIRONMENT, ENVIRONMENT)
    return writer


def run_event(folder):
    return RunEvent(folder=str(folder))


def epoch(number, of=2, member=None, members=None, **values):
    return EpochEvent(member=member, members=members, epoch=number, of=of, values=values)


def resumed(epochs):
    return ResumedEvent(epochs=epochs)


def trained(epochs):
    return TrainedEvent(epochs=epochs, best_epoch=None, seconds=0.1)


def result(folder, epochs, metrics=METRICS):
    return TrainingResultEvent(
        run=str(folder),
        epochs=epochs,
        metrics=metrics,
        baselines={},
        verdicts=BaselineComparison(),
    )


def fold(number, repeat=1, repeats=1, problem=None, **metrics):
    sizes = {"train": 2, "validation": 0, "held_out": 2, "inputs": 1, "parameters": 2}
    place = {"repeat": repeat, "fold": number, "epochs": 1, "seconds": 0.1}
    result = FoldResult(**place, **sizes, metrics=metrics, problem=problem)
    return FoldEvent(result=result, of=2, repeats=repeats, metric="mae")


def trial(number, value, **values):
    state = "failed" if value is None else "complete"
    result = TrialResult(number=number, state=state, value=value, values=values, seconds=0.1)
    return TrialEvent(
        **{"number": number, "of": 2, "ended": 1, "metric": "val_mae", "of_folds": None},
        **{"result": result, "best": None, "best_value": None},
    )


def replay(name: str, events: Iterable[Event], ends=None) -> list[Recorded]:
    """Send events to a tracker, then end training, with an exception or successfully.

    Returns:
        the events that others were told besides.
    """
    told: list[Event] = []
    given = list(events)
    try:
        with tracked([name], told.append) as listener:
            for event in given:
                listener(event)
            if ends is not None:
                raise ends
    except BaseException as error:
        if error is not ends:
            raise
    return [recorded(event) for event in told if event not in given]
