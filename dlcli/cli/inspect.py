"""`dlcli inspect`: what a table holds, and what may be wrong with it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import click

from dlcli.cli.options import PATH, verbose

_NARROWEST = 40


@click.command()
@click.argument("data", type=PATH)
@click.option(
    "--target",
    metavar="COLUMN",
    help="The column to predict; without it, leaks are not looked for.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of text.")
@verbose
def inspect(data: Path, target: str | None, as_json: bool) -> None:
    """Look at a table before training on it.

    Each column of DATA, a file or `-` for standard input, is shown with the type that it would get
    and why. Then comes what may spoil training or its scores, and what to do about it: repeated
    rows, columns that give the target away, codes for missing values, rare classes, and more.
    """
    from dataclasses import asdict

    from dlcli.cli.narration import tell_understood
    from dlcli.cli.overview import inspection_lines
    from dlcli.data_checks import inspect_table
    from dlcli.tables import read_table

    table = read_table(data)
    tell_understood(table)
    inspection = inspect_table(table, target)
    if as_json:
        click.echo(json.dumps(asdict(inspection), allow_nan=False))
        return
    for line in inspection_lines(inspection, _width()):
        click.echo(line)


def _width() -> int:
    """Characters of a line: the terminal's, and without one no end."""
    if not sys.stdout.isatty():
        return sys.maxsize
    return max(shutil.get_terminal_size().columns, _NARROWEST)
