r"""Texts to words.

A word is a run of letters, combining marks, digits and underscores, as in Unicode's categories L,
M and N; a single apostrophe between two of them is part of it (`don't`), everything else parts
words or is left out, emoji among it. Each character of a script that puts no spaces between words
(Han, Hiragana, Thai, Lao, Khmer, Myanmar) is a word of its own. Letters are lower case, and what
looks alike is alike: texts are in Unicode's form NFKC (https://unicode.org/reports/tr15).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from dlcli.encoding.ragged import ranges
from dlcli.tables import from_utf8, indices_of, integers, strings, to_numpy, utf8

_BLOCK_BYTES = 1 << 22
"""How much text is split at once, so that memory stays bounded."""

_IN_PIECE = np.array(
    [byte >= 128 or chr(byte).isalnum() or chr(byte) in "_'" for byte in range(256)]
)
"""The bytes of UTF-8 that may be part of a word; all of a character that isn't ASCII."""

_WORD = r"\p{L}\p{M}\p{N}_"
_CLEANING = (
    ("\u200b", " "),  # a space of no width
    (r"[\p{Cf}\x{FE00}-\x{FE0F}]", ""),  # unseen: soft hyphens, joiners, directions, variants
    (r"['’]\p{M}*", "'"),
    ("ς", "σ"),  # a form that σ takes at the end of words in lower case only
    (r"[\p{Han}\p{Hiragana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]\p{M}*", r" \0 "),
    (rf"'*(?:[^{_WORD}'][\p{{M}}']*)+|''+", " "),
    (r"^[\p{M}']+|'$", ""),
)
"""Patterns (of RE2) and what stands in for them, so that one space is between words."""


@dataclass(frozen=True, eq=False)
class Words:
    """The words of texts, one behind the other."""

    distinct: pa.Array
    """The different words."""
    places: NDArray[np.int32]
    """The place of each word among them, (words,)."""
    texts: NDArray[np.int32]
    """The text of each word, counted from 0, (words,)."""
    count: int
    """How many texts there are, those without a word among them."""

    def starts(self, order: int) -> NDArray[np.int64]:
        """Where so many words of one text follow each other, as indices of the first."""
        last = len(self.texts) - order + 1
        return np.flatnonzero(self.texts[: max(last, 0)] == self.texts[order - 1 :])

    def ngrams(self, starts: NDArray[np.int64], order: int) -> pa.Array:
        """Neighbouring words with a space between.

        Args:
            starts: indices of the first words, (ngrams,).
            order: how many words each has.
        """
        places = [self.places[starts + at].astype(np.int64) for at in range(order)]
        parts = [self.distinct.take(integers(part)) for part in places]
        if order == 1:
            return parts[0]
        space = strings([" "], pa.string()).take(integers(np.zeros_like(starts)))
        return pc.binary_join_element_wise(*parts, space)


def words_of(texts: pa.ChunkedArray) -> Iterator[Words]:
    """Yields the words of some neighbouring texts in turn.

    Args:
        texts: without nulls.
    """
    sizes = to_numpy(pc.cast(pc.binary_length(texts), pa.int64()), np.int64)
    cuts = np.flatnonzero(np.diff(np.cumsum(sizes) // _BLOCK_BYTES)) + 1
    bounds = [0, *cuts.tolist(), len(texts)]
    for start, stop in zip(bounds, bounds[1:], strict=False):
        yield _words(texts.slice(start, stop - start).cast(pa.string()).combine_chunks())


def join_words(blocks: Sequence[Words]) -> Words:
    """The words of all blocks, at least one, one behind the other."""
    encoded = pa.concat_arrays([block.distinct for block in blocks]).dictionary_encode()
    sizes = np.cumsum([len(block.distinct) for block in blocks])
    places = np.split(indices_of(encoded), sizes[:-1])
    counts = np.cumsum([0, *(block.count for block in blocks)], dtype=np.int32)
    return Words(
        encoded.dictionary,
        np.concatenate([part[block.places] for part, block in zip(places, blocks, strict=True)]),
        np.concatenate([block.texts + count for count, block in zip(counts, blocks, strict=False)]),
        int(counts[-1]),
    )


def _words(texts: pa.Array) -> Words:
    """The words of a block of texts.

    Texts are cut at bytes first, and only the different pieces are looked at closely: there are
    about a hundred times fewer.
    """
    pieces, owners = _pieces(texts)
    encoded = pieces.dictionary_encode()
    lists = _split(encoded.dictionary)
    words = pc.list_flatten(lists).dictionary_encode()
    counts = to_numpy(pa.chunked_array([pc.list_value_length(lists)]), np.int32).astype(np.int64)
    starts = np.cumsum(counts) - counts
    places = indices_of(encoded)
    found = indices_of(words)[ranges(starts[places], counts[places])]
    owners = np.repeat(owners, counts[places])
    empty = to_numpy(pa.chunked_array([pc.binary_length(words.dictionary)]), np.int32) == 0
    kept = ~empty[found]
    return Words(words.dictionary, found[kept], owners[kept].astype(np.int32), len(texts))


def _pieces(texts: pa.Array) -> tuple[pa.Array, NDArray[np.int64]]:
    """Runs of bytes that may be part of a word.

    Returns:
        The runs, and the index of the text of each.
    """
    data, offsets = utf8(texts)
    inside = _IN_PIECE[data]
    edge = np.zeros(len(data) + 1, dtype=np.bool_)
    edge[offsets] = True
    around = np.concatenate([[False], inside, [False]])
    starts = np.flatnonzero(inside & (edge[:-1] | ~around[:-2]))
    stops = np.flatnonzero(inside & (edge[1:] | ~around[2:])) + 1
    owners = np.searchsorted(offsets, starts, side="right") - 1
    return from_utf8(data[inside], stops - starts), owners


def _split(pieces: pa.Array) -> pa.ListArray:
    """The words of each piece; an empty one where there is none."""
    text = pc.utf8_lower(pc.utf8_normalize(pieces, form="NFKC"))
    for pattern, stand_in in _CLEANING:
        text = pc.replace_substring_regex(text, pattern, stand_in)
    return pc.split_pattern(pc.utf8_trim_whitespace(text), pattern=" ")
