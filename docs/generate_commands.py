"""Write docs/commands.md and docs/commands/: every command with its options, from its help.

python docs/generate_commands.py
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import click

from dlcli.cli.help_topics import EXIT_CODES
from dlcli.cli.program import main

DOCS = Path(__file__).parent
OVERVIEW = "commands.md"
BEGINNING = """\
# Commands

`dlcli help COMMAND` prints the same. RUN always comes first. If you omit it, the error message
shows the latest run and the command to type; no command picks a run by itself. DATA can be `-` for
standard input.
"""
ENDING = """\
## Output

Results go to standard output, everything else to standard error. With `--quiet` (`-q`), standard
error contains only warnings and errors. `--json` prints the result as one JSON object; for `train`,
`cv`, `tune` and `reproduce`, it prints the [events](events.md) as JSON lines, and the last line is
the result.

`dlcli help completion` explains Tab completion in bash, zsh and fish, and `dlcli help TERM` a word
of the [glossary](glossary.md). Set `NO_COLOR` to turn colors off.

## Values that cannot be read

In `predict` and `evaluate`, a value that cannot be read or that the config forbids is an error.
With `--on-bad-row warn`, it is treated as missing; with `--on-bad-row reject --rejected FILE`, its
row is written to a file with the reason. A summary lists how the rows differ from the training
rows: unseen values, and the share of values outside the training range.

## Exit codes

| exit code | meaning |
|---|---|
"""
ABOUT = """\
Part of the [reference of all commands](../commands.md), which also lists exit codes and the options
of every command.
"""
Option = tuple[str, str]
"""Names and help of an option."""


def commands_pages() -> dict[str, str]:
    """Return the pages by their paths in docs/: the overview, and one for each group."""
    pages = {OVERVIEW: BEGINNING}
    common = list(options_of_all())
    for title, commands in main.groups.items():
        name = f"commands/{title.lower().replace(' ', '-')}.md"
        pages[OVERVIEW] += f"\n## {title}\n\n"
        pages[OVERVIEW] += "".join(
            f"- [`dlcli {command.name}`]({name}#dlcli-{command.name}): "
            f"{command.get_short_help_str(200)}\n"
            for command in commands
        )
        parts = [f"# Commands: {title.lower()}\n", ABOUT]
        for command in commands:
            parts += command_parts(command, common)
        pages[name] = "\n".join(parts)
    codes = [f"| {code} | {meaning} |\n" for code, meaning in EXIT_CODES.items()]
    pages[OVERVIEW] += f"\n## Options of every command\n\n{option_list(common)}\n{ENDING}"
    pages[OVERVIEW] += "".join(codes)
    return pages


def options_of_all() -> Iterator[Option]:
    """Yield the options that all commands have, with the same help."""
    commands = [command for group in main.groups.values() for command in group]
    first, *others = [list(options_of(command)) for command in commands]
    yield from (option for option in first if all(option in other for other in others))


def options_of(command: click.Command) -> Iterator[Option]:
    """Yield the options of a command."""
    # Click keeps the option for help with the command, so its names must be the program's.
    context = click.Context(command, info_name=f"dlcli {command.name}", **main.context_settings)
    options = [each for each in command.params if isinstance(each, click.Option)]
    yield from filter(None, (option.get_help_record(context) for option in options))


def command_parts(command: click.Command, common: Collection[Option]) -> Iterator[str]:
    """Yield heading, usage, help and options of a command."""
    name = f"dlcli {command.name}"
    context = click.Context(command, info_name=name, **main.context_settings)
    yield f"## {name}\n"
    yield f"```text\n{' '.join([name, *command.collect_usage_pieces(context)])}\n```\n"
    yield f"{help_text(command)}\n"
    own = [option for option in options_of(command) if option not in common]
    if own:
        yield option_list(own)


def option_list(options: Iterable[Option]) -> str:
    """Return the list of options."""
    return "".join(f"- **`{names}`**<br>{' '.join(text.split())}\n" for names, text in options)


def help_text(command: click.Command) -> str:
    """Return the help, with lines that Click leaves as they are as code."""
    paragraphs = inspect.cleandoc(command.help or "").split("\n\n")
    return "\n\n".join(
        f"```sh\n{textwrap.dedent(text[2:])}\n```" if text.startswith("\b") else text
        for text in paragraphs
    )


if __name__ == "__main__":
    for name, page in commands_pages().items():
        DOCS.joinpath(name).parent.mkdir(exist_ok=True)
        DOCS.joinpath(name).write_text(page, encoding="utf-8")
