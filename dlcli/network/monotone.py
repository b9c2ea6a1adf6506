"""Monotone networks: bounds of the weights that guarantee the direction of a column's effect.

Each unit is rising (it never falls as a column declared `increasing` rises, nor as one declared
`decreasing` falls), falling, or free: it does not depend on these columns at all. All activations
are nondecreasing, so it suffices that

- a weight from a rising to a rising unit, or from a falling to a falling unit, is at least 0;
- a weight between a rising and a falling unit is at most 0;
- a weight from a monotone input or unit to a free unit is 0;
- weights from all other inputs and from free units have any value.

Outputs are rising. Rising units with a convex activation such as `relu` are convex, and falling
units enter the output as concave functions. So this is the construction of Runje & Shankaranarayana
2023 (https://arxiv.org/abs/2205.11775), with plain Dense layers and one activation.

Training starts with the weights of the initializers and moves each weight that exceeds its bounds
to the nearest bound, before the first step and after each one. So about half of the bounded weights
start at 0. If they were reflected instead, all terms of a sum would have the same sign: with two
layers of 64 `relu` units, the RMSE of a synthetic table of five monotone columns was 0.37 instead
of 0.31, and 0.32 without bounds; on two other tables, there was no clear difference. The absolute
values of free weights had the same errors as these bounds, `softplus` of free weights larger ones,
and so had a network with a Lipschitz constant and a linear term (Kitouni et al. 2023).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from dlcli.network.layers import DenseLayer, Network, NormalizationLayer

Directions = NDArray[np.int8]
"""For each input or unit: 1 if it is rising, −1 if it is falling, 0 if it is free."""
_KINDS = (1, -1, 0)
"""The directions of the units of a hidden layer, repeated. On three synthetic tables, a third of
free units was never much worse than none, a quarter, a half or two thirds."""
_LEAST_CHANGE = -0.999
"""The smallest change of the factor of a monotone column, so the factor is above 0."""


@dataclass(frozen=True)
class Bounds:
    """Smallest and largest values of a weight, each with its shape."""

    low: NDArray[np.float32]
    high: NDArray[np.float32]

    def clip(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the nearest values within the bounds."""
        nearest: NDArray[np.float32] = np.clip(values, self.low, self.high)
        return nearest

    def contain(self, values: NDArray[np.floating]) -> bool:
        """Return whether all values are within the bounds."""
        return bool(((self.low <= values) & (values <= self.high)).all())


def directions_of_inputs(network: Network) -> Directions:
    """Return the direction of each input of the first Dense layer, (inputs,)."""
    blocks = network.layout.blocks
    read = np.array([block.monotone for block in blocks for _ in block.inputs], np.int8)
    front = network.front
    sources = [*front.unchanged, *chain(*(layer.sources for layer in front.trained))]
    return read[sources]


def directions_of_units(units: int, *, has_free: bool) -> Directions:
    """Return the direction of each unit of a hidden layer, (units,).

    Args:
        units: number of units.
        has_free: whether an input is not monotone; without one, free units would be constant.
    """
    kinds = _KINDS if has_free else _KINDS[:2]
    return np.resize(np.array(kinds, np.int8), units)


def is_monotone(network: Network) -> bool:
    """Return whether a column of a network is monotone."""
    return any(block.monotone for block in network.layout.blocks)


@lru_cache(maxsize=8)
def bounds_of(network: Network) -> Mapping[str, Bounds]:
    """Return the bounds of weights by name; empty without monotone columns."""
    if not is_monotone(network):
        return {}
    bounds: dict[str, Bounds] = {}
    before = directions_of_inputs(network)
    has_free = bool((before == 0).any())
    for layer in network.layers:
        if isinstance(layer, DenseLayer):
            is_output = layer is network.layers[-1]
            units = directions_of_units(layer.units, has_free=has_free)
            after = np.ones_like(units) if is_output else units
            bounds[f"{layer.name}/kernel"] = _bounds(before, after)
            before = after
        elif isinstance(layer, NormalizationLayer) and layer.parameters.scale:
            # A factor of at least 0 keeps the direction of a unit.
            low = np.where(before == 0, -np.inf, 0).astype(np.float32)
            bounds[f"{layer.name}/gamma"] = Bounds(low, np.full_like(low, np.inf))
    return bounds


def bounds_of_changes(network: Network, multiplier: float) -> Bounds:
    """Return the bounds of the weights of the scaling layer, (columns,).

    The factor of a column is 1 plus its weight times the multiplier.

    Args:
        network: the layers.
        multiplier: the learning rate multiplier of the scaling layer.
    """
    columns, inputs = network.columns_of_inputs, directions_of_inputs(network)
    is_free = np.ones(columns.max() + 1, bool)
    is_free[columns[inputs != 0]] = False
    low = np.where(is_free, -np.inf, _LEAST_CHANGE / multiplier).astype(np.float32)
    return Bounds(low, np.full_like(low, np.inf))


def _bounds(before: Directions, after: Directions) -> Bounds:
    """Return the bounds of a kernel, (inputs, units)."""
    products = np.outer(before, after)
    is_free = np.broadcast_to((before == 0)[:, np.newaxis], products.shape)
    low = np.where(is_free | (products < 0), -np.inf, 0).astype(np.float32)
    high = np.where(is_free | (products > 0), np.inf, 0).astype(np.float32)
    return Bounds(low, high)
