"""`python -m benchmarks.coverage`: how often the intervals of `dlcli compare` hold the truth.

Held-out rows are drawn again and again from a population whose metric is known, by a formula or
from millions of rows. Of 95 % intervals, 95 in 100 should hold it, be the rows few, the errors
skewed, or the decisions almost all right.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from dlcli.comparison import HeldOut, estimate_differences, estimate_metrics
from dlcli.metrics import Estimate
from dlcli.tasks import Binary, Regression

Floats = NDArray[np.float64]
Rows = Callable[[np.random.Generator, int], tuple[HeldOut, ...]]

SIZES = (30, 100, 1_000)
CLASSES = Binary(columns=("y",), classes=("no", "yes"))
NUMBERS = Regression(columns=("y",))
_POPULATION = 4_000_000


@dataclass(frozen=True)
class Scene:
    """A metric, or the difference of two, whose value is known."""

    name: str
    metric: str
    truth: float
    draw: Rows
    """Draws so many rows, as predicted by one model or by two."""
    paired: bool = True
    """Whether two models have predicted the same rows."""


@dataclass(frozen=True)
class Coverage:
    """What became of the intervals of a scene."""

    held: float
    """The share that held the truth."""
    too_high: float
    """The share that lay above it."""
    without: float
    """The share of samples without an interval; they count as if they held it not."""


def scenes() -> list[Scene]:
    """What is simulated."""
    half = math.sqrt(0.5)
    return [
        Scene("accuracy 0.85", "accuracy", 0.85, _decisions(0.85)),
        Scene("auc 0.8", "auc", NormalDist().cdf(1.2 * half), _ranked(1.2, 0.5)),
        Scene("auc 0.8, 1 in 5", "auc", NormalDist().cdf(1.2 * half), _ranked(1.2, 0.2)),
        Scene("auc 0.95", "auc", NormalDist().cdf(2.3 * half), _ranked(2.3, 0.5)),
        Scene("rmse, normal", "rmse", 1.0, _errors(np.random.Generator.standard_normal)),
        Scene("rmse, Laplace", "rmse", math.sqrt(2), _errors(_laplace)),
        Scene("mae, Laplace", "mae", 1.0, _errors(_laplace)),
        Scene("log_loss", "log_loss", _log_loss(1.0), _chances(1.0)),
        Scene("log_loss, overconfident", "log_loss", _log_loss(2.0), _chances(2.0)),
        Scene("difference of accuracies", "accuracy", 0.1, _disagreeing(0.2, 0.1)),
        Scene("the same, unpaired", "accuracy", 0.1, _apart(0.8, 0.9), paired=False),
        Scene("difference of log losses", "log_loss", _log_loss(2.0) - _log_loss(1.0), _rivals()),
        Scene("difference of maes", "mae", 0.25, _rival_errors()),
    ]


def cover(
    scene: Scene, rows: int, samples: int, seed: int = 0, resamples: int | None = None
) -> Coverage:
    """Draws samples of rows, and counts what their intervals hold.

    Args:
        scene: the population.
        rows: how many rows a sample has.
        samples: how many samples there are.
        seed: what they follow from.
        resamples: how many an interval is made from, if not as many as by itself.
    """
    generator = np.random.default_rng([seed, rows])
    found = [_estimate(scene, scene.draw(generator, rows), resamples) for _ in range(samples)]
    ends = [(each.lower, each.upper) for each in found]
    known = np.array([pair for pair in ends if None not in pair], dtype=float).reshape(-1, 2)
    lower, upper = known.T
    return Coverage(
        float(np.sum((lower <= scene.truth) & (scene.truth <= upper)) / samples),
        float(np.sum(lower > scene.truth) / samples),
        1 - len(known) / samples,
    )


def _estimate(scene: Scene, helds: tuple[HeldOut, ...], resamples: int | None) -> Estimate:
    only = [scene.metric]
    if len(helds) == 1:
        return estimate_metrics(helds[0], only, resamples)[scene.metric]
    differences = estimate_differences(*helds, paired=scene.paired, only=only, resamples=resamples)
    return differences[scene.metric]


def _decisions(right: float) -> Rows:
    """Two classes, of which so many rows are told right."""

    def draw(generator: np.random.Generator, rows: int) -> tuple[HeldOut, ...]:
        truth = generator.integers(0, 2, rows)
        return (_classes(truth, np.abs(truth - (generator.random(rows) >= right))),)

    return draw


def _disagreeing(gained: float, lost: float) -> Rows:
    """Two models, of which the second is right where the first isn't, and the other way round."""

    def draw(generator: np.random.Generator, rows: int) -> tuple[HeldOut, ...]:
        truth, lot = generator.integers(0, 2, rows), generator.random(rows)
        first_wrong = lot < gained
        second_wrong = (lot >= gained) & (lot < gained + lost)
        return tuple(
            _classes(truth, np.abs(truth - wrong)) for wrong in (first_wrong, second_wrong)
        )

    return draw


def _apart(*rights: float) -> Rows:
    """Two models, each with rows of its own."""

    def draw(generator: np.random.Generator, rows: int) -> tuple[HeldOut, ...]:
        return tuple(_decisions(right)(generator, rows)[0] for right in rights)

    return draw


def _ranked(distance: float, positive: float) -> Rows:
    """Normal scores of two classes, so far apart: the AUC is `Φ(distance / √2)`."""

    def draw(generator: np.random.Generator, rows: int) -> tuple[HeldOut, ...]:
        truth = (generator.random(rows) < positive).astype(np.int64)
        scores = generator.standard_normal(rows) + distance * truth
        return (_classes(truth, 1 / (1 + np.exp(-scores))),)

    return draw


def _chances(confidence: float) -> Rows:
    """Probabilities whose logits are so many times too large."""

    def draw(generator: np.random.Generator, rows: int) -> tuple[HeldOut, ...]:
        logits = 2 * generator.standard_normal(rows)
        truth = (generator.random(rows) < 1 / (1 + np.exp(-logits))).astype(np.int64)
        return (_classes(truth, 1 / (1 + np.exp(-confidence * logits))),)

    return draw


def _rivals() -> Rows:
    """Honest probabilities, and the same overconfident."""

    def draw(generator: np.random.Generator, rows: int) -> tuple[HeldOut, ...]:
        (honest,) = _chances(1.0)(generator, rows)
        odds = (honest.outputs / (1 - honest.outputs)) ** 2
        return honest, _classes(honest.truth, (odds / (1 + odds))[:, 0])

    return draw


def _log_loss(confidence: float) -> float:
    """The log loss of `_chances`, over a population."""
    logits = 2 * np.random.default_rng(0).standard_normal(_POPULATION)
    chance = 1 / (1 + np.exp(-logits))
    right, wrong = (np.logaddexp(0, sign * confidence * logits) for sign in (-1, 1))
    return float(np.mean(chance * right + (1 - chance) * wrong))


def _errors(noise: Callable[[np.random.Generator, int], Floats]) -> Rows:
    def draw(generator: np.random.Generator, rows: int) -> tuple[HeldOut, ...]:
        truth = generator.standard_normal(rows)
        return (_numbers(truth, truth + noise(generator, rows)),)

    return draw


def _rival_errors() -> Rows:
    """Errors of a mean size of 1, and those of which a common part is of 1 and all of 1.25."""

    def draw(generator: np.random.Generator, rows: int) -> tuple[HeldOut, ...]:
        truth, errors = generator.standard_normal(rows), _laplace(generator, rows)
        larger = np.where(generator.random(rows) < 0.5, errors, 1.5 * errors)
        return _numbers(truth, truth + errors), _numbers(truth, truth + larger)

    return draw


def _laplace(generator: np.random.Generator, rows: int) -> Floats:
    return generator.laplace(size=rows)


def _classes(truth: NDArray[np.int64], positive: NDArray[np.generic]) -> HeldOut:
    outputs = np.asarray(positive, np.float64)[:, np.newaxis]
    return HeldOut(CLASSES, np.arange(len(truth)), None, None, truth, outputs)


def _numbers(truth: Floats, prediction: Floats) -> HeldOut:
    columns = truth[:, np.newaxis], prediction[:, np.newaxis]
    return HeldOut(NUMBERS, np.arange(len(truth)), None, None, *columns)


def report(samples: int, sizes: Sequence[int], seed: int) -> Table:
    """The share of intervals that hold the truth, and that lie above it."""
    table = Table(box=SIMPLE, title=f"{samples:,} samples each")
    table.add_column("metric")
    for size in sizes:
        table.add_column(f"{size:,} rows", justify="right")
    for scene in scenes():
        each = [cover(scene, size, samples, seed) for size in sizes]
        table.add_row(scene.name, *(f"{one.held:.3f} ({one.too_high:.3f})" for one in each))
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulates, and prints a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--rows", type=int, nargs="+", default=SIZES)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    Console().print(report(options.samples, options.rows, options.seed))


if __name__ == "__main__":
    main()
