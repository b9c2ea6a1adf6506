"""Rules of the loss curves: learning rate too high or low, plateau, training that ends early."""

from __future__ import annotations

import math

from dlcli.config import Config, ConstantLearningRate, typical_learning_rate
from dlcli.diagnosis import remedies
from dlcli.diagnosis.case import Case
from dlcli.diagnosis.finding import Finding, number, percent
from dlcli.diagnosis.fit_rules import overfitting
from dlcli.diagnosis.gradient_and_unit_rules import dead_units
from dlcli.diagnosis.loss_curve import Curve, has_minimum_zero, scale_of
from dlcli.diagnosis.model_error import SURE, learned_nothing, learned_well
from dlcli.diagnosis.remedies import present

FEWEST = 8
"""Epochs below which a curve shows nothing."""
MUCH_NOISE = 0.15
"""Noise of an epoch's loss, as a share of it, that shows steps that are too long."""
SOME_NOISE = 0.06
"""Noise that shorter steps would remove."""
ROSE = 1.5
"""Ratio of the final to the best level from which on a training loss has risen again."""
VERY_HIGH = 10.0
"""Multiple of the usual learning rate from which on it is the likeliest cause."""
LINEAR = 0.5
"""Ratio of the slopes in the last and first third from which on a loss is nearly a straight line.
An exponential decay has then covered less than two thirds of its way: exp(−2k/3) = 1/2 holds for
k = 1.04 time constants, and exp(−1.04) = 0.35 is left."""
UNSETTLED = 0.04
"""Share of the whole decrease in the last fifth of the epochs from which on a loss has not settled.
An exponential decay gains 4 % there after three time constants, when 95 % of its way are done."""
MATTERS = 0.01
"""The same as a share of the loss itself."""
_SMITH = "Smith, Cyclical Learning Rates for Training Neural Networks (2017)"
_BENGIO = "Bengio, Practical Recommendations for Gradient-Based Training (2012), section 3.1.1"
_GOODFELLOW = "Goodfellow, Bengio & Courville, Deep Learning (2016), section"


def rate_too_high(case: Case) -> Finding | None:
    """Find a training loss that oscillates or rises, or so high a rate that nothing was learned."""
    if case.diverged or learned_well(case):
        return None
    config, train = case.config, Curve.of(case.curve("loss"))
    found = [_oscillation(case, train), _rise(case, train), _collapse(case)]
    seen = [words for words in found if words]
    if not seen:
        return None
    return Finding(
        rule="learning_rate_too_high",
        saw=f"{'; '.join(seen)}; optimizer.learning_rate is {config.optimizer.learning_rate:g}",
        means="steps are so long that they cross the valley of the loss and end on its other side, "
        "sometimes higher than before",
        patches=present(
            remedies.usual_learning_rate(config),
            remedies.learning_rate(config, 1 / 10),
            remedies.learning_rate(config, 1 / 3),
            remedies.cosine_decay(config),
            remedies.clipping(config),
        ),
        source=f"{_GOODFELLOW} 11.4.1; {_SMITH}",
    )


def _oscillation(case: Case, train: Curve) -> str | None:
    if len(train) < FEWEST:
        return None
    late = train.part(1 / 2, 1)
    size = scale_of(train, late.level, case.config.loss)
    # Random layers make the loss of a row vary by about its own size, and the mean over n rows by
    # 1/√n of that; more than three standard deviations are something else.
    rows, limit = case.rows.get("train", 0), MUCH_NOISE
    if rows and _is_random(case.config):
        limit = max(limit, 3 / math.sqrt(rows))
    if size <= 0 or late.noise / size <= limit:
        return None
    what = "its level" if has_minimum_zero(case.config.loss) else "its size"
    return f"training loss jumps by {percent(late.noise / size)} of {what} from epoch to epoch"


def _is_random(config: Config) -> bool:
    """Whether a row's loss depends on random numbers or on the rest of its batch."""
    features = (config.input.features or {}).values()
    return any(layer.dropout or layer.batch_normalization for layer in config.hidden) or any(
        getattr(feature, "augmentation", None) is not None for feature in features
    )


def _rise(case: Case, train: Curve) -> str | None:
    """Compare levels, not values, so that a single jump is no trend."""
    if len(train) < FEWEST:
        return None
    end, size = train.part(0.9, 1).level, max(1, len(train) // 10)
    starts = range(0, len(train) - size + 1, size)
    best = min(Curve(train.values[at : at + size]).level for at in starts)
    scale = scale_of(train, best, case.config.loss)
    if scale <= 0 or end - best <= (ROSE - 1) * scale or end - best <= 3 * train.noise:
        return None
    return f"training loss rose again from {number(best)} to {number(end)}"


def _collapse(case: Case) -> str | None:
    optimizer = case.config.optimizer
    times = optimizer.learning_rate / typical_learning_rate(optimizer)
    if times <= VERY_HIGH or not (learned_nothing(case) or dead_units(case)):
        return None
    what = "nothing was learned" if learned_nothing(case) else "most units of a layer died"
    usual = f"the usual {typical_learning_rate(optimizer):g} of {optimizer.name}"
    return f"{what}, and the learning rate is {number(times)} times {usual}"


def rate_too_low(case: Case) -> Finding | None:
    """Find a training loss that falls at the end about as fast as at first."""
    train = Curve.of(case.curve("loss"))
    if case.diverged or learned_well(case) or len(train) < FEWEST or _stopped_early(case):
        return None
    first, end = train.part(0, 1 / 3).slope, train.part(2 / 3, 1)
    is_steady = train.fall > 0 and end.slope > SURE * end.slope_error
    if not is_steady or end.slope < LINEAR * first:
        return None
    config = case.config
    saw = f"training loss fell from {number(train.values[0])} to {number(train.values[-1])}, "
    if first > 0:
        saw += f"in the last third of the epochs still {percent(end.slope / first)} as fast as in "
        saw += f"the first; optimizer.learning_rate is {config.optimizer.learning_rate:g}"
    else:
        saw += "and ever faster"
    return Finding(
        rule="learning_rate_too_low",
        saw=saw,
        means="steps are so short that training has covered only part of its way",
        patches=(
            remedies.learning_rate(config, 10),
            remedies.learning_rate(config, 100),
            remedies.more_epochs(config, 5),
        ),
        source=f"{_GOODFELLOW} 11.4.1; {_BENGIO}",
    )


def plateau(case: Case) -> Finding | None:
    """Find a training loss that is level and noisy in the second half, at a constant rate.

    Gradient noise keeps steps of constant length from settling; the loss stays higher by an amount
    proportional to the rate (Bottou, Curtis & Nocedal 2018, theorem 4.6). Noise of dropout and the
    like looks the same, so that such runs are passed over.
    """
    train = Curve.of(case.curve("loss"))
    late = train.part(1 / 2, 1)
    is_constant = isinstance(case.config.learning_rate_schedule, ConstantLearningRate)
    if case.diverged or not is_constant or _is_random(case.config) or len(late) < FEWEST:
        return None
    if not _is_level(late) or learned_nothing(case) or learned_well(case):
        return None
    size = scale_of(train, late.level, case.config.loss)
    noise = late.noise / size if size > 0 else 0.0
    if noise < SOME_NOISE or rate_too_high(case) or overfitting(case):
        return None
    return Finding(
        rule="plateau",
        saw=f"training loss has been level at {number(late.level)} for the last {len(late)} "
        f"epochs, with noise of {percent(noise)} of it, at a constant learning rate",
        means="steps of one length can't settle in the valley that they have found; shorter ones "
        "towards the end can",
        patches=present(
            remedies.cosine_decay(case.config),
            remedies.reduce_on_plateau(case.config),
            remedies.learning_rate(case.config, 1 / 3),
        ),
        source=f"{_GOODFELLOW} 8.3.1; Bottou, Curtis & Nocedal, Optimization Methods for "
        "Large-Scale Machine Learning (2018)",
    )


def _is_level(curve: Curve) -> bool:
    """Whether the trend is insignificant, or small against the noise."""
    is_insignificant = abs(curve.slope) <= SURE * curve.slope_error
    return is_insignificant or abs(curve.slope) * len(curve) <= SURE * curve.noise


def still_improving(case: Case) -> Finding | None:
    """Find a loss, of validation rows if there are any, that falls until the last epoch."""
    name = "val_loss" if case.curve("val_loss") else "loss"
    curve = Curve.of(case.curve(name))
    if case.diverged or len(curve) < FEWEST or _stopped_early(case) or rate_too_low(case):
        return None
    last = curve.part(0.8, 1)
    gain = last.slope * len(last)
    is_sure = last.slope > SURE * last.slope_error
    size = abs(scale_of(curve, curve.values[-1], case.config.loss))
    if curve.fall <= 0 or not is_sure or gain <= UNSETTLED * curve.fall or gain <= MATTERS * size:
        return None
    words = "validation loss" if name == "val_loss" else "training loss"
    return Finding(
        rule="still_improving",
        saw=f"{words} still fell at the end: from {number(last.values[0])} to "
        f"{number(last.values[-1])} in the last {len(last)} of {len(curve)} epochs, "
        f"{percent(gain / curve.fall)} of its whole decrease",
        means="training ended before it had converged",
        patches=(remedies.more_epochs(case.config, 3), remedies.learning_rate(case.config, 3)),
        source=f"{_GOODFELLOW} 7.8; Prechelt, Early Stopping - But When? (1998)",
    )


def _stopped_early(case: Case) -> bool:
    return len(case.curve("loss")) < case.config.epochs
