"""`dlcli predict` and `evaluate`: the commands that use a trained network on other rows."""

from __future__ import annotations

import glob
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlcli.cli import options
from dlcli.cli.messages import print_message
from dlcli.cli.run_argument import RunAndData, run_and_data
from dlcli.errors import plural

if TYPE_CHECKING:
    from dlcli.columns.value_issues import Place, ValueIssues
    from dlcli.encoding.encoding import Encoding
    from dlcli.pipeline.folder_prediction import FolderOptions
    from dlcli.prediction.prediction_tables import Format
    from dlcli.prediction.predictor import Predictor
    from dlcli.schema.urls import Location
    from dlcli.tables.table import Table

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
def predict(
    paths: RunAndData,
    output: Location | None,
    named: Format | None,
    keep: tuple[str, ...],
    spreadsheet_safe: bool,
    level: float | None,
    as_json: bool,
    **bad_rows: Any,  # noqa: ANN401
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
    from dlcli.cli.event_log import print_remarks, print_unused_columns
    from dlcli.prediction.prediction_tables import assemble, choose_format, write_rows
    from dlcli.runs.run_reader import opened_network

    jobs = bad_rows.pop("jobs")
    if output is not None and _is_folder_of_parts(paths[1], output, named):
        from dlcli.pipeline.folder_prediction import FolderOptions

        choices = FolderOptions(
            keep, spreadsheet_safe, **bad_rows, hint=_BAD_ROW_HINT, form=named, level=level
        )
        _predict_folder(paths, Path(output), choices, jobs or 1, as_json)
        return
    if jobs is not None:
        way_out = "name a local folder or glob of tables, and a folder with --output"
        raise click.UsageError(f"--jobs is for predictions of several files: {way_out}")
    if output is not None:
        options.refuse_existing_path(output)
    issues, rejected = _value_issues(**bad_rows), bad_rows["rejected"]
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
        table = predictor.read(data, others=None if rejected else keep)
        print_remarks(table.remarks)
        predictions = predictor.predict(table, issues)
        rows = assemble(predictions, table, keep, issues.bad_indices if rejected else None)
        write_rows(rows, form, stream, spreadsheet_safe=spreadsheet_safe)
        _write_rejected(table, issues, rejected)
    print_unused_columns(table.file, predictor.unread_columns(table, keep))
    _print_uncertainty(predictor)
    if as_json:
        result = {"run": str(run), "output": str(output), "rows": table.rows}
        if predictions.regions is not None:
            result["interval"] = {"level": level, **predictions.regions.summary()}
        result |= _differences_document(predictor.encoding, issues)
        click.echo(json.dumps(result, allow_nan=False))
    else:
        _print_differences(predictor.encoding, issues, table, rejected)


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
    from dlcli.cli.event_log import print_event, print_remarks, print_unused_columns
    from dlcli.pipeline.batch_prediction import bad_rows_text
    from dlcli.pipeline.folder_prediction import predict_folder
    from dlcli.runs.run_reader import opened_network

    def listener(event: str, fields: dict[str, Any]) -> None:
        if event == "part":
            rows = plural(fields["rows"], "row")
            print_message("note", f"{fields['state']}: {output / fields['part']}, {rows}")
        else:
            print_event(event, fields)

    _check_rejected(choices.on_bad_row, choices.rejected)
    if choices.rejected is not None and choices.rejected.suffix:
        raise click.UsageError(f"--rejected {choices.rejected}: name a folder, as --output is one")
    if choices.rejected == output:
        raise click.UsageError("--output and --rejected name the same folder")
    run, data = paths
    with opened_network(run) as opened:
        outcome = predict_folder(opened, Path(data), output, choices, jobs, listener)
    predictor, found = outcome.predictor, outcome.differences
    print_remarks(outcome.remarks)
    print_unused_columns(str(data), [*outcome.unread])
    _print_uncertainty(predictor)
    if as_json:
        result = {"run": str(run), "output": str(output), "rows": found.rows}
        result |= {"files": outcome.files, "skipped": outcome.skipped}
        result |= _differences_document(predictor.encoding, found.as_issues(), found.bad_rows)
        click.echo(json.dumps(result, allow_nan=False))
        return
    if outcome.skipped:
        skipped = plural(outcome.skipped, "file")
        print_message("note", f"{data}: {skipped} of {outcome.files} had been predicted before")
    warnings = []
    if found.bad_rows:
        treatment = f"rejected to {choices.rejected}" if choices.rejected else "treated as missing"
        warnings.append(bad_rows_text(found.bad_rows, treatment, found.examples))
    _print_difference_warnings(str(data), warnings, predictor.encoding, found.as_issues())


@click.command()
@run_and_data
@_interval_option("Also compute the coverage and the mean width of intervals.")
@options.bad_rows
@options.json_object
@options.verbosity
def evaluate(
    paths: RunAndData, level: float | None, on_bad_row: str, rejected: Path | None, as_json: bool
) -> None:
    """Compute the metrics of a run on other rows.

    RUN is a run folder of `dlcli train`, or its URL. DATA is a table that contains the target, its
    URL, or `-` for standard input. The `gates` of the run's config are checked on its rows; exit
    code 6 if one fails.

    \b
      dlcli evaluate runs/houses new.csv
      dlcli evaluate runs/houses new.csv --interval 0.9 --json
    """  # noqa: D301  (Click's mark for lines to leave as they are)
    from dlcli.cli.event_log import print_remarks, print_unused_columns
    from dlcli.prediction.gates import check_evaluation, require_gates, required_baselines
    from dlcli.reports.report_parts import evaluation_view
    from dlcli.reports.views import render_text
    from dlcli.runs.run_reader import opened_network

    issues = _value_issues(on_bad_row, rejected)
    run, data = paths
    with opened_network(run, with_baselines=True) as opened:
        predictor, training_data = opened.predictor_at(level), opened.trained_on(run)
        named = required_baselines(predictor.config.gates)
        models = opened.baseline_models if named else None
    table = predictor.read(data, others=None if rejected else predictor.metric_columns)
    print_remarks(table.remarks)
    if warning := training_data.warning(data, table.file):
        print_message("warning", warning)
    evaluation = predictor.evaluate(table, issues, reject=rejected is not None)
    if evaluation.warning:
        print_message("warning", f"{table.file}: {evaluation.warning}")
    _write_rejected(evaluation.table, issues, rejected)
    print_unused_columns(table.file, predictor.unread_columns(table))
    _print_uncertainty(predictor)
    if evaluation.shortfall:
        print_message("warning", f"{table.file}: {evaluation.shortfall}")
    rows = models.decoded(named, evaluation) if models else {}
    gates = check_evaluation(predictor, evaluation, rows)
    omitted, skipped = (each.rows - evaluation.rows for each in (table, evaluation.table))
    if as_json:
        result = {"run": str(run), "rows": evaluation.rows, "left_out": omitted}
        result["metrics"] = evaluation.metrics
        if evaluation.interval is not None:
            result["interval"] = evaluation.interval
        if gates:
            result["gates"] = [each.model_dump(mode="json") for each in gates]
        click.echo(json.dumps({**result, **_differences_document(predictor.encoding, issues)}))
    else:
        _print_differences(predictor.encoding, issues, evaluation.table, rejected, skipped)
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
    require_gates(gates, table.file)


def _print_uncertainty(predictor: Predictor) -> None:
    if predictor.uncertainty:
        print_message("note", predictor.uncertainty)


def _value_issues(on_bad_row: str, rejected: Path | None) -> ValueIssues:
    """Return the record of values that can't be used, as `--on-bad-row` and `--rejected` ask."""
    from dlcli.columns.value_issues import ValueIssues
    from dlcli.prediction.prediction_tables import format_of

    _check_rejected(on_bad_row, rejected)
    if rejected is not None:
        options.refuse_existing_path(rejected)
        format_of(rejected)
    return ValueIssues(lenient=on_bad_row != "error", hint=_BAD_ROW_HINT)


def _check_rejected(on_bad_row: str, rejected: Path | None) -> None:
    if on_bad_row == "reject" and rejected is None:
        message = "--on-bad-row reject needs --rejected FILE, the file for the rejected rows"
        raise click.UsageError(message)
    if on_bad_row != "reject" and rejected is not None:
        raise click.UsageError("--rejected FILE needs --on-bad-row reject")


def _print_differences(
    encoding: Encoding, issues: ValueIssues, table: Table, rejected: Path | None, skipped: int = 0
) -> None:
    """Print bad rows, and how all rows differ from the training rows, to standard error.

    Args:
        encoding: fitted on training rows.
        issues: recorded when the rows were encoded.
        table: the rows.
        rejected: the file to which rows with a value that can't be used were rejected.
        skipped: number of these rows that no metrics were computed for.
    """
    warnings = []
    if len(issues.bad_indices):
        warnings.append(_bad_row_warning(table, issues, rejected, skipped))
    _print_difference_warnings(table.file, warnings, encoding, issues, table.place)


def _print_difference_warnings(
    file: str,
    warnings: list[str],
    encoding: Encoding,
    issues: ValueIssues,
    place: Place | None = None,
) -> None:
    """Print warnings, and then those about differences from the training rows."""
    from dlcli.encoding.encoding import difference_lines, find_differences

    warnings += [
        f"{line.text}; --json lists all" if line.rest else line.text
        for line in difference_lines(find_differences(encoding, issues), place)
    ]
    for warning in warnings:
        print_message("warning", f"{file}: {warning}")


def _bad_row_warning(table: Table, issues: ValueIssues, rejected: Path | None, skipped: int) -> str:
    from dlcli.pipeline.batch_prediction import bad_rows_text, bad_values, treatment_of

    count = len(issues.bad_indices)
    rejects = rejected is not None
    treatment = f"rejected to {rejected}" if rejects else treatment_of(count, skipped)
    return bad_rows_text(count, treatment, bad_values(issues, table))


def _differences_document(
    encoding: Encoding, issues: ValueIssues, bad_rows: int | None = None
) -> dict[str, object]:
    """Describe for JSON how rows differ from the training rows; all counts are of rows.

    Args:
        encoding: fitted on training rows.
        issues: recorded when the rows were encoded.
        bad_rows: their number, unless the record has their indices.

    Returns:
        `bad_rows`, with a value that can't be used; and `differences`, an object for each column
        that has any of: `unreadable`; `unseen`, with the rows of the most frequent
        `unseen_values`; `outside` the `training_range`, of two numbers or ISO 8601 dates;
        `wordless`; `missing`, with `missing_share` and `training_missing_share`.
    """
    from dlcli.encoding.encoding import find_differences

    found = {each.column: each.to_json() for each in find_differences(encoding, issues)}
    count = len(issues.bad_indices) if bad_rows is None else bad_rows
    return {"bad_rows": count, "differences": found}


def _write_rejected(table: Table, issues: ValueIssues, path: Path | None) -> None:
    """Write the rows with values that can't be used to a new file, if one is named."""
    from dlcli.prediction.prediction_tables import format_of, rejected_rows, write_rows

    if path is not None:
        with options.open_output(path) as stream:
            write_rows(rejected_rows(table, issues), format_of(path), stream)
