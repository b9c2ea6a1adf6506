"""The live view of a training on a terminal: epoch, measures and their best, speed, time left."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dlcli.metrics.definitions import is_higher_better
from dlcli.pipeline.events import EpochEvent, MemberEvent
from dlcli.reports import formatting as fmt
from dlcli.reports.views import TableBlock, render_table

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live

SECONDS = 0.1
"""Least time between two frames."""
_RECENT = 50
"""Frames over which the speed is averaged: about five seconds."""
_OTHER_LINES = 4
"""Lines of a frame besides those of the measures, including the terminal's last line."""
_LEAST_NAME = 5


@dataclass(slots=True)
class Measure:
    """A loss or metric with its latest and best value."""

    name: str
    """`val_loss`."""
    higher_is_better: bool
    now: float | None = None
    best: float | None = None
    best_epoch: int = 0

    def add(self, value: float | None, epoch: int) -> None:
        """Add the value of an epoch; `None` is undefined."""
        self.now = value
        if value is None:
            return
        best = self.best
        if best is None or (value > best if self.higher_is_better else value < best):
            self.best, self.best_epoch = value, epoch


class LiveView:
    """A frame that is updated as epochs end, without a thread that would slow training down.

    If several members of an ensemble are trained at a time, it shows the first of them.

    Args:
        console: the terminal.
        rows: number of training rows, if known.
        clock: the time in seconds.
        resumed: by member of an ensemble, or 1, the number of epochs before its training was
            resumed, whose values are not known.
    """

    def __init__(
        self,
        console: Console,
        rows: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        resumed: Mapping[int, int] | None = None,
    ) -> None:
        self._rows = rows
        self._resumed = resumed or {}
        self._console = console
        self._clock = clock
        self._live: Live | None = None
        self._due = 0.0
        self._count = fmt.EpochCount()
        self._latest: dict[int, EpochEvent] = {}
        self._measures_of: dict[int, list[Measure]] = {}
        self._recent: deque[tuple[float, int]] = deque(maxlen=_RECENT)

    def add(self, event: EpochEvent | MemberEvent) -> None:
        """Add an epoch, and draw a frame if one is due; no longer show a member that has ended."""
        self._count.add(event)
        if isinstance(event, MemberEvent):
            self._latest.pop(event.member, None)
            self._measures_of.pop(event.member, None)
            return
        member = event.member or 1
        if member not in self._measures_of:
            self._measures_of[member] = [
                Measure(name, is_higher_better(name)) for name in fmt.metric_names(event)
            ]
        for measure in self._measures_of[member]:
            measure.add(event.values[measure.name], event.epoch)
        self._latest[member] = event
        now = self._clock()
        if now >= self._due or event.epoch == event.of:
            self._due = now + SECONDS
            self._recent.append((now, self._count.done))
            self._live = self._live or start_live(self._console)
            self._live.update(self.frame(), refresh=True)

    @property
    def _shown(self) -> EpochEvent:
        return self._latest[min(self._latest)]

    @property
    def _measures(self) -> list[Measure]:
        return self._measures_of[min(self._latest)]

    def close(self) -> None:
        """Remove the frame; the values are kept."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        self._recent.clear()  # what happens in between does not count for the speed

    def frame(self) -> RenderableType:
        """Compose the current frame, within the size of the terminal."""
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table as Grid
        from rich.text import Text

        event, speed = self._shown, self._speed()
        done, total = self._count.done, self._count.total
        left = "" if speed is None else f"{clock_time((total - done) / speed)} left"
        place = f"epoch {event.epoch:,}/{event.of:,}"
        if event.member is not None:
            place = f"member {event.member}/{event.members}, {place}"
        head = Grid.grid(padding=(0, 1), expand=True)
        head.add_column(no_wrap=True)
        head.add_column(ratio=1)
        head.add_column(no_wrap=True)
        head.add_row(place, ProgressBar(total=total, completed=done), left)

        shown = self._shown_measures()
        lines = [*self._measure_lines(shown), self._pace_line(speed)]
        texts = [Text(line, no_wrap=True, overflow="crop") for line in lines]
        for text, measure in zip(texts[1:-1], shown, strict=True):
            if measure.best_epoch == event.epoch:
                text.stylize("bold green")
        texts[0].stylize("dim")
        texts[-1].stylize("dim")
        return Group(head, *texts)

    def _shown_measures(self) -> list[Measure]:
        """Return the measures that fit on the terminal, losses first if not all of them do."""
        available = max(1, self._console.height - _OTHER_LINES)
        if len(self._measures) <= available:
            return self._measures
        losses_first = sorted(self._measures, key=lambda each: _bare(each.name) != "loss")
        return losses_first[:available]

    def _measure_lines(self, shown: list[Measure]) -> list[str]:
        """Return a header and one line for each measure; names that are too long are cut."""
        rows = []
        for measure in shown:
            mark = "*" if measure.best_epoch == self._shown.epoch else " "
            best = [fmt.number(measure.best), f"{measure.best_epoch:,}"]
            now = f"{fmt.number(measure.now)}{mark}"
            rows.append([measure.name, now, *(best if measure.best_epoch else ["", ""])])
        since = self._resumed.get(min(self._latest))
        header = ("", "now ", f"best since {since}" if since else "best", "at")
        lines = _table_lines(header, rows)
        if (excess := max(map(len, lines)) - self._console.width) > 0:
            longest = max(_LEAST_NAME, max(len(row[0]) for row in rows) - excess)
            for row in rows:
                if len(row[0]) > longest:
                    row[0] = f"{row[0][: longest - 1]}~"
            lines = _table_lines(header, rows)
        return lines

    def _pace_line(self, speed: float | None) -> str:
        """Return the learning rate, and the speed in epochs, or in rows if epochs are long."""
        rate = f"learning rate {fmt.number(self._shown.values[fmt.LEARNING_RATE])}"
        if speed is None:
            return rate
        if speed < 1 and self._rows is not None:
            return f"{rate}  {_round(speed * self._rows)} rows/s"
        return f"{rate}  {_round(speed)} epochs/s"

    def _speed(self) -> float | None:
        """Return the recent epochs per second; None before the second frame."""
        if len(self._recent) < 2:  # noqa: PLR2004
            return None
        (before, first), (now, last) = self._recent[0], self._recent[-1]
        return (last - first) / (now - before) if last > first and now > before else None


def start_live(console: Console) -> Live:
    """Start a frame that is removed at its end and drawn on request only."""
    from rich.live import Live

    class Frame(Live):
        """A frame that is forgotten if it can't be written, as when the terminal is gone."""

        def refresh(self) -> None:
            try:
                super().refresh()
            except OSError:  # Rich would keep it, and render it again with each later one
                self.console.quiet = True
                self.console.print()
                self.console.quiet = False
                raise

    live = Frame(console=console, auto_refresh=False, transient=True, redirect_stdout=False)
    live.start()
    return live


def clock_time(seconds: float) -> str:
    """Format a duration as clocks do: `0:07`, `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _bare(name: str) -> str:
    return name.removeprefix("val_")


def _table_lines(header: tuple[str, ...], rows: list[list[str]]) -> list[str]:
    return render_table(TableBlock(header, tuple(map(tuple, rows))))


def _round(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"  # noqa: PLR2004
