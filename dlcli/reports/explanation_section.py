"""The section on what the predictions depend on, and on the rows with the largest errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dlcli.explanation import Explanation, Importance, PartialDependence, WorstRow
from dlcli.reports import formatting as fmt
from dlcli.reports.charts import (
    MOST_SERIES,
    Axis,
    PointStyle,
    bar_chart,
    line_chart,
    milliseconds,
    numbers_table,
    scatter_chart,
    series_colors,
)
from dlcli.reports.run_record import TrainingRecord
from dlcli.reports.views import Block, Chart, Grid, Group, Section, Table, Text

MOST_COLUMNS = 20
MOST_DEPENDENCES = 12
MOST_VALUES = 12
"""Columns that are shown next to each of the worst rows."""
_MOST_NAMED = 3
"""Columns that are named as the most important ones."""


def explanation_section(record: TrainingRecord) -> Section | None:
    """Show what the predictions depend on; `None` without an explanation or held-out rows."""
    explanation = record.explanation
    if explanation is None:
        return None
    blocks: list[Block] = []
    if explanation.importances:
        read = None
        if record.log.features:
            types = [each.type for each in record.log.features.columns.values()]
            read = len(types) - types.count("ignored")
        metric = explanation.importance_metric or "error"
        blocks.append(importance_chart(explanation.importances, metric, read))
    if charts := _dependence_charts(explanation):
        group = Group("Partial dependence", (Text(_DEPENDENCE), Grid(tuple(charts))))
        blocks.append(group)
    if explanation.worst:
        is_number = record.task.outcome == "numbers"
        table = worst_table(explanation.worst, "error" if is_number else "log loss")
        blocks.append(Group("The largest errors", (table,)))
    return Section("explanation", "What it depends on", tuple(blocks)) if blocks else None


_DEPENDENCE = (
    "Each chart shows the mean prediction if one column had the same value in every row and all "
    "other columns were as they are. Steep means a strong dependence, flat means none. Where "
    "columns depend on one another, it includes rows that can't exist."
)


def importance_chart(
    importances: Sequence[Importance], metric: str, features: int | None = None
) -> Chart:
    """Draw the permutation importance of columns, the most important first.

    Args:
        importances: at least one, the largest first.
        metric: the error whose increase they are.
        features: the number of columns that the network reads, if that is known.
    """
    shown = importances[:MOST_COLUMNS]
    names = fmt.shorten_names((each.column for each in shown), 40)
    rows = [
        {
            "y": name,
            "x": each.increase,
            "l": each.increase - each.deviation,
            "u": each.increase + each.deviation,
            "d": each.deviation,
        }
        for name, each in zip(names, shown, strict=True)
    ]
    title = fmt.shorten(metric).replace("_", " ")
    tips = {"y": "column", "x": f"increase of {title}|.4~g", "d": "standard deviation|.4~g"}
    return Chart(
        title="Permutation importance",
        spec=bar_chart(
            rows,
            names,
            Axis(f"increase of {title}", zero=True),
            tips=tips,
        ),
        description=" ".join(_most_important(names, importances, features)),
        reading=f"The values of each column were shuffled among the held-out rows: the bar shows "
        f"by how much {title} increased, the thin line its standard deviation. Of columns with the "
        "same information, each may look unimportant, as the network still has the other.",
        numbers=numbers_table(rows, tips),
    )


def _most_important(
    names: Sequence[str], importances: Sequence[Importance], features: int | None
) -> Iterator[str]:
    pairs = zip(names, importances, strict=False)
    clear = [name for name, each in pairs if each.increase > max(each.deviation, 0)]
    if clear:
        yield f"The predictions depend most on {', '.join(clear[:_MOST_NAMED])}."
    else:
        yield "No column has an importance above its standard deviation."
    if rest := len(importances) - len(names):
        yield f"{_columns(rest, 'less important')} not shown."
    if features is not None and (rest := features - len(importances)) > 0:
        yield f"{_columns(rest, 'more')} not measured."


def _columns(count: int, which: str) -> str:
    return f"{count:,} {which} {'column was' if count == 1 else 'columns were'}"


def _dependence_charts(explanation: Explanation) -> list[Chart]:
    types = {column.name: column.type for column in explanation.columns}
    charts = (
        dependence_chart(each, explanation.outputs, is_time=types.get(each.column) == "datetime")
        for each in explanation.partial_dependences[:MOST_DEPENDENCES]
    )
    return [chart for chart in charts if chart is not None]


def dependence_chart(
    each: PartialDependence, outputs: Sequence[str], *, is_time: bool
) -> Chart | None:
    """Draw the mean prediction by the value of one column; `None` if there is nothing to draw.

    Args:
        each: the partial dependence.
        outputs: the names of the predictions of its points.
        is_time: whether the column's numbers are seconds since 1970.
    """
    # Of two outputs the second is shown, as it determines the first.
    places = range(1, 2) if len(outputs) == 2 else range(min(len(outputs), MOST_SERIES))
    names = fmt.shorten_names((outputs[at] for at in places), 40)
    points = [point for point in each.points if len(point.predictions) == len(outputs)]
    if not points or not names:
        return None
    lines = {
        name: [p.predictions[at] for p in points] for name, at in zip(names, places, strict=True)
    }
    labels = fmt.shorten_names((point.label for point in points), 20)
    is_number = all(point.number is not None for point in points)
    across: Sequence[object] = labels
    if is_number:
        numbers = [point.number or 0 for point in points]
        across = list(map(milliseconds, numbers)) if is_time else numbers
    rows = [
        {"x": x, "y": value, "s": name, "t": label}
        for name, values in lines.items()
        for x, value, label in zip(across, values, labels, strict=True)
    ]
    column, colors = fmt.shorten(each.column, 40), series_colors(names)
    tips = {"t": "value", "s": "of", "y": "mean prediction|.4~g"}
    y = Axis("mean prediction")
    if is_number:
        x = Axis(column, is_time=is_time)
        spec = line_chart(rows, colors, x, y, tips=tips, kind="points")
    else:
        styles = {name: PointStyle(color, size=70, opacity=1) for name, color in colors.items()}
        spec = scatter_chart(rows, styles, Axis(column, names=labels), y, tips=tips)
    name, values = max(lines.items(), key=lambda pair: max(pair[1]) - min(pair[1]))
    return Chart(
        title=column,
        spec=spec,
        legend=tuple(colors.items()) if len(names) > 1 else (),
        description=f"If only {column} changes, the mean prediction of {name} goes from "
        f"{fmt.number(min(values))} to {fmt.number(max(values))}.",
    )


def worst_table(worst: Sequence[WorstRow], error: str) -> Table:
    """List the rows with the largest errors, with their values.

    Args:
        worst: at least one.
        error: the name of the error.
    """
    columns = list(dict.fromkeys(name for row in worst for name in row.values))[:MOST_VALUES]
    has_file = any(row.file is not None for row in worst)
    rows = tuple(
        (
            f"{row.row:,}",
            *((fmt.shorten(row.file or "", 40),) if has_file else ()),
            fmt.shorten(row.split),
            fmt.shorten(row.target) or "(none)",
            fmt.shorten(row.prediction) or "(none)",
            fmt.number(row.error),
            *(
                "(missing)" if (value := row.values.get(name)) is None else fmt.shorten(value)
                for name in columns
            ),
        )
        for row in worst
    )
    file = ("file",) if has_file else ()
    header = ("row", *file, "set", "true", "predicted", error, *fmt.shorten_names(columns, 30))
    return Table(
        header,
        rows,
        caption="Held-out rows with the largest errors",
        text_columns=range(len(header)),
        note="The most important columns come first. Look for mistakes in the data, and for what "
        "these rows have in common.",
    )
