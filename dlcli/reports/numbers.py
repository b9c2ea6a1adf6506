"""Charts of predicted numbers against the true ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dlcli.errors import plural
from dlcli.reports.blocks import Block, Chart, Fold, Grid, Table, Text
from dlcli.reports.drawing import base, finished, hints, layered, quantity
from dlcli.reports.judged import Judged, NumberRows
from dlcli.reports.residuals import Counts, Part, by_decile, distribution
from dlcli.reports.theme import variable
from dlcli.reports.wording import number, rounded, short

if TYPE_CHECKING:
    import altair as alt

Floats = NDArray[np.float64]
MOST_POINTS = 2_000
"""Of the scatter plots of one set of rows."""
MOST_OUTPUTS = 6
"""Columns that are shown where several are predicted."""


def number_blocks(judged: Judged, seed: int) -> list[Block]:
    """The charts of one set of rows, for each column that is predicted.

    Args:
        judged: the rows.
        seed: gives the points that are shown where there are too many.
    """
    outputs = judged.numbers[:MOST_OUTPUTS]
    blocks: list[Block] = []
    for at, output in enumerate(outputs):
        column, grid = output[0], Grid(tuple(_charts(output, seed, MOST_POINTS // len(outputs))))
        if len(outputs) == 1 or at == 0:
            blocks += [grid] if len(outputs) == 1 else [Text(f"{short(column)}:"), grid]
        else:
            blocks.append(Fold(short(column), (grid,)))
    if len(judged.numbers) > len(outputs):
        blocks.append(Text(f"{len(judged.numbers) - len(outputs):,} more columns have no charts."))
    return blocks


def _charts(output: NumberRows, seed: int, most: int) -> list[Chart]:
    column, target, prediction, weights = output
    if not len(target):
        return []
    return [
        _scatter(column, target, prediction, seed, most),
        _residuals(prediction - target, weights),
        _deciles(by_decile(target, prediction, weights)),
    ]


def _scatter(column: str, target: Floats, prediction: Floats, seed: int, most: int) -> Chart:
    some = chosen(len(target), most, seed)
    points = [{"t": rounded(target[at]), "p": rounded(prediction[at])} for at in some.tolist()]
    low = float(min(target[some].min(), prediction[some].min()))
    high = float(max(target[some].max(), prediction[some].max()))
    ends = [{"t": rounded(low), "p": rounded(low)}, {"t": rounded(high), "p": rounded(high)}]
    shown = f" Shown are {len(some):,} of {len(target):,}." if len(some) < len(target) else ""
    return Chart(
        title=f"Predicted against true {short(column, 40)}",
        spec=finished(_scatter_drawing(), rows=points, line=ends),
        shows=f"{plural(len(target), 'row')}: true values from {number(target.min())} to "
        f"{number(target.max())}, predicted ones from {number(prediction.min())} to "
        f"{number(prediction.max())}.{shown}",
        reading="Each point is a row. On the line, prediction and truth agree; above it, too much "
        "was predicted. A cloud flatter than the line means that extremes are underestimated.",
    )


def chosen(rows: int, most: int, seed: int) -> NDArray[np.int64]:
    """The places of some rows, in order: all, or a random choice of `most` that the seed gives."""
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


@cache
def _scatter_drawing() -> alt.LayerChart:

    x, y = quantity("t", "true"), quantity("p", "predicted")
    points = (
        base()
        .mark_circle(size=28, opacity=0.55, color=variable("train"))
        .encode(x=x, y=y, tooltip=hints(t="true|.5~g", p="predicted|.5~g"))
    )
    line = base("line").mark_line(color=variable("muted"), strokeDash=[5, 4], strokeWidth=1.5)
    return layered(points, line.encode(x=x, y=y))


def _residuals(errors: Floats, weights: Floats) -> Chart:
    counts = distribution(errors, weights)
    mean = float(np.average(errors, weights=weights))
    low, high = np.quantile(errors, [0.1, 0.9]).tolist()
    return Chart(
        title="Errors",
        spec=finished(_residual_drawing(), rows=_bars(counts), zero=[{"z": 0}]),
        shows=f"Prediction less truth is {number(mean)} in the mean; for eight rows in ten it "
        f"lies between {number(low)} and {number(high)}.",
        reading="A narrow hill around 0 is good. A hill beside 0 means that all predictions are "
        "too high or too low; a long tail, that a few rows are far off.",
    )


def _bars(counts: Counts) -> list[dict[str, object]]:
    edges = [rounded(edge) for edge in counts.edges.tolist()]
    shares = [rounded(share) for share in counts.shares.tolist()]
    pairs = zip(edges[:-1], edges[1:], shares, strict=True)
    return [{"a": start, "b": stop, "n": share} for start, stop, share in pairs]


@cache
def _residual_drawing() -> alt.LayerChart:
    import altair as alt

    share = quantity("n", "share of rows", axis=alt.Axis(format="%"), zero=True)
    bars = (
        base()
        .mark_bar(color=variable("bar"), binSpacing=1)
        .encode(
            x=quantity("a", "prediction less truth", bin="binned"),
            x2="b",
            y=share,
            tooltip=hints(a="from|.4~g", b="to|.4~g", n="share of rows|.1%"),
        )
    )
    zero = base("zero").mark_rule(strokeDash=[5, 4]).encode(x=quantity("z"))
    return layered(bars, zero)


def _deciles(parts: Sequence[Part]) -> Chart:
    names = [f"{number(part.lowest)} – {number(part.highest)}" for part in parts]
    rows = [
        {"o": at, "d": name, "e": rounded(part.error), "b": rounded(part.bias), "n": part.rows}
        for at, (name, part) in enumerate(zip(names, parts, strict=True))
    ]
    worst = max(range(len(parts)), key=lambda at: parts[at].error)
    return Chart(
        title="Error by size of the true value",
        spec=finished(_decile_drawing(), rows=rows),
        shows=f"The mean size of the error is largest, {number(parts[worst].error)}, where the "
        f"true value lies in {names[worst]}.",
        reading="The rows are cut into ten parts, from the smallest true values to the largest. "
        "Bars show how far off predictions are; points, whether too much (above 0) or too little "
        "(below 0) was predicted.",
        numbers=Table(
            ("true value", "rows", "mean size of the error", "mean error"),
            tuple(
                (name, f"{part.rows:,}", number(part.error), number(part.bias))
                for name, part in zip(names, parts, strict=True)
            ),
        ),
    )


@cache
def _decile_drawing() -> alt.LayerChart:
    import altair as alt

    place = alt.X(
        field="d",
        type="ordinal",
        title="true value",
        sort=alt.EncodingSortField(field="o", op="min"),
        axis=alt.Axis(labelAngle=-40),
    )
    tips = hints(d="true value", n="rows|,d", e="mean size of the error|.4~g", b="mean error|.4~g")
    size = quantity("e", "error", zero=True)
    bars = base().mark_bar(color=variable("bar")).encode(x=place, y=size, tooltip=tips)
    points = base().mark_circle(size=55, color=variable("validation"), opacity=1)
    return layered(bars, points.encode(x=place, y=quantity("b", "error", zero=True), tooltip=tips))


def numbers_by_column(by_column: object) -> Table | None:
    """The metrics of each of several predicted columns.

    Args:
        by_column: as metrics.json has it, from whoever made the run.
    """
    if not isinstance(by_column, dict):
        return None
    rows = tuple(
        (
            short(name),
            number(scores.get("mae")),
            number(scores.get("rmse")),
            number(scores.get("r2")),
        )
        for name, scores in list(by_column.items())[:50]
        if isinstance(scores, dict)
    )
    return Table(("column", "mae", "rmse", "r2"), rows, "Each column") if rows else None
