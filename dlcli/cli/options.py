"""Arguments and options that several commands share, and the files and runs that they name."""

from __future__ import annotations

import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from dlcli.cli.config_argument import config_names, read_config
from dlcli.cli.messages import QUIET
from dlcli.errors import UsageError, listed, local_path_advice, require_packages

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from dlcli.config.config_file import ConfigFile
    from dlcli.schema.urls import Location, Url

Option = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Adds an option to a command."""
PATH = click.Path(path_type=Path)


class _Location(click.ParamType["Path | Url"]):
    """A path, or the URL of a table or a run.

    Args:
        is_local: whether URLs are refused, as nothing can be written to them.
    """

    name = "path"

    def __init__(self, *, is_local: bool = False) -> None:
        self.is_local = is_local

    def convert(
        self,
        value: Any,  # noqa: ANN401
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Path | Url:
        """Return the path or the URL.

        Raises:
            UsageError: for a URL with a secret, or where a local path is needed.
        """
        if "://" not in str(value):
            return Path(value)
        from dlcli.tables.source_files import locate_table

        location = locate_table(value)
        if self.is_local and not isinstance(location, Path):
            raise UsageError(local_path_advice(location))
        return location

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Let the shell complete paths."""
        return PATH.shell_complete(ctx, param, incomplete)


LOCATION, LOCAL = _Location(), _Location(is_local=True)
ARGUMENTS = "dlcli.arguments"
"""The key under which Click's context has the arguments of the program."""
VERBOSE = "dlcli.verbose"
"""Key in Click's `meta` that `-v` sets."""
_MOST_JOBS = 1024
_NARROWEST = 40
"""Least width of output on a terminal, in columns."""


# Files and runs


def refuse_existing(
    ctx: click.Context, parameter: click.Parameter, path: Location | None
) -> Location | None:
    """Refuse an existing output file before the work starts.

    Raises:
        UsageError: if the path exists, or nothing can be written to the URL.
    """
    if path is not None:
        refuse_existing_path(path)
    return path


def refuse_existing_path(path: Location) -> None:
    """Raise `UsageError` if a path exists that is to be written, or a URL can't be written to."""
    if not isinstance(path, Path):
        from dlcli.tables.remote_files import check_writable

        check_writable(path)
    else:
        from dlcli.safe_files import refuse_existing_file

        refuse_existing_file(path)


@contextmanager
def open_output(output: Location | None) -> Iterator[BinaryIO]:
    """Open standard output, or a new file that appears under its name when the block succeeds.

    Raises:
        UsageError: if the file can't be created.
        OSError: naming the file, if it can't be written.
    """
    if output is None:
        yield sys.stdout.buffer
        return
    from dlcli.safe_files import open_new_file

    if not isinstance(output, Path):
        from dlcli.tables.remote_files import upload

        with TemporaryDirectory(prefix="dlcli-") as folder:
            file = Path(folder) / "output"
            with open_new_file(file) as stream:
                yield stream
            upload(file, output)
        return
    with open_new_file(output) as stream:
        yield stream


def output_width(without_terminal: int = sys.maxsize) -> int:
    """Return the width of standard output in columns.

    Args:
        without_terminal: the width if standard output is not a terminal.
    """
    if not sys.stdout.isatty():
        return without_terminal
    return max(shutil.get_terminal_size().columns, _NARROWEST)


def _refuse_existing_run(
    ctx: click.Context, parameter: click.Parameter, path: Path | None
) -> Path | None:
    if path is not None and os.path.lexists(path):
        from dlcli.runs.manifest import is_unfinished
        from dlcli.runs.run_folder import existing_folder_advice

        # Workers that a scheduler starts again get the same command as before.
        if not (joins_cluster(ctx.params.get("workers")) and is_unfinished(path)):
            raise UsageError(f"{path}: exists already; {existing_folder_advice(path)}")
    return path


def joins_cluster(workers: int | None) -> bool:
    """Return whether training may be that of a cluster.

    Args:
        workers: the value of `--workers`.
    """
    return workers is not None or bool({"TF_CONFIG", "SLURM_PROCID"} & {*os.environ})


def _new_file_or_stdout(
    ctx: click.Context, parameter: click.Parameter, path: Location | None
) -> Location | None:
    return None if path == Path("-") else refuse_existing(ctx, parameter, path)


def _new_file_or_folder(
    ctx: click.Context, parameter: click.Parameter, path: Location | None
) -> Location | None:
    is_folder = path is not None and os.path.isdir(path)
    return path if is_folder else refuse_existing(ctx, parameter, path)


def _new_file_folder_or_stdout(
    ctx: click.Context, parameter: click.Parameter, path: Location | None
) -> Location | None:
    return None if path == Path("-") else _new_file_or_folder(ctx, parameter, path)


# Arguments and options


class IntegerFrom(click.ParamType[int]):
    """An integer in a range, which messages state in words.

    Args:
        low: the smallest.
        high: the largest.
    """

    name = "integer"

    def __init__(self, low: int, high: int) -> None:
        self.low, self.high = low, high

    def convert(
        self,
        value: Any,  # noqa: ANN401
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> int:
        """Return the number, or raise Click's error for a wrong parameter."""
        with suppress(ValueError):
            if self.low <= (number := int(value)) <= self.high:
                return number
        message = f"expected an integer from {self.low} to {self.high:,}, got {value}"
        raise click.BadParameter(message, ctx, param)


def _check_level(ctx: click.Context, parameter: click.Parameter, level: str | None) -> float | None:
    """Refuse a level of intervals that is no share between 0 and 1."""
    if level is None:
        return None
    text, number = level.strip(), math.nan
    with suppress(ValueError):
        number = float(text.removesuffix("%"))
    is_percentage = text.endswith("%") or number > 1
    if not is_percentage and 0 < number < 1:
        return number
    share = number if number < 1 else number / 100  # who writes 0.9% means 90 %
    is_meant = is_percentage and 0 < share < 1
    way_out = f"; for {100 * share:g} % write {share:g}" if is_meant else ""
    raise click.BadParameter(f"expected a share between 0 and 1, got {text}{way_out}")


def _set_verbose(ctx: click.Context, parameter: click.Parameter, verbose: bool) -> None:
    if verbose:
        ctx.meta[VERBOSE] = True
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "0")


def _set_quiet(ctx: click.Context, parameter: click.Parameter, quiet: bool) -> None:
    if quiet:
        ctx.meta[QUIET] = True


def combined(*options: Option) -> Option:
    """Combine several options, in the order of the help."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


optional_config = click.argument("config", type=PATH, required=False)

settings = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="PATH=VALUE",
    help="Override a value of the config, for example --set 'hidden[0].units=64'. Quote names that "
    "contain a dot or a bracket: --set 'input.features[\"a.b\"]=numeric'. File paths are relative "
    "to the config. Repeatable.",
)

output_file = click.option(
    "-o",
    "--output",
    type=LOCAL,
    metavar="FILE",
    callback=_new_file_or_stdout,
    help="Write to a new file instead of standard output.",
)

output_file_or_folder = click.option(
    "-o",
    "--output",
    type=LOCATION,
    metavar="FILE|FOLDER",
    callback=_new_file_folder_or_stdout,
    help="Write to a new file, or to a URL such as s3://bucket/predictions.parquet, instead of "
    "standard output. For a folder or glob of tables: write a "
    "part for each to this folder; the same command resumes what was interrupted.",
)

json_object = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object instead of text."
)

verbosity = combined(
    click.option(
        "-q",
        "--quiet",
        is_flag=True,
        expose_value=False,
        callback=_set_quiet,
        help="Print only warnings, errors and the result.",
    ),
    click.option(
        "-v",
        "--verbose",
        is_flag=True,
        expose_value=False,
        callback=_set_verbose,
        help="Show TensorFlow's log, and the traceback of an unexpected failure.",
    ),
)
"""The options of every command."""


def new_run_folder(suffix: str) -> Option:
    """Make the option for the run folder that a command creates.

    Args:
        suffix: appended to the name of the config in the default name.
    """
    return click.option(
        "-o",
        "--output",
        type=LOCAL,
        metavar="RUN",
        callback=_refuse_existing_run,
        help="Run folder to create. NAME is the config's name or file name. "
        f"[default: runs/NAME{suffix}, then runs/NAME{suffix}-2 and so on]",
    )


def run_to_resume(job: str, outcome: str) -> Option:
    """Make the option for a run folder to resume.

    Args:
        job: what is resumed.
        outcome: what is kept or guaranteed.
    """
    return click.option(
        "--resume",
        "run",
        type=PATH,
        metavar="RUN",
        help=f"Resume {job} in run folder RUN; {outcome}.",
    )


def config_or_run(
    config: Path | None,
    settings: Sequence[str],
    output: Path | None,
    run: Path | None,
    **others: object,
) -> ConfigFile | Path:
    """Read the config to start from, or return the run to resume.

    Args:
        config: the argument CONFIG.
        settings: values of `--set`.
        output: the value of `--output`.
        run: the run to resume.
        **others: values of other options that can't be changed when resuming.

    Raises:
        UsageError: of Click, for neither of both, or for options that contradict `--resume`.
    """
    if run is None:
        if config is None:
            here = config_names(Path())
            way_out = f"; try {listed(here)}" if here else ""
            raise click.UsageError(f"missing argument 'CONFIG'{way_out}")
        return read_config(config, settings)
    options = {f"--{name}": value for name, value in others.items()}
    values = {"CONFIG": config, **options, "--set": settings, "--output": output}
    if fixed := [name for name, value in values.items() if value]:
        raise click.UsageError(
            "--resume uses the config and options that the run was started with; remove "
            f"{' and '.join(fixed)}."
        )
    return run


def new_path(metavar: str, text: str, *names: str) -> Option:
    """Make an option for a local file or folder that a command creates.

    Args:
        metavar: what it is in the help.
        text: its help.
        *names: of the option. [default: `-o` and `--output`]
    """
    return click.option(
        *(names or ("-o", "--output")),
        type=LOCAL,
        metavar=metavar,
        callback=refuse_existing,
        help=text,
    )


def interval(text: str) -> Option:
    """Make the option for the level of intervals.

    Args:
        text: its help.
    """
    return click.option("--interval", "level", metavar="LEVEL", callback=_check_level, help=text)


def jobs(work: str, share: str = "a share of the CPU threads") -> Option:
    """Make the option for parallel processes.

    Args:
        work: what they do.
        share: what each of them has.
    """
    return click.option(
        "--jobs",
        type=IntegerFrom(1, _MOST_JOBS),
        metavar="N",
        help=f"Number of processes that {work} in parallel, each with {share}. [default: 1]",
    )


json_lines = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print events as JSON lines; the last one is the result.",
)


bad_rows = combined(
    click.option(
        "--on-bad-row",
        type=click.Choice(["error", "warn", "reject"]),
        default="error",
        show_default=True,
        help="Treatment of values that can't be read or that the config forbids. error: stop. "
        "warn: treat them as missing; rows with such a target are skipped. reject: write "
        "their rows to the file of --rejected.",
    ),
    click.option(
        "--rejected",
        type=LOCAL,
        metavar="FILE",
        callback=_new_file_or_folder,
        help="New file for rejected rows, each with the reason; CSV, Parquet or JSON lines, "
        "by its extension. A folder if --output is one.",
    ),
)


# Trackers


TRACKERS = ("tensorboard", "mlflow")
"""Trackers by the names of their options, which are also those of their packages."""


def _check_installed(ctx: click.Context, parameter: click.Parameter, enabled: bool) -> bool:
    if enabled and parameter.name:
        require_packages(f"--{parameter.name}", parameter.name, parameter.name)
    return enabled


trackers = combined(
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
