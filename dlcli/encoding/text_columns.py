"""Columns of text, as bags of words: one sparse input for each token of the vocabulary."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Literal, Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field, PositiveInt, model_validator

from dlcli.config import Text
from dlcli.encoding.column_encoder import SparseEncoder, no_value_error, refuse_missing
from dlcli.encoding.encoded_rows import Indices, SparseRows, stack_sparse
from dlcli.encoding.layout import Block
from dlcli.encoding.tokens import Words, choose_tokens, join_words, split_into_words
from dlcli.errors import DataError
from dlcli.preprocessing import ValueIssues
from dlcli.tables import Table, index_in, strings

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
    """What a missing text becomes: one without tokens, or an error."""

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

    def encode(self, table: Table, issues: ValueIssues) -> SparseRows:
        """Return the column's inputs."""
        missing = table.missing(self.column)
        count = int(missing.sum())
        issues.add_missing(self.column, count)
        if self.missing == "error":
            refuse_missing(missing, table, self.column, issues)
        elif not self.missing_share:
            issues.add_unencoded_missing(self.column, count, _NO_INPUT)
        blocks = split_into_words(table.column(self.column).canonical_texts())
        vocabulary = strings(self.tokens, pa.string())
        texts = stack_sparse([self._encode(words, vocabulary) for words in blocks])
        entries = np.zeros(table.rows, dtype=np.int64)
        entries[~missing] = np.diff(texts.starts)
        without_tokens = int((~missing & (entries == 0)).sum())
        issues.add_without_tokens(self.column, without_tokens, _NO_INPUT)
        return replace(texts, starts=np.concatenate([[0], np.cumsum(entries)]))

    def _encode(self, words: Words, vocabulary: pa.Array) -> SparseRows:
        """Encode some texts, given their words."""
        longest = max(token.count(" ") for token in self.tokens) + 1
        keys, counts = np.unique(_occurrences(words, vocabulary, longest), return_counts=True)
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
        frequencies = np.array(self.document_frequencies)
        rarity = np.log((1 + self.training_rows) / (1 + frequencies)) + 1
        values: NDArray[np.float64] = counts * rarity[columns]
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
    if not words.count:
        raise no_value_error(column, train)
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
