"""`dlcli export`: the command that lets a run leave as a model that works without dlcli."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dlcli.cli import options
from dlcli.cli.messages import print_message
from dlcli.cli.run_argument import run_argument
from dlcli.exports.formats import ENTRIES, FormatName, TextFormat

if TYPE_CHECKING:
    from dlcli.exports.export_folder import Export


@click.command()
@run_argument()
@click.option(
    "--format",
    "named",
    type=click.Choice([*ENTRIES]),
    required=True,
    help=" ".join(f"{name}: {entry.summary}." for name, entry in ENTRIES.items()),
)
@options.new_path(
    "PATH", "Folder to create; for a card the file. [default: a card goes to standard output]"
)
@options.interval(
    "Level of the intervals or sets of classes that the model computes, too. [default: 0.9, "
    "if the run has held-out rows for them]"
)
@click.option(
    "--quantize",
    type=click.Choice(["dynamic"]),
    help="For litert: store weights of larger layers in 8 bits, a quarter of their size. Numbers "
    "may then differ by up to 0.1 of their scale.",
)
@options.json_object
@options.verbosity
def export(
    run: Path,
    named: FormatName,
    output: Path | None,
    level: float | None,
    quantize: str | None,
    as_json: bool,
) -> None:
    """Export a run as a model, or as a script, that works without dlcli.

    RUN is a run folder of `dlcli train`. An exported model is
    compared with dlcli, on held-out rows and on rows with missing values, unseen categories and odd
    texts; if it predicts otherwise, nothing is written. `dlcli validate FOLDER` compares it again.
    A card says what a model is for, what it was made from, how good it is and where its limits are.

    \b
      dlcli export runs/houses --format onnx --output houses-onnx
      dlcli export runs/houses --format saved_model --output houses-saved-model
      dlcli export runs/houses --format python --output houses-script
      dlcli export runs/houses --format card --output houses.md
    """  # noqa: D301  (Click's mark for lines to leave as they are)
    from dlcli.exports.export_folder import choose_format, export_run
    from dlcli.runs.run_reader import open_run

    is_quantized = quantize is not None
    format = choose_format(named, level, quantize=is_quantized)
    if output is not None:
        exported = export_run(open_run(run), named, output, level, quantize=is_quantized)
        print_export(exported, as_json)
    elif isinstance(format, TextFormat) and not as_json:
        with options.open_output(None) as stream:
            stream.write(format.text(open_run(run)).encode())
    else:
        raise click.UsageError("missing option '--output', the path to create")


def print_export(exported: Export, as_json: bool) -> None:
    """Print what the check of an export found, and its folder."""
    document = exported.document
    if document is None:
        path = str(exported.path)
        click.echo(json.dumps({"export": path}) if as_json else f"export: {path}")
        return
    if as_json:
        fields = document.model_dump(mode="json")
        click.echo(json.dumps({"export": str(exported.path), **fields}, allow_nan=False))
        return
    if document.unchecked:
        print_message("note", f"only made-up rows were compared: {document.unchecked}")
    if not document.checked:
        message = "the files are intact; the model is not loaded, as that may run code"
        print_message("note", message)
    for rows, found in document.checked.items():
        parts = [f"{name} equal in {count:,}" for name, count in found.equal.items()]
        if differences := found.relative_difference.values():
            largest = max(differences)
            parts.insert(0, f"numbers differ by up to {largest:.1e} of their scale")
        click.echo(f"{found.rows:,} {rows}: {'; '.join(parts)}")
    click.echo(f"export: {exported.path}")
