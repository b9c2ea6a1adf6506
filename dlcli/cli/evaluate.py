"""`dlcli evaluate`: the metrics of a run on other data."""

from __future__ import annotations

import json

import click

from dlcli.cli.options import BadRows, RunAndData, chosen_run, on_bad_row, run_and_data, verbose


@click.command()
@run_and_data
@on_bad_row
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@verbose
def evaluate(paths: RunAndData, bad_rows: BadRows, as_json: bool) -> None:
    """Score a run on other rows.

    DATA is a table with the target in it, `-` for standard input. RUN is a run folder that
    `dlcli train` made; if it is left out, the latest in runs/.
    """
    from dlcli.cli.contract import ExplainedIssues, summary, tell_contract, write_rejected
    from dlcli.cli.narration import tell_understood, tell_unread
    from dlcli.cli.text import score_table
    from dlcli.prediction import Predictor

    run, data = paths
    predictor = Predictor.load(chosen_run(run))
    table = predictor.read(data)
    tell_understood(table)
    issues = ExplainedIssues(lenient=not bad_rows.are_errors)
    judged = predictor.score(table, issues, reject=bad_rows.rejected is not None)
    if bad_rows.rejected is not None:
        write_rejected(table, issues, bad_rows.rejected)
    tell_unread(table.file, predictor.unread_columns(table))
    left_out = table.rows - judged.rows
    if as_json:
        result = {"rows": judged.rows, "left_out": left_out, "metrics": judged.scores}
        click.echo(json.dumps({**result, **summary(predictor.encoding, issues)}))
        return
    tell_contract(predictor.encoding, issues, table, bad_rows, left_out)
    for line in score_table(judged.rows, judged.scores, predictor.classes):
        click.echo(line)
