"""The host name that a request gives: only known ones, so that no web page reads a local server."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcli.serving.application import make_application
from dlcli.serving.requests import Models
from dlcli.serving.served_model import Limits
from dlcli.serving.server import Settings
from tests.serving.conftest import ROW, Client


def settings(host, *allowed):
    return Settings({"m": Path("m")}, host, 8000, Limits(), allowed_hosts=allowed)


def status(models, settings, host, path="/predict"):
    client = Client(make_application(Models(models), None, settings.hosts))
    headers = {} if host is None else {"host": host}
    method, body = ("GET", b"") if path != "/predict" else ("POST", [ROW])
    return client(method, path, body, headers=headers).status


@pytest.mark.parametrize(
    "host", ["localhost:8000", "LOCALHOST", "127.0.0.1:8000", "[::1]:8000", "127.0.0.1"]
)
def test_names_of_this_machine_are_accepted(models, host):
    assert status(models, settings("127.0.0.1"), host) == 200


@pytest.mark.parametrize("host", ["evil.example:8000", "", None, "[::1", "localhost.evil.example"])
@pytest.mark.parametrize("path", ["/predict", "/docs", "/", "/openapi.json", "/metrics"])
def test_another_name_is_refused_by_a_local_server(models, host, path):
    assert status(models, settings("127.0.0.1"), host, path) == 400


def test_the_message_says_how_to_accept_it(models):
    client = Client(make_application(Models(models), None, settings("127.0.0.1").hosts))
    reply = client.post("/predict", [ROW], headers={"host": "models.example"})
    assert reply.json == {
        "error": "unknown host 'models.example'; to accept it, start the server with "
        "--allow-host models.example"
    }


def test_a_given_name_is_accepted(models):
    given = settings("127.0.0.1", "Models.example")
    assert status(models, given, "models.example:80") == 200
    assert status(models, given, "localhost") == 200
    assert status(models, given, "evil.example") == 400


def test_a_server_for_other_machines_accepts_any_name_unless_some_are_given(models):
    assert status(models, settings("0.0.0.0"), "anything.example") == 200
    given = settings("0.0.0.0", "models.example")
    assert status(models, given, "models.example") == 200
    assert status(models, given, "anything.example") == 400


def test_a_check_of_the_health_has_the_address_of_a_container(models):
    assert status(models, settings("127.0.0.1"), "10.1.2.3:8000", "/healthz") == 200
