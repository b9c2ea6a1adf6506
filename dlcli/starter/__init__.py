"""The first config: written for a table, or an example with its data."""

from dlcli.starter.examples import example_names, write_example
from dlcli.starter.features import listing
from dlcli.starter.lines import cut
from dlcli.starter.writing import starter_config

__all__ = [
    "cut",
    "example_names",
    "listing",
    "starter_config",
    "write_example",
]
