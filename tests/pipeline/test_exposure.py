"""The exposure of a row multiplies the rate that the network predicts, everywhere."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_file import load_config
from dlcli.errors import ConfigError, DataError
from dlcli.metrics.deviances import PoissonDeviance
from dlcli.pipeline.cross_validation import CrossValidationPlan, cross_validate
from dlcli.pipeline.preflight import check
from dlcli.pipeline.train_run import train
from dlcli.tables.memory_tables import memory_table
from dlcli.tables.table_files import read_table

pytestmark = pytest.mark.usefixtures("compiled_once")

RNG = np.random.default_rng(1)
A, B = RNG.normal(size=(2, 150)).round(3)
YEARS = RNG.uniform(0.2, 3, 150).round(2)
RATE = np.exp(0.5 + 0.4 * A - 0.3 * B)
COUNT = RNG.poisson(RATE * YEARS)
COST = np.array([RNG.gamma(2, 20, count).sum() for count in COUNT]).round(2)
AMOUNT = RNG.gamma(3, RATE * YEARS).round(3)
COLUMNS = {"a": A, "b": B, "years": YEARS, "n": COUNT, "cost": COST, "amount": AMOUNT}
TARGETS = {
    "poisson": "{column: n, type: count}",
    "tweedie": "cost",
    "gamma": "amount",
}
# scikit-learn 1.9.1: TweedieRegressor(power=p, alpha=0, link="log", tol=1e-10) of the standardized
# columns a and b and the target y / years, with sample_weight=years**(2 - p), for p = 1, 1.5, 2.
REGRESSION = {
    "poisson": [0.3946980323077017, -0.26362787746973787, 0.5506982293580954],
    "tweedie": [0.4609425458765323, -0.29178324105626813, 4.206611093289001],
    "gamma": [0.36112804360581763, -0.3210781171704223, 1.6559026402462589],
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(COLUMNS)


def write(columns, file="t.csv"):
    lines = [",".join(map(str, row)) for row in zip(*columns.values(), strict=True)]
    Path(file).write_text("\n".join([",".join(columns), *lines]) + "\n")


LINEAR = (
    "hidden: []\nepochs: 400\nbatch_size: 150\noptimizer: {name: adam, learning_rate: 0.1}\n"
    "learning_rate_schedule: cosine_decay\n"
)
SMALL = "hidden: [{units: 3, activation: tanh}]\nepochs: 2\n"


def config_for(loss="poisson", more=SMALL, data=""):
    target = TARGETS.get(loss, "cost")
    Path("t.yaml").write_text(
        f"data: {{train: t.csv, target: {target}, exposure: years{data}}}\n"
        f"input: {{features: [a, b]}}\nloss: {loss}\n{more}"
    )
    return load_config(Path("t.yaml"))


@pytest.mark.slow
@pytest.mark.parametrize("loss", REGRESSION)
def test_a_network_without_hidden_layers_is_a_glm_with_an_offset(loss):
    run = train(config_for(loss, LINEAR), Path("run"))
    [scaling] = run.task.scalings
    [[first], [second]] = run.predictor.weights["output/kernel"]
    intercept = run.predictor.weights["output/bias"][0] + np.log(scaling.scale)
    assert [first, second, intercept] == pytest.approx(REGRESSION[loss], abs=3e-3)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["{name: compiled, jit_compile: true}", "keras"])
def test_every_engine_multiplies_by_the_exposure(engine):
    wanted = train(config_for(more=f"{SMALL}engine: compiled\n"), Path("graph")).predictor
    found = train(config_for(more=f"{SMALL}engine: {engine}\n"), Path("other")).predictor
    for name, array in wanted.weights.items():
        np.testing.assert_allclose(found.weights[name], array, rtol=1e-3, atol=1e-5)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A small run with validation and test rows."""
    folder = tmp_path_factory.mktemp("exposure")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write(COLUMNS)
        return train(config_for(data=", validation: 0.2, test: 0.2"), Path("run").absolute())


def deviance_of(true, mean):
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(PoissonDeviance().of(true, mean).mean())


def rows_with(**columns):
    return memory_table(pa.table({"a": [0.5, -1.0], "b": [0.2, 2.0], **columns}))


def predict(run, **columns):
    table = run.predictor.read(rows_with(**columns))
    return run.predictor.predict(table, ValueProblems()).values[:, 0]


@pytest.mark.slow
def test_a_prediction_is_proportional_to_the_exposure(run):
    rates = predict(run, years=[1.0, 1.0])
    assert predict(run, years=[0.5, 7.0]) == pytest.approx(rates * [0.5, 7.0], rel=1e-6)
    few = run.predictor.few_rows(
        [{"a": 0.5, "b": 0.2, "years": 0.5}], lambda: pytest.fail("not few"), "a request"
    )
    found = run.predictor.predict(few, ValueProblems()).values
    assert found == pytest.approx(rates[:1, np.newaxis] * 0.5, rel=1e-6)


@pytest.mark.slow
def test_new_rows_need_a_positive_exposure(run):
    with pytest.raises(DataError, match="has no column 'years'"):
        predict(run)
    with pytest.raises(DataError, match="row 2, column 'years': an exposure must be a number"):
        predict(run, years=[1.0, 0.0])
    with pytest.raises(DataError, match="row 1, column 'years': is empty; data.exposure requires"):
        predict(run, years=[None, 1.0])


@pytest.mark.slow
def test_the_constant_baseline_is_the_overall_rate(run):
    found = json.loads((run.path / "baselines.json").read_text())["constant"]["test"]
    table = run.required_predictions.table
    split, rows = np.array(table["split"].to_pylist()), np.array(table["row"].to_pylist())
    is_test = split == "test"
    test = rows[is_test] - 1
    trained = np.setdiff1d(np.arange(150), rows[split != "train"] - 1)
    rate = COUNT[trained].sum() / YEARS[trained].sum()
    expected = deviance_of(COUNT[test], rate * YEARS[test])
    assert found["poisson_deviance"] == pytest.approx(expected)
    evaluation = run.predictor.evaluate(read_table(run.path.parent / "t.csv"), ValueProblems())
    constant = run.baseline_models.decoded(["constant"], evaluation)["constant"].decoded
    assert constant[:, 0] == pytest.approx(rate * YEARS)


@pytest.mark.slow
def test_exports_multiply_by_the_exposure(run):
    import keras

    from dlcli.encoding.encoded_rows import InMemoryInputs

    table = run.predictor.read(rows_with(years=[0.5, 3.0]))
    inputs = run.predictor.encode(table, ValueProblems())
    expected = run.predictor.predict_encoded(InMemoryInputs(inputs)).decoded
    model = keras.models.load_model(run.path / "model.keras")
    np.testing.assert_allclose(np.asarray(model(inputs)), expected, rtol=1e-5)


@pytest.mark.slow
def test_folds_of_an_ensemble_and_of_a_cross_validation_have_exposures():
    more = f"{SMALL}ensemble: {{members: 2}}\n"
    run = train(config_for("tweedie", more, ", test: 0.2"), Path("run"))
    [score] = (
        run.predictor_at(0.5)
        .predict(run.predictor.read(rows_with(years=[1.0, 2.0])), ValueProblems())
        .regions.array[:, 0, 1][:1]
    )
    assert score > 0
    found = cross_validate(config_for(), CrossValidationPlan(folds=3), Path("cv"))
    deviance = found.cross_validation.constant["poisson_deviance"]
    rate = COUNT.sum() / YEARS.sum()
    expected = deviance_of(COUNT, rate * YEARS)
    assert deviance == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("value", ["0", "-1", "", "inf", "some"])
def test_an_exposure_that_is_not_positive_is_refused_with_its_row(value):
    years = [*map(str, YEARS)]
    years[4] = value
    write({**COLUMNS, "years": years})
    with pytest.raises(DataError) as caught:
        check(config_for())
    assert "t.csv: row 5, column 'years'" in str(caught.value)


@pytest.mark.parametrize(
    ("loss", "data", "message"),
    [
        (
            "mse",
            "",
            "'mean_squared_error' has no exposure; omit it, or use one of the losses poisson, ",
        ),
        (
            "binomial",
            "",
            "'binomial' has no exposure; set data.sample_weight to the number of trials",
        ),
        ("poisson", ", sample_weight: years", "data.exposure: is also the weight"),
        ("poisson", ", split: {name: time, column: years}, test: 0.2", "is also the exposure"),
    ],
)
def test_settings_that_contradict_an_exposure_are_refused(loss, data, message):
    with pytest.raises(ConfigError) as caught:
        check(config_for(loss, data=data))
    assert message in str(caught.value)


def test_the_column_of_exposures_is_no_feature():
    file = config_for(more=f"{SMALL}")
    text = file.text.replace("features: [a, b]", "features: [a, years]")
    Path("t.yaml").write_text(text)
    with pytest.raises(ConfigError, match="input.features.years: has another role in 'data'"):
        check(load_config(Path("t.yaml")))
    Path("t.yaml").write_text(file.text.replace("features: [a, b]", 'features: {"*": auto}'))
    layers = check(load_config(Path("t.yaml"))).layers
    assert layers[0].inputs == 4  # a, b, cost and amount
    assert replace(layers[0]).units == 3
