"""The report's summary of Shapley values: a beeswarm chart of some training rows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dlcli.arrays import Floats, Matrix
from dlcli.errors import plural
from dlcli.explanation.prediction_analysis import input_indices
from dlcli.explanation.shapley import ShapleyExplainer, ShapleyValues
from dlcli.prediction.predictor import Predictor
from dlcli.reports import charts, views
from dlcli.reports import formatting as fmt
from dlcli.reports.charts import Axis, PointStyle
from dlcli.reports.shapley_views import decimals_of, format_effect
from dlcli.runs.run import Run

MOST_COLUMNS = 12
"""Maximum number of columns of the chart."""
_MOST_EXACT_WORK = 1e10
"""Maximum number of multiplications for exact values, about half a second on a core."""
_MOST_WORK = 1e11
"""Maximum number of multiplications for all rows; a larger network has no summary."""
_HEIGHT = 34
"""Height of a column's band in pixels."""
_BINS = 60
"""Number of positions along the axis; points at the same position are stacked."""
_STYLES = {
    "no order": PointStyle("series-2", opacity=0.8),
    "low": PointStyle("series-1", opacity=0.8),
    "middle": PointStyle("muted", opacity=0.8),
    "high": PointStyle("series-0", opacity=0.8),
}
"""The look of a point by the value of its column, among the drawn rows."""


def shapley_chart(run: Run) -> views.ChartBlock | None:
    """Draw how much each column contributes to the predictions of the run's background rows.

    Returns:
        The chart; `None` if the run contains no background rows, or if it would take too long.
    """
    if run.is_diverged or (background := run.background) is None or len(background) < 2:
        return None
    explainer = ShapleyExplainer(run.predictor, background, most_exact_work=_MOST_EXACT_WORK)
    if explainer.work_of_row * len(background) > _MOST_WORK:
        return None
    values = explainer.explain(background)
    if not np.isfinite(values.values).all():
        return None
    return _draw(run.predictor, background, values)


def _draw(
    predictor: Predictor, background: Matrix, values: ShapleyValues
) -> views.ChartBlock | None:
    effects = values.values[np.arange(len(values)), :, values.chosen]
    sizes = np.abs(effects).mean(axis=0)
    order = [at for at in np.argsort(-sizes, kind="stable")[:MOST_COLUMNS].tolist() if sizes[at]]
    if not order:
        return None
    names = fmt.shorten_names((values.columns[at] for at in order), 30)
    scale = 100.0 if values.unit == "probability" else 1.0
    widest = float(np.ptp(effects[:, order])) or 1.0
    rows = [
        {"x": scale * float(effect), "y": name, "o": offset, "s": level}
        for name, at in zip(names, order, strict=True)
        for effect, offset, level in zip(
            effects[:, at],
            _offsets(effects[:, at], widest),
            _levels(predictor, background, values.columns[at]),
            strict=True,
        )
    ]
    several = len(values.outputs) > 1 and predictor.task.outcome != "numbers"
    what = {
        "probability": "probability",
        "log-odds": "log-odds",
        "margin": "margin",
        "target": "prediction",
    }[values.unit]
    of = "the predicted class" if several else values.outputs[0]
    axis = f"contribution to the {what} of {fmt.shorten(of, 40)}"
    axis += ", in percentage points" if values.unit == "probability" else ""
    decimals = decimals_of(values.unit, float(sizes.max()))
    means = (format_effect(values.unit, float(sizes[at]), None, decimals)[0][1:] for at in order)
    listed = ", ".join(f"{name} {mean}" for name, mean in zip(names[:3], means, strict=False))
    tips = {"y": "column", "x": "contribution|.3~g", "s": "value of the column"}
    drawn = {each["s"] for each in rows}
    return views.ChartBlock(
        title="Contributions of columns",
        spec=charts.scatter_chart(
            rows,
            _STYLES,
            Axis(axis),
            Axis(names=names),
            tips=tips,
            guides=charts.Guides(x=0.0),
            height=_HEIGHT * len(names) + 20,
        ),
        legend=tuple((name, style.color) for name, style in _STYLES.items() if name in drawn),
        description=f"Mean size of the contribution to the {what} of {fmt.shorten(of, 40)}, for "
        f"{plural(len(values), 'training row')}: {listed}.",
        reading="Each point is a training row. To the right of the line, the column raises its "
        "prediction above the mean; to the left, it lowers it (Shapley values). The colors show "
        "whether the value of the column is low or high among these rows. dlcli explain explains "
        "single rows.",
        numbers=charts.numbers_table(rows, tips),
    )


def _levels(predictor: Predictor, background: Matrix, column: str) -> list[str]:
    """Return whether each row's value of a column is among the low, middle or high third."""
    feature = next(each for each in predictor.encoding.features if each.column == column)
    inputs = background[:, input_indices(predictor.encoding.layout)[column]]
    if not feature.reads_numbers or not inputs.shape[1]:
        return ["no order"] * len(background)
    numbers = inputs.sum(axis=1)
    low, high = np.quantile(numbers, [1 / 3, 2 / 3])
    return [
        "low" if number <= low < high else "high" if number > high else "middle"
        for number in numbers.tolist()
    ]


def _offsets(effects: Floats, widest: float) -> Iterator[float]:
    """Yield the distance of each point from the middle of its band, from −1 to 1.

    Args:
        effects: the values of a column, (rows,).
        widest: the range of all values, which is divided into `_BINS` positions.
    """
    positions = np.round(effects / widest * _BINS).astype(np.int64).tolist()
    heights = dict.fromkeys(positions, 0)
    most = max(positions.count(each) for each in heights)
    for position in positions:
        count = heights[position]
        heights[position] = count + 1
        step = (count + 1) // 2 * (1 if count % 2 else -1)
        yield 2 * step / max(most, 8)
