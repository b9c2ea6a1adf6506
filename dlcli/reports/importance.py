"""Charts of what mattered to the predictions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from dlcli.explanation import Importance, PartialDependence, WorstRow
from dlcli.reports.blocks import Chart, Table
from dlcli.reports.drawing import base, coloured, finished, hints, layered, listed, quantity, slant
from dlcli.reports.theme import MOST_KINDS, kinds, variable
from dlcli.reports.wording import number, rounded, short, shorts

if TYPE_CHECKING:
    import altair as alt

MOST_COLUMNS = 20
MOST_DEPENDENCES = 12
MOST_VALUES = 12
"""Columns that are shown beside each of the worst rows."""
_LABELS = 20
_NAMED = 3
"""Columns that are named as those that matter most."""


def importance_chart(
    importances: Sequence[Importance], metric: str, features: int | None = None
) -> Chart:
    """How much each column mattered, the most first.

    Args:
        importances: at least one, the largest first.
        metric: the error that they are of.
        features: how many columns the network reads, if that is known.
    """
    shown = importances[:MOST_COLUMNS]
    names = shorts((each.column for each in shown), 40)
    rows = [
        {
            "c": name,
            "i": rounded(each.increase),
            "a": rounded(each.increase - each.deviation),
            "b": rounded(each.increase + each.deviation),
            "d": rounded(each.deviation),
        }
        for name, each in zip(names, shown, strict=True)
    ]
    rest = len(importances) - len(shown)
    return Chart(
        title="Which columns it relies on",
        spec=finished(_importance_drawing(tuple(names), metric), rows=rows),
        shows=" ".join(_relies(names, importances, rest, features)),
        reading=f"Each column's values were shuffled among the held-out rows: the bar is by how "
        f"much {metric.replace('_', ' ')} grew, the thin line how much that varied. Of columns "
        "that tell the same, each may look unimportant, as the other is still there.",
        numbers=Table(
            ("column", f"increase of {metric}", "deviation"),
            tuple(
                (name, number(each.increase), number(each.deviation))
                for name, each in zip(names, shown, strict=True)
            ),
        ),
    )


def _relies(
    names: Sequence[str], importances: Sequence[Importance], rest: int, features: int | None
) -> Iterator[str]:
    """Which columns matter beyond chance, and which ones the chart doesn't tell of."""
    pairs = zip(names, importances, strict=False)
    sure = [name for name, each in pairs if each.increase > max(each.deviation, 0)]
    if sure:
        yield f"It relies most on {', '.join(sure[:_NAMED])}."
    else:
        yield "It relies on no column by more than noise."
    if rest:
        yield f"{_columns(rest, 'less important')} not shown."
    if features is not None and (unmeasured := features - len(importances)) > 0:
        yield f"{_columns(unmeasured, 'more')} not measured."


def _columns(count: int, which: str) -> str:
    """So many columns, and the verb that follows."""
    return f"{count:,} {which} {'column was' if count == 1 else 'columns were'}"


@cache
def _importance_drawing(names: tuple[str, ...], metric: str) -> alt.LayerChart:

    y = listed("c", names)
    title = f"increase of {short(metric).replace('_', ' ')}"
    tips = hints(c="column", i="increase|.4~g", d="deviation|.4~g")
    bars = (
        base()
        .mark_bar(color=variable("bar"))
        .encode(x=quantity("i", title, zero=True), y=y, tooltip=tips)
    )
    spread = (
        base()
        .mark_rule(color=variable("ink"))
        .encode(x=quantity("a", title, zero=True), x2="b", y=y)
    )
    return layered(bars, spread, height=max(90, 24 * len(names)))


def dependence_charts(
    dependences: Sequence[PartialDependence], outputs: Sequence[str], types: Mapping[str, str]
) -> list[Chart]:
    """How the prediction follows each of the most important columns.

    Args:
        dependences: of the columns.
        outputs: the names of what is predicted.
        types: what the columns were taken for, by name.
    """
    charts = [
        _dependence(each, outputs, is_time=types.get(each.column) == "datetime")
        for each in dependences[:MOST_DEPENDENCES]
    ]
    return [chart for chart in charts if chart is not None]


def _dependence(each: PartialDependence, outputs: Sequence[str], *, is_time: bool) -> Chart | None:
    shown = _outputs(outputs)
    names = shorts((outputs[at] for at in shown), 40)
    points = [point for point in each.points if len(point.predictions) == len(outputs)]
    if not points or not names:
        return None
    is_number = all(point.number is not None for point in points)
    labels = shorts((point.label for point in points), _LABELS)
    rows = [
        {
            "x": (point.number or 0) * (1000 if is_time else 1) if is_number else label,
            "y": rounded(point.predictions[at]),
            "s": name,
            "l": label,
        }
        for point, label in zip(points, labels, strict=True)
        for name, at in zip(names, shown, strict=True)
    ]
    column = short(each.column, 40)
    form = ("temporal" if is_time else "quantitative") if is_number else "nominal"
    return Chart(
        title=column,
        spec=finished(_dependence_drawing(tuple(names), tuple(labels), column, form), rows=rows),
        legend=tuple(zip(names, kinds(len(names)), strict=True)) if len(names) > 1 else (),
        shows=_follows(column, names, [[p.predictions[at] for p in points] for at in shown]),
    )


def _outputs(outputs: Sequence[str]) -> Sequence[int]:
    """The places of the outputs that are shown: the second of two, as it tells the first, too."""
    return range(1, 2) if len(outputs) == 2 else range(min(len(outputs), MOST_KINDS))


def _follows(column: str, names: Sequence[str], lines: Sequence[Sequence[float]]) -> str:
    name, values = max(zip(names, lines, strict=True), key=lambda pair: max(pair[1]) - min(pair[1]))
    return (
        f"If only {column} changes, the mean prediction of {name} goes from {number(min(values))} "
        f"to {number(max(values))}."
    )


@cache
def _dependence_drawing(
    names: tuple[str, ...], labels: tuple[str, ...], column: str, form: str
) -> alt.LayerChart:
    import altair as alt

    colours = kinds(len(names)) if len(names) > 1 else ["train"]
    channels = {
        "y": quantity("y", "mean prediction"),
        "color": coloured("s", names, colours),
        "tooltip": hints(l="value", s="of", y="mean prediction|.4~g"),
    }
    if form == "nominal":
        x = listed("x", labels, column, labelAngle=slant(labels), labelLimit=110)
        points = base().mark_point(filled=True, size=70, opacity=1)
        return layered(points.encode(x=x, **channels))
    scale = alt.Scale(type="utc") if form == "temporal" else alt.Scale(zero=False)
    x = {"field": "x", "type": form, "title": column, "scale": scale}
    line = base().mark_line(point=alt.OverlayMarkDef(size=30))
    return layered(line.encode(x=x, **channels))


def worst_table(worst: Sequence[WorstRow], *, of_numbers: bool) -> Table:
    """The rows that were predicted worst, with their values.

    Args:
        worst: at least one.
        of_numbers: whether their errors are differences, and not log losses.
    """
    columns = list(dict.fromkeys(name for row in worst for name in row.values))[:MOST_VALUES]
    with_file = any(row.file is not None for row in worst)
    rows = tuple(
        (
            f"{row.row:,}",
            *((short(row.file or "", 40),) if with_file else ()),
            short(row.split),
            short(row.target) or "(none)",
            short(row.prediction) or "(none)",
            number(row.error),
            *(_value(row.values.get(name)) for name in columns),
        )
        for row in worst
    )
    file = ("file",) if with_file else ()
    error = "error" if of_numbers else "log loss"
    header = ("row", *file, "set", "true", "predicted", error, *shorts(columns, 30))
    return Table(
        header,
        rows,
        caption="The worst predictions",
        texts=len(header),
        note="Held-out rows with the largest errors, their most important columns first. Look for "
        "mistakes in the data, and for what these rows have in common.",
    )


def _value(value: str | None) -> str:
    return "(missing)" if value is None else short(value)
