"""Charts of a search: as it went, and what its candidates cost and are worth."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from dlcli.errors import plural
from dlcli.pipeline import TrialResult
from dlcli.reports.blocks import Chart, Table
from dlcli.reports.candidates import Candidates, spaced, value_of
from dlcli.reports.curves import spans_decades
from dlcli.reports.drawing import Rows, base, coloured, finished, hints, layered, listed, quantity
from dlcli.reports.theme import variable
from dlcli.reports.wording import number, percent, rounded, short, shorts

if TYPE_CHECKING:
    import altair as alt

MOST_POINTS = 2_000
"""Candidates that are drawn in one chart."""
MOST_BARS = 40
_STATES = {"complete": "train", "pruned": "validation", "failed": "kind-3"}
_SHAPES = {"complete": "circle", "pruned": "triangle-down", "failed": "cross"}
_SAID = {"complete": "finished", "pruned": "ended early", "failed": "failed"}
BEST, SMALLEST, DEFAULT = "the best", "the smallest good one", "the config as given"
MARKED = {
    BEST: ("validation", "circle", 260),
    SMALLEST: ("test", "diamond", 130),
    DEFAULT: ("muted", "square", 130),
}
"""Candidates that stand out: colour, shape and size; the best may be the smallest, too."""


def history_chart(candidates: Candidates) -> Chart | None:
    """The candidates in the order in which they were tried; nothing if none has a value."""
    if not candidates.complete:
        return None
    trials, better = candidates.search.trials, candidates.improvements()
    shown = spaced(trials, MOST_POINTS)
    last = max((each.number or 0 for each in trials), default=0)
    steps = [(each.number or 0, value_of(each)) for each in better]
    steps.append((last, steps[-1][1]))
    default = candidates.default
    metric = short(candidates.search.metric, 40)
    states = tuple(state for state in _STATES if any(each.state == state for each in shown))
    values = {"all": [value_of(each) for each in candidates.complete]}
    return Chart(
        title="The search as it went",
        spec=finished(
            _history_drawing(states, metric),
            rows=_tried(candidates, shown),
            steps=[{"n": at, "v": rounded(candidates.drawn(value))} for at, value in steps],
            default=[] if default is None else [{"v": _drawn(candidates, default)}],
        ),
        shows=" ".join(_went(candidates, better, len(shown))),
        reading="Each point is a candidate; the line is the best so far. Where it stays flat for "
        "long, more candidates of this kind would hardly help. The dashed line is the config as "
        "given. What was ended early lies where it was by then, after fewer epochs or folds, and "
        "is not compared.",
        legend=tuple((_SAID[state], _STATES[state]) for state in states),
        offers_log=spans_decades(values),
    )


def _tried(candidates: Candidates, shown: Sequence[TrialResult]) -> Rows:
    """Candidates with where they are drawn; what failed without a value lies at the worse edge."""
    drawn = [candidates.drawn(value_of(each)) for each in candidates.complete]
    edge = max(drawn) if candidates.search.direction == "minimize" else min(drawn)
    return [
        {
            "n": each.number,
            "p": rounded(edge if each.value is None else candidates.drawn(each.value)),
            "v": None if each.value is None else rounded(each.value),
            "s": each.state,
        }
        for each in shown
    ]


def _drawn(candidates: Candidates, trial: TrialResult) -> float | None:
    return rounded(candidates.drawn(value_of(trial)))


def _went(candidates: Candidates, better: Sequence[TrialResult], shown: int) -> list[str]:
    first, last = better[0], better[-1]
    trials = candidates.search.trials
    told = [
        f"{plural(len(trials), 'candidate')}: the best so far goes from {number(first.value)} to "
        f"{number(last.value)}, reached at number {last.number or 0:,}."
    ]
    if shown < len(trials):
        told.append(f"Shown are {shown:,} of them.")
    return [*told, *beyond(candidates)]


def beyond(candidates: Candidates) -> list[str]:
    """Says how many candidates are drawn at the edge, if any are."""
    count = candidates.beyond
    if not count:
        return []
    is_one = count == 1
    who = "1 is" if is_one else f"{count:,} are"
    return [f"{who} far worse than the others and drawn{' ' if is_one else ' '}at the edge."]


@cache
def _history_drawing(states: tuple[str, ...], metric: str) -> alt.LayerChart:
    import altair as alt

    axis = alt.Axis(tickMinStep=1, format=",d")
    x, y = quantity("n", "candidate", axis=axis), quantity("p", metric)
    forms = alt.Scale(domain=list(states), range=[_SHAPES[state] for state in states])
    points = base().mark_point(filled=True, size=45, opacity=0.6)
    points = points.encode(
        x=x,
        y=y,
        color=coloured("s", states, [_STATES[state] for state in states]),
        shape=alt.Shape(field="s", type="nominal", scale=forms, legend=None),
        tooltip=hints(n="candidate|,d", v=f"{metric}|.5~g", s="state"),
    )
    steps = base("steps").mark_line(interpolate="step-after", color=variable("good"))
    default = base("default").mark_rule(strokeDash=[5, 4], strokeWidth=1.5)
    value = quantity("v", metric)
    tips = hints(v="the config as given|.5~g")
    return layered(
        default.encode(y=value, tooltip=tips), points, steps.encode(x=x, y=value), height=300
    )


def importance_chart(candidates: Candidates) -> Chart | None:
    """How much each dimension matters; nothing if that can't be told."""
    shares = candidates.search.importances
    pairs = [
        (each.path, share)
        for each in candidates.dimensions
        if (share := shares.get(each.path)) is not None
    ]
    if not pairs:
        return None
    names = shorts((path for path, _ in pairs[:MOST_BARS]), 40)
    listed_shares = [share for _, share in pairs[:MOST_BARS]]
    rows = [
        {"d": name, "i": rounded(share)} for name, share in zip(names, listed_shares, strict=True)
    ]
    cells = zip(names, map(percent, listed_shares), strict=True)
    return Chart(
        title="What mattered",
        spec=finished(_importance_drawing(tuple(names)), rows=rows),
        shows=f"Most has to do with {names[0]}: {percent(listed_shares[0])} of what sets good "
        "candidates apart.",
        reading="Where good candidates have other values of a setting than all candidates have, "
        "it matters (PED-ANOVA). Of what doesn't matter, spend no more time on; it gets some share "
        "by chance, too, and each setting is looked at by itself.",
        numbers=Table(("setting", "share"), tuple(cells)),
    )


@cache
def _importance_drawing(names: tuple[str, ...]) -> alt.LayerChart:
    import altair as alt

    share = quantity("i", "share", zero=True, axis=alt.Axis(format="%"))
    bars = base().mark_bar(color=variable("bar"), height=alt.RelativeBandSize(band=0.7))
    tips = hints(d="setting", i="share|.1%")
    return layered(
        bars.encode(x=share, y=listed("d", names), tooltip=tips), height=26 * len(names) + 10
    )


def size_chart(candidates: Candidates) -> Chart | None:
    """The value of each candidate against its parameters, with what is within a standard error."""
    best, smallest = candidates.best, candidates.smallest
    sized = [each for each in candidates.complete if each.parameters is not None]
    if best is None or best.parameters is None or not sized:
        return None
    shown = spaced(sized, MOST_POINTS)
    marked = {BEST: best, SMALLEST: smallest, DEFAULT: candidates.default}
    stand_out = [
        {**_sized(candidates, each), "w": name}
        for name, each in marked.items()
        if each is not None and each.parameters is not None
    ]
    names = tuple(str(row["w"]) for row in stand_out)
    return Chart(
        title="What size is worth",
        spec=finished(
            _size_drawing(names, short(candidates.search.metric, 40)),
            band=_band(candidates, best),
            rows=[_sized(candidates, each) for each in shown],
            marked=stand_out,
        ),
        shows=" ".join(_sizes(candidates, best, smallest)),
        reading="The further left, the smaller the network. In the shaded band lies what is within "
        "one standard error of the best: as far as the rows can tell, no worse.",
        legend=tuple((name, MARKED[name][0]) for name in names),
    )


def _sized(candidates: Candidates, trial: TrialResult) -> dict[str, object]:
    return {
        "q": max(1, trial.parameters or 0),  # which a logarithm can take
        "p": _drawn(candidates, trial),
        "v": rounded(value_of(trial)),
        "n": trial.number,
    }


def _band(candidates: Candidates, best: TrialResult) -> Rows:
    if best.standard_error is None:
        return []
    away = best.standard_error * (1 if candidates.search.direction == "minimize" else -1)
    return [{"a": rounded(value_of(best)), "b": rounded(value_of(best) + away)}]


def _sizes(candidates: Candidates, best: TrialResult, smallest: TrialResult | None) -> list[str]:
    told = [f"The best has {best.parameters:,} parameters and {number(best.value)}."]
    if smallest is not None and smallest is not best and smallest.parameters is not None:
        told.append(
            f"The smallest within a standard error has {smallest.parameters:,} and "
            f"{number(smallest.value)}."
        )
    return [*told, *beyond(candidates)]


@cache
def _size_drawing(names: tuple[str, ...], metric: str) -> alt.LayerChart:
    import altair as alt

    scale = alt.Scale(type="log", nice=False, padding=12)
    x = quantity("q", "parameters", scale=scale, axis=alt.Axis(format=",d", tickCount=5))
    y = quantity("p", metric)
    tips = hints(n="candidate|,d", q="parameters|,d", v=f"{metric}|.5~g")
    band = base("band").mark_rect(color=variable("test"), opacity=0.15)
    band = band.encode(y=quantity("a", metric), y2="b:Q")
    points = base().mark_circle(size=40, opacity=0.5, color=variable("train"))
    marked = base("marked").mark_point(filled=True, opacity=1, stroke=variable("paper"))
    colour = coloured("w", names, [MARKED[name][0] for name in names])
    forms = alt.Scale(domain=list(names), range=[MARKED[name][1] for name in names])
    sizes = alt.Scale(domain=list(names), range=[MARKED[name][2] for name in names])
    form = alt.Shape(field="w", type="nominal", scale=forms, legend=None)
    size = alt.Size(field="w", type="ordinal", scale=sizes, legend=None)
    return layered(
        band,
        points.encode(x=x, y=y, tooltip=tips),
        marked.encode(
            x=x, y=y, color=colour, shape=form, size=size, tooltip=[*hints(w="which"), *tips]
        ),
        height=300,
    )
