"""What cases are made of by hand."""

from __future__ import annotations

DATA = "data: {train: t.csv, target: {column: y, type: numeric}, validation: 0.2}\n"
NUMBERS = "output: {units: 1, activation: linear, scaling: standard}\nloss: mean_squared_error\n"
CONFIG = DATA + NUMBERS + "hidden: [{units: 16, activation: relu}]\nepochs: 40\n"
ROWS = {"train": 800, "validation": 200}


def r2(train, validation):
    """Metrics of numbers."""
    return {"train": {"r2": train}, "validation": {"r2": validation}}
