"""`dlcli train`: a config to a trained network."""

from __future__ import annotations

from pathlib import Path

import click

from dlcli.cli.config_file import read_config
from dlcli.cli.options import PATH, not_there, settings, verbose


@click.command()
@click.argument("config", type=PATH)
@settings
@click.option(
    "--output",
    type=PATH,
    metavar="RUN",
    callback=not_there,
    help="The run folder to make. If left out: runs/NAME, where NAME is the config's own or its "
    "file's, or runs/NAME-2 and so on if that is taken.",
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print JSON lines instead, one for each event; the last is the result.",
)
@click.option("--quiet", is_flag=True, help="Tell only warnings, errors and the result.")
@verbose
def train(
    config: Path, settings: tuple[str, ...], output: Path | None, as_json: bool, quiet: bool
) -> None:
    """Train the network that the YAML file CONFIG describes.

    `dlcli init` writes such a file to start from. What is inferred and how training goes is told on
    standard error, the result on standard output.

    \b
      dlcli train houses.yaml
      dlcli train houses.yaml --set epochs=50 --set 'hidden[0].units=64'
    """  # noqa: D301  (Click's mark for lines to leave as they are)
    file = read_config(config, settings)  # a mistake in it need not wait for what comes next

    from dlcli.cli.narration import narrator
    from dlcli.experiment import train

    with narrator(as_json=as_json, quiet=quiet) as listener:
        train(file, output, listener)
