"""Layout of a network's inputs: blocks side by side, at least one for each column that is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from dlcli.config import Augmentation

InputKind = Literal["numeric", "index", "sparse", "image"]
"""How a block's inputs are to be read: as numbers, as the index of a category, as numbers of which
most are 0, or as pixels."""


@dataclass(frozen=True)
class PeriodicForm:
    """Each input becomes sines and cosines with trained frequencies."""

    frequencies: int
    deviation: float
    """Standard deviation of the initial frequencies, in periods per unit of the input."""


@dataclass(frozen=True)
class EmbeddingTable:
    """The input is the index of a row in a trained table."""

    rows: int
    """The last row stays 0: it is for values that training has not seen."""
    units: int


@dataclass(frozen=True)
class ImageForm:
    """The inputs are pixels, in the order height, width, channels."""

    shape: tuple[int, int, int]
    augmentation: Augmentation | None
    """Random changes of the images during training."""


@dataclass(frozen=True)
class Block:
    """Neighboring inputs that encode one column."""

    column: str
    kind: InputKind
    inputs: tuple[str, ...]
    """Names of the inputs, in order."""
    form: PeriodicForm | EmbeddingTable | ImageForm | None = None
    """What the network does with the inputs before its first layer."""


@dataclass(frozen=True)
class Layout:
    """All inputs of a network, block by block; sparse blocks are last."""

    blocks: tuple[Block, ...]

    @property
    def width(self) -> int:
        """Number of inputs."""
        return sum(len(block.inputs) for block in self.blocks)

    def slices(self) -> Iterator[tuple[Block, slice]]:
        """Yield each block with the slice of the encoded matrix's columns that it covers."""
        start = 0
        for block in self.blocks:
            stop = start + len(block.inputs)
            yield block, slice(start, stop)
            start = stop


def plain_layout(width: int) -> Layout:
    """Return a layout of `width` numbers that belong to no table."""
    return Layout((Block("", "numeric", ("",) * width),))
