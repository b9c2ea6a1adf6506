"""The epochs of a training as they pass: a bar on a terminal, else a few lines."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import click

from dlcli.cli.wording import epoch_words

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

_LINES = 10
_SECONDS = 0.1
_BAR_WIDTH = 36
_VALUE_WIDTH = 20
"""Columns of a terminal that the bar with its counts takes, and each value beside it."""


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


class EpochBar:
    """A bar that moves, with the latest loss and a metric, and the time that is left.

    Args:
        console: the terminal.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Progress | None = None
        self._due = 0.0

    def show(self, fields: Mapping[str, Any]) -> None:
        """Moves the bar, unless it moved just before."""
        now = time.monotonic()
        if now < self._due and fields["epoch"] < fields["of"]:
            return
        self._due = now + _SECONDS
        if self._bar is None:
            self._bar = _started_bar(self._console, fields["of"])
        values = in_short(fields, max(1, (self._console.width - _BAR_WIDTH) // _VALUE_WIDTH))
        task = self._bar.task_ids[0]
        self._bar.update(task, completed=fields["epoch"], words=epoch_words(values), refresh=True)

    def close(self) -> None:
        """Takes the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def in_short(fields: Mapping[str, Any], count: int) -> dict[str, Any]:
    """The first few of an epoch's losses and one metric, on validation rows if there are any."""
    prefix = "val_" if "val_loss" in fields else ""
    others = (name for name in fields if name not in ("epoch", "of", "learning_rate"))
    metric = next((name for name in others if _is_metric(name, prefix)), "")
    names = [name for name in ("loss", "val_loss", metric) if name in fields]
    return {name: fields[name] for name in names[:count]}


def _is_metric(name: str, prefix: str) -> bool:
    return name.startswith(prefix) and not name.endswith("loss")


def _started_bar(console: Console, epochs: int) -> Progress:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    bar = Progress(
        TextColumn("epoch"),
        MofNCompleteColumn(),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[words]}"),
        TimeRemainingColumn(compact=True),
        console=console,
        auto_refresh=False,  # a thread of its own would take time from training
        transient=True,
    )
    bar.add_task("", total=epochs, words="")
    bar.start()
    return bar
