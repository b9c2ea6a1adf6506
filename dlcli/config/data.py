"""The `data` section: where rows come from, and which of them teach, steer and judge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from dlcli.config.formats import AutoFormat, FormatChoice
from dlcli.config.section import Column, Conflict, Expected, Flag, OneOf, Section

File = Annotated[str, Field(min_length=1)]
Files = Annotated[File | Annotated[tuple[File, ...], Field(min_length=1)], Expected("a file")]
ShareOrFiles = Annotated[
    Annotated[float, Field(gt=0, lt=1)] | File | Annotated[tuple[File, ...], Field(min_length=1)],
    Expected("a share of the rows between 0 and 1, or a file"),
]
Delimiter = Annotated[str, Field(min_length=1), Expected("text that stands between labels")]
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
    """The column that orders the rows: a number, or a date as 2024-12-31, 31.12.2024 or any other
    that tells its day from its month; it is a feature only if `input.features` names it."""


SplitChoice = Annotated[RandomSplit | StratifiedSplit | GroupSplit | TimeSplit, OneOf("split")]


class Target(Section):
    """What the network learns to predict."""

    column: Annotated[
        Column | Annotated[tuple[Column, ...], Field(min_length=1)],
        Expected("a column's name, or a list of them"),
    ]
    """The column, or several columns of numbers or labels."""
    type: Literal["auto", "numeric", "count", "categorical", "multi_label"] = "auto"
    """A number, a whole number of 0 or more, one of some classes, or any of some labels. `auto`
    takes text, true/false and exactly {0, 1} as classes, and several columns of true/false or 0
    and 1 as labels."""
    delimiter: Delimiter | None = None
    """What stands between the labels of one column: `a|b`; an empty field has none of them."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The column or columns, in order."""
        return (self.column,) if isinstance(self.column, str) else self.column

    def conflicts(self) -> Iterator[Conflict]:
        """Yields a column named twice, classes over several columns, and labels not told apart."""
        is_several = len(self.columns) > 1
        if len(set(self.columns)) < len(self.columns):
            yield "column", "names a column twice"
        if is_several and self.type == "categorical":
            yield "type", "several columns are numbers or labels; name one column for classes"
        if is_several or self.type != "multi_label":
            because = "without type: multi_label and a single column"
            yield from self.without_effect("delimiter", because=because)
        elif self.delimiter is None:
            yield "type", "wants several columns, or a delimiter between the labels of one"


def _short(value: object) -> object:
    """A column, or several, is short for a target of type `auto`."""
    return {"column": value} if isinstance(value, str | tuple) else value


TargetChoice = Annotated[
    Target, BeforeValidator(_short, json_schema_input_type=Target | str | tuple[str, ...])
]


class Data(Section):
    """Where rows come from, and which of them teach, steer and judge."""

    train: Files
    """CSV, TSV, Parquet, Arrow IPC or JSON lines; plain, .gz or .zst; relative to this file. A glob
    such as `part-*.csv`, or a list, is one table."""
    validation: ShareOrFiles | None = None
    """Rows that steer training and are not learned from: a share of the rows, or a file, glob or
    list."""
    test: ShareOrFiles | None = None
    """Rows that only judge the end: a share of the rows, or a file, glob or list."""
    train_on_validation: Flag = False
    """Whether the share for validation is learned from, too, once nothing is left to steer; the
    test rows are the same."""
    format: FormatChoice = AutoFormat()
    """What the files are, and how their text is to be read, if finding out finds it wrongly."""
    split: SplitChoice | None = None
    """How rows are dealt out, to folds too; if left out, stratified for classes, else random."""
    target: TargetChoice
    """The column to predict; short for {column: ..., type: auto}."""
    weight: Column | None = None
    """A column with each row's weight, 0 or more; it is no feature."""
    missing: MissingWords = ()
    """What counts as missing, besides an empty field."""
    storage: Literal["auto", "memory", "disk"] = "auto"
    """Where rows wait while they are trained on; `auto`: in memory, or on disk beside the run where
    the files are large for this machine. The weights are the same, to the bit."""

    @property
    def files(self) -> tuple[str | tuple[str, ...], ...]:
        """The files of training, validation and test rows, where there are some."""
        named = (self.train, self.validation, self.test)
        return tuple(files for files in named if isinstance(files, str | tuple))

    @property
    def shares(self) -> tuple[float, float]:
        """The shares of the rows that validate and test; 0 for a file or none."""
        validation, test = (
            share if isinstance(share, float) else 0.0 for share in (self.validation, self.test)
        )
        return validation, test

    @property
    def has_validation(self) -> bool:
        """Whether some rows steer training and are not learned from."""
        return self.validation is not None and not self.train_on_validation

    @property
    def reserved(self) -> tuple[str, ...]:
        """The columns with a part of their own: target, weight, group or time."""
        split = self.split
        columns = [*self.target.columns, self.weight]
        columns += [split.column] if isinstance(split, GroupSplit | TimeSplit) else []
        return tuple(column for column in columns if column is not None)

    def conflicts(self) -> Iterator[Conflict]:
        """Yields shares that leave nothing, or that there aren't, and columns with two parts.

        A split without shares is none: the rows may yet be dealt out to folds by it.
        """
        if sum(self.shares) >= 1:
            yield "test", f"with validation takes {sum(self.shares):g} of the rows; none are left"
        if not self.shares[0]:
            because = "without a share of the rows for validation"
            yield from self.without_effect("train_on_validation", because=because)
        if self.weight in self.target.columns:
            yield "weight", "is also the target"
        if isinstance(self.split, GroupSplit | TimeSplit):
            if self.split.column in self.target.columns:
                yield "split.column", "is also the target"
            if self.split.column == self.weight:
                yield "split.column", "is also the weight"
