"""Durations are numbers of seconds, whatever holds them."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dlcli
from dlcli.tables.memory_tables import memory_table
from dlcli.tables.table_files import read_table
from tests.catalogue import hand_made

SECONDS = [1.5, None, 86400.0]
OBJECTS = [None if each is None else timedelta(seconds=each) for each in SECONDS]


def of_array(unit):
    ticks = {"s": 1, "ms": 1000, "us": 10**6, "ns": 10**9}[unit]
    values = [None if each is None else int(each * ticks) for each in SECONDS]
    return pa.array(values, pa.int64()).cast(pa.duration(unit))


FORMS = {
    "a list": OBJECTS,
    "NumPy": np.array([1_500, "NaT", 86_400_000], "m8[ms]"),
    "objects of NumPy": [np.timedelta64(1500, "ms"), None, np.timedelta64(1, "D")],
    "Arrow in ms": of_array("ms"),
    "Arrow in us": of_array("us"),
    "Arrow in ns": of_array("ns"),
}


def numbers(table):
    return read_table(table).column("wait").numbers().values


@pytest.mark.parametrize("values", FORMS.values(), ids=FORMS)
def test_in_memory(values):
    columns = {"wait": values, "y": [1, 2, 3]}
    data = pa.table(columns) if isinstance(values, pa.Array) else columns
    np.testing.assert_array_equal(numbers(memory_table(data)), [1.5, np.nan, 86400])


def test_as_rows():
    data = [{"wait": each} for each in OBJECTS]
    np.testing.assert_array_equal(numbers(memory_table(data)), [1.5, np.nan, 86400])


def test_in_a_parquet_file(tmp_path):
    path = tmp_path / "waits.parquet"
    pq.write_table(pa.table({"wait": of_array("us")}), path)
    np.testing.assert_array_equal(numbers(path), [1.5, np.nan, 86400])


def test_a_model_predicts_them_in_every_form(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{wait},{2 * wait}\n" for wait in range(20))
    (tmp_path / "waits.csv").write_text("wait,y\n" + rows)
    config = "data: {train: waits.csv, target: y}\ninput: {features: {wait: numeric}}\nhidden: []\n"
    hand_made.make_run(f"{config}epochs: 1\n", "waits")
    model = dlcli.load("runs/waits")
    [expected] = model.predict_rows([{"wait": 1.5}]).values
    for value in (timedelta(seconds=1.5), np.timedelta64(1500, "ms")):
        assert model.predict_rows([{"wait": value}]).values[0] == pytest.approx(expected)
    columns = {"wait": np.array([1500], "m8[ms]")}
    assert model.predict(columns).values[0] == pytest.approx(expected)


def test_a_column_of_durations_is_a_numeric_feature():
    data = {"wait": [timedelta(seconds=each * 7 % 31) for each in range(40)], "y": np.arange(40.0)}
    [wait, _] = dlcli.inspect(data, "y").columns
    assert (wait["name"], wait["type"]) == ("wait", "numeric")
