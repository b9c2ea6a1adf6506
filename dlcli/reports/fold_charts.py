"""A chart of each metric of a cross-validation: every fold, and what they say together."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING

from dlcli.errors import plural
from dlcli.pipeline import CrossValidation, FoldResult, Interval
from dlcli.reports.blocks import Chart
from dlcli.reports.comparison_charts import in_words
from dlcli.reports.drawing import Rows, base, coloured, finished, hints, layered, listed, quantity
from dlcli.reports.wording import number, plain, rounded

if TYPE_CHECKING:
    import altair as alt

MOST_DOTS = 400
"""Folds of a chart."""
_ROW_HEIGHT = 32
_FOLDS, _MEAN, _POOLED = "each fold", "mean of the folds", "all rows together"
_CONSTANT = "always the same"
_COLOURS = {_FOLDS: "bar", _MEAN: "train", _POOLED: "validation", _CONSTANT: "muted"}


def fold_name(result: FoldResult, repeats: int) -> str:
    """What a fold is called: `fold 2`, or `2.3` for the third of the second repeat."""
    return f"{result.repeat:,}.{result.fold:,}" if repeats > 1 else f"fold {result.fold:,}"


def metric_chart(metric: str, found: CrossValidation) -> Chart | None:
    """A metric of each fold, beside their mean, that of all rows, and that of the constant model.

    Args:
        metric: its name.
        found: the cross-validation.

    Returns:
        The chart; nothing if the metric is defined nowhere.
    """
    values = {
        fold_name(each, found.repeats): value
        for each in found.results
        if (value := each.metrics.get(metric)) is not None
    }
    means = {_MEAN: found.by_fold.get(metric), _POOLED: found.pooled.get(metric)}
    known = {name: each for name, each in means.items() if each and each.value is not None}
    constant = found.constant.get(metric)
    datasets = {
        "folds": _dots(values),
        "means": _intervals(known),
        "constant": [] if constant is None else [{"w": _CONSTANT, "v": rounded(constant)}],
    }
    present = {row["w"] for rows in datasets.values() for row in rows}
    if not present:
        return None
    title = plain(metric)
    names = tuple(name for name in _COLOURS if name in present)
    return Chart(
        title=title[:1].upper() + title[1:],
        spec=finished(_drawing(names), **datasets),
        shows=" ".join(_tells(list(values.values()), known, constant)),
    )


def _dots(values: Mapping[str, float]) -> Rows:
    shown = list(values.items())[:MOST_DOTS]
    return [{"w": _FOLDS, "v": rounded(value), "f": name} for name, value in shown]


def _intervals(known: Mapping[str, Interval]) -> Rows:
    return [
        {"w": name, "v": each.value, "l": each.lower, "u": each.upper}
        for name, each in known.items()
    ]


def _tells(
    values: list[float], means: Mapping[str, Interval], constant: float | None
) -> Iterator[str]:
    """The chart in sentences."""
    if values:
        ends = f"from {number(min(values))} to {number(max(values))}"
        yield f"{plural(len(values), 'fold')} {ends}, median {number(statistics.median(values))}."
    for name, each in means.items():
        yield f"{name[:1].upper()}{name[1:]}: {in_words(each)}."
    if constant is not None:
        yield f"Always predicting the same has {number(constant)}."


@cache
def _drawing(names: tuple[str, ...]) -> alt.LayerChart:
    import altair as alt

    what = listed("w", names) | {"scale": alt.Scale(domain=list(names))}
    colour = coloured("w", names, [_COLOURS[name] for name in names])
    x = quantity("v", "")
    folds = base("folds").mark_circle(size=90, opacity=0.65)
    folds = folds.encode(x=x, y=what, color=colour, tooltip=hints(f="fold", v="value|.5~g"))
    tips = hints(w="of", v="value|.5~g", l="from|.5~g", u="to|.5~g")
    ends = base("means").mark_rule(strokeWidth=3, opacity=0.5)
    ends = ends.encode(x=quantity("l", ""), x2="u:Q", y=what, color=colour, tooltip=tips)
    means = base("means").mark_circle(size=110, opacity=1)
    means = means.encode(x=x, y=what, color=colour, tooltip=tips)
    constant = base("constant").mark_tick(thickness=3, size=18)
    constant = constant.encode(x=x, y=what, color=colour, tooltip=hints(v="value|.5~g"))
    return layered(ends, folds, means, constant, height=_ROW_HEIGHT * len(names) + 10)
