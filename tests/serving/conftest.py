"""Served runs whose weights are set by hand, and a client that needs no socket."""

from __future__ import annotations

import asyncio
import concurrent.futures.thread  # noqa: F401  (not in a thread: see `serving`)
import json
import os
import socket
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copyfile
from threading import Thread

import pytest
import uvicorn
from PIL import Image as Pillow

from dlcli.serving.application import make_application
from dlcli.serving.requests import Models
from dlcli.serving.served_model import Limits, ServedModel
from tests.catalogue import hand_made

ROOT = Path(__file__).parents[2]
ROWS = """\
id,size,color,sold,day,note,price
1,10,red,true,2024-01-01,very good,1
2,20,green,false,2024-01-31,not good,2
3,30,red,true,2024-02-29,good,3
4,40,,false,2024-03-31,very bad,4
"""
FEATURES = """\
input:
  scaling: none
  features:
    id: ignored
    size: {type: numeric, missing: error}
    color: categorical
    sold: boolean
    day: {type: datetime, parts: [elapsed]}
    note: {type: text, encoding: {name: multi_hot, min_count: 1}}
hidden: []
epochs: 1
"""
HOUSES = f"data: {{train: rows.csv, target: price}}\noutput: {{scaling: none}}\n{FEATURES}"
PETS = "data: {train: pets.csv, target: pet}\ninput: {scaling: none}\nhidden: []\nepochs: 1\n"
IRIS = "data: {train: iris.csv, target: species}\nhidden: []\nepochs: 1\n"
PET_ROWS = "x,pet\n-50,cat\n0,cat\n50,dog\n50,cat\n"
ROW = {
    "size": 10,
    "color": "red",
    "sold": True,
    "day": "2024-01-01",
    "note": "very good",
}


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """The folders of the runs `houses`, `pets`, `swapped` (of the opposite weights) and `iris`."""
    folder, before = tmp_path_factory.mktemp("served"), Path.cwd()
    os.chdir(folder)
    try:
        Path("rows.csv").write_text(ROWS)
        Path("pets.csv").write_text(PET_ROWS)
        copyfile(ROOT / "data" / "iris.csv", "iris.csv")
        weights = {"output/kernel": [[1.0]], "output/bias": [0.0]}
        made = [
            hand_made.make_run(HOUSES, "houses"),
            hand_made.make_run(PETS, "pets", weights),
            hand_made.make_run(IRIS, "iris"),
            hand_made.make_run(PETS, "swapped", {**weights, "output/kernel": [[-1.0]]}),
        ]
    finally:
        os.chdir(before)
    return {path.name: folder / path for path in made}


@pytest.fixture
def images(tmp_path, monkeypatch):
    """The folder of a run that reads image files."""
    monkeypatch.chdir(tmp_path)
    Pillow.new("L", (2, 2)).save("a.png")
    Path("images.csv").write_text("photo,y\n" + "".join(f"a.png,{y}\n" for y in range(4)))
    feature = "input: {features: {photo: {type: image, shape: [2, 2, 1]}}}"
    return tmp_path / hand_made.make_run(
        f"data: {{train: images.csv, target: y}}\n{feature}\nhidden: []\nepochs: 1\n", "images"
    )


@pytest.fixture(scope="session")
def models(runs):
    names = ("houses", "pets", "iris")
    return {name: ServedModel.load(name, runs[name]) for name in names}


@dataclass
class Reply:
    """The answer to a request."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)


@dataclass
class Client:
    """Asks an application, without a socket.

    Args:
        application: the application.
        headers: of each request.
    """

    application: object
    headers: dict[str, str] = field(default_factory=dict)

    def __call__(self, method, path, body=b"", *, headers=None, parts=None):
        """Send a request, whose body is bytes or JSON, and return the answer.

        Args:
            method: of HTTP.
            path: the path, perhaps with a query.
            body: of the request.
            headers: further ones.
            parts: an asynchronous function that returns the messages that a slow client sends.
        """
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"content-length": str(len(content)), **self.headers, **(headers or {})}
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(k.lower().encode(), v.encode()) for k, v in given.items()],
            "http_version": "1.1",
            "scheme": "http",
            "server": ("localhost", 8000),
            "root_path": "",
        }
        sent = []

        async def receive():
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message):
            sent.append(message)

        asyncio.run(self.application(scope, parts or receive, send))
        start, *others = sent
        found = {k.decode(): v.decode() for k, v in start["headers"]}
        return Reply(start["status"], found, b"".join(each["body"] for each in others))

    def post(self, path, body, **others):
        return self("POST", path, body, **others)

    def get(self, path, **others):
        return self("GET", path, **others)


@pytest.fixture
def serve(models):
    """Makes a client of a server of both runs."""

    def make(key=None, **limits):
        return Client(make_application(Models(models, Limits(**limits)), key))

    return make


@pytest.fixture(scope="session")
def address(models):
    """Host and port of a server of both runs."""
    with serving(models) as address:
        yield address


@contextmanager
def serving(models):
    """Serve models in a thread of this process, and yield host and port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        application = make_application(Models(models))
        server = uvicorn.Server(uvicorn.Config(application, log_level="error", lifespan="off"))
        thread = Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:  # it imports modules, and a fork meanwhile would break locks
            time.sleep(0.01)
        yield f"127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture
def client(serve):
    return serve()
