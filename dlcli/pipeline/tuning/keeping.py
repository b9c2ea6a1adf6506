"""End a search when a signal arrives: finished trials are stored by then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlcli.errors import plural
from dlcli.pipeline.checkpointing import StopOnSignal
from dlcli.runs import RunWriter

if TYPE_CHECKING:
    from dlcli.pipeline.tuning.study import Study


def trial_stop(writer: RunWriter, study: Study | None = None) -> StopOnSignal:
    """Return what ends the training of a candidate when a signal arrives.

    Args:
        writer: the run.
        study: gives the number of finished trials for the message.
    """

    def describe() -> str:
        return plural(0 if study is None else len(study.results()), "trial")

    return StopOnSignal(writer, describe, resumable=True)
