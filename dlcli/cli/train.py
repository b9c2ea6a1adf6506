"""`dlcli train`: a config to a trained network."""

from __future__ import annotations

from pathlib import Path

import click

from dlcli.cli.options import PATH, not_there, settings, verbose


@click.command()
@click.argument("config", type=PATH)
@settings
@click.option(
    "--output",
    type=PATH,
    metavar="RUN",
    callback=not_there,
    help="The run folder to make; runs/NAME, runs/NAME-2 and so on, if left out.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print JSON lines, one an event, the last of them the result.",
)
@click.option("--quiet", is_flag=True, help="Tell only warnings, errors and the result.")
@verbose
def train(
    config: Path, settings: tuple[str, ...], output: Path | None, as_json: bool, quiet: bool
) -> None:
    """Train the network that the YAML file CONFIG describes.

    What is inferred and how training goes is told on standard error, the result on standard output.
    """
    from dlcli.config import load_config

    file = load_config(config, settings)  # a mistake in it need not wait for what comes next

    from dlcli.cli.narration import narrator
    from dlcli.experiment import train

    with narrator(as_json=as_json, quiet=quiet) as listener:
        train(file, output, listener)
