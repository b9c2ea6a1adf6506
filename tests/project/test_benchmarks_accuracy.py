"""The comparison of errors with other libraries: tables, splits, errors, relative errors."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.accuracy import Fit, prediction_error, relative_errors, report
from benchmarks.forked import Ended
from benchmarks.public_tables import (
    HELD_BACK,
    SOURCES,
    Source,
    read_source,
    split_rows,
    split_source,
)

pytestmark = pytest.mark.release

ROOT = Path(__file__).parents[2]

RIVALS = f"""#!{sys.executable}
import csv, json, shutil, sys
from pathlib import Path

module, folder = sys.argv[2], Path(sys.argv[3])
if module == "benchmarks.rivals.shipped_tables":
    names, *rows = csv.reader(open({str(ROOT / "data" / "iris.csv")!r}))
    with open(folder / "iris.csv", "w") as file:
        csv.writer(file).writerows([[*names[:-1], "target"], *rows])
else:
    assert sys.argv[4:] == ["target", "classes", "LightGBM"]
    with open(folder / "LightGBM.csv", "w") as file:
        print("probability_setosa,probability_versicolor,probability_virginica", file=file)
        for _ in range(30):
            print("0.5,0.25,0.25", file=file)
    print(json.dumps({{"LightGBM": [2.0, 3.0]}}))
"""
"""Stands for an interpreter with scikit-learn and LightGBM."""


def test_a_table_is_read_without_row_names_and_without_rows_that_lack_the_target(
    tmp_path: Path,
) -> None:
    path = tmp_path / "cars.csv"
    path.write_text('"","model","price","mpg"\n"1","a",NA,20\n"2","b",7,NA\n"3","c",8,25\n')
    source = Source("cars", "price", left_out=("model",))

    assert read_source(path, source, 10) == (["price", "mpg"], [["7", "NA"], ["8", "25"]])


def test_a_sample_of_a_large_table_is_the_same_each_time(tmp_path: Path) -> None:
    path = tmp_path / "cars.csv"
    path.write_text("\n".join(["price", *map(str, range(1000))]))
    source = Source("cars", "price")
    _, rows = read_source(path, source, 5)

    assert len({int(cell) for (cell,) in rows}) == 5
    assert read_source(path, source, 5)[1] == rows


def test_a_fifth_of_each_class_is_held_out_for_testing() -> None:
    rows = [[str(row)] for row in range(15)]
    classes = ["a"] * 10 + ["b"] * 5
    train, test = split_rows(rows, classes, "cars 0")

    assert sorted([*train, *test], key=lambda row: int(row[0])) == rows
    assert [classes[int(cell)] for (cell,) in test] == ["a", "a", "b"]
    assert split_rows(rows, classes, "cars 0") == (train, test)
    assert split_rows(rows, classes, "cars 1") != (train, test)


def test_rows_of_a_group_are_all_in_one_set(tmp_path: Path) -> None:
    path = tmp_path / "men.csv"
    path.write_text("\n".join(["nr,wage", *(f"{row % 10},{row}" for row in range(30))]))
    source = Source("men", "wage", group="nr")
    _, train, test = split_source(path, source, 30, 0)

    held_out = {man for man, _ in test}
    assert (len(train), len(test), len(held_out)) == (24, 6, 2)
    assert not held_out & {man for man, _ in train}


def test_the_error_of_numbers_is_the_root_mean_squared_error(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text("prediction\n1\n2\n")

    # errors 3 and 4
    assert prediction_error(path, ["4", "-2"], classes=False) == pytest.approx(math.sqrt(25 / 2))


def test_the_error_of_classes_is_the_log_loss_which_no_probability_makes_infinite(
    tmp_path: Path,
) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text("probability_a,probability_b\n0.25,0.75\n1,0\n")

    expected = (-math.log(0.25) - math.log(1e-6)) / 2
    assert prediction_error(path, ["a", "b"], classes=True) == pytest.approx(expected)


def fit(source: str, model: str, error: float, split: int = 0) -> Fit:
    return Fit(source, "regression", split, 100, model, error, 1.0, 2.0, "")


def test_mean_errors_over_the_splits_are_divided_by_those_of_lightgbm() -> None:
    fits = [
        *(fit("cars", "LightGBM", 4.0, 0), fit("cars", "dlcli", 1.0, 0)),
        *(fit("cars", "LightGBM", 6.0, 1), fit("cars", "dlcli", 3.0, 1)),
    ]

    assert relative_errors(fits) == {"cars": {"LightGBM": 1.0, "dlcli": 0.4}}


def test_the_report_ends_with_the_geometric_mean_the_worst_table_and_the_seconds() -> None:
    fits = [
        *(fit("cars", "LightGBM", 1.0), fit("cars", "dlcli", 0.5)),
        *(fit("houses", "LightGBM", 1.0), fit("houses", "dlcli", 2.0)),
    ]
    (table,) = report(fits)
    cells = [list(column.cells) for column in table.columns]

    assert cells[0] == ["cars", "houses", "geometric mean", "worst", "seconds", "CPU seconds"]
    assert cells[-1] == ["0.500", "2.000", "1.000", "2.000", "1.0", "2.0"]


def test_tables_are_held_back_of_both_kinds_and_no_default_is_chosen_with_them() -> None:
    names = [source.name for source in (*SOURCES, *HELD_BACK)]

    assert len(SOURCES) >= 20
    assert len(HELD_BACK) >= 20
    assert len(set(names)) == len(names)
    assert not {source.table for source in SOURCES} & {source.table for source in HELD_BACK}
    assert {source.kind for source in HELD_BACK} == {"regression", "classes"}


@pytest.mark.skipif(sys.platform == "win32", reason="needs forking")
def test_configs_are_compared_with_lightgbm_and_a_failure_is_reported(
    tmp_path: Path, run_module: Callable[..., Ended]
) -> None:
    rivals, tables, result = (tmp_path / name for name in ("python", "tables", "result.json"))
    rivals.write_text(RIVALS)
    rivals.chmod(0o755)
    tables.mkdir()
    interpreter = ["--rivals-python", str(rivals)]
    tables_options = ["--tables", str(tables), "--only", "iris target", "--splits", "1"]
    short = ["--settings", "short", "simple", "epochs=40", "batch_size=8"]
    settings = ["--presets", "--rivals", *short]
    failing = ["--settings", "failing", "simple", "epochs=0"]
    options = [*interpreter, *tables_options, *settings, *failing]
    done = run_module("benchmarks.accuracy", *options, "--json", str(result))

    assert done.code == 1, done.errors + done.output
    assert "failing, iris target, split 0: train, exit code 2: " in done.output
    light, short, failing_fit = json.loads(result.read_text())["fits"]
    assert (light["rows"], light["seconds"], light["cpu_seconds"]) == (120, 2, 3)
    # ten rows of each class
    assert light["error"] == pytest.approx((-math.log(0.5) - 2 * math.log(0.25)) / 3)
    assert (short["model"], short["failure"]) == ("short", "")
    assert 0 < short["error"] < light["error"]
    assert (failing_fit["model"], math.isnan(failing_fit["error"])) == ("failing", True)
