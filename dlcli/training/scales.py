"""Inputs and targets that lie far from 1, where networks learn best."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dlcli.config.activations import Linear
from dlcli.config.encodings import Count
from dlcli.config.features import Auto, Input, Numeric, Text
from dlcli.config.paths import format_path
from dlcli.config.scalings import Divide, Quantile, Robust, Unscaled
from dlcli.encoding import Block, Inputs, NumberTarget
from dlcli.encoding.layout import EmbeddingTable, Waves
from dlcli.encoding.types.choosing import key_of
from dlcli.training.job import Job

Setting = tuple[str, str]
"""A key's path, and what to set it to."""

FAR = 10.0
"""Size from which on what was not scaled is far from 1."""
FAR_SCALED = 100.0
"""The same of what was scaled, in standard deviations."""
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
    if peak > FAR and (settings := _target_settings(job)):
        finding = f"the target '{column}' reaches {peak:.3g} with output.scaling none"
        yield Scale(peak / FAR, finding, settings)


def _target_settings(job: Job) -> tuple[Setting, ...]:
    """What has the target scaled; nothing, if its loss wants it as it is."""
    loss, output = job.head.loss, job.config.output
    activation = () if output.activation in (None, Linear()) else (("output.activation", "linear"),)
    if loss.own_unit:
        return ()
    # If nothing is said of it, it follows from the activation.
    return activation if output.scaling is None else (*activation, ("output.scaling", "standard"))


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
        advice = _advice(block, job.config.input)
        if advice is not None and peak > advice.far:
            excess = (peak / advice.far) ** 2  # a step grows with an input, and so do its effects
            finding = f"{words} {peak:.3g}: the column '{block.name}' has {advice.has}"
            yield Scale(excess, finding, (advice.setting,))


@dataclass(frozen=True)
class _Advice:
    """What to do about a column whose inputs are large."""

    far: float
    """Size from which on they are."""
    has: str
    """What lets them be so."""
    setting: Setting


def _advice(block: Block, section: Input) -> _Advice | None:
    """What to do about a block, if anything in the config lets it be large."""
    key = key_of(block.name, section)
    feature = Auto() if key is None else (section.features or {})[key]
    own = format_path(("input", "features", key or block.name))
    if isinstance(feature, Text) and isinstance(feature.encoding, Count):
        return _Advice(FAR, "encoding count", (f"{own}.encoding", "tf_idf"))
    is_number = block.kind == "numeric" and block.columns == (block.name,)
    is_bounded = isinstance(block.form, Waves | EmbeddingTable)
    if not is_number or is_bounded or not isinstance(feature, Numeric | Auto):
        return None
    scaling = (feature.scaling if isinstance(feature, Numeric) else None) or section.scaling
    if isinstance(scaling, Robust | Quantile):
        return None
    is_own = isinstance(feature, Numeric) and feature.scaling is not None
    path = f"{own}.scaling" if is_own else "input.scaling"
    if isinstance(scaling, Unscaled | Divide):
        return _Advice(FAR, f"scaling {scaling.name}", (path, "standard"))
    return _Advice(FAR_SCALED, f"scaling {scaling.name}", (path, "robust"))
