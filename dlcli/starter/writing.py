"""A config for a table, with a comment on everything that was decided."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from dlcli.config import Config
from dlcli.data_checks import number, require_column
from dlcli.encoding import MIN_ROWS
from dlcli.errors import UsageError
from dlcli.network import Head, resolve_head
from dlcli.starter.facts import HELD_OUT, TableFacts, gather_facts
from dlcli.starter.features import feature_lines, listing
from dlcli.starter.lines import Line, aligned, scalar
from dlcli.tables import Table, read_table

Choice = TypeVar("Choice")

_EDITOR = """\
# yaml-language-server: $schema=./dlcli.schema.json
# For an editor that completes and checks this file: dlcli schema --output dlcli.schema.json
"""
_MOST_TARGET_CODES = 20
_LEAST_COUNT = 10
"""Above this, the least of some whole numbers is hardly a count."""
_IMBALANCED = 3
"""How many times as many rows a class has as another, if classes are to count alike."""

_STACKS = ((500, (16,)), (5_000, (64, 32)), (50_000, (128, 64)))
"""Up to how many rows which units: some tens of rows a unit, so that a network can't learn them by
heart in a few epochs."""
_LARGEST_STACK = (256, 128)
_BATCHES = ((10_000, 32), (100_000, 128))
_LARGEST_BATCH = 512
_FEW_ROWS = 1_000


def starter_config(data: Path, target: str, *, config_folder: Path) -> str:
    """Writes a config that trains as it stands.

    Args:
        data: the table.
        target: the column to predict.
        config_folder: where the config will stand; its path to the table starts there.

    Returns:
        Commented YAML.

    Raises:
        UsageError: for a file that can't be read, or a target that is no column.
        ConfigError: if no column is left to predict from.
        DataError: for a file that is no table, or a target that can't be learned.
    """
    if str(data) == "-":
        raise UsageError("a config needs a file that it can name, not standard input")
    table = read_table(data)
    require_column(table, target)
    facts = gather_facts(table, target)
    path = Path(os.path.relpath(data, config_folder)).as_posix()
    features = aligned(feature_lines(facts.columns, target), indent=4)
    return "\n".join(
        [
            _EDITOR,
            f"data:\n{aligned([*_data(facts, path), *_understood(table)], indent=2)}",
            f"input:\n  features:\n{features}",
            _hidden(facts.rows),
            f"{_head(facts)}\n{aligned(list(_training(facts)))}",
        ]
    )


def _data(facts: TableFacts, path: str) -> Iterator[Line]:
    yield Line("train", scalar(path), f"{facts.rows:,} rows")
    yield Line("target", scalar(facts.target.columns[0]), _target(facts))
    for hint in _target_hints(facts):
        yield Line("", "", hint)
    if facts.missing_words:
        words = ", ".join(f'"{word}"' for word in facts.missing_words)
        yield Line("missing", f"[{words}]", "stands where other rows have numbers or dates")
    if facts.holds_out:
        yield Line("validation", f"{HELD_OUT.validation}", "share of the rows, to say when to stop")
        yield Line("test", f"{HELD_OUT.test}", "share of the rows, to judge the end only")
        return
    why = "rows" if facts.rows < MIN_ROWS else "rows of most classes"
    yield Line("", "", f"no validation and no test: too few {why} to hold some out")


def _understood(table: Table) -> Iterator[Line]:
    """What was understood of the file and is not plain to see."""
    for message in (*table.notes, *table.warnings):
        yield Line("", "", message)


def _target(facts: TableFacts) -> str:
    kind, values = facts.target, facts.target_values
    if kind.classes:
        return f"{kind.reason}, so {len(kind.classes)} classes: {listing(values)}"
    assert values.bounds is not None  # checked
    low, high = map(number, values.bounds)
    return f"{kind.reason}, so a number: {low} to {high}"


def _target_hints(facts: TableFacts) -> Iterator[str]:
    """What to write if whole numbers are classes, or counts, after all."""
    values = facts.target_values
    if facts.target.classes or not values.whole or values.bounds is None:
        return
    declared = f"target: {{column: {scalar(facts.target.columns[0])}, type: "
    repeats = values.present >= 2 * values.distinct
    if repeats and 1 < values.distinct <= _MOST_TARGET_CODES:
        yield f"if its {values.distinct} whole values are classes: {declared}categorical}}"
    if 0 <= values.bounds[0] <= _LEAST_COUNT:
        yield f"if it counts something: {declared}count}}, which is never negative"


def _hidden(rows: int) -> str:
    units = _for_rows(rows, _STACKS, _LARGEST_STACK)
    size = "one small layer" if len(units) == 1 else "two layers of this size"
    layers = "".join(f"  - {{units: {count}, activation: relu}}\n" for count in units)
    dropout = f"  # - {{units: {units[0]}, activation: relu, dropout: 0.2}}"
    return (
        f"hidden:  # for {rows:,} rows, {size}: more units learn rows by heart\n"
        f"{layers}"
        f"{dropout}  # a fifth of its units silent at each step, against that\n"
    )


def _head(facts: TableFacts) -> str:
    """What the target makes of all that is left out."""
    head = _resolved(facts)
    assert head.output.activation is not None  # resolved
    units = "1 unit" if head.output.units == 1 else f"{head.output.units} units"
    ending = f"an output of {units} with {head.output.activation.name}"
    left_out = [
        Line("", "", f"output and loss follow from the target: {ending},"),
        Line("", "", f"{head.loss.name}; metrics: {', '.join(head.metrics)}"),
    ]
    return aligned([*left_out, *_class_weight(facts.class_rows)])


def _class_weight(rows: Sequence[int]) -> Iterator[Line]:
    """A way to make up for classes of very different size."""
    if rows and max(rows) > _IMBALANCED * min(rows):
        why = f"classes have {min(rows):,} to {max(rows):,} rows; so they count alike"
        yield Line("", "", f"class_weight: balanced  # {why}")


def _resolved(facts: TableFacts) -> Head:
    data = {"train": "-", "target": facts.target.columns[0]}
    bare = Config.model_validate({"data": data, "hidden": (), "epochs": 1})
    return resolve_head(bare, facts.target)


def _training(facts: TableFacts) -> Iterator[Line]:
    epochs = 500 if facts.rows < _FEW_ROWS else 100
    most = "at most; early stopping may end sooner" if facts.holds_out else "passes over the rows"
    batch = _for_rows(facts.rows, _BATCHES, _LARGEST_BATCH)
    yield Line("optimizer", "{name: adam, learning_rate: 0.001}", "1e-3: adam's usual step")
    yield Line("epochs", str(epochs), most)
    yield Line("batch_size", str(batch), "rows a step")
    if facts.holds_out:
        yield Line("early_stopping", "{monitor: val_loss, patience: 20}", "epochs without a gain")
    else:
        yield Line("", "", "no early_stopping: it needs validation rows to watch")


def _for_rows(rows: int, choices: tuple[tuple[int, Choice], ...], largest: Choice) -> Choice:
    return next((choice for below, choice in choices if rows < below), largest)
