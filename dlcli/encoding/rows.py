"""Encoded rows: what a network reads, learns and weighs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcli.encoding.encoding import Encoding, row_weights
from dlcli.encoding.inputs import Inputs
from dlcli.encoding.stored import InputsWriter
from dlcli.preprocessing import ValueIssues
from dlcli.tables import Table

MAX_ROWS_AT_ONCE = 65_536
"""Most rows that are encoded at once on their way to disk."""
NUMBERS_AT_ONCE = 2**24
"""About how many numbers they become: 64 MiB."""


@dataclass(frozen=True)
class EncodedRows:
    """A set of encoded rows."""

    inputs: Inputs
    """What the network reads."""
    target: NDArray[Any]
    """Numbers as trained on, (rows, outputs), or the places of classes, (rows,)."""
    weights: NDArray[np.float64] | None = None
    """Row weights, (rows,)."""


def encode_rows(
    encoding: Encoding,
    table: Table,
    weight: str | None,
    issues: ValueIssues,
    writer: InputsWriter | None = None,
) -> EncodedRows:
    """Encodes rows that have a target.

    Args:
        encoding: fitted on training rows.
        table: the rows.
        weight: the column of row weights, if there is one.
        issues: takes in what there is to say of values that training didn't see.
        writer: writes the inputs to disk, some rows at a time; without one they are in memory.

    Raises:
        ConfigError: for columns that the table doesn't have.
        DataError: for values that can't be encoded.
    """
    if writer is None:
        inputs: Inputs = encoding.transform(table, issues)
    else:
        for part in table.parts(
            max(1, min(MAX_ROWS_AT_ONCE, NUMBERS_AT_ONCE // encoding.layout.width))
        ):
            writer.append(encoding.transform(part, issues))
        inputs = writer.finish()
    target = encoding.task.encode(table, ValueIssues())
    return EncodedRows(inputs, target, row_weights(table, weight, ValueIssues()))
