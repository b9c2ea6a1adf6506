"""`dlcli report`: a run told on one page."""

from __future__ import annotations

from pathlib import Path

import click

from dlcli.cli.options import PATH, chosen_run, not_there, verbose
from dlcli.cli.sink import sink


@click.command()
@click.argument("run", type=PATH, required=False)
@click.option(
    "--output",
    type=PATH,
    metavar="FILE",
    callback=not_there,
    help="Write the page to a new file instead, and nothing to the run folder.",
)
@verbose
def report(run: Path | None, output: Path | None) -> None:
    """Make a page that shows what happened in a run.

    RUN is a run folder that `dlcli train` made; if it is left out, the latest in runs/. The page is
    RUN/report.html, one file that needs no network; RUN/curves.png beside it shows loss and metric.
    Both are made anew each time. The data that the run was trained on are not needed.
    """
    from dlcli.report import make, render
    from dlcli.run import open_run

    chosen = chosen_run(None) if run is None else open_run(run)  # one that diverged, too
    if output is None:
        click.echo(make(chosen))
        return
    page = render(chosen, with_curves=False).page
    with sink(output) as stream:
        stream.write(page.encode())
    click.echo(output)
