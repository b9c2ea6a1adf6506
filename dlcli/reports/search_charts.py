"""The candidates of a search, and their charts."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from dlcli.config.search_space import Value
from dlcli.data_checks.sample import spread
from dlcli.errors import number, plural
from dlcli.metrics.statistic import finite_number
from dlcli.reports import charts
from dlcli.reports import formatting as fmt
from dlcli.reports.charts import Axis, PointStyle
from dlcli.reports.views import ChartBlock
from dlcli.runs.documents import Finalist, Search, StoredDimension, TrialResult, leaderboard

MOST_CANDIDATES_DRAWN = 2_000
MOST_SETTING_CHARTS = 6
MOST_SETTING_POINTS = 500
_MOST_BARS = 40
_MOST_CHOICES = 30
_FEWEST_FOR_QUARTILES = 4
"""Minimum number of values for quartiles."""
_FENCE = 3.0
"""Interquartile ranges beyond the worse quartile that make a value an outlier (Tukey 1977)."""
_NARROW_RATIO = 10
"""Ratio of the ends up to which a logarithmic axis has ticks between powers of ten."""
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
    """The adjective for the evaluation rows without folds, see `Config.adjective`."""

    @property
    def metric(self) -> str:
        """The name of the metric that is optimized, as people write it: `validation loss`."""
        return fmt.shorten(fmt.metric_title(self.search.metric), 40)

    @cached_property
    def _decimals(self) -> int | None:
        """The decimals of all values, from the uncertainty of the best."""
        error = self.best.standard_error if self.best else None
        return None if error is None else fmt.decimals_of(2 * error)

    def shown(self, value: float | None) -> str:
        """Format a value of the metric, or its standard error."""
        return fmt.rounded(value, self._decimals)

    @cached_property
    def complete(self) -> list[TrialResult]:
        """The candidates with comparable values, the best first."""
        return leaderboard(self.search)

    @property
    def best(self) -> TrialResult | None:
        """The best candidate."""
        return self.search.trial(self.search.best)

    @property
    def smallest(self) -> TrialResult | None:
        """The candidate with the fewest parameters within one standard error of the best."""
        return self.search.trial(self.search.smallest)

    @cached_property
    def finalists(self) -> Mapping[str, Finalist]:
        """The networks that were trained in full, by name."""
        return {each.name: each for each in self.search.finalists}

    def adjective(self, finalist: Finalist) -> str:
        """Return the adjective for the rows on which a network was evaluated."""
        return finalist.split if finalist.split == "test" else self.held_out

    def final_value(self, finalist: Finalist, metric: str | None = None) -> str:
        """Format a metric of a network that was trained in full: by default the one that decides.

        Its digits follow from the interval of the gains, or from the number of test rows.
        """
        name = metric or finalist.metric or ""
        gains = (each.gain for each in self.search.finalists if each.gain is not None)
        decimals = None
        if name == finalist.metric:
            decimals = next((fmt.decimals_of_interval(gain) for gain in gains), None)
        rows = self.search.set_aside if finalist.split == "test" else None
        return fmt.metric(name, finalist.metrics.get(name), rows, decimals=decimals)

    @property
    def prefers_default(self) -> bool:
        """True if the default, trained in full, is the better choice.

        It is if the best candidate is significantly worse on test rows, or if no candidate had a
        better value in the search and the best one is not significantly better on test rows.
        """
        best = self.finalists.get("best")
        if best is None or "default" not in self.finalists:
            return False
        return best.verdict == "worse" or (best.verdict != "better" and self.default_is_best)

    @property
    def default_is_best(self) -> bool:
        """True if no candidate has a better value in the search than the default."""
        best, default = self.best, self.default
        if best is None or default is None or best.value is None or default.value is None:
            return False
        return not self.is_better(best.value, default.value)

    @property
    def default(self) -> TrialResult | None:
        """The default config, if it has a value."""
        default = self.search.default
        return default if default is not None and default.value is not None else None

    @property
    def default_is_smallest(self) -> bool:
        """True if the default config is within one standard error and has fewer parameters."""
        best, smallest, default = self.best, self.smallest, self.default
        if best is None or smallest is None or default is None or best.standard_error is None:
            return False
        if smallest.parameters is None or default.parameters is None:
            return False
        away = (value_of(default) - value_of(best)) * (1 if self.minimizes else -1)
        return default.parameters < smallest.parameters and away <= best.standard_error

    @cached_property
    def limit(self) -> float | None:
        """The worst value that charts show, if outliers would make other values indistinguishable.

        It is three interquartile ranges beyond the worse quartile of all complete candidates.
        """
        values = [value_of(each) for each in self.complete]
        if len(values) < _FEWEST_FOR_QUARTILES:
            return None
        low, high = np.quantile(values, [0.25, 0.75]).tolist()
        beyond = _FENCE * (high - low)
        if not 0 < beyond < math.inf:
            return None
        limit: float = high + beyond if self.minimizes else low - beyond
        drawn = (each.value for each in self.search.trials if each.value is not None)
        return limit if any(self.is_better(limit, value) for value in drawn) else None

    def drawn(self, value: float) -> float:
        """Return the position of a value in charts: the value, or the limit if it is beyond."""
        if self.limit is None:
            return value
        return min(value, self.limit) if self.minimizes else max(value, self.limit)

    @property
    def beyond(self) -> int:
        """The number of complete candidates that are drawn at the limit."""
        return sum(self.drawn(value_of(each)) != value_of(each) for each in self.complete)

    def improvements(self) -> list[TrialResult]:
        """Return the candidates that were better than all before them, in order."""
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
        """The searched settings, the most important first if known."""
        shares = self.search.importances
        return tuple(sorted(self.search.dimensions, key=lambda each: -(shares.get(each.path) or 0)))


def value_of(trial: TrialResult) -> float:
    """Return the value of a candidate with a value."""
    assert trial.value is not None
    return trial.value


def value_text(value: Value, most: int = 40) -> str:
    """Format a value of a setting as in a config."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return fmt.shorten(value, most) if isinstance(value, str) else number(value)


def settings_text(values: Mapping[str, Value], most: int = 200) -> str:
    """Format settings in one line: `hidden_layers.units 32, hidden_layers.activation relu`."""
    pairs = (f"{path} {value_text(value, 60)}" for path, value in values.items())
    return fmt.shorten(", ".join(pairs), most)


def is_allowed(dimension: StoredDimension, value: Value) -> bool:
    """Return whether a value is among the choices of a setting or in its range."""
    if dimension.kind == "choice":
        return _choice(dimension, value) is not None
    at, low, high = (finite_number(each) for each in (value, dimension.low, dimension.high))
    return at is not None and low is not None and high is not None and low <= at <= high


def _choice(dimension: StoredDimension, value: Value) -> int | None:
    """Return the index of a value in the choices, which distinguishes 1 and true."""
    for at, choice in enumerate(dimension.choices):
        if isinstance(choice, bool) == isinstance(value, bool) and choice == value:
            return at
    return None


def _far_out(candidates: Candidates) -> str:
    """Return a note on candidates at the edge of a chart."""
    count, default = candidates.beyond, candidates.default
    names = [plural(count, "candidate")] if count else []
    if default is not None and candidates.drawn(value_of(default)) != value_of(default):
        names.append(f"the default with {candidates.shown(default.value)}")
    if not names:
        return ""
    verb = "is" if len(names) == 1 and count <= 1 else "are"
    what = fmt.capitalize(" and ".join(names))
    return f" {what} {verb} far worse and drawn at the edge."


def history_chart(candidates: Candidates) -> ChartBlock | None:
    """Draw the candidates in order; `None` if none has a value."""
    if not candidates.complete:
        return None
    trials, better = candidates.search.trials, candidates.improvements()
    shown = spread(trials, MOST_CANDIDATES_DRAWN)
    drawn = [candidates.drawn(value_of(each)) for each in candidates.complete]
    edge = max(drawn) if candidates.minimizes else min(drawn)  # for candidates without a value
    rows = [
        {
            "x": each.number,
            "y": edge if each.value is None else candidates.drawn(each.value),
            "v": each.value,
            "s": _STATE_NAMES[each.state],
        }
        for each in shown
    ]
    path = [{"x": each.number or 0, "y": candidates.drawn(value_of(each))} for each in better]
    path.append({**path[-1], "x": max(each.number or 0 for each in trials)})
    default, metric = candidates.default, candidates.metric
    guides = charts.Guides(
        y=None if default is None else candidates.drawn(value_of(default)),
        path=path,
        is_stepped=True,
    )
    tips = {"x": "candidate|,d", "v": f"{metric}|.5~g", "s": "state"}
    across, up = Axis("candidate", whole=True), Axis(metric)
    part = f" {len(shown):,} of them are shown." if len(shown) < len(trials) else ""
    states = [name for name in _STATES if any(row["s"] == name for row in rows)]
    first, last = candidates.shown(better[0].value), candidates.shown(better[-1].value)
    best = (
        f"the best value, {last}, is the first"
        if len(better) == 1
        else f"the best value improves from {first} to {last}"
    )
    values = [value_of(each) for each in candidates.complete]
    return ChartBlock(
        title="Value of each candidate",
        spec=charts.scatter_chart(rows, _STATES, across, up, tips=tips, guides=guides, height=300),
        description=f"{plural(len(trials), 'candidate')}: {best} "
        f"(candidate {better[-1].number or 0:,}).{part}{_far_out(candidates)}",
        reading="Each point is a candidate; the line is the best value so far. If it stays flat "
        "for long, more candidates of this kind would hardly help. The dashed line is the default. "
        "Candidates that were stopped early are drawn at their last value, or at the edge if it is "
        "far worse; they are not compared, as they had fewer epochs or folds.",
        legend=tuple((name, _STATES[name].color) for name in states),
        log_labels=charts.log_labels(values) if charts.spans_decades(values) else "",
    )


def setting_importance_chart(candidates: Candidates) -> ChartBlock | None:
    """Draw the importance of each setting; `None` if it is unknown."""
    dimensions, importances = candidates.dimensions, candidates.search.importances
    shares = [(each.path, importances.get(each.path)) for each in dimensions]
    known = [(path, share) for path, share in shares if share is not None][:_MOST_BARS]
    if not known:
        return None
    names = fmt.shorten_names((path for path, _ in known), 40)
    rows = [{"y": name, "x": share} for name, (_, share) in zip(names, known, strict=True)]
    tips, axis = {"y": "setting", "x": "share|.1%"}, Axis("share", format="%", zero=True)
    return ChartBlock(
        title="Importance of settings",
        spec=charts.bar_chart(rows, names, axis, tips=tips),
        description=f"The most important setting is {names[0]}: {fmt.percent(known[0][1])} of what "
        "distinguishes good candidates.",
        reading="A setting is important if its values in good candidates differ from its values in "
        "all candidates (PED-ANOVA). Each setting is considered alone; settings without effect "
        "also get a random share.",
        numbers=charts.numbers_table(rows, tips),
    )


def size_chart(candidates: Candidates) -> ChartBlock | None:
    """Draw the value of each candidate against its number of parameters."""
    best, smallest, metric = candidates.best, candidates.smallest, candidates.metric
    sized = [each for each in candidates.complete if each.parameters is not None]
    if best is None or best.parameters is None or not sized:
        return None
    marked = {_BEST: best, _SMALLEST: smallest, _DEFAULT: candidates.default}
    chosen = [(name, each) for name, each in marked.items() if each and each.parameters is not None]
    rows = [
        # The axis is logarithmic.
        _point(candidates, each, max(1, each.parameters or 0), name)
        for name, each in [
            *((_OTHERS, each) for each in spread(sized, MOST_CANDIDATES_DRAWN)),
            *chosen,
        ]
    ]
    band = None
    if best.standard_error is not None:
        away = best.standard_error * (1 if candidates.minimizes else -1)
        band = (value_of(best), value_of(best) + away)
    description = (
        f"The best has {best.parameters:,} parameters and a {metric} of "
        f"{candidates.shown(best.value)}."
    )
    if smallest is not None and smallest is not best and smallest.parameters is not None:
        description += (
            f" The smallest within one standard error has {smallest.parameters:,} and "
            f"{candidates.shown(smallest.value)}."
        )
    tips = {"s": "which", "n": "candidate|,d", "x": "parameters|,d", "v": f"{metric}|.5~g"}
    across, up = Axis("parameters", format=",d", log=True, ticks=5), Axis(metric)
    guides = charts.Guides(band=band)
    return ChartBlock(
        title="Value by size",
        spec=charts.scatter_chart(rows, _MARKED, across, up, tips=tips, guides=guides, height=300),
        description=description + _far_out(candidates),
        reading="Smaller networks are further left. Candidates in the shaded band are within one "
        "standard error of the best: equally good within this uncertainty.",
        legend=tuple((name, _MARKED[name].color) for name, _ in chosen),
    )


def setting_charts(candidates: Candidates) -> list[ChartBlock]:
    """Draw the value of candidates against each of the most important settings."""
    drawn: list[ChartBlock] = []
    for dimension in candidates.dimensions:
        having = [
            each
            for each in candidates.complete
            if dimension.path in each.values and is_allowed(dimension, each.values[dimension.path])
        ]
        if having and len(drawn) < MOST_SETTING_CHARTS:
            drawn.append(_setting_chart(candidates, dimension, having))
    return drawn


def _setting_chart(
    candidates: Candidates, dimension: StoredDimension, having: Sequence[TrialResult]
) -> ChartBlock:
    """Draw values against one setting.

    Args:
        candidates: all candidates.
        dimension: the setting.
        having: the candidates with the setting, the best first.
    """
    path, metric, best = dimension.path, candidates.metric, having[0]
    places: list[object] = [each.values[path] for each in having]
    names = fmt.shorten_names(map(value_text, dimension.choices), 24)
    if dimension.kind == "choice":
        places = [names[_choice(dimension, each.values[path]) or 0] for each in having]
    pairs = list(zip(having, places, strict=True))
    rows = [_point(candidates, *pair, "candidate") for pair in spread(pairs, MOST_SETTING_POINTS)]
    if dimension.kind == "choice":
        shown = names[:_MOST_CHOICES]
        values = {
            name: [value_of(each) for each, place in pairs if place == name]
            for name in dict.fromkeys(places)
        }
        medians = {str(name): statistics.median(each) for name, each in values.items()}
        rows += [
            {"x": name, "y": candidates.drawn(each), "v": each, "s": "median"}
            for name, each in medians.items()
        ]
        order = sorted(medians, key=lambda name: medians[name], reverse=not candidates.minimizes)
        first, last = (
            f"{name} ({candidates.shown(medians[name])})" for name in (order[0], order[-1])
        )
        other = f", worst for {last}" if len(order) > 1 else ""
        description = f"The median is best for {first}{other}."
        axis, x = Axis(fmt.shorten(path, 40), names=shown), "setting"
    else:
        numbers = [place for place in places if isinstance(place, int | float)]
        is_log = dimension.log and (dimension.low or 0) > 0
        is_wide = is_log and max(numbers) > _NARROW_RATIO * min(numbers)
        is_whole = dimension.kind == "integer" and not is_wide
        labels = charts.log_labels(numbers) if is_log else ""
        title = fmt.shorten(path, 40)
        axis = Axis(title, "~g", labels, log=is_log, whole=is_whole, ticks=4)
        x = f"{axis.title}|.5~g"
        description = (
            f"The best value, {candidates.shown(best.value)}, is at "
            f"{value_text(best.values[path])}; the range was {fmt.number(dimension.low)} to "
            f"{fmt.number(dimension.high)}."
        )
    rows.append(_point(candidates, *pairs[0], "best"))
    if axis.names is not None:
        rows = [row for row in rows if row["x"] in axis.names]
    tips = {"n": "candidate|,d", "x": x, "v": f"{metric}|.5~g"}
    spec = charts.scatter_chart(rows, _SETTING_STYLES, axis, Axis(metric), tips=tips, height=200)
    return ChartBlock(title=fmt.shorten(path), spec=spec, description=description)


def _point(candidates: Candidates, trial: TrialResult, x: object, series: str) -> charts.Row:
    value = value_of(trial)
    return {"x": x, "y": candidates.drawn(value), "v": value, "n": trial.number, "s": series}
