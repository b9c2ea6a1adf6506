"""Rows of requests as a single object, JSON lines, CSV, or compressed."""

from __future__ import annotations

import asyncio
import csv
import gzip
import io
import json
import zlib

import pytest

from dlcli.serving.application import make_application
from dlcli.serving.requests import Models
from dlcli.serving.served_model import Limits
from tests.serving.conftest import ROW, Client

ROWS = [ROW, {**ROW, "size": 2.5, "color": None, "note": 'very, very "bad"'}]
NDJSON, CSV = {"content-type": "application/x-ndjson"}, {"content-type": "text/csv; charset=utf-8"}


def as_csv(rows, delimiter=","):
    stream = io.StringIO()
    writer = csv.DictWriter(stream, [*rows[0]], delimiter=delimiter)
    writer.writeheader()
    texts = {True: "true", None: ""}
    writer.writerows({n: texts.get(v, v) for n, v in row.items()} for row in rows)
    return stream.getvalue().encode()


@pytest.fixture
def expected(client):
    return client.post("/predict", ROWS).json


def test_a_single_object_is_answered_by_an_object(client, expected):
    assert client.post("/predict", ROWS[1]).json == expected[1]


def test_json_lines_are_answered_by_json_lines(client, expected):
    body = "\n\n".join(map(json.dumps, ROWS)).encode()
    reply = client.post("/predict", body, headers=NDJSON)
    assert reply.headers["content-type"] == "application/x-ndjson"
    assert [json.loads(line) for line in reply.body.splitlines()] == expected


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_csv_is_answered_by_csv(client, expected, delimiter):
    body = as_csv(ROWS, delimiter)
    reply = client.post("/predict", b"\xef\xbb\xbf" + body, headers=CSV)
    assert reply.headers["content-type"].startswith("text/csv")
    found = [*csv.DictReader(io.StringIO(reply.body.decode()))]
    assert [float(each["prediction"]) for each in found] == [
        each["prediction"] for each in expected
    ]


@pytest.mark.parametrize(
    ("headers", "body", "status", "message"),
    [
        (NDJSON, b'{"size": 1}\n{"size": ', 400, "line 2: expected JSON: "),
        (NDJSON, b"\n", 422, "expected at least one row, got none"),
        (NDJSON, b"1\n" * 4, 413, "expected at most 3 rows, got more"),
        (CSV, b"size,color\n1\n", 400, "row 1: has 1 fields, but the header has 2"),
        (CSV, b"size,size\n1,2\n", 400, "the header contains 'size' twice"),
        (CSV, b'size\n"1\n', 400, "expected CSV: line 2: unexpected end of data"),
        (CSV, b"size\n\xff\n", 400, "expected CSV in UTF-8; byte 6 is not"),
        (CSV, b"size,heigth\n1,2\n", 422, "row 1, column 'heigth': is not a column"),
        (CSV, b"", 422, "expected at least one row, got none"),
        (CSV, b"size\n" + b"1\n" * 4, 413, "expected at most 3 rows, got more"),
    ],
)
def test_wrong_rows_are_refused_with_their_place(serve, headers, body, status, message):
    reply = serve(rows=3).post("/predict", body, headers=headers)
    assert reply.status == status
    assert reply.json["error"].startswith(message)


class TestCompression:
    @pytest.mark.parametrize(
        ("name", "compress"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
    )
    def test_each_protocol_reads_compressed_bodies(self, client, expected, name, compress):
        headers = {"content-encoding": name}
        body = compress(json.dumps(ROWS).encode())
        assert client.post("/predict", body, headers=headers).json == expected
        body = compress(json.dumps({"instances": ROWS}).encode())
        reply = client.post("/v1/models/houses:predict", body, headers=headers)
        assert reply.json["predictions"] == [each["prediction"] for each in expected]

    @pytest.mark.parametrize(
        ("name", "body", "status", "message"),
        [
            ("gzip", b"x", 400, "the compressed body is damaged"),
            ("gzip", gzip.compress(b"[]", mtime=0)[:-3], 400, "the compressed body is damaged"),
            ("gzip", gzip.compress(b"[]", mtime=0) + b"x", 400, "the compressed body is damaged"),
            (
                "gzip",
                gzip.compress(b" " * (2 << 20), mtime=0),
                413,
                "expected a body of at most 1 MiB",
            ),
            ("br", b"x", 415, "expected a body without compression, or gzip or deflate"),
            ("gzip, gzip", b"x", 415, "expected a body without compression, or gzip or deflate"),
        ],
    )
    def test_others_are_refused(self, serve, name, body, status, message):
        client = serve(mebibytes=1)
        reply = client.post("/predict", body, headers={"content-encoding": name})
        assert (reply.status, reply.json["error"]) == (status, message)


def test_bodies_beyond_the_memory_for_them_are_refused_for_now(models):
    served = Models(models, Limits(mebibytes=1))
    client = Client(make_application(served))
    statuses = []

    async def slow():  # while this body arrives, other clients hold the memory
        if not statuses:
            statuses.append(0)
            served._held += 4 << 20
            return {"type": "http.request", "body": b" " * 10, "more_body": True}
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b"[]", "more_body": False}

    reply = client.post("/predict", b"", parts=slow)
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    served._held -= 4 << 20
    assert served._held == 0
    assert client.post("/predict", [ROW]).status == 200
