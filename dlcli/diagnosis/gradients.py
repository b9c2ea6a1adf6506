"""Gradients that fade or grow on their way back through the layers."""

from __future__ import annotations

from typing import Literal

from dlcli.config import printable
from dlcli.diagnosis.case import Case
from dlcli.diagnosis.finding import Finding, Patch, number
from dlcli.diagnosis.fit import learned_well
from dlcli.diagnosis.remedies import (
    clipping,
    each_hidden,
    fewer_layers,
    normalization,
    present,
    rectified,
)
from dlcli.diagnosis.units import dead_units
from dlcli.explanation import LayerStatistics

FADED = 1e-3
"""Gradient of the first layer's weights, as a share of that of the last one's, below which it moves
only the last ones."""
GROWN = 100.0
"""Gradient as a multiple of the weights that it is of, from which on one step of gradient descent
at its usual rate of 0.01 is longer than they are. A thousandth of them is healthy."""
_SOURCE = (
    "Glorot & Bengio, Understanding the Difficulty of Training Deep Feedforward Neural Networks "
    "(2010); Goodfellow, Bengio & Courville, Deep Learning (2016), sections 8.2.4 and 8.2.5"
)


def vanishing_gradients(case: Case) -> Finding | None:
    """Gradients that are a thousand times smaller at the first layer than at the last.

    Where none at all comes through at first this must be so at the end, too: an output whose
    weights begin at 0 lets gradients through once it has weights.
    """
    ratio, last = _ratio(case, "first_gradient"), _ratio(case, "last_gradient")
    if ratio is None or ratio >= FADED or learned_well(case):
        return None
    if ratio == 0 and (dead_units(case) or (last is not None and last >= FADED)):
        return None
    config = case.config
    return Finding(
        rule="vanishing_gradients",
        saw="where training began, the gradient of a weight of the first layer was "
        f"{number(ratio)} times that of one of the last",
        means="each layer on the way back takes a part of the gradient, so that the first layers "
        "hardly learn; sigmoid takes three quarters at the least, and relu with suitable first "
        "weights nothing",
        patches=present(rectified(config), normalization(config), fewer_layers(config)),
        source=_SOURCE,
    )


def exploding_gradients(case: Case) -> Finding | None:
    """Gradients at the beginning that are a hundred times as large as the weights."""
    sizes = {
        layer.name: layer.first_gradient / layer.weight_norm
        for layer in _dense(case)
        if layer.first_gradient is not None and layer.weight_norm
    }
    name = max(sizes, key=lambda name: sizes[name], default=None)
    if name is None or sizes[name] <= GROWN or learned_well(case):
        return None
    config = case.config
    return Finding(
        rule="exploding_gradients",
        saw=f"where training began, the gradient of {printable(name)} was {number(sizes[name])} "
        "times as large as its weights",
        means="each layer makes what it passes on larger, and on the way back the gradient, as "
        "its weights are large; the first steps throw the weights about",
        patches=present(
            _usual_weights(case), normalization(config), clipping(config), fewer_layers(config)
        ),
        source=_SOURCE,
    )


def _ratio(case: Case, when: Literal["first_gradient", "last_gradient"]) -> float | None:
    """The first layer's gradient by that of the last, per weight: √(mean of squares)."""
    sizes = [
        gradient / layer.parameters**0.5
        for layer in _dense(case)
        if 0 < layer.parameters < 2**53 and (gradient := getattr(layer, when)) is not None
    ]
    return sizes[0] / sizes[-1] if len(sizes) > 1 and sizes[-1] > 0 else None


def _dense(case: Case) -> list[LayerStatistics]:
    """The layers from the first hidden one to the output, without those that normalise."""
    layers = case.explanation.layers if case.explanation else ()
    return [layer for layer in layers if layer.kind == "Dense"]


def _usual_weights(case: Case) -> Patch | None:
    hidden = case.config.hidden
    places = [
        at
        for at, layer in enumerate(hidden)
        if not layer.kernel_initializer.name.startswith(("glorot_", "he_", "lecun_"))
    ]
    if not places:
        return None
    settings = each_hidden(case.config, "kernel_initializer", "glorot_uniform", places)
    why = "begins with weights of the size that keeps gradients the same from layer to layer"
    return Patch("glorot", why, tuple(settings))
