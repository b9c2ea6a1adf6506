"""The report's section on the rows with the largest errors."""

from __future__ import annotations

from collections.abc import Sequence

from dlcli.errors import plural
from dlcli.explanation.explanation_document import RowContributions, Unit, WorstRow
from dlcli.reports import charts, views
from dlcli.reports import formatting as fmt
from dlcli.reports.charts import Axis
from dlcli.reports.report_parts import TrainingRecord
from dlcli.reports.shapley_views import decimals_of, format_effect, format_prediction

MOST_WORST_COLUMNS = 12
"""Maximum number of columns shown for the worst rows."""
_MOST_NAMED = 3
"""Maximum number of contributions in the text of a row."""
_NAME_WIDTH = 200
"""Maximum width of a column and its value in pixels."""
_READING = (
    "Each bar shows how far the value of a column moves the prediction of the row from the mean "
    "prediction for some training rows (Shapley values). All bars of a row add up to its "
    "prediction minus the mean. If a column has a large contribution in the wrong direction, check "
    "its value in this row. To explain other rows, use dlcli explain."
)


def errors_section(record: TrainingRecord) -> views.PageSection:
    """List the rows with the largest errors; empty without held-out rows."""
    explanation, task = record.run.explanation, record.run.task
    if not explanation.worst:
        return views.section("errors", "Largest errors")
    error = fmt.metric_title(fmt.shorten(explanation.importance_metric or task.error_name))
    if task.outcome == "numbers":
        error = f"error{explanation.unit}"
    worst = [
        each.model_copy(update={"split": record.run.config.adjective(each.split)})
        for each in explanation.worst
    ]
    table, charts = worst_table(worst, error), contribution_charts(worst)
    return views.section("errors", "Largest errors", table, charts)


def worst_table(worst: Sequence[WorstRow], error: str) -> views.TableBlock:
    """List the rows with the largest errors, with their values.

    Args:
        worst: at least one.
        error: the name of the error.
    """
    columns = list(dict.fromkeys(name for row in worst for name in row.values))[:MOST_WORST_COLUMNS]
    has_file = any(row.file is not None for row in worst)
    [kind, *others] = dict.fromkeys(row.split for row in worst)
    decimals = _decimals(worst)
    rows = tuple(
        (
            f"{row.row:,}",
            *((fmt.shorten(row.file or "", 40),) if has_file else ()),
            *((fmt.shorten(row.split),) if others else ()),
            fmt.shorten(row.target) or "(none)",
            _prediction(row.prediction, decimals),
            fmt.rounded(row.error, decimals),
            *(
                "(missing)" if (value := row.values.get(name)) is None else fmt.shorten(value)
                for name in columns
            ),
        )
        for row in worst
    )
    where = ("file",) * has_file + ("set",) * bool(others)
    name = "held-out" if others else fmt.shorten(kind)
    header = ("row", *where, "true", "predicted", error, *fmt.shorten_names(columns, 30))
    return views.TableBlock(
        header,
        rows,
        caption=f"{fmt.capitalize(name)} rows with the largest errors",
        text_columns=range(len(header)),
        note="The most important columns come first. Look for errors in the data and for what "
        "these rows have in common.",
    )


def _decimals(worst: Sequence[WorstRow]) -> int | None:
    """Return the decimals of predictions, whose uncertainty is the smallest error."""
    return fmt.decimals_of(min((abs(row.error) for row in worst if row.error), default=None))


def _prediction(text: str, decimals: int | None) -> str:
    """Format a predicted number with its decimals, and shorten any other prediction."""
    try:
        return fmt.rounded(float(text), decimals)
    except ValueError:
        return fmt.shorten(text) or "(none)"


def contribution_charts(worst: Sequence[WorstRow]) -> views.GroupBlock | None:
    """Draw the contributions of columns for each explained row; `None` if no row is explained.

    Args:
        worst: the rows with the largest errors.
    """
    decimals = _decimals(worst)
    explained = [(row, each) for row in worst if (each := row.contributions) and each.columns]
    if not explained:
        return None
    grid = views.grid(_contribution_chart(_title(row, decimals), found) for row, found in explained)
    return views.group("Explanation of the largest errors", _READING, grid)


def _title(row: WorstRow, decimals: int | None) -> str:
    file = "" if row.file is None else f" of {fmt.shorten(row.file, 40)}"
    true, predicted = fmt.shorten(row.target, 40) or "(none)", _prediction(row.prediction, decimals)
    return f"Row {row.row:,}{file}: true {true}, predicted {predicted}"


def _contribution_chart(title: str, found: RowContributions) -> views.ChartBlock:
    names = fmt.shorten_names(
        f"{fmt.shorten(each.column, 20)} = "
        f"{'missing' if each.value is None else fmt.shorten(each.value, 12)}"
        for each in found.columns
    )
    bars = [(each.shapley, each.standard_error) for each in found.columns]
    if found.others:
        names.append(plural(found.other_columns, "other column"))
        bars.append((found.others, 0.0))
    rows = [_bar(name, *bar, found.unit) for name, bar in zip(names, bars, strict=True)]
    decimals = decimals_of(found.unit, max(abs(effect) for effect, _ in bars))
    largest = ", ".join(
        f"{format_effect(found.unit, effect, None, decimals)[0]} from {name}"
        for name, (effect, _) in zip(names[:_MOST_NAMED], bars, strict=False)
    )
    has_errors = any("e" in bar for bar in rows)
    tips = {"y": "column", "x": "contribution|.3~g"}
    listed = {**tips, "e": "standard error|.2~g"} if has_errors else tips
    what = {"target": "prediction"}.get(found.unit, found.unit)
    axis = Axis("percentage points" if found.unit == "probability" else "contribution", zero=True)
    prediction = format_prediction(found.unit, found.prediction)
    mean = format_prediction(found.unit, found.mean_prediction)
    return views.ChartBlock(
        title=title,
        spec=charts.bar_chart(rows, names, axis, tips=tips, name_width=_NAME_WIDTH),
        description=f"The {what} of {fmt.shorten(found.explained, 40)} is {prediction}, the mean "
        f"{mean}. Largest contributions: {largest}.",
        reading="The thin line is the value ± its standard error." if has_errors else "",
        numbers=charts.numbers_table([{"e": "", **bar} for bar in rows], listed),
    )


def _bar(name: str, effect: float, error: float, unit: Unit) -> dict[str, object]:
    """Return a bar, with the ends of its thin line unless the value is exact."""
    scale = 100.0 if unit == "probability" else 1.0
    effect, error = scale * effect, scale * error
    ends = {"l": effect - error, "u": effect + error, "e": error} if error else {}
    return {"y": name, "x": effect, **ends}
