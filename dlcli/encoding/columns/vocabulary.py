"""The tokens that training rows show: words, and words that follow each other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dlcli.config import Vocabulary
from dlcli.encoding.columns.tokens import Words
from dlcli.tables import indices_of, integers

Indices = NDArray[np.int64]
Places = NDArray[np.int32]

_WORDS_AT_ONCE = 1 << 20
"""Words that are counted at once, up to the end of a text, so that memory stays bounded."""


@dataclass(frozen=True, eq=False)
class _Counted:
    """Tokens of the same number of words."""

    order: int
    """How many words they have."""
    frequencies: Indices
    """How many texts have each, (tokens,)."""
    examples: Indices
    """A place where each starts, (tokens,)."""

    def names(self, words: Words, least: int) -> list[tuple[int, str]]:
        """The tokens of so many texts at least, each behind its number of texts, negated."""
        kept = self.frequencies >= least
        names = words.ngrams(self.examples[kept], self.order).to_pylist()
        return list(zip((-self.frequencies[kept]).tolist(), names, strict=True))


def choose_tokens(words: Words, limits: Vocabulary) -> dict[str, int]:
    """The tokens that get an input: those that most texts have, of equals the first by name.

    A token of several words is in no more texts than each token within it. So one that can't be
    chosen is dropped before longer ones are looked for (Agrawal & Srikant 1994, "Fast algorithms
    for mining association rules"), which keeps both time and memory small.

    Args:
        words: the words of the training rows' texts.
        limits: how many tokens there may be, how long, and how rare.

    Returns:
        The number of texts that have each, in the order of the names.
    """
    counted: list[_Counted] = []
    least = limits.min_count
    tokens = words.places.copy()
    for order in range(1, limits.ngrams + 1):
        if order > 1:
            tokens = _lengthened(tokens, words.texts)
        counted.append(_count(tokens, words.texts, order))
        least = max(least, _least_chosen(counted, limits.max_tokens))
        tokens[~np.append(counted[-1].frequencies >= least, False)[tokens]] = -1
    ranked = sorted(pair for group in counted for pair in group.names(words, least))
    return dict(sorted((name, -count) for count, name in ranked[: limits.max_tokens]))


def _lengthened(tokens: Places, texts: Places) -> Places:
    """Tokens of one more word: two that overlap but for a word are one.

    Args:
        tokens: which token starts at each word, -1 for none, (words,).
        texts: the text of each word, (words,).
    """
    follow = (tokens[:-1] >= 0) & (tokens[1:] >= 0) & (texts[:-1] == texts[1:])
    starts = np.flatnonzero(follow)
    pairs = tokens[starts] * (np.int64(tokens.max(initial=-1)) + 1) + tokens[starts + 1]
    longer = np.full_like(tokens, -1)
    longer[starts] = indices_of(integers(pairs).dictionary_encode())
    return longer


def _count(tokens: Places, texts: Places, order: int) -> _Counted:
    """Counts the texts that have each token."""
    size = int(tokens.max(initial=-1)) + 1
    frequencies = np.zeros(size, dtype=np.int64)
    examples = np.empty(size, dtype=np.int64)
    firsts = np.unique(np.searchsorted(texts, texts[::_WORDS_AT_ONCE]))
    for first, stop in pairwise([*firsts.tolist(), len(texts)]):
        starts = first + np.flatnonzero(tokens[first:stop] >= 0)
        present = tokens[starts]
        # np.unique alone would hash, which takes a hundred times as long.
        pairs = np.sort(texts[starts] * np.int64(size) + present)
        frequencies += np.bincount(pairs[np.diff(pairs, prepend=-1) > 0] % size, minlength=size)
        examples[present] = starts
    return _Counted(order, frequencies, examples)


def _least_chosen(counted: Iterable[_Counted], most: int) -> int:
    """The number of texts of the last token that is among the most frequent ones."""
    frequencies = np.concatenate([group.frequencies for group in counted])
    if len(frequencies) <= most:
        return 1
    return int(np.partition(frequencies, -most)[-most])
