"""Where a search is carried out: its run folder and storage, opened by each process for itself."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from dlcli.config import ConfigFile
from dlcli.pipeline.data_loading import read_candidates
from dlcli.pipeline.events import Events, Listener
from dlcli.pipeline.run_recording import read_resolved
from dlcli.pipeline.tuning.budget import Budget
from dlcli.pipeline.tuning.journal import open_journal
from dlcli.pipeline.tuning.keeping import trial_stop
from dlcli.pipeline.tuning.plan import Plan
from dlcli.pipeline.tuning.pruning import pruner_of
from dlcli.pipeline.tuning.running import run_trials
from dlcli.pipeline.tuning.storage import kept_in, open_database
from dlcli.pipeline.tuning.study import Study
from dlcli.pipeline.tuning.work import Work, searched, steps_of
from dlcli.runs import RunWriter


@dataclass(frozen=True)
class Site:
    """Where a search is carried out, and until when; it can be sent to another process."""

    folder: Path
    """The run folder, which the process holds that began the search."""
    run: str
    """Its token."""
    storage: str | None
    """The URL of the storage, password and all; `None`: it is in the folder."""
    seconds: float | None = None
    """How long trials may begin."""
    spent: float = 0.0
    """What of it was used up by then."""
    began: float = 0.0
    """When that was, by the clock on the wall, which processes share."""
    threads: int | Literal["auto"] | None = None
    """CPU threads of each process; as the config has it, if left out."""

    @property
    def file(self) -> ConfigFile:
        """The search's config, with the threads of each process.

        Raises:
            RunError: if it is damaged.
        """
        file = read_resolved(RunWriter(self.folder))
        threads = file.config.threads if self.threads is None else self.threads
        return replace(file, config=file.config.model_copy(update={"threads": threads}))

    def study(self) -> Study:
        """The study.

        Raises:
            UsageError, RunError, TrainingError: if its storage can't be used.
        """
        file = self.file
        steps = steps_of(file.config)
        storage = open_journal(self.folder) if self.storage is None else open_database(self.storage)
        pruner = pruner_of(searched(file).pruner, steps)
        return Study(Plan.of(file), storage, self.run, pruner, steps.most)

    @property
    def budget(self) -> Budget:
        """The time in which trials may begin."""
        return Budget(self.seconds, self.spent + time.time() - self.began)


def work_at(site: Site, listener: Listener) -> None:
    """What each of several processes does: it tries candidates until there are enough.

    Args:
        site: where.
        listener: is told of trials; what is found in the rows was told before.

    Raises:
        Interrupted: if a signal has come.
        DlcliError: of the kind that fits.
    """
    file, quiet = site.file, Events(lambda *_: None)
    with file.located():
        work = Work.of(file, read_candidates(file, quiet), quiet)
        study = site.study()
        keeper = trial_stop(RunWriter(site.folder), study)
        with keeper.handling_signals(), kept_in(site.folder, site.storage):
            run_trials(work, study, site.budget, keeper, Events(listener))
