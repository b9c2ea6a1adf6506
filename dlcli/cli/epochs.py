"""The epochs of a training as they pass: a live view on a terminal, else a few lines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import click

from dlcli.cli.wording import epoch_words

_LINES = 10


class Epochs(Protocol):
    """Shows epochs."""

    def show(self, fields: Mapping[str, Any]) -> None:
        """Shows an epoch, given the fields of its event."""

    def close(self) -> None:
        """Ends the showing, before something else is written or because all is over."""


class EpochLines:
    """The first epoch, the last, and about ten between them, a line each."""

    def __init__(self) -> None:
        self._held: Mapping[str, Any] | None = None

    def show(self, fields: Mapping[str, Any]) -> None:
        """Writes the epoch's line if it is its turn, else keeps it, as it may be the last."""
        epoch, every = fields["epoch"], -(-fields["of"] // _LINES)
        self._held = fields
        if epoch == 1 or epoch % every == 0:
            self.close()

    def close(self) -> None:
        """Writes the last epoch's line, if it wasn't."""
        if self._held is not None:
            of = self._held["of"]
            place = f"epoch {self._held['epoch']:>{len(str(of))}}/{of}"
            click.echo(f"{place}  {epoch_words(self._held)}", err=True)
            self._held = None
