"""The benchmarks of few rows and of serving measure what they are to measure."""

from __future__ import annotations

import json
import os

import pytest

from benchmarks.few_rows import ROOT, measure, read_rows
from benchmarks.serving import Server, ask, is_complete, request_of

pytestmark = pytest.mark.release


def test_few_rows_are_timed_as_a_table_and_as_rows(models):
    rows = read_rows(ROOT / "data" / "iris.csv")[:2]
    assert rows[0]["species"] == "setosa"
    assert rows[0]["sepal_length"] == 5.1
    assert min(measure(models["iris"].predictor, rows, 1)) > 0


def test_a_server_is_asked_for_some_time(address):
    port = int(address.partition(":")[2])
    body = json.dumps([{"x": 1.0}]).encode()
    found = ask(Server("dlcli", os.getpid(), port), body, 0.05, path="/predict/pets")
    assert found.requests_a_second > 0
    assert found.p99 > 0


@pytest.mark.parametrize("cut", [0, 10, 40, 1])
def test_an_answer_is_complete_with_its_last_byte(cut):
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"
    assert is_complete(answer[: len(answer) - cut]) == (cut == 0)


def test_an_error_ends_the_benchmark():
    with pytest.raises(SystemExit, match="the server answers: HTTP/1.1 422"):
        is_complete(b"HTTP/1.1 422 No\r\nContent-Length: 0\r\n\r\n")


def test_rivals_are_asked_in_their_own_protocols():
    rows = [{"x": 1.5, "color": "red"}, {"x": 2.0, "color": "blue"}]

    assert request_of("dlcli", rows) == ("/predict", json.dumps(rows).encode())
    path, body = request_of("MLflow", rows)
    assert (path, json.loads(body)) == ("/invocations", {"dataframe_records": rows})
    path, body = request_of("MLServer", rows)
    assert path == "/v2/models/model/infer"
    assert json.loads(body)["inputs"] == [
        {"name": "x", "shape": [2], "datatype": "FP64", "data": [1.5, 2.0]},
        {"name": "color", "shape": [2], "datatype": "BYTES", "data": ["red", "blue"]},
    ]
