"""Simulate how often the confidence intervals of `dlcli cv` contain the true value.

`python -m benchmarks.fold_coverage` draws tables from a known population, and cross-validates ridge
regressions instead of networks, because they have a closed form. The true value is the error after
training on as many rows as in a fold, averaged over all tables; 95 of 100 intervals should contain
it. The interval over folds is computed with and without Nadeau and Bengio's correction. The
interval of pooled predictions ignores the variation of the models, so it contains the true value
less often.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.coverage import CLASSES, NUMBERS
from dlcli.metrics.definitions import metric_bounds
from dlcli.metrics.intervals import Estimate, corrected_interval
from dlcli.pipeline.cv_summary import fold_intervals, pooled_estimates
from dlcli.prediction.predictions import HeldOut
from dlcli.runs.documents import FoldResult

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], tuple[Floats, Floats]]

_MANY = 4_000
"""Number of rows on which the error of a model is measured."""


@dataclass(frozen=True)
class Case:
    """A population, and the metric of ridge regression."""

    name: str
    metric: str
    draw: Draw
    """Draws rows: inputs `(rows, inputs)` and target `(rows,)`."""
    penalty: float = 1.0

    @property
    def is_of_classes(self) -> bool:
        """True if the target is a class, 0 or 1."""
        return self.metric in ("accuracy", "auc")

    def held_out(self, truth: Floats, prediction: Floats) -> HeldOut:
        """Return rows with their predictions."""
        row = np.arange(len(truth))
        if self.is_of_classes:
            probability = np.clip(prediction, 0, 1)[:, np.newaxis]
            return HeldOut(truth.astype(np.int64), probability, None, task=CLASSES, row=row)
        columns = truth[:, np.newaxis], prediction[:, np.newaxis]
        return HeldOut(*columns, None, task=NUMBERS, row=row)


@dataclass(frozen=True)
class FoldPlan:
    """Settings of cross-validation."""

    rows: int
    folds: int
    repeats: int

    def __str__(self) -> str:
        return f"{self.rows:,} rows, {self.folds} × {self.repeats}"


PLANS = (FoldPlan(50, 5, 1), FoldPlan(50, 5, 4), FoldPlan(200, 5, 1), FoldPlan(200, 10, 3))
KINDS = ("folds", "folds, uncorrected", "pooled")


@dataclass(frozen=True)
class Coverage:
    """Coverage and width of the intervals of one kind."""

    contained: float
    """Share of intervals that contain it; a missing interval does not."""
    width: float
    """The median width."""


def cases() -> list[Case]:
    """Return the simulated cases."""
    return [
        Case("linear, rmse", "rmse", _linear(np.random.Generator.standard_normal)),
        Case("linear with heavy tails, mae", "mae", _linear(_student)),
        Case("two classes, accuracy", "accuracy", _two_classes),
        Case("two classes, auc", "auc", _two_classes),
    ]


def cover(case: Case, plan: FoldPlan, samples: int, seed: int = 0) -> dict[str, Coverage]:
    """Draw tables, cross-validate them, and count how often intervals contain the true value.

    Args:
        case: the population.
        plan: settings of cross-validation.
        samples: number of tables.
        seed: random seed.
    """
    rng = np.random.default_rng([seed, plan.rows])
    truth = _truth(case, plan, samples, rng)
    intervals = [_intervals(case, plan, rng) for _ in range(samples)]
    return {kind: _coverage([table[kind] for table in intervals], truth) for kind in KINDS}


def _coverage(intervals: Sequence[Estimate], truth: float) -> Coverage:
    ends = [(interval.lower, interval.upper) for interval in intervals]
    known = [(low, high) for low, high in ends if low is not None and high is not None]
    contained = sum(low <= truth <= high for low, high in known)
    width = float(np.median([high - low for low, high in known])) if known else np.nan
    return Coverage(contained / len(intervals), width)


def _truth(case: Case, plan: FoldPlan, samples: int, rng: np.random.Generator) -> float:
    """Return the error on many rows, averaged over models of as many rows as in a fold."""
    rows = plan.rows - plan.rows // plan.folds
    values = []
    for _ in range(2 * samples):
        inputs, target = case.draw(rng, rows)
        model = _ridge(inputs, target, case.penalty)
        inputs, target = case.draw(rng, _MANY)
        values.append(_value(case, target, model(inputs)))
    return float(np.mean([value for value in values if value is not None]))


def _intervals(case: Case, plan: FoldPlan, rng: np.random.Generator) -> dict[str, Estimate]:
    inputs, target = case.draw(rng, plan.rows)
    results, held = [], []
    for repeat in range(1, plan.repeats + 1):
        predicted = np.empty_like(target)
        for fold, (train, rest) in enumerate(_folds(plan, rng), start=1):
            predicted[rest] = _ridge(inputs[train], target[train], case.penalty)(inputs[rest])
            value = _value(case, target[rest], predicted[rest])
            results.append(_result(repeat, fold, train, rest, {case.metric: value}))
        held.append(case.held_out(target, predicted))
    metrics = (result.metrics[case.metric] for result in results)
    values = np.array([value for value in metrics if value is not None])
    bounds = metric_bounds(case.metric)
    uncorrected = corrected_interval(values, np.ones(len(values)), 0.0, bounds)
    return {
        "folds": fold_intervals(results, [case.metric])[0][case.metric],
        "folds, uncorrected": uncorrected,
        "pooled": pooled_estimates(held, [case.metric])[case.metric],
    }


def _folds(
    plan: FoldPlan, rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield the training rows and the held-out rows of each fold."""
    order = rng.permutation(plan.rows)
    for rest in np.array_split(order, plan.folds):
        yield np.setdiff1d(order, rest), rest


def _ridge(inputs: Floats, target: Floats, penalty: float) -> Callable[[Floats], Floats]:
    """Fit the model `ŷ = x (XᵀX + λ)⁻¹ Xᵀ (y - ȳ) + ȳ`."""
    mean = target.mean()
    square = inputs.T @ inputs + penalty * np.eye(inputs.shape[1])
    weights = np.linalg.solve(square, inputs.T @ (target - mean))
    return lambda other: other @ weights + mean


def _value(case: Case, truth: Floats, prediction: Floats) -> float | None:
    """Return the metric; `None` if a class that it needs is missing."""
    value = case.held_out(truth, prediction).statistics()[case.metric].value
    assert value is None or isinstance(value, float)
    return value


def _result(
    repeat: int,
    fold: int,
    train: NDArray[np.int64],
    rest: NDArray[np.int64],
    metrics: dict[str, float | None],
) -> FoldResult:
    return FoldResult(
        repeat=repeat,
        fold=fold,
        train=len(train),
        validation=0,
        held_out=len(rest),
        inputs=1,
        parameters=1,
        epochs=1,
        best_epoch=None,
        seconds=0.0,
        metrics=metrics,
        constant={},
        history={},
    )


def _linear(noise: Callable[[np.random.Generator, int], Floats]) -> Draw:
    """Five normal inputs of equal slope, and noise."""

    def draw(rng: np.random.Generator, rows: int) -> tuple[Floats, Floats]:
        inputs = rng.standard_normal((rows, 5))
        return inputs, inputs.sum(axis=1) / 5 + noise(rng, rows)

    return draw


def _student(rng: np.random.Generator, rows: int) -> Floats:
    return rng.standard_t(4, rows)


def _two_classes(rng: np.random.Generator, rows: int) -> tuple[Floats, Floats]:
    """Two normal classes in five inputs, whose means are 1.5 apart."""
    target = (rng.random(rows) < 0.5).astype(np.float64)
    means = 1.5 / 5**0.5 * (target[:, np.newaxis] - 0.5)
    return rng.standard_normal((rows, 5)) + means, target


def report(samples: int, plans: Sequence[FoldPlan], seed: int) -> Table:
    """Return a table of the shares of intervals that contain the true value, and median widths."""
    table = Table(box=SIMPLE, title=f"{samples:,} tables each")
    table.add_column("metric")
    table.add_column("interval")
    for plan in plans:
        table.add_column(str(plan), justify="right")
    for case in cases():
        coverages = [cover(case, plan, samples, seed) for plan in plans]
        for kind in KINDS:
            cells = (f"{one[kind].contained:.3f} ({one[kind].width:.2f})" for one in coverages)
            table.add_row(case.name if kind == KINDS[0] else "", kind, *cells)
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fold_coverage", description=__doc__)
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    Console().print(report(options.samples, PLANS, options.seed))


if __name__ == "__main__":
    main()
