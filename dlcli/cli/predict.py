"""`dlcli predict`: one row out for each row in."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dlcli.cli.options import RunAndData, chosen_run, output_file, run_and_data, verbose
from dlcli.cli.sink import sink

if TYPE_CHECKING:
    from dlcli.prediction.writing import Format


@click.command()
@run_and_data
@output_file
@click.option(
    "--format",
    "named",
    type=click.Choice(["csv", "parquet", "jsonl"]),
    help="What to write; if left out, as the ending of FILE says, else csv.",
)
@click.option(
    "--keep",
    multiple=True,
    metavar="COLUMN",
    help="Pass a column of DATA through unchanged, before the predictions. Repeatable.",
)
@click.option(
    "--spreadsheet-safe",
    is_flag=True,
    help="Put an apostrophe before texts of a CSV that a spreadsheet would run as a formula.",
)
@verbose
def predict(
    paths: RunAndData,
    output: Path | None,
    named: Format | None,
    keep: tuple[str, ...],
    spreadsheet_safe: bool,
) -> None:
    """Predict each row of DATA, in order.

    DATA is a table, `-` for standard input; the target need not be in it. RUN is a run folder: the
    latest below runs/, if none is named.

    Numbers give the column `prediction`, classes also `probability_<class>` for each class.
    """
    from dlcli.cli.narration import tell_unread, warn
    from dlcli.encoding import Findings
    from dlcli.prediction import Predictor
    from dlcli.prediction.writing import assemble, choose_format, write_rows
    from dlcli.table import read_table

    form = choose_format(named, output)
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise click.UsageError("parquet is not for a terminal: name a file with --output")
    run, data = paths
    with sink(output) as stream:
        predictor = Predictor.load(chosen_run(run))
        table = read_table(data, predictor.config.data.missing)
        findings = Findings()
        predictions = predictor.predict(table, findings)
        tell_unread(table.file, predictor.unread_columns(table, keep))
        warn(table.file, findings.notes())
        rows = assemble(predictions, table, keep)
        write_rows(rows, form, stream, spreadsheet_safe=spreadsheet_safe)
