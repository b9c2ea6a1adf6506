"""When a training is kept, and how a signal ends it."""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from inline_snapshot import snapshot

from dlcli import is_command_line, training_job
from dlcli.errors import Interrupted, RunError
from dlcli.runs import run_writer
from dlcli.runs.run_writer import Checkpoint
from dlcli.training_job import RunCheckpointer

pytestmark = pytest.mark.usefixtures("handles_signals")

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


@dataclass
class Clock:
    """Tells the time that it is set to."""

    now: float = 0.0

    def __call__(self):
        return self.now


@dataclass
class RunWriter:
    """Stands for a run folder; it takes time to store something in it."""

    clock: Clock
    path: Path = Path("runs/iris")
    takes: float = 0.0
    stored: list[Checkpoint] = field(default_factory=list)

    @property
    def way_to_resume(self):
        return run_writer.RunWriter(self.path).way_to_resume

    way_to_finish = None

    def write_checkpoint(self, checkpoint, member=None):
        self.clock.now += self.takes
        self.stored.append(checkpoint)

    def read_checkpoint(self, kinds, serves, member):
        return next(filter(serves, reversed(self.stored)), None)


def checkpoint_after(epochs):
    arrays = {"model/0": np.full(2, epochs), "epoch": np.array(epochs)}
    return Checkpoint(arrays, {"loss": [0.5] * epochs})


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def writer(clock):
    return RunWriter(clock)


@pytest.fixture
def keeper(writer, clock):
    """Keeps the run every 30 seconds."""
    return RunCheckpointer(writer, 30, clock=clock)


@pytest.fixture(autouse=True)
def usual_handlers():
    """Signals are heeded as in a shell's foreground, in which tests need not run."""
    before = {number: signal.getsignal(number) for number in map(number_of, SIGNALS)}
    for number in before:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def number_of(name):
    return getattr(signal, name)


class TestTime:
    """A checkpoint is due some seconds after the one before, or its share of them."""

    def test_the_first_is_due_after_the_seconds(self, keeper, clock):
        clock.now = 29.9
        assert not keeper.is_due
        clock.now = 30
        assert keeper.is_due

    def test_the_next_is_due_after_as_many_more(self, keeper, clock):
        clock.now = 42
        keeper.save(checkpoint_after(3))
        clock.now = 71.9
        assert not keeper.is_due
        clock.now = 72
        assert keeper.is_due

    def test_storing_takes_at_most_a_tenth(self, keeper, clock, writer):
        writer.takes = 5
        clock.now = 42
        keeper.save(checkpoint_after(3))
        clock.now = 42 + 5 + 49.9
        assert not keeper.is_due
        clock.now = 42 + 5 + 50
        assert keeper.is_due

    def test_what_is_given_is_stored_be_it_due_or_not(self, keeper, writer):
        keeper.save(checkpoint_after(0))
        keeper.save(checkpoint_after(2))
        assert [checkpoint.history for checkpoint in writer.stored] == [
            {"loss": []},
            {"loss": [0.5, 0.5]},
        ]
        assert writer.stored[-1].arrays["model/0"].tolist() == [2, 2]


class TestSignals:
    """A signal ends training once a checkpoint is stored."""

    @pytest.mark.parametrize("name", SIGNALS)
    def test_make_a_checkpoint_due_that_is_the_last(self, name, keeper, writer):
        with pytest.raises(Interrupted) as caught, keeper.handling_signals():
            assert not keeper.is_ending
            signal.raise_signal(number_of(name))
            assert keeper.is_ending
            assert keeper.is_due
            keeper.save(checkpoint_after(3))
            raise AssertionError("training went on")
        assert caught.value.exit_code == 128 + number_of(name)
        assert str(caught.value) == (
            f"{name} after 3 epochs; resume with: dlcli train --resume runs/iris"
        )
        assert len(writer.stored) == 1

    @pytest.mark.parametrize(
        ("epochs", "words"), [(0, "0 epochs"), (1, "1 epoch"), (1200, "1,200 epochs")]
    )
    def test_are_reported_with_what_is_done_and_a_command_to_paste(self, epochs, words, clock):
        keeper = RunCheckpointer(RunWriter(clock, Path("my runs/a")), 30, clock=clock)
        with pytest.raises(Interrupted) as caught, keeper.handling_signals():
            signal.raise_signal(signal.SIGTERM)
            keeper.save(checkpoint_after(epochs))
        assert str(caught.value) == (
            f"SIGTERM after {words}; resume with: dlcli train --resume 'my runs/a'"
        )

    def test_after_the_last_checkpoint_end_it_as_well(self, keeper, writer):
        message = "^SIGTERM after 7 epochs; "
        with pytest.raises(Interrupted, match=message), keeper.handling_signals():
            keeper.save(checkpoint_after(7))
            signal.raise_signal(signal.SIGTERM)
        assert len(writer.stored) == 1

    def test_are_reported_while_a_thread_begins_another_member(self, keeper):
        class EpochsDuringWhichAnotherBegins(int):
            def __radd__(self, others):
                keeper.of_member(2)
                return others + int(self)

        member = keeper.of_member(1)
        with pytest.raises(Interrupted) as caught, keeper.handling_signals():
            signal.raise_signal(signal.SIGTERM)
            member.save(SimpleNamespace(epochs=EpochsDuringWhichAnotherBegins(3)))
        assert str(caught.value).startswith("SIGTERM after 3 epochs of 1 member; ")

    def test_do_not_hide_what_has_gone_wrong(self, keeper):
        with pytest.raises(ZeroDivisionError), keeper.handling_signals():
            signal.raise_signal(signal.SIGTERM)
            raise ZeroDivisionError

    @pytest.mark.parametrize("first", SIGNALS)
    def test_of_which_ctrl_c_is_a_second_end_it_at_once(self, first, keeper):
        with pytest.raises(KeyboardInterrupt), keeper.handling_signals():
            signal.raise_signal(number_of(first))
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("training went on")

    def test_of_which_another_is_a_second_wait_for_the_checkpoint(self, keeper):
        message = "^SIGHUP after 2 epochs; "
        with pytest.raises(Interrupted, match=message), keeper.handling_signals():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGHUP)
            keeper.save(checkpoint_after(2))

    @pytest.mark.parametrize("name", SIGNALS)
    def test_that_are_ignored_stay_so(self, name, keeper):
        signal.signal(number_of(name), signal.SIG_IGN)
        with keeper.handling_signals():
            signal.raise_signal(number_of(name))
            assert not keeper.is_due
            keeper.save(checkpoint_after(2))

    @pytest.mark.parametrize("failure", [None, ValueError, KeyboardInterrupt])
    def test_mean_afterwards_what_they_meant_before(self, failure, keeper):
        handlers = {number_of(name): lambda *_: None for name in SIGNALS}
        for number, handler in handlers.items():
            signal.signal(number, handler)
        try:
            with keeper.handling_signals():
                assert signal.getsignal(signal.SIGTERM) is not handlers[signal.SIGTERM]
                if failure is not None:
                    raise failure
        except (ValueError, KeyboardInterrupt):
            pass
        assert {number: signal.getsignal(number) for number in handlers} == handlers

    def test_are_left_to_the_program_that_uses_the_library(self, keeper):
        token = is_command_line.set(False)
        before = [signal.getsignal(number_of(name)) for name in SIGNALS]
        with keeper.handling_signals():
            assert [signal.getsignal(number_of(name)) for name in SIGNALS] == before
        is_command_line.reset(token)

    def test_are_not_heard_in_other_threads(self, keeper, writer):
        heard = []

        def train():
            with keeper.handling_signals():
                heard.append(signal.getsignal(signal.SIGTERM))
                keeper.save(checkpoint_after(2))

        thread = threading.Thread(target=train)
        thread.start()
        thread.join()
        assert heard == [signal.SIG_DFL]
        assert len(writer.stored) == 1


@pytest.mark.slow
class TestEarlier:
    """Training goes on from the newest checkpoint; loads TensorFlow."""

    def test_there_is_none_in_a_new_run(self, writer):
        resumed = []
        assert (
            RunCheckpointer(writer, 30, lambda *given: resumed.append(given)).latest(Job(), {})
            is None
        )
        assert resumed == []

    def test_resuming_reports_the_number_of_finished_epochs(self, writer):
        resumed = []
        store(writer, 2)
        found = RunCheckpointer(writer, 30, lambda *given: resumed.append(given)).latest(Job(), {})
        assert (found.arrays, found.history) == (writer.stored[0].arrays, writer.stored[0].history)
        assert resumed == [(2, None)]

    @pytest.mark.parametrize(("until", "place"), [(None, 3), (3, 2), (2, 1), (1, 0)])
    def test_it_is_not_past_the_end_of_the_job(self, until, place, writer):
        for epochs, step in ((0, 0), (1, 2), (2, 4), (3, 1)):
            store(writer, epochs, step)
        found = RunCheckpointer(writer, 30).latest(Job(until=until), {})
        assert found.arrays is writer.stored[place].arrays

    def test_there_is_none_if_all_are_past_the_end(self, writer):
        store(writer, 3, 1)
        resumed = []
        assert (
            RunCheckpointer(writer, 30, lambda *given: resumed.append(given)).latest(
                Job(until=3), {}
            )
            is None
        )
        assert resumed == []

    def test_there_must_be_one_for_a_job_that_has_no_weights_to_begin_with(self, writer):
        with pytest.raises(RunError) as caught:
            RunCheckpointer(writer, 30).latest(Job(can_begin=False), {})
        message = snapshot("runs/iris: has no checkpoint to resume from; train it again")
        assert str(caught.value) == message

    def test_it_is_refused_if_it_makes_no_sense(self, writer):
        resumed = []
        store(writer, 2)
        writer.stored[0].arrays["epoch"][...] = -5
        with pytest.raises(RunError) as caught:
            RunCheckpointer(writer, 30, lambda *given: resumed.append(given)).latest(Job(), {})
        assert str(caught.value) == (
            snapshot(
                "runs/iris: its checkpoint is at step 0 of 4 after -5 of 9 epochs; restore the run "
                "from a copy or train it again"
            )
        )
        assert resumed == []


@dataclass
class Job:
    """A job that a checkpoint is compared with."""

    until: int | None = None
    can_begin: bool = True
    steps = 4
    columns = ("loss",)
    config = SimpleNamespace(epochs=9)
    problem = training_job.Job.problem


def store(writer, epochs, step=0):
    """Stores a checkpoint of some steps after some epochs."""
    arrays = {"epoch": np.array(epochs), "step": np.array(step)}
    names = ("loss", "learning_rate") if epochs else ()
    writer.write_checkpoint(Checkpoint(arrays, {name: [0.5] * epochs for name in names}))
