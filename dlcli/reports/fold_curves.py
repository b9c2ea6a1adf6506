"""Charts of the trainings of all folds, one on the other."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dlcli.pipeline import CrossValidation, FoldResult, thinned
from dlcli.reports.blocks import Chart
from dlcli.reports.curves import RATE, spans_decades
from dlcli.reports.drawing import base, coloured, finished, hints, layered, listed, quantity
from dlcli.reports.fold_charts import fold_name
from dlcli.reports.theme import variable
from dlcli.reports.wording import number, rounded, short

if TYPE_CHECKING:
    import altair as alt

MOST_FOLDS = 100
"""Whose curves are drawn."""
MOST_POINTS = 5_000
"""Of one chart."""
MOST_CHARTS = 4
MOST_BARS = 40
"""Folds whose epochs are drawn."""
_EPOCH = "epoch"
_SETS = {"training": "train", "validation": "validation"}


class _Line(NamedTuple):
    """What was measured of one set of rows while a fold's network was trained."""

    fold: str
    split: str
    points: tuple[tuple[int, float], ...]
    """Epochs and values."""


def training_charts(found: CrossValidation) -> list[Chart]:
    """A chart of the loss and of each metric that was measured, a line for each fold and set."""
    names = dict.fromkeys(
        name.removeprefix("val_") for each in found.results[:MOST_FOLDS] for name in each.history
    )
    shown = [name for name in names if name not in (_EPOCH, RATE)]
    charts = (_curves(name, found) for name in shown)
    return list(islice((chart for chart in charts if chart is not None), MOST_CHARTS))


def _curves(name: str, found: CrossValidation) -> Chart | None:
    columns = {"training": name, "validation": f"val_{name}"}
    lines = [
        _Line(fold_name(each, found.repeats), split, points)
        for each in found.results[:MOST_FOLDS]
        for split, column in columns.items()
        if (points := _points(each, column))
    ]
    if not lines:
        return None
    most = max(4, MOST_POINTS // len(lines))
    rows = [
        {"e": line.points[at][0], "v": rounded(line.points[at][1]), "s": line.split, "f": line.fold}
        for line in lines
        for at in _drawn(line, most)
    ]
    splits = tuple(split for split in _SETS if any(line.split == split for line in lines))
    title = short(name).replace("_", " ")
    values = {str(at): [value for _, value in line.points] for at, line in enumerate(lines)}
    return Chart(
        title=title[:1].upper() + title[1:],
        spec=finished(_curve_drawing(splits, title), rows=rows),
        shows=_shows(title, lines, splits),
        reading=_READING if name == "loss" and len(splits) > 1 else "",
        legend=tuple((split, _SETS[split]) for split in splits),
        offers_log=spans_decades(values),
    )


_READING = (
    "A line is a fold. Where lines of one colour lie close together, the network learns the same "
    "whichever rows it is given; where they fan out, much depends on which rows these are."
)


def _points(result: FoldResult, column: str) -> tuple[tuple[int, float], ...]:
    """Epochs and values of a column, as far as both are known."""
    values = result.history.get(column, ())
    epochs: Sequence[float | None] = result.history.get(_EPOCH) or range(1, len(values) + 1)
    pairs = zip(epochs, values, strict=False)
    return tuple(
        (int(epoch), value) for epoch, value in pairs if epoch is not None and value is not None
    )


def _drawn(line: _Line, most: int) -> list[int]:
    """The places of the points that a line is drawn through."""
    values = np.array([value for _, value in line.points], dtype=np.float64)
    places: list[int] = thinned(values, most).tolist()
    return places


def _shows(title: str, lines: Sequence[_Line], splits: Sequence[str]) -> str:
    parts = []
    for split in splits:
        last = [line.points[-1][1] for line in lines if line.split == split]
        parts.append(f"{split} from {number(min(last))} to {number(max(last))}")
    return f"{title[:1].upper()}{title[1:]} at the end, over the folds: {'; '.join(parts)}."


@cache
def _curve_drawing(splits: tuple[str, ...], title: str) -> alt.LayerChart:
    import altair as alt

    epoch = quantity("e", "epoch", axis=alt.Axis(tickMinStep=1, format=",d"))
    lines = base().mark_line(strokeWidth=1.5, opacity=0.55)
    return layered(
        lines.encode(
            x=epoch,
            y=quantity("v", title),
            color=coloured("s", splits, [_SETS[split] for split in splits]),
            detail=alt.Detail(field="f", type="nominal"),
            tooltip=hints(f="fold", s="rows"),
        )
    )


def epoch_chart(found: CrossValidation) -> Chart | None:
    """How long each fold's network was trained, and when it was best; nothing if none was."""
    results = [each for each in found.results if each.epochs][:MOST_BARS]
    best = [each.best_epoch for each in results if each.best_epoch is not None]
    if not best:
        return None
    rows = [
        {"f": fold_name(each, found.repeats), "b": each.best_epoch or each.epochs, "e": each.epochs}
        for each in results
    ]
    median = [] if found.best_epochs is None else [{"b": found.best_epochs}]
    names = tuple(str(row["f"]) for row in rows)
    middle = "" if found.best_epochs is None else f"; the median is {found.best_epochs:,}"
    return Chart(
        title="Best epochs",
        spec=finished(_epoch_drawing(names), rows=rows, median=median),
        shows=f"Weights were best after {min(best):,} to {max(best):,} epochs{middle}.",
        reading="The bar ends at the epoch whose weights were kept, the thin line where training "
        "ended. To train once more on all rows, where nothing is left to say when to stop, the "
        "median (dashed) is a good number of epochs.",
    )


@cache
def _epoch_drawing(names: tuple[str, ...]) -> alt.LayerChart:
    import altair as alt

    fold = listed("f", names)
    axis = alt.Axis(tickMinStep=1, format=",d")
    tips = hints(f="fold", b="best epoch|,d", e="epochs|,d")
    epoch = quantity("b", "epoch", zero=True, axis=axis)
    trained = base().mark_rule(strokeWidth=2, opacity=0.6)
    trained = trained.encode(x=epoch, x2="e:Q", y=fold, tooltip=tips)
    best = base().mark_bar(color=variable("bar"), height=alt.RelativeBandSize(band=0.6))
    best = best.encode(x=epoch, y=fold, tooltip=tips)
    median = base("median").mark_rule(strokeDash=[5, 4], color=variable("ink"))
    height = 24 * len(names) + 10
    return layered(best, trained, median.encode(x=epoch), height=height)
