"""Groups of rows: `evaluate --by`, `evaluate_by` and gates with `for_each`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import dlcli as dlcli_api
from dlcli.runs.run_folder import open_run
from tests.catalogue import hand_made

CONFIG = """\
data: {train: points.csv, target: y}
input: {features: {x: numeric, part: ignored}, scaling: none}
hidden: []
output: {scaling: none}
epochs: 1
"""
DOUBLE = {"output/kernel": [[2.0]], "output/bias": [1.0]}


def points(north: float = 0.5, south: float = 2.0, few: int = 3, spread: float = 0.0) -> str:
    """Return 40 rows of each part, whose errors from 2x + 1 have this size; `few` rows of isle."""
    errors = {"north": north, "south": south, "isle": 9.0}
    sizes = {"north": 40, "south": 40, "isle": few}
    rows = [
        f"{x},{2 * x + 1 + (-1) ** x * (errors[part] + spread * (-1) ** (x // 2))},{part}"
        for part, size in sizes.items()
        for x in range(size)
    ]
    return "\n".join(["x,y,part", *rows]) + "\n"


@pytest.fixture
def double(folder):
    """runs/double, which predicts 2x + 1."""
    Path("points.csv").write_text(points())
    hand_made.make_run(CONFIG, "double", DOUBLE)


@pytest.mark.usefixtures("double")
def test_evaluate_lists_each_group_and_the_largest_difference(dlcli):
    Path("new.csv").write_text(points(north=0.25, spread=0.1))
    done = dlcli("evaluate", "runs/double", "new.csv", "--by", "part,x")
    as_json = dlcli("evaluate", "runs/double", "new.csv", "--by", "part", "--json")

    assert done.exit_code == 0, done.stderr
    text = " ".join(done.stdout.split())
    assert "By part" in text
    assert "Largest differences by part" in text
    assert "uncertain and not compared: isle (3 rows)." in text
    assert "part" not in done.stderr  # it is not an ignored column
    [column] = json.loads(as_json.stdout)["groups"]
    values = [each["metrics"]["mae"]["value"] for each in column["groups"]]
    assert values == pytest.approx([0.25, 2.0, 9 + 0.1 / 3])
    found = column["differences"]["mae"]
    assert (found["lowest"], found["highest"]) == ("north", "south")


@pytest.mark.usefixtures("double")
def test_python_returns_the_same_groups(dlcli):
    Path("new.csv").write_text(points(north=0.25))
    as_json = dlcli("evaluate", "runs/double", "new.csv", "--by", "part", "--json")
    found = dlcli_api.load("runs/double").evaluate("new.csv", by="part")

    assert found["groups"] == json.loads(as_json.stdout)["groups"]


@pytest.mark.usefixtures("double")
def test_an_unknown_column_is_an_error(dlcli):
    done = dlcli("evaluate", "runs/double", "points.csv", "--by", "prat")

    assert done.exit_code == 3
    assert "has no column 'prat'; did you mean 'part'?" in done.stderr


@pytest.mark.usefixtures("folder")
def test_a_gate_holds_for_each_group_with_enough_rows(dlcli):
    held_out = CONFIG.replace("target: y}", "target: y, test: points.csv}")
    gate = "gates:\n  test.mae: {at_most: 1.5, for_each: part}\n"
    Path("points.csv").write_text(points())
    hand_made.make_run(held_out + gate, "gated", DOUBLE)
    Path("good.csv").write_text(points(south=1.25))

    failed = dlcli("evaluate", "runs/gated", "points.csv")
    passed = dlcli("evaluate", "runs/gated", "good.csv")

    assert failed.exit_code == 6
    assert "gate failed: test.mae (part = south) = 2 (required <= 1.5)" in failed.stderr
    assert passed.exit_code == 0
    expected = "Gate passed: test.mae (part = south) = 1.25; too few rows to check: isle."
    assert passed.stdout.splitlines()[-1] == expected


@pytest.mark.usefixtures("folder")
def test_min_rows_includes_smaller_groups_and_no_group_is_a_failure(dlcli):
    held_out = CONFIG.replace("target: y}", "target: y, test: points.csv}")
    Path("points.csv").write_text(points())
    gate = "gates:\n  test.mae: {at_most: 8, for_each: part, min_rows: {}}\n"
    for rows in (2, 50):
        hand_made.make_run(held_out + gate.replace("{}", str(rows)), f"least{rows}", DOUBLE)

    small = dlcli("evaluate", "runs/least2", "points.csv")
    large = dlcli("evaluate", "runs/least50", "points.csv")

    assert "test.mae (part = isle) = 9 (required <= 8)" in small.stderr
    assert large.exit_code == 6
    assert "test.mae: no group of 'part' has at least 50 rows" in large.stderr


TRAINED = """\
seed: 1
data: {train: rows.csv, target: y, test: 0.4}
input: {features: {x: numeric, "*": ignored}}
hidden: []
epochs: 1
evaluate_by: [part, part*kind]
gates:
  test.rmse: {at_least: 0, for_each: kind}
"""


def rows() -> str:
    random = np.random.default_rng(0)
    lines = [
        f"{x:.3f},{x:.3f},{'ab'[at % 2]},{'uvw'[at % 3]}"
        for at, x in enumerate(random.normal(size=300))
    ]
    return "\n".join(["x,y,part,kind", *lines]) + "\n"


@pytest.mark.usefixtures("folder")
def test_train_and_cv_store_groups_and_gates(dlcli):
    Path("rows.csv").write_text(rows())
    Path("c.yaml").write_text(TRAINED)

    trained = dlcli("train", "c.yaml", "-o", "run", "-q")
    options = ("--folds", "2", "--repeats", "2", "--by", "kind,x")
    folds = dlcli("cv", "c.yaml", "-o", "cv", *options, "--json")

    assert trained.exit_code == folds.exit_code == 0
    groups = json.loads(Path("run/groups.json").read_text())
    assert groups["rows"] == "test"
    assert [each["column"] for each in groups["columns"]] == ["part", "part*kind", "kind"]
    assert sum(each["rows"] for each in groups["columns"][1]["groups"]) == 120
    for run in ("run", "cv"):
        [gate] = json.loads(Path(run, "gates.json").read_text())["results"]
        assert gate["group"] in ("u", "v", "w")
        dlcli("report", run)
        assert "Largest differences by part" in Path(run, "report.html").read_text()
    stored = json.loads(Path("cv/groups.json").read_text())
    assert json.loads(folds.stdout.splitlines()[-1])["groups"] == stored["columns"]
    assert stored["rows"] == "folds"
    by_column = {each["column"]: each["groups"] for each in stored["columns"]}
    assert list(by_column) == ["kind", "x", "part", "part*kind"]
    assert len(by_column["x"]) == 4  # ranges of a number
    predicted = open_run(Path("cv")).predictions
    first = predicted.filtered(predicted.integers("repeat") == 1)
    error = np.square(first.floats("target") - first.floats("prediction"))[:, 0]
    kinds = (first.integers("row") - 1) % 3
    for each in by_column["kind"]:
        some = error[kinds == "uvw".index(each["group"])]
        assert each["rows"] == len(some)
        assert each["metrics"]["mse"]["value"] == pytest.approx(some.mean())


@pytest.mark.usefixtures("folder")
def test_cv_refuses_an_unknown_column_before_training(dlcli):
    Path("rows.csv").write_text(rows())
    Path("c.yaml").write_text(TRAINED)

    done = dlcli("cv", "c.yaml", "-o", "cv", "--by", "part*knid")

    assert done.exit_code == 3
    assert "rows.csv: has no column 'knid'; did you mean 'kind'?" in done.stderr
    assert not Path("cv").exists()


@pytest.mark.usefixtures("folder")
def test_a_column_that_the_table_lacks_is_refused_before_training(dlcli):
    Path("rows.csv").write_text(rows())
    Path("c.yaml").write_text(TRAINED.replace("part*kind", "part*knid"))

    done = dlcli("train", "c.yaml", "-q")

    assert done.exit_code == 2
    assert "evaluate_by[1]: no column 'knid' in rows.csv; did you mean 'kind'?" in done.stderr
