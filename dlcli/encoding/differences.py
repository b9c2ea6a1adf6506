"""How rows differ from those that training saw, column by column."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dlcli.encoding.encoding import Encoding
from dlcli.preprocessing import (
    ColumnIssues,
    Line,
    Note,
    ValueIssues,
    dates_if_midnight,
    summarize_notes,
)

_NOTABLE_SHARE = 0.05
"""By how much the share of rows without a value must differ from training's to be told."""
_NOTABLE_DEVIATIONS = 3
"""How many standard deviations of chance it must differ by."""
_SHOWN_VALUES = 3
_SHOWN_CHARACTERS = 40
_SHOWN_COLUMNS = 5
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
    rows: int
    """All rows."""
    training_missing_share: float
    """The training rows' share without a value."""

    @property
    def missing_share(self) -> float:
        """The share of rows without a value."""
        return self.missing / max(self.rows, 1)

    @property
    def has_other_gaps(self) -> bool:
        """Whether notably more or fewer rows lack a value than training lets expect.

        Of n rows, n·p would with p training's share, with a standard deviation of √(n·p·(1 − p)).
        """
        share = self.training_missing_share
        chance = math.sqrt(self.rows * share * (1 - share))
        improbable = abs(self.missing - self.rows * share) > _NOTABLE_DEVIATIONS * chance + 1
        return improbable and abs(self.missing_share - share) > _NOTABLE_SHARE

    def to_json(self) -> dict[str, object]:
        """What differs, by name; what doesn't is left out."""
        found: dict[str, object] = {}
        if self.unreadable:
            found["unreadable"] = self.unreadable
        if self.unseen:
            found |= {"unseen": self.unseen, "unseen_values": self.unseen_values}
        if self.outside:
            found |= {"outside": self.outside, "training_range": self.training_range}
        if self.wordless:
            found["wordless"] = self.wordless
        if self.has_other_gaps:
            found["missing"] = self.missing
            found["missing_share"] = self.missing_share
            found["training_missing_share"] = self.training_missing_share
        return found

    def notes(self) -> Iterator[Note]:
        """Says what differs in the values that there are."""
        if self.unseen:
            values = [f"'{_cut(value)}'" for value in self.unseen_values]
            some = ", ".join(values[:_SHOWN_VALUES]) + (
                ", ..." if len(values) > _SHOWN_VALUES else ""
            )
            yield Note(self.column, self.unseen, "with values that are no category", f": {some}")
        if self.outside and self.training_range is not None:
            low, high = _ends(self.training_range)
            kind, detail = "outside the training rows' range", f", {low} to {high}"
            yield Note(self.column, self.outside, kind, detail)
        if self.wordless:
            yield Note(self.column, self.wordless, "without a word that training saw")

    @property
    def gaps(self) -> str:
        """How many rows lack a value, here and in training."""
        return f"'{self.column}' {self.missing_share:.0%}, not {self.training_missing_share:.0%}"


def find_differences(encoding: Encoding, issues: ValueIssues) -> list[Difference]:
    """Sums up how rows that were encoded differ from training's.

    Args:
        encoding: fitted on training rows.
        issues: what encoding the rows found.

    Returns:
        The columns with a difference, in the order of the features.
    """
    made = (
        _difference(feature.column, feature.missing_share, issues) for feature in encoding.features
    )
    return [difference for difference in made if difference.to_json()]


def difference_lines(found: Sequence[Difference]) -> Iterator[Line]:
    """Says in short what differs; gaps of all columns together, since they often come so."""
    yield from summarize_notes(note for difference in found for note in difference.notes())
    gaps = [difference.gaps for difference in found if difference.has_other_gaps]
    if gaps:
        rest = len(gaps) - _SHOWN_COLUMNS
        shown = gaps[:_SHOWN_COLUMNS] + ([f"and {rest} more"] if rest > 0 else [])
        yield Line(f"other shares of rows lack a value than in training: {', '.join(shown)}")


def _difference(column: str, training_missing_share: float, issues: ValueIssues) -> Difference:
    found = issues.columns.get(column, ColumnIssues())
    return Difference(
        column=column,
        unreadable=found.unreadable,
        unseen=found.unseen.total(),
        unseen_values=dict(found.unseen.most_common(_LISTED_VALUES)),
        outside=found.outside,
        training_range=found.range,
        wordless=found.without_tokens,
        missing=found.missing,
        rows=issues.rows,
        training_missing_share=training_missing_share,
    )


def _cut(text: str) -> str:
    return f"{text[:_SHOWN_CHARACTERS]}..." if len(text) > _SHOWN_CHARACTERS else text


def _ends(ends: tuple[float | str, float | str]) -> list[str]:
    """The ends of a range, as people read them."""
    return dates_if_midnight([end if isinstance(end, str) else f"{end:g}" for end in ends])
