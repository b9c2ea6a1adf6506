"""When a training is kept, and how a signal ends it."""

from __future__ import annotations

import signal
import threading
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from dlcli.errors import Interrupted
from dlcli.experiment.keeping import Keeper
from dlcli.run import Checkpoint

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")


@dataclass
class Clock:
    """Tells the time that it is set to."""

    now: float = 0.0

    def __call__(self):
        return self.now


@dataclass
class Draft:
    """Stands for a run folder; it takes time to store something in it."""

    clock: Clock
    path: Path = Path("runs/iris")
    takes: float = 0.0
    stored: list[Checkpoint] = field(default_factory=list)

    def write_checkpoint(self, checkpoint):
        self.clock.now += self.takes
        self.stored.append(checkpoint)

    def read_checkpoint(self, kinds):
        return self.stored[-1] if self.stored else None


@dataclass
class Snapshot:
    """A snapshot after some epochs, without TensorFlow."""

    epochs: int

    @property
    def arrays(self):
        return {"model/0": np.full(2, self.epochs)}

    @property
    def history(self):
        return {"loss": [0.5] * self.epochs}


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def draft(clock):
    return Draft(clock)


@pytest.fixture
def keeper(draft, clock):
    """Keeps the run every 30 seconds."""
    return Keeper(draft, 30, clock=clock)


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
        keeper.keep(Snapshot(3))
        clock.now = 71.9
        assert not keeper.is_due
        clock.now = 72
        assert keeper.is_due

    def test_storing_takes_at_most_a_tenth(self, keeper, clock, draft):
        draft.takes = 5
        clock.now = 42
        keeper.keep(Snapshot(3))
        clock.now = 42 + 5 + 49.9
        assert not keeper.is_due
        clock.now = 42 + 5 + 50
        assert keeper.is_due

    def test_what_is_given_is_stored_be_it_due_or_not(self, keeper, draft):
        keeper.keep(Snapshot(0))
        keeper.keep(Snapshot(2))
        assert keeper.kept == 2
        assert [checkpoint.history for checkpoint in draft.stored] == [
            {"loss": []},
            {"loss": [0.5, 0.5]},
        ]
        assert draft.stored[-1].arrays["model/0"].tolist() == [2, 2]


class TestSignals:
    """A signal ends training once a snapshot is stored."""

    @pytest.mark.parametrize("name", SIGNALS)
    def test_make_a_snapshot_due_that_is_the_last(self, name, keeper, draft):
        with pytest.raises(Interrupted) as caught, keeper.heeding_signals():
            assert not keeper.is_ending
            signal.raise_signal(number_of(name))
            assert keeper.is_ending
            assert keeper.is_due
            keeper.keep(Snapshot(3))
            raise AssertionError("training went on")
        assert caught.value.exit_code == 128 + number_of(name)
        assert str(caught.value) == (
            f"{name} after 3 epochs; go on with: dlcli train --resume runs/iris"
        )
        assert len(draft.stored) == 1

    @pytest.mark.parametrize(
        ("epochs", "words"), [(0, "0 epochs"), (1, "1 epoch"), (1200, "1,200 epochs")]
    )
    def test_are_told_with_what_is_done_and_a_command_to_paste(self, epochs, words, clock):
        keeper = Keeper(Draft(clock, Path("my runs/a")), 30, clock=clock)
        with pytest.raises(Interrupted) as caught, keeper.heeding_signals():
            signal.raise_signal(signal.SIGTERM)
            keeper.keep(Snapshot(epochs))
        assert str(caught.value) == (
            f"SIGTERM after {words}; go on with: dlcli train --resume 'my runs/a'"
        )

    def test_after_the_last_snapshot_end_it_as_well(self, keeper, draft):
        told = "^SIGTERM after 7 epochs; "
        with pytest.raises(Interrupted, match=told), keeper.heeding_signals():
            keeper.keep(Snapshot(7))
            signal.raise_signal(signal.SIGTERM)
        assert len(draft.stored) == 1

    def test_do_not_hide_what_has_gone_wrong(self, keeper):
        with pytest.raises(ZeroDivisionError), keeper.heeding_signals():
            signal.raise_signal(signal.SIGTERM)
            raise ZeroDivisionError

    @pytest.mark.parametrize("first", SIGNALS)
    def test_of_which_ctrl_c_is_a_second_end_it_at_once(self, first, keeper):
        with pytest.raises(KeyboardInterrupt), keeper.heeding_signals():
            signal.raise_signal(number_of(first))
            signal.raise_signal(signal.SIGINT)
            raise AssertionError("training went on")

    def test_of_which_another_is_a_second_wait_for_the_snapshot(self, keeper):
        told = "^SIGHUP after 2 epochs; "
        with pytest.raises(Interrupted, match=told), keeper.heeding_signals():
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGHUP)
            keeper.keep(Snapshot(2))

    @pytest.mark.parametrize("name", SIGNALS)
    def test_that_are_ignored_stay_so(self, name, keeper):
        signal.signal(number_of(name), signal.SIG_IGN)
        with keeper.heeding_signals():
            signal.raise_signal(number_of(name))
            assert not keeper.is_due
            keeper.keep(Snapshot(2))

    @pytest.mark.parametrize("failure", [None, ValueError, KeyboardInterrupt])
    def test_mean_afterwards_what_they_meant_before(self, failure, keeper):
        handlers = {number_of(name): lambda *_: None for name in SIGNALS}
        for number, handler in handlers.items():
            signal.signal(number, handler)
        try:
            with keeper.heeding_signals():
                assert signal.getsignal(signal.SIGTERM) is not handlers[signal.SIGTERM]
                if failure is not None:
                    raise failure
        except (ValueError, KeyboardInterrupt):
            pass
        assert {number: signal.getsignal(number) for number in handlers} == handlers

    def test_are_not_heard_in_other_threads(self, keeper):
        heard = []

        def train():
            with keeper.heeding_signals():
                heard.append(signal.getsignal(signal.SIGTERM))
                keeper.keep(Snapshot(2))

        thread = threading.Thread(target=train)
        thread.start()
        thread.join()
        assert heard == [signal.SIG_DFL]
        assert keeper.kept == 1


@pytest.mark.slow
class TestEarlier:
    """Training goes on from the newest checkpoint; loads TensorFlow."""

    def test_there_is_none_in_a_new_run(self, draft):
        told = []
        assert Keeper(draft, 30, told.append).earlier({}) is None
        assert told == []

    def test_it_is_told_after_how_many_epochs_it_goes_on(self, draft):
        told = []
        draft.write_checkpoint(Checkpoint({"model/0": np.ones(2)}, {"loss": [0.5, 0.25]}))
        found = Keeper(draft, 30, told.append).earlier({})
        assert (found.arrays, found.history) == (draft.stored[0].arrays, {"loss": [0.5, 0.25]})
        assert told == [2]
