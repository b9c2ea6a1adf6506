"""The whole of an encoding: table to matrix, the same at training and ever after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dlcli.config import Ignored, Input
from dlcli.encoding.columns.column import DenseEncoder, SparseEncoder
from dlcli.encoding.columns.dense import encode_dense
from dlcli.encoding.columns.features import FeatureEncoder, fit_feature
from dlcli.encoding.inputs import InMemoryInputs
from dlcli.encoding.layout import Layout
from dlcli.encoding.types import Decision
from dlcli.errors import ConfigError, DataError, Problem, did_you_mean
from dlcli.preprocessing import Fitted, ValueIssues
from dlcli.tables import Notation, Table
from dlcli.tasks import AnyTask, Task


class Encoding(Fitted):
    """How a table becomes what the network reads and learns."""

    format: Literal[1] = 1
    """Version of this file's form."""
    features: tuple[FeatureEncoder, ...]
    """The columns read, in order."""
    task: AnyTask
    """What is predicted."""
    notations: Mapping[str, Notation] = {}
    """How the training rows' texts write the numbers of some columns; of all others, plainly."""

    @property
    def layout(self) -> Layout:
        """The blocks of inputs: those of columns in order, sparse ones last."""
        columns = [*self._dense, *self._sparse]
        return Layout(tuple(block for feature in columns for block in feature.blocks))

    def transform(self, table: Table, issues: ValueIssues) -> InMemoryInputs:
        """Encodes rows.

        Args:
            table: rows with at least the columns that training read, in any order.
            issues: takes in what there is to say of values that training didn't see.

        Raises:
            ConfigError: for columns that the table doesn't have.
            DataError: for values that can't be encoded, with their row, unless the issues are
                lenient.
        """
        self.check_columns(table)
        dense = encode_dense(self._dense, table, issues)
        sparse = tuple(feature.encode(table, issues) for feature in self._sparse)
        issues.rows += table.rows
        return InMemoryInputs(dense, sparse)

    @property
    def _dense(self) -> list[DenseEncoder]:
        return [feature for feature in self.features if isinstance(feature, DenseEncoder)]

    @property
    def _sparse(self) -> list[SparseEncoder]:
        return [feature for feature in self.features if isinstance(feature, SparseEncoder)]

    def check_columns(self, table: Table) -> None:
        """Refuses a table without the columns that training read.

        Raises:
            ConfigError: with all that are absent.
        """
        known = set(table.columns)
        absent = [feature.column for feature in self.features if feature.column not in known]
        if absent:
            named = ", ".join(f"'{column}'" for column in absent)
            hint = did_you_mean(absent[0], table.columns) if len(absent) == 1 else ""
            message = f"has no column {named}, which the network reads{hint}"
            raise ConfigError([Problem("", message, table.file)])


def fit_encoding(
    decisions: Mapping[str, Decision], section: Input, train: Table, task: Task
) -> Encoding:
    """Fits the encoders of all columns on training rows.

    Args:
        decisions: the type of each column.
        section: what holds for features that say nothing else.
        train: the training rows.
        task: fitted on the training rows.
    """
    features = tuple(
        fit_feature(column, decision.feature, section, train)
        for column, decision in decisions.items()
        if not isinstance(decision.feature, Ignored)
    )
    notations = {name: each for name, each in train.notations.items() if not each.is_plain}
    return Encoding(features=features, task=task, notations=notations)


def row_weights(
    table: Table, column: str | None, issues: ValueIssues
) -> NDArray[np.float64] | None:
    """The weights of a table's rows, (rows,), or none without a column for them.

    Raises:
        DataError: for a gap or a negative weight, unless the issues are lenient; or if all are 0.
    """
    if column is None:
        return None
    parsed = table.parse_numbers(column)
    weights, unreadable = parsed.values, parsed.unreadable
    issues.refuse(unreadable, table, column, parsed.complaint)
    gaps = np.isnan(weights) & ~unreadable
    missing = "the weight is missing; fill it in, or leave such rows out of the file"
    issues.refuse(gaps, table, column, lambda _: missing)
    negative = "the weight is negative: {:g}".format
    issues.refuse(weights < 0, table, column, lambda at: negative(weights[at]))
    if not weights.any():
        raise DataError("all weights are 0", file=table.file, column=column)
    return weights
