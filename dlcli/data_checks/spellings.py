"""Categories that differ in nothing but capitals and spaces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from dlcli.config import Categorical
from dlcli.data_checks.finding import DataIssue, listed, quoted
from dlcli.data_checks.sample import Sample


def find_spellings(sample: Sample) -> DataIssue | None:
    """Finds categories, of features and of the target, that are one word in several spellings."""
    texts = {
        name: column.texts or ()
        for name, column in sample.columns.items()
        if isinstance(column.decision.feature, Categorical)
    }
    every = {**texts, **sample.classes}
    found = {name: groups for name, words in every.items() if (groups := _alike(words))}
    if not found:
        return None
    details = {name: _shown(groups) for name, groups in found.items()}
    message = f"categories that differ in capitals or spaces only: {listed(details)}"
    advice = "if they are the same, write them alike: each is learned by itself"
    return DataIssue("spellings", "warning", tuple(found), None, message, advice)


def _alike(words: Sequence[str]) -> list[list[str]]:
    """Groups of words that are one when case and space are taken away."""
    groups = defaultdict(list)
    for word in words:
        groups["".join(word.casefold().split())].append(word)
    return [group for group in groups.values() if len(group) > 1]


def _shown(groups: Sequence[Sequence[str]]) -> str:
    more = f" and {len(groups) - 1} more" if len(groups) > 1 else ""
    return f"{', '.join(map(quoted, groups[0][:3]))}{more}"
