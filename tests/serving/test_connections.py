"""Connections of clients that send too much, too slowly or nothing, before they give a key."""

from __future__ import annotations

import socket
import time
from threading import Thread

import pytest
import uvicorn

from dlcli.serving import application
from dlcli.serving.application import make_application
from dlcli.serving.requests import Models

GET = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n"


@pytest.fixture(scope="module")
def port(models):
    """The port of a server with a key, in a thread of this process."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(
            make_application(Models(models), "secret"),
            log_level="error",
            lifespan="off",
            http="dlcli.serving.application:PatientConnection",
            timeout_keep_alive=1,
        )
        server = uvicorn.Server(config)
        thread = Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join()


@pytest.fixture
def connect(port):
    """Opens connections, which are closed at the end."""
    opened = []

    def make():
        opened.append(socket.create_connection(("127.0.0.1", port), timeout=20))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def answer(connection):
    """All that the server sends until it closes the connection."""
    found = b""
    while True:
        try:
            part = connection.recv(65536)
        except ConnectionResetError:  # it did not read all that was sent
            return found
        if not part:
            return found
        found += part


def send_all(connection, *parts):
    """Send as much as the server accepts."""
    try:
        for part in parts:
            connection.sendall(part)
    except OSError:
        pass


def test_headers_that_never_end_are_refused(connect):
    connection = connect()
    send_all(connection, GET, *(b"x-%d: %s\r\n" % (at, b"a" * 1000) for at in range(5_000)))
    found = answer(connection)
    assert found.startswith(b"HTTP/1.1 431 ") or found == b""


def test_their_size_is_in_the_message(connect):
    connection = connect()
    connection.sendall(GET + b"x: " + b"a" * application.MOST_HEADER_BYTES)
    found = answer(connection)
    assert found.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert found.endswith(b'{"error":"expected headers of at most 32 KiB"}')


def test_headers_below_the_limit_are_accepted_with_a_large_body_behind_them(connect):
    connection = connect()
    body = b"[" + b" " * 200_000 + b"]"
    head = b"POST /predict HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx: " + b"a" * 30_000
    connection.sendall(head + b"\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    assert answer(connection).startswith(b"HTTP/1.1 401 ")


def test_headers_that_arrive_slowly_time_out(connect, monkeypatch):
    monkeypatch.setattr(application, "HEADER_SECONDS", 0.5)
    connection = connect()
    connection.sendall(GET)
    for _ in range(4):  # the time begins once
        time.sleep(0.1)
        connection.sendall(b"x: 1\r\n")
    found = answer(connection)
    assert found.startswith(b"HTTP/1.1 408 Request Timeout\r\n")


@pytest.mark.parametrize("sent", [b"", b"\r\n", b"GET"])
def test_a_connection_without_a_request_times_out(connect, monkeypatch, sent):
    monkeypatch.setattr(application, "HEADER_SECONDS", 0.3)
    connection = connect()
    connection.sendall(sent)
    assert answer(connection).startswith(b"HTTP/1.1 408 ")


def test_line_ends_do_not_keep_a_connection_open_after_a_response(connect, monkeypatch):
    monkeypatch.setattr(application, "HEADER_SECONDS", 0.5)
    connection = connect()
    connection.sendall(GET + b"\r\n")
    assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    connection.sendall(b"\r\n")
    assert answer(connection).startswith(b"HTTP/1.1 408 ")


def test_several_requests_use_one_connection(connect):
    connection = connect()
    for _ in range(3):
        connection.sendall(GET + b"\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 ")
    connection.sendall((GET + b"\r\n") * 2)  # without waiting for the first response
    found = b""
    while found.count(b"HTTP/1.1 200 ") < 2:
        found += connection.recv(65536)


def test_trailers_without_end_are_refused(connect):
    connection = connect()
    head = b"POST /predict HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n"
    start = head + b"authorization: Bearer secret\r\n\r\n1\r\n[\r\n0\r\n"
    send_all(connection, start, *(b"x-%d: %s\r\n" % (at, b"a" * 1000) for at in range(5_000)))
    found = answer(connection)
    assert b" 431 " in found or found == b""


def test_a_body_in_many_small_chunks_is_accepted(connect):
    connection = connect()
    head = b"POST /predict HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n"
    head += b"authorization: Bearer secret\r\nconnection: close\r\n\r\n"
    connection.sendall(head + b"1\r\n \r\n" * 20_000 + b"2\r\n[]\r\n0\r\n\r\n")
    assert answer(connection).startswith(b"HTTP/1.1 422 ")


def test_too_many_connections_are_refused_until_others_close(connect, monkeypatch):
    time.sleep(0.2)  # connections of earlier tests close
    monkeypatch.setattr(application, "MOST_CONNECTIONS", 5)
    waiting = [connect() for _ in range(5)]
    refused = connect()
    assert answer(refused).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    waiting[0].close()
    time.sleep(0.2)
    accepted = connect()
    accepted.sendall(GET + b"\r\n")
    assert accepted.recv(65536).startswith(b"HTTP/1.1 200 ")
