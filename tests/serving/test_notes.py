"""Notes on values that training did not see: the words of `dlcli predict`, beside the prediction."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tritonclient import http as triton

from dlcli.columns.value_problems import ValueProblems, value_notes
from dlcli.tables.memory_tables import memory_table
from tests.serving.conftest import ROW

FAR = {**ROW, "size": 1000, "color": "mauve"}
SIZE = {"column": "size", "message": "outside the training range, 10 to 40"}
COLOR = {"column": "color", "message": "with an unknown category ('mauve'): encoded as zeros"}


def test_each_row_has_notes_on_its_own_values(client):
    rows = [ROW, FAR, {**ROW, "color": "Red"}, {**ROW, "day": "2025-06-01", "note": "xyz"}]
    plain, far, spelling, late = client.post("/predict", rows).json
    assert [*plain] == ["prediction"]
    assert far["notes"] == [SIZE, COLOR]
    [note] = spelling["notes"]
    assert note["message"].endswith("training rows have 'red' instead of 'Red'")
    assert late["notes"] == [
        {"column": "day", "message": "outside the training range, 2024-01-01 to 2024-03-31"},
        {"column": "note", "message": "without a known token: all inputs are 0"},
    ]


def test_notes_have_the_words_of_predict(client, models):
    predictor, problems = models["houses"].predictor, ValueProblems(lenient=True)
    predictor.predict(predictor.read(memory_table([FAR])), problems)
    notes = [n for name, found in problems.columns.items() for n in value_notes(name, found)]
    told = client.post("/predict", [FAR]).json[0]["notes"]
    assert [f"column '{each['column']}': 1 row {each['message']}" for each in told] == [
        *map(str, notes)
    ]


@pytest.mark.parametrize("count", [2, 200])  # many are predicted as a table
def test_notes_are_those_of_the_same_rows_of_any_number(client, count):
    found = client.post("/predict", [ROW, FAR] * (count // 2)).json
    assert [each.get("notes") for each in found] == [None, [SIZE, COLOR]] * (count // 2)


def test_a_response_has_a_limited_number_of_notes(client):
    found = client.post("/predict", [FAR] * 1_200).json
    assert sum(len(each.get("notes", ())) for each in found) == 1_000


def test_an_object_and_json_lines_contain_notes(client):
    assert client.post("/predict", FAR).json["notes"] == [SIZE, COLOR]
    headers = {"content-type": "application/jsonl"}
    lines = client.post("/predict", json.dumps(FAR).encode(), headers=headers)
    assert json.loads(lines.body)["notes"] == [SIZE, COLOR]


def test_tensorflows_response_has_notes_next_to_the_predictions(client):
    path, rows = "/v1/models/houses:predict", [ROW, FAR]
    expected = [{"row": 2, **SIZE}, {"row": 2, **COLOR}]
    assert client.post(path, {"instances": rows}).json["notes"] == expected
    columns = {name: [row[name] for row in rows] for name in ROW}
    assert client.post(path, {"inputs": columns}).json["notes"] == expected
    assert [*client.post(path, {"instances": [ROW]}).json] == ["predictions"]


@pytest.mark.parametrize("binary", [True, False])
def test_tritons_client_gets_notes_as_a_parameter(address, client, binary):
    inputs = []
    for name, value in FAR.items():
        kind, dtype = ("BYTES", np.object_) if isinstance(value, str) else ("FP64", np.float64)
        inputs.append(triton.InferInput(name, [1], kind))
        inputs[-1].set_data_from_numpy(np.array([value], dtype), binary_data=binary)
    with triton.InferenceServerClient(address) as server:
        answer = server.infer("houses", inputs)
    [expected] = client.post("/predict", [FAR]).json
    assert answer.as_numpy("prediction").tolist() == [expected["prediction"]]
    notes = json.loads(answer.get_response()["parameters"]["notes"])
    assert notes == [{"row": 1, **SIZE}, {"row": 1, **COLOR}]
