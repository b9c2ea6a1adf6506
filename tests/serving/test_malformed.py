"""Malformed requests leave the server serving: each is answered or cut off, none is a failure.

1,000 of them by default. For more, by hand: `DLCLI_FUZZ=100000 pytest tests/serving`.
"""

from __future__ import annotations

import json
import os
import random
import socket

import pytest

from tests.serving.conftest import ROW

REQUESTS = max(1_000, int(os.environ.get("DLCLI_FUZZ", "0")))
PATHS = (
    "/predict",
    "/predict/pets",
    "/v1/models/houses:predict",
    "/v1/models/pets:predict",
    "/v2/models/houses/infer",
    "/v2/models/pets/infer",
    "/form/houses",
)
ODD_PATHS = ("/", "//", "/%00", "/predict/..%2f..%2fetc", "*", "/" + "a" * 9_000)
ODD_LINES = ("A" * 70_000 + ": b", "no colon", "Content-Encoding: gzip", "\0: a")
ODD = (
    *(None, True, -1, 0.1, 1e308, 2**70, -(2**63), "", "x", "\u0000", "😀", "1,5", "NaN"),
    *([], {}, [[]], {"b64": "eA=="}, {"b64": 5}, "2024-13-01", "9" * 400, [1] * 50),
)
KEYS = ("instances", "inputs", "outputs", "signature_name", "parameters", "id", "name", "data")
KEYS += ("shape", "datatype", "binary_data_size", "x", "size", "color", "day", "note", "sold")
DEEP = (b"[" * 50_000, b'{"a":' * 20_000, b"[[1" + b",[1" * 5_000, b'{"instances":' + b"[" * 9_000)
WORDS = (
    b"NaN",
    b"Infinity",
    b"1e999",
    b"\xff",
    b"\xef\xbb\xbf[]",
    b"[1,]",
    b"'",
    b"\x00" * 99,
    b"",
)


def value(draw, depth=0):
    """Some JSON, more like a request than chance would have it."""
    kind = draw.random()
    if depth > 3 or kind < 0.4:
        return draw.choice(ODD)
    if kind < 0.6:
        return [value(draw, depth + 1) for _ in range(draw.randint(0, 4))]
    if kind < 0.7:
        return {**ROW, draw.choice(KEYS): value(draw, depth + 1)}
    return {draw.choice(KEYS): value(draw, depth + 1) for _ in range(draw.randint(0, 4))}


def body(draw):
    kind = draw.random()
    if kind < 0.6:
        return json.dumps(value(draw)).encode()
    if kind < 0.8:  # a good one, of which something is replaced
        good = bytearray(json.dumps([ROW]).encode())
        for _ in range(draw.randint(1, 3)):
            good[draw.randrange(len(good))] = draw.randrange(256)
        return bytes(good)
    return draw.choice((*DEEP, *WORDS, draw.randbytes(draw.randint(0, 300))))


def head(draw, content):
    """The head of a request, which may say something else than what follows."""
    method = draw.choice(("POST",) * 8 + ("GET", "PUT", "X" * 50))
    path = draw.choice(
        PATHS * 4 + ("/", "//", "/%00", "/predict/..%2f..%2fetc", "*", "/" + "a" * 9_000)
    )
    length = draw.choice(
        (str(len(content)),) * 8 + ("-1", "x", "", str(len(content) + 5), "9" * 25, str(2**30))
    )
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {length}"]
    if draw.random() < 0.1:
        lines.append(f"Inference-Header-Content-Length: {draw.choice((0, 5, -1, 'x', 10**9))}")
    if draw.random() < 0.05:
        lines[2] = "Transfer-Encoding: chunked"
    if draw.random() < 0.05:
        lines.append(
            draw.choice(("A" * 70_000 + ": b", "no colon", "Content-Encoding: gzip", "\x00: a"))
        )
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def status_of(host, port, request):
    """The status of the answer; None if the connection was ended without one."""
    with socket.create_connection((host, port), timeout=30) as connection:
        try:
            connection.sendall(request)
            connection.settimeout(0.05)
            try:
                answer = connection.recv(12)
            except TimeoutError:  # the server waits for the rest
                connection.settimeout(30)
                connection.shutdown(socket.SHUT_WR)
                answer = connection.recv(12)
        except ConnectionError:
            return None
    return int(answer[9:12]) if answer.startswith(b"HTTP/1.1 ") else None


@pytest.mark.slow
def test_malformed_requests_leave_the_server_serving(address, client):
    host, _, port = address.partition(":")
    draw, found = random.Random(0), set()
    for _ in range(REQUESTS):
        content = body(draw)
        found.add(status_of(host, int(port), head(draw, content) + content))

    assert not {status for status in found if status and status >= 500}, found
    assert {200, 400, 404, 405, 413, 422} <= found
    good = json.dumps([ROW]).encode()
    request = f"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: {len(good)}\r\n\r\n".encode()
    assert status_of(host, int(port), request + good) == 200


def test_connections_that_send_nothing_do_not_keep_others_waiting(address):
    host, _, port = address.partition(":")
    idle = [socket.create_connection((host, int(port))) for _ in range(100)]
    for at, connection in enumerate(idle):
        connection.sendall(b"POST /predict HTTP/1.1\r\nContent-Length: 100\r\n\r\n["[: at * 2])
    request = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
    assert status_of(host, int(port), request) == 200
    for connection in idle:
        connection.close()
