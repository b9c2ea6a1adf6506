"""Markdown with names and texts that don't end it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dlcli.columns.client_values import as_code
from dlcli.errors import first_names
from dlcli.tasks.task import Task

_MOST_NAMES = 20
"""Classes or labels that are named."""


def table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(map(cell, row))} |" for row in rows)


def cell(text: str) -> str:
    """Return a text for a cell of a table, on one line."""
    return " ".join(text.split()).replace("|", "\\|")


def describe_target(task: Task) -> str:
    """Describe a target, its columns and classes as code: `species`, one of 3 classes: ..."""
    names = first_names([*map(as_code, task.names)], _MOST_NAMES)
    return task.describe(", ".join(map(as_code, task.columns)), names)
