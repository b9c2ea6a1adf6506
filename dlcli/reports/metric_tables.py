"""Tables of metrics on a terminal, and of a network's layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

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
    cells = [(name, fmt.number(metrics[name])) for name in _scalars(metrics)]
    yield Table((), (("rows", f"{rows:,}"), *cells))
    if 0 < len(classes) <= MOST_NAMES:
        names = [fmt.shorten(name) for name in classes]
        lines = zip(names, metrics["confusion"], strict=True)
        counts = tuple((name, *map(fmt.number, line)) for name, line in lines)
        yield Table(("true \\ predicted", *names), counts)
    for parts in metrics.values():
        if isinstance(parts, Mapping) and len(parts) <= MOST_NAMES:
            yield _table_of_parts(parts)


def _table_of_parts(parts: Mapping[str, Mapping[str, Any]]) -> Table:
    """List the metrics of labels or columns, a column each."""
    names = dict.fromkeys(name for scores in parts.values() for name in _scalars(scores))
    rows = [(name, *(fmt.number(scores.get(name)) for scores in parts.values())) for name in names]
    return Table(("", *(fmt.shorten(name) for name in parts)), tuple(rows))


def _scalars(metrics: Mapping[str, Any]) -> list[str]:
    return [name for name, value in metrics.items() if not isinstance(value, list | Mapping)]


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
