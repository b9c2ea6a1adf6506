"""Simulate how often the confidence intervals of `dlcli compare` contain the true value.

`python -m benchmarks.coverage` draws held-out rows from populations whose metric is known from a
formula or a large sample. 95 of 100 intervals should contain it, even with few rows, skewed errors
or accurate decisions.

Share of intervals that contain the true value (500, 500, 400 and 150 samples; the standard error of
.950 is .010, .010, .011 and .018; of AUCs 1,000 samples and .007). With fewer than three positive
rows, the interval is undefined: with one positive in ten, for 30 and 50 rows in .424 and .108 of
samples.

    rows                        30     50    100  1,000
    accuracy                  .972   .970   .945   .960
    auc 0.8                   .980   .965   .962   .956
    auc 0.8, 1 in 5 positive  .945   .976   .969   .949
    auc 0.95                  .991   .959   .951   .946
    auc 0.95, 1 in 10         .573   .890   .968   .947
    rmse, normal errors       .958   .960   .958   .953
    rmse, Laplace errors      .920   .952   .968   .973
    log_loss                  .962   .958   .978   .960
    difference of accuracies  .962   .970   .943   .967
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from dlcli.metrics.intervals import Estimate, estimate_statistic_differences, estimate_statistics
from dlcli.prediction.predictions import HeldOut
from dlcli.tasks.classification import Binary
from dlcli.tasks.regression import Regression

Floats = NDArray[np.float64]
Rows = Callable[[np.random.Generator, int], tuple[HeldOut, ...]]

SIZES = (30, 100, 1_000)
CLASSES = Binary(columns=("y",), classes=("no", "yes"))
NUMBERS = Regression(columns=("y",))
_POPULATION = 1_000_000


@dataclass(frozen=True)
class Case:
    """A metric, or the difference of two, whose true value is known."""

    name: str
    metric: str
    truth: float
    draw: Rows
    """Draws rows with the predictions of one model or of two."""
    paired: bool = True
    """True if two models predict the same rows."""


@dataclass(frozen=True)
class Coverage:
    """Shares of the intervals of a case, compared with the true value."""

    contained: float
    """Share of intervals that contain it."""
    too_high: float
    """Share of intervals above it."""
    without: float
    """Share of samples without an interval, which count as not containing it."""


@cache
def cases() -> tuple[Case, ...]:
    """Return the simulated cases."""
    half = math.sqrt(0.5)
    return (
        Case("accuracy 0.85", "accuracy", 0.85, _decisions(0.85)),
        Case("auc 0.8", "auc", NormalDist().cdf(1.2 * half), _ranked(1.2, 0.5)),
        Case("auc 0.8, 1 in 5", "auc", NormalDist().cdf(1.2 * half), _ranked(1.2, 0.2)),
        Case("auc 0.95", "auc", NormalDist().cdf(2.3 * half), _ranked(2.3, 0.5)),
        Case("auc 0.95, 1 in 10", "auc", NormalDist().cdf(2.3 * half), _ranked(2.3, 0.1)),
        Case("rmse, normal", "rmse", 1.0, _errors(np.random.Generator.standard_normal)),
        Case("rmse, Laplace", "rmse", math.sqrt(2), _errors(_laplace)),
        Case("mae, Laplace", "mae", 1.0, _errors(_laplace)),
        Case("log_loss", "log_loss", _log_loss(1.0), _probabilities(1.0)),
        Case("log_loss, overconfident", "log_loss", _log_loss(2.0), _probabilities(2.0)),
        Case("difference of accuracies", "accuracy", 0.1, _disagreeing(0.2, 0.1)),
        Case("the same, unpaired", "accuracy", 0.1, _unpaired(0.8, 0.9), paired=False),
        Case("difference of log losses", "log_loss", _log_loss(2.0) - _log_loss(1.0), _rivals()),
        Case("difference of maes", "mae", 0.25, _rival_errors()),
        Case("log losses of equals, 1 in 20", "log_loss", 0.0, _equals(0.05)),
        Case("average precisions, 1 in 20", "average_precision", 0.0, _equals(0.05)),
    )


def cover(
    case: Case, rows: int, samples: int, seed: int = 0, resamples: int | None = None
) -> Coverage:
    """Draw samples of rows, and count how often their intervals contain the true value.

    Args:
        case: the population.
        rows: rows of a sample.
        samples: number of samples.
        seed: random seed.
        resamples: bootstrap resamples of each sample. [default: depends on the number of rows]
    """
    rng = np.random.default_rng([seed, rows])
    estimates = [_estimate(case, case.draw(rng, rows), resamples) for _ in range(samples)]
    ends = [(estimate.lower, estimate.upper) for estimate in estimates]
    known = np.array([pair for pair in ends if None not in pair], dtype=float).reshape(-1, 2)
    lower, upper = known.T
    return Coverage(
        float(np.sum((lower <= case.truth) & (case.truth <= upper)) / samples),
        float(np.sum(lower > case.truth) / samples),
        1 - len(known) / samples,
    )


def _estimate(case: Case, held_outs: tuple[HeldOut, ...], resamples: int | None) -> Estimate:
    first, *others = (held_out.statistics([case.metric]) for held_out in held_outs)
    if not others:
        return estimate_statistics(first, resamples)[case.metric]
    differences = estimate_statistic_differences(
        first, others[0], paired=case.paired, resamples=resamples
    )
    return differences[case.metric]


def _decisions(right: float) -> Rows:
    """Two classes, with the given accuracy."""

    def draw(rng: np.random.Generator, rows: int) -> tuple[HeldOut, ...]:
        truth = rng.integers(0, 2, rows)
        return (_classes(truth, np.abs(truth - (rng.random(rows) >= right))),)

    return draw


def _disagreeing(gained: float, lost: float) -> Rows:
    """Two models; shares of rows on which only the second, and only the first, is right."""

    def draw(rng: np.random.Generator, rows: int) -> tuple[HeldOut, ...]:
        truth, uniform = rng.integers(0, 2, rows), rng.random(rows)
        first_wrong = uniform < gained
        second_wrong = (uniform >= gained) & (uniform < gained + lost)
        return tuple(
            _classes(truth, np.abs(truth - wrong)) for wrong in (first_wrong, second_wrong)
        )

    return draw


def _unpaired(*rights: float) -> Rows:
    """Two models with the given accuracies on different rows."""

    def draw(rng: np.random.Generator, rows: int) -> tuple[HeldOut, ...]:
        return tuple(_decisions(right)(rng, rows)[0] for right in rights)

    return draw


def _ranked(distance: float, positive: float) -> Rows:
    """Normal scores of two classes at the given distance: the AUC is `Φ(distance / √2)`."""

    def draw(rng: np.random.Generator, rows: int) -> tuple[HeldOut, ...]:
        truth = (rng.random(rows) < positive).astype(np.int64)
        scores = rng.standard_normal(rows) + distance * truth
        return (_classes(truth, 1 / (1 + np.exp(-scores))),)

    return draw


def _probabilities(confidence: float) -> Rows:
    """Probabilities whose logits are too large by the factor `confidence`."""

    def draw(rng: np.random.Generator, rows: int) -> tuple[HeldOut, ...]:
        logits = 2 * rng.standard_normal(rows)
        truth = (rng.random(rows) < 1 / (1 + np.exp(-logits))).astype(np.int64)
        return (_classes(truth, 1 / (1 + np.exp(-confidence * logits))),)

    return draw


def _rivals() -> Rows:
    """Calibrated probabilities, and overconfident ones for the same rows."""

    def draw(rng: np.random.Generator, rows: int) -> tuple[HeldOut, ...]:
        (calibrated,) = _probabilities(1.0)(rng, rows)
        odds = (calibrated.decoded / (1 - calibrated.decoded)) ** 2
        return calibrated, _classes(calibrated.values, (odds / (1 + odds))[:, 0])

    return draw


def _equals(positive: float) -> Rows:
    """Two equally good models: the same logits with independent noise; a share is positive."""
    middle = math.log(positive / (1 - positive)) - 0.8  # the mean of a sigmoid is closer to 0.5

    def draw(rng: np.random.Generator, rows: int) -> tuple[HeldOut, ...]:
        logits = middle + 1.5 * rng.standard_normal(rows)
        truth = (rng.random(rows) < 1 / (1 + np.exp(-logits))).astype(np.int64)
        noisy = (logits + 0.7 * rng.standard_normal(rows) for _ in range(2))
        return tuple(_classes(truth, 1 / (1 + np.exp(-each))) for each in noisy)

    return draw


def _log_loss(confidence: float) -> float:
    """Return the log loss of `_probabilities`, from a large sample."""
    logits = 2 * np.random.default_rng(0).standard_normal(_POPULATION)
    probability = 1 / (1 + np.exp(-logits))
    right, wrong = (np.logaddexp(0, sign * confidence * logits) for sign in (-1, 1))
    return float(np.mean(probability * right + (1 - probability) * wrong))


def _errors(noise: Callable[[np.random.Generator, int], Floats]) -> Rows:
    def draw(rng: np.random.Generator, rows: int) -> tuple[HeldOut, ...]:
        truth = rng.standard_normal(rows)
        return (_numbers(truth, truth + noise(rng, rows)),)

    return draw


def _rival_errors() -> Rows:
    """Laplace errors with a mean size of 1, and the same 1.5 times as large on half the rows."""

    def draw(rng: np.random.Generator, rows: int) -> tuple[HeldOut, ...]:
        truth, errors = rng.standard_normal(rows), _laplace(rng, rows)
        larger = np.where(rng.random(rows) < 0.5, errors, 1.5 * errors)
        return _numbers(truth, truth + errors), _numbers(truth, truth + larger)

    return draw


def _laplace(rng: np.random.Generator, rows: int) -> Floats:
    return rng.laplace(size=rows)


def _classes(truth: NDArray[np.int64], positive: NDArray[np.generic]) -> HeldOut:
    outputs = np.asarray(positive, np.float64)[:, np.newaxis]
    return HeldOut(truth, outputs, None, task=CLASSES, row=np.arange(len(truth)))


def _numbers(truth: Floats, prediction: Floats) -> HeldOut:
    columns = truth[:, np.newaxis], prediction[:, np.newaxis]
    return HeldOut(*columns, None, task=NUMBERS, row=np.arange(len(truth)))


def report(samples: int, sizes: Sequence[int], seed: int) -> Table:
    """Return a table: shares of intervals that contain the true value (and that are above it)."""
    table = Table(box=SIMPLE, title=f"{samples:,} samples each")
    table.add_column("metric")
    for size in sizes:
        table.add_column(f"{size:,} rows", justify="right")
    for case in cases():
        coverages = [cover(case, size, samples, seed) for size in sizes]
        cells = (f"{one.contained:.3f} ({one.too_high:.3f})" for one in coverages)
        table.add_row(case.name, *cells)
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Simulate, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--rows", type=int, nargs="+", default=SIZES)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    Console().print(report(options.samples, options.rows, options.seed))


if __name__ == "__main__":
    main()
