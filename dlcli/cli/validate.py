"""`dlcli validate`: all that can be found wrong without training."""

from __future__ import annotations

import os
from pathlib import Path

import click

from dlcli.cli.config_file import namesake, read_config, reads_like_file
from dlcli.cli.options import PATH, settings, verbose


@click.command()
@click.argument("config", type=PATH, metavar="CONFIG|RUN")
@settings
@click.option("--data", is_flag=True, help="Read the rows of large data files, over 20 MB, too.")
@verbose
def validate(config: Path, settings: tuple[str, ...], data: bool) -> None:
    """Check a config, or a run folder.

    All problems of a config are reported at once; if there are none, its network is shown, and what
    it searches for. Of large data files only the header is read, and what depends on the rows is
    shown as `?`.

    A run folder is compared, file by file, with its manifest.
    """
    if config.is_dir() and (settings or data):
        raise click.UsageError("--set and --data are for configs, and this is a folder")
    if config.is_dir() or _is_missing_run(config):
        _validate_run(config)
    else:
        _validate_config(config, settings, data)


def _is_missing_run(path: Path) -> bool:
    """Whether nothing is there, and the path reads like that of a run rather than of a config."""
    if os.path.exists(path):
        return False
    return path.parent.name == "runs" or not (reads_like_file(path) or namesake(path))


def _validate_run(folder: Path) -> None:
    from dlcli.runs import open_run

    run = open_run(folder)
    run.verify()
    click.echo(f"{folder}: all {len(run.manifest.files)} files are as they were written")


def _validate_config(path: Path, settings: tuple[str, ...], data: bool) -> None:
    file = read_config(path, settings)  # a mistake in it need not wait for what comes next

    from dlcli.cli.narration import tell
    from dlcli.cli.space import space_table
    from dlcli.cli.text import layer_table
    from dlcli.pipeline import check

    checked = check(file, read_rows=data, listener=tell)
    if not checked.rows_read:
        note = "the data are large, so only headers were read; --data reads the rows, too"
        click.echo(f"note: {note}", err=True)
    for line in layer_table(checked.layers):
        click.echo(line)
    if file.config.tune:
        for line in ("", *space_table(file.config.tune)):
            click.echo(line)
