"""`dlcli train`: a config to a trained network."""

from __future__ import annotations

from pathlib import Path

import click

from dlcli.cli.config_file import read_config
from dlcli.cli.options import (
    PATH,
    check_alone,
    narrated,
    run_to_make,
    run_to_resume,
    settings,
    verbose,
)
from dlcli.cli.tracking import tracking


@click.command()
@click.argument("config", type=PATH, required=False)
@settings
@run_to_make("")
@run_to_resume("whose training was ended", "It ends as if nothing had happened, to the bit.")
@narrated
@tracking
@verbose
def train(
    config: Path | None,
    settings: tuple[str, ...],
    output: Path | None,
    run: Path | None,
    as_json: bool,
    quiet: bool,
    trackers: tuple[str, ...],
) -> None:
    """Train the network that the YAML file CONFIG describes.

    `dlcli init` writes such a file to start from. What is inferred and how training goes is told on
    standard error, the result on standard output.

    \b
      dlcli train houses.yaml
      dlcli train houses.yaml --set epochs=50 --set 'hidden[0].units=64'
      dlcli train --resume runs/houses
    """  # noqa: D301  (Click's mark for lines to leave as they are)
    if run is not None:
        check_alone({"CONFIG": config, "--set": settings, "--output": output})
        _resume(run, trackers, as_json=as_json, quiet=quiet)
        return
    if config is None:
        raise click.UsageError("Missing argument 'CONFIG'.")
    file = read_config(config, settings)  # a mistake in it need not wait for what comes next

    from dlcli.cli.narration import narrator
    from dlcli.pipeline import train
    from dlcli.reports import make_if_cheap
    from dlcli.tracking import tracked

    with (
        narrator(as_json=as_json, quiet=quiet) as narrated,
        tracked(trackers, narrated) as listener,
    ):
        make_if_cheap(train(file, output, listener), narrated)


def _resume(run: Path, trackers: tuple[str, ...], *, as_json: bool, quiet: bool) -> None:
    from dlcli.cli.narration import narrator
    from dlcli.pipeline import resume
    from dlcli.reports import make_if_cheap
    from dlcli.tracking import tracked

    with (
        narrator(as_json=as_json, quiet=quiet) as narrated,
        tracked(trackers, narrated) as listener,
    ):
        make_if_cheap(resume(run, listener), narrated)
