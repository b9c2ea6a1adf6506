"""`dlcli predict`, `evaluate` and `drift`: the commands that use a trained network on new rows."""

from __future__ import annotations

import glob
import os
import sys
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from dlcli.cli import console, options
from dlcli.cli.database_arguments import sql_option
from dlcli.cli.input_arguments import RunAndData, refuse_run_folder, run_and_data
from dlcli.errors import plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import pyarrow as pa

    from dlcli.columns.value_problems import Place
    from dlcli.config.decision_section import Decision
    from dlcli.pipeline.events import Event
    from dlcli.pipeline.table_prediction import (
        BadRows,
        PredictionOptions,
        RowDifferences,
        Treatment,
    )
    from dlcli.prediction.prediction_tables import Format
    from dlcli.prediction.predictor import Predictor
    from dlcli.schema.urls import Location
    from dlcli.tables.database_locations import DataLocation
    from dlcli.tables.database_section import DatabaseQuery

_LEAST_WIDTH = 80
"""Width of tables in columns, if standard output is not a terminal."""
_MOST_NAMES = 8
"""Maximum number of ignored columns that a message lists."""
_BAD_ROW_HINT = (
    "hint: --on-bad-row warn treats such values as missing; "
    "--on-bad-row reject --rejected FILE writes their rows to FILE"
)
_BAD_TARGET_HINT = (
    "hint: --on-bad-row warn omits rows with an unusable target, and treats unusable values of "
    "features as missing; --on-bad-row reject --rejected FILE writes all these rows to FILE"
)
_NEW_CLASS_HINT = "; to include rows of a new class, train on a table that contains this class"
_REJECTED = "New CSV, Parquet or JSON lines file for rejected rows with the reasons"


def _bad_row_option(values: str, warn: str) -> options.Option:
    """Make the option for bad rows.

    Args:
        values: the values that it applies to.
        warn: the treatment of these values by `warn`.
    """
    return click.option(
        "--on-bad-row",
        type=click.Choice(["error", "warn", "reject"]),
        default="error",
        show_default=True,
        help=f"Treatment of {values}. error: stop. warn: {warn}. reject: write their rows to the "
        "file of --rejected.",
    )


def _check_prevalence(
    ctx: click.Context, parameter: click.Parameter, values: Sequence[str]
) -> dict[str, float]:
    """Return the frequency of each class, a share between 0 and 1."""
    found: dict[str, float] = {}
    for value in values:
        name, _, text = value.rpartition("=")
        share = options.share_of(text)
        if not name or share is None:
            raise click.BadParameter(
                f"expected a class and a share between 0 and 1, such as yes=0.02, got {value}"
            )
        if name in found:
            raise click.BadParameter(f"the class {name} is given twice")
        found[name] = share
    return found


@click.command()
@run_and_data
@sql_option
@options.output(
    "FILE|FOLDER|TABLE",
    "Where to write the predictions: a new file; the URL of a new file, such as "
    "s3://bucket/predictions.parquet; the URL of a database table, such as "
    "postgresql://USER@HOST/DATABASE/TABLE, which is created if it is missing and else appended "
    "to; or, if DATA is a folder or a glob, a folder for one output file per table. [default: "
    "standard output]",
    or_folder=True,
    or_stdout=True,
    or_database=True,
)
@options.jobs("predict the files of a folder or glob", "one thread")
@click.option(
    "--format",
    "form",
    type=click.Choice(["csv", "parquet", "jsonl", "xlsx"]),
    help="Output format. [default: the extension of FILE, else csv]",
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
    help="Escape CSV cells that Excel would run as formulas.",
)
@options.interval(
    "Add prediction intervals (`lower`, `upper`) or, for classes, prediction sets with this "
    "coverage, e.g. 0.9."
)
@click.option(
    "--prevalence",
    multiple=True,
    metavar="CLASS=SHARE",
    callback=_check_prevalence,
    help="Share of a class among the rows that you predict, e.g. yes=0.02, if it differs from the "
    "training rows. The probabilities are adjusted to this share, and a threshold "
    "that maximizes a metric is chosen again. Repeatable. [default: "
    "data.prevalence of the config, else the share in the training rows]",
)
@options.decision
@_bad_row_option(
    "values that can't be read or that the config forbids", "treat these values as missing"
)
@options.output(
    "FILE",
    f"{_REJECTED}; a folder if --output is a folder.",
    "--rejected",
    is_local=True,
    or_folder=True,
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print a summary, including differences from the training rows, as one JSON object. "
    "Requires --output.",
)
def predict(
    paths: RunAndData,
    output: DataLocation | None,
    jobs: int | None,
    decision: tuple[Decision | None] | None,
    on_bad_row: Treatment,
    rejected: Path | None,
    as_json: bool,
    **others: Any,  # noqa: ANN401
) -> None:
    """Predict the rows of a table.

    RUN is a run folder of `dlcli train` or its URL. DATA is a table, its URL, a glob or folder of
    tables, a database, or `-` for standard input. It need not contain the target.

    \b
      dlcli predict runs/bikes data/bikes.csv --output predictions.csv
      dlcli predict runs/bikes data/bikes.csv --keep hour
      dlcli predict runs/bikes data/bikes.csv --interval 0.9
      dlcli predict runs/shoppers data/shoppers.csv --prevalence yes=0.02
      dlcli predict runs/bikes folder --output predictions --jobs 4
      dlcli predict runs/bikes sqlite:///bikes.db/new --keep id --output sqlite:///bikes.db/forecast

    The output has one row for each row of DATA, in the same order, with the column `prediction`
    and, for classes, the columns `probability_<class>`. These columns are empty for rejected rows.
    Numbers on a terminal have six significant digits; in a file or a pipe, they have all digits.

    The files of a glob are read as one table. If --output is an existing folder or has no file
    extension, each file of a glob or folder is instead predicted separately, with one output file
    each in that folder; this needs little memory. A folder as DATA requires such an --output. After
    an interruption, run the same command again: it skips finished files.

    The rows of a database are read and predicted in parts, which needs little memory. If --output
    is a database table, all rows are written in one transaction: after an error, the database is
    unchanged.
    """  # noqa: D301  (Click does not wrap the lines after it)
    from dlcli.pipeline.table_prediction import PredictionOptions
    from dlcli.tables.database_locations import query_of

    run, source = paths[0], query_of(paths[1], others.pop("sql"))
    wanted = PredictionOptions(bad_rows=_bad_rows(on_bad_row, rejected), **others)
    if isinstance(source, Path) and isinstance(output, Path):  # noqa: SIM102  (mypy)
        if _is_folder_of_parts(source, output, wanted.form):
            _predict_folder((run, source), output, wanted, decision, jobs or 1, as_json)
            return
    if jobs is not None:
        way_out = "DATA must be a local folder or glob, and --output a folder"
        raise click.UsageError(f"--jobs applies to predictions of several files: {way_out}")
    _predict_table(run, source, output, wanted, decision, as_json)


def _is_folder_of_parts(data: Path, output: Path, form: Format | None) -> bool:
    """Return whether each file is predicted to a separate file in a folder.

    True if the output is a folder, or if data is a folder or a glob and the output has no file
    extension.

    Args:
        data: the argument DATA.
        output: the value of `--output`.
        form: the value of `--format`. If it is set, the output for a glob may be a single file
            without an extension.
    """
    if data == Path("-"):
        return False
    if os.path.isdir(output):
        return True
    if os.path.isdir(data):
        return not output.suffix
    is_glob = glob.has_magic(str(data)) and not os.path.exists(data)
    return is_glob and not (output.suffix or form)


def _predict_table(  # noqa: PLR0913  (named by their caller)
    run: Location,
    source: Location | DatabaseQuery,
    output: DataLocation | None,
    wanted: PredictionOptions,
    decision: tuple[Decision | None] | None,
    as_json: bool,
) -> None:
    """Predict the rows of one table."""
    from dlcli.pipeline.batch_prediction import predict_query, predict_table
    from dlcli.runs.run_folder import opened_network
    from dlcli.tables.database_locations import is_same_file
    from dlcli.tables.database_section import DatabaseQuery

    rejected = _require_new_file(wanted.bad_rows.rejected)
    if as_json and output is None:
        raise click.UsageError("--json requires --output FILE, the file for the predictions")
    if output is not None and output == rejected:
        raise click.UsageError("--output and --rejected name the same file")
    with _open_rejected(rejected) as reject, _open_predictions(output, wanted) as write:
        with opened_network(run) as opened:
            decided = opened if decision is None else opened.decided_by(*decision)
            predictor = wanted.predictor(decided)
        if isinstance(source, DatabaseQuery):
            spooled = is_same_file(source, output)
            done = predict_query(predictor, source, wanted, write, reject, spooled=spooled)
        else:
            report = console.print_message
            done = predict_table(predictor, source, wanted, write, reject, report)
    result = {"run": str(run), "output": str(output), "rows": done.differences.rows}
    if done.regions is not None:
        result["interval"] = {"level": wanted.level, **done.regions.summary()}
    _report(
        predictor,
        done.differences,
        done.file,
        done.unread,
        wanted.bad_rows.words(done.differences.bad_rows),
        result if as_json else None,
        done.place,
    )
    if output is not None and not as_json:
        console.print_next(predictions=f"{output}, {plural(done.differences.rows, 'row')}")


@contextmanager
def _open_predictions(
    output: DataLocation | None, wanted: PredictionOptions
) -> Iterator[Callable[[pa.Table], None]]:
    """Return a function that writes rows to a new file, standard output, or a database."""
    from dlcli.prediction.database_writing import TableWriter
    from dlcli.prediction.prediction_tables import RowWriter, choose_format
    from dlcli.tables.database_locations import DatabaseLocation

    if isinstance(output, DatabaseLocation):
        if wanted.form or wanted.spreadsheet_safe:
            option = "--format" if wanted.form else "--spreadsheet-safe"
            raise click.UsageError(f"{option} applies to files, and {output} is a database")
        if output.table is None:
            raise click.UsageError(f"{output}: name a table after the database: {output}/TABLE")
        with TableWriter(output) as table:
            yield table.write
        return
    if output is not None:
        console.refuse_existing_path(output)
    form = choose_format(wanted.form, output)
    if form in ("parquet", "xlsx") and output is None and sys.stdout.isatty():
        name = "Parquet" if form == "parquet" else "A workbook"
        raise click.UsageError(f"{name} can't be printed to a terminal; use --output FILE")
    with (
        console.open_output(output) as stream,
        RowWriter(form, stream, spreadsheet_safe=wanted.spreadsheet_safe) as rows,
    ):
        yield rows.write


@contextmanager
def _open_rejected(path: Path | None) -> Iterator[Callable[[pa.Table], None]]:
    """Return a function that writes rejected rows to a new file, if a path is given."""
    from dlcli.prediction.prediction_tables import RowWriter, format_of

    if path is None:
        yield lambda rows: None
        return
    with console.open_output(path) as stream, RowWriter(format_of(path), stream) as writer:
        yield writer.write


def _predict_folder(
    paths: tuple[Location, Path],
    output: Path,
    wanted: PredictionOptions,
    decision: tuple[Decision | None] | None,
    jobs: int,
    as_json: bool,
) -> None:
    """Predict each file of a folder or glob to a separate file."""
    from dlcli.cli.event_log import print_event, print_file_notes
    from dlcli.pipeline.folder_prediction import PartEvent, predict_folder
    from dlcli.runs.run_folder import opened_network

    def listener(event: Event) -> None:
        if isinstance(event, PartEvent):
            rows = plural(event.differences.rows, "row")
            console.print_message("note", f"{event.state}: {output / event.part}, {rows}")
        else:
            print_event(event)

    rejected = wanted.bad_rows.rejected
    if rejected is not None and rejected.suffix:
        raise click.UsageError(f"--rejected {rejected}: expected a folder, because --output is one")
    if rejected == output:
        raise click.UsageError("--output and --rejected name the same folder")
    run, data = paths
    with opened_network(run) as opened:
        decided = opened if decision is None else opened.decided_by(*decision)
        outcome = predict_folder(decided, data, output, wanted, jobs, listener)
    found = outcome.differences
    print_file_notes(outcome.file_notes)
    if outcome.skipped and not as_json:
        skipped = plural(outcome.skipped, "file")
        console.print_message(
            "note", f"{data}: skipped {skipped} of {outcome.files} (already predicted)"
        )
    result = {"run": str(run), "output": str(output), "rows": found.rows}
    result |= {"files": outcome.files, "skipped": outcome.skipped}
    _report(
        outcome.predictor,
        found,
        str(data),
        [*outcome.unread],
        wanted.bad_rows.words(found.bad_rows),
        result if as_json else None,
    )


@click.command()
@run_and_data
@sql_option
@options.interval(
    "Also compute the actual coverage and the mean width of prediction intervals, or the mean size "
    "of prediction sets, with this nominal coverage, e.g. 0.9."
)
@options.decision
@options.by
@_bad_row_option(
    "values that can't be read or that the config forbids, and of classes in the target that are "
    "not in the training data",
    "treat unusable values of features as missing, and omit rows with an unusable target",
)
@options.output("FILE", f"{_REJECTED}.", "--rejected", is_local=True)
@options.json_object
def evaluate(  # noqa: PLR0913  (its options)
    paths: RunAndData,
    level: float | None,
    decision: tuple[Decision | None] | None,
    by: tuple[str, ...],
    sql: str | None,
    on_bad_row: Treatment,
    rejected: Path | None,
    as_json: bool,
) -> None:
    """Evaluate a trained model on another table.

    RUN is a run folder of `dlcli train` or its URL. DATA is a table, its URL, a database, or `-`
    for standard input. It must contain the target. The quality gates of the config, its key
    `gates`, are checked on these rows; if one fails, the exit code is 6.

    \b
      dlcli evaluate runs/bikes new_hours.csv
      dlcli evaluate runs/bikes new_hours.csv --interval 0.9 --json
      dlcli evaluate runs/bikes new_hours.csv --by weather,hour
    """  # noqa: D301  (Click does not wrap the lines after it)
    from dlcli.pipeline.table_prediction import TablePrediction
    from dlcli.prediction.gates import check_evaluation, require_gates, required_baselines
    from dlcli.prediction.groups import columns_to_read
    from dlcli.prediction.prediction_tables import rejected_rows
    from dlcli.prediction.reliability import measure_reliability
    from dlcli.reports.command_views import decision_sentences, evaluation_view
    from dlcli.reports.group_section import groups_view
    from dlcli.runs.run_folder import opened_network
    from dlcli.tables.database_locations import rows_of

    bad_rows = _bad_rows(on_bad_row, rejected, _BAD_TARGET_HINT)
    _require_new_file(rejected)
    run, data = paths[0], rows_of(paths[1], sql)
    with opened_network(run, with_baselines=True) as opened:
        decided = opened if decision is None else opened.decided_by(*decision)
        predictor, trained_on = decided.predictor_at(level), opened.trained_on
        named = required_baselines(predictor.config.gates)
        models = opened.baseline_models if named else None
    if predictor.task.classes:
        bad_rows = replace(bad_rows, hint=bad_rows.hint + _NEW_CLASS_HINT)
    prediction = TablePrediction(predictor, console.print_message, bad_rows)
    found = prediction.evaluate(data, trained_on, by)
    evaluation, file = found.evaluation, found.table.file
    with _open_rejected(rejected) as reject:
        reject(rejected_rows(evaluation.table, found.problems))
    rows = models.decoded(named, evaluation) if models else {}
    gates = check_evaluation(predictor, evaluation, rows)
    result = {"run": str(run), "rows": evaluation.rows, "left_out": found.omitted}
    result["metrics"] = evaluation.metrics
    reliability = measure_reliability(predictor.task, evaluation.decoded)
    if reliability is not None:
        result["calibration"] = reliability.model_dump(mode="json")
    if evaluation.interval is not None:
        result["interval"] = evaluation.interval
    rule, effect = predictor.decision, predictor.task.decision_effect(evaluation.decoded)
    if rule is not None and effect is not None:
        known = {"threshold": rule.threshold, "objective": rule.objective}
        result["decision"] = {**known, **effect.model_dump(mode="json")}
    if found.groups is not None:
        result["groups"] = [each.model_dump(mode="json") for each in found.groups.columns]
    if gates:
        result["gates"] = [each.model_dump(mode="json") for each in gates]
    _report(
        predictor,
        found.differences,
        file,
        predictor.unread_columns(found.table, columns_to_read(by)),
        bad_rows.words(found.differences.bad_rows, found.skipped),
        result if as_json else None,
        evaluation.table.place,
    )
    if not as_json:
        view = evaluation_view(
            evaluation.rows,
            evaluation.metrics,
            predictor.task.classes,
            evaluation.interval,
            evaluation.without_weight,
            [] if rule is None else [*decision_sentences(rule, predictor.task.classes, effect)],
            reliability,
        )
        console.print_view(view)
        if found.groups is not None:
            click.echo()
            console.print_view(groups_view(found.groups), least_width=_LEAST_WIDTH)
        for each in gates:
            click.echo(each.sentence)
    require_gates(gates, file)


@click.command()
@run_and_data
@sql_option
@click.option(
    "--reference",
    type=options.DATA,
    metavar="TABLE",
    callback=refuse_run_folder,
    help="Table or URL to compare with. [default: the training rows, read again from their file]",
)
@click.option(
    "--ignore",
    "ignored",
    multiple=True,
    metavar="COLUMN",
    help="Column that is not compared, such as a date, or a pattern such as 'day_*'. Repeatable.",
)
@click.option(
    "--fail-on",
    type=click.Choice(["moderate", "strong", "never"]),
    default="strong",
    show_default=True,
    help="Lowest level of drift that causes exit code 6. Columns and predictions have "
    "moderate drift from a population stability index of 0.1, and strong drift from 0.25; the rows "
    "as a whole from an AUC of 0.59 and 0.64 of a model that tells new rows from training rows.",
)
@options.output("FILE", "Also write the result to a new HTML file, with charts of the columns.")
@options.json_object
def drift(
    paths: RunAndData,
    sql: str | None,
    reference: DataLocation | None,
    ignored: tuple[str, ...],
    fail_on: Literal["moderate", "strong", "never"],
    output: Path | None,
    as_json: bool,
) -> None:
    """Compare new rows with the training rows.

    RUN is a run folder of `dlcli train` or its URL. DATA is a table of new rows, its URL, a
    database, or `-` for standard input; it does not need the target. Each column
    and the rows as a whole are compared with the training rows; predictions are compared with those
    for held-out rows. If one of these differs strongly (see --fail-on), the exit code is 6.

    \b
      dlcli drift runs/bikes new_hours.csv
      dlcli drift runs/bikes new_hours.csv --ignore month --output drift.html
      dlcli drift runs/bikes new_hours.csv --fail-on moderate --json
    """  # noqa: D301  (Click does not wrap the lines after it)
    from dlcli.cli.event_log import print_event
    from dlcli.pipeline.drift import measure_drift, require_no_drift
    from dlcli.reports.drift_report import drift_view
    from dlcli.runs.run_folder import opened_network
    from dlcli.tables.database_locations import rows_of

    if reference == Path("-"):
        raise click.UsageError("--reference: name a file; standard input can't be read twice")
    folder, data = paths[0], rows_of(paths[1], sql)
    before = None if reference is None else rows_of(reference)
    with opened_network(folder) as run:
        measured = measure_drift(run, data, before, print_event, ignored)
    if output is not None:
        console.write_page(drift_view(measured), output)
    if as_json:
        console.print_json(measured.document.model_dump(mode="json"))
    else:
        console.print_view(drift_view(measured), least_width=_LEAST_WIDTH)
    if fail_on != "never":
        require_no_drift(measured.document, fail_on)


def _report(
    predictor: Predictor,
    differences: RowDifferences,
    file: str,
    unread: Sequence[str],
    treatment: str,
    result: dict[str, object] | None,
    place: Place | None = None,
) -> None:
    """Print how rows differ from the training rows, as warnings or as JSON.

    Args:
        predictor: the model.
        differences: the differences of the rows.
        file: name of the file or folder.
        unread: columns that the training data did not have.
        treatment: what is done with rows whose values can't be used.
        result: the other fields of the JSON object; `None` for warnings.
        place: returns the position of a row, given its index.
    """
    if unread:
        from dlcli.reports.formatting import join_names

        count = "a column" if len(unread) == 1 else f"{len(unread)} columns"
        names = join_names(unread, _MOST_NAMES)
        console.print_message(
            "note", f"{file}: ignored {count} that the training data did not have: {names}"
        )
    if predictor.uncertainty:
        console.print_message("note", predictor.uncertainty)
    if result is not None:
        console.print_json({**result, **differences.to_json(predictor.encoding)})
        return
    for warning in differences.warnings(file, predictor.encoding, treatment, place):
        console.print_message("warning", warning)


def _bad_rows(on_bad_row: Treatment, rejected: Path | None, hint: str = _BAD_ROW_HINT) -> BadRows:
    """Return the treatment of values that can't be used."""
    from dlcli.pipeline.table_prediction import BadRows

    if on_bad_row == "reject" and rejected is None:
        message = "--on-bad-row reject requires --rejected FILE, the file for the rejected rows"
        raise click.UsageError(message)
    if on_bad_row != "reject" and rejected is not None:
        raise click.UsageError("--rejected FILE requires --on-bad-row reject")
    return BadRows(on_bad_row, rejected, hint)


def _require_new_file(rejected: Path | None) -> Path | None:
    """Check that the file for rejected rows is new and has the extension of a table."""
    from dlcli.prediction.prediction_tables import format_of

    if rejected is not None:
        console.refuse_existing_path(rejected)
        format_of(rejected)
    return rejected
