"""The gates of a config: exit code 6 of `train`, `cv` and `evaluate`, and the run stays."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from inline_snapshot import snapshot

import dlcli as dlcli_api
from dlcli.config.config_file import make_config
from dlcli.errors import ConfigError
from tests.catalogue import hand_made

GATED = """\
data: {train: points.csv, target: y}
input: {features: {x: numeric, id: ignored}, scaling: none}
hidden: []
output: {scaling: none}
epochs: 1
gates:
  train.rmse: {at_most: 1.0e-9}
  validation.rmse: {at_most: 0.5}
  test.r2: {at_least: 0.9}
"""
CONFIG = """\
data: {train: rows.csv, target: y, test: 0.3}
hidden: []
epochs: 2
gates:
  test.r2: {at_least: 0.999}
  test.rmse: {at_most: 1000, better_than: constant}
  train.mae: {at_most: 1000}
"""


@pytest.fixture
def gated(folder):
    """runs/gated, which predicts 2x + 1, and has gates."""
    Path("points.csv").write_text("id,x,y\na,0,1\nb,1,3\nc,2,4\nd,3,7\n")
    held_out = GATED.replace("target: y}", "target: y, validation: points.csv, test: points.csv}")
    hand_made.make_run(held_out, "gated", {"output/kernel": [[2.0]], "output/bias": [1.0]})


@pytest.mark.usefixtures("gated")
def test_evaluate_checks_the_gates_on_its_own_rows(dlcli):
    # The errors are 0, 0, 1 and 0: rmse 0.5, and r2 1 - 1/18.75.
    passed = dlcli("evaluate", "runs/gated", "points.csv")
    other = dlcli("evaluate", "runs/gated", "-", text="x,y\n0,1\n1,3\n2,3.8\n3,7\n")
    as_json = dlcli("evaluate", "runs/gated", "-", "--json", text="x,y\n0,1\n1,3\n2,3.8\n3,7\n")

    assert passed.exit_code == 0
    assert passed.stdout.splitlines()[-2:] == [
        "Gate passed: validation.rmse = 0.5.",
        "Gate passed: test.r2 = 0.9467.",
    ]
    message = "gate failed: validation.rmse = 0.6 (required <= 0.5)"
    for failed in (other, as_json):
        assert failed.exit_code == 6
        assert failed.stderr.splitlines()[-1] == f"error: standard input: {message}"
    [rmse, r2] = json.loads(as_json.stdout)["gates"]
    assert (rmse["gate"], rmse["failures"]) == (
        "validation.rmse",
        ["validation.rmse = 0.6 (required <= 0.5)"],
    )
    assert (r2["gate"], r2["failures"]) == ("test.r2", [])


@pytest.mark.usefixtures("folder")
def test_a_run_without_the_models_of_its_baselines_is_to_be_trained_again(dlcli):
    Path("points.csv").write_text("id,x,y\na,0,1\nb,1,3\nc,2,4\nd,3,7\n")
    config = GATED.replace("target: y}", "target: y, validation: points.csv, test: points.csv}")
    gate = "test.r2: {better_than: constant}"
    weights = {"output/kernel": [[2.0]], "output/bias": [1.0]}
    hand_made.make_run(config.replace("test.r2: {at_least: 0.9}", gate), "old", weights)

    done = dlcli("evaluate", "runs/old", "points.csv")

    assert done.exit_code == 5
    assert done.stderr.splitlines()[-1] == (
        snapshot(
            "error: runs/old: has no baselines.npz, which quality gates with better_than require; "
            "train it again"
        )
    )


@pytest.mark.usefixtures("folder")
def test_gates_that_can_never_be_checked_are_problems_of_the_config(dlcli):
    Path("points.csv").write_text("x,y\n0,1\n1,3\n2,4\n")
    Path("wrong.yaml").write_text(
        "data: {train: points.csv, target: y}\nhidden: []\nepochs: 1\ngates:\n"
        "  test.rmse: {at_most: 1}\n  train.rmse: {}\n  rmse: {at_most: 1}\n"
        "  train.mae: {better_than: linear}\n  test.mse: {better_than: linear}\n"
        "  train.r2: {at_least: 0.9, at_most: 0.5}\n"
    )
    Path("unknown.yaml").write_text(
        "data: {train: points.csv, target: y}\nhidden: []\nepochs: 1\ngates:\n"
        "  train.accuracy: {at_least: 0.5}\n"
    )

    wrong, unknown = dlcli("validate", "wrong.yaml"), dlcli("validate", "unknown.yaml")

    assert (wrong.exit_code, unknown.exit_code) == (2, 2)
    for text in (
        "gates['test.rmse']: requires test rows; set data.test: 0.15",
        "gates['train.rmse']: has no condition; set at_least, at_most or better_than",
        "gates['train.r2']: at_least: 0.9 is above at_most: 0.5",
        "gates.rmse: expected train, validation or test, and a metric, such as test.accuracy",
        "gates['train.mae'].better_than: can't be used with training rows; use test rows",
        "gates['test.mse'].better_than: can't be used with a linear network",
    ):
        assert text in wrong.stderr.replace('"', "'")
    assert "'accuracy' does not fit the target 'y' (a number)" in unknown.stderr


@pytest.mark.parametrize(
    ("gate", "message"),
    [
        (
            "out-of-fold.accuracy: {at_least: 0.5}",
            "gates['out-of-fold.accuracy']: unknown set of rows 'out-of-fold'; did you mean"
            " 'validation.accuracy'?",
        ),
        (
            "train.accuracy: {at_least: 95}",
            "gates['train.accuracy'].at_least: can never be met; the maximum is 1",
        ),
        (
            "train.rmse: {at_most: -1}",
            "gates['train.rmse'].at_most: can never be met; the minimum is 0",
        ),
    ],
)
def test_a_gate_that_can_never_pass_is_refused(gate, message):
    text = "data: {train: points.csv, target: y}\nhidden: []\nepochs: 1\n"
    with pytest.raises(ConfigError) as caught:
        make_config(f"{text}gates: {{{gate}}}")
    assert str(caught.value) == message


def test_gates_at_the_ends_of_a_metric_are_accepted():
    text = "data: {train: points.csv, target: y}\nhidden: []\nepochs: 1\n"
    make_config(f"{text}gates: {{train.accuracy: {{at_least: 1}}, train.rmse: {{at_most: 0}}}}")


@pytest.mark.usefixtures("folder")
def test_a_gate_of_test_rows_is_answered_with_the_out_of_fold_rows_of_an_ensemble(dlcli):
    Path("folds.yaml").write_text(
        "data: {train: points.csv, target: y}\nhidden: []\nepochs: 1\nensemble: {members: 2}\n"
        "gates:\n  test.rmse: {at_most: 3}\n"
    )
    wrong = dlcli("validate", "folds.yaml")
    assert wrong.exit_code == 2
    way_out = "set data.test: 0.15, or use validation.rmse (out-of-fold rows)"
    assert wrong.stderr.rstrip().endswith(f"requires test rows; {way_out}")


@pytest.mark.slow
@pytest.mark.usefixtures("folder", "compiled_once")
def test_a_run_that_misses_a_gate_is_kept(dlcli):
    rows = [f"{x},{(7 * x) % 5}" for x in range(40)]
    Path("rows.csv").write_text("\n".join(["x,y", *rows]) + "\n")
    Path("gated.yaml").write_text(CONFIG)

    trained = dlcli("train", "gated.yaml", "--json", "--output", "run")
    crossed = dlcli("cv", "gated.yaml", "--folds", "2", "--output", "cv")

    assert (trained.exit_code, crossed.exit_code) == (6, 6)
    result = json.loads(trained.stdout.splitlines()[-1])
    gates = {each["gate"]: each["failures"] for each in result["gates"]}
    assert [*gates] == ["test.r2", "test.rmse", "train.mae"]
    assert gates["train.mae"] == []
    assert "(required >= 0.999)" in gates["test.r2"][0]
    assert json.loads(Path("run/gates.json").read_text())["results"] == result["gates"]
    assert "run: gate failed" in trained.stderr
    assert [each["gate"] for each in dlcli_api.open_run("run").gates] == [*gates]
    assert dlcli("validate", "run").exit_code == 0
    dlcli("report", "run")
    assert "Gate failed: test.r2 =" in Path("run/report.html").read_text(encoding="utf-8")
    # Out of fold rows stand for the rows of the gates; training rows for none.
    assert [each["gate"] for each in json.loads(Path("cv/gates.json").read_text())["results"]] == [
        "test.r2",
        "test.rmse",
    ]
    assert "Gate failed: test.r2 (rows of all folds) =" in crossed.stdout


@pytest.mark.slow
@pytest.mark.usefixtures("folder", "compiled_once")
def test_baselines_are_compared_on_the_rows_of_train_cv_and_evaluate(dlcli):
    bent = [f"{x / 20},{(x / 20) ** 2}" for x in range(-40, 40)]
    Path("rows.csv").write_text("\n".join(["x,y", *bent]) + "\n")
    level = [f"{x / 20},1.366" for x in range(-40, 40)]  # the mean of the others
    Path("level.csv").write_text("\n".join(["x,y", *level]) + "\n")
    Path("bent.yaml").write_text(
        "data: {train: rows.csv, target: y, test: 0.3}\nhidden: [{units: 16, activation: tanh}]\n"
        "optimizer: {name: adam, learning_rate: 0.03}\nepochs: 100\n"
        "gates:\n  test.rmse: {better_than: linear}\n  test.mae: {better_than: constant}\n"
    )

    trained = dlcli("train", "bent.yaml", "--output", "run")
    crossed = dlcli("cv", "bent.yaml", "--folds", "2", "--output", "cv")
    evaluated = dlcli("evaluate", "run", "level.csv")

    for each, rows in ((trained, ""), (crossed, " (rows of all folds)")):
        assert each.exit_code == 0, each.stderr
        assert f"Gate passed: test.rmse{rows} = " in each.stdout
        assert f"Gate passed: test.mae{rows} = " in each.stdout
    assert "Better than the linear baseline: RMSE" in crossed.stdout
    assert evaluated.exit_code == 6
    assert evaluated.stderr.splitlines()[-1] == (
        snapshot(
            "error: level.csv: gate failed: test.rmse: the network is worse than the linear baseline; "
            "test.mae: the network is worse than the constant baseline"
        )
    )
