"""What came of each setting: the candidates' values against it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from dlcli.pipeline import Dimension, TrialResult
from dlcli.reports.blocks import Chart
from dlcli.reports.candidates import (
    Candidates,
    choice_of,
    place_on_axis,
    spaced,
    value_of,
    value_text,
)
from dlcli.reports.drawing import base, finished, hints, layered, listed, quantity, slant
from dlcli.reports.theme import variable
from dlcli.reports.wording import number, rounded, short, shorts

if TYPE_CHECKING:
    import altair as alt

MOST_CHARTS = 6
MOST_POINTS = 500
"""Candidates of a chart."""
_MOST_CHOICES = 30
_NEAR = 10
"""The ratio of ends up to which a logarithmic axis has ticks between powers of ten."""
_TICKS = 4
"""Steps from the first tick of whole numbers to the last, at most."""


def setting_charts(candidates: Candidates) -> list[Chart]:
    """A chart of each of the settings that matter most."""
    charts = (_chart(candidates, each) for each in candidates.dimensions)
    return list(islice((chart for chart in charts if chart is not None), MOST_CHARTS))


def _chart(candidates: Candidates, dimension: Dimension) -> Chart | None:
    """The candidates against one setting; nothing if none has it."""
    path = dimension.path
    having = [
        each
        for each in candidates.complete
        if path in each.values and place_on_axis(dimension, each.values[path]) is not None
    ]
    if not having:
        return None
    draw = _choices if dimension.kind == "choice" else _numbers
    return draw(candidates, dimension, having)


def _numbers(candidates: Candidates, dimension: Dimension, having: Sequence[TrialResult]) -> Chart:
    """The values against a number.

    Args:
        candidates: all.
        dimension: the setting.
        having: those that have it, the best first.
    """
    path = dimension.path
    points = [
        {"x": each.values[path], **_valued(candidates, each)}
        for each in spaced(having, MOST_POINTS)
    ]
    is_log = dimension.log and (dimension.low or 0) > 0
    shown = [x for each in having if isinstance(x := each.values[path], int | float)]
    is_far = is_log and max(shown) > _NEAR * min(shown)
    is_whole = dimension.kind == "integer" and not is_far
    ticks = whole_ticks(min(shown), max(shown)) if is_whole else ()
    drawing = _number_drawing(short(path, 40), short(candidates.search.metric, 40), ticks, is_log)
    at = value_text(having[0].values[path])
    return Chart(
        title=short(path),
        spec=finished(drawing, rows=points, best=points[:1]),
        shows=f"The best value, {number(having[0].value)}, is at {at}; {number(dimension.low)} to "
        f"{number(dimension.high)} was allowed.",
    )


def whole_ticks(least: float, greatest: float) -> tuple[int, ...]:
    """Some whole numbers at even distances from the least to the greatest.

    Vega's own ticks of few whole numbers lie between them, whatever its `tickMinStep`.
    """
    low, high = math.ceil(least), math.floor(greatest)
    return tuple(range(low, high + 1, max(1, math.ceil((high - low) / _TICKS))))


def _choices(candidates: Candidates, dimension: Dimension, having: Sequence[TrialResult]) -> Chart:
    """The values by choice, as in `_numbers`."""
    names = shorts(map(value_text, dimension.choices), 24)
    chosen = {id(each): _name(dimension, each, names) for each in having}
    points = [
        {"x": chosen[id(each)], **_valued(candidates, each)} for each in spaced(having, MOST_POINTS)
    ]
    medians = {
        name: statistics.median(value_of(each) for each in having if chosen[id(each)] == name)
        for name in dict.fromkeys(chosen.values())
    }
    marks = [{"x": name, "p": rounded(candidates.drawn(each))} for name, each in medians.items()]
    some = set(names[:_MOST_CHOICES])
    setting, metric = short(dimension.path, 40), short(candidates.search.metric, 40)
    return Chart(
        title=short(dimension.path),
        spec=finished(
            _choice_drawing(tuple(names[:_MOST_CHOICES]), setting, metric),
            rows=[row for row in points if row["x"] in some],
            medians=[row for row in marks if row["x"] in some],
            best=[row for row in points[:1] if row["x"] in some],
        ),
        shows=_medians(medians, candidates.search.direction),
    )


def _name(dimension: Dimension, trial: TrialResult, names: Sequence[str]) -> str:
    at = choice_of(dimension, trial.values[dimension.path])
    assert at is not None  # as it has a place on the axis
    return names[at]


def _medians(medians: Mapping[str, float], direction: str) -> str:
    """Which choice has the best median, and which the worst."""
    order = sorted(medians, key=lambda name: medians[name], reverse=direction == "maximize")
    best, worst = order[0], order[-1]
    other = f", worst with {worst} ({number(medians[worst])})" if len(order) > 1 else ""
    return f"The median is best with {best} ({number(medians[best])}){other}."


def _valued(candidates: Candidates, trial: TrialResult) -> dict[str, object]:
    value = value_of(trial)
    return {"p": rounded(candidates.drawn(value)), "v": rounded(value), "n": trial.number}


@cache
def _number_drawing(
    setting: str, metric: str, ticks: tuple[int, ...], is_log: bool
) -> alt.LayerChart:
    import altair as alt

    scale = alt.Scale(type="log", nice=False) if is_log else alt.Scale(zero=False, nice=False)
    some: dict[str, Any] = {"values": list(ticks)} if ticks else {"tickCount": 4}
    x = quantity("x", setting, scale=scale, axis=alt.Axis(format="~g", **some))
    return _points(x, metric, hints(n="candidate|,d", x=f"{setting}|.5~g", v=f"{metric}|.5~g"))


@cache
def _choice_drawing(names: tuple[str, ...], setting: str, metric: str) -> alt.LayerChart:
    import altair as alt

    x = listed("x", names, setting, labelAngle=slant(names))
    x["scale"] = alt.Scale(domain=list(names))
    drawing = _points(x, metric, hints(n="candidate|,d", x=setting, v=f"{metric}|.5~g"))
    medians = base("medians").mark_tick(thickness=3, size=26, orient="horizontal")
    medians = medians.encode(x=x, y=quantity("p", metric), color=alt.value(variable("ink")))
    drawing.layer.insert(1, medians)
    return drawing


def _points(x: dict[str, Any], metric: str, tips: list[alt.Tooltip]) -> alt.LayerChart:
    """The candidates, and the best of them on top."""
    y = quantity("p", metric)
    points = base().mark_circle(size=40, opacity=0.45, color=variable("train"))
    best = base("best").mark_circle(size=110, opacity=1, color=variable("validation"))
    layers = [each.encode(x=x, y=y, tooltip=tips) for each in (points, best)]
    return layered(*layers, height=200)
