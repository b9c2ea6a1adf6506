"""`python -m benchmarks.fold_coverage`: how often the intervals of `dlcli cv` hold the truth.

Tables are drawn again and again from a population that is known, and cross-validated with ridge
regression in the place of networks, which has a closed form. What is to be held is the error that
training on as many rows as in a fold gives on average over all tables. Of 95 % intervals, 95 in 100
should hold it. That over folds with Nadeau and Bengio's correction is to be compared with the same
without; that of pooled predictions takes the models as they are, and can't hold as much.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from benchmarks.coverage import CLASSES, NUMBERS
from dlcli.comparison import HeldOut
from dlcli.metrics import corrected_interval, metric_bounds
from dlcli.pipeline import FoldResult, Interval
from dlcli.pipeline.cv_summary import fold_intervals, pooled_estimates

Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], tuple[Floats, Floats]]

_MANY = 4_000
"""Rows that tell the error of one model."""


@dataclass(frozen=True)
class Scene:
    """A population, and the metric by which ridge regression is judged."""

    name: str
    metric: str
    draw: Draw
    """Draws so many rows: inputs (rows, inputs) and target (rows,)."""
    penalty: float = 1.0

    @property
    def is_of_classes(self) -> bool:
        """Whether what is predicted is a class, 0 or 1."""
        return self.metric in ("accuracy", "auc")

    def judge(self, truth: Floats, prediction: Floats) -> HeldOut:
        """Rows with what was predicted of them."""
        row = np.arange(len(truth))
        if self.is_of_classes:
            chance = np.clip(prediction, 0, 1)[:, np.newaxis]
            return HeldOut(CLASSES, row, None, None, truth.astype(np.int64), chance)
        columns = truth[:, np.newaxis], prediction[:, np.newaxis]
        return HeldOut(NUMBERS, row, None, None, *columns)


@dataclass(frozen=True)
class Dealing:
    """How a table is cross-validated."""

    rows: int
    folds: int
    repeats: int

    def __str__(self) -> str:
        return f"{self.rows:,} rows, {self.folds} × {self.repeats}"


DEALINGS = (Dealing(50, 5, 1), Dealing(50, 5, 4), Dealing(200, 5, 1), Dealing(200, 10, 3))
KINDS = ("folds", "folds, uncorrected", "pooled")


@dataclass(frozen=True)
class Coverage:
    """What became of the intervals of one kind."""

    held: float
    """The share that held the truth; those that are not there held nothing."""
    width: float
    """The median width."""


def scenes() -> list[Scene]:
    """What is simulated."""
    return [
        Scene("linear, rmse", "rmse", _linear(np.random.Generator.standard_normal)),
        Scene("linear with heavy tails, mae", "mae", _linear(_student)),
        Scene("two classes, accuracy", "accuracy", _two_classes),
        Scene("two classes, auc", "auc", _two_classes),
    ]


def cover(scene: Scene, dealing: Dealing, samples: int, seed: int = 0) -> dict[str, Coverage]:
    """Draws tables, cross-validates them, and counts what the intervals of each kind hold.

    Args:
        scene: the population.
        dealing: how each table is cross-validated.
        samples: how many tables there are.
        seed: what they follow from.
    """
    generator = np.random.default_rng([seed, dealing.rows])
    truth = _truth(scene, dealing, samples, generator)
    found = [_intervals(scene, dealing, generator) for _ in range(samples)]
    return {kind: _coverage([each[kind] for each in found], truth) for kind in KINDS}


def _coverage(found: Sequence[Interval], truth: float) -> Coverage:
    ends = [(each.lower, each.upper) for each in found]
    known = [(low, high) for low, high in ends if low is not None and high is not None]
    held = sum(low <= truth <= high for low, high in known)
    width = float(np.median([high - low for low, high in known])) if known else np.nan
    return Coverage(held / len(found), width)


def _truth(scene: Scene, dealing: Dealing, samples: int, generator: np.random.Generator) -> float:
    """The error on many rows, averaged over models of as many rows as in a fold."""
    rows = dealing.rows - dealing.rows // dealing.folds
    values = []
    for _ in range(2 * samples):
        inputs, target = scene.draw(generator, rows)
        model = _ridge(inputs, target, scene.penalty)
        inputs, target = scene.draw(generator, _MANY)
        values.append(_value(scene, target, model(inputs)))
    return float(np.mean([value for value in values if value is not None]))


def _intervals(
    scene: Scene, dealing: Dealing, generator: np.random.Generator
) -> dict[str, Interval]:
    inputs, target = scene.draw(generator, dealing.rows)
    results, held = [], []
    for repeat in range(1, dealing.repeats + 1):
        predicted = np.empty_like(target)
        for fold, (train, rest) in enumerate(_dealt(dealing, generator), start=1):
            predicted[rest] = _ridge(inputs[train], target[train], scene.penalty)(inputs[rest])
            value = _value(scene, target[rest], predicted[rest])
            results.append(_result(repeat, fold, train, rest, {scene.metric: value}))
        held.append(scene.judge(target, predicted))
    known = (each.metrics[scene.metric] for each in results)
    values = np.array([value for value in known if value is not None])
    bounds = metric_bounds(scene.metric)
    uncorrected = corrected_interval(values, np.ones(len(values)), 0.0, bounds)
    return {
        "folds": fold_intervals(results, [scene.metric])[0][scene.metric],
        "folds, uncorrected": Interval(**asdict(uncorrected)),
        "pooled": pooled_estimates(held, [scene.metric])[scene.metric],
    }


def _dealt(
    dealing: Dealing, generator: np.random.Generator
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yields the rows that each fold learns from, and those that it is judged by."""
    order = generator.permutation(dealing.rows)
    for rest in np.array_split(order, dealing.folds):
        yield np.setdiff1d(order, rest), rest


def _ridge(inputs: Floats, target: Floats, penalty: float) -> Callable[[Floats], Floats]:
    """The model `ŷ = x (XᵀX + λ)⁻¹ Xᵀ (y - ȳ) + ȳ`."""
    mean = target.mean()
    square = inputs.T @ inputs + penalty * np.eye(inputs.shape[1])
    weights = np.linalg.solve(square, inputs.T @ (target - mean))
    return lambda other: other @ weights + mean


def _value(scene: Scene, truth: Floats, prediction: Floats) -> float | None:
    """The metric; `None` where a class is missing that it needs."""
    value = scene.judge(truth, prediction).metrics()[scene.metric]
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
        train_metrics={},
        constant={},
        history={},
    )


def _linear(noise: Callable[[np.random.Generator, int], Floats]) -> Draw:
    """Five normal inputs of equal slope, and noise."""

    def draw(generator: np.random.Generator, rows: int) -> tuple[Floats, Floats]:
        inputs = generator.standard_normal((rows, 5))
        return inputs, inputs.sum(axis=1) / 5 + noise(generator, rows)

    return draw


def _student(generator: np.random.Generator, rows: int) -> Floats:
    return generator.standard_t(4, rows)


def _two_classes(generator: np.random.Generator, rows: int) -> tuple[Floats, Floats]:
    """Two normal classes in five inputs, whose means are 1.5 apart."""
    target = (generator.random(rows) < 0.5).astype(np.float64)
    means = 1.5 / 5**0.5 * (target[:, np.newaxis] - 0.5)
    return generator.standard_normal((rows, 5)) + means, target


def report(samples: int, dealings: Sequence[Dealing], seed: int) -> Table:
    """The share of intervals that hold the truth, and their median width."""
    table = Table(box=SIMPLE, title=f"{samples:,} tables each")
    table.add_column("metric")
    table.add_column("interval")
    for dealing in dealings:
        table.add_column(str(dealing), justify="right")
    for scene in scenes():
        found = [cover(scene, dealing, samples, seed) for dealing in dealings]
        for kind in KINDS:
            each = [one[kind] for one in found]
            name = scene.name if kind == KINDS[0] else ""
            table.add_row(name, kind, *(f"{one.held:.3f} ({one.width:.2f})" for one in each))
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulates, and prints a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fold_coverage", description=__doc__)
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    Console().print(report(options.samples, DEALINGS, options.seed))


if __name__ == "__main__":
    main()
