"""What happens while an experiment runs, told as it happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dlcli.runs import RunWriter

Listener = Callable[[str, dict[str, object]], None]
"""Is told an event's name and fields, which JSON can hold."""


class Events:
    """Tells a listener, and the run's log as soon as there is a run.

    Args:
        listener: who else is told.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._writer: RunWriter | None = None
        self._early: list[tuple[str, dict[str, object]]] = []

    def emit(self, event: str, /, **fields: object) -> None:
        """Tells that something has happened."""
        self._listener(event, fields)
        if self._writer is None:
            self._early.append((event, fields))
        else:
            self._writer.log(event, **fields)

    def log_to(self, writer: RunWriter) -> None:
        """Logs what has been told so far, and from now on."""
        self._writer = writer
        for event, fields in self._early:
            writer.log(event, **fields)
