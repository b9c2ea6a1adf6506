"""The Open Inference Protocol: Triton's client gets the predictions of `/predict`, unmodified."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from tritonclient import http as triton
from tritonclient.utils import InferenceServerException

from tests.serving.conftest import ROW

ROWS = [ROW, {**ROW, "size": 2.5, "color": "", "note": "sehr schön 😀"}]
INFER = "/v2/models/houses/infer"


@pytest.fixture
def server(address):
    with triton.InferenceServerClient(address) as server:
        yield server


def tensors(rows, *, binary):
    """The columns of rows as Triton's client sends them."""
    types = {str: (np.object_, "BYTES"), bool: (np.bool_, "BOOL")}
    made = []
    for name, first in rows[0].items():
        dtype, kind = types.get(type(first), (np.float64, "FP64"))
        made.append(triton.InferInput(name, [len(rows)], kind))
        values = np.array([row[name] for row in rows], dtype)
        made[-1].set_data_from_numpy(values, binary_data=binary)
    return made


@pytest.mark.parametrize("binary", [True, False])
def test_tritons_client_gets_numbers(server, client, binary):
    expected = [row["prediction"] for row in client.post("/predict", ROWS).json]
    outputs = [triton.InferRequestedOutput("prediction", binary_data=binary)]
    for asked in (outputs, None):
        answer = server.infer("houses", tensors(ROWS, binary=binary), outputs=asked)
        assert answer.as_numpy("prediction").tolist() == expected


@pytest.mark.parametrize("binary", [True, False])
def test_tritons_client_gets_texts_and_probabilities(server, client, binary):
    rows = [{"x": 1.0}, {"x": -1.0}, {"x": 0.1}]
    expected = client.post("/predict/pets", rows).json
    outputs = [triton.InferRequestedOutput(name, binary_data=binary) for name in expected[0]]
    answer = server.infer(
        "pets", tensors(rows, binary=binary), outputs=outputs, request_id="7", model_version="1"
    )
    texts = [t.decode() if isinstance(t, bytes) else t for t in answer.as_numpy("prediction")]
    assert texts == [row["prediction"] for row in expected]
    shares = answer.as_numpy("probability_dog").tolist()
    assert shares == [row["probability_dog"] for row in expected]
    assert answer.get_response()["id"] == "7"


def test_tritons_client_may_send_columns_of_one(server, client):
    tensor = triton.InferInput("x", [2, 1], "INT32")
    tensor.set_data_from_numpy(np.array([[1], [-1]], np.int32))
    answer = server.infer("pets", [tensor]).as_numpy("prediction")
    assert answer.tolist() == [b"dog", b"cat"]


def test_tritons_client_asks_for_health_and_metadata(server):
    assert server.is_server_live()
    assert server.is_server_ready()
    assert server.is_model_ready("houses")
    assert not server.is_model_ready("horses")
    assert server.get_server_metadata()["name"] == "dlcli"
    metadata = server.get_model_metadata("houses")
    assert metadata["platform"] == "dlcli"
    types = {tensor["name"]: tensor["datatype"] for tensor in metadata["inputs"]}
    assert types == dict(size="FP64", color="BYTES", sold="BOOL", day="BYTES", note="BYTES")
    [output] = metadata["outputs"]
    assert output == {"name": "prediction", "datatype": "FP64", "shape": [-1]}


def test_tritons_client_is_told_what_is_wrong(server):
    columns = tensors([ROW], binary=True)
    with pytest.raises(InferenceServerException, match="column 'note': is absent from the row"):
        server.infer("houses", columns[:-1])


def test_nan_is_a_missing_value(client):
    x = {"name": "x", "datatype": "FP32", "shape": [2], "parameters": {"binary_data_size": 8}}
    head = json.dumps({"inputs": [x]}).encode()
    body = head + struct.pack("<ff", np.nan, 1)
    headers = {"Inference-Header-Content-Length": str(len(head))}
    reply = client.post("/v2/models/pets/infer", body, headers=headers)
    expected = client.post("/predict/pets", [{"x": None}, {"x": 1}]).json
    outputs = {output["name"]: output["data"] for output in reply.json["outputs"]}
    assert outputs["probability_dog"] == [row["probability_dog"] for row in expected]


def x(**parts):
    return {"name": "x", "datatype": "FP64", "shape": [1], "data": [1], **parts}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "expected a JSON object"),
        ({}, "expected a list of tensors in 'inputs'"),
        ({"inputs": [5]}, "expected 'name', 'datatype' and 'shape' of each input"),
        ({"inputs": [x(), x()]}, "column 'x': occurs twice"),
        ({"inputs": [x(datatype="FP128")]}, "column 'x': expected a datatype such as FP64"),
        ({"inputs": [x(datatype=[])]}, "column 'x': expected a datatype such as FP64"),
        ({"inputs": [x(shape=[1, 2])]}, "column 'x': expected the shape [rows] or [rows, 1]"),
        ({"inputs": [x(shape=[-1])]}, "column 'x': expected the shape [rows] or [rows, 1]"),
        ({"inputs": [x(shape=[True])]}, "column 'x': expected the shape [rows] or [rows, 1]"),
        ({"inputs": [x(shape="1")]}, "column 'x': expected the shape [rows] or [rows, 1]"),
        ({"inputs": [x(shape=[2])]}, "column 'x': expected 2 values, got 1"),
        ({"inputs": [x(data=5)]}, "column 'x': expected a list of values in 'data'"),
        ({"inputs": [x(), x(name="y", shape=[2], data=[1, 2])]}, "column 'y': has 2 rows, but"),
        (
            {"inputs": [x(parameters={"binary_data_size": 8})]},
            "column 'x': expected 8 bytes, got",
        ),
        ({"inputs": [x(parameters={"binary_data_size": -8})]}, "column 'x': expected a number of"),
        ({"inputs": [x()], "outputs": [{"name": "z"}]}, "no output 'z'; expected one of "),
        ({"inputs": [x()], "outputs": 5}, "expected a list of objects in 'outputs'"),
    ],
)
def test_wrong_tensors_are_explained(client, content, message):
    reply = client.post("/v2/models/pets/infer", content)
    assert (reply.status, reply.json["error"][: len(message)]) == (400, message)


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        (b"\1", "row 1, column 'x': a text is truncated"),
        (b"\2\0\0\0a", "row 1, column 'x': a text is truncated"),
        (b"\1\0\0\0\xff", "row 1, column 'x': expected UTF-8"),
        (b"\1\0\0\0001" * 2 + b"\2\0\0\0a", "column 'x': expected 1 values, got more"),
    ],
)
def test_wrong_binary_texts_are_explained(client, tail, message):
    head = json.dumps(
        {"inputs": [x(datatype="BYTES", parameters={"binary_data_size": len(tail)})]}
    ).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    reply = client.post("/v2/models/pets/infer", head + tail, headers=headers)
    assert (reply.status, reply.json["error"]) == (400, message)


@pytest.mark.parametrize("length", ["99999", "-1", "x", "9" * 30])
def test_a_wrong_length_of_the_json_is_explained(client, length):
    headers = {"Inference-Header-Content-Length": length}
    reply = client.post("/v2/models/pets/infer", b"{}", headers=headers)
    assert reply.status == 400
    assert reply.json["error"].startswith("Inference-Header-Content-Length: expected at most 2")


def test_bytes_that_belong_to_no_tensor_are_refused(client):
    head = json.dumps({"inputs": [x()]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    reply = client.post("/v2/models/pets/infer", head + b"more", headers=headers)
    assert reply.json["error"] == "expected 0 bytes of tensors, got 4"


def test_more_rows_than_allowed_are_refused_before_they_are_read(serve):
    reply = serve(rows=10).post("/v2/models/pets/infer", {"inputs": [x(shape=[10**18])]})
    assert reply.status == 413


def test_health_needs_no_key(serve):
    guarded = serve("secret")
    for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/houses/ready"):
        assert guarded.get(path).status == 200
    assert guarded.get("/v2/models/houses").status == 401
