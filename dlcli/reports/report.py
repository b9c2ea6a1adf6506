"""A run told on one page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dlcli.diagnosis import Finding as Diagnosed
from dlcli.diagnosis import diagnose
from dlcli.reports.asked import asked, in_short
from dlcli.reports.blocks import Attempt, Finding, Findings, Page, Section, Text
from dlcli.reports.cross_validation_page import CrossValidated, cross_validation_page
from dlcli.reports.curves import curve_charts
from dlcli.reports.data import data
from dlcli.reports.drawing import unchecked
from dlcli.reports.mattered import mattered
from dlcli.reports.page import to_html
from dlcli.reports.picture import to_png
from dlcli.reports.record import Record
from dlcli.reports.reproduce import reproduce
from dlcli.reports.result import result
from dlcli.reports.search_page import Searched, search_page
from dlcli.reports.titles import footer_of, title_of
from dlcli.reports.training import best_epoch, training
from dlcli.reports.verdict import cards, verdict
from dlcli.reports.wording import short
from dlcli.runs import Run

_MOST_FINDINGS = 20


def run_page(record: Record, findings: Sequence[Diagnosed]) -> Page:
    """The page of a run.

    Args:
        record: the run.
        findings: what `dlcli.diagnosis` says of it.
    """
    sections = [
        asked(record),
        data(record),
        training(record),
        None if record.diverged else result(record),
        mattered(record),
        _next(record, findings),
        reproduce(record),
    ]
    return Page(
        title=title_of(record.run),
        kicker="dlcli report",
        verdict=f"Predicts {in_short(record)}. {verdict(record)}",
        summary=(cards(record),),
        sections=tuple(section for section in sections if section is not None),
        footer=footer_of(record.run),
    )


def _next(record: Record, findings: Sequence[Diagnosed]) -> Section | None:
    """What to try next, if something stands out."""
    if not findings:
        return None
    config = record.run.resolved_path()
    shown = [
        Finding(
            title=short(found.saw, 600),
            text=short(found.means, 1_000),
            attempts=tuple(
                Attempt(short(patch.why, 300), patch.command(config)) for patch in found.patches
            ),
            source=short(found.source, 300),
        )
        for found in findings[:_MOST_FINDINGS]
    ]
    lead = Text("What stands out, the most important first, and a change of the config to try.")
    return Section("next", "What to try next", (lead, Findings(tuple(shown))))


@dataclass(frozen=True)
class Rendered:
    """What is made of a run."""

    page: str
    """HTML."""
    curves: bytes | None
    """The loss and the first metric as a PNG; nothing if no epoch was trained."""


def render(run: Run, *, with_curves: bool = True) -> Rendered:
    """Makes the page of a run of any kind, and the curves of a training if they are wanted.

    Raises:
        RunError: if a file of it is damaged.
    """
    if run.kind == "cv":
        return _without_curves(lambda: cross_validation_page(CrossValidated.of(run)))
    if run.kind == "tune":
        return _without_curves(lambda: search_page(Searched.of(run)))
    record = Record.of(run)
    with unchecked():
        page = to_html(run_page(record, diagnose(run)))
        charts = curve_charts(record.history, best_epoch(record))[:2] if with_curves else []
        return Rendered(page, to_png(charts, title_of(run)) if charts else None)


def _without_curves(make: Callable[[], Page]) -> Rendered:
    with unchecked():
        return Rendered(to_html(make()), None)
