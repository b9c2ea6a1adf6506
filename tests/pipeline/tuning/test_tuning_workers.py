"""Several processes at one work: what they tell, how they end, and how they are ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

import dlcli
from dlcli.config import load_config
from dlcli.errors import ConfigError, DivergenceError, TrainingError
from dlcli.pipeline import Search, SearchSettings, tune
from dlcli.pipeline import search as course
from dlcli.pipeline import worker_pool as workers
from dlcli.pipeline.finalists import Finals
from dlcli.pipeline.worker_pool import Failure, threads_each, work_together
from dlcli.runs import RunWriter
from tests.pipeline.tuning import crews

ROOT = Path(dlcli.__file__).parents[1]
POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no signals to speak of")


class Told:
    """What was told of."""

    def __init__(self):
        self.events = []

    def __call__(self, event, fields):
        self.events.append((event, fields))

    def named(self, event):
        return [fields for name, fields in self.events if name == event]


@pytest.fixture
def told():
    return Told()


@pytest.fixture
def writer(tmp_path):
    return RunWriter(tmp_path)


def is_alive(number):
    """Whether a process runs; of one that has ended, nobody may have taken note yet."""
    try:
        status = Path(f"/proc/{number}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


def test_each_worker_is_a_process_of_its_own_and_what_it_tells_is_told(writer, told):
    work_together(crews.greet, 2, writer, told)
    processes = {fields["process"] for fields in told.named("hello")}
    assert len(processes) == 2
    assert os.getpid() not in processes


@POSIX
def test_of_a_worker_that_is_killed_is_told_and_the_others_go_on(writer, told, tmp_path):
    lost = []
    work_together(partial(crews.die_first, tmp_path, 6), 2, writer, told, lost.append)
    [begun] = told.named("begun")
    assert lost == [begun["process"]]
    assert sorted(fields["piece"] for fields in told.named("did")) == [1, 2, 3, 4, 5]
    assert told.named("warning") == [
        {
            "message": f"worker process {lost[0]} was ended by SIGKILL, perhaps for want of "
            "memory; what it was at is left to another"
        }
    ]


@POSIX
def test_what_the_last_one_at_work_was_at_is_done_by_another(writer, told, tmp_path):
    lost = []
    work_together(partial(crews.die_last, tmp_path), 2, writer, told, lost.append)
    assert len(lost) == 1
    assert len(told.named("did")) == 1


@POSIX
def test_if_all_are_killed_the_work_ends_with_what_may_help(writer, told):
    lost = []
    with pytest.raises(TrainingError) as caught:
        work_together(crews.die, 2, writer, told, lost.append)
    assert len(lost) == 2
    assert str(caught.value) == (
        "2 workers ended before the work was done, the last of them was ended by "
        "SIGKILL, perhaps for want of memory; give it fewer --jobs, or less units or batch_size"
    )


def test_an_error_of_one_worker_ends_all_and_is_raised_as_it_was(writer, told, tmp_path):
    with pytest.raises(ConfigError) as caught:
        work_together(partial(crews.fail_at_once, tmp_path), 2, writer, told)
    assert str(caught.value) == "a.yaml:3:4: hidden[0].units: is too many"
    assert [problem.path for problem in caught.value.problems] == ["hidden[0].units"]
    assert not any(is_alive(fields["process"]) for fields in told.named("sleeps"))


def test_an_error_keeps_its_attributes_and_notes(writer, told):
    with pytest.raises(DivergenceError) as caught:
        work_together(crews.diverge, 1, writer, told)
    assert (caught.value.epoch, caught.value.__notes__) == (7, ["use less"])


def test_an_unexpected_error_brings_its_traceback(writer, told):
    with pytest.raises(ValueError, match="what nobody has thought of") as caught:
        work_together(crews.stumble, 1, writer, told)
    assert "in stumble" in str(caught.value.__cause__)


def test_an_error_that_can_not_be_sent_comes_as_its_text():
    class Local(Exception):
        """Nothing that another process could import."""

    try:
        raise Local("words")
    except Local as error:
        rebuilt = Failure.of(error).error()
    assert (type(rebuilt), str(rebuilt)) == (RuntimeError, "Local: words")


def begin(folder):
    """Begins a parent of two workers, and waits until these are at work."""
    parent = subprocess.Popen(
        [sys.executable, "-m", "tests.pipeline.tuning.crew_parent", str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    return parent, [int(parent.stdout.readline()) for _ in range(2)]


@POSIX
def test_a_signal_ends_all_in_good_order_and_says_how_to_go_on(tmp_path):
    parent, processes = begin(tmp_path)
    parent.terminate()
    output, errors = parent.communicate(timeout=60)
    assert (parent.returncode, errors) == (143, "")
    assert output == f"SIGTERM; resume with: dlcli train --resume {tmp_path}\n"
    assert {path.name for path in tmp_path.iterdir()} == set(map(str, processes))


@POSIX
def test_ctrl_c_on_a_terminal_which_all_processes_hear_ends_them_as_well(tmp_path):
    parent, processes = begin(tmp_path)
    os.killpg(parent.pid, signal.SIGINT)
    output, errors = parent.communicate(timeout=60)
    assert (parent.returncode, errors) == (130, "")
    assert output == f"SIGINT; resume with: dlcli train --resume {tmp_path}\n"
    assert {path.name for path in tmp_path.iterdir()} == set(map(str, processes))


@POSIX
def test_a_parent_that_is_killed_takes_its_workers_with_it(tmp_path):
    parent, processes = begin(tmp_path)
    parent.kill()
    parent.communicate(timeout=60)
    deadline = time.monotonic() + 10
    while any(map(is_alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(is_alive, processes))


@POSIX
def test_who_heeds_no_signal_is_killed_in_the_end(writer, monkeypatch):
    monkeypatch.setattr(workers, "_GRACE", 0.5)

    def fail(event, fields):
        raise RuntimeError(fields["process"])

    with pytest.raises(RuntimeError) as caught:
        work_together(crews.heed_nothing, 1, writer, fail)
    assert not is_alive(caught.value.args[0])


@pytest.mark.parametrize(
    ("threads", "jobs", "expected"),
    [("auto", 1, "auto"), ("auto", 2, 4), ("auto", 3, 2), ("auto", 99, 1), (3, 4, 3)],
)
def test_threads_are_shared_out_unless_they_are_settled(monkeypatch, threads, jobs, expected):
    monkeypatch.setattr(workers, "_cores", lambda: 8)
    assert threads_each(threads, jobs) == expected


SEARCH = """\
data: {train: line.csv, target: y, validation: 0.25}
hidden: []
optimizer: {name: sgd, learning_rate: 0.01}
epochs: 400
batch_size: 4
tune:
  trials: 12
  sampler: random
  pruner: none
  space: {optimizer.learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}}
"""


def search(folder, listener, monkeypatch):
    """Searches with two workers, and gives the trials; nothing is trained in full at the end."""
    monkeypatch.setattr(course, "train_finalists", lambda *_: Finals((), ()))
    rows = "\n".join(f"{x},{2 * x}" for x in range(60))
    (folder / "line.csv").write_text(f"x,y\n{rows}\n")
    (folder / "line.yaml").write_text(SEARCH)
    file = load_config(folder / "line.yaml")
    run = tune(file, SearchSettings(jobs=2), folder / "run", listener)
    return Search.of(run).trials


@POSIX
@pytest.mark.slow
def test_a_search_has_all_of_its_trials_once_though_a_worker_is_killed(tmp_path, told, monkeypatch):
    killed = []

    def kill(event, fields):
        told(event, fields)
        if event == "trial" and not killed:
            killed.append(fields["worker"])
            os.kill(int(fields["worker"].rpartition("-")[2]), signal.SIGKILL)

    trials = search(tmp_path, kill, monkeypatch)
    assert [trial.number for trial in trials] == list(range(12))
    assert {trial.state for trial in trials} == {"complete"}
    by_lot = [trial.values["optimizer.learning_rate"] for trial in trials]
    assert len(set(by_lot)) == 12
    assert sum(trial.worker == killed[0] for trial in trials) < 12
    [warning] = told.named("warning")
    assert "was ended by SIGKILL" in warning["message"]
    numbers = [fields["number"] for fields in told.named("trial")]
    assert sorted(numbers) == list(range(12))
