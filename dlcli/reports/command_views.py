"""Views of command output other than reports: tables, layers, evaluations, diagnoses."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from dlcli.columns.registry import type_named
from dlcli.columns.type_inference import numbered_prefix
from dlcli.errors import joined, plural
from dlcli.metrics.definitions import COST, METRICS
from dlcli.metrics.statistic import finite_number
from dlcli.prediction.reliability import Reliability
from dlcli.reports import formatting as fmt
from dlcli.reports import views
from dlcli.reports.calibration_section import calibration_table, describe_calibration

if TYPE_CHECKING:
    from pathlib import Path

    from dlcli.data_checks.inspection import ColumnOverview, Inspection
    from dlcli.network.layers import LayerSummary
    from dlcli.pipeline.retraining import Reproduction
    from dlcli.runs.documents import Finalist, FoldResult
    from dlcli.runs.installation import Installation
    from dlcli.runs.run_list import ListedRun
    from dlcli.tasks.decision import DecisionEffect, FittedDecision

_MOST_PARTS_SHOWN = 10
"""Maximum number of classes, labels or columns shown."""
_LONGEST_NAME = 40
_LONGEST_CELL = 60
_MOST_SINGLE_COLUMNS = 40
"""Maximum number of columns that are listed individually, even if they are numbered."""
_FEWEST_ALIKE = 3
_KINDS = {"cv": "cv", "tune": "search"}
"""The kinds of runs other than a training."""


def inspection_view(inspection: Inspection) -> views.View:
    """Show the columns of a table, and the findings of checks."""
    columns = inspection.columns
    size = f"{plural(inspection.rows, 'row')}, {plural(len(columns), 'column')}"
    header = ("column", "type", "missing", "distinct", "values", "why this type")
    rows = tuple(_overview_rows(columns))
    table = views.TableBlock(header, rows, text_columns=(0, 1, 4, 5))
    found = (
        views.DataFindingBlock(each.severity, each.message, each.advice)
        for each in inspection.issues
    )
    result = found if inspection.issues else ["no problems found"]
    return views.View(blocks=views.blocks([f"{inspection.file}: {size}", table, *result]))


def _overview_rows(columns: Sequence[ColumnOverview]) -> Iterator[tuple[str, ...]]:
    """Yield a row per column; if there are many, numbered neighbors of the same type share one."""

    def kind(column: ColumnOverview) -> tuple[str | None, str, str]:
        prefix = numbered_prefix(column.name) if len(columns) > _MOST_SINGLE_COLUMNS else None
        return prefix, column.type, column.reason

    for (prefix, *_), group in groupby(columns, kind):
        alike = tuple(group)
        if prefix is not None and len(alike) >= _FEWEST_ALIKE:
            yield _overview_row(alike)
        else:
            yield from (_overview_row((column,)) for column in alike)


def _overview_row(columns: Sequence[ColumnOverview]) -> tuple[str, ...]:
    """Describe one or more columns of the same type in a row."""
    first, last = columns[0], columns[-1]
    summaries = [column.values for column in columns]
    missing = sum(each.missing for each in summaries)
    rows = missing + sum(each.present for each in summaries)
    distinct = [each.distinct for each in summaries]
    bounds = [bound for each in summaries for bound in each.bounds or ()]
    if first is last:
        name = fmt.shorten(first.name, _LONGEST_NAME)
        of_type = type_named(first.type)
        may_be_amounts = of_type.is_amount or not of_type.is_read or first.type == "target"
        has_range, listing = may_be_amounts and distinct[0] > 2, first.values.listing
    else:
        names = (fmt.shorten(column.name, _LONGEST_NAME // 2) for column in (first, last))
        name = " to ".join(names) + f" ({len(columns):,})"
        has_range, listing = True, ""
    held = fmt.shorten(listing, _LONGEST_CELL)
    if has_range and bounds:
        low, high = min(bounds), max(bounds)
        held = fmt.span(*map(fmt.format_within(low, high), (low, high)))
    return (
        name,
        first.type,
        f"{100 * missing / rows:.3g} %" if missing else "",
        fmt.span(f"{min(distinct):,}", f"{max(distinct):,}"),
        held,
        fmt.shorten(first.reason, _LONGEST_CELL),
    )


def reproduction_view(reproduction: Reproduction) -> views.View:
    """Show what is equal in a run and its retrained copy."""
    parts = views.TableBlock.of(
        reproduction.parts,
        {
            "part": lambda part: part.part,
            "result": lambda part: "equal" if part.equal else "differs",
            "finding": lambda part: part.finding,
        },
        text_columns=(0, 1, 2),
    )
    causes = f"likely cause: {'; '.join(reproduction.causes)}" if reproduction.causes else None
    links = (("run", str(reproduction.again.path)),)
    return views.View(blocks=views.blocks([parts, causes]), links=links)


def runs_view(folder: Path, runs: Sequence[ListedRun], metric: str | None = None) -> views.View:
    """List runs.

    Args:
        folder: the folder of the runs.
        runs: the runs, in the order of the list.
        metric: the metric to show instead of the most important one of each run.
    """

    def result(run: ListedRun) -> str:
        names = run.headlines[:1] if metric is None else (metric,)
        return ", ".join(
            f"{fmt.metric_title(name)} {fmt.metric(name, run.metrics[name])}" for name in names
        )

    table = views.TableBlock.of(
        runs,
        {
            "run": lambda run: run.path.name,
            "date": lambda run: f"{run.time:%Y-%m-%d}",
            "target": lambda run: fmt.join_names(run.target, 2),
            "result": result,
            "rows": lambda run: run.rows,
            "": lambda run: run.state if run.state != "finished" else _KINDS.get(run.kind, ""),
        },
        text_columns=range(6),
    )
    links = [(run.path.name, run.note) for run in runs if run.note]
    blocks = [f"{folder}: {plural(len(runs), 'run')}", table if runs else None]
    return views.View(blocks=views.blocks(blocks), links=tuple(links))


def installation_view(found: Installation) -> views.View:
    """Show the versions of an installation, and which of its parts can be used."""
    versions = [(name, version or "not installed") for name, version in found.versions.items()]
    system = ((name, "unknown" if value is None else value) for name, value in found.system.items())
    gpus = "unknown without TensorFlow" if found.gpus is None else ", ".join(found.gpus) or "none"
    trackers = [
        name if [*packages] == ["dlcli"] else f"{name} ({', '.join(packages)})"
        for name, packages in found.trackers.items()
    ]
    devices = [*((name, str(value)) for name, value in system), ("GPUs", gpus)]
    facts = [*versions, *devices, ("trackers", ", ".join(trackers))]
    parts = views.TableBlock.of(
        found.parts,
        {
            "part": lambda part: part.name,
            "for": lambda part: part.purpose,
            "state": lambda part: f"lacks {', '.join(part.missing)}" if part.missing else "ready",
        },
        text_columns=(0, 1, 2),
    )
    links = [(f"for {part.name}", part.way_out) for part in found.parts if part.missing]
    table = views.TableBlock(("", found.distribution or "dlcli"), tuple(facts), text_columns=(0, 1))
    return views.View(
        blocks=views.blocks([table, parts]),
        links=(*links, ("for a report of a problem", found.summary)),
    )


def evaluation_view(
    rows: int,
    metrics: Mapping[str, Any],
    classes: Sequence[str],
    interval: Mapping[str, Any] | None = None,
    without_weight: int = 0,
    sentences: Sequence[str] = (),
    reliability: Reliability | None = None,
) -> views.View:
    """Show the metrics of a run on other rows, also per class, label or column if there are few.

    Args:
        rows: the number of rows.
        metrics: the metrics of these rows.
        classes: the class names, for the confusion matrix; empty for other targets.
        interval: the `level`, coverage and mean width of prediction intervals, or these
            `by_column`.
        without_weight: the number of rows with weight 0, shown separately.
        sentences: further results.
        reliability: the reliability of probabilities.
    """
    sizes = [("rows", f"{rows - without_weight:,}")]
    if without_weight:
        sizes.append(("rows of weight 0", f"{without_weight:,}"))
    counted = rows - without_weight
    blocks = [views.TableBlock((), (*sizes, *metric_table([""], [metrics], [counted]).rows))]
    if 0 < len(classes) <= _MOST_PARTS_SHOWN:
        names = [fmt.shorten(name) for name in classes]
        lines = zip(names, metrics["confusion"], strict=True)
        counts = tuple((name, *map(fmt.number, line)) for name, line in lines)
        blocks.append(views.TableBlock(("true \\ predicted", *names), counts))
    for parts in metrics.values():
        if isinstance(parts, Mapping) and len(parts) <= _MOST_PARTS_SHOWN:
            heads = [fmt.shorten(name) for name in parts]
            blocks.append(metric_table(heads, [*parts.values()], [counted] * len(parts)))
    texts = [*positive_class(metrics, classes), *sentences]
    if reliability is not None and reliability.error.value is not None:
        blocks.append(calibration_table(reliability, "by_label" in metrics))
        texts.append(describe_calibration(reliability))
    of_level = None
    if interval is not None:
        parts = interval.get("by_column", {"": {n: v for n, v in interval.items() if n != "level"}})
        heads = [*map(fmt.shorten, parts)]
        is_sets = any("mean_size" in values for values in parts.values())
        caption = f"{100 * interval['level']:g} % prediction {'sets' if is_sets else 'intervals'}"
        of_level = metric_table(heads, [*parts.values()], caption=caption)
    return views.View(blocks=views.blocks([*blocks, *texts, of_level]))


def decision_sentences(
    decision: FittedDecision, classes: Sequence[str], effect: DecisionEffect | None
) -> Iterator[str]:
    """Yield how a class is predicted, and what this changes on rows."""
    names = fmt.shorten_names(classes)
    yield f"Predicted class: {decision.describe(names)} ({decision.reason})."
    if decision.unmet:
        yield f"{fmt.capitalize(decision.unmet)}."
    if effect is None:
        return
    title, usual = fmt.metric_title(effect.metric), "without this rule"
    if effect.usual_threshold is not None:
        usual = f"with the threshold {fmt.number(effect.usual_threshold)}"
    mean = "The mean cost of a row" if effect.metric == COST.name else fmt.capitalize(title)
    now, before = (fmt.estimate(each, effect.metric) for each in (effect.value, effect.usual))
    change = fmt.estimate(effect.difference, effect.metric, is_difference=True)
    yield f"{mean} is {now}; {usual}, it is {before} (difference {change})."
    for name, estimate in effect.constrained.items():
        limit, found = decision.constraints[name], fmt.estimate(estimate, name)
        yield f"{fmt.capitalize(name)} is {found} on these rows (required: at least {limit:g})."


def metric_table(
    heads: Sequence[str],
    columns: Sequence[Mapping[str, object]],
    rows: Sequence[int | None] = (),
    *,
    decisive: int | None = None,
    caption: str = "",
    note: str = "",
    with_directions: bool = False,
) -> views.TableBlock:
    """List metrics that are single numbers, one per line.

    Args:
        heads: the column headers: sets of rows, models, labels or predicted columns.
        columns: the metrics of each column.
        rows: the number of evaluated rows of each column, which determines the digits.
        decisive: the column whose uncertainty determines the digits of the whole line.
        caption: the caption of the table.
        note: an explanation below the table.
        with_directions: whether to mark if higher or lower values are better.
    """
    names = [
        name
        for name in dict.fromkeys(name for each in columns for name in each)
        if not any(isinstance(each.get(name), list | Mapping) for each in columns)
    ]
    sized = [*zip(columns, rows or [None] * len(columns), strict=True)]

    def line(name: str) -> tuple[str, ...]:
        decimals = None
        if decisive is not None:
            metrics, count = sized[decisive]
            decimals = fmt.decimals_on(name, metrics.get(name), count)
        cells = (_digits_of_line(name, each.get(name), n, decimals) for each, n in sized)
        return (fmt.shorten(fmt.metric_title(name)), *cells)

    directions = tuple(map(direction_mark, names)) if with_directions else ()
    body = tuple(map(line, names))
    return views.TableBlock(("", *heads), body, caption, note=note, marks=directions)


def _digits_of_line(name: str, value: object, rows: int | None, decimals: int | None) -> str:
    """Format a metric to the decimals of its line, and values above 1 to at least two digits."""
    finite = finite_number(value)
    if decimals is not None and finite is not None and abs(finite) >= 1:
        decimals = max(decimals, 1 - math.floor(math.log10(abs(finite))))
    return fmt.metric(name, value, rows, decimals=decimals)


def positive_class(metrics: Collection[str], classes: Sequence[str]) -> Iterator[str]:
    """Yield a note on the positive class, if there are two classes and a metric depends on it.

    Args:
        metrics: the names of all metrics.
        classes: the class names, the positive one last.
    """
    names = [
        fmt.metric_title(name)
        for name, metric in METRICS.items()
        if metric.of_positive_class and name in metrics
    ]
    if len(classes) == 2 and names:
        subject, verb = fmt.capitalize(joined(names)), "is" if len(names) == 1 else "are"
        yield f"{subject} {verb} for the class {fmt.shorten(classes[1])}."


def metric_cell(name: str, result: FoldResult | Finalist) -> str:
    """Format a metric of a result."""
    return fmt.metric(name, result.metrics.get(name))


def direction_mark(metric: str) -> str:
    """Return an arrow in the direction of better values of a metric."""
    if metric not in METRICS:
        return ""
    return "↑" if METRICS[metric].higher_is_better else "↓"


def layer_table(layers: Sequence[LayerSummary]) -> views.TableBlock:
    """List layers with widths and sizes; `?` if a value depends on the data."""
    sizes = [layer.parameters for layer in layers]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    rows = [
        (
            *(layer.name, _kind(layer)),
            *(fmt.count(size, "?") for size in (layer.inputs, layer.units, layer.parameters)),
        )
        for layer in layers
    ]
    rows.append(("total", "", "", "", fmt.count(total, "?")))
    return views.TableBlock(
        ("layer", "type", "inputs", "units", "parameters"), tuple(rows), text_columns=(0, 1)
    )


def _kind(layer: LayerSummary) -> str:
    if layer.kind == "Dropout":
        return f"Dropout {layer.rate:g}"
    if layer.kind == "Embedding":
        return f"Embedding of {fmt.shorten(layer.column, 30)}"
    if layer.kind in ("BatchNormalization", "Periodic"):
        return layer.kind
    return f"{layer.kind} {layer.activation or '?'}"
