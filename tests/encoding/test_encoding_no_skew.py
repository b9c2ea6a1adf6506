"""No skew: a table is encoded to the same bits at training and ever after, however it comes."""

from __future__ import annotations

import csv
from datetime import datetime

import numpy as np
import pyarrow.parquet as pq
import pytest
from every_type import EXAMPLES, FEATURES, columns, fit, in_memory
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_file import load_config
from dlcli.encoding.encoded_rows import InMemoryInputs
from dlcli.encoding.table_encoding import Encoding
from dlcli.network.layers import build_network
from dlcli.prediction.predictor import Predictor
from dlcli.tables.table import Table
from dlcli.tables.table_files import read_table
from dlcli.tables.table_formats import CsvFormat, TableFormat

RUN = """
data: {train: t.csv, target: y}
hidden: [{units: 3, activation: tanh}]
output: {units: 1, activation: linear, scaling: standard}
loss: mean_squared_error
epochs: 1
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with images and the config of a run."""
    path = tmp_path_factory.mktemp("skew")
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)
    Pillow.fromarray(pixels).save(path / "color.png")
    Pillow.fromarray(pixels[:2, :3, 0]).save(path / "gray.png")
    (path / "run.yaml").write_text(RUN)
    (path / "damaged.png").write_bytes((path / "color.png").read_bytes()[:60])
    return path


def from_parquet(folder, table):
    pq.write_table(table.data, folder / "t.parquet")
    return read_table(folder / "t.parquet")


def from_csv(folder, table):
    with (folder / "t.csv").open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(table.columns)
        writer.writerows(map(field, row.values()) for row in table.data.to_pylist())
    form = CsvFormat(delimiter=",", encoding="utf-8", decimal=".", thousands="none")
    return read_table(folder / "t.csv", form=TableFormat(form))


def field(value):
    """A value as programs write it."""
    if isinstance(value, datetime):
        return value.isoformat()
    return "" if value is None else repr(value) if isinstance(value, float) else str(value)


def encoded(encoding, *tables):
    """The matrix of tables one below the other, and which rows have a bad value."""
    problems = ValueProblems(lenient=True)
    parts = [encoding.transform(table, problems) for table in tables]
    matrix = np.concatenate([part.part(0, len(part)) for part in parts])
    return matrix, problems.bad_indices


def assert_same(found, expected, order=slice(None)):
    """Compares bits, so that 0 is not −0."""
    np.testing.assert_array_equal(found[0].view(np.int32), expected[0].view(np.int32)[order])
    bad = np.isin(np.arange(len(expected[0])), expected[1])[order]
    np.testing.assert_array_equal(found[1], np.flatnonzero(bad))


def predictor_of(folder, encoding):
    config = load_config(folder / "run.yaml").config
    network = build_network(encoding.layout, config.hidden, config.output)
    random = np.random.default_rng(0)
    draw = {w.name: random.normal(size=w.shape).astype(np.float32) for w in network.weights}
    return Predictor(config, encoding, network, draw)


TABLES = given(
    st.integers(2, 6).flatmap(lambda rows: columns(rows, first=True)),
    st.integers(1, 6).flatmap(columns),
    st.randoms(use_true_random=False),
)
SETTINGS = settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.slow
@SETTINGS
@TABLES
def test_a_table_is_encoded_to_the_same_bits_however_it_comes(folder, train, values, random):
    train, table = in_memory(folder, train), in_memory(folder, values)
    encoding = fit(train)
    expected = encoded(encoding, table)

    assert_same(encoded(Encoding.model_validate_json(encoding.model_dump_json()), table), expected)
    assert_same(encoded(encoding, from_csv(folder, table)), expected)
    assert_same(encoded(encoding, from_parquet(folder, table)), expected)
    none = table.take(np.arange(0))  # as for a worker of more than there are rows
    parts = (none, *table.parts(random.randint(1, table.rows)))
    assert_same(encoded(encoding, *parts), expected)

    predictor = predictor_of(folder, encoding)
    predicted = predictor.predict(from_parquet(folder, table), ValueProblems(lenient=True)).outputs
    matrix = InMemoryInputs(expected[0])
    np.testing.assert_array_equal(predicted, predictor.predict_encoded(matrix).outputs)

    order = np.array(random.sample(range(table.rows), table.rows))
    names = random.sample(list(FEATURES), len(FEATURES))
    shuffled = table.data.select(names).append_column("more", [["?"] * table.rows])
    other = Table(table.file, shuffled, table.row_numbers).take(order)
    assert_same(encoded(encoding, other), expected, order)


@pytest.mark.slow
@SETTINGS
@TABLES
def test_statistics_are_the_same_from_every_format(folder, train, values, random):
    train = in_memory(folder, train)
    expected = fit(train).model_dump_json()
    assert fit(from_csv(folder, train)).model_dump_json() == expected
    assert fit(from_parquet(folder, train)).model_dump_json() == expected
