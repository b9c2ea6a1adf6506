"""The look of pages and charts: colors by name, and Vega-Lite's settings.

A chart on a page names its colors as CSS variables, so that the style sheet alone makes it light or
dark, on the screen and in print; a picture gets the colors of the light page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
"""Series of one chart that can be distinguished by color."""
_ALL = _COLORS | {f"series-{at}": pair for at, pair in enumerate(_SERIES)}
LIGHT = {name: light for name, (light, _) in _ALL.items()}
DARK = {name: dark for name, (_, dark) in _ALL.items()}


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
