"""Reports of runs of any kind, written to their folders."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dlcli.reports.cross_validation_report import cross_validation_view
from dlcli.reports.html_page import to_html
from dlcli.reports.png import to_png
from dlcli.reports.run_record import Log, TrainingRecord
from dlcli.reports.run_report import training_view
from dlcli.reports.search_report import search_view
from dlcli.reports.training_section import curve_charts
from dlcli.runs import Run, write_curves, write_page

LONG_SECONDS = 60.0
"""Duration of a training next to which the few seconds of making a page are short."""


@dataclass(frozen=True)
class Report:
    """The files of a report."""

    html: str
    curves: bytes | None
    """A PNG of the loss and the first metric of a training; `None` if there are none."""


def render_report(run: Run, *, with_curves: bool = True) -> Report:
    """Make the page of a run of any kind, and the curves of a training if they are wanted.

    Raises:
        RunError: if a file of the run is damaged.
    """
    if run.kind == "cv":
        return Report(to_html(cross_validation_view(run)), None)
    if run.kind == "tune":
        return Report(to_html(search_view(run)), None)
    record = TrainingRecord.of(run)
    html = to_html(training_view(record))
    charts = curve_charts(record.history, record.best_epoch)[:2] if with_curves else []
    return Report(html, to_png(charts, record.title) if charts else None)


def write_report(run: Run) -> Path:
    """Write the page and the picture of a run to its folder, in the place of earlier ones.

    Returns:
        The page.

    Raises:
        RunError: if a file of the run is damaged, or the page can't be stored.
    """
    report = render_report(run)
    if report.curves is not None:
        write_curves(run, report.curves)
    return write_page(run, report.html)


def write_report_if_cheap(run: Run, emit: Callable[[str, dict[str, object]], None]) -> None:
    """Write the report of a run that has just been trained, if training took much longer.

    The run is complete by then: if the report fails, that is only a warning.

    Args:
        run: the run.
        emit: takes an event: `report` with the page, or a `warning`.
    """
    try:
        trained = Log.of(run).trained
        if trained is None or trained.seconds is None or trained.seconds < LONG_SECONDS:
            return
        emit("report", {"page": str(write_report(run))})
    except Exception as error:  # of any kind: nothing may spoil the end of a long training
        retry = f"the run is complete; try again with: dlcli report {run.path}"
        emit("warning", {"message": f"the report could not be made: {error}; {retry}"})
