"""Numbers and tables as plain text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlcli.pipeline import LayerSummary

_LISTED = 8
_NAMES_SHOWN = 10


def number(value: float | None) -> str:
    """A number to four significant digits, or a dash for what is undefined."""
    if value is None:
        return "-"
    return f"{float(f'{value:.4g}'):.12g}"  # the outer format spares 12346 an exponent


def some(names: Iterable[str]) -> str:
    """The first few of some names, on one line whatever they hold."""
    from dlcli.config import printable

    every = [printable(name) for name in names]
    return ", ".join([*every[:_LISTED], "..."] if len(every) > _LISTED else every)


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Cells to lines: the first column to the left, the others to the right."""
    first, *others = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join([row[0].ljust(first), *map(str.rjust, row[1:], others)]).rstrip() for row in rows
    ]


def metric_table(metrics: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The metrics that are single numbers, a column for each set of rows, column or label."""
    names = dict.fromkeys(name for scores in metrics.values() for name in _scalars(scores))
    rows = [[name, *(number(scores.get(name)) for scores in metrics.values())] for name in names]
    return align([["", *metrics], *rows])


def score_table(rows: int, scores: Mapping[str, Any], classes: Sequence[str]) -> list[str]:
    """The metrics of one set of rows, and of its classes, labels or columns unless they are many.

    Args:
        rows: how many there are.
        scores: their metrics.
        classes: the classes by name, if there are any, whose confusion is shown.
    """
    metrics = [[name, number(scores[name])] for name in _scalars(scores)]
    lines = align([["rows", str(rows)], *metrics])
    if 0 < len(classes) <= _NAMES_SHOWN:
        lines += ["", *_confusion(classes, scores["confusion"])]
    for parts in scores.values():
        if isinstance(parts, Mapping) and len(parts) <= _NAMES_SHOWN:
            lines += ["", *metric_table({some([name]): part for name, part in parts.items()})]
    return lines


def _confusion(classes: Sequence[str], counts: Sequence[Sequence[float]]) -> list[str]:
    names = [some([name]) for name in classes]
    pairs = zip(names, counts, strict=True)
    rows = [[name, *map(number, line)] for name, line in pairs]
    return align([["true \\ predicted", *names], *rows])


def layer_table(layers: Sequence[LayerSummary]) -> list[str]:
    """Layers with their widths and sizes; `?` for what only the data can tell."""
    sizes = [layer.parameters for layer in layers]
    total = None if None in sizes else sum(size for size in sizes if size is not None)
    header = ["layer", "type", "inputs", "units", "parameters"]
    return _two_left([header, *map(_layer_row, layers), ["total", "", "", "", _known(total)]])


def _layer_row(layer: LayerSummary) -> list[str]:
    counts = [_known(count) for count in (layer.inputs, layer.units, layer.parameters)]
    return [layer.name, _kind(layer), *counts]


def _kind(layer: LayerSummary) -> str:
    if layer.kind == "Dropout":
        return f"Dropout {layer.rate:g}"
    if layer.kind == "Embedding":
        return f"Embedding of {some([str(layer.column)])}"
    if layer.kind in ("BatchNormalization", "Periodic"):
        return layer.kind
    return f"{layer.kind} {layer.activation or '?'}"


def _two_left(rows: Sequence[Sequence[str]]) -> list[str]:
    """Aligns rows whose second column is text, too."""
    width = max(len(row[1]) for row in rows)
    return align([[row[0], row[1].ljust(width), *row[2:]] for row in rows])


def _known(count: int | None) -> str:
    return "?" if count is None else str(count)


def _scalars(scores: Mapping[str, Any]) -> list[str]:
    return [name for name, value in scores.items() if not isinstance(value, list | Mapping)]
