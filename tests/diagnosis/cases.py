"""Parts of cases that are made by hand."""

from __future__ import annotations

from dlcli.explanation.explanation_document import Explanation, LayerStatistics
from dlcli.prediction.baseline_comparison import BaselineComparison, BaselineDifference

DATA = "data: {train: t.csv, target: {column: y, type: numeric}, validation: 0.2}\n"
NUMBERS = "output: {units: 1, activation: linear, scaling: standard}\nloss: mean_squared_error\n"
CONFIG = DATA + NUMBERS + "hidden: [{units: 16, activation: relu}]\nepochs: 40\n"
CLASSES = (
    CONFIG.replace("type: numeric", "type: categorical")
    .replace("linear, scaling: standard", "sigmoid")
    .replace("mean_squared_error", "binary_crossentropy")
)
ROWS = {"train": 800, "validation": 200}


def r2(train, validation):
    """Metrics of numbers."""
    return {"train": {"r2": train}, "validation": {"r2": validation}}


def classified(confusion):
    """Metrics of classes, by validation rows."""
    total = sum(map(sum, confusion))
    right = sum(line[at] for at, line in enumerate(confusion))
    return {"validation": {"accuracy": right / total, "confusion": confusion}}


def compared(model, verdict, metric="r2", **values):
    """Comparison with a baseline on validation rows."""
    known = {"network": 0.5, "baseline": 0.5, "value": 0.0, **values}
    found = BaselineDifference(metric=metric, verdict=verdict, **known)
    return BaselineComparison(differences={model: {"validation": found}})


def layers(*found):
    """Explanation of layers only."""
    return Explanation(rows={}, sampled_rows={}, layers=found)


def dense(name, **fields):
    """Explanation of one layer."""
    return LayerStatistics(name=name, kind="Dense", units=16, parameters=100, **fields)
