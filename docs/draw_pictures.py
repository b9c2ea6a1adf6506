"""Draw the results of benchmarks.

`python docs/draw_pictures.py accuracy JSON...` draws the results of
`python -m benchmarks.accuracy --json`, and `speed JSON` those of `python -m benchmarks --json`, as
in benchmarks/results.
"""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import altair
from picture_theme import ACCENT, BELOW, BLUE, GRAY, save

from benchmarks.accuracy import REFERENCE, Fit, relative_errors
from benchmarks.public_tables import SOURCES
from benchmarks.runner import Outcome

SHOWN = {"simple": "dlcli simple", "good": "dlcli good", "RealMLP": "RealMLP-TD"}
"""The models whose errors are drawn, with their names in the picture."""
TITLES = {
    "small": "1,000 rows of 10 numbers, layers of 32 and 1 units, batch size 32",
    "digits": "1,797 images of 8 × 8, layers of 128, 64 and 10 units, batch size 32",
    "table": "100,000 rows of 50 numbers, layers of 256, 256 and 1 units, batch size 1,024",
}
"""The workloads of the benchmark that are drawn."""
SLOWEST, FASTEST = 0.5, 1_000
"""The range of relative speeds that is shown."""
LEAST, MOST = 0.15, 6.0
"""The range of relative errors that is shown."""


def draw_accuracy(*files: Path) -> None:
    """Draw the error of each model relative to LightGBM's on the same splits, by table."""
    kinds = {source.name: source.kind for source in SOURCES}
    results = [fit for file in files for fit in json.loads(file.read_text())["fits"]]
    unused = {"seconds": math.nan, "cpu_seconds": math.nan, "failure": ""}  # not in the results
    fits = [Fit(**{**unused, **fit, "kind": kinds[fit["source"]]}) for fit in results]
    titles = {"regression": "numbers", "classes": "classes"}
    dots = []
    for model, shown in SHOWN.items():
        splits = {(fit.source, fit.split) for fit in fits if fit.model == model}
        same = [fit for fit in fits if (fit.source, fit.split) in splits]
        dots += [
            {"table": table, "kind": titles[kinds[table]], "model": shown, "error": errors[model]}
            for table, errors in relative_errors(same).items()
        ]
    base = altair.Chart(altair.Data(values=dots))
    table = altair.Y("table:N", title=None, sort=altair.SortField("table"))
    dot = base.mark_circle(size=60, opacity=0.9, clip=True).encode(
        x=altair.X("error:Q", title=f"error relative to {REFERENCE}'s (logarithmic)")
        .scale(type="log", domain=[LEAST, MOST], nice=False)
        .axis(values=[0.2, 0.5, 1, 2, 5], format="~g"),
        y=table,
        color=altair.Color("model:N", title=None, legend=BELOW).scale(
            domain=[*SHOWN.values()], range=[BLUE, ACCENT, GRAY]
        ),
    )
    rule = base.mark_rule(color=GRAY).encode(x=altair.datum(1))
    picture = (rule + dot).properties(width=400).facet(row=altair.Row("kind:N", title=None))
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
