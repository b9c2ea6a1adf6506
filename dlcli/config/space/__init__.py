"""The search space of a config: its dimensions, its candidates, and whether they all fit."""

from dlcli.config.space.candidates import candidate
from dlcli.config.space.dimensions import Dimension, Value, dimensions_of
from dlcli.config.space.fitting import check_tune

__all__ = ["Dimension", "Value", "candidate", "check_tune", "dimensions_of"]
