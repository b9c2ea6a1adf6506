"""The options that have a training tracked by other tools."""

from __future__ import annotations

import click

from dlcli.cli.options import Command

_TENSORBOARD = "dlcli.tensorboard"


def _remember(ctx: click.Context, parameter: click.Parameter, is_asked: bool) -> None:
    if is_asked:
        from dlcli.tracking import check_installed

        check_installed("tensorboard", "tensorboard")
    ctx.meta[_TENSORBOARD] = is_asked


def _trackers(ctx: click.Context, parameter: click.Parameter, is_asked: bool) -> tuple[str, ...]:
    """The names of all trackers that are asked for, once they are known to be installed."""
    if is_asked:
        from dlcli.tracking import check_installed

        check_installed("mlflow", "mlflow")
    tensorboard = ("tensorboard",) if ctx.meta[_TENSORBOARD] else ()
    return (*tensorboard, "mlflow") if is_asked else tensorboard


def tracking(command: Command) -> Command:
    """Gives a command the options for trackers, and their names as the argument `trackers`."""
    tensorboard = click.option(
        "--tensorboard",
        is_flag=True,
        is_eager=True,
        expose_value=False,
        callback=_remember,
        help="Write TensorBoard's event files to the run folder, too; "
        "`tensorboard --logdir runs` shows them. Needs the extra dlcli[tensorboard].",
    )
    mlflow = click.option(
        "--mlflow",
        "trackers",
        is_flag=True,
        callback=_trackers,
        help="Track parameters, metrics and files with MLflow, too: where MLFLOW_TRACKING_URI and "
        "MLFLOW_EXPERIMENT_NAME say, else in mlflow.db in the current folder. Needs the extra "
        "dlcli[mlflow].",
    )
    return tensorboard(mlflow(command))
