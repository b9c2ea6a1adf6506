"""What happens while an experiment runs, told as it happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dlcli.runs import Draft

Listener = Callable[[str, dict[str, object]], None]
"""Is told an event's name and fields, which JSON can hold."""


class Events:
    """Tells a listener, and the run's log as soon as there is a run.

    Args:
        listener: who else is told.
    """

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._draft: Draft | None = None
        self._early: list[tuple[str, dict[str, object]]] = []

    def emit(self, event: str, /, **fields: object) -> None:
        """Tells that something has happened."""
        self._listener(event, fields)
        if self._draft is None:
            self._early.append((event, fields))
        else:
            self._draft.log(event, **fields)

    def log_to(self, draft: Draft) -> None:
        """Logs what has been told so far, and from now on."""
        self._draft = draft
        for event, fields in self._early:
            draft.log(event, **fields)
