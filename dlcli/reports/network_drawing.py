"""A network drawn as circles and arrows, in SVG: a column of units for each layer."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from types import MappingProxyType

from dlcli.errors import plural
from dlcli.network.layers import LayerSummary
from dlcli.reports import formatting as fmt
from dlcli.reports.charts import variable

MOST_UNITS = 10
"""Maximum number of drawn units of a layer; a wider layer has a gap in the middle."""
MOST_ARROWHEADS = 3
"""Maximum number of connections to a unit that have arrowheads; more would overlap."""
MOST_COLUMNS = 40
_STEP = 26
"""Distance between units of a layer, in pixels."""
_COLUMN = 148
"""Distance between layers, in pixels."""
_RADIUS = 8.5
_LINE = 16
"""Height of a line of text, in pixels."""
_MOST_CHARACTERS = 22
"""Maximum number of characters of a line of text in a column."""
COLORS: Mapping[str, str] = MappingProxyType(
    {
        **{"input": variable("train"), "hidden": variable("validation")},
        **{"output": variable("test"), "line": variable("muted")},
        **{"title": variable("ink"), "text": variable("muted")},
    }
)
"""The colors of a page."""


@dataclass(frozen=True)
class DrawnLayer:
    """A column of the drawing."""

    title: str
    units: int | None
    """The number of units; `None` if unknown."""
    details: tuple[str, ...] = field(default=())
    """Lines of text below the title."""


def drawn_layers(inputs: int, layers: Sequence[LayerSummary]) -> list[DrawnLayer]:
    """Return the columns of a network: its inputs, and each dense layer.

    A layer without units, such as dropout, is a detail of the dense layer before it.

    Args:
        inputs: the number of encoded inputs.
        layers: all layers in order.
    """
    first = "inputs", inputs, [plural(inputs, "number")]
    columns: list[tuple[str, int | None, list[str]]] = [first]
    dense = [layer for layer in layers if layer.kind == "Dense"]
    for layer in layers:
        *_, details = columns[-1]
        if layer.kind == "Dense":
            is_output, units = layer is dense[-1], layer.units
            counted = "? units" if units is None else plural(units, "unit")
            title = "output" if is_output else f"hidden {len(columns)}"
            columns.append((title, units, [counted, *_named(layer.activation)]))
        elif layer.kind == "Dropout":
            details.append(f"dropout {fmt.number(100 * (layer.rate or 0))} %")
        elif layer.kind == "Activation":
            details += _named(layer.activation)
        elif layer.kind == "BatchNormalization":
            details.append("batch normalization")
        elif layer.kind == "Embedding":
            details.append(f"embedding of {layer.column}: {fmt.count(layer.units, '?')}")
        else:
            details.append(f"{layer.kind}: {fmt.count(layer.units, '?')} numbers")
    return [DrawnLayer(title, units, _few(details)) for title, units, details in columns]


def _named(activation: str | None) -> list[str]:
    return [activation] if activation and activation != "linear" else []


def _few(details: Sequence[str], most: int = 5) -> tuple[str, ...]:
    shown = [fmt.shorten(each, _MOST_CHARACTERS) for each in details]
    return tuple(shown if len(shown) <= most else [*shown[: most - 1], "…"])


def network_svg(layers: Sequence[DrawnLayer], colors: Mapping[str, str] = COLORS) -> str:
    """Draw a network: a column of circles for each layer, and a line for each connection.

    The lines have arrowheads if all layers are small.

    Args:
        layers: at least one layer, the inputs first; if there are too many, the last ones are
            omitted.
        colors: the colors of units by kind of layer, of lines and of texts.
    """
    shown = layers[:MOST_COLUMNS]
    most_lines = 1 + max(len(layer.details) for layer in shown)
    tallest = max(max(_heights(layer.units), default=0.0) for layer in shown)
    middle = most_lines * _LINE + _STEP + tallest
    width, height = _COLUMN * len(shown), middle + tallest + _STEP / 2
    centers = [
        [(_COLUMN * (at + 0.5), middle + y) for y in _heights(layer.units)]
        for at, layer in enumerate(shown)
    ]
    parts: list[str] = []
    has_heads = all(len(column) <= MOST_ARROWHEADS for column in centers[:-1])
    for left, right in zip(centers, centers[1:], strict=False):
        parts += _connections(left, right, colors["line"], has_heads=has_heads)
    for at, (layer, column) in enumerate(zip(shown, centers, strict=True)):
        kind = "input" if at == 0 else "output" if layer is layers[-1] else "hidden"
        parts += [
            f'<circle cx="{x:g}" cy="{y:g}" r="{_RADIUS}" fill="{colors[kind]}"/>'
            for x, y in column
        ]
        x = _COLUMN * (at + 0.5)
        if layer.units is None or layer.units > MOST_UNITS:
            parts += [
                f'<circle cx="{x:g}" cy="{middle + 7 * dot:g}" r="2" fill="{colors["line"]}"/>'
                for dot in (-1, 0, 1)
            ]
        for line, text in enumerate((layer.title, *layer.details)):
            look = f'font-size="13" font-weight="600" fill="{colors["title"]}"'
            if line:
                look = f'font-size="12" fill="{colors["text"]}"'
            y = _LINE * (line + 1 + most_lines - 1 - len(layer.details))
            parts.append(f'<text x="{x:g}" y="{y:g}" {look}>{escape(text)}</text>')
    size = f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} text-anchor="middle" '
        f'font-family="system-ui, sans-serif">{"".join(parts)}</svg>'
    )


def _heights(units: int | None) -> list[float]:
    """Return the height of each circle of a layer around the middle, from top to bottom."""
    if units is not None and units <= MOST_UNITS:
        return [_STEP * (at - (units - 1) / 2) for at in range(units)]
    half = MOST_UNITS // 2 - 1
    return [_STEP * side * at for side in (-1, 1) for at in range(1, half + 1)]


Point = tuple[float, float]


def _connections(
    left: Sequence[Point], right: Sequence[Point], color: str, *, has_heads: bool
) -> Iterator[str]:
    """Yield a line from each unit to each of the next layer, and their arrowheads."""
    lines, heads = [], []
    for x, y in left:
        for x2, y2 in right:
            length = math.hypot(x2 - x, y2 - y)
            dx, dy = (x2 - x) / length, (y2 - y) / length
            start = x + _RADIUS * dx, y + _RADIUS * dy
            end = x2 - (_RADIUS + 1) * dx, y2 - (_RADIUS + 1) * dy
            lines.append(f"M{start[0]:.1f} {start[1]:.1f}L{end[0]:.1f} {end[1]:.1f}")
            back = end[0] - 6 * dx, end[1] - 6 * dy
            heads.append(
                f"M{end[0]:.1f} {end[1]:.1f}L{back[0] - 2.5 * dy:.1f} {back[1] + 2.5 * dx:.1f}"
                f"L{back[0] + 2.5 * dy:.1f} {back[1] - 2.5 * dx:.1f}Z"
            )
    yield f'<path d="{"".join(lines)}" stroke="{color}" stroke-opacity="0.4" fill="none"/>'
    if has_heads:
        yield f'<path d="{"".join(heads)}" fill="{color}" fill-opacity="0.8"/>'
