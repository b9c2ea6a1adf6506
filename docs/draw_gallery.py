"""Draw the pictures of docs/gallery.md from its runs.

`python docs/draw_gallery.py FOLDER` draws all of them in docs/pictures; FOLDER is where the
commands of the page have run. Only test rows are shown.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from statistics import fmean
from typing import Any

import altair
import numpy as np
import pyarrow.csv as pa_csv
from draw_diagrams import draw_network
from picture_theme import ACCENT, BELOW, BLUE, GRAY, GREEN, ORANGE, chart, save
from PIL import Image

import dlcli
from dlcli.runs.run_folder import open_run

WIDTH, HEIGHT = 320, 170
"""Size of the pictures: small, and readable on a phone."""


def test_rows(folder: Path, run: str, table: str) -> list[dict[str, Any]]:
    """Return the test rows of a run: the columns of its table and of its predictions."""
    rows = pa_csv.read_csv(folder / table).to_pylist()
    predictions = open_run(folder / "runs" / run).required_predictions.table.to_pylist()
    return [
        rows[each["row"] - 1] | {f"_{name}": value for name, value in each.items()}
        for each in predictions
        if each["split"] == "test"
    ]


def draw_regression(folder: Path) -> None:
    """Draw true and predicted bike rentals by hour, on weekdays and at weekends."""
    sums: dict[tuple[str, int, str], list[float]] = defaultdict(list)
    for row in test_rows(folder, "bikes", "data/bikes.csv"):
        days = "weekends" if row["weekday"] in ("Saturday", "Sunday") else "Monday to Friday"
        sums[days, row["hour"], "true"].append(row["rentals"])
        sums[days, row["hour"], "predicted"].append(row["_prediction"])
    means = [
        {"days": days, "hour": hour, "rentals": fmean(values), "kind": kind}
        for (days, hour, kind), values in sums.items()
    ]
    base = chart(means).encode(
        x=altair.X("hour:Q").scale(domain=[0, 23], nice=False), y="rentals:Q"
    )
    colors = altair.Scale(domain=["Monday to Friday", "weekends"], range=[BLUE, ORANGE])
    base = base.encode(color=altair.Color("days:N", title=None, scale=colors, legend=BELOW))
    picture = base.transform_filter("datum.kind == 'predicted'").mark_line(strokeWidth=2.5)
    picture += base.transform_filter("datum.kind == 'true'").mark_circle(size=40, opacity=1)
    save(picture.properties(width=WIDTH, height=HEIGHT), "gallery-regression")


def draw_imbalanced(folder: Path) -> None:
    """Draw the share of purchases among the visits with the highest probability."""
    rows = test_rows(folder, "shoppers", "data/shoppers.csv")
    rows.sort(key=lambda row: -row["_probability_yes"])
    found = np.cumsum([row["purchase"] == "yes" for row in rows])
    points = [
        {"visits": (at + 1) / len(rows), "share": float(count / found[-1]), "order": "network"}
        for at, count in enumerate(found.tolist())
    ]
    points += [{"visits": at, "share": at, "order": "random order"} for at in (0.0, 1.0)]
    colors = altair.Scale(domain=["network", "random order"], range=[BLUE, GRAY])
    picture = chart(points).mark_line(strokeWidth=2.5)
    picture = picture.encode(
        x=altair.X("visits:Q", title="visits, most likely first").axis(format="%"),
        y=altair.Y("share:Q", title="purchases found").axis(format="%"),
        color=altair.Color("order:N", title=None, scale=colors, legend=BELOW),
    )
    save(picture.properties(width=WIDTH, height=HEIGHT), "gallery-imbalanced")


def draw_classes(folder: Path) -> None:
    """Draw the predicted species by length of the bill and of the flipper."""
    names = {"Adelie": BLUE, "Chinstrap": ORANGE, "Gentoo": GREEN}
    points = [
        {
            "bill (mm)": row["Culmen Length (mm)"],
            "flipper (mm)": row["Flipper Length (mm)"],
            "species": row["_prediction"].split()[0],
        }
        for row in test_rows(folder, "penguins", "data/penguins.csv")
        if row["Culmen Length (mm)"] not in (None, "NA")
    ]
    points = [
        {**point, **{name: float(point[name]) for name in ("bill (mm)", "flipper (mm)")}}
        for point in points
    ]
    scale = altair.Scale(domain=[*names], range=[*names.values()])
    picture = chart(points).mark_circle(size=55, opacity=0.9)
    picture = picture.encode(
        x=altair.X("bill (mm):Q").scale(zero=False),
        y=altair.Y("flipper (mm):Q").scale(zero=False),
        color=altair.Color("species:N", title=None, scale=scale, legend=BELOW),
    )
    save(picture.properties(width=WIDTH, height=HEIGHT), "gallery-classes")


def draw_images(folder: Path) -> None:
    """Draw ten test images with the predicted digit."""
    rows = test_rows(folder, "images", "data/digits_png.csv")
    chosen = [next(row for row in rows if row["digit"] == digit) for digit in range(10)]
    pixels, titles = [], []
    for at, row in enumerate(chosen):
        left, top = 10 * (at % 5), 12 * (at // 5)
        with Image.open(folder / "data" / row["image"]) as image:
            values = np.asarray(image.convert("L"))
        pixels += [
            {"x": left + x, "y": top + y, "ink": int(values[y, x])}
            for y in range(values.shape[0])
            for x in range(values.shape[1])
        ]
        titles.append({"x": left + 3.5, "y": top + 8.9, "text": f"{row['_prediction']}"})
    x = altair.X("x:Q", axis=None).scale(domain=[-1, 49], nice=False)
    y = altair.Y("y:Q", axis=None).scale(domain=[22, -1], nice=False)
    ink = altair.Color("ink:Q", legend=None).scale(domain=[0, 255], range=["#1d2b3a", "#ffffff"])
    picture = chart(pixels).mark_square(size=44, opacity=1).encode(x, y, color=ink)
    picture += chart(titles).mark_text(fontSize=14, fontWeight="bold").encode(x, y, text="text:N")
    save(picture.properties(width=WIDTH, height=150), "gallery-images")


def draw_text(folder: Path) -> None:
    """Draw the probability that a sentence is positive, for sentences that are not in the data."""
    texts = [
        "Amazing food, friendly staff.",
        "Great prices, we will be back!",
        "It was okay.",
        "Slow service and cold fries.",
        "The worst meal of the year.",
    ]
    predicted = dlcli.load(folder / "runs" / "reviews").predict({"review": texts})
    assert predicted.probabilities is not None
    bars = [
        {"text": text, "positive": float(p)}
        for text, p in zip(texts, predicted.probabilities[:, 1], strict=True)
    ]
    base = chart(bars).encode(
        x=altair.X("positive:Q", title="probability of positive")
        .scale(domain=[0, 1])
        .axis(format="%", tickCount=2),
        y=altair.Y("text:N", title=None, sort=None).axis(labelLimit=320, ticks=False),
    )
    color = altair.condition("datum.positive > 0.5", altair.value(BLUE), altair.value(ORANGE))
    save(
        base.mark_bar(size=14).encode(color=color).properties(width=130, height=130), "gallery-text"
    )


def draw_counts(folder: Path) -> None:
    """Draw true counts by predicted mean count."""
    points = [
        {"predicted": row["_prediction"], "true": row["rentals"]}
        for row in test_rows(folder, "counts", "data/bikes.csv")
    ]
    scale = altair.Scale(type="sqrt", domain=[0, 700])
    line = chart([{"predicted": at, "true": at} for at in (0, 350, 700)]).mark_line(color=GRAY)
    dots = chart(points[:400]).mark_circle(size=18, opacity=0.7, color=BLUE)
    picture = (line + dots).encode(
        x=altair.X("predicted:Q", scale=scale).axis(values=[0, 50, 200, 400, 700]),
        y=altair.Y("true:Q", scale=scale).axis(values=[0, 50, 200, 400, 700]),
    )
    save(picture.properties(width=WIDTH, height=HEIGHT), "gallery-counts")


def draw_labels(folder: Path) -> None:
    """Draw the probability of two labels for five test rows."""
    rows = open_run(folder / "runs" / "visits").required_predictions.table.to_pylist()
    rows = [row for row in rows if row["split"] == "test"]
    columns = [name for name in rows[0] if name.startswith("probability_")]
    rows.sort(key=lambda row: row[columns[1]])
    chosen = [rows[round(share * (len(rows) - 1))] for share in (0.1, 0.6, 0.9, 0.97, 0.995)]
    cells = [
        {"visit": f"visit {at}", "label": name.removeprefix("probability_"), "p": row[name]}
        for at, row in enumerate(chosen, start=1)
        for name in columns
    ]
    base = chart(cells).encode(
        x=altair.X("label:N", title=None, sort=None).axis(
            labelAngle=0, orient="top", ticks=False, domain=False
        ),
        y=altair.Y("visit:N", title=None).axis(ticks=False, domain=False),
    )
    fill = altair.condition("datum.p > 0.5", altair.value(BLUE), altair.value(GRAY))
    picture = base.mark_rect(stroke="white").encode(color=fill)
    text = base.mark_text(fontSize=13, fontWeight="bold")
    picture += text.encode(text=altair.Text("p:Q", format=".0%"), color=altair.value("white"))
    save(picture.properties(width=260, height=140), "gallery-labels")


def draw_game(folder: Path) -> None:
    """Draw three test boards and the probability that x has won."""
    rows = test_rows(folder, "board", "data/tictactoe.csv")
    rows.sort(key=lambda row: row["_probability_true"])
    lines, words = [], []
    unsure = min(rows, key=lambda row: abs(row["_probability_true"] - 0.5))
    for at, row in enumerate((rows[-1], unsure, rows[0])):
        left = 4 * at
        squares = [value for name, value in row.items() if "_" in name and name[0] in "tmb"][:9]
        words += [
            {"x": left + 0.5 + square % 3, "y": -0.5 - square // 3, "text": mark, "kind": mark}
            for square, mark in enumerate(squares)
            if mark != "blank"
        ]
        share = f"x has won: {row['_probability_true']:.0%}"
        words.append({"x": left + 1.5, "y": 0.4, "text": share, "kind": "title"})
        for line in (1, 2):
            lines += [
                {"x": left + line, "y": 0, "x2": left + line, "y2": -3},
                {"x": left, "y": -line, "x2": left + 3, "y2": -line},
            ]
    x = altair.X("x:Q", axis=None).scale(domain=[-0.3, 11.3], nice=False)
    y = altair.Y("y:Q", axis=None).scale(domain=[-3.1, 0.8], nice=False)
    picture = chart(lines).mark_rule(color=GRAY).encode(x, y, x2="x2", y2="y2")
    text = chart(words).encode(x, y, text="text:N")
    marks = {"x": BLUE, "o": ORANGE}
    for mark, color in marks.items():
        shown = text.transform_filter(f"datum.kind == '{mark}'")
        picture += shown.mark_text(fontSize=22, fontWeight="bold").encode(color=altair.value(color))
    picture += text.transform_filter("datum.kind == 'title'").mark_text(fontSize=12)
    save(picture.properties(width=380, height=128), "gallery-game")


def draw_search(folder: Path) -> None:
    """Draw the validation loss of each candidate of a search."""
    trials = open_run(folder / "runs" / "search-tune").search.trials
    points = [
        {
            "learning rate": trial.values["optimizer.learning_rate"],
            "validation loss": trial.value,
            "units": f"{trial.values['hidden_layers.units']} units",
        }
        for trial in trials
        if trial.value is not None
    ]
    scale = altair.Scale(domain=["8 units", "16 units", "32 units"], range=[ORANGE, GREEN, BLUE])
    picture = chart(points).mark_circle(size=70, opacity=1)
    picture = picture.encode(
        x=altair.X("learning rate:Q")
        .scale(type="log", domain=[0.001, 0.03])
        .axis(values=[0.001, 0.003, 0.01, 0.03]),
        y=altair.Y("validation loss:Q").scale(zero=True),
        color=altair.Color("units:N", title=None, sort=None, scale=scale, legend=BELOW),
    )
    save(picture.properties(width=WIDTH, height=HEIGHT), "gallery-search")


def draw_control(folder: Path) -> None:
    """Draw predicted and true steering angle along a test drive."""
    rows = test_rows(folder, "car", "data/steering.csv")
    drive = rows[0]["drive"]
    points = [
        {"step": step, "steering angle (°)": row[column], "kind": kind}
        for step, row in enumerate([row for row in rows if row["drive"] == drive][:100])
        for column, kind in (("steering_angle", "true"), ("_prediction", "predicted"))
    ]
    scale = altair.Scale(domain=["predicted", "true"], range=[BLUE, ACCENT])
    color = altair.Color("kind:N", title=None, scale=scale, legend=BELOW)
    base = chart(points).encode(
        x=altair.X("step:Q", title="step of a test drive"), y="steering angle (°):Q", color=color
    )
    picture = base.transform_filter("datum.kind == 'predicted'").mark_line(strokeWidth=2.5)
    picture += base.transform_filter("datum.kind == 'true'").mark_circle(size=22, opacity=1)
    save(picture.properties(width=WIDTH, height=HEIGHT), "gallery-control")


def draw_outputs(folder: Path) -> None:
    """Draw a network with two outputs."""
    layers = [("hidden", 64, "silu"), ("hidden", 32, "silu"), ("output", 2, "linear")]
    draw_network("gallery-outputs", 8, layers)


if __name__ == "__main__":
    for draw in (
        *(draw_regression, draw_imbalanced, draw_classes, draw_images, draw_text, draw_counts),
        *(draw_labels, draw_game, draw_search, draw_control, draw_outputs),
    ):
        draw(Path(sys.argv[1]))
