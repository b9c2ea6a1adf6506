"""The command line: verbs that parse, call one library function and print."""

from dlcli.cli.main import main

__all__ = [
    "main",
]
