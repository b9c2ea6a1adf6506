"""Texts: which words they have, in any order."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, PositiveInt, model_validator

from dlcli.config import Text, Vocabulary
from dlcli.encoding.columns.column import SparseEncoder, no_value, refuse_gaps
from dlcli.encoding.columns.tokens import Words, join_words, words_of
from dlcli.encoding.columns.vocabulary import choose_tokens
from dlcli.encoding.inputs import SparseRows, join
from dlcli.encoding.layout import Block
from dlcli.errors import DataError
from dlcli.preprocessing import ValueIssues
from dlcli.tables import Table, index_in, strings

Token = Annotated[str, Field(pattern=r"^\S+( \S+){0,4}$")]
"""As many words as `ngrams` allows, with a space between."""

_NO_INPUT = "all inputs are 0"


class TextEncoder(SparseEncoder):
    """One input for each token; a token is a word, or several that follow each other.

    ``multi_hot`` gives 1 where the text has the token, ``count`` how often. ``tf_idf`` gives
    count · (ln((1 + n) / (1 + d)) + 1) for n training rows of which d have the token, and divides
    by the length of the text's row of numbers, √Σx², as scikit-learn's ``TfidfVectorizer`` does.
    """

    encoding: Literal["multi_hot", "count", "tf_idf"]
    type: Literal["text"] = "text"
    tokens: Annotated[tuple[Token, ...], Field(min_length=1)]
    """What has an input, sorted; the words of a token have a space between."""
    document_frequencies: tuple[PositiveInt, ...]
    """How many training rows have each token."""
    training_rows: PositiveInt
    """How many training rows there were."""
    missing: Literal["no_words", "error"]
    """What a gap gets: no token, or an error."""

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
        """What the column becomes."""
        names = tuple(f"{self.column}: {token}" for token in self.tokens)
        return (Block(self.column, "sparse", names),)

    def encode(self, table: Table, issues: ValueIssues) -> SparseRows:
        """The column's inputs."""
        gaps = table.missing(self.column)
        issues.add_missing(self.column, int(gaps.sum()))
        if self.missing == "error":
            refuse_gaps(gaps, table, self.column, issues)
        elif not self.missing_share:
            issues.add_unencoded_missing(self.column, int(gaps.sum()), _NO_INPUT)
        blocks = words_of(table.column(self.column).canonical_texts())
        known = strings(self.tokens, pa.string())
        texts = join([self._encode(words, known) for words in blocks])
        entries = np.zeros(table.rows, dtype=np.int64)
        entries[~gaps] = np.diff(texts.starts)
        issues.add_without_tokens(self.column, int((~gaps & (entries == 0)).sum()), _NO_INPUT)
        return replace(texts, starts=np.concatenate([[0], np.cumsum(entries)]))

    def _encode(self, words: Words, known: pa.Array) -> SparseRows:
        """The inputs of some texts; `known` are the tokens."""
        longest = max(token.count(" ") for token in self.tokens) + 1
        keys, counts = np.unique(_occurrences(words, known, longest), return_counts=True)
        texts, columns = np.divmod(keys, len(known))
        return SparseRows(
            np.searchsorted(texts, np.arange(words.count + 1)),
            columns.astype(np.int32),
            self._values(texts, columns, counts).astype(np.float32),
            len(known),
        )

    def _values(
        self, texts: NDArray[np.int64], columns: NDArray[np.int64], counts: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        """The value of each entry, (entries,)."""
        if self.encoding == "multi_hot":
            return np.ones(len(counts))
        if self.encoding == "count":
            return counts.astype(np.float64)
        frequencies = np.array(self.document_frequencies)
        rarity = np.log((1 + self.training_rows) / (1 + frequencies)) + 1
        values: NDArray[np.float64] = counts * rarity[columns]
        values /= np.sqrt(np.bincount(texts, values**2))[texts]
        return values


def _occurrences(words: Words, known: pa.Array, longest: int) -> NDArray[np.int64]:
    """Each token met, as the number of its text times all tokens plus its place among them.

    Args:
        words: the words of texts.
        known: the tokens.
        longest: most words that a token has.
    """
    found = []
    for order in range(1, longest + 1):
        starts = words.starts(order)
        places = index_in(words.ngrams(starts, order), known)
        hits = places >= 0
        found.append(words.texts[starts[hits]] * np.int64(len(known)) + places[hits])
    return np.concatenate(found)


def fit_text(column: str, feature: Text, train: Table) -> TextEncoder:
    """Fits the encoder of a column of texts.

    Raises:
        DataError: for a column without a word that is frequent enough.
    """
    words = join_words(list(words_of(train.column(column).canonical_texts())))
    if not words.count:
        raise no_value(column, train)
    frequencies = choose_tokens(words, feature.encoding)
    if not frequencies:
        raise _no_token(column, feature.encoding, train)
    return TextEncoder(
        column=column,
        missing_share=1 - words.count / train.rows,
        encoding=feature.encoding.name,
        tokens=tuple(frequencies),
        document_frequencies=tuple(frequencies.values()),
        training_rows=train.rows,
        missing=feature.missing.name,
    )


def _no_token(column: str, limits: Vocabulary, train: Table) -> DataError:
    message = "no text in the training rows has a word; declare it 'categorical' or 'ignored'"
    if limits.min_count > 1:
        message = f"no word is in {limits.min_count} training rows; lower min_count"
    return DataError(message, file=train.file, column=column)
