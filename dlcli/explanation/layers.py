"""The layers of a trained network: what they give, and whether some units give nothing any more."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dlcli.config import Activation
from dlcli.encoding import Matrix
from dlcli.explanation.document import LayerStatistics, Number
from dlcli.explanation.inputs import Weights
from dlcli.metrics import finite
from dlcli.network import AnyLayer, Floats, Network, activation_of

MOST_LAYERS = 500
"""Most layers that are listed, the last ones; only that many embeddings come to more."""
_RECTIFIERS = ("relu", "relu6", "leaky_relu", "sparse_plus")
"""Activations that may give 0 for everything up to some number, and pass no gradient there."""
_NEAR = 0.01
"""Share of a range from its ends within which an output counts as saturated."""

Gradients = Mapping[str, float]
"""The norm of each layer's gradient, by the layer's name."""


def describe_layers(
    network: Network, weights: Weights, matrix: Matrix, first: Gradients, last: Gradients
) -> tuple[LayerStatistics, ...]:
    """Looks at what each layer makes of some rows.

    Args:
        network: the layers.
        weights: trained, by name.
        matrix: encoded training rows, (rows, inputs).
        first: the gradients where training began; a layer may be absent.
        last: those where it ended.
    """
    with np.errstate(all="ignore"):
        found = [
            _describe(layer, output, weights, first, last)
            for layer, output in network.layer_outputs(matrix, weights)
        ]
    return tuple(found[-MOST_LAYERS:])


def dead_share(activation: Activation, output: Floats) -> float | None:
    """The share of units that give 0 for every row; None for activations that pass all they get.

    A unit of relu or its kin that no row moves gets no gradient, and so stays as it is (Maas et al.
    2013, "Rectifier nonlinearities improve neural network acoustic models").

    Args:
        activation: the layer's.
        output: what it gives, (rows, units).
    """
    if activation.name not in _RECTIFIERS or getattr(activation, "negative_slope", 0.0) > 0:
        return None
    return float((output == 0).all(axis=0).mean())


def saturated_share(activation: Activation, output: Floats) -> float | None:
    """The share of outputs within 1 % of an end of their range, where the slope is nearly 0.

    That is where gradients vanish (Glorot & Bengio 2010, "Understanding the difficulty of training
    deep feedforward neural networks"). For sigmoid, hard_sigmoid and sparse_sigmoid it is up to
    0.01 and from 0.99 on; for tanh, hard_tanh and softsign beyond ±0.98.

    Args:
        activation: the layer's.
        output: what it gives, (rows, units).

    Returns:
        The share; None for activations without two such ends, and for those that weigh units
        against each other.
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
