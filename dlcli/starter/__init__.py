"""The first config: written for a table, or an example with its data."""

from dlcli.starter.examples import example_names, write_example
from dlcli.starter.writing import starter_config

__all__ = ["example_names", "starter_config", "write_example"]
