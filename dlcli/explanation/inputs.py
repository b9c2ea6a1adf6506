"""Which of a network's inputs a column became, and how much it can move the network by them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcli.encoding import Indices, Layout, Matrix
from dlcli.network import Network

Weights = Mapping[str, NDArray[np.floating[Any]]]


def places_of(layout: Layout) -> dict[str, Indices]:
    """The places of each column's inputs in the encoded matrix, by column in order."""
    places: dict[str, list[int]] = {}
    start = 0
    for block in layout.blocks:
        stop = start + len(block.inputs)
        places.setdefault(block.column, []).extend(range(start, stop))
        start = stop
    return {column: np.array(found, np.int64) for column, found in places.items()}


def peaks_of(layout: Layout, matrix: Matrix) -> dict[str, float]:
    """The largest size of each column's numeric inputs, by column.

    Args:
        layout: what the matrix is made of.
        matrix: encoded rows, (rows, inputs); at least one.
    """
    sizes = np.abs(matrix).max(axis=0)
    peaks: dict[str, float] = {}
    start = 0
    for block in layout.blocks:
        stop = start + len(block.inputs)
        if block.kind == "numeric" and stop > start:
            peaks[block.column] = max(peaks.get(block.column, 0.0), float(sizes[start:stop].max()))
        start = stop
    return peaks


def strengths(network: Network, weights: Weights, matrix: Matrix) -> dict[str, float]:
    """How far each column moves the sums of the first layer, by column in order.

    It is √Σ σᵢ²·‖kᵢ‖² over all that the column gives to that layer, with the standard deviation σᵢ
    of each number and the row kᵢ of the kernel that it meets: the sums' standard deviation, if
    these numbers were independent.

    Args:
        network: the layers.
        weights: trained, by name.
        matrix: encoded rows, (rows, inputs).
    """
    columns = list(places_of(network.layout))
    with np.errstate(all="ignore"):
        numbers = network.front.forward(matrix, weights)
        variances = numbers.var(axis=0, dtype=np.float64)
        kernel = weights[f"{network.layers[0].name}/kernel"].astype(np.float64)
        moved = np.nan_to_num(variances * np.square(kernel).sum(axis=1))
    sums = np.bincount(_owners(network), moved, minlength=len(columns))
    return dict(zip(columns, np.sqrt(sums).tolist(), strict=True))


def _owners(network: Network) -> Indices:
    """The place among the columns of the one behind each number that the front gives, (units,)."""
    owner = np.empty(network.inputs, np.int64)
    for number, places in enumerate(places_of(network.layout).values()):
        owner[places] = number
    front = network.front
    waves = [np.repeat(owner[list(layer.columns)], layer.frequencies) for layer in front.periodic]
    tables = [np.full(layer.units, owner[layer.column]) for layer in front.embeddings]
    both = [np.tile(each, 2) for each in waves]  # sines, then cosines
    return np.concatenate([owner[list(front.unchanged)], *both, *tables])
