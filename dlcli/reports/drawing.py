"""What charts have in common, drawn with Altair.

Names of columns, classes and layers are only ever values of data, never names of fields: Vega-Lite
reads dots and brackets in those. Data lie beside the drawing, by the name of their set.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dlcli.reports.blocks import Spec
from dlcli.reports.theme import variable

if TYPE_CHECKING:
    import altair as alt

Rows = Sequence[Mapping[str, object]]
HEIGHT = 260
"""Of a chart, in pixels."""


@contextmanager
def unchecked() -> Iterator[None]:
    """Has Altair take drawings as they are.

    Its checks of each part against Vega-Lite's schema take three times as long as all else; tests
    make them.
    """
    from altair.utils.schemapi import debug_mode

    with debug_mode(False):
        yield


def finished(drawing: alt.Chart | alt.LayerChart, **datasets: Rows) -> Spec:
    """A drawing with its data.

    Args:
        drawing: of data by the names of `datasets`.
        datasets: rows of fields.
    """
    spec: dict[str, Any] = drawing.to_dict(validate=False)
    spec.pop("config", None)  # one for all charts of a page
    spec.pop("$schema", None)
    if "layer" in spec:  # Vega warns of layers without data
        empty = [{"name": name} for name, rows in datasets.items() if not rows]
        spec["layer"] = [layer for layer in spec["layer"] if layer.get("data") not in empty]
    filled = {name: list(rows) for name, rows in datasets.items() if rows}
    guarded: Spec = _guarded({**spec, "datasets": filled})
    return guarded


_OF_EVERY_OBJECT = (
    "constructor",
    "__proto__",
    "__defineGetter__",
    "__defineSetter__",
    "__lookupGetter__",
    "__lookupSetter__",
    "hasOwnProperty",
    "isPrototypeOf",
    "propertyIsEnumerable",
    "toLocaleString",
    "toString",
    "valueOf",
)
"""What each object of JavaScript has; Vega looks groups up by their names in plain objects."""


def _guarded(part: Any) -> Any:  # noqa: ANN401  (any JSON)
    """A chart in which no name is one that each object has: those get an invisible sign more."""
    if isinstance(part, str):
        return f"{part}\u2060" if part in _OF_EVERY_OBJECT else part
    if isinstance(part, list):
        return [_guarded(each) for each in part]
    if isinstance(part, dict):
        return {key: _guarded(value) for key, value in part.items()}
    return part


def layered(*layers: alt.Chart, height: int = HEIGHT) -> alt.LayerChart:
    """Drawings one on the other, as wide as there is room.

    Args:
        layers: the lowest first.
        height: in pixels.
    """
    import altair as alt

    return alt.LayerChart(layer=layers, width="container", height=height)


def base(dataset: str = "rows") -> alt.Chart:
    """A chart of a set of data by its name."""
    import altair as alt

    return alt.Chart(alt.NamedData(name=dataset))


def quantity(
    field: str,
    title: str | None = None,
    *,
    zero: bool = False,
    **options: Any,  # noqa: ANN401  (Altair's)
) -> dict[str, Any]:
    """A channel of numbers, whose axis begins at 0 if that is asked for."""
    import altair as alt

    options.setdefault("scale", alt.Scale(zero=zero))
    return {"field": field, "type": "quantitative", "title": title, **options}


def listed(
    field: str,
    names: Sequence[str],
    title: str | None = None,
    **axis: Any,  # noqa: ANN401  (Altair's)
) -> dict[str, Any]:
    """A channel of names in their own order, with a bare axis."""
    import altair as alt

    shown = alt.Axis(**{"domain": False, "ticks": False, "labelLimit": 140, **axis})
    return {"field": field, "type": "nominal", "title": title, "sort": list(names), "axis": shown}


def slant(names: Sequence[str]) -> int:
    """The angle at which names fit beside one another below a chart."""
    return -40 if max(map(len, names), default=0) > 6 else 0


def coloured(field: str, names: Sequence[str], colours: Sequence[str]) -> alt.Color:
    """A channel of names, each with its colour; the page has the legend."""
    import altair as alt

    scale = alt.Scale(domain=list(names), range=[variable(colour) for colour in colours])
    return alt.Color(field=field, type="nominal", title=None, scale=scale, legend=None)


def hints(**titles: str) -> list[alt.Tooltip]:
    """What a mark tells when one points at it: fields with their titles, numbers by a format.

    Args:
        titles: by field: the title, and `|` and a format for a number.
    """
    import altair as alt

    result = []
    for field, text in titles.items():
        title, _, form = text.partition("|")
        if form:
            tip = alt.Tooltip(field=field, type="quantitative", title=title, format=form)
        else:
            tip = alt.Tooltip(field=field, type="nominal", title=title)
        result.append(tip)
    return result
