"""Outcomes as people read them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from rich.console import Group
from rich.table import Table

from benchmarks.promises import PROMISES
from benchmarks.runner import Outcome


@dataclass(frozen=True)
class Column:
    """How a figure is shown."""

    title: str
    """With its unit."""
    show: Callable[[float], str]
    """A value in that unit."""


def significant(value: float) -> str:
    """Three digits that count, never in powers of ten: 0.000254, 1.20, 12.3, 4570."""
    if value == 0:
        return "0"
    digits = 2 - math.floor(math.log10(abs(value)))
    return f"{round(value, digits):.{max(digits, 0)}f}"


COLUMNS: Mapping[str, Column] = {
    "wall_seconds": Column("process, s", significant),
    "step_seconds": Column("step, s", significant),
    "epoch_seconds": Column("epoch, s", significant),
    "compile_seconds": Column("once, s", "{:.2f}".format),
    "training_seconds": Column("training, s", significant),
    "peak_bytes": Column("peak, MB", lambda value: f"{value / 1e6:.0f}"),
}
"""The figures that tables show, in order; the first that a suite has is the one compared."""


def outcome_report(outcome: Outcome) -> Group:
    """What was measured, a table, and from which epoch on dlcli is ahead."""
    heading = f"\n{outcome.name}: {outcome.title}"
    epoch = break_even(outcome)
    ahead = f"dlcli is ahead of fit from epoch {epoch} on, the compiling of all its epochs included"
    return Group(heading, _table(outcome), *([ahead] if epoch else []))


def _table(outcome: Outcome) -> Table:
    """A row a case: medians, and the compared figure over the first case's."""
    shown = [name for name in COLUMNS if any(outcome.values(c, name) for c in outcome.rounds)]
    table = Table()
    table.add_column("", no_wrap=True)
    for title in (*(COLUMNS[name].title for name in shown), "ratio"):
        table.add_column(title, justify="right", no_wrap=True)
    first = next(iter(outcome.rounds), "")
    for case in outcome.rounds:
        cells = [_cell(outcome.median(case, name), COLUMNS[name].show) for name in shown]
        ratio = outcome.ratio(case, first, shown[0])
        table.add_row(case, *cells, _cell(ratio, significant))
    return table


def promise_table(outcomes: Iterable[Outcome]) -> Table:
    """A row a promise that was measured, with what came out."""
    table = Table()
    table.add_column("workload")
    table.add_column("promise")
    for title in ("promised", "measured", "verdict"):
        table.add_column(title, justify="right")
    for row in promise_rows(outcomes):
        table.add_row(*row)
    return table


def promise_rows(outcomes: Iterable[Outcome]) -> list[tuple[str, str, str, str, str]]:
    """Workload, promise, limit, what came out, and `ok` or `short`."""
    by_name = {outcome.name: outcome for outcome in outcomes}
    rows = []
    for promise in PROMISES:
        outcome = by_name.get(promise.suite)
        measured = promise.measured(outcome) if outcome else None
        if measured is not None:
            limit = f"{'≥' if promise.at_least else '≤'} {promise.limit:g}"
            verdict = promise.verdict(measured)
            rows.append((promise.suite, promise.text, limit, significant(measured), verdict))
    return rows


def break_even(outcome: Outcome) -> int | None:
    """The first epoch by whose end dlcli, with what it does once, is ahead of `fit`."""
    ours, theirs = "dlcli", "Keras fit"
    once, once_fit = (outcome.median(case, "compile_seconds") for case in (ours, theirs))
    epoch, epoch_fit = (outcome.median(case, "epoch_seconds") for case in (ours, theirs))
    if once is None or once_fit is None or epoch is None or epoch_fit is None:
        return None
    if epoch_fit <= epoch:
        return None
    return max(1, math.floor((once - once_fit) / (epoch_fit - epoch)) + 1)


def _cell(value: float | None, show: Callable[[float], str]) -> str:
    return "–" if value is None else show(value)
