"""`dlcli train`, `cv`, `tune`, `reproduce` and `distill`: the commands that train."""

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
    from click.shell_completion import CompletionItem

    from dlcli.cluster import Cluster
    from dlcli.config.config_file import ConfigFile
    from dlcli.config.data_section import SourceKey
    from dlcli.pipeline.events import Listener
    from dlcli.runs.run import Run

    Source = ConfigFile | Path
    """The config to start from, or the run to resume."""

ARGUMENTS = "dlcli.arguments"
"""Key in Click's `meta` of the program's arguments."""
_MOST_FOLDS = 100_000
_TRACKERS = ("tensorboard", "mlflow")
"""Trackers with an option of their name."""


# The options of all commands that train


def _refuse_existing_run(
    ctx: click.Context, parameter: click.Parameter, path: Path | None
) -> Path | None:
    if path is not None and os.path.lexists(path):
        from dlcli.runs.manifest import is_unfinished
        from dlcli.runs.run_folder import existing_folder_advice

        # A scheduler restarts workers with the same command.
        if not (_joins_cluster(ctx.params.get("workers")) and is_unfinished(path)):
            raise UsageError(f"{path}: already exists; {existing_folder_advice(path)}")
    return path


def _joins_cluster(workers: int | None) -> bool:
    """Return whether this process may be a worker of a cluster, given `--workers`."""
    return workers is not None or bool({"TF_CONFIG", "SLURM_PROCID"} & {*os.environ})


def _new_run_folder(suffix: str) -> options.Option:
    """Make the option for the run folder that a command creates.

    Args:
        suffix: appended to the config's name in the default name.
    """
    return click.option(
        "-o",
        "--output",
        type=options.LOCAL,
        metavar="RUN",
        callback=_refuse_existing_run,
        help=f"Run folder to create. [default: runs/NAME{suffix}, then runs/NAME{suffix}-2 and so "
        "on; NAME is the name of the config]",
    )


_json_lines = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print events as JSON lines, the result last.",
)


_OVERRIDES = {"sample": "data.sample"}
"""The options of every training command that override a config value, with its path."""
_sample = click.option(
    "--sample",
    type=options.integer(1, 2**31 - 1),
    metavar="N",
    help="Use only N random rows of the training table, for a first look at a large table. "
    "[default: data.sample of the config, else all rows]",
)


class _TrackerName(click.ParamType[str]):
    """The name of a tracker."""

    name = "tracker"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Return the name, or raise `UsageError` if there is no such tracker."""
        from dlcli.tracking.installed_trackers import find_tracker

        return find_tracker(str(value)).name

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Let the shell complete the names of trackers."""
        from click.shell_completion import CompletionItem

        from dlcli.tracking.installed_trackers import tracker_packages

        return [CompletionItem(name) for name in tracker_packages() if name.startswith(incomplete)]


def _check_installed(ctx: click.Context, parameter: click.Parameter, enabled: bool) -> bool:
    if enabled and parameter.name:
        require_packages(f"--{parameter.name}", parameter.name, parameter.name)
    return enabled


_trackers = options.combined(
    click.option(
        "--tensorboard",
        is_flag=True,
        callback=_check_installed,
        help="Also write TensorBoard logs to the run folder; view them with `tensorboard --logdir "
        "runs`. Requires the extra `tensorboard`.",
    ),
    click.option(
        "--mlflow",
        is_flag=True,
        callback=_check_installed,
        help="Also log parameters, metrics and files to MLflow: to the server in the environment "
        "variable MLFLOW_TRACKING_URI, or to mlflow.db in the current folder if it is not set. "
        "Requires the extra `mlflow`.",
    ),
    click.option(
        "--tracker",
        "trackers",
        type=_TrackerName(),
        multiple=True,
        metavar="NAME",
        help="Also log to this tracker: tensorboard, mlflow, wandb (Weights & Biases; requires the "
        "extra `wandb`), or a tracker of another installed package. Repeatable.",
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
        others: other options that can't be changed when resuming, by name.

    Raises:
        UsageError: of Click, without a config and a run, or for options that contradict
            `--resume`.
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
            "--resume uses the config and the options of the interrupted run; remove "
            f"{' and '.join(fixed)}"
        )
    return run


def _training_command(
    suffix: str,
    resuming: tuple[str, str],
    *,
    first: Sequence[options.Option] = (),
    last: Sequence[options.Option] = (),
    fixed: Sequence[str] = (),
    overrides: Mapping[str, str] | None = None,
) -> Callable[[Callable[..., Run | None]], click.Command]:
    """Make a command that trains a config or resumes a run, and prints the result.

    Args:
        suffix: appended to the config's name in the default name of the run folder.
        resuming: the job that can be resumed, and what is kept or guaranteed.
        first: options of this command, first in its help.
        last: options of this command, last in its help.
        fixed: names of options that can't be changed when resuming.
        overrides: options that override a config value, with the path of the value.

    Returns:
        A decorator for a function that takes source, run folder, listener and these options, and
        returns the run.
    """
    job, outcome = resuming

    def decorate(carry_out: Callable[..., Run | None]) -> click.Command:
        @click.command()
        @click.argument("config", type=options.PATH, required=False)
        @options.combined(*first)
        @_sample
        @options.settings
        @_new_run_folder(suffix)
        @click.option(
            "--resume",
            "run",
            type=options.PATH,
            metavar="RUN",
            help=f"Resume {job} from its run folder, without CONFIG; {outcome}.",
        )
        @_json_lines
        @_trackers
        @options.combined(*last)
        @wraps(carry_out)
        def command(
            config: Path | None,
            settings: tuple[str, ...],
            output: Path | None,
            run: Path | None,
            as_json: bool,
            trackers: tuple[str, ...],
            **others: Any,  # noqa: ANN401
        ) -> None:
            trackers = (*(name for name in _TRACKERS if others.pop(name)), *trackers)
            fixed_values = {name: others[name] for name in (*fixed, *_OVERRIDES)}
            options_of_values = {**(overrides or {}), **_OVERRIDES}
            overridden = {path: others.pop(name) for name, path in options_of_values.items()}
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
            if finished is None:  # only one worker reports
                return
            if not as_json:
                print_view(view_of(finished))
            require_gates(finished.gates, str(finished.path))

        return command

    return decorate


def _workers_options(work: str) -> tuple[options.Option, ...]:
    """Make the options for a cluster.

    Args:
        work: the task of the workers.
    """
    return (
        click.option(
            "--workers",
            type=options.integer(2, 64),
            metavar="N",
            is_eager=True,
            help=f"Number of processes on this machine that {work}, each on a part of the rows. "
            "[default: one process]",
        ),
        click.option(
            "--worker-timeout",
            type=options.Number("more than 0 seconds", float, lambda each: 0 < each < math.inf),
            metavar="SECONDS",
            default=300,
            show_default=True,
            help="Time that each worker waits for the others before training. If one is still "
            "missing afterwards, the command fails.",
        ),
    )


@_training_command(
    "",
    ("interrupted training", "the result is the same as without the interruption"),
    first=(
        click.option(
            "--time",
            metavar="LIMIT",
            help="Time limit of training, such as 90s, 10m or 1h30m. The time per epoch is "
            "measured first. Then as many epochs are trained as fit into the limit, at most "
            "`epochs` of the config. [default: `time` of the config, else no limit]",
        ),
        click.option(
            "--finish",
            is_flag=True,
            help="With --resume: end training now. The best epoch so far, or the finished "
            "networks of an ensemble, are evaluated and stored.",
        ),
    ),
    fixed=("time",),
    overrides={"time": "time"},
    last=_workers_options("train together"),
)
def train(
    source: Source,
    output: Path | None,
    listener: Listener,
    workers: int | None,
    worker_timeout: float,
    finish: bool,
) -> Run | None:
    """Train the network of a config.

    CONFIG is a YAML file; `dlcli init` creates one for your table. Inferred settings and progress
    are printed on standard error, and the result on standard output.

    \b
      dlcli train bikes.yaml
      dlcli train bikes.yaml --set epochs=50 --set 'hidden[0].units=64'
      dlcli train bikes.yaml --output runs/bikes-3
      dlcli train --resume runs/bikes
      dlcli train --resume runs/bikes --finish

    To train one network on several machines, start this command on each of them: under Slurm with
    srun, elsewhere with the environment variable TF_CONFIG.
    """  # noqa: D301  (Click does not wrap the lines after it)
    from dlcli.pipeline.cluster_training import ClusterRun
    from dlcli.pipeline.train_run import train
    from dlcli.reports.report_files import write_report_if_cheap

    if finish and not isinstance(source, Path):
        raise click.UsageError("--finish requires the run to end: --resume RUN --finish")
    trained: Run | None
    if (cluster := _find_cluster(workers)) is not None:
        trained = ClusterRun(source, output, listener, cluster, worker_timeout, finish).train()
    else:
        trained = train(source, output, listener, finish=finish)
    if trained is not None:
        write_report_if_cheap(trained, listener)
    return trained


def _find_cluster(workers: int | None) -> Cluster | None:
    """Return the cluster of this process, or None.

    Args:
        workers: number of workers to start on this machine if there is no cluster yet.
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
            f"--workers {workers}: the environment describes {named}; use --workers {cluster.size}"
        )
    end_with_launcher()
    return cluster


_FOLD_OPTIONS = (
    click.option(
        "--folds",
        type=options.integer(2, _MOST_FOLDS),
        metavar="K",
        help="Number of folds, at least 2. [default: 5]",
    ),
    click.option(
        "--repeats",
        type=options.integer(1, _MOST_FOLDS),
        metavar="R",
        help="Number of repetitions, each with new folds and new initial weights. [default: 1]",
    ),
    click.option(
        "--refit",
        is_flag=True,
        help="Then train a final network on all rows except the test rows, and save it in "
        "RUN/refit. Its number of epochs is the median of the best epochs of the folds.",
    ),
    options.by,
    options.jobs("train folds"),
)


@_training_command(
    "-cv",
    ("an interrupted cross-validation", "finished folds are kept"),
    first=_FOLD_OPTIONS,
    fixed=("folds", "repeats", "refit", "by"),
)
def cv(
    source: Source,
    output: Path | None,
    listener: Listener,
    jobs: int | None,
    **others: Any,  # noqa: ANN401
) -> Run:
    """Evaluate a config by cross-validation.

    The rows are divided into folds according to data.split. Each fold is predicted by a network
    that was trained on the other folds, with encodings that were fitted on them. The rows for early
    stopping are also taken from the other folds. So all rows are used for evaluation, except the
    test rows (data.test), which remain unused.

    \b
      dlcli cv bikes.yaml
      dlcli cv bikes.yaml --folds 10 --jobs 4
      dlcli cv bikes.yaml --repeats 3 --set 'hidden[0].units=64'
      dlcli cv bikes.yaml --by weather,hour
      dlcli cv --resume runs/bikes-cv
    """  # noqa: D301  (Click does not wrap the lines after it)
    from dlcli.pipeline import cross_validation

    plan = cross_validation.CrossValidationPlan.model_validate(
        {name: value for name, value in others.items() if value}
    )
    return cross_validation.cross_validate(source, plan, output, listener, jobs or 1)


def _mask_password(ctx: click.Context, parameter: click.Parameter, url: str | None) -> str | None:
    """Mask the password of the URL in `sys.argv`, because run folders store the command line."""
    if url is None:
        return None
    if not url.strip():
        raise click.UsageError("--storage is empty; omit it to store trials in the run folder")
    from dlcli.pipeline.search_study import mask_password

    sys.argv[:] = [argument.replace(url, mask_password(url)) for argument in sys.argv]
    return url


_SEARCH_OPTIONS: tuple[options.Option, ...] = (
    click.option(
        "--folds",
        type=options.integer(2, 1000),
        metavar="K",
        help="Cross-validate each candidate in K folds, at least 2. Without folds, a candidate is "
        "evaluated on the validation rows; if the config is an ensemble, on out-of-fold rows. "
        "[default: tune.folds of the config; else 5 if the table has fewer than 1,000 rows and the "
        "config has neither an ensemble nor tune.space; else no folds]",
    ),
    options.jobs("evaluate candidates"),
    click.option(
        "--storage",
        metavar="URL",
        callback=_mask_password,
        help="Database for the trials, for example postgresql+psycopg://USER@HOST/NAME. Processes "
        "on several machines that have the same config and data share one search. Passwords are "
        "never written to a file. [default: a file in the run folder]",
    ),
    click.option(
        "--nested",
        is_flag=True,
        help="Also repeat the search K times, each time without one of K outer folds, and evaluate "
        "its result on that fold. K is the number of folds of the search, or 5 if candidates are "
        "evaluated on the validation rows. This yields an unbiased estimate, but the search takes "
        "about K + 1 times as long.",
    ),
    click.option(
        "--ensemble",
        type=options.integer(2, 32),
        metavar="N",
        help="Also train an ensemble of the N best candidates of the search. Each of them "
        "becomes M networks, one for each of M folds, so there are N × M networks. Their "
        "predictions are averaged with the weights that minimize the out-of-fold error. M is "
        "ensemble.folds of the config, else the number of folds of the search, else 5. [default: "
        "no ensemble]",
    ),
    *_workers_options("train each candidate together"),
)


@_training_command(
    "-tune",
    ("an interrupted search", "finished trials are kept"),
    first=_SEARCH_OPTIONS,
    fixed=("folds", "nested", "ensemble"),
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

    tune.space in CONFIG lists the settings to vary. Without it, the number of layers, their units,
    dropout and the learning rate are varied, in ranges that suit the number of rows. Optuna chooses
    the values of each candidate. A candidate is trained on the training rows and evaluated on the
    validation rows, or it is cross-validated (see --folds). If it is worse than most others at the
    same point, its training is stopped early.

    RUN/best.yaml is the config of the best candidate. RUN/smallest.yaml is the config of the
    candidate with the fewest parameters among those that are at most one standard error worse than
    the best. After the search, CONFIG and both of these are trained as with `dlcli train`, in the
    run folders RUN/default, RUN/best and RUN/smallest, and compared on the test rows. With
    --ensemble, RUN/ensemble.yaml, the ensemble of the best candidates, is also trained and
    compared.

    \b
      dlcli tune bikes.yaml
      dlcli tune bikes.yaml --ensemble 5
      dlcli tune bikes.yaml --folds 5 --set tune.trials=200 --jobs 4
      dlcli tune --resume runs/bikes-tune
      dlcli predict runs/bikes-tune/best new_hours.csv
    """  # noqa: D301  (Click does not wrap the lines after it)
    from dlcli.pipeline.cluster_training import ClusterRun
    from dlcli.pipeline.search import tune
    from dlcli.pipeline.search_trials import SearchSettings

    search = SearchSettings(**{name: value for name, value in chosen.items() if value})
    if workers is not None:  # else each process of a scheduler is a separate search
        if search.jobs > 1 or search.nested or search.ensemble:
            other = "--jobs"
            if search.nested or search.ensemble:
                other = "--nested" if search.nested else "--ensemble"
            raise click.UsageError(f"--workers can't be combined with {other}; remove one of them")
        cluster = _find_cluster(workers)
        assert cluster is not None  # a process that starts a cluster ends with it
        return ClusterRun(source, output, listener, cluster, worker_timeout).tune(search)
    return tune(source, search, output, listener)


def _moved_table(name: str, table: str) -> options.Option:
    """Return the option for the present path of a table that was moved since training."""
    return click.option(
        f"--{name}",
        type=options.PATH,
        metavar="PATH",
        help=f"Present path of {table}, if it was moved.",
    )


@click.command()
@run_argument()
@click.option(
    "--tolerance",
    type=options.Number("a share of at least 0 and below 1", float, lambda each: 0 <= each < 1),
    metavar="SHARE",
    help="Largest accepted relative difference of a metric, e.g. 1e-3. Weights and "
    "versions may then differ, as on another machine. [default: everything must be equal]",
)
@_moved_table("data", "the training table")
@_moved_table("validation-data", "the validation table")
@_moved_table("test-data", "the test table")
@_new_run_folder("-reproduced")
@_json_lines
def reproduce(
    run: Run,
    tolerance: float | None,
    data: Path | None,
    validation_data: Path | None,
    test_data: Path | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Retrain a run and check that the result is the same.

    RUN is a run folder of `dlcli train`. Its complete config is trained again in a new run folder.
    Then data (SHA-256), versions, machine, statistics of the training rows, weights and metrics are
    compared. If something differs, the output names the likely cause, and the exit code
    is 6.

    \b
      dlcli reproduce runs/bikes
      dlcli reproduce runs/bikes --tolerance 1e-3
      dlcli reproduce runs/bikes --data moved/bikes.csv
    """  # noqa: D301  (Click does not wrap the lines after it)
    from dlcli.cli.event_log import event_listener
    from dlcli.pipeline.retraining import reproduce as train_again
    from dlcli.reports.command_views import reproduction_view

    given: Mapping[SourceKey, Path | None] = {
        "train": data,
        "validation": validation_data,
        "test": test_data,
    }
    moved = {key: path for key, path in given.items() if path is not None}
    with event_listener(as_json=as_json, quiet=is_quiet()) as listener:
        reproduction = train_again(run, output, listener, tolerance, moved=moved)
    if not as_json:
        print_view(reproduction_view(reproduction))
    if reproduction.differing:
        differing = ", ".join(reproduction.differing)
        raise RequirementError(f"{run.path}: not reproduced; different: {differing}")


@click.command()
@run_argument()
@options.settings
@_new_run_folder("-distilled")
@_json_lines
def distill(run: Run, settings: tuple[str, ...], output: Path | None, as_json: bool) -> None:
    """Train one small network on the predictions of an ensemble.

    RUN is a run folder of an ensemble with folds: each member was validated on a fold of the
    training rows, as in configs of `dlcli init` with the preset good or best. The network has the
    hidden layers of one member; use --set to change them. It learns the target and, for each
    training row, the prediction of the members that were not trained on this row. 15 % of the
    training rows become validation rows. Files named in --set are relative to the current folder.

    The result compares the size, the prediction time and, if there are test rows, the metrics of
    the network and the ensemble. Other commands accept the new run, but it has no prediction
    intervals.

    \b
      dlcli distill runs/bikes
      dlcli distill runs/bikes --set 'hidden[0].units=64'
      dlcli train --resume runs/bikes-distilled
    """  # noqa: D301  (Click does not wrap the lines after it)
    from dlcli.cli.event_log import event_listener
    from dlcli.pipeline.retraining import distill as train_distilled
    from dlcli.prediction.gates import require_gates
    from dlcli.reports.report_files import view_of, write_report_if_cheap

    with event_listener(as_json=as_json, quiet=is_quiet()) as listener:
        trained = train_distilled(run, output, listener, settings)
        write_report_if_cheap(trained, listener)
    if not as_json:
        print_view(view_of(trained))
    require_gates(trained.gates, str(trained.path))
