"""How often each class was taken for each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dlcli.reports.blocks import Block, Chart, Table
from dlcli.reports.drawing import base, finished, hints, layered, slant
from dlcli.reports.theme import variable
from dlcli.reports.wording import number, percent, rounded, shorts

if TYPE_CHECKING:
    import altair as alt

Floats = NDArray[np.float64]
MOST_DRAWN = 25
"""Classes of a matrix that is drawn; of more, only what is mixed up most is listed."""
MOST_LISTED = 50
_PAIRS = 20


def as_matrix(value: object, classes: int) -> Floats | None:
    """The confusion of metrics.json, if it is one: true class by predicted class."""
    try:
        matrix = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    with np.errstate(all="ignore"):
        is_finite = np.isfinite(2 * matrix.sum())  # as F1 takes it
    fits = matrix.shape == (classes, classes) and is_finite and matrix.min() >= 0
    return matrix if fits and matrix.any() else None


def confusion_blocks(matrix: Floats, names: Sequence[str]) -> list[Block]:
    """The matrix as a chart if it is small enough, else the classes mixed up most; and each class.

    Args:
        matrix: weights of true class by predicted class, (classes, classes).
        names: of the classes.
    """
    shown = shorts(names, 40)
    if len(names) <= MOST_DRAWN:
        return [_matrix(matrix, shown)]
    return [_mixed_up(matrix, shown)]


def class_table(matrix: Floats, names: Sequence[str]) -> Table:
    """Precision, recall and F1 of each class, the most frequent first if they are many."""
    shown = shorts(names)
    order = range(len(names))
    if len(names) > MOST_LISTED:
        order = np.argsort(-matrix.sum(axis=1), kind="stable")[:MOST_LISTED].tolist()
    true, called, right = matrix.sum(axis=1), matrix.sum(axis=0), matrix.diagonal()
    rows = tuple(
        (
            shown[at],
            number(true[at]),
            percent(_ratio(right[at], called[at])),
            percent(_ratio(right[at], true[at])),
            number(_ratio(2 * right[at], true[at] + called[at])),
        )
        for at in order
    )
    rest = len(names) - len(rows)
    return Table(
        ("class", "rows", "precision", "recall", "F1"),
        rows,
        caption="Each class",
        note="Precision: of the rows called so, how many are. Recall: of the rows that are so, how "
        "many are called so. F1 is both in one number."
        + (f" {rest:,} rarer classes are not listed." if rest else ""),
    )


def _ratio(over: float, under: float) -> float | None:
    return float(over / under) if under else None


def _matrix(matrix: Floats, names: list[str]) -> Chart:
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1e-300)
    cells = [
        {"t": true, "p": predicted, "n": rounded(matrix[i, j]), "s": rounded(shares[i, j])}
        for i, true in enumerate(names)
        for j, predicted in enumerate(names)
    ]
    right, total = matrix.diagonal().sum(), matrix.sum()
    return Chart(
        title="What was taken for what",
        spec=finished(_drawing(tuple(names)), rows=cells),
        shows=f"{number(right)} of {number(total)} are right.{_most_frequent(matrix, names)}",
        reading="Each line is a true class, each column a predicted one. Right predictions lie on "
        "the diagonal; the darker a cell, the larger its share of its line.",
        numbers=_mixed_up(matrix, names),
    )


def _most_frequent(matrix: Floats, names: Sequence[str]) -> str:
    pairs = _pairs(matrix)
    if not pairs:
        return ""
    i, j = pairs[0]
    return f" The most frequent mistake: {names[i]} taken for {names[j]} ({number(matrix[i, j])})."


def _pairs(matrix: Floats) -> list[tuple[int, int]]:
    """True and predicted class of mistakes, the most frequent first."""
    wrong = matrix - np.diag(matrix.diagonal())
    places = np.argsort(-wrong, axis=None, kind="stable")[:_PAIRS]
    found = [(int(place // len(matrix)), int(place % len(matrix))) for place in places]
    return [pair for pair in found if wrong[pair] > 0]


def _mixed_up(matrix: Floats, names: Sequence[str]) -> Table:
    sums = matrix.sum(axis=1)
    rows = tuple(
        (names[i], names[j], number(matrix[i, j]), percent(float(matrix[i, j] / sums[i])))
        for i, j in _pairs(matrix)
    )
    header = ("true", "predicted", "rows", "share of the true")
    return Table(header, rows or (("none", "", "", ""),), "The most frequent mistakes", texts=2)


@cache
def _drawing(names: tuple[str, ...]) -> alt.LayerChart:
    import altair as alt

    def place(field: str, title: str, **axis: Any) -> dict[str, Any]:  # noqa: ANN401
        shown = alt.Axis(domain=False, ticks=False, grid=False, labelLimit=110, **axis)
        order = list(names)
        return {"field": field, "type": "nominal", "title": title, "sort": order, "axis": shown}

    x = place("p", "predicted", labelAngle=slant(names) if len(names) > 2 else 0)
    y = place("t", "true")
    tips = hints(t="true", p="predicted", n="rows|,.6~g", s="share of the true|.1%")
    depth = alt.Opacity(
        field="s",
        type="quantitative",
        scale=alt.Scale(domain=[0, 1], range=[0.04, 0.6]),  # ink is readable on all of it
        legend=None,
    )
    cells = base().mark_rect(color=variable("train"), stroke=variable("paper"), strokeWidth=2)
    drawn = cells.encode(x=x, y=y, opacity=depth, tooltip=tips)
    size = max(190, min(560, 34 * len(names)))
    if len(names) > 12:
        return layered(drawn, height=size)
    counts = (
        base()
        .mark_text()
        .encode(x=x, y=y, text=alt.Text(field="n", format=",.5~g", type="quantitative"))
    )
    return layered(drawn, counts, height=size)
