"""Charts of amounts by predicted size, and of the shares of rows below predicted quantiles."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlcli.arrays import Floats
from dlcli.errors import plural
from dlcli.metrics.statistic import Z, effective_size, wilson_interval
from dlcli.reports import charts, views
from dlcli.reports import formatting as fmt
from dlcli.reports.charts import Axis, Guides
from dlcli.reports.report_parts import PredictedNumbers, PredictedRows

PARTS = 10


@dataclass(frozen=True)
class LiftPart:
    """Rows with similar predictions."""

    rows: int
    predicted: float
    """The mean prediction."""
    true: float
    """The mean true value."""
    lower: float
    upper: float
    """The upper end of the 95 % confidence interval of the mean true value; `lower` is its lower
    end."""


def lift_parts(output: PredictedNumbers, parts: int = PARTS) -> list[LiftPart]:
    """Divide rows into parts of equal weight, from the lowest to the highest prediction.

    Rows with the same prediction are in the same part, so there may be fewer parts.
    """
    order = np.argsort(output.prediction, kind="stable")
    prediction, weights = output.prediction[order], output.weights[order]
    shares = (np.cumsum(weights) - weights / 2) / weights.sum()
    _, groups = np.unique(prediction, return_inverse=True)
    middle = np.bincount(groups, shares * weights) / np.bincount(groups, weights)
    index = np.minimum((middle[groups] * parts).astype(np.int64), parts - 1)
    result = []
    for part in np.unique(index):
        rows = order[index == part]
        target, own = output.target[rows], output.weights[rows]
        mean = float(np.average(target, weights=own))
        variance = float(np.average((target - mean) ** 2, weights=own))
        half = Z * np.sqrt(variance / max(effective_size(own) - 1, 1))
        predicted = float(np.average(output.prediction[rows], weights=own))
        result.append(LiftPart(len(rows), predicted, mean, mean - half, mean + half))
    return result


def lift_chart(output: PredictedNumbers) -> views.ChartBlock:
    """Draw predicted and true means by decile of the prediction."""
    parts = lift_parts(output)
    rows = [
        {"x": at, "y": value, "s": name, "n": part.rows}
        for name in ("predicted", "true")
        for at, part in enumerate(parts, start=1)
        for value in [getattr(part, name)]
    ]
    colors = charts.series_colors(["predicted", "true"])
    first, last = parts[0].true, parts[-1].true
    ratio = f", {fmt.rounded(last / first, 2)} times as much" if first > 0 and last > 0 else ""
    show = fmt.format_within(0.0, max(part.true for part in parts))
    return views.ChartBlock(
        title="Lift by size of the prediction",
        spec=charts.line_chart(
            rows,
            colors,
            Axis("decile of the prediction", whole=True),
            Axis(f"mean {fmt.shorten(output.column)}", zero=True),
            tips={"x": "decile|d", "y": "mean|.4~g", "s": "value", "n": "rows|,d"},
            kind="points",
        ),
        description=f"The mean true value is {show(first)} in the lowest part of the predictions "
        f"and {show(last)} in the highest{ratio}.",
        reading=f"Rows are divided into {plural(len(parts), 'part')}, from the lowest predictions "
        "to the highest. If the predicted means are right on average, both lines are equal. The "
        "steeper the line of true means, the better the predictions separate small from large "
        "values.",
        numbers=views.TableBlock(
            ("decile", "rows", "predicted mean", "true mean", "95 % CI of the true mean"),
            tuple(
                (
                    f"{at}",
                    f"{part.rows:,}",
                    show(part.predicted),
                    show(part.true),
                    fmt.span(show(part.lower), show(part.upper)),
                )
                for at, part in enumerate(parts, start=1)
            ),
        ),
        legend=tuple(colors.items()),
    )


@dataclass(frozen=True)
class LevelShare:
    """The share of rows whose true value is at most a predicted quantile."""

    level: float
    share: float
    lower: float
    upper: float
    """The upper end of the 95 % confidence interval; `lower` is its lower end."""


def level_shares(
    levels: tuple[float, ...], true: Floats, quantiles: Floats, weights: Floats
) -> list[LevelShare]:
    """Return the share of rows below the quantile of each level.

    Args:
        levels: the levels.
        true: the true values, (rows, 1).
        quantiles: the quantiles, (rows, levels).
        weights: row weights, (rows,).
    """
    shares = np.average(true <= quantiles, axis=0, weights=weights).tolist()
    size = float(effective_size(weights))
    return [
        LevelShare(level, share, *wilson_interval(share, size))
        for level, share in zip(levels, shares, strict=True)
    ]


def level_chart(rows: PredictedRows) -> views.ChartBlock:
    """Draw the share of rows below the quantile of each level."""
    found = level_shares(rows.task.levels, rows.values, rows.decoded, rows.weights)
    points = [
        {"x": each.level, "y": each.share, "l": each.lower, "u": each.upper, "s": "rows"}
        for each in found
    ]
    doubtful = [each for each in found if not each.lower <= each.level <= each.upper]
    levels = ", ".join(f"{each.level:g}" for each in doubtful)
    description = (
        f"At the levels {levels}, the share differs from the level beyond its confidence interval."
        if doubtful
        else "Each share is within its confidence interval of the level."
    )
    tips = {"x": "level|.3~g", "y": "share of rows below|.1%", "l": "from|.1%", "u": "to|.1%"}
    across, up = Axis("level", domain=(0, 1)), Axis("share of rows below", domain=(0, 1))
    guides = Guides(reference=[{"x": 0, "y": 0}, {"x": 1, "y": 1}])
    colors = charts.series_colors(["rows"])
    return views.ChartBlock(
        title="Rows below each quantile",
        spec=charts.line_chart(points, colors, across, up, tips=tips, kind="points", guides=guides),
        description=description,
        reading="Each point is a predicted quantile: its level, and the share of rows whose true "
        "value is at most the quantile. On the dashed line both are equal. A point below the line "
        "means that the quantile is too low; a point above it, that it is too high.",
        numbers=views.TableBlock(
            ("level", "share of rows below", "95 % CI"),
            tuple(
                (
                    f"{each.level:g}",
                    fmt.percent(each.share),
                    fmt.span(fmt.percent(each.lower), fmt.percent(each.upper)),
                )
                for each in found
            ),
        ),
    )
