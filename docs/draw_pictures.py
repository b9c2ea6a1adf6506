"""Draw the pictures of the documentation, from real runs.

`python docs/draw_pictures.py ensemble FOLDER` draws what each network of an ensemble predicts;
FOLDER is where the commands of docs/tutorial/8-ensembles.md have run. `xor`, `overfitting` and
`digits` likewise draw the runs of pages 2, 3 and 4. `accuracy JSON...` draws the results of
`python -m benchmarks.accuracy --json`, and `speed JSON` those of `python -m benchmarks --json`, as
in benchmarks/results. `training CONFIG` trains a config, and pictures the terminal and the report;
the latter needs Chromium.
"""

from __future__ import annotations

import csv
import io
import json
import math
import subprocess
import sys
import tempfile
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import altair
import numpy as np
from picture_theme import ACCENT, BELOW, BLUE, GRAY, PICTURES, save
from rich.console import Console, RenderableType
from rich.text import Text

from benchmarks.accuracy import REFERENCE, Fit, relative_errors
from benchmarks.public_tables import SOURCES
from benchmarks.runner import Outcome
from dlcli import load
from dlcli.cli.event_log import LiveView, event_lines
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_file import load_config
from dlcli.pipeline.events import EpochEvent, Event
from dlcli.pipeline.train_run import train
from dlcli.reports.report_files import to_html, view_of
from dlcli.runs.run_folder import open_run

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
SHOWN_SHARE = 0.6
"""The share of the epochs after which a training is pictured."""
LEAST, MOST = 0.15, 6.0
"""The range of relative errors that is shown."""


def draw_ensemble(folder: Path) -> None:
    """Draw the predictions of each network, their mean, the training rows and the true curve."""
    predictor = open_run(folder / "runs" / "folds").predictor
    x = np.linspace(0, 6, 200)
    with tempfile.TemporaryDirectory() as name:
        grid = Path(name, "grid.csv")
        grid.write_text("\n".join(["x", *map(str, x)]))
        inputs = predictor.encoding.transform(predictor.read(str(grid)), ValueProblems())
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
    save(picture.properties(width=560, height=280), "ensemble")


def draw_xor(folder: Path) -> None:
    """Draw the probability of true between and around the four cases."""
    steps = np.linspace(-0.5, 1.5, 25)
    a, b = (axis.ravel() for axis in np.meshgrid(steps, steps))
    probabilities = load(folder / "runs" / "xor").predict({"a": a, "b": b}).probabilities
    assert probabilities is not None
    half = (steps[1] - steps[0]) / 2
    squares = [
        {"a": x - half, "a2": x + half, "b": y - half, "b2": y + half, "p": round(p, 3)}
        for x, y, p in zip(a.tolist(), b.tolist(), probabilities[:, 1].tolist(), strict=True)
    ]
    plane = altair.Chart(altair.Data(values=squares)).mark_rect(strokeWidth=0)
    plane = plane.encode(
        x=altair.X("a:Q", title="a").scale(domain=[-0.5, 1.5], nice=False),
        x2="a2:Q",
        y=altair.Y("b:Q", title="b").scale(domain=[-0.5, 1.5], nice=False),
        y2="b2:Q",
        color=altair.Color("p:Q", title="probability").scale(scheme="blueorange", domain=[0, 1]),
    )
    cases = [{"a": x, "b": y, "case": str(x ^ y)} for x in (0, 1) for y in (0, 1)]
    text = altair.Chart(altair.Data(values=cases)).mark_text(fontSize=22, fontWeight="bold")
    picture = plane + text.encode(x="a:Q", y="b:Q", text="case:N")
    save(picture.properties(width=300, height=300), "xor")


def draw_overfitting(folder: Path) -> None:
    """Draw the training and the validation loss of each epoch, and where early stopping stays."""
    history = open_run(folder / "runs" / "large").history
    names = {"loss": "training rows", "val_loss": "validation rows"}
    points = [
        {"epoch": epoch, "loss": value, "rows": rows}
        for name, rows in names.items()
        for epoch, value in enumerate(history[name], start=1)
    ]
    lines = altair.Chart(altair.Data(values=points)).mark_line(strokeWidth=2)
    lines = lines.encode(
        x=altair.X("epoch:Q").scale(domain=[1, len(history["loss"])], nice=False),
        y="loss:Q",
        color=altair.Color("rows:N", title=None, sort=[*names.values()]).scale(
            range=["#6baed6", "#d62728"]
        ),
    )
    best = 1 + int(np.argmin(history["val_loss"]))
    marked = altair.Chart(altair.Data(values=[{"epoch": best, "words": f"best: epoch {best}"}]))
    rule = marked.mark_rule(strokeDash=[4, 4]).encode(x="epoch:Q")
    words = marked.mark_text(align="left", dx=5, y=10).encode(x="epoch:Q", text="words:N")
    save((lines + rule + words).properties(width=560, height=260), "overfitting")


def draw_digits(folder: Path) -> None:
    """Draw how many test images of each digit are taken for which."""
    predictor = open_run(folder / "runs" / "digits").predictor
    confusion = np.array(open_run(folder / "runs" / "digits").metrics["test"]["confusion"])
    counts = [
        {"digit": digit, "predicted": guess, "images": int(confusion[row, column])}
        for row, digit in enumerate(predictor.task.names)
        for column, guess in enumerate(predictor.task.names)
        if confusion[row, column]
    ]
    base = altair.Chart(altair.Data(values=counts)).encode(
        x=altair.X("predicted:N").axis(labelAngle=0), y="digit:N"
    )
    color = altair.Color("images:Q", legend=None).scale(scheme="blues", type="sqrt")
    white = altair.condition("datum.images > 10", altair.value("white"), altair.value("black"))
    picture = base.mark_rect().encode(color=color)
    picture += base.mark_text().encode(text="images:Q", color=white)
    save(picture.properties(width=300, height=300), "digits")


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


def draw_training(config: Path) -> None:
    """Picture a terminal during a training of a config, and the curves in its report."""
    size: dict[str, Any] = {"width": 92, "height": 30, "force_terminal": True}
    view = LiveView(Console(file=io.StringIO(), **size), clock=time.perf_counter)
    shown: list[RenderableType] = [Text(f"$ dlcli train {config}\n", style="bold")]
    is_drawn = False

    def listen(event: Event) -> None:
        nonlocal is_drawn
        if is_drawn:
            return
        if isinstance(event, EpochEvent):
            view.add(event)
            if event.epoch >= SHOWN_SHARE * event.of:
                shown.extend(["", view.frame()])
                is_drawn = True
        for index, line in enumerate(event_lines(event)):
            label = f"{'' if index else event.kind:<9} "
            wrapped = textwrap.wrap(line, size["width"] - len(label))
            shown.extend(f"{'' if at else label:<10}{part}" for at, part in enumerate(wrapped))

    with tempfile.TemporaryDirectory() as name:
        view_of_run = view_of(train(load_config(config), Path(name, config.stem), listen))
        training = [each for each in view_of_run.sections() if each.anchor == "training"]
        page = Path(name, "page.html")
        page.write_text(to_html(replace(view_of_run, sections=lambda: training)))
        window = ["--window-size=1200,1190", f"--screenshot={PICTURES / 'report.png'}"]
        browser = ["chromium", "--headless", "--no-sandbox", "--hide-scrollbars"]
        # Charts are drawn once they are scrolled to.
        subprocess.run([*browser, *window, "--virtual-time-budget=9000", page.as_uri()], check=True)
    console = Console(file=io.StringIO(), record=True, **size)
    console.print(*shown, sep="\n", highlight=False)
    console.save_svg(str(PICTURES / "training.svg"), title="dlcli")


if __name__ == "__main__":
    draw = {
        "xor": draw_xor,
        "overfitting": draw_overfitting,
        "digits": draw_digits,
        "ensemble": draw_ensemble,
        "accuracy": draw_accuracy,
        "speed": draw_speed,
        "training": draw_training,
    }
    draw[sys.argv[1]](*map(Path, sys.argv[2:]))
