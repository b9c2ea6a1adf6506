"""Statistics of a trained network's layers: outputs, dead and saturated units, gradients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcli.config import Activation
from dlcli.encoding import Matrix
from dlcli.explanation.explanation_document import LayerStatistics, Number
from dlcli.metrics import finite
from dlcli.network import AnyLayer, Floats, Network, activation_of

MOST_LAYERS = 500
"""Most layers that are listed, the last ones; only very many embeddings exceed it."""
_RECTIFIERS = ("relu", "relu6", "leaky_relu", "sparse_plus")
"""Activations that may return 0 for everything up to some number, and pass no gradient there."""
_NEAR = 0.01
"""Share of a range from its ends within which an output counts as saturated."""

Weights = Mapping[str, NDArray[np.floating[Any]]]
Gradients = Mapping[str, float]
"""Norm of each layer's gradient, by the layer's name."""


def describe_layers(
    network: Network, weights: Weights, matrix: Matrix, first: Gradients, last: Gradients
) -> tuple[LayerStatistics, ...]:
    """Describe each layer, with its outputs for some rows.

    Args:
        network: the layers.
        weights: trained, by name.
        matrix: encoded training rows, (rows, inputs).
        first: the gradients before the first step; a layer may be absent.
        last: those after the last step.
    """
    with np.errstate(all="ignore"):
        found = [
            _describe(layer, output, weights, first, last)
            for layer, output in network.layer_outputs(matrix, weights)
        ]
    return tuple(found[-MOST_LAYERS:])


def dead_share(activation: Activation, output: Floats) -> float | None:
    """Return the share of units that return 0 for every row; None if the activation never does.

    A unit of relu or similar that no row activates gets no gradient, and so never changes (Maas et
    al. 2013, "Rectifier nonlinearities improve neural network acoustic models").

    Args:
        activation: the layer's.
        output: the layer's output, (rows, units).
    """
    if activation.name not in _RECTIFIERS or getattr(activation, "negative_slope", 0.0) > 0:
        return None
    return float((output == 0).all(axis=0).mean())


def saturated_share(activation: Activation, output: Floats) -> float | None:
    """Return the share of outputs within 1 % of an end of their range, where the slope is near 0.

    There gradients vanish (Glorot & Bengio 2010, "Understanding the difficulty of training
    deep feedforward neural networks"). For sigmoid, hard_sigmoid and sparse_sigmoid it is up to
    0.01 and from 0.99 on; for tanh, hard_tanh and softsign beyond ±0.98.

    Args:
        activation: the layer's.
        output: the layer's output, (rows, units).

    Returns:
        The share; None for activations without two such ends, and for those over all units, as
        softmax.
    """
    low, high = activation.bounds
    is_bounded = np.isfinite(low) and np.isfinite(high)
    if not is_bounded or activation.across_units or activation.name in _RECTIFIERS:
        return None
    reach = _NEAR * (high - low)
    return float(((output <= low + reach) | (output >= high - reach)).mean())


def _describe(
    layer: AnyLayer, output: Floats, weights: Weights, first: Gradients, last: Gradients
) -> LayerStatistics:
    activation = activation_of(layer)
    arrays = [weights[weight.name].astype(np.float64) for weight in layer.weights]
    norm = np.sqrt(sum(float(np.square(array).sum()) for array in arrays))
    return LayerStatistics(
        name=layer.name,
        kind=layer.kind,
        units=layer.units,
        parameters=sum(weight.size for weight in layer.weights),
        activation=None if activation is None else activation.name,
        output_mean=finite(float(output.mean(dtype=np.float64))),
        output_deviation=finite(float(output.std(dtype=np.float64))),
        dead=None if activation is None else dead_share(activation, output),
        saturated=None if activation is None else saturated_share(activation, output),
        weight_norm=finite(float(norm)) if arrays else None,
        first_gradient=_finite(first.get(layer.name)),
        last_gradient=_finite(last.get(layer.name)),
    )


def _finite(value: Number) -> Number:
    return None if value is None else finite(value)
