"""Draw the pictures of the documentation, from real runs.

`python docs/draw_pictures.py accuracy JSON...` draws the results of
`python -m benchmarks.accuracy --json`, and `speed JSON` those of `python -m benchmarks --json`, as
in benchmarks/results. `training CONFIG` trains a config, and pictures the terminal and the report;
the latter needs Chromium.
"""

from __future__ import annotations

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
from picture_theme import ACCENT, BELOW, BLUE, GRAY, PICTURES, save
from rich.console import Console, RenderableType
from rich.text import Text

from benchmarks.accuracy import REFERENCE, Fit, relative_errors
from benchmarks.public_tables import SOURCES
from benchmarks.runner import Outcome
from dlcli.cli.event_log import LiveView, event_lines
from dlcli.config.config_file import load_config
from dlcli.pipeline.events import EpochEvent, Event
from dlcli.pipeline.train_run import train
from dlcli.reports.report_files import to_html, view_of

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
        "accuracy": draw_accuracy,
        "speed": draw_speed,
        "training": draw_training,
    }
    draw[sys.argv[1]](*map(Path, sys.argv[2:]))
