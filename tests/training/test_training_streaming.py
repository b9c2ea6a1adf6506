"""Rows streamed to the device in chunks train the same weights to the bit as resident ones."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dlcli.columns.layout import SparseRows
from dlcli.encoding import encoded_rows
from dlcli.encoding.encoded_rows import InMemoryInputs, InputsWriter
from dlcli.training import chunked_program, compiled_engine, compiled_program, randomness

DROPOUT = {"hidden": ({"units": 4, "activation": "tanh", "dropout": 0.3},)}
NORMALIZED = {
    "hidden": ({"units": 4, "activation": "tanh", "use_bias": False, "batch_normalization": {}},)
}
STOPPING = {
    "early_stopping": {"patience": 2},
    "learning_rate_schedule": {"name": "reduce_on_plateau", "patience": 1},
    "metrics": ("mae", "r2"),
    "epochs": 12,
}


def thinned(rows):
    """The same rows with a third of the entries 0."""
    matrix = rows.inputs.dense.copy()
    matrix[np.abs(matrix) < 0.4] = 0
    return replace(rows, inputs=InMemoryInputs(matrix))


def sparse(rows, dense=1):
    """The same rows with all but the first columns kept sparse."""
    matrix = rows.inputs.dense
    tail = matrix[:, dense:]
    places, columns = np.nonzero(tail)
    starts = np.searchsorted(places, np.arange(len(tail) + 1))
    part = SparseRows(starts, columns.astype(np.int32), tail[places, columns], tail.shape[1])
    return replace(rows, inputs=InMemoryInputs(matrix[:, :dense].copy(), (part,)))


def both_ways(job, form):
    """A job over rows in memory as one matrix, and over the same rows in another form."""
    held = replace(
        job, train=thinned(job.train), validation=job.validation and thinned(job.validation)
    )
    return held, replace(
        held, train=form(held.train), validation=held.validation and form(held.validation)
    )


def assert_same(one, other):
    assert one.history == other.history
    assert one.best_epoch == other.best_epoch
    for name, array in one.weights.items():
        assert array.tobytes() == other.weights[name].tobytes(), name


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Two batches a chunk, for rows three inputs wide and batches of four; validation by fours.

    Sparse rows are streamed, however few there are.
    """
    monkeypatch.setattr(compiled_program, "CHUNK_BYTES", 2 * 4 * 3 * 4)
    monkeypatch.setattr(encoded_rows, "MOST_FILLED", 0)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "rows", "jit_compile"),
    [
        (DROPOUT, 11, False),
        (DROPOUT, 12, False),
        (NORMALIZED, 11, False),
        pytest.param(NORMALIZED, 13, True, marks=pytest.mark.release),  # as below, from disk
    ],
    ids=["padded", "no rest", "normalized", "normalized xla"],
)
def test_sparse_rows_train_the_weights_of_dense_ones(config, rows, jit_compile, make_job):
    held, given = both_ways(make_job(config, rows=rows, weighted="train"), sparse)
    results = [compiled_engine.run(job, jit_compile, lambda *_: None) for job in (held, given)]
    assert_same(*results)


@pytest.mark.slow
def test_few_sparse_rows_are_a_matrix_while_they_are_trained_on(make_job, monkeypatch):
    held, given = both_ways(make_job(DROPOUT, rows=11, validation=5), sparse)
    order = np.arange(11)[::-1]
    selected = replace(given, train=given.train.select(order).select(order))
    assert not any(each.train.inputs.is_resident for each in (given, selected))
    monkeypatch.setattr(encoded_rows, "MOST_FILLED", 11 * 3)
    assert all(each.train.inputs.is_resident for each in (given, selected))
    monkeypatch.delattr(chunked_program, "StreamingProgram")
    jobs = held, given, selected
    first, *others = [compiled_engine.run(job, False, lambda *_: None) for job in jobs]
    for other in others:
        assert_same(first, other)
    monkeypatch.setattr(encoded_rows, "MOST_FILLED", 11 * 3 - 1)
    assert not given.train.inputs.is_resident


@pytest.mark.slow
def test_validation_stopping_and_plateau_are_the_same(make_job):
    job = make_job(STOPPING, rows=13, validation=9, weighted="train validation")
    held, given = both_ways(job, sparse)
    results = [compiled_engine.run(job, False, lambda *_: None) for job in (held, given)]
    assert_same(*results)
    assert results[0].epochs < 12


@pytest.mark.slow
def test_the_keras_engine_reads_sparse_rows_too(make_job, train):
    held, given = both_ways(make_job(DROPOUT, validation=7), sparse)
    assert_same(train(held, "keras"), train(given, "keras"))


@pytest.mark.slow
def test_a_two_level_order_comes_in_the_same_batches(make_job, monkeypatch):
    monkeypatch.setattr(encoded_rows, "BLOCK_ROWS", 3)
    monkeypatch.setattr(randomness, "GROUP", 2)
    monkeypatch.setattr(randomness, "WHOLE_GROUPS", 1)
    held, given = both_ways(make_job(DROPOUT, rows=23), sparse)
    results = [compiled_engine.run(job, False, lambda *_: None) for job in (held, given)]
    assert_same(*results)


def test_each_epoch_is_reported_once(make_job):
    _, given = both_ways(make_job({"epochs": 3}, validation=7), sparse)
    told = []
    compiled_engine.run(given, False, lambda epoch, values: told.append((epoch, list(values))))
    assert told == [
        (epoch, ["loss", "mae", "val_loss", "val_mae", "learning_rate"]) for epoch in (1, 2, 3)
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "jit_compile", "config"),
    [("dense", False, STOPPING), ("sparse", True, {"early_stopping": {"patience": 2}})],
    ids=["dense graph", "sparse xla"],
)
def test_rows_on_disk_train_the_weights_of_rows_in_memory(
    form, jit_compile, config, make_job, monkeypatch, tmp_path
):
    monkeypatch.setattr(encoded_rows, "BLOCK_ROWS", 3)
    monkeypatch.setattr(randomness, "GROUP", 2)
    monkeypatch.setattr(randomness, "WHOLE_GROUPS", 1)

    def on_disk(rows):
        """The same rows in files, written in two parts."""
        kept = sparse(rows).inputs if form == "sparse" else rows.inputs
        writer = InputsWriter(tmp_path, f"{len(rows.inputs)}")
        writer.append(rows_of(kept, 0, 5))
        writer.append(rows_of(kept, 5, len(kept)))
        return replace(rows, inputs=writer.finish())

    job = make_job(config, rows=23, validation=9, weighted="train validation")
    held, given = both_ways(job, on_disk)
    results = [compiled_engine.run(job, jit_compile, lambda *_: None) for job in (held, given)]
    assert_same(*results)


def rows_of(inputs, start, stop):
    """Adjacent rows, each part kept as it is."""
    parts = []
    for part in inputs.sparse:
        first, last = part.starts[start], part.starts[stop]
        entries = part.columns[first:last], part.values[first:last]
        parts.append(SparseRows(part.starts[start : stop + 1] - first, *entries, part.width))
    return InMemoryInputs(inputs.dense[start:stop], tuple(parts))
