"""`dlcli predict`: one row out for each row in."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dlcli.cli.options import (
    BadRows,
    RunAndData,
    chosen_run,
    on_bad_row,
    output_file,
    run_and_data,
    verbose,
)
from dlcli.cli.sink import sink

if TYPE_CHECKING:
    from dlcli.prediction import Format


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
@on_bad_row
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Tell what differs from training as one JSON object, the last line on standard error.",
)
@verbose
def predict(
    paths: RunAndData,
    output: Path | None,
    named: Format | None,
    keep: tuple[str, ...],
    spreadsheet_safe: bool,
    bad_rows: BadRows,
    as_json: bool,
) -> None:
    """Predict each row of DATA, in order.

    DATA is a table, `-` for standard input; the target need not be in it. RUN is a run folder that
    `dlcli train` made; if it is left out, the latest in runs/.

    \b
      dlcli predict new.csv --output predictions.csv
      dlcli predict runs/houses new.csv --keep id

    Numbers give the column `prediction`, classes also `probability_<class>` for each class. A
    rejected row keeps its place, and has no prediction.
    """  # noqa: D301  (Click's mark for lines to leave as they are)
    from dlcli.cli.contract import ExplainedIssues, summary, tell_contract, write_rejected
    from dlcli.cli.narration import tell_understood, tell_unread
    from dlcli.prediction import Predictor, assemble, choose_format, write_rows

    form = choose_format(named, output)
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise click.UsageError("parquet is not for a terminal: name a file with --output")
    if output is not None and output == bad_rows.rejected:
        raise click.UsageError("--output and --rejected name the same file")
    run, data = paths
    with sink(output) as stream:
        predictor = Predictor.load(chosen_run(run))
        table = predictor.read(data)
        tell_understood(table)
        issues = ExplainedIssues(lenient=not bad_rows.are_errors)
        predictions = predictor.predict(table, issues)
        rejected = issues.bad_indices if bad_rows.rejected else None
        rows = assemble(predictions, table, keep, rejected)
        write_rows(rows, form, stream, spreadsheet_safe=spreadsheet_safe)
        if bad_rows.rejected is not None:
            write_rejected(table, issues, bad_rows.rejected)
    tell_unread(table.file, predictor.unread_columns(table, keep))
    if as_json:
        told = {"rows": table.rows, **summary(predictor.encoding, issues)}
        click.echo(json.dumps(told, allow_nan=False), err=True)
    else:
        tell_contract(predictor.encoding, issues, table, bad_rows)
