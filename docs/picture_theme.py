"""The look of the documentation's pictures: readable on white and on dark pages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import altair

PICTURES = Path(__file__).parent / "pictures"
BLUE, ORANGE, GREEN, ACCENT, GRAY = "#4c8dc9", "#e08a3c", "#4aa564", "#d64545", "#808080"
TEXT = "#7a7a7a"
"""The color of words and axes, with enough contrast to white and to a dark page alike."""
ROOM = {"left": 20, "right": 30, "top": 5, "bottom": 5}
"""Space around a picture, as the words of its legend may be wider than was estimated."""
BELOW = altair.Legend(orient="bottom", columnPadding=24)
"""A legend that keeps a picture narrow, so it can be read on a phone."""


def chart(values: list[dict[str, Any]]) -> altair.Chart:
    """Return a chart of values that stand in its specification."""
    return altair.Chart(altair.InlineData(values=values))


def save(picture: altair.TopLevelMixin, name: str) -> None:
    """Save a picture as pictures/<name>.svg, without a background."""
    words = {"labelColor": TEXT, "titleColor": TEXT, "labelFontSize": 12, "titleFontSize": 12}
    lines = {"domainColor": TEXT, "tickColor": TEXT, "gridColor": TEXT, "gridOpacity": 0.25}
    styled: Any = picture  # altair's types lack the methods that all kinds of pictures have
    styled = styled.properties(padding=ROOM, background="transparent")
    styled = styled.configure_axis(**words, **lines, titleFontWeight="normal", titlePadding=12)
    styled = styled.configure_legend(**words, titleFontWeight="normal")
    styled = styled.configure_header(**words).configure_title(color=TEXT, fontSize=13)
    styled = styled.configure_text(color=TEXT).configure_view(stroke=None)
    styled.save(PICTURES / f"{name}.svg")
