"""A training as it goes, on a terminal: the epoch, each measure and its best, speed, time left."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dlcli.cli.curve import ASCII_BARS, BARS, Curve
from dlcli.cli.text import align, number
from dlcli.metrics import HIGHER_IS_BETTER

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.table import Table

SECONDS = 0.1
"""Time from one picture to the next, at least."""
_RECENT = 50
"""Pictures over which speed is taken: some five seconds."""
_OTHER_LINES = 4
"""Lines of a picture beside those of the measures, the terminal's last one included."""
_CURVE = (6, 40)
"""Least and greatest width of a curve."""
_LEAST_NAME = 5
_UNMEASURED = ("epoch", "of", "learning_rate")


@dataclass(slots=True)
class Measure:
    """A column of history.csv as it passes."""

    name: str
    """`val_loss`."""
    curve: Curve | None
    """What it has been like; of losses."""
    higher_is_better: bool
    now: float | None = None
    best: float | None = None
    best_epoch: int = 0

    @classmethod
    def of(cls, name: str) -> Measure:
        """The measure of a name, before the first epoch."""
        bare = name.removeprefix("val_")
        curve = Curve() if bare == "loss" else None
        return cls(name, curve, HIGHER_IS_BETTER.get(bare, False))

    def draw(self, width: int, bars: str) -> str:
        """The curve, in at most so many columns; nothing of what has none."""
        return "" if self.curve is None else self.curve.draw(width, bars)

    def take(self, value: float | None, epoch: int) -> None:
        """Takes in an epoch's value; `None` is undefined."""
        self.now = value
        if value is None:
            return
        if self.curve is not None:
            self.curve.add(value)
        best = self.best
        if best is None or (value > best if self.higher_is_better else value < best):
            self.best, self.best_epoch = value, epoch


class LiveView:
    """What there is to see of a training: taken in at each epoch, drawn when it is due.

    It has no thread of its own, which would take time from training. What it keeps doesn't grow.

    Args:
        console: the terminal.
        rows: training rows, if they are known.
        clock: tells the time, in seconds.
        resumed: the epochs that training goes on after; what they were like isn't known.
    """

    def __init__(
        self,
        console: Console,
        rows: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        *,
        resumed: int = 0,
    ) -> None:
        self.rows = rows
        best = f"best since {resumed}" if resumed else "best"
        self._heads = ["", "now ", best, "at"]
        self._console = console
        self._clock = clock
        self._live: Live | None = None
        self._due = 0.0
        self._measures: list[Measure] = []
        self._fields: Mapping[str, Any] = {}
        self._recent: deque[tuple[float, int]] = deque(maxlen=_RECENT)

    def show(self, fields: Mapping[str, Any]) -> None:
        """Takes in an epoch, given the fields of its event, and draws if it is time."""
        epoch = fields["epoch"]
        self._measures = self._measures or [
            Measure.of(name) for name in fields if name not in _UNMEASURED
        ]
        for measure in self._measures:
            measure.take(fields[measure.name], epoch)
        self._fields = fields
        now = self._clock()
        if now >= self._due or epoch == fields["of"]:
            self._due = now + SECONDS
            self._recent.append((now, epoch))
            self._draw()

    def close(self) -> None:
        """Takes the picture away; what was taken in is kept."""
        if self._live is not None:
            self._live.stop()
            self._live = None
        self._recent.clear()  # what comes between takes time, too

    def _draw(self) -> None:
        if self._live is None:
            self._live = _started(self._console)
        self._live.update(self.picture(), refresh=True)

    def picture(self) -> RenderableType:
        """What is shown now, within the terminal's size."""
        from rich.console import Group
        from rich.text import Text

        lines = [*self._measure_lines(), self._pace_line()]
        texts = [Text(line, no_wrap=True, overflow="crop") for line in lines]
        for text, measure in zip(texts[1:-1], self._shown, strict=True):
            if measure.best_epoch == self._fields["epoch"]:
                text.stylize("bold green")
        texts[0].stylize("dim")
        texts[-1].stylize("dim")
        return Group(self._head(), *texts)

    def _head(self) -> Table:
        """The epoch, a bar, and the time that is left."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        epoch, of = self._fields["epoch"], self._fields["of"]
        grid = Table.grid(padding=(0, 1), expand=True)
        grid.add_column(no_wrap=True)
        grid.add_column(ratio=1)
        grid.add_column(no_wrap=True)
        bar = ProgressBar(total=of, completed=epoch)
        grid.add_row(f"epoch {epoch:,}/{of:,}", bar, self._time_left())
        return grid

    def _time_left(self) -> str:
        speed = self._speed()
        if speed is None:
            return ""
        return f"{duration((self._fields['of'] - self._fields['epoch']) / speed)} left"

    def _measure_lines(self) -> list[str]:
        """A header and a line for each measure; a curve behind it, if there is room."""
        rows = [self._cells(each) for each in self._shown]
        lines = align([self._heads, *rows])
        if (excess := max(map(len, lines)) - self._console.width) > 0:
            room = max(map(len, [row[0] for row in rows])) - excess
            lines = align([self._heads, *([_cropped(row[0], room), *row[1:]] for row in rows)])
        return self._with_curves(lines)

    def _with_curves(self, lines: list[str]) -> list[str]:
        width = max(map(len, lines)) + 2
        room = self._console.width - width
        if room < _CURVE[0]:
            return lines
        bars = ASCII_BARS if self._console.options.ascii_only else BARS
        curves = ["", *(each.draw(min(room, _CURVE[1]), bars) for each in self._shown)]
        return [f"{line:<{width}}{curve}" for line, curve in zip(lines, curves, strict=True)]

    def _cells(self, measure: Measure) -> list[str]:
        """Name, latest value with a mark if it is the best, best value, and its epoch."""
        mark = "*" if measure.best_epoch == self._fields["epoch"] else " "
        best = [number(measure.best), f"{measure.best_epoch:,}"] if measure.best_epoch else ["", ""]
        return [measure.name, f"{number(measure.now)}{mark}", *best]

    @property
    def _shown(self) -> list[Measure]:
        """The measures that there is room for: the losses first, then in their own order."""
        room = max(1, self._console.height - _OTHER_LINES)
        if len(self._measures) <= room:
            return self._measures
        return sorted(self._measures, key=lambda measure: measure.curve is None)[:room]

    def _pace_line(self) -> str:
        """The learning rate, and how fast it goes: in epochs, or where these are long in rows."""
        rate = f"learning rate {number(self._fields['learning_rate'])}"
        speed = self._speed()
        if speed is None:
            return rate
        if speed < 1 and self.rows is not None:
            return f"{rate}  {_count(speed * self.rows)} rows/s"
        return f"{rate}  {_count(speed)} epochs/s"

    def _speed(self) -> float | None:
        """Epochs a second, lately; none before two pictures tell."""
        if len(self._recent) < 2:  # noqa: PLR2004
            return None
        (before, first), (now, last) = self._recent[0], self._recent[-1]
        return (last - first) / (now - before) if last > first and now > before else None


def duration(seconds: float) -> str:
    """A time as clocks show it: `0:07`, `1:02:03`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _cropped(name: str, width: int) -> str:
    """A name in so many columns, but at least a few."""
    width = max(width, _LEAST_NAME)
    return name if len(name) <= width else f"{name[: width - 1]}~"


def _count(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"  # noqa: PLR2004


def _started(console: Console) -> Live:
    from rich.live import Live

    live = Live(console=console, auto_refresh=False, transient=True, redirect_stdout=False)
    live.start()
    return live
