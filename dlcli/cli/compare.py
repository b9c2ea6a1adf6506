"""`dlcli compare`: runs side by side."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import click

from dlcli.cli.options import PATH, not_there, verbose
from dlcli.cli.sink import sink


@click.command()
@click.argument("runs", type=PATH, nargs=-1, metavar="RUN RUN...")
@click.option(
    "--output",
    type=PATH,
    metavar="FILE",
    callback=not_there,
    help="Write a page to a new HTML file, with the curves of all runs one on the other.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@verbose
def compare(runs: tuple[Path, ...], output: Path | None, as_json: bool) -> None:
    """Compare runs: what differs, and whether by more than noise.

    Each RUN is a run folder that `dlcli train` made; the first is what the others are compared
    with. It is shown what differs in their configs, data and versions; their metrics with 95 %
    intervals; and the differences of the metrics, on the same held-out rows as far as the runs
    share them, with whether they are more than noise.
    """
    from dlcli.cli.side_by_side import comparison_lines
    from dlcli.comparison import check_different, to_document
    from dlcli.comparison import compare as compare_runs
    from dlcli.runs import open_run

    check_different(runs)
    comparison = compare_runs([open_run(path) for path in runs])
    if output is not None:
        from dlcli.reports import comparison_page, to_html

        page = to_html(comparison_page(comparison))
        with sink(output) as stream:
            stream.write(page.encode())
    if as_json:
        click.echo(json.dumps(to_document(comparison), allow_nan=False))
        return
    for line in comparison_lines(comparison, _width()):
        click.echo(line)


def _width() -> int:
    """Characters of a line: the terminal's, and without one as many as are usual."""
    from dlcli.cli.side_by_side import WIDTH

    return max(shutil.get_terminal_size().columns, WIDTH) if sys.stdout.isatty() else WIDTH
