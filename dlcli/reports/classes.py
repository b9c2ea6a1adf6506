"""Charts of predicted classes and labels."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dlcli.metrics import (
    CalibrationBin,
    ThresholdCounts,
    calibration_curve,
    decision_metrics,
    expected_calibration_error,
)
from dlcli.reports.blocks import Block, Chart, Grid, Table
from dlcli.reports.confusion import as_matrix, class_table, confusion_blocks
from dlcli.reports.drawing import base, finished, hints, layered, quantity
from dlcli.reports.judged import Judged
from dlcli.reports.ranked import ranking_charts, threshold_table
from dlcli.reports.theme import MOST_KINDS, variable
from dlcli.reports.wording import number, percent, rounded, short, shorts

if TYPE_CHECKING:
    import altair as alt

Floats = NDArray[np.float64]
Marks = NDArray[np.bool_]
MOST_LABELS = 50
"""Labels whose metrics are listed."""
_THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def class_blocks(judged: Judged, confusion: object) -> list[Block]:
    """What became of rows with one class each.

    Args:
        judged: the rows.
        confusion: of all rows of the set, as metrics.json has it; counted here if it has none.
    """
    names = judged.target.classes
    matrix = as_matrix(confusion, len(names))
    matrix = _counted(judged) if matrix is None else matrix
    charts = [*confusion_blocks(matrix, names), *ranking_charts(_rankings(judged))]
    if not judged.has_margin:
        charts.append(_class_calibration(judged))
    return [Grid(tuple(charts)), class_table(matrix, names), *_threshold_blocks(judged)]


def _counted(judged: Judged) -> Floats:
    count = judged.target.width
    places = judged.classes * count + judged.predicted_classes
    cells = np.bincount(places, judged.weights, minlength=count**2)
    return cells.astype(np.float64).reshape(count, count)


def _rankings(judged: Judged) -> dict[str, ThresholdCounts]:
    """The second of two classes, or each of a few against all others."""
    names = judged.target.classes
    if len(names) > MOST_KINDS:
        return {}
    places = [1] if len(names) == 2 else range(len(names))
    return {
        names[at]: ThresholdCounts.of(
            judged.classes == at, judged.scores(names[at]), judged.weights
        )
        for at in places
    }


def _class_calibration(judged: Judged) -> Chart:
    """Of the second of two classes, or of the class that was predicted."""
    names = judged.target.classes
    if len(names) == 2:
        bins = calibration_curve(judged.classes == 1, judged.scores(names[1]), judged.weights)
        return _calibration(bins, f"being {short(names[1], 40)}")
    right = judged.classes == judged.predicted_classes
    return _calibration(
        calibration_curve(right, judged.confidence(), judged.weights), "being right"
    )


def _threshold_blocks(judged: Judged) -> list[Block]:
    names = judged.target.classes
    if len(names) != 2 or judged.has_margin:
        return []
    rows = {
        threshold: decision_metrics(
            judged.classes == 1, judged.scores(names[1]) > threshold, judged.weights
        )
        for threshold in _THRESHOLDS
    }
    return [threshold_table(rows, short(names[1], 40))]


def label_blocks(judged: Judged, by_label: object) -> list[Block]:
    """What became of rows with any of several labels.

    Args:
        judged: the rows.
        by_label: the metrics of each label, as metrics.json has them.
    """
    labels = judged.target.labels[:MOST_KINDS]
    marks = {label: judged.has_label(label) for label in labels}
    scores = {label: judged.scores(label) for label in labels}
    rankings = {
        label: ThresholdCounts.of(marks[label], scores[label], judged.weights) for label in labels
    }
    happened, probabilities = (np.concatenate([*each.values()]) for each in (marks, scores))
    bins = calibration_curve(happened, probabilities, np.tile(judged.weights, len(labels)))
    charts = [*ranking_charts(rankings), _calibration(bins, "having a label")]
    table = label_table(by_label)
    return [Grid(tuple(charts)), *([table] if table else [])]


def label_table(by_label: object) -> Table | None:
    """The metrics of each label, from whoever made the run."""
    if not isinstance(by_label, dict):
        return None
    metrics = ("precision", "recall", "f1", "auc", "average_precision")
    found = [(name, each) for name, each in by_label.items() if isinstance(each, dict)]
    names = shorts(name for name, _ in found[:MOST_LABELS])
    pairs = zip(names, (each for _, each in found), strict=False)
    rows = tuple((name, *(number(each.get(metric)) for metric in metrics)) for name, each in pairs)
    rest = f"{len(found) - len(rows):,} more are not listed." if len(found) > len(rows) else ""
    return Table(("label", *metrics), rows, "Each label", note=rest) if rows else None


def _calibration(bins: list[CalibrationBin], what: str) -> Chart:
    rows = [
        {"p": rounded(each.predicted), "o": rounded(each.observed), "n": each.rows} for each in bins
    ]
    error = expected_calibration_error(bins)
    return Chart(
        title="Are its probabilities right?",
        spec=finished(_drawing(), rows=rows, line=[{"p": 0, "o": 0}, {"p": 1, "o": 1}]),
        shows=f"Said probability and what came about differ by {percent(error)} in the mean.",
        reading=f"Rows are put together by the probability of {what} that the network gave them. "
        "On the dashed line, it comes about as often as said; below it, the network is too sure. "
        "Larger points stand for more rows; small ones are mostly chance.",
        numbers=Table(
            ("said", "came about", "rows"),
            tuple(
                (percent(each.predicted), percent(each.observed), f"{each.rows:,}") for each in bins
            ),
            texts=0,
        ),
    )


@cache
def _drawing() -> alt.LayerChart:
    import altair as alt

    whole = alt.Scale(domain=[0, 1])
    percents = alt.Axis(format="%")
    x = quantity("p", "probability that was said", scale=whole, axis=percents)
    y = quantity("o", "share that came about", scale=whole, axis=percents)
    size = alt.Size(field="n", type="quantitative", scale=alt.Scale(range=[30, 400]), legend=None)
    tips = hints(p="said|.1%", o="came about|.1%", n="rows|,d")
    steps = base().mark_line(color=variable("train")).encode(x=x, y=y)
    points = base().mark_circle(color=variable("train"), opacity=0.85)
    dashed = base("line").mark_line(color=variable("muted"), strokeDash=[5, 4], strokeWidth=1.5)
    return layered(dashed.encode(x=x, y=y), steps, points.encode(x=x, y=y, size=size, tooltip=tips))
