"""The rows that may choose a config: all but those of the test split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlcli.config import ConfigFile, SplitChoice
from dlcli.errors import ConfigError, Problem, UsageError
from dlcli.pipeline.dealing import deal_pool
from dlcli.pipeline.events import Events
from dlcli.pipeline.tables import read_sources, target_of
from dlcli.splitting import Split
from dlcli.tables import Table
from dlcli.tasks import TargetKind


@dataclass(frozen=True)
class Pool:
    """The rows that may choose a config."""

    rows: Table
    """Those to deal out to folds: training rows and, if they are a share, validation rows; in the
    order of their file."""
    split: Split
    """The same as `train` deals them out; its test rows are left out."""
    dealt: SplitChoice
    """How they were dealt out."""
    target: TargetKind
    """What is predicted, over all labelled rows, so that classes are the same in every fold."""
    labelled: tuple[Table, ...]
    """The tables that were read, whose targets must suit the loss: also those of test rows, as a
    config that they can't judge would be of no use."""
    set_aside: int
    """Rows of the test split, which choose nothing."""


def read_pool(file: ConfigFile, events: Events) -> Pool:
    """Reads the rows that may choose a config.

    Args:
        file: the config.
        events: are told what was found.

    Raises:
        UsageError: for a file that isn't there, or rows that are to wait on disk.
        ConfigError: for weights to start from, which may have learned from any of the rows.
        ConfigError, DataError: see the rooms that it passes through.
    """
    if file.config.initial_weights is not None:
        message = (
            "may have learned from rows that are to judge, which then could not; leave it out: "
            "--set initial_weights=null"
        )
        raise ConfigError([Problem("initial_weights", message)])
    if file.config.data.storage == "disk":
        raise UsageError(
            f"{file.path}: with data.storage: disk, rows are read anew for each training; the many "
            "trainings of a choice need them in memory: --set data.storage=memory"
        )
    sources = read_sources(file)
    for warning in dict.fromkeys(text for table in sources.tables for text in table.warnings):
        events.emit("warning", message=warning)
    target = target_of(file, sources)
    places, split, dealt = deal_pool(file, sources, target)
    held_out = 0 if split.test is None else split.test.rows
    notes = dict.fromkeys(text for table in sources.tables for text in table.notes)
    events.emit(
        "pool",
        file=sources.train.file,
        rows=len(places),
        set_aside=held_out,
        split=dealt.name,
        seed=file.config.seed,
        notes=[*notes],
    )
    whole = len(places) == sources.train.rows
    rows = sources.train if whole else sources.train.take(np.asarray(places))
    kept = Split(split.train, split.validation, None)
    return Pool(rows, kept, dealt, target, sources.tables, held_out)
