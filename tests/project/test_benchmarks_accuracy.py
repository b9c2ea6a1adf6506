"""The comparison of errors with other libraries: tables, splits, errors, results, summary."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy import score
from benchmarks.accuracy_results import (
    REFERENCE,
    Fit,
    Results,
    Score,
    count_wins,
    mean_interval,
    relative_errors,
    report,
)
from benchmarks.forked import Ended
from benchmarks.public_tables import (
    DEVELOPMENT,
    HELD_BACK,
    SOURCES,
    Source,
    choose_test,
    read_catalog,
    read_source,
    split_source,
)

pytestmark = pytest.mark.release

ROOT = Path(__file__).parents[2]

RIVALS = f"""#!{sys.executable}
import json, sys
from pathlib import Path

folder, *arguments = sys.argv[3:]
assert arguments == ["species", "classes", {REFERENCE!r}, "--categorical", "island"], arguments
with open(Path(folder, {REFERENCE + ".csv"!r}), "w") as file:
    print("probability_setosa,probability_versicolor,probability_virginica", file=file)
    for _ in range(51):
        print("0.5,0.25,0.25", file=file)
figures = {{"fit_seconds": 2.0, "cpu_seconds": 3.0, "predict_seconds": 0.5}}
print(json.dumps({{"version": "lightgbm 4.7", **figures}}))
"""
"""Stands for an interpreter with LightGBM."""


# Tables and splits


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


def test_a_catalog_describes_the_tables_of_a_folder_which_are_read_smallest_first(
    tmp_path: Path,
) -> None:
    about = {
        "cars": {"target": "price", "kind": "regression", "categorical": ["brand"], "rows": 20},
        "mail": {"target": "spam", "kind": "binary", "categorical": [], "rows": 10},
    }
    (tmp_path / "tables.json").write_text(json.dumps(about))

    mail, cars = read_catalog(tmp_path)
    assert mail == Source("mail", "spam", classes=True)
    assert cars == Source("cars", "price", categorical=("brand",))


def test_a_third_of_each_class_is_held_out_for_testing() -> None:
    classes = ["b"] * 9 + ["a"] * 6
    test = choose_test(classes, seed=3)

    # NumPy's generator permutes the rows of one class after those of the other, in alphabetic order
    rng = np.random.default_rng(3)
    assert test == {*rng.permutation(range(9, 15))[:2], *rng.permutation(9)[:3]}


def test_rows_of_a_group_are_all_in_one_set(tmp_path: Path) -> None:
    path = tmp_path / "men.csv"
    path.write_text("\n".join(["nr,wage", *(f"{row % 9},{row}" for row in range(27))]))
    source = Source("men", "wage", group="nr")
    _, train, test = split_source(path, source, 27, 0)

    held_out = {man for man, _ in test}
    assert (len(train), len(test), len(held_out)) == (18, 9, 3)
    assert not held_out & {man for man, _ in train}


def test_tables_are_held_back_of_both_kinds_and_no_default_is_chosen_with_them() -> None:
    names = [source.name for source in (*SOURCES, *HELD_BACK)]

    assert len(SOURCES) >= 20
    assert len(HELD_BACK) >= 20
    assert len(set(names)) == len(names)
    assert not {source.table for source in SOURCES} & {source.table for source in HELD_BACK}
    assert {source.kind for source in HELD_BACK} == {"regression", "classes"}


# Errors


def test_the_error_of_numbers_is_the_root_mean_squared_error(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text("prediction\n1\n2\n")

    # errors 3 and 4
    assert score(path, ["4", "-2"], classes=False) == Score(pytest.approx(math.sqrt(25 / 2)))


def test_the_error_of_two_classes_is_the_share_of_pairs_that_are_in_the_wrong_order(
    tmp_path: Path,
) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text("probability_no,probability_yes\n0.25,0.75\n0.5,0.5\n0.75,0.25\n1,0\n")
    measured = score(path, ["yes", "no", "yes", "no"], classes=True)

    # one of four pairs: 0.25 of a `yes` is below 0.5 of a `no`
    assert measured.error == pytest.approx(1 / 4)
    assert measured.accuracy == pytest.approx(3 / 4)
    losses = [math.log(0.75), math.log(0.5), math.log(0.25), math.log(1)]
    assert measured.log_loss == pytest.approx(-sum(losses) / 4)


def test_yes_no_classes_are_found_in_either_case(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text("probability_false,probability_true\n0.75,0.25\n0.25,0.75\n")
    assert score(path, ["False", "True"], classes=True).error == 0


def test_the_error_of_several_classes_is_the_log_loss_which_no_probability_makes_infinite(
    tmp_path: Path,
) -> None:
    path = tmp_path / "predictions.csv"
    path.write_text("probability_a,probability_b,probability_c\n0.25,0.75,0\n1,0,0\n0,0,1\n")
    measured = score(path, ["a", "b", "c"], classes=True)

    expected = (-math.log(0.25) - math.log(1e-7)) / 3
    assert measured == Score(pytest.approx(expected), pytest.approx(expected), pytest.approx(1 / 3))


# Results


def fit(table: str, model: str, error: float, seed: int = 0) -> Fit:
    score = Score(error, fit_seconds=1.0, cpu_seconds=2.0)
    return Fit(table, "regression", seed, 100, model, "2026-12-02", score)


def test_results_of_another_process_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    first, second = Results(path), Results(path)
    first.add(fit("cars", REFERENCE, 4.0))
    second.add(fit("cars", "good", 1.0))

    assert (
        second.fits == Results(path).fits == [fit("cars", REFERENCE, 4.0), fit("cars", "good", 1.0)]
    )
    assert second.has("cars", 0, REFERENCE)
    assert not second.has("cars", 1, REFERENCE)


def test_mean_errors_are_divided_by_those_of_the_reference_on_the_same_seeds() -> None:
    fits = [
        *(fit("cars", REFERENCE, 4.0, 0), fit("cars", "good", 1.0, 0)),
        *(fit("cars", REFERENCE, 6.0, 1), fit("cars", "good", 3.0, 1)),
        fit("cars", REFERENCE, 100.0, 2),
    ]

    assert relative_errors(fits) == {REFERENCE: {"cars": 1.0}, "good": {"cars": 0.4}}


def test_wins_and_losses_are_counted_over_the_tables_that_both_models_have() -> None:
    fits = [
        *(fit("cars", "simple", 4.0), fit("cars", "good", 1.0)),
        *(fit("homes", "simple", 4.0), fit("homes", "good", 5.0)),
        *(fit("wages", "simple", 4.0), fit("wages", "good", 3.0)),
        fit("ships", "simple", 4.0),
    ]

    assert count_wins(fits, "good", "simple") == (2, 1)


def test_the_interval_of_a_geometric_mean_is_symmetric_for_symmetric_ratios() -> None:
    low, high = mean_interval([0.5, 2.0] * 10) or (math.nan, math.nan)

    # the bootstrap's standard deviation is ln 2 / √20; a normal distribution has 1.96 of them
    assert low == pytest.approx(math.exp(-1.96 * math.log(2) / math.sqrt(20)), rel=0.03)
    assert low * high == pytest.approx(1, rel=0.03)
    assert mean_interval([0.5]) is None


def test_the_report_has_relative_errors_a_summary_and_the_wins_of_each_pair() -> None:
    development = DEVELOPMENT[0]
    fits = [
        *(fit(f"{development} LC50", REFERENCE, 1.0), fit(f"{development} LC50", "good", 0.5)),
        *(fit("houses price", REFERENCE, 1.0), fit("houses price", "good", 2.0)),
    ]
    errors, wins = report(fits)
    titles, *_, good = (list(column.cells) for column in errors.columns)

    assert dict(zip(titles, good, strict=True)) == {
        development: "0.500",
        "houses": "2.000",
        "tables": "2",
        "fits": "2",
        "geometric mean": "1.000",
        "95% interval": "0.50 to 2.00",
        "geometric mean, tables kept back": "2.000",
        "median": "1.250",
        "worst": "2.000",
        "seconds to fit": "1.0",
        "CPU seconds to fit": "2.0",
        "seconds to predict": "–",
    }
    assert [list(column.cells) for column in wins.columns] == [
        [REFERENCE, "good"],
        ["", "1–1"],
        ["1–1", ""],
    ]


@pytest.mark.skipif(sys.platform == "win32", reason="needs forking")
def test_configs_are_compared_with_a_rival_and_only_missing_fits_are_repeated(
    tmp_path: Path, run_module: Callable[..., Ended]
) -> None:
    rivals, tables, result = (tmp_path / name for name in ("python", "tables", "result.json"))
    rivals.write_text(RIVALS)
    rivals.chmod(0o755)
    tables.mkdir()
    text = (ROOT / "data" / "iris.csv").read_text("utf-8")
    (tables / "iris.csv").write_text(text, "utf-8")
    iris = {"target": "species", "kind": "classes", "categorical": ["island"], "rows": 150}
    (tables / "tables.json").write_text(json.dumps({"iris": iris}))
    options = ["--rivals-python", str(rivals), "--tables", str(tables), "--json", str(result)]
    options += ["--seeds", "0"]
    short = ["--settings", "short", "simple", "epochs=40", "batch_size=8"]
    failing = ["--settings", "failing", "simple", "epochs=0"]
    done = run_module("benchmarks.accuracy", *options, "--models", REFERENCE, *short, *failing)

    assert done.code == 1, done.errors + done.output
    assert "iris species, seed 0, failing: train, exit code 2: " in done.output
    light, ours = json.loads(result.read_text())["fits"]
    assert (light["rows"], light["score"]["version"]) == (99, "lightgbm 4.7")
    seconds = [light["score"][f"{name}_seconds"] for name in ("fit", "cpu", "predict")]
    assert seconds == [2, 3, 0.5]
    # 17 rows of each class
    loss = (-math.log(0.5) - 2 * math.log(0.25)) / 3
    assert light["score"]["error"] == pytest.approx(loss)
    assert ours["model"] == "short"
    assert 0 < ours["score"]["error"] < loss

    before = result.read_text()
    rivals.unlink()
    again = run_module("benchmarks.accuracy", *options, "--models", REFERENCE, *short)
    assert again.code == 0, again.errors + again.output
    assert result.read_text() == before
