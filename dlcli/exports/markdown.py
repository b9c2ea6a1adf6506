"""Markdown with names and texts that don't end it, and the README of an export."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dlcli.columns.client_values import ModelInput, as_code, single_line
from dlcli.errors import first_names
from dlcli.exports.agreement import ExportDocument
from dlcli.exports.model_interface import Exported
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


def readme_of(exported: Exported, document: ExportDocument, usage: str) -> str:
    """Return the documentation of an exported model.

    Args:
        exported: the model.
        document: what its check found.
        usage: an example in Python.
    """
    target = describe_target(exported.predictor.task)
    outputs = [(as_code(o.name), _typed(o.type, o.shape), o.meaning) for o in exported.outputs]
    parts = [
        f"# {single_line(document.run)}, as {document.format}",
        f"Exported by dlcli {document.dlcli}: predicts {target}. "
        "It takes any number of rows, each with a value for every input below.",
        f"```python\n{usage}```",
        "## Inputs",
        "A value that `dlcli predict` refuses counts as missing here, as with "
        "`--on-bad-row warn`: refuse it before if that matters.",
        _inputs_table(exported.inputs),
        "## Outputs",
        table(("output", "type", "meaning"), outputs),
        "## Check",
        *_check_text(document),
    ]
    return "\n\n".join(parts) + "\n"


def _inputs_table(inputs: tuple[ModelInput, ...]) -> str:
    """Return the inputs as a table, one line for those that take the same."""
    alike: dict[tuple[str, str], list[str]] = {}
    for each in inputs:
        key = (_typed(each.type, each.shape), " ".join(each.advice))
        alike.setdefault(key, []).append(as_code(each.name))
    lines = [(", ".join(names), kind, advice) for (kind, advice), names in alike.items()]
    return table(("column", "type", "values"), lines)


def _check_text(document: ExportDocument) -> list[str]:
    lines = []
    for rows, found in document.checked.items():
        differences = [f"{name} {size:.2g}" for name, size in found.relative_difference.items()]
        equal = [f"{name} {count:,}" for name, count in found.equal.items()]
        lines.append((rows, f"{found.rows:,}", ", ".join(differences), ", ".join(equal)))
    text = [
        "The model was run in its own runtime and compared with dlcli; `dlcli validate` does so "
        "again on the made-up rows of `check.json`.",
        table(("rows", "number", "largest difference, of their scale", "equal"), lines),
    ]
    if document.unchecked:
        text.append(f"There are only made-up rows, since {cell(document.unchecked)}.")
    return text


def _typed(name: str, shape: tuple[int, ...]) -> str:
    return f"{name} ({', '.join(map(str, ('rows', *shape)))})"
