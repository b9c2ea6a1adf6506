"""A network compared with the simplest models on the same held-out rows, for all that words it.

Every sentence, note and finding about a baseline follows the verdict that `compare_to_baseline`
reaches: the interval of the paired difference in one metric that the task finds proper.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import AfterValidator

from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_schema import Config, Ensemble, Output
from dlcli.config.data_section import TimeSplit
from dlcli.errors import listed, predicted_target, printable, truncate
from dlcli.metrics import definitions, intervals
from dlcli.metrics.statistic import Number, finite_number, mean_of_defined
from dlcli.network.activations import Floats
from dlcli.network.layers import Weights, build_network
from dlcli.prediction.predictor import Evaluation, Predictor
from dlcli.safe_files import Document
from dlcli.tasks.task import DecodedRows, Task

HeldOutSet = Literal["test", "validation"]
SimpleModel = Literal["linear", "network", "constant"]
"""A model that is linear or simpler; `network` if the network is."""
NEARLY_PERFECT = 0.99
"""Share of a constant prediction's error that a linear model removes if it is nearly perfect."""
FEWEST_WRONG = 50
"""Rows that a constant prediction must miss for a linear model to be found nearly perfect."""
_RESAMPLES = 400
"""Resamples, as of a large table: a training must not wait for the last digit of an interval."""
_LONGEST = 60
"""Most characters of a column's name that are shown."""


def _known_metric(name: str) -> str:
    if name not in definitions.METRICS:
        raise ValueError("expected a metric")
    return name


KnownMetric = Annotated[str, AfterValidator(_known_metric)]
"""The name of a metric."""


class BaselineDifference(intervals.Estimate):
    """A metric of a network minus that of a baseline on the same rows."""

    metric: KnownMetric
    network: Number
    """The network's value; `None` where it is undefined."""
    baseline: Number
    """The baseline's."""
    verdict: intervals.Verdict = "unknown"
    """See `DifferenceEstimate`; `better` means that the network is."""

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
    """The verdict on a network against a baseline, and the differences that it follows from."""

    verdict: intervals.Verdict
    decisive: HeldOutSet
    """The rows that decide."""
    differences: Mapping[HeldOutSet, BaselineDifference]
    """The difference on these rows, and on out-of-fold rows if they count, too."""

    @property
    def difference(self) -> BaselineDifference:
        """The difference on the rows that decide."""
        return self.differences[self.decisive]

    @classmethod
    def of(
        cls, found: Mapping[str, BaselineDifference], *, counts_out_of_fold: bool
    ) -> Conclusion | None:
        """Draw the conclusion from test rows, and from out-of-fold rows where these count.

        Validation rows beside test rows do not count, as they chose the epoch. Out-of-fold rows
        count although they did: only some of the members predict each of them, and an ensemble is
        better than its members, so a significant gain on them holds for the ensemble. For the same
        reason a loss on them shows nothing about the ensemble.

        Args:
            found: the differences by set; none gives no conclusion.
            counts_out_of_fold: whether the validation rows are such out-of-fold rows.
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
    """A simple model whose predictions of held-out rows are nearly perfect."""

    model: SimpleModel
    split: HeldOutSet
    metric: KnownMetric
    value: float
    column: str | None = None
    """The column that alone removes the most of the target's error over training rows."""
    share: float | None = None
    """The share that it removes."""


class Suspicion(NamedTuple):
    """A reason to look twice at results that are very good."""

    observation: str
    meaning: str
    leaks: tuple[str, ...] = ()
    """The columns that may give the target away."""


class BaselineComparison(Document):
    """The comparison of a run's network with its baselines, and signs of data leakage."""

    differences: Mapping[str, Mapping[str, BaselineDifference]] = {}
    """By baseline and split of held-out rows."""
    conclusions: Mapping[str, intervals.Verdict] = {}
    """The verdict on the network against each baseline, from all rows that count."""
    nearly_perfect: NearlyPerfect | None = None
    leaks: Mapping[str, float] = {}
    """Columns that each alone give the target away, with the share of its error over training rows
    that they remove."""

    def on(self, split: str) -> dict[str, BaselineDifference]:
        """Return the differences on one split, by baseline."""
        return {model: each[split] for model, each in self.differences.items() if split in each}

    def conclude(self, config: Config) -> dict[str, Conclusion]:
        """Return the conclusion on each baseline: all words about them follow from it.

        In a split by time, out-of-fold rows show nothing about later rows, as the members that
        predict them were also trained on rows from after them.

        Args:
            config: the run's.
        """
        is_by_time = isinstance(config.data.split, TimeSplit)
        counts = config.ensemble_folds is not None and not is_by_time
        drawn = {
            name: Conclusion.of(found, counts_out_of_fold=counts)
            for name, found in self.differences.items()
        }
        return {name: each for name, each in drawn.items() if each is not None}

    def suspicion(self, *, out_of_fold: bool, of_several: bool = False) -> Suspicion | None:
        """Return why results may be too good to be true; `None` without a sign of that.

        Args:
            out_of_fold: True if training rows stand for validation rows, as in an ensemble with
                folds.
            of_several: True if the target has several columns, of which one is predicted.
        """
        target = predicted_target(of_several=of_several)
        if self.leaks:
            names = tuple(map(_shown, self.leaks))
            least = min(self.leaks.values())
            which = f"the column {listed(names)}" if len(names) == 1 else f"each of {listed(names)}"
            return Suspicion(
                f"{which} alone predicts {_percent(least)} of {target}",
                "check that its value is known when predictions are made, and is not derived from "
                "the target",
                tuple(self.leaks),
            )
        found = self.nearly_perfect
        if found is None:
            return None
        rows = "out-of-fold" if out_of_fold and found.split == "validation" else found.split
        value = f"{found.metric} {found.value:.4g} on {rows} rows"
        if found.model == "constant":
            return Suspicion(
                f"always predicting the most frequent class is also nearly perfect: {value}",
                f"{definitions.ACCURACY.name} hides whether rare classes are found: see "
                f"{definitions.BALANCED_ACCURACY.name} and {definitions.LOG_LOSS.name}",
            )
        most = ""
        if found.column is not None and found.share is not None and found.share > 1 / 2:
            most = f", most of it by the column '{_shown(found.column)}'"
            most += f" ({_percent(found.share)} of {target} alone)"
        return Suspicion(
            f"a linear model is nearly perfect: {value}{most}",
            "this is normal if the target follows a formula; for measured data, check "
            "that no column is derived from the target (target leakage)",
        )


def _shown(name: str) -> str:
    return printable(truncate(name, _LONGEST))


def _percent(share: float) -> str:
    """Format a share in percent, rounded down so that nearly all is not all."""
    return f"{math.floor(1000 * min(1.0, max(0.0, share))) / 10:g} %"


def find_nearly_perfect(
    model: SimpleModel,
    split: HeldOutSet,
    metrics: Mapping[str, object],
    constant: Mapping[str, object],
    rows: int,
) -> NearlyPerfect | None:
    """Return whether a simple model leaves hardly any error: 1 % of a constant prediction's.

    For numbers that is R² of 0.99. For classes it is the error rate, if the constant prediction
    misses 50 rows at least: fewer are predicted without an error by luck, or in tables as well
    separated as that of the irises. For the constant prediction itself it is an accuracy of 0.99.

    Args:
        model: the model.
        split: the held-out rows.
        metrics: the model's.
        constant: those of a constant prediction.
        rows: the number of rows.
    """
    metric = definitions.R2
    value = finite_number(metrics.get(metric.name))
    if value is not None:
        is_found = value >= NEARLY_PERFECT
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
    if not is_found:
        return None
    return NearlyPerfect(model=model, split=split, metric=metric.name, value=value)


def compare_to_baseline(
    task: Task, metric: str, pairs: Iterable[tuple[DecodedRows, DecodedRows]]
) -> BaselineDifference:
    """Compare a network with a baseline.

    Args:
        task: the task of both.
        metric: the one to compare by, see `Task.comparison_metric`.
        pairs: rows as the network and the baseline predict them, with the same weights; several of
            a cross-validation that was repeated, whose differences and ends are averaged.
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
    """The output of the constant model as trained on, (units,)."""
    linear: Predictor | None
    """The linear model; `None` if there is none."""

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
            read: reads the arrays that are stored of them, given their shapes by name.
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
        """The arrays that are stored of them, by name."""
        weights = {} if self.linear is None else self.linear.weights
        return {
            "constant": self.constant,
            **{_stored(name): array for name, array in weights.items()},
        }

    def decoded(self, names: Collection[str], evaluation: Evaluation) -> dict[str, DecodedRows]:
        """Return the rows that the network was evaluated on as baselines predict them.

        Args:
            names: the baselines: `constant`, `linear`.
            evaluation: the network's.

        Returns:
            The rows by baseline, without a linear one that the run does not have.
        """
        outputs = {}
        if "constant" in names:
            constant = self.constant[np.newaxis].astype(np.float64)
            outputs["constant"] = self.predictor.decode(constant).decoded
        if "linear" in names and self.linear is not None:
            problems = ValueProblems(lenient=True)  # the network's have been reported
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
    """Return a weight of the linear model's name in a run folder."""
    return f"linear/{name}"


def _without_hidden_layers(predictor: Predictor) -> Predictor:
    """Return the linear model of a network, without its weights.

    In an ensemble with folds it has one member for each, trained on the rows of the network's
    member with the same number; otherwise it is a single network.
    """
    config, folds = predictor.config, predictor.config.ensemble_folds
    return replace(
        predictor,
        config=config.model_copy(
            update={"hidden": (), "ensemble": None if folds is None else Ensemble(members=folds)}
        ),
        network=build_network(predictor.encoding.layout, (), linear_output(config.output)),
        weights={},
        tasks=() if folds is None else predictor.tasks[:folds],
        conformal=None,
    )
