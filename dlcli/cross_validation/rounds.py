"""The folds of all repeats, each with the rows that it learns from, steers by and is judged by."""

from __future__ import annotations

from dataclasses import dataclass

from dlcli.config import Config
from dlcli.config.data import TimeSplit
from dlcli.cross_validation.plan import Plan
from dlcli.errors import UsageError
from dlcli.experiment.pool import Pool
from dlcli.experiment.workbench import Part
from dlcli.split import Fold, deal_folds, hold_out

_SEEDS = 2**32


@dataclass(frozen=True, eq=False)
class Round:
    """One training."""

    number: int
    """Its place among all, from 1."""
    repeat: int
    """From 1."""
    fold: int
    """From 1."""
    rows: Fold
    """Places in the pool."""

    def config(self, config: Config) -> Config:
        """What is trained: each repeat begins with other weights, as that is part of the noise."""
        seed = (config.seed + self.repeat - 1) % _SEEDS
        return config.model_copy(update={"seed": seed})

    def part(self, config: Config, pool: Pool) -> Part:
        """The rows of this training.

        A share for validation is held out of the rows that are learned from, so that the fold's own
        rows have no say in when training ends.

        Args:
            config: reads `data.validation`.
            pool: all rows but those of the test split.

        Raises:
            DataError: if too few rows are left to learn from.
        """
        learned, held_out = (pool.rows.take(places) for places in self.rows)
        share = config.data.validation
        if config.data.train_on_validation or not isinstance(share, float):
            steering = None if isinstance(share, float) else pool.split.validation
            return Part(learned, steering, held_out)
        seed = (config.seed, self.repeat, self.fold)
        inner = hold_out(learned, pool.dealt, classes_of(pool), share, seed)
        return Part(learned.take(inner.train), learned.take(inner.held_out), held_out)


def deal_rounds(pool: Pool, plan: Plan, seed: int) -> tuple[Round, ...]:
    """Deals the rows of a pool out to folds, once for each repeat.

    Args:
        pool: all rows but those of the test split.
        plan: how many folds and repeats.
        seed: the config's.

    Raises:
        UsageError: if repeats would all be the same.
        DataError: if there are too few rows, groups or times.
    """
    if plan.repeats > 1 and isinstance(pool.dealt, TimeSplit):
        raise UsageError("folds in time are the same at each repeat; leave --repeats out")
    rounds: list[Round] = []
    for repeat in range(1, plan.repeats + 1):
        dealt = deal_folds(pool.rows, pool.dealt, classes_of(pool), plan.folds, (seed, repeat))
        for fold, rows in enumerate(dealt, start=1):
            rounds.append(Round(len(rounds) + 1, repeat, fold, rows))
    return tuple(rounds)


def classes_of(pool: Pool) -> str | None:
    """The column of the classes to predict; none where there are numbers or labels."""
    return pool.target.columns[0] if pool.target.classes else None
