"""`dlcli schema`: the config's JSON Schema."""

from __future__ import annotations

import json
from pathlib import Path

import click

from dlcli.cli.options import output_file, verbose
from dlcli.cli.sink import sink

DIALECT = "https://json-schema.org/writer/2020-12/schema"


@click.command()
@output_file
@verbose
def schema(output: Path | None) -> None:
    """Print the config's JSON Schema, for editors.

    It names every key of a config, with its meaning and its default. An editor with a YAML language
    server completes keys and underlines mistakes, if the schema lies beside the config

    \b
      dlcli schema --output dlcli.schema.json

    and the config's first line is:

    \b
      # yaml-language-server: $schema=dlcli.schema.json
    """  # noqa: D301  (Click's mark for lines to leave as they are)
    from dlcli.config import Config

    document = {"$schema": DIALECT, **Config.model_json_schema(), "title": "dlcli config"}
    with sink(output) as stream:
        stream.write((json.dumps(document, indent=2) + "\n").encode())
