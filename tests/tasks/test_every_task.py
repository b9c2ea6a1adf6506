"""What holds for every kind of task: JSON and stored columns and back, metrics, baselines."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from dlcli.columns.scaling import LinearScaling
from dlcli.columns.value_problems import ValueProblems
from dlcli.config.config_schema import Config, Output
from dlcli.config.data_section import Data
from dlcli.config.training_choices import BinaryCrossentropy, Hinge, MeanSquaredError, Poisson
from dlcli.encoding.table_encoding import Encoding
from dlcli.metrics.definitions import METRICS
from dlcli.tables.table import Table
from dlcli.tasks.classification import Binary, Multiclass, Multilabel
from dlcli.tasks.regression import Counts, Regression
from dlcli.tasks.task import DecodedRows, StoredPredictions

SCALINGS = (
    LinearScaling(name="standard", offset=30.0, scale=4.0),
    LinearScaling(name="log1p", offset=1.0, scale=0.5),
)
TASKS = {
    "regression": (
        Regression(columns=("u", "v"), scalings=SCALINGS),
        {"u": [1.5, -2.0, 30.0], "v": [0.5, 2.0, 7.0]},
    ),
    "counts": (Counts(columns=("n",)), {"n": [0, 3, 2]}),
    "binary": (
        Binary(columns=("y",), classes=("7", "9"), stored="integer"),
        {"y": [9, 7, 9]},
    ),
    "multiclass": (
        Multiclass(columns=("y",), classes=("a", "b", "c", "d")),
        {"y": ["d", "a", "b"]},
    ),
    "multilabel": (
        Multilabel(columns=("p", "q"), labels=("p", "q")),
        {"p": [1, 0, 1], "q": [0] * 3},
    ),
    "labels in one column": (
        Multilabel(columns=("tags",), labels=("a", "b"), delimiter="|"),
        {"tags": ["b|a", "", "b"]},
    ),
}

DATA = Data(train="t.csv", target="y")


@pytest.fixture(params=TASKS)
def task(request):
    return TASKS[request.param][0]


@pytest.fixture
def table(task):
    data = pa.table(next(columns for each, columns in TASKS.values() if each is task))
    return Table("t.csv", data, np.arange(1, 4))


@pytest.fixture
def outputs(task):
    values = np.random.default_rng(0).dirichlet(np.ones(max(task.width, 2)), 3)
    return values[:, : task.width].astype(np.float32)


def stored(columns):
    return StoredPredictions(pa.table(columns), "predictions.parquet")


def test_a_task_goes_to_json_and_back(task):
    encoding = Encoding(features=(), task=task)
    assert Encoding.model_validate_json(encoding.model_dump_json()) == encoding


@pytest.mark.parametrize("loss", [Hinge(), Poisson()])
def test_the_loss_is_no_part_of_a_tasks_json(task, loss):
    assert task.for_loss(loss).model_dump_json() == task.model_dump_json()


def test_true_values_are_read_back_from_their_columns(task, table):
    values = task.values(table, ValueProblems())
    again = task.read_values(stored(task.value_columns(values, "target")), "target")
    assert again.tolist() == values.tolist()


def test_decoded_outputs_are_read_back_from_their_columns(task, outputs):
    decoded = task.decode(outputs)
    predicted = task.value_columns(task.predict(decoded), "prediction")
    again = task.read_decoded(stored({**predicted, **task.score_columns(outputs)}))
    assert again.tolist() == decoded.tolist()


@pytest.mark.parametrize("weights", [None, np.array([0.5, 2.0, 1.0])], ids=["plain", "weighted"])
def test_statistics_have_the_names_and_values_of_metrics(task, table, outputs, weights):
    rows = DecodedRows(task.values(table, ValueProblems()), task.decode(outputs), weights)
    metrics = {n: v for n, v in task.metrics(rows).items() if n in METRICS}
    found = {name: statistic.value for name, statistic in task.statistics(rows).items()}
    assert found == {n: v if v is None else pytest.approx(v) for n, v in metrics.items()}


def test_a_constant_prediction_has_the_width_of_the_output(task, table):
    loss = task.default_loss(Output())
    output = Output(units=task.output_units(loss))
    config = Config.model_construct(loss=loss, output=output, class_weight=None, data=DATA)
    assert task.constant_outputs(table, None, config).shape == (output.units,)


@pytest.mark.parametrize(
    ("task", "loss", "has", "lacks"),
    [
        (TASKS["counts"][0], Poisson(), "poisson_deviance", "auc"),
        (TASKS["counts"][0], MeanSquaredError(), "r2", "poisson_deviance"),
        (TASKS["binary"][0], BinaryCrossentropy(), "log_loss", "rmse"),
        (TASKS["binary"][0], Hinge(), "auc", "log_loss"),
    ],
)
def test_the_names_of_metrics_follow_from_task_and_loss(task, loss, has, lacks):
    names = task.metric_names(loss)
    assert has in names
    assert lacks not in names
