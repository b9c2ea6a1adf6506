"""Charts of how well classes or labels are told from the rest, at every threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dlcli.metrics import Number, ThresholdCounts
from dlcli.pipeline import thinned_path
from dlcli.reports.blocks import Chart, Table
from dlcli.reports.drawing import base, coloured, finished, hints, layered, quantity
from dlcli.reports.theme import kinds, variable
from dlcli.reports.wording import number, percent, rounded, shorts

if TYPE_CHECKING:
    import altair as alt

    from dlcli.reports.drawing import Rows

Floats = NDArray[np.float64]
MOST_POINTS = 300
"""Of the curve of one class; of several, together three times as many."""
Rankings = Mapping[str, ThresholdCounts]
"""Rankings by the name of the class or label, each with rows of both kinds."""


def ranking_charts(rankings: Rankings) -> list[Chart]:
    """The ROC curve and the precision-recall curve; none where no class has rows of both kinds."""
    defined = {name: each for name, each in rankings.items() if each.is_defined}
    return [_roc(defined), _precision_recall(defined)] if defined else []


def _roc(rankings: Rankings) -> Chart:
    areas = [float(ranking.roc_auc()) for ranking in rankings.values()]
    curves = [ranking.roc_curve() for ranking in rankings.values()]
    return Chart(
        title="ROC curve",
        spec=_spec(
            rankings,
            curves,
            ("share of the others taken for it", "share that is found"),
            [{"x": 0, "y": 0}, {"x": 1, "y": 1}],
        ),
        shows=_areas("The area under the curve is", rankings, areas),
        reading="Going along the line, the threshold falls: more is found, and more is taken for "
        "it falsely. The nearer to the upper left corner, the better; the dashed line is guessing "
        "(area 0.5), and 1 is perfect.",
        numbers=_listed(rankings, areas, "area"),
        legend=_legend(rankings),
    )


def _precision_recall(rankings: Rankings) -> Chart:
    areas = [float(ranking.average_precision()) for ranking in rankings.values()]
    shares = [
        float(each.positives / (each.positives + each.negatives)) for each in rankings.values()
    ]
    level: Rows = [{"x": at, "y": rounded(shares[0])} for at in (0, 1)] if len(shares) == 1 else []
    return Chart(
        title="Precision and recall",
        spec=_spec(
            rankings,
            [ranking.precision_recall_curve() for ranking in rankings.values()],
            ("recall: share that is found", "precision: share that is right"),
            level,
        ),
        shows=_areas("Average precision is", rankings, areas),
        reading="Precision is how much of what is called positive is so; recall, how much of what "
        "is so is found. The nearer to the upper right corner, the better. Guessing is as "
        f"precise as the class is frequent{f' ({percent(shares[0])})' if level else ''}.",
        numbers=_listed(rankings, areas, "average precision"),
        legend=_legend(rankings),
    )


def _areas(what: str, rankings: Rankings, areas: Sequence[float]) -> str:
    names = shorts(rankings, 40)
    if len(names) == 1:
        return f"{what} {number(areas[0])}, of finding {names[0]}."
    least = min(range(len(names)), key=lambda at: areas[at])
    mean = sum(areas) / len(areas)
    return (
        f"{what} {number(mean)} in the mean over {len(names)}, each against all others; the least, "
        f"{number(areas[least])}, is that of {names[least]}."
    )


def _legend(rankings: Rankings) -> tuple[tuple[str, str], ...]:
    names = shorts(rankings, 40)
    return tuple(zip(names, kinds(len(names)), strict=True)) if len(names) > 1 else ()


def _listed(rankings: Rankings, areas: Sequence[float], what: str) -> Table | None:
    if len(rankings) == 1:
        return None
    pairs = zip(shorts(rankings), rankings.values(), areas, strict=True)
    rows = ((name, number(float(each.positives)), number(area)) for name, each, area in pairs)
    return Table(("class", "rows", what), tuple(rows))


def _spec(
    rankings: Rankings,
    curves: Sequence[tuple[Floats, Floats]],
    titles: tuple[str, str],
    reference: Rows,
) -> Mapping[str, object]:
    names = shorts(rankings, 40)
    most = MOST_POINTS if len(names) == 1 else 3 * MOST_POINTS // len(names)
    rows = [
        {"x": rounded(x[at]), "y": rounded(y[at]), "c": name, "o": order}
        for name, (x, y) in zip(names, curves, strict=True)
        for order, at in enumerate(thinned_path(x, y, most).tolist())
    ]
    colours = kinds(len(names)) if len(names) > 1 else ["train"]
    return finished(_drawing(tuple(names), tuple(colours), *titles), rows=rows, line=reference)


@cache
def _drawing(
    names: tuple[str, ...], colours: tuple[str, ...], across: str, up: str
) -> alt.LayerChart:
    import altair as alt

    whole = alt.Scale(domain=[0, 1])
    x, y = quantity("x", across, scale=whole), quantity("y", up, scale=whole)
    colour = coloured("c", names, colours)
    tips = hints(c="class", x=f"{across}|.3f", y=f"{up}|.3f")
    order = alt.Order(field="o", type="quantitative")
    lines = base().mark_line(interpolate="linear").encode(x=x, y=y, color=colour, order=order)
    points = base().mark_circle(size=40, opacity=0).encode(x=x, y=y, color=colour, tooltip=tips)
    reference = base("line").mark_line(color=variable("muted"), strokeDash=[5, 4], strokeWidth=1.5)
    return layered(reference.encode(x=x, y=y), lines, points)


def threshold_table(chosen: Mapping[float, Mapping[str, Number]], name: str) -> Table:
    """What comes of each threshold, as a table.

    Args:
        chosen: the metrics of each threshold.
        name: of the class that is looked for.
    """
    rows = tuple(
        (
            number(threshold),
            percent(each["selected"]),
            percent(each["precision"]),
            percent(each["recall"]),
            number(each["f1"]),
            percent(each["accuracy"]),
        )
        for threshold, each in chosen.items()
    )
    return Table(
        ("threshold", "called so", "precision", "recall", "F1", "accuracy"),
        rows,
        caption=f"What if another threshold were taken for {name}?",
        note="A row is called so if its probability is above the threshold. A lower one finds more "
        "and is wrong more often; which is best depends on what either mistake costs. The network "
        "itself uses 0.5.",
    )
