"""Pages made and stored in their run's folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from dlcli.reports.log import Log
from dlcli.reports.report import render
from dlcli.runs import Run, write_curves, write_page

LONG_SECONDS = 60.0
"""Of a training beside which the few seconds of making a page are little."""


def make(run: Run) -> Path:
    """Makes a run's page and the picture of its curves, in the place of earlier ones.

    Returns:
        The page.

    Raises:
        RunError: if a file of the run is damaged, or the page can't be stored.
    """
    made = render(run)
    if made.curves is not None:
        write_curves(run, made.curves)
    return write_page(run, made.page)


def make_if_cheap(run: Run, tell: Callable[[str, dict[str, object]], None]) -> None:
    """Makes the page of a run that has just been trained, if that took much longer.

    The run is whole by then and stays so: if the page can't be made, that is only told.

    Args:
        run: the run.
        tell: is told an event: `report` with the page, or a `warning`.
    """
    try:
        trained = Log.of(run).trained
        if trained is None or trained.seconds is None or trained.seconds < LONG_SECONDS:
            return
        tell("report", {"page": str(make(run))})
    except Exception as error:  # of whatever kind: nothing may spoil the end of a long training
        way_on = f"the run is whole; try again with: dlcli report {run.path}"
        tell("warning", {"message": f"the report could not be made: {error}; {way_on}"})
