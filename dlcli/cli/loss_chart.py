"""The loss per epoch as a chart of a few lines on a terminal, drawn by plotext."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dlcli.pipeline.events import EpochEvent

_HEIGHT = 12
"""Number of lines."""
_WIDEST = 76
_NARROWEST = 40
_FEWEST_EPOCHS = 5
_LOG_RATIO = 20
"""Ratio of the largest to the smallest loss from which the axis is logarithmic."""
_MARKERS = {"loss": "dot", "val_loss": "braille"}
_COLOR_CODE = re.compile(r"\x1b\[[0-9;]*m")


class LossChart:
    """Collects the losses of a network's epochs and draws them.

    For an ensemble, the chart shows the first network.
    """

    def __init__(self) -> None:
        self._epochs: list[int] = []
        self._losses: dict[str, list[float | None]] = {name: [] for name in _MARKERS}
        self._members: int | None = None

    def add(self, event: EpochEvent) -> None:
        """Add the losses of an epoch."""
        if event.member not in (None, 1):
            return
        self._members = event.members
        self._epochs.append(event.epoch)
        for name, values in self._losses.items():
            values.append(event.values.get(name))

    def lines(self, width: int) -> list[str]:
        """Draw the chart.

        Args:
            width: width of the terminal in columns.

        Returns:
            The lines; none for fewer than five epochs, a narrow terminal, or one without Unicode.
        """
        curves = {name: each for name in _MARKERS if len(each := self._curve(name)) > 1}
        is_unicode = (sys.stderr.encoding or "").lower().replace("-", "") == "utf8"
        if len(self._epochs) < _FEWEST_EPOCHS or width < _NARROWEST or not curves or not is_unicode:
            return []
        import plotext

        plotext.clear_figure()
        plotext.limit_size(False, False)
        plotext.plot_size(min(width - 1, _WIDEST), _HEIGHT)
        plotext.theme("clear")
        values = [value for points in curves.values() for _, value in points]
        if min(values) > 0 and max(values) > _LOG_RATIO * min(values):
            plotext.yscale("log")
        for name, points in curves.items():
            label = "validation loss" if name == "val_loss" else "loss"
            plotext.plot(*zip(*points, strict=True), label=label, marker=_MARKERS[name])
        plotext.xticks(_round_ticks(self._epochs))
        plotext.xlabel(f"epoch (network 1 of {self._members})" if self._members else "epoch")
        drawn = _COLOR_CODE.sub("", plotext.build())
        return [line.rstrip() for line in drawn.rstrip().split("\n")]

    def _curve(self, name: str) -> list[tuple[int, float]]:
        """Return the epochs with a value, and this value."""
        pairs = zip(self._epochs, self._losses[name], strict=True)
        return [(epoch, value) for epoch, value in pairs if value is not None]


def _round_ticks(epochs: Sequence[int]) -> list[int]:
    """Return the first and last epoch, and up to three in between."""
    first, last = epochs[0], epochs[-1]
    return sorted({first + round((last - first) * at / 4) for at in range(5)})
