"""Encodings: how the values of a column become several inputs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from dlcli.config.section import Expected, OneOf, Positive, PositiveInt, Section

Ngrams = Annotated[int, Field(gt=0, le=5), Expected("an integer from 1 to 5")]


class Direct(Section):
    """The scaled number itself."""

    name: Literal["none"] = "none"


class Periodic(Section):
    """sin(2π·c·x) and cos(2π·c·x) of the scaled number for several trained frequencies c.

    They start from a normal distribution around 0 (Gorishniy et al. 2022,
    https://arxiv.org/abs/2203.05556, section 3.3).
    """

    name: Literal["periodic"] = "periodic"
    frequencies: PositiveInt = 8
    """How many; each gives two inputs."""
    deviation: Positive = 0.1
    """Standard deviation of the first frequencies, in periods per unit of the scaled number."""


class PiecewiseLinear(Section):
    """How far x fills each of several bins, from 0 before it to 1 behind it.

    The bins end at quantiles of the training rows; the first and the last go on beyond their ends
    (Gorishniy et al. 2022, https://arxiv.org/abs/2203.05556, section 3.2).
    """

    name: Literal["piecewise_linear"] = "piecewise_linear"
    bins: PositiveInt = 16
    """Most bins, each an input; fewer where quantiles coincide."""


class OneHot(Section):
    """A column of 0 and 1 for each category."""

    name: Literal["one_hot"] = "one_hot"


class Embedding(Section):
    """Several numbers for each category, which are trained with the network."""

    name: Literal["embedding"] = "embedding"
    units: PositiveInt = 8
    """How many numbers a category becomes."""


class Vocabulary(Section):
    """Which words have an input: runs of letters, digits and underscores, in lower case.

    An apostrophe may be inside (`don't`). In scripts without spaces between words, such as Chinese,
    each character is a word.
    """

    max_tokens: PositiveInt = 5000
    """Most tokens that have an input: those in most training rows."""
    min_count: PositiveInt = 1
    """Training rows that a token must be in."""
    ngrams: Ngrams = 1
    """Most words in a row that are a token of their own: 2 adds all pairs of neighbours."""


class MultiHot(Vocabulary):
    """1 for each token that the text has, else 0."""

    name: Literal["multi_hot"] = "multi_hot"


class Count(Vocabulary):
    """How often the text has each token."""

    name: Literal["count"] = "count"


class TfIdf(Vocabulary):
    """Counts times rarity, divided by the root of the sum of their squares over the text.

    A token's rarity is ln((1 + training rows) / (1 + training rows with the token)) + 1.
    """

    name: Literal["tf_idf"] = "tf_idf"


NumericEncoding = Annotated[Direct | Periodic | PiecewiseLinear, OneOf("encoding")]
CategoricalEncoding = Annotated[OneHot | Embedding, OneOf("encoding")]
TextEncoding = Annotated[MultiHot | Count | TfIdf, OneOf("encoding")]
