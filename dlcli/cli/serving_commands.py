"""`dlcli serve`: the command that answers requests for predictions over HTTP."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import click

from dlcli.cli import options
from dlcli.errors import UsageError

KEY_VARIABLE = "DLCLI_API_KEY"


def _named_runs(
    ctx: click.Context, parameter: click.Parameter, pairs: tuple[str, ...]
) -> dict[str, Path]:
    """Return run folders by name.

    Raises:
        BadParameter: of Click, for anything but NAME=RUN, or a name that occurs twice.
    """
    named: dict[str, Path] = {}
    for pair in pairs:
        name, sign, path = pair.partition("=")
        if not (name and sign and path):
            raise click.BadParameter(f"expected NAME=RUN, got '{pair}'")
        if name in named:
            raise click.BadParameter(f"two runs have the name '{name}'")
        named[name] = Path(path)
    return named


def _number_option(
    name: str, bounds: tuple[int, int], default: int, metavar: str | None = None, *, help: str
) -> options.Option:
    """Make the option for an integer."""
    return click.option(
        name,
        type=options.IntegerFrom(*bounds),
        default=default,
        show_default=True,
        metavar=metavar,
        help=help,
    )


@click.command()
@click.argument("run", type=options.PATH, required=False, metavar="[RUN]")
@click.option(
    "--name",
    "named",
    multiple=True,
    metavar="NAME=RUN",
    callback=_named_runs,
    help="Also serve a run under a name of its own. Repeatable. [default: the run folder's name]",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Address to listen at: 0.0.0.0 is all of the machine's.",
)
@_number_option("--port", (0, 65_535), 8000, help="Port to listen at; 0 for any free one.")
@options.interval("Add intervals, or for classes sets of classes, of this level. Example: 0.9.")
@_number_option(
    "--workers", (1, 1024), 1, "N", help="Processes that answer, at best one for each core."
)
@_number_option("--limit-body", (1, 1024), 16, "MIB", help="Most MiB of a request.")
@_number_option("--limit-rows", (1, 10_000_000), 10_000, "ROWS", help="Most rows of a request.")
@_number_option(
    "--limit-time", (1, 3600), 30, "SECONDS", help="Most seconds that a request may take."
)
@options.verbosity
def serve(
    run: Path | None,
    named: dict[str, Path],
    host: str,
    port: int,
    level: float | None,
    **numbers: int,
) -> None:
    """Predict rows that are sent over HTTP.

    RUN is a run folder of `dlcli train`. A request has a JSON array with an object of columns for
    each row, and its answer an array of objects with the columns of `dlcli predict`. If the
    environment variable DLCLI_API_KEY is set, requests must send it.

    \b
      dlcli serve runs/houses
      curl localhost:8000/predict -d '[{"size": 70, "color": "red"}]'

    SIGTERM or Ctrl-C ends the server, after the requests that were begun. SIGHUP loads the runs
    again, without losing one.
    """  # noqa: D301  (Click's mark for lines to leave as they are)
    from dlcli.cli.messages import print_message
    from dlcli.cli.run_argument import missing_run
    from dlcli.serving.requests import Limits
    from dlcli.serving.served_model import model_names
    from dlcli.serving.server import Settings, run_server

    if run is None and not named:
        raise missing_run(click.get_current_context())
    key = os.environ.get(KEY_VARIABLE)
    key = None if key is None else key.strip()  # as from a file that ends with a newline
    if key == "":
        raise UsageError(f"{KEY_VARIABLE} is empty; unset it, or give it a key")
    limits = Limits(numbers["limit_body"], numbers["limit_rows"], float(numbers["limit_time"]))
    runs = model_names([run] if run else [], named)
    settings = Settings(runs, host, port, limits, level, key, numbers["workers"])
    gc.freeze()  # imports stay for good
    gc.enable()  # a server runs on, unlike other commands, which end before garbage matters
    run_server(settings, print_message)
