"""Rules about the setup of a training: scaling, rare classes, held-out rows, and layers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np

from dlcli.columns.column_type import Auto
from dlcli.columns.scaling import Log1p, Unscaled
from dlcli.config.config_schema import Config
from dlcli.config.layer_choices import L1, L1L2, Linear
from dlcli.diagnosis import remedies
from dlcli.diagnosis.case import STANDARD_ERRORS, Case, Peak, class_shares, proportion_error
from dlcli.diagnosis.remedies import Finding, Patch, Setting, number, percent, present
from dlcli.encoding.column_types import matching_name
from dlcli.errors import first_names, listed, plural, printable
from dlcli.metrics import wording
from dlcli.metrics.definitions import R2, stored_confusion
from dlcli.schema.yaml_document import format_path

LARGE = 10.0
"""Absolute value above which unscaled inputs are large; networks learn best near 1."""
_LARGE_STANDARDIZED = 100.0
"""The same for standardized inputs, in standard deviations."""
_MOST_SETTINGS = 20
"""Maximum number of columns that one patch changes."""
RARE = 0.4
"""Share of the rows below which a class is rare, relative to equal shares: 20 % if there are two
classes, 4 % if there are ten."""
MISSED = 0.5
"""Recall below which a class is mostly missed."""
_FEWEST_OF_CLASS = 5
"""Number of rows of a class below which its recall is not meaningful."""
FEWEST_ROWS = 20
"""Number of rows below which even the uncertainty can't be estimated."""
UNSURE = 0.125
"""Standard error of the error (see `Error`) from which the error is too uncertain: two of them are
a quarter of the distance from a constant to a perfect prediction. For an error above 0.5, the
standard error of an error of 0.5 counts."""
_USUAL_SHARE = 0.15
_LARGER_SHARES = (0.2, 0.3)
"""Shares of validation rows to suggest; larger ones would leave too few training rows."""
DEAD = 0.4
"""Share of dead units in a layer that indicates a problem: with a learning rate that is too high,
up to 40 % die (Karpathy's notes of CS231n)."""
SATURATED = 0.75
"""Share of saturated outputs of a layer from which most information is lost; in a narrow layer of a
healthy network, half of them may be saturated."""
VANISHED = 1e-3
"""Ratio of the first layer's gradient to the last one's below which only the last layers learn."""
EXPLODED = 100.0
"""Ratio of a gradient to the weights from which one step of gradient descent at the usual rate of
0.01 is longer than the weights. A step of a thousandth of the weights is healthy."""
_GRADIENTS = (
    "Glorot & Bengio, Understanding the Difficulty of Training Deep Feedforward Neural Networks "
    "(2010); Goodfellow, Bengio & Courville, Deep Learning (2016), sections 8.2.4 and 8.2.5"
)
_HIDDEN = re.compile(r"hidden_(\d+)(?:_|$)")
_SCALING = (
    "LeCun, Bottou, Orr & Müller, Efficient BackProp (1998), section 4.3; "
    "Goodfellow, Bengio & Courville, Deep Learning (2016), section 8.2.1"
)
_TRANSFORMATION = (
    "Box & Cox, An Analysis of Transformations (1964); "
    "McCullagh & Nelder, Generalized Linear Models (1989), chapter 8"
)
_LEAKAGE = (
    "Kaufman, Rosset, Perlich & Stitelman, Leakage in Data Mining: Formulation, Detection, and "
    "Avoidance (2012)"
)
_IMBALANCE = (
    "He & Garcia, Learning from Imbalanced Data (2009); "
    "Goodfellow, Bengio & Courville, Deep Learning (2016), section 11.1"
)
_VALIDATION = (
    "Goodfellow, Bengio & Courville, Deep Learning (2016), sections 5.3 and 5.4.4; "
    "Bengio, Practical Recommendations for Gradient-Based Training (2012), section 3.2"
)


def identifiers(case: Case) -> Finding | None:
    """Find features that only identify or number the rows."""
    features = case.config.input.features or {}
    names = [name for name in case.identifiers if features.get(name, Auto()).is_read]
    if not names:
        return None
    importances = case.explanation.importances
    is_first = bool(importances) and importances[0].column in names
    rank = "; the most important feature is among them" if is_first else ""
    return Finding(
        rule="identifiers",
        observation=f"ID-like features, which only identify rows: {printable(listed(names))}{rank}",
        meaning="they carry no information about new rows; in a file sorted by the target they "
        "also predict held-out rows, which makes metrics too optimistic",
        patches=_ignoring(names, "no-identifier", "uses only the other columns"),
        source=_LEAKAGE,
    )


def _ignoring(features: Iterable[str], name: str, why: str) -> tuple[Patch, ...]:
    """Return a patch that ignores features, or nothing if there are no features."""
    settings = [(format_path(("input", "features", each)), "ignored") for each in features]
    return (Patch(name, why, tuple(settings[:_MOST_SETTINGS])),) if settings else ()


def unscaled_inputs(case: Case) -> Finding | None:
    """Find columns whose inputs are far from 1, due to their scaling or the lack of one."""
    found = far_inputs(case, case.peaks, "inputs reach")
    return None if found is None else found[0]


def far_inputs(case: Case, peaks: Sequence[Peak], words: str) -> tuple[Finding, float] | None:
    """Find columns whose inputs are far from 1.

    Args:
        case: the run.
        peaks: the largest input of each column.
        words: the beginning of the evidence, before the size.

    Returns:
        The finding, and the largest ratio of an input to the limit above which it is large.
    """
    features, far = case.config.input.features or {}, []
    for peak in peaks:
        key = matching_name(peak.block.column, features)
        feature = Auto() if key is None else features[key]
        cause = feature.large_inputs(peak.block, case.config.input)
        if cause is None:
            continue
        ratio = peak.size / (_LARGE_STANDARDIZED if cause.is_standardized else LARGE)
        if ratio > 1:
            own = ("input", "features", key or peak.block.column)
            path = format_path((*(own if cause.is_own else ("input",)), cause.key))
            far.append((ratio, peak, cause, (path, cause.better)))
    if not far:
        return None
    ratio, worst, cause, _ = max(far, key=lambda each: each[0])
    others = f", and {plural(len(far) - 1, 'column')} more" if len(far) > 1 else ""
    settings = tuple(dict.fromkeys(setting for *_, setting in far))[:_MOST_SETTINGS]
    finding = Finding(
        rule="unscaled_inputs",
        observation=f"{words} {number(worst.size)}: the column '{printable(worst.block.column)}' "
        f"has {cause.key} {cause.value}{others}",
        meaning="the gradient scales with the inputs: large inputs make training unstable, small "
        "inputs make it slow, and no learning rate suits both",
        patches=(Patch("scaled", "brings inputs near 1", settings),),
        source=_SCALING,
    )
    return finding, ratio


def unscaled_target(case: Case) -> Finding | None:
    """Find a numeric target that is far from 1 and not scaled."""
    loss, output = case.config.loss, case.config.output
    targets = {name: size for name, size in _target_sizes(case) if size > LARGE}
    is_unscaled = isinstance(output.scaling, Unscaled)
    if not targets or not is_unscaled or loss is None or loss.needs_original_scale:
        return None
    settings: tuple[Setting, ...] = (("output.scaling", "standard"),)
    if output.activation not in (None, Linear()):
        settings = (("output.activation", "linear"), *settings)
    name = max(targets, key=lambda name: targets[name])
    return Finding(
        rule="unscaled_target",
        observation=f"the target '{printable(name)}' has values up to {number(targets[name])}, but "
        "output.scaling is none",
        meaning="the first predictions are near 0 and far from the target, and the weights must "
        "grow large to reach it; large errors also cause large steps",
        patches=(Patch("target-scaled", "trains on the standardized target", settings),),
        source=_SCALING,
    )


def long_tail(case: Case) -> Finding | None:
    """Find a target with a long tail whose squared error is minimized."""
    loss, output, tail = case.config.loss, case.config.output, case.tail
    if tail is None or loss is None or loss.needs_original_scale or loss.scales_with_target:
        return None
    scaling = output.scaling
    if scaling is None or isinstance(scaling, Log1p):
        return None
    if output.activation not in (None, Linear()):
        return None
    means: tuple[Setting, ...] = (
        ("loss", tail.mean_loss),
        ("output.activation", "exponential"),
        ("output.scaling", "mean"),
    )
    log = "trains on the logarithm of the target; predictions are medians instead of means"
    why = "predicts means; the typical error of a row is proportional to its mean"
    patches = (
        Patch("log-target", log, (("output.scaling", "log1p"),)),
        Patch(tail.mean_loss, why, means),
    )
    return Finding(
        rule="long_tail",
        observation=f"the target has {tail.ratio}, and output.scaling is {scaling.name}",
        meaning="few rows with large values determine the weights, so all others are predicted "
        "less accurately than they could be",
        patches=patches[::-1] if tail.has_many_zeros else patches,
        source=_TRANSFORMATION,
    )


def _target_sizes(case: Case) -> Iterator[tuple[str, float]]:
    """Yield the largest absolute value of each numeric target column."""
    if case.magnitudes is not None:
        yield from case.magnitudes.target.items()
    elif case.config.data.target.type == "numeric":
        for column in case.explanation.columns:
            ends = column.minimum, column.maximum
            if column.role == "target" and ends[0] is not None and ends[1] is not None:
                yield column.name, max(abs(ends[0]), abs(ends[1]))


@dataclass(frozen=True)
class _Class:
    share: float
    """Share of the rows."""
    rows: float
    recall: float

    @property
    def deviation(self) -> float:
        """The standard error of the recall."""
        return proportion_error(self.rows, self.rows * self.recall)

    def is_missed(self, frequent: _Class, errors: float, uncertainty: float = 0.0) -> bool:
        """Return whether recall is low, and so many standard errors below the frequent class's."""
        margin = errors * math.hypot(self.deviation, frequent.deviation)
        is_low = self.recall + uncertainty * self.deviation < MISSED
        return self.rows >= _FEWEST_OF_CLASS and is_low and frequent.recall - self.recall > margin


_WAY_OUT = {
    True: "First move the decision threshold: the report lists recall and precision at other "
    "thresholds. Class weights also increase the recall of the rare class, at the cost of "
    "precision",
    False: "Class weights increase the recall of rare classes, at the cost of other classes",
}
"""The advice on rare classes: for two classes, and for more."""


def imbalance(case: Case) -> Finding | None:
    """Find rare classes that are mostly missed, without class weights."""
    classes = _classes(case)
    if not classes or case.config.class_weight is not None:
        return None
    frequent = max(classes, key=lambda each: each.share)
    missed = _missed([each for each in classes if each.share < RARE / len(classes)], frequent)
    if not missed:
        return None
    total = _combined(missed)
    if len(missed) == 1:
        words = f"a rare class with {percent(total.share)} of the rows has a recall of "
        words += percent(total.recall)
    else:
        words = f"{len(missed)} rare classes with {percent(total.share)} of the rows have a "
        words += f"combined recall of {percent(total.recall)} (lowest: "
        words += f"{percent(min(each.recall for each in missed))})"
    return Finding(
        rule="imbalance",
        observation=f"{words}, the most frequent class {percent(frequent.recall)}; always "
        f"predicting this class would give an accuracy of {number(frequent.share)}",
        meaning="a rare class contributes little to the loss, so errors on it cost little; "
        f"accuracy hides this, see recall and balanced accuracy. {_WAY_OUT[len(classes) == 2]}",
        patches=(
            Patch(
                "balanced",
                "gives each class the same total weight",
                (("class_weight", "balanced"),),
            ),
        ),
        source=_IMBALANCE,
    )


def _missed(rare: Sequence[_Class], frequent: _Class) -> Sequence[_Class]:
    """Return the missed classes: all if they are missed combined, else significant single ones.

    The worst of many classes may have a low recall by chance, so the classes are tested combined,
    and individually with Bonferroni's correction.
    """
    if not rare or _combined(rare).is_missed(frequent, STANDARD_ERRORS):
        return rare
    errors = -NormalDist().inv_cdf(NormalDist().cdf(-STANDARD_ERRORS) / len(rare))
    return [each for each in rare if each.is_missed(frequent, errors, uncertainty=errors)]


def _combined(classes: Sequence[_Class]) -> _Class:
    share = sum(each.share for each in classes)
    found = sum(each.share * each.recall for each in classes)
    recall = found / share if share > 0 else 0.0
    return _Class(share, sum(each.rows for each in classes), recall)


def _classes(case: Case) -> list[_Class]:
    """Return the classes of validation rows; without these, of training rows."""
    split = "validation" if "validation" in case.metrics else "train"
    matrix = stored_confusion(case.metrics.get(split, {}).get("confusion"))
    if matrix is None:
        return []
    rows, sums = case.rows.get(split, 0), matrix.sum(axis=1)
    shares, recalls = sums / sums.sum(), matrix.diagonal() / np.where(sums > 0, sums, 1)
    return [
        _Class(share, rows * share, recall)
        for share, recall in zip(shares.tolist(), recalls.tolist(), strict=True)
        if share > 0
    ]


def too_good(case: Case) -> Finding | None:
    """Find a column with target leakage, or a simple model that is nearly perfect."""
    doubt = case.comparison.suspicion(
        out_of_fold=case.config.ensemble_folds is not None,
        of_several=len(case.config.data.target.columns) > 1,
    )
    if doubt is None:
        return None
    features = case.config.input.features or {}
    keys = [key for name in doubt.leaks if (key := matching_name(name, features))]
    why = "shows how well the other columns predict the target"
    perfect = case.comparison.nearly_perfect
    is_constant = not doubt.leaks and perfect is not None and perfect.model == "constant"
    return Finding(
        rule="possible_leak" if doubt.leaks else "nearly_perfect_baseline",
        observation=doubt.observation,
        meaning=doubt.meaning,
        patches=_ignoring(dict.fromkeys(keys), "without-leak", why),
        source=_IMBALANCE if is_constant else _LEAKAGE,
    )


def small_validation(case: Case) -> Finding | None:
    """Find validation rows that are too few: their error is uncertain by a quarter of the scale."""
    rows, error = case.rows.get("validation", 0), case.error("validation")
    uncertainty = error.deviation if error else 0.0
    if error and error.share > 0.5:
        uncertainty *= 0.5 / error.share
    if not rows or (rows >= FEWEST_ROWS and uncertainty <= UNSURE):
        return None
    if case.config.ensemble_folds is not None:  # all rows except test rows
        return None
    shares = [share for share in class_shares(case.metrics.get("validation", {})) if share > 0]
    rarest = ""
    if shares and case.config.data.sample_weight is None:  # else shares of weight
        rarest = f", {round(rows * min(shares))} of the rarest class"
    validation = case.config.data.validation
    share = validation if isinstance(validation, float) else 1.0
    larger = [each for each in _LARGER_SHARES if each > share]
    enough = [f"{each:g}" for each in larger if rows * each / share >= FEWEST_ROWS]
    why = "holds out more rows, so fewer rows are used for training"
    return Finding(
        rule="small_validation",
        title="small validation set",
        observation=f"there {'is' if rows == 1 else 'are'} {plural(rows, 'validation row')}{rarest}"
        f"{_likely_range(case, rows)}",
        meaning="so few rows can't distinguish a good network from a lucky one; early stopping and "
        "every choice based on these rows are largely random. Hold out more rows, or evaluate "
        "configs by cross-validation, with `dlcli cv`",
        patches=tuple(
            Patch("validation", why, (("data.validation", each),)) for each in enough[:1]
        ),
        source=_VALIDATION,
    )


def _likely_range(case: Case, rows: int) -> str:
    """Return the metric and its likely range on other rows: ± two standard errors."""
    if (error := case.error("validation")) is None:
        return ""
    if error.metric == R2.name:
        center, uncertainty, least = error.value, STANDARD_ERRORS * error.deviation, -math.inf
    else:
        center = (rows * error.value + STANDARD_ERRORS) / (rows + 2 * STANDARD_ERRORS)
        uncertainty, least = STANDARD_ERRORS * proportion_error(rows, rows * error.value), 0.0
    low, high = max(least, center - uncertainty), min(1.0, center + uncertainty)
    decimals = wording.decimals_of(uncertainty)
    ends = (wording.metric(error.metric, end, decimals=decimals) for end in (low, high))
    return f": {error.words} (95 % CI: {' to '.join(ends)})"


def no_validation(case: Case) -> Finding | None:
    """Find a run without validation rows that has enough rows to hold some out."""
    config, rows = case.config, case.rows.get("train", 0)
    has_some = config.has_validation or config.data.validation is not None
    if has_some or _USUAL_SHARE * rows < FEWEST_ROWS:
        return None
    has_test = case.rows.get("test", 0) > 0
    why = "holds out rows to monitor training"
    test = "; use test rows only at the end: choices based on them bias their metrics"
    return Finding(
        rule="no_validation",
        observation=f"there are no validation rows: all {rows:,} rows "
        f"{'outside the test set ' if has_test else ''}are used for training",
        meaning="without validation rows, overfitting goes unnoticed and configs can't be "
        f"compared{test if has_test else ''}",
        patches=(Patch("validation", why, (("data.validation", f"{_USUAL_SHARE:g}"),)),),
        source=_VALIDATION,
    )


# Layers


def vanishing_gradients(case: Case) -> Finding | None:
    """Find gradients that are a thousand times smaller in the first layer than in the last.

    If the initial gradient is exactly 0, the final one must be small, too: an output layer that is
    initialized with zeros propagates gradients only after its first update.
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
        f"{number(ratio)} times the gradient of a weight of the last",
        meaning="in backpropagation, each layer shrinks the gradient, so the first layers hardly "
        "learn; sigmoid shrinks it to a quarter or less, relu with matching initial weights hardly",
        patches=present(
            remedies.rectified(config),
            remedies.normalization(config),
            remedies.fewer_layers(config),
        ),
        source=_GRADIENTS,
    )


def exploding_gradients(case: Case) -> Finding | None:
    """Find initial gradients of several layers that are a hundred times as large as the weights.

    In a single layer, weights may be tiny because no linear model fits.
    """
    sizes = {
        layer.name: layer.first_gradient / layer.weight_norm
        for layer in case.explanation.layers
        if layer.kind == "Dense" and layer.first_gradient is not None and layer.weight_norm
    }
    name = max(sizes, key=lambda name: sizes[name], default=None)
    if name is None or len(sizes) == 1 or sizes[name] <= EXPLODED or case.learned_well:
        return None
    why = "initializes weights so gradients keep their size from layer to layer"
    return Finding(
        rule="exploding_gradients",
        observation=f"at the start of training, the gradient of {printable(name)} was "
        f"{number(sizes[name])} times as large as its weights",
        meaning="the initial weights are large, so each layer amplifies its outputs and the "
        "gradient; the first steps change the weights too much",
        patches=present(
            remedies.initial_weights(case.config, "glorot_uniform", why, None, "he_", "lecun_"),
            remedies.normalization(case.config),
            remedies.clipping(case.config),
            remedies.fewer_layers(case.config),
        ),
        source=_GRADIENTS,
    )


def _gradient_ratio(case: Case, when: Literal["first_gradient", "last_gradient"]) -> float | None:
    """Divide the RMS gradient per weight of the first Dense layer by that of the last one."""
    sizes = [
        gradient / layer.parameters**0.5
        for layer in case.explanation.layers
        if layer.kind == "Dense"
        and 0 < layer.parameters < 2**53
        and (gradient := getattr(layer, when)) is not None
    ]
    return sizes[0] / sizes[-1] if len(sizes) > 1 and sizes[-1] > 0 else None


def dead_units(case: Case) -> Finding | None:
    """Find ReLU layers with many units that output 0 for every row.

    L1 regularization sets the weights of unneeded units to 0: they are pruned, not dead. If it
    prunes units that are needed, `underfitting` suggests removing it.
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
        meaning="a relu unit with a negative input for every row outputs 0, gets no gradient and "
        "stops learning; possible causes: one large step, or initial biases far below 0",
        patches=present(
            usual,
            lower if usual else None,
            remedies.change_hidden(
                config,
                "leaky-relu",
                "outputs a small fraction of negative inputs instead of 0",
                among=layers,
                activation="leaky_relu",
            ),
            remedies.change_hidden(
                config,
                "zero-bias",
                "initializes biases with 0",
                lambda layer: layer.bias_initializer.name != "zeros",
                layers,
                bias_initializer="zeros",
            ),
            remedies.initial_weights(
                config, "he_normal", "initializes weights at the scale that suits relu", layers
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
    """Find sigmoid or tanh layers with most outputs at an end of their range."""
    saturated = _layer_shares(case, "saturated", SATURATED)
    if not saturated or case.learned_well:
        return None
    config, layers = case.config, list(saturated)
    why = "initializes weights so inputs of activations stay near 1"
    return Finding(
        rule="saturated_units",
        observation=f"saturated units, with outputs at an end of their range: {_listed(saturated)}",
        meaning="where sigmoid and tanh are flat, their gradient is nearly 0, so the units hardly "
        "learn; the inputs or the weights are too large",
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
    """Return, by index of hidden layer, large shares of dead or saturated units."""
    shares = {}
    for layer in case.explanation.layers:
        found, share = _HIDDEN.match(layer.name), getattr(layer, name)
        index = int(found[1]) - 1 if found else -1
        if 0 <= index < len(case.config.hidden) and share is not None and share >= least:
            shares[index] = share
    return shares


def _listed(shares: dict[int, float]) -> str:
    return first_names(
        [f"{percent(share)} in hidden[{at}], layer {at + 1}" for at, share in shares.items()]
    )
