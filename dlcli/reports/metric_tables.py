"""Tables of metrics, and of a network's layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dlcli.metrics import HIGHER_IS_BETTER
from dlcli.reports import formatting as fmt
from dlcli.reports.views import Table, View

if TYPE_CHECKING:
    from dlcli.network import LayerSummary

MOST_NAMES = 10
"""Classes, labels or columns that are shown."""


def evaluation_view(rows: int, metrics: Mapping[str, Any], classes: Sequence[str]) -> View:
    """Show the metrics of a run on other rows, and of classes, labels or columns if they are few.

    Args:
        rows: the number of rows.
        metrics: their metrics.
        classes: the classes by name, whose confusion is shown; none of other targets.
    """
    return View("", blocks=tuple(_tables(rows, metrics, classes)))


def _tables(rows: int, metrics: Mapping[str, Any], classes: Sequence[str]) -> Iterator[Table]:
    scalars = metric_table([""], [metrics]).rows
    yield Table((), (("rows", f"{rows:,}"), *scalars))
    if 0 < len(classes) <= MOST_NAMES:
        names = [fmt.shorten(name) for name in classes]
        lines = zip(names, metrics["confusion"], strict=True)
        counts = tuple((name, *map(fmt.number, line)) for name, line in lines)
        yield Table(("true \\ predicted", *names), counts)
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
) -> Table:
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
    return Table(("", *heads), rows, caption, note=note, marks=directions)


def direction_mark(metric: str) -> str:
    """Return an arrow: whether a higher or a lower value of a metric is better."""
    return {True: "↑", False: "↓", None: ""}[HIGHER_IS_BETTER.get(metric)]


def layer_table(layers: Sequence[LayerSummary]) -> Table:
    """List layers with their widths and sizes; `?` is what only the data can tell."""
    sizes = [layer.parameters for layer in layers]
    total = None if None in sizes else sum(size or 0 for size in sizes)
    rows = [
        (layer.name, _kind(layer), *map(_known, (layer.inputs, layer.units, layer.parameters)))
        for layer in layers
    ]
    rows.append(("total", "", "", "", _known(total)))
    return Table(
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
