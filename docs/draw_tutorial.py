"""Draw the pictures of the tutorial, from the runs of its lessons.

`python docs/draw_tutorial.py NAME FOLDER` draws one of them; FOLDER is where the commands of the
lesson have run: `line` (lesson 1), `xor` (2), `overfitting` (3), `digits` and `shifted-digits` (4),
`play` (5), `drive` (6) and `ensemble` (8).
"""

from __future__ import annotations

import csv
import subprocess
import sys
import tempfile
from pathlib import Path

import altair
import numpy as np
from picture_theme import ACCENT, BLUE, GRAY, GREEN, ORANGE, PICTURES, chart, save
from PIL import Image

from dlcli import load, train
from dlcli.columns.value_problems import ValueProblems
from dlcli.runs.run_folder import open_run


def draw_line(folder: Path) -> None:
    """Draw the line of lesson 1 after some epochs, next to the loss of each epoch."""
    lines, losses, config = [], [], folder / "line.yaml"
    with tempfile.TemporaryDirectory() as name:
        for epochs in (1, 10, 100, 1000):
            run = train(config, overrides={"epochs": epochs}, output=Path(name, f"{epochs}"))
            history = run.history["loss"]
            losses = [{"epoch": at, "loss": loss} for at, loss in enumerate(history, start=1)]
            predicted = run.model.predict({"x": [0.0, 3.0]}).values
            lines += [
                {"x": x, "y": y, "epochs": f"{epochs:,}"}
                for x, y in zip((0.0, 3.0), predicted.tolist(), strict=True)
            ]
    points = [{"x": x, "y": x} for x in range(4)]
    order = list(dict.fromkeys(line["epochs"] for line in lines))
    color = altair.Color("epochs:N", title="after epoch", sort=order).scale(
        range=[GRAY, ORANGE, GREEN, BLUE]
    )
    left = chart(lines).mark_line(strokeWidth=2).encode(x="x:Q", y="y:Q", color=color)
    left += chart(points).mark_point(filled=True, size=90, color=ACCENT).encode(x="x:Q", y="y:Q")
    right = chart(losses).mark_line(strokeWidth=2, color=BLUE)
    right = right.encode(x="epoch:Q", y=altair.Y("loss:Q").scale(type="log").axis(format=".0e"))
    size = {"width": 260, "height": 220}
    save(altair.hconcat(left.properties(**size), right.properties(**size)), "line")


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
        x=altair.X("a:Q", title="a").scale(domain=[-0.5, 1.5], nice=False).axis(tickCount=5),
        x2="a2:Q",
        y=altair.Y("b:Q", title="b").scale(domain=[-0.5, 1.5], nice=False).axis(tickCount=5),
        y2="b2:Q",
        color=altair.Color("p:Q", title="probability").scale(scheme="blueorange", domain=[0, 1]),
    )
    cases = [{"a": x, "b": y, "case": str(x ^ y)} for x in (0, 1) for y in (0, 1)]
    text = altair.Chart(altair.Data(values=cases))
    text = text.mark_text(fontSize=22, fontWeight="bold", color="white")
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
            range=[BLUE, ACCENT]
        ),
    )
    best = 1 + int(np.argmin(history["val_loss"]))
    marked = altair.Chart(altair.Data(values=[{"epoch": best, "words": f"best: epoch {best}"}]))
    rule = marked.mark_rule(strokeDash=[4, 4], color=GRAY).encode(x="epoch:Q")
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


def draw_shifted_digits(folder: Path) -> None:
    """Draw ten digits, and below each the same one shifted by a pixel to the right."""
    sys.path.insert(0, str(folder))
    from shift_digits_png import shift

    cells = []
    for at, file in enumerate(sorted((folder / "digits_png").iterdir())[:10]):
        image = Image.open(file)
        for row, shown in enumerate((image, shift(image, 1))):
            for y, x in np.ndindex(8, 8):
                ink = np.array(shown)[y, x] / 255
                left, top = 10 * at + x, -10 * row - y
                cells.append({"x": left, "x2": left + 1, "y": top, "y2": top - 1, "ink": ink})
    x = altair.X("x:Q", axis=None).scale(domain=[0, 98], nice=False)
    y = altair.Y("y:Q", axis=None).scale(domain=[-18, 0], nice=False)
    opacity = altair.Opacity("ink:Q", legend=None).scale(domain=[0, 1], range=[0.08, 1])
    squares = chart(cells).mark_rect(color=BLUE).encode(x, y, x2="x2", y2="y2", opacity=opacity)
    save(squares.properties(width=588, height=108), "shifted-digits")


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
        domain=kinds, range=[BLUE, ACCENT, GREEN]
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
    dots = altair.Chart(altair.Data(values=points)).mark_point(filled=True, color=GRAY, size=30)
    picture = curve + dots.encode(x="x:Q", y="y:Q")
    save(picture.properties(width=560, height=280), "ensemble")


def draw_by_script(folder: Path, script: str, *runs: str) -> None:
    """Draw what a script of an example draws."""
    output = PICTURES / f"{script.partition('_')[0]}.svg"
    runs_and_output = [*(f"runs/{run}" for run in runs), "--output", str(output)]
    subprocess.run([sys.executable, script, *runs_and_output], cwd=folder, check=True)


if __name__ == "__main__":
    draw = {
        "line": draw_line,
        "xor": draw_xor,
        "overfitting": draw_overfitting,
        "digits": draw_digits,
        "shifted-digits": draw_shifted_digits,
        "play": lambda folder: draw_by_script(folder, "play_tictactoe.py", "tictactoe"),
        "drive": lambda folder: draw_by_script(folder, "drive_steering.py", "deep", "blind"),
        "ensemble": draw_ensemble,
    }
    draw[sys.argv[1]](Path(sys.argv[2]))
