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
from tests.reports.browser import PROGRAM, browser
from tests.serving.conftest import Client, serving

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


@pytest.mark.parametrize("unit", ["auto", "probability"])
def test_the_explained_class_can_be_chosen(run, explained, unit):
    found = explained().post(f"/explain?of=virginica&unit={unit}", ROWS).json
    expected = dlcli.load(run.path).explain(ROWS)
    assert found["unit"] == "probability"
    for at, row in enumerate(found["rows"]):
        assert row["explained"] == "virginica"
        values = {each["column"]: each["shapley"] for each in row["columns"]}
        output = expected.values[at, :, expected.outputs.index("virginica")]
        assert [values[name] for name in expected.columns] == pytest.approx(output, abs=1e-6)


def test_two_classes_can_be_explained_in_log_odds(tmp_path):
    lines = [f"{at * 7 % 13},{'ab'[at % 5 > 2]}" for at in range(60)]
    (tmp_path / "t.csv").write_text("\n".join(["x,y", *lines]) + "\n")
    data = {"train": str(tmp_path / "t.csv"), "target": "y"}
    config = {"data": data, "input": {"features": {"x": "numeric"}}, "hidden": [], "epochs": 2}
    path = dlcli.train(config, output=tmp_path / "run").path
    client = Client(make_application(Models({"m": ServedModel.load("m", Path(path))})))
    [found] = client.post("/explain?unit=log-odds", [{"x": 9}]).json["rows"]
    [share] = client.post("/explain?of=b", [{"x": 9}]).json["rows"]
    p = share["prediction"]
    assert found["explained"] == share["explained"] == "b"
    assert found["prediction"] == pytest.approx(np.log(p / (1 - p)))
    [column] = found["columns"]
    assert column["shapley"] == pytest.approx(found["prediction"] - found["mean_prediction"])
    expected = dlcli.load(path).explain([{"x": 9}], unit="log-odds").values[0, 0]
    assert column["shapley"] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("of=virginia", "of: no output 'virginia'; did you mean 'virginica'?"),
        ("unit=log-odds", "unit: expected auto or probability, got 'log-odds'"),
    ],
)
def test_an_output_or_a_unit_that_it_lacks_is_refused(explained, query, message):
    reply = explained().post(f"/explain?{query}", ROWS)
    assert (reply.status, reply.json) == (400, {"error": message})


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

    def slow(rows, *_):
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


BARS = """
(async () => {
  while (!document.documentElement.dataset.explained)
    await new Promise((resolve) => setTimeout(resolve, 10));
  return [...document.querySelectorAll("#effects li")].map((item) => {
    const bar = item.querySelector("rect");
    return [item.firstChild.textContent, item.querySelector(".number").textContent,
      bar.getAttribute("class"), Number(bar.getAttribute("width"))];
  });
})()
"""


@pytest.mark.slow
@pytest.mark.skipif(PROGRAM is None, reason="there is no chromium to open pages in")
def test_the_form_shows_a_bar_for_each_contribution(run, tmp_path):
    model = ServedModel.load("flowers", Path(run.path))
    with serving({"flowers": model}) as address, browser(tmp_path) as opened:
        visit = opened.visit(f"http://{address}/", width=1280, height=900)
        bars = opened.ask(BARS)
        [row] = model.explain([opened.ask("row()")])["rows"]
        assert visit.complaints == []
    expected = [each for each in row["columns"] if each["shapley"]]
    largest = max(abs(each["shapley"]) for each in expected)
    for (name, number, direction, width), each in zip(bars, expected, strict=True):
        share, sign = each["shapley"], "−" if each["shapley"] < 0 else "+"
        assert (name, number) == (each["column"], f"{sign}{100 * abs(share):.1f}"), name
        assert direction == ("less" if share < 0 else "more")
        assert width == pytest.approx(100 * abs(share) / largest)
