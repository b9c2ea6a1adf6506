"""The folds of all repeats, each with the rows that it learns from, steers by and is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dlcli.config import Config, GroupSplit, TimeSplit
from dlcli.errors import DataError, UsageError
from dlcli.pipeline.cross_validation.plan import Plan
from dlcli.pipeline.pool import Pool
from dlcli.pipeline.workbench import Part
from dlcli.splitting import Fold, deal_folds, hold_out
from dlcli.tables import Table

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
            DataError: if too few rows are left to learn from; see `check_rounds`.
        """
        learned, held_out = (pool.rows.take(places) for places in self.rows)
        if not _steers_by_share(config):
            is_share = isinstance(config.data.validation, float)
            return Part(learned, None if is_share else pool.split.validation, held_out)
        inner = self.hold_out(config, pool, learned)
        return Part(learned.take(inner.train), learned.take(inner.held_out), held_out)

    def hold_out(self, config: Config, pool: Pool, learned: Table) -> Fold:
        """The places of those that steer among the rows that are learned from.

        Args:
            config: its `data.validation` is the share of them.
            pool: says how they are dealt out.
            learned: the rows, of which no other columns are looked at than those that deal them.

        Raises:
            DataError: if too few rows are left to learn from.
        """
        share, seed = config.data.validation, (config.seed, self.repeat, self.fold)
        assert isinstance(share, float)
        return hold_out(learned, pool.dealt, classes_of(pool), share, seed)


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


def check_rounds(rounds: Sequence[Round], config: Config, pool: Pool) -> None:
    """Refuses folds of which one can't spare rows to steer by, before any is trained.

    Args:
        rounds: all of them.
        config: reads `data.validation`.
        pool: all rows but those of the test split.

    Raises:
        DataError: saying which fold it is.
    """
    if not _steers_by_share(config):
        return
    rows = _what_deals(pool)
    for each in rounds:
        try:
            each.hold_out(config, pool, rows.take(each.rows.train))
        except DataError as error:
            error.add_note(
                f"  so in fold {each.fold} of repeat {each.repeat}, where data.validation holds "
                "out some of the rows to learn from; give another number of --folds, or leave it "
                "out: --set data.validation=null"
            )
            raise


def _steers_by_share(config: Config) -> bool:
    """Whether each fold spares some of the rows that it could learn from."""
    return isinstance(config.data.validation, float) and not config.data.train_on_validation


def _what_deals(pool: Pool) -> Table:
    """The columns that rows are dealt out by, as taking rows of many takes long."""
    import pyarrow as pa

    names = [pool.target.columns[0]]
    if isinstance(pool.dealt, GroupSplit | TimeSplit):
        names.append(pool.dealt.column)
    return replace(pool.rows, data=pa.table({name: pool.rows.data.column(name) for name in names}))


def classes_of(pool: Pool) -> str | None:
    """The column of the classes to predict; none where there are numbers or labels."""
    return pool.target.columns[0] if pool.target.classes else None
