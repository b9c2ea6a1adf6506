"""A model's weights by the names that the network gives them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from dlcli.network import Network


def weights_of(model: keras.Model, network: Network) -> dict[str, NDArray[np.floating[Any]]]:
    """Copies a model's weights, by name: `hidden_1/kernel`."""
    return {name: variable.value.numpy() for name, variable in _named(model, network)}


def assign_weights(
    model: keras.Model, network: Network, arrays: Mapping[str, NDArray[np.floating[Any]]]
) -> None:
    """Sets a model's weights from arrays of the same names and shapes."""
    for name, variable in _named(model, network):
        variable.assign(arrays[name])


def _named(model: keras.Model, network: Network) -> Iterator[tuple[str, keras.Variable]]:
    for layer in network.weighted:
        variables = model.get_layer(layer.name).weights if layer.weights else []
        for weight, variable in zip(layer.weights, variables, strict=True):
            yield weight.name, variable
