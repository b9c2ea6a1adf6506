"""Report what happens during a run, to a listener and to the run's log."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import cast

from dlcli.runs.run_writer import RunWriter

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
        self._warnings: set[str] = set()
        self._found: defaultdict[object, set[str]] = defaultdict(set)
        self._writer: RunWriter | None = None
        self._early: list[tuple[str, dict[str, object]]] = []
        self._lock = threading.RLock()

    def emit(self, event: str, /, **fields: object) -> None:
        """Report an event. `progress` is not logged, as it depends on the clock."""
        with self._lock:
            self.listener(event, fields)
            if event == "warning":
                self._warnings.add(str(fields.get("message")))
                if check := fields.get("check"):
                    self._found[check].update(_columns(fields))
            if event == "progress":
                return
            if self._writer is None:
                self._early.append((event, fields))
            else:
                self._writer.log(event, **fields)

    def warn_once(self, event: str, fields: dict[str, object]) -> None:
        """Report a warning of a part of the work, such as a fold, unless it repeats one so far.

        Its message may be the same, or its check may have found all of its columns before: in the
        folds of a table, the same problem is seen in other numbers of rows. Other events are
        ignored, so that this can be the listener of that part.
        """
        with self._lock:
            if event == "warning" and not self._has_warned(fields):
                self.emit(event, **fields)

    def _has_warned(self, fields: dict[str, object]) -> bool:
        if str(fields.get("message")) in self._warnings:
            return True
        check = fields.get("check")
        return check in self._found and self._found[check].issuperset(_columns(fields))

    def only(self, *names: str) -> Events:
        """Return a reporter that passes on the events of these names alone."""
        return Events(lambda event, fields: self.emit(event, **fields) if event in names else None)

    def log_to(self, writer: RunWriter) -> None:
        """Log all events so far to a run folder, and those to come."""
        self._writer = writer
        for event, fields in self._early:
            writer.log(event, **fields)


def _columns(fields: dict[str, object]) -> Sequence[str]:
    """Return the columns that a check of the data names."""
    return cast("Sequence[str]", fields.get("columns", ()))
