"""The networks that `dlcli init` writes, and how they are trained.

The settings were chosen on the public tables of `benchmarks/public_tables.py` except those held
back; the ablations are in docs/accuracy.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, Protocol, TypeVar

from dlcli.config import Categorical, Image, Numeric
from dlcli.starter.table_facts import MOST_ENCODED, ColumnFacts, TableFacts
from dlcli.starter.yaml_lines import Line

Choice = TypeVar("Choice")
Preset = Literal["simple", "good"]


class Recipe(Protocol):
    """A network and its training, as lines of a config."""

    @property
    def has_folds(self) -> bool:
        """True if no validation rows are held out, as each network has a fold of its own."""

    @property
    def hidden(self) -> str:
        """The section `hidden`."""

    def input_lines(self) -> Sequence[Line]:
        """Return the settings of all columns."""

    def training_lines(self) -> Iterator[Line]:
        """Yield what stands below the network."""


def make_recipe(preset: Preset, facts: TableFacts) -> Recipe:
    """Return the recipe of a preset for a table."""
    if preset == "simple":
        return SmallNetwork(facts)
    members = _for_rows(facts.rows, _MEMBERS)
    # Large layers memorize rows by their words: of 150 test reviews, they classified .77 correctly,
    # the small network .80, and eight of them .82.
    if any(column.has_words for column in facts.columns):
        return SmallNetwork(facts, members)
    return LargeEnsemble(facts, members)


# A small network

_STACKS = ((500, (16,)), (5_000, (64, 32)), (50_000, (128, 64)), (math.inf, (256, 128)))
"""The units of the hidden layers below a number of rows: there are some tens of rows per unit, so
that a network does not overfit within a few epochs."""
_BATCHES = ((10_000, 32), (100_000, 128), (math.inf, 512))
_FEW_ROWS = 1_000


@dataclass(frozen=True)
class SmallNetwork:
    """A network of one or two layers, to learn with, or an ensemble of several."""

    facts: TableFacts
    members: int = 1

    @property
    def has_folds(self) -> bool:
        """True for an ensemble, unless there are too few rows to validate on."""
        return self.members > 1 and self.facts.holds_out

    @property
    def hidden(self) -> str:
        """The section `hidden`."""
        units = _for_rows(self.facts.rows, _STACKS)
        size = "one small layer" if len(units) == 1 else "two layers of this size"
        layers = "".join(f"  - {{units: {count}, activation: relu}}\n" for count in units)
        dropout = f"  # - {{units: {units[0]}, activation: relu, dropout: 0.2}}"
        return (
            f"hidden:  # for {self.facts.rows:,} rows, {size}: more units may overfit\n"
            f"{layers}"
            f"{dropout}  # against overfitting: drops a random fifth of the units at each step\n"
        )

    def input_lines(self) -> Sequence[Line]:
        """Return the settings of all columns."""
        return ()

    def training_lines(self) -> Iterator[Line]:
        """Yield what stands below the network."""
        facts = self.facts
        epochs = 500 if facts.rows < _FEW_ROWS else 100
        stopping = "at most: early stopping may end training sooner"
        batch = _for_rows(facts.rows, _BATCHES)
        yield Line("optimizer", "{name: adam, learning_rate: 0.001}", "Adam's default, 1e-3")
        yield Line("epochs", str(epochs), stopping if facts.holds_out else "passes over the rows")
        yield Line("batch_size", str(batch), "rows per step")
        if facts.holds_out:
            stopped = "{monitor: val_loss, patience: 20}"
            yield Line("early_stopping", stopped, "epochs without improvement")
        else:
            yield Line("", "", "no early_stopping: it needs validation rows")
        if self.members > 1:
            yield _ensemble_line(self.members, has_folds=self.has_folds)


# An ensemble of large networks

_UNITS = (128, 128, 128)
_MEMBERS = ((200_000, 8), (math.inf, 4))
_ROWS_TRAINED = ((10_000, 1_000_000), (math.inf, 3_000_000))
"""About how often a row is trained on in all, by each network, within these epochs."""
_EPOCHS = (10, 200)
_LARGE_BATCHES = ((2_000, 64), (10_000, 128), (200_000, 256), (math.inf, 1024))
_BINS = ((2_000, 16), (math.inf, 48))
"""The bins of each number below a number of rows."""
_MOST_BINS = 3_200
"""The largest number of bins of all columns; there are fewer bins of each, but at least these:"""
_FEWEST_BINS = 16


@dataclass(frozen=True)
class LargeEnsemble:
    """Several large networks, averaged, each validated on its own fold.

    Early stopping never ends training, but keeps each network's best epoch.
    """

    facts: TableFacts
    members: int

    @property
    def has_folds(self) -> bool:
        """True unless there are too few rows to validate on."""
        return self.facts.holds_out

    @property
    def hidden(self) -> str:
        """The section `hidden`."""
        layers = (f"  - {{units: {units}, activation: silu, dropout: 0.05}}\n" for units in _UNITS)
        return "hidden:  # large layers: the averaged networks hardly overfit\n" + "".join(layers)

    @property
    def _epochs(self) -> int:
        low, high = _EPOCHS
        epochs = _for_rows(self.facts.rows, _ROWS_TRAINED) / self.facts.rows
        return min(max(10 * round(epochs / 10), low), high)

    @property
    def _batch_size(self) -> int:
        return _for_rows(self.facts.rows, _LARGE_BATCHES)

    @cached_property
    def _bins(self) -> int:
        """The bins that each number is encoded by; 1 if the numbers are scaled instead."""
        numbers = sum(column.type == "numeric" for column in self.facts.columns)
        most = min(_MOST_BINS, MOST_ENCODED // self.facts.rows) // max(numbers, 1)
        bins = min(_for_rows(self.facts.rows, _BINS), most)
        return bins if numbers and bins >= _FEWEST_BINS else 1

    def input_lines(self) -> Sequence[Line]:
        """Return the settings of all columns."""
        if self._bins == 1:
            return ()
        encoding = f"{{name: piecewise_linear, bins: {self._bins}}}"
        return [Line("encoding", encoding, "each number as its position in so many bins")]

    def training_lines(self) -> Iterator[Line]:
        """Yield what stands below the network."""
        optimizer = "{name: adamw, learning_rate: 0.003, weight_decay: 0.1}"
        yield Line("optimizer", optimizer, "Adam with weight decay")
        yield Line("learning_rate_schedule", "cosine_decay", "falls to 0 at the last epoch")
        yield Line("epochs", str(self._epochs), "passes over the rows")
        yield Line("batch_size", str(self._batch_size), "rows per step")
        if self.has_folds:
            stopping = f"{{monitor: val_loss, patience: {self._epochs}}}"
            yield Line("early_stopping", stopping, "never ends training, but keeps the best epoch")
        else:
            yield Line("", "", "no early_stopping: there are too few rows to validate on")
        yield _ensemble_line(self.members, has_folds=self.has_folds)
        seconds = seconds_in_words(self._seconds)
        yield Line("", "", f"all of it trains in about {seconds} on two cores")

    @property
    def _seconds(self) -> float:
        """About how many seconds training takes."""
        weights = sum(a * b for a, b in zip((self._inputs, *_UNITS), _UNITS, strict=False))
        rows = self.facts.rows
        steps = self.members * self._epochs * rows / self._batch_size
        per_step = _SECONDS_A_STEP + self._batch_size * weights * _SECONDS_A_WEIGHT
        return _SECONDS_BEFORE + steps * per_step

    @property
    def _inputs(self) -> int:
        """About how many inputs the columns are encoded by."""
        return sum(map(self._inputs_of, self.facts.columns))

    def _inputs_of(self, column: ColumnFacts) -> int:
        match column.feature:
            case Numeric(max_categories=most):
                return min(self._bins, column.values.distinct) + most
            case Categorical(max_categories=most):
                return min(most, column.values.distinct)
            case Image(shape=shape):
                return math.prod(shape)
        return 1


_SECONDS_BEFORE = 11
"""The time that everything but the steps takes. With these three, 506, 1,000, 2,700 and 4,165 rows
are estimated at 15, 17, 27 and 37 seconds, and took 14, 18, 24 and 33."""
_SECONDS_A_STEP = 7e-5
_SECONDS_A_WEIGHT = 7e-11
"""Time of a step on two cores: apart from the weights, and for each weight and row."""


def _ensemble_line(members: int, *, has_folds: bool) -> Line:
    if has_folds:
        why = "networks, averaged; each validated on its own fold"
        return Line("ensemble", f"{{members: {members}}}", why)
    return Line("ensemble", f"{{members: {members}, folds: none}}", "networks, averaged")


def seconds_in_words(seconds: float) -> str:
    """Return `20 s`, `3 min` or `2 h`, rounded to one digit."""
    unit, size = next(
        (unit, size) for unit, size in (("h", 3600), ("min", 60), ("s", 1)) if seconds >= size
    )
    count = seconds / size
    digits = -math.floor(math.log10(count))
    return f"{round(count, digits):.0f} {unit}"


def _for_rows(rows: int, choices: Sequence[tuple[float, Choice]]) -> Choice:
    return next(choice for limit, choice in choices if rows < limit)
