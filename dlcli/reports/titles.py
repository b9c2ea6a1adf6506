"""What a page is called, and what stands at its end."""

from __future__ import annotations

from dlcli import __version__
from dlcli.reports.wording import short
from dlcli.runs import Run


def title_of(run: Run) -> str:
    """What a run is called: its folder."""
    return short(run.path.resolve().name)


def footer_of(run: Run) -> str:
    """What made the page, and when the run was finished."""
    return f"Made by dlcli {__version__} of a run finished on {run.created:%Y-%m-%d %H:%M} UTC."
