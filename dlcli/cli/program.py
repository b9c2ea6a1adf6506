"""The program: its commands in the order of the help, and the handling of all failures."""

from __future__ import annotations

import click

from dlcli import __version__
from dlcli.cli.config_commands import init, inspect, schema, validate
from dlcli.cli.exit_codes import explain_failures, handle_signals
from dlcli.cli.prediction_commands import evaluate, predict
from dlcli.cli.run_commands import compare, diagnose, report
from dlcli.cli.training_commands import cv, train, tune


class Commands(click.Group):
    """Commands in the order in which they were added, with one place for all failures."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands in the order in which they were added."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; every failure becomes a message and an exit code."""
        with explain_failures(ctx), handle_signals():
            return super().invoke(ctx)


@click.group(
    "dlcli",
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
For completion with the Tab key, add to your shell's start-up file
  bash:  eval "$(_DLCLI_COMPLETE=bash_source dlcli)"
  zsh:   eval "$(_DLCLI_COMPLETE=zsh_source dlcli)"
  fish:  _DLCLI_COMPLETE=fish_source dlcli | source

\b
Exit codes: 0 done, 1 unexpected failure, 2 usage or config, 3 data, 4 training, 5 run folder,
130 SIGINT (Ctrl-C), 143 SIGTERM, 129 SIGHUP.
""",
)
@click.version_option(__version__, prog_name="dlcli")
def main() -> None:
    """One YAML file in; a trained, explained and portable Dense network out.

    Start with a config for your own table:

    \b
      dlcli init data.csv --target price --output price.yaml
      dlcli train price.yaml
      dlcli predict new.csv

    Or start with a shipped example: `dlcli init --example iris`. See `dlcli COMMAND --help` for the
    options of a command.
    """  # noqa: D301  (Click's mark for lines to leave as they are)


for _command in (
    *(train, predict, evaluate, report, compare, diagnose, cv, tune),
    *(init, inspect, validate, schema),
):
    main.add_command(_command)
