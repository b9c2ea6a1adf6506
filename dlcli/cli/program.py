"""The program: its commands in the order of the help; a message and exit code for each failure."""

from __future__ import annotations

import errno
import os
import shlex
import signal
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from types import FrameType
from typing import Any, NoReturn

import click

from dlcli import __version__, errors, is_command_line
from dlcli.cli import options
from dlcli.cli.config_commands import doctor, init, inspect, schema, validate
from dlcli.cli.console import print_message
from dlcli.cli.explanation_commands import explain
from dlcli.cli.prediction_commands import drift, evaluate, predict
from dlcli.cli.run_commands import compare, diagnose, export, report, runs, serve
from dlcli.cli.training_commands import ARGUMENTS, cv, distill, reproduce, train, tune

_UNEXPECTED = 1
_INTERRUPTED = 128 + signal.SIGINT
_TERMINATED = 128 + signal.SIGTERM
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_BROKEN_PIPE = 128 + 13  # the exit code of a shell after SIGPIPE


class _Terminated(SystemExit):
    """SIGTERM was received."""


@contextmanager
def explain_failures() -> Iterator[None]:
    """Turn each failure inside the block into a message on standard error and an exit code."""
    try:
        yield
        sys.stdout.flush()  # a full disk or a closed pipe shows up here
    except click.exceptions.Exit:
        raise  # after --help
    except click.ClickException as error:
        _exit_after_wrong_usage(error)
    except errors.DlcliError as error:
        at_once = isinstance(error, errors.OutOfMemoryError)
        _exit(*_texts_of(error), error.exit_code, at_once=at_once)
    except (KeyboardInterrupt, click.Abort, _Terminated) as error:  # Abort: Ctrl-C at a question
        is_signal = isinstance(error, _Terminated)
        word, code = ("terminated", _TERMINATED) if is_signal else ("interrupted", _INTERRUPTED)
        _exit([], [word, *_notes(error)], code)
    except OSError as error:
        _exit_after_system_error(error)
    except MemoryError as error:
        message = "out of memory; use fewer rows, fewer units or a smaller batch_size"
        _exit([message], _notes(error), _UNEXPECTED)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError):
            _exit_if_package_is_missing(error)
        context = click.get_current_context(silent=True)
        if context is not None and options.VERBOSE in context.meta:
            traceback.print_exc()
        advice = "this is a bug in dlcli: run again with -v for the traceback, and report it"
        message = f"unexpected {type(error).__name__}: {error}"
        _exit([message], [advice, *_notes(error)], _UNEXPECTED)


def _exit_if_package_is_missing(error: ModuleNotFoundError) -> None:
    """Name the package to install, such as SciPy, which the image of the server lacks."""
    try:
        errors.require_packages("this command", None, str(error.name).partition(".")[0])
    except errors.UsageError as missing:
        _exit(*_texts_of(missing), missing.exit_code)


@contextmanager
def handle_signals() -> Iterator[None]:
    """Unwind the stack on SIGTERM and SIGHUP, to remove half-written files.

    Ignored signals, for example under `nohup`, stay ignored.
    """

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        if number == signal.SIGTERM:
            raise _Terminated(_TERMINATED)  # a signal handler must not print
        sys.exit(128 + number)  # after SIGHUP there is no terminal to print to

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    handled = [number for number in numbers if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, leave) for number in handled}
    token = is_command_line.set(True)
    try:
        yield
    finally:
        is_command_line.reset(token)
        for number, handler in before.items():
            signal.signal(number, handler)


def _texts_of(error: errors.DlcliError) -> tuple[Sequence[str], Sequence[str]]:
    """Return the text of each error (an interruption has none) and the lines below."""
    if isinstance(error, errors.Interrupted):
        return (), [f"ended by {errors.printable(str(error))}", *_notes(error)]
    if error.is_reported:
        return (), ()
    if isinstance(error, errors.ConfigError):
        texts = [str(problem) for problem in error.problems]
        return texts, [f"{len(texts)} problems"] if len(texts) > 1 else ()
    return [str(error)], _notes(error)


def _notes(error: BaseException) -> list[str]:
    """Return the notes of an error, with control characters escaped."""
    return [errors.printable(note) for note in getattr(error, "__notes__", ())]


def _exit_after_system_error(error: OSError) -> NoReturn:
    """Print an error of the operating system and exit; print nothing for a broken pipe."""
    _discard_output()
    if isinstance(error, BrokenPipeError):
        sys.exit(_BROKEN_PIPE)
    where = str(error.filename or "standard output")
    code = errors.TrainingError.exit_code if error.errno in _DISK_FULL else _UNEXPECTED
    _exit([f"{where}: {error.strerror or error}"], _notes(error), code)


def _exit_after_wrong_usage(error: click.ClickException) -> NoReturn:
    """Print an error of Click in the style of other errors, and exit."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    help_of = [f"see: {context.command_path} --help"] if context else []
    _exit([_usage_text(error)], help_of, error.exit_code)


def _usage_text(error: click.ClickException) -> str:
    match error:
        case click.NoSuchOption():
            near = errors.did_you_mean(error.option_name, error.possibilities or [])
            return f"no such option '{error.option_name}'{_setting(error) or near}"
        case click.MissingParameter(param=click.Parameter() as param):
            words = param.type.choices if isinstance(param.type, click.Choice) else ()
            way_out = f"; choose one of {', '.join(words)}" if words else ""
            return f"missing {param.param_type_name} {param.get_error_hint(error.ctx)}{way_out}"
        case click.BadParameter(param=click.Parameter() as param):
            message = error.message.removesuffix(".")
            return f"invalid value for {param.get_error_hint(error.ctx)}: {message}"
    text = error.format_message()
    if "unexpected extra argument" in text and (way_out := _without_spaces(error)):
        return way_out
    is_sentence = text[:1].isupper() and text[1:2].islower()  # as Click writes its errors
    return text[:1].lower() + text[1:].removesuffix(".") if is_sentence else text


def _without_spaces(error: click.ClickException) -> str:
    """Return the advice for a value that a space separates from the path of `--set`."""
    context = error.ctx if isinstance(error, click.UsageError) else None
    for setting in (context.params.get("settings") if context else None) or ():
        path, _, value = setting.partition("=")
        if path.strip() and not value:
            written = shlex.quote(f"{path.strip()}=VALUE")
            return f"--set {setting}: write --set {written}, without spaces"
    return ""


def _setting(error: click.NoSuchOption) -> str:
    """Return the `--set` argument for an unknown option with the name of a config key."""
    command = error.ctx.command if error.ctx is not None else None
    if command is None or not any("--set" in each.opts for each in command.params):
        return ""
    from dlcli.config.config_schema import find_setting

    path = find_setting(error.option_name.lstrip("-").replace("-", "_"))
    return f"; write --set {shlex.quote(f'{path}=VALUE')}" if path else ""


def _exit(
    errors: Iterable[str], others: Iterable[str], code: int, *, at_once: bool = False
) -> NoReturn:
    """Print lines to standard error and exit.

    Args:
        errors: the text of each error.
        others: the lines that follow.
        code: the exit code.
        at_once: skip the exit handlers of libraries. After running out of memory, TensorFlow may
            crash there; everything has been saved by then.
    """
    with suppress(OSError):  # the terminal may be closed or the disk full; the exit code remains
        for text in errors:
            print_message("error", text)
        for line in others:
            click.echo(line, err=True)
    if at_once and sys.stderr is sys.__stderr__:  # not when called from within another program
        with suppress(OSError):
            sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


def _discard_output() -> None:
    """Redirect standard output to the null device; flushing it at exit would fail again."""
    with suppress(OSError), open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())


_MEANT = {
    other: command
    for command, others in {
        "train": ("fit", "run", "learn", "start"),
        "predict": ("infer", "inference", "apply"),
        "evaluate": ("test", "eval", "score", "metrics"),
        "report": ("plot", "show"),
        "cv": ("crossvalidate", "crossval", "crossvalidation"),
        "tune": ("search", "optimize", "optimise", "hyperopt"),
        "init": ("new", "create"),
        "validate": ("check", "lint"),
        "export": ("deploy", "deployment", "convert"),
    }.items()
    for other in others
}
"""Commands by their names in other programs, without hyphens."""


_TEXT_WIDTH = 80


def _squeezed(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


class Commands(click.Group):
    """Commands in named groups, whose failures become messages."""

    groups: Mapping[str, Sequence[click.Command]] = {}
    """The commands of each group, in the order of the help."""

    def add_groups(self, groups: Mapping[str, Sequence[click.Command]]) -> None:
        """Add commands; the help lists them below the names of their groups."""
        self.groups = groups
        for command in chain.from_iterable(groups.values()):
            for option in options.VERBOSITY:
                option(command)
            self.add_command(command)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command of the first argument; for an unknown one, suggest a similar one."""
        name = args[0]
        if name not in self.commands and not name.startswith("-"):
            meant = _MEANT.get(_squeezed(name))
            near = (
                f"; did you mean '{meant}'?"
                if meant
                else errors.did_you_mean(name, [*self.commands])
            )
            ctx.fail(f"no such command '{name}'{near}")
        return super().resolve_command(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands in the order of the help."""
        return list(self.commands)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the help, short enough for a screen: a tagline, an example and the commands."""
        formatter.write(_BEGINNING)
        width = max(map(len, self.commands))
        for title, commands in self.groups.items():
            formatter.write(f"{title}:\n")
            formatter.indent()
            formatter.write_dl(
                [
                    (f"{command.name:<{width}}", command.get_short_help_str(formatter.width))
                    for command in commands
                ]
            )
            formatter.dedent()
        formatter.write(_END)

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,  # noqa: ANN401
    ) -> click.Context:
        """Parse the options of the program; a wrong one becomes a message."""
        given = [*args]
        with explain_failures():
            context = super().make_context(info_name, args, parent, **extra)
        context.meta[ARGUMENTS] = given
        return context

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; a failure becomes a message and an exit code."""
        with explain_failures(), handle_signals():
            return super().invoke(ctx)


@click.group(
    "dlcli",
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, "-V", "--version", prog_name="dlcli")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Neural networks for tables, from one YAML file."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


_BEGINNING = """\
Neural networks for tables, from one YAML file.

Usage: dlcli [-V | --version] [-h | --help] COMMAND [OPTIONS]
  dlcli init data/bikes.csv --target rentals --output bikes.yaml
  dlcli train bikes.yaml
  dlcli predict runs/bikes data/bikes.csv

"""
_END = """
`dlcli help WORD` explains a command, term or key, exit-codes or completion.
"""


@click.command("help", hidden=True)
@click.argument("words", metavar="[COMMAND|TERM|KEY|TOPIC]", nargs=-1)
@click.pass_context
def show_help(ctx: click.Context, words: tuple[str, ...]) -> None:
    """Explain a command, a term, a key of the config or a topic.

    A TERM is a word of the glossary. A KEY is a path such as ensemble.vary, its last part (vary),
    or a value of the key. A TOPIC is completion, exit-codes or glossary.

    \b
      dlcli help train
      dlcli help learning rate
      dlcli help exit-codes
    """  # noqa: D301  (Click does not wrap the lines after it)
    program = ctx.parent
    assert program is not None
    if not words:
        click.echo(program.get_help())
    elif len(words) == 1 and (command := main.commands.get(words[0])) is not None:
        click.echo(click.Context(command, parent=program, info_name=words[0]).get_help())
    else:
        click.echo(_explain(ctx, " ".join(words)))


def _explain(ctx: click.Context, words: str) -> str:
    """Return the help on a topic or a term.

    Raises:
        UsageError: of Click, for an unknown word, with the most similar one.
    """
    from dlcli import glossary
    from dlcli.cli import help_topics as topics

    match words.replace(" ", "-"):
        case "completion":
            return topics.COMPLETION.rstrip()
        case "exit-codes":
            width = max(map(len, topics.EXIT_CODES))
            return "\n".join(
                f"{code:<{width}}  {meaning}" for code, meaning in topics.EXIT_CODES.items()
            )
        case "glossary":
            names = ", ".join(term.name for term in glossary.read_glossary())
            return f"{click.wrap_text(names, _TEXT_WIDTH)}\n\n`dlcli help TERM` explains a term."
    term, near = glossary.find_term(words, [*main.commands])
    if term is not None:
        return click.wrap_text(term.explanation(), _TEXT_WIDTH, preserve_paragraphs=True)
    from dlcli.cli.config_help import explain_key

    if (text := explain_key(words)) is not None:
        return click.wrap_text(text, _TEXT_WIDTH, preserve_paragraphs=True)
    near = _MEANT.get(_squeezed(words), near)
    hint = f"did you mean '{near}'?" if near else "`dlcli help glossary` lists the terms"
    raise click.UsageError(f"no help on '{words}'; {hint}", ctx)


main.add_groups(
    {
        "Train and evaluate": (train, predict, evaluate, drift),
        "Understand": (explain, report, compare, diagnose, runs),
        "Choose": (cv, tune),
        "Deploy": (export, serve, distill, reproduce),
        "Prepare": (init, inspect, validate, schema, doctor),
    }
)
main.add_command(show_help)
