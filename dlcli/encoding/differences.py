"""Differences between encoded rows and the training rows, column by column."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dlcli.encoding.column_types import shorten
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
"""Least difference between the shares of missing values that is reported."""
_NOTABLE_DEVIATIONS = 3
"""Standard deviations of random variation that the difference must exceed as well."""
_SHOWN_VALUES = 3
_SHOWN_COLUMNS = 5
_LISTED_VALUES = 20


@dataclass(frozen=True)
class ColumnDifference:
    """Differences of a column's values from those of the training rows."""

    column: str
    issues: ColumnIssues
    rows: int
    """Number of rows."""
    training_missing_share: float
    """Share of the training rows without a value."""

    @property
    def missing_share(self) -> float:
        """Share of the rows without a value."""
        return self.issues.missing / max(self.rows, 1)

    @property
    def has_other_missing_share(self) -> bool:
        """True if many more or fewer values are missing than expected from the training rows.

        If a share p of the training rows had no value, n·p of n rows are expected to have none,
        with a standard deviation of √(n·p·(1 − p)).
        """
        share = self.training_missing_share
        deviation = math.sqrt(self.rows * share * (1 - share))
        distance = abs(self.issues.missing - self.rows * share)
        is_improbable = distance > _NOTABLE_DEVIATIONS * deviation + 1
        return is_improbable and abs(self.missing_share - share) > _NOTABLE_SHARE

    def to_json(self) -> dict[str, object]:
        """Return the differences by name; all counts are of rows."""
        issues, document = self.issues, dict[str, object]()
        if issues.unreadable:
            document["unreadable"] = issues.unreadable
        if issues.unseen:
            document["unseen"] = issues.unseen.total()
            document["unseen_values"] = dict(issues.unseen.most_common(_LISTED_VALUES))
        if issues.outside:
            document |= {"outside": issues.outside, "training_range": issues.range}
        if issues.without_tokens:
            document["without_tokens"] = issues.without_tokens
        if self.has_other_missing_share:
            document["missing"] = issues.missing
            document["missing_share"] = self.missing_share
            document["training_missing_share"] = self.training_missing_share
        return document

    def notes(self) -> Iterator[Note]:
        """Describe the differences of values that are not missing."""
        issues = self.issues
        if issues.unseen:
            values = [value for value, _ in issues.unseen.most_common(_SHOWN_VALUES)]
            some = ", ".join(f"'{shorten(value)}'" for value in values)
            more = ", ..." if len(issues.unseen) > _SHOWN_VALUES else ""
            kind, detail = "with values that are no category", f": {some}{more}"
            yield Note(self.column, issues.unseen.total(), kind, detail)
        if issues.outside and issues.range is not None:
            ends = [end if isinstance(end, str) else f"{end:g}" for end in issues.range]
            low, high = dates_if_midnight(ends)
            kind, detail = "outside the training rows' range", f", {low} to {high}"
            yield Note(self.column, issues.outside, kind, detail)
        if issues.without_tokens:
            yield Note(self.column, issues.without_tokens, "without a token that has an input")


def find_differences(encoding: Encoding, issues: ValueIssues) -> list[ColumnDifference]:
    """Compare rows that were encoded with the training rows.

    Args:
        encoding: fitted on training rows.
        issues: the record of encoding the rows.

    Returns:
        The columns with a difference, in the order of the features.
    """
    every = (
        ColumnDifference(
            feature.column,
            issues.columns.get(feature.column, ColumnIssues()),
            issues.rows,
            feature.missing_share,
        )
        for feature in encoding.features
    )
    return [difference for difference in every if difference.to_json()]


def difference_lines(differences: Sequence[ColumnDifference]) -> Iterator[Line]:
    """Summarize differences in lines; those of missing values in one, since they often concur."""
    yield from summarize_notes(note for difference in differences for note in difference.notes())
    shares = [
        f"'{each.column}' {each.missing_share:.0%}, not {each.training_missing_share:.0%}"
        for each in differences
        if each.has_other_missing_share
    ]
    if shares:
        rest = len(shares) - _SHOWN_COLUMNS
        shown = shares[:_SHOWN_COLUMNS] + ([f"and {rest} more"] if rest > 0 else [])
        yield Line(f"the share of missing values differs from training: {', '.join(shown)}")
