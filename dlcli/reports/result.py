"""What came out, for each set of rows."""

from __future__ import annotations

from dlcli.metrics import HIGHER_IS_BETTER, finite_number
from dlcli.reports.blocks import Block, Fold, Group, Section, Table, Text
from dlcli.reports.classes import class_blocks, label_blocks
from dlcli.reports.judged import Judged
from dlcli.reports.numbers import number_blocks, numbers_by_column
from dlcli.reports.record import Record
from dlcli.reports.wording import ADJECTIVES, ROWS_OF, number


def result(record: Record) -> Section:
    """The section."""
    blocks: list[Block] = []
    if record.splits:
        blocks += [metric_table(record), *_by_column(record)]
    for at, judged in enumerate(record.judged):
        parts = tuple(_charts(record, judged))
        title = ROWS_OF[judged.split]
        blocks.append(Fold(title, parts) if at else Group(title, parts))
    return Section("result", "The result", tuple(blocks))


def metric_table(record: Record) -> Table:
    """Every metric of every set of rows, and the baselines' on the most independent set."""
    first = record.splits[0]
    names = dict.fromkeys(
        name
        for split in record.splits
        for name, value in record.metrics[split].items()
        if name in HIGHER_IS_BETTER and finite_number(value) is not None
    )
    others = [name for name in BASELINES if first in record.baselines.get(name, {})]
    rows = tuple(
        (
            f"{name} {'↑' if HIGHER_IS_BETTER[name] else '↓'}",
            *(number(record.metrics[split].get(name)) for split in record.splits),
            *(number(record.baselines[model][first].get(name)) for model in others),
        )
        for name in names
    )
    sets = [ROWS_OF[split].lower() for split in record.splits]
    headed = [f"{BASELINES[model]}, {ROWS_OF[first].lower()}" for model in others]
    return Table(
        ("metric", *sets, *headed),
        rows,
        caption="Metrics",
        note="↑ higher is better, ↓ lower is better. Training rows were learned from, so their "
        "numbers flatter; validation rows chose when to stop; test rows were never looked at."
        + (_NOTE if others else ""),
    )


BASELINES = {"constant": "always the same", "linear": "linear model"}
"""The simplest models by their names, in words."""
_NOTE = (
    " “Always the same” predicts the mean or the most frequent class; the linear model has the "
    "same inputs and no hidden layers. A network should beat both."
)


def _by_column(record: Record) -> list[Block]:
    found = numbers_by_column(record.metrics[record.splits[0]].get("by_column"))
    return [found] if found else []


def _charts(record: Record, judged: Judged) -> list[Block]:
    metrics = record.metrics.get(judged.split, {})
    blocks: list[Block] = [Text(_which(record, judged))]
    if judged.target.outcome == "classes":
        return blocks + class_blocks(judged, metrics.get("confusion"))
    if judged.target.outcome == "labels":
        return blocks + label_blocks(judged, metrics.get("by_label"))
    return blocks + number_blocks(judged, record.config.seed)


def _which(record: Record, judged: Judged) -> str:
    rows = record.rows(judged.split)
    known = f"of {rows:,} " if judged.is_sample and rows and rows > judged.rows else ""
    chosen = "chosen at random; the matrix and all metrics are of all rows" if known else ""
    text = (
        f"{judged.rows:,} {known}{ADJECTIVES[judged.split]} rows{', ' if chosen else ''}{chosen}."
    )
    return text + (" Rows count by their weights." if judged.weighted else "")
