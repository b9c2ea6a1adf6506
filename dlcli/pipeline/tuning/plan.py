"""What trials follow from, besides the trials before them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dlcli.config import ConfigFile, Dimension, Tpe, dimensions_of
from dlcli.pipeline.tuning.goal import Goal
from dlcli.pipeline.tuning.work import most_trials, searched


@dataclass(frozen=True)
class Plan:
    """What trials follow from, besides the trials before them."""

    name: str
    """The study's, by which processes find each other in a storage."""
    direction: Literal["minimize", "maximize"]
    dimensions: tuple[Dimension, ...]
    sampler: Literal["random", "grid", "tpe"]
    seed: int
    trials: int | None
    """How many there are to be; `None`: as many as there is time for."""
    startup: int = 10
    """Trials by lot before `tpe` looks at them."""

    @classmethod
    def of(cls, file: ConfigFile) -> Plan:
        """That of a config.

        Raises:
            ConfigError: if it says nothing of what to search for.
        """
        tune = searched(file)
        sampler = tune.sampler
        return cls(
            name=file.name,
            direction=Goal(tune.metric).direction,
            dimensions=dimensions_of(tune),
            sampler=sampler.name,
            seed=file.config.seed,
            trials=most_trials(tune),
            startup=sampler.startup_trials if isinstance(sampler, Tpe) else 0,
        )
