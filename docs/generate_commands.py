"""Write docs/commands.md: every command with its options, from its help.

python docs/generate_commands.py
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click

from dlcli.cli.help_topics import EXIT_CODES
from dlcli.cli.program import main

PAGE = Path(__file__).parent / "commands.md"
BEGINNING = """\
# Commands

`dlcli help COMMAND` prints the same. RUN always comes first. If you omit it, the error message
shows the latest run and the command to type; no command picks a run by itself. DATA can be `-` for
standard input.

## Output

Results go to standard output, everything else to standard error. With `--quiet` (`-q`), standard
error contains only warnings and errors. `--json` prints the result as one JSON object; for `train`,
`cv`, `tune` and `reproduce`, it prints the [events](events.md) as JSON lines, and the last line is
the result.

`dlcli help completion` explains Tab completion in bash, zsh and fish, and `dlcli help TERM` a word
of the [glossary](glossary.md). Set `NO_COLOR` to turn colors off.

All commands have the options `--quiet`, `--verbose` (`-v`), which shows TensorFlow's log and
tracebacks, and `--help` (`-h`).

## Values that cannot be read

In `predict` and `evaluate`, a value that cannot be read or that the config forbids is an error.
With `--on-bad-row warn`, it is treated as missing; with `--on-bad-row reject --rejected FILE`, its
row is written to a file with the reason. A summary lists how the rows differ from the training
rows: unseen values, and the share of values outside the training range.

## Exit codes

| exit code | meaning |
|---|---|
"""


def commands_page() -> str:
    """Return the page."""
    codes = [f"| {code} | {cell(meaning)} |\n" for code, meaning in EXIT_CODES.items()]
    parts = [BEGINNING + "".join(codes)]
    for title, commands in main.groups.items():
        parts.append(f"## {title}\n")
        for command in commands:
            parts += command_parts(command)
    return "\n".join(parts)


def command_parts(command: click.Command) -> Iterator[str]:
    """Yield heading, usage, help and options of a command."""
    name = f"dlcli {command.name}"
    # Click keeps the option for help with the command, so that its names must be the program's.
    context = click.Context(command, info_name=name, **main.context_settings)
    yield f"### {name}\n"
    yield f"```text\n{' '.join([name, *command.collect_usage_pieces(context)])}\n```\n"
    yield f"{help_text(command)}\n"
    options = [
        each
        for each in command.params
        if isinstance(each, click.Option) and "-q" not in each.opts and "-v" not in each.opts
    ]
    records = filter(None, (option.get_help_record(context) for option in options))
    rows = [f"| `{cell(names)}` | {cell(meaning)} |" for names, meaning in records]
    yield "\n".join(["| option | does |", "|---|---|", *rows]) + "\n"


def help_text(command: click.Command) -> str:
    """Return the help, with lines that Click leaves as they are as code."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    return "\n\n".join(
        f"```sh\n{textwrap.dedent(text[2:])}\n```" if text.startswith("\b") else text
        for text in paragraphs
    )


def cell(text: str) -> str:
    """Return a text as a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(commands_page(), encoding="utf-8")
