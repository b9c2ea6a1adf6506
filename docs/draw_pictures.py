"""Draw the pictures of the documentation, as SVG.

`python docs/draw_pictures.py ensemble FOLDER` draws what each network of an ensemble predicts;
FOLDER is where the commands of docs/tutorial/8-ensembles.md have run. `python docs/draw_pictures.py
accuracy JSON...` draws the results of `python -m benchmarks.accuracy --json`.
"""

from __future__ import annotations

import csv
import json
import sys
import tempfile
from pathlib import Path

import altair
import numpy as np

from benchmarks.accuracy import REFERENCE, Fit, relative_errors
from dlcli.prediction import Predictor
from dlcli.preprocessing import ValueIssues
from dlcli.runs import open_run

PICTURES = Path(__file__).parent / "pictures"
SHOWN = {"simple": "dlcli simple", "good": "dlcli good", "RealMLP": "RealMLP-TD"}
"""The models whose errors are drawn, with their names in the picture."""
LEAST, MOST = 0.2, 6.0
"""The range of relative errors that is shown."""


def draw_ensemble(folder: Path) -> None:
    """Draw the predictions of each network, their mean, the training rows and the true curve."""
    predictor = Predictor.load(open_run(folder / "runs" / "folds"))
    x = np.linspace(0, 6, 200)
    with tempfile.TemporaryDirectory() as name:
        grid = Path(name, "grid.csv")
        grid.write_text("\n".join(["x", *map(str, x)]))
        inputs = predictor.encoding.transform(predictor.read(str(grid)), ValueIssues())
    members = range(1, predictor.members + 1)
    lines = {f"{number}": predictor.outputs(inputs, [number]) for number in members}
    lines |= {"their mean": predictor.outputs(inputs)}
    curves = [
        {"x": at, "y": value, "line": line, "kind": line if len(line) > 1 else "a network"}
        for line, outputs in lines.items()
        for at, value in zip(
            x.tolist(), predictor.decode(outputs).values[:, 0].tolist(), strict=True
        )
    ]
    curves += [{"x": at, "y": float(np.sin(at)), "line": "sine", "kind": "sine"} for at in x]
    with (folder / "noisy.csv").open() as file:
        points = [
            {name: float(value) for name, value in row.items()} for row in csv.DictReader(file)
        ]
    kinds = ["a network", "their mean", "sine"]
    color = altair.Color("kind:N", title=None, sort=kinds).scale(
        domain=kinds, range=["#6baed6", "#d62728", "#2ca02c"]
    )
    width = altair.condition("datum.kind == 'a network'", altair.value(1), altair.value(2.5))
    curve = altair.Chart(altair.Data(values=curves)).mark_line(clip=True)
    curve = curve.encode(
        x=altair.X("x:Q"),
        y=altair.Y("y:Q").scale(domain=[-1.8, 1.8]),
        color=color,
        detail="line:N",
        strokeWidth=width,
    )
    dots = altair.Chart(altair.Data(values=points)).mark_point(filled=True, color="black", size=25)
    picture = curve + dots.encode(x="x:Q", y="y:Q")
    picture.properties(
        width=560, height=280, padding={"left": 5, "right": 30, "top": 5, "bottom": 5}
    ).save(PICTURES / "ensemble.svg")


def draw_accuracy(*files: Path) -> None:
    """Draw the error of each model relative to LightGBM's, a line for each table."""
    fits = [Fit(**fit) for file in files for fit in json.loads(file.read_text())["fits"]]
    kinds = {fit.source: fit.kind for fit in fits}
    dots = [
        {"table": table, "kind": kinds[table], "model": SHOWN[model], "error": error}
        for table, errors in relative_errors(fits).items()
        for model, error in errors.items()
        if model in SHOWN
    ]
    base = altair.Chart(altair.Data(values=dots))
    table = altair.Y("table:N", title=None, sort=altair.SortField("table"))
    dot = base.mark_point(filled=True, size=60, clip=True).encode(
        x=altair.X("error:Q", title=f"error / {REFERENCE}'s").scale(
            type="log", domain=[LEAST, MOST], nice=False
        ),
        y=table,
        color=altair.Color("model:N", title=None).scale(
            domain=[*SHOWN.values()], range=["#9ecae9", "#d62728", "#7f7f7f"]
        ),
    )
    rule = base.mark_rule(color="#333333").encode(x=altair.datum(1))
    picture = (rule + dot).properties(width=480).facet(row=altair.Row("kind:N", title=None))
    picture.resolve_scale(y="independent").save(PICTURES / "accuracy.svg")


if __name__ == "__main__":
    {"ensemble": draw_ensemble, "accuracy": draw_accuracy}[sys.argv[1]](*map(Path, sys.argv[2:]))
