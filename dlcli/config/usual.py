"""What is usual in training, and from where on something lies far from it."""

from __future__ import annotations

from dlcli.config.activations import Linear
from dlcli.config.layers import Output
from dlcli.config.losses import Loss
from dlcli.config.optimizers import Adadelta, Optimizer

Setting = tuple[str, str]
"""A key's path, and what to set it to."""

LARGE = 10.0
"""Size from which on what was not scaled is far from 1, where networks learn best."""
LARGE_STANDARDIZED = 100.0
"""The same of what was scaled, in standard deviations."""
EXTREME_RATE_FACTOR = 2.0
"""How many times the usual learning rate is far from it."""


def typical_learning_rate(optimizer: Optimizer) -> float:
    """The learning rate that an optimizer usually has: Keras's default; Adadelta's paper has 1."""
    return 1.0 if isinstance(optimizer, Adadelta) else type(optimizer)().learning_rate


def target_scaling_settings(loss: Loss, output: Output) -> tuple[Setting, ...]:
    """What has a target of numbers scaled; nothing, if its loss wants it as it is.

    Args:
        loss: what is made small.
        output: the config's `output`, resolved or not.
    """
    activation = () if output.activation in (None, Linear()) else (("output.activation", "linear"),)
    if loss.needs_original_scale:
        return ()
    # If nothing is said of it, it follows from the activation.
    return activation if output.scaling is None else (*activation, ("output.scaling", "standard"))
