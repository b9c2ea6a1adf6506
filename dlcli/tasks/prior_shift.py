"""Probabilities for other frequencies of the classes than in the training rows.

If the frequency of class c changes from π to π', and the rows of each class stay alike, then its
probability p becomes p·π'/π, divided by the sum over all classes: Saerens, Latinne and
Decaestecker, Adjusting the Outputs of a Classifier to New a Priori Probabilities, Neural
Computation 14 (2002).

A loss with class weights w is that of rows in which the classes are w times as frequent. So a
network trained with cross-entropy learns probabilities that are proportional to w·p, and dividing
by w corrects them. For a sigmoid or softmax, this only changes the bias of the output.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcli.arrays import Floats
from dlcli.config.config_schema import Output
from dlcli.config.layer_choices import Sigmoid, Softmax
from dlcli.config.training_choices import Loss
from dlcli.errors import did_you_mean, first_names
from dlcli.metrics.definitions import LOG_LOSS

BIAS = "output/bias"
"""The name of the output's bias among the weights of a network."""
_ROUNDING = 1e-6
"""Largest difference between 1 and a sum of frequencies that counts as rounding."""


def obstacle(loss: Loss, output: Output) -> str:
    """Return the reason why probabilities can't be corrected by the output's bias, else "".

    Args:
        loss: the loss.
        output: the output, whose activation may be omitted.
    """
    activation = output.activation or loss.default_activation
    if loss.comparison_metric is not LOG_LOSS:
        return f"the loss '{loss.name}' does not train probabilities of the rows' classes"
    if getattr(loss, "label_smoothing", 0):
        return "label_smoothing also changes them"
    if not isinstance(activation, Sigmoid | Softmax):
        return f"the output has the activation '{activation.name}'"
    return "" if output.use_bias else "the output has no bias"


def shift(probabilities: NDArray[np.floating[Any]], ratios: Sequence[float]) -> Floats:
    """Return p·r of each class, divided by the sum over all classes.

    Args:
        probabilities: the probability of the second of two classes, (rows, 1), or of each class,
            (rows, classes).
        ratios: the ratio r of new to old frequency of each class.
    """
    p = probabilities.astype(np.float64)
    both = np.concatenate([1 - p, p], axis=1) if p.shape[1] == 1 else p
    products = both * np.asarray(ratios)
    shares: Floats = products / products.sum(axis=1, keepdims=True)
    return shares[:, 1:] if p.shape[1] == 1 else shares


def shift_bias(
    weights: Mapping[str, NDArray[np.floating[Any]]], ratios: Sequence[float]
) -> dict[str, NDArray[np.floating[Any]]]:
    """Return the weights of a network whose probabilities are multiplied by ratios, see `shift`.

    With the logit z of the second of two classes, z becomes z + ln(r₂/r₁); with a logit for each
    class, z becomes z + ln r.
    """
    bias, logarithms = weights[BIAS], np.log(np.asarray(ratios, dtype=np.float64))
    added = logarithms[1:] - logarithms[:1] if len(bias) == 1 else logarithms
    return {**weights, BIAS: (bias + added).astype(bias.dtype)}


def frequency_problems(
    given: Mapping[str, float], classes: Sequence[str]
) -> Iterator[tuple[str | None, str]]:
    """Yield the problems of given frequencies, each with its class or `None`."""
    for name in given:
        if name not in classes:
            near = did_you_mean(name, classes)
            yield name, f"no such class{near or f'; there are {first_names(classes)}'}"
    if set(given) - set(classes):
        return
    total, omitted = sum(given.values()), [name for name in classes if name not in given]
    if not omitted and abs(total - 1) > _ROUNDING:
        yield None, f"expected a sum of 1 over all classes, got {total:g}"
    if omitted and total >= 1 - _ROUNDING:
        yield None, f"the sum is {total:g}, which leaves nothing for {first_names(omitted)}"


def complete_frequencies(
    given: Mapping[str, float], classes: Sequence[str], known: Sequence[float]
) -> tuple[float, ...]:
    """Return the frequency of each class; omitted classes share the rest in proportion to `known`.

    Args:
        given: the frequencies of some classes, without `frequency_problems`.
        classes: all classes.
        known: their frequencies in the training rows.
    """
    rest = 1 - sum(given.values())
    omitted = sum(share for name, share in zip(classes, known, strict=True) if name not in given)
    scale = rest / omitted if omitted else 0.0
    found = [given.get(name, share * scale) for name, share in zip(classes, known, strict=True)]
    return tuple(share / sum(found) for share in found)
