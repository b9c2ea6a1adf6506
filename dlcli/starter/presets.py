"""The networks that `dlcli init` writes, and how they are trained.

The settings were chosen on the public tables of `benchmarks/public_tables.py` except those held
back; the ablations are in docs/accuracy.md.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from dlcli.config.data_section import FEWEST_TRIAL_ROWS
from dlcli.errors import display_width, padded, printable, truncate
from dlcli.starter.table_facts import MOST_ENCODED, TableFacts

_WIDTH = 108
"""The width of lines, if it leaves space for a comment of a few words."""
_MAX_COMMENT_COLUMN = 50
_MIN_COMMENT_WIDTH = 40
_LONGEST_KEY = 1000  # a longer one needs a question mark: YAML 1.2.2, section 7.4
_PLAIN = re.compile(r"(?:\.\./)*[^\W\d][\w./-]*(?: [\w./-]+)*")
_WORDS = frozenset(("true", "false", "null", "yes", "no", "on", "off", "y", "n"))


@dataclass(frozen=True)
class Line:
    """A line of YAML."""

    key: str
    """As YAML; empty for a line that is only a comment."""
    value: str
    """As YAML."""
    comment: str = ""

    @property
    def code(self) -> str:
        """The line without its comment."""
        if len(self.key) > _LONGEST_KEY:
            return f"? {self.key}\n: {self.value}"
        return f"{self.key}: {self.value}" if self.key else ""


def aligned(lines: Sequence[Line], indent: int = 0) -> str:
    """Write lines with their comments in one column, indented by some spaces."""
    widths = [display_width(line.code) for line in lines if line.comment]
    column = max((width for width in widths if width <= _MAX_COMMENT_COLUMN), default=0)
    return "".join(_commented(line, column, " " * indent) for line in lines)


def _commented(line: Line, column: int, margin: str) -> str:
    code = line.code.replace("\n", f"\n{margin}")
    if not line.comment:
        return f"{margin}{code}\n"
    if not code:
        return f"{margin}# {printable(line.comment)}\n"
    before = f"{margin}{padded(code, column)}  # "
    width = max(_WIDTH - len(before), _MIN_COMMENT_WIDTH)
    return before + truncate(printable(line.comment), width) + "\n"


def scalar(text: str) -> str:
    """Return a text as YAML, in quotes where YAML 1.1 or 1.2 would read something else."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    # JSON is YAML; what it leaves and can't be printed is escaped, such as marks of direction.
    return printable(json.dumps(text, ensure_ascii=False))


Choice = TypeVar("Choice")
Preset = Literal["simple", "good"]


@dataclass(frozen=True)
class Recipe:
    """A network and its training, as parts of a config."""

    hidden: str
    """The section `hidden`."""
    training: Sequence[Line]
    """The lines below it."""
    has_folds: bool
    """True if no validation rows are held out, as each network has a fold of its own."""
    input: Sequence[Line] = ()
    """The settings of all columns."""


def make_recipe(preset: Preset, facts: TableFacts) -> Recipe:
    """Return the recipe of a preset for a table."""
    if preset == "simple":
        return _small_network(facts)
    members = _for_rows(facts.rows, _MEMBERS)
    # Large layers memorize rows by their words: of 150 test reviews, they classified .77 correctly,
    # the small network .80, and eight of them .82.
    if any(column.has_words for column in facts.columns):
        return _small_network(facts, members)
    return _large_ensemble(facts, members)


# A small network

_STACKS = ((500, (16,)), (5_000, (64, 32)), (50_000, (128, 64)), (math.inf, (256, 128)))
"""The units of the hidden layers below a number of rows: there are some tens of rows per unit, so
that a network does not overfit within a few epochs."""
_BATCHES = ((10_000, 32), (100_000, 128), (math.inf, 512))
_FEW_ROWS = 1_000


def _small_network(facts: TableFacts, members: int = 1) -> Recipe:
    """Return a network of one or two layers, to learn with, or an ensemble of several."""
    units = _for_rows(facts.rows, _STACKS)
    size = "one small layer" if len(units) == 1 else "two layers of this size"
    layers = "".join(f"  - {{units: {count}, activation: relu}}\n" for count in units)
    hidden = (
        f"hidden:  # for {facts.rows:,} rows, {size}: more units may overfit\n"
        f"{layers}"
        f"  # - {{units: {units[0]}, activation: relu, dropout: 0.2}}"
        "  # against overfitting: drops a random fifth of the units at each step\n"
    )
    epochs = 500 if facts.rows < _FEW_ROWS else 100
    stopping = "at most: early stopping may end training sooner"
    training = [
        Line("optimizer", "{name: adam, learning_rate: 0.001}", "Adam's default, 1e-3"),
        Line("epochs", str(epochs), stopping if facts.holds_out else "passes over the rows"),
        Line("batch_size", str(_for_rows(facts.rows, _BATCHES)), "rows per step"),
    ]
    if facts.holds_out:
        stopped = "{monitor: val_loss, patience: 20}"
        training.append(Line("early_stopping", stopped, "epochs without improvement"))
    else:
        training.append(Line("", "", "no early_stopping: it needs validation rows"))
    has_folds = members > 1 and facts.holds_out
    if members > 1:
        training.append(_ensemble_line(members, has_folds=has_folds))
    return Recipe(hidden, training, has_folds)


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


_ROWS_OF_TRIAL = 10 * FEWEST_TRIAL_ROWS
"""Rows from which each network is validated on enough of them, about a tenth, for a trial."""


def _large_ensemble(facts: TableFacts, members: int) -> Recipe:
    """Return several large networks, averaged, each validated on its own fold.

    Early stopping keeps each network's best epoch.
    """
    layers = (f"  - {{units: {units}, activation: silu, dropout: 0.05}}\n" for units in _UNITS)
    least, most = _EPOCHS
    passes = _for_rows(facts.rows, _ROWS_TRAINED) / facts.rows
    epochs = min(max(10 * round(passes / 10), least), most)
    batch_size = _for_rows(facts.rows, _LARGE_BATCHES)
    training = [
        Line(
            "optimizer",
            "{name: adamw, learning_rate: 0.003, weight_decay: 0.1}",
            "Adam with weight decay",
        ),
        Line(
            "learning_rate_schedule",
            "cosine_decay_restarts",
            "falls to 0 four times, ever more slowly",
        ),
        Line("epochs", str(epochs), "passes over the rows"),
        Line("batch_size", str(batch_size), "rows per step"),
    ]
    if facts.holds_out:
        stopping = f"{{monitor: val_loss, patience: {epochs // 2}}}"
        why = "epochs without improvement; the best is kept"
        training.append(Line("early_stopping", stopping, why))
    else:
        training.append(Line("", "", "no early_stopping: there are too few rows to validate on"))
    training.append(_ensemble_line(members, has_folds=facts.holds_out))
    bins = _bins(facts)
    inputs = sum(column.feature.inputs_of(column.values.distinct, bins) for column in facts.columns)
    has_trial = facts.holds_out and facts.rows >= _ROWS_OF_TRIAL
    networks = members + has_trial  # the first one is trained twice
    steps = networks * epochs * facts.rows / batch_size
    seconds = seconds_in_words(_seconds(steps, batch_size, inputs))
    training.append(Line("", "", f"all of it trains in up to about {seconds} on two cores"))
    encoding = f"{{name: piecewise_linear, bins: {bins}}}"
    bins_line = Line("encoding", encoding, "each number as its position in so many bins")
    layer = "auto" if has_trial else "{learning_rate_multiplier: 40}"
    unless = "; none if it harms" if has_trial else ""
    layer_line = Line("scaling_layer", layer, f"a trained weight for each column{unless}")
    return Recipe(
        "hidden:  # large layers: the averaged networks hardly overfit\n" + "".join(layers),
        training,
        facts.holds_out,
        [*[bins_line] * (bins > 1), layer_line],
    )


def _bins(facts: TableFacts) -> int:
    """Return the bins that each number is encoded by; 1 if the numbers are scaled instead."""
    numbers = sum(column.feature.is_amount for column in facts.columns)
    most = min(_MOST_BINS, MOST_ENCODED // facts.rows) // max(numbers, 1)
    bins = min(_for_rows(facts.rows, _BINS), most)
    return bins if numbers and bins >= _FEWEST_BINS else 1


_SECONDS_BEFORE = 11
"""The time that everything but the steps takes. With these three, 506, 1,000, 2,700 and 4,165 rows
are estimated at 15, 18, 29 and 40 seconds, and took 14, 18, 24 and 33 with eight networks; on a
faster machine, the last three took 16, 21 and 26 with nine."""
_SECONDS_A_STEP = 7e-5
_SECONDS_A_WEIGHT = 7e-11
"""Time of a step on two cores: apart from the weights, and for each weight and row."""


def _seconds(steps: float, batch_size: int, inputs: int) -> float:
    """Return about how many seconds training takes, given the steps of all networks."""
    weights = sum(a * b for a, b in zip((inputs, *_UNITS), _UNITS, strict=False))
    per_step = _SECONDS_A_STEP + batch_size * weights * _SECONDS_A_WEIGHT
    return _SECONDS_BEFORE + steps * per_step


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
