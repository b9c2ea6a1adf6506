"""How often each class was taken for each."""

from __future__ import annotations

import numpy as np

from dlcli.metrics.arithmetic import Array, Number, ratios


def count_pairs(target: Array, predicted: Array, weight: Array, classes: int) -> Array:
    """The weight of each pair of true (row) and predicted class (column); whole without weights."""
    cells = np.bincount(target * classes + predicted, weight, minlength=classes**2)
    matrix: Array = cells.reshape(classes, classes).astype(weight.dtype)
    return matrix


def precisions(confusion: Array) -> list[Number]:
    """For each class, the share of its predictions that is right."""
    return ratios(confusion.diagonal(), confusion.sum(axis=0))


def recalls(confusion: Array) -> list[Number]:
    """For each class, the share of its rows that is found."""
    return ratios(confusion.diagonal(), confusion.sum(axis=1))


def f1s(confusion: Array) -> list[Number]:
    """For each class, `2 tp / (2 tp + fp + fn)`, the harmonic mean of precision and recall."""
    return ratios(2 * confusion.diagonal(), confusion.sum(axis=0) + confusion.sum(axis=1))
