"""Rules of the data: scaling of inputs and target, rare classes, number of validation rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from dlcli.columns.column_type import Auto
from dlcli.columns.layout import Block
from dlcli.columns.scaling import Unscaled
from dlcli.config.data_section import Input
from dlcli.config.layer_choices import Linear
from dlcli.diagnosis.case import STANDARD_ERRORS, Case, Peak, class_shares, proportion_error
from dlcli.diagnosis.remedies import Finding, Patch, Setting, number, percent
from dlcli.encoding.column_types import matching_name
from dlcli.errors import listed, plural, printable
from dlcli.metrics.definitions import BALANCED_ACCURACY, R2, stored_confusion
from dlcli.schema.yaml_document import format_path

LARGE = 10.0
"""Absolute value above which unscaled numbers are far from 1, where networks learn best."""
_LARGE_STANDARDIZED = 100.0
"""The same for scaled numbers, in standard deviations."""
_MOST_SETTINGS = 20
"""Most columns whose own scaling one patch changes."""
RARE = 0.4
"""Share of the rows below which a class is rare, relative to equal shares: 20 % of two classes, 4 %
of ten."""
MISSED = 0.5
"""Recall below which most rows of a class are missed."""
_FEWEST_OF_CLASS = 5
"""Rows of a class below which its recall means nothing."""
FEWEST_ROWS = 20
"""Rows below which not even the uncertainty can be estimated."""
UNSURE = 0.125
"""Standard error of the error (see `Error`) from which on it is too uncertain: two of them
are a quarter of the way from a constant to a perfect prediction. For a network that has learned
less than half it is that of one that has learned half."""
_USUAL_SHARE = 0.15
_LARGER_SHARES = (0.2, 0.3)
"""Shares of validation rows to propose; more would be missed in training."""
_SCALING = (
    "LeCun, Bottou, Orr & Müller, Efficient BackProp (1998), section 4.3; "
    "Goodfellow, Bengio & Courville, Deep Learning (2016), section 8.2.1"
)
_LEAKAGE = (
    "Kaufman, Rosset, Perlich & Stitelman, Leakage in Data Mining: Formulation, Detection, and "
    "Avoidance (2012)"
)
_VALIDATION = (
    "Goodfellow, Bengio & Courville, Deep Learning (2016), sections 5.3 and 5.4.4; "
    "Bengio, Practical Recommendations for Gradient-Based Training (2012), section 3.2"
)


def identifiers(case: Case) -> Finding | None:
    """Find features that only distinguish or number the rows."""
    features = case.config.input.features or {}
    names = [name for name in case.identifiers if features.get(name, Auto()).is_read]
    if not names:
        return None
    importances = case.explanation.importances
    is_first = bool(importances) and importances[0].column in names
    rank = ", which is the most important one" if is_first else ""
    settings = [(format_path(("input", "features", name)), "ignored") for name in names]
    return Finding(
        rule="identifiers",
        observation=f"a feature only distinguishes or numbers the rows: {printable(listed(names))}"
        f"{rank}",
        meaning="it says nothing about new rows; in a file sorted by the target it predicts "
        "held-out rows, too, and metrics are too good",
        patches=(
            Patch("no-identifier", "reads other columns only", tuple(settings[:_MOST_SETTINGS])),
        ),
        source=_LEAKAGE,
    )


def unscaled_inputs(case: Case) -> Finding | None:
    """Find columns whose inputs are far from 1, due to their scaling or the lack of one."""
    return far_inputs(case, case.peaks, "inputs reach")


def far_inputs(case: Case, peaks: Sequence[Peak], words: str) -> Finding | None:
    """Find columns among some peaks whose inputs are far from 1.

    Args:
        case: the run.
        peaks: the sizes of inputs.
        words: beginning of the evidence, before the size.
    """
    far = [
        (peak, advice)
        for peak in peaks
        if (advice := large_input_advice(peak.block, case.config.input))
        and peak.size > advice.threshold
    ]
    if not far:
        return None
    worst, advice = max(far, key=lambda each: each[0].size / each[1].threshold)
    others = f", and {plural(len(far) - 1, 'column')} more" if len(far) > 1 else ""
    settings = tuple(dict.fromkeys(advice.setting for _, advice in far))[:_MOST_SETTINGS]
    return Finding(
        rule="unscaled_inputs",
        observation=f"{words} {number(worst.size)}: the column "
        f"'{printable(worst.block.column)}' has {advice.cause}{others}",
        meaning="a step grows with the inputs: large inputs make training unstable and small ones "
        "make it slow, so that no learning rate suits both",
        patches=(Patch("scaled", "brings inputs near 1", settings),),
        source=_SCALING,
    )


@dataclass(frozen=True)
class LargeInputAdvice:
    """The setting that lets a column's inputs be large, and a better one."""

    threshold: float
    """Absolute value above which inputs are large."""
    cause: str
    """The setting that lets them be large, in words."""
    setting: Setting
    """The better setting."""


def large_input_advice(block: Block, section: Input) -> LargeInputAdvice | None:
    """Return advice for a column, if anything in the config lets its inputs be large.

    Args:
        block: a block of the column's inputs.
        section: the config's `input`.
    """
    features = section.features or {}
    key = matching_name(block.column, features)
    feature = Auto() if key is None else features[key]
    path = format_path(("input", "features", key or block.column))
    found = feature.large_inputs(block, section)
    if found is None:
        return None
    threshold = _LARGE_STANDARDIZED if found.is_standardized else LARGE
    path = f"{path}.{found.key}" if found.is_own else f"input.{found.key}"
    return LargeInputAdvice(threshold, f"{found.key} {found.value}", (path, found.better))


def unscaled_target(case: Case) -> Finding | None:
    """Find a numeric target far from 1 that is trained on without scaling."""
    loss, output = case.config.loss, case.config.output
    targets = {name: size for name, size in _target_sizes(case) if size > LARGE}
    if not targets or loss is None or not isinstance(output.scaling, Unscaled):
        return None
    if loss.needs_original_scale:
        return None
    settings: tuple[Setting, ...] = (("output.scaling", "standard"),)
    if output.activation not in (None, Linear()):
        settings = (("output.activation", "linear"), *settings)
    name = max(targets, key=lambda name: targets[name])
    return Finding(
        rule="unscaled_target",
        observation=f"the target '{printable(name)}' reaches {number(targets[name])} with "
        "output.scaling none",
        meaning="the first predictions are near 0 and far from the target, and the weights must "
        "grow large before they come near; errors of that size also make steps of that size",
        patches=(Patch("target-scaled", "trains on the standardized target", settings),),
        source=_SCALING,
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
        """Return whether recall is low, and so many errors below the most frequent class's."""
        margin = errors * math.hypot(self.deviation, frequent.deviation)
        is_low = self.recall + uncertainty * self.deviation < MISSED
        return self.rows >= _FEWEST_OF_CLASS and is_low and frequent.recall - self.recall > margin


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
        words = f"a class with {percent(total.share)} of the rows is found in "
        words += f"{percent(total.recall)} of them"
    else:
        words = f"{len(missed)} rare classes with {percent(total.share)} of the rows together are "
        words += f"found in {percent(total.recall)} of them, the worst in "
        words += percent(min(each.recall for each in missed))
    return Finding(
        rule="imbalance",
        observation=f"{words}, the most frequent one in {percent(frequent.recall)}; always "
        f"predicting the latter would give an accuracy of {number(frequent.share)}",
        meaning="a rare class counts little in the loss, so that missing it costs little; accuracy "
        "hides that, see recall and balanced_accuracy. Weights that make classes count alike find "
        "more of it, at the cost of rows of other classes",
        patches=(
            Patch(
                "balanced",
                "gives each class the same total weight",
                (("class_weight", "balanced"),),
                metric=BALANCED_ACCURACY.name,
            ),
        ),
        source="He & Garcia, Learning from Imbalanced Data (2009); "
        "Goodfellow, Bengio & Courville, Deep Learning (2016), section 11.1",
    )


def _missed(rare: Sequence[_Class], frequent: _Class) -> Sequence[_Class]:
    """Return the classes that are missed: all combined, or single ones significantly.

    The worst of many classes has a low recall at random. So all are tested combined, and single
    ones with Bonferroni's correction.
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
    """Return the classes of validation rows, or else of training rows."""
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
    """Find a column that gives the target away, or a simple model that is nearly perfect."""
    doubt = case.comparison.suspicion(
        out_of_fold=case.config.ensemble_folds is not None,
        of_several=len(case.config.data.target.columns) > 1,
    )
    if doubt is None:
        return None
    features = case.config.input.features or {}
    keys = [key for name in doubt.leaks if (key := matching_name(name, features))]
    settings = tuple(
        (format_path(("input", "features", key)), "ignored") for key in dict.fromkeys(keys)
    )[:_MOST_SETTINGS]
    why = "shows what can be predicted without it"
    return Finding(
        rule="possible_leak" if doubt.leaks else "nearly_perfect_baseline",
        observation=doubt.observation,
        meaning=doubt.meaning,
        patches=(Patch("without-leak", why, settings),) if settings else (),
        source=_LEAKAGE,
    )


def small_validation(case: Case) -> Finding | None:
    """Find so few validation rows that their error is uncertain by a quarter of the scale."""
    rows, error = case.rows.get("validation", 0), case.error("validation")
    uncertainty = error.deviation if error else 0.0
    if error and error.share > 0.5:
        uncertainty *= 0.5 / error.share
    if not rows or (rows >= FEWEST_ROWS and uncertainty <= UNSURE):
        return None
    if case.config.ensemble_folds is not None:  # they are all rows but test rows
        return None
    shares = [share for share in class_shares(case.metrics.get("validation", {})) if share > 0]
    rarest = ""
    if shares and case.config.data.sample_weight is None:  # else they are shares of the weight
        rarest = f", {round(rows * min(shares))} of the rarest class"
    share = case.config.data.validation
    patches: tuple[Patch, ...] = ()
    if isinstance(share, float):
        larger = [each for each in _LARGER_SHARES if each > share]
        enough = [each for each in larger if rows * each / share >= FEWEST_ROWS]
        why = "holds out more rows, which are then not trained on"
        patches = tuple(
            Patch("validation", why, (("data.validation", f"{each:g}"),)) for each in enough[:1]
        )
    return Finding(
        rule="small_validation",
        observation=f"there {'is' if rows == 1 else 'are'} {plural(rows, 'validation row')}{rarest}"
        f"{_likely_range(case, rows)}",
        meaning="so few rows can't tell a good network from a lucky one; early stopping and every "
        "choice based on them is largely random. Hold out more rows, or evaluate configs with "
        "`dlcli cv`, which predicts all rows but test rows in turn",
        patches=patches,
        source=_VALIDATION,
    )


def _likely_range(case: Case, rows: int) -> str:
    """Return the metric and its range on other rows: two standard errors to both sides."""
    if (error := case.error("validation")) is None:
        return ""
    if error.metric == R2.name:
        center, uncertainty, least = error.value, STANDARD_ERRORS * error.deviation, -math.inf
    else:
        center = (rows * error.value + STANDARD_ERRORS) / (rows + 2 * STANDARD_ERRORS)
        uncertainty, least = STANDARD_ERRORS * proportion_error(rows, rows * error.value), 0.0
    low, high = max(least, center - uncertainty), min(1.0, center + uncertainty)
    ends = f"{number(low)} to {number(high)}"
    return f": {error.words}, and on other rows {error.metric} might be {ends}"


def no_validation(case: Case) -> Finding | None:
    """Find a run without validation rows that has enough rows to hold some out."""
    config, rows = case.config, case.rows.get("train", 0)
    has_some = config.has_validation or config.data.validation is not None
    if has_some or _USUAL_SHARE * rows < FEWEST_ROWS:
        return None
    has_test = case.rows.get("test", 0) > 0
    why = "holds out rows that are not trained on and show how training goes"
    test = "; test rows are for the end: they are biased once a choice is based on them"
    return Finding(
        rule="no_validation",
        observation=f"there are no validation rows: all {rows:,} "
        f"{'but test rows ' if has_test else ''}are trained on",
        meaning="nothing shows when the network begins to memorize rows, or which of two configs "
        f"is better{test if has_test else ''}",
        patches=(Patch("validation", why, (("data.validation", f"{_USUAL_SHARE:g}"),)),),
        source=_VALIDATION,
    )
