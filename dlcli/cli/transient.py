"""One line on a terminal that gives way to whatever is told next."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.live import Live


class TransientLine:
    """A line that is replaced by the next one, and taken away at the end."""

    def __init__(self) -> None:
        self._live: Live | None = None

    def show(self, line: str) -> None:
        """Shows a line in the place of the last one, where a terminal can."""
        from rich.console import Console
        from rich.live import Live
        from rich.text import Text

        if self._live is None:
            console = Console(stderr=True)
            if not console.is_interactive:
                return
            self._live = Live(
                console=console, auto_refresh=False, transient=True, redirect_stdout=False
            )
            self._live.start()
        self._live.update(Text(line, style="dim", no_wrap=True, overflow="crop"), refresh=True)

    def close(self) -> None:
        """Takes the line away."""
        if self._live is not None:
            self._live.stop()
            self._live = None
