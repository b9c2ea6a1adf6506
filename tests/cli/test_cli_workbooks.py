"""Workbooks in all commands that read tables."""

from __future__ import annotations

import csv
from datetime import date, timedelta
from pathlib import Path

import pytest

openpyxl = pytest.importorskip("openpyxl")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_workbook_and_its_csv_give_the_same_network(dlcli):
    rows: list[list[object]] = [["day", "city", "size", "share", "price"]]
    start = date(2024, 1, 1)
    for at in range(60):
        share = at % 7 / 8
        rows.append([start + timedelta(days=at), "ABC"[at % 3], at % 11, share, at % 11 + share])
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    book.save("data.xlsx")
    with open("data.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    for name in ("xlsx", "csv"):
        wrote = dlcli(
            "init",
            f"data.{name}",
            "--target",
            "price",
            "--preset",
            "simple",
            "--output",
            f"{name}.yaml",
        )
        assert wrote.exit_code == 0, wrote.stderr
        assert dlcli("train", f"{name}.yaml", "--set", "epochs=3").exit_code == 0
    files = ("weights.npz", "encoding.json", "metrics.json", "predictions.parquet")
    for file in files:
        one, other = (Path("runs", name, file).read_bytes() for name in ("xlsx", "csv"))
        assert one == other, file
    predicted = [dlcli("predict", "runs/csv", f"data.{name}").stdout for name in ("xlsx", "csv")]
    assert predicted[0] == predicted[1]


@pytest.mark.usefixtures("double")
def test_predictions_are_written_to_a_workbook(dlcli):
    plain = dlcli("predict", "runs/double", "points.csv", "--keep", "x")
    written = dlcli("predict", "runs/double", "points.csv", "--keep", "x", "--output", "out.xlsx")
    assert (written.exit_code, written.stdout) == (0, "")
    header, *rows = openpyxl.load_workbook("out.xlsx").active.iter_rows(values_only=True)
    expected = [line.split(",") for line in plain.stdout.splitlines()]
    assert list(header) == expected[0]
    assert [[float(value) for value in row] for row in rows] == (
        [[float(value) for value in row] for row in expected[1:]]
    )
