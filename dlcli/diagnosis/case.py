"""The evidence that the rules see: a run without its data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dlcli.config import Config
from dlcli.encoding import Block, Encoding, NumericEncoder
from dlcli.explanation import Explanation
from dlcli.runs import DIVERGED, MetricsBySplit, Run

Split = str
"""`train`, `validation` or `test`."""
Size = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""An absolute value."""


class Magnitudes(BaseModel):
    """Sizes of the numbers that a diverged training worked with; the `diverged` event has them."""

    model_config = ConfigDict(frozen=True)

    epoch: int
    """The epoch of the divergence, from 1."""
    inputs: dict[str, Size] = {}
    """Largest absolute input of each column, over training rows."""
    validation_inputs: dict[str, Size] = {}
    """The same over validation rows."""
    target: dict[str, Size] = {}
    """Largest absolute value of each numeric target column, in the unit that is trained on."""
    target_range: tuple[Size, Size] | None = None
    """Smallest and mean absolute value over a numeric target."""
    row_weight: Size = 1.0
    """Mean weight of a training row in the loss."""


@dataclass(frozen=True)
class Peak:
    """The largest absolute value among the inputs that a column became."""

    block: Block
    size: float


@dataclass(frozen=True)
class Case:
    """A run as the rules see it; empty where the run has no such result."""

    config: Config
    """The resolved config."""
    history: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Values of each epoch, by column of history.csv."""
    metrics: MetricsBySplit = field(default_factory=dict)
    """Final metrics by split and name; empty if training diverged."""
    baselines: Mapping[str, MetricsBySplit] = field(default_factory=dict)
    """The same for the models `constant` and `linear`."""
    explanation: Explanation | None = None
    rows: Mapping[Split, int] = field(default_factory=dict)
    """Number of rows in each split."""
    peaks: tuple[Peak, ...] = ()
    """Sizes of the network's inputs over training rows."""
    validation_peaks: tuple[Peak, ...] = ()
    """The same over validation rows; only of a run that diverged."""
    diverged: bool = False
    """Whether the loss or the weights became NaN or infinite."""
    magnitudes: Magnitudes | None = None
    """Of a run that diverged."""

    @classmethod
    def of(cls, run: Run) -> Case:
        """Read a run folder.

        Raises:
            RunError: for a damaged file.
        """
        explanation = Explanation.of(run) if run.has("explanation.json") else None
        events = [*run.read_events()] if run.has("events.jsonl") else []
        magnitudes = _logged_magnitudes(events) if run.kind == DIVERGED else None
        rows = explanation.rows if explanation else _logged_rows(events)
        blocks, sizes = _read_inputs(run, explanation)
        return cls(
            config=run.read_config().config,
            history=run.read_history() if run.has("history.csv") else {},
            metrics=run.read_metrics() if run.has("metrics.json") else {},
            baselines=run.read_baselines() if run.has("baselines.json") else {},
            explanation=explanation,
            rows={name: count for name, count in rows.items() if 0 <= count < 2**53},
            peaks=peaks_of(blocks, magnitudes.inputs if magnitudes else sizes),
            validation_peaks=peaks_of(blocks, magnitudes.validation_inputs if magnitudes else {}),
            diverged=run.kind == DIVERGED,
            magnitudes=magnitudes,
        )

    def curve(self, name: str) -> Sequence[float]:
        """Return the values of a column of history.csv; empty if there is none."""
        return self.history.get(name, ())


def peaks_of(blocks: Iterable[Block], sizes: Mapping[str, float]) -> tuple[Peak, ...]:
    """Pair the columns of a layout with the sizes of their inputs, where these are known."""
    return tuple(Peak(block, sizes[block.column]) for block in blocks if block.column in sizes)


def _logged_rows(events: Iterable[Mapping[str, Any]]) -> Mapping[Split, int]:
    rows = next((event.get("rows") for event in events if event.get("event") == "data"), None)
    if not isinstance(rows, dict):
        return {}
    return {str(name): count for name, count in rows.items() if isinstance(count, int)}


def _logged_magnitudes(events: Iterable[Mapping[str, Any]]) -> Magnitudes | None:
    """Return those of the last `diverged` event; `None` if it is missing or malformed."""
    logged = [event for event in events if event.get("event") == "diverged"]
    try:
        return Magnitudes.model_validate(logged[-1]) if logged else None
    except ValidationError:
        return None


def _read_inputs(
    run: Run, explanation: Explanation | None
) -> tuple[tuple[Block, ...], Mapping[str, float]]:
    """Return the columns as the network reads them, with the largest absolute input of each.

    For numbers it follows from the range of training rows, which the encoding has: every scaling is
    monotonic. For others the explanation may have it.
    """
    encoding = run.parse("encoding.json", Encoding)
    sizes = {
        column.name: column.largest_input
        for column in (explanation.columns if explanation else ())
        if column.role == "feature" and column.largest_input is not None
    }
    for feature in encoding.features:
        if isinstance(feature, NumericEncoder):
            with np.errstate(all="ignore"):
                ends = feature.scaling.apply(np.array([feature.low, feature.high]))
            size = float(np.abs(ends).max())
            if np.isfinite(size):
                sizes[feature.column] = size
    return encoding.layout.blocks, sizes
