"""The earlier run that a training starts from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dlcli.config import ConfigFile
from dlcli.errors import ConfigError, Problem
from dlcli.network import Network
from dlcli.prediction import Predictor
from dlcli.runs import Weights, open_run


def initial_weights(file: ConfigFile, network: Network) -> Mapping[str, Weights] | None:
    """The weights to start from, which must have the network's names and shapes.

    Raises:
        ConfigError: if they haven't.
        RunError: if there is no such run.
    """
    if file.config.initial_weights is None:
        return None
    run = open_run(earlier_run(file, file.config.initial_weights))
    run.require_training()  # one that diverged will do
    earlier = Predictor.load(run)
    theirs, ours = ({w.name: w.shape for w in net.weights} for net in (earlier.network, network))
    for name in [*ours, *theirs]:
        if ours.get(name) != theirs.get(name):
            message = f"{run.path} is of another network: '{name}' there and here"
            shapes = " and ".join(str(w.get(name, "absent")) for w in (theirs, ours))
            raise ConfigError([Problem("initial_weights", f"{message}: {shapes}")])
    return earlier.weights


def earlier_run(file: ConfigFile, folder: str) -> Path:
    """A run folder relative to the config, or else to the current folder, where runs are made."""
    beside = file.resolve(folder)
    return beside if beside.exists() else Path(folder)
