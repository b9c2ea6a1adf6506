r"""Splitting of texts into words, and the choice of tokens that get an input.

A word is a run of letters, combining marks, digits and underscores, as in Unicode's categories L,
M and N. A single apostrophe between two of these is part of the word (`don't`); all other
characters, including emoji, separate words. In scripts without spaces between words (Han, Hiragana,
Thai, Lao, Khmer, Myanmar) each character is a word. Words are in lower case and in Unicode's form
NFKC (https://unicode.org/reports/tr15), which unifies characters that look alike.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dlcli.arrays import Indices, from_utf8, index_in, integers, strings, to_numpy, utf8
from dlcli.columns.layout import concatenated_ranges

Codes = NDArray[np.int32]

_BLOCK_BYTES = 1 << 22
"""Number of bytes of text that are split at once, to limit memory."""
_WORDS_AT_ONCE = 1 << 20
"""Number of words, up to the end of a text, that are counted at once, to limit memory."""

_IN_PIECE = np.array(
    [byte >= 128 or chr(byte).isalnum() or chr(byte) in "_'" for byte in range(256)]
)
"""Mask of the UTF-8 bytes that may be part of a word, with all non-ASCII bytes, (256,)."""

UNSPACED_SCRIPTS = ("Han", "Hiragana", "Thai", "Lao", "Khmer", "Myanmar")
"""Scripts without spaces between words: each character is a word."""
UNSPACED = "".join(rf"\p{{{script}}}" for script in UNSPACED_SCRIPTS)
"""Their characters, for an RE2 character class."""
ANY_WORD = rf"[{UNSPACED}]|[^\s{UNSPACED}]*\p{{L}}[^\s{UNSPACED}]*"
"""The pattern of text between spaces with a letter, or of a character of an unspaced script."""


def _word_pattern() -> str:
    """Return the RE2 pattern of a word, equivalent to `split_into_words` on normalized texts."""
    alone = "|".join(rf"[^\P{{{kind}}}\P{{{each}}}]" for each in UNSPACED_SCRIPTS for kind in "LN")
    first = rf"[^\P{{L}}{UNSPACED}]|[^\P{{N}}{UNSPACED}]|_"
    every = rf"(?:{first}|[^\P{{M}}{UNSPACED}])"
    return rf"(?:{alone})\p{{M}}*|(?:{first}){every}*(?:['’]{every}+)*"


WORD = _word_pattern()
_WORD = r"\p{L}\p{M}\p{N}_"
_CLEANING = (
    ("\u200b", " "),  # a zero-width space
    (r"[\p{Cf}\x{FE00}-\x{FE0F}]", ""),  # invisible: soft hyphens, joiners, directions, variants
    ("’", "'"),
    ("ς", "σ"),  # the form of σ at the end of words, which exists only in lower case
    (rf"[{UNSPACED}]\p{{M}}*", r" \0 "),
    (rf"'*(?:[^{_WORD}'][\p{{M}}']*)+|''[\p{{M}}']*", " "),
    (r"^[\p{M}']+|'$", ""),
)
"""RE2 patterns with replacements, after which single spaces separate the words."""


@dataclass(frozen=True, eq=False)
class Words:
    """The words of several texts, one text after the other."""

    distinct: pa.Array
    """The distinct words, (distinct words,)."""
    codes: Codes
    """The index of each word in `distinct`, (words,)."""
    texts: Codes
    """The index of the text of each word, (words,)."""
    count: int
    """Number of texts, including texts without a word."""

    def starts(self, order: int) -> Indices:
        """Return the indices of words at which `order` consecutive words of one text begin."""
        last = len(self.texts) - order + 1
        return np.flatnonzero(self.texts[: max(last, 0)] == self.texts[order - 1 :])

    def ngrams(self, starts: Indices, order: int) -> pa.Array:
        """Join consecutive words by spaces.

        Args:
            starts: indices of the first words, (ngrams,).
            order: number of words in each n-gram.
        """
        codes = [self.codes[starts + at].astype(np.int64) for at in range(order)]
        parts = [self.distinct.take(integers(part)) for part in codes]
        if order == 1:
            return parts[0]
        space = strings([" "], pa.string()).take(integers(np.zeros_like(starts)))
        return pc.binary_join_element_wise(*parts, space)


def split_into_words(texts: pa.ChunkedArray) -> Iterator[Words]:
    """Split texts into words, block by block.

    Args:
        texts: texts without nulls.

    Yields:
        The words of some consecutive texts.
    """
    sizes = to_numpy(pc.cast(pc.binary_length(texts), pa.int64()), np.int64)
    cuts = np.flatnonzero(np.diff(np.cumsum(sizes) // _BLOCK_BYTES)) + 1
    for start, stop in pairwise([0, *cuts.tolist(), len(texts)]):
        yield _split(texts.slice(start, stop - start).cast(pa.string()).combine_chunks())


def join_words(blocks: Sequence[Words]) -> Words:
    """Join the words of all blocks, at least one."""
    encoded = pa.concat_arrays([block.distinct for block in blocks]).dictionary_encode()
    sizes = np.cumsum([len(block.distinct) for block in blocks])
    codes = np.split(to_numpy(encoded.indices, np.int32), sizes[:-1])
    counts = np.cumsum([0, *(block.count for block in blocks)], dtype=np.int32)
    return Words(
        encoded.dictionary,
        np.concatenate([part[block.codes] for part, block in zip(codes, blocks, strict=True)]),
        np.concatenate([block.texts + count for count, block in zip(counts, blocks, strict=False)]),
        int(counts[-1]),
    )


def count_tokens(
    texts: pa.ChunkedArray, vocabulary: Sequence[str]
) -> Iterator[tuple[Indices, Indices, int]]:
    """Count the tokens in texts, block by block.

    Args:
        texts: texts without nulls.
        vocabulary: the tokens.

    Yields:
        For some consecutive texts: text · len(vocabulary) + token for each token in each text,
        ascending, (entries,); the number of its occurrences in the text, (entries,); and the number
        of texts.
    """
    known = strings(vocabulary, pa.string())
    longest = longest_of(vocabulary)
    for words in split_into_words(texts):
        found = []
        for order in range(1, longest + 1):
            starts = words.starts(order)
            tokens = index_in(words.ngrams(starts, order), known)
            hits = tokens >= 0
            found.append(words.texts[starts[hits]] * np.int64(len(vocabulary)) + tokens[hits])
        yield *np.unique(np.concatenate(found), return_counts=True), words.count


def count_tokens_of_few(
    texts: Sequence[str], vocabulary: Mapping[str, int], longest: int
) -> tuple[Indices, Indices, int]:
    """Count the tokens in a few texts; equivalent to `count_tokens`.

    Args:
        texts: the texts.
        vocabulary: the index of each token.
        longest: the maximum number of words in a token.
    """
    found: Counter[int] = Counter()
    for number, words in enumerate(words_of_few(texts)):
        tokens = [*words]
        for order in range(2, longest + 1):
            shifted = (words[start:] for start in range(order))
            tokens += map(" ".join, zip(*shifted, strict=False))
        start = number * len(vocabulary)
        found.update(start + vocabulary[token] for token in tokens if token in vocabulary)
    keys = sorted(found)
    counts = [found[key] for key in keys]
    return np.array(keys, dtype=np.int64), np.array(counts, dtype=np.int64), len(texts)


def longest_of(vocabulary: Sequence[str]) -> int:
    """Return the maximum number of words in a token."""
    return max(token.count(" ") for token in vocabulary) + 1


_ASCII_WORD = re.compile("[a-z0-9_]+(?:'[a-z0-9_]+)*")
"""A word of a lower-case ASCII text; the patterns above give the same words."""


def words_of_few(texts: Sequence[str]) -> list[Sequence[str]]:
    """Split a few texts into words; equivalent to `split_into_words`."""
    found: list[Sequence[str]] = [
        _ASCII_WORD.findall(text.lower()) if text.isascii() else () for text in texts
    ]
    others = [at for at, text in enumerate(texts) if not text.isascii()]
    if others:
        words = _split(strings([texts[at] for at in others], pa.string()))
        distinct = words.distinct.to_pylist()
        each = [distinct[code] for code in words.codes.tolist()]
        ends = np.searchsorted(words.texts, np.arange(len(others) + 1)).tolist()
        for at, (start, stop) in zip(others, pairwise(ends), strict=True):
            found[at] = each[start:stop]
    return found


def _split(texts: pa.Array) -> Words:
    """Split a block of texts into words.

    Texts are first split at bytes into pieces. Only the distinct pieces, about a hundred times
    fewer, are normalized and split further.
    """
    pieces, owners = _pieces(texts)
    encoded = pieces.dictionary_encode()
    normalized = pc.utf8_lower(pc.utf8_normalize(encoded.dictionary, form="NFKC"))
    for pattern, replacement in _CLEANING:
        normalized = pc.replace_substring_regex(normalized, pattern, replacement)
    lists = pc.split_pattern(pc.utf8_trim_whitespace(normalized), pattern=" ")
    words = pc.list_flatten(lists).dictionary_encode()
    counts = to_numpy(pc.list_value_length(lists), np.int32).astype(np.int64)
    starts = np.cumsum(counts) - counts
    codes = to_numpy(encoded.indices, np.int32)
    found = to_numpy(words.indices, np.int32)[concatenated_ranges(starts[codes], counts[codes])]
    owners = np.repeat(owners, counts[codes])
    empty = to_numpy(pc.binary_length(words.dictionary), np.int32) == 0
    kept = ~empty[found]
    return Words(words.dictionary, found[kept], owners[kept].astype(np.int32), len(texts))


def _pieces(texts: pa.Array) -> tuple[pa.Array, Indices]:
    """Return runs of bytes that may be part of a word, and the index of the text of each run."""
    data, offsets = utf8(texts)
    inside = _IN_PIECE[data]
    edge = np.zeros(len(data) + 1, dtype=np.bool_)
    edge[offsets] = True
    around = np.concatenate([[False], inside, [False]])
    starts = np.flatnonzero(inside & (edge[:-1] | ~around[:-2]))
    stops = np.flatnonzero(inside & (edge[1:] | ~around[2:])) + 1
    owners = np.searchsorted(offsets, starts, side="right") - 1
    return from_utf8(data[inside], stops - starts), owners


@dataclass(frozen=True, eq=False)
class _Counted:
    """Tokens of the same number of words."""

    order: int
    """Number of words."""
    frequencies: Indices
    """Number of texts that contain each token, (tokens,)."""
    examples: Indices
    """The index of a word at which each token starts, (tokens,)."""


def choose_tokens(words: Words, most: int, least: int, longest: int) -> dict[str, int]:
    """Choose the most frequent tokens, which get an input; ties go to the first in sorted order.

    A token of several words can't occur in more texts than a shorter token within it. So rare
    tokens are dropped before the search for longer tokens, which saves time and memory (Agrawal &
    Srikant 1994, "Fast algorithms for mining association rules").

    Args:
        words: the words of the texts in the training rows.
        most: maximum number of tokens.
        least: minimum number of texts with a token.
        longest: the maximum number of words in a token.

    Returns:
        The number of texts that contain each token, sorted by token.
    """
    counted: list[_Counted] = []
    tokens = words.codes.copy()
    for order in range(1, longest + 1):
        if order > 1:
            tokens = _lengthened(tokens, words.texts)
        counted.append(_count(tokens, words.texts, order))
        frequencies = np.concatenate([group.frequencies for group in counted])
        if len(frequencies) > most:
            last = len(frequencies) - most
            least = max(least, int(np.partition(frequencies, last)[last]))
        tokens[~np.append(counted[-1].frequencies >= least, False)[tokens]] = -1
    ranked: list[tuple[int, str]] = []
    for group in counted:
        kept = group.frequencies >= least
        names = words.ngrams(group.examples[kept], group.order).to_pylist()
        ranked += zip((-group.frequencies[kept]).tolist(), names, strict=True)
    return dict(sorted((name, -count) for count, name in sorted(ranked)[:most]))


def _lengthened(tokens: Codes, texts: Codes) -> Codes:
    """Combine two tokens that start at adjacent words to a token with one more word.

    Args:
        tokens: the index of the token that starts at each word, or -1, (words,).
        texts: the index of the text of each word, (words,).
    """
    follow = (tokens[:-1] >= 0) & (tokens[1:] >= 0) & (texts[:-1] == texts[1:])
    starts = np.flatnonzero(follow)
    pairs = tokens[starts] * (np.int64(tokens.max(initial=-1)) + 1) + tokens[starts + 1]
    longer = np.full_like(tokens, -1)
    longer[starts] = to_numpy(integers(pairs).dictionary_encode().indices, np.int32)
    return longer


def _count(tokens: Codes, texts: Codes, order: int) -> _Counted:
    """Count the texts that contain each token."""
    size = int(tokens.max(initial=-1)) + 1
    frequencies = np.zeros(size, dtype=np.int64)
    examples = np.empty(size, dtype=np.int64)
    firsts = np.unique(np.searchsorted(texts, texts[::_WORDS_AT_ONCE]))
    for first, stop in pairwise([*firsts.tolist(), len(texts)]):
        starts = first + np.flatnonzero(tokens[first:stop] >= 0)
        present = tokens[starts]
        # np.unique would hash, which takes a hundred times as long.
        pairs = np.sort(texts[starts] * np.int64(size) + present)
        frequencies += np.bincount(pairs[np.diff(pairs, prepend=-1) > 0] % size, minlength=size)
        examples[present] = starts
    return _Counted(order, frequencies, examples)
