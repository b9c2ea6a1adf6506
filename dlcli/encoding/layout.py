"""What the network reads: blocks of inputs side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dlcli.config import Augmentation

Kind = Literal["numeric", "index", "sparse", "image"]
"""How inputs are to be read: as numbers, as the place of a category, as numbers of which most are
0, or as pixels."""


@dataclass(frozen=True)
class PeriodicForm:
    """Each input becomes sines and cosines of trained frequencies."""

    frequencies: int
    deviation: float
    """Of the first frequencies, in periods per unit of the input."""


@dataclass(frozen=True)
class EmbeddingTable:
    """The input is a row of a trained table."""

    rows: int
    """The last one stays 0: for what training never saw."""
    units: int


@dataclass(frozen=True)
class ImageForm:
    """The inputs are pixels: rows of columns of channels."""

    shape: tuple[int, int, int]
    augmentation: Augmentation | None
    """How training varies them."""


@dataclass(frozen=True)
class Block:
    """Inputs that one column becomes."""

    name: str
    """The column."""
    kind: Kind
    columns: tuple[str, ...]
    """The inputs' names, in order."""
    form: PeriodicForm | EmbeddingTable | ImageForm | None = None
    """What the network makes of them first."""


@dataclass(frozen=True)
class Layout:
    """The network's inputs: blocks side by side, the sparse ones last."""

    blocks: tuple[Block, ...]

    @property
    def width(self) -> int:
        """How many inputs there are."""
        return sum(len(block.columns) for block in self.blocks)


def plain_layout(width: int) -> Layout:
    """So many numbers that are read as they are."""
    return Layout((Block("", "numeric", ("",) * width),))
