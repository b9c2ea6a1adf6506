"""The inputs of a single column, as a network reads them."""

from __future__ import annotations

import numpy as np

from dlcli.columns.column_type import DenseEncoder
from dlcli.columns.layout import Layout
from dlcli.columns.value_problems import ValueProblems
from dlcli.tables.table import Table


def encode(encoder: DenseEncoder, table: Table, problems: ValueProblems | None = None):
    """Encode a column, (rows, inputs), from its compact form if there is one."""
    compact = np.zeros((table.rows, encoder.compact_width), np.float32)
    encoder.encode(table, compact, problems or ValueProblems())
    expansion = Layout(encoder.blocks).expansion
    return compact if expansion is None else expansion.expand(compact)
