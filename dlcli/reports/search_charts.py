"""The candidates of a search, and charts of them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dlcli.config.search_space import Value
from dlcli.data_checks.sample import spread
from dlcli.errors import plural
from dlcli.metrics.statistic import finite_number
from dlcli.reports import formatting as fmt
from dlcli.reports.charts import (
    Axis,
    Guides,
    PointStyle,
    Row,
    bar_chart,
    numbers_table,
    scatter_chart,
    spans_decades,
)
from dlcli.reports.views import ChartBlock
from dlcli.runs.documents import Finalist, Search, StoredDimension, TrialResult, leaderboard

MOST_POINTS = 2_000
"""Candidates that are drawn in one chart."""
MOST_SETTING_CHARTS = 6
MOST_SETTING_POINTS = 500
_MOST_BARS = 40
_MOST_CHOICES = 30
_FEWEST = 4
"""Values that have quartiles."""
_FENCE = 3.0
"""Interquartile ranges beyond the worse quartile from which a value is far out (Tukey 1977)."""
_NEAR = 10
"""Ratio up to which a logarithmic axis has ticks between powers of ten."""
_STATES = {
    "finished": PointStyle("train", "circle", 45, 0.6),
    "stopped early": PointStyle("validation", "triangle-down", 45, 0.6),
    "failed": PointStyle("series-3", "cross", 45, 0.6),
}
_STATE_NAMES = {"complete": "finished", "pruned": "stopped early", "failed": "failed"}
_OTHERS, _BEST, _SMALLEST, _DEFAULT = "other candidates", "best", "smallest good one", "default"
_MARKED = {
    _OTHERS: PointStyle("train"),
    _BEST: PointStyle("validation", "circle", 260, 1),
    _SMALLEST: PointStyle("test", "diamond", 130, 1),
    _DEFAULT: PointStyle("muted", "square", 130, 1),
}
_SETTING_STYLES = {
    "candidate": PointStyle("train", "circle", 40, 0.45),
    "median": PointStyle("ink", "stroke", 500, 1),
    "best": PointStyle("validation", "circle", 110, 1),
}


@dataclass(frozen=True)
class Candidates:
    """The candidates of a search."""

    search: Search
    held_out: str = "validation"
    """The word for the rows that they are evaluated on without folds, see `Config.adjective`."""

    @cached_property
    def complete(self) -> tuple[TrialResult, ...]:
        """Those with a value that may be compared, the best first."""
        board = leaderboard(self.search)
        return tuple(each for each in board if each.state == "complete" and each.value is not None)

    @property
    def best(self) -> TrialResult | None:
        """The best one."""
        return self.search.trial(self.search.best)

    @property
    def smallest(self) -> TrialResult | None:
        """The one with the fewest parameters within one standard error of the best."""
        return self.search.trial(self.search.smallest)

    @cached_property
    def finalists(self) -> Mapping[str, Finalist]:
        """The networks that were trained in full, by name."""
        return {each.name: each for each in self.search.finalists}

    def adjective(self, finalist: Finalist) -> str:
        """Return the word for the rows that a network was evaluated on."""
        return finalist.split if finalist.split == "test" else self.held_out

    @property
    def prefers_default(self) -> bool:
        """True if the best was trained in full and is significantly worse than the default."""
        best = self.finalists.get("best")
        return best is not None and best.verdict == "worse" and "default" in self.finalists

    @property
    def default(self) -> TrialResult | None:
        """The config as given, if it has a value."""
        default = self.search.default
        return default if default is not None and default.value is not None else None

    @property
    def default_is_smallest(self) -> bool:
        """True if the config as given is within one standard error, with fewer parameters."""
        best, smallest, default = self.best, self.smallest, self.default
        if best is None or smallest is None or default is None or best.standard_error is None:
            return False
        if smallest.parameters is None or default.parameters is None:
            return False
        away = (value_of(default) - value_of(best)) * (1 if self.minimizes else -1)
        return default.parameters < smallest.parameters and away <= best.standard_error

    @cached_property
    def limit(self) -> float | None:
        """The worst value that charts show, if outliers would make the other values look alike.

        That is three interquartile ranges beyond the worse quartile of all complete candidates.
        """
        values = [value_of(each) for each in self.complete]
        if len(values) < _FEWEST:
            return None
        low, high = np.quantile(values, [0.25, 0.75]).tolist()
        beyond = _FENCE * (high - low)
        if not 0 < beyond < math.inf:
            return None
        limit: float = high + beyond if self.minimizes else low - beyond
        drawn = (each.value for each in self.search.trials if each.value is not None)
        return limit if any(self.is_better(limit, value) for value in drawn) else None

    def drawn(self, value: float) -> float:
        """Return where a value is drawn: itself, or the limit if it is beyond."""
        if self.limit is None:
            return value
        return min(value, self.limit) if self.minimizes else max(value, self.limit)

    @property
    def beyond(self) -> int:
        """The number of complete candidates that are drawn at the limit."""
        return sum(self.drawn(value_of(each)) != value_of(each) for each in self.complete)

    def improvements(self) -> list[TrialResult]:
        """Return those that were better than all before them, in order of their numbers."""
        result: list[TrialResult] = []
        for each in sorted(self.complete, key=lambda trial: trial.number or 0):
            if not result or self.is_better(value_of(each), value_of(result[-1])):
                result.append(each)
        return result

    def is_better(self, value: float, other: float) -> bool:
        """Return whether a value is better than another."""
        return value < other if self.minimizes else value > other

    @property
    def minimizes(self) -> bool:
        """True if lower values are better."""
        return self.search.direction == "minimize"

    @cached_property
    def dimensions(self) -> tuple[StoredDimension, ...]:
        """The settings that are varied, the most important first as far as that is known."""
        shares = self.search.importances
        return tuple(sorted(self.search.dimensions, key=lambda each: -(shares.get(each.path) or 0)))


def value_of(trial: TrialResult) -> float:
    """Return the value of a candidate that has one."""
    assert trial.value is not None
    return trial.value


def value_text(value: Value, most: int = 40) -> str:
    """Format a value of a setting as one writes it in a config."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return fmt.shorten(value, most) if isinstance(value, str) else fmt.number(value)


def settings_text(values: Mapping[str, Value], most: int = 200) -> str:
    """Format settings on one line: `hidden_layers.units 32, hidden_layers.activation relu`."""
    pairs = (f"{path} {value_text(value, 60)}" for path, value in values.items())
    return fmt.shorten(", ".join(pairs), most)


def is_allowed(dimension: StoredDimension, value: Value) -> bool:
    """Return whether a value is one of the choices of a setting, or in its range."""
    if dimension.kind == "choice":
        return _choice(dimension, value) is not None
    at, low, high = (finite_number(each) for each in (value, dimension.low, dimension.high))
    return at is not None and low is not None and high is not None and low <= at <= high


def _choice(dimension: StoredDimension, value: Value) -> int | None:
    """Return the index of a value among the choices; 1 and true differ."""
    for at, choice in enumerate(dimension.choices):
        if isinstance(choice, bool) == isinstance(value, bool) and choice == value:
            return at
    return None


def _far_out(candidates: Candidates) -> str:
    """Name what is drawn at the edge of a chart of candidates and the default."""
    count, default = candidates.beyond, candidates.default
    names = [plural(count, "candidate")] if count else []
    if default is not None and candidates.drawn(value_of(default)) != value_of(default):
        names.append(f"the default with {fmt.number(default.value)}")
    if not names:
        return ""
    verb = "is" if len(names) == 1 and count <= 1 else "are"
    what = fmt.capitalize(" and ".join(names))
    return f" {what} {verb} far worse than the others and drawn at the edge."


def history_chart(candidates: Candidates) -> ChartBlock | None:
    """Draw the candidates in order; `None` if none has a value."""
    if not candidates.complete:
        return None
    trials, better = candidates.search.trials, candidates.improvements()
    shown = spread(trials, MOST_POINTS)
    drawn = [candidates.drawn(value_of(each)) for each in candidates.complete]
    edge = max(drawn) if candidates.minimizes else min(drawn)  # of candidates without a value
    rows = [
        {
            "x": each.number,
            "y": edge if each.value is None else candidates.drawn(each.value),
            "v": each.value,
            "s": _STATE_NAMES[each.state],
        }
        for each in shown
    ]
    steps = [(each.number or 0, candidates.drawn(value_of(each))) for each in better]
    steps.append((max((each.number or 0 for each in trials), default=0), steps[-1][1]))
    default, metric = candidates.default, fmt.shorten(candidates.search.metric, 40)
    part = f" {len(shown):,} of them are shown." if len(shown) < len(trials) else ""
    states = [name for name in _STATES if any(row["s"] == name for row in rows)]
    return ChartBlock(
        title="Value of each candidate",
        spec=scatter_chart(
            rows,
            _STATES,
            Axis("candidate", whole=True),
            Axis(metric),
            tips={"x": "candidate|,d", "v": f"{metric}|.5~g", "s": "state"},
            guides=Guides(
                y=None if default is None else candidates.drawn(value_of(default)),
                path=[{"x": at, "y": value} for at, value in steps],
                is_stepped=True,
            ),
            height=300,
        ),
        description=f"{plural(len(trials), 'candidate')}: the best value so far goes from "
        f"{fmt.number(better[0].value)} to {fmt.number(better[-1].value)}, reached by number "
        f"{better[-1].number or 0:,}.{part}{_far_out(candidates)}",
        reading="Each point is a candidate; the line is the best so far. Where it stays flat for "
        "long, more candidates of this kind would hardly help. The dashed line is the default. "
        "Candidates that were stopped early are drawn at their value by then, or at the edge if "
        "that is far worse, after fewer epochs or folds, and are not compared.",
        legend=tuple((name, _STATES[name].color) for name in states),
        offers_log=spans_decades([value_of(each) for each in candidates.complete]),
    )


def setting_importance_chart(candidates: Candidates) -> ChartBlock | None:
    """Draw the importance of each setting; `None` if it is unknown."""
    shares = candidates.search.importances
    pairs = [
        (each.path, share)
        for each in candidates.dimensions
        if (share := shares.get(each.path)) is not None
    ][:_MOST_BARS]
    if not pairs:
        return None
    names = fmt.shorten_names((path for path, _ in pairs), 40)
    rows = [{"y": name, "x": share} for name, (_, share) in zip(names, pairs, strict=True)]
    tips = {"y": "setting", "x": "share|.1%"}
    return ChartBlock(
        title="Importance of settings",
        spec=bar_chart(rows, names, Axis("share", format="%", zero=True), tips=tips),
        description=f"The most important setting is {names[0]}: {fmt.percent(pairs[0][1])} of what "
        "distinguishes good candidates.",
        reading="A setting is important where good candidates have other values of it than all "
        "candidates (PED-ANOVA). Settings without effect get a random share, too, and each setting "
        "is considered by itself.",
        numbers=numbers_table(rows, tips),
    )


def size_chart(candidates: Candidates) -> ChartBlock | None:
    """Draw the value of each candidate against its number of parameters."""
    best, smallest = candidates.best, candidates.smallest
    sized = [each for each in candidates.complete if each.parameters is not None]
    if best is None or best.parameters is None or not sized:
        return None
    marked = {_BEST: best, _SMALLEST: smallest, _DEFAULT: candidates.default}
    points = [(_OTHERS, each) for each in spread(sized, MOST_POINTS)]
    points += [
        (name, each) for name, each in marked.items() if each and each.parameters is not None
    ]
    rows = [
        {
            "x": max(1, each.parameters or 0),  # the axis is logarithmic
            "y": candidates.drawn(value_of(each)),
            "v": value_of(each),
            "n": each.number,
            "s": name,
        }
        for name, each in points
    ]
    band = None
    if best.standard_error is not None:
        away = best.standard_error * (1 if candidates.minimizes else -1)
        band = (value_of(best), value_of(best) + away)
    description = f"The best has {best.parameters:,} parameters and {fmt.number(best.value)}."
    if smallest is not None and smallest is not best and smallest.parameters is not None:
        description += (
            f" The smallest within one standard error has {smallest.parameters:,} and "
            f"{fmt.number(smallest.value)}."
        )
    metric = fmt.shorten(candidates.search.metric, 40)
    names = [name for name, _ in points if name != _OTHERS]
    return ChartBlock(
        title="Value by size",
        spec=scatter_chart(
            rows,
            _MARKED,
            Axis("parameters", format=",d", log=True, ticks=5),
            Axis(metric),
            tips={"s": "which", "n": "candidate|,d", "x": "parameters|,d", "v": f"{metric}|.5~g"},
            guides=Guides(band=band),
            height=300,
        ),
        description=description + _far_out(candidates),
        reading="The further left, the smaller the network. Candidates in the shaded band are "
        "within one standard error of the best: as far as the rows can tell, as good.",
        legend=tuple((name, _MARKED[name].color) for name in names),
    )


def setting_charts(candidates: Candidates) -> list[ChartBlock]:
    """Draw the value of candidates against each of the most important settings."""
    metric = fmt.shorten(candidates.search.metric, 40)
    charts: list[ChartBlock] = []
    for dimension in candidates.dimensions:
        path = dimension.path
        having = [
            each
            for each in candidates.complete
            if path in each.values and is_allowed(dimension, each.values[path])
        ]
        if not having or len(charts) == MOST_SETTING_CHARTS:
            continue
        draw = _choices if dimension.kind == "choice" else _numbers
        rows, axis, description = draw(candidates, dimension, having)
        x = "setting" if axis.names else f"{axis.title}|.5~g"
        spec = scatter_chart(
            rows,
            _SETTING_STYLES,
            axis,
            Axis(metric),
            tips={"n": "candidate|,d", "x": x, "v": f"{metric}|.5~g"},
            height=200,
        )
        charts.append(ChartBlock(title=fmt.shorten(path), spec=spec, description=description))
    return charts


def _numbers(
    candidates: Candidates, dimension: StoredDimension, having: Sequence[TrialResult]
) -> tuple[list[Row], Axis, str]:
    """Return the points, the horizontal axis and the description of values against a number.

    Args:
        candidates: all.
        dimension: the setting.
        having: those that have it, the best first.
    """
    path = dimension.path
    rows = [
        _point(candidates, each, each.values[path], "candidate")
        for each in spread(having, MOST_SETTING_POINTS)
    ]
    rows.append(_point(candidates, having[0], having[0].values[path], "best"))
    numbers = [x for each in having if isinstance(x := each.values[path], int | float)]
    is_log = dimension.log and (dimension.low or 0) > 0
    is_wide = is_log and max(numbers) > _NEAR * min(numbers)
    is_whole = dimension.kind == "integer" and not is_wide
    axis = Axis(fmt.shorten(path, 40), format="~g", log=is_log, whole=is_whole, ticks=4)
    description = (
        f"The best value, {fmt.number(having[0].value)}, is at "
        f"{value_text(having[0].values[path])}; the range was {fmt.number(dimension.low)} to "
        f"{fmt.number(dimension.high)}."
    )
    return rows, axis, description


def _choices(
    candidates: Candidates, dimension: StoredDimension, having: Sequence[TrialResult]
) -> tuple[list[Row], Axis, str]:
    """Return the same of values by choice, with their medians."""
    names = fmt.shorten_names(map(value_text, dimension.choices), 24)
    chosen = {
        id(each): names[at]
        for each in having
        if (at := _choice(dimension, each.values[dimension.path])) is not None
    }
    medians = {
        name: statistics.median(value_of(each) for each in having if chosen[id(each)] == name)
        for name in dict.fromkeys(chosen.values())
    }
    rows = [
        _point(candidates, each, chosen[id(each)], "candidate")
        for each in spread(having, MOST_SETTING_POINTS)
    ]
    rows += [
        {"x": name, "y": candidates.drawn(each), "v": each, "s": "median"}
        for name, each in medians.items()
    ]
    rows.append(_point(candidates, having[0], chosen[id(having[0])], "best"))
    shown = names[:_MOST_CHOICES]
    order = sorted(medians, key=lambda name: medians[name], reverse=not candidates.minimizes)
    best, worst = order[0], order[-1]
    other = f", worst for {worst} ({fmt.number(medians[worst])})" if len(order) > 1 else ""
    description = f"The median is best for {best} ({fmt.number(medians[best])}){other}."
    drawn = [row for row in rows if row["x"] in shown]
    return drawn, Axis(fmt.shorten(dimension.path, 40), names=shown), description


def _point(candidates: Candidates, trial: TrialResult, x: object, series: str) -> Row:
    value = value_of(trial)
    y = candidates.drawn(value)
    return {"x": x, "y": y, "v": value, "n": trial.number, "s": series}
