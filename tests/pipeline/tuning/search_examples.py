"""Small searches, and listeners, that tests share."""

from __future__ import annotations

import math

from dlcli.config.config_file import load_config
from tests.recorded import recorded

CONFIG = """\
data: {train: line.csv, target: y, validation: 0.25, test: 0.25}
hidden: []
optimizer: {name: sgd, learning_rate: 0.001}
epochs: 20
tune:
  metric: rmse
  trials: 4
  space: {optimizer.learning_rate: [1.0e-6, 1.0e-4, 0.05, 0.01]}
  sampler: grid
"""
"""A search for the learning rate that fits a line."""
WAVE = """\
data: {train: wave.csv, target: y, validation: 0.2, test: 0.2}
hidden: [{units: 2, activation: tanh}]
optimizer: {name: adam, learning_rate: 1.0e-4}
epochs: 60
tune:
  metric: val_rmse
  trials: 12
  space:
    optimizer.learning_rate: {low: 1.0e-5, high: 1.0e-1, log: true}
    hidden_layers: {units: [1, 2, 64]}
"""
"""A search for units and learning rate that fit a wave: 64, and neither low nor high."""


class Recorder:
    """A listener that stores events."""

    def __init__(self):
        self.events = []

    def __call__(self, event):
        self.events.append(recorded(event))

    def named(self, event):
        """Return the fields of the events of a name."""
        return [fields for name, fields in self.events if name == event]


def line_file(folder, config=CONFIG, overrides=()):
    """Return a config for y = 2x + 1, in a folder."""
    rows = "\n".join(f"{x},{2 * x + 1}" for x in range(60))
    (folder / "line.csv").write_text(f"x,y\n{rows}\n")
    (folder / "line.yaml").write_text(config)
    return load_config(folder / "line.yaml", overrides)


def wave_rows():
    """Return y = sin(3x) from -3 to 3, which two units can't fit."""
    points = [-3 + 6 * at / 399 for at in range(400)]
    return "x,y\n" + "".join(f"{x:.4f},{math.sin(3 * x):.4f}\n" for x in points)
