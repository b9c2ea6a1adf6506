"""`dlcli report`, `compare`, `diagnose`, `runs`, `export` and `serve`: the commands for runs."""

from __future__ import annotations

import gc
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlcli.cli import console, options
from dlcli.cli.database_arguments import sql_option
from dlcli.cli.input_arguments import missing_run, refuse_run_folder, run_argument, runs_argument
from dlcli.errors import UsageError, did_you_mean_or_all, printable
from dlcli.exports.formats import ENTRIES, FormatName, TextFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dlcli.diagnosis.remedies import Finding, Patch
    from dlcli.exports.export_folder import Export
    from dlcli.pipeline.retraining import Trial
    from dlcli.runs.run import Run
    from dlcli.tables.database_locations import DataLocation

_PAGE_WIDTH = 80
"""Width of a comparison in columns, if standard output is not a terminal."""


@click.command()
@run_argument(("train", "cv", "tune"))
@options.output("FILE", "New HTML file. [default: RUN/report.html]")
@options.output("FILE", "Also draw the loss and the metric per epoch to a PNG file.", "--curves")
@options.json_object
def report(run: Run, output: Path | None, curves: Path | None, as_json: bool) -> None:
    """Create the HTML report of a run.

    RUN is a run folder of `dlcli train`, `cv` or `tune`. The report is one self-contained file that
    works offline. It is created from the run folder alone; the table is not read.

    \b
      dlcli report runs/bikes
      dlcli report runs/bikes --output bikes.html
      dlcli report runs/bikes --curves curves.png
    """  # noqa: D301  (Click does not wrap the lines after it)
    from dlcli.reports.report_files import write_report

    picture = _curves_of(run) if curves is not None else b""
    page = write_report(run, output)
    if curves is not None:
        with console.open_output(curves) as stream:
            stream.write(picture)
    if as_json:
        console.print_json({"run": str(run.path), "page": str(page)})
    else:
        click.echo(page)


def _curves_of(run: Run) -> bytes:
    """Draw the curves of a training.

    Raises:
        UsageError: for a run of another command, or without a finished epoch.
    """
    from dlcli.reports.report_files import training_curves

    if run.kind in ("cv", "tune"):
        raise UsageError(
            f"{run.path}: --curves requires a run of dlcli train, got a run of dlcli {run.kind}"
        )
    drawn = training_curves(run)
    if drawn is None:
        raise UsageError(f"{run.path}: no epoch was finished, so there are no curves to draw")
    return drawn[0]


@click.command()
@runs_argument
@click.option(
    "--data",
    type=options.DATA,
    metavar="DATA",
    callback=refuse_run_folder,
    help="Table, or its URL, whose rows all runs predict; it must contain the target. "
    "[default: the held-out rows of each run]",
)
@sql_option
@options.output("FILE", "Also write the comparison to a new HTML file, with all curves.")
@options.json_object
def compare(
    runs: list[Run],
    data: DataLocation | None,
    sql: str | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Compare runs and test whether they differ significantly.

    Each RUN is a run folder of `dlcli train`. The first one is compared with each of the others.
    The output lists the differences between configs, data and versions, then the metrics and their
    differences with 95 % confidence intervals.

    If the runs have different held-out rows, use --data with a table that no run was trained on.
    dlcli warns if the table is the training file of a run, but it cannot detect a copy of some of
    its rows.

    \b
      dlcli compare runs/bikes runs/bikes-2
      dlcli compare runs/bikes runs/bikes-2 runs/bikes-3 --output compared.html
      dlcli compare runs/bikes runs/bikes-2 --data new_hours.csv
    """  # noqa: D301  (Click does not wrap the lines after it)
    from dlcli.comparison import compare as compare_runs
    from dlcli.comparison import to_document
    from dlcli.reports.comparison_report import comparison_view
    from dlcli.tables.database_locations import rows_of

    if data == Path("-"):
        raise UsageError("--data: standard input can be read only once; name a file")
    if data is None and sql is not None:
        raise UsageError("--sql requires --data, the database")
    comparison = compare_runs(runs, None if data is None else rows_of(data, sql))
    if output is not None:
        console.write_page(comparison_view(comparison), output)
    if as_json:
        console.print_json(to_document(comparison))
    else:
        console.print_view(comparison_view(comparison), least_width=_PAGE_WIDTH)


def _metric(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Return dlcli's name of a metric."""
    if value is None:
        return None
    from dlcli.metrics.definitions import METRICS
    from dlcli.schema.section import to_metric

    if (name := str(to_metric(value))) in METRICS:
        return name
    raise click.BadParameter(f"unknown metric '{value}'{did_you_mean_or_all(value, [*METRICS])}")


@click.command()
@click.argument("folder", type=options.PATH, required=False, default=Path("runs"))
@click.option("--target", metavar="COLUMN", help="List only runs that predict this column.")
@click.option(
    "--sort",
    metavar="METRIC",
    callback=_metric,
    help="Metric, such as rmse: list the runs that have it, the best first.",
)
@options.output("FILE", "Also write the list to a new HTML file, sortable and with loss curves.")
@click.option(
    "--remove",
    "removed",
    type=options.PATH,
    multiple=True,
    metavar="RUN",
    help="Remove this run folder after a confirmation, instead of listing runs. Repeatable.",
)
@click.option("--yes", is_flag=True, help="Remove without a confirmation.")
@options.json_object
def runs(
    folder: Path,
    target: str | None,
    sort: str | None,
    output: Path | None,
    removed: tuple[Path, ...],
    yes: bool,
    as_json: bool,
) -> None:
    """List the runs of a folder, or remove some.

    FOLDER contains run folders of `dlcli train`, `cv` and `tune`. [default: runs] The most recent
    run is listed first. The metrics are computed on test rows, or else on out-of-fold, validation
    or training rows, so compare runs only if they have the same rows; `dlcli compare` tests
    differences.

    \b
      dlcli runs
      dlcli runs --target rentals --sort rmse
      dlcli runs --output runs.html
      dlcli runs --remove runs/bikes-2 --remove runs/bikes-3
    """  # noqa: D301  (Click does not wrap the lines after it)
    from dlcli.reports.command_views import runs_view
    from dlcli.runs import run_list

    if removed:
        if output is not None:
            raise UsageError("--output lists runs, but --remove removes some; use one of them")
        _remove(removed, yes, as_json)
        return
    if not folder.is_dir():
        raise UsageError(f"{folder}: is not a folder; name the folder of your runs")
    found = run_list.list_runs(folder)
    if target is not None:
        found = [run for run in found if target in run.target]
    if sort is not None:
        found = run_list.best_first(found, sort)
    if output is not None:
        from dlcli.reports.run_list_report import run_list_page

        console.write_page(run_list_page(folder, found, sort), output)
    if as_json:
        console.print_json({"folder": str(folder), "runs": [each.to_document() for each in found]})
    else:
        console.print_view(runs_view(folder, found, sort), least_width=_PAGE_WIDTH)


def _remove(removed: Sequence[Path], yes: bool, as_json: bool) -> None:
    from dlcli.runs import run_list

    for path in removed:
        run_list.check_removable(path)
    if not yes:
        if not (console.is_terminal() and sys.stdin.isatty()):
            raise UsageError("--remove requires --yes if nobody can confirm it on a terminal")
        names = ", ".join(map(str, removed))
        if not click.confirm(f"Remove {names}, with all files?", err=True):
            console.print_message("note", "nothing was removed")
            return
    for path in removed:
        run_list.remove_run(path)
    if as_json:
        console.print_json({"removed": [*map(str, removed)]})
    else:
        click.echo("\n".join(f"removed: {path}" for path in removed))


@click.command()
@run_argument()
@click.option(
    "--try",
    "tries",
    is_flag=True,
    help="Train a network with each suggestion, at most twelve runs in RUN-tries/, and report "
    "which suggestions improve the result on the validation rows. For a single network, an average "
    "of five networks is also tried, which takes five times as long; if nothing helps, general "
    "changes follow, such as another learning rate.",
)
@options.json_object
def diagnose(run: Run, tries: bool, as_json: bool) -> None:
    """Find problems in a run and suggest remedies.

    RUN is a run folder of `dlcli train`; its training may have diverged. Problems are found from
    the run folder alone. With --try, the table is read again, and a network is trained with each
    suggestion. These networks are compared only on the validation rows, so the choice among
    them does not bias the metrics of the test rows.

    \b
      dlcli diagnose runs/bikes
      dlcli diagnose runs/bikes --try
    """  # noqa: D301  (Click does not wrap the lines after it)
    from dlcli.diagnosis.findings import diagnose as find_problems
    from dlcli.reports.diagnosis_report import diagnosis_document, diagnosis_view

    run.require_training()
    findings = find_problems(run)
    if not as_json:
        console.print_view(diagnosis_view(run, findings))
    if tries:
        _try_remedies(run, findings, as_json)
    elif as_json:
        console.print_json(diagnosis_document(run, findings))


def _try_remedies(run: Run, findings: Sequence[Finding], as_json: bool) -> None:
    """Train the suggestions and print the results of all that finished, even if interrupted."""
    from dlcli.cli.event_log import print_warning
    from dlcli.pipeline.retraining import choose_patches, more_patches, try_patches, winner
    from dlcli.reports.diagnosis_report import diagnosis_document, diagnosis_view
    from dlcli.runs.manifest import DIVERGED

    is_trained = run.kind != DIVERGED
    patches = choose_patches(findings, run.config if is_trained else None)
    if not patches and findings:
        console.print_message("note", "no suggestion can be trained on the same rows")

    trials: list[Trial] = []

    def print_start(index: int, patch: Patch) -> None:
        if not console.is_quiet():
            overrides = printable(" ".join(patch.overrides))
            cost = f" ({patch.networks} times the training time)" if patch.networks > 1 else ""
            place = f"{len(trials) + 1} of {len(patches)}"
            console.print_line(f"trying {place}: {patch.name}{cost}: {overrides}")

    finished = False
    try:
        for trial in try_patches(run, patches, print_warning, print_start) if patches else ():
            trials.append(trial)
        if is_trained and winner(trials) is None and (more := more_patches(patches, run.config)):
            patches += more
            for trial in try_patches(run, more, print_warning, print_start):
                trials.append(trial)
        finished = True
    finally:
        if as_json and (finished or trials):
            console.print_json(diagnosis_document(run, findings, trials))
        elif trials:
            click.echo("")
            console.print_view(diagnosis_view(run, findings, trials))


@click.command()
@run_argument()
@click.option(
    "--format",
    "named",
    type=click.Choice([*ENTRIES]),
    required=True,
    help=" ".join(f"{name}: {entry.summary}." for name, entry in ENTRIES.items()),
)
@options.output(
    "PATH",
    "Folder to create (required), or file for a model card. [default for a model card: standard "
    "output]",
)
@options.interval(
    "Coverage of the prediction intervals or sets that the model also returns. [default: 0.9, if "
    "the run has held-out rows for calibration]"
)
@click.option(
    "--quantize",
    type=click.Choice(["dynamic"]),
    help="For litert: store the weights of larger layers in 8 bits instead of 32. The export is "
    "refused if a predicted number or probability changes by more than a tenth of the 90th "
    "percentile of all absolute predictions.",
)
@options.json_object
def export(
    run: Run,
    named: FormatName,
    output: Path | None,
    level: float | None,
    quantize: str | None,
    as_json: bool,
) -> None:
    """Export a model or a script that works without dlcli.

    RUN is a run folder of `dlcli train`. Before a model is saved, its predictions are compared with
    those of dlcli, on held-out rows and on synthetic rows with missing values, unseen categories
    and unusual texts. If they differ by more than a small tolerance, nothing is written. `dlcli
    validate FOLDER` repeats the comparison on the synthetic rows, which are stored in the export.
    Scripts and model cards are written without a comparison. A model card describes the purpose,
    data, quality and limits of a model.

    \b
      dlcli export runs/bikes --format onnx --output bikes-onnx
      dlcli export runs/bikes --format saved_model --output bikes-saved-model
      dlcli export runs/bikes --format python --output bikes-script
      dlcli export runs/bikes --format mlflow --output bikes-mlflow
      dlcli export runs/bikes --format card --output bikes.md
    """  # noqa: D301  (Click does not wrap the lines after it)
    from dlcli.exports.export_folder import checked_format, export_run

    is_quantized = quantize is not None
    format = checked_format(named, level, quantize=is_quantized)
    if output is not None:
        exported = export_run(run, named, output, level, quantize=is_quantized)
        print_export(exported, as_json)
    elif isinstance(format, TextFormat) and not as_json:
        with console.open_output(None) as stream:
            stream.write(format.text(run).encode())
    else:
        raise click.UsageError("missing option '--output', the path to create")


def print_export(exported: Export, as_json: bool, *, validated: bool = False) -> None:
    """Print the result of an export's check, and its folder or that it is valid."""
    document = exported.document
    if as_json:
        fields = {} if document is None else document.model_dump(mode="json")
        console.print_json({"export": str(exported.path), **fields})
        return
    if document is None:
        click.echo(f"export: {exported.path}")
        return
    if document.unchecked:
        console.print_message("note", f"only synthetic rows were compared: {document.unchecked}")
    if not document.checked:
        message = "the files are intact; the model was not loaded, because loading may run code"
        console.print_message("note", message)
    for rows, found in document.checked.items():
        parts = [
            f"same {name}" if count == found.rows else f"same {name} in {count:,}"
            for name, count in found.equal.items()
        ]
        if differences := found.relative_difference.values():
            parts.append(f"numbers agree within {max(differences):.1e} (relative)")
        shown = rows.replace("made-up", "synthetic")  # the key of earlier versions
        click.echo(f"{found.rows:,} {shown}: {', '.join(parts)}")
    if validated:
        verdict = "the predictions agree" if document.checked else "the files are intact"
        click.echo(f"{exported.path}: {verdict}")
    else:
        click.echo(f"export: {exported.path}")


KEY_VARIABLE = "DLCLI_API_KEY"


def _named_runs(
    ctx: click.Context, parameter: click.Parameter, pairs: tuple[str, ...]
) -> dict[str, Path]:
    """Return run folders by name.

    Raises:
        BadParameter: of Click, if a value is not NAME=RUN, or if a name occurs twice.
    """
    named: dict[str, Path] = {}
    for pair in pairs:
        name, sign, path = pair.partition("=")
        if not (name and sign and path):
            raise click.BadParameter(f"expected NAME=RUN, got '{pair}'")
        if name in named:
            raise click.BadParameter(f"two runs have the name '{name}'")
        named[name] = Path(path)
    return named


def _prefix(ctx: click.Context, parameter: click.Parameter, value: str) -> str:
    """Return a prefix of paths with a slash at its beginning and without one at its end.

    Raises:
        BadParameter: of Click, if it can't be a part of a URL.
    """
    if not re.fullmatch(r"[A-Za-z0-9._~/-]*", value):
        raise click.BadParameter(f"expected a path such as /models, got '{value}'")
    plain = value.strip("/")
    return f"/{plain}" if plain else ""


def _number_option(
    name: str, bounds: tuple[int, int], default: int, metavar: str = "INTEGER", *, help: str
) -> options.Option:
    """Make an option for an integer."""
    return click.option(
        name,
        type=options.integer(*bounds),
        default=default,
        show_default=True,
        metavar=metavar,
        help=help,
    )


@click.command()
@click.argument("run", type=options.PATH, required=False, metavar="[RUN]")
@click.option(
    "--name",
    "named",
    multiple=True,
    metavar="NAME=RUN",
    callback=_named_runs,
    help="Serve another run under this name; the argument RUN may then be omitted. Repeatable.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to bind (0.0.0.0: all interfaces).",
)
@click.option(
    "--allow-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="Accept requests for this host name. Repeatable. [default: only names of this machine if "
    "--host is local, else any name]",
)
@_number_option("--port", (0, 65_535), 8000, help="Port to listen on (0: any free port).")
@click.option(
    "--unix-socket",
    type=options.PATH,
    metavar="PATH",
    help="Listen on this Unix socket instead of host and port.",
)
@click.option(
    "--root-path",
    "prefix",
    default="",
    metavar="PREFIX",
    callback=_prefix,
    help="Prefix of all paths, e.g. /models, if a proxy passes it on. A proxy that removes the "
    "prefix needs no option.",
)
@options.interval("Add prediction intervals or prediction sets with this coverage, e.g. 0.9.")
@_number_option(
    "--workers", (1, 1024), 1, "N", help="Number of worker processes; one per core is best."
)
@_number_option("--limit-body", (1, 1024), 16, "MIB", help="Maximum request size in MiB.")
@_number_option("--limit-rows", (1, 10_000_000), 10_000, "ROWS", help="Maximum rows per request.")
@_number_option(
    "--limit-time", (1, 3600), 30, "SECONDS", help="Maximum duration of a request in seconds."
)
@click.option(
    "--access-log",
    "logs_requests",
    is_flag=True,
    help="Print a JSON line for each request to standard error, with its ID: the header "
    "X-Request-Id of the request, else a new one.",
)
def serve(
    run: Path | None,
    named: dict[str, Path],
    level: float | None,
    limit_body: int,
    limit_rows: int,
    limit_time: int,
    **chosen: Any,  # noqa: ANN401
) -> None:
    """Serve predictions over HTTP (REST and web form).

    RUN is a run folder of `dlcli train`, served at /predict/NAME; NAME is the name of its folder.
    The first run is also served at /predict. A request contains a JSON array with one object per
    row; the response is an array of objects with the columns of `dlcli predict`. If the environment
    variable DLCLI_API_KEY is set, requests must contain its value in the header X-API-Key.

    \b
      dlcli serve runs/bikes
      curl localhost:8000/predict -d '[{"month": 7, "weekday": "Monday", "hour": 8,
        "holiday": "no", "weather": "clear", "temperature": 28, "humidity": 60, "wind_speed": 10}]'

    SIGTERM or Ctrl-C ends the server after it has finished the running requests. SIGHUP reloads the
    runs without interrupting requests.
    """  # noqa: D301  (Click does not wrap the lines after it)
    from dlcli.serving.served_model import Limits, model_names
    from dlcli.serving.server import Settings, run_server

    if run is None and not named:
        raise missing_run(click.get_current_context())
    key = os.environ.get(KEY_VARIABLE)
    key = None if key is None else key.strip()  # a key from a file may end with a newline
    if key == "":
        raise UsageError(f"{KEY_VARIABLE} is empty; unset it, or set it to a key")
    limits = Limits(limit_body, limit_rows, float(limit_time))
    runs = model_names([run] if run else [], named)
    settings = Settings(runs, limits=limits, level=level, key=key, **chosen)
    gc.freeze()  # imported objects are permanent
    gc.enable()  # a server runs for long, unlike other commands
    run_server(settings, console.print_message)
