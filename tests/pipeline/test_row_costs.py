"""Decisions by costs that stand in a column of each row, compared with costs by hand."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import dlcli
from dlcli.cli.program import main
from dlcli.pipeline.drift import measure_drift
from dlcli.runs.run_folder import open_run
from dlcli.serving.application import make_application
from dlcli.serving.requests import Models
from dlcli.serving.served_model import RequestError, ServedModel
from tests.serving.conftest import Client

CONFIG = """\
data: {train: rows.csv, target: {column: fraud, positive_class: "yes"}, validation: 0.3, test: 0.3}
decision: {costs: {false_positive: 2, false_negative: {column: amount}}}
hidden: []
epochs: 5
optimizer: {name: adam, learning_rate: 0.05}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with rows.csv, and runs whose rows have costs."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("costs")
        patch.chdir(folder)
        draw = np.random.default_rng(0)
        x = draw.standard_normal(600)
        fraud = np.where(x + draw.standard_normal(600) > 1, "yes", "no")
        amount = np.round(np.exp(draw.standard_normal(600)), 2)
        lines = [f"{a:.4f},{b},{c}" for a, b, c in zip(x, amount, fraud, strict=True)]
        Path("rows.csv").write_text("\n".join(["x,amount,fraud", *lines]) + "\n")
        dlcli.train(CONFIG, output="costs")
        yield folder


def command(*arguments):
    return CliRunner().invoke(main, [*arguments])


def cells(text):
    """The cells of CSV by column."""
    header, *rows = (line.split(",") for line in text.splitlines())
    return dict(zip(header, np.array(rows).T, strict=True))


def cost(fraud, chosen, amount):
    """The mean cost by hand: 2 for a false alarm, the amount for a missed fraud."""
    return np.where(fraud, np.where(chosen, 0.0, amount), np.where(chosen, 2.0, 0.0)).mean()


def stored_cost(run, split):
    """The mean cost of a run's stored rows by hand."""
    held = run.predictions.of_split(split)
    amount = held.floats("cost_false_negative")[:, 0]
    fraud, scores = run.task.read_values(held, "target") == 1, run.task.read_decoded(held)[:, 0]
    return cost(fraud, scores * amount > (1 - scores) * 2, amount)


def predicted(*arguments):
    result = command("predict", *arguments)
    assert result.exit_code == 0, result.stderr
    return cells(result.stdout)


@pytest.mark.slow
def test_the_result_states_the_cost_and_that_of_the_constant_baseline(folder):
    text, found = str(dlcli.open_run("costs")), open_run(Path("costs"))
    constant = found.baselines["constant"]["test"]["cost"]
    shown = re.search(r"cost is (\S+) \(constant baseline: (\S+)\)", text)
    assert [float(each) for each in shown.groups()] == pytest.approx(
        [found.metrics["test"]["cost"], constant], abs=0.005
    )
    assert "accuracy is" not in text


@pytest.mark.slow
def test_each_row_is_decided_by_its_own_costs(folder):
    rows, found = cells(Path("rows.csv").read_text()), predicted("costs", "rows.csv")
    scores, amount = found["probability_yes"].astype(float), rows["amount"].astype(float)
    expected = scores * amount > (1 - scores) * 2
    assert (found["prediction"] == np.where(expected, "yes", "no")).all()
    assert len({*zip(scores > 0.5, expected, strict=True)}) == 4  # not by one threshold


@pytest.mark.slow
def test_the_costs_are_not_a_feature_unless_listed(folder):
    assert open_run(Path("costs")).encoding.layout.width == 1
    listed = CONFIG + "input: {features: {x: numeric, amount: {type: numeric, scaling: log1p}}}\n"
    dlcli.train(listed, output="listed")
    assert open_run(Path("listed")).encoding.layout.width == 2
    assert {*predicted("listed", "rows.csv")["prediction"]} == {"yes", "no"}


@pytest.mark.slow
def test_the_metric_uses_the_costs_of_the_rows(folder):
    rows = cells(Path("rows.csv").read_text())
    found = json.loads(command("evaluate", "costs", "rows.csv", "--json").stdout)
    chosen = predicted("costs", "rows.csv")["prediction"] == "yes"
    amount, fraud = rows["amount"].astype(float), rows["fraud"] == "yes"
    assert found["metrics"]["cost"] == pytest.approx(cost(fraud, chosen, amount))
    usual = predicted("costs", "rows.csv")["probability_yes"].astype(float) > 0.5
    assert found["decision"]["usual"]["value"] == pytest.approx(cost(fraud, usual, amount))
    assert found["decision"]["difference"]["value"] < 0


def test_drift_compares_the_classes_that_the_costs_decide(folder):
    lines = Path("rows.csv").read_text().splitlines()
    cheap = [f"{x},0.01,{fraud}" for x, _, fraud in (line.split(",") for line in lines[1:])]
    Path("cheap.csv").write_text("\n".join([lines[0], *cheap]) + "\n")
    same, other = (
        measure_drift(open_run(Path("costs")), Path(name)).document.predictions[0]
        for name in ("rows.csv", "cheap.csv")
    )
    assert (same.name, same.level) == ("prediction", "none")
    stored = open_run(Path("costs")).predictions.of_split("test")
    assert other.value == "no"
    assert other.share_before == pytest.approx(
        np.mean(np.array(stored.texts("prediction")) == "no")
    )
    assert other.share == 1  # a missed fraud costs almost nothing


@pytest.mark.slow
def test_stored_rows_keep_their_costs(folder):
    run = open_run(Path("costs"))
    by_hand = stored_cost(run, "test")
    assert run.metrics["test"]["cost"] == pytest.approx(by_hand)
    assert run.decision_effect.value.value == pytest.approx(by_hand)
    report = command("report", "costs")
    assert report.exit_code == 0, report.stderr


@pytest.mark.slow
def test_cross_validation_has_their_mean(folder):
    config = CONFIG.replace(", validation: 0.3, test: 0.3", "")
    found = dlcli.cross_validate(config, folds=2, output="cv")
    held = open_run(Path("cv")).predictions
    amount = held.floats("cost_false_negative")[:, 0]
    fraud, scores = np.array(held.texts("target")) == "yes", held.floats("probability_yes")[:, 0]
    by_hand = cost(fraud, scores * amount > (1 - scores) * 2, amount)
    assert found.metrics["cost"] == pytest.approx(by_hand)


@pytest.mark.slow
def test_new_rows_need_the_column(folder):
    rows = cells(Path("rows.csv").read_text())
    Path("short.csv").write_text("\n".join(["x", *rows["x"][:3]]) + "\n")
    result = command("predict", "costs", "short.csv")
    assert result.exit_code == 3
    assert "short.csv: has no column 'amount', which decision.costs reads" in result.stderr
    assert predicted("costs", "short.csv", "--decision", "threshold: 0.3")
    for value, problem in (
        ("-1", "a cost must be a number of 0 or more, got -1"),
        ("", "is empty"),
    ):
        Path("wrong.csv").write_text(f"x,amount\n1,2\n1,{value}\n")
        result = command("predict", "costs", "wrong.csv")
        assert result.exit_code == 3
        assert problem in result.stderr


@pytest.mark.slow
def test_a_server_and_a_model_in_python_decide_alike(folder):
    rows = cells(Path("rows.csv").read_text())
    records = [
        {"x": float(x), "amount": float(amount)}
        for x, amount in zip(rows["x"][:200], rows["amount"][:200], strict=True)
    ]
    expected = predicted("costs", "rows.csv")["prediction"][:200].tolist()
    served, model = ServedModel.load("m", folder / "costs"), dlcli.load("costs")
    assert served.predict(records).columns["prediction"] == expected
    assert [served.predict([each]).columns["prediction"][0] for each in records[:20]] == expected[
        :20
    ]
    assert [*model.predict(records).values] == expected
    assert model.columns == ("x", "amount")
    with pytest.raises(RequestError, match="'amount'"):
        served.predict([{"x": 1.0}])


@pytest.mark.slow
def test_every_protocol_of_a_server_needs_the_costs_and_decides_by_them(folder):
    served = ServedModel.load("m", folder / "costs")
    client = Client(make_application(Models({"m": served})))
    [p] = served.predict([{"x": 0.5, "amount": 1.0}]).columns["probability_yes"]
    border = 2 * (1 - p) / p
    for amount, expected in ((border * 1.01, "yes"), (border * 0.99, "no")):
        row = {"x": 0.5, "amount": amount}
        assert client.post("/predict/m", [row]).json[0]["prediction"] == expected
        [found] = client.post("/v1/models/m:predict", {"instances": [row]}).json["predictions"]
        assert found["prediction"] == expected
        tensors = [
            {"name": name, "shape": [1], "datatype": "FP64", "data": [value]}
            for name, value in row.items()
        ]
        outputs = client.post("/v2/models/m/infer", {"inputs": tensors}).json["outputs"]
        assert {each["name"]: each["data"] for each in outputs}["prediction"] == [expected]
    assert client.post("/predict/m", [{"x": 0.5, "amount": None}]).status == 422


@pytest.mark.slow
def test_an_ensemble_decides_its_out_of_fold_rows_by_their_costs(folder):
    config = CONFIG.replace(", validation: 0.3", "") + "ensemble: {members: 2}\n"
    dlcli.train(config, output="ensemble")
    run = open_run(Path("ensemble"))
    by_hand = stored_cost(run, "validation")
    assert run.metrics["validation"]["cost"] == pytest.approx(by_hand)


@pytest.mark.slow
def test_what_has_no_costs_refuses_them_by_name(folder):
    result = command("export", "costs", "--format", "onnx", "--output", "onnx")
    assert result.exit_code == 7
    assert (
        "its decision reads costs from a column, which an exported model does not" in result.stderr
    )


@pytest.mark.parametrize(
    ("costs", "message"),
    [
        ("{false_positive: 1, false_negative: {column: size}}", "no column 'size' in"),
        ("{false_positive: {column: amount}}", "number above 0 or a column for false_negative"),
        ('{"yes": {column: amount}}', "a column of costs requires the key false_positive or"),
    ],
)
def test_wrong_columns_of_costs_are_refused(folder, costs, message):
    config = CONFIG.replace("{false_positive: 2, false_negative: {column: amount}}", costs)
    with pytest.raises(dlcli.ConfigError, match=message):
        dlcli.train(config, output="none")
