"""Draw the pictures of the how-to pages, from trainings of the shipped tables.

`python docs/draw_results.py` draws all of them in docs/pictures, and
`python docs/draw_results.py thresholds missing` draws two. It takes about two minutes.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import altair
import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
from picture_theme import ACCENT, BELOW, BLUE, GRAY, GREEN, ORANGE, chart, save

import dlcli

ROOT = Path(__file__).parents[1]
SETS = {"training": BLUE, "validation": ORANGE, "test": GREEN}
"""The sets of a split, and their colors."""


def color_of(colors: dict[str, str], field: str, **options: object) -> altair.Color:
    """Return a color for each name, in the order of the names."""
    scale = altair.Scale(domain=[*colors], range=[*colors.values()])
    return altair.Color(f"{field}:N", title=None, sort=[*colors], scale=scale, **options)


# Classes


@cache
def tumors() -> tuple[np.ndarray, np.ndarray]:
    """Return whether each row is malignant, and its probability, each from five-fold training."""
    with tempfile.TemporaryDirectory() as folder:
        run = dlcli.cross_validate(
            str(ROOT / "configs" / "breast_cancer.yaml"),
            overrides={"class_weight": None},
            output=Path(folder, "cv"),
        )
        rows = run.predictions
    is_malignant = np.array(rows["target"].to_pylist()) == "malignant"
    return is_malignant, rows["probability_malignant"].to_numpy()


def draw_confusion() -> None:
    """Draw the confusion matrix of two classes, with a word for each cell."""
    truth, probability = tumors()
    names = ["malignant", "benign"]
    words = [["found", "missed"], ["false alarm", "correctly cleared"]]
    cells = [
        {
            "true": names[row],
            "predicted": names[column],
            "rows": int(np.sum((truth == (row == 0)) & ((probability > 0.5) == (column == 0)))),
            "word": words[row][column],
            "right": row == column,
        }
        for row in (0, 1)
        for column in (0, 1)
    ]
    base = chart(cells).encode(
        x=altair.X("predicted:N", sort=names)
        .axis(labelAngle=0, orient="top", ticks=False, domain=False)
        .scale(padding=0.03),
        y=altair.Y("true:N", sort=names).axis(ticks=False, domain=False).scale(padding=0.05),
    )
    fill = altair.condition("datum.right", altair.value(BLUE), altair.value(ORANGE))
    white = altair.value("white")
    picture = base.mark_rect(cornerRadius=3).encode(color=fill)
    picture += base.mark_text(fontSize=26, fontWeight="bold", dy=-8).encode(
        text="rows:Q", color=white
    )
    picture += base.mark_text(fontSize=14, fontWeight="bold", dy=18).encode(
        text="word:N", color=white
    )
    save(picture.properties(width=320, height=190), "confusion")


def draw_thresholds() -> None:
    """Draw precision and recall at each threshold of the probability."""
    truth, probability = tumors()
    points = []
    for threshold in np.linspace(0.01, 0.99, 99).tolist():
        is_positive = probability > threshold
        hits = int(np.sum(truth & is_positive))
        measured = {"recall": hits / truth.sum(), "precision": hits / is_positive.sum()}
        points += [
            {"threshold": threshold, "share": float(share), "metric": name}
            for name, share in measured.items()
        ]
    lines = chart(points).mark_line(strokeWidth=2.5, interpolate="step-after")
    picture = lines.encode(
        x=altair.X("threshold:Q").scale(domain=[0, 1]),
        y=altair.Y("share:Q", title=None).scale(domain=[0.7, 1], nice=False).axis(format="%"),
        color=color_of({"precision": BLUE, "recall": ORANGE}, "metric", legend=BELOW),
    )
    default = chart([{"threshold": 0.5, "words": "default"}])
    picture += default.mark_rule(strokeDash=[4, 4], color=GRAY).encode(x="threshold:Q")
    picture += default.mark_text(align="left", dx=5, y=190).encode(x="threshold:Q", text="words:N")
    save(picture.properties(width=380, height=210), "thresholds")


def draw_costs() -> None:
    """Draw the mean cost of a visit at each threshold, on validation and on test rows."""
    costs = {"false_positive": 1, "false_negative": 9}
    with tempfile.TemporaryDirectory() as folder:
        config = str(ROOT / "configs" / "shoppers.yaml")
        settings = {"epochs": 20, "decision": {"costs": costs}}
        dlcli.train(config, overrides=settings, output=Path(folder, "run"))
        rows = pq.read_table(Path(folder, "run", "predictions.parquet"))
    splits = np.array(rows["split"].to_pylist())
    is_purchase = np.array(rows["target"].to_pylist()) == "yes"
    probability = rows["probability_yes"].to_numpy()
    points = []
    for name in ("validation", "test"):
        truth, score = is_purchase[splits == name], probability[splits == name]
        for at in np.linspace(0.005, 0.995, 199).tolist():
            missed, false = truth & (score <= at), ~truth & (score > at)
            cost = np.mean(costs["false_negative"] * missed + costs["false_positive"] * false)
            points.append({"threshold": at, "cost": float(cost), "rows": name})
    lines = chart(points).mark_line(strokeWidth=2.5, interpolate="step-after")
    colors = {name: SETS[name] for name in ("validation", "test")}
    picture = lines.encode(
        x=altair.X("threshold:Q").scale(domain=[0, 1]),
        y=altair.Y("cost:Q", title="mean cost of a row").scale(domain=[0, 1.5]),
        color=color_of(colors, "rows", legend=BELOW),
    )
    for at, words in ((0.1, "chosen"), (0.5, "default")):
        rule = chart([{"threshold": at, "words": words}])
        picture += rule.mark_rule(strokeDash=[4, 4], color=GRAY).encode(x="threshold:Q")
        picture += rule.mark_text(align="left", dx=5, y=12).encode(x="threshold:Q", text="words:N")
    save(picture.properties(width=380, height=210), "costs")


# Numbers


def split_rows(table: pa.Table, test: float, seed: int = 0) -> tuple[pa.Table, pa.Table]:
    """Return the training and the test rows of a random split."""
    order = np.random.default_rng(seed).permutation(table.num_rows)
    held_out = round(test * table.num_rows)
    return table.take(order[held_out:]), table.take(order[:held_out])


def draw_intervals() -> None:
    """Draw 90 % prediction intervals, and the true value of each test row."""
    table = pa_csv.read_csv(ROOT / "data" / "diabetes.csv")
    train, test = split_rows(table, 0.2)
    config: dict[str, Any] = {
        "data": {"target": "progression"},
        "hidden": [{"units": 64, "activation": "relu"}],
        "epochs": 60,
        "early_stopping": {"patience": 10},
        "ensemble": {"members": 8},
    }
    with tempfile.TemporaryDirectory() as folder:
        run = dlcli.train(config, train, output=Path(folder, "run"))
        predicted = run.model.predict(test, interval=0.9).to_arrow().to_pydict()
    points = [
        {"prediction": value, "lower": lower, "upper": upper, "true": float(true)}
        for value, lower, upper, true in zip(
            *(predicted[name] for name in ("prediction", "lower", "upper")),
            test["progression"].to_pylist(),
            strict=True,
        )
    ]
    for point in points:
        is_inside = point["lower"] <= point["true"] <= point["upper"]
        point["row"] = "inside its interval" if is_inside else "outside"
    inside = sum(point["row"] != "outside" for point in points)
    base = chart(points).encode(
        x=altair.X("prediction:Q").scale(domain=[50, 300]).axis(tickCount=5)
    )
    bars = base.mark_rule(color=GRAY, opacity=0.45, strokeWidth=2)
    picture = bars.encode(y=altair.Y("lower:Q", title="true value"), y2="upper:Q")
    colors = {"inside its interval": BLUE, "outside": ACCENT}
    dots = base.mark_circle(size=42, opacity=1)
    picture += dots.encode(y="true:Q", color=color_of(colors, "row", legend=BELOW))
    title = f"{inside} of {len(points)} true values are inside their 90 % interval"
    save(picture.properties(width=400, height=270, title=title), "intervals")


def draw_learning_curve() -> None:
    """Draw the error on the same test rows after training on more and more rows."""
    table = pa_csv.read_csv(ROOT / "data" / "steering.csv").drop_columns(["drive"])
    train, test = split_rows(table, 0.3)
    truth = test["steering_angle"].to_numpy()
    networks: dict[str, list[dict[str, Any]]] = {
        "linear model": [],
        "network": [{"units": 64, "activation": "silu"}, {"units": 32, "activation": "silu"}],
    }
    points = []
    for name, hidden in networks.items():
        for rows in (65, 130, 260, 525, 1050, 2100):
            config: dict[str, Any] = {
                "data": {"target": "steering_angle", "validation": 0.2},
                "hidden": hidden,
                "optimizer": {"name": "adam", "learning_rate": 0.003},
                "epochs": 200,
                "early_stopping": {"patience": 30},
            }
            with tempfile.TemporaryDirectory() as folder:
                run = dlcli.train(config, train.slice(0, rows), output=Path(folder, "run"))
                error = np.array(run.model.predict(test).values, float).ravel() - truth
            points.append({"rows": rows, "rmse": float(np.sqrt(np.mean(error**2))), "model": name})
    picture = chart(points).mark_line(strokeWidth=2.5, point={"size": 50})
    picture = picture.encode(
        x=altair.X("rows:Q", title="training rows")
        .scale(type="log", domain=[60, 2300], nice=False)
        .axis(values=[65, 130, 260, 525, 1050, 2100], format="d"),
        y=altair.Y("rmse:Q", title="RMSE on test rows (degrees)").scale(domain=[0, 4]),
        color=color_of({"linear model": GRAY, "network": BLUE}, "model", legend=BELOW),
    )
    save(picture.properties(width=400, height=230), "learning-curve")


def draw_bikes() -> None:
    """Draw the mean rentals by hour, as they are and as two models predict them."""
    table = pa_csv.read_csv(ROOT / "data" / "bikes.csv")
    config = str(ROOT / "configs" / "bikes.yaml")
    colors = {"data": ORANGE, "network": BLUE, "linear model": GRAY}
    with tempfile.TemporaryDirectory() as folder:
        network = dlcli.train(config, output=Path(folder, "network"))
        linear = dlcli.train(config, overrides={"hidden": []}, output=Path(folder, "linear"))
        rentals = {
            "data": table["rentals"].to_numpy(),
            "network": np.array(network.model.predict(table).values, float),
            "linear model": np.array(linear.model.predict(table).values, float),
        }
    hour = table["hour"].to_numpy()
    is_weekend = np.isin(table["weekday"].to_pylist(), ["Saturday", "Sunday"])
    points = [
        {
            "hour": at,
            "rentals": float(values[is_days & (hour == at)].mean()),
            "of": name,
            "days": days,
        }
        for days, is_days in (("Monday to Friday", ~is_weekend), ("weekend", is_weekend))
        for name, values in rentals.items()
        for at in range(24)
    ]
    picture = (
        chart(points)
        .mark_line(strokeWidth=2.5)
        .encode(
            x=altair.X("hour:Q", title="hour of the day").axis(values=[0, 6, 12, 18]),
            y=altair.Y("rentals:Q", title="mean rentals in an hour"),
            color=color_of(colors, "of", legend=BELOW),
            strokeDash=altair.condition(
                "datum.of == 'data'", altair.value([2, 3]), altair.value([1, 0])
            ),
        )
    )
    picture = picture.properties(width=220, height=200)
    save(picture.facet(column=altair.Column("days:N", title=None)), "bikes")


# Tables


def draw_splits() -> None:
    """Draw which rows are held out by a random split, by groups and by time."""
    groups = "AAAABBBBBCCCCDDDEEEEFFFF"
    random = np.random.default_rng(2).permutation(
        ["training"] * 16 + ["validation"] * 4 + ["test"] * 4
    )
    set_of_group = {"B": "test", "D": "validation"}
    by_group = [set_of_group.get(group, "training") for group in groups]
    by_time = ["training"] * 16 + ["validation"] * 4 + ["test"] * 4
    titles = {
        "random: each row by chance": (random.tolist(), groups),
        "group: all rows of a patient in one set": (by_group, groups),
        "time: train on the past, test on the future": (by_time, " " * 24),
    }
    cells = [
        {"row": at, "set": name, "group": group, "split": title}
        for title, (sets, labels) in titles.items()
        for at, (name, group) in enumerate(zip(sets, labels, strict=True))
    ]
    base = chart(cells).encode(x=altair.X("row:O", axis=None).scale(padding=0.06))
    legend = altair.Legend(orient="bottom", columnPadding=24, symbolType="square")
    picture = base.mark_rect().encode(color=color_of(SETS, "set", legend=legend))
    picture += base.mark_text(fontSize=12, fontWeight="bold").encode(
        text="group:N", color=altair.value("white")
    )
    header = altair.Header(labelOrient="top", labelAnchor="start", labelPadding=2)
    rows = altair.Row("split:N", title=None, sort=[*titles], header=header)
    save(picture.properties(width=400, height=26).facet(row=rows, spacing=8), "splits")


def draw_missing() -> None:
    """Draw the inputs that a column with missing values becomes."""
    ages = [31.0, None, 54.0, 42.0, None]
    median = float(np.median([age for age in ages if age is not None]))
    columns: dict[str, Callable[[float | None], str]] = {
        "age": lambda age: "" if age is None else f"{age:.0f}",
        "age, filled": lambda age: f"{median if age is None else age:.0f}",
        "age is missing": lambda age: f"{int(age is None)}",
    }
    cells = [
        {
            "row": row,
            "column": name,
            "text": text(age),
            "panel": "your column" if name == "age" else "inputs of the network",
            "filled": age is None,
        }
        for name, text in columns.items()
        for row, age in enumerate(ages, start=1)
    ]
    panels = []
    for panel in ("your column", "inputs of the network"):
        base = chart([cell for cell in cells if cell["panel"] == panel]).encode(
            x=altair.X("column:N", title=None, sort=[*columns])
            .axis(labelAngle=0, orient="top", ticks=False, domain=False)
            .scale(padding=0.02),
            y=altair.Y("row:O", axis=None).scale(padding=0.08),
        )
        fill = altair.condition("datum.filled", altair.value(ORANGE), altair.value(BLUE))
        squares = base.mark_rect().encode(color=fill)
        numbers = base.mark_text(fontSize=14, fontWeight="bold")
        picture = squares + numbers.encode(text="text:N", color=altair.value("white"))
        width = 110 if panel == "your column" else 230
        panels.append(picture.properties(title=panel, width=width, height=140))
    save(altair.hconcat(*panels, spacing=30), "missing")


MONOTONE_PAGE = ROOT / "docs" / "how-to" / "monotone.md"
PATIENTS = 12


def draw_monotone() -> None:
    """Draw the predictions of some patients by their blood pressure, with a direction or not."""
    diabetes = pa_csv.read_csv(ROOT / "data" / "diabetes.csv")
    features = diabetes.drop_columns(["progression"])
    patients = features.take(np.linspace(0, diabetes.num_rows - 1, PATIENTS).astype(int))
    page = MONOTONE_PAGE.read_text(encoding="utf-8")
    config = page.partition("# bmi.yaml\n")[2].partition("```")[0].replace("data/", f"{ROOT}/data/")
    pressures, lines = np.linspace(62, 133, 72).tolist(), []
    for kind, change in (("free", ", monotone: increasing"), ("monotone", "")):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "bmi.yaml")
            path.write_text(config.replace(change, ""), encoding="utf-8")
            dlcli.train(str(path), output=Path(folder, "run"), progress=False)
            model = dlcli.load(Path(folder, "run"))
            at = patients.column_names.index("blood_pressure")
            for pressure in pressures:
                rows = patients.set_column(at, "blood_pressure", pa.array([pressure] * PATIENTS))
                for patient, value in enumerate(np.asarray(model.predict(rows).values).ravel()):
                    line = {"patient": patient, "network": kind}
                    lines.append({**line, "pressure": pressure, "y": float(value)})
    base = chart(lines).mark_line(strokeWidth=1.5, opacity=0.8, color=BLUE)
    picture = base.encode(
        x=altair.X("pressure:Q", title="blood pressure").scale(zero=False, nice=False),
        y=altair.Y("y:Q", title="predicted progression").scale(zero=False),
        detail="patient:N",
    ).properties(width=230, height=210)
    save(picture.facet(column=altair.Column("network:N", title=None)), "monotone")


PICTURES = {
    "confusion": draw_confusion,
    "thresholds": draw_thresholds,
    "costs": draw_costs,
    "intervals": draw_intervals,
    "learning-curve": draw_learning_curve,
    "bikes": draw_bikes,
    "splits": draw_splits,
    "missing": draw_missing,
    "monotone": draw_monotone,
}


def chosen(names: list[str]) -> Iterator[Callable[[], None]]:
    """Yield the functions that draw the named pictures, or all of them."""
    for name in names or PICTURES:
        yield PICTURES[name]


if __name__ == "__main__":
    for draw in chosen(sys.argv[1:]):
        draw()
