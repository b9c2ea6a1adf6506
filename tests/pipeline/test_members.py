"""Networks that are trained at the same time: their order, their number, and who ends whom."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from dlcli.config.config_file import load_config
from dlcli.errors import DivergenceError, Interrupted
from dlcli.pipeline import members
from dlcli.pipeline.events import Events
from dlcli.pipeline.members import Member, MemberDivergence, fit_each, networks_at_once
from dlcli.pipeline.preparation import encode_sets, prepare

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")


def jobs(count):
    return iter([Member(number, None) for number in range(1, count + 1)])


def nothing(*_):
    """Stands for a progress function."""


@pytest.mark.parametrize("at_once", [1, 2, 3, 8])
def test_results_come_in_order_and_at_most_so_many_are_trained_at_a_time(at_once):
    running, most, lock = set(), [0], threading.Lock()
    expected = min(at_once, 6)
    begun = threading.Barrier(expected)

    def fit(member, report):
        with lock:
            running.add(member.number)
            most[0] = max(most[0], len(running))
        if member.number <= expected:
            begun.wait(60)
        time.sleep(0.05 if member.number == 1 else 0.01)
        with lock:
            running.discard(member.number)
        return member.number

    assert [*fit_each(jobs(6), fit, nothing, at_once)] == [1, 2, 3, 4, 5, 6]
    assert most[0] == expected


def test_rows_of_a_member_are_selected_when_it_begins():
    selected, ended = [], []

    def select():
        for number in range(1, 7):
            assert number - len(ended) <= 3  # of which two are trained and one is next
            selected.append(number)
            yield Member(number, None)

    def fit(member, report):
        time.sleep(0.01)
        ended.append(member.number)

    assert len([*fit_each(select(), fit, nothing, 2)]) == 6
    assert selected == [1, 2, 3, 4, 5, 6]


def test_epochs_are_reported_one_at_a_time_with_the_number_of_the_member():
    reported, inside = [], threading.Lock()

    def progress(member, epoch, values):
        assert inside.acquire(blocking=False)
        time.sleep(0.001)
        reported.append((member, epoch))
        inside.release()

    def fit(member, report):
        for epoch in range(1, 6):
            report(epoch, {})

    assert len([*fit_each(jobs(4), fit, progress, 4)]) == 4
    assert sorted(reported) == [(member, epoch) for member in range(1, 5) for epoch in range(1, 6)]
    for member in range(1, 5):
        assert [epoch for each, epoch in reported if each == member] == [1, 2, 3, 4, 5]


def endless(report):
    """Trains until it is ended from outside."""
    for epoch in range(1, 10_000):
        report(epoch, {})
        time.sleep(0.001)
    raise AssertionError("nobody has ended it")


def test_of_several_that_diverge_the_first_is_reported_and_those_before_it_end_as_usual():
    ended = []

    def fit(member, report):
        if member.number == 3:
            raise MemberDivergence(DivergenceError("3", 7), None)
        if member.number == 4:
            endless(report)
        time.sleep(0.05)
        if member.number == 2:
            raise MemberDivergence(DivergenceError("2", 9), None)
        ended.append(member.number)

    with pytest.raises(MemberDivergence) as caught:
        [*fit_each(jobs(8), fit, nothing, 4)]
    assert (str(caught.value.error), ended) == ("2", [1])


@pytest.mark.parametrize("number", [1, 3])
def test_another_error_ends_all(number):
    def fit(member, report):
        if member.number == number:
            raise OSError("no space left on device")
        endless(report)

    with pytest.raises(OSError, match="no space left"):
        [*fit_each(jobs(8), fit, nothing, 4)]


def test_an_error_of_the_progress_function_ends_all():
    def progress(member, epoch, values):
        if (member, epoch) == (2, 5):
            raise ValueError("pruned")

    with pytest.raises(ValueError, match="pruned"):
        [*fit_each(jobs(8), lambda member, report: endless(report), progress, 3)]


def test_interrupted_ones_end_by_themselves_to_store_what_they_have():
    stored, signal = [], threading.Event()

    def fit(member, report):
        if member.number == 2:
            signal.set()
        signal.wait()
        if member.number == 1:
            time.sleep(0.05)
        report(1, {})
        stored.append(member.number)
        raise Interrupted("SIGTERM", 15)

    with pytest.raises(Interrupted):
        [*fit_each(jobs(8), fit, nothing, 2)]
    assert sorted(stored) == [1, 2]


def test_a_second_ctrl_c_ends_all_at_once(monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(members, "wait", interrupt)
    with pytest.raises(KeyboardInterrupt):
        [*fit_each(jobs(8), lambda member, report: endless(report), nothing, 2)]


CONFIG = """\
data: {train: rows.csv, target: y, validation: 0.25}
hidden: [{units: 64}]
epochs: 50000
batch_size: 8
ensemble: {members: 8, folds: none}
device: cpu
"""
CPU = SimpleNamespace(name="cpu", threads=4)


@pytest.fixture
def count(tmp_path, monkeypatch):
    """Counts how many members of a config are trained at a time."""
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{row % 7},{row % 5}\n" for row in range(80))
    Path("rows.csv").write_text("x,y\n" + rows)
    Path("config.yaml").write_text(CONFIG)

    def count(*settings, device=CPU):
        file = load_config(Path("config.yaml"), settings)
        rows, plan = prepare(file, Events())
        rows, plan = encode_sets(rows, Events()), replace(plan, device=device)
        return networks_at_once(file.config.networks, rows, plan)

    return count


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ((), 4),
        (("ensemble.members=3",), 3),
        (("epochs=1",), 1),
        (("engine=keras",), 1),
        (("ensemble=null",), 1),
    ],
)
def test_as_many_as_threads_if_training_takes_long_enough(count, settings, expected):
    assert count(*settings) == expected


def test_one_at_a_time_on_a_gpu_on_one_thread_and_with_little_memory(count, monkeypatch):
    assert count(device=SimpleNamespace(name="gpu", threads=4)) == 1
    assert count(device=SimpleNamespace(name="cpu", threads=1)) == 1
    monkeypatch.setattr(members, "available_memory", lambda: 10_000)
    assert count() == 1


def test_as_many_as_threads_where_the_system_reports_no_memory(count, monkeypatch):
    monkeypatch.setattr(members, "available_memory", lambda: math.inf)
    assert count() == 4
