"""No skew from end to end: what training predicted is what everybody predicts ever after."""

from __future__ import annotations

import keras
import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from mixed_table import FEATURES, mixed_table, write_images

from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_file import load_config
from dlcli.pipeline.train_run import train
from dlcli.tables.table_files import read_table

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("no_linear_baseline"),
    # Keras's own `Model.save` asks NumPy for a copy in the way of NumPy 1.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

CONFIG = f"""\
data: {{train: t.csv, target: y, validation: 0.2, test: 0.2}}
input:
{FEATURES}
hidden: [{{units: 6, activation: tanh, batch_normalization: true, dropout: 0.1}}]
epochs: 3
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on a table of every type, in whose folder its table lies, as CSV and as Parquet."""
    folder = tmp_path_factory.mktemp("mixed")
    write_images(folder)
    pyarrow.csv.write_csv(mixed_table(), folder / "t.csv")
    pq.write_table(mixed_table(), folder / "t.parquet")
    (folder / "c.yaml").write_text(CONFIG)
    return train(load_config(folder / "c.yaml"), folder / "run")


def held_out(run):
    """The places of the held-out rows in the table, and their stored predictions."""
    stored = pq.read_table(run.path / "predictions.parquet")
    rows = np.array(stored.column("row").to_pylist()) - 1
    return rows, np.array(stored.column("prediction").to_pylist())


@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_the_predictor_repeats_the_predictions_of_training_to_the_bit(run, name):
    rows, stored = held_out(run)
    table = read_table(run.path.parent / name)
    predicted = run.predictor.predict(table, ValueProblems()).decoded[:, 0]
    assert len(rows) == 16
    np.testing.assert_array_equal(predicted[rows], stored)


def test_the_stored_model_predicts_the_same_from_the_encoded_matrix(run):
    rows, stored = held_out(run)
    table = read_table(run.path.parent / "t.csv").take(rows)
    inputs = run.predictor.encoding.transform(table, ValueProblems())
    model = keras.models.load_model(run.path / "model.keras")
    predicted = model.predict(inputs.part(0, len(inputs)), verbose=0)[:, 0]
    np.testing.assert_allclose(predicted, stored, rtol=1e-5)
