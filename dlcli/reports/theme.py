"""The look of pages and charts: colors by name, and Vega-Lite's settings.

A chart on a page names its colors as CSS variables, so that the style sheet alone makes it light or
dark, on the screen and in print; a picture gets the colors of the light page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Colors = Mapping[str, str]

_COMMON_LIGHT = {
    "paper": "#ffffff",
    "ground": "#f5f6f8",
    "ink": "#1c2430",
    "muted": "#5a6675",
    "line": "#dde2e8",
    "accent": "#2457c5",
    "good": "#1a7f4b",
    "warn": "#8a5300",
    "warn-ground": "#fff6e5",
    "train": "#2f6fde",
    "validation": "#d2691e",
    "test": "#0f8a7e",
    "bar": "#7fa6ec",
}
_COMMON_DARK = {
    "paper": "#1a1f27",
    "ground": "#12161c",
    "ink": "#e6eaf0",
    "muted": "#9aa6b5",
    "line": "#333c48",
    "accent": "#8ab4ff",
    "good": "#5fd39a",
    "warn": "#ffc773",
    "warn-ground": "#33270f",
    "train": "#7aa7ff",
    "validation": "#ffa25c",
    "test": "#4fd1c0",
    "bar": "#4a73c4",
}
_SERIES_LIGHT = (
    "#2f6fde",
    "#d2691e",
    "#0f8a7e",
    "#b8336a",
    "#7a5cc9",
    "#5b7f12",
    "#a0522d",
    "#0b7fab",
    "#8a6d00",
    "#6b7280",
)
_SERIES_DARK = (
    "#7aa7ff",
    "#ffa25c",
    "#4fd1c0",
    "#ff8fb5",
    "#b7a0ff",
    "#b4d455",
    "#e0a07c",
    "#5cc8f2",
    "#e3c44a",
    "#aab2bd",
)
MOST_SERIES = len(_SERIES_LIGHT)
"""Series of one chart that can be distinguished by color."""


def _with_series(common: Colors, series: tuple[str, ...]) -> Colors:
    return {**common, **{f"series-{at}": color for at, color in enumerate(series)}}


LIGHT = _with_series(_COMMON_LIGHT, _SERIES_LIGHT)
DARK = _with_series(_COMMON_DARK, _SERIES_DARK)


def variable(name: str) -> str:
    """Return a color as a chart of a page names it: `var(--ink)`."""
    return f"var(--{name})"


def series_colors(names: Sequence[str]) -> dict[str, str]:
    """Return the name of a color for each of up to `MOST_SERIES` series; a single one is blue."""
    if len(names) == 1:
        return {names[0]: "train"}
    return {name: f"series-{at}" for at, name in enumerate(names)}


def style_variables() -> str:
    """Return the colors as CSS: light, or dark where that is preferred, but light in print."""
    light = _declarations(LIGHT)
    dark = _declarations(DARK)
    return (
        f":root {{ color-scheme: light dark; {light} }}\n"
        f"@media screen and (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
        + "\n".join(f".key-{name}::before {{ background: var(--{name}); }}" for name in LIGHT)
        + "\n"
    )


def _declarations(colors: Colors) -> str:
    return " ".join(f"--{name}: {value};" for name, value in colors.items())


FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def settings() -> dict[str, Any]:
    """Return Vega-Lite's `config` of all charts."""
    ink, muted, line = map(variable, ("ink", "muted", "line"))
    return {
        "aria": False,  # the page describes each chart itself
        "background": "transparent",
        "font": FONT,
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
        "rule": {"color": muted},
    }
