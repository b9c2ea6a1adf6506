"""The live view of a training, with a clock that is set by hand."""

from __future__ import annotations

import errno
import gc
import io
import os
import re
import sys
import time
from dataclasses import replace
from types import FunctionType

import pytest
from inline_snapshot import snapshot
from rich.console import Console
from rich.live import Live

from dlcli.cli import event_log
from dlcli.cli.event_log import LiveView, clock_time, event_listener, print_event
from dlcli.pipeline.events import (
    BaselinesEvent,
    DeviceEvent,
    EngineEvent,
    EpochEvent,
    FoldProgressEvent,
    MemberEvent,
    ReportEvent,
    ResumedEvent,
    WarningEvent,
)


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self):
        return self.now


def terminal(width=80, height=24, **options):
    return Console(file=io.StringIO(), force_terminal=True, width=width, height=height, **options)


def epoch(number, of=10, **measures):
    return EpochEvent(epoch=number, of=of, values={**measures, "learning_rate": 0.01})


def frame(view, console=None):
    """The current frame as lines of plain text."""
    console = console or view._console
    plain = Console(file=io.StringIO(), width=console.width, height=console.height, no_color=True)
    view._console = plain
    plain.print(view.frame())
    return [line.rstrip() for line in plain.file.getvalue().splitlines()]


def view_of(*epochs, seconds=1.0, **options):
    """A view to which epochs were added, some seconds apart."""
    clock = Clock()
    view = LiveView(terminal(**options), rows=500, clock=clock)
    for event in epochs:
        view.add(event)
        clock.now += seconds
    return view


def test_each_measure_is_shown_with_its_best_value_and_epoch():
    view = view_of(
        epoch(1, loss=0.5, accuracy=0.25, val_loss=0.75, val_accuracy=0.5),
        epoch(2, loss=0.25, accuracy=0.75, val_loss=0.5, val_accuracy=0.75),
        epoch(3, loss=0.125, accuracy=0.5, val_loss=0.625, val_accuracy=0.875),
        width=60,
    )
    assert frame(view)[1:] == snapshot(
        [
            "                       now    best  at",
            "loss                 0.125*  0.125   3",
            "accuracy               0.5    0.75   2",
            "validation loss      0.625     0.5   2",
            "validation accuracy  0.875*  0.875   3",
            "learning rate 0.01  1 epochs/s",
        ]
    )


def test_after_resuming_the_best_value_is_that_since_then():
    view = LiveView(terminal(), clock=Clock(), resumed={1: 20})
    view.add(epoch(21, of=30, loss=0.5))
    assert frame(view)[1].split() == ["now", "best", "since", "20", "at"]


def of_member(member, number, loss, of=10):
    return replace(epoch(number, of=of, loss=loss), member=member, members=3)


def test_of_members_that_are_trained_at_a_time_the_first_is_shown():
    view = view_of(of_member(2, 4, 0.125), of_member(1, 3, 0.5), of_member(2, 5, 0.25))
    head, _, loss, _ = frame(view)
    assert head.startswith("member 1/3, epoch 3/10")
    assert loss.split() == ["loss", "0.5*", "0.5", "3"]
    assert (view._count.done, view._count.total) == (8, 30)


def test_a_member_that_is_finished_counts_with_all_its_epochs():
    view = view_of(of_member(1, 3, 0.5), of_member(2, 5, 0.25))
    view.add(MemberEvent(member=1, members=3, epochs=3, best_epoch=2))
    assert frame(view)[0].startswith("member 2/3, epoch 5/10")
    assert view._count.done == 15
    view.add(MemberEvent(member=2, members=3, epochs=5, best_epoch=None))
    view.add(of_member(3, 1, 1.0))
    assert frame(view)[0].startswith("member 3/3, epoch 1/10")
    assert view._count.done == 21


def test_the_remaining_time_follows_from_the_recent_speed():
    view = view_of(*(epoch(at, of=200, loss=1.0) for at in range(1, 11)), seconds=7.0)
    first = frame(view)[0]
    assert re.fullmatch(r"epoch 10/200 ━+[╸╺━]*\s+22:10 left", first), first  # 190 · 7 s


def test_before_the_second_frame_no_speed_is_shown():
    lines = frame(view_of(epoch(1, loss=1.0)))
    assert "left" not in lines[0]
    assert lines[-1] == "learning rate 0.01"


def test_long_epochs_are_counted_in_rows():
    view = view_of(epoch(1, loss=1.0), epoch(2, loss=1.0), seconds=4.0)
    assert frame(view)[-1] == "learning rate 0.01  125 rows/s"  # 500 rows in 4 s


def test_an_undefined_value_is_a_dash_and_never_the_best():
    view = view_of(epoch(1, loss=1.0, r2=None), epoch(2, loss=1.0, r2=None))
    assert frame(view)[3].split() == ["R²", "-"]
    view.add(epoch(3, loss=1.0, r2=0.5))
    assert frame(view)[3].split() == ["R²", "0.5*", "0.5", "3"]


@pytest.mark.parametrize("width", [30, 40, 60, 80, 200])
@pytest.mark.parametrize("height", [8, 15, 24])
def test_a_frame_fits_the_terminal(width, height):
    names = ("accuracy", "subset_accuracy", "auc", "macro_f1", "micro_precision", "micro_recall")
    measures = {f"{prefix}{name}": 0.012345 for prefix in ("", "val_") for name in ("loss", *names)}
    view = view_of(
        epoch(1, of=100_000, **measures),
        epoch(2, of=100_000, **measures),
        width=width,
        height=height,
    )
    lines = frame(view)
    assert len(lines) < height
    assert max(map(len, lines)) <= width
    shown = [line.split()[:2] for line in lines[2:-1]]
    assert ["loss", "0.01235"] in shown
    assert any(name[0] in ("val", "validation") and name[1][:2] == "lo" for name in shown)
    assert lines[0].startswith("epoch 2/100,000")


def test_a_narrow_terminal_keeps_the_values_and_crops_names():
    view = view_of(epoch(1, loss=0.001234, val_top_3_accuracy=0.001234), width=36)
    assert frame(view)[1:-1] == [
        "                  now       best  at",
        "loss         0.001234*  0.001234   1",
        "val top-3 ~  0.001234*  0.001234   1",
    ]


def test_a_new_terminal_size_applies_to_the_next_frame():
    view = view_of(epoch(1, loss=1.0), epoch(2, loss=0.5), width=100)
    wide = frame(view)
    view._console = terminal(width=40)
    assert max(map(len, frame(view))) <= 40 < max(map(len, wide))


def test_at_most_ten_frames_are_drawn_per_second_and_one_for_the_last_epoch():
    clock, console = Clock(), terminal()
    view = LiveView(console, clock=clock)
    for at in range(1, 10_001):
        view.add(epoch(at, of=10_000, loss=1.0))
        clock.now += 0.0001  # 10,000 epochs a second
    assert console.file.getvalue().count("learning rate") == 11
    assert "epoch 10,000/10,000" in console.file.getvalue()
    view.close()


def test_a_frame_is_removed_and_the_best_value_is_kept():
    console = terminal()
    view = LiveView(console, clock=Clock())
    view.add(epoch(1, loss=0.25))
    view.close()
    assert console.file.getvalue().endswith("\x1b[2K")  # the lines of the frame are erased
    view.add(epoch(2, loss=0.5))
    assert frame(view)[2].split()[:4] == ["loss", "0.5", "0.25", "1"]


def size_of(thing, seen=None):
    """Bytes of an object and all that it refers to, except the console and code."""
    seen = set() if seen is None else seen
    if id(thing) in seen or isinstance(thing, Console | Live | FunctionType | type):
        return 0
    seen.add(id(thing))
    return sys.getsizeof(thing) + sum(size_of(part, seen) for part in gc.get_referents(thing))


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_epochs():
    clock = Clock()
    view = LiveView(terminal(), clock=clock)
    sizes = {}
    for at in range(1, 20_001):
        view.add(epoch(at, of=200_000, loss=1 / at, val_loss=1 / at))
        clock.now += 0.01
        if at in (1_000, 20_000):
            sizes[at] = size_of(view)
    assert sizes[20_000] < 1.5 * sizes[1_000] < 100_000


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0:00"), (67, "1:07"), (3599.6, "1:00:00"), (100_000, "27:46:40")]
)
def test_durations_are_formatted_like_clocks(seconds, text):
    assert clock_time(seconds) == text


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("variables", "pattern"),
    [
        ({"TERM": "xterm-256color"}, r"epoch 1/2(.*\n)*.*\x1b\[1;32m(.*\n)*"),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, r"epoch 1/2((?!\x1b\[1;32m).*\n)*"),
        ({"TERM": "dumb"}, r"epoch 1/2  loss 0\.5\n"),
    ],
    ids=["color", "no color", "dumb"],
)
def test_the_view_uses_only_what_the_terminal_supports(variables, pattern, monkeypatch, capsys):
    stream = Terminal()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stderr", stream)
    with event_listener(as_json=False, quiet=False) as listener:
        listener(epoch(1, of=2, loss=0.5))
        listener(ReportEvent(page="runs/a/report.html"))
    assert re.search(pattern, stream.getvalue()), repr(stream.getvalue())
    assert ("\x1b" in stream.getvalue()) == (variables["TERM"] != "dumb")


def test_training_goes_on_when_its_terminal_is_gone(monkeypatch):
    class Gone(Terminal):
        def write(self, text):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys, "stderr", Gone())
    with event_listener(as_json=False, quiet=False) as listener:
        listener(FoldProgressEvent(done=1, folds=2, epoch=1, of=2))
        listener(epoch(1, of=2, loss=0.5))
        listener(WarningEvent(message="no luck"))


def test_frames_are_not_collected_for_a_terminal_that_is_gone(monkeypatch):
    lengths = []

    class Leaving(Terminal):
        is_gone = False

        def write(self, text):
            if not self.is_gone:
                return super().write(text)
            lengths.append(len(text))
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    stream = Leaving()
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys, "stderr", stream)
    with event_listener(as_json=False, quiet=False) as listener:
        listener(epoch(1, of=1, loss=0.5))  # the last epoch is always drawn
        stream.is_gone = True
        for _ in range(30):
            listener(epoch(1, of=1, loss=0.5))
    assert len(lengths) >= 30 and max(lengths) < 3 * min(lengths)


def test_the_view_of_a_resumed_training_names_its_first_epoch(monkeypatch):
    stream = Terminal()
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys, "stderr", stream)
    with event_listener(as_json=False, quiet=False) as listener:
        listener(ResumedEvent(epochs=20))
        listener(epoch(21, of=30, loss=0.5))
        listener(ReportEvent(page="runs/a/report.html"))
    assert "best since 20" in stream.getvalue()


def screen(text):
    """The lines that a terminal shows after the control sequences of Rich's live view."""
    lines, row = [""], 0
    for part in re.findall(r"\x1b\[[\d;?]*[A-Za-z]|\n|\r|[^\x1b\n\r]+", text):
        if part.endswith("A") and part[0] == "\x1b":
            row -= int(part[2:-1])
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif part == "\r":
            pass  # a cleared line follows
        elif part[0] != "\x1b":
            lines[row] += part
    return [line.rstrip() for line in lines if line.strip()]


def test_some_epochs_stay_on_the_terminal_when_the_view_is_removed(monkeypatch):
    stream = Terminal()
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys, "stderr", stream)
    with event_listener(as_json=False, quiet=False) as listener:
        for number in range(1, 96):
            listener(epoch(number, of=95, loss=1 / number))
        listener(ReportEvent(page="runs/a/report.html"))
    shown = screen(stream.getvalue())
    numbers = [1, *range(10, 91, 10), 95]
    assert [line.split("/")[0].split()[-1] for line in shown[:-1]] == [str(at) for at in numbers]
    assert shown[-1].startswith("report")


def wait_for(is_true):
    end = time.monotonic() + 30
    while not is_true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_terminal_says_that_the_data_is_read_if_that_takes_long(monkeypatch):
    stream = Terminal()
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys, "stderr", stream)
    with event_listener(as_json=False, quiet=False):
        pass
    assert stream.getvalue() == ""

    monkeypatch.setattr(event_log, "SLOW", 0)
    with event_listener(as_json=False, quiet=False) as listener:
        wait_for(lambda: event_log.READING in stream.getvalue())
        listener(EngineEvent(name="compiled", jit_compile=False))
        assert screen(stream.getvalue())[0].split()[0] == "engine"


def test_the_line_is_removed_before_an_error(monkeypatch):
    stream = Terminal()
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(event_log, "SLOW", 0)
    with pytest.raises(ZeroDivisionError), event_log.showing_progress(event_log.READING):
        wait_for(lambda: screen(stream.getvalue()) == [event_log.READING])
        raise ZeroDivisionError
    assert screen(stream.getvalue()) == []


def test_a_terminal_shows_what_takes_time_before_the_first_epoch(monkeypatch):
    stream = Terminal()
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys, "stderr", stream)
    with event_listener(as_json=False, quiet=False) as listener:
        listener(EngineEvent(name="compiled", jit_compile=False))
        assert screen(stream.getvalue())[-1] == "starting TensorFlow"
        listener(DeviceEvent(device="cpu", gpus=0, threads=2))
        assert screen(stream.getvalue())[-1] == "preparing the first epoch"
        listener(epoch(1, of=1, loss=0.5))
    assert [line.split()[0] for line in screen(stream.getvalue())] == ["engine", "device", "epoch"]


@pytest.mark.parametrize(("variable", "width"), [(None, 40), ("60", 60), ("", 40), ("wide", 40)])
def test_lines_are_wrapped_to_the_width_of_the_terminal_of_standard_error(
    variable, width, monkeypatch
):
    stream = Terminal()
    stream.fileno = lambda: 7

    def size(descriptor):
        return os.terminal_size((40 if descriptor == 7 else 80, 24))

    monkeypatch.setattr(os, "get_terminal_size", size)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.delenv("COLUMNS", raising=False)
    if variable is not None:
        monkeypatch.setenv("COLUMNS", variable)
    print_event(BaselinesEvent(models=["ab"] * 40, no_linear=None, seconds=1.0))
    lines = stream.getvalue().splitlines()
    assert width - 4 <= max(map(len, lines)) <= width
