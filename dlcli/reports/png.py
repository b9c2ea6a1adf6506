"""Charts as a PNG."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from dlcli.reports.theme import LIGHT, settings
from dlcli.reports.views import Chart

_WIDTH = 420
_VARIABLE = re.compile(r"var\(--([\w-]+)\)")


def to_png(charts: Sequence[Chart], title: str) -> bytes:
    """Draw charts side by side on white.

    Args:
        charts: at least one.
        title: stands above them.
    """
    import vl_convert

    parts = [_standing_alone(chart) for chart in charts]
    look = {**settings(), "font": "sans-serif", "background": "white", "autosize": "pad"}
    whole = {
        "title": {"text": title, "anchor": "start", "offset": 16},
        "hconcat": parts,
        "resolve": {"legend": {"color": "independent"}},
        "config": _painted(look),
        "padding": 12,
    }
    picture: bytes = vl_convert.vegalite_to_png(whole, scale=2)
    return picture


def _standing_alone(chart: Chart) -> dict[str, Any]:
    """Return a chart of fixed width, with its rows and colors in the place of their names."""
    data = chart.spec["datasets"]
    bare = {key: part for key, part in chart.spec.items() if key != "datasets"}
    filled: dict[str, Any] = _filled(_painted(bare), data)
    return {**filled, "title": chart.title, "width": _WIDTH}


def _filled(part: Any, datasets: Mapping[str, Any]) -> Any:  # noqa: ANN401  (any JSON)
    if isinstance(part, list):
        return [_filled(each, datasets) for each in part]
    if not isinstance(part, Mapping):
        return part
    filled = {
        key: {"values": datasets[value["name"]]} if key == "data" else _filled(value, datasets)
        for key, value in part.items()
    }
    if "legend" in filled:  # a page has one of its own
        filled["legend"] = {"orient": "top", "title": None, "symbolType": "circle"}
    return filled


def _painted(part: Any) -> Any:  # noqa: ANN401  (any JSON)
    """Return a specification with colors in the place of their names."""
    if isinstance(part, str):
        return _VARIABLE.sub(lambda found: LIGHT[found[1]], part)
    if isinstance(part, list):
        return [_painted(each) for each in part]
    if isinstance(part, Mapping):
        return {key: _painted(value) for key, value in part.items()}
    return part
