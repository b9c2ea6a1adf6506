"""Charts of a few kinds, as Vega-Lite specifications, and their colors.

Names of columns, classes and layers are values of data, never names of fields, because Vega-Lite
interprets dots and brackets in field names. Rows have the fields `x`, `y` and, if a chart has
several series, `s`. Numbers of rows have six significant digits.

A chart on a page names its colors as CSS variables, so the style sheet alone makes it light or
dark, on screen and in print. A picture has the colors of the light page, or colors for both.

https://vega.github.io/vega-lite/docs/
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

from dlcli.reports import formatting as fmt
from dlcli.reports.views import Spec, TableBlock

_COLORS = {
    "paper": ("#ffffff", "#1a1f27"),
    "ground": ("#f5f6f8", "#12161c"),
    "ink": ("#1c2430", "#e6eaf0"),
    "muted": ("#5a6675", "#9aa6b5"),
    "line": ("#dde2e8", "#333c48"),
    "accent": ("#2457c5", "#8ab4ff"),
    "good": ("#1a7f4b", "#5fd39a"),
    "warn": ("#8a5300", "#ffc773"),
    "warn-ground": ("#fff6e5", "#33270f"),
    "train": ("#2f6fde", "#7aa7ff"),
    "validation": ("#d2691e", "#ffa25c"),
    "test": ("#0f8a7e", "#4fd1c0"),
    "bar": ("#7fa6ec", "#4a73c4"),
}
"""Each color on a light and on a dark page."""
_SERIES = (
    ("#2f6fde", "#7aa7ff"),
    ("#d2691e", "#ffa25c"),
    ("#0f8a7e", "#4fd1c0"),
    ("#b8336a", "#ff8fb5"),
    ("#7a5cc9", "#b7a0ff"),
    ("#5b7f12", "#b4d455"),
    ("#a0522d", "#e0a07c"),
    ("#0b7fab", "#5cc8f2"),
    ("#8a6d00", "#e3c44a"),
    ("#6b7280", "#aab2bd"),
)
MOST_SERIES = len(_SERIES)
"""Maximum number of series in a chart that colors can distinguish."""
_ALL = _COLORS | {f"series-{at}": pair for at, pair in enumerate(_SERIES)}
LIGHT = {name: light for name, (light, _) in _ALL.items()}
DARK = {name: dark for name, (_, dark) in _ALL.items()}
ON_BOTH = LIGHT | {"ink": "#7a7a7a", "muted": "#7a7a7a", "line": "rgba(128, 128, 128, 0.4)"}
"""Colors that are readable on a light and on a dark page."""
Row = Mapping[str, object]
Rows = Sequence[Row]
Colors = Mapping[str, str]
"""The name of the color of each series, by name."""
Tips = Mapping[str, str]
"""Titles by field of the rows; for a number with `|` and its D3 format."""
HEIGHT = 260
"""Default height of a chart, in pixels."""
DECADES = 100
"""Ratio of the largest to the smallest value from which a logarithmic scale is offered."""
TENFOLD = 10
"""The same ratio for a loss, from which its scale is initially logarithmic: on a linear scale, its
later part would look flat."""
_PLAIN_LABELS = "datum.label"
"""Vega's expression of the labels of an axis as it writes them by default."""
_POWER_LABELS = "replace(format(datum.value, '~e'), 'e+', 'e')"
"""The expression of labels such as `1e-8`."""
_PLAIN_FROM, _PLAIN_TO = 1e-4, 1e6
"""The range of numbers that are labeled without an exponent."""
_PHONE_CHARACTERS = 36
"""Number of characters that fit below a chart on a phone."""
MOST_LABELED = 12
"""Maximum range of integers whose axis labels are chosen here."""
_STEPS = 4
"""Maximum number of steps from the first to the last of these labels."""
_NAME_WIDTH = 140
"""Maximum width of a name on an axis in pixels."""
_DASHED: Mapping[str, object] = {"strokeDash": [5, 4], "strokeWidth": 1.5}
DrawnLayer = tuple[Rows, dict[str, Any]]
"""The rows that a layer of a chart draws, and the layer; a layer without rows is omitted."""


@dataclass(frozen=True)
class Axis:
    """An axis of numbers, times or names."""

    title: str = ""
    format: str = ""
    """D3 format of its labels: `%`, `,d`."""
    labels: str = ""
    """Vega expression of its labels, such as `log_labels(values)`."""
    zero: bool = False
    """True if it includes 0."""
    log: bool = False
    domain: tuple[float, float] | None = None
    whole: bool = False
    """True if only integers are labeled."""
    ticks: Sequence[int] | int | None = None
    """The labels, or their approximate number."""
    hidden: bool = False
    is_time: bool = False
    """True if its values are times, in `milliseconds`."""
    names: Sequence[str] | None = None
    """The names in order, if its values are names."""

    @classmethod
    def within(cls, title: str, low: float | None, high: float | None) -> Axis:
        """Return an axis for the numbers of a column in a range; years are shown as `1971`."""
        return cls(title, format=".6~g" if fmt.has_years(low, high) else "")


@dataclass(frozen=True)
class PointStyle:
    """The look of one series of points."""

    color: str
    shape: str = "circle"
    size: int = 40
    """Pixels squared."""
    opacity: float = 0.5

    def mark(self) -> dict[str, object]:
        """Return the properties of a Vega-Lite mark."""
        look = {"shape": self.shape, "size": self.size, "opacity": self.opacity}
        is_line = self.shape == "stroke"  # a short horizontal line has no area
        return {**look, "color": variable(self.color), "filled": not is_line, "strokeWidth": 3}


@dataclass(frozen=True)
class Guides:
    """Lines and areas that help to read a chart."""

    reference: Rows = ()
    """The points of a dashed line."""
    x: float | None = None
    """The position of a dashed vertical line."""
    y: float | None = None
    """The position of a dashed horizontal line."""
    band: tuple[float, float] | None = None
    """The values of y between which the background is shaded."""
    path: Rows = ()
    """The points of a line through a scatter chart."""
    is_stepped: bool = False
    """True if that line is a step function."""

    def layers(self, x: object, y: Mapping[str, object]) -> list[DrawnLayer]:
        """Return the layers of the guides, except the path.

        Args:
            x: the channel of the horizontal axis.
            y: the channel of the vertical axis.
        """
        shade = {"type": "rect", "color": variable("test"), "opacity": 0.15}
        rule = {"type": "rule", **_DASHED}
        line = {"type": "line", "color": variable("muted"), **_DASHED}
        between = {"y": {**y, "field": "l"}, "y2": {"field": "u"}}
        band = [] if self.band is None else [{"l": self.band[0], "u": self.band[1]}]
        return [
            _layer(shade, between, band, "band"),
            _layer(rule, {"y": y}, [] if self.y is None else [{"y": self.y}], "at_y"),
            _layer(rule, {"x": x}, [] if self.x is None else [{"x": self.x}], "at_x"),
            _layer(line, {"x": x, "y": y}, self.reference, "reference"),
        ]


_NO_GUIDES = Guides()
LineKind = Literal["nearest", "points", "path", "bundle"]


def line_chart(
    rows: Rows,
    colors: Colors,
    x: Axis,
    y: Axis,
    *,
    tips: Tips = MappingProxyType({}),
    kind: LineKind = "nearest",
    guides: Guides = _NO_GUIDES,
) -> Spec:
    """Draw a line for each series.

    Args:
        rows: the points of each line in order: `x`, `y`, `s`.
        colors: of the series.
        x: the horizontal axis.
        y: the vertical axis.
        tips: the fields of a point's tooltip.
        kind: `nearest` shows the values of all series at the x nearest to the pointer; `points`
            shows the points; `path` connects points in the order of their rows instead of x;
            `bundle` has several lines in each series, named by the field `d`.
        guides: lines and areas behind the series.
    """
    x = _with_whole_ticks(x, rows)
    encoding = {"x": _channel("x", x), "y": _channel("y", y), "color": _color(colors)}
    layers = guides.layers(encoding["x"], encoding["y"])
    with_tips = {**encoding, "tooltip": _tooltip(tips)}
    if kind == "bundle":
        line = {"type": "line", "strokeWidth": 1.5, "opacity": 0.55}
        detail = {"field": "d", "type": "nominal"}
        return _chart([*layers, _layer(line, {**with_tips, "detail": detail}, rows)])
    if kind == "nearest":
        order = {str(name): place for place, name in enumerate(colors)}
        rows = [{**row, "k": f"v{order[str(row['s'])]}"} for row in rows]
        pointed = _nearest_layer(colors, x, rows)
        return _chart([*layers, pointed, _layer({"type": "line"}, encoding, rows)])
    if kind == "path":
        rows = [{**row, "o": place} for place, row in enumerate(rows)]
        encoding["order"] = {"field": "o", "type": "quantitative"}
    point = {"type": "circle", "size": 30, "opacity": 1}
    if kind == "path":
        point = {"type": "circle", "size": 40, "opacity": 0}
    drawn = _layer({"type": "line"}, encoding, rows), _layer(point, with_tips, rows)
    return _chart([*layers, *drawn])


def bar_chart(
    rows: Rows,
    names: Sequence[str],
    value: Axis,
    *,
    tips: Tips,
    markers: Rows = (),
    height: int | None = None,
    name_width: int = _NAME_WIDTH,
) -> Spec:
    """Draw horizontal bars, one below the other.

    Args:
        rows: `y`, the name of the bar, and `x`, its length; if a row has `l` and `u`, a thin line
            goes from `l` to `u`.
        names: the bars in order.
        value: the horizontal axis, which begins at 0.
        tips: as in `line_chart`.
        markers: marks on the bars: `y` and `x`.
        height: in pixels. [default: proportional to the number of bars]
        name_width: the maximum width of a name in pixels.
    """
    x, y = _channel("x", value), _names_channel("y", names, labelLimit=name_width)
    x["scale"]["nice"] = False  # a bar slightly below 0 would add a whole step to the axis
    bar = {"type": "bar", "color": variable("bar"), "height": {"band": 0.75}}
    mark = {"type": "tick", "color": variable("validation"), "thickness": 2.5, "opacity": 1}
    spread = {"type": "rule", "color": variable("ink"), "strokeWidth": 1.5, "opacity": 0.7}
    pointed = {"x": x, "y": y, "tooltip": _tooltip(tips)}
    ends = {"x": {**x, "field": "l"}, "x2": {"field": "u"}, "y": y}
    layers = [
        _layer(bar, pointed, rows),
        _layer(spread, ends, [row for row in rows if row.get("l") is not None], "spread"),
        _layer(mark, pointed, markers, "markers"),
    ]
    return _chart(layers, height or max(90, 26 * len(names) + 10))


def range_chart(rows: Rows, names: Sequence[str], value: Axis, *, tips: Tips) -> Spec:
    """Draw a horizontal bar for each range, one below the other, with a dashed line at 0.

    Args:
        rows: `y`, the name of the bar; `l` and `u`, its ends; `x`, a mark on it.
        names: the bars in order.
        value: the horizontal axis.
        tips: as in `line_chart`.
    """
    y, tooltip = _names_channel("y", names), _tooltip(tips)
    bar = {"type": "bar", "color": variable("bar"), "height": {"band": 0.75}}
    mark = {"type": "tick", "color": variable("validation"), "thickness": 2.5, "opacity": 1}
    ends = {"x": _channel("l", value), "x2": {"field": "u"}, "y": y, "tooltip": tooltip}
    layers = [
        _layer(bar, ends, rows),
        *Guides(x=0).layers(_channel("x", value), {}),
        _layer(mark, {"x": _channel("x", value), "y": y, "tooltip": tooltip}, rows),
    ]
    return _chart(layers, max(90, 26 * len(names) + 10))


def interval_chart(rows: Rows, names: Sequence[str], colors: Colors, *, tips: Tips) -> Spec:
    """Draw values as points with their intervals, one line for each name.

    Args:
        rows: `y`, the name; `x`, the value; `s`, the series; `l` and `u`, the interval.
        names: the lines in order.
        colors: of the series.
        tips: as in `line_chart`.
    """
    shared = {
        "y": _names_channel("y", names, grid=True),
        "color": _color(colors),
        "tooltip": _tooltip(tips),
    }
    point, ends = _channel("x", Axis()), {"x": _channel("l", Axis()), "x2": {"field": "u"}}
    known = [row for row in rows if row.get("l") is not None and row.get("u") is not None]
    rule = {"type": "rule", "strokeWidth": 3, "opacity": 0.5}
    circle = {"type": "circle", "size": 100, "opacity": 0.8}
    layers = [
        _layer(rule, {**shared, **ends}, known, "intervals"),
        _layer(circle, {**shared, "x": point}, rows),
    ]
    return _chart(layers, max(80, 32 * len(names) + 10))


def scatter_chart(
    rows: Rows,
    styles: Mapping[str, PointStyle],
    x: Axis,
    y: Axis,
    *,
    tips: Tips,
    guides: Guides = _NO_GUIDES,
    height: int = HEIGHT,
) -> Spec:
    """Draw points.

    Args:
        rows: `x`, `y`, `s`, and optionally `w`, a weight that determines the size of a point; if a
            row has `l` and `u`, a thin vertical line goes from `l` to `u`; `o`, from −1 to 1, moves
            a point up or down within the band of its name.
        styles: the look of each series; later series are on top.
        x: the horizontal axis, of numbers or names.
        y: the vertical axis.
        tips: as in `line_chart`.
        guides: lines and areas behind the points, and a path.
        height: in pixels.
    """
    across, up = _channel("x", _with_whole_ticks(x, rows)), _channel("y", y)
    shared: dict[str, object] = {"x": across, "y": up, "tooltip": _tooltip(tips)}
    if any("w" in row for row in rows):
        scale = {"range": [30, 400]}
        shared["size"] = {"field": "w", "type": "quantitative", "scale": scale, "legend": None}
    if any("o" in row for row in rows):
        shared["yOffset"] = {"field": "o", "type": "quantitative", "scale": {"domain": [-1, 1]}}
    layers = guides.layers(across, up)
    spread = {"type": "rule", "color": variable("ink"), "strokeWidth": 1.5, "opacity": 0.7}
    ends = {"x": across, "y": {**up, "field": "l"}, "y2": {"field": "u"}}
    layers.append(_layer(spread, ends, [row for row in rows if row.get("l") is not None], "spread"))
    for name, style in styles.items():
        if any(row["s"] == name for row in rows):
            chosen = {"filter": {"field": "s", "equal": name}}
            mark = {"type": "point", **style.mark()}
            layers.append(_layer(mark, shared, rows, transform=[chosen]))
    path = {"type": "line", "color": variable("train")}
    if guides.is_stepped:
        path = {"type": "line", "color": variable("good"), "interpolate": "step-after"}
    layers.append(_layer(path, {"x": across, "y": up}, guides.path, "path"))
    return _chart(layers, height)


def histogram(
    rows: Rows, x: Axis, y: Axis, *, tips: Tips, guides: Guides = _NO_GUIDES, height: int = HEIGHT
) -> Spec:
    """Draw bars side by side, each from `l` to `u`.

    Args:
        rows: at least one: `l` and `u`, the edges of a bin; `y`, its share; optionally `h`, its
            share in a second set of values, drawn as a line.
        x: the horizontal axis.
        y: the vertical axis.
        tips: as in `line_chart`.
        guides: lines on top of the bars.
        height: in pixels.
    """
    left, up = _channel("l", x), _channel("y", y)
    bar = {"type": "rect", "color": variable("bar"), "stroke": variable("paper")}
    area = {"x": left, "x2": {"field": "u"}, "y": up, "y2": {"datum": 0}}
    line = {"type": "line", "color": variable("validation"), "interpolate": "step-after"}
    # The line over the last bin needs a point at the end of the bin.
    steps = [*rows, {**rows[-1], "l": rows[-1]["u"]}] if any(row.get("h") for row in rows) else []
    layers = [
        _layer({**bar, "strokeWidth": 0.5}, {**area, "tooltip": _tooltip(tips)}, rows),
        _layer({**line, "strokeWidth": 1.5}, {"x": left, "y": _channel("h", y)}, steps, "steps"),
        *guides.layers(_channel("x", x), up),
    ]
    return _chart(layers, height)


def heat_map(rows: Rows, names: Sequence[str], *, tips: Tips) -> Spec:
    """Draw a square of cells; a larger share is darker.

    Args:
        rows: `x` and `y`, the names of a cell's column and row; `s`, its share, from 0 to 1; `n`,
            its number, which is written in the cell unless there are many cells.
        names: of columns and of rows, in order.
        tips: as in `line_chart`, with the titles of columns and rows.
    """
    slanted = -40 if len(names) > 2 and max(map(len, names)) > 6 else 0
    across = _names_channel("x", names, tips["x"], grid=False, labelAngle=slanted, labelLimit=110)
    down = _names_channel("y", names, tips["y"], grid=False, labelLimit=110)
    depth = {
        "field": "s",
        "type": "quantitative",
        "scale": {"domain": [0, 1], "range": [0.04, 0.6]},  # ink is readable on all of it
        "legend": None,
    }
    cell = {"type": "rect", "color": variable("train"), "stroke": variable("paper")}
    encoding = {"x": across, "y": down, "opacity": depth, "tooltip": _tooltip(tips)}
    layers = [_layer({**cell, "strokeWidth": 2}, encoding, rows)]
    if len(names) <= 12:
        text = {"field": "n", "type": "quantitative", "format": ",.5~g"}
        layers.append(_layer({"type": "text"}, {"x": across, "y": down, "text": text}, rows))
    return _chart(layers, max(190, min(560, 34 * len(names))))


def milliseconds(seconds: float) -> int:
    """Return a time in Vega's unit, as an integer, because only other numbers are rounded."""
    return int(1000 * seconds)


def padded_domain(values: Sequence[float]) -> tuple[float, float] | None:
    """Return the range of an axis with all values and some space; `None` for Vega's default."""
    finite = [value for value in values if math.isfinite(value)]
    if not finite or min(finite) == max(finite):
        return None
    low, high = min(finite), max(finite)
    space = 0.05 * (high - low)
    return low - space, high + space


def spans_decades(values: Sequence[float], ratio: float = DECADES) -> bool:
    """Return whether values vary so much that a logarithmic scale is better."""
    finite = [value for value in values if math.isfinite(value)]
    return bool(finite) and min(finite) > 0 and max(finite) / min(finite) >= ratio


def log_labels(values: Sequence[float]) -> str:
    """Return the Vega expression of the labels of a logarithmic axis, all in one notation.

    Vega would mix `0.000001` and `1e-8`.
    """
    finite = [value for value in values if math.isfinite(value)]
    is_plain = all(_PLAIN_FROM <= value < _PLAIN_TO for value in finite)
    return _PLAIN_LABELS if is_plain else _POWER_LABELS


_OF_EVERY_OBJECT = (
    *("constructor", "__proto__", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable"),
    *("__defineGetter__", "__defineSetter__", "__lookupGetter__", "__lookupSetter__"),
    *("toLocaleString", "toString", "valueOf"),
)
"""Properties of every JavaScript object, because Vega stores groups by name in plain objects."""


def _chart(layers: Sequence[DrawnLayer], height: int = HEIGHT) -> Spec:
    """Return a chart as wide as there is space."""
    drawn = [(rows, layer) for rows, layer in layers if rows]
    spec: Spec = _safe_json(
        {
            "width": "container",
            "height": height,
            "layer": [layer for _, layer in drawn],
            "datasets": {layer["data"]["name"]: list(rows) for rows, layer in drawn},
        }
    )
    return spec


def _safe_json(part: Any) -> Any:  # noqa: ANN401  (any JSON)
    """Round numbers to six significant digits, and make values safe for JSON and Vega.

    NaN and infinity become `None`. Names that are properties of every JavaScript object get an
    invisible character at the end.
    """
    if isinstance(part, float):
        return float(f"{part:.6g}") if math.isfinite(part) else None
    if isinstance(part, str):
        return f"{part}\u2060" if part in _OF_EVERY_OBJECT else part
    if isinstance(part, list):
        return [_safe_json(each) for each in part]
    if isinstance(part, dict):
        return {key: _safe_json(value) for key, value in part.items()}
    return part


def _layer(
    mark: Mapping[str, object],
    encoding: Mapping[str, object],
    rows: Rows,
    name: str = "rows",
    **more: object,
) -> DrawnLayer:
    return rows, {"data": {"name": name}, "mark": mark, "encoding": encoding, **more}


def _nearest_layer(colors: Colors, x: Axis, rows: Rows) -> DrawnLayer:
    """Return a vertical line at the x nearest to the pointer, with the values of all series there.

    Series are fields by their position: `v0`, `v1`, ...
    """
    titles = {f"v{place}": f"{name}|.5~g" for place, name in enumerate(colors)}
    opacity = {"condition": {"param": "near", "empty": False, "value": 0.5}, "value": 0}
    tooltip = _tooltip({"x": f"{x.title}|{x.format or '.5~g'}", **titles})
    select = {"type": "point", "on": "pointermove", "nearest": True, "encodings": ["x"]}
    return _layer(
        {"type": "rule"},
        {"x": _channel("x", x), "opacity": opacity, "tooltip": tooltip},
        rows,
        transform=[{"pivot": "k", "value": "y", "groupby": ["x"]}],
        params=[{"name": "near", "select": select}],
    )


def _with_whole_ticks(axis: Axis, rows: Rows) -> Axis:
    """Label an axis of a few integers at evenly spaced integers.

    Vega would also put ticks between a few integers, whatever its `tickMinStep` is.
    """
    if not axis.whole or not rows:
        return axis
    numbers = [float(str(row["x"])) for row in rows]
    low, high = math.ceil(min(numbers)), math.floor(max(numbers))
    if high - low > MOST_LABELED:
        return axis
    return replace(axis, ticks=range(low, high + 1, max(1, math.ceil((high - low) / _STEPS))))


def _channel(field: str, axis: Axis) -> dict[str, Any]:
    """Return the channel of a field along an axis."""
    if axis.names is not None:
        longest = max(map(len, axis.names), default=0)
        is_wide = field == "x" and longest * len(axis.names) > _PHONE_CHARACTERS
        slanted = -40 if is_wide else 0
        return _names_channel(field, axis.names, axis.title, labelAngle=slanted, labelLimit=110)
    scale: dict[str, object] = {"zero": axis.zero}
    if axis.log:
        scale = {"type": "log", "nice": False, "padding": 12}
    elif axis.is_time:
        scale = {"type": "utc"}
    elif axis.domain is not None:
        scale = {"domain": list(axis.domain)}
    kind = "temporal" if axis.is_time else "quantitative"
    channel = {"field": field, "type": kind, "title": axis.title or None, "scale": scale}
    if axis.hidden:
        return {**channel, "axis": None}
    look = _labels(axis)
    return {**channel, "axis": look} if look else channel


def _labels(axis: Axis) -> dict[str, object]:
    """Return the properties of the labels of an axis of numbers or times."""
    look: dict[str, object] = {"format": axis.format} if axis.format else {}
    if axis.whole:
        look["format"] = ",d"
    if isinstance(axis.ticks, int):
        look["tickCount"] = axis.ticks
    elif axis.ticks:
        look["values"] = list(axis.ticks)
    if axis.is_time or axis.log:
        look["labelSeparation"] = 18  # closer, `October` and `2009` would be read together
    if axis.labels:
        look["labelExpr"] = axis.labels
    return look


def _names_channel(
    field: str, names: Sequence[str], title: str = "", **axis: object
) -> dict[str, Any]:
    """Return a channel of names in the given order, with a bare axis."""
    return {
        "field": field,
        "type": "nominal",
        "title": title or None,
        "sort": list(names),
        "scale": {"domain": list(names)},
        "axis": {"domain": False, "ticks": False, "labelLimit": _NAME_WIDTH, **axis},
    }


def _color(colors: Colors) -> dict[str, Any]:
    """Return the channel of series and their colors; the page shows the legend."""
    scale = {"domain": list(colors), "range": [variable(color) for color in colors.values()]}
    return {"field": "s", "type": "nominal", "title": None, "scale": scale, "legend": None}


def _tooltip(tips: Tips) -> list[dict[str, Any]]:
    return [
        {"field": field, "title": title}
        | ({"type": "quantitative", "format": form} if form else {"type": "nominal"})
        for field, title, form in _parsed(tips)
    ]


def _parsed(tips: Tips) -> Iterator[tuple[str, str, str]]:
    for field, text in tips.items():
        title, _, form = text.rpartition("|") if "|" in text else (text, "", "")
        yield field, title, form


def numbers_table(rows: Rows, tips: Tips) -> TableBlock:
    """List the rows of a chart, with the fields of its tooltips."""

    def cell(value: object, form: str) -> str:
        if isinstance(value, float):
            return fmt.percent(value) if form.endswith("%") else fmt.number(value)
        return f"{value:,}" if isinstance(value, int) else str(value)

    fields = list(_parsed(tips))
    cells = tuple(tuple(cell(row[field], form) for field, _, form in fields) for row in rows)
    texts = [at for at, (_, _, form) in enumerate(fields) if not form]
    return TableBlock(tuple(title for _, title, _ in fields), cells, text_columns=texts)


# Colors and settings


def variable(name: str) -> str:
    """Return a color as a CSS variable: `var(--ink)`."""
    return f"var(--{name})"


def series_colors(names: Sequence[str]) -> dict[str, str]:
    """Return the color names of up to `MOST_SERIES` series; a single series is blue."""
    if len(names) == 1:
        return {names[0]: "train"}
    return {name: f"series-{at}" for at, name in enumerate(names)}


def style_variables() -> str:
    """Return the colors as CSS: light, dark if the reader prefers it, and light in print."""
    light, dark = (
        " ".join(f"--{name}: {value};" for name, value in colors.items())
        for colors in (LIGHT, DARK)
    )
    return (
        f":root {{ color-scheme: light dark; {light} }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
        + "\n".join(f".key-{name}::before {{ background: var(--{name}); }}" for name in LIGHT)
        + "\n"
    )


_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

_NUMBERS = {
    "decimal": ".",
    "thousands": ",",
    "grouping": [3],
    "currency": ["$", ""],
    "percent": "\N{NO-BREAK SPACE}%",
}
"""How D3 writes numbers: as it does by default, but with a space before the percent sign."""


def settings() -> dict[str, Any]:
    """Return the Vega-Lite `config` of all charts."""
    ink, muted, line = map(variable, ("ink", "muted", "line"))
    return {
        "aria": False,  # the page describes each chart itself
        "locale": {"number": _NUMBERS},
        "background": "transparent",
        "font": _FONT,
        "padding": 4,
        "autosize": {"type": "fit-x", "contains": "padding", "resize": True},
        "view": {"stroke": None},
        "axis": {
            "labelColor": muted,
            "titleColor": muted,
            "gridColor": line,
            "domainColor": line,
            "tickColor": line,
            "labelFontSize": 12,
            "titleFontSize": 12,
            "titleFontWeight": "normal",
            "titlePadding": 8,
            "labelLimit": 150,
            "gridDash": [2, 3],
        },
        "axisX": {"grid": False, "tickCount": 6, "labelFlush": False},
        "axisY": {"domain": False, "ticks": False, "tickCount": 5},
        "line": {"strokeWidth": 2},
        "text": {"color": ink, "fontSize": 12},
        "title": {"color": ink},
        "legend": {"labelColor": ink},
        "rule": {"color": muted},
    }
