"""What mattered to the predictions, and where they fail."""

from __future__ import annotations

from dlcli.explanation import Explanation
from dlcli.reports.blocks import Block, Grid, Group, Section, Text
from dlcli.reports.importance import dependence_charts, importance_chart, worst_table
from dlcli.reports.record import Record


def mattered(record: Record) -> Section | None:
    """The section; none without explanation or held-out rows."""
    explanation = record.explanation
    if explanation is None:
        return None
    blocks = [
        *_columns(explanation, _features(record)),
        *_worst(explanation, of_numbers=_of_numbers(record)),
    ]
    return Section("mattered", "What mattered", tuple(blocks)) if blocks else None


def _of_numbers(record: Record) -> bool:
    return record.target.outcome == "numbers"


def _features(record: Record) -> int | None:
    """How many columns the network reads, if the log tells."""
    if record.log.features is None:
        return None
    return sum(column.type != "ignored" for column in record.log.features.columns.values())


def _columns(explanation: Explanation, features: int | None) -> list[Block]:
    blocks: list[Block] = []
    if explanation.importances:
        metric = explanation.importance_metric or "error"
        blocks.append(importance_chart(explanation.importances, metric, features))
    types = {column.name: column.type for column in explanation.columns}
    charts = dependence_charts(explanation.partial_dependences, explanation.outputs, types)
    if charts:
        text = Text(_DEPENDENCE)
        blocks.append(Group("How the prediction follows them", (text, Grid(tuple(charts)))))
    return blocks


_DEPENDENCE = (
    "Each chart gives every row the same value of one column, leaves all other columns as they "
    "are, and shows the mean prediction (partial dependence). Steep is strong, flat is none. Where "
    "columns depend on one another, it also shows rows that can't exist."
)


def _worst(explanation: Explanation, *, of_numbers: bool) -> list[Block]:
    if not explanation.worst:
        return []
    return [Group("Where it fails", (worst_table(explanation.worst, of_numbers=of_numbers),))]
