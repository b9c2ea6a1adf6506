"""`dlcli tune`: a search for a better config."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from dlcli.cli.config_file import read_config
from dlcli.cli.options import (
    PATH,
    check_alone,
    narrated,
    run_to_make,
    run_to_resume,
    settings,
    together,
    verbose,
)

_MOST_JOBS = 1024


def _storage(ctx: click.Context, parameter: click.Parameter, url: str | None) -> str | None:
    """Takes the URL out of the command, which is stored with runs: it may hold a password."""
    if url is None:
        return None
    if not url.strip():
        raise click.UsageError("--storage is empty; leave it out to keep trials in the run folder.")
    from dlcli.pipeline import masked

    sys.argv[:] = [argument.replace(url, masked(url)) for argument in sys.argv]
    return url


_SETTINGS = (
    click.option(
        "--jobs",
        type=click.IntRange(1, _MOST_JOBS),
        metavar="N",
        help="Processes that try candidates at once, each with its part of the CPU's threads; one "
        "if left out.",
    ),
    click.option(
        "--storage",
        metavar="URL",
        callback=_storage,
        help="A database that several processes and machines share, as in "
        "postgresql+psycopg://USER@HOST/NAME: whoever searches with the same config and data joins "
        "in. Passwords are kept out of every file. If left out, trials are kept in the run folder.",
    ),
    click.option(
        "--nested",
        is_flag=True,
        help="Search anew without each of some outer folds, too, which judge what it finds: how "
        "good the whole search is, without flattery. It takes as many times as long.",
    ),
)


@click.command()
@click.argument("config", type=PATH, required=False)
@together("how", ("jobs", "storage", "nested"), _SETTINGS)
@settings
@run_to_make("-tune")
@run_to_resume("whose search was ended", "Trials that have ended are kept.")
@narrated
@verbose
def tune(
    config: Path | None,
    settings: tuple[str, ...],
    output: Path | None,
    run: Path | None,
    how: Mapping[str, Any],
    as_json: bool,
    quiet: bool,
) -> None:
    """Search for a better config.

    What the YAML file CONFIG says under `tune` is varied: each candidate is trained and judged by
    validation rows, or by folds, and Optuna chooses the next. The best is written as RUN/best.yaml,
    the smallest network that is as good as far as the rows tell as RUN/smallest.yaml. Both are
    trained in full, and only then judged by the test rows, beside CONFIG as it is.

    \b
      dlcli tune houses.yaml
      dlcli tune houses.yaml --set tune.trials=200 --jobs 4
      dlcli tune --resume runs/houses-tune
      dlcli train runs/houses-tune/best.yaml
    """  # noqa: D301  (Click's mark for lines to leave as they are)
    if run is not None:
        nested = {"--nested": how.get("nested")}
        check_alone({"CONFIG": config, **nested, "--set": settings, "--output": output})
    elif config is None:
        raise click.UsageError("Missing argument 'CONFIG'.")
    file = None if config is None else read_config(config, settings)

    from dlcli.cli.narration import narrator
    from dlcli.cli.tune_closing import TrialClosing
    from dlcli.pipeline import Settings, resume_tuning, tune

    with narrator(as_json=as_json, quiet=quiet, closing=TrialClosing()) as listener:
        if run is not None:
            resume_tuning(run, Settings(**how), listener)
        elif file is not None:
            tune(file, Settings(**how), output, listener)
