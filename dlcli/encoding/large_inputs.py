"""Columns whose inputs may be large: from where on they are, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

from dlcli.config import (
    LARGE,
    LARGE_STANDARDIZED,
    Auto,
    Count,
    Divide,
    Input,
    Numeric,
    Quantile,
    Robust,
    Setting,
    Text,
    Unscaled,
    format_path,
)
from dlcli.encoding.layout import Block, EmbeddingTable, PeriodicForm
from dlcli.encoding.types.choosing import key_of


@dataclass(frozen=True)
class Remedy:
    """What to do about a column whose inputs are large."""

    far: float
    """Size from which on they are."""
    has: str
    """What lets them be so."""
    setting: Setting


def remedy(block: Block, section: Input) -> Remedy | None:
    """What to do about a column, if anything in the config lets its inputs be large.

    Args:
        block: what the column became.
        section: the config's `input`.
    """
    key = key_of(block.name, section)
    feature = Auto() if key is None else (section.features or {})[key]
    own = format_path(("input", "features", key or block.name))
    if isinstance(feature, Text) and isinstance(feature.encoding, Count):
        return Remedy(LARGE, "encoding count", (f"{own}.encoding", "tf_idf"))
    is_number = block.kind == "numeric" and block.columns == (block.name,)
    is_bounded = isinstance(block.form, PeriodicForm | EmbeddingTable)
    if not is_number or is_bounded or not isinstance(feature, Numeric | Auto):
        return None
    scaling = (feature.scaling if isinstance(feature, Numeric) else None) or section.scaling
    if isinstance(scaling, Robust | Quantile):
        return None
    is_own = isinstance(feature, Numeric) and feature.scaling is not None
    path = f"{own}.scaling" if is_own else "input.scaling"
    if isinstance(scaling, Unscaled | Divide):
        return Remedy(LARGE, f"scaling {scaling.name}", (path, "standard"))
    return Remedy(LARGE_STANDARDIZED, f"scaling {scaling.name}", (path, "robust"))
