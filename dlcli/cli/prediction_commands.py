"""`dlcli predict` and `evaluate`: the commands that use a trained network on other rows."""

from __future__ import annotations

import glob
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from dlcli.cli import options
from dlcli.cli.messages import print_message
from dlcli.cli.run_argument import RunAndData, run_and_data
from dlcli.errors import plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dlcli.columns.value_problems import ValueProblems
    from dlcli.pipeline.events import Event
    from dlcli.pipeline.folder_prediction import FolderOptions
    from dlcli.pipeline.table_prediction import BadRows
    from dlcli.prediction.prediction_tables import Format
    from dlcli.prediction.predictor import Predictor
    from dlcli.schema.urls import Location
    from dlcli.tables.table import Table

_MOST_NAMES = 8
"""Unknown columns that are named."""
_BAD_ROW_HINT = (
    "hint: --on-bad-row warn treats such values as missing, "
    "--on-bad-row reject --rejected FILE skips their rows"
)


def _interval_option(result: str) -> options.Option:
    """Make the option for intervals.

    Args:
        result: what is done with them.
    """
    return options.interval(
        f"{result} Intervals, and for classes sets of classes, contain the true value of this "
        "share of rows that are like the training rows. Example: 0.9."
    )


@click.command()
@run_and_data
@options.output_file_or_folder
@options.jobs("predict the files of a folder", "one thread for linear algebra")
@click.option(
    "--format",
    "named",
    type=click.Choice(["csv", "parquet", "jsonl"]),
    help="Output format. [default: by the extension of FILE, else csv]",
)
@click.option(
    "--keep",
    multiple=True,
    metavar="COLUMN",
    help="Copy a column of DATA to the output, before the predictions. Repeatable.",
)
@click.option(
    "--spreadsheet-safe",
    is_flag=True,
    help="In CSV, prefix texts that a spreadsheet would run as a formula with an apostrophe.",
)
@_interval_option("Add the columns `lower` and `upper`, or `prediction_set`.")
@options.bad_rows
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print a summary with the differences from the training rows as one JSON object. Needs "
    "--output, as the predictions are written to standard output otherwise.",
)
@options.verbosity
def predict(  # noqa: PLR0913  (Click gives options by their names)
    paths: RunAndData,
    output: Location | None,
    named: Format | None,
    keep: tuple[str, ...],
    spreadsheet_safe: bool,
    level: float | None,
    jobs: int | None,
    on_bad_row: Literal["error", "warn", "reject"],
    rejected: Path | None,
    as_json: bool,
) -> None:
    """Predict each row of DATA, in order.

    RUN is a run folder of `dlcli train`, or its URL. DATA is a table, its URL, or `-` for standard
    input; it need not contain the target.

    \b
      dlcli predict runs/houses new.csv --output predictions.csv
      dlcli predict runs/houses new.csv --keep id
      dlcli predict runs/houses new.csv --interval 0.9
      dlcli predict runs/houses folder --output predictions --jobs 4

    The output has the column `prediction`, and for classes `probability_<class>` for each class. A
    rejected row keeps its position, without a prediction.

    If DATA is a folder or a glob and --output a folder, each file is predicted on its own, in
    constant memory, to a part of the same name. A part appears when it is complete; the same
    command resumes after an interruption, and skips parts that are there.
    """  # noqa: D301  (Click's mark for lines to leave as they are)
    from dlcli.pipeline.table_prediction import predict as predict_table
    from dlcli.prediction.prediction_tables import assemble, choose_format, write_rows
    from dlcli.runs.run_folder import opened_network

    if output is not None and _is_folder_of_parts(paths[1], output, named):
        from dlcli.pipeline.folder_prediction import FolderOptions

        bad_rows = _bad_rows(on_bad_row, rejected)
        choices = FolderOptions(keep, spreadsheet_safe, bad_rows, form=named, level=level)
        _predict_folder(paths, Path(output), choices, jobs or 1, as_json)
        return
    if jobs is not None:
        way_out = "name a local folder or glob of tables, and a folder with --output"
        raise click.UsageError(f"--jobs is for predictions of several files: {way_out}")
    if output is not None:
        options.refuse_existing_path(output)
    bad_rows = _bad_rows_of_file(on_bad_row, rejected)
    form = choose_format(named, output)
    if form == "parquet" and output is None and sys.stdout.isatty():
        raise click.UsageError("parquet can't be printed to a terminal: use --output FILE")
    if as_json and output is None:
        raise click.UsageError("--json needs --output FILE, the file for the predictions")
    if output is not None and output == rejected:
        raise click.UsageError("--output and --rejected name the same file")
    run, data = paths
    with options.open_output(output) as stream:
        with opened_network(run) as opened:
            predictor = opened.predictor_at(level)
        found = predict_table(predictor, data, print_message, bad_rows, keep)
        table, predictions, problems = found.table, found.predictions, found.problems
        rows = assemble(predictions, table, keep, problems.bad_indices if rejected else None)
        write_rows(rows, form, stream, spreadsheet_safe=spreadsheet_safe)
        _write_rejected(table, problems, rejected)
    _print_unused_columns(table.file, predictor.unread_columns(table, keep))
    _print_uncertainty(predictor)
    if as_json:
        result = {"run": str(run), "output": str(output), "rows": table.rows}
        if predictions.regions is not None:
            result["interval"] = {"level": level, **predictions.regions.summary()}
        result |= found.differences.to_json(predictor.encoding)
        click.echo(json.dumps(result, allow_nan=False))
        return
    treatment = bad_rows.words(found.differences.bad_rows)
    _print_warnings(
        found.differences.warnings(table.file, predictor.encoding, treatment, table.place)
    )


def _is_folder_of_parts(data: Location, output: Location, form: Format | None) -> bool:
    """Return whether predictions are to be a part for each file, in a folder.

    They are if the output is a folder; and if data is a folder or a glob, and the output a name
    without an ending.

    Args:
        data: the argument DATA.
        output: the value of `--output`.
        form: the value of `--format`, with which the output for a glob may be a file of any name.
    """
    if not (isinstance(data, Path) and isinstance(output, Path)) or data == Path("-"):
        return False
    if os.path.isdir(output):
        return True
    if os.path.isdir(data):
        return not output.suffix
    is_glob = glob.has_magic(str(data)) and not os.path.exists(data)
    return is_glob and not (output.suffix or form)


def _predict_folder(
    paths: RunAndData, output: Path, choices: FolderOptions, jobs: int, as_json: bool
) -> None:
    """Predict each file of a folder or glob to a part of its own."""
    from dlcli.cli.event_log import print_event, print_file_notes
    from dlcli.pipeline.folder_prediction import PartEvent, predict_folder
    from dlcli.runs.run_folder import opened_network

    def listener(event: Event) -> None:
        if isinstance(event, PartEvent):
            rows = plural(event.differences.rows, "row")
            print_message("note", f"{event.state}: {output / event.part}, {rows}")
        else:
            print_event(event)

    rejected = choices.bad_rows.rejected
    if rejected is not None and rejected.suffix:
        raise click.UsageError(f"--rejected {rejected}: name a folder, as --output is one")
    if rejected == output:
        raise click.UsageError("--output and --rejected name the same folder")
    run, data = paths
    with opened_network(run) as opened:
        outcome = predict_folder(opened, Path(data), output, choices, jobs, listener)
    predictor, found = outcome.predictor, outcome.differences
    print_file_notes(outcome.file_notes)
    _print_unused_columns(str(data), [*outcome.unread])
    _print_uncertainty(predictor)
    if as_json:
        result = {"run": str(run), "output": str(output), "rows": found.rows}
        result |= {"files": outcome.files, "skipped": outcome.skipped}
        result |= found.to_json(predictor.encoding)
        click.echo(json.dumps(result, allow_nan=False))
        return
    if outcome.skipped:
        skipped = plural(outcome.skipped, "file")
        print_message("note", f"{data}: {skipped} of {outcome.files} had been predicted before")
    treatment = choices.bad_rows.words(found.bad_rows)
    _print_warnings(found.warnings(str(data), predictor.encoding, treatment))


@click.command()
@run_and_data
@_interval_option("Also compute the coverage and the mean width of intervals.")
@options.bad_rows
@options.json_object
@options.verbosity
def evaluate(
    paths: RunAndData,
    level: float | None,
    on_bad_row: Literal["error", "warn", "reject"],
    rejected: Path | None,
    as_json: bool,
) -> None:
    """Compute the metrics of a run on other rows.

    RUN is a run folder of `dlcli train`, or its URL. DATA is a table that contains the target, its
    URL, or `-` for standard input. The `gates` of the run's config are checked on its rows; exit
    code 6 if one fails.

    \b
      dlcli evaluate runs/houses new.csv
      dlcli evaluate runs/houses new.csv --interval 0.9 --json
    """  # noqa: D301  (Click's mark for lines to leave as they are)
    from dlcli.pipeline.table_prediction import evaluate as evaluate_table
    from dlcli.prediction.gates import check_evaluation, require_gates, required_baselines
    from dlcli.reports.command_views import evaluation_view
    from dlcli.reports.views import render_text
    from dlcli.runs.run_folder import opened_network

    bad_rows = _bad_rows_of_file(on_bad_row, rejected)
    run, data = paths
    with opened_network(run, with_baselines=True) as opened:
        predictor, trained_on = opened.predictor_at(level), opened.trained_on
        named = required_baselines(predictor.config.gates)
        models = opened.baseline_models if named else None
    found = evaluate_table(predictor, trained_on, data, print_message, bad_rows)
    evaluation, differences = found.evaluation, found.differences
    _write_rejected(evaluation.table, found.problems, rejected)
    file = found.table.file
    _print_unused_columns(file, predictor.unread_columns(found.table))
    _print_uncertainty(predictor)
    rows = models.decoded(named, evaluation) if models else {}
    gates = check_evaluation(predictor, evaluation, rows)
    if as_json:
        result = {"run": str(run), "rows": evaluation.rows, "left_out": found.omitted}
        result["metrics"] = evaluation.metrics
        if evaluation.interval is not None:
            result["interval"] = evaluation.interval
        if gates:
            result["gates"] = [each.model_dump(mode="json") for each in gates]
        click.echo(json.dumps({**result, **differences.to_json(predictor.encoding)}))
    else:
        treatment = bad_rows.words(differences.bad_rows, found.skipped)
        place = evaluation.table.place
        _print_warnings(differences.warnings(file, predictor.encoding, treatment, place))
        view = evaluation_view(
            evaluation.rows,
            evaluation.metrics,
            predictor.task.classes,
            evaluation.interval,
            evaluation.without_weight,
        )
        click.echo(render_text(view, options.output_width()))
        for each in gates:
            click.echo(each.sentence)
    require_gates(gates, file)


def _print_unused_columns(file: str, columns: Sequence[str]) -> None:
    """Print which columns of a file were not known in training."""
    from dlcli.reports.formatting import join_names

    if columns:
        count = "a column" if len(columns) == 1 else f"{len(columns)} columns"
        names = join_names(columns, _MOST_NAMES)
        print_message("note", f"{file}: ignored {count} not seen in training: {names}")


def _print_uncertainty(predictor: Predictor) -> None:
    if predictor.uncertainty:
        print_message("note", predictor.uncertainty)


def _bad_rows_of_file(
    on_bad_row: Literal["error", "warn", "reject"], rejected: Path | None
) -> BadRows:
    """Return the treatment of values that can't be used, with a new file for rejected rows."""
    from dlcli.prediction.prediction_tables import format_of

    bad_rows = _bad_rows(on_bad_row, rejected)
    if rejected is not None:
        options.refuse_existing_path(rejected)
        format_of(rejected)
    return bad_rows


def _bad_rows(on_bad_row: Literal["error", "warn", "reject"], rejected: Path | None) -> BadRows:
    from dlcli.pipeline.table_prediction import BadRows

    if on_bad_row == "reject" and rejected is None:
        message = "--on-bad-row reject needs --rejected FILE, the file for the rejected rows"
        raise click.UsageError(message)
    if on_bad_row != "reject" and rejected is not None:
        raise click.UsageError("--rejected FILE needs --on-bad-row reject")
    return BadRows(on_bad_row, rejected, _BAD_ROW_HINT)


def _print_warnings(warnings: Iterable[str]) -> None:
    for warning in warnings:
        print_message("warning", warning)


def _write_rejected(table: Table, problems: ValueProblems, path: Path | None) -> None:
    """Write the rows with values that can't be used to a new file, if one is named."""
    from dlcli.prediction.prediction_tables import format_of, rejected_rows, write_rows

    if path is not None:
        with options.open_output(path) as stream:
            write_rows(rejected_rows(table, problems), format_of(path), stream)
