"""Starter configs: written for a table, or copied from the shipped examples."""

from dlcli.starter.config_writing import starter_config
from dlcli.starter.examples import example_names, write_example
from dlcli.starter.presets import Preset
from dlcli.starter.table_facts import HELD_OUT
