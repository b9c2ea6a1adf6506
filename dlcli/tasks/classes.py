"""One of several classes to predict."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from dlcli.preprocessing import Fitted, ValueIssues
from dlcli.tables import Table
from dlcli.tasks.checks import refuse_gaps

Stored = Literal["text", "integer", "boolean"]

_FORMS = {
    "integer": re.compile(r"0|-?[1-9][0-9]{0,17}"),
    "boolean": re.compile(r"true|false"),
}
"""Names of classes that can be given back as a type of their own."""


class ClassTarget(Fitted):
    """One of several classes."""

    kind: Literal["classes"] = "classes"
    column: str
    """The column."""
    classes: tuple[str, ...]
    """The classes by name, in the order of the outputs; the second of two is the positive one."""
    stored: Stored
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

    @property
    def width(self) -> int:
        """How many classes there are."""
        return len(self.classes)

    def encode(self, table: Table, issues: ValueIssues) -> NDArray[np.int64]:
        """The place of each row's class, (rows,).

        Raises:
            DataError: for a gap, or a value that is none of the classes, unless the issues are
                lenient; its place is -1 then.
        """
        refuse_gaps(table, self.column, issues)
        codes, texts = table.codes(self.column)
        place = {name: at for at, name in enumerate(self.classes)}
        known = np.array([*(place.get(text, -1) for text in texts), -1], dtype=np.int64)
        places = known[codes]
        shown = table.column(self.column).shown
        message = f"{{}} is none of the classes ({', '.join(self.classes[:10])})".format
        wrong = (places < 0) & (codes >= 0)
        issues.refuse(wrong, table, self.column, lambda at: message(shown(at)))
        return places


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """Names once each: numbers by value, then all others by letters."""
    return tuple(sorted(set(names), key=_rank))


def stored_as(column: str, table: Table, classes: Sequence[str]) -> Stored:
    """The type of a table's column of classes, as far as all the classes are of it."""
    if table.kind(column) == "boolean" and all(map(_FORMS["boolean"].fullmatch, classes)):
        return "boolean"
    return "integer" if all(map(_FORMS["integer"].fullmatch, classes)) else "text"


def _rank(name: str) -> tuple[float, str]:
    try:
        value = float(name)
    except ValueError:
        value = math.inf
    return value if math.isfinite(value) else math.inf, name
