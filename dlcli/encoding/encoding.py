"""The whole of an encoding: table to matrix, the same at training and ever after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dlcli.config.features import Ignored, Scaling
from dlcli.encoding.features import FeatureEncoder, Matrix, fit_feature
from dlcli.encoding.fitted import Fitted
from dlcli.encoding.refusal import refuse
from dlcli.encoding.target import TargetEncoder
from dlcli.encoding.types import Decision
from dlcli.errors import ConfigError, DataError, Problem, did_you_mean
from dlcli.table import Table


@dataclass(frozen=True)
class Block:
    """The inputs that one column becomes."""

    name: str
    """The column."""
    kind: Literal["numeric"]
    """How the inputs are held."""
    columns: tuple[str, ...]
    """The inputs' names, in order."""


@dataclass(frozen=True)
class Layout:
    """The network's inputs: blocks side by side."""

    blocks: tuple[Block, ...]

    @property
    def width(self) -> int:
        """How many inputs there are."""
        return sum(len(block.columns) for block in self.blocks)


class Encoding(Fitted):
    """How a table becomes what the network reads and learns."""

    format: Literal[1] = 1
    """Version of this file's form."""
    features: tuple[FeatureEncoder, ...]
    """The columns read, in order."""
    target: TargetEncoder
    """What is predicted."""

    @property
    def layout(self) -> Layout:
        """The blocks of inputs, in order."""
        blocks = (Block(feature.column, "numeric", feature.inputs) for feature in self.features)
        return Layout(tuple(blocks))

    def transform(self, table: Table) -> tuple[Matrix, list[str]]:
        """Encodes rows.

        Args:
            table: rows with at least the columns that training read, in any order.

        Returns:
            matrix: float32, (rows, inputs).
            notes: what there is to say of values that training didn't see.

        Raises:
            ConfigError: for columns that the table doesn't have.
            DataError: for values that can't be encoded, with their row.
        """
        self.check_columns(table)
        matrix = np.zeros((table.rows, self.layout.width), dtype=np.float32)
        notes, start = [], 0
        for feature in self.features:
            stop = start + len(feature.inputs)
            notes.append(feature.encode(table, matrix[:, start:stop]))
            start = stop
        return matrix, [note for note in notes if note]

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
    decisions: Mapping[str, Decision], scaling: Scaling, train: Table, target: TargetEncoder
) -> Encoding:
    """Fits the encoders of all columns on training rows.

    Args:
        decisions: the type of each column.
        scaling: of numbers that have none of their own.
        train: the training rows.
        target: the target's encoder.
    """
    features = tuple(
        fit_feature(column, decision.feature, scaling, train)
        for column, decision in decisions.items()
        if not isinstance(decision.feature, Ignored)
    )
    return Encoding(features=features, target=target)


def row_weights(table: Table, column: str | None) -> NDArray[np.float64] | None:
    """The weights of a table's rows, (rows,), or none without a column for them.

    Raises:
        DataError: for a gap or a negative weight, or if all are 0.
    """
    if column is None:
        return None
    weights = table.numbers(column)
    refuse(np.isnan(weights), table, column, lambda _: "the weight is missing")
    refuse(weights < 0, table, column, lambda at: f"the weight is negative: {weights[at]:g}")
    if not weights.any():
        raise DataError("all weights are 0", file=table.file, column=column)
    return weights
