"""Any of several labels to predict: a column for each, or all in one column."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from dlcli.preprocessing import Fitted, ValueIssues
from dlcli.tables import Table
from dlcli.tasks.checks import refuse_gaps
from dlcli.tasks.classes import in_order

Marks = NDArray[np.float32]


class LabelTarget(Fitted):
    """Any of several labels, none and all included."""

    kind: Literal["labels"] = "labels"
    columns: tuple[str, ...]
    """A column of true/false or 0 and 1 for each label, or the one that names a row's labels."""
    labels: tuple[str, ...]
    """The labels by name, in the order of the outputs."""
    stored: Literal["integer", "boolean"]
    """How the tables store columns of labels, and predictions give them back."""
    delimiter: str | None = None
    """What stands between the labels of the one column."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.labels or len(set(self.labels)) < len(self.labels):
            raise ValueError("expected labels, all different")
        if self.delimiter is None and self.columns != self.labels:
            raise ValueError("each label needs a column of its name, or all of them a delimiter")
        if self.delimiter is not None and (len(self.columns) != 1 or not self.delimiter):
            raise ValueError("a delimiter is for one column")
        return self

    @property
    def width(self) -> int:
        """How many labels there are."""
        return len(self.labels)

    def encode(self, table: Table, issues: ValueIssues) -> Marks:
        """1 for each label that a row has and 0 for the others, (rows, labels).

        Raises:
            DataError: for a gap, or a value that is no label.
        """
        return mark_labels(table, self.columns, self.labels, self.delimiter, issues)

    def join(self, marks: NDArray[np.bool_]) -> tuple[list[str], NDArray[np.int64]]:
        """Writes the labels of rows as text, with the delimiter between them.

        Args:
            marks: which labels a row has, (rows, labels).

        Returns:
            texts: each once.
            places: the place of each row's text, (rows,).
        """
        assert self.delimiter is not None
        rows, places = np.unique(marks, axis=0, return_inverse=True)
        texts = [self.delimiter.join(compress(self.labels, row)) for row in rows]
        return texts, places.ravel()


def mark_labels(
    table: Table,
    columns: Sequence[str],
    labels: Sequence[str],
    delimiter: str | None,
    issues: ValueIssues,
) -> Marks:
    """Marks the labels that each row has.

    Args:
        table: the rows.
        columns: a column for each label, or the one that names a row's labels.
        labels: the labels.
        delimiter: what stands between the labels of one column.
        issues: takes in what can't be used, if it is lenient.

    Returns:
        1 for each label that a row has and 0 for the others, (rows, labels).

    Raises:
        DataError: for a gap, or a value that is no label, unless the issues are lenient.
    """
    if delimiter is not None:
        return _marked_in_one(table, columns[0], labels, delimiter, issues)
    marks = np.empty((table.rows, len(columns)), dtype=np.float32)
    for at, column in enumerate(columns):
        refuse_gaps(table, column, issues)
        parsed = table.parse_booleans(column)
        issues.refuse(parsed.unreadable, table, column, parsed.complaint)
        marks[:, at] = np.nan_to_num(parsed.values)
    return marks


def find_labels(tables: Sequence[Table], column: str, delimiter: str) -> tuple[str, ...]:
    """All labels that a column names, in order."""
    texts = (text for table in tables for text in table.codes(column)[1])
    return in_order(label for text in texts for label in split_labels(text, delimiter))


def split_labels(text: str, delimiter: str) -> list[str]:
    """The labels in a text, without the blanks around them; empty ones are none."""
    return [label for part in text.split(delimiter) if (label := part.strip())]


def _marked_in_one(
    table: Table, column: str, labels: Sequence[str], delimiter: str, issues: ValueIssues
) -> Marks:
    codes, texts = table.codes(column)
    place = {label: at for at, label in enumerate(labels)}
    marks = np.zeros((len(texts) + 1, len(labels)), dtype=np.float32)  # the last for an empty field
    unknown: dict[int, str] = {}
    for at, text in enumerate(texts):
        for label in split_labels(text, delimiter):
            if label in place:
                marks[at, place[label]] = 1
            else:
                unknown[at] = label
    message = f"'{{}}' is none of the labels ({', '.join(labels[:10])})".format
    wrong = np.isin(codes, list(unknown))
    issues.refuse(wrong, table, column, lambda at: message(unknown[int(codes[at])]))
    return marks[codes]
