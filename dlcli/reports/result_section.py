"""Charts and tables of predictions, depending on the kind of target."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from dlcli.errors import plural
from dlcli.explanation.explanation_document import ColumnStatistics
from dlcli.metrics import definitions
from dlcli.metrics.metric import Kind, Metric
from dlcli.metrics.statistic import Floats, ThresholdCounts, weighted_quantile
from dlcli.prediction.conformal import REPORTED_LEVEL, RangeCoverage
from dlcli.reports import charts, views
from dlcli.reports import formatting as fmt
from dlcli.reports.calibration_section import calibration_charts
from dlcli.reports.charts import Axis, Guides, PointStyle
from dlcli.reports.decision_chart import decision_chart
from dlcli.reports.distillation_section import distillation_table
from dlcli.reports.explanation_sections import format_of
from dlcli.reports.lift_charts import level_chart, lift_chart
from dlcli.reports.report_parts import PredictedNumbers, PredictedRows, TrainingRecord
from dlcli.runs.run import Run
from dlcli.splitting import draw

MOST_DRAWN_CLASSES = 25
"""Maximum number of classes in a confusion matrix; for more, the frequent mistakes are listed."""
MOST_PARTS_LISTED = 50
"""Maximum number of classes, labels or columns whose metrics are listed."""
MOST_CURVE_POINTS = 300
"""Maximum number of points of a single class's curve; several curves share three times as many."""
MOST_ROWS_DRAWN = 2_000
"""Maximum number of rows in all scatter charts of a set."""
MOST_OUTPUTS_DRAWN = 6
"""Maximum number of numeric targets with charts."""
MOST_ERROR_BINS = 40
DECILES = 10
_MOST_MISTAKES = 20
_THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def result_section(record: TrainingRecord, metrics: views.TableBlock) -> views.PageSection:
    """Show the metrics of a run, and the predictions of each set of rows.

    Args:
        record: the run.
        metrics: the table of metrics.
    """
    run, blocks = record.run, list[views.ViewBlock]()
    if record.splits:
        by_column = run.metrics[record.splits[0]].get("by_column")
        table = _independent_first(metrics, len(record.splits))
        counted = record.counted_rows(record.splits[0])
        blocks += [table, *_metrics_of_parts("column", by_column, "numbers", counted)]
    if run.distillation is not None:
        blocks.append(distillation_table(run.distillation))
    if run.decision is not None and (chart := decision_chart(run.decision)) is not None:
        blocks.append(views.GridBlock((chart,)))
    for place, rows in enumerate(record.predicted):
        adjective = run.config.adjective(rows.split)
        found = prediction_blocks(rows, run.config.seed, run.metrics.get(rows.split, {}))
        tables = _interval_tables(run) if rows.split == "test" else ()
        parts = (_describe_rows(rows, adjective, record.rows(rows.split)), *found, *tables)
        put = views.fold if place else views.group
        blocks.append(put(f"{fmt.capitalize(adjective)} rows", *parts))
    return views.section("result", "Result", *blocks)


def _independent_first(metrics: views.TableBlock, sets: int) -> views.TableBlock:
    """Move the most independent set of rows and the baselines to the front of the metrics table.

    Narrow screens then show the important columns.

    Args:
        metrics: a table with the metric names, a column for each set, the most independent one
            last, and the baselines.
        sets: the number of sets.
    """
    columns = range(len(metrics.header))
    order = [0, *columns[sets:], *reversed(columns[1:sets])]
    header, *rows = (tuple(row[at] for at in order) for row in (metrics.header, *metrics.rows))
    return replace(metrics, header=header, rows=tuple(rows))


_SAMPLED = {
    "numbers": "The charts and their descriptions",
    "classes": "Curves, calibration and thresholds",
    "labels": "Curves and calibration",
}
"""The parts that are computed on a sample of training rows, by kind of target."""
_COMPLETE = {
    "numbers": "The table above is",
    "classes": "The table above, the confusion matrix and the metrics of each class are",
    "labels": "The table above and the metrics of each label are",
}


def _describe_rows(rows: PredictedRows, adjective: str, all_rows: int | None) -> str:
    text = f"Based on {plural(rows.rows, f'{adjective} row')}."
    if rows.is_sample and all_rows and all_rows > rows.rows + rows.without_weight:
        text = (
            f"{_SAMPLED[rows.task.outcome]} are based on a random sample of {rows.rows:,} of the "
            f"{all_rows:,} {adjective} rows, so their values differ slightly from those of all "
            f"rows. {_COMPLETE[rows.task.outcome]} based on all of them."
        )
    return f"{text} {describe_weights(rows)}".rstrip()


def describe_weights(rows: PredictedRows) -> str:
    """Return a sentence on row weights; empty if there are no weights."""
    if not rows.is_weighted:
        return ""
    omitted = ""
    if rows.without_weight:
        verb = "is" if rows.without_weight == 1 else "are"
        omitted = f"; {plural(rows.without_weight, 'row')} of weight 0 {verb} omitted"
    return f"Rows are weighted{omitted}."


def prediction_blocks(
    rows: PredictedRows, seed: int, metrics: Mapping[str, object] = MappingProxyType({})
) -> list[views.ViewBlock]:
    """Show predictions in the charts of their task.

    Args:
        rows: the rows.
        seed: the seed for sampling points if there are too many.
        metrics: the metrics of all rows of the set, as in metrics.json.
    """
    task = rows.task
    names = (*task.charts, *task.charts_of_loss)
    if task.outcome == "numbers":
        return _number_blocks(rows, names, seed)
    drawn: list[views.ViewBlock] = []
    tables: list[views.ViewBlock] = []
    if "confusion" in names:
        matrix = confusion_matrix(rows, metrics.get("confusion"))
        drawn.append(confusion_block(matrix, task.classes))
        tables.append(class_table(matrix, task.classes))
    if counted := rows.threshold_counts:
        part = "label" if task.labels else "class"
        drawn += [_CURVES[name](counted, part, metrics) for name in names if name in _CURVES]
    if "calibration" in names:
        drawn += calibration_charts(rows)
    if "thresholds" in names:
        tables.append(_threshold_table(rows))
    parts = _metrics_of_parts("label", metrics.get("by_label"), "two classes", rows.rows)
    return [views.GridBlock(tuple(drawn)), *tables, *parts]


def _interval_tables(run: Run) -> Iterator[views.TableBlock]:
    """Yield a table of the coverage of prediction intervals for each numeric target."""
    if (stored := run.conformal) is None:
        return
    columns, doubt = run.task.columns, stored.uncertainty(REPORTED_LEVEL)
    targets = {each.name: each for each in run.explanation.columns if each.role == "target"}
    level = f"{100 * REPORTED_LEVEL:g} %"
    for column, ranges in zip(columns[:MOST_OUTPUTS_DRAWN], stored.test, strict=False):
        name = f" of {fmt.shorten(column)}" if len(columns) > 1 else ""
        rows = sum(each.rows for each in ranges)
        coverage = sum(each.rows * each.coverage for each in ranges) / max(rows, 1)
        shortfall = stored.shortfall(REPORTED_LEVEL, coverage, rows)
        share = fmt.sentence(shortfall) if shortfall else _COVERAGE.format(level)
        yield views.TableBlock.of(
            ranges,
            {
                "prediction": partial(_predictions_of, targets.get(column)),
                "rows": lambda e: f"{e.rows:,}",
                "coverage": lambda e: fmt.percent(e.coverage),
                "mean width": lambda e: fmt.to_doubt(e.mean_width)(e.mean_width),
            },
            f"Coverage of {level} prediction intervals{name}",
            note=f"These are the intervals of dlcli predict --interval {REPORTED_LEVEL:g}. {share} "
            f"{fmt.sentence(doubt) if doubt else ''}".rstrip(),
        )


_COVERAGE = (
    "They cover about {} of all rows, but not of each range: where errors are larger than "
    "elsewhere, coverage is lower."
)


def _predictions_of(target: ColumnStatistics | None, each: RangeCoverage) -> str:
    show = format_of(target)
    if show is fmt.number:
        show = fmt.to_doubt(each.mean_width / 2)
    return fmt.span(show(each.lowest), show(each.highest))


def _metrics_of_parts(
    what: str, parts: object, kind: Kind, rows: int | None
) -> list[views.TableBlock]:
    """List the metrics of each label or column, as in metrics.json.

    Args:
        what: `label` or `column`.
        parts: the metrics, untrusted.
        kind: the kind of target of each part.
        rows: the number of rows that they were computed on, if known.
    """
    if not isinstance(parts, dict):
        return []
    known = {name: each for name, each in parts.items() if isinstance(each, dict)}
    metrics = [
        name for name, each in definitions.METRICS.items() if each.of_parts and kind in each.forms
    ]
    names = fmt.shorten_names(list(known)[:MOST_PARTS_LISTED])
    lines = tuple(
        (name, *(fmt.metric(metric, each.get(metric), rows) for metric in metrics))
        for name, each in zip(names, known.values(), strict=False)
    )
    header = (what, *map(fmt.metric_title, metrics))
    note = fmt.omitted(len(known) - len(lines))
    return [views.TableBlock(header, lines, f"Each {what}", note=note)] if lines else []


def confusion_matrix(rows: PredictedRows, stored: object = None) -> Floats:
    """Return the stored confusion matrix of all rows of the set, or else compute it from `rows`."""
    count = len(rows.task.classes)
    matrix = definitions.stored_confusion(stored)
    if matrix is not None and len(matrix) == count:
        return matrix
    cells = rows.values * count + rows.predicted_values
    counts = np.bincount(cells, rows.weights, minlength=count**2)
    return counts.astype(np.float64).reshape(count, count)


def confusion_block(matrix: Floats, names: Sequence[str]) -> views.ChartBlock | views.TableBlock:
    """Draw the confusion matrix; for many classes, list the most frequent mistakes instead.

    Args:
        matrix: weights of rows by true and predicted class, shape `(classes, classes)`.
        names: the class names.
    """
    shown = fmt.shorten_names(names)
    sums = matrix.sum(axis=1)
    wrong = matrix - np.diag(matrix.diagonal())
    cells = np.argsort(-wrong, axis=None, kind="stable")[:_MOST_MISTAKES]
    listed = tuple(
        (shown[i], shown[j], fmt.number(matrix[i, j]), fmt.percent(matrix[i, j] / sums[i]))
        for i, j in (divmod(cell, len(matrix)) for cell in cells.tolist())
        if wrong[i, j] > 0
    )
    mistakes = views.TableBlock(
        ("true class", "predicted class", "rows", "share of the true class's rows"),
        listed or (("none", "", "", ""),),
        "The most frequent mistakes",
        range(2),
    )
    if len(names) > MOST_DRAWN_CLASSES:
        return mistakes
    shares = matrix / np.maximum(sums[:, np.newaxis], 1e-300)
    rows = [
        {"y": true, "x": predicted, "n": matrix[i, j], "s": shares[i, j]}
        for i, true in enumerate(shown)
        for j, predicted in enumerate(shown)
    ]
    right, total = fmt.number(matrix.diagonal().sum()), fmt.number(matrix.sum())
    worst = ""
    if wrong.any():
        true, predicted, count, _ = mistakes.rows[0]
        worst = f" The most frequent mistake: {true} predicted as {predicted} ({count})."
    tips = {"y": "true class", "x": "predicted class", "n": "rows|,.6~g"}
    tips |= {"s": "share of the true class's rows|.1%"}
    return views.ChartBlock(
        title="Confusion matrix",
        spec=charts.heat_map(rows, shown, tips=tips),
        description=f"{right} of {total} rows are predicted correctly.{worst}",
        reading="Each row is a true class, each column a predicted class. Correct predictions are "
        "on the diagonal. The darker a cell, the larger its share of the rows of the true class.",
        numbers=mistakes,
    )


def class_table(matrix: Floats, names: Sequence[str]) -> views.TableBlock:
    """List precision, recall and F1 of each class, or of the most frequent classes."""
    shown = fmt.shorten_names(names)
    true, predicted, right = matrix.sum(axis=1), matrix.sum(axis=0), matrix.diagonal()
    order = range(len(names))
    if len(names) > MOST_PARTS_LISTED:
        order = np.argsort(-true, kind="stable").tolist()
    return views.TableBlock.of(
        order,
        {
            "class": lambda at: shown[at],
            "rows": lambda at: fmt.number(true[at]),
            definitions.PRECISION.name: lambda at: fmt.percent(_ratio(right[at], predicted[at])),
            definitions.RECALL.name: lambda at: fmt.percent(_ratio(right[at], true[at])),
            "F1": lambda at: fmt.rounded(_ratio(2 * right[at], true[at] + predicted[at]), 3),
        },
        "Each class",
        note="Precision: of the rows predicted as this class, the share that belong to it. Recall: "
        "of the rows of this class, the share predicted as this class. F1: the harmonic mean of "
        "precision and recall.",
        most=MOST_PARTS_LISTED,
        noun="but rarer class",
    )


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole else None


def _stored_areas(
    metric: Metric, areas: Mapping[str, Floats], metrics: Mapping[str, object]
) -> tuple[str, list[float]]:
    """Return the name of a metric, and the area under each curve.

    The drawn rows may be a sample, so the stored metric of all rows is preferred.

    Args:
        metric: the area under a curve.
        areas: the area for the drawn rows, by class or label.
        metrics: the metrics of all rows of the set, as in metrics.json, untrusted.
    """
    stored = metrics.get("by_label")
    if not isinstance(stored, Mapping):
        stored = {name: metrics for name in areas} if len(areas) == 1 else {}
    found = []
    for name, area in areas.items():
        of_part = stored.get(name)
        value = of_part.get(metric.name) if isinstance(of_part, Mapping) else None
        found.append(value if isinstance(value, float) else float(area))
    return metric.label, found


def _roc_chart(
    counted: Mapping[str, ThresholdCounts], part: str, metrics: Mapping[str, object]
) -> views.ChartBlock:
    areas = {name: each.roc_auc() for name, each in counted.items()}
    return _curves_chart(
        ("ROC curve", part),
        counted,
        [each.roc_curve() for each in counted.values()],
        ("false positive rate", "true positive rate"),
        [{"x": 0, "y": 0}, {"x": 1, "y": 1}],
        _stored_areas(definitions.AUC, areas, metrics),
        "Each point of the line is a decision threshold: a lower one finds more positive rows (up) "
        "but also more false positives (right). The closer to the upper left corner, the "
        "better. The dashed line is guessing (AUC 0.5); 1 is perfect.",
    )


def _precision_recall_chart(
    counted: Mapping[str, ThresholdCounts], part: str, metrics: Mapping[str, object]
) -> views.ChartBlock:
    areas = {name: each.average_precision() for name, each in counted.items()}
    first = next(iter(counted.values()))
    share = float(first.positives / (first.positives + first.negatives))
    is_single = len(counted) == 1
    frequency = f" ({fmt.percent(share)})" if is_single else ""
    return _curves_chart(
        ("Precision and recall", part),
        counted,
        [each.precision_recall_curve() for each in counted.values()],
        ("recall", "precision"),
        [{"x": at, "y": share} for at in (0, 1)] if is_single else [],
        _stored_areas(definitions.AVERAGE_PRECISION, areas, metrics),
        "Recall: the share of positive rows that are found. Precision: the share of positive "
        "predictions that are correct. The closer to the upper right corner, the better; guessing "
        f"has a precision equal to the frequency of the {part}{frequency}.",
    )


_CURVES = {"roc": _roc_chart, "precision_recall": _precision_recall_chart}


def _curves_chart(
    headings: tuple[str, str],
    counted: Mapping[str, ThresholdCounts],
    curves: Sequence[tuple[Floats, Floats]],
    axes: tuple[str, str],
    reference: list[dict[str, object]],
    areas: tuple[str, Sequence[float]],
    reading: str,
) -> views.ChartBlock:
    names, (title, part), (measure, values) = fmt.shorten_names(counted), headings, areas
    colors, is_single = charts.series_colors(names), len(names) == 1
    most = MOST_CURVE_POINTS if is_single else 3 * MOST_CURVE_POINTS // len(names)
    rows = [
        {"x": x[at], "y": y[at], "s": name}
        for name, (x, y) in zip(names, curves, strict=True)
        for at in thinned_path(x, y, most).tolist()
    ]
    description = f"The {measure} for {names[0]} is {fmt.rounded(values[0], 3)}."
    if not is_single:
        least = int(np.argmin(values))
        parts = "classes (one-vs-rest)" if part == "class" else f"{part}s"
        mean = fmt.rounded(float(np.mean(values)), 3)
        lowest = fmt.rounded(values[least], 3)
        description = (
            f"The mean {measure} of {len(names)} {parts} is {mean}; "
            f"the lowest is {lowest} ({names[least]})."
        )
        if fmt.rounded(max(values), 3) == lowest:
            description = f"The {measure} of each of the {len(names)} {parts} is {lowest}."
    across, up = (Axis(axis, domain=(0, 1)) for axis in axes)
    tips = {"s": part, "x": f"{axes[0]}|.3f", "y": f"{axes[1]}|.3f"}
    guides = Guides(reference=reference)
    listed = zip(names, counted.values(), values, strict=True)
    numbers = tuple(
        (name, fmt.number(float(each.positives)), fmt.rounded(value, 3))
        for name, each, value in listed
    )
    return views.ChartBlock(
        title=title,
        spec=charts.line_chart(rows, colors, across, up, tips=tips, kind="path", guides=guides),
        description=description,
        reading=reading,
        numbers=None if is_single else views.TableBlock((part, "rows", measure), numbers),
        legend=() if is_single else tuple(colors.items()),
    )


def thinned_path(x: Floats, y: Floats, most: int) -> NDArray[np.int64]:
    """Return the indices of points at roughly even distances along an ascending path.

    Args:
        x: the x of each point, from 0 to 1, shape `(points,)`.
        y: the y of each point, from 0 to 1, shape `(points,)`.
        most: the number of points to keep, at least 2, including the first and the last.
    """
    if len(x) <= most:
        return np.arange(len(x))
    steps = np.abs(np.diff(x)) + np.abs(np.diff(y))
    distance = np.concatenate([[0.0], np.cumsum(steps)])
    wanted = np.linspace(0, distance[-1], most)
    return np.unique([0, *np.searchsorted(distance, wanted[1:-1]), len(x) - 1])


def _threshold_table(rows: PredictedRows) -> views.TableBlock:
    """List the metrics at other thresholds for the second of two classes."""
    [(positive, (is_positive, scores))] = rows.scores.items()
    name = fmt.shorten(positive)
    rows_of_table = []
    for at in _THRESHOLDS:
        found = definitions.decision_metrics(is_positive, scores > at, rows.weights)
        shares = ("selected", definitions.PRECISION.name, definitions.RECALL.name)
        f1, accuracy = found[definitions.F1.name], found[definitions.ACCURACY.name]
        percents = (fmt.percent(found[share]) for share in shares)
        rows_of_table.append((f"{at:.2f}", *percents, fmt.rounded(f1, 3), fmt.percent(accuracy)))
    return views.TableBlock(
        ("threshold", f"predicted {name}", "precision", "recall", "F1", "accuracy"),
        tuple(rows_of_table),
        f"Decision thresholds for {name}",
        note=f"A row is predicted as {name} if its probability is above the threshold. A lower "
        "threshold finds more of these rows but also more false positives; the best threshold "
        "depends on the costs of both kinds of error. The column “prediction” uses "
        f"{rows.task.threshold:.3g}. To use "
        "another threshold, set `decision` in the config, or use `dlcli predict --decision`.",
    )


def _number_blocks(rows: PredictedRows, names: Sequence[str], seed: int) -> list[views.ViewBlock]:
    outputs = rows.numbers[:MOST_OUTPUTS_DRAWN]
    blocks: list[views.ViewBlock] = []
    makers: dict[str, Callable[[PredictedNumbers], views.ChartBlock]] = {
        "predicted_and_true": partial(_scatter, seed=seed, most=MOST_ROWS_DRAWN // len(outputs)),
        "residuals": _error_histogram,
        "deciles": lambda output: _decile_chart(error_by_decile(output)),
        "lift": lift_chart,
        "levels": lambda _: level_chart(rows),
    }
    for place, output in enumerate(outputs):
        drawn = [makers[name](output) for name in names] if len(output.target) else []
        grid, name = views.GridBlock(tuple(drawn)), fmt.shorten(output.column)
        put = views.fold if place else views.group
        blocks.append(grid if len(outputs) == 1 else put(name, grid))
    if rest := len(rows.numbers) - len(outputs):
        blocks.append(views.TextBlock(f"{plural(rest, 'more column')} without charts."))
    return blocks


def _scatter(output: PredictedNumbers, seed: int, most: int) -> views.ChartBlock:
    target, prediction = output.target, output.prediction
    shown = draw(np.arange(len(target)), most, seed)
    rows = [{"x": target[at], "y": prediction[at], "s": "rows"} for at in shown.tolist()]
    both = np.concatenate([target[shown], prediction[shown]])
    bounds = float(target.min()), float(target.max())
    format_value = fmt.format_within(*bounds)
    doubt = 2 * float((prediction - target).std())  # half of a prediction's 95 % interval
    show = format_value if fmt.has_years(*bounds) else fmt.to_doubt(doubt)
    true = fmt.span(format_value(bounds[0]), format_value(bounds[1]))
    predicted = fmt.span(show(float(prediction.min())), show(float(prediction.max())))
    part = f" The chart shows {len(shown):,} of them." if len(shown) < len(target) else ""
    ends = [{"x": end, "y": end} for end in (float(both.min()), float(both.max()))]
    across, up = (Axis.within(title, *bounds) for title in ("true", "predicted"))
    return views.ChartBlock(
        title=f"Predicted and true {fmt.shorten(output.column)}",
        spec=charts.scatter_chart(
            rows,
            {"rows": PointStyle("train", size=28, opacity=0.55)},
            across,
            up,
            tips={"x": "true|.5~g", "y": "predicted|.5~g"},
            guides=Guides(reference=ends),
        ),
        description=f"{plural(len(target), 'row')}: true values from {true}, predictions from "
        f"{predicted}.{part}",
        reading="Each point is a row. On the dashed line the prediction is exact; above the line "
        "it is too high. If the cloud is flatter than the line, extreme values are underestimated.",
    )


def _error_histogram(output: PredictedNumbers) -> views.ChartBlock:
    errors = output.prediction - output.target
    edges, shares = error_distribution(errors, output.weights)
    bins = zip(edges[:-1], edges[1:], shares, strict=True)
    mean = float(np.average(errors, weights=output.weights))
    low, high = _middle(errors, output.weights)
    doubt = 2 * float(errors.std()) / math.sqrt(len(errors))  # half of the mean's 95 % interval
    show = fmt.to_doubt(doubt)
    return views.ChartBlock(
        title="Errors",
        spec=charts.histogram(
            [{"l": low, "u": high, "y": share} for low, high, share in bins],
            Axis("prediction − true value"),
            Axis("share of rows", format="%", zero=True),
            tips={"l": "from|.4~g", "u": "to|.4~g", "y": "share of rows|.1%"},
            guides=Guides(x=0),
        ),
        description=f"The mean error (prediction − true value) is {show(mean)}; 80 % of the "
        f"errors are between {show(low)} and {show(high)}.",
        reading="A narrow peak around 0 is good. A peak away from 0 means that most predictions "
        "are too high or too low. A long tail means that a few predictions are far off.",
    )


def error_distribution(
    errors: Floats, weights: Floats, bins: int | None = None
) -> tuple[Floats, Floats]:
    """Return the share of errors in bins of equal width.

    The bins cover the middle 99 %; errors outside count in the outermost bins, so a single extreme
    value doesn't squeeze all other errors into one bin.

    Args:
        errors: the errors, shape `(rows,)`.
        weights: row weights, shape `(rows,)`.
        bins: the number of bins. [default: twice the cube root of the number of rows, Rice's rule]

    Returns:
        edges: the edges of the bins, shape `(bins + 1,)`. shares: the shares of the total weight,
        shape `(bins,)`.
    """
    bins = bins or min(MOST_ERROR_BINS, math.ceil(2 * len(errors) ** (1 / 3)))
    low, high = np.quantile(errors, [0.005, 0.995])
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, bins + 1)
    sums, _ = np.histogram(np.clip(errors, low, high), edges, weights=weights)
    return edges, sums / sums.sum()


@dataclass(frozen=True)
class Decile:
    """Rows with similar true values."""

    lowest: float
    highest: float
    """The highest true value; `lowest` is the lowest."""
    rows: int
    error: float
    """The mean absolute error."""
    bias: float
    """The mean error: above 0 where predictions are too high."""
    low: float
    high: float
    """The upper end of the middle 80 % of the errors; `low` is the lower end."""


def error_by_decile(output: PredictedNumbers, parts: int = DECILES) -> list[Decile]:
    """Return the errors in ten groups of rows, from the lowest to the highest true values.

    Rows with the same true value are in the same group, so there may be fewer groups.
    """
    target, weights = output.target, output.weights
    edges = np.unique(np.quantile(target, np.linspace(0, 1, parts + 1)))
    index = np.clip(np.searchsorted(edges, target, side="right") - 1, 0, max(0, len(edges) - 2))
    errors = output.prediction - target
    result = []
    for at in np.unique(index):
        rows = index == at
        error = float(np.average(np.abs(errors[rows]), weights=weights[rows]))
        bias = float(np.average(errors[rows], weights=weights[rows]))
        low, high = _middle(errors[rows], weights[rows])
        lowest, highest = float(target[rows].min()), float(target[rows].max())
        result.append(Decile(lowest, highest, int(np.count_nonzero(rows)), error, bias, low, high))
    return result


def _middle(errors: Floats, weights: Floats) -> tuple[float, float]:
    """Return the ends of the middle 80 % of errors."""
    low, high = (float(weighted_quantile(errors, weights, at)) for at in (0.1, 0.9))
    return low, high


def _decile_chart(deciles: Sequence[Decile]) -> views.ChartBlock:
    format_value = fmt.format_within(deciles[0].lowest, deciles[-1].highest)
    names = fmt.shorten_names(
        fmt.span(format_value(each.lowest), format_value(each.highest)) for each in deciles
    )
    rows = [
        {"y": name, "x": each.bias, "l": each.low, "u": each.high, "e": each.error, "n": each.rows}
        for name, each in zip(names, deciles, strict=True)
    ]
    worst = max(range(len(deciles)), key=lambda at: deciles[at].error)
    largest = fmt.metric(definitions.MAE.name, deciles[worst].error, deciles[worst].rows)
    error = "MAE|.3~g"
    tips = {"y": "true value", "n": "rows|,d", "e": error, "x": "mean error|.3~g"}
    return views.ChartBlock(
        title="Error by size of the true value",
        spec=charts.range_chart(rows, names, Axis("prediction − true value"), tips=tips),
        description=f"The MAE is largest, {largest}, for true values of {names[worst]}.",
        reading=f"Rows are divided into {plural(len(deciles), 'part')}, from the lowest true "
        "values to the highest. Each bar covers the middle 80 % of the errors, the orange mark is "
        "the mean error. Right of the dashed line predictions are too high, left of it too low.",
        numbers=charts.numbers_table(rows, tips),
    )
