"""How large the inputs are that columns of numbers became, by the range that training saw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import ValidationError

from dlcli.encoding import Block, Encoding, NumericEncoder
from dlcli.errors import RunError
from dlcli.explanation import Explanation
from dlcli.runs import Run


@dataclass(frozen=True)
class Peak:
    """The largest size of what a column became, over training rows."""

    block: Block
    size: float


def read_peaks(run: Run, explanation: Explanation | None) -> tuple[Peak, ...]:
    """The peaks of a run: by the encoding, which a run that has diverged has too, or as was seen.

    Raises:
        RunError: if the encoding is damaged.
    """
    try:
        encoding = Encoding.model_validate_json(run.read_encoding())
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        message = f"its encoding.json can't be read: {first['msg']}"
        raise RunError(f"{run.path}: {message}") from None
    columns = explanation.columns if explanation else ()
    seen = {column.name: column.largest_input for column in columns if column.role == "feature"}
    peaks = {
        feature.column: _peak(feature)
        for feature in encoding.features
        if isinstance(feature, NumericEncoder)
    }
    found = (
        (block, peaks.get(block.name, seen.get(block.name))) for block in encoding.layout.blocks
    )
    return tuple(Peak(block, size) for block, size in found if size is not None)


def _peak(feature: NumericEncoder) -> float | None:
    """The larger of both ends: every scaling rises with the number."""
    with np.errstate(all="ignore"):
        ends = feature.scaling.apply(np.array([feature.low, feature.high]))
    size = float(np.abs(ends).max())
    return size if np.isfinite(size) else None
