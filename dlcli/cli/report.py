"""`dlcli report`: a run of any kind told on one page."""

from __future__ import annotations

from pathlib import Path

import click

from dlcli.cli.options import PATH, not_there, said, verbose
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

    RUN is a run folder that `dlcli train`, `cv` or `tune` made; if it is left out, the latest in
    runs/. The page is RUN/report.html, one file that needs no network; of a training there is also
    RUN/curves.png with loss and metric. Both are made anew each time. The data are not needed.
    """
    from dlcli.reports import make, render
    from dlcli.runs import REPORTABLE, latest_run, open_run

    # One that is named may also have diverged.
    chosen = said(latest_run(kinds=REPORTABLE)) if run is None else open_run(run)
    if output is None:
        click.echo(make(chosen))
        return
    page = render(chosen, with_curves=False).page
    with sink(output) as stream:
        stream.write(page.encode())
    click.echo(output)
