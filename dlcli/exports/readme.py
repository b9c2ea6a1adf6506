"""The documentation of an exported model, as Markdown next to it."""

from __future__ import annotations

from dlcli.errors import first_names
from dlcli.exports.agreement import ExportDocument
from dlcli.exports.model_interface import Exported, ModelInput, ModelOutput


def readme_of(exported: Exported, document: ExportDocument, usage: str) -> str:
    """Return the documentation of an exported model.

    Args:
        exported: the model.
        document: what its check found.
        usage: an example in Python.
    """
    parts = [
        f"# {document.run}, as {document.format}",
        f"Exported by dlcli {document.dlcli}: predicts {_target(exported)}. "
        "It takes the table's own columns, one value a row, in any number of rows.",
        f"```python\n{usage}```",
        "## Inputs",
        "A value that `dlcli predict` refuses counts as missing here, as with "
        "`--on-bad-row warn`: refuse it before if that matters.",
        _inputs_table(exported.inputs),
        "## Outputs",
        _outputs_table(exported.outputs),
        "## Check",
        _check_text(document),
    ]
    return "\n\n".join(parts) + "\n"


def _target(exported: Exported) -> str:
    task = exported.predictor.task
    names = first_names([f"`{name}`" for name in task.names], 20)
    return task.describe(", ".join(f"`{name}`" for name in task.columns), names)


def _inputs_table(inputs: tuple[ModelInput, ...]) -> str:
    """Return the inputs as a table, one line for those that take the same."""
    alike: dict[tuple[str, str], list[ModelInput]] = {}
    for each in inputs:
        key = (_type(each.type, each.shape), " ".join(each.advice))
        alike.setdefault(key, []).append(each)
    lines = ["| column | type | values |", "|---|---|---|"]
    for (kind, advice), group in alike.items():
        names = [_code(each.name) for each in group]
        lines.append(f"| {', '.join(names)} | {kind} | {cell(advice)} |")
    return "\n".join(lines)


def _outputs_table(outputs: tuple[ModelOutput, ...]) -> str:
    lines = ["| output | type | meaning |", "|---|---|---|"]
    for each in outputs:
        kind = _type(each.type, each.shape)
        lines.append(f"| {_code(each.name)} | {kind} | {cell(each.meaning)} |")
    return "\n".join(lines)


def _check_text(document: ExportDocument) -> str:
    lines = [
        "The model was run in its own runtime and compared with dlcli; `dlcli validate` does so "
        "again on the made-up rows of `check.json`.",
        "",
        "| rows | number | largest difference | equal |",
        "|---|--:|---|---|",
    ]
    for rows, found in document.checked.items():
        differences = [f"{name} {size:.2g}" for name, size in found.largest_difference.items()]
        equal = [f"{name} {count:,}" for name, count in found.equal.items()]
        cells = (rows, f"{found.rows:,}", ", ".join(differences), ", ".join(equal))
        lines.append(f"| {' | '.join(cells)} |")
    if document.unchecked:
        lines += ["", f"There are only made-up rows, since {cell(document.unchecked)}."]
    return "\n".join(lines)


def _type(name: str, shape: tuple[int, ...]) -> str:
    return f"{name} ({', '.join(map(str, ('rows', *shape)))})"


def _code(name: str) -> str:
    return f"`{cell(name)}`"


def cell(text: str) -> str:
    """Return a text for a cell of a table of Markdown."""
    return " ".join(text.split()).replace("|", "\\|")
