"""No leak: held-out rows change no encoding, however they are held out.

Types are inferred from all rows of the training file. So they are declared, except where held-out
rows are in files of their own, which change no types either.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mixed_table import FEATURES, ROWS, mixed_table, write_images

from dlcli.config.config_file import load_config
from dlcli.pipeline.events import Events
from dlcli.pipeline.preparation import prepare

SHARES = "validation: 0.2, test: 0.2"
SPLITS = {
    "share": f"train: t.parquet, {SHARES}",
    "file": "train: train.parquet, validation: validation.parquet, test: test.parquet",
    "group": f"train: t.parquet, {SHARES}, split: {{name: group, column: fold}}",
    "time": f"train: t.parquet, {SHARES}, split: {{name: time, column: when}}",
}
DECLARED = FEATURES.replace('"*": auto', "guessed: numeric\n    guessed_words: categorical")
ASSIGNED_BY = ("fold", "when")
"""The columns that rows are split by; they stay as they are."""
ODD = st.none() | st.text(max_size=8) | st.sampled_from(["1", "1e30", "true", "2024-01-01", "NA"])


def whole_table():
    rows = range(ROWS)
    return (
        mixed_table()
        .append_column("fold", [[f"group {row % 8}" for row in rows]])
        .append_column("when", [[f"20{row % 20 + 10}-01-01" for row in rows]])
    )


def changed(table, held_out, draw):
    """The table with anything at all in its held-out rows."""
    columns = {}
    for name in table.column_names:
        column = table.column(name)
        values = column.to_pylist()
        odd = st.floats(-1e30, 1e30) if pa.types.is_floating(column.type) else ODD
        for row in () if name in ASSIGNED_BY else held_out:
            values[row] = draw(odd)
        columns[name] = pa.array(values, column.type)
    return pa.table(columns)


def prepared(folder, table, sets, how):
    """Prepare the data of a config that holds rows out in a way."""
    pq.write_table(table, folder / "t.parquet")
    for name, rows in sets.items():
        pq.write_table(table.take(rows), folder / f"{name}.parquet")
    features = FEATURES if how == "file" else DECLARED
    (folder / "c.yaml").write_text(
        f"data: {{{SPLITS[how]}, target: y}}\ninput:\n{features}\nhidden: []\nepochs: 1\n"
    )
    return prepare(load_config(folder / "c.yaml"), Events())[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the images of the table."""
    path = tmp_path_factory.mktemp("leak")
    write_images(path)
    return path


SETS = {
    "train": list(range(0, 24)),
    "validation": list(range(24, 32)),
    "test": list(range(32, ROWS)),
}


@pytest.fixture(scope="module")
def before(folder):
    """The unchanged table, prepared, by split."""
    return {how: prepared(folder, whole_table(), SETS, how) for how in SPLITS}


@pytest.mark.slow
@pytest.mark.parametrize("how", SPLITS)
@settings(
    max_examples=3,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_held_out_rows_change_neither_types_nor_encoding(folder, before, how, data):
    expected = before[how]
    trained = expected.split.train.row_numbers - 1
    held_out = np.setdiff1d(np.arange(ROWS), trained)
    assert 12 <= len(held_out) <= 20

    after = prepared(folder, changed(whole_table(), held_out, data.draw), SETS, how)
    np.testing.assert_array_equal(after.split.train.row_numbers - 1, trained)
    assert after.decisions == expected.decisions
    assert after.encoding.model_dump_json() == expected.encoding.model_dump_json()
