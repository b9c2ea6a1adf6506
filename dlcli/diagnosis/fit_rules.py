"""Rules about the fit: learning rate, epochs, overfitting, and models that are too simple."""

from __future__ import annotations

import math

from dlcli.config.config_schema import Config
from dlcli.config.data_section import GroupSplit, TimeSplit
from dlcli.config.training_choices import ConstantLearningRate, CosineDecayRestarts
from dlcli.diagnosis import remedies
from dlcli.diagnosis.case import (
    LEARNED_NOTHING,
    LEARNED_WELL,
    STANDARD_ERRORS,
    Case,
    Curve,
    overfits_at_once,
)
from dlcli.diagnosis.remedies import Finding, Patch, number, percent, present
from dlcli.diagnosis.setup_rules import dead_units, long_tail
from dlcli.metrics import wording
from dlcli.metrics.definitions import is_higher_better
from dlcli.prediction.baseline_comparison import Conclusion, skill_words

FEWEST_EPOCHS = 8
"""Epochs below which a curve shows nothing."""
SHORT_TRAINING = 10
"""Factor by which to extend a training of fewer than `FEWEST_EPOCHS`."""
MUCH_NOISE = 0.15
"""Noise of the loss per epoch, as a share of the loss, that indicates steps that are too long."""
SOME_NOISE = 0.06
"""Noise that shorter steps would remove."""
RISEN = 1.5
"""Ratio of the final to the best level from which a training loss has risen again."""
VERY_HIGH = 10.0
"""Multiple of the usual learning rate from which the rate is the likeliest cause."""
LINEAR = 0.5
"""Ratio of the slopes in the last and first third from which a loss is nearly a straight line. An
exponential decay has then completed less than two thirds of its decrease: exp(−2k/3) = 1/2 holds
for k = 1.04 time constants, and exp(−1.04) = 0.35 remains."""
UNSETTLED = 0.04
"""Share of the decrease in the last fifth of the epochs from which a loss has not converged. It is
4 % for an exponential decay of three time constants, which is 95 % complete."""
LEAST_GAIN = 0.01
"""The same, as a share of the loss."""
LARGE_DIFFERENCE = 0.1
"""Difference between the errors on validation and training rows that matters."""
GENERALIZATION_LOSS = 0.05
"""Relative increase of the validation loss that matters (Prechelt 1998)."""
USEFUL = 0.05
"""Share of the constant model's error that a useful network must remove."""
_SMITH = "Smith, Cyclical Learning Rates for Training Neural Networks (2017)"
_BENGIO = "Bengio, Practical Recommendations for Gradient-Based Training (2012)"
_GOODFELLOW = "Goodfellow, Bengio & Courville, Deep Learning (2016)"
_PRECHELT = "Prechelt, Early Stopping - But When? (1998)"
_BASELINES = (
    f"{_GOODFELLOW}, section 11.2; Hand, Classifier Technology and the Illusion of Progress (2006)"
)


def rate_too_high(case: Case) -> Finding | None:
    """Find a loss that oscillates or rises, or a learning rate too high to learn anything."""
    if case.learned_well:
        return None
    config, train, collapse = case.config, case.curve("loss"), _collapse(case)
    if _memorized(case) and not collapse:  # a very high rate starts at a loss as high
        return None
    observations = [_oscillation(case, train), _training_rise(case, train), collapse]
    if not any(observations):
        return None
    times = f"; that is {_times_usual(config)}" if collapse else ""
    observations.append(f"optimizer.learning_rate is {config.optimizer.learning_rate:g}{times}")
    return Finding(
        rule="learning_rate_too_high",
        observation="; ".join(filter(None, observations)),
        meaning="steps overshoot the minimum of the loss, so the loss jumps or rises",
        patches=present(
            remedies.usual_learning_rate(config),
            remedies.learning_rate(config, 1 / 10),
            remedies.learning_rate(config, 1 / 3),
            remedies.cosine_decay(config),
            remedies.clipping(config),
        ),
        source=f"{_GOODFELLOW}, section 11.4.1; {_SMITH}",
    )


def _memorized(case: Case) -> bool:
    """Return whether the loss fell nearly to 0, where jumps are tiny, after the best epoch.

    The metrics belong to the weights of that epoch, so they don't show it.
    """
    train = case.curve("loss")
    is_known = len(train) >= FEWEST_EPOCHS and case.has_minimum_zero
    if not (_restores_best(case.config) and is_known):
        return False
    return train.part(1 / 2, 1).level < LEARNED_WELL * train.values[0]


def _oscillation(case: Case, train: Curve) -> str:
    if len(train) < FEWEST_EPOCHS:
        return ""
    late = train.part(1 / 2, 1)
    size = case.scale_of(train, late.level)
    # Dropout and the like change the loss of a row by about its size, and the mean of n rows by
    # 1/√n of it; more than three standard deviations have another cause.
    rows, limit = case.rows.get("train", 0), MUCH_NOISE
    if rows and _is_random(case.config):
        limit = max(limit, 3 / math.sqrt(rows))
    if size <= 0 or late.noise / size <= limit:
        return ""
    what = "its level" if case.has_minimum_zero else "its size"
    return f"training loss jumps by {percent(late.noise / size)} of {what} from epoch to epoch"


def _is_random(config: Config) -> bool:
    """Return whether a row's loss depends on random numbers or on the rest of its batch."""
    features = (config.input.features or {}).values()
    return any(layer.dropout or layer.batch_normalization for layer in config.hidden) or any(
        getattr(feature, "augmentation", None) is not None for feature in features
    )


def _training_rise(case: Case, train: Curve) -> str:
    """Return the evidence of a rise, by levels rather than values, which a single jump changes."""
    if len(train) < FEWEST_EPOCHS or _rate_restarts(case.config):
        return ""
    end, size = train.part(0.9, 1).level, max(1, len(train) // 10)
    starts = range(0, len(train) - size + 1, size)
    best = min(Curve(train.values[at : at + size]).level for at in starts)
    scale = case.scale_of(train, best)
    if scale <= 0 or end - best <= (RISEN - 1) * scale or end - best <= 3 * train.noise:
        return ""
    return f"training loss rose again from {number(best)} to {number(end)}"


def _collapse(case: Case) -> str:
    if not _is_rate_very_high(case.config):
        return ""
    if case.learned_nothing:
        what = "nothing was learned"
    elif dead_units(case):
        what = "most units of a layer died"
    elif _is_worse_than_a_line(case):
        what = "training rows are predicted worse than by a linear model"
    else:
        return ""
    return what


def _is_rate_very_high(config: Config) -> bool:
    optimizer = config.optimizer
    times = optimizer.learning_rate / remedies.typical_learning_rate(optimizer)
    return times > VERY_HIGH


def _times_usual(config: Config) -> str:
    return remedies.times_typical(config.optimizer.learning_rate, config.optimizer)


def rate_too_low(case: Case) -> Finding | None:
    """Find a training loss that falls about as fast at the end as at the beginning."""
    train = case.curve("loss")
    if case.learned_well or len(train) < FEWEST_EPOCHS or _stopped_early(case):
        return None
    if _rate_restarts(case.config):
        return None
    first, end = train.part(0, 1 / 3).slope, train.part(2 / 3, 1)
    is_steady = train.fall > 0 and end.slope > STANDARD_ERRORS * end.slope_error
    if not is_steady or end.slope < LINEAR * first:
        return None
    config = case.config
    fall = f"training loss fell from {number(train.values[0])} to {number(train.values[-1])}"
    if first > 0:
        fall += f"; its slope in the last third of the epochs is {percent(end.slope / first)} of "
        fall += "the slope in the first third; "
        fall += f"optimizer.learning_rate is {config.optimizer.learning_rate:g}"
    else:
        fall += " at an increasing rate"
    return Finding(
        rule="learning_rate_too_low",
        observation=fall,
        meaning="steps are so small that training has not converged",
        patches=(
            remedies.learning_rate(config, 10),
            remedies.learning_rate(config, 100),
            remedies.more_epochs(config, 5),
        ),
        source=f"{_GOODFELLOW}, section 11.4.1; {_BENGIO}, section 3.1.1",
    )


def plateau(case: Case) -> Finding | None:
    """Find a training loss that is flat and noisy in the second half, at a constant rate.

    Because of gradient noise, steps of constant length do not converge; the loss stays higher by an
    amount proportional to the rate (Bottou, Curtis & Nocedal 2018, theorem 4.6). Dropout and the
    like cause the same noise, so their runs are skipped.
    """
    late = case.curve("loss").part(1 / 2, 1)
    is_constant = isinstance(case.config.learning_rate_schedule, ConstantLearningRate)
    if not is_constant or _is_random(case.config) or len(late) < FEWEST_EPOCHS:
        return None
    is_level = abs(late.slope) <= STANDARD_ERRORS * max(late.slope_error, late.noise / len(late))
    if not is_level or case.learned_nothing or case.learned_well or _memorized(case):
        return None
    size = case.scale_of(case.curve("loss"), late.level)
    noise = late.noise / size if size > 0 else 0.0
    if noise < SOME_NOISE or rate_too_high(case) or overfitting(case):
        return None
    return Finding(
        rule="plateau",
        observation=f"training loss has been flat at {number(late.level)} "
        f"(noise: {percent(noise)}) for the last {len(late)} epochs, at a constant learning rate",
        meaning="steps of constant size can't converge to the minimum; shrinking steps can",
        patches=present(
            remedies.cosine_decay(case.config),
            remedies.reduce_on_plateau(case.config),
            remedies.learning_rate(case.config, 1 / 3),
        ),
        source=f"{_GOODFELLOW}, section 8.3.1; Bottou, Curtis & Nocedal, Optimization Methods for "
        "Large-Scale Machine Learning (2018)",
    )


def still_improving(case: Case) -> Finding | None:
    """Find a validation loss, or else a training loss, that falls until the last epoch."""
    name = "val_loss" if case.history.get("val_loss") else "loss"
    curve = case.curve(name)
    if len(curve) < FEWEST_EPOCHS or _stopped_early(case) or rate_too_low(case):
        return None
    last = curve.part(0.8, 1)
    gain = last.slope * len(last)
    size = abs(case.scale_of(curve, curve.values[-1]))
    is_significant = last.slope > STANDARD_ERRORS * last.slope_error and curve.fall > 0
    if not is_significant or gain <= max(UNSETTLED * curve.fall, LEAST_GAIN * size):
        return None
    words = "validation loss" if name == "val_loss" else "training loss"
    return Finding(
        rule="still_improving",
        observation=f"{words} still fell at the end: from {number(last.values[0])} to "
        f"{number(last.values[-1])} in the last {len(last)} of {len(curve)} epochs",
        meaning="training ended before it converged",
        patches=(remedies.more_epochs(case.config, 3), remedies.learning_rate(case.config, 3)),
        source=f"{_GOODFELLOW}, section 7.8; {_PRECHELT}",
    )


def _restores_best(config: Config) -> bool:
    return config.early_stopping is not None and config.early_stopping.restore_best_weights


def _rate_restarts(config: Config) -> bool:
    """Return whether the learning rate has warm restarts, with which the loss rises and falls."""
    return isinstance(config.learning_rate_schedule, CosineDecayRestarts)


def _stopped_early(case: Case) -> bool:
    return len(case.history.get("loss", ())) < case.config.last_epoch


def overfitting(case: Case) -> Finding | None:
    """Find validation rows with a larger error, or a validation loss that rises again."""
    observations = [
        _difference_to_training(case),
        _validation_rise(case) or _rise_after_first_epoch(case),
    ]
    if not any(observations) or case.learned_nothing:
        return None
    config, split = case.config, case.config.data.split
    or_drift = ""
    if isinstance(split, GroupSplit | TimeSplit):
        others = "later rows" if isinstance(split, TimeSplit) else "other groups"
        or_drift = f", or {others} differ from the training rows"
    return Finding(
        rule="overfitting",
        observation="; ".join(filter(None, observations)),
        meaning="the network has memorized training rows, including their noise"
        f"{or_drift}; more training rows help most, then less capacity or more regularization",
        patches=present(
            remedies.early_stopping(config),
            remedies.augmentation(config),
            remedies.no_scaling_layer(config),
            remedies.dropout(config),
            remedies.weight_penalty(config),
            remedies.fewer_units(config),
        ),
        source=f"{_GOODFELLOW}, sections 5.2 and 7.8; {_PRECHELT}",
    )


def _difference_to_training(case: Case) -> str:
    """Return the evidence of a larger error on validation rows than on training rows.

    It must be larger both on the scale of the validation rows and on the scale of the training
    rows: where the target varies less, a smaller error can be a larger share. Rows that a linear
    model predicts better were not memorized.
    """
    train, held_out = case.error("train"), case.error("validation")
    if train is None or held_out is None or _is_worse_than_a_line(case):
        return ""
    both = (held_out, held_out.on_scale_of(train))
    is_larger = all(error.is_more_than(train, by=LARGE_DIFFERENCE) for error in both)
    if not is_larger or _is_usual_difference(case):
        return ""
    rows = f"{case.config.adjective('validation')} rows"
    return f"{train.words} on training rows, {held_out.value_words} on {rows}"


def _is_worse_than_a_line(case: Case) -> bool:
    """Return whether the linear model predicts training rows better."""
    error, linear = case.error("train"), case.error("train", "linear")
    if error is None or linear is None or not case.config.hidden:
        return False
    return error.is_more_than(linear, by=LEARNED_WELL)


def _is_usual_difference(case: Case) -> bool:
    """Return whether it is normal that an ensemble predicts training rows better.

    Most members were trained on each row, and each keeps the weights of its best epoch on its
    held-out rows, so memorizing did no harm until then. It did if these weights are not kept, or if
    a simpler model is better.
    """
    if case.config.ensemble_folds is None or not _restores_best(case.config):
        return False
    return not _is_worse_than_a_baseline(case)


def _is_worse_than_a_baseline(case: Case) -> bool:
    return any(each.verdict == "worse" for each in case.comparison.on("validation").values())


def _validation_rise(case: Case) -> str:
    """Find a rise of the final validation loss while the training loss fell.

    With `restore_best_weights`, the weights are from before the rise. But if a simpler model is
    better, the network had not learned enough when it began to memorize.
    """
    if _restores_best(case.config) and not _is_worse_than_a_baseline(case):
        return ""
    held_out, train = case.curve("val_loss"), case.curve("loss")
    if len(held_out) < 5 or len(train) < len(held_out):
        return ""
    lowest, end = min(held_out.values), held_out.part(0.9, 1).mean
    best, rise = held_out.values.index(lowest), end - lowest
    size = abs(case.scale_of(held_out, lowest))
    is_large = rise > GENERALIZATION_LOSS * max(size, abs(held_out.values[0]))
    # The minimum of many values is below their level by chance, at most 3 standard deviations.
    is_significant = rise > (STANDARD_ERRORS + 1) * held_out.noise
    if not (is_large and is_significant and train.part(0.9, 1).mean < train.values[best]):
        return ""
    is_share = lowest > 0 and case.has_minimum_zero
    share = f" ({percent(rise / lowest)} more)" if is_share else ""
    return (
        f"validation loss rose from {number(lowest)} in epoch {best + 1} to {number(end)} on "
        f"average over the last tenth of the epochs{share}, while training loss fell"
    )


def _rise_after_first_epoch(case: Case) -> str:
    epochs = len(case.history.get("val_loss", ()))
    if not overfits_at_once(case.best_epochs, epochs):
        return ""
    return f"the best epoch was the first of {epochs}"


def underfitting(case: Case) -> Finding | None:
    """Find training rows that a constant predicts about as well, or a linear model better.

    A network with a hidden layer can be nearly linear. If it fits training rows worse than the
    linear model, training did not use its capacity, unless it had begun to memorize them.
    """
    error, linear = case.error("train"), case.error("train", "linear")
    if error is None:
        return None
    is_worse = _is_worse_than_a_line(case)
    if case.learned_nothing:
        if not is_worse and error.share * (1 - _later_gain(case)) < LEARNED_NOTHING:
            return None
        better = "hardly better" if error.share < 1 else "no better"
        observation = f"even on training rows, the network is {better} than a constant prediction: "
        observation += error.words
    elif linear and is_worse and not _validation_rise(case):
        observation = f"{error.words} on training rows, and {linear.value_words} for a linear model"
    else:
        return None
    # If a linear model finds a relation, the columns contain it.
    or_nothing = "" if is_worse else "; or the columns hold no information about the target"
    config = case.config
    is_slow = config.optimizer.learning_rate < 0.01
    is_short = len(case.history.get("loss", ())) < FEWEST_EPOCHS and not _stopped_early(case)
    is_unfinished = is_short or still_improving(case) is not None
    epochs = remedies.more_epochs(config, SHORT_TRAINING if is_short else 3)
    is_constant = isinstance(config.learning_rate_schedule, ConstantLearningRate)
    has_no_effect = _stopped_early(case) and is_constant  # early stopping would end it again
    return Finding(
        rule="underfitting",
        observation=observation,
        meaning="the network has too little capacity or too much regularization, or was not "
        f"trained long enough{or_nothing}",
        patches=present(
            remedies.nonlinear(config),
            epochs if is_unfinished else None,
            remedies.unregularized(config),
            remedies.more_units(config),
            remedies.learning_rate(config, 10) if is_slow else None,
            remedies.another_layer(config),
            None if is_unfinished or has_no_effect else epochs,
        ),
        source=f"{_GOODFELLOW}, sections 5.2 and 11.4.1; {_BENGIO}",
    )


def _later_gain(case: Case) -> float:
    """Return the share by which the training loss fell after the epoch whose weights were kept.

    A network that fits its training rows even better has enough capacity and time, but what it
    learned after that epoch did not generalize to the monitored rows.
    """
    stopping, train = case.config.early_stopping, case.curve("loss")
    if stopping is None or not stopping.restore_best_weights or len(train) < FEWEST_EPOCHS:
        return 0.0
    monitored = case.curve(stopping.monitor).values[: len(train)]
    if not monitored:
        return 0.0
    best = max(monitored) if is_higher_better(stopping.monitor) else min(monitored)
    kept = train.values[monitored.index(best)]
    size = abs(case.scale_of(train, kept))
    return (kept - train.part(0.9, 1).level) / size if size > 0 else 0.0


def no_better_than_constant(case: Case) -> Finding | None:
    """Find held-out rows that a constant predicts as well.

    The network is not significantly better, and its gain, if any, is small.
    """
    concluded = case.conclusions.get("constant")
    if concluded is None or concluded.verdict == "better":
        return None
    found = concluded.clearest
    is_lost = concluded.verdict in ("worse", "same")
    if not is_lost and (found.gain is None or found.gain >= USEFUL):
        return None
    return Finding(
        rule="no_better_than_constant",
        observation=_difference_words(case, concluded, "a constant prediction"),
        meaning=_why_no_better_than_constant(case, concluded),
        patches=present(remedies.usual_learning_rate(case.config))
        if _is_rate_very_high(case.config) and not rate_too_high(case)
        else (),
        source=_BASELINES,
    )


def _why_no_better_than_constant(case: Case, concluded: Conclusion) -> str:
    rate = _times_usual(case.config) if _is_rate_very_high(case.config) else ""
    if shows := skill_words(case.skill, concluded):
        return f"{shows}; the likely cause is the learning rate, {rate}" if rate else shows
    if rate:
        return (
            "the network does not predict new rows better than a constant; the likely cause is "
            f"the learning rate, {rate}"
        )
    if long_tail(case):
        return (
            "few rows with large values decide this result, and the weights; train on the "
            "logarithm of the target before you doubt the columns"
        )
    return (
        "the network does not predict new rows better than a constant: the columns may hold no "
        "information about the target, or training failed; first check the table with "
        "`dlcli inspect`"
    )


def no_better_than_linear(case: Case) -> Finding | None:
    """Find held-out rows that a linear model predicts as well.

    A significant gain counts, however small. If the gain is not significant, the largest plausible
    one, at the end of the confidence interval, must be small, and the linear model's error must be
    large enough to reduce.
    """
    concluded = case.conclusions.get("linear")
    if not case.config.hidden or concluded is None or concluded.verdict == "better":
        return None
    found = concluded.clearest
    if "worse" not in (concluded.verdict, found.verdict) and concluded.verdict != "same":
        split = "validation" if "validation" in concluded.differences else concluded.decisive
        linear = case.error(split, "linear")
        if linear is None or linear.share < LEARNED_WELL:
            return None
        if concluded.is_inconclusive or found.largest_gain is None:
            return None
    # The linear baseline has different training settings, so its metrics may differ.
    is_worse = concluded.verdict == "worse"
    effect = "make predictions worse" if is_worse else "add little or nothing"
    why = "removes the hidden layers, so the model is linear, and keeps your training settings"
    return Finding(
        rule="no_better_than_linear",
        observation=_difference_words(case, concluded, "the linear baseline"),
        meaning=f"the hidden layers {effect}; possible causes: the effects of the columns are "
        "linear and additive, there are too few rows to learn more, training ended too early, or "
        "it failed",
        patches=(Patch("linear", why, (("hidden", "[]"),)),),
        source=_BASELINES,
        title="worse than linear" if is_worse else "",
    )


def _difference_words(case: Case, concluded: Conclusion, baseline: str) -> str:
    """Return values and intervals: `RMSE 58 vs 61 for the linear baseline on test rows (…)`."""
    parts: list[str] = []
    for split, found in concluded.differences.items():
        where = f"on {case.config.adjective(split)} rows"
        if not parts:
            where = f"for {baseline} {where}"
        values = found.metric, found.network, found.baseline
        parts.append(wording.versus(*values, found, where=where, names_interval=not parts))
    return f"{wording.metric_title(concluded.difference.metric)} {', '.join(parts)}"
