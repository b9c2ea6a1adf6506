"""Underfitting: not even the training rows are learned."""

from __future__ import annotations

from dlcli.diagnosis.case import Case
from dlcli.diagnosis.error import Error, baseline_error, error_of, is_better_somehow, is_more
from dlcli.diagnosis.finding import Finding, Patch
from dlcli.diagnosis.remedies import (
    another_layer,
    bend,
    each_hidden,
    epochs,
    more_units,
    present,
    rate,
)

WELL = 0.1
"""Error up to which training rows count as learned: what might be wrong has done no harm there."""
NOTHING = 0.9
"""Error from which on hardly anything was learned."""
_SOURCE = (
    "Goodfellow, Bengio & Courville, Deep Learning (2016), sections 5.2 and 11.4.1; "
    "Bengio, Practical Recommendations for Gradient-Based Training (2012)"
)


def underfitting(case: Case) -> Finding | None:
    """Training rows are predicted hardly better than by who knows nothing, or worse than linearly.

    A network with a hidden layer can be nearly linear, so that one that fits training rows worse
    than the linear model has not been trained to what it can be.
    """
    error = error_of(case, "train")
    if error is None:
        return None
    linear = baseline_error(case, "linear", "train") if case.config.hidden else None
    if learned_nothing(case):
        saw = "even training rows are predicted hardly better than by always the same answer: "
        saw += error.words
    elif linear is not None and _is_far_worse(error, linear):
        saw = f"training rows have {error.words}, of a linear model {linear.words}"
    else:
        return None
    return Finding(
        rule="underfitting",
        saw=saw,
        means="the network has too little room for what there is to learn, was held back or not "
        "trained far enough; or the columns tell nothing of the target",
        patches=_patches(case),
        source=_SOURCE,
    )


def learned_nothing(case: Case) -> bool:
    """Whether training rows are predicted hardly better than by always the same answer.

    No metric may tell more: where a class or a label is rare the answer may well be the same for
    all rows, and weights of classes make accuracy worse on purpose.
    """
    error = error_of(case, "train")
    if error is None or error.share < NOTHING:
        return False
    return not is_better_somehow(case, "train", 1 - NOTHING)


def learned_well(case: Case) -> bool:
    """Whether training rows are predicted well."""
    error = error_of(case, "train")
    return error is not None and error.share < WELL


def _is_far_worse(error: Error, linear: Error) -> bool:
    """Whether it is by much and by more than chance."""
    return error.share - linear.share > WELL and is_more(error, linear)


def _patches(case: Case) -> tuple[Patch, ...]:
    config = case.config
    return present(
        bend(config),
        _unbound(case),
        more_units(config),
        rate(config, 10) if config.optimizer.learning_rate < 0.01 else None,
        another_layer(config),
        epochs(config, 3),
    )


def _unbound(case: Case) -> Patch | None:
    """Without what holds the network back: dropout and prices on weights."""
    hidden = case.config.hidden
    silenced = [at for at, layer in enumerate(hidden) if layer.dropout]
    priced = [at for at, layer in enumerate(hidden) if layer.kernel_regularizer]
    settings = each_hidden(case.config, "dropout", "0.0", silenced) if silenced else []
    if priced:
        settings += each_hidden(case.config, "kernel_regularizer", "null", priced)
    why = "takes away what holds the network back"
    return Patch("unbound", why, tuple(settings)) if settings else None
