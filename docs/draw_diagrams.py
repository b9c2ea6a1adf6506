"""Draw the diagrams of the documentation: networks, packages, activations, folds, encodings ...

`python docs/draw_diagrams.py` draws all of them in docs/pictures. They need no training.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import altair
import numpy as np
from picture_theme import ACCENT, BELOW, BLUE, GRAY, GREEN, ORANGE, PICTURES, TEXT, chart, save

from dlcli.config.config_file import load_config
from dlcli.network.layers import LayerSummary
from dlcli.reports.network_drawing import drawn_layers, network_svg

ROOT = Path(__file__).parents[1]


def draw_networks() -> None:
    """Draw the network of some shipped configs."""
    inputs = {"line": 1, "xor": 2, "steering": 9}
    outputs = {"xor": (1, "sigmoid")}
    for name, width in inputs.items():
        config = load_config(ROOT / "configs" / f"{name}.yaml").config
        layers = [("hidden", each.units, each.activation.name) for each in config.hidden]
        layers.append(("output", *outputs.get(name, (1, "linear"))))
        draw_network(f"network-{name}", width, layers)


def draw_network(name: str, inputs: int, layers: list[tuple[str, int, str]]) -> None:
    """Draw a network as a report draws it; a layer is its name, units and activation."""
    names = ("input", "hidden", "output", "line", "title", "text")
    colors = dict(zip(names, (BLUE, ORANGE, GREEN, GRAY, TEXT, TEXT), strict=True))
    summaries = [
        LayerSummary(name=kind, kind="Dense", units=units, activation=activation)
        for kind, units, activation in layers
    ]
    svg = network_svg(drawn_layers(inputs, summaries), colors)
    (PICTURES / f"{name}.svg").write_text(f"{svg}\n", "utf-8")


_STAGES = (
    ("YAML", "files, URLs"),
    ("config", "columns", "tables"),
    ("tasks", "splitting", "encoding", "data_checks"),
    ("network", "keras_model", "training"),
    ("fit",),
    ("train", "cross_validate", "tune"),
    ("run folder",),
    ("prediction", "explanation", "comparison", "diagnosis"),
    ("exports", "serving", "metrics", "reports"),
    ("models", "HTTP", "terminal, pages"),
)
"""The packages and functions of the pipeline in order, with what it reads and writes."""
_FLOW = {
    "YAML": ("config",),
    "files, URLs": ("tables",),
    "columns": ("config", "encoding"),
    "config": ("tasks",),
    "tables": ("tasks", "data_checks"),
    "tasks": ("splitting",),
    "splitting": ("encoding",),
    "encoding": ("network",),
    "network": ("keras_model",),
    "keras_model": ("training",),
    "training": ("fit",),
    "fit": ("train", "cross_validate", "tune"),
    "train": ("run folder",),
    "cross_validate": ("run folder",),
    "tune": ("run folder",),
    "run folder": ("prediction", "explanation", "comparison", "diagnosis"),
    "prediction": ("exports", "serving", "metrics"),
    "explanation": ("reports",),
    "comparison": ("reports",),
    "diagnosis": ("reports",),
    "metrics": ("reports",),
    "exports": ("models",),
    "serving": ("HTTP",),
    "reports": ("terminal, pages",),
}
_OUTSIDE = ("YAML", "files, URLs", "run folder", *_STAGES[-1])
"""What is not a package or a function."""


def draw_packages() -> None:
    """Draw how data flow through the packages, from top to bottom."""
    width, height, across, down = 150, 30, 180, 72
    places = {
        name: (across * (at + (5 - len(stage)) / 2) - 75, 8 + down * row)
        for row, stage in enumerate(_STAGES)
        for at, name in enumerate(stage)
    }
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 {down * len(_STAGES) - 24}" '
        f'font-family="sans-serif" font-size="14" text-anchor="middle" fill="{TEXT}">',
        '<marker id="arrow" viewBox="0 0 10 10" refX="10" refY="5" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path d="M0 0L10 5L0 10z" fill="{GRAY}"/></marker>',
    ]
    for name, targets in _FLOW.items():
        x, y = places[name]
        for target_x, target_y in map(places.__getitem__, targets):
            start, end = (x + width / 2, y + height), (target_x + width / 2, target_y)
            if y == target_y:
                right = target_x > x
                start, end = (x + width * right, y + 15), (target_x + width * (not right), y + 15)
            (x1, y1), (x2, y2) = start, end
            line = f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"'
            parts.append(f'{line} stroke="{GRAY}" marker-end="url(#arrow)"/>')
    for name, (x, y) in places.items():
        color, corner = (ORANGE, 15) if name in _OUTSIDE else (BLUE, 4)
        box = f'<rect x="{x:g}" y="{y:g}" width="{width}" height="{height}" rx="{corner}"'
        parts.append(f'{box} fill="none" stroke="{color}" stroke-width="1.5"/>')
        parts.append(f'<text x="{x + width / 2:g}" y="{y + 20:g}">{name}</text>')
    svg = "\n".join([*parts, "</svg>", ""])
    (PICTURES / "packages.svg").write_text(svg, "utf-8")


def draw_activations() -> None:
    """Draw the activations that the tutorial uses."""
    z = np.linspace(-4, 4, 161)
    formulas: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "linear": lambda z: z,
        "relu": lambda z: np.maximum(0, z),
        "tanh": np.tanh,
        "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    }
    points = [
        {"z": x, "value": value, "activation": name}
        for name, formula in formulas.items()
        for x, value in zip(z.tolist(), formula(z).tolist(), strict=True)
    ]
    base = chart(points).mark_line(strokeWidth=2.5, color=BLUE, clip=True)
    base = base.encode(
        x=altair.X("z:Q", title=None),
        y=altair.Y("value:Q", title=None).scale(domain=[-1.5, 2.5]),
    )
    panels = base.properties(width=150, height=120).facet(
        column=altair.Column("activation:N", title=None, sort=[*formulas])
    )
    save(panels, "activations")


def draw_learning_rates() -> None:
    """Draw the loss of gradient descent on the points of lesson 1 at three learning rates."""
    x = y = np.arange(4.0)
    rates = {"0.001: too small": 0.001, "0.05: right": 0.05, "0.3: too large": 0.3}
    points = []
    for name, rate in rates.items():
        w1, b1, w2, b2 = 0.5, 0.0, 0.5, 0.0
        for step in range(41):
            hidden = w1 * x + b1
            error = w2 * hidden + b2 - y
            loss = float(np.mean(error**2))
            if not loss < 100:
                break
            points.append({"step": step, "loss": loss, "learning rate": name})
            signal = 2 / len(x) * error
            back = signal * w2
            w1, b1, w2, b2 = (
                w1 - rate * float(back @ x),
                b1 - rate * float(back.sum()),
                w2 - rate * float(signal @ hidden),
                b2 - rate * float(signal.sum()),
            )
    lines = chart(points).mark_line(strokeWidth=2.5)
    color = altair.Color("learning rate:N", title=None, sort=[*rates], legend=BELOW).scale(
        range=[BLUE, GREEN, ACCENT]
    )
    picture = lines.encode(
        x="step:Q", y=altair.Y("loss:Q").scale(type="log", domain=[0.001, 100]), color=color
    )
    save(picture.properties(width=400, height=220), "learning-rates")


def draw_folds() -> None:
    """Draw a split into three sets, five folds, and five folds in time."""
    sets = {"training": BLUE, "validation": ORANGE, "test": GREEN}
    split = [("one split", 0.0, 0.7, "training"), ("one split", 0.7, 0.85, "validation")]
    bars = [*split, ("one split", 0.85, 1.0, "test")]
    for fold in range(5):
        name = f"fold {fold + 1}"
        bars += [
            (name, 0.2 * each, 0.2 * (each + 1), "test" if each == fold else "training")
            for each in range(5)
        ]
    _draw_rows(bars, sets, "folds", size=20, height=190, sort=[*sets])


def draw_nested_folds() -> None:
    """Draw the outer folds of a nested search, and the inner folds of the first of them."""
    search = "search"
    kinds = {"evaluation": GREEN, search: GRAY, "training": BLUE, "choice": ORANGE}
    bars = []
    for fold in range(5):
        for each in range(5):
            rows = "evaluation" if each == fold else search
            bars.append((f"outer fold {fold + 1}", each / 5, (each + 1) / 5, rows))
    for fold in range(5):
        for each in range(5):
            rows = "choice" if each == fold else "training"
            start = 0.2 + 0.16 * each
            bars.append((f"search 1, inner fold {fold + 1}", start, start + 0.16, rows))
    _draw_rows(bars, kinds, "nested-folds", size=16, height=260, sort=None)


def _draw_rows(
    bars: list[tuple[str, float, float, str]],
    colors: dict[str, str],
    name: str,
    *,
    size: int,
    height: int,
    sort: list[str] | None,
) -> None:
    """Draw the shares of a table's rows, one line for each split.

    Args:
        bars: line, first share, last share and use of the rows.
        colors: the color of each use.
        name: the picture's.
        size: the height of a bar.
        height: the height of all lines.
        sort: the order of the uses in the legend.
    """
    values = [{"row": a, "from": b, "to": c, "rows": d} for a, b, c, d in bars]
    picture = chart(values).mark_bar(size=size, stroke=GRAY, strokeWidth=0.5)
    picture = picture.encode(
        x=altair.X("from:Q", title="rows of the table")
        .axis(format="%", tickCount=5)
        .scale(domain=[0, 1]),
        x2="to:Q",
        y=altair.Y("row:N", title=None, sort=None),
        color=altair.Color("rows:N", title=None, sort=sort, legend=BELOW).scale(
            domain=[*colors], range=[*colors.values()]
        ),
    )
    save(picture.properties(width=360, height=height), name)


def draw_dropout() -> None:
    """Draw a network in two training steps, in which different hidden units are switched off."""
    rng = np.random.default_rng(3)
    sizes = {"input": 3, "hidden 1": 6, "hidden 2": 6, "output": 1}
    panels = []
    for step in (1, 2):
        units: list[dict[str, Any]] = []
        for layer, size in enumerate(sizes.values()):
            is_hidden = 0 < layer < len(sizes) - 1
            off = rng.choice(size, size // 2, replace=False) if is_hidden else []
            units += [
                {"layer": layer, "y": unit - (size - 1) / 2, "is_on": unit not in off}
                for unit in range(size)
            ]
        weights = [
            {"layer": a["layer"], "y": a["y"], "layer2": b["layer"], "y2": b["y"]}
            for a in units
            for b in units
            if b["layer"] == a["layer"] + 1 and a["is_on"] and b["is_on"]
        ]
        x = altair.X("layer:Q", axis=None).scale(domain=[-0.2, 3.2], nice=False)
        y = altair.Y("y:Q", axis=None).scale(domain=[-3.2, 3.2], nice=False)
        colors = [BLUE, ORANGE, ORANGE, GREEN]
        color = altair.Color("layer:O", legend=None).scale(domain=[0, 1, 2, 3], range=colors)
        panel = chart(weights).mark_rule(color=GRAY, opacity=0.6).encode(x, y, x2="layer2", y2="y2")
        circles = chart(units).encode(x, y)
        on = circles.transform_filter("datum.is_on")
        off_circles = circles.transform_filter("!datum.is_on")
        panel += on.mark_circle(size=300, opacity=1).encode(color=color)
        panel += off_circles.mark_point(size=220, color=GRAY, strokeDash=[3, 2])
        panel += off_circles.mark_text(text="×", fontSize=18)
        panels.append(panel.properties(title=f"step {step}", width=330, height=170))
    save(altair.hconcat(*panels), "dropout")


def draw_encodings() -> None:
    """Draw what a network receives for a category and for a number."""
    cells = []
    for row, city in enumerate(["Oslo", "Rome", "Lima"]):
        cells += [
            {
                "panel": "one-hot: 3 inputs",
                "value": city,
                "input": f"is {each}",
                "size": float(row == at),
            }
            for at, each in enumerate(["Oslo", "Rome", "Lima"])
        ]
    embedding = {"Oslo": (0.9, 0.1), "Rome": (0.7, 0.4), "Lima": (0.1, 0.8)}
    for city, vector in embedding.items():
        cells += [
            {"panel": "embedding: 2 inputs", "value": city, "input": f"e{at + 1}", "size": each}
            for at, each in enumerate(vector)
        ]
    edges = [0, 10, 20, 30, 40]
    for age in (5, 18, 33):
        cells += [
            {
                "panel": "piecewise linear: 4 bins",
                "value": f"{age} years",
                "input": f"{low}–{high}",
                "size": min(1.0, max(0.0, (age - low) / (high - low))),
            }
            for low, high in zip(edges, edges[1:], strict=False)
        ]
    panels = []
    for name in dict.fromkeys(cell["panel"] for cell in cells):
        base = chart([cell for cell in cells if cell["panel"] == name]).encode(
            x=altair.X("input:N", title=None, sort=None).axis(labelAngle=0),
            y=altair.Y("value:N", title=None, sort=None),
        )
        color = altair.Color("size:Q", legend=None).scale(domain=[0, 1], range=["#dbe9f6", BLUE])
        white = altair.condition("datum.size > 0.6", altair.value("white"), altair.value("#222"))
        squares = base.mark_rect(stroke="white").encode(color=color)
        numbers = base.mark_text().encode(text=altair.Text("size:Q", format=".2~f"), color=white)
        panels.append((squares + numbers).properties(title=str(name), width=170, height=100))
    save(altair.hconcat(*panels).resolve_scale(color="independent"), "encodings")


if __name__ == "__main__":
    draw_networks()
    draw_packages()
    draw_activations()
    draw_learning_rates()
    draw_folds()
    draw_nested_folds()
    draw_dropout()
    draw_encodings()
