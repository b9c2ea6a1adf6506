"""Show outcomes and targets as tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from rich.console import Group
from rich.table import Table

from benchmarks.runner import Outcome
from benchmarks.targets import TARGETS


@dataclass(frozen=True)
class Column:
    """The format of a figure."""

    title: str
    """The title, with the unit."""
    show: Callable[[float], str]
    """Formats a value in that unit."""


def significant(value: float) -> str:
    """Format three significant digits, never with an exponent: 0.000254, 1.20, 12.3, 4570."""
    if value == 0:
        return "0"
    digits = 2 - math.floor(math.log10(abs(value)))
    return f"{round(value, digits):.{max(digits, 0)}f}"


COLUMNS: Mapping[str, Column] = {
    "wall_seconds": Column("process, s", significant),
    "cpu_seconds": Column("CPU, s", significant),
    "step_seconds": Column("step, s", significant),
    "epoch_seconds": Column("epoch, s", significant),
    "compile_seconds": Column("once, s", "{:.2f}".format),
    "training_seconds": Column("training, s", significant),
    "peak_bytes": Column("peak, MB", lambda value: f"{value / 1e6:.0f}"),
}
"""The figures in tables, in order; `ratio` is computed from the first one of a suite."""


def outcome_report(outcome: Outcome) -> Group:
    """Return a heading, a table, and the epoch from which dlcli is faster than `fit`."""
    heading = f"\n{outcome.name}: {outcome.title}"
    epoch = break_even(outcome)
    faster = f"dlcli is faster than fit from epoch {epoch} on, including compilation"
    return Group(heading, _table(outcome), *([faster] if epoch else []))


def _table(outcome: Outcome) -> Table:
    """Return a row per case: medians, and the ratio to the first case."""
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


def target_table(outcomes: Iterable[Outcome]) -> Table:
    """Return a row per measured target."""
    table = Table()
    table.add_column("workload")
    table.add_column("target")
    for title in ("limit", "measured", "verdict"):
        table.add_column(title, justify="right")
    for row in target_rows(outcomes):
        table.add_row(*row)
    return table


def target_rows(outcomes: Iterable[Outcome]) -> list[tuple[str, str, str, str, str]]:
    """Return workload, target, limit, measured value and verdict of each measured target."""
    by_name = {outcome.name: outcome for outcome in outcomes}
    rows = []
    for target in TARGETS:
        outcome = by_name.get(target.suite)
        measured = target.measured(outcome) if outcome else None
        if measured is not None:
            limit = f"{'≥' if target.at_least else '≤'} {target.limit:g}"
            verdict = target.verdict(measured)
            rows.append((target.suite, target.text, limit, significant(measured), verdict))
    return rows


def break_even(outcome: Outcome) -> int | None:
    """Return the first epoch by whose end dlcli, including compilation, is faster than `fit`."""
    ours, keras = "dlcli", "Keras fit"
    once, once_fit = (outcome.median(case, "compile_seconds") for case in (ours, keras))
    epoch, epoch_fit = (outcome.median(case, "epoch_seconds") for case in (ours, keras))
    if once is None or once_fit is None or epoch is None or epoch_fit is None:
        return None
    if epoch_fit <= epoch:
        return None
    return max(1, math.floor((once - once_fit) / (epoch_fit - epoch)) + 1)


def _cell(value: float | None, show: Callable[[float], str]) -> str:
    return "–" if value is None else show(value)
