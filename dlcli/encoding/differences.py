"""How rows differ from those that training saw, column by column."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass

from dlcli.encoding.encoding import Encoding
from dlcli.encoding.findings import ColumnFindings, Findings

NOTABLE_SHARE = 0.05
"""By how much the share of rows without a value must differ from training's to be told."""
_SHOWN_VALUES = 3
_LISTED_VALUES = 20


@dataclass(frozen=True)
class Difference:
    """How a column's values differ from those of training; all counts are of rows."""

    column: str
    unreadable: int
    """Rows whose value can't be read, or is forbidden."""
    unseen: int
    """Rows with values that are no category."""
    unseen_values: dict[str, int]
    """The most frequent of them, with their rows."""
    outside: int
    """Rows outside the training rows' range."""
    training_range: tuple[float | str, float | str] | None
    """That range, where rows are outside."""
    wordless: int
    """Rows whose text has no word that training saw."""
    missing: int
    """Rows without a value."""
    missing_share: float
    """Their share."""
    training_missing_share: float
    """The training rows' share without a value."""

    @property
    def is_emptier(self) -> bool:
        """Whether notably more or fewer rows lack a value than in training."""
        return abs(self.missing_share - self.training_missing_share) > NOTABLE_SHARE

    def to_json(self) -> dict[str, object]:
        """What differs, by name."""
        return {key: value for key, value in asdict(self).items() if key != "column"}

    def lines(self) -> Iterator[str]:
        """Says what differs, a line each."""
        name = f"column '{self.column}'"
        if self.unseen:
            values = [f"'{value}'" for value in self.unseen_values]
            some = ", ".join(values[:_SHOWN_VALUES]) + (", ..." if len(values) > 3 else "")
            yield f"{name}: {_rows(self.unseen)} with values that are no category: {some}"
        if self.outside and self.training_range is not None:
            low, high = (end if isinstance(end, str) else f"{end:g}" for end in self.training_range)
            yield f"{name}: {_rows(self.outside)} outside the training rows' range, {low} to {high}"
        if self.wordless:
            yield f"{name}: {_rows(self.wordless)} without a word that training saw"
        if self.is_emptier:
            shares = f"{self.missing_share:.0%}, and {self.training_missing_share:.0%} in training"
            yield f"{name}: without a value in {shares}"


def differences(encoding: Encoding, findings: Findings) -> list[Difference]:
    """Sums up how rows that were encoded differ from training's.

    Args:
        encoding: fitted on training rows.
        findings: what encoding the rows found.

    Returns:
        The columns with a difference, in the order of the features.
    """
    made = (
        _difference(feature.column, feature.missing_share, findings)
        for feature in encoding.features
    )
    return [difference for difference in made if _says_something(difference)]


def _difference(column: str, training_missing_share: float, findings: Findings) -> Difference:
    found = findings.columns.get(column, ColumnFindings())
    return Difference(
        column=column,
        unreadable=found.unreadable,
        unseen=found.unseen.total(),
        unseen_values=dict(found.unseen.most_common(_LISTED_VALUES)),
        outside=found.outside,
        training_range=found.range,
        wordless=found.wordless,
        missing=found.missing,
        missing_share=found.missing / max(findings.rows, 1),
        training_missing_share=training_missing_share,
    )


def _says_something(it: Difference) -> bool:
    return bool(it.unreadable or it.unseen or it.outside or it.wordless or it.is_emptier)


def _rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"
