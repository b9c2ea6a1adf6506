"""Rules of the fit: overfitting, underfitting, and models no better than a simple one."""

from __future__ import annotations

import math

from dlcli.diagnosis import remedies
from dlcli.diagnosis.case import Case
from dlcli.diagnosis.finding import Finding, Patch, number, percent
from dlcli.diagnosis.loss_curve import Curve, has_minimum_zero, scale_of
from dlcli.diagnosis.model_error import (
    SURE,
    WELL,
    beats_constant,
    error_of,
    learned_nothing,
)
from dlcli.diagnosis.remedies import present

LARGE_GAP = 0.1
"""Gap between the errors on training and validation rows that matters."""
LOST = 0.05
"""Relative increase of the validation loss that matters: Prechelt's generalization loss of 5 %."""
MATTERS = 0.05
"""Share of the constant model's error by which a useful network is better."""
LITTLE = 0.1
"""Share of the linear model's error by which useful hidden layers reduce it."""
_GOODFELLOW = "Goodfellow, Bengio & Courville, Deep Learning (2016)"
_BASELINES = (
    f"{_GOODFELLOW}, section 11.2; Hand, Classifier Technology and the Illusion of Progress (2006)"
)


def overfitting(case: Case) -> Finding | None:
    """Find a gap between training and validation rows, or a validation loss that rises again."""
    seen = [words for words in (_gap(case), _rise(case)) if words]
    if not seen or learned_nothing(case):
        return None
    config = case.config
    return Finding(
        rule="overfitting",
        saw="; ".join(seen),
        means="the network has memorized training rows, their noise included, instead of what "
        "holds for all rows; more rows would help most, and without them less capacity or more "
        "regularization",
        patches=present(
            remedies.early_stopping(config),
            remedies.augmentation(config),
            remedies.dropout(config),
            remedies.weight_penalty(config),
            remedies.fewer_units(config),
        ),
        source=f"{_GOODFELLOW}, sections 5.2 and 7.8; Prechelt, Early Stopping - But When? (1998)",
    )


def _gap(case: Case) -> str | None:
    train, held_out = error_of(case, "train"), error_of(case, "validation")
    if train is None or held_out is None or held_out.share - train.share <= LARGE_GAP:
        return None
    if not held_out.is_more_than(train):
        return None
    return f"training rows have {train.words}, validation rows {held_out.words}"


def _rise(case: Case) -> str | None:
    """Find a rise of the final validation loss while the training loss fell.

    With `restore_best_weights` it is not in the weights.
    """
    if (stopping := case.config.early_stopping) and stopping.restore_best_weights:
        return None
    held_out, train = Curve.of(case.curve("val_loss")), Curve.of(case.curve("loss"))
    if len(held_out) < 5 or len(train) < len(held_out):
        return None
    best = min(range(len(held_out)), key=lambda at: held_out.values[at])
    lowest, end = held_out.values[best], held_out.part(0.9, 1).mean
    rise = end - lowest
    size = abs(scale_of(held_out, lowest, case.config.loss))
    is_large = rise > LOST * max(size, abs(held_out.values[0]))
    # The lowest of many values is below their level at random, by 3 standard deviations at most.
    is_sure = rise > (SURE + 1) * held_out.noise
    if not (is_large and is_sure and train.part(0.9, 1).mean < train.values[best]):
        return None
    is_share = lowest > 0 and has_minimum_zero(case.config.loss)
    share = f" ({percent(rise / lowest)} more)" if is_share else ""
    return (
        f"validation loss rose from {number(lowest)} in epoch {best + 1} to {number(end)} at the "
        f"end{share}, while training loss fell"
    )


def underfitting(case: Case) -> Finding | None:
    """Find training rows predicted hardly better than by a constant, or worse than by a line.

    A network with a hidden layer can be nearly linear: one that fits training rows worse than the
    linear model has not been trained to its potential.
    """
    error = error_of(case, "train")
    if error is None:
        return None
    linear = error_of(case, "train", "linear") if case.config.hidden else None
    if learned_nothing(case):
        saw = "even training rows are predicted hardly better than by always the same answer: "
        saw += error.words
    elif linear and error.share - linear.share > WELL and error.is_more_than(linear):
        saw = f"training rows have {error.words}, and {linear.words} by a linear model"
    else:
        return None
    config = case.config
    is_slow = config.optimizer.learning_rate < 0.01
    return Finding(
        rule="underfitting",
        saw=saw,
        means="the network has too little capacity for what there is to learn, is restricted or "
        "was not trained long enough; or the columns say nothing about the target",
        patches=present(
            remedies.nonlinear(config),
            remedies.unregularized(config),
            remedies.more_units(config),
            remedies.learning_rate(config, 10) if is_slow else None,
            remedies.another_layer(config),
            remedies.more_epochs(config, 3),
        ),
        source=f"{_GOODFELLOW}, sections 5.2 and 11.4.1; Bengio, Practical Recommendations for "
        "Gradient-Based Training (2012)",
    )


def no_better_than_constant(case: Case) -> Finding | None:
    """Find held-out rows predicted no better than by a constant."""
    split = _held_out(case)
    error, constant = error_of(case, split), error_of(case, split, "constant")
    if error is None or constant is None or error.share < (1 - MATTERS) * constant.share:
        return None
    if beats_constant(case, split, MATTERS):
        return None
    return Finding(
        rule="no_better_than_constant",
        saw=f"{split} rows have {error.words}, and {constant.words} by always the same answer",
        means="what the network has learned doesn't help with rows that it hasn't seen: the "
        "columns may say nothing about the target, or training went wrong; check the table first, "
        "with `dlcli inspect`",
        patches=(),
        source=_BASELINES,
    )


def no_better_than_linear(case: Case) -> Finding | None:
    """Find held-out rows predicted no better than by a linear model.

    A significant gain is real, however small. Else the largest plausible gain, two standard errors
    above the observed one, must be small. Both models are compared on the same rows, so that the
    standard error for two independent sets is conservative.
    """
    split = _held_out(case)
    error, linear = error_of(case, split), error_of(case, split, "linear")
    if not case.config.hidden or error is None or linear is None or linear.share < WELL:
        return None
    doubt = SURE * math.hypot(error.deviation, linear.deviation)
    gain = linear.share - error.share
    if gain > doubt or gain + doubt >= LITTLE * linear.share:
        return None
    return Finding(
        rule="no_better_than_linear",
        saw=f"{split} rows have {error.words}, and {linear.words} by a linear model",
        means="the hidden layers add nothing to a straight line: there is nothing nonlinear to "
        "learn, there are too few rows to learn it from, or training went wrong",
        patches=(
            Patch("linear", "is the linear model, with no hidden layer", (("hidden", "[]"),)),
        ),
        source=_BASELINES,
    )


def _held_out(case: Case) -> str:
    """Return the split of held-out rows: test rows only without validation rows."""
    return "validation" if "validation" in case.metrics else "test"
