"""The facts about a feature column that determine its line in a starter config."""

from __future__ import annotations

from dataclasses import dataclass

from dlcli.columns.registry import Feature
from dlcli.columns.type_inference import ColumnSummary


@dataclass(frozen=True)
class ColumnFacts:
    """The facts about a feature column."""

    name: str
    feature: Feature
    """The type in the config."""
    reason: str
    """The reason for the type."""
    auto: bool
    """Whether `auto` would choose the same type."""
    values: ColumnSummary
    """A summary of its values."""
    leaks: bool
    """Whether the column alone predicts nearly all of the target."""
    evidence: str = ""
    """The measurement that the type follows from, if there is one."""

    @property
    def type(self) -> str:
        """The name of the type."""
        return self.feature.type
