"""`dlcli export`: the command that lets a run leave as a model that works without dlcli."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dlcli.cli import options
from dlcli.cli.messages import print_message
from dlcli.cli.run_argument import run_argument

if TYPE_CHECKING:
    from dlcli.exports.export_folder import Export


@click.command()
@run_argument()
@click.option(
    "--format",
    "named",
    type=click.Choice(["onnx", "saved_model", "litert", "keras", "python", "card"]),
    required=True,
    help="onnx and saved_model: preprocessing, network and decoding in one graph, for ONNX Runtime "
    "or TensorFlow. litert: the same for LiteRT, where the client looks up texts. keras: the "
    "network alone, for encoded rows. python: a script that trains the same network with pandas "
    "and Keras. card: a model card in Markdown.",
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
    named: str,
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
    from dlcli.exports.export_folder import check_export_options, export_model
    from dlcli.exports.model_card import model_card
    from dlcli.exports.python_script import export_script
    from dlcli.runs.run_reader import open_run

    is_quantized = quantize is not None
    check_export_options(named, level, quantize=is_quantized)
    if output is None and (named != "card" or as_json):
        raise click.UsageError("missing option '--output', the path to create")
    if named == "card":
        card = model_card(open_run(run))
        with options.open_output(output) as stream:
            stream.write(card.encode())
    elif output is not None and named == "python":
        export_script(open_run(run), output)
    elif output is not None:
        exported = export_model(open_run(run), named, output, level, quantize=is_quantized)
        print_export(exported, as_json)
        return
    if output is not None:
        click.echo(json.dumps({"export": str(output)}) if as_json else f"export: {output}")


def print_export(exported: Export, as_json: bool) -> None:
    """Print what the check of an export found, and its folder."""
    document = exported.document
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
