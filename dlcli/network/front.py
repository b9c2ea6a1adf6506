"""What a network makes of its inputs before the first hidden layer.

Most inputs pass as they are. Numbers may become waves, places of categories rows of a trained
table; pixels are varied, in training only. What comes out stands side by side in this order: what
passes, waves, embeddings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from dlcli.config import Augmentation
from dlcli.encoding import EmbeddingTable, ImageForm, Layout, PeriodicForm
from dlcli.network.activations import Floats
from dlcli.network.layers import Arrays, Weight


@dataclass(frozen=True)
class AugmentLayer:
    """Varies images from step to step in training; does nothing at prediction."""

    name: str
    start: int
    """The first pixel's place among the inputs."""
    shape: tuple[int, int, int]
    """(height, width, channels)."""
    augmentation: Augmentation

    @property
    def stop(self) -> int:
        """The place behind the last pixel's."""
        height, width, channels = self.shape
        return self.start + height * width * channels


@dataclass(frozen=True)
class WavesLayer:
    """sin(2π·x·c) and cos(2π·x·c) of each input x and each of its trained frequencies c."""

    name: str
    places: tuple[int, ...]
    """Which inputs."""
    frequencies: int
    """How many for each input."""
    deviation: float
    """Standard deviation of the first frequencies."""

    @property
    def units(self) -> int:
        """How many numbers come out."""
        return 2 * len(self.places) * self.frequencies

    @property
    def weights(self) -> tuple[Weight, ...]:
        """The frequencies, (inputs, frequencies)."""
        return (Weight(f"{self.name}/kernel", (len(self.places), self.frequencies)),)

    def forward(self, matrix: Floats, arrays: Arrays) -> Floats:
        """(rows, all inputs) to (rows, units): the sines of all inputs, then the cosines."""
        phases = matrix[:, self.places, np.newaxis] * arrays[f"{self.name}/kernel"]
        phases = (phases * np.float32(2 * np.pi)).reshape(len(matrix), -1)
        return np.concatenate([np.sin(phases), np.cos(phases)], axis=1)


@dataclass(frozen=True)
class EmbeddingLayer:
    """The row of a trained table that an input names."""

    name: str
    place: int
    """Which input."""
    rows: int
    """How many rows the table has; the last one starts at 0, and no training row names it."""
    units: int
    column: str
    """What people call the input."""

    @property
    def weights(self) -> tuple[Weight, ...]:
        """The table, (rows, units)."""
        return (Weight(f"{self.name}/embeddings", (self.rows, self.units)),)

    def forward(self, matrix: Floats, arrays: Arrays) -> Floats:
        """(rows, all inputs) to (rows, units)."""
        looked_up: Floats = arrays[f"{self.name}/embeddings"][
            matrix[:, self.place].astype(np.int64)
        ]
        return looked_up


@dataclass(frozen=True)
class Front:
    """What comes before the first hidden layer."""

    inputs: int
    """Width of the encoded matrix."""
    passing: tuple[int, ...]
    """The inputs that pass as they are."""
    waves: tuple[WavesLayer, ...] = ()
    embeddings: tuple[EmbeddingLayer, ...] = ()
    augments: tuple[AugmentLayer, ...] = ()

    @property
    def units(self) -> int:
        """How many numbers come out."""
        return len(self.passing) + sum(layer.units for layer in self.trained)

    @property
    def trained(self) -> tuple[WavesLayer | EmbeddingLayer, ...]:
        """The layers with weights, in the order of what comes out."""
        return (*self.waves, *self.embeddings)

    def forward(self, matrix: Floats, arrays: Arrays) -> Floats:
        """(rows, inputs) to (rows, units)."""
        return self.joined(matrix, self.made(matrix, arrays))

    def made(self, matrix: Floats, arrays: Arrays) -> list[Floats]:
        """What each of the trained layers makes of encoded rows, (rows, its units)."""
        return [layer.forward(matrix, arrays) for layer in self.trained]

    def joined(self, matrix: Floats, made: Sequence[Floats]) -> Floats:
        """What passes and what was made, side by side, (rows, units)."""
        if not made:
            return matrix
        passed = np.take(matrix, self.passing, axis=1)  # several times faster than an index
        return np.concatenate([passed, *made], axis=1)


def build_front(layout: Layout) -> Front:
    """Lists what the blocks of a layout ask for."""
    starts = np.cumsum([0, *(len(block.inputs) for block in layout.blocks)]).tolist()
    passing: list[int] = []
    waves: list[tuple[PeriodicForm, int]] = []
    embeddings: list[EmbeddingLayer] = []
    augments: list[AugmentLayer] = []
    for block, start in zip(layout.blocks, starts, strict=False):
        if isinstance(block.form, EmbeddingTable):
            name = f"embedding_{len(embeddings) + 1}"
            form = block.form
            embeddings.append(EmbeddingLayer(name, start, form.rows, form.units, block.column))
        elif isinstance(block.form, PeriodicForm):
            waves.append((block.form, start))
        else:
            passing += range(start, start + len(block.inputs))
        if isinstance(block.form, ImageForm) and block.form.augmentation is not None:
            name = f"augmentation_{len(augments) + 1}"
            augments.append(AugmentLayer(name, start, block.form.shape, block.form.augmentation))
    return Front(layout.width, tuple(passing), _grouped(waves), tuple(embeddings), tuple(augments))


def _grouped(waves: list[tuple[PeriodicForm, int]]) -> tuple[WavesLayer, ...]:
    """One layer for all inputs whose waves have the same parameters."""
    ordered = sorted(waves, key=lambda wave: (wave[0].frequencies, wave[0].deviation))
    layers: list[WavesLayer] = []
    for form, group in groupby(ordered, key=lambda wave: wave[0]):
        places = tuple(place for _, place in group)
        name = f"periodic_{len(layers) + 1}"
        layers.append(WavesLayer(name, places, form.frequencies, form.deviation))
    return tuple(layers)
