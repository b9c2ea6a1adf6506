"""Categories."""

from __future__ import annotations

from collections import Counter
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import PositiveInt, model_validator

from dlcli.config import Categorical, Embedding, MissingCategory, MostFrequentCategory
from dlcli.encoding.columns.column import NO_VALUE, DenseEncoder, refuse_gaps
from dlcli.encoding.inputs import Matrix
from dlcli.encoding.layout import Block, EmbeddingTable
from dlcli.errors import DataError
from dlcli.preprocessing import ValueIssues
from dlcli.tables import Table


class CategoryColumn(DenseEncoder):
    """A column in which each value that training saw has a place."""

    type: Literal["categorical"] = "categorical"
    categories: tuple[str, ...]
    """The values with a place of their own, sorted."""
    other: bool
    """Whether one more place stands for every other value: so if training rows had rare ones."""
    missing: Literal["category", "fill", "error"]
    """What a gap gets: a place of its own, `fill`, or an error."""
    fill: str | None = None
    """The category that stands in for a gap."""
    missing_input: bool
    """Whether gaps have a place of their own: so if training rows had any."""
    unseen: Literal["other", "error"]
    """What a value gets that is no category: the place for others, or none; or an error."""
    meanings: ClassVar[tuple[str, str]]
    """What it means to have the place for others, and to have none."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.categories)) < len(self.categories):
            raise ValueError("a category occurs twice")
        if self.missing == "fill" and self.fill not in self.categories:
            raise ValueError("'fill' is none of the categories")
        if self.missing != "fill" and self.fill is not None:
            raise ValueError("'fill' has no effect")
        return self

    @property
    def places(self) -> tuple[str, ...]:
        """What has a place, in order."""
        names = [f"{self.column} = {category}" for category in self.categories]
        names += [f"{self.column} is another"] if self.other else []
        names += [f"{self.column} is missing"] if self.missing_input else []
        return tuple(names)

    def places_of(self, table: Table, issues: ValueIssues) -> NDArray[np.int64]:
        """The place of each row's value, -1 for one that has none, (rows,)."""
        codes, texts = table.codes(self.column)
        place = {category: at for at, category in enumerate(self.categories)}
        others = self._others_place
        known = np.array([*(place.get(text, others) for text in texts), -1], dtype=np.int64)
        places = known[codes]
        new = np.array([text not in place for text in texts] + [False])[codes]
        if self.unseen == "error":
            shown = table.column(self.column).shown
            message = "{} is none of the categories seen in training".format
            issues.refuse(new, table, self.column, lambda at: message(shown(at)))
        else:
            counts = Counter(texts[code] for code in codes[new].tolist())
            issues.add_unseen(self.column, counts, self.meanings[0 if self.other else 1])
        self._place_gaps(places, codes < 0, table, issues)
        return places

    @property
    def _others_place(self) -> int:
        return len(self.categories) if self.other else -1

    def _place_gaps(
        self, places: NDArray[np.int64], gaps: NDArray[np.bool_], table: Table, issues: ValueIssues
    ) -> None:
        issues.add_missing(self.column, int(gaps.sum()))
        if self.missing == "error":
            refuse_gaps(gaps, table, self.column, issues)
        elif self.fill is not None:
            places[gaps] = self.categories.index(self.fill)
        elif self.missing_input:
            places[gaps] = len(self.places) - 1
        elif self.unseen == "error":
            message = "is empty, as no training row was; 'unseen: error' forbids it"
            issues.refuse(gaps, table, self.column, lambda _: message)
        else:
            places[gaps] = self._others_place
            if not self.other:
                issues.add_unencoded_missing(self.column, int(gaps.sum()), self.meanings[1])


class OneHotEncoder(CategoryColumn):
    """One input for each category, which is 1 where the row has it."""

    encoding: Literal["one_hot"] = "one_hot"
    meanings: ClassVar = ("the input for other values is set", "no input is set")

    @property
    def blocks(self) -> tuple[Block, ...]:
        """What the column becomes."""
        return (Block(self.column, "numeric", self.places),)

    def encode(self, table: Table, out: Matrix, issues: ValueIssues) -> None:
        """Writes the column's inputs into `out`, zeros of shape (rows, inputs)."""
        places = self.places_of(table, issues)
        rows = np.flatnonzero(places >= 0)
        out[rows, places[rows]] = 1


class EmbeddingEncoder(CategoryColumn):
    """One input with the place of the category, which the network looks up in a trained table."""

    encoding: Literal["embedding"] = "embedding"
    meanings: ClassVar = ("the numbers for other values stand in", "zeros stand in")
    units: PositiveInt
    """How many numbers a category becomes."""

    @property
    def blocks(self) -> tuple[Block, ...]:
        """What the column becomes."""
        table = EmbeddingTable(len(self.places) + 1, self.units)
        return (Block(self.column, "index", (self.column,), table),)

    def encode(self, table: Table, out: Matrix, issues: ValueIssues) -> None:
        """Writes the column's inputs into `out`, zeros of shape (rows, inputs)."""
        places = self.places_of(table, issues)
        out[:, 0] = np.where(places < 0, len(self.places), places)


def fit_categorical(
    column: str, feature: Categorical, train: Table
) -> OneHotEncoder | EmbeddingEncoder:
    """Fits the encoder of a column of categories.

    Raises:
        DataError: for a column without a value that is frequent enough.
    """
    codes, texts = train.codes(column)
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    kept = _kept(column, feature, counts, texts, train)
    gaps = int((codes < 0).sum())
    own = isinstance(feature.missing, MissingCategory)
    fill = kept[0] if isinstance(feature.missing, MostFrequentCategory) else None
    one_hot = OneHotEncoder(
        column=column,
        missing_share=gaps / len(codes),
        categories=tuple(sorted(kept)),
        other=len(kept) < len(texts),
        missing="category" if own else "error" if fill is None else "fill",
        fill=fill,
        missing_input=own and gaps > 0,
        unseen=feature.unseen,
    )
    if not isinstance(feature.encoding, Embedding):
        return one_hot
    shared = one_hot.model_dump(exclude={"encoding"})
    return EmbeddingEncoder(**shared, units=feature.encoding.units)


def _kept(
    column: str, feature: Categorical, counts: NDArray[np.int64], texts: list[str], train: Table
) -> list[str]:
    """The values that become categories, the most frequent first."""
    ranked = sorted(range(len(texts)), key=lambda at: (-counts[at], texts[at]))
    frequent = [texts[at] for at in ranked if counts[at] >= feature.min_count]
    if not frequent:
        message = f"no value occurs in {feature.min_count} training rows; lower min_count"
        raise DataError(message if texts else NO_VALUE, file=train.file, column=column)
    kept = frequent[: feature.max_categories]
    if feature.unseen == "error" and len(kept) < len(texts):
        message = f"has {len(texts)} values, and 'unseen: error' leaves rare ones no place"
        raise DataError(f"{message}; raise max_categories", file=train.file, column=column)
    return kept
