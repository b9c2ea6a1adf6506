"""`dlcli evaluate`: the metrics of a run on other data."""

from __future__ import annotations

import json

import click

from dlcli.cli.options import RunAndData, chosen_run, run_and_data, verbose


@click.command()
@run_and_data
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of a table.")
@verbose
def evaluate(paths: RunAndData, as_json: bool) -> None:
    """Score a run on other rows.

    DATA is a table with the target in it, `-` for standard input. RUN is a run folder: the latest
    below runs/, if none is named.
    """
    from dlcli.cli.narration import tell_unread, warn
    from dlcli.cli.text import score_table
    from dlcli.encoding import Findings
    from dlcli.prediction import Predictor
    from dlcli.table import read_table

    run, data = paths
    predictor = Predictor.load(chosen_run(run))
    table = read_table(data, predictor.config.data.missing)
    findings = Findings()
    scores = predictor.score(table, findings)
    tell_unread(table.file, predictor.unread_columns(table))
    warn(table.file, findings.notes())
    if as_json:
        click.echo(json.dumps({"rows": table.rows, "metrics": scores}))
        return
    for line in score_table(table.rows, scores, predictor.classes):
        click.echo(line)
