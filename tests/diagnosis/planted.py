"""Small tables and configs with one planted fault each, which its rule must find."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Columns = dict[str, np.ndarray]


@dataclass(frozen=True)
class Planted:
    """A table and a config with one fault."""

    rule: str
    table: Callable[[np.random.Generator], Columns]
    config: str
    first: int = 1
    """The rule must be among so many first findings."""
    what: str = ""
    """Suffix that distinguishes it from others of the same rule."""

    @property
    def name(self) -> str:
        return f"{self.rule}{self.what}"

    def write(self, folder: Path) -> Path:
        """Write both, and return the path of the config."""
        columns = self.table(np.random.default_rng(0))
        with (folder / "table.csv").open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(columns)
            writer.writerows(zip(*(column.tolist() for column in columns.values()), strict=True))
        config = folder / f"{self.rule}.yaml"
        config.write_text(self.config)
        return config


def columns(x: np.ndarray, y: np.ndarray) -> Columns:
    return {**{f"x{at}": x[:, at] for at in range(x.shape[1])}, "y": y}


def wavy(rows: int = 400, noise: float = 0.1, scale: float = 1.0, shift: float = 0.0):
    """y follows a bent surface of two columns."""

    def table(random: np.random.Generator) -> Columns:
        x = random.normal(size=(rows, 2))
        y = np.sin(2 * x[:, 0]) + x[:, 1] ** 2 / 2 + noise * random.normal(size=rows)
        return columns(scale * x, shift + y)

    return table


def tailed(rows: int = 400):
    """The logarithm of y is the sum of two columns."""

    def table(random: np.random.Generator) -> Columns:
        x = random.normal(size=(rows, 2))
        return columns(x, np.exp(4 + x.sum(axis=1) + 0.2 * random.normal(size=rows)))

    return table


def straight(rows: int, width: int, noise: float):
    """y is the sum of the columns, and noise."""

    def table(random: np.random.Generator) -> Columns:
        x = random.normal(size=(rows, width))
        return columns(x, x.sum(axis=1) / width**0.5 + noise * random.normal(size=rows))

    return table


def mostly_noise(rows: int):
    """y follows the first of twenty columns a little."""

    def table(random: np.random.Generator) -> Columns:
        x = random.normal(size=(rows, 20))
        return columns(x, x[:, 0] + 0.7 * random.normal(size=rows))

    return table


def product(rows: int = 400):
    """y is the product of two columns, which no straight line follows."""

    def table(random: np.random.Generator) -> Columns:
        x = random.normal(size=(rows, 2))
        return columns(x, x[:, 0] * x[:, 1])

    return table


def unrelated(rows: int):
    def table(random: np.random.Generator) -> Columns:
        return columns(random.normal(size=(rows, 10)), random.normal(size=rows))

    return table


def rare(rows: int = 1000, share: float = 0.06):
    """One class is rare, and overlaps with the other."""

    def table(random: np.random.Generator) -> Columns:
        is_rare = random.random(rows) < share
        x = random.normal(size=(rows, 2)) + 1.2 * is_rare[:, np.newaxis]
        return columns(x, np.where(is_rare, "rare", "usual"))

    return table


DATA = "data: {train: table.csv, target: y, validation: 0.25}\n"
HALF = "data: {train: table.csv, target: y, validation: 0.5}\n"
LAYER = "hidden: [{units: 32, activation: relu}]\n"
SMOOTH = "hidden: [{units: 16, activation: tanh}]\n"
GOOD = "optimizer: {name: adam, learning_rate: 0.01}\nepochs: 60\n"


def sigmoids(count: int) -> str:
    return f"hidden: [{', '.join(['{units: 16, activation: sigmoid}'] * count)}]\n"


def large_weights(count: int, stddev: float, activation: str) -> str:
    initializer = f"kernel_initializer: {{name: random_normal, stddev: {stddev}}}"
    layer = f"{{units: 16, activation: {activation}, {initializer}}}"
    return f"hidden: [{', '.join([layer] * count)}]\n"


DEAD = "hidden: [{units: 32, activation: relu, bias_initializer: {name: constant, value: -6}}]\n"
WIDE = "hidden: [{units: 64, activation: relu}, {units: 64, activation: relu}]\n"
TWO = "hidden: [{units: 32, activation: relu}, {units: 32, activation: relu}]\n"
UNSCALED_INPUT = "input: {scaling: none}\n"
UNSCALED_OUTPUT = "output: {scaling: none}\n"


def optimizer(name: str, rate: float, epochs: int) -> str:
    return f"optimizer: {{name: {name}, learning_rate: {rate}}}\nepochs: {epochs}\n"


PLANTED = (
    Planted("overfitting", mostly_noise(120), DATA + WIDE + GOOD),
    Planted("underfitting", product(), DATA + "hidden: [{units: 8}]\n" + GOOD),
    Planted("still_improving", wavy(), DATA + LAYER + optimizer("adam", 1e-3, 15)),
    Planted(
        "learning_rate_too_high", wavy(), DATA + TWO + optimizer("adam", 0.5, 40), what=" adam"
    ),
    Planted("learning_rate_too_high", wavy(), DATA + TWO + optimizer("sgd", 0.7, 40), what=" sgd"),
    Planted("learning_rate_too_low", wavy(), DATA + LAYER + optimizer("adam", 1e-5, 30)),
    Planted(
        "plateau",
        wavy(noise=1.0),
        DATA + SMOOTH + "optimizer: {name: sgd, learning_rate: 0.1, momentum: 0.9}\nepochs: 60\n",
    ),
    Planted("dead_units", wavy(), DATA + DEAD + GOOD),
    Planted("saturated_units", wavy(), DATA + large_weights(1, 20, "tanh") + GOOD),
    Planted("vanishing_gradients", wavy(), DATA + sigmoids(8) + GOOD),
    Planted(
        "exploding_gradients",
        wavy(),
        DATA + large_weights(6, 1.0, "relu") + optimizer("sgd", 1e-6, 20),
    ),
    Planted("unscaled_inputs", wavy(scale=1000), DATA + LAYER + UNSCALED_INPUT + GOOD),
    Planted("unscaled_target", wavy(shift=500), DATA + LAYER + UNSCALED_OUTPUT + GOOD),
    Planted("long_tail", tailed(), DATA + LAYER + GOOD),
    Planted("imbalance", rare(), DATA + LAYER + GOOD),
    Planted(
        "small_validation",
        wavy(rows=60),
        "data: {train: table.csv, target: y, validation: 0.1}\n"
        + LAYER
        + optimizer("adam", 0.01, 150),
    ),
    Planted(
        "no_validation",
        wavy(noise=0.3),
        "data: {train: table.csv, target: y}\n" + LAYER + GOOD,
    ),
    Planted("no_better_than_constant", unrelated(400), DATA + WIDE + GOOD, first=2),
    Planted("no_better_than_linear", straight(240, 20, 0.5), HALF + WIDE + GOOD, first=2),
    Planted(
        "learning_rate_too_high",
        straight(400, 2, 0.1),
        DATA + "hidden: []\n" + optimizer("sgd", 3.0, 200) + "batch_size: 300\n",
        what=" and training diverges",
    ),
)


def moons(rows: int = 600):
    """Two interlocked half circles."""

    def table(random: np.random.Generator) -> Columns:
        is_upper, angle = random.random(rows) < 0.5, np.pi * random.random(rows)
        across = np.cos(angle) + ~is_upper
        up = np.where(is_upper, np.sin(angle), 0.5 - np.sin(angle))
        x = np.stack([across, up], axis=1) + 0.2 * random.normal(size=(rows, 2))
        return columns(x, np.where(is_upper, "upper", "lower"))

    return table


STOPPED = "early_stopping: {monitor: val_loss, patience: 15}\n"
LONG = optimizer("adam", 0.005, 200) + STOPPED
SOUND = (
    Planted("nothing", wavy(), DATA + LAYER + LONG, what=" in numbers"),
    Planted("nothing", moons(), DATA + TWO + LONG, what=" in classes"),
    Planted(
        "nothing",
        wavy(rows=600, noise=0.5),
        DATA
        + "hidden: [{units: 32, activation: relu, dropout: 0.2, batch_normalization: true}]\n"
        + LONG,
        what=" in noisy rows",
    ),
)
"""Tables and configs without a fault."""
