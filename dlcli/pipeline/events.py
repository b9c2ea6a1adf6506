"""Report what happens during a run, to a listener and to the run's log."""

from __future__ import annotations

import threading
from collections.abc import Callable

from dlcli.runs import RunWriter

Listener = Callable[[str, dict[str, object]], None]
"""Receives the name and the fields of each event; JSON can represent the fields."""


class Events:
    """Passes events to a listener, and logs them as soon as there is a run folder.

    Those of several threads are passed on one at a time.

    Args:
        listener: receives each event as it happens.
    """

    def __init__(self, listener: Listener = lambda *_: None) -> None:
        self.listener = listener
        """Receives events; called directly, it gets one that is not logged."""
        self.warnings: set[str] = set()
        """The messages of all warnings so far."""
        self._writer: RunWriter | None = None
        self._early: list[tuple[str, dict[str, object]]] = []
        self._lock = threading.RLock()

    def emit(self, event: str, /, **fields: object) -> None:
        """Report an event. `progress` is not logged, as it depends on the clock."""
        with self._lock:
            self.listener(event, fields)
            if event == "warning":
                self.warnings.add(str(fields.get("message")))
            if event == "progress":
                return
            if self._writer is None:
                self._early.append((event, fields))
            else:
                self._writer.log(event, **fields)

    def only(self, *names: str) -> Events:
        """Return a reporter that passes on the events of these names alone."""
        return Events(lambda event, fields: self.emit(event, **fields) if event in names else None)

    def log_to(self, writer: RunWriter) -> None:
        """Log all events so far to a run folder, and those to come."""
        self._writer = writer
        for event, fields in self._early:
            writer.log(event, **fields)
