"""Hidden units that pass nothing on: dead ones, and saturated ones."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dlcli.config import L1, L1L2, Config
from dlcli.diagnosis.case import Case
from dlcli.diagnosis.finding import Finding, Patch, percent
from dlcli.diagnosis.fit import learned_well
from dlcli.diagnosis.remedies import (
    each_hidden,
    normalization,
    present,
    rate,
    rectified,
    to_usual_rate,
)

DEAD = 0.4
"""Share of a layer's units from which on their being dead says that something went wrong: up to
40 % die of a learning rate that is too high (Karpathy's notes of CS231n)."""
SATURATED = 0.75
"""Share of a layer's outputs from which on most of what it is told is lost; a sound network may
well have half of a narrow layer there."""
_PLACE = re.compile(r"hidden_(\d+)(?:_|$)")


def dead_units(case: Case) -> Finding | None:
    """Layers of relu with many units that give 0 for every row, and no price that wants them to.

    L1 drives the weights of units that aren't needed to 0, so that those are pruned and not killed.
    Where it prunes what is needed, training rows aren't learned, and `underfitting` proposes to go
    without it.
    """
    dead = {
        at: share
        for at, share in _hidden(case, "dead")
        if share >= DEAD and not _is_pruned(case.config, at)
    }
    if not dead or learned_well(case):
        return None
    config, places = case.config, list(dead)
    leaky = each_hidden(config, "activation", "leaky_relu", places)
    usual, lower = to_usual_rate(config), rate(config, 1 / 10)
    return Finding(
        rule="dead_units",
        saw=f"units that give 0 for every row: {_listed(dead)}",
        means="a unit of relu whose sum is below 0 for every row passes nothing on and gets no "
        "gradient, so that it stays so; one large step, or first biases far below 0, can do that",
        patches=present(
            usual,
            lower if usual else None,
            Patch("leaky-relu", "lets a little of what is below 0 through", tuple(leaky)),
            _bias_of_zero(config, places),
            _he(config, places),
            None if usual else lower,
        ),
        source="Maas, Hannun & Ng, Rectifier Nonlinearities Improve Neural Network Acoustic Models "
        "(2013); He et al., Delving Deep into Rectifiers (2015)",
    )


def _is_pruned(config: Config, at: int) -> bool:
    price = config.hidden[at].kernel_regularizer
    return isinstance(price, L1 | L1L2) and price.l1 > 0


def saturated_units(case: Case) -> Finding | None:
    """Layers of sigmoid or tanh with most outputs at an end of their range."""
    full = {at: share for at, share in _hidden(case, "saturated") if share >= SATURATED}
    if not full or learned_well(case):
        return None
    config, places = case.config, list(full)
    return Finding(
        rule="saturated_units",
        saw=f"outputs at an end of their range: {_listed(full)}",
        means="where sigmoid and tanh are flat, a change of a weight changes nothing, so that "
        "hardly any gradient comes through; the sums are too large, because inputs or weights are",
        patches=present(
            rectified(config, places),
            normalization(config),
            _glorot(config, places),
            rate(config, 1 / 10),
        ),
        source="Glorot & Bengio, Understanding the Difficulty of Training Deep Feedforward Neural "
        "Networks (2010); Goodfellow, Bengio & Courville, Deep Learning (2016), section 6.3.2",
    )


def _hidden(case: Case, what: str) -> Iterator[tuple[int, float]]:
    """The place of each hidden layer that shows a share of something, and the share."""
    for layer in case.explanation.layers if case.explanation else ():
        place, share = _PLACE.match(layer.name), getattr(layer, what)
        if place and share is not None and 0 < int(place[1]) <= len(case.config.hidden):
            yield int(place[1]) - 1, share


def _listed(shares: dict[int, float]) -> str:
    parts = [f"{percent(share)} in hidden[{at}]" for at, share in list(shares.items())[:5]]
    return ", ".join([*parts, "..."] if len(shares) > 5 else parts)


def _he(config: Config, places: list[int]) -> Patch | None:
    """He's first weights for the layers that have others."""
    chosen = [
        at for at in places if not config.hidden[at].kernel_initializer.name.startswith("he_")
    ]
    if not chosen:
        return None
    settings = each_hidden(config, "kernel_initializer", "he_normal", chosen)
    return Patch("he", "begins with weights of the size that suits relu", tuple(settings))


def _glorot(config: Config, places: list[int]) -> Patch | None:
    """Glorot's first weights for the layers that have others."""
    chosen = [
        at for at in places if not config.hidden[at].kernel_initializer.name.startswith("glorot_")
    ]
    if not chosen:
        return None
    settings = each_hidden(config, "kernel_initializer", "glorot_normal", chosen)
    why = "begins with weights of the size that keeps sums near 1"
    return Patch("glorot", why, tuple(settings))


def _bias_of_zero(config: Config, places: list[int]) -> Patch | None:
    """First biases of 0 for the layers that have others."""
    chosen = [at for at in places if config.hidden[at].bias_initializer.name != "zeros"]
    if not chosen:
        return None
    settings = each_hidden(config, "bias_initializer", "zeros", chosen)
    return Patch("zero-bias", "begins with biases of 0", tuple(settings))
