"""The report's sections on data, feature importance and the largest errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from dlcli.columns.registry import type_named
from dlcli.config.config_schema import Config
from dlcli.config.data_section import TimeSplit
from dlcli.errors import joined, plural
from dlcli.explanation import explanation_document as document
from dlcli.pipeline.events import DataEvent, FeaturesEvent
from dlcli.reports import charts, views
from dlcli.reports import formatting as fmt
from dlcli.reports.charts import Axis
from dlcli.reports.report_parts import TrainingRecord
from dlcli.reports.shapley_summary import shapley_chart

MOST_CARDS = 60
MOST_OPEN_CARDS = 12
"""Maximum number of open cards; further cards are folded."""
MOST_COLUMNS_LISTED = 500
MOST_IMPORTANCES = 20
MOST_DEPENDENCES_DRAWN = 12
_MOST_WARNINGS = 8
_MOST_VALUES = 8
_MOST_NAMED = 3
"""Maximum number of columns that are named as the most important."""
_LARGE_NUMBER = 10_000
"""Number from which axis labels are abbreviated: `12k`."""
_HEIGHT = 90
_DAY = 86_400
"""A day in seconds."""


def data_section(record: TrainingRecord) -> views.PageSection:
    """Describe the data of a run."""
    log, config, explanation = record.log, record.run.config, record.run.explanation
    rows = _set_sizes(log.data, config) if log.data else ()
    columns: Sequence[views.ViewBlock | str] = ()
    if explanation.columns:
        columns = _column_blocks(explanation, is_in_time=isinstance(config.data.split, TimeSplit))
    elif log.features:
        columns = [_types(log.features)]
    return views.section("data", "Data", *rows, *columns)


def _set_sizes(event: DataEvent, config: Config) -> tuple[str, views.FiguresBlock]:
    total, data = sum(event.rows.values()), config.data
    is_out_of_fold = config.ensemble_folds is not None
    uses = {
        "train": "fit and evaluate (out-of-fold)" if is_out_of_fold else "fit the network",
        "validation": "decide when to stop" if config.early_stopping else "not trained on",
        "test": "final evaluation only",
    }
    figures = tuple(
        views.Figure(
            f"{fmt.capitalize(config.adjective(name))} rows",
            f"{count:,}",
            f"{fmt.percent(count / total)}: {use}",
        )
        for name, use in uses.items()
        if (count := event.rows.get(name))
    )
    split = f"; split: {fmt.shorten(event.split)}" if event.split else ""
    files = fmt.shorten(event.file, 200)
    shares = {"validation": data.validation, "test": data.test}
    if separate := [name for name, share in shares.items() if not isinstance(share, float | None)]:
        files += f" and the files of {' and '.join(separate)} rows"
    return f"{total:,} rows from {files}{split}.", views.FiguresBlock(figures)


def warning_blocks(warnings: Sequence[str]) -> Iterator[views.ViewBlock]:
    """Show warnings, all but the first few folded."""
    texts = tuple(fmt.shorten(text, fmt.LONGEST_SENTENCE) for text in warnings)
    if texts:
        yield views.WarningsBlock(texts[:_MOST_WARNINGS])
    if rest := texts[_MOST_WARNINGS:]:
        yield views.fold(plural(len(rest), "more warning"), views.WarningsBlock(rest))


def _column_blocks(
    explanation: document.Explanation, *, is_in_time: bool
) -> list[views.ViewBlock | str]:
    columns, rows = explanation.columns, explanation.rows.get("train", 0)
    cards = partial(column_cards, rows=rows, held_out=sum(explanation.rows.values()) - rows)
    read = [column for column in columns if type_named(column.type).is_read]
    text = "Bars show the distribution of the values in training rows."
    if any(map(_has_held_out, columns)):
        text += " The orange line or ticks show held-out rows, which should look similar"
        text += " except for changes over time." if is_in_time else "."
    blocks: list[views.ViewBlock | str] = [text, cards(read[:MOST_OPEN_CARDS])]
    if folded := read[MOST_OPEN_CARDS:MOST_CARDS]:
        blocks.append(views.fold(plural(len(folded), "more column"), cards(folded)))
    blocks.append(views.fold("All columns as a table", column_table(columns)))
    if explanation.unlisted_columns:
        blocks.append(f"{plural(explanation.unlisted_columns, 'more column')} not listed.")
    return blocks


def _types(event: FeaturesEvent) -> views.TableBlock:
    """List the types of columns, for runs without an explanation."""
    return views.TableBlock.of(
        list(event.columns.items()),
        {
            "column": lambda pair: fmt.shorten(pair[0]),
            "type": lambda pair: fmt.shorten(pair[1].type),
            "why this type": lambda pair: fmt.shorten(fmt.type_reason(pair[1].reason)),
        },
        "Columns",
        text_columns=range(3),
        most=MOST_COLUMNS_LISTED,
    )


def column_cards(
    columns: Sequence[document.ColumnStatistics],
    rows: int,
    held_out: int = 0,
    others: str = "held-out",
) -> views.ColumnCardsBlock:
    """Make a card for each column.

    Args:
        columns: the statistics of the columns.
        rows: the number of training rows.
        held_out: the number of held-out rows.
        others: the adjective for these rows.
    """
    names = fmt.shorten_names(column.name for column in columns)
    cards = (
        views.ColumnCard(
            name,
            _type(each),
            tuple(_facts(each, rows)),
            _column_chart(each, rows, held_out, others),
        )
        for name, each in zip(names, columns, strict=True)
    )
    return views.ColumnCardsBlock(tuple(cards))


def column_table(columns: Sequence[document.ColumnStatistics]) -> views.TableBlock:
    """List columns with their statistics, up to `MOST_COLUMNS_LISTED`."""
    shown = columns[:MOST_COLUMNS_LISTED]
    rows = tuple(
        (
            name,
            _type(column),
            fmt.shorten(fmt.type_reason(column.reason)),
            f"{column.missing:,}",
            fmt.count(column.distinct),
            format_of(column)(column.mean),
            _range(column) if column.minimum is not None else "",
            f"{column.inputs:,}" if column.inputs else "",
        )
        for name, column in zip(fmt.shorten_names(each.name for each in shown), shown, strict=True)
    )
    header = ("column", "type", "why this type", "missing", "distinct", "mean", "range", "inputs")
    return views.TableBlock(header, rows, "All columns", range(3))


def _type(column: document.ColumnStatistics) -> str:
    role = "" if column.role == "feature" else f"{column.role}, "
    return role + fmt.shorten(column.type)


def _facts(column: document.ColumnStatistics, rows: int) -> Iterator[str]:
    if column.reason:
        yield fmt.shorten(fmt.type_reason(column.reason))
    if _is_time(column):
        yield _range(column, "from")
    elif column.mean is not None:
        yield f"mean {format_of(column)(column.mean)}, {_range(column, 'from')}"
    elif column.distinct is not None:
        yield f"{column.distinct:,} distinct"
    if column.missing:
        share = f" ({fmt.percent(column.missing / rows)})" if rows else ""
        yield f"{column.missing:,} missing{share}"


def _has_held_out(column: document.ColumnStatistics) -> bool:
    """Return whether the statistics include held-out rows."""
    if column.histogram is not None:
        return any(column.histogram.held_out)
    return any(value.held_out for value in column.values)


def _is_time(column: document.ColumnStatistics) -> bool:
    """Return whether a column's numbers are seconds since 1970."""
    return type_named(column.type).is_time and column.minimum is not None


def format_of(column: document.ColumnStatistics | None) -> Callable[[float | None], str]:
    """Return the format of a column's numbers; times of day have no date.

    Args:
        column: the statistics; `None` if unknown.
    """
    if column is None:
        return fmt.number
    if not _is_time(column) or column.minimum is None or column.maximum is None:
        return fmt.format_within(column.minimum, column.maximum)
    return partial(fmt.time, has_date=column.minimum < 0 or column.maximum >= _DAY)


def _range(column: document.ColumnStatistics, first: str = "") -> str:
    low, high = map(format_of(column), (column.minimum, column.maximum))
    return fmt.span(low, high, first=first)


def _column_chart(
    column: document.ColumnStatistics, rows: int, held_out: int, others: str
) -> views.ChartBlock | None:
    if column.histogram is not None and any(column.histogram.train):
        return _distribution(column, column.histogram, others)
    if any(value.train for value in column.values[:_MOST_VALUES]):
        return _frequencies(column, rows, held_out, others)
    return None


def _distribution(
    column: document.ColumnStatistics, histogram: document.Histogram, others: str
) -> views.ChartBlock:
    """Draw a histogram of numbers or times."""
    edges, is_time, format_value = histogram.edges, _is_time(column), format_of(column)
    ends = [charts.milliseconds(edge) if is_time else edge for edge in edges]
    shown = list(map(format_value, edges))
    trained, held = max(1, sum(histogram.train)), max(1, sum(histogram.held_out))
    held_out = [*histogram.held_out, *[0] * len(edges)]
    rows = [
        {
            "l": ends[at],
            "u": ends[at + 1],
            "f": shown[at],
            "t": shown[at + 1],
            "y": count / trained,
            "h": held_out[at] / held,
        }
        for at, count in enumerate(histogram.train)
    ]
    is_large = not is_time and max(abs(edges[0]), abs(edges[-1])) >= _LARGE_NUMBER
    form = "" if is_time else ".4~g" if fmt.has_years(column.minimum, column.maximum) else ",.4~g"
    labels = "format(datum.value, '~s')" if is_large else ""  # as a format, 0 would be `0k`
    name, mean = fmt.shorten(column.name), f", mean {format_value(column.mean)}"
    shares = {"y": "of training rows|.1%", "h": f"of {others} rows|.1%"}
    return views.ChartBlock(
        title=name,
        spec=charts.histogram(
            rows,
            Axis(format=form, labels=labels, ticks=3, is_time=is_time),
            Axis(zero=True, hidden=True),
            tips={"f": "from", "t": "to", **shares},
            height=_HEIGHT,
        ),
        description=f"Distribution of {name}: {_range(column, 'from')}{'' if is_time else mean}.",
    )


def _frequencies(
    column: document.ColumnStatistics, train: int, held_out: int, others: str
) -> views.ChartBlock:
    """Draw the shares of the most frequent values as bars."""
    values = column.values[:_MOST_VALUES]
    names = fmt.shorten_names((value.value for value in values), 24)
    rows = [
        {
            "y": name,
            "x": value.train / max(1, train),
            "n": value.train,
            "h": value.held_out / max(1, held_out),
        }
        for name, value in zip(names, values, strict=True)
    ]
    marks = [{**row, "x": row["h"]} for row in rows] if _has_held_out(column) else ()
    listed = ", ".join(f"{name} ({row['n']:,})" for name, row in zip(names[:3], rows, strict=False))
    return views.ChartBlock(
        title=fmt.shorten(column.name),
        spec=charts.bar_chart(
            rows,
            names,
            Axis(zero=True, hidden=True),
            tips={"y": "value", "n": "training rows|,d", "h": f"of {others} rows|.1%"},
            markers=marks,
            height=max(_HEIGHT, 17 * len(names)),
        ),
        description=f"Most frequent values of {fmt.shorten(column.name)}: {listed}.",
    )


def explanation_section(record: TrainingRecord) -> views.PageSection:
    """Show feature importance and partial dependence; empty without an explanation."""
    explanation, task = record.run.explanation, record.run.task
    metric, features = explanation.importance_metric, record.log.features
    importance = dependence = None
    if explanation.importances:
        types = [each.type for each in features.columns.values()] if features else []
        read = len(types) - types.count("ignored") if features else None
        error = fmt.metric_title(fmt.shorten(metric or "error")) + explanation.unit
        importance = importance_chart(explanation.importances, error, read)
    drawn = dependence_charts(explanation, of_classes=task.outcome == "classes")
    if drawn:
        texts = [_DEPENDENCE, *([_STANDARDIZED] if explanation.unit else ())]
        texts += _interactions(drawn, explanation.importances)
        grid = views.grid(each.chart for each in drawn)
        dependence = views.group("Partial dependence", " ".join(texts), grid)
    title = "Feature importance and partial dependence"
    contributions = shapley_chart(record.run)
    return views.section("explanation", title, importance, contributions, dependence)


_DEPENDENCE = (
    "Each chart shows the mean prediction if one column had the same value in every row and all "
    "other columns kept theirs. All charts have the same vertical axis: the steeper the line, the "
    "more the mean prediction depends on the column. If columns are correlated, the means include "
    "combinations of values that do not occur."
)
_STANDARDIZED = (
    "Predictions are standardized by the mean and standard deviation of their target, because "
    "targets may have different units."
)
_IMPORTANT, _FLAT = 1 / 3, 1 / 3
"""Shares of the largest importance and of the largest range of mean predictions. A column above the
first and below the second share is important although its line is flat."""


def _interactions(
    drawn: Sequence[DrawnDependence], importances: Sequence[document.Importance]
) -> Iterator[str]:
    """Explain why columns are important although their partial dependence is flat."""
    increases = {each.column: each.increase for each in importances}
    most_important = max(increases.values(), default=0.0)
    widest = max(each.range for each in drawn)
    names = [
        each.chart.title
        for each in drawn
        if increases.get(each.column, 0.0) > _IMPORTANT * most_important
        and each.range < _FLAT * widest
    ]
    if names:
        verb, have, their = ("is", "has", "its") if len(names) == 1 else ("are", "have", "their")
        yield (
            f"{joined(names[:_MOST_NAMED])} {verb} important but {have} a rather flat line: "
            f"{their} effect depends on other columns (an interaction), so it averages out here."
        )


def importance_chart(
    importances: Sequence[document.Importance], metric: str, features: int | None = None
) -> views.ChartBlock:
    """Draw the permutation importance of columns, the most important first.

    Args:
        importances: at least one, the largest first.
        metric: the error whose increase is the importance.
        features: the number of columns that the network reads, if known.
    """
    shown = importances[:MOST_IMPORTANCES]
    names = fmt.shorten_names(each.column for each in shown)
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
    title = fmt.shorten(metric)
    spread = ""
    if any(each.deviation for each in importances):
        spread = ", the thin line the standard deviation over several shuffles"
    tips = {"y": "column", "x": f"increase in {title}|.3~g"}
    tips |= {"d": "standard deviation|.2~g"} if spread else {}
    return views.ChartBlock(
        title="Permutation importance",
        spec=charts.bar_chart(rows, names, Axis(f"increase in {title}", zero=True), tips=tips),
        description=" ".join(_most_important(names, importances, features)),
        reading=f"The values of one column at a time were shuffled among the held-out rows. The "
        f"bar shows by how much this increases the {title}{spread}. If two columns hold the same "
        "information, both may look unimportant, because the network still has the other one.",
        numbers=charts.numbers_table(rows, tips),
    )


def _most_important(
    names: Sequence[str], importances: Sequence[document.Importance], features: int | None
) -> Iterator[str]:
    pairs = zip(names, importances, strict=False)
    clear = [name for name, each in pairs if each.increase > max(each.deviation, 0)]
    if clear:
        yield f"The predictions depend most on {', '.join(clear[:_MOST_NAMED])}."
    else:
        yield "No column has an importance above its standard deviation."
    hidden = {"less important": (len(importances) - len(names), "shown")}
    if features is not None:
        hidden["more"] = (features - len(importances), "measured")
    for which, (count, done) in hidden.items():
        if count > 0:
            columns = "column was" if count == 1 else "columns were"
            yield f"{count:,} {which} {columns} not {done}."


@dataclass(frozen=True)
class DrawnDependence:
    """The partial dependence on a column, and its chart."""

    column: str
    chart: views.ChartBlock
    range: float
    """The difference between the highest and lowest mean prediction of an output."""


@dataclass(frozen=True)
class _Line:
    """The mean predictions of an output, by the value of a column."""

    output: str
    name: str
    """The displayed name of the output."""
    values: Sequence[float]
    drawn: Sequence[float]
    """The values on the vertical axis."""

    @property
    def range(self) -> float:
        return max(self.drawn) - min(self.drawn)


def dependence_charts(
    explanation: document.Explanation, *, of_classes: bool
) -> list[DrawnDependence]:
    """Draw the partial dependence on each column, with a common vertical axis.

    Args:
        explanation: the explanation; numbers with different units are drawn in standard deviations.
        of_classes: whether the predictions are probabilities of classes.
    """
    outputs = explanation.outputs
    places = range(min(len(outputs), charts.MOST_SERIES))
    if of_classes and len(outputs) == 2:
        places = range(1, 2)  # only the second class, because it determines the first
    names = fmt.shorten_names(outputs[at] for at in places)
    lines = {}
    for each in explanation.partial_dependences[:MOST_DEPENDENCES_DRAWN]:
        points = [point for point in each.points if len(point.predictions) == len(outputs)]
        if points and names:
            lines[each.column] = (
                points,
                [
                    _line(
                        outputs[at], name, [point.predictions[at] for point in points], explanation
                    )
                    for name, at in zip(names, places, strict=True)
                ],
            )
    missing = {each.column: each.missing for each in explanation.partial_dependences}
    drawn = [value for _, found in lines.values() for line in found for value in line.drawn]
    domain = charts.padded_domain(drawn)
    return [
        DrawnDependence(
            column,
            _dependence_chart(
                column, points, found, explanation, domain, missing[column], of_classes=of_classes
            ),
            max(line.range for line in found),
        )
        for column, (points, found) in lines.items()
    ]


def _line(output: str, name: str, values: list[float], explanation: document.Explanation) -> _Line:
    target = _column_named(explanation, output, "target")
    return _Line(
        output, name, values, _standardized(values, target) if explanation.unit else values
    )


def _column_named(
    explanation: document.Explanation, name: str, role: str
) -> document.ColumnStatistics | None:
    found = (each for each in explanation.columns if each.name == name)
    return next((each for each in found if (each.role == "target") == (role == "target")), None)


def _dependence_chart(
    name: str,
    points: Sequence[document.Point],
    lines: Sequence[_Line],
    explanation: document.Explanation,
    domain: tuple[float, float] | None,
    missing: Sequence[float] | None,
    *,
    of_classes: bool,
) -> views.ChartBlock:
    read = _column_named(explanation, name, "feature")
    is_time = read is not None and type_named(read.type).is_time
    labels = fmt.shorten_names((point.label for point in points), 20)
    numbers = [point.number for point in points if point.number is not None]
    is_number = len(numbers) == len(points)
    across: Sequence[object] = labels
    if is_number:
        across = list(map(charts.milliseconds, numbers)) if is_time else numbers
    rows = [
        {"x": x, "y": y, "s": line.name, "t": label, "v": value}
        for line in lines
        for x, y, label, value in zip(across, line.drawn, labels, line.values, strict=True)
    ]
    column, title = fmt.shorten(name), fmt.shorten(name, 40)
    colors = charts.series_colors([line.name for line in lines])
    what = "mean probability" if of_classes else "mean prediction"
    tips = {
        "t": "value of the column",
        "s": "prediction for",
        "v": f"{what}|{'.1%' if of_classes else '.4~g'}",
    }
    y = Axis("mean prediction (standardized)")
    if of_classes:
        y = Axis(what, format="%")
    elif not explanation.unit:
        y = _axis_of("mean prediction", _column_named(explanation, lines[0].output, "target"))
    y = replace(y, domain=domain)
    if is_number:
        x = Axis(title, is_time=True) if is_time else _axis_of(title, read)
        if read is not None and not is_time and not x.format:
            x = replace(x, whole=all(number.is_integer() for number in numbers))
        spec = charts.line_chart(rows, colors, x, y, tips=tips, kind="points")
    else:
        x = Axis(title, names=labels)
        look = partial(charts.PointStyle, size=70, opacity=1)
        styles = {series: look(color) for series, color in colors.items()}
        spec = charts.scatter_chart(rows, styles, x, y, tips=tips)
    widest = max(lines, key=lambda line: line.range)
    target = _column_named(explanation, widest.output, "target")
    show = fmt.percent if of_classes else format_of(target)
    if show is fmt.number:
        show = fmt.to_doubt(widest.range)  # the chart shows no more digits
    low, high = map(show, (min(widest.values), max(widest.values)))
    without = ""
    if missing is not None and len(missing) == len(explanation.outputs):
        value = show(missing[explanation.outputs.index(widest.output)])
        without = f", and {value} if its value is missing"
    return views.ChartBlock(
        title=column,
        spec=spec,
        legend=tuple(colors.items()) if len(lines) > 1 else (),
        description=f"If only {column} changes, the {what} of {widest.name} is between "
        f"{low} and {high}{without}.",
    )


def _axis_of(title: str, column: document.ColumnStatistics | None) -> Axis:
    """Return an axis for the numbers of a column, whose statistics may be unknown."""
    return Axis(title) if column is None else Axis.within(title, column.minimum, column.maximum)


def _standardized(values: list[float], target: document.ColumnStatistics | None) -> list[float]:
    """Return numbers in standard deviations from the target's mean, unchanged if it has none."""
    if target is None or not target.deviation:
        return values
    return [(value - (target.mean or 0.0)) / target.deviation for value in values]
