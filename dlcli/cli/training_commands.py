"""`dlcli train`, `cv`, `tune` and `reproduce`: the commands that train."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dlcli.cli import options
from dlcli.cli.console import is_quiet, print_line, print_view
from dlcli.cli.input_arguments import config_names, read_config, run_argument
from dlcli.errors import RequirementError, UsageError, listed, plural, require_packages

if TYPE_CHECKING:
    from dlcli.cluster import Cluster
    from dlcli.config.config_file import ConfigFile
    from dlcli.pipeline.events import Listener
    from dlcli.runs.run import Run

    Source = ConfigFile | Path
    """The config to start from, or the run to resume."""

ARGUMENTS = "dlcli.arguments"
"""The key under which Click's context has the arguments of the program."""
_MOST_FOLDS = 100_000
_TRACKERS = ("tensorboard", "mlflow")
"""Trackers by the names of their options, which are also those of their packages."""


# The options of all commands that train


def _refuse_existing_run(
    ctx: click.Context, parameter: click.Parameter, path: Path | None
) -> Path | None:
    if path is not None and os.path.lexists(path):
        from dlcli.runs.manifest import is_unfinished
        from dlcli.runs.run_folder import existing_folder_advice

        # Workers that a scheduler starts again get the same command as before.
        if not (_joins_cluster(ctx.params.get("workers")) and is_unfinished(path)):
            raise UsageError(f"{path}: exists already; {existing_folder_advice(path)}")
    return path


def _joins_cluster(workers: int | None) -> bool:
    """Return whether training may be that of a cluster, given the value of `--workers`."""
    return workers is not None or bool({"TF_CONFIG", "SLURM_PROCID"} & {*os.environ})


def _new_run_folder(suffix: str) -> options.Option:
    """Make the option for the run folder that a command creates.

    Args:
        suffix: appended to the name of the config in the default name.
    """
    return click.option(
        "-o",
        "--output",
        type=options.LOCAL,
        metavar="RUN",
        callback=_refuse_existing_run,
        help="Run folder to create. NAME is the config's name or file name. "
        f"[default: runs/NAME{suffix}, then runs/NAME{suffix}-2 and so on]",
    )


_json_lines = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print events as JSON lines; the last one is the result.",
)


def _check_installed(ctx: click.Context, parameter: click.Parameter, enabled: bool) -> bool:
    if enabled and parameter.name:
        require_packages(f"--{parameter.name}", parameter.name, parameter.name)
    return enabled


_trackers = options.combined(
    click.option(
        "--tensorboard",
        is_flag=True,
        callback=_check_installed,
        help="Also write TensorBoard event files to the run folder; view them with "
        "`tensorboard --logdir runs`. Install it with: pip install -e '.[tensorboard]'",
    ),
    click.option(
        "--mlflow",
        is_flag=True,
        callback=_check_installed,
        help="Also log parameters, metrics and files to MLflow, as MLFLOW_TRACKING_URI and "
        "MLFLOW_EXPERIMENT_NAME specify; install it with: pip install -e '.[mlflow]' "
        "[default: mlflow.db in the current folder]",
    ),
)


def _source(
    config: Path | None,
    settings: Sequence[str],
    output: Path | None,
    run: Path | None,
    others: Mapping[str, object],
) -> Source:
    """Read the config to start from, or return the run to resume.

    Args:
        config: the argument CONFIG.
        settings: values of `--set`.
        output: the value of `--output`.
        run: the run to resume.
        others: values of other options that can't be changed when resuming.

    Raises:
        UsageError: of Click, for neither of both, or for options that contradict `--resume`.
    """
    if run is None:
        if config is None:
            here = config_names(Path())
            way_out = f"; try {listed(here)}" if here else ""
            raise click.UsageError(f"missing argument 'CONFIG'{way_out}")
        return read_config(config, settings)
    named = {f"--{name}": value for name, value in others.items()}
    values = {"CONFIG": config, **named, "--set": settings, "--output": output}
    if fixed := [name for name, value in values.items() if value]:
        raise click.UsageError(
            "--resume uses the config and options that the run was started with; remove "
            f"{' and '.join(fixed)}"
        )
    return run


def _training_command(
    suffix: str,
    resuming: tuple[str, str],
    *,
    first: Sequence[options.Option] = (),
    fixed: Sequence[str] = (),
    overrides: Mapping[str, str] | None = None,
) -> Callable[[Callable[..., Run | None]], click.Command]:
    """Make a command that trains what CONFIG describes or resumes a run, and prints the result.

    Args:
        suffix: appended to the name of the config in the default name of the run folder.
        resuming: what is resumed, and what is kept or guaranteed.
        first: options of this command, which come first in its help.
        fixed: the names of those that can't be changed when resuming.
        overrides: for options that override a value of the config, the path of that value.

    Returns:
        Makes the command of a function of source, run folder, listener and these options, which
        returns the run.
    """
    job, outcome = resuming

    def decorate(carry_out: Callable[..., Run | None]) -> click.Command:
        @click.command()
        @click.argument("config", type=options.PATH, required=False)
        @options.combined(*first)
        @options.settings
        @_new_run_folder(suffix)
        @click.option(
            "--resume",
            "run",
            type=options.PATH,
            metavar="RUN",
            help=f"Resume {job} in run folder RUN; {outcome}.",
        )
        @_json_lines
        @_trackers
        @wraps(carry_out)
        def command(
            config: Path | None,
            settings: tuple[str, ...],
            output: Path | None,
            run: Path | None,
            as_json: bool,
            **others: Any,  # noqa: ANN401
        ) -> None:
            trackers = tuple(name for name in _TRACKERS if others.pop(name))
            fixed_values = {name: others[name] for name in fixed}
            overridden = {path: others.pop(name) for name, path in (overrides or {}).items()}
            if run is None:
                given = (f"{path}={value}" for path, value in overridden.items() if value)
                settings = (*settings, *given)
            # Before the slow imports.
            source = _source(config, settings, output, run, fixed_values)

            from dlcli.cli.event_log import event_listener
            from dlcli.prediction.gates import require_gates
            from dlcli.reports.report_files import view_of
            from dlcli.tracking.tracked_events import tracked

            with (
                event_listener(as_json=as_json, quiet=is_quiet()) as log_event,
                tracked(trackers, log_event) as listener,
            ):
                finished = carry_out(source, output, listener, **others)
            if finished is None:  # on another worker than the one that reports
                return
            if not as_json:
                print_view(view_of(finished))
            require_gates(finished.gates, str(finished.path))

        return command

    return decorate


def _workers_options(work: str) -> tuple[options.Option, ...]:
    """Make the options for a cluster.

    Args:
        work: what its workers do.
    """
    return (
        click.option(
            "--workers",
            type=options.integer(2, 64),
            metavar="N",
            is_eager=True,
            help=f"Number of processes on this machine that {work}, each on a share of rows.",
        ),
        click.option(
            "--worker-timeout",
            type=options.Number("more than 0 seconds", float, lambda each: 0 < each < math.inf),
            metavar="SECONDS",
            default=300,
            show_default=True,
            help="How long the workers of a cluster wait for each other before training.",
        ),
    )


@_training_command(
    "",
    ("training", "the result is bit-identical to an uninterrupted run"),
    first=_workers_options("train together"),
)
def train(
    source: Source,
    output: Path | None,
    listener: Listener,
    workers: int | None,
    worker_timeout: float,
) -> Run | None:
    """Train the network that the YAML file CONFIG describes.

    `dlcli init` writes a config to start from. Inferred settings and progress go to standard error,
    the result goes to standard output.

    \b
      dlcli train houses.yaml
      dlcli train houses.yaml --set epochs=50 --set 'hidden[0].units=64'
      dlcli train houses.yaml --output runs/houses-3
      dlcli train --resume runs/houses

    Started on several machines with TF_CONFIG, or by srun, it joins the others, and they train one
    network together.
    """  # noqa: D301  (Click's mark for lines to leave as they are)
    from dlcli.pipeline.cluster_training import ClusterRun
    from dlcli.pipeline.train_run import train
    from dlcli.reports.report_files import write_report_if_cheap

    trained: Run | None
    if (cluster := _find_cluster(workers)) is not None:
        trained = ClusterRun(source, output, listener, cluster, worker_timeout).train()
    else:
        trained = train(source, output, listener)
    if trained is not None:
        write_report_if_cheap(trained, listener)
    return trained


def _find_cluster(workers: int | None) -> Cluster | None:
    """Return the cluster that this process belongs to, if it belongs to one.

    Args:
        workers: the number of workers to start on this machine, if there is no cluster yet.
    """
    if not _joins_cluster(workers):
        return None
    from dlcli.cluster import end_with_launcher, find_cluster, run_local_workers

    cluster = find_cluster(os.environ)
    if cluster is None and workers is not None:
        arguments = click.get_current_context().meta[ARGUMENTS]
        command = [sys.executable, "-m", "dlcli", *arguments]
        raise click.exceptions.Exit(run_local_workers(command, workers, print_line))
    if cluster is not None and workers not in (None, cluster.size):
        named = plural(cluster.size, "worker")
        raise UsageError(
            f"the environment describes {named} already; take --workers {cluster.size}"
        )
    end_with_launcher()
    return cluster


_FOLD_OPTIONS = (
    click.option(
        "--folds",
        type=options.integer(2, _MOST_FOLDS),
        metavar="K",
        help="Number of folds, 2 or more. [default: 5]",
    ),
    click.option(
        "--repeats",
        type=options.integer(1, _MOST_FOLDS),
        metavar="R",
        help="Number of repetitions, each with new folds and other initial weights. [default: 1]",
    ),
    click.option(
        "--refit",
        is_flag=True,
        help="Finally train on the rows of all folds, for the median of the best numbers of epochs "
        "in the folds, in RUN/refit.",
    ),
    options.jobs("train folds"),
)


@_training_command(
    "-cv",
    ("a cross-validation", "finished folds are kept"),
    first=_FOLD_OPTIONS,
    fixed=("folds", "repeats", "refit"),
)
def cv(
    source: Source,
    output: Path | None,
    listener: Listener,
    jobs: int | None,
    **folds: int | None,
) -> Run:
    """Evaluate a config by cross-validation.

    The rows of the YAML file CONFIG are divided into folds, as data.split defines. Each fold is
    predicted by a network that was trained without it, encodings included, so that every row is
    used for evaluation. Rows of data.test are not used; they are for the final evaluation.

    \b
      dlcli cv houses.yaml
      dlcli cv houses.yaml --folds 10 --jobs 4
      dlcli cv houses.yaml --repeats 3 --set 'hidden[0].units=64'
      dlcli cv --resume runs/houses-cv
    """  # noqa: D301  (Click's mark for lines to leave as they are)
    from dlcli.pipeline import cross_validation

    plan = cross_validation.CrossValidationPlan.model_validate(
        {name: value for name, value in folds.items() if value}
    )
    return cross_validation.cross_validate(source, plan, output, listener, jobs or 1)


def _mask_password(ctx: click.Context, parameter: click.Parameter, url: str | None) -> str | None:
    """Mask the URL's password in `sys.argv`, because the command line is stored in run folders."""
    if url is None:
        return None
    if not url.strip():
        raise click.UsageError("--storage is empty; omit it to keep trials in the run folder")
    from dlcli.pipeline.search_study import mask_password

    sys.argv[:] = [argument.replace(url, mask_password(url)) for argument in sys.argv]
    return url


_SEARCH_OPTIONS: tuple[options.Option, ...] = (
    click.option(
        "--folds",
        type=options.integer(2, 1000),
        metavar="K",
        help="Number of folds on which each candidate is evaluated, 2 or more, instead of the "
        "validation rows. [default: tune.folds of the config]",
    ),
    options.jobs("evaluate candidates"),
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
    *_workers_options("train each candidate together"),
)


@_training_command(
    "-tune",
    ("a search", "finished trials are kept"),
    first=_SEARCH_OPTIONS,
    fixed=("folds", "nested"),
    overrides={"folds": "tune.folds"},
)
def tune(
    source: Source,
    output: Path | None,
    listener: Listener,
    workers: int | None,
    worker_timeout: float,
    **chosen: Any,  # noqa: ANN401
) -> Run | None:
    """Search for a better config.

    The section `tune` of the YAML file CONFIG defines the settings to vary; without it, layers,
    units, dropout and learning rate are varied, as suits the number of rows. Each candidate is
    trained and evaluated on the validation rows or on folds, and Optuna chooses the next one. The
    best candidate is written to RUN/best.yaml, the smallest one within one standard error of it to
    RUN/smallest.yaml. Both are trained in full, and compared with CONFIG on the test rows.

    \b
      dlcli tune houses.yaml
      dlcli tune houses.yaml --folds 5 --set tune.trials=200 --jobs 4
      dlcli tune --resume runs/houses-tune
      dlcli train runs/houses-tune/best.yaml
    """  # noqa: D301  (Click's mark for lines to leave as they are)
    from dlcli.pipeline.cluster_training import ClusterRun
    from dlcli.pipeline.search import tune
    from dlcli.pipeline.search_trials import SearchSettings

    search = SearchSettings(**{name: value for name, value in chosen.items() if value})
    if workers is not None:  # else the processes of a scheduler are searches of their own
        if search.jobs > 1 or search.nested:
            other = "--nested" if search.nested else "--jobs"
            raise click.UsageError(f"--workers train one candidate at a time; remove {other}")
        cluster = _find_cluster(workers)
        assert cluster is not None  # or this process has started it, and ended with it
        return ClusterRun(source, output, listener, cluster, worker_timeout).tune(search)
    return tune(source, search, output, listener)


@click.command()
@run_argument()
@click.option(
    "--tolerance",
    type=options.Number("a share from 0 to below 1", float, lambda each: 0 <= each < 1),
    metavar="SHARE",
    help="Largest difference of a metric that is accepted, as a share of its size: 1e-3. Weights "
    "and versions may then differ, as they do on another machine. [default: all must be equal]",
)
@_new_run_folder("-reproduced")
@_json_lines
def reproduce(run: Run, tolerance: float | None, output: Path | None, as_json: bool) -> None:
    """Train a run again, and report what is equal.

    RUN is a run folder of `dlcli train`. Its complete config is trained again, in a new run folder.
    Compared are the data's SHA-256, versions and machine, statistics of the training rows, weights
    and metrics. If something differs, the likely cause is named, and the exit code is 6.

    \b
      dlcli reproduce runs/houses
      dlcli reproduce runs/houses --tolerance 1e-3
    """  # noqa: D301  (Click's mark for lines to leave as they are)
    from dlcli.cli.event_log import event_listener
    from dlcli.pipeline.retraining import reproduce as train_again
    from dlcli.reports.command_views import reproduction_view

    with event_listener(as_json=as_json, quiet=is_quiet()) as listener:
        reproduction = train_again(run, output, listener, tolerance)
    if not as_json:
        print_view(reproduction_view(reproduction))
    if reproduction.differing:
        differing = ", ".join(reproduction.differing)
        raise RequirementError(f"{run.path}: not reproduced, differing: {differing}")
