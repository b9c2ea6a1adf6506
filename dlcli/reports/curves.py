"""Charts of what was measured at each epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from dlcli.pipeline import thinned
from dlcli.reports.blocks import Chart, Spec, Table
from dlcli.reports.drawing import base, coloured, finished, hints, layered, quantity
from dlcli.reports.wording import number, rounded, short

if TYPE_CHECKING:
    import altair as alt

    from dlcli.reports.drawing import Rows

History = Mapping[str, Sequence[float]]
MOST_POINTS = 600
"""Of a line."""
MOST_CURVES = 20
DECADES = 100
"""Between least and greatest, from which on a logarithmic scale shows more."""
RATE = "learning_rate"
_SETS = ("training", "validation")
_LISTED = 12


def curve_charts(history: History, best_epoch: int | None) -> list[Chart]:
    """A chart of the loss and one of each metric, for training and validation.

    Args:
        history: what was measured at each epoch, by name.
        best_epoch: the epoch whose weights were kept, if one was chosen.
    """
    shown = (name for name in history if not name.startswith("val_") and name != RATE)
    names = [name for name in shown if history[name]]
    return [_curve(name, history, best_epoch) for name in names[:MOST_CURVES]]


def rate_chart(history: History) -> Chart | None:
    """The learning rate, if it ever changed."""
    rates = history.get(RATE, ())
    if not rates or len(set(rates)) == 1:
        return None
    lines = {"learning rate": rates}
    return Chart(
        title="Learning rate",
        spec=_spec(lines, ["accent"], "learning rate", None),
        shows=f"The learning rate goes from {number(rates[0])} to {number(rates[-1])}.",
        reading="The learning rate is the length of a training step. Smaller steps towards the "
        "end let the network settle.",
        numbers=_listed(lines),
        offers_log=spans_decades(lines),
    )


def _curve(name: str, history: History, best_epoch: int | None) -> Chart:
    found = {"training": history[name], "validation": history.get(f"val_{name}", ())}
    lines = {split: values for split, values in found.items() if len(values)}
    title = short(name).replace("_", " ")
    return Chart(
        title=title[:1].upper() + title[1:],
        spec=_spec(lines, [_COLOURS[split] for split in lines], title, best_epoch),
        shows=_shows(title, lines, best_epoch),
        reading=_READING if len(lines) > 1 and name == "loss" else "",
        numbers=_listed(lines),
        legend=tuple(_COLOURS.items()) if len(lines) > 1 else (),
        offers_log=spans_decades(lines),
    )


_COLOURS = {"training": "train", "validation": "validation"}
_READING = (
    "Loss is what training makes small. Both lines should fall; where training still falls and "
    "validation rises, the network learns its rows by heart (overfitting). The dashed line marks "
    "the epoch whose weights were kept."
)


def _shows(title: str, lines: History, best_epoch: int | None) -> str:
    parts = []
    for split, values in lines.items():
        kept = best_epoch is not None and 0 < best_epoch <= len(values)
        middle = f", {number(values[best_epoch - 1])} at the best" if kept and best_epoch else ""
        parts.append(f"{split} from {number(values[0])} to {number(values[-1])}{middle}")
    epochs = max((len(values) for values in lines.values()), default=0)
    best = f" The best epoch is {best_epoch:,}." if best_epoch else ""
    return f"Over {epochs:,} epochs, {title}: {'; '.join(parts)}.{best}"


def _spec(lines: History, colours: Sequence[str], title: str, best_epoch: int | None) -> Spec:
    rows = [
        {"e": at + 1, "v": rounded(values[at]), "s": split}
        for split, values in lines.items()
        for at in drawn_epochs(values)
    ]
    first = next(iter(lines.values()))
    epochs: Rows = [{"e": at + 1, **_at_epoch(lines, at)} for at in drawn_epochs(first)]
    best: Rows = [{"e": best_epoch}] if best_epoch and best_epoch <= len(first) else []
    drawing = _drawing(tuple(lines), tuple(colours), title)
    return finished(drawing, rows=rows, epochs=epochs, best=best)


def drawn_epochs(values: Sequence[float]) -> list[int]:
    """The places of the epochs that a line is drawn through, from 0."""
    places: list[int] = thinned(np.asarray(values, dtype=np.float64), MOST_POINTS).tolist()
    return places


def _at_epoch(lines: History, at: int) -> dict[str, float | None]:
    """The value of each line, as fields `v0`, `v1` and so on."""
    return {
        f"v{place}": rounded(values[at])
        for place, values in enumerate(lines.values())
        if at < len(values)
    }


@cache
def _drawing(splits: tuple[str, ...], colours: tuple[str, ...], title: str) -> alt.LayerChart:
    import altair as alt

    epoch = quantity("e", "epoch", axis=alt.Axis(tickMinStep=1, format=",d"))
    value = quantity("v", title)
    line = base().mark_line().encode(x=epoch, y=value, color=coloured("s", splits, colours))
    # Numbers only: of a mark that is found by nearness, Vega-Lite tells no names.
    titles = {f"v{place}": f"{split}|.5~g" for place, split in enumerate(splits)}
    near = alt.selection_point(
        name="near", on="pointermove", nearest=True, encodings=["x"], empty=False
    )
    pointed = (
        base("epochs")
        .mark_rule()
        .encode(
            x=epoch,
            opacity=alt.when(near).then(alt.value(0.5)).otherwise(alt.value(0)),
            tooltip=hints(e="epoch|,d", **titles),
        )
        .add_params(near)
    )
    best = base("best").mark_rule(strokeDash=[5, 4]).encode(x=epoch)
    return layered(best, pointed, line)


def _listed(lines: History) -> Table:
    """Some epochs at even distances, the first and the last among them."""
    epochs = max((len(values) for values in lines.values()), default=0)
    places = np.unique(np.linspace(0, max(0, epochs - 1), min(epochs, _LISTED)).astype(int))
    rows = [
        (
            f"{at + 1:,}",
            *(number(values[at]) if at < len(values) else "" for values in lines.values()),
        )
        for at in places.tolist()
    ]
    return Table(("epoch", *lines), tuple(rows))


def spans_decades(lines: History) -> bool:
    """Whether a logarithmic scale would show more."""
    values = [value for line in lines.values() for value in line if math.isfinite(value)]
    return bool(values) and min(values) > 0 and max(values) / min(values) >= DECADES
