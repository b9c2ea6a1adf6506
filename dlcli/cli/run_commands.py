"""`dlcli report`, `compare` and `diagnose`: the commands that look at finished runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from dlcli.cli import options
from dlcli.cli.messages import is_quiet, print_line, print_message
from dlcli.cli.run_argument import refuse_run_folder, run_argument, runs_argument
from dlcli.errors import UsageError, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dlcli.diagnosis.remedies import Finding, Patch
    from dlcli.pipeline.retraining import Trial
    from dlcli.runs.run import Run
    from dlcli.schema.urls import Location

_PAGE_WIDTH = 80
"""Width of a comparison without a terminal, in columns."""


@click.command()
@run_argument(("train", "cv", "tune"))
@options.new_path("FILE", "Write the page to a new file, and nothing to the run folder.")
@options.new_path("FILE", "Also draw loss and metric of a training to a new PNG file.", "--curves")
@options.json_object
@options.verbosity
def report(run: Path, output: Path | None, curves: Path | None, as_json: bool) -> None:
    """Write the page of a run.

    RUN is a run folder of `dlcli train`, `cv` or `tune`. The page is RUN/report.html, a
    self-contained file that works offline. It is regenerated each time, without the data.

    \b
      dlcli report runs/houses
      dlcli report runs/houses --output houses.html
      dlcli report runs/houses --curves curves.png
    """  # noqa: D301  (Click's mark for lines to leave as they are)
    from dlcli.reports.report_files import write_report
    from dlcli.runs.run_reader import open_run

    chosen = open_run(run)
    picture = _curves_of(chosen) if curves is not None else b""
    page = write_report(chosen, output)
    if curves is not None:
        with options.open_output(curves) as stream:
            stream.write(picture)
    click.echo(json.dumps({"run": str(run), "page": str(page)}) if as_json else page)


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
@options.new_path("FILE", "Also write a page to a new HTML file, with the curves of all runs.")
@options.json_object
@options.verbosity
def compare(
    runs: tuple[Path, ...], data: Location | None, output: Path | None, as_json: bool
) -> None:
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
    from dlcli.reports.views import render_text
    from dlcli.runs.run_reader import open_run

    if data == Path("-"):
        raise UsageError("--data: standard input can be read only once; name a file")
    comparison = compare_runs([open_run(path) for path in runs], data)
    if output is not None:
        from dlcli.reports.report_files import to_html

        page = to_html(comparison_view(comparison))
        with options.open_output(output) as stream:
            stream.write(page.encode())
    if as_json:
        click.echo(json.dumps(to_document(comparison), allow_nan=False))
        return
    width = max(options.output_width(_PAGE_WIDTH), _PAGE_WIDTH)
    click.echo(render_text(comparison_view(comparison), width))


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
@options.verbosity
def diagnose(run: Path, tries: bool, as_json: bool) -> None:
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
    from dlcli.reports.views import render_text
    from dlcli.runs.run_reader import open_run

    chosen = open_run(run)
    chosen.require_training()
    findings = find_problems(chosen)
    if not as_json:
        click.echo(render_text(diagnosis_view(chosen, findings), options.output_width()))
    if tries:
        _try_remedies(chosen, findings, as_json)
    elif as_json:
        click.echo(json.dumps(diagnosis_document(chosen, findings), allow_nan=False))


def _try_remedies(run: Run, findings: Sequence[Finding], as_json: bool) -> None:
    """Train the suggestions and print the results; when interrupted, of those that finished."""
    from dlcli.cli.event_log import print_warning
    from dlcli.pipeline.retraining import choose_patches, try_patches
    from dlcli.reports.command_views import diagnosis_document, diagnosis_view
    from dlcli.reports.views import render_text

    patches = choose_patches(findings)
    if not patches and findings:
        print_message("note", "none of these suggestions can be tried on the same rows")

    def print_start(index: int, patch: Patch) -> None:
        if not is_quiet():
            overrides = printable(" ".join(patch.overrides))
            print_line(f"trying {index} of {len(patches)}: {patch.name}: {overrides}")

    trials: list[Trial] = []
    finished = False
    try:
        for trial in try_patches(run, patches, print_warning, print_start) if patches else ():
            trials.append(trial)
        finished = True
    finally:
        if as_json and (finished or trials):
            click.echo(json.dumps(diagnosis_document(run, findings, trials), allow_nan=False))
        elif trials:
            text = render_text(diagnosis_view(run, findings, trials), options.output_width())
            click.echo(f"\n{text}")
