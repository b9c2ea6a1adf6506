"""`dlcli report`, `compare`, `diagnose`, `export` and `serve`: the commands for finished runs."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dlcli.cli import console, options
from dlcli.cli.input_arguments import missing_run, refuse_run_folder, run_argument, runs_argument
from dlcli.errors import UsageError, printable
from dlcli.exports.formats import ENTRIES, FormatName, TextFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dlcli.diagnosis.remedies import Finding, Patch
    from dlcli.exports.export_folder import Export
    from dlcli.pipeline.retraining import Trial
    from dlcli.runs.run import Run
    from dlcli.schema.urls import Location

_PAGE_WIDTH = 80
"""Width of a comparison without a terminal, in columns."""


@click.command()
@run_argument(("train", "cv", "tune"))
@options.output("FILE", "Write the page to a new file, and nothing to the run folder.")
@options.output("FILE", "Also draw loss and metric of a training to a new PNG file.", "--curves")
@options.json_object
def report(run: Run, output: Path | None, curves: Path | None, as_json: bool) -> None:
    """Write the page of a run.

    RUN is a run folder of `dlcli train`, `cv` or `tune`. The page is RUN/report.html, a
    self-contained file that works offline. It is regenerated each time, without the data.

    \b
      dlcli report runs/houses
      dlcli report runs/houses --output houses.html
      dlcli report runs/houses --curves curves.png
    """  # noqa: D301  (Click's mark for lines to leave as they are)
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
        UsageError: for another run, or one without a finished epoch.
    """
    from dlcli.reports.report_files import training_curves

    if run.kind in ("cv", "tune"):
        raise UsageError(f"{run.path} is no training and has no curves of its own; omit --curves")
    drawn = training_curves(run)
    if drawn is None:
        raise UsageError(f"{run.path} has no finished epoch, so there are no curves to draw")
    return drawn[0]


@click.command()
@runs_argument
@click.option(
    "--data",
    type=options.LOCATION,
    metavar="DATA",
    callback=refuse_run_folder,
    help="Compare on the rows of this table, which contains the target, or of its URL. [default: "
    "the held-out rows of each run]",
)
@options.output("FILE", "Also write a page to a new HTML file, with the curves of all runs.")
@options.json_object
def compare(runs: list[Run], data: Location | None, output: Path | None, as_json: bool) -> None:
    """Compare runs, and test whether they differ significantly.

    Each RUN is a run folder of `dlcli train`; the others are compared with the first. Shown are the
    differences of configs, data and versions; the metrics with 95 % confidence intervals; and the
    differences of the metrics, on the same held-out rows if the runs share them. If they don't,
    --data names rows that none of them was trained on; a warning is given for the whole file of
    training rows, not for a part of it.

    \b
      dlcli compare runs/houses runs/houses-2
      dlcli compare runs/houses runs/houses-2 runs/houses-3 --output compared.html
      dlcli compare runs/houses runs/houses-2 --data new.csv
    """  # noqa: D301  (Click's mark for lines to leave as they are)
    from dlcli.comparison import compare as compare_runs
    from dlcli.comparison import to_document
    from dlcli.reports.comparison_report import comparison_view

    if data == Path("-"):
        raise UsageError("--data: standard input can be read only once; name a file")
    comparison = compare_runs(runs, data)
    if output is not None:
        from dlcli.reports.report_files import to_html

        page = to_html(comparison_view(comparison))
        with console.open_output(output) as stream:
            stream.write(page.encode())
    if as_json:
        console.print_json(to_document(comparison))
    else:
        console.print_view(comparison_view(comparison), least_width=_PAGE_WIDTH)


@click.command()
@run_argument()
@click.option(
    "--try",
    "tries",
    is_flag=True,
    help="Train the suggestions, at most six runs in RUN-tries/, and report which of them helped "
    "on the validation rows.",
)
@options.json_object
def diagnose(run: Run, tries: bool, as_json: bool) -> None:
    """Find problems of a run, explain them and suggest remedies.

    RUN is a run folder of `dlcli train`, also of a diverged training. Only the run folder is read,
    not the data. With --try, the suggestions are trained on the same data and compared on the
    validation rows; test rows are not used, because rows that are used for a choice can't evaluate
    it.

    \b
      dlcli diagnose runs/houses
      dlcli diagnose runs/houses --try
    """  # noqa: D301  (Click's mark for lines to leave as they are)
    from dlcli.diagnosis.findings import diagnose as find_problems
    from dlcli.reports.command_views import diagnosis_document, diagnosis_view

    run.require_training()
    findings = find_problems(run)
    if not as_json:
        console.print_view(diagnosis_view(run, findings))
    if tries:
        _try_remedies(run, findings, as_json)
    elif as_json:
        console.print_json(diagnosis_document(run, findings))


def _try_remedies(run: Run, findings: Sequence[Finding], as_json: bool) -> None:
    """Train the suggestions and print the results; when interrupted, of those that finished."""
    from dlcli.cli.event_log import print_warning
    from dlcli.pipeline.retraining import choose_patches, try_patches
    from dlcli.reports.command_views import diagnosis_document, diagnosis_view

    patches = choose_patches(findings)
    if not patches and findings:
        console.print_message("note", "none of these suggestions can be tried on the same rows")

    def print_start(index: int, patch: Patch) -> None:
        if not console.is_quiet():
            overrides = printable(" ".join(patch.overrides))
            console.print_line(f"trying {index} of {len(patches)}: {patch.name}: {overrides}")

    trials: list[Trial] = []
    finished = False
    try:
        for trial in try_patches(run, patches, print_warning, print_start) if patches else ():
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
def export(
    run: Run,
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


def print_export(exported: Export, as_json: bool) -> None:
    """Print what the check of an export found, and its folder."""
    document = exported.document
    if as_json:
        fields = {} if document is None else document.model_dump(mode="json")
        console.print_json({"export": str(exported.path), **fields})
        return
    if document is None:
        click.echo(f"export: {exported.path}")
        return
    if document.unchecked:
        console.print_message("note", f"only made-up rows were compared: {document.unchecked}")
    if not document.checked:
        message = "the files are intact; the model is not loaded, as that may run code"
        console.print_message("note", message)
    for rows, found in document.checked.items():
        parts = [f"{name} equal in {count:,}" for name, count in found.equal.items()]
        if differences := found.relative_difference.values():
            largest = max(differences)
            parts.insert(0, f"numbers differ by up to {largest:.1e} of their scale")
        click.echo(f"{found.rows:,} {rows}: {'; '.join(parts)}")
    click.echo(f"export: {exported.path}")


KEY_VARIABLE = "DLCLI_API_KEY"


def _named_runs(
    ctx: click.Context, parameter: click.Parameter, pairs: tuple[str, ...]
) -> dict[str, Path]:
    """Return run folders by name.

    Raises:
        BadParameter: of Click, for anything but NAME=RUN, or a name that occurs twice.
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


def _number_option(
    name: str, bounds: tuple[int, int], default: int, metavar: str = "INTEGER", *, help: str
) -> options.Option:
    """Make the option for an integer."""
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
    help="Also serve a run under a name of its own. Repeatable. [default: the run folder's name]",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen at: 0.0.0.0 is all of the machine's.",
)
@_number_option("--port", (0, 65_535), 8000, help="Port to listen at; 0 for any free one.")
@options.interval("Add intervals, or for classes sets of classes, of this level. Example: 0.9.")
@_number_option(
    "--workers", (1, 1024), 1, "N", help="Processes that answer, at best one for each core."
)
@_number_option("--limit-body", (1, 1024), 16, "MIB", help="Most MiB of a request.")
@_number_option("--limit-rows", (1, 10_000_000), 10_000, "ROWS", help="Most rows of a request.")
@_number_option(
    "--limit-time", (1, 3600), 30, "SECONDS", help="Most seconds that a request may take."
)
def serve(
    run: Path | None,
    named: dict[str, Path],
    host: str,
    port: int,
    level: float | None,
    **numbers: int,
) -> None:
    """Predict rows that are sent over HTTP.

    RUN is a run folder of `dlcli train`. A request has a JSON array with an object of columns for
    each row, and its answer an array of objects with the columns of `dlcli predict`. If the
    environment variable DLCLI_API_KEY is set, requests must send it.

    \b
      dlcli serve runs/houses
      curl localhost:8000/predict -d '[{"size": 70, "color": "red"}]'

    SIGTERM or Ctrl-C ends the server, after the requests that were begun. SIGHUP loads the runs
    again, without losing one.
    """  # noqa: D301  (Click's mark for lines to leave as they are)
    from dlcli.serving.served_model import Limits, model_names
    from dlcli.serving.server import Settings, run_server

    if run is None and not named:
        raise missing_run(click.get_current_context())
    key = os.environ.get(KEY_VARIABLE)
    key = None if key is None else key.strip()  # as from a file that ends with a newline
    if key == "":
        raise UsageError(f"{KEY_VARIABLE} is empty; unset it, or give it a key")
    limits = Limits(numbers["limit_body"], numbers["limit_rows"], float(numbers["limit_time"]))
    runs = model_names([run] if run else [], named)
    settings = Settings(runs, host, port, limits, level, key, numbers["workers"])
    gc.freeze()  # imports stay for good
    gc.enable()  # a server runs on, unlike other commands, which end before garbage matters
    run_server(settings, console.print_message)
