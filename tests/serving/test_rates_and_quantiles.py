"""Every protocol multiplies rates by exposures, and gives all quantiles of a row."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from dlcli.serving.application import make_application
from dlcli.serving.requests import Models
from dlcli.serving.served_model import ServedModel
from tests.catalogue import hand_made
from tests.serving.conftest import Client

TABLE = "x,years,n\n0,1,1\n1,2,3\n2,0.5,2\n3,1,4\n"
PLAIN = "input: {scaling: none, features: [x]}\nhidden: []\nepochs: 1\n"
RATES = f"data: {{train: t.csv, target: {{column: n, type: count}}, exposure: years}}\n{PLAIN}"
QUANTILES = (
    "data: {train: t.csv, target: n}\nloss: {name: quantile, levels: [0.1, 0.5]}\n"
    f"output: {{scaling: none}}\n{PLAIN}"
)


@pytest.fixture
def client(tmp_path, monkeypatch):
    """A client of a rate of e^x, and of the quantiles -x and x, in any order."""
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text(TABLE)
    rate = {"output/kernel": [[1.0]], "output/bias": [0.0]}
    pair = {"output/kernel": [[1.0, -1.0]], "output/bias": [0.0, 0.0]}
    runs = {
        "rates": hand_made.make_run(RATES, "rates", rate),
        "quantiles": hand_made.make_run(QUANTILES, "quantiles", pair),
    }
    models = {name: ServedModel.load(name, Path(run)) for name, run in runs.items()}
    return Client(make_application(Models(models)))


ROW = {"x": 1.0, "years": 0.75}


def test_rates_are_multiplied_by_the_exposure(client):
    rate = pytest.approx(math.e * 0.75, rel=1e-6)
    assert client.post("/predict/rates", [ROW]).json == [{"prediction": rate}]
    found = client.post("/v1/models/rates:predict", {"instances": [ROW]}).json
    assert found == {"predictions": [rate]}
    tensors = [
        {"name": name, "shape": [1], "datatype": "FP64", "data": [value]}
        for name, value in ROW.items()
    ]
    [output] = client.post("/v2/models/rates/infer", {"inputs": tensors}).json["outputs"]
    assert output["data"] == [rate]
    assert client.post("/form/rates", ROW).json["numbers"][0]["value"] == rate


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"x": 1.0}, "years"),
        ({"x": 1.0, "years": 0}, "an exposure must be a number above 0, got 0"),
        ({"x": 1.0, "years": None}, "is empty; data.exposure requires a number above 0"),
    ],
)
def test_a_row_without_a_positive_exposure_is_refused(client, row, message):
    reply = client.post("/predict/rates", [row])
    assert 400 <= reply.status < 500
    assert message in reply.body.decode()


def test_quantiles_are_sorted_in_each_protocol(client):
    expected = {"prediction": 2, "prediction_0.1": -2, "prediction_0.5": 2}
    assert client.post("/predict/quantiles", [{"x": 2}]).json == [expected]
    found = client.post("/v1/models/quantiles:predict", {"instances": [{"x": 2}]}).json
    assert found == {"predictions": [expected]}
    tensor = {"name": "x", "shape": [1], "datatype": "FP64", "data": [2]}
    outputs = client.post("/v2/models/quantiles/infer", {"inputs": [tensor]}).json["outputs"]
    assert {each["name"]: each["data"] for each in outputs} == {
        name: [value] for name, value in expected.items()
    }
    assert client.post("/form/quantiles", {"x": 2}).json["numbers"][0]["value"] == 2
