"""The `data` section: where rows come from, and which of them teach, steer and judge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from dlcli.config.section import Column, Conflict, Expected, OneOf, Section

File = Annotated[str, Field(min_length=1), Expected("a file")]
ShareOrFile = Annotated[
    Annotated[float, Field(gt=0, lt=1)] | Annotated[str, Field(min_length=1)],
    Expected("a share of the rows between 0 and 1, or a file"),
]
MissingWords = Annotated[tuple[str, ...], Expected("a list of words in quotes")]


class RandomSplit(Section):
    """Every row by lot."""

    name: Literal["random"] = "random"


class StratifiedSplit(Section):
    """By lot within each class, so that all sets have the classes' shares."""

    name: Literal["stratified"] = "stratified"


class GroupSplit(Section):
    """Rows with the same value of a column stay together: no patient on both sides."""

    name: Literal["group"] = "group"
    column: Column
    """The column that names the group; it is no feature."""


class TimeSplit(Section):
    """The latest rows test, those before them validate, the earliest train."""

    name: Literal["time"] = "time"
    column: Column
    """The column that orders the rows: a number or a date as 2024-12-31; it is no feature."""


SplitChoice = Annotated[RandomSplit | StratifiedSplit | GroupSplit | TimeSplit, OneOf("split")]


class Target(Section):
    """What the network learns to predict."""

    column: Annotated[
        Column | Annotated[tuple[Column, ...], Field(min_length=1)],
        Expected("a column's name, or a list of them"),
    ]
    """The column, or several columns of numbers."""
    type: Literal["auto", "numeric", "categorical"] = "auto"
    """Number or class; `auto` takes text, true/false and exactly {0, 1} as classes."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The column or columns, in order."""
        return (self.column,) if isinstance(self.column, str) else self.column

    def conflicts(self) -> Iterator[Conflict]:
        """Yields a column named twice and classes over several columns."""
        if len(set(self.columns)) < len(self.columns):
            yield "column", "names a column twice"
        if len(self.columns) > 1 and self.type == "categorical":
            yield "type", "several columns are several numbers; name one column for classes"


def _short(value: object) -> object:
    """A column, or several, is short for a target of type `auto`."""
    return {"column": value} if isinstance(value, str | tuple) else value


TargetChoice = Annotated[
    Target, BeforeValidator(_short, json_schema_input_type=Target | str | tuple[str, ...])
]


class Data(Section):
    """Where rows come from, and which of them teach, steer and judge."""

    train: File
    """CSV, TSV, Parquet or JSON lines; relative to this file."""
    validation: ShareOrFile | None = None
    """Rows that steer training and are not learned from: a share of the rows, or a file."""
    test: ShareOrFile | None = None
    """Rows that only judge the end: a share of the rows, or a file."""
    split: SplitChoice | None = None
    """How rows are dealt out; if left out, stratified for classes, else random."""
    target: TargetChoice
    """The column to predict; short for {column: ..., type: auto}."""
    weight: Column | None = None
    """A column with each row's weight, 0 or more; it is no feature."""
    missing: MissingWords = ()
    """What counts as missing, besides an empty field."""

    @property
    def shares(self) -> tuple[float, float]:
        """The shares of the rows that validate and test; 0 for a file or none."""
        validation, test = (
            share if isinstance(share, float) else 0.0 for share in (self.validation, self.test)
        )
        return validation, test

    @property
    def reserved(self) -> tuple[str, ...]:
        """The columns that are no features: target, weight, group or time."""
        split = self.split
        columns = [*self.target.columns, self.weight]
        columns += [split.column] if isinstance(split, GroupSplit | TimeSplit) else []
        return tuple(column for column in columns if column is not None)

    def conflicts(self) -> Iterator[Conflict]:
        """Yields shares that leave nothing, a split without use, and columns with two parts."""
        if sum(self.shares) >= 1:
            yield "test", f"with validation takes {sum(self.shares):g} of the rows; none are left"
        if self.split and not any(self.shares):
            yield "split", "has no effect without a share of the rows for validation or test"
        if self.weight in self.target.columns:
            yield "weight", "is also the target"
        if isinstance(self.split, GroupSplit | TimeSplit):
            if self.split.column in self.target.columns:
                yield "split.column", "is also the target"
            if self.split.column == self.weight:
                yield "split.column", "is also the weight"
