"""Amounts are trained with the deviances of Tweedie and gamma distributions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from dlcli.config.config_file import load_config
from dlcli.errors import ConfigError, DataError
from dlcli.pipeline.preflight import check
from dlcli.pipeline.train_run import train

pytestmark = pytest.mark.usefixtures("compiled_once")

RNG = np.random.default_rng(0)
A, B = RNG.normal(size=(2, 120)).round(3)
SEVERITY = RNG.gamma(2, np.exp(4 + 0.5 * A - 0.3 * B) / 2).round(3)
COST = (SEVERITY * (RNG.uniform(size=120) < 0.6)).round(3)
TRIALS = RNG.integers(1, 30, 120)
SHARE = RNG.binomial(TRIALS, 1 / (1 + np.exp(0.5 - 0.8 * A + 0.6 * B))) / TRIALS
COLUMNS = {"a": A, "b": B, "severity": SEVERITY, "cost": COST, "trials": TRIALS, "share": SHARE}
# scikit-learn 1.9.1: TweedieRegressor(power=..., alpha=0, link="log", tol=1e-9) of the
# standardized columns a and b: coefficients and intercept.
REGRESSION = {
    "{name: tweedie}": [0.6137434195532457, -0.4008126401041752, 3.6002218847577807],
    "{name: tweedie, power: 1.2}": [0.5982469436450727, -0.3689761192223498, 3.6150245654817494],
    "gamma": [0.5447778628716448, -0.29124306782744774, 4.1170168749985585],
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [",".join(map(str, row)) for row in zip(*COLUMNS.values(), strict=True)]
    Path("t.csv").write_text("\n".join([",".join(COLUMNS), *lines]) + "\n")


def config_for(loss, more="", target=None):
    target = target or ("severity" if loss == "gamma" else "cost")
    Path("t.yaml").write_text(
        f"data: {{train: t.csv, target: {target}}}\ninput: {{features: [a, b]}}\n"
        f"hidden: []\nloss: {loss}\nepochs: 300\nbatch_size: 120\n"
        f"optimizer: {{name: adam, learning_rate: 0.1}}\nlearning_rate_schedule: cosine_decay\n{more}"
    )
    return load_config(Path("t.yaml"))


@pytest.mark.slow
@pytest.mark.parametrize("loss", REGRESSION)
def test_a_network_without_hidden_layers_is_the_tweedie_regressor_of_scikit_learn(loss):
    run = train(config_for(loss), Path("run"))
    [scaling] = run.task.scalings
    [[first], [second]] = run.predictor.weights["output/kernel"]
    intercept = run.predictor.weights["output/bias"][0] + np.log(
        scaling.scale
    )  # predicts y / scale
    assert [first, second, intercept] == pytest.approx(REGRESSION[loss], abs=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("loss", REGRESSION)
def test_the_linear_baseline_has_the_same_loss(loss):
    hidden = config_for(loss).text.replace("hidden: []", "hidden: [{units: 2, activation: tanh}]")
    Path("t.yaml").write_text(hidden.replace("epochs: 300", "epochs: 1"))
    run = train(load_config(Path("t.yaml")), Path("run"))
    found = json.loads(Path("run/baselines.json").read_text())
    name = "gamma_deviance" if loss == "gamma" else "tweedie_deviance"
    target = SEVERITY if loss == "gamma" else COST
    first, second, intercept = REGRESSION[loss]
    columns = [(each - each.mean()) / each.std() for each in (A, B)]
    mean = np.exp(first * columns[0] + second * columns[1] + intercept)
    wanted = float(run.task.loss.deviance.of(target, mean).mean())
    assert found["linear"]["train"][name] == pytest.approx(wanted, rel=1e-4)
    constant = float(run.task.loss.deviance.of(target, target.mean()).mean())
    assert found["constant"]["train"][name] == pytest.approx(constant, rel=1e-5)
    assert found["constant"]["train"]["d2"] == pytest.approx(0, abs=1e-5)
    assert run.history.keys() == {"loss", name, "learning_rate"}


@pytest.mark.slow
def test_shares_of_trials_have_the_logistic_regression_of_all_trials():
    # scikit-learn 1.9.1: LogisticRegression(C=inf, tol=1e-12) of all successes and failures.
    wanted = [0.6939104943285272, -0.6362705422529672, -0.3875630095054056]
    text = config_for("binomial", target="share, sample_weight: trials").text
    Path("t.yaml").write_text(text)
    run = train(load_config(Path("t.yaml")), Path("run"))
    [[first], [second]] = run.predictor.weights["output/kernel"]
    found = [first, second, run.predictor.weights["output/bias"][0]]
    assert found == pytest.approx(wanted, abs=2e-3)
    hidden = text.replace("hidden: []", "hidden: [{units: 2, activation: tanh}]")
    Path("t.yaml").write_text(hidden.replace("epochs: 300", "epochs: 1"))
    other = train(load_config(Path("t.yaml")), Path("other"))
    baselines = json.loads(Path("other/baselines.json").read_text())
    expected = run.metrics["train"]["binomial_deviance"]
    assert baselines["linear"]["train"]["binomial_deviance"] == pytest.approx(expected, rel=1e-3)
    assert baselines["constant"]["train"]["d2"] == pytest.approx(0, abs=1e-5)
    assert other.history.keys() == {"loss", "binomial_deviance", "learning_rate"}


@pytest.mark.parametrize(
    ("loss", "column", "value", "message"),
    [
        ("gamma", "severity", "0", "the loss 'gamma' needs a target above 0, got 0"),
        ("gamma", "severity", "-2.5", "the loss 'gamma' needs a target above 0, got -2.5"),
        ("binomial", "share", "1.5", "the loss 'binomial' needs a target from 0 to 1, got 1.5"),
        ("tweedie", "cost", "-1", "the loss 'tweedie' needs a target of 0 or more, got -1"),
    ],
)
def test_an_amount_without_a_deviance_is_refused_with_its_row(loss, column, value, message):
    lines = Path("t.csv").read_text().splitlines()
    fields = lines[4].split(",")
    fields[[*COLUMNS].index(column)] = value
    Path("t.csv").write_text("\n".join([*lines[:4], ",".join(fields), *lines[5:]]))
    with pytest.raises(DataError) as caught:
        train(config_for(loss, target=column), Path("run"))
    assert message in str(caught.value)
    assert "row 4" in str(caught.value)


@pytest.mark.parametrize(
    ("loss", "more", "message"),
    [
        ("{name: tweedie, power: 2}", "", "power: expected a number above 1 and below 2, got 2"),
        (
            "gamma",
            "output: {scaling: standard}\n",
            "'gamma' can't be trained on a shifted target; use mean or none",
        ),
        ("binomial", "output: {activation: linear}\n", "'linear' does not fit the loss 'binomial'"),
        ("tweedie", "output: {activation: linear}\n", "'linear' does not fit the loss 'tweedie'"),
    ],
)
def test_settings_that_contradict_the_loss_are_refused(loss, more, message):
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        check(config_for(loss, more))
