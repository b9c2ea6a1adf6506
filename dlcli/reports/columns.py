"""The columns of the data: what they were taken for, and how their values are distributed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from dlcli.explanation import ColumnStatistics, Histogram, ValueCount
from dlcli.reports.blocks import Chart, ColumnCard, ColumnCards, Table
from dlcli.reports.drawing import base, finished, hints, layered, listed, quantity
from dlcli.reports.theme import variable
from dlcli.reports.wording import moment, number, percent, rounded, short, shorts

if TYPE_CHECKING:
    import altair as alt

MOST_CARDS = 60
MOST_IN_SIGHT = 12
"""Of these cards; the others are folded."""
MOST_LISTED = 500
_VALUES = 8
_LARGE = 10_000
"""Numbers from which on `12k` is shorter than all digits."""
_HEIGHT = 90


def column_cards(columns: Sequence[ColumnStatistics], rows: int) -> ColumnCards:
    """A card for each column.

    Args:
        columns: as the explanation has them.
        rows: how many training rows there are.
    """
    pairs = zip(shorts(column.name for column in columns), columns, strict=True)
    return ColumnCards(tuple(_card(name, column, rows) for name, column in pairs))


def _card(name: str, column: ColumnStatistics, rows: int) -> ColumnCard:
    role = "" if column.role == "feature" else f"{column.role}, "
    return ColumnCard(name, role + short(column.type), tuple(_facts(column, rows)), _chart(column))


def _facts(column: ColumnStatistics, rows: int) -> list[str]:
    facts = [column.reason and short(column.reason)]
    if _is_time(column):
        facts.append(f"from {_range(column)}")
    elif column.mean is not None:
        facts.append(f"mean {number(column.mean)}, from {_range(column)}")
    elif column.distinct is not None:
        facts.append(f"{column.distinct:,} different")
    if column.missing:
        share = f" ({percent(column.missing / rows)})" if rows else ""
        facts.append(f"{column.missing:,} missing{share}")
    return [fact for fact in facts if fact]


def _is_time(column: ColumnStatistics) -> bool:
    """Whether its numbers are seconds since 1970; runs of before don't tell any."""
    return column.type == "datetime" and column.minimum is not None


def _range(column: ColumnStatistics) -> str:
    shown = moment if _is_time(column) else number
    return f"{shown(column.minimum)} to {shown(column.maximum)}"


def column_table(columns: Sequence[ColumnStatistics]) -> Table:
    """All columns with their numbers, up to `MOST_LISTED`."""
    shown = columns[:MOST_LISTED]
    rows = tuple(
        (
            name,
            f"{short(column.type)} ({column.role})"
            if column.role != "feature"
            else short(column.type),
            short(column.reason),
            f"{column.missing:,}",
            "" if column.distinct is None else f"{column.distinct:,}",
            number(column.mean) if column.mean is not None else "",
            _range(column) if column.minimum is not None else "",
            f"{column.inputs:,}" if column.inputs else "",
        )
        for name, column in zip(shorts(column.name for column in shown), shown, strict=True)
    )
    header = ("column", "type", "why", "missing", "different", "mean", "range", "inputs")
    return Table(header, rows, "All columns", texts=3)


def _chart(column: ColumnStatistics) -> Chart | None:
    if column.histogram is not None and any(column.histogram.train):
        drawn = _time_histogram if _is_time(column) else _histogram
        return drawn(column, column.histogram)
    values = column.values[:_VALUES]
    return _frequencies(column, values) if any(value.train for value in values) else None


def _histogram(column: ColumnStatistics, histogram: Histogram) -> Chart:
    edges, train, held_out = histogram.edges, histogram.train, histogram.held_out
    trained, held = max(1, sum(train)), max(1, sum(held_out))
    bins = list(zip(edges, edges[1:], train, held_out, strict=False))
    rows = [
        {"a": rounded(a), "b": rounded(b), "t": rounded(t / trained), "h": rounded(h / held)}
        for a, b, t, h in bins
    ]
    form = "~s" if max(abs(edges[0]), abs(edges[-1])) >= _LARGE else ".4~g"
    # A step line ends with the last bin only if there is a point where that ends.
    ends = [{**row, "m": row["a"]} for row in rows] + [{**rows[-1], "m": rows[-1]["b"]}]
    return Chart(
        title=short(column.name),
        spec=finished(_histogram_drawing(form), rows=rows, steps=ends if any(held_out) else []),
        shows=f"Distribution of {short(column.name)}: from {_range(column)}, mean "
        f"{number(column.mean)}.",
    )


def _time_histogram(column: ColumnStatistics, histogram: Histogram) -> Chart:
    """The same of times: Vega takes them in milliseconds, of which six digits were too few."""
    trained, held = max(1, sum(histogram.train)), max(1, sum(histogram.held_out))
    bins = zip(
        histogram.edges, histogram.edges[1:], histogram.train, histogram.held_out, strict=False
    )
    rows = [
        {
            "a": 1000 * a,
            "b": 1000 * b,
            "f": moment(a),
            "u": moment(b),
            "t": rounded(t / trained),
            "h": rounded(h / held),
        }
        for a, b, t, h in bins
    ]
    ends = [{**row, "m": row["a"]} for row in rows] + [{**rows[-1], "m": rows[-1]["b"]}]
    steps = ends if any(histogram.held_out) else []
    return Chart(
        title=short(column.name),
        spec=finished(_time_drawing(), rows=rows, steps=steps),
        shows=f"Distribution of {short(column.name)}: from {_range(column)}.",
    )


@cache
def _time_drawing() -> alt.LayerChart:
    import altair as alt

    few = alt.Axis(tickCount=3, grid=False)
    time = {"type": "temporal", "title": None, "scale": alt.Scale(type="utc"), "axis": few}
    tips = hints(f="from", u="to", t="of training rows|.1%", h="of held-out rows|.1%")
    bars = (
        base()
        .mark_rect(color=variable("bar"))
        .encode(
            x={"field": "a", **time},
            x2="b",
            y=quantity("t", zero=True, axis=None),
            y2={"datum": 0},
            tooltip=tips,
        )
    )
    line = base("steps").mark_line(
        color=variable("validation"), interpolate="step-after", strokeWidth=1.5
    )
    steps = line.encode(x={"field": "m", **time}, y=quantity("h", zero=True, axis=None))
    return layered(bars, steps, height=_HEIGHT)


@cache
def _histogram_drawing(form: str) -> alt.LayerChart:
    import altair as alt

    few = alt.Axis(tickCount=3, grid=False, format=form)
    share = quantity("t", zero=True, axis=None)
    tips = hints(a="from|.4~g", b="to|.4~g", t="of training rows|.1%", h="of held-out rows|.1%")
    bars = (
        base()
        .mark_bar(color=variable("bar"), binSpacing=0.5)
        .encode(x=quantity("a", bin="binned", axis=few), x2="b", y=share, tooltip=tips)
    )
    line = base("steps").mark_line(
        color=variable("validation"), interpolate="step-after", strokeWidth=1.5
    )
    steps = line.encode(x=quantity("m", axis=few), y=quantity("h", zero=True, axis=None))
    return layered(bars, steps, height=_HEIGHT)


def _frequencies(column: ColumnStatistics, values: Sequence[ValueCount]) -> Chart:
    names = shorts((value.value for value in values), 24)
    train = max(1, sum(value.train for value in column.values))
    held = max(1, sum(value.held_out for value in column.values))
    rows = [
        {
            "v": name,
            "t": rounded(each.train / train),
            "h": rounded(each.held_out / held),
            "n": each.train,
        }
        for name, each in zip(names, values, strict=True)
    ]
    has_held_out = any(value.held_out for value in values)
    height = max(_HEIGHT, 17 * len(names))
    drawing = _frequency_drawing(tuple(names), height)
    return Chart(
        title=short(column.name),
        spec=finished(drawing, rows=rows, ticks=rows if has_held_out else []),
        shows=f"Most frequent values of {short(column.name)}: "
        + ", ".join(
            f"{name} ({each.train:,})" for name, each in zip(names[:3], values, strict=False)
        )
        + ".",
    )


@cache
def _frequency_drawing(names: tuple[str, ...], height: int) -> alt.LayerChart:

    y = listed("v", names, labelLimit=110, labelFontSize=11)
    x = quantity("t", zero=True, axis=None)
    tips = hints(
        v="value", n="training rows|,d", t="of training rows|.1%", h="of held-out rows|.1%"
    )
    bars = base().mark_bar(color=variable("bar")).encode(x=x, y=y, tooltip=tips)
    ticks = base("ticks").mark_tick(color=variable("validation"), thickness=2)
    return layered(bars, ticks.encode(x=quantity("h", zero=True, axis=None), y=y), height=height)
