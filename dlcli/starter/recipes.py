"""The networks of the presets of `dlcli init`, and their training.

The settings were chosen on the public tables of `benchmarks/public_tables.py` except those held
back; the ablations are in benchmarks/accuracy.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from dlcli.config.data_section import FEWEST_TRIAL_ROWS
from dlcli.starter.commented_yaml import Line, aligned, comment
from dlcli.starter.table_facts import MOST_ENCODED, TableFacts

Preset = Literal["simple", "good", "best"]
Chosen = TypeVar("Chosen")


@dataclass(frozen=True)
class Recipe:
    """A network and its training, as parts of a config."""

    hidden: str
    """The section `hidden`."""
    training: Sequence[Line]
    """The lines below it."""
    has_folds: bool
    """Whether each network is validated on its own fold, so no validation rows are held out."""
    input: Sequence[Line] = ()
    """The settings of all columns."""
    ensemble: str = ""
    """The section `ensemble`, if it has several lines."""

    @property
    def has_waves(self) -> bool:
        """Whether some networks encode numbers as waves, which rise and fall."""
        return "periodic" in self.ensemble

    @property
    def is_rising(self) -> bool:
        """Whether the activations of all layers never fall, as monotone columns require."""
        return "silu" not in self.hidden

    @property
    def text(self) -> str:
        """The training and the ensemble as YAML."""
        return aligned(self.training) + self.ensemble


def make_recipe(preset: Preset, facts: TableFacts) -> Recipe:
    """Return the recipe of a preset for a table."""
    if preset == "simple":
        return _small_network(facts)
    members = _for_rows(facts.rows, _MEMBERS)
    # Large layers memorize rows by their words: on 150 test reviews, their accuracy was 77 %, that
    # of the small network 80 %, and that of eight small networks 82 %.
    if any(column.feature.has_words for column in facts.columns):
        return _small_network(facts, members)
    return _large_ensemble(facts, members, varies=preset == "best" and facts.has_folds)


# A small network

_STACKS = ((500, (16,)), (5_000, (64, 32)), (50_000, (128, 64)), (math.inf, (256, 128)))
"""Units of the hidden layers, by maximum number of rows: some tens of rows per unit, so a network
does not overfit within a few epochs."""
_BATCHES = ((10_000, 32), (100_000, 128), (math.inf, 512))
_FEW_ROWS = 1_000


def _small_network(facts: TableFacts, members: int = 1) -> Recipe:
    """Return a network of one or two layers, for learners, or an ensemble of them."""
    units = _for_rows(facts.rows, _STACKS)
    size = "one small layer" if len(units) == 1 else "two layers of this size"
    layers = "".join(f"  - {{units: {count}, activation: relu}}\n" for count in units)
    hidden = (
        f"hidden:  # for {facts.rows:,} rows, {size}: more units may overfit\n"
        f"{layers}"
        "  # against overfitting, replace the line above by this one, which also has dropout:\n"
        f"  # - {{units: {units[0]}, activation: relu, dropout: 0.2}}\n"
    )
    epochs = 500 if facts.rows < _FEW_ROWS else 100
    stopping = "at most: early stopping may end training sooner"
    training = [
        Line("optimizer", "{name: adam, learning_rate: 0.001}", "Adam's default, 1e-3"),
        Line("epochs", str(epochs), stopping if facts.holds_out else "passes over the rows"),
        Line("batch_size", str(_for_rows(facts.rows, _BATCHES)), "rows per step"),
        _stopping_line(facts, 20, _STOPS.format(20), "it needs validation rows"),
    ]
    has_folds = members > 1 and facts.has_folds
    if members > 1:
        training.append(_ensemble_line(members, has_folds=has_folds))
    return Recipe(hidden, training, has_folds)


_STOPS = "ends after {} epochs without improvement"

# An ensemble of large networks

_UNITS = (128, 128, 128)
_MEMBERS = ((200_000, 8), (math.inf, 4))
_ROWS_TRAINED = ((10_000, 1_000_000), (math.inf, 3_000_000))
"""Approximate number of rows that each network processes in all epochs, within `_EPOCHS`."""
_EPOCHS = (10, 200)
_LARGE_BATCHES = ((2_000, 64), (10_000, 128), (200_000, 256), (math.inf, 1024))
_BINS = ((2_000, 16), (math.inf, 48))
"""Bins per numeric column, by maximum number of rows."""
_MOST_BINS = 3_200
"""Maximum number of bins of all columns; many columns get fewer bins each."""
_FEWEST_BINS = 16


_TOLERANCE = 0.1
"""Difference of the validation loss from the best one, in nats or as a share of the variance of the
target, up to which a later epoch may still become the best one."""
_PATIENCE = 0.15
"""Epochs in a row beyond that difference, as a share of all, after which none did: on 22 tables,
training ended after .66 of the epochs, of classes .59, and kept the same weights as without this
limit (benchmarks/accuracy.md)."""

_SHARE_FOR_CLASSES = 0.35
"""Epochs before early stopping ends training, as a share of all, if the target is a class: 0.21 to
0.44 on three tables."""

_ROWS_OF_TRIAL = 10 * FEWEST_TRIAL_ROWS
"""Number of rows from which a network's validation rows, about a tenth, suffice for a trial."""


def _large_ensemble(facts: TableFacts, members: int, *, varies: bool) -> Recipe:
    """Return an ensemble of large networks, each validated on its own fold.

    Early stopping keeps each network's best epoch.

    Args:
        facts: the table.
        members: number of networks in a group.
        varies: whether to add groups of networks with other settings.
    """
    layers = (f"  - {{units: {units}, activation: silu, dropout: 0.05}}\n" for units in _UNITS)
    least, most = _EPOCHS
    passes = _for_rows(facts.rows, _ROWS_TRAINED) / facts.rows
    epochs = min(max(10 * round(passes / 10), least), most)
    batch_size = _for_rows(facts.rows, _LARGE_BATCHES)
    adamw = "{name: adamw, learning_rate: 0.003, weight_decay: 0.1}"
    restarts = "falls to 0 in four cycles of growing length"
    patience, tolerance = epochs // 2, None
    why = f"{_STOPS.format(patience)}; the best is kept"
    if facts.task.type != "count":  # whose loss has no such unit
        tolerance = _TOLERANCE
        patience = round(epochs * _PATIENCE)
        why = f"ends if {patience} epochs exceed the best by {tolerance}"
    training = [
        Line("optimizer", adamw, "Adam with weight decay"),
        Line("learning_rate_schedule", "cosine_decay_restarts", restarts),
        Line("epochs", str(epochs), "passes over the rows"),
        Line("batch_size", str(batch_size), "rows per step"),
        _stopping_line(facts, patience, why, "there are too few rows to validate on", tolerance),
    ]
    bins = _bins(facts)
    groups = [*_other_groups(facts, bins, batch_size)] if varies else []
    if not groups:
        training.append(_ensemble_line(members, has_folds=facts.has_folds))
    inputs = sum(column.feature.inputs_of(column.values.distinct, bins) for column in facts.columns)
    has_trial = facts.holds_out and facts.rows >= _ROWS_OF_TRIAL
    networks = members * (1 + len(groups)) + has_trial  # the first one is trained twice
    share = _SHARE_FOR_CLASSES if facts.task.outcome == "classes" else 1.0
    steps = share * networks * epochs * facts.rows / batch_size
    seconds = seconds_in_words(_seconds(steps, batch_size, inputs))
    training.append(comment(f"trains in about {seconds} on two cores"))
    encoding = f"{{name: piecewise_linear, bins: {bins}}}"
    bins_line = Line("encoding", encoding, "several inputs for each number, one for each bin")
    layer = "auto" if has_trial else "{learning_rate_multiplier: 40}"
    unless = "; omitted if harmful" if has_trial else ""
    layer_line = Line("scaling_layer", layer, f"a learned weight for each column{unless}")
    hidden = "hidden:  # large layers: the averaged networks hardly overfit\n" + "".join(layers)
    settings = [*[bins_line] * (bins > 1), layer_line]
    ensemble = _varied_ensemble(members, groups) if groups else ""
    return Recipe(hidden, training, facts.has_folds, settings, ensemble)


_LARGE_BATCH = 256
_OTHER_BINS = {16: 48, 48: 16}


def _other_groups(facts: TableFacts, bins: int, batch_size: int) -> Iterator[Mapping[str, str]]:
    """Yield the settings of further groups of networks by path, as YAML.

    Networks with different encodings differ the most. The last group is similar to RealMLP
    (Holzmüller et al. 2024, https://arxiv.org/abs/2407.04491).
    """
    has_encodings = bins > 1
    waves = {"input.encoding": "periodic_linear"} if has_encodings else {}
    yield {**waves, "optimizer.learning_rate": "0.001", "hidden_layers": "{dropout: 0.15}"}
    others = _OTHER_BINS.get(bins)
    other = {"input.encoding": f"{{name: piecewise_linear, bins: {others}}}"} if others else {}
    yield {**other, "optimizer.learning_rate": "0.001", "hidden_layers": "{dropout: 0.3}"}
    if facts.task.type == "count":  # a high learning rate might diverge
        return
    rate = 0.02 if facts.task.outcome == "classes" else 0.05
    further = ", encodings: 0.1" if has_encodings else ""
    batches = {"batch_size": f"{_LARGE_BATCH}"} if batch_size < _LARGE_BATCH else {}
    waves = {"input.encoding": "{name: periodic_linear, deviation: 0.4}"} if has_encodings else {}
    yield {
        **waves,
        "optimizer": f"{{name: adamw, learning_rate: {rate}, beta_2: 0.95, weight_decay: 0.1}}",
        "learning_rate_multipliers": f"{{kernels: inverse_sqrt_fan_in, biases: 0.1{further}}}",
        **batches,
    }


def _varied_ensemble(folds: int, groups: Sequence[Mapping[str, str]]) -> str:
    """Write an ensemble of several groups of networks."""
    count = 1 + len(groups)
    lines = [
        Line("members", f"{count * folds}", f"{count} groups of networks with different settings"),
        Line("folds", f"{folds}", "each network of a group is validated on its own fold"),
        Line("select", "greedy", "weights the groups by their out-of-fold predictions"),
    ]
    text = f"ensemble:\n{aligned(lines, indent=2)}  vary:  # the settings of the other groups\n"
    for group in groups:
        pairs = [f"{path}: {value}\n" for path, value in group.items()]
        text += f"    - {'      '.join(pairs)}"
    return text


def _bins(facts: TableFacts) -> int:
    """Return the number of bins per numeric column; 1 if numbers are scaled instead."""
    numbers = sum(column.feature.is_amount for column in facts.columns)
    most = min(_MOST_BINS, MOST_ENCODED // facts.rows) // max(numbers, 1)
    bins = min(_for_rows(facts.rows, _BINS), most)
    return bins if numbers and bins >= _FEWEST_BINS else 1


_SECONDS_BEFORE = 8
"""Time of everything except the steps. With these constants, the estimates for six tables of 908 to
10,000 rows, three of them with classes, are 10 to 71 s; on two quiet cores, training took 0.8 to
1.3 times as long (from 10 to 73 s)."""
_SECONDS_A_STEP = 1.15e-4
_SECONDS_A_WEIGHT = 3.3e-11
"""Time per step, weight and row on two cores; `_SECONDS_A_STEP` is the time without weights."""


def _seconds(steps: float, batch_size: int, inputs: int) -> float:
    """Estimate the training time, given the steps of all networks."""
    weights = sum(a * b for a, b in zip((inputs, *_UNITS), _UNITS, strict=False))
    per_step = _SECONDS_A_STEP + batch_size * weights * _SECONDS_A_WEIGHT
    return _SECONDS_BEFORE + steps * per_step


def _stopping_line(
    facts: TableFacts, patience: int, why: str, why_not: str, tolerance: float | None = None
) -> Line:
    if not facts.holds_out:
        return comment(f"no early_stopping: {why_not}")
    further = "" if tolerance is None else f", tolerance: {tolerance}"
    return Line("early_stopping", f"{{monitor: val_loss, patience: {patience}{further}}}", why)


def _ensemble_line(members: int, *, has_folds: bool) -> Line:
    folds, why = ("", "; each validated on its own fold") if has_folds else (", folds: none", "")
    return Line("ensemble", f"{{members: {members}{folds}}}", f"networks, averaged{why}")


def seconds_in_words(seconds: float) -> str:
    """Return `20 s`, `3 min` or `2 h`, rounded to one digit."""
    units = (("h", 3600), ("min", 60), ("s", 1))
    unit, size = next(each for each in units if seconds >= each[1])
    count = seconds / size
    digits = -math.floor(math.log10(count))
    return f"{round(count, digits):.0f} {unit}"


def _for_rows(rows: int, choices: Sequence[tuple[float, Chosen]]) -> Chosen:
    return next(choice for limit, choice in choices if rows < limit)
