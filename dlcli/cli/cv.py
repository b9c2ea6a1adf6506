"""`dlcli cv`: a config judged by rows that took no part in its training."""

from __future__ import annotations

from collections.abc import Mapping
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
    together,
    verbose,
)

_MOST = 100_000


_PLAN = (
    click.option(
        "--folds",
        type=click.IntRange(2, _MOST),
        metavar="K",
        help="Into how many parts rows are dealt out, each of which judges what was learned from "
        "the others; 5 if left out.",
    ),
    click.option(
        "--repeats",
        type=click.IntRange(1, _MOST),
        metavar="R",
        help="How often they are dealt out, each time anew and with other first weights; once if "
        "left out.",
    ),
    click.option(
        "--refit",
        is_flag=True,
        help="At the end train on the rows of all folds, for as many epochs as were best in the "
        "folds (their median): RUN/refit.",
    ),
)


@click.command()
@click.argument("config", type=PATH, required=False)
@together("plan", ("folds", "repeats", "refit"), _PLAN)
@settings
@run_to_make("-cv")
@run_to_resume("which was ended", "Finished folds are kept.")
@narrated
@verbose
def cv(
    config: Path | None,
    settings: tuple[str, ...],
    output: Path | None,
    run: Path | None,
    plan: Mapping[str, int],
    as_json: bool,
    quiet: bool,
) -> None:
    """Judge a config by cross-validation.

    Rows of the YAML file CONFIG are dealt out to folds, as data.split says. Each fold is judged by
    a network that was trained without it, encodings included, so that every row judges. Rows of
    data.test are left alone: they judge the choice, once it is made.

    \b
      dlcli cv houses.yaml
      dlcli cv houses.yaml --folds 10 --repeats 3 --set 'hidden[0].units=64'
      dlcli cv --resume runs/houses-cv
    """  # noqa: D301  (Click's mark for lines to leave as they are)
    if run is not None:
        options = {f"--{name}": value for name, value in plan.items()}
        check_alone({"CONFIG": config, **options, "--set": settings, "--output": output})
    elif config is None:
        raise click.UsageError("Missing argument 'CONFIG'.")
    file = None if config is None else read_config(config, settings)

    from dlcli.cli.cv_closing import FoldClosing
    from dlcli.cli.narration import narrator
    from dlcli.pipeline import Plan, cross_validate, resume_cross_validation

    with narrator(as_json=as_json, quiet=quiet, closing=FoldClosing()) as listener:
        if run is not None:
            resume_cross_validation(run, listener)
        elif file is not None:
            cross_validate(file, Plan.model_validate(plan), output, listener)
