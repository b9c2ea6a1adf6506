"""The reliability of probabilities as a chart, a table and a sentence."""

from __future__ import annotations

from collections.abc import Iterator

from dlcli.prediction.reliability import Reliability, measure_reliability
from dlcli.reports import charts, views
from dlcli.reports import formatting as fmt
from dlcli.reports.charts import Axis, Guides, PointStyle
from dlcli.reports.report_parts import PredictedRows


def calibration_charts(rows: PredictedRows) -> Iterator[views.ChartBlock]:
    """Draw the groups of rows of a reliability diagram, if there are rows."""
    found = measure_reliability(rows.task, rows)
    if found is None:
        return
    points = [
        {"x": e.predicted, "y": e.observed, "l": e.lower, "u": e.upper, "n": e.rows, "s": "rows"}
        for e in found.groups
    ]
    ends = {"l": "95 % confidence interval from|.1%", "u": "to|.1%"}
    tips = {"x": "predicted|.1%", "y": "observed|.1%", **ends, "n": "rows|,d"}
    guides = Guides(reference=[{"x": 0, "y": 0}, {"x": 1, "y": 1}], path=points)
    style = {"rows": PointStyle("train", size=60, opacity=0.85)}
    across, up = (
        Axis(title, format="%", domain=(0, 1))
        for title in ("predicted probability", "observed frequency")
    )
    what = _event(found, bool(rows.task.labels))
    yield views.ChartBlock(
        title="Calibration of probabilities",
        spec=charts.scatter_chart(points, style, across, up, tips=tips, guides=guides),
        description=describe_calibration(found),
        reading=f"Rows are sorted by the predicted probability {what} and divided into groups of "
        "about equal size. Points on the dashed line: probabilities match the observed "
        "frequencies. Points below it: the probabilities are too high. Vertical lines are 95 % "
        "confidence intervals; if one crosses the dashed line, the difference may be due to "
        "chance.",
        numbers=charts.numbers_table(points, tips),
    )


def calibration_table(found: Reliability, has_labels: bool) -> views.TableBlock:
    """List the groups of rows of a reliability diagram."""
    lines = tuple(
        (
            fmt.percent(each.predicted),
            fmt.percent(each.observed),
            f"{fmt.percent(each.lower)} to {fmt.percent(each.upper)}",
            f"{each.rows:,}",
        )
        for each in found.groups
    )
    heads = ("predicted", "observed", "95 % CI", "label decisions" if has_labels else "rows")
    return views.TableBlock(heads, lines, f"Probability {_event(found, has_labels)}")


def describe_calibration(found: Reliability) -> str:
    """Describe the calibration error of rows, and the part that chance explains."""
    error = found.error
    if error.value is None or error.ends is None or found.by_chance is None:
        return "There are too few rows to measure the calibration error."
    value, chance, lower, upper = (
        f"{100 * each:.1f}" for each in (error.value, found.by_chance, *error.ends)
    )
    return (
        f"The calibration error is {value} percentage points (95 % CI: {lower} to {upper}): the "
        "mean absolute difference between predicted probability and observed frequency. Even if "
        f"the probabilities of these rows were exact, it would be about {chance} percentage points "
        "by chance."
    )


def _event(found: Reliability, has_labels: bool) -> str:
    if has_labels:
        return "of each label"
    return f"of {fmt.shorten(found.of)}" if found.of else "of the most probable class"
