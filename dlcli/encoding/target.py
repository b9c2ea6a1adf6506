"""What is predicted: numbers in their own unit, or classes by name."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from dlcli.config.data import Target
from dlcli.config.features import OutputScaling, Unscaled
from dlcli.encoding.fitted import Fitted
from dlcli.encoding.numbers import (
    FittedScaling,
    Floats,
    check_range,
    fit_scaling,
    scale_column,
)
from dlcli.encoding.refusal import refuse
from dlcli.errors import DataError
from dlcli.table import Table


@dataclass(frozen=True)
class TargetKind:
    """What a target is, before anything is fitted."""

    columns: tuple[str, ...]
    """The target's columns."""
    classes: tuple[str, ...]
    """The classes in order; empty for numbers."""
    reason: str
    """Why it was taken so: `declared`, or what the rows show."""
    stored: Literal["text", "integer", "boolean"] = "text"
    """How the table stores classes, and predictions give them back."""

    @property
    def name(self) -> str:
        """The columns as people would say them."""
        return ", ".join(f"'{column}'" for column in self.columns)


class NumberTarget(Fitted):
    """One or several numbers."""

    kind: Literal["numbers"] = "numbers"
    columns: tuple[str, ...]
    """The columns, in the order of the outputs."""
    scalings: tuple[FittedScaling, ...]
    """How each column is trained."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.columns or len(self.columns) != len(self.scalings):
            raise ValueError("each column needs a scaling")
        return self

    def encode(self, table: Table) -> NDArray[np.float32]:
        """The columns as trained on, (rows, columns)."""
        triples = zip(self.columns, self.scalings, self.values(table).T, strict=True)
        scaled = [scale_column(scaling, values, table, name) for name, scaling, values in triples]
        return np.stack(scaled, axis=1).astype(np.float32)

    def decode(self, outputs: NDArray[np.floating]) -> Floats:
        """The network's outputs in the columns' own units, (rows, columns)."""
        pairs = zip(self.scalings, outputs.T, strict=True)
        return np.stack([scaling.invert(values) for scaling, values in pairs], axis=1)

    def values(self, table: Table) -> Floats:
        """The columns in their own units, (rows, columns).

        Raises:
            DataError: for a gap or a value that can't be trained on.
        """
        columns = []
        for column, scaling in zip(self.columns, self.scalings, strict=True):
            _refuse_gaps(table, column)
            values = table.numbers(column)
            check_range(scaling.name, values, table, column)
            columns.append(values)
        return np.stack(columns, axis=1)


class ClassTarget(Fitted):
    """One of several classes."""

    kind: Literal["classes"] = "classes"
    column: str
    """The column."""
    classes: tuple[str, ...]
    """The classes by name, in the order of the outputs; the second of two is the positive one."""
    stored: Literal["text", "integer", "boolean"]
    """How the table stores them, and predictions give them back."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise ValueError("expected two or more classes, all different")
        if self.stored != "text" and not all(map(_FORMS[self.stored].fullmatch, self.classes)):
            raise ValueError(f"the classes are not of the type '{self.stored}'")
        return self

    @property
    def columns(self) -> tuple[str, ...]:
        """The column, as a tuple of one."""
        return (self.column,)

    def encode(self, table: Table) -> NDArray[np.int64]:
        """The place of each row's class, (rows,).

        Raises:
            DataError: for a gap, or a value that is none of the classes.
        """
        _refuse_gaps(table, self.column)
        codes, texts = table.codes(self.column)
        place = {name: at for at, name in enumerate(self.classes)}
        places = np.array([place.get(text, -1) for text in texts], dtype=np.int64)[codes]
        message = f"'{{}}' is none of the classes ({', '.join(self.classes[:10])})".format
        refuse(places < 0, table, self.column, lambda at: message(texts[codes[at]]))
        return places


_FORMS = {
    "integer": re.compile(r"0|-?[1-9][0-9]{0,17}"),
    "boolean": re.compile(r"true|false"),
}
"""Names of classes that can be given back as a type of their own."""

TargetEncoder = Annotated[NumberTarget | ClassTarget, Field(discriminator="kind")]


def infer_target(target: Target, tables: Sequence[Table]) -> TargetKind:
    """Says whether a target is numbers or classes, and which classes there are.

    Args:
        target: the config's `data.target`.
        tables: all tables with labels; classes are taken from all of them.

    Raises:
        DataError: for gaps, text where several columns ask for numbers, or a single class.
    """
    for table in tables:
        for column in target.columns:
            _refuse_gaps(table, column)
    column, reason = target.columns[0], "declared"
    if target.type == "auto":
        is_class, reason = _looks_like_classes(column, tables)
        if len(target.columns) > 1 or not is_class:
            return TargetKind(target.columns, (), "several columns" if is_class else reason)
    elif target.type == "numeric":
        return TargetKind(target.columns, (), reason)
    classes = _classes(column, tables)
    if len(classes) < 2:
        message = f"has one class only, '{classes[0]}': there is nothing to tell apart"
        raise DataError(message, file=tables[0].file, column=column)
    return TargetKind(target.columns, classes, reason, _stored(column, tables[0], classes))


def fit_target(kind: TargetKind, scaling: OutputScaling | None, train: Table) -> TargetEncoder:
    """Fits a target's encoder on training rows.

    Args:
        kind: what the target is.
        scaling: of numbers; without one they stay as they are.
        train: the training rows.
    """
    if kind.classes:
        return ClassTarget(column=kind.columns[0], classes=kind.classes, stored=kind.stored)
    wanted = scaling or Unscaled()
    bare = tuple(FittedScaling(name=wanted.name) for _ in kind.columns)
    values = NumberTarget(columns=kind.columns, scalings=bare).values(train)
    scalings = tuple(fit_scaling(wanted, column) for column in values.T)
    return NumberTarget(columns=kind.columns, scalings=scalings)


def _looks_like_classes(column: str, tables: Sequence[Table]) -> tuple[bool, str]:
    if all(table.kind(column) == "boolean" or table.looks_boolean(column) for table in tables):
        return True, "all true or false"
    if not all(table.looks_numeric(column) for table in tables):
        return True, "text"
    values = np.unique(np.concatenate([table.numbers(column) for table in tables]))
    if values.tolist() == [0, 1]:
        return True, "all 0 or 1"
    return False, "all numbers"


def _classes(column: str, tables: Sequence[Table]) -> tuple[str, ...]:
    names = {name for table in tables for name in table.codes(column)[1]}
    return tuple(sorted(names, key=_rank))


def _rank(name: str) -> tuple[float, str]:
    """Numbers by value, then all other names by letters."""
    try:
        value = float(name)
    except ValueError:
        value = math.inf
    return value if math.isfinite(value) else math.inf, name


def _stored(
    column: str, table: Table, classes: Sequence[str]
) -> Literal["text", "integer", "boolean"]:
    if table.kind(column) == "boolean" and all(map(_FORMS["boolean"].fullmatch, classes)):
        return "boolean"
    return "integer" if all(map(_FORMS["integer"].fullmatch, classes)) else "text"


def _refuse_gaps(table: Table, column: str) -> None:
    gaps = table.missing(column)
    others = f" (and in {gaps.sum() - 1} more rows)" if gaps.sum() > 1 else ""
    message = f"the target is missing{others}; leave such rows out of the file"
    refuse(gaps, table, column, lambda _: message)
