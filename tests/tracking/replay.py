"""Events of a training, sent to trackers without training."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dlcli.runs.manifest import RunFile
from dlcli.runs.run_writer import RunWriter
from dlcli.tracking.tracked_events import tracked

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
    return ("run", {"folder": str(folder)})


def epoch(number, of=2, **values):
    return ("epoch", {"epoch": number, "of": of, **values})


def resumed(epochs):
    return ("resumed", {"epochs": epochs})


def trained(epochs):
    return ("trained", {"epochs": epochs, "best_epoch": None, "seconds": 0.1})


def result(folder, epochs, metrics=METRICS):
    return ("result", {"run": str(folder), "epochs": epochs, "metrics": metrics})


def fold(number, repeat=1, repeats=1, problem=None, **metrics):
    place = {"repeat": repeat, "fold": number, "of": 2, "repeats": repeats}
    return ("fold", {**place, "metrics": metrics, "problem": problem})


def trial(number, value, **values):
    return ("trial", {"number": number, "metric": "val_mae", "value": value, "values": values})


def replay(name: str, events: Iterable[tuple[str, dict[str, object]]], ends=None) -> list:
    """Send events to a tracker, then end training, with an exception or successfully.

    Returns:
        the events that others were told besides.
    """
    told: list = []
    given = list(events)
    try:
        with tracked([name], lambda *event: told.append(event)) as listener:
            for event in given:
                listener(*event)
            if ends is not None:
                raise ends
    except BaseException as error:
        if error is not ends:
            raise
    return [event for event in told if event not in given]
