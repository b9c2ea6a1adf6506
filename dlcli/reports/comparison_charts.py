"""Charts of several runs: their curves one on the other, and their metrics with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from dlcli.metrics import Estimate
from dlcli.pipeline import Interval
from dlcli.reports.blocks import Chart, Table
from dlcli.reports.curves import drawn_epochs, spans_decades
from dlcli.reports.drawing import base, coloured, finished, hints, layered, listed, quantity
from dlcli.reports.theme import kinds
from dlcli.reports.wording import number, plain, rounded

if TYPE_CHECKING:
    import altair as alt

_ROW_HEIGHT = 34
"""Of a run in a chart of intervals, in pixels."""


def overlaid_curves(title: str, lines: Mapping[str, Sequence[float]], runs: Sequence[str]) -> Chart:
    """What was measured at each epoch, a line for each run.

    Args:
        title: of what was measured.
        lines: by the run's name.
        runs: all runs, in the order of their colours.
    """
    colours = dict(zip(runs, kinds(len(runs)), strict=True))
    points = [
        {"e": at + 1, "v": rounded(values[at]), "s": name}
        for name, values in lines.items()
        for at in drawn_epochs(values)
    ]
    return Chart(
        title=title[:1].upper() + title[1:],
        spec=finished(_curves(tuple(lines), tuple(colours[name] for name in lines)), rows=points),
        shows=_shows(lines),
        numbers=_last(lines),
        legend=tuple((name, colours[name]) for name in lines),
        offers_log=spans_decades(lines),
    )


def _shows(lines: Mapping[str, Sequence[float]]) -> str:
    each = [
        f"{name} from {number(values[0])} to {number(values[-1])}" for name, values in lines.items()
    ]
    return f"{'; '.join(each)}."


def _last(lines: Mapping[str, Sequence[float]]) -> Table:
    """Where each line begins and ends, and its least and greatest value."""
    rows = []
    for name, values in lines.items():
        finite = [value for value in values if np.isfinite(value)]
        ends = (values[0], min(finite, default=None), max(finite, default=None), values[-1])
        rows.append((name, f"{len(values):,}", *map(number, ends)))
    header = ("run", "epochs", "first", "least", "greatest", "last")
    return Table(header, tuple(rows))


@cache
def _curves(names: tuple[str, ...], colours: tuple[str, ...]) -> alt.LayerChart:
    import altair as alt

    epoch = quantity("e", "epoch", axis=alt.Axis(tickMinStep=1, format=",d"))
    value = quantity("v", "")
    colour = coloured("s", names, colours)
    near = alt.selection_point(
        name="near", on="pointermove", nearest=True, fields=["e"], empty=False
    )
    line = base().mark_line().encode(x=epoch, y=value, color=colour)
    points = (
        base()
        .mark_circle(size=60)
        .encode(
            x=epoch,
            y=value,
            color=colour,
            opacity=alt.when(near).then(alt.value(1)).otherwise(alt.value(0)),
            tooltip=hints(s="run", e="epoch|,d", v="value|.5~g"),
        )
        .add_params(near)
    )
    return layered(line, points)


def interval_chart(metric: str, estimates: Mapping[str, Estimate], runs: Sequence[str]) -> Chart:
    """A metric of each run with its interval.

    Args:
        metric: its name.
        estimates: by the run's name; those without a value are left out.
        runs: all runs, in the order of their colours.
    """
    colours = dict(zip(runs, kinds(len(runs)), strict=True))
    known = {name: each for name, each in estimates.items() if each.value is not None}
    rows = [
        {"s": name, "v": each.value, "l": each.lower, "u": each.upper}
        for name, each in known.items()
    ]
    title = plain(metric)
    return Chart(
        title=title[:1].upper() + title[1:],
        spec=finished(_intervals(tuple(known), tuple(colours[name] for name in known)), rows=rows),
        shows="; ".join(f"{name} {in_words(each)}" for name, each in known.items()) + ".",
    )


def in_words(estimate: Estimate | Interval) -> str:
    """A value with its interval: `0.85 (0.83 to 0.87)`."""
    if estimate.lower is None or estimate.upper is None:
        return number(estimate.value)
    return f"{number(estimate.value)} ({number(estimate.lower)} to {number(estimate.upper)})"


@cache
def _intervals(names: tuple[str, ...], colours: tuple[str, ...]) -> alt.LayerChart:
    run, colour = listed("s", names), coloured("s", names, colours)
    tips = hints(s="run", v="value|.5~g", l="from|.5~g", u="to|.5~g")
    ends = base().mark_rule(strokeWidth=3, opacity=0.5)
    ends = ends.encode(x=quantity("l", ""), x2="u:Q", y=run, color=colour, tooltip=tips)
    values = base().mark_circle(size=110, opacity=1)
    values = values.encode(x=quantity("v", ""), y=run, color=colour, tooltip=tips)
    return layered(ends, values, height=_ROW_HEIGHT * len(names) + 10)
