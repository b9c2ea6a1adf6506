"""`dlcli train`, `cv` and `tune`: the commands that train."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from dlcli.cli.options import (
    TRACKERS,
    combined,
    config_or_run,
    event_options,
    new_run_option,
    optional_config,
    output_width,
    resume_option,
    settings,
    tracker_options,
    verbose,
)

_MOST_FOLDS = 100_000
_MOST_JOBS = 1024


@click.command()
@optional_config
@settings
@new_run_option("")
@resume_option("training", "the result is bit-identical to an uninterrupted run")
@event_options
@tracker_options
@verbose
def train(
    config: Path | None,
    settings: tuple[str, ...],
    output: Path | None,
    run: Path | None,
    as_json: bool,
    quiet: bool,
    **trackers: bool,
) -> None:
    """Train the network that the YAML file CONFIG describes.

    `dlcli init` writes a config to start from. Inferred settings and progress go to standard error,
    the result goes to standard output.

    \b
      dlcli train houses.yaml
      dlcli train houses.yaml --set epochs=50 --set 'hidden[0].units=64'
      dlcli train --resume runs/houses
    """  # noqa: D301  (Click's mark for lines to leave as they are)
    source = config_or_run(config, settings, output, run)  # before the slow imports

    from dlcli.cli.event_log import event_listener
    from dlcli.pipeline import resume, train
    from dlcli.reports import render_text, run_view, write_report_if_cheap
    from dlcli.tracking import tracked

    with (
        event_listener(as_json=as_json, quiet=quiet) as log_event,
        tracked(tuple(name for name in TRACKERS if trackers[name]), log_event) as listener,
    ):
        if isinstance(source, Path):
            trained = resume(source, listener)
        else:
            trained = train(source, output, listener)
        write_report_if_cheap(trained, log_event)
    if not as_json:
        click.echo(render_text(run_view(trained), output_width()))


_fold_options = combined(
    click.option(
        "--folds",
        type=click.IntRange(2, _MOST_FOLDS),
        metavar="K",
        help="Number of folds. [default: 5]",
    ),
    click.option(
        "--repeats",
        type=click.IntRange(1, _MOST_FOLDS),
        metavar="R",
        help="Number of repetitions, each with new folds and other initial weights. [default: 1]",
    ),
    click.option(
        "--refit",
        is_flag=True,
        help="Finally train on the rows of all folds, for the median of the best numbers of epochs "
        "in the folds, in RUN/refit.",
    ),
)


@click.command()
@optional_config
@_fold_options
@settings
@new_run_option("-cv")
@resume_option("a cross-validation", "finished folds are kept")
@event_options
@verbose
def cv(
    config: Path | None,
    settings: tuple[str, ...],
    output: Path | None,
    run: Path | None,
    as_json: bool,
    quiet: bool,
    **folds: int | None,
) -> None:
    """Evaluate a config by cross-validation.

    The rows of the YAML file CONFIG are divided into folds, as data.split defines. Each fold is
    predicted by a network that was trained without it, encodings included, so that every row is
    used for evaluation. Rows of data.test are not used; they are for the final evaluation.

    \b
      dlcli cv houses.yaml
      dlcli cv houses.yaml --folds 10 --repeats 3 --set 'hidden[0].units=64'
      dlcli cv --resume runs/houses-cv
    """  # noqa: D301  (Click's mark for lines to leave as they are)
    plan = {name: value for name, value in folds.items() if value}
    source = config_or_run(config, settings, output, run, **plan)

    from dlcli.cli.event_log import event_listener
    from dlcli.pipeline import Plan, cross_validate, resume_cross_validation
    from dlcli.reports import cross_validation_view, render_text

    with event_listener(as_json=as_json, quiet=quiet) as listener:
        if isinstance(source, Path):
            validated = resume_cross_validation(source, listener)
        else:
            validated = cross_validate(source, Plan.model_validate(plan), output, listener)
    if not as_json:
        click.echo(render_text(cross_validation_view(validated), output_width()))


def _mask_password(ctx: click.Context, parameter: click.Parameter, url: str | None) -> str | None:
    """Mask the URL's password in `sys.argv`, because the command line is stored in run folders."""
    if url is None:
        return None
    if not url.strip():
        raise click.UsageError("--storage is empty; omit it to keep trials in the run folder.")
    from dlcli.pipeline import mask_password

    sys.argv[:] = [argument.replace(url, mask_password(url)) for argument in sys.argv]
    return url


_search_options = combined(
    click.option(
        "--jobs",
        type=click.IntRange(1, _MOST_JOBS),
        metavar="N",
        help="Number of processes that evaluate candidates in parallel, each with a share of the "
        "CPU threads. [default: 1]",
    ),
    click.option(
        "--storage",
        metavar="URL",
        callback=_mask_password,
        help="Database for the trials, for example postgresql+psycopg://USER@HOST/NAME; searches "
        "with the same config and data share it, also from several machines. Passwords are not "
        "written to any file. [default: a file in the run folder]",
    ),
    click.option(
        "--nested",
        is_flag=True,
        help="Also repeat the search without each of several outer folds, and evaluate its result "
        "on that fold: an unbiased estimate for the whole search, at several times the cost.",
    ),
)


@click.command()
@optional_config
@_search_options
@settings
@new_run_option("-tune")
@resume_option("a search", "finished trials are kept")
@event_options
@verbose
def tune(
    config: Path | None,
    settings: tuple[str, ...],
    output: Path | None,
    run: Path | None,
    as_json: bool,
    quiet: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Search for a better config.

    The section `tune` of the YAML file CONFIG defines the settings to vary; without it, layers,
    units, dropout and learning rate are varied, as suits the number of rows. Each candidate is
    trained and evaluated on the validation rows or on folds, and Optuna chooses the next one. The
    best candidate is written to RUN/best.yaml, the smallest one within one standard error of it to
    RUN/smallest.yaml. Both are trained in full, and compared with CONFIG on the test rows.

    \b
      dlcli tune houses.yaml
      dlcli tune houses.yaml --set tune.trials=200 --jobs 4
      dlcli tune --resume runs/houses-tune
      dlcli train runs/houses-tune/best.yaml
    """  # noqa: D301  (Click's mark for lines to leave as they are)
    how = {name: value for name, value in options.items() if value}
    source = config_or_run(config, settings, output, run, nested=options["nested"])

    from dlcli.cli.event_log import event_listener
    from dlcli.pipeline import SearchSettings, resume_tuning, tune
    from dlcli.reports import render_text, search_view

    with event_listener(as_json=as_json, quiet=quiet) as listener:
        if isinstance(source, Path):
            search = resume_tuning(source, SearchSettings(**how), listener)
        else:
            search = tune(source, SearchSettings(**how), output, listener)
    if not as_json:
        click.echo(render_text(search_view(search), output_width()))
