"""Compact rows, expanded in the program or before, train the same weights to the bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from dlcli.columns.layout import Block, Layout
from dlcli.encoding.encoded_rows import InMemoryInputs, InputsWriter
from dlcli.network.layers import build_network
from dlcli.training import compiled_engine, compiled_program, expanding
from dlcli.training.compiled_program import expansion_of
from dlcli.training.expanding import expand

LAYOUT = Layout(
    (
        Block("age", "numeric", ("",) * 4, compact="bins"),
        Block("size", "numeric", ("",) * 4, compact="bins"),
        Block("size", "numeric", ("size is missing",)),
        Block("color", "numeric", ("",) * 3, compact="one_hot"),
        Block("fresh", "numeric", ("fresh",)),
    )
)
CONFIG = {
    "hidden": ({"units": 4, "activation": "tanh", "dropout": 0.2, "batch_normalization": {}},),
    "metrics": ("mae",),
    "early_stopping": {"patience": 2},
}


def draw_compact(rows, seed):
    """Bins and positions in them, a 0 or 1, one of three categories or none, and a number."""
    rng = np.random.default_rng(seed)

    def bins():
        return [rng.integers(0, 4, rows), rng.normal(size=rows)]

    columns = [*bins(), *bins(), rng.integers(0, 2, rows), rng.integers(0, 4, rows)]
    return np.stack([*columns, rng.normal(size=rows)], axis=1).astype(np.float32)


@pytest.fixture
def job(make_job):
    """A job over 23 compact training rows and 9 compact validation rows."""
    made = make_job(CONFIG, rows=23, validation=9, weighted="train")
    network = build_network(LAYOUT, made.config.hidden, made.head.output)
    train, validation = (
        replace(rows, inputs=InMemoryInputs(draw_compact(count, seed), (), LAYOUT.expansion))
        for rows, count, seed in ((made.train, 23, 1), (made.validation, 9, 2))
    )
    return replace(made, network=network, train=train, validation=validation)


@pytest.fixture
def in_program(monkeypatch):
    """Expand rows in the program, however few they are."""
    monkeypatch.setattr(compiled_program, "MOST_EXPANDED", 0)


def assert_same(one, other):
    assert one.history == other.history
    assert one.best_epoch == other.best_epoch
    for name, array in one.weights.items():
        assert array.tobytes() == other.weights[name].tobytes(), name


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
@pytest.mark.parametrize("by_input", [False, True])
@pytest.mark.parametrize("tabulated", [4, 3])
def test_a_program_expands_rows_to_the_bits_of_numpy(by_input, jit_compile, tabulated, monkeypatch):
    monkeypatch.setattr(expanding, "MOST_TABULATED", tabulated)
    compact = draw_compact(50, 3)
    compact[0, 1] = -0.0
    program = tf.function(
        lambda rows: expand(LAYOUT.expansion, rows, by_input=by_input), jit_compile=jit_compile
    )
    expected = LAYOUT.expansion.expand(compact)
    assert program(tf.constant(compact)).numpy().tobytes() == expected.tobytes()


@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_rows_train_the_same_weights_in_any_form(job, jit_compile, tmp_path, monkeypatch):
    def run(changed):
        return compiled_engine.run(changed, jit_compile, lambda *_: None)

    def as_inputs(rows):
        return replace(rows, inputs=InMemoryInputs(rows.inputs.part(0, len(rows.inputs))))

    def on_disk(rows):
        writer = InputsWriter(tmp_path, str(len(rows.inputs)))
        writer.append(rows.inputs)
        return replace(rows, inputs=writer.finish())

    whole, disk = (
        replace(job, train=form(job.train), validation=form(job.validation))
        for form in (as_inputs, on_disk)
    )
    assert whole.train.inputs.width == job.train.inputs.width == 13
    expected = run(whole)
    assert_same(run(job), expected)
    assert expansion_of(job) is None
    monkeypatch.setattr(compiled_program, "MOST_EXPANDED", 0)
    assert expansion_of(job) == expansion_of(disk) == LAYOUT.expansion
    assert_same(run(job), expected)
    assert_same(run(disk), expected)


@pytest.mark.usefixtures("in_program")
def test_the_device_has_compact_rows(job):
    with compiled_engine.open_program(job, False, None) as program:
        assert (program.train.matrix.shape, program.validation.matrix.shape) == ((23, 7), (9, 7))


@pytest.mark.usefixtures("in_program")
def test_keras_trains_about_the_same_weights(job, train):
    expected = train(job, "keras")
    for name, array in train(job, "graph").weights.items():
        np.testing.assert_allclose(array, expected.weights[name], rtol=1e-4, atol=1e-5)


@pytest.mark.usefixtures("in_program")
def test_jobs_share_a_program_only_if_their_rows_expand_alike(job):
    bins = Block("age", "numeric", ("",) * 8, compact="bins")
    other = Layout((bins, *LAYOUT.blocks[2:]))
    inputs = InMemoryInputs(np.zeros((23, 5), np.float32), (), other.expansion)
    changed = replace(job, train=replace(job.train, inputs=inputs))
    assert inputs.width == job.train.inputs.width
    assert compiled_engine.program_key(changed, False) != compiled_engine.program_key(job, False)
