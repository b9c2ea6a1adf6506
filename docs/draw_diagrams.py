"""Draw the diagrams of the documentation: networks, activations, splits, folds and encodings.

`python docs/draw_diagrams.py` draws all of them in docs/pictures. They need no training.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import altair
import numpy as np
from picture_theme import ACCENT, BLUE, GRAY, GREEN, ORANGE, chart, save

from dlcli.config.config_file import load_config

ROOT = Path(__file__).parents[1]
MOST_UNITS = 8
"""Most units of a layer that are drawn; wider layers have a gap in the middle."""
STEP, COLUMN = 26.0, 150.0
"""Distance between two units of a layer, and between two layers, in pixels."""


def draw_network(name: str, layers: Sequence[tuple[str, int]]) -> None:
    """Draw a network: a column of circles for each layer, and an arrow for each weight.

    Args:
        name: of the picture, without its ending.
        layers: title and number of units of each layer, the inputs first.
    """
    columns = [list(_unit_positions(units)) for _, units in layers]
    circles = [
        {"x": COLUMN * at, "y": y, "kind": _kind(at, len(layers))}
        for at, column in enumerate(columns)
        for y in column
    ]
    weights = [
        {"x": COLUMN * at, "y": y, "x2": COLUMN * (at + 1), "y2": y2}
        for at, (left, right) in enumerate(zip(columns, columns[1:], strict=False))
        for y in left
        for y2 in right
    ]
    dots = [
        {"x": COLUMN * at, "y": 7.0 * dot}
        for at, (_, units) in enumerate(layers)
        if units > MOST_UNITS
        for dot in (-1, 0, 1)
    ]
    top = max(y for column in columns for y in column) + 44
    titles = [
        {"x": COLUMN * at, "y": top - 16 * line, "text": text, "bold": line == 0}
        for at, (title, units) in enumerate(layers)
        for line, text in enumerate([title, f"{units:,} {_unit_word(at, units)}"])
    ]
    x = altair.X("x:Q", axis=None).scale(domain=[-60, COLUMN * (len(layers) - 1) + 60], nice=False)
    y = altair.Y("y:Q", axis=None).scale(domain=[-top + 20, top + 12], nice=False)
    kinds = ["input", "hidden", "output"]
    color = altair.Color("kind:N", legend=None).scale(domain=kinds, range=[BLUE, ORANGE, GREEN])
    picture = chart(weights).mark_rule(color=GRAY, opacity=0.45).encode(x, y, x2="x2", y2="y2")
    picture += chart(circles).mark_circle(size=300, opacity=1).encode(x, y, color=color)
    picture += chart(dots).mark_circle(size=14, color=GRAY, opacity=1).encode(x, y)
    text = chart(titles).encode(x, y, text="text:N")
    picture += text.transform_filter("datum.bold").mark_text(fontSize=14, fontWeight="bold")
    picture += text.transform_filter("!datum.bold").mark_text(fontSize=12)
    width = COLUMN * (len(layers) - 1) + 120
    save(picture.properties(width=width, height=2 * top - 8), name)


def _unit_positions(units: int) -> Iterator[float]:
    """Yield the height of each circle of a layer, centered at 0."""
    if units <= MOST_UNITS:
        yield from (STEP * (at - (units - 1) / 2) for at in range(units))
        return
    half = MOST_UNITS // 2
    for at in range(half):
        yield STEP * (at + 1)
        yield -STEP * (at + 1)


def _kind(at: int, layers: int) -> str:
    return "input" if at == 0 else "output" if at == layers - 1 else "hidden"


def _unit_word(at: int, units: int) -> str:
    word = "input" if at == 0 else "unit"
    return word if units == 1 else f"{word}s"


def draw_networks() -> None:
    """Draw the network of some shipped configs."""
    inputs = {"line": 1, "xor": 2, "iris": 4, "steering": 9}
    outputs = {"line": 1, "xor": 1, "iris": 3, "steering": 1}
    for name, width in inputs.items():
        config = load_config(ROOT / "configs" / f"{name}.yaml").config
        hidden = [(layer.activation.name, layer.units) for layer in config.hidden]
        draw_network(f"network-{name}", [("inputs", width), *hidden, ("output", outputs[name])])


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
    color = altair.Color("learning rate:N", sort=[*rates]).scale(range=[BLUE, GREEN, ACCENT])
    picture = lines.encode(
        x="step:Q", y=altair.Y("loss:Q").scale(type="log", domain=[0.001, 100]), color=color
    )
    save(picture.properties(width=480, height=220), "learning-rates")


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
    values = [{"row": a, "from": b, "to": c, "rows": d} for a, b, c, d in bars]
    picture = chart(values).mark_bar(size=20, stroke=GRAY, strokeWidth=0.5)
    picture = picture.encode(
        x=altair.X("from:Q", title="rows of the table").axis(format="%").scale(domain=[0, 1]),
        x2="to:Q",
        y=altair.Y("row:N", title=None, sort=None),
        color=altair.Color("rows:N", title=None, sort=[*sets]).scale(
            domain=[*sets], range=[*sets.values()]
        ),
    )
    save(picture.properties(width=480, height=190), "folds")


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
    draw_activations()
    draw_learning_rates()
    draw_folds()
    draw_encodings()
