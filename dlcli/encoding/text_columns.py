r"""Columns of text, as bags of words: one sparse input for each token of the vocabulary.

A word is a run of letters, combining marks, digits and underscores, as in Unicode's categories L,
M and N. A single apostrophe between two of them is part of the word (`don't`); everything else,
emoji included, separates words. In scripts without spaces between words (Han, Hiragana, Thai, Lao,
Khmer, Myanmar) each character is a word. Letters are lower case, and texts are in
Unicode's form NFKC (https://unicode.org/reports/tr15), in which characters that look alike are the
same.
"""

from __future__ import annotations

import re
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pydantic import Field, PositiveInt, model_validator

from dlcli.config.input_section import Text, Vocabulary
from dlcli.encoding.column_encoder import Block, SparseEncoder, refuse_missing, require_values
from dlcli.encoding.encoded_rows import (
    Indices,
    Matrix,
    SparseRows,
    concatenated_ranges,
    stack_sparse,
)
from dlcli.errors import DataError
from dlcli.preprocessing import ValueIssues
from dlcli.tables.arrow_arrays import from_utf8, index_in, integers, strings, to_numpy, utf8
from dlcli.tables.few_rows import FewValues, NeedsTable
from dlcli.tables.table import Table

Token = Annotated[str, Field(pattern=r"^\S+( \S+){0,4}$")]
"""One word, or several with a space between, as many as `ngrams` allows."""

_NO_INPUT = "all inputs are 0"


class TextEncoder(SparseEncoder):
    """One input for each token; a token is a word, or several consecutive words.

    ``multi_hot`` gives 1 where the text has the token, ``count`` the number of times it does.
    ``tf_idf`` gives count · (ln((1 + n) / (1 + d)) + 1) for n training rows of which d have the
    token, and divides by the Euclidean norm of the text's row, √Σx², as scikit-learn's
    ``TfidfVectorizer`` does.
    """

    encoding: Literal["multi_hot", "count", "tf_idf"]
    type: Literal["text"] = "text"
    tokens: Annotated[tuple[Token, ...], Field(min_length=1)]
    """The tokens with an input, sorted; the words of a token have a space between."""
    document_frequencies: tuple[PositiveInt, ...]
    """Number of training rows that have each token."""
    training_rows: PositiveInt
    """Number of training rows."""
    missing: Literal["no_words", "error"]
    """Encoding of a missing text: as one without tokens, or an error."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.tokens)) < len(self.tokens):
            raise ValueError("a token occurs twice")
        if len(self.document_frequencies) != len(self.tokens):
            raise ValueError("there must be as many document frequencies as tokens")
        if max(self.document_frequencies) > self.training_rows:
            raise ValueError("a token is in more rows than there are")
        return self

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks of inputs that encode the column."""
        names = tuple(f"{self.column}: {token}" for token in self.tokens)
        return (Block(self.column, "sparse", names),)

    @property
    def accepts_missing(self) -> bool:
        """True if a value may be missing."""
        return self.missing != "error"

    def encode(self, table: Table, issues: ValueIssues) -> SparseRows:
        """Return the column's inputs."""
        missing = table.missing(self.column)
        self._record_missing(int(missing.sum()), issues)
        if self.missing == "error":
            refuse_missing(missing, table, self.column, issues)
        blocks = split_into_words(table.column(self.column).canonical_texts())
        vocabulary = strings(self.tokens, pa.string())
        texts = stack_sparse([self._encode(words, vocabulary) for words in blocks])
        entries = np.zeros(table.rows, dtype=np.int64)
        entries[~missing] = np.diff(texts.starts)
        without_tokens = int((~missing & (entries == 0)).sum())
        issues.add_without_tokens(self.column, without_tokens, _NO_INPUT)
        return replace(texts, starts=np.concatenate([[0], np.cumsum(entries)]))

    def encode_few(self, values: FewValues, out: Matrix, issues: ValueIssues) -> None:
        """Write the column's inputs of few rows, see `ColumnEncoder`."""
        texts = values.texts()
        missing = texts.count(None)
        if missing and self.missing == "error":
            raise NeedsTable
        self._record_missing(missing, issues)
        without_tokens = 0
        rows: list[int] = []
        columns: list[int] = []
        counts: list[int] = []
        for row, words in enumerate(words_of_few([text or "" for text in texts])):
            tokens = self._token_counts(words)
            rows += [row] * len(tokens)
            columns += sorted(tokens)
            counts += [tokens[column] for column in sorted(tokens)]
            without_tokens += not tokens and texts[row] is not None
        if rows:
            entries = np.array(rows), np.array(columns)
            out[entries] = self._values(*entries, np.array(counts))
        issues.add_without_tokens(self.column, without_tokens, _NO_INPUT)

    def _token_counts(self, words: Sequence[str]) -> Counter[int]:
        """Return how often a text has each token that it has, by the token's column."""
        shifted = [words[start:] for start in range(self._longest)]
        tokens = [*words]
        for order in range(2, self._longest + 1):
            tokens += map(" ".join, zip(*shifted[:order], strict=False))
        return Counter(column for token in tokens if (column := self._columns.get(token, -1)) >= 0)

    @cached_property
    def _columns(self) -> dict[str, int]:
        """The column of each token."""
        return {token: column for column, token in enumerate(self.tokens)}

    @cached_property
    def _longest(self) -> int:
        """Most words of a token."""
        return max(token.count(" ") for token in self.tokens) + 1

    @cached_property
    def rarity(self) -> array[float]:
        """The factor of each token in tf-idf, (tokens,); no NumPy array, so that `==` compares."""
        frequencies = np.array(self.document_frequencies)
        return array("d", np.log((1 + self.training_rows) / (1 + frequencies)) + 1)

    def _record_missing(self, count: int, issues: ValueIssues) -> None:
        is_unmarked = self.missing != "error" and not self.missing_share
        issues.add_missing(self.column, count, _NO_INPUT if is_unmarked else "")

    def _encode(self, words: Words, vocabulary: pa.Array) -> SparseRows:
        """Encode some texts, given their words."""
        occurrences = _occurrences(words, vocabulary, self._longest)
        keys, counts = np.unique(occurrences, return_counts=True)
        texts, columns = np.divmod(keys, len(vocabulary))
        return SparseRows(
            np.searchsorted(texts, np.arange(words.count + 1)),
            columns.astype(np.int32),
            self._values(texts, columns, counts).astype(np.float32),
            len(vocabulary),
        )

    def _values(self, texts: Indices, columns: Indices, counts: Indices) -> NDArray[np.float64]:
        """Return the value of each entry, (entries,)."""
        if self.encoding == "multi_hot":
            return np.ones(len(counts))
        if self.encoding == "count":
            return counts.astype(np.float64)
        values: NDArray[np.float64] = counts * np.frombuffer(self.rarity)[columns]
        values /= np.sqrt(np.bincount(texts, values**2))[texts]
        return values


def _occurrences(words: Words, vocabulary: pa.Array, longest: int) -> Indices:
    """Return a key for each occurrence of a token: text · len(vocabulary) + token.

    Args:
        words: the words of texts.
        vocabulary: the tokens.
        longest: most words of a token.
    """
    found = []
    for order in range(1, longest + 1):
        starts = words.starts(order)
        tokens = index_in(words.ngrams(starts, order), vocabulary)
        hits = tokens >= 0
        found.append(words.texts[starts[hits]] * np.int64(len(vocabulary)) + tokens[hits])
    return np.concatenate(found)


def fit_text(column: str, feature: Text, train: Table) -> TextEncoder:
    """Fit the encoder of a column of texts.

    Raises:
        DataError: for a column without a word that is frequent enough.
    """
    words = join_words(list(split_into_words(train.column(column).canonical_texts())))
    require_values(words.count, column, train)
    frequencies = choose_tokens(words, feature.encoding)
    if not frequencies:
        fewest = feature.encoding.min_count
        message = "no text in the training rows has a word; declare it 'categorical' or 'ignored'"
        if fewest > 1:
            message = f"no word is in {fewest} training rows; lower min_count"
        raise DataError(message, file=train.file, column=column)
    return TextEncoder(
        column=column,
        missing_share=1 - words.count / train.rows,
        encoding=feature.encoding.name,
        tokens=tuple(frequencies),
        document_frequencies=tuple(frequencies.values()),
        training_rows=train.rows,
        missing=feature.missing.name,
    )


Codes = NDArray[np.int32]

_BLOCK_BYTES = 1 << 22
"""Bytes of text that are split at once, which bounds memory."""
_WORDS_AT_ONCE = 1 << 20
"""Words that are counted at once, up to the end of a text, which bounds memory."""

_IN_PIECE = np.array(
    [byte >= 128 or chr(byte).isalnum() or chr(byte) in "_'" for byte in range(256)]
)
"""The bytes of UTF-8 that may be part of a word, including all bytes beyond ASCII, (256,)."""

UNSPACED_SCRIPTS = ("Han", "Hiragana", "Thai", "Lao", "Khmer", "Myanmar")
"""Scripts without spaces between words: each of their characters is one."""
UNSPACED = "".join(rf"\p{{{script}}}" for script in UNSPACED_SCRIPTS)
"""Their characters, for a class of RE2."""
_WORD = r"\p{L}\p{M}\p{N}_"
_CLEANING = (
    ("\u200b", " "),  # a space of no width
    (r"[\p{Cf}\x{FE00}-\x{FE0F}]", ""),  # invisible: soft hyphens, joiners, directions, variants
    ("’", "'"),
    ("ς", "σ"),  # the form of σ at the end of words, which exists in lower case only
    (rf"[{UNSPACED}]\p{{M}}*", r" \0 "),
    (rf"'*(?:[^{_WORD}'][\p{{M}}']*)+|''[\p{{M}}']*", " "),
    (r"^[\p{M}']+|'$", ""),
)
"""Patterns of RE2 with replacements, after which words have one space between them."""


@dataclass(frozen=True, eq=False)
class Words:
    """The words of several texts, one text after the other."""

    distinct: pa.Array
    """The distinct words."""
    codes: Codes
    """The index of each word among the distinct ones, (words,)."""
    texts: Codes
    """The text of each word, counted from 0, (words,)."""
    count: int
    """Number of texts, including those without a word."""

    def starts(self, order: int) -> Indices:
        """Return where `order` consecutive words of one text begin, as indices of words."""
        last = len(self.texts) - order + 1
        return np.flatnonzero(self.texts[: max(last, 0)] == self.texts[order - 1 :])

    def ngrams(self, starts: Indices, order: int) -> pa.Array:
        """Join consecutive words with a space between.

        Args:
            starts: indices of the first words, (ngrams,).
            order: number of words of each.
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
        texts: without nulls.

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


_ASCII_WORD = re.compile("[a-z0-9_]+(?:'[a-z0-9_]+)*")
"""A word of a text of ASCII characters in lower case; there the patterns above find the same."""


def words_of_few(texts: Sequence[str]) -> list[Sequence[str]]:
    """Split few texts into words, as `split_into_words` does."""
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

    Texts are cut at bytes first, and only the distinct pieces are normalized and split further:
    there are about a hundred times fewer.
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
    """Return runs of bytes that may be part of a word, and the index of each one's text."""
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
    """Number of texts that have each, (tokens,)."""
    examples: Indices
    """The index of a word where each starts, (tokens,)."""


def choose_tokens(words: Words, limits: Vocabulary) -> dict[str, int]:
    """Choose the tokens that get an input: those that most texts have, ties by name.

    A token of several words is in no more texts than each shorter token within it. So tokens that
    can't be chosen are dropped before longer ones are looked for (Agrawal & Srikant 1994, "Fast
    algorithms for mining association rules"), which keeps both time and memory small.

    Args:
        words: the words of the training rows' texts.
        limits: how many tokens there may be, how long, and how rare.

    Returns:
        The number of texts that have each token, in the order of the tokens' names.
    """
    counted: list[_Counted] = []
    least = limits.min_count
    tokens = words.codes.copy()
    for order in range(1, limits.ngrams + 1):
        if order > 1:
            tokens = _lengthened(tokens, words.texts)
        counted.append(_count(tokens, words.texts, order))
        frequencies = np.concatenate([group.frequencies for group in counted])
        if len(frequencies) > limits.max_tokens:
            last = len(frequencies) - limits.max_tokens
            least = max(least, int(np.partition(frequencies, last)[last]))
        tokens[~np.append(counted[-1].frequencies >= least, False)[tokens]] = -1
    ranked: list[tuple[int, str]] = []
    for group in counted:
        kept = group.frequencies >= least
        names = words.ngrams(group.examples[kept], group.order).to_pylist()
        ranked += zip((-group.frequencies[kept]).tolist(), names, strict=True)
    return dict(sorted((name, -count) for count, name in sorted(ranked)[: limits.max_tokens]))


def _lengthened(tokens: Codes, texts: Codes) -> Codes:
    """Combine tokens that overlap in all but one word into tokens of one more word.

    Args:
        tokens: the token that starts at each word, -1 for none, (words,).
        texts: the text of each word, (words,).
    """
    follow = (tokens[:-1] >= 0) & (tokens[1:] >= 0) & (texts[:-1] == texts[1:])
    starts = np.flatnonzero(follow)
    pairs = tokens[starts] * (np.int64(tokens.max(initial=-1)) + 1) + tokens[starts + 1]
    longer = np.full_like(tokens, -1)
    longer[starts] = to_numpy(integers(pairs).dictionary_encode().indices, np.int32)
    return longer


def _count(tokens: Codes, texts: Codes, order: int) -> _Counted:
    """Count the texts that have each token."""
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
