"""Linear models in NumPy: the steps of the compiled engine, without a program."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dlcli.columns.layout import Expansion, Run, SparseRows
from dlcli.encoding.encoded_rows import EncodedRows, InMemoryInputs, OnDiskInputs
from dlcli.errors import DivergenceError
from dlcli.training import linear_engine
from dlcli.training.engines import train_job
from dlcli.training.linear_engine import MOST_OPERATIONS, LinearEngine

STARTING_AT = {"name": "constant", "value": 0.5}
RECIPE = {
    "hidden": (),
    "output": {"kernel_initializer": {"name": "zeros"}, "bias_initializer": STARTING_AT},
    "optimizer": {"name": "adam", "learning_rate": 0.1},
    "learning_rate_schedule": {"name": "cosine_decay"},
    "metrics": (),
}
KEEPING_BEST = {"early_stopping": {"patience": 1000}}


@pytest.fixture
def make_linear(make_job):
    """A job by the recipe of the linear baseline, with changes."""

    def make(target="number", config=None, **rows):
        given = {**RECIPE, **(KEEPING_BEST if rows.get("validation") else {}), **(config or {})}
        if target == "count":
            given = {"loss": "poisson", **given}
        return make_job(given, target, **rows)

    return make


def suits(job):
    sets = [rows for rows in (job.train, job.validation) if rows is not None]
    return LinearEngine.suits(job.config, job.network, job.head.loss, *sets)


def train_linear(job, checkpointer=None):
    told = []
    more = () if checkpointer is None else (checkpointer,)
    return train_job(job, LinearEngine(), lambda *each: told.append(each), *more), told


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    ("target", "rows"),
    [
        ("numbers", {"rows": 13, "validation": 6}),  # the last batch of an epoch has one row
        ("two", {"rows": 13, "validation": 6, "weighted": "train validation"}),
        ("four", {"rows": 4, "weighted": "train"}),  # all rows at once
        ("labels", {"rows": 13, "validation": 6, "weighted": "train"}),
        ("count", {"rows": 13, "validation": 6}),
        ("count", {"rows": 13, "validation": 6, "loss": {"name": "tweedie", "power": 1.3}}),
        ("count", {"rows": 13, "weighted": "train", "loss": "gamma"}),
        (
            "number",
            {"rows": 13, "validation": 6, "loss": {"name": "quantile", "levels": (0.2, 0.9)}},
        ),
    ],
)
def test_weights_history_and_best_epoch_are_those_of_the_compiled_engine(
    make_linear, train, target, rows
):
    loss = {key: rows[key] for key in ("loss",) if key in rows}
    rows = {key: value for key, value in rows.items() if key not in loss}
    job = make_linear(target, {"epochs": 60, **loss}, **rows)
    assert suits(job)
    found, told = train_linear(job)
    wanted = train(job, "graph")
    for name, array in wanted.weights.items():  # Keras computes learning rates in float32
        assert found.weights[name] == pytest.approx(array, rel=1e-4, abs=1e-5)
        assert found.weights[name].dtype == array.dtype
    assert found.history.keys() == wanted.history.keys()
    for name, values in wanted.history.items():
        assert found.history[name] == pytest.approx(values, rel=1e-4, abs=1e-7)
    assert found.best_epoch == wanted.best_epoch
    assert [epoch for epoch, _ in told] == [*range(1, 61)]


def in_compressed_rows(rows):
    """The same rows, of which the second input and the last ones are stored sparse, as a part of
    more rows in another order."""
    dense = rows.inputs.dense
    sparse = dense[:, 1:].copy()
    filled = np.flatnonzero(sparse)
    entries = SparseRows(
        np.arange(len(sparse) + 1) * sparse.shape[1],
        (filled % sparse.shape[1]).astype(np.int32),
        sparse.ravel(),
        sparse.shape[1],
    )
    whole = EncodedRows(InMemoryInputs(dense[:, :1], (entries,)), rows.target, rows.weights)
    order = np.arange(len(dense))[::-1]
    return whole.select(order).select(order)


@pytest.mark.parametrize("target", ["number", "four"])
def test_sparse_rows_train_the_weights_of_dense_ones(make_linear, target):
    job = make_linear(target, {"epochs": 40}, rows=13, validation=6, weighted="train")
    train, validation = map(in_compressed_rows, (job.train, job.validation))
    sparse = replace(job, train=train, validation=validation)
    assert train.inputs.stored.sparse
    assert suits(sparse)
    found, _ = train_linear(sparse)
    wanted, _ = train_linear(job)
    for name, array in wanted.weights.items():
        assert found.weights[name] == pytest.approx(array, rel=1e-4, abs=1e-6)
    for name, values in wanted.history.items():
        assert found.history[name] == pytest.approx(values, rel=1e-5)


@pytest.mark.parametrize("numbers", [0, 1, 2])
def test_sparse_rows_may_follow_compact_categories(numbers):
    entries = SparseRows(np.array([0, 1, 3]), np.array([2, 0, 3], np.int32), np.ones(3, "f"), 4)
    dense = np.array([[1, *range(numbers)], [3, *range(numbers)]], np.float32)
    expansion = Expansion((Run("one_hot", 3), Run(None, numbers + 4)))
    inputs = InMemoryInputs(dense, (entries,), expansion)
    assert linear_engine._matrix(inputs).toarray() == pytest.approx(inputs.part(0, 2))


def test_the_best_epoch_by_validation_loss_is_kept(make_linear):
    # Few training rows, and validation rows that do not follow them: the loss there soon rises.
    job = make_linear(config={"epochs": 60, "batch_size": 3}, rows=3, validation=50)
    found, _ = train_linear(job)
    losses = found.history["val_loss"]
    assert found.best_epoch == 1 + losses.index(min(losses)) < 60
    shorter, _ = train_linear(replace(job, until=found.best_epoch))
    assert all((shorter.weights[name] == array).all() for name, array in found.weights.items())
    sums = job.validation.inputs.dense @ found.weights["output/kernel"]
    errors = sums + found.weights["output/bias"] - job.validation.target
    assert np.square(errors).mean() == pytest.approx(min(losses), rel=1e-5)


def test_a_divergence_names_the_epoch(make_linear):
    job = make_linear("count", {"optimizer": {"name": "adam", "learning_rate": 1e4}})
    with pytest.raises(DivergenceError, match="the loss became (inf|nan) in epoch 1"):
        train_linear(job)


def test_a_checkpointer_can_end_it_after_any_epoch(make_linear):
    class Ended(Exception):
        pass

    class Ending:
        is_due = True

        def save(self, checkpoint):
            raise Ended(checkpoint.epochs)

    with pytest.raises(Ended, match="1"):
        train_linear(make_linear(), Ending())


@pytest.mark.parametrize(
    "config",
    [
        {"loss": "huber"},
        {"output": {**RECIPE["output"], "activation": {"name": "softplus"}}},
        {"hidden": ({"units": 2},)},
    ],
    ids=["another loss", "another activation", "a hidden layer"],
)
def test_other_models_are_for_the_other_engines(make_linear, config):
    assert suits(make_linear())
    assert not suits(make_linear(config=config))


def test_rows_outside_memory_are_for_the_other_engines(make_linear, tmp_path):
    job = make_linear()
    on_disk = replace(job.train, inputs=OnDiskInputs(tmp_path / "inputs", (1, 1)))
    assert not LinearEngine.suits(job.config, job.network, job.head.loss, job.train, on_disk)


def test_models_of_long_steps_are_for_the_other_engines(make_linear):
    job = make_linear(config={"batch_size": 500}, rows=500)
    width = MOST_OPERATIONS // (6 * 500)
    for inputs, expected in ((width - 1, True), (width, False)):
        layer = replace(job.network.layers[0], inputs=inputs)
        network = replace(job.network, layers=(layer,))
        assert LinearEngine.suits(job.config, network, job.head.loss, job.train) is expected
