"""Rules of the layers: gradients that vanish or explode, units that are dead or saturated."""

from __future__ import annotations

import re
from typing import Literal

from dlcli.config.config_schema import Config
from dlcli.config.layer_choices import L1, L1L2
from dlcli.diagnosis import remedies
from dlcli.diagnosis.case import Case
from dlcli.diagnosis.remedies import Finding, number, percent, present
from dlcli.errors import first_names, printable

DEAD = 0.4
"""Share of dead units in a layer from which on something went wrong: up to 40 % die of a learning
rate that is too high (Karpathy's notes of CS231n)."""
SATURATED = 0.75
"""Share of saturated outputs of a layer from which on most information is lost; a healthy network
may well have half of a narrow layer there."""
VANISHED = 1e-3
"""Ratio of the first layer's gradient to the last one's below which only the last layers learn."""
EXPLODED = 100.0
"""Ratio of a gradient to the weights from which on one step of gradient descent at the usual rate
of 0.01 is longer than they are. A thousandth of them is healthy."""
_GRADIENTS = (
    "Glorot & Bengio, Understanding the Difficulty of Training Deep Feedforward Neural Networks "
    "(2010); Goodfellow, Bengio & Courville, Deep Learning (2016), sections 8.2.4 and 8.2.5"
)
_HIDDEN = re.compile(r"hidden_(\d+)(?:_|$)")


def vanishing_gradients(case: Case) -> Finding | None:
    """Find gradients that are a thousand times smaller at the first layer than at the last.

    A gradient of exactly 0 at first must be as small at the end: an output layer that is
    initialized with zeros passes gradients on once it has weights.
    """
    ratio, last = _gradient_ratio(case, "first_gradient"), _gradient_ratio(case, "last_gradient")
    if ratio is None or ratio >= VANISHED or case.learned_well:
        return None
    if ratio == 0 and (dead_units(case) or (last is not None and last >= VANISHED)):
        return None
    config = case.config
    return Finding(
        rule="vanishing_gradients",
        observation="at the start of training, the gradient of a weight of the first layer was "
        f"{number(ratio)} times that of one of the last",
        meaning="on its way back each layer reduces the gradient, so that the first layers hardly "
        "learn; sigmoid takes at least three quarters, relu with suitable initial weights nothing",
        patches=present(
            remedies.rectified(config),
            remedies.normalization(config),
            remedies.fewer_layers(config),
        ),
        source=_GRADIENTS,
    )


def exploding_gradients(case: Case) -> Finding | None:
    """Find initial gradients that are a hundred times as large as the weights."""
    sizes = {
        layer.name: layer.first_gradient / layer.weight_norm
        for layer in case.explanation.layers
        if layer.kind == "Dense" and layer.first_gradient is not None and layer.weight_norm
    }
    name = max(sizes, key=lambda name: sizes[name], default=None)
    if name is None or sizes[name] <= EXPLODED or case.learned_well:
        return None
    why = "initializes weights such that gradients keep their size from layer to layer"
    return Finding(
        rule="exploding_gradients",
        observation=f"at the start of training, the gradient of {printable(name)} was "
        f"{number(sizes[name])} times as large as its weights",
        meaning="each layer enlarges its outputs, and the gradient on the way back, because its "
        "weights are large; the first steps throw the weights about",
        patches=present(
            remedies.initial_weights(
                case.config, "glorot_uniform", why, instead_of=("he_", "lecun_")
            ),
            remedies.normalization(case.config),
            remedies.clipping(case.config),
            remedies.fewer_layers(case.config),
        ),
        source=_GRADIENTS,
    )


def _gradient_ratio(case: Case, when: Literal["first_gradient", "last_gradient"]) -> float | None:
    """Divide the first Dense layer's gradient by the last one's, per weight: √(mean square)."""
    sizes = [
        gradient / layer.parameters**0.5
        for layer in case.explanation.layers
        if layer.kind == "Dense"
        and 0 < layer.parameters < 2**53
        and (gradient := getattr(layer, when)) is not None
    ]
    return sizes[0] / sizes[-1] if len(sizes) > 1 and sizes[-1] > 0 else None


def dead_units(case: Case) -> Finding | None:
    """Find layers of relu with many units that output 0 for every row.

    L1 sets the weights of units that aren't needed to 0: these are pruned, not dead. If it prunes
    units that are needed, training rows aren't learned and `underfitting` proposes to remove it.
    """
    dead = _layer_shares(case, "dead", DEAD)
    dead = {at: share for at, share in dead.items() if not _is_pruned(case.config, at)}
    if not dead or case.learned_well:
        return None
    config, layers = case.config, list(dead)
    usual, lower = remedies.usual_learning_rate(config), remedies.learning_rate(config, 1 / 10)
    return Finding(
        rule="dead_units",
        observation=f"units that output 0 for every row: {_listed(dead)}",
        meaning="a relu unit whose sum is negative for every row outputs 0 and gets no gradient, "
        "so that it stays so; one large step, or initial biases far below 0, can do that",
        patches=present(
            usual,
            lower if usual else None,
            remedies.change_hidden(
                config,
                "leaky-relu",
                "lets a small share of negative sums through",
                {"activation": "leaky_relu"},
                lambda _: True,
                layers,
            ),
            remedies.change_hidden(
                config,
                "zero-bias",
                "initializes biases with 0",
                {"bias_initializer": "zeros"},
                lambda layer: layer.bias_initializer.name != "zeros",
                layers,
            ),
            remedies.initial_weights(
                config, "he_normal", "initializes weights with the size that suits relu", layers
            ),
            None if usual else lower,
        ),
        source="Maas, Hannun & Ng, Rectifier Nonlinearities Improve Neural Network Acoustic Models "
        "(2013); He et al., Delving Deep into Rectifiers (2015)",
    )


def _is_pruned(config: Config, at: int) -> bool:
    penalty = config.hidden[at].kernel_regularizer
    return isinstance(penalty, L1 | L1L2) and penalty.l1 > 0


def saturated_units(case: Case) -> Finding | None:
    """Find layers of sigmoid or tanh with most outputs at an end of their range."""
    saturated = _layer_shares(case, "saturated", SATURATED)
    if not saturated or case.learned_well:
        return None
    config, layers = case.config, list(saturated)
    why = "initializes weights with the size that keeps sums near 1"
    return Finding(
        rule="saturated_units",
        observation=f"outputs at an end of their range: {_listed(saturated)}",
        meaning="where sigmoid and tanh are flat, a change of a weight changes nothing, so that "
        "hardly any gradient passes; the sums are too large, because inputs or weights are",
        patches=present(
            remedies.rectified(config, layers),
            remedies.normalization(config),
            remedies.initial_weights(config, "glorot_normal", why, layers),
            remedies.learning_rate(config, 1 / 10),
        ),
        source="Glorot & Bengio, Understanding the Difficulty of Training Deep Feedforward Neural "
        "Networks (2010); Goodfellow, Bengio & Courville, Deep Learning (2016), section 6.3.2",
    )


def _layer_shares(case: Case, name: str, least: float) -> dict[int, float]:
    """Return the hidden layers, by index, of which a large share of units is dead or saturated."""
    shares = {}
    for layer in case.explanation.layers:
        found, share = _HIDDEN.match(layer.name), getattr(layer, name)
        index = int(found[1]) - 1 if found else -1
        if 0 <= index < len(case.config.hidden) and share is not None and share >= least:
            shares[index] = share
    return shares


def _listed(shares: dict[int, float]) -> str:
    return first_names([f"{percent(share)} in hidden[{at}]" for at, share in shares.items()])
