"""Decisions of a training: chosen on held-out rows, stored, and used by all that predicts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import dlcli
from dlcli.cli.program import main
from dlcli.reports.report_files import view_of
from dlcli.reports.views import render_text
from dlcli.runs.manifest import RunFile
from dlcli.runs.run_folder import open_run

CONFIG = """\
data: {train: rows.csv, target: {column: fraud, positive_class: "yes"}, validation: 0.3, test: 0.3}
hidden: []
epochs: 5
optimizer: {name: adam, learning_rate: 0.05}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with rows.csv and trained runs."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("decisions")
        patch.chdir(folder)
        draw = np.random.default_rng(0)
        x = draw.standard_normal(600)
        fraud = np.where(x + draw.standard_normal(600) > 1.6, "yes", "no")
        x = x.clip(-2, 2)
        lines = [f"{a:.4f},{b}" for a, b in zip(x, fraud, strict=True)]
        Path("rows.csv").write_text("\n".join(["x,fraud", *lines]) + "\n")
        dlcli.train(CONFIG, output="plain")
        dlcli.train(CONFIG + "decision: {maximize: f1}\n", output="f1")
        dlcli.train(
            CONFIG.replace(" validation: 0.3,", "")
            + "decision: {maximize: f1}\nensemble: {members: 3}\n",
            output="ensemble",
        )
        yield folder


def f1_score(truth, chosen, sample_weight=1.0):
    """F1 by hand."""
    truth = np.asarray(truth, bool)
    right, wrong = (sample_weight * (truth & chosen)).sum(), sample_weight * (truth != chosen)
    return 2 * right / (2 * right + wrong.sum())


def command(*arguments):
    return CliRunner().invoke(main, [*arguments])


def predicted(*arguments):
    """The predicted classes and probabilities of rows.csv."""
    result = command("predict", *arguments)
    assert result.exit_code == 0, result.stderr
    cells = [line.split(",") for line in result.stdout.splitlines()[1:]]
    return np.array([cell[0] for cell in cells]), np.array([float(cell[-1]) for cell in cells])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "origin", "rows"), [("f1", "validation", 180), ("ensemble", "out-of-fold", 420)]
)
def test_the_threshold_is_chosen_on_held_out_rows(folder, name, origin, rows):
    found = open_run(Path(name)).decision
    assert (found.origin, found.rows, found.objective) == (origin, rows, "f1")
    assert 0 < found.threshold < 0.5
    held_out = open_run(Path(name)).predictions.of_split("validation")
    assert held_out.rows == rows


@pytest.mark.slow
def test_it_changes_no_weight_and_no_probability(folder):
    plain, decided = (predicted(name, "rows.csv") for name in ("plain", "f1"))
    assert (plain[1] == decided[1]).all()
    threshold = open_run(Path("f1")).decision.threshold
    assert (decided[0] == np.where(plain[1] > threshold, "yes", "no")).all()
    assert (plain[0] == np.where(plain[1] > 0.5, "yes", "no")).all()


@pytest.mark.slow
def test_metrics_are_of_the_decision(folder):
    run = open_run(Path("f1"))
    stored = run.predictions.of_split("test")
    values = run.task.read_values(stored, "target")
    decided = run.task.read_decoded(stored)[:, 0] > run.decision.threshold
    assert run.metrics["test"]["recall"] == decided[values == 1].mean()
    assert run.metrics["test"]["confusion"][1][1] == decided[values == 1].sum()


@pytest.mark.slow
def test_the_result_states_it_with_the_default_beside_it(folder):
    text = str(dlcli.open_run("f1"))
    assert "Predicted class: yes if its probability is above 0." in text
    assert "(chosen on 180 validation rows to maximize F1)" in text
    assert "; with the threshold 0.5, it is 0" in text


@pytest.mark.slow
def test_evaluate_states_it_too(folder):
    result = command("evaluate", "f1", "rows.csv", "--json")
    found = json.loads(result.stdout)["decision"]
    assert found["objective"] == found["metric"] == "f1"
    assert found["value"]["value"] > found["usual"]["value"]
    assert "Predicted class: yes if" in command("evaluate", "f1", "rows.csv").stdout


@pytest.mark.slow
def test_a_limited_metric_is_stated_with_its_limit(folder):
    rule = "maximize: precision, recall: {at_least: 0.8}"
    result = command("evaluate", "f1", "rows.csv", "--decision", rule, "--json")
    recall = json.loads(result.stdout)["decision"]["constrained"]["recall"]
    assert recall["lower"] < recall["value"] < recall["upper"]
    text = command("evaluate", "f1", "rows.csv", "--decision", rule).stdout
    assert f"Recall is {recall['value']:.2f}"[:12] in text
    assert "on these rows (required: at least 0.8)." in text


@pytest.mark.slow
def test_another_rule_can_be_chosen_for_a_prediction(folder):
    classes, scores = predicted("plain", "rows.csv", "--decision", "threshold: 0.1")
    assert (classes == np.where(scores > 0.1, "yes", "no")).all()
    costs = "costs: {false_positive: 1, false_negative: 3}"
    assert (
        predicted("f1", "rows.csv", "--decision", costs)[0] == np.where(scores > 0.25, "yes", "no")
    ).all()
    default = predicted("f1", "rows.csv", "--decision", "default")[0]
    assert (default == predicted("plain", "rows.csv")[0]).all()
    again = predicted("plain", "rows.csv", "--decision", "maximize: f1")[0]
    assert (again == predicted("f1", "rows.csv")[0]).all()


@pytest.mark.slow
def test_a_model_in_python_has_it_and_can_have_another(folder):
    model = dlcli.load("f1")
    scores = model.predict("rows.csv").probabilities[:, 1]

    def is_yes(threshold):
        return np.where(scores > threshold, "yes", "no").tolist()

    threshold = open_run(Path("f1")).decision.threshold
    assert list(model.predict("rows.csv").values) == is_yes(threshold)
    other = model.with_decision({"threshold": 0.1})
    assert list(other.predict("rows.csv").values) == is_yes(0.1)
    assert list(model.with_decision("default").predict("rows.csv").values) == is_yes(0.5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "code", "message"),
    [
        (
            "threshold: 3",
            2,
            "--decision: threshold: expected a probability between 0 and 1, got 3; for more than two classes, set costs instead of threshold",
        ),
        ("costs: {nope: {no: 1}}", 2, "--decision: costs.nope: no such class as 'nope'"),
    ],
)
def test_a_wrong_rule_is_refused(folder, rule, code, message):
    result = command("predict", "plain", "rows.csv", "--decision", rule)
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr


@pytest.mark.slow
def test_without_rows_to_choose_on_there_is_a_way_out(folder):
    config = CONFIG.replace("validation: 0.3, ", "") + "decision: {maximize: f1}\n"
    with pytest.raises(dlcli.ConfigError) as caught:
        dlcli.train(config, output="none")
    assert "decision.maximize: requires rows that were not used for training, to choose" in str(
        caught.value
    )
    assert "set data.validation: 0.15, or ensemble: {members: 8}" in str(caught.value)


@pytest.mark.slow
def test_a_number_has_no_decision(folder):
    config = CONFIG.replace('{column: fraud, positive_class: "yes"}', "x")
    with pytest.raises(dlcli.ConfigError, match="decision: requires classes, but the target 'x'"):
        dlcli.train(config + "decision: {threshold: 0.2}\n", output="none")


@pytest.mark.slow
def test_a_run_without_its_decision_is_damaged(folder):
    import shutil

    shutil.copytree("f1", "damaged")
    manifest = json.loads((folder / "damaged/manifest.json").read_text())
    del manifest["files"]["decision.json"]
    (folder / "damaged" / RunFile.DECISION).unlink()
    result = command("predict", "damaged", "rows.csv")
    assert result.exit_code == 5


@pytest.mark.slow
def test_cross_validation_has_the_mean_cost(folder):
    config = CONFIG.replace(" validation: 0.3, test: 0.3", "")
    costs = "decision: {costs: {false_positive: 1, false_negative: 3}}\n"
    found = dlcli.cross_validate(config + costs, folds=2, output="cv")
    stored = open_run(Path("cv")).predictions
    scores = stored.floats("probability_yes")[:, 0]
    truth = np.array(stored.texts("target")) == "yes"
    cost = 3 * (truth & (scores <= 0.25)) + (~truth & (scores > 0.25))
    assert found.metrics["cost"] == pytest.approx(cost.mean())


@pytest.mark.slow
def test_each_fold_of_a_cross_validation_chooses_its_own_threshold(folder):
    config = CONFIG.replace(", test: 0.3", "")
    found = dlcli.cross_validate(config + "decision: {maximize: f1}\n", folds=2, output="cv-f1")
    stored = open_run(Path("cv-f1")).predictions
    scores, thresholds = (stored.floats(n)[:, 0] for n in ("probability_yes", "threshold"))
    truth, chosen = np.array(stored.texts("target")) == "yes", scores > thresholds
    assert len({*thresholds}) == 2  # one for each fold
    assert found.result.thresholds == tuple(dict.fromkeys(thresholds))
    shown = ", ".join(f"{each:.4g}" for each in dict.fromkeys(thresholds))
    assert f"Threshold of each fold: {shown}." in render_text(view_of(found.folder))
    assert found.metrics["f1"] == pytest.approx(f1_score(truth, chosen))
    assert (np.array(stored.texts("prediction")) == np.where(chosen, "yes", "no")).all()
    best = max(f1_score(truth, scores > each) for each in np.unique(scores)[:-1])
    refit = open_run(Path("cv-f1")).location / "refit.yaml"
    [threshold] = re.findall(r"threshold: ([\d.]+)", refit.read_text())
    assert f1_score(truth, scores > float(threshold)) == pytest.approx(best, abs=0.01)


@pytest.mark.slow
def test_the_final_threshold_of_a_cross_validation_is_for_the_prevalence(folder):
    config = CONFIG.replace(", test: 0.3", ", prevalence: {'yes': 0.02}")
    dlcli.cross_validate(config + "decision: {maximize: f1}\n", folds=2, output="cv-rare")
    stored = open_run(Path("cv-rare")).predictions
    scores, truth = (
        stored.floats("probability_yes")[:, 0],
        np.array(stored.texts("target")) == "yes",
    )
    weights = np.where(truth, 0.02 / truth.mean(), 0.98 / (1 - truth.mean()))

    def score(threshold):
        return f1_score(truth, scores > threshold, sample_weight=weights)

    refit = (open_run(Path("cv-rare")).location / "refit.yaml").read_text()
    [threshold] = re.findall(r"threshold: ([\d.e-]+)", refit)
    best = max(map(score, np.unique(scores)[:-1]))
    assert score(float(threshold)) == pytest.approx(best, abs=0.01)


@pytest.mark.slow
def test_another_prevalence_chooses_the_threshold_again(folder):
    """The best F1 of the held-out rows, whose positive ones count as often as in 1 of 50 rows."""
    classes, scores = predicted("f1", "rows.csv", "--prevalence", "yes=0.02")
    threshold = (scores[classes == "no"].max() + scores[classes == "yes"].min()) / 2
    run = open_run(Path("f1"))
    known, held = run.task.frequencies[1], run.predictions.of_split("validation")
    truth, p = run.task.read_values(held, "target"), run.task.read_decoded(held)[:, 0]
    odds = p / (1 - p) * (0.02 / known) / (0.98 / (1 - known))
    weights = np.where(truth == 1, 0.02 / known, 0.98 / (1 - known))
    shifted = odds / (1 + odds)
    values = [f1_score(truth, shifted > t, sample_weight=weights) for t in np.unique(shifted)[:-1]]
    own = f1_score(truth, shifted > threshold, sample_weight=weights)
    assert own == pytest.approx(max(values), abs=0.01)
    model = dlcli.load("f1")
    assert list(model.predict("rows.csv", prevalence={"yes": 0.02}).values) == classes.tolist()
    costs = "costs: {false_positive: 1, false_negative: 3}"
    at_cost = predicted("f1", "rows.csv", "--prevalence", "yes=0.02", "--decision", costs)
    assert (at_cost[0] == np.where(at_cost[1] > 0.25, "yes", "no")).all()


@pytest.mark.slow
def test_the_files_of_a_folder_can_have_another_rule(folder):
    Path("parts").mkdir()
    Path("parts/a.csv").write_text(Path("rows.csv").read_text())
    rule = ["--decision", "threshold: 0.1"]
    result = command("predict", "plain", "parts", "--output", "decided", *rule, "--jobs", "2")
    assert result.exit_code == 0, result.stderr
    assert (
        Path("decided/a.csv").read_text() == command("predict", "plain", "rows.csv", *rule).stdout
    )
    other = command("predict", "plain", "parts", "--output", "decided", "--decision", "default")
    assert other.exit_code == 2
    assert "--decision" in other.stderr


COSTS = "decision: {costs: {false_positive: 1, false_negative: 3}}\n"


@pytest.mark.slow
def test_a_gate_limits_the_cost_on_test_rows(folder):
    Path("gate.yaml").write_text(CONFIG + COSTS + "gates: {test.cost: {at_most: 0.001}}\n")
    result = command("train", "gate.yaml", "--quiet", "--output", "gate")
    assert result.exit_code == 6
    assert "gate failed: test.cost = " in result.stderr


@pytest.mark.slow
def test_a_search_minimizes_the_cost(folder):
    space = "tune: {metric: val_cost, trials: 3, space: {optimizer.learning_rate: [0.001, 0.1]}}\n"
    Path("tune.yaml").write_text(CONFIG + COSTS + space)
    result = command("tune", "tune.yaml", "--quiet", "--output", "tune")
    assert result.exit_code == 0, result.stderr
    assert "with a validation cost of " in result.stdout


def test_the_cost_needs_costs(folder):
    config = CONFIG + "gates: {test.cost: {at_most: 0.1}}\n"
    with pytest.raises(dlcli.ConfigError, match="'cost' does not fit the target"):
        dlcli.train(config, output="none")


@pytest.mark.slow
def test_a_server_decides_as_predict_does(folder):
    from dlcli.serving.served_model import ServedModel

    found = open_run(Path("f1")).decision
    served = ServedModel.load("f1", folder / "f1")
    assert served.predictor.task.threshold == found.threshold
    rows = [{"x": at} for at in np.linspace(-2, 2, 200).tolist()]
    columns = served.predict(rows).columns
    scores = np.array(columns["probability_yes"])
    assert columns["prediction"] == np.where(scores > found.threshold, "yes", "no").tolist()
    assert ((scores > found.threshold) != (scores > 0.5)).any()


@pytest.mark.slow
def test_an_onnx_export_decides_as_the_run_does(folder):
    import onnxruntime

    result = command("export", "f1", "--format", "onnx", "--output", "onnx")
    assert result.exit_code == 0, result.stderr
    session = onnxruntime.InferenceSession(str(folder / "onnx" / "model.onnx"))
    x = np.linspace(-2, 2, 200)[:, np.newaxis]
    kind = session.get_inputs()[0]
    dtype = np.float64 if "double" in kind.type else np.float32
    shape = (200,) if len(kind.shape) == 1 else (200, 1)
    values = session.run(
        ["prediction", "probabilities"], {kind.name: x.astype(dtype).reshape(shape)}
    )
    threshold = open_run(Path("f1")).decision.threshold
    expected = np.where(values[1][:, 1] > threshold, "yes", "no")
    assert values[0].tolist() == expected.tolist()
    assert (expected != np.where(values[1][:, 1] > 0.5, "yes", "no")).any()
    assert "if its probability is above 0." in (folder / "onnx" / "README.md").read_text()
