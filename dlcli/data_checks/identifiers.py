"""Columns whose values only tell rows apart."""

from __future__ import annotations

from dlcli.data_checks.finding import DataIssue, listed
from dlcli.data_checks.sample import Sample, SampledColumn
from dlcli.encoding import is_identifier, summarize_column


def find_identifiers(sample: Sample) -> DataIssue | None:
    """Finds features that are another value in each row and no measurement.

    `is_identifier` judges, over all rows, what differs in all sampled rows.
    """
    table = sample.whole
    found = [
        name
        for name, column in sample.columns.items()
        if _may_be(column)
        and is_identifier(name, column.decision.feature.type, summarize_column(table, name))
    ]
    if not found:
        return None
    named = listed(dict.fromkeys(found, ""))
    message = f"another value in each row, as in an identifier: {named}"
    advice = "nothing in it holds for other rows: let it be 'ignored' in input.features"
    return DataIssue("identifiers", "warning", tuple(found), None, message, advice)


def _may_be(column: SampledColumn) -> bool:
    numbers = column.numbers
    is_whole = numbers is None or bool((numbers == numbers.round()).all())
    return column.distinct == column.present > 0 and is_whole
