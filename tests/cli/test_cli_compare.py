"""`dlcli compare`: runs side by side, as text, JSON and a page."""

from __future__ import annotations

import json
import re

import pytest
from inline_snapshot import snapshot

from tests.cli.test_cli_imports import HEAVY, assert_loads
from tests.comparison.hand_made import number_run

NEAR = {row: row + (0.5 if row % 2 else -0.5) for row in range(1, 41)}
FAR = {row: row + (3.0 if row % 2 else -1.0) for row in range(1, 41)}
METRICS = {"train": {"mse": 4.0, "r2": None}, "test": {"mse": 5.0}}
CONSTANT = {"constant": {"test": {"mse": 833.25}}}


@pytest.fixture
def runs(folder):
    """far and near: near's network has a layer more, and is better by 1.5 on average."""
    more = {"config": {"hidden": [{"units": 2, "activation": "tanh"}]}}
    stored = {"metrics": METRICS, "baselines": CONSTANT}
    number_run(folder, "far", FAR, stored=stored)
    number_run(folder, "near", NEAR, stored=stored, **more)


def lines_of(result):
    """Return what was printed, with `DATE` for each date."""
    return re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d", "DATE", result.stdout).splitlines()


@pytest.mark.usefixtures("runs")
def test_the_text_lists_differences_of_the_runs_first(dlcli):
    lines = lines_of(dlcli("compare", "far", "near"))
    assert lines[:7] == [
        "run   finished          epochs",
        "far   DATE       2",
        "near  DATE       2",
        "",
        "config     far  near",
        "hidden[0]  -    {units: 2, activation: tanh}",
        "",
    ]
    assert re.fullmatch("The data are the same: ?.*table.csv", "".join(lines[7:9]))


@pytest.mark.usefixtures("runs")
def test_the_text_has_each_metric_with_its_interval_and_the_baseline(dlcli):
    lines = lines_of(dlcli("compare", "far", "near"))
    start = lines.index("test: 40 rows, with 95 % confidence intervals")
    assert lines[start + 1].split() == ["far", "near"]
    # (9 + 1) / 2
    assert re.fullmatch(r"MSE +5\.0 \[3\.\d+, 6\.\d+\] +0\.25.*", lines[start + 2])
    assert lines[lines.index("test: baselines") + 1 :][:2] == ["     constant", "MSE       830"]


@pytest.mark.usefixtures("runs")
def test_the_text_states_whether_a_difference_is_significant(dlcli):
    lines = lines_of(dlcli("compare", "far", "near"))
    start = lines.index("Change from far to near, on the same 40 test rows")
    words = re.compile(r"MAE +−1\.50 \[−1\.\d+, −1\.\d+\]  better")
    assert any(words.fullmatch(line) for line in lines[start:])
    backwards = lines_of(dlcli("compare", "near", "far"))
    assert any(re.fullmatch(r"MAE .*  worse", line) for line in backwards)


@pytest.mark.usefixtures("runs")
def test_the_text_has_the_other_sets_as_they_are(dlcli):
    lines = lines_of(dlcli("compare", "far", "near"))
    start = lines.index("train")
    assert lines[start : start + 4] == [
        "train",
        "     far  near",
        "MSE    4     4",
        "R²     -     -",
    ]


def test_three_runs_fit_80_columns(dlcli, folder):
    layer = {"units": 123456, "activation": "tanh", "dropout": 0.123456, "kernel_regularizer": "l2"}
    for at in range(3):
        config = {"hidden": [{**layer, "units": 1000 + at}] * at, "metrics": ["mae"]}
        number_run(folder, f"{'long' * 12}{at}", NEAR, config=config)
    result = dlcli("compare", *sorted(path.name for path in folder.iterdir() if path.is_dir()))
    assert result.exit_code == 0
    assert max(map(len, result.stdout.splitlines())) <= 80


@pytest.mark.usefixtures("runs")
def test_json_is_one_object(dlcli, folder):
    result = dlcli("compare", "far", "near", "--json")
    document = json.loads(result.stdout)
    assert (document["target"], document["split"], document["same_data"]) == (["y"], "test", True)
    assert [run["run"] for run in document["runs"]] == ["far", "near"]
    assert document["config"] == [
        {"path": "hidden[0]", "values": [None, {"units": 2, "activation": "tanh"}]}
    ]
    first, (difference,) = document["runs"][0], document["differences"]
    assert (first["rows"], first["epochs"], first["metrics"]) == (40, 2, METRICS)
    assert first["baselines"] == CONSTANT
    assert first["estimates"]["mse"]["value"] == 5.0
    assert first["estimates"]["mse"]["lower"] < 5 < first["estimates"]["mse"]["upper"]
    assert (difference["run"], difference["rows"], difference["reason"]) == ("near", 40, None)
    assert difference["metrics"]["mae"]["value"] == -1.5
    assert difference["metrics"]["mae"]["verdict"] == "better"


@pytest.mark.usefixtures("runs")
def test_a_page_is_written_to_a_new_file_only(dlcli, folder):
    result = dlcli("compare", "far", "near", "--output", "page.html")
    page = (folder / "page.html").read_text(encoding="utf-8")
    assert result.exit_code == 0
    assert "<h1>near against far</h1>" in page
    again = dlcli("compare", "far", "near", "--output", "page.html")
    assert (again.exit_code, again.stdout) == (2, "")
    assert again.stderr == (
        snapshot("error: page.html: already exists; use another name or remove it first\n")
    )
    assert (folder / "page.html").read_text(encoding="utf-8") == page


@pytest.mark.usefixtures("runs")
def test_no_other_file_is_written(dlcli, folder):
    before = sorted(folder.rglob("*"))
    dlcli("compare", "far", "near")
    assert sorted(folder.rglob("*")) == before


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "missing argument 'RUN', a run folder; create one: dlcli train CONFIG"),
        (["far"], 2, "expected two runs or more to compare, got 1"),
        (["far", "near", "./far"], 2, "far: is the same run as far; name each run once"),
        (["far", "nea"], 5, "nea: no such run folder; did you mean 'near'?"),
    ],
)
def test_what_is_no_comparison_is_explained(dlcli, arguments, code, message):
    result = dlcli("compare", *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr == f"error: {message}\n"


def test_runs_are_compared_on_the_rows_of_a_table(dlcli, folder):
    for name, bias in (("near", 0.0), ("far", 1.0)):
        weights = {"output/kernel": [[1.0]], "output/bias": [bias]}
        config = {"output": {"scaling": "none"}}
        number_run(folder, name, NEAR, config=config, stored={"weights": weights})
    rows = "".join(f"{x},{x + 0.5 * (-1) ** x}\n" for x in range(40))
    (folder / "new.csv").write_text(f"x,y\n{rows}7,\n", encoding="utf-8")
    lines = lines_of(dlcli("compare", "near", "far", "--data", "new.csv"))
    # near is wrong by 0.5 in each row, far by 0.5 or 1.5
    start = lines.index("Change from near to far, on the same 40 rows of new.csv")
    assert re.fullmatch(r"MAE +\+0\.50 \[.*\]  worse", lines[start + 4])
    assert not any("trained on" in line for line in lines)
    known = lines_of(dlcli("compare", "near", "far", "--data", "table.csv"))
    assert "note: table.csv: near was trained on rows of this table" in "\n".join(known)
    assert dlcli("compare", "near", "far", "--data", "-").stderr == (
        snapshot("error: --data: standard input can be read only once; name a file\n")
    )


@pytest.mark.usefixtures("runs")
def test_a_run_that_has_diverged_is_a_failure_of_the_run(dlcli, folder):
    number_run(folder, "lost", NEAR, kind="diverged")
    result = dlcli("compare", "far", "lost")
    assert (result.exit_code, result.stdout) == (5, "")
    assert result.stderr.startswith("error: lost: diverged; to start from its last")


@pytest.mark.usefixtures("runs")
def test_a_name_that_a_terminal_would_obey_is_shown_as_text(dlcli, folder):
    red = "\x1b[31m"
    stored = {
        "environment": {"device": red, "data": [{"file": red, "sha256": red}]},
        "baselines": {red: {"test": {"mse": 1.0}}},
        "metrics": {red: {"mse": 1.0}, "test": {"mse": 1.0}},
    }
    (folder / red).mkdir()
    number_run(folder / red, red.replace("\x1b[", ""), NEAR, stored=stored)
    number_run(folder, "31m", NEAR)
    result = dlcli("compare", f"{red}/31m", "31m")
    assert result.exit_code == 0
    assert "\\x1b[31m" in result.stdout
    assert "\x1b" not in result.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("runs")
def test_comparing_loads_no_tensorflow_and_no_charts():
    heavy = HEAVY - {"scipy"} | {"altair", "jinja2", "vl_convert"}
    assert_loads(["compare far near", "compare far near --json"], 0, heavy)
