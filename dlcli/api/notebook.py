"""Progress in a notebook, and events as Python's warnings."""

from __future__ import annotations

import inspect
import os
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path

from dlcli.errors import UsageError
from dlcli.pipeline import events
from dlcli.reports.formatting import EpochCount, epoch_line, progress_line

Progress = bool | events.Listener | None

_SECONDS_BETWEEN = 0.2
"""Between two updates of the display."""
_STYLE = '<div style="font-family: monospace; white-space: pre">'
_PACKAGE = f"{Path(__file__).parents[1]}{os.sep}"


class DataWarning(UserWarning):
    """Something about the data or the config that may spoil a training or its metrics."""


def warn(message: str) -> None:
    """Give a warning at the line that called dlcli."""
    files = [each.filename for each in inspect.stack(context=0)]
    inside = [level for level, file in enumerate(files, 1) if file.startswith(_PACKAGE)]
    warnings.warn(message, DataWarning, stacklevel=max(inside, default=0) + 1)


@contextmanager
def listening(progress: Progress) -> Iterator[events.Listener]:
    """Give a listener that turns warnings into Python's, and shows progress if it is wanted.

    Args:
        progress: see `dlcli.train`.
    """
    if callable(progress):
        pass_on: events.Listener = progress
        display = None
    else:
        if progress and not is_notebook():
            raise UsageError("progress=True is for notebooks; elsewhere, pass a function of events")
        is_wanted = is_notebook() if progress is None else progress
        display = _Display() if is_wanted else None
        pass_on = display.show if display else events.ignore

    def listen(event: events.Event) -> None:
        if isinstance(event, events.WarningEvent):
            warn(event.message)
        pass_on(event)

    try:
        yield listen
    finally:
        if display:
            display.close()


def is_notebook() -> bool:
    """Return whether the program runs in a notebook, which shows HTML."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return any(kind.__name__ == "ZMQInteractiveShell" for kind in type(shell).__mro__)


class _Display:
    """A line with a bar that is updated in place."""

    def __init__(self) -> None:
        from IPython.display import HTML, display

        self._count = EpochCount()
        self._html = HTML
        self._handle = display(HTML(""), display_id=True)
        self._shown = 0.0
        self._latest = ""

    def show(self, event: events.Event) -> None:
        """Show an event, unless another was shown a moment ago."""
        self._count.add(event)
        if (line := progress_html(event, self._count)) is None:
            return
        self._latest = line
        if time.monotonic() - self._shown >= _SECONDS_BETWEEN:
            self._update(line)

    def close(self) -> None:
        """Show the last event."""
        self._update(self._latest)

    def _update(self, line: str) -> None:
        self._shown = time.monotonic()
        self._handle.update(self._html(line))


def progress_html(event: events.Event, count: EpochCount) -> str | None:
    """Return the line of an event; `None` for one that shows no progress."""
    if isinstance(event, events.EpochEvent):
        bar = f'<progress value="{count.done}" max="{count.total}"></progress>'
        return f"{_STYLE}{bar} {escape(epoch_line(event))}</div>"
    line = progress_line(event)
    return None if line is None else f"{_STYLE}{escape(line)}</div>"
