"""Overfitting: what was learned of the training rows doesn't hold of others."""

from __future__ import annotations

from dlcli.diagnosis.case import Case
from dlcli.diagnosis.curve import Curve, is_from_zero, scale
from dlcli.diagnosis.error import SURE, Error, error_of, is_more
from dlcli.diagnosis.finding import Finding, number, percent
from dlcli.diagnosis.fit import learned_nothing
from dlcli.diagnosis.remedies import (
    augmentation,
    dropout,
    earlier_stop,
    fewer_units,
    present,
    weight_price,
)

LARGE_GAP = 0.1
"""A gap between training and validation rows that matters: a tenth of the way from knowing nothing
to knowing all."""
LOST = 0.05
"""Generalization loss from which on training has gone on for too long: Prechelt's GL of 5 %."""
_TAIL = 0.9
"""The last tenth of the epochs shows where training has led."""
_SOURCE = (
    "Goodfellow, Bengio & Courville, Deep Learning (2016), sections 5.2 and 7.8; "
    "Prechelt, Early Stopping - But When? (1998)"
)


def overfitting(case: Case) -> Finding | None:
    """A gap between training and validation rows, or a validation loss that rises again."""
    seen = [words for words in (_gap(case), _rise(case)) if words]
    if not seen or learned_nothing(case):
        return None
    config = case.config
    return Finding(
        rule="overfitting",
        saw="; ".join(seen),
        means="the network has learned training rows by heart, their noise included, instead of "
        "what holds of all rows; more rows would help most, and less room or more restraint do "
        "where there are none",
        patches=present(
            earlier_stop(config),
            augmentation(config),
            dropout(config),
            weight_price(config),
            fewer_units(config),
        ),
        source=_SOURCE,
    )


def has_gap(train: Error, held: Error) -> bool:
    """Whether validation rows are predicted worse, by much and by more than chance."""
    return held.share - train.share > LARGE_GAP and is_more(held, train)


def _gap(case: Case) -> str | None:
    train, held = error_of(case, "train"), error_of(case, "validation")
    if train is None or held is None or not has_gap(train, held):
        return None
    return f"training rows have {train.words}, validation rows {held.words}"


def _rise(case: Case) -> str | None:
    """Validation loss up again at the end, while training loss still fell: kept in the weights."""
    if (stopping := case.config.early_stopping) and stopping.restore_best_weights:
        return None
    held, train = Curve.of(case.curve("val_loss")), Curve.of(case.curve("loss"))
    if len(held) < 5 or len(train) < len(held):
        return None
    best = min(range(len(held)), key=lambda at: held.values[at])
    lowest, end = held.values[best], held.part(_TAIL, 1).mean
    rise = end - lowest
    size = abs(scale(held, lowest, case.config.loss))
    is_large = rise > LOST * max(size, abs(held.values[0]))
    # The lowest of many values lies below their level by chance, by 3 deviations at most.
    is_sure = rise > (SURE + 1) * held.wobble
    if not (is_large and is_sure and train.part(_TAIL, 1).mean < train.values[best]):
        return None
    is_share = lowest > 0 and is_from_zero(case.config.loss)
    share = f" ({percent(rise / lowest)} more)" if is_share else ""
    return (
        f"validation loss rose from {number(lowest)} in epoch {best + 1} to {number(end)} at the "
        f"end{share}, while training loss fell"
    )
