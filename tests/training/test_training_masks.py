"""Dropout masks: the same bits everywhere, and good ones.

The statistics are of fixed seeds, so each is one number that is either within its bound or
not; the bounds are five standard deviations of truly random draws.
"""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from dlcli.training.randomness import MaskedDropout, random_bits, step_keys, stream_keys


def keys_of(seed, stream, epoch, step):
    """The keys of a stream in a step, next to those of other streams."""
    with tf.init_scope():  # outside of the program that is traced
        known = stream_keys(seed, [stream ^ 1, stream])
    keys = tf.constant(known)
    return step_keys(keys, *(tf.cast(part, tf.uint32) for part in (epoch, step)))[1]


def bits(rows=256, units=64, seed=0, layer=0, epoch=0, step=0):
    return random_bits(rows, units, keys_of(seed, layer, epoch, step)).numpy()


def mix(x):
    """`lowbias32`, from its description, on NumPy's uint32."""
    x = np.asarray(x, np.uint32)
    x = x ^ (x >> np.uint32(16))
    x = x * np.uint32(0x7FEB352D)
    x = x ^ (x >> np.uint32(15))
    x = x * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


@np.errstate(over="ignore")
def expected_bits(rows, units, seed, layer, epoch, step):
    key = mix(seed)
    for part in (layer, epoch, step):
        key = mix(key + np.uint32(part) + np.uint32(0x9E3779B9))
    counter = np.arange(rows * units, dtype=np.uint32)
    return mix(mix(counter + key) ^ mix(key)).reshape(rows, units)


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [None, False, True], ids=["eager", "graph", "xla"])
@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1])
def test_bits_are_those_of_the_hash_in_every_engine(seed, jit_compile):
    def draw(epoch, step):
        return random_bits(7, 5, keys_of(seed, 2, epoch, step))

    if jit_compile is not None:
        draw = tf.function(draw, jit_compile=jit_compile)
    result = draw(*(tf.constant(part, tf.uint32) for part in (3, 2**31))).numpy()
    assert result.dtype == np.uint32
    assert (result == expected_bits(7, 5, seed, 2, 3, 2**31)).all()


def test_a_smaller_batch_has_the_first_rows_of_a_larger_ones_mask():
    assert (bits(rows=3) == bits(rows=9)[:3]).all()


def test_every_bit_is_set_half_of_the_time():
    # 131,072 draws: a share's deviation is 0.00138.
    drawn = bits(rows=1024, units=128).ravel()
    shares = [(drawn >> np.uint32(bit) & np.uint32(1)).mean() for bit in range(32)]
    assert np.abs(np.array(shares) - 0.5).max() < 5 * 0.00138


@pytest.mark.parametrize("byte", range(4))
def test_bytes_are_spread_evenly(byte):
    # Chi-square of 255 degrees of freedom: 255 ± √510.
    drawn = bits(rows=1024, units=128).ravel() >> np.uint32(8 * byte) & np.uint32(255)
    expected = drawn.size / 256
    chi_square = ((np.bincount(drawn, minlength=256) - expected) ** 2 / expected).sum()
    assert abs(chi_square - 255) < 5 * np.sqrt(510)


def neighbours():
    here = bits()
    yield "units", here[:, :-1], here[:, 1:]
    yield "rows", here[:-1], here[1:]
    for name in ("seed", "layer", "epoch", "step"):
        yield name, here, bits(**{name: 1})
        yield f"{name} far away", here, bits(**{name: 2**31})
    yield "epoch and step swapped", bits(epoch=1), bits(step=1)
    yield "layer and epoch swapped", bits(layer=1), bits(epoch=1)
    yield "seed and layer swapped", bits(seed=1), bits(layer=1)
    # A sum of parts would give these the same key.
    yield "an epoch on, a step back", bits(epoch=1, step=1), bits(epoch=2, step=0)
    yield "a mask one row on", bits(step=5)[1:], bits(step=6)[:-1]


@pytest.mark.parametrize(
    ("one", "other"), [pytest.param(*pair, id=name) for name, *pair in neighbours()]
)
def test_adjacent_masks_are_independent(one, other):
    one, other = one.ravel(), other.ravel()
    bound = 5 / np.sqrt(one.size)
    assert abs(np.corrcoef(one, other)[0, 1]) < bound
    assert abs(np.corrcoef(one >> np.uint32(31), other >> np.uint32(31))[0, 1]) < bound
    # Half of all bits differ: 32 a draw, each with a deviation of 1/2.
    differing = np.unpackbits((one ^ other).view(np.uint8)).mean()
    assert abs(differing - 0.5) < 5 * 0.5 / np.sqrt(32 * one.size)


@pytest.mark.slow
def test_no_two_masks_of_a_training_are_alike():
    masks = {
        bits(1, 8, seed, layer, epoch, step).tobytes()
        for seed in range(4)
        for layer in range(4)
        for epoch in range(4)
        for step in range(4)
    }
    assert len(masks) == 4**4


def dropout(rate, seed=0, moment=(0, 0)):
    def draw(rows, width, stream):
        return random_bits(rows, width, keys_of(seed, stream, *moment))

    return MaskedDropout("hidden_1_dropout", round(rate * 2**32), 1 / (1 - rate), draw, 0)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_a_layer_keeps_one_minus_its_rate(rate):
    kept = dropout(rate)(tf.ones((1000, 64)), training=True).numpy() > 0
    assert abs(kept.mean() - (1 - rate)) < 5 * np.sqrt(rate * (1 - rate) / kept.size)


def test_kept_entries_are_divided_by_the_share_that_is_kept():
    result = dropout(0.75)(tf.fill((100, 64), 3.0), training=True).numpy()
    assert set(np.unique(result)) == {0.0, 12.0}


def test_a_layer_does_nothing_outside_training():
    rows = tf.random.normal((5, 64), seed=1)
    assert (dropout(0.9)(rows, training=False).numpy() == rows.numpy()).all()


def test_a_layer_drops_where_the_bits_are_below_its_rate():
    result = dropout(0.5, seed=9, moment=(4, 2))(tf.ones((6, 64)), training=True).numpy()
    assert ((result == 0) == (expected_bits(6, 64, 9, 0, 4, 2) < 2**31)).all()
