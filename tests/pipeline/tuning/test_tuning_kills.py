"""A search that is killed at random moments, and gone on with."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from dlcli.pipeline import Search
from dlcli.runs import open_run
from tests.pipeline.tuning.searches import line_file

pytestmark = pytest.mark.slow
SPACE = (
    "tune.space={optimizer.learning_rate: {low: 1e-4, high: 5e-2, log: true}, batch_size: [16, 32]}"
)
WHOLE = ["line.yaml", "--set", SPACE, "--set", "tune.sampler=tpe", "--set", "tune.trials=12"]


def begin(folder, *arguments):
    command = [sys.executable, "-m", "dlcli", "tune", *arguments, "--json"]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)


def killed(process, trials, seconds):
    """Kills a search some time after so many of its trials have ended; gives how many had."""
    for line in process.stdout:
        trials -= json.loads(line)["event"] == "trial"
        if not trials:
            break
    time.sleep(seconds)
    process.kill()
    process.communicate()
    return process.returncode


def finished(process):
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return json.loads(output.splitlines()[-1])


def tried(run):
    search = Search.of(open_run(run))
    return [(trial.number, trial.state, trial.values, trial.value) for trial in search.trials]


def test_killed_at_random_moments_a_search_tries_what_an_undisturbed_one_does(tmp_path):
    chance = random.Random(5)
    line_file(tmp_path)
    finished(begin(tmp_path, *WHOLE, "--output", "undisturbed"))

    process = begin(tmp_path, *WHOLE, "--output", "run")
    for _ in range(2):
        code = killed(process, chance.randint(1, 4), chance.uniform(0, 0.2))
        assert code == -signal.SIGKILL
        process = begin(tmp_path, "--resume", "run")
    finished(process)

    assert tried(tmp_path / "run") == tried(tmp_path / "undisturbed")
    assert [number for number, *_ in tried(tmp_path / "run")] == list(range(12))


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
def test_a_signal_ends_a_search_with_the_way_to_go_on(tmp_path):
    line_file(tmp_path)
    command = [sys.executable, "-m", "dlcli", "tune", *WHOLE, "--output", "run"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.startswith("trial"):
            break
    process.send_signal(signal.SIGTERM)  # SIGINT may be ignored where tests run
    _, told = process.communicate(timeout=60)

    assert process.returncode == 143
    last = told.splitlines()[-1]
    assert last.startswith("ended by SIGTERM after ")
    assert last.endswith("; resume with: dlcli tune --resume run")
