"""Inputs and targets that lie far from 1, where networks learn best."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dlcli.config import LARGE, Setting, Unscaled, target_scaling_settings
from dlcli.encoding import Inputs, remedy
from dlcli.tasks import NumberTarget
from dlcli.training.job import Job

NUMBERS_AT_ONCE = 2**24
"""Numbers that are looked at at once, and of inputs on disk at all."""


@dataclass(frozen=True)
class Scale:
    """Something far from 1."""

    excess: float
    """How far, in what it does to a step."""
    finding: str
    """What it is, and how large it is."""
    settings: tuple[Setting, ...]
    """What brings it near."""
    moves_weights: bool = True
    """Whether steps are taken over it, and not only validation's loss."""


def input_scales(job: Job) -> Iterator[Scale]:
    """Yields the inputs that are farthest; those of validation rows if these alone are far."""
    sets = [("inputs reach", job.train)]
    if job.validation is not None:
        sets.append(("the validation rows' inputs reach", job.validation))
    for words, rows in sets:
        found = list(_far_blocks(words, _peaks(rows.inputs), job))
        if found:
            farthest = max(found, key=lambda scale: scale.excess)
            yield replace(farthest, moves_weights=rows is job.train)
            return


def target_scales(job: Job) -> Iterator[Scale]:
    """Yields the target, if it is far and trained on as it is."""
    is_unscaled = isinstance(job.head.output.scaling, Unscaled)
    if not (isinstance(job.target, NumberTarget) and is_unscaled):
        return
    peaks = np.abs(job.train.target).max(axis=0)
    peak, column = float(peaks.max()), job.target.columns[int(peaks.argmax())]
    if peak > LARGE and (settings := target_scaling_settings(job.head.loss, job.config.output)):
        finding = f"the target '{column}' reaches {peak:.3g} with output.scaling none"
        yield Scale(peak / LARGE, finding, settings)


def _peaks(inputs: Inputs) -> NDArray[np.float32]:
    """The largest size of each input, (inputs,); of the first rows only, if they are on disk."""
    size = max(1, NUMBERS_AT_ONCE // inputs.width)
    stop = min(size, len(inputs)) if inputs.matrix is None else len(inputs)
    peaks = np.zeros(inputs.width, np.float32)
    for start in range(0, stop, size):
        peaks = np.maximum(peaks, np.abs(inputs.part(start, start + size)).max(axis=0))
    return peaks


def _far_blocks(words: str, peaks: NDArray[np.float32], job: Job) -> Iterator[Scale]:
    start = 0
    for block in job.network.layout.blocks:
        stop = start + len(block.columns)
        peak = float(peaks[start:stop].max())
        start = stop
        advice = remedy(block, job.config.input)
        if advice is not None and peak > advice.far:
            excess = (peak / advice.far) ** 2  # a step grows with an input, and so do its effects
            finding = f"{words} {peak:.3g}: the column '{block.name}' has {advice.has}"
            yield Scale(excess, finding, (advice.setting,))
