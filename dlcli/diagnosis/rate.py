"""Learning rates that are too high or too low, as the training loss shows them."""

from __future__ import annotations

import math

from dlcli.config import Config, typical_learning_rate
from dlcli.diagnosis.case import Case
from dlcli.diagnosis.curve import Curve, is_from_zero, scale
from dlcli.diagnosis.error import SURE
from dlcli.diagnosis.finding import Finding, number, percent
from dlcli.diagnosis.fit import learned_nothing, learned_well
from dlcli.diagnosis.remedies import clipping, epochs, falling_rate, present, rate, to_usual_rate
from dlcli.diagnosis.units import dead_units

MUCH = 0.15
"""Noise of an epoch's loss, as a share of it, that shows steps which are too long."""
VERY_HIGH = 10.0
"""How many times its usual value a learning rate may be before it is the likeliest cause."""
ROSE = 1.5
"""How many times its best level a training loss must end at to have risen again."""
FEWEST = 8
"""Epochs below which a curve shows nothing."""
LINEAR = 0.5
"""Slope of the last third of a loss, as a share of that of the first, from which on it is nearly a
straight line. A loss that comes near its end exponentially has then gone less than two thirds of
its way: exp(−2k/3) = 1/2 is k = 1.04 time constants, and exp(−1.04) = 0.35 is left."""
_HIGH = (
    "Goodfellow, Bengio & Courville, Deep Learning (2016), section 11.4.1; "
    "Smith, Cyclical Learning Rates for Training Neural Networks (2017)"
)
_LOW = (
    "Goodfellow, Bengio & Courville, Deep Learning (2016), section 11.4.1; "
    "Bengio, Practical Recommendations for Gradient-Based Training (2012), section 3.1.1"
)


def rate_too_high(case: Case) -> Finding | None:
    """A training loss that leaps to and fro or rises, or steps so long that nothing was learned."""
    if case.diverged or learned_well(case):
        return None
    config, train = case.config, Curve.of(case.curve("loss"))
    seen = [words for words in (_leaps(case, train), _rises(case, train), _collapse(case)) if words]
    if not seen:
        return None
    return Finding(
        rule="learning_rate_too_high",
        saw=f"{'; '.join(seen)}; optimizer.learning_rate is {config.optimizer.learning_rate:g}",
        means="steps are so long that they leap over the valley of the loss and land on the other "
        "side, sometimes higher than before",
        patches=present(
            to_usual_rate(config),
            rate(config, 1 / 10),
            rate(config, 1 / 3),
            falling_rate(config),
            clipping(config),
        ),
        source=_HIGH,
    )


def rate_too_low(case: Case) -> Finding | None:
    """A training loss that falls steadily, and at the end still about as fast as at first."""
    train = Curve.of(case.curve("loss"))
    if case.diverged or learned_well(case) or len(train) < FEWEST or stopped_early(case):
        return None
    first, last = train.part(0, 1 / 3).slope, train.part(2 / 3, 1).slope
    is_steady = train.fall > 0 and last > SURE * train.part(2 / 3, 1).slope_error
    if not is_steady or last < LINEAR * first:
        return None
    config = case.config
    return Finding(
        rule="learning_rate_too_low",
        saw=f"training loss fell from {number(train.values[0])} to {number(train.values[-1])}, in "
        f"the last third of the epochs still {percent(last / first)} as fast as in the first; "
        f"optimizer.learning_rate is {config.optimizer.learning_rate:g}"
        if first > 0
        else f"training loss fell from {number(train.values[0])} to {number(train.values[-1])}, "
        "and ever faster",
        means="steps are so short that training has gone only part of its way",
        patches=present(rate(config, 10), rate(config, 100), epochs(config, 5)),
        source=_LOW,
    )


def stopped_early(case: Case) -> bool:
    """Whether training ended before the last epoch, because it stopped improving."""
    return len(case.curve("loss")) < case.config.epochs


def _noise_limit(case: Case) -> float:
    """Noise that a loss may have by what is drawn by lot in each step.

    Dropout, varied images and batches that are normalised by themselves make the loss of a row vary
    by about its own size, and the mean over n rows by 1/√n of that; three deviations are more.
    """
    rows = case.rows.get("train", 0)
    return max(MUCH, 3 / math.sqrt(rows)) if is_varied(case.config) and rows else MUCH


def is_varied(config: Config) -> bool:
    """Whether the loss of a row depends on what is drawn by lot in each step."""
    features = (config.input.features or {}).values()
    return any(layer.dropout or layer.batch_normalization for layer in config.hidden) or any(
        getattr(feature, "augmentation", None) is not None for feature in features
    )


def _leaps(case: Case, train: Curve) -> str | None:
    if len(train) < FEWEST:
        return None
    late = train.part(1 / 2, 1)
    size = scale(train, late.level, case.config.loss)
    if size <= 0 or late.wobble / size <= _noise_limit(case):
        return None
    noise = percent(late.wobble / size)
    what = "its level" if is_from_zero(case.config.loss) else "its size"
    return f"training loss leaps by {noise} of {what} from epoch to epoch"


def _rises(case: Case, train: Curve) -> str | None:
    """A median, as one leap is no trend, and a level that was held before."""
    if len(train) < FEWEST:
        return None
    end, size = train.part(0.9, 1).level, max(1, len(train) // 10)
    levels = [
        Curve(train.values[at : at + size]).level for at in range(0, len(train) - size + 1, size)
    ]
    best = min(levels)
    measure = scale(train, best, case.config.loss)
    if measure <= 0 or end - best <= (ROSE - 1) * measure or end - best <= 3 * train.wobble:
        return None
    return f"training loss rose again from {number(best)} to {number(end)}"


def _collapse(case: Case) -> str | None:
    optimizer = case.config.optimizer
    times = optimizer.learning_rate / typical_learning_rate(optimizer)
    if times <= VERY_HIGH or not (learned_nothing(case) or dead_units(case)):
        return None
    what = "nothing was learned" if learned_nothing(case) else "most units of a layer died"
    return (
        f"{what}, and the learning rate is {number(times)} times the usual "
        f"{typical_learning_rate(optimizer):g} of {optimizer.name}"
    )
