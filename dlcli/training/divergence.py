"""Checks for a loss or weights that became NaN or infinite, and the numbers that led there."""

from __future__ import annotations

import math

import numpy as np

from dlcli.diagnosis import Magnitudes
from dlcli.encoding import Inputs
from dlcli.errors import DivergenceError
from dlcli.training.job import Job, Weights

NUMBERS_AT_ONCE = 2**24
"""Inputs that are read at a time, and of rows on disk in all."""
_LARGEST = float(np.finfo(np.float32).max)


def check_finite(loss: float, epoch: int) -> None:
    """Stop a run whose loss became NaN or infinite.

    Args:
        loss: the training loss so far in this epoch, or the validation loss at its end.
        epoch: counted from 1.

    Raises:
        DivergenceError: if it did.
    """
    if not math.isfinite(loss):
        raise DivergenceError(f"training diverged: the loss became {loss} in epoch {epoch}", epoch)


def check_weights(weights: Weights, epoch: int) -> None:
    """Stop a run whose last step led to non-finite weights, before any loss shows it.

    Args:
        weights: the final weights.
        epoch: the last one, from 1.

    Raises:
        DivergenceError: if any of them is NaN or infinite.
    """
    for name, array in weights.items():
        if not np.isfinite(array).all():
            message = f"training diverged: '{name}' is no longer finite after the last step"
            raise DivergenceError(message, epoch)


def measure_magnitudes(job: Job, epoch: int) -> Magnitudes:
    """Measure the numbers that a diverged training worked with, for `dlcli.diagnosis`.

    Args:
        job: the job that diverged.
        epoch: the epoch in which it did, from 1.
    """
    target, sizes = {}, None
    if job.task.outcome == "numbers":
        absolute = np.abs(job.train.target)
        target = dict(zip(job.task.columns, map(_size, absolute.max(axis=0)), strict=True))
        sizes = _size(absolute.min()), _size(absolute.mean())
    return Magnitudes(
        epoch=epoch,
        inputs=_input_sizes(job, job.train.inputs),
        validation_inputs=_input_sizes(job, job.validation.inputs) if job.validation else {},
        target=target,
        target_range=sizes,
        row_weight=1.0 if job.loss_weights is None else _size(job.loss_weights.mean()),
    )


def _input_sizes(job: Job, inputs: Inputs) -> dict[str, float]:
    """Return the largest absolute input of each column; for rows on disk, over the first ones."""
    size = max(1, NUMBERS_AT_ONCE // inputs.width)
    stop = size if inputs.matrix is None else len(inputs)
    largest = np.zeros(inputs.width, np.float32)
    for start in range(0, stop, size):
        largest = np.maximum(largest, np.abs(inputs.part(start, start + size)).max(axis=0))
    sizes = iter(largest)
    return {
        block.column: _size(max(next(sizes) for _ in block.inputs))
        for block in job.network.layout.blocks
    }


def _size(value: float | np.floating) -> float:
    """Limit a size to what JSON can hold."""
    return min(float(value), _LARGEST)
