"""Write docs/commands.md: every command with its options, from its help.

python docs/generate_commands.py
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click

from dlcli.cli.program import main

PAGE = Path(__file__).parent / "commands.md"
BEGINNING = """\
# Commands

`dlcli help COMMAND` prints the same. RUN is always named first. If it is missing, the error names
the latest run and the line to type; no command uses the latest run by itself. `-` as DATA is
standard input.

## Output

Results go to standard output, everything else to standard error. `--quiet` (`-q`) leaves only
warnings and errors there. `--json` prints the result as one JSON object; for `train`, `cv`, `tune`
and `reproduce`, it prints the [events](events.md) as JSON lines, the last of them the result.

`dlcli --help` explains Tab completion in bash, zsh and fish. If `NO_COLOR` is set, nothing is
colored.

## Values that cannot be read

In `predict` and `evaluate`, a value that cannot be read, or that the config does not allow, is an
error. `--on-bad-row warn` treats it as missing; `--on-bad-row reject --rejected FILE` moves its row
to a file, with the reason. Differences from the training rows are summarized: unseen values, and
shares outside the training range.

## Exit codes

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | an unexpected failure |
| 2 | wrong usage, or an invalid config |
| 3 | a problem in the data, also a missing column |
| 4 | training diverged or ran out of memory, a result could not be saved, or a worker was lost |
| 5 | a run folder is missing, unfinished or damaged |
| 6 | a result is not as required: a gate has failed, or a run is not reproduced |
| 7 | a model can't be exported, or the exported one predicts otherwise |
| 130, 143, 129 | ended by SIGINT, SIGTERM or SIGHUP |
"""


def commands_page() -> str:
    """Return the page."""
    parts = [BEGINNING]
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
    options = [each for each in command.params if isinstance(each, click.Option)]
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
