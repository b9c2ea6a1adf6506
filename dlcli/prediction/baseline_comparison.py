"""Comparison of a network with the simplest models on the same held-out rows.

Every sentence, note and finding about a baseline is based on the verdict of `compare_to_baseline`:
the confidence interval of the paired difference in one metric, chosen by the task.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import AfterValidator

from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_schema import Config, Output
from dlcli.config.data_section import TimeSplit
from dlcli.errors import listed, predicted_target, printable, truncate
from dlcli.metrics import definitions, intervals, wording
from dlcli.metrics.statistic import (
    Number,
    effective_size,
    finite_number,
    mean_of_defined,
    weighted_quantile,
    wilson_interval,
)
from dlcli.network.activations import Floats
from dlcli.network.layers import Weights, build_network
from dlcli.prediction.predictions import HeldOut
from dlcli.prediction.predictor import Evaluation, MemberModel, Predictor
from dlcli.safe_files import Document
from dlcli.tasks.task import DecodedRows, Task, exposures_of

HeldOutSet = Literal["test", "validation"]
SimpleModel = Literal["linear", "network", "constant"]
"""A model that may be nearly perfect. For a `network` with hidden layers, only the AUC counts."""
USEFUL_LAYERS = 0.1
"""Share of the linear model's error that useful hidden layers must remove."""
NEARLY_PERFECT = 0.99
"""Share of a constant prediction's error that a nearly perfect linear model removes."""
NEARLY_PERFECT_AUC = 0.999
"""The AUC above which a network or a linear model is nearly perfect. With a rare class, a model may
separate the classes although the usual decision threshold leaves many errors."""
FEWEST_WRONG = 50
"""Minimum errors of a constant prediction for a linear model to count as nearly perfect."""
_GUESSING = 0.5
"""The AUC of random numbers."""
_RESAMPLES = 400
"""Number of resamples; few, because the last digit of an interval is not worth a wait."""
_MOST_LEAKS = 100
"""Maximum number of columns with possible target leakage that are named."""
_LONGEST = 60
"""Maximum number of characters shown of a column's name."""


def _known_metric(name: str) -> str:
    if name not in definitions.METRICS:
        raise ValueError("expected a metric")
    return name


KnownMetric = Annotated[str, AfterValidator(_known_metric)]
"""The name of a metric."""


class BaselineDifference(intervals.Estimate):
    """The metric of a network minus the metric of a baseline on the same rows."""

    metric: KnownMetric
    network: Number
    """The network's value; `None` where it is undefined."""
    baseline: Number
    """The baseline's value."""
    verdict: intervals.Verdict = "unknown"
    """See `DifferenceEstimate`; `better` means that the network is better."""

    @property
    def gain(self) -> float | None:
        """The share of the baseline's error that the network removes; `None` if unknown."""
        return self._as_gain(self.value)

    @property
    def largest_gain(self) -> float | None:
        """The same at the better end of the interval."""
        return self._as_gain(
            self.upper if definitions.is_higher_better(self.metric) else self.lower
        )

    def _as_gain(self, value: float | None) -> float | None:
        if value is None or self.baseline is None:
            return None
        higher = definitions.is_higher_better(self.metric)
        error = 1 - self.baseline if higher else self.baseline
        return (value if higher else -value) / error if error > 0 else None


@dataclass(frozen=True)
class Conclusion:
    """The verdict on a network and a baseline, with the differences that it is based on."""

    verdict: intervals.Verdict
    decisive: HeldOutSet
    """The rows that determine the verdict."""
    differences: Mapping[HeldOutSet, BaselineDifference]
    """The differences on these rows and, if they count, on out-of-fold rows."""

    @property
    def difference(self) -> BaselineDifference:
        """The difference on the decisive rows."""
        return self.differences[self.decisive]

    @property
    def clearest(self) -> BaselineDifference:
        """The difference on out-of-fold rows if available, as they are more than test rows."""
        return self.differences.get("validation", self.difference)

    @property
    def is_inconclusive(self) -> bool:
        """True if the interval includes 0 and gains that would matter."""
        largest = self.clearest.largest_gain
        is_open = self.verdict == "not_significant" and self.clearest.verdict != "worse"
        return is_open and (largest is None or largest >= USEFUL_LAYERS)

    @classmethod
    def of(
        cls, found: Mapping[str, BaselineDifference], *, counts_out_of_fold: bool
    ) -> Conclusion | None:
        """Draw the conclusion from test rows, and from out-of-fold rows if they count.

        If there are test rows, validation rows do not count, because training used them to choose
        the epoch. Out-of-fold rows count although training used them, too: only some of the members
        predict each row, and an ensemble is better than its members. A worse result on them
        therefore shows nothing. docs/metrics.md has the sum of both effects.

        Args:
            found: the differences by set; if empty, there is no conclusion.
            counts_out_of_fold: whether the validation rows are out-of-fold rows that count.
        """
        test, held = found.get("test"), found.get("validation")
        if test is None or held is None or not counts_out_of_fold:
            if only := test or held:
                split: HeldOutSet = "validation" if test is None else "test"
                return cls(only.verdict, split, {split: only})
            return None
        both: Mapping[HeldOutSet, BaselineDifference] = {"test": test, "validation": held}
        if test.verdict in ("better", "worse"):
            return cls(test.verdict, "test", both)
        if held.verdict == "better":
            return cls("better", "validation", both)
        if test.verdict == "unknown" and held.verdict != "unknown":
            return cls("same" if held.verdict == "same" else "not_significant", "validation", both)
        return cls(test.verdict, "test", both)


class NearlyPerfect(Document):
    """A model whose predictions of held-out rows are nearly perfect."""

    model: SimpleModel
    split: HeldOutSet
    metric: KnownMetric
    value: float
    column: str | None = None
    """The column that alone removes most of the target's error on training rows."""
    share: float | None = None
    """The share of the error that it removes."""


class Suspicion(NamedTuple):
    """A reason to doubt very good results."""

    observation: str
    meaning: str
    leaks: tuple[str, ...] = ()
    """The first columns with possible target leakage."""


class BaselineComparison(Document):
    """The comparison of a run's network with its baselines, and signs of data leakage."""

    differences: Mapping[str, Mapping[str, BaselineDifference]] = {}
    """For each baseline and set (`test`, `validation`), the difference between the metrics of the
    network and of the baseline: an estimate with the additional fields `metric` (its name),
    `network` and `baseline` (the two values), and `verdict`."""
    conclusions: Mapping[str, intervals.Verdict] = {}
    """For each baseline, the verdict over all sets of rows. [Better than the
    baselines?](metrics.md#better-than-the-baselines) explains how it follows from the verdicts on
    single sets."""
    nearly_perfect: NearlyPerfect | None = None
    """The simplest model whose predictions of held-out rows are nearly perfect, which may be a sign
    of data leakage. An object with the name of the `model` (`constant`, `linear` or `network`), the
    `split`, and the `value` of a `metric` on its rows. `None` if there is no such model."""
    leaks: Mapping[str, float] = {}
    """The columns of which each predicts the target almost perfectly by itself, which may be a sign
    of data leakage. For each column, the share of the constant baseline's error that it removes,
    from 0 to 1."""

    def on(self, split: str) -> dict[str, BaselineDifference]:
        """Return the differences on one split, by baseline."""
        return {model: each[split] for model, each in self.differences.items() if split in each}

    def conclude(self, config: Config) -> dict[str, Conclusion]:
        """Return the conclusion for each baseline, on which all sentences about it are based.

        In a split by time, out-of-fold rows do not count, because the members that predict them
        were also trained on later rows.

        Args:
            config: the config of the run.
        """
        is_by_time = isinstance(config.data.split, TimeSplit)
        counts = config.ensemble_folds is not None and not is_by_time
        drawn = {
            name: Conclusion.of(found, counts_out_of_fold=counts)
            for name, found in self.differences.items()
        }
        return {name: each for name, each in drawn.items() if each is not None}

    def suspicion(self, *, out_of_fold: bool, of_several: bool = False) -> Suspicion | None:
        """Return why results may be too good to be true; `None` if there is no sign of that.

        Args:
            out_of_fold: True if the validation rows are out-of-fold rows, as in an ensemble with
                folds.
            of_several: True if the target has several columns and one of them is predicted.
        """
        target = predicted_target(of_several=of_several)
        if self.leaks:
            leaks = tuple(islice(self.leaks, _MOST_LEAKS))
            names = tuple(map(_shown, leaks))
            least = _percent(min(self.leaks.values()))
            is_one = len(names) == 1
            which = f"the column {listed(names)}" if is_one else f"each of {listed(names)}"
            known = "its value is" if is_one else "their values are"
            not_derived = "is not" if is_one else "are not"
            return Suspicion(
                f"{which} alone predicts {target} with {'' if is_one else 'at least '}{least} less "
                "error than a constant prediction",
                f"check that {known} known when predictions are made, and {not_derived} derived "
                "from the target",
                leaks,
            )
        found = self.nearly_perfect
        if found is None:
            return None
        rows = "out-of-fold" if out_of_fold and found.split == "validation" else found.split
        name = wording.metric_title(found.metric)
        value = wording.metric(found.metric, found.value, decimals=4)
        if found.model == "constant":
            usual = "always predicting the most frequent class"
            return Suspicion(
                f"{usual} has an {name} of {value} on {rows} rows",
                f"{name} hides whether rare classes are found: see "
                f"{definitions.BALANCED_ACCURACY.label} and {definitions.LOG_LOSS.label}",
            )
        most = ""
        if found.column is not None and found.share is not None and found.share > 1 / 2:
            most = f", most of it by the column '{_shown(found.column)}'"
            less = f"{_percent(found.share)} less error than a constant prediction"
            most += f", which alone predicts {target} with {less}"
        model = "the network" if found.model == "network" else "a linear model"
        return Suspicion(
            f"{model} is nearly perfect: {name} {value} on {rows} rows{most}",
            "this is normal if the target follows a formula; for measured data, check "
            "that no column is derived from the target (target leakage)",
        )


def _shown(name: str) -> str:
    return printable(truncate(name, _LONGEST))


def _percent(share: float) -> str:
    """Format a share in percent, rounded down so only 1 becomes 100 %."""
    return f"{math.floor(1000 * min(1.0, max(0.0, share))) / 10:g} %"


class Skill(NamedTuple):
    """What shows that a network has learned something although its probabilities are poor."""

    auc: intervals.Estimate | None = None
    """The AUC on the decisive rows."""
    accuracy: intervals.Estimate | None = None
    """The accuracy on these rows."""
    largest_share: float | None = None
    """The share of the most frequent class of these rows: no constant has a higher accuracy."""
    closer: intervals.Estimate | None = None
    """The share of numbers that are predicted better than by a constant, see `closer_share`."""


def closer_share(rows: HeldOut) -> intervals.Estimate | None:
    """Return the share of rows whose prediction is closer to the target than the rows' median.

    Its interval is the sign test of the paired errors, which a few large errors do not decide. The
    median is the strictest constant: at most half of the rows are closer to any other number. Rows
    with equal errors do not count.

    Args:
        rows: held-out rows.

    Returns:
        `None` unless the target is one number without an exposure, or if all errors are equal.
    """
    task = rows.task
    if task.outcome != "numbers" or task.width > 1 or rows.exposures is not None:
        return None
    target, predicted = rows.values[:, 0], task.predict(rows.decoded)[:, 0]
    finite = np.isfinite(target) & np.isfinite(predicted)
    weights = np.ones(len(target)) if rows.weights is None else rows.weights
    target, predicted, weights = target[finite], predicted[finite], weights[finite]
    if not len(target):
        return None
    middle = weighted_quantile(target, weights, 0.5)
    lead = np.abs(target - middle) - np.abs(target - predicted)
    untied = weights[lead != 0]
    if not untied.sum():
        return None
    share = float(weights[lead > 0].sum() / untied.sum())
    lower, upper = wilson_interval(share, effective_size(untied))
    return intervals.Estimate(value=share, lower=lower, upper=upper)


def skill_words(skill: Skill, concluded: Conclusion) -> str:
    """Return that a network has learned something although a constant is as good by its loss.

    Args:
        skill: the metrics on the rows of the verdict.
        concluded: the conclusion about the network and the constant baseline.

    Returns:
        A clause; empty if the confidence interval of the AUC includes 0.5, the one of the accuracy
        includes the share of the most frequent class, and the one of closer predictions includes
        half of the rows, or if all are unknown.
    """
    compared = {"worse": "worse than", "same": "only as good as"}
    than = compared.get(concluded.verdict, "not clearly better than")
    closer = skill.closer
    if closer is not None and closer.ends is not None and closer.ends[0] > 1 / 2:
        share, *ends = (wording.percent(each) for each in (closer.value, *closer.ends))
        metric = wording.metric_title(concluded.difference.metric)
        return (
            f"{share} of the predictions (95 % CI: {' to '.join(ends)}) are closer to the target "
            "than the median of these rows, so the network has learned something, although its "
            f"{metric} is {than} that of a constant prediction"
        )
    although = f"although its probabilities are {than} a constant prediction"
    if (auc := _value_above(skill.auc, definitions.AUC.name, _GUESSING)) is not None:
        return f"{auc} shows that the network ranks rows better than guessing, {although}"
    most, name = skill.largest_share, definitions.ACCURACY.name
    if most is None or (accuracy := _value_above(skill.accuracy, name, most)) is None:
        return ""
    share = wording.metric(name, most, decimals=2)
    return (
        f"{accuracy} shows that the network classifies rows better than always predicting the "
        f"most frequent class of these rows ({share}), {although}"
    )


def _value_above(found: intervals.Estimate | None, name: str, limit: float) -> str | None:
    """Return a metric and its interval in words if the interval is above a limit."""
    if found is None or found.value is None or found.ends is None or found.ends[0] <= limit:
        return None
    decimals = wording.decimals_of_interval(found)
    value, low, high = (
        wording.metric(name, each, decimals=decimals) for each in (found.value, *found.ends)
    )
    return f"{wording.metric_title(name)} {value} (95 % CI: {low} to {high})"


def find_nearly_perfect(
    model: SimpleModel,
    split: HeldOutSet,
    metrics: Mapping[str, object],
    constant: Mapping[str, object],
    rows: int,
    *,
    only_auc: bool = False,
) -> NearlyPerfect | None:
    """Return a model that removes 99 % of a constant prediction's error, or `None`.

    For numbers, the criterion is an R² of 0.99. For classes, it is the error rate, if the constant
    prediction has at least 50 errors: fewer may be removed by chance, or in well-separated tables
    such as the irises. With as many errors, an AUC above 0.999 also counts. For the constant
    prediction itself, the criterion is an accuracy of 0.99.

    Args:
        model: the model.
        split: the held-out rows.
        metrics: the metrics of the model.
        constant: the metrics of a constant prediction.
        rows: the number of rows.
        only_auc: whether only the AUC counts, because the model is not a simple one.
    """
    metric = definitions.R2
    value = finite_number(metrics.get(metric.name))
    if value is not None:
        is_found = not only_auc and value >= NEARLY_PERFECT
    else:
        metric = definitions.ACCURACY
        value = finite_number(metrics.get(metric.name))
        most = finite_number(constant.get(metric.name))
        if value is None or most is None:
            return None
        if model == "constant":
            is_found = value >= NEARLY_PERFECT
        else:
            is_rare = (1 - most) * rows < FEWEST_WRONG
            is_found = not is_rare and 1 - value <= (1 - NEARLY_PERFECT) * (1 - most)
            auc = finite_number(metrics.get(definitions.AUC.name))
            if only_auc or not is_found:
                is_found = not is_rare and auc is not None and auc > NEARLY_PERFECT_AUC
                metric, value = definitions.AUC, value if auc is None else auc
    if not is_found:
        return None
    return NearlyPerfect(model=model, split=split, metric=metric.name, value=value)


def compare_to_baseline(
    task: Task, metric: str, pairs: Iterable[tuple[DecodedRows, DecodedRows]]
) -> BaselineDifference:
    """Compare a network with a baseline.

    Args:
        task: the task of both models.
        metric: the metric to compare, see `Task.comparison_metric`.
        pairs: the predictions of the network and of the baseline for the same rows; several for a
            repeated cross-validation, whose differences and ends are averaged.
    """
    networks: list[Number] = []
    baselines: list[Number] = []
    estimates: list[intervals.DifferenceEstimate] = []
    for network, baseline in pairs:
        after, before = task.statistics(network)[metric], task.statistics(baseline)[metric]
        found = intervals.estimate_statistic_differences(
            {metric: before}, {metric: after}, paired=True, resamples=_RESAMPLES
        )
        networks.append(after.value)
        baselines.append(before.value)
        estimates.append(found[metric])
    mean = intervals.mean_estimate(estimates)
    difference = intervals.difference_estimate(metric, mean.value, mean.ends or mean.reason)
    return BaselineDifference(
        **dict(difference),
        metric=metric,
        network=mean_of_defined(networks),
        baseline=mean_of_defined(baselines),
    )


@dataclass(frozen=True)
class BaselineModels:
    """The constant and the linear baseline of a run."""

    predictor: Predictor
    """The run's network."""
    constant: Floats
    """The output of the constant model before decoding, (units,)."""
    linear: Predictor | None
    """The linear model; `None` if the run has none."""

    @classmethod
    def read(
        cls,
        predictor: Predictor,
        has_linear: bool,
        read: Callable[[Mapping[str, tuple[int, ...]]], Weights],
    ) -> BaselineModels:
        """Read the models of a run.

        Args:
            predictor: the run's network.
            has_linear: whether the run has a linear model.
            read: reads the stored arrays of the models, given their shapes by name.
        """
        linear = _without_hidden_layers(predictor) if has_linear else None
        shapes = {} if linear is None else linear.weight_shapes
        stored = {_stored(name): shape for name, shape in shapes.items()}
        arrays = read({"constant": (predictor.network.outputs,), **stored})
        if linear is not None:
            linear = replace(linear, weights={name: arrays[_stored(name)] for name in shapes})
        return cls(predictor, arrays["constant"], linear)

    @property
    def arrays(self) -> Weights:
        """The arrays to store, by name."""
        weights = {} if self.linear is None else self.linear.weights
        return {
            "constant": self.constant,
            **{_stored(name): array for name, array in weights.items()},
        }

    def decoded(self, names: Collection[str], evaluation: Evaluation) -> dict[str, DecodedRows]:
        """Return the baselines' predictions for the rows that the network was evaluated on.

        Args:
            names: the baselines: `constant`, `linear`.
            evaluation: the evaluation of the network.

        Returns:
            The rows by baseline; without `linear` if the run has no linear model.
        """
        outputs = {}
        if "constant" in names:
            constant = self.constant[np.newaxis].astype(np.float64)
            column = self.predictor.config.data.exposure
            if (exposures := exposures_of(evaluation.evaluated, column)) is not None:
                constant = constant * exposures
            outputs["constant"] = self.predictor.decode(constant).decoded
        if "linear" in names and self.linear is not None:
            problems = ValueProblems(lenient=True)  # already reported for the network
            outputs["linear"] = self.linear.predict(evaluation.evaluated, problems).decoded
        shape = evaluation.decoded.decoded.shape
        return {
            name: replace(evaluation.decoded, decoded=np.broadcast_to(each, shape))
            for name, each in outputs.items()
        }


def linear_output(output: Output) -> Output:
    """Return the output of the linear model of a network, which always has a bias."""
    kept = ("units", "activation", "scaling", "probability_floor")
    return Output(**{name: getattr(output, name) for name in kept})


def _stored(name: str) -> str:
    """Return the name of a linear model's weight in a run folder."""
    return f"linear/{name}"


def _without_hidden_layers(predictor: Predictor) -> Predictor:
    """Return the linear model of a network, without its weights.

    In an ensemble with folds it has one member per fold, trained on the same rows as the network's
    member with the same number. In other runs it is a single network.
    """
    config, folds = predictor.config, predictor.config.validated_folds
    ensemble = None if config.ensemble is None else config.ensemble.one_per_fold
    layout = predictor.encoding.layout.read_with(config.input.encoding)
    network = build_network(layout, (), linear_output(config.output))
    return replace(
        predictor,
        config=config.model_copy(update={"hidden": (), "ensemble": ensemble}),
        network=network,
        weights={},
        models=tuple(MemberModel(network, each.task) for each in predictor.models[: folds or 0]),
        conformal=None,
    )
