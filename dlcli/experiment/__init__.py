"""The experiment: what `dlcli train` does, told once."""

from dlcli.experiment.events import Events, Listener
from dlcli.experiment.preparation import Prepared, prepare
from dlcli.experiment.story import resume, train

__all__ = ["Events", "Listener", "Prepared", "prepare", "resume", "train"]
