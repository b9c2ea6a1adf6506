"""Explanations over HTTP: the same as in Python, bounded, and only where training rows are stored."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator

import dlcli
from dlcli.serving import served_model
from dlcli.serving.application import make_application
from dlcli.serving.requests import Models
from dlcli.serving.served_model import Limits, ServedModel
from tests.serving.conftest import Client

ROWS = [
    {"sepal_length": 5.1, "sepal_width": 3.5, "petal_length": 1.4, "petal_width": 0.2},
    {"sepal_length": 6.0, "sepal_width": 3.0, "petal_length": 4.0, "petal_width": None},
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = {
        "data": {
            "train": str(Path(__file__).parents[2] / "data" / "iris.csv"),
            "target": "species",
        },
        "input": {"features": {"*": {"type": "numeric", "missing": "mean"}}},
        "hidden": [],
        "epochs": 2,
        "explanation": {"background_rows": 16},
    }
    return dlcli.train(config, output=tmp_path_factory.mktemp("explained") / "iris")


@pytest.fixture
def explained(run, models):
    loaded = {"flowers": ServedModel.load("flowers", Path(run.path)), "pets": models["pets"]}

    def make(key=None, **limits):
        return Client(make_application(Models(loaded, Limits(**limits)), key))

    return make


def test_explanations_are_those_of_python_and_as_described(run, explained):
    client = explained()
    reply = client.post("/explain/flowers", ROWS)
    assert reply.status == 200, reply.json
    expected = dlcli.load(run.path).explain(ROWS)
    assert reply.json["unit"] == "probability"
    for at, row in enumerate(reply.json["rows"]):
        output = expected.outputs.index(row["explained"])
        found = {each["column"]: each["shapley"] for each in row["columns"]}
        values = [found[column] for column in expected.columns]
        np.testing.assert_allclose(values, expected.values[at, :, output], atol=1e-6)
        gain = row["prediction"] - row["mean_prediction"]
        assert sum(found.values()) == pytest.approx(gain, abs=1e-9)
    document = client.get("/openapi.json").json
    schema = {"$ref": "#/components/schemas/Explanations", "components": document["components"]}
    Draft202012Validator(schema).validate(reply.json)
    assert document["paths"]["/explain"] == document["paths"]["/explain/flowers"]
    assert "/explain/flowers" in client.get("/docs").body.decode()


def test_a_run_without_training_rows_has_no_explanations(explained):
    client = explained()
    reply = client.post("/explain/pets", [{"x": 1.5}])
    message = "the run of 'pets' contains no training rows to compare with"
    assert (reply.status, reply.json) == (404, {"error": message})
    assert "/explain/pets" not in client.get("/openapi.json").json["paths"]


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (5, 400, "expected a list of rows, each an object of columns"),
        ([], 422, "expected at least one row, got none"),
        (ROWS * 2, 413, "expected at most 3 rows, got 4"),
        ([{**ROWS[0], "petal_width": "wide"}], 422, "row 1, column 'petal_width': "),
        ([{"sepal_length": 1}], 422, "row 1, column 'sepal_width': is absent from the row"),
    ],
)
def test_wrong_requests_are_refused_as_for_predictions(explained, body, status, message):
    client = explained(rows=3)
    reply, of_predictions = (client.post(f"/{path}", body) for path in ("explain", "predict"))
    assert reply.status == status
    assert reply.json["error"].startswith(message)
    assert reply.json == of_predictions.json


def test_explanations_require_the_key(explained):
    assert explained("secret").post("/explain", ROWS).status == 401
    assert explained("secret").post("/explain", ROWS, headers={"x-api-key": "secret"}).status == 200


def test_the_number_of_rows_is_limited_by_the_work_of_a_row(explained, monkeypatch):
    client = explained()  # of a small network
    most = client.get("/openapi.json").json["paths"]["/explain"]["post"]["requestBody"]["content"]
    assert most["application/json"]["schema"]["maxItems"] == served_model.MOST_EXPLAINED_ROWS
    monkeypatch.setattr(served_model, "_WORK_OF_EXPLANATIONS", 1.0)
    assert client.post("/explain", ROWS).json == {"error": "expected at most 1 rows, got 2"}


def test_a_request_that_times_out_lets_the_next_one_begin_only_after_its_thread(run):
    model, running, most = ServedModel.load("m", Path(run.path)), [0], [0]
    compute = model.explain

    def slow(rows):
        running[0] += 1
        most[0] = max(most[0], running[0])
        found = compute(rows * 20)
        running[0] -= 1
        return found

    object.__setattr__(model, "explain", slow)
    models = Models({"m": model})

    async def ask():
        tries = [asyncio.wait_for(models.explain(model, ROWS[:1]), 1e-4) for _ in range(2)]
        ended = await asyncio.gather(*tries, return_exceptions=True)
        return ended, await models.explain(model, ROWS[:1])

    ended, found = asyncio.run(ask())
    assert [type(each) for each in ended] == [TimeoutError, TimeoutError]
    assert len(found["rows"]) == 20
    assert most == [1]
