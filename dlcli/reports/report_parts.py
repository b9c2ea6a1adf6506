"""Parts that several reports share: metrics, the network, the config, and how a run was made."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from dlcli import __version__
from dlcli.columns.identifiers import numbered_prefix
from dlcli.columns.registry import type_named
from dlcli.errors import joined, plural
from dlcli.metrics.definitions import METRICS
from dlcli.metrics.intervals import Verdict
from dlcli.reports import formatting as fmt
from dlcli.reports import views
from dlcli.runs.manifest import PAGE, RunFile

if TYPE_CHECKING:
    from dlcli.data_checks.inspection import ColumnOverview, Inspection
    from dlcli.network.network import LayerSummary
    from dlcli.pipeline.documents import Finalist, FoldResult
    from dlcli.pipeline.events import NetworkEvent
    from dlcli.pipeline.retraining import Reproduction
    from dlcli.prediction.baseline_comparison import BaselineDifference
    from dlcli.reports.run_record import RunRecord
    from dlcli.runs.run import Run

"""Metrics of one of two classes; all others are alike for both."""
_VERDICTS: Mapping[Verdict, str] = {
    "better": "{subject} is better than {}",
    "worse": "{subject} is worse than {}",
    "not_significant": "There is no clear difference from {}",
    "same": "There is no difference from {}",
    "unknown": "It is unknown whether it is better than {}",
}
_NOTHING_LEARNED: Mapping[Verdict, str] = {
    "worse": "It has not learned anything useful for these rows yet.",
    "same": "It has not learned anything useful for these rows yet.",
    "not_significant": "These rows do not show that it has learned anything useful.",
}
_TOO_FEW_ROWS: Mapping[Verdict, str] = {
    "not_significant": "These rows are too few to show whether it has learned anything useful.",
}
_NO_GAIN_OF_LAYERS: Mapping[Verdict, str] = {
    "worse": "Its hidden layers do not improve the predictions yet.",
    "same": "Its hidden layers do not improve the predictions yet.",
    "not_significant": "Its hidden layers do not clearly improve the predictions.",
}
MOST_NAMES = 10
"""Classes, labels or columns that are shown."""
MOST_CHARACTERS = 60_000
"""Of a config; one of very many columns is longer."""
_MOST_LAYERS = 60
_LONGEST_NAME = 40
_LONGEST_CELL = 60
_MOST_COLUMNS = 40
"""Columns that are listed one by one, even if they are numbered."""
_FEWEST_ALIKE = 3
_MOST_FILES = 100
_MOST_NOTES = 20
_VERSIONS = ("dlcli", "python", "tensorflow", "keras", "numpy", "pyarrow")
_MACHINE = ("platform", "machine", "processor", "device", "threads", "seed")
REPEATABLE = "The same config, data, versions and threads on the same machine give the same result."


def inspection_view(inspection: Inspection) -> views.View:
    """Show the columns of a table, and the findings of checks."""
    columns = inspection.columns
    size = f"{plural(inspection.rows, 'row')}, {plural(len(columns), 'column')}"
    header = ("column", "type", "missing", "distinct", "values", "why")
    rows = tuple(_overview_rows(columns))
    found = (
        views.DataFindingBlock(each.severity, each.message, each.advice)
        for each in inspection.issues
    )
    blocks = (
        views.TextBlock(f"{inspection.file}: {size}"),
        views.TableBlock(header, rows, text_columns=(0, 1, 4, 5)),
        *(found if inspection.issues else [views.TextBlock("no problems found")]),
    )
    return views.View("", blocks=blocks)


def _overview_rows(columns: Sequence[ColumnOverview]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each column; of many columns, one for numbered neighbors of the same type."""

    def kind(column: ColumnOverview) -> tuple[str | None, str, str]:
        prefix = numbered_prefix(column.name) if len(columns) > _MOST_COLUMNS else None
        return prefix, column.type, column.reason

    for (prefix, *_), group in groupby(columns, kind):
        alike = tuple(group)
        if prefix is not None and len(alike) >= _FEWEST_ALIKE:
            yield _joint_row(alike)
        else:
            yield from map(_overview_row, alike)


def _joint_row(columns: Sequence[ColumnOverview]) -> tuple[str, ...]:
    summaries = [column.values for column in columns]
    missing = sum(each.missing for each in summaries)
    distinct = [each.distinct for each in summaries]
    bounds = [bound for each in summaries for bound in each.bounds or ()]
    names = (fmt.shorten(column.name, _LONGEST_NAME // 2) for column in (columns[0], columns[-1]))
    return (
        " to ".join(names) + f" ({len(columns):,})",
        columns[0].type,
        _percent(missing, missing + sum(each.present for each in summaries)),
        fmt.span(f"{min(distinct):,}", f"{max(distinct):,}"),
        _range((min(bounds), max(bounds))) if bounds else "",
        fmt.shorten(columns[0].reason, _LONGEST_CELL),
    )


def _range(bounds: tuple[float, float]) -> str:
    return fmt.span(*map(fmt.format_within(*bounds), bounds))


def _percent(missing: int, rows: int) -> str:
    return f"{100 * missing / rows:.3g} %" if missing else ""


def _overview_row(column: ColumnOverview) -> tuple[str, ...]:
    values = column.values
    of_type = type_named(column.type)
    may_be_amounts = of_type.is_amount or not of_type.is_read or column.type == "target"
    if may_be_amounts and values.bounds and values.distinct > 2:
        held = _range(values.bounds)
    else:
        held = fmt.shorten(values.listing, _LONGEST_CELL)
    return (
        fmt.shorten(column.name, _LONGEST_NAME),
        column.type,
        _percent(values.missing, values.missing + values.present),
        f"{values.distinct:,}",
        held,
        fmt.shorten(column.reason, _LONGEST_CELL),
    )


def reproduction_view(reproduction: Reproduction) -> views.View:
    """Show what is equal in a run and in the one that was trained again."""
    parts = views.TableBlock.of(
        reproduction.parts,
        {
            "part": lambda part: part.part,
            "result": lambda part: "equal" if part.equal else "differs",
            "finding": lambda part: part.finding,
        },
        text_columns=(0, 1, 2),
    )
    causes = "; ".join(reproduction.causes)
    blocks = [parts, views.TextBlock(f"likely cause: {causes}")] if causes else [parts]
    return views.View("", blocks=tuple(blocks), links=(("run", str(reproduction.again.path)),))


def evaluation_view(
    rows: int,
    metrics: Mapping[str, Any],
    classes: Sequence[str],
    interval: Mapping[str, Any] | None = None,
    without_weight: int = 0,
) -> views.View:
    """Show the metrics of a run on other rows, and of classes, labels or columns if they are few.

    Args:
        rows: the number of rows.
        metrics: their metrics.
        classes: the classes by name, whose confusion is shown; none of other targets.
        interval: the `level` of intervals, their coverage and mean width, or `by_column` these.
        without_weight: the number of rows of weight 0 among them, shown separately.
    """
    blocks: list[views.ViewBlock] = [*_tables(rows, without_weight, metrics, classes)]
    blocks += map(views.TextBlock, positive_class(metrics, classes))
    if interval is not None:
        parts = interval.get("by_column", {"": {n: v for n, v in interval.items() if n != "level"}})
        heads, caption = map(fmt.shorten, parts), f"Level {interval['level']:g}"
        blocks.append(metric_table([*heads], [*parts.values()], caption))
    return views.View("", blocks=tuple(blocks))


def _tables(
    rows: int, without_weight: int, metrics: Mapping[str, Any], classes: Sequence[str]
) -> Iterator[views.TableBlock]:
    sizes = [("rows", f"{rows - without_weight:,}")]
    if without_weight:
        sizes.append(("rows of weight 0", f"{without_weight:,}"))
    yield views.TableBlock((), (*sizes, *metric_table([""], [metrics]).rows))
    if 0 < len(classes) <= MOST_NAMES:
        names = [fmt.shorten(name) for name in classes]
        lines = zip(names, metrics["confusion"], strict=True)
        counts = tuple((name, *map(fmt.number, line)) for name, line in lines)
        yield views.TableBlock(("true \\ predicted", *names), counts)
    for parts in metrics.values():
        if isinstance(parts, Mapping) and len(parts) <= MOST_NAMES:
            yield metric_table([fmt.shorten(name) for name in parts], list(parts.values()))


def metric_table(
    heads: Sequence[str],
    columns: Sequence[Mapping[str, object]],
    caption: str = "",
    note: str = "",
    *,
    with_directions: bool = False,
) -> views.TableBlock:
    """List metrics, a line each, without those that have parts.

    Args:
        heads: of the columns: sets of rows, models, labels or predicted columns.
        columns: for each, its metrics.
        caption: of the table.
        note: an explanation below it.
        with_directions: whether it is marked if higher or lower values are better.
    """
    names = [
        name
        for name in dict.fromkeys(name for each in columns for name in each)
        if not any(isinstance(each.get(name), list | Mapping) for each in columns)
    ]
    rows = tuple(
        (fmt.shorten(name), *(fmt.number(each.get(name)) for each in columns)) for name in names
    )
    directions = tuple(map(direction_mark, names)) if with_directions else ()
    return views.TableBlock(("", *heads), rows, caption, note=note, marks=directions)


def positive_class(metrics: Collection[str], classes: Sequence[str]) -> Iterator[str]:
    """Yield which of two classes some of the metrics are of, if there are two and such a metric.

    Args:
        metrics: the names of all metrics.
        classes: those of the target, the positive one last.
    """
    names = [
        fmt.metric_title(name)
        for name, metric in METRICS.items()
        if metric.of_positive_class and name in metrics
    ]
    if len(classes) == 2 and names:
        subject, verb = fmt.capitalize(joined(names)), "is" if len(names) == 1 else "are"
        yield f"{subject} {verb} of the class {fmt.shorten(classes[1], 40)}."


def metric_cell(name: str, result: FoldResult | Finalist) -> str:
    """Format a metric of a result."""
    return fmt.number(result.metrics.get(name))


def direction_mark(metric: str) -> str:
    """Return an arrow: whether a higher or a lower value of a metric is better."""
    if metric not in METRICS:
        return ""
    return "↑" if METRICS[metric].higher_is_better else "↓"


def layer_table(layers: Sequence[LayerSummary]) -> views.TableBlock:
    """List layers with their widths and sizes; `?` is what only the data can tell."""
    sizes = [layer.parameters for layer in layers]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    rows = [
        (layer.name, _kind(layer), *map(_known, (layer.inputs, layer.units, layer.parameters)))
        for layer in layers
    ]
    rows.append(("total", "", "", "", _known(total)))
    return views.TableBlock(
        ("layer", "type", "inputs", "units", "parameters"), tuple(rows), text_columns=(0, 1)
    )


def _known(count: int | None) -> str:
    return "?" if count is None else f"{count:,}"


def _kind(layer: LayerSummary) -> str:
    if layer.kind == "Dropout":
        return f"Dropout {layer.rate:g}"
    if layer.kind == "Embedding":
        return f"Embedding of {fmt.shorten(layer.column, 30)}"
    if layer.kind in ("BatchNormalization", "Periodic"):
        return layer.kind
    return f"{layer.kind} {layer.activation or '?'}"


def baseline_sentences(
    differences: Mapping[str, BaselineDifference],
    *,
    subject: str = "It",
    where: str = "",
    are_few: bool = False,
) -> Iterator[str]:
    """Yield how a network compares with the simplest models.

    Args:
        differences: from each baseline, by its name.
        subject: the network, if the sentence before is about something else: `The network`.
        where: the rows that were compared, if that is not obvious: `On 90 validation rows`.
        are_few: whether these are so few that they often show nothing.
    """
    for name in sorted(differences, key=lambda name: name == "constant"):  # the hardest one first
        found = differences[name]
        verdict = _VERDICTS[found.verdict].format(f"the {name} baseline", subject=subject)
        if where:
            verdict = f"{where}, {verdict[:1].lower()}{verdict[1:]}"
        metric = found.metric
        values = f"{fmt.metric(metric, found.network)} against {fmt.metric(metric, found.baseline)}"
        if found.verdict == "unknown":
            change = f" ({fmt.shorten(found.reason)})" if found.reason else ""
        else:
            change = f", difference {fmt.estimate(found, fmt.difference)}"
        yield f"{verdict}: {fmt.metric_title(metric)} {values}{change}."
    learned = {**_NOTHING_LEARNED, **(_TOO_FEW_ROWS if are_few else {})}
    for name, conclusions in (("constant", learned), ("linear", _NO_GAIN_OF_LAYERS)):
        if name in differences and differences[name].verdict in conclusions:
            yield conclusions[differences[name].verdict]
            break


def footer(record: RunRecord) -> str:
    """Return what made the page, and when the run was finished."""
    time = f"{record.run.created:%Y-%m-%d %H:%M} UTC"
    return f"Made by dlcli {__version__} of a run finished on {time}."


def as_sentences(notes: Sequence[str]) -> tuple[str, ...]:
    """Return the first notes or warnings of a result as sentences."""
    shown = [fmt.sentence(note) for note in notes if note.strip()]
    rest = len(shown) - _MOST_NOTES
    return (*shown[:_MOST_NOTES], *([f"And {rest:,} more."] if rest > 0 else []))


def commands_block(commands: Sequence[Sequence[str]]) -> views.CodeBlock:
    """Show commands to copy, a line each."""
    return views.CodeBlock("\n".join(map(shlex.join, commands)))


def name_target(columns: Sequence[str], classes: int, labels: int) -> str:
    """Name a target in a few words: `species (3 classes)`."""
    names = fmt.join_names(columns, 3)
    if classes:
        return f"{names} ({classes:,} classes)"
    return f"{labels:,} labels" if labels else names


def config_section(record: RunRecord, *blocks: views.ViewBlock) -> views.PageSection:
    """Show the config, and what `--set` changed in it.

    Args:
        record: the run.
        blocks: what comes before the config.
    """
    given: list[views.ViewBlock] = [
        views.CodeBlock(_whole_lines(record.run.read_text(RunFile.CONFIG)), "As given:")
    ]
    if changes := [fmt.shorten(change, 2_000) for change in record.overrides]:
        given.append(views.CodeBlock(_whole_lines("\n".join(changes)), "Changed with --set:"))
    resolved = views.CodeBlock(_whole_lines(record.run.resolved_path().read_text("utf-8")))
    config = views.GroupBlock(
        "The config", (*given, views.FoldBlock("With all defaults filled in", (resolved,)))
    )
    return views.PageSection("config", "The config", (*blocks, config))


def network_block(network: NetworkEvent) -> views.GroupBlock:
    """Draw a network, with its loss."""
    scaled = network.target_scaling
    of_target = f" of the target scaled by “{scaled}”" if scaled not in (None, "none") else ""
    members = f"Each of the {network.members:,} networks" if network.members else "The network"
    text = (
        f"{members} has {network.parameters:,} trainable parameters. Training minimizes "
        f"{fmt.shorten(network.loss)}{of_target}."
    )
    inputs = views.LayerBox(
        "input", "Input", f"{network.inputs:,} numbers", "the encoded columns", ""
    )
    layers = [inputs, *map(_layer, network.layers[:_MOST_LAYERS])]
    if (rest := len(network.layers) - _MOST_LAYERS) > 0:
        layers.append(views.LayerBox(plural(rest, "more layer"), "…", "", "", ""))
    return views.GroupBlock(
        "The network", (views.TextBlock(text), views.LayersBlock(tuple(layers)))
    )


def _layer(layer: LayerSummary) -> views.LayerBox:
    widths = (f"{width:,}" if width is not None else "?" for width in (layer.inputs, layer.units))
    detail = fmt.shorten(layer.activation or "", 40)
    if layer.rate is not None:
        detail = f"drops {fmt.number(100 * layer.rate)} % of the units in training"
    elif layer.column is not None:
        detail = f"of {fmt.shorten(layer.column, 40)}"
    return views.LayerBox(
        name=fmt.shorten(layer.name, 40),
        kind=fmt.shorten(layer.kind, 40),
        shape=" → ".join(widths),
        detail=detail,
        parameters=f"{layer.parameters:,} parameters" if layer.parameters else "",
    )


def _whole_lines(text: str) -> str:
    """Cut a text after whole lines."""
    if len(text) <= MOST_CHARACTERS:
        return text
    kept = text[:MOST_CHARACTERS].rpartition("\n")[0]
    return f"{kept}\n# ... and {text.count(chr(10)) - kept.count(chr(10)):,} more lines"


def reproduction_section(record: RunRecord, *blocks: views.ViewBlock) -> views.PageSection:
    """Show the command, the data and the versions that a run was made with.

    Args:
        record: the run.
        blocks: how to make it again.
    """
    environment = record.run.environment
    shown: list[views.ViewBlock] = list(blocks)
    words = environment.get("command")
    if isinstance(words, list) and words:
        command = fmt.shorten(shlex.join(["dlcli", *map(str, words[1:])]), 2_000)
        shown.append(views.CodeBlock(command, "It was made by:"))
    if files := record.run.data_files:
        content = "SHA-256 or version" if any("version" in each for each in files) else "SHA-256"
        columns: dict[str, Callable[[dict[str, object]], str]] = {
            "file": lambda each: fmt.shorten(each.get("file"), 120),
            content: lambda each: fmt.shorten(
                each.get("sha256") or each.get("version") or fmt.UNDEFINED, 64
            ),
            "bytes": lambda each: fmt.number(each.get("bytes")),
        }
        shown.append(
            views.TableBlock.of(
                files, columns, "Data files", text_columns=range(2), most=_MOST_FILES, noun="file"
            )
        )
    facts = [(name, environment.get(name)) for name in (*_VERSIONS, *_MACHINE)]
    rows = [(name, fmt.shorten(value, 120)) for name, value in facts if value is not None]
    git = environment.get("git")
    if isinstance(git, Mapping) and git.get("commit"):
        changed = ", with uncommitted changes" if git.get("dirty") else ""
        rows.append(("git commit", fmt.shorten(git["commit"], 64) + changed))
    table = views.TableBlock(("name", "value"), tuple(rows), "Versions and machine", range(2))
    return views.PageSection(
        "reproduce", "How to reproduce it", (*shown, views.FoldBlock("Versions", (table,)))
    )


def report_link(run: Run) -> str:
    """Return the page of a run, or the command that makes it."""
    page = run.path / PAGE
    return str(page) if page.exists() else shlex.join(["dlcli", "report", str(run.path)])
