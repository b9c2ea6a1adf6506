"""Servers behind a proxy: prefixes, Unix sockets, and request IDs."""

from __future__ import annotations

import json
import re
import socket
from http.client import HTTPConnection
from urllib.parse import urljoin

import pytest
from click.testing import CliRunner

from dlcli.cli.program import main
from dlcli.errors import UsageError
from dlcli.serving.application import make_application
from dlcli.serving.requests import Models
from dlcli.serving.served_model import Limits
from dlcli.serving.server import Settings, _listening
from tests.serving.conftest import ROW, Client
from tests.serving.test_command import started


@pytest.mark.parametrize("page", ["/", "/form/pets", "/docs"])
def test_links_lead_to_pages_behind_any_prefix(client, page):
    text = client.get(page).body.decode()
    links = re.findall(r'href="([^"]+)"', text)
    links += re.findall(r'"(?:path|explanations)": ?"([^"]+)"', text)
    paths = {urljoin(f"http://proxy/models{page}", link) for link in links if link != "data:,"}
    assert paths
    for path in paths:
        assert path.startswith("http://proxy/models/")
        assert client("GET", path.removeprefix("http://proxy/models")).status in (200, 405)


def test_a_prefix_that_a_proxy_keeps_is_removed(models):
    client = Client(make_application(Models(models), prefix="/models"))
    assert client.post("/models/predict", [ROW]).status == 200
    assert client.post("/models/predict/pets", [{"x": 1}]).status == 200
    assert client.get("/healthz").status == 200
    assert client.get("/modelsx/healthz").status == 404
    page = client.get("/models/docs", headers={"host": "example.com"}).body
    assert b"curl example.com/models/predict/pets" in page


def test_a_prefix_that_is_no_path_is_refused(runs):
    result = CliRunner().invoke(main, ["serve", str(runs["pets"]), "--root-path", "a b"])
    assert result.exit_code == 2
    assert "expected a path such as /models, got 'a b'" in result.output


@pytest.mark.parametrize(
    ("sent", "is_kept"), [("abc-1", True), (None, False), ("a\nb", False), ("x" * 201, False)]
)
def test_each_request_is_logged_with_its_id(models, sent, is_kept):
    lines = []
    client = Client(make_application(Models(models), log=lines.append))
    reply = client.get("/nowhere", headers={} if sent is None else {"x-request-id": sent})
    [line] = map(json.loads, lines)
    assert reply.headers["x-request-id"] == line["id"]
    assert (line["id"] == sent) is is_kept
    assert (line["method"], line["path"], line["status"]) == ("GET", "/nowhere", 404)
    assert line["seconds"] > 0


class _Connection(HTTPConnection):
    """A connection to a Unix socket."""

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.host)


def at(path):
    return Settings({}, "127.0.0.1", 0, Limits(), unix_socket=path)


@pytest.mark.slow
def test_a_server_at_a_unix_socket(runs, tmp_path):
    path = tmp_path / "s"
    with _listening(at(path)):
        pass  # a server that ends removes its socket
    assert not path.exists()
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))  # and one that is killed leaves it
    with started(runs["pets"], "--unix-socket", path, place=re.escape(str(path))):
        connection = _Connection(str(path))
        connection.request("POST", "/predict", '{"x": 1}', {"Host": "any.example"})
        assert json.load(connection.getresponse())["prediction"] == "dog"
        connection.close()
        with pytest.raises(UsageError, match="another server listens on it"), _listening(at(path)):
            pass


def test_a_file_or_a_folder_is_no_place_for_a_socket(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(UsageError, match="exists and is not a socket"),
        _listening(at(tmp_path / "file")),
    ):
        pass
    with pytest.raises(UsageError, match="can't listen"), _listening(at(tmp_path / "no" / "s")):
        pass
    assert (tmp_path / "file").exists()
