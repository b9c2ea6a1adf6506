"""The folder of an export: written and checked as a whole, or not at all.

It contains the model, `README.md` with the inputs, `check.json` with synthetic rows and their
outputs, and `export.json` with digests and the result of the check.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcli import __version__, safe_files
from dlcli.columns.column_exports import ModelInput, as_code, single_line
from dlcli.columns.value_problems import ValueProblems
from dlcli.errors import ExportError, UsageError, first_names, option
from dlcli.exports import agreement as agreements
from dlcli.exports.agreement import Agreement, ExportDocument
from dlcli.exports.formats import ENTRIES, Format, FormatName, TextFormat, load_format
from dlcli.exports.model_interface import Arrays, Exported, ModelFormat, Runner, type_name
from dlcli.pipeline.fit import quiet_tensorflow
from dlcli.runs.run import Run
from dlcli.tables.table import Table
from dlcli.tasks.task import Task

DOCUMENT = "export.json"
CHECK = "check.json"
README = "README.md"
MADE_UP = "made-up rows"
_MOST_NAMES = 20
"""Maximum number of classes or labels that are listed."""


@dataclass(frozen=True)
class Export:
    """An exported run."""

    path: Path
    """The folder or the file."""
    document: ExportDocument | None = None
    """The description of a model and the result of its check."""


def export_run(
    run: Run,
    format: FormatName,
    output: Path,
    level: float | None = None,
    *,
    quantize: bool = False,
) -> Export:
    """Export a run in any format, and check that an exported model gives the same predictions.

    Args:
        run: a training run.
        format: the name of the format.
        output: the folder or file to create.
        level: coverage of prediction intervals or prediction sets; `REPORTED_LEVEL` if omitted and
            the run has held-out rows.
        quantize: whether to store 8-bit weights (LiteRT only).

    Raises:
        UsageError: if the output exists or can't be created, the run has no held-out rows for
            intervals, or an option has no effect.
        ExportError: if the format can't express the run, or the model's predictions differ.
        RunError: if the run has no network or is damaged.
    """
    chosen = checked_format(format, level, quantize=quantize)
    if run.decision is not None and run.decision.cost_columns and format not in ("card", "keras"):
        message = (
            "its decision reads costs from a column, which an exported model does not support; "
            "set decision.threshold, or use dlcli predict or serve"
        )
        raise ExportError(f"{run.path}: {message}")
    if isinstance(chosen, ModelFormat):
        run.require_network()
        return Export(output, _export_model(run, format, chosen, output, level))
    if isinstance(chosen, TextFormat):
        safe_files.refuse_existing_file(output)
        text = chosen.text(run)
        with safe_files.open_new_file(output) as stream:
            stream.write(text.encode())
    else:
        chosen.write(run, output)
    return Export(output)


def checked_format(name: FormatName, level: float | None, *, quantize: bool) -> Format:
    """Return the format for the options.

    Raises:
        UsageError: for the first option that has no effect on an export of this format.
    """
    chosen = load_format(name)
    if level is not None and not (isinstance(chosen, ModelFormat) and chosen.has_intervals):
        raise UsageError(f"{option('interval')} has no effect with {option('format', name)}")
    if not quantize:
        return chosen
    if not (isinstance(chosen, ModelFormat) and chosen.quantized):
        raise UsageError(f"{option('quantize')} has no effect with {option('format', name)}")
    return chosen.quantized


def _export_model(
    run: Run, name: FormatName, format: ModelFormat, output: Path, level: float | None
) -> ExportDocument:
    """Write a model to a new folder, and return its description."""
    exported = format.describe(run.predictor_with_intervals(level))
    with new_folder(output) as folder:
        with quiet_tensorflow():  # suppresses messages of runtimes
            written = format.write(exported, folder)
            runner = format.load(folder) or written
            assert runner is not None  # `write` returns it if `load` does not
            checked, unchecked = _check(run, exported, format, runner, folder)
        document = ExportDocument(
            format=name,
            dlcli=__version__,
            run=run.path.resolve().name,
            interval=exported.predictor.level if exported.predictor.conformal else None,
            names=exported.predictor.task.names,
            quantized=format is format.quantized,
            tolerance=format.tolerance,
            checked=checked,
            unchecked=unchecked,
            files={},
        )
        readme = readme_of(exported, document, format.usage_of(exported), format.bad_values)
        (folder / README).write_text(readme, encoding="utf-8")
        document = document.model_copy(update={"files": _digests(folder)})
        text = json.dumps(document.model_dump(mode="json"), indent=2, allow_nan=False)
        (folder / DOCUMENT).write_text(f"{text}\n", encoding="utf-8")
    return document


def validate_export(path: Path) -> Export:
    """Check an export again: its files, and the outputs of its synthetic rows in its runtime.

    Only validate exports from a trusted source, because a runtime may run code in a model. Formats
    whose files may run code when they are loaded are not loaded; only their files are checked.

    Raises:
        ExportError: if a file has changed, or the model's predictions differ from the stored ones.
    """
    document = safe_files.parse_document(
        ExportDocument, _read(path / DOCUMENT), f"{path / DOCUMENT}:", "; export the run again"
    )
    names = (name for name in ENTRIES if name == document.format)
    format = next(map(load_format, names), None)
    if not isinstance(format, ModelFormat):
        raise ExportError(f"{path}: has the unknown format {document.format!r}")
    digests = _digests(path)
    for name, digest in document.files.items():
        if digests.get(name) != digest:
            finding = "has changed" if name in digests else "is missing"
            raise ExportError(f"{path / name}: {finding}; export the run again")
    checked = {}
    with quiet_tensorflow():
        if (runner := format.load(path)) is not None:
            inputs, outputs = _read_check(path / CHECK)
            tolerance, of_numbers = document.tolerance, not document.names
            found = agreements.compare(outputs, runner(inputs), tolerance, of_numbers=of_numbers)
            _require(found, str(path), MADE_UP)
            checked = {MADE_UP: found}
    return Export(path, document.model_copy(update={"checked": checked}))


@contextmanager
def new_folder(output: Path) -> Iterator[Path]:
    """Create a folder that appears under its name only if the block succeeds.

    Raises:
        UsageError: if the folder exists or can't be created.
        OSError: with the folder's name, if a file can't be written.
    """
    if os.path.lexists(output):
        raise UsageError(f"{output}: already exists; name another folder, or remove this one first")
    temporary = output.with_name(f".{output.name}-{secrets.token_hex(4)}.partial")
    missing = [parent for parent in output.parents if not parent.exists()]
    try:
        try:
            temporary.mkdir(parents=True)
        except OSError as error:
            raise UsageError(
                f"{output}: can't be made: {safe_files.os_error_text(error)}"
            ) from error
        yield temporary
        temporary.rename(output)
    except OSError as error:
        if str(error.filename or temporary).startswith(str(temporary)):  # a full disk
            raise OSError(error.errno, safe_files.os_error_text(error), str(output)) from error
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        for parent in missing:
            with suppress(OSError):  # it is not empty
                parent.rmdir()


# The check


def _check(
    run: Run, exported: Exported, format: ModelFormat, runner: Runner, folder: Path
) -> tuple[dict[str, Agreement], str]:
    """Compare a model with dlcli, and store the synthetic rows.

    Returns:
        The agreement by kind of rows, and the reason if there are only synthetic rows.

    Raises:
        ExportError: if they differ.
    """
    predictor, checked = exported.predictor, dict[str, Agreement]()
    of_numbers = predictor.task.outcome == "numbers"

    def check(table: Table, kind: str) -> tuple[Arrays, Arrays]:
        inputs = format.values(exported, table)
        outputs = format.outputs(predictor.predict(table, ValueProblems(lenient=True)))
        found = runner(inputs)
        agreement = agreements.compare(
            outputs,
            found,
            format.tolerance,
            of_numbers=of_numbers,
            margins=predictor.task.margins,
        )
        reason = _unread_values(exported, table) if agreement.failures else ""
        _require(agreement, str(run.path), kind, reason)
        checked[kind] = agreement
        return inputs, outputs

    table, kind = agreements.held_out_rows(run, predictor)
    if table is not None and table.rows:
        check(table, kind)
    with tempfile.TemporaryDirectory() as images:
        has_extremes = format.has_extremes
        rows = agreements.synthetic_rows(predictor, Path(images), has_extremes=has_extremes)
        inputs, outputs = check(rows, MADE_UP)
    _write_check(folder / CHECK, inputs, outputs)
    return checked, "" if len(checked) > 1 else kind


def _require(agreement: Agreement, name: str, rows: str, reason: str = "") -> None:
    if agreement.failures:
        found = "; ".join([*agreement.failures, *[reason] * bool(reason)])
        raise ExportError(f"{name}: the exported model gives other predictions on {rows}: {found}")


def _unread_values(exported: Exported, table: Table) -> str:
    """Return why the model can't read some values of a table; empty if it can read all."""
    if not any(each.type == "string" for each in exported.inputs):
        return ""  # as in the Keras format, whose only input is encoded rows
    pairs = zip(exported.inputs, exported.predictor.encoding.features, strict=True)
    found = (feature.unread_values(table) for each, feature in pairs if each.type == "string")
    return next(filter(None, found), "")


def _write_check(path: Path, inputs: Arrays, outputs: Arrays) -> None:
    document = {
        key: {
            name: {"type": type_name(array), "shape": array.shape[1:], "values": array.tolist()}
            for name, array in arrays.items()
        }
        for key, arrays in (("inputs", inputs), ("outputs", outputs))
    }
    # NaN and infinities are written in the form that Python and JavaScript read.
    path.write_text(json.dumps(document), encoding="utf-8")


def _read_check(path: Path) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    document = json.loads(_read(path))

    def array(type: str, shape: list[int], values: list[Any]) -> NDArray[Any]:
        dtype = object if type == "string" else type
        return np.array(values, dtype).reshape(len(values), *shape)

    inputs, outputs = document["inputs"].items(), document["outputs"].items()
    return {n: array(**each) for n, each in inputs}, {n: array(**each) for n, each in outputs}


def _digests(folder: Path) -> dict[str, safe_files.FileDigest]:
    """Return the digests of an export's files, except for `export.json`."""
    return {
        path.relative_to(folder).as_posix(): safe_files.FileDigest.of(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / DOCUMENT
    }


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ExportError(f"{path}: can't be read: {error}") from None


# The documentation


def markdown_table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    rows = [head, ["---"] * len(head), *lines]
    return "\n".join(f"| {' | '.join(map(cell, row))} |" for row in rows)


def cell(text: str) -> str:
    """Return a text for a cell of a table, on one line."""
    return " ".join(text.split()).replace("|", "\\|")


def describe_target(task: Task) -> str:
    """Describe a target, its columns and classes as code: `species`, one of 3 classes: ..."""
    names = first_names([*map(as_code, task.names)], _MOST_NAMES)
    return task.describe(", ".join(map(as_code, task.columns)), names)


def readme_of(exported: Exported, document: ExportDocument, usage: str, bad_values: str) -> str:
    """Return the documentation of an exported model.

    Args:
        exported: the model.
        document: the result of its check.
        usage: an example in Python.
        bad_values: the treatment of values that can't be read.
    """
    target = describe_target(exported.predictor.task)
    outputs = [(as_code(o.name), _typed(o.type, o.shape), o.meaning) for o in exported.outputs]
    parts = [
        f"# {single_line(document.run)}, as {document.format}",
        f"Exported by dlcli {document.dlcli}: predicts {target}. "
        "It accepts any number of rows; each requires an entry for every input below.",
        f"```python\n{usage}```",
        "## Inputs",
        bad_values,
        _inputs_table(exported.inputs),
        "## Outputs",
        markdown_table(("output", "type", "meaning"), outputs),
        "## Check",
        *_check_text(document),
    ]
    return "\n\n".join(parts) + "\n"


def _inputs_table(inputs: tuple[ModelInput, ...]) -> str:
    """Return the inputs as a table, one line for equal inputs."""
    alike: dict[tuple[str, str], list[str]] = {}
    for each in inputs:
        key = (_typed(each.type, each.shape), " ".join(each.advice))
        alike.setdefault(key, []).append(as_code(each.name))
    lines = [(", ".join(names), kind, advice) for (kind, advice), names in alike.items()]
    return markdown_table(("column", "type", "values"), lines)


def _check_text(document: ExportDocument) -> list[str]:
    lines = []
    for rows, found in document.checked.items():
        differences = [f"{name} {size:.2g}" for name, size in found.relative_difference.items()]
        equal = [f"{name} {count:,}" for name, count in found.equal.items()]
        shown = rows.replace("made-up", "synthetic")  # the key of earlier versions
        lines.append((shown, f"{found.rows:,}", ", ".join(differences), ", ".join(equal)))
    text = [
        "The model was run in its own runtime and compared with dlcli. `dlcli validate` repeats "
        "this on the synthetic rows of `check.json`.",
        markdown_table(("rows", "number", "largest relative difference", "equal"), lines),
    ]
    if document.unchecked:
        text.append(f"Only synthetic rows were checked: {cell(document.unchecked)}.")
    return text


def _typed(name: str, shape: tuple[int, ...]) -> str:
    return f"{name} ({', '.join(map(str, ('rows', *shape)))})"
