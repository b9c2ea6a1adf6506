"""Encoded rows: what a network reads, learns and weighs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dlcli.encoding.encoding import Encoding, row_weights
from dlcli.encoding.findings import Findings
from dlcli.encoding.inputs import Inputs
from dlcli.table import Table


@dataclass(frozen=True)
class Rows:
    """A set of encoded rows."""

    inputs: Inputs
    """What the network reads."""
    target: NDArray[Any]
    """Numbers as trained on, (rows, outputs), or the places of classes, (rows,)."""
    weights: NDArray[np.float64] | None = None
    """Row weights, (rows,)."""


def encode_rows(encoding: Encoding, table: Table, weight: str | None, findings: Findings) -> Rows:
    """Encodes rows that have a target.

    Args:
        encoding: fitted on training rows.
        table: the rows.
        weight: the column of row weights, if there is one.
        findings: takes in what there is to say of values that training didn't see.

    Raises:
        ConfigError: for columns that the table doesn't have.
        DataError: for values that can't be encoded.
    """
    inputs = encoding.transform(table, findings)
    return Rows(inputs, encoding.target.encode(table, Findings()), row_weights(table, weight))
