"""`dlcli serve` as a process: it listens, answers, and ends."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager
from http.client import BadStatusLine, HTTPConnection
from pathlib import Path
from threading import Event, Lock, Thread

import pytest
import uvicorn
from click.testing import CliRunner

from dlcli.cli.program import main
from dlcli.runs.run import Run
from dlcli.serving.served_model import Limits, ServedModel
from dlcli.serving.server import Settings, _application
from tests.serving.conftest import ROW

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "serve.md"


@contextmanager
def started(*arguments, place=r"http://127\.0\.0\.1:(\d+)", **options):
    """A server at a free port or at another place; gives the process and the port."""
    command = [sys.executable, "-m", "dlcli", "serve", *map(str, arguments), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)
    try:
        line = process.stderr.readline()
        found = re.search(rf"{place}$", line)
        assert found, line + process.stderr.read()
        yield process, int(found[1]) if found.groups() else None
    finally:
        process.kill()
        process.wait()
        process.stderr.close()


def ask(port, path="/predict", rows=(ROW,)):
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", path, json.dumps(rows))
    answer = connection.getresponse()
    content = json.load(answer)
    connection.close()
    return answer.status, content


@pytest.mark.slow
def test_a_server_answers_and_ends_at_sigterm(runs):
    with started(runs["houses"], "--name", f"animals={runs['pets']}") as (process, port):
        assert ask(port)[0] == 200
        assert ask(port, "/predict/animals", [{"x": 1}])[1][0]["prediction"] == "dog"
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143
        assert process.stderr.read() == "terminated\n"


class Clients:
    """Many clients, each of which asks again and again over a connection of its own.

    Args:
        port: of the server.
        count: of clients.
        pause: seconds between an answer and the next request of a client.
    """

    def __init__(self, port, count, pause=0.0):
        self.answers, self.refused, self.wrong = Counter(), 0, []
        self._port, self._pause, self._ended, self._lock = port, pause, Event(), Lock()
        self._threads = [Thread(target=self._ask, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def wait_for(self, answer):
        """Wait until there is an answer, of any client."""
        seen, deadline = self.answers[answer], time.monotonic() + 60
        while self.answers[answer] <= seen:
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def end(self):
        """Let each client get its last answer."""
        self._ended.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()

    def _ask(self):
        connection = HTTPConnection("127.0.0.1", self._port, timeout=60)
        while not self._ended.wait(self._pause):
            try:
                connection.request("POST", "/predict", json.dumps([{"x": 1}]))
                answer = connection.getresponse()
            except (ConnectionError, BadStatusLine):  # refused before there was an answer
                with self._lock:
                    self.refused += 1
                break
            content = json.load(answer)  # a part of an answer would not be JSON
            with self._lock:
                if answer.status == 200:
                    self.answers[content[0]["prediction"]] += 1
                else:
                    self.wrong.append(content)
        connection.close()


@pytest.fixture
def link(runs, tmp_path):
    """A link to the run `pets`, which may be replaced by `swapped`."""
    link = tmp_path / "current"
    link.symlink_to(runs["pets"])

    def replace(name):
        (tmp_path / "new").symlink_to(runs[name])
        (tmp_path / "new").replace(link)

    return link, replace


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP")
def test_no_request_is_lost_while_runs_are_loaded_again_or_the_server_ends(link):
    path, replace = link
    with started("--name", f"m={path}") as (process, port):
        clients = Clients(port, 50)
        clients.wait_for("dog")
        for name, answer in (("swapped", "cat"), ("pets", "dog")):
            replace(name)
            process.send_signal(signal.SIGHUP)
            assert process.stderr.readline() == "note: reloaded: m\n"
            clients.wait_for(answer)
            assert clients.refused == 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
        clients.end()
        assert clients.wrong == []
        assert {*clients.answers} == {"dog", "cat"}
        assert process.stderr.read() == "terminated\n"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP")
def test_workers_share_metrics_and_are_replaced_by_others_that_answer(link):
    path, replace = link
    with started("--name", f"m={path}", "--workers", "2") as (process, port):
        for _ in range(20):
            assert ask(port, rows=[{"x": 1}])[0] == 200
        connection = HTTPConnection("127.0.0.1", port, timeout=30)
        connection.request("GET", "/metrics")
        assert b'dlcli_rows_total{model="m"} 20.0' in connection.getresponse().read()
        connection.close()

        clients = Clients(port, 10, pause=0.05)
        clients.wait_for("dog")
        replace("swapped")
        process.send_signal(signal.SIGHUP)
        assert process.stderr.readline() == "note: reloaded: m\n"
        clients.end()  # connections to a worker end with it
        assert clients.wrong == []
        assert ask(port, rows=[{"x": 1}])[1][0]["prediction"] == "cat"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP")
def test_a_server_that_is_to_end_does_not_replace_workers_first(runs):
    with started(runs["houses"], "--workers", "2") as (process, port):
        assert ask(port)[0] == 200
        for _ in range(20):
            process.send_signal(signal.SIGHUP)
            time.sleep(0.02)  # signals of the same number that arrive together are one
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
        assert process.stderr.read().count("reloaded") <= 1


@pytest.mark.slow
def test_workers_end_with_a_server_that_is_killed(runs):
    with started(runs["houses"], "--workers", "2") as (process, port):
        assert ask(port)[0] == 200
        process.kill()
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
            except OSError:
                break
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="has no list of child processes")
def test_a_worker_that_is_killed_while_it_starts_keeps_nobody_waiting(runs):
    with started(runs["houses"], "--workers", "2") as (process, _):
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
        while not (workers := workers_of(children)):
            time.sleep(0.01)
        os.kill(workers[0], signal.SIGSTOP)
        time.sleep(1)  # until the server waits for it
        os.kill(workers[0], signal.SIGKILL)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 143


def workers_of(children):
    """The numbers of the worker processes that are listed in a file."""
    numbers = children.read_text().split()
    return [
        int(each) for each in numbers if "spawn_main" in Path(f"/proc/{each}/cmdline").read_text()
    ]


def test_a_link_that_is_replaced_while_its_run_is_loaded(link, monkeypatch):
    path, replace = link
    load = Run.predictor_at

    def load_later(run, level):
        replace("swapped")
        return load(run, level)

    monkeypatch.setattr(Run, "predictor_at", load_later)
    model = ServedModel.load("m", path)
    assert model.predict([{"x": 1}]).records[0]["prediction"] == "dog"


def test_a_worker_that_can_not_load_the_runs_says_so_in_a_line(tmp_path, capsys):
    settings = Settings({"m": tmp_path / "none"}, "127.0.0.1", 0, Limits())
    with pytest.raises(SystemExit):
        _application(settings)
    assert capsys.readouterr().err.startswith("warning: a worker could not start: ")


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="there is no SIGHUP")
def test_a_run_that_can_not_be_loaded_leaves_the_models_as_they_are(link):
    path, _ = link
    with started("--name", f"m={path}") as (process, port):
        path.unlink()
        process.send_signal(signal.SIGHUP)
        message = process.stderr.readline()
        assert message.startswith("warning: reload failed, the previous models stay in use: ")
        assert ask(port, rows=[{"x": 1}])[1][0]["prediction"] == "dog"


def test_the_commands_of_the_page_are_answered(address, models, tmp_path):
    page = PAGE.read_text(encoding="utf-8").replace("localhost:8000", address)
    [command] = re.findall(r"^curl .*?^\]'$", page, re.MULTILINE | re.DOTALL)
    [row] = json.loads(shlex.split(command)[-1])
    [expected] = models["iris"].predict([row]).records

    command = command.replace("/predict", "/predict/iris")
    done = subprocess.run(["bash", "-c", f"{command} -s"], capture_output=True, text=True)
    assert json.loads(done.stdout) == [expected]
    [shown] = re.findall(r"^```json\n(\[.*)\n```$", page, re.MULTILINE)
    assert [*json.loads(shown)[0]] == [*expected]

    [script] = re.findall(r"^```py\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == f"[b'{expected['prediction']}']\n", done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["runs/none"], "runs/none"),
        ([], "missing argument 'RUN'"),
        (["--name", "a"], "expected NAME=RUN, got 'a'"),
        (["--name", "a=b", "--name", "a=c"], "two runs have the name 'a'"),
        (["runs/none", "--port", "65536"], "expected an integer from 0 to 65,535, got 65536"),
    ],
)
def test_wrong_arguments_are_explained(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["serve", *arguments])
    assert result.exit_code != 0
    assert message in result.stderr


def test_an_address_that_is_taken_is_explained(runs):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(main, ["serve", str(runs["pets"]), "--port", str(port)])
    assert result.exit_code == 2
    assert f"can't listen on 127.0.0.1:{port}: " in result.stderr


@pytest.mark.parametrize("host", ["127.0.0..1", "no-such-host"])
def test_a_host_that_is_none_is_explained(runs, host, monkeypatch):
    find = socket.getaddrinfo

    def without_network(name, *more, **options):
        if name == "no-such-host":
            raise socket.gaierror(-2, "Name or service not known")
        return find(name, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", without_network)
    result = CliRunner().invoke(main, ["serve", str(runs["pets"]), "--host", host])
    assert result.exit_code == 2
    assert f"can't listen on {host}:" in result.stderr
    assert result.stderr.endswith("; try another --host\n")


def test_a_request_on_its_way_is_answered_when_the_server_ends(serve):
    configured = uvicorn.Config(
        serve().application,
        log_level="error",
        lifespan="off",
        http="dlcli.serving.application:PatientConnection",
    )
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port, server = listening.getsockname()[1], uvicorn.Server(configured)
        thread = Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        fresh, used = (HTTPConnection("127.0.0.1", port, timeout=30) for _ in range(2))
        fresh.connect()
        used.request("POST", "/predict", json.dumps([ROW]))
        assert used.getresponse().read()
        server.should_exit = True
        time.sleep(0.3)
        for connection in (fresh, used):
            connection.request("POST", "/predict", json.dumps([ROW]))
            answer = connection.getresponse()
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            assert answer.read()
            connection.close()
        thread.join()


@pytest.mark.parametrize("key", ["", " \n"])
def test_an_empty_key_is_refused(runs, monkeypatch, key):
    monkeypatch.setenv("DLCLI_API_KEY", key)
    result = CliRunner().invoke(main, ["serve", str(runs["pets"])])
    assert result.exit_code == 2
    assert "DLCLI_API_KEY is empty" in result.stderr


def test_a_key_from_a_file_may_end_with_a_newline(runs, monkeypatch):
    monkeypatch.setenv("DLCLI_API_KEY", "secret\n")
    keys = []
    monkeypatch.setattr(
        "dlcli.serving.server.run_server", lambda settings, log: keys.append(settings.key)
    )
    assert CliRunner().invoke(main, ["serve", str(runs["pets"])]).exit_code == 0
    assert keys == ["secret"]


def test_a_run_with_images_is_not_served(images):
    result = CliRunner().invoke(main, ["serve", str(images)])
    assert result.exit_code == 2
    assert "'photo' is a column of image files, which a request can't contain" in result.stderr


def test_a_missing_extra_is_named(runs, monkeypatch):
    monkeypatch.setattr("dlcli.errors.find_spec", lambda name: None)
    result = CliRunner().invoke(main, ["serve", str(runs["pets"])])
    assert result.exit_code == 2
    assert "dlcli serve needs the package starlette, which is not installed" in result.stderr
    assert "pip install '.[serve]'" in result.stderr
