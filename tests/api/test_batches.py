"""Batches of a longer table, as engines pass them, and models that are sent to other processes."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import dlcli
from tests.catalogue.hand_made import make_run

CONFIG = """\
data: {train: pets.csv, target: pet}
input: {features: {x: numeric, color: categorical}, scaling: none}
hidden: []
epochs: 1
"""
PETS = "x;color;pet\n" + "-2,5;red;cat\n1,5;blue;dog\n" * 20
BATCH = pa.table({"id": ["p", "q"], "x": [-2.5, 1.5], "color": ["blue", "red"]})


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("pets"))
        Path("pets.csv").write_text(PETS)
        return dlcli.load(make_run(CONFIG, "pets").absolute())


def test_a_table_a_record_batch_and_arrays_come_back_as_such(model):
    expected = model.predict(BATCH).to_arrow()["prediction"].to_pylist()
    [record_batch] = BATCH.to_batches()

    table = model.predict_batch(BATCH, keep=["id"])
    assert table.column_names == ["id", "prediction", "probability_cat", "probability_dog"]
    assert table["id"].to_pylist() == ["p", "q"]
    assert table["prediction"].to_pylist() == expected

    batch = model.predict_batch(record_batch, keep=["id"])
    assert isinstance(batch, pa.RecordBatch)
    assert pa.Table.from_batches([batch]).equals(table)

    arrays = {"x": np.array([-2.5, 1.5]), "color": np.array(["blue", "red"])}
    of_arrays = model.predict_batch(arrays)
    assert of_arrays["prediction"].tolist() == expected
    assert of_arrays["probability_cat"].dtype == np.float32


def test_one_column_to_keep_may_be_a_text(model):
    assert model.predict_batch(BATCH, keep="id") == model.predict_batch(BATCH, keep=["id"])


def test_a_batch_may_have_no_rows(model):
    [record_batch] = BATCH.to_batches()
    full = model.predict_batch(record_batch, keep=["id"])

    empty = model.predict_batch(record_batch.slice(0, 0), keep=["id"])

    assert (empty.num_rows, empty.schema) == (0, full.schema)


def test_numbers_in_texts_are_written_as_in_training_whatever_the_other_rows_are(model):
    """Of three digits behind a comma alone, a file's notation would be that of thousands."""
    texts = pa.table({"x": ["1,500"], "color": ["red"]})
    numbers = pa.table({"x": [1.5], "color": ["red"]})

    assert model.predict_batch(texts).equals(model.predict_batch(numbers))


def test_a_bad_value_is_an_error_or_missing(model):
    bad = pa.table({"x": ["much"], "color": ["red"]})

    with pytest.raises(dlcli.DataError, match="batch: row 1, column 'x': expected a finite number"):
        model.predict_batch(bad)
    assert model.predict_batch(bad, on_bad_row="warn").num_rows == 1
    with pytest.raises(dlcli.DataError, match="batch: has no columns"):
        model.predict_batch({})
    with pytest.raises(dlcli.DataError, match="has no column 'color', which the network reads"):
        model.predict_batch({"x": [1.0]})
    with pytest.raises(dlcli.UsageError, match="batch: has no column 'key' to keep"):
        model.predict_batch(BATCH, keep=["key"])


def test_a_model_is_pickled_in_little_more_than_its_weights(model):
    model.predict(BATCH)  # what is remembered for the next time is not sent
    weights = sum(each.nbytes for each in model.predictor.weights.values())

    assert len(pickle.dumps(model)) < weights + 10_000


@pytest.mark.slow
def test_another_process_predicts_the_same_without_tensorflow(model, tmp_path):
    Path(tmp_path, "model").write_bytes(pickle.dumps(model))
    script = (
        "import pickle, sys\n"
        "model = pickle.load(open(sys.argv[1], 'rb'))\n"
        "batch = model.predict_batch({'x': [-2.5, 1.5], 'color': ['blue', 'red']})\n"
        "print(batch['probability_cat'].tobytes().hex(), 'tensorflow' in sys.modules)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "model")]

    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    expected = model.predict_batch({"x": [-2.5, 1.5], "color": ["blue", "red"]})
    assert printed == f"{expected['probability_cat'].tobytes().hex()} False\n"


def test_a_table_in_memory_may_be_empty(model):
    prediction = model.predict(BATCH.slice(0, 0))
    assert len(prediction) == 0
