"""TensorFlow Serving's REST API: the same predictions, in its words."""

from __future__ import annotations

import base64

import pytest

from tests.serving.conftest import ROW

ROWS = [ROW, {**ROW, "size": 12.5, "color": None}]
PATH = "/v1/models/houses:predict"


def test_instances_are_rows(client):
    expected = [row["prediction"] for row in client.post("/predict", ROWS).json]
    assert client.post(PATH, {"instances": ROWS}).json == {"predictions": expected}


def test_inputs_are_columns(client):
    expected = [row["prediction"] for row in client.post("/predict", ROWS).json]
    inputs = {name: [row[name] for row in ROWS] for name in ROW}
    assert client.post(PATH, {"inputs": inputs}).json == {"outputs": expected}
    nested = {name: [[row[name]] for row in ROWS] for name in ROW}
    assert client.post(PATH, {"inputs": nested}).json == {"outputs": expected}


def test_of_several_outputs_each_has_its_name(client):
    expected = client.post("/predict/pets", [{"x": 1}, {"x": -1}]).json
    path = "/v1/models/pets/versions/1:predict"
    body = {"instances": [{"x": [1]}, {"x": -1}], "signature_name": "serving_default"}
    assert client.post(path, body).json == {"predictions": expected}
    outputs = client.post(path, {"inputs": {"x": [1, -1]}}).json["outputs"]
    assert outputs == {name: [row[name] for row in expected] for name in expected[0]}


def test_a_single_column_may_have_no_name(client):
    expected = client.post("/predict/pets", [{"x": 1}, {"x": -1}]).json
    path = "/v1/models/pets:predict"
    assert client.post(path, {"instances": [1, [-1]]}).json == {"predictions": expected}
    outputs = client.post(path, {"inputs": [1, -1]}).json["outputs"]
    assert outputs["prediction"] == ["dog", "cat"]


def test_texts_may_be_in_base64(client):
    row = {**ROW, "note": {"b64": base64.b64encode(b"very good").decode()}}
    expected = client.post(PATH, {"instances": [ROW]}).json
    assert client.post(PATH, {"instances": [row]}).json == expected


def test_too_many_rows_are_refused_before_any_is_read(serve):
    unreadable = {**ROW, "note": {"b64": "?"}}
    inputs = {name: [value] * 3 for name, value in unreadable.items()}
    for body in ({"instances": [unreadable] * 3}, {"inputs": inputs}):
        reply = serve(rows=2).post(PATH, body)
        assert (reply.status, reply.json["error"]) == (413, "expected at most 2 rows, got 3")


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ([], 400, "expected a JSON object"),
        ({}, 400, "expected either 'instances' or 'inputs'"),
        ({"instances": [], "inputs": {}}, 400, "expected either 'instances' or 'inputs'"),
        ({"instances": 5}, 400, "expected a list of rows"),
        ({"instances": [ROW], "signature_name": "other"}, 400, "unknown signature 'other'"),
        ({"instances": [{**ROW, "size": "a"}]}, 422, "row 1, column 'size': expected a finite"),
        ({"instances": [{**ROW, "note": {"b64": "?"}}]}, 422, "row 1, column 'note': expected UTF"),
        ({"instances": [{**ROW, "note": {"b64": "é"}}]}, 422, "row 1, column 'note': expected UTF"),
        ({"inputs": {"size": 5}}, 400, "expected a list of values for each column in 'inputs'"),
        ({"inputs": {"size": [1], "color": []}}, 422, "column 'color': has 0 values, the first"),
    ],
)
def test_wrong_requests_are_explained(client, body, status, message):
    reply = client.post(PATH, body)
    assert (reply.status, reply.json["error"][: len(message)]) == (status, message)


def test_a_model_has_a_status_and_metadata(client):
    [status] = client.get("/v1/models/houses").json["model_version_status"]
    assert (status["state"], status["version"]) == ("AVAILABLE", "1")
    assert client.get("/v1/models/horses").status == 404
    metadata = client.get("/v1/models/houses/metadata").json
    assert metadata["model_spec"]["name"] == "houses"
    signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    types = {name: tensor["dtype"] for name, tensor in signature["inputs"].items()}
    assert types == {
        "size": "DT_DOUBLE",
        "color": "DT_STRING",
        "sold": "DT_BOOL",
        "day": "DT_STRING",
        "note": "DT_STRING",
    }
    assert [*signature["outputs"]] == ["prediction"]
