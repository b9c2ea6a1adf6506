"""The program: its verbs, and how each of them ends."""

from __future__ import annotations

import click

from dlcli import __version__
from dlcli.cli.compare import compare
from dlcli.cli.cv import cv
from dlcli.cli.diagnose import diagnose
from dlcli.cli.endings import explained_failures, obeyed_signals
from dlcli.cli.evaluate import evaluate
from dlcli.cli.init import init
from dlcli.cli.inspect import inspect
from dlcli.cli.predict import predict
from dlcli.cli.report import report
from dlcli.cli.schema import schema
from dlcli.cli.train import train
from dlcli.cli.tune import tune
from dlcli.cli.validate import validate


class Verbs(click.Group):
    """Verbs in the order in which one needs them, and one place for all failures."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The verbs, in the order in which they were added."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> object:
        """Carries a verb out; every failure becomes a message and an exit code."""
        with explained_failures(ctx), obeyed_signals():
            return super().invoke(ctx)


@click.group(
    "dlcli",
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="""\b
To complete verbs and options with the Tab key, add to your shell's start-up file
  bash:  eval "$(_DLCLI_COMPLETE=bash_source dlcli)"
  zsh:   eval "$(_DLCLI_COMPLETE=zsh_source dlcli)"
  fish:  _DLCLI_COMPLETE=fish_source dlcli | source

\b
Exit codes: 0 done, 1 unexpected failure, 2 usage or config, 3 data, 4 training, 5 run folder,
130 interrupted, 143 terminated, 129 hung up on.
""",
)
@click.version_option(__version__, prog_name="dlcli")
def main() -> None:
    """One YAML file in; a trained, explained and portable Dense network out.

    Start from a config for your table:

    \b
      dlcli init data.csv --target price --output price.yaml
      dlcli train price.yaml
      dlcli predict new.csv

    Or start from a shipped example: `dlcli init --example iris`. All there is to know of a command
    is told by `dlcli COMMAND --help`.
    """  # noqa: D301  (Click's mark for lines to leave as they are)


for _verb in (
    *(train, predict, evaluate, report, compare, diagnose, cv, tune),
    *(init, inspect, validate, schema),
):
    main.add_command(_verb)
