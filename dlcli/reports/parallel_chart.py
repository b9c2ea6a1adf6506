"""All settings of candidates at once: parallel coordinates, an axis below the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from dlcli.errors import plural
from dlcli.pipeline import Dimension, TrialResult
from dlcli.reports.blocks import Chart
from dlcli.reports.candidates import (
    Candidates,
    place_on_axis,
    settings_text,
    spaced,
    ticks_of,
    value_of,
)
from dlcli.reports.drawing import Rows, base, coloured, finished, hints, layered, quantity
from dlcli.reports.search_charts import beyond
from dlcli.reports.theme import variable
from dlcli.reports.wording import number, rounded, short, shorts

if TYPE_CHECKING:
    import altair as alt

MOST_LINES = 240
"""Candidates that are drawn."""
MOST_AXES = 60
_FIRST = 60
"""Candidates, from the best, all of which are drawn."""
_ROW_HEIGHT = 58
_GROUPS = {
    "the other half": ("muted", 0.25, 1.0),
    "the better half": ("bar", 0.45, 1.2),
    "the best quarter": ("train", 0.7, 1.4),
    "the best tenth": ("validation", 1.0, 2.0),
}
"""By rank: colour, opacity and width of a line; the last lie on top."""
_SHARES = (0.1, 0.25, 0.5)
_TOLD = 10
"""Settings that a tooltip tells."""
_MOST_STEPS = 12
"""Values of a setting up to which lines through one value are spread, so as not to hide another."""
_SPREAD = 0.1
"""The most of an axis over which they are."""
_TURN = 0.618034
"""Steps of this part of 1 fill it evenly, however many they are: the golden ratio's."""


def parallel_chart(candidates: Candidates) -> Chart | None:
    """A line for each candidate through its value on each axis; nothing for a single axis or line.

    The axes lie below one another, so that their names have room, also on a phone.
    """
    dimensions = candidates.search.dimensions[:MOST_AXES]
    if len(candidates.complete) < 2 or not dimensions:
        return None
    shown = spaced(candidates.complete, MOST_LINES, _FIRST)
    axes = [f"d{at}" for at in range(len(dimensions) + 1)]
    metric = short(candidates.search.metric, 40)
    return Chart(
        title="All settings at once",
        spec=finished(
            _drawing(tuple(axes), tuple(_GROUPS), metric),
            lines=_lines(candidates, shown, dimensions),
            axes=_names(candidates, dimensions, metric),
            **_ticks(candidates, dimensions),
        ),
        shows=" ".join(_shows(candidates, len(shown), len(dimensions))),
        reading="Each line is a candidate; where it crosses an axis lies its setting, and on the "
        "last axis what came of it. Lines through one value lie side by side. Where those of the "
        "best run close together, that setting matters; where they are spread out, it hardly does. "
        "An axis whose best lines all lie at one end may be worth extending there.",
        legend=tuple((name, colour) for name, (colour, *_) in reversed(_GROUPS.items())),
    )


def _lines(
    candidates: Candidates, shown: Sequence[TrialResult], dimensions: Sequence[Dimension]
) -> Rows:
    """A row for each candidate, the worst first; `d0`, `d1`, ... are its places on the axes."""
    ranks = {id(each): at for at, each in enumerate(candidates.complete)}
    told = [each for each in candidates.dimensions if each in dimensions][:_TOLD]
    last = _metric_axis(candidates)
    rows: list[dict[str, object]] = []
    for each in reversed(shown):
        places = [_place(dimension, each) for dimension in dimensions]
        places.append(_rounded(place_on_axis(last, candidates.drawn(value_of(each)))))
        rows.append(
            {
                "n": each.number,
                "v": rounded(value_of(each)),
                "g": _group(ranks[id(each)], len(candidates.complete)),
                "s": settings_text(each.values, told, 300),
                **{f"d{at}": place for at, place in enumerate(places)},
            }
        )
    return rows


def _place(dimension: Dimension, trial: TrialResult) -> float | None:
    if dimension.path not in trial.values:
        return None
    place = place_on_axis(dimension, trial.values[dimension.path])
    if place is None:
        return None
    turned = (trial.number or 0) * _TURN % 1 - 0.5
    return _rounded(place + turned * _width(dimension))


def _rounded(place: float | None) -> float | None:
    return None if place is None else round(place, 4)


def _width(dimension: Dimension) -> float:
    """The part of an axis over which the lines through one value are spread; 0 of many values."""
    steps = len(dimension.choices)
    if dimension.kind == "integer" and dimension.low is not None and dimension.high is not None:
        steps = int(dimension.high - dimension.low) + 1
    return min(_SPREAD, 0.5 / max(1, steps - 1)) if 0 < steps <= _MOST_STEPS else 0.0


def _group(rank: int, count: int) -> str:
    """Which part of all candidates one of a rank, from 0, belongs to; there is always a first."""
    names = list(_GROUPS)
    for share, name in zip(_SHARES, reversed(names), strict=False):
        if rank < max(1, share * count):
            return name
    return names[0]


def _metric_axis(candidates: Candidates) -> Dimension:
    """The last axis: from the least to the greatest value that is drawn."""
    drawn = [candidates.drawn(value_of(each)) for each in candidates.complete]
    return Dimension(path="", kind="float", low=min(drawn), high=max(drawn))


def _names(candidates: Candidates, dimensions: Sequence[Dimension], metric: str) -> Rows:
    better = "lower" if candidates.search.direction == "minimize" else "higher"
    names = shorts((each.path for each in dimensions), 60)
    shown = [
        f"{name} (logarithmic)" if each.log else name
        for name, each in zip(names, dimensions, strict=True)
    ]
    shown.append(f"{metric}: {better} is better")
    return [{"k": f"d{at}", "t": name, "x": 0, "y": 1} for at, name in enumerate(shown)]


def _ticks(candidates: Candidates, dimensions: Sequence[Dimension]) -> dict[str, Rows]:
    """What stands at the left end of axes, at the right end, and between."""
    found: dict[str, list[dict[str, object]]] = {"starts": [], "middles": [], "ends": []}
    for at, dimension in enumerate((*dimensions, _metric_axis(candidates))):
        for place, text in ticks_of(dimension):
            where = {0.0: "starts", 1.0: "ends"}.get(place, "middles")
            found[where].append({"k": f"d{at}", "x": round(place, 4), "t": text})
    return dict(found)


def _shows(candidates: Candidates, shown: int, axes: int) -> list[str]:
    best, count = candidates.complete[0], len(candidates.complete)
    told = [f"{plural(count, 'finished candidate')} in {plural(axes, 'setting')}."]
    if shown < count:
        told.append(f"Drawn are the best {_FIRST:,} and {shown - _FIRST:,} of the others.")
    if rest := len(candidates.search.dimensions) - axes:
        told.append(f"{plural(rest, 'more setting')} not shown.")
    settings = settings_text(best.values, candidates.dimensions[:_TOLD], 400)
    told.append(f"The best, {number(best.value)}: {settings}.")
    return [*told, *beyond(candidates)]


@cache
def _drawing(axes: tuple[str, ...], groups: tuple[str, ...], metric: str) -> alt.LayerChart:
    import altair as alt

    y = {
        "field": "k",
        "type": "nominal",
        "title": None,
        "axis": None,
        "sort": list(axes),
        "scale": alt.Scale(domain=list(axes)),
    }
    x = quantity("x", None, scale=alt.Scale(domain=[-_SPREAD / 2, 1 + _SPREAD / 2]), axis=None)
    styles = [_GROUPS[name] for name in groups]
    lines = (
        base("lines")
        .mark_line(strokeJoin="round")
        .transform_fold(list(axes), as_=["k", "x"])
        .transform_calculate(o="toNumber(slice(datum.k, 1))")
        .encode(
            x=x,
            y=y,
            order=alt.Order(field="o", type="quantitative"),
            detail=alt.Detail(field="n", type="nominal"),
            color=coloured("g", groups, [colour for colour, _, _ in styles]),
            opacity=alt.Opacity(**_styled(groups, [opacity for _, opacity, _ in styles])),
            strokeWidth=alt.StrokeWidth(**_styled(groups, [width for _, _, width in styles])),
            tooltip=hints(n="candidate|,d", v=f"{metric}|.5~g", s="settings"),
        )
    )
    rules = base("axes").mark_rule(color=variable("muted"), opacity=0.8).encode(x=x, x2="y:Q", y=y)
    texts = [
        drawn.encode(x=x, y=y, text=alt.Text(field="t", type="nominal")) for drawn in _labels()
    ]
    return layered(rules, lines, *texts, height=_ROW_HEIGHT * len(axes))


def _labels() -> Iterator[alt.Chart]:
    """Yields the names of the axes, above them, and their ends, below; each on a pale ground."""
    name: dict[str, Any] = {"dy": -11, "fontWeight": 600, "color": variable("ink")}
    tick: dict[str, Any] = {"dy": 13, "fontSize": 11, "color": variable("muted")}
    ground: dict[str, Any] = {"stroke": variable("paper"), "strokeWidth": 4, "strokeJoin": "round"}
    sides = {"axes": "left", "starts": "left", "middles": "center", "ends": "right"}
    for where, side in sides.items():
        style = {**(name if where == "axes" else tick), "align": side}
        yield base(where).mark_text(**style, **ground)
        yield base(where).mark_text(**style)


def _styled(groups: Sequence[str], values: Sequence[float]) -> dict[str, Any]:
    """A channel with a value for each group."""
    import altair as alt

    scale = alt.Scale(domain=list(groups), range=list(values))
    return {"field": "g", "type": "ordinal", "scale": scale, "legend": None}
