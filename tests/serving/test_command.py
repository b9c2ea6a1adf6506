"""`dlcli serve` as a process: it listens, answers, and ends."""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest
from click.testing import CliRunner

from dlcli.cli import main
from tests.serving.conftest import ROW

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "serve.md"


@contextmanager
def started(*arguments, **options):
    """A server at a free port; gives the process and its port."""
    command = [sys.executable, "-m", "dlcli", "serve", *map(str, arguments), "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)
    try:
        line = process.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:(\d+)$", line)
        assert found, line + process.stderr.read()
        yield process, int(found[1])
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
    assert f"can't listen at 127.0.0.1:{port}: " in result.stderr


def test_an_empty_key_is_refused(runs, monkeypatch):
    monkeypatch.setenv("DLCLI_API_KEY", "")
    result = CliRunner().invoke(main, ["serve", str(runs["pets"])])
    assert result.exit_code == 2
    assert "DLCLI_API_KEY is empty" in result.stderr


def test_a_run_with_images_is_not_served(images):
    result = CliRunner().invoke(main, ["serve", str(images)])
    assert result.exit_code == 2
    assert "'photo' is a column of image files, which are not part of a request" in result.stderr
