"""A chart of the metric or cost by threshold, from which the decision for a class was chosen."""

from __future__ import annotations

from dlcli.metrics.definitions import COST
from dlcli.reports import charts, views
from dlcli.reports import formatting as fmt
from dlcli.reports.charts import Axis, Guides
from dlcli.tasks.decision import FittedDecision

_SERIES = "validation"


def decision_chart(decision: FittedDecision) -> views.ChartBlock | None:
    """Draw the metric or the mean cost at each tried threshold, with the chosen one marked.

    Args:
        decision: the decision of a run.

    Returns:
        The chart; `None` if no threshold was chosen or evaluated on rows.
    """
    points = [each for each in decision.curve if each.value is not None]
    if len(points) < 2 or decision.threshold is None:
        return None
    is_cost = decision.objective == COST.name
    title = (
        "Mean cost of a row" if is_cost else fmt.capitalize(fmt.metric_title(decision.objective))
    )
    choose = min if is_cost else max
    best = choose(points, key=lambda each: each.value or 0.0)
    near = min(points, key=lambda each: abs(each.threshold - (decision.threshold or 0.0)))
    names = {True: "all limits met", False: "limits not met"}
    colors = charts.series_colors([_SERIES])
    rows = [
        {"x": each.threshold, "y": each.value, "s": _SERIES, "d": names[each.is_allowed]}
        for each in points
    ]
    tips = {"x": "threshold|.3~g", "y": f"{title}|.3~g"}
    if decision.constraints:
        tips["d"] = "limits"
    kind = f"{decision.origin} rows" if decision.origin else "rows"
    value, most = (fmt.metric(decision.objective, each.value) for each in (near, best))
    chosen = fmt.number(decision.threshold)
    return views.ChartBlock(
        title=f"{title} by threshold",
        spec=charts.line_chart(
            rows,
            colors,
            Axis("threshold", domain=(0.0, 1.0)),
            Axis(title),
            tips=tips,
            kind="path",
            guides=Guides(x=decision.threshold),
        ),
        description=(
            f"{title} on {decision.rows:,} {kind}: {value} near the threshold {chosen}; "
            f"the {'lowest' if is_cost else 'highest'} is {most}, at {fmt.number(best.threshold)}."
        ),
        reading="The dashed line is the threshold of this run. Where the line is flat, the exact "
        "threshold makes little difference.",
        numbers=charts.numbers_table(rows, tips),
    )
