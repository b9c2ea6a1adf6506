"""`dlcli init`: a config to start from."""

from __future__ import annotations

from pathlib import Path

import click

from dlcli.cli.options import PATH, output_file, verbose
from dlcli.cli.sink import sink


@click.command()
@click.argument("data", required=False, type=PATH)
@click.option("--target", metavar="COLUMN", help="The column of DATA to predict.")
@output_file
@click.option(
    "--example",
    metavar="NAME",
    help="Write a shipped config and its data to the current folder instead. There are line, xor, "
    "iris, breast_cancer, diabetes, digits, digits_png, penguins, reviews, steering, "
    "steering_search, tictactoe.",
)
@verbose
def init(data: Path | None, target: str | None, output: Path | None, example: str | None) -> None:
    """Write a config to start from.

    It is made for the table DATA, with comments on what was found there; or it is a shipped
    example, which comes with its data.

    \b
      dlcli init houses.csv --target price --output houses.yaml
      dlcli init --example iris
    """  # noqa: D301  (Click's mark for lines to leave as they are)
    if example is not None and data is None and target is None and output is None:
        _write_example(example)
    elif example is None and data is not None and target is not None:
        _write_config(data, target, output)
    else:
        raise click.UsageError("expected DATA and --target COLUMN, or --example NAME alone")


def _write_example(name: str) -> None:
    from dlcli.starter import write_example

    written = write_example(name, Path())
    for top in dict.fromkeys(path.parts[0] for path in written):  # a folder of images once
        click.echo(top)


def _write_config(data: Path, target: str, output: Path | None) -> None:
    from dlcli.starter import starter_config

    folder = output.parent if output is not None else Path()
    text = starter_config(data, target, config_folder=folder)
    with sink(output) as stream:
        stream.write(text.encode())
