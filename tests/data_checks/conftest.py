"""Tables as columns, and the sample of them that checks look at."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from dlcli.columns.category import Categorical
from dlcli.columns.column_type import Auto, Decision, Ignored
from dlcli.columns.number import Numeric
from dlcli.config.data_section import Target
from dlcli.data_checks.sample import draw_sample
from dlcli.encoding.column_types import decide_types
from dlcli.tables.table import Table
from dlcli.tasks.inference import infer_task

TYPES = {"numeric": Numeric(), "categorical": Categorical(), "ignored": Ignored()}


def make_table(columns):
    data = pa.table({name: list(values) for name, values in columns.items()})
    return Table("t.csv", data, np.arange(1, data.num_rows + 1))


def make_decisions(table, types, targets):
    """Declared types, and for the rest what the rows show."""
    names = [name for name in table.columns if name not in targets]
    free = {name: Auto() for name in names if name not in types}
    decided = decide_types(free, table) if free else {}
    declared = {name: Decision(TYPES[kind], "declared") for name, kind in types.items()}
    every = {**decided, **declared}
    return {name: every[name] for name in names}


@pytest.fixture
def table():
    """Makes a table of columns by name."""
    return make_table


@pytest.fixture
def sample():
    """Makes a sample: columns by name, target or targets, types by column where declared."""

    def make(columns, target=None, **types):
        table = make_table(columns)
        targets = (target,) if isinstance(target, str) else target or ()
        kind = infer_task(Target(column=target), [table]) if target else None
        return draw_sample(table, make_decisions(table, types, targets), kind)

    return make
