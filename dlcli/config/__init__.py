"""The config: schema, YAML loader with positions, overrides, JSON Schema."""

from dlcli.config.load import ConfigFile, dump_config, load_config
from dlcli.config.schema import Config

__all__ = ["Config", "ConfigFile", "dump_config", "load_config"]
