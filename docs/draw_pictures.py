"""Draw the results of benchmarks.

`python docs/draw_pictures.py accuracy JSON` draws the results of
`python -m benchmarks.accuracy --json`, and `speed JSON` those of `python -m benchmarks --json`, as
in benchmarks/results.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import altair
from picture_theme import ACCENT, BELOW, BLUE, GRAY, GREEN, save

from benchmarks.accuracy_results import read_fits, relative_errors, short_name
from benchmarks.runner import Outcome

SHOWN = {
    "good": "dlcli",
    "CatBoost": "CatBoost, defaults",
    "RealMLP": "RealMLP, 8 folds",
    "LightGBM": "LightGBM, defaults",
}
"""The models whose errors are drawn, with their names in the picture."""
PANELS = {
    "regression": "numbers: RMSE",
    "binary": "two classes: 1 − AUC",
    "multiclass": "several classes: log loss",
}
"""The kinds of targets, with the titles of their panels."""
TICKS = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.1, 1.2, 1.4, 1.6]
"""The relative errors that the axis names."""
TITLES = {
    "small": "1,000 rows of 10 numbers, layers of 32 and 1 units, batch size 32",
    "digits": "1,797 images of 8 × 8, layers of 128, 64 and 10 units, batch size 32",
    "table": "100,000 rows of 50 numbers, layers of 256, 256 and 1 units, batch size 1,024",
}
"""The workloads of the benchmark that are drawn."""
SLOWEST, FASTEST = 0.5, 1_000
"""The range of relative speeds that is shown."""


def draw_accuracy(file: Path) -> None:
    """Draw the error of each model relative to the reference, by table."""
    fits = read_fits(file)
    kinds = {fit.table: fit.kind for fit in fits}
    dots = [
        {
            "table": short_name(table),
            "kind": PANELS[kinds[table]],
            "model": SHOWN[model],
            "error": error,
        }
        for model, errors in relative_errors(fits).items()
        if model in SHOWN
        for table, error in errors.items()
    ]
    base = altair.Chart(altair.Data(values=dots))
    axis = altair.X("error:Q", title="error relative to bagged LightGBM (logarithmic)")
    dot = base.mark_circle(size=70, opacity=0.9).encode(
        x=axis.scale(type="log", zero=False, nice=False, padding=12).axis(
            values=TICKS, format="~g"
        ),
        y=altair.Y("table:N", title=None, sort=altair.SortField("table")).axis(labelLimit=220),
        color=altair.Color("model:N", title=None, legend=BELOW).scale(
            domain=[*SHOWN.values()], range=[ACCENT, BLUE, GREEN, GRAY]
        ),
    )
    rule = base.mark_rule(color=GRAY).encode(x=altair.datum(1))
    header = altair.Header(labelAngle=0, labelOrient="top", labelAnchor="start", labelFontSize=12)
    rows = altair.Row("kind:N", title=None, sort=[*PANELS.values()], header=header)
    picture = (rule + dot).properties(width=400, height={"step": 22}).facet(row=rows)
    save(picture.resolve_scale(y="independent"), "accuracy")


def draw_speed(file: Path) -> None:
    """Draw how many epochs of each program take as long as one of Keras's `fit`."""
    bars = []
    workloads = json.loads(file.read_text())["workloads"]
    for name in TITLES:
        measured = workloads[name]
        outcome = Outcome(name, measured["title"], measured["cases"])
        for case in outcome.rounds:
            ratio = outcome.ratio("Keras fit", case, "epoch_seconds")
            if ratio is not None and "epochs" not in case:
                bars.append({"table": TITLES[name], "program": case, "speed": ratio})
    title = "epochs trained in the time that Keras fit needs for one"
    base = altair.Chart(altair.Data(values=bars)).encode(
        x=altair.X("speed:Q", title=title).scale(type="log", domain=[SLOWEST, FASTEST]),
        y=altair.Y(
            "program:N", title=None, sort=altair.EncodingSortField("speed", order="descending")
        ),
    )
    color = altair.condition("datum.program == 'dlcli'", altair.value(ACCENT), altair.value(BLUE))
    dot = base.mark_circle(size=110, opacity=1).encode(color=color)
    text = base.mark_text(align="left", dx=10).encode(text=altair.Text("speed:Q", format=".3~r"))
    header = altair.Header(labelAngle=0, labelOrient="top", labelAnchor="start", labelFontSize=12)
    rows = altair.Row("table:N", title=None, header=header)
    picture = (dot + text).properties(width=520).facet(row=rows).resolve_scale(y="independent")
    save(picture, "speed")


if __name__ == "__main__":
    draw = {
        "accuracy": draw_accuracy,
        "speed": draw_speed,
    }
    draw[sys.argv[1]](*map(Path, sys.argv[2:]))
