"""Augmentation of images: shifts, flips and noise, the same in every engine.

The statistics are of fixed seeds, so each is one number that either lies within its bound or
doesn't; the bounds are five standard deviations of truly random numbers.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from dlcli.columns.image import Augmentation, ImageForm
from dlcli.columns.layout import Block, Layout
from dlcli.encoding.encoded_rows import EncodedRows, InMemoryInputs
from dlcli.keras_model import build_portable_model
from dlcli.network.layers import AugmentLayer, build_network
from dlcli.training import randomness
from dlcli.training.objectives import build_learner
from dlcli.training.randomness import (
    AugmentedImages,
    move_images,
    random_bits,
    step_keys,
    stream_keys,
)

# Keras's own plateau asks NumPy for a copy in the way of NumPy 1.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

EVERYTHING = {"shift": 1, "flip": True, "noise": 0.1}

#     1 2 3
#     4 5 6
SMALL = [1, 2, 3, 4, 5, 6]


def moved(down=0, right=0, flipped=0, image=SMALL, shape=(2, 3, 1)):
    given = (tf.constant([number], tf.int32) for number in (down, right, flipped))
    return move_images(tf.constant([image], tf.float32), shape, *given).numpy()[0].tolist()


@pytest.mark.parametrize(
    ("movement", "image"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"down": 1}, [0, 0, 0, 1, 2, 3]),
        ({"down": -1}, [4, 5, 6, 0, 0, 0]),
        ({"right": 1}, [0, 1, 2, 0, 4, 5]),
        ({"right": -2}, [3, 0, 0, 6, 0, 0]),
        ({"down": 1, "right": -1}, [0, 0, 0, 2, 3, 0]),
        ({"flipped": 1}, [3, 2, 1, 6, 5, 4]),
        ({"flipped": 1, "down": -1, "right": 1}, [0, 6, 5, 0, 0, 0]),
    ],
    ids=str,
)
def test_an_image_is_flipped_then_shifted_and_new_pixels_are_0(movement, image):
    assert moved(**movement) == image


def test_the_channels_of_a_pixel_stay_together():
    # Two adjacent pixels, red, green and blue each.
    assert moved(flipped=1, image=SMALL, shape=(1, 2, 3)) == [4, 5, 6, 1, 2, 3]
    assert moved(right=1, image=SMALL, shape=(1, 2, 3)) == [0, 0, 0, 1, 2, 3]


def test_each_row_moves_in_its_own_way():
    images = tf.constant([SMALL, SMALL], tf.float32)
    result = move_images(images, (2, 3, 1), *map(tf.constant, ([0, 1], [1, 0], [0, 1])))
    assert result.numpy().tolist() == [[0, 1, 2, 0, 4, 5], [0, 0, 0, 3, 2, 1]]


def layer(shape, start=0, seed=0, index=0, moment=(0, 0), **augmentation):
    images = AugmentLayer("augmentation_1", start, shape, Augmentation(**augmentation))
    streams = [2**31 + 2 * index, 2**31 + 2 * index + 1]
    known = stream_keys(seed, streams)

    def draw(rows, width, stream):
        keys = step_keys(tf.constant(known), *(tf.constant(part, tf.uint32) for part in moment))
        return random_bits(rows, width, keys[streams.index(stream)])

    return AugmentedImages(images, draw, index)


def test_all_shifts_are_equally_frequent():
    image = np.zeros((1, 25), np.float32)
    image[0, 12] = 1  # the middle
    result = layer((5, 5, 1), shift=2)(np.tile(image, (9000, 1)), training=True).numpy()
    assert (result.sum(axis=1) == 1).all()  # no point is lost
    # 9,000 rows among 25 places: 360 each, with a deviation of √(360 · 24/25) = 18.6.
    assert np.abs(result.sum(axis=0) - 360).max() < 5 * 18.6


def test_half_of_the_images_are_flipped():
    # A point left of the middle is at the right where flipped: 4,500 of 9,000 ± √(9,000)/2 = 47.
    image = np.array([[1, 0, 0]], np.float32)
    result = layer((1, 3, 1), flip=True)(np.tile(image, (9000, 1)), training=True).numpy()
    assert set(map(tuple, result.tolist())) == {(1, 0, 0), (0, 0, 1)}
    assert abs(result[:, 2].sum() - 4500) < 5 * 47


def test_flips_are_independent_of_shifts():
    # Three equal rows, of which the middle one stays full; flipped, the 2 is left of the 1.
    images = np.tile(np.array([0, 0, 1, 2, 0, 0], np.float32), (9000, 3))
    result = layer((3, 6, 1), shift=1, flip=True)(images, training=True).numpy()[:, 6:12]
    place = result.argmax(axis=1)
    flipped = place < (result == 1).argmax(axis=1)
    right = place - np.where(flipped, 2, 3)
    assert set(right) == {-1, 0, 1}
    assert abs(np.corrcoef(flipped, right)[0, 1]) < 5 / np.sqrt(9000)


def test_noise_is_normal_with_the_configured_deviation():
    noise = layer((5, 5, 1), noise=0.2)(np.zeros((4000, 25), np.float32), training=True).numpy()
    drawn = np.sort(noise.ravel() / 0.2)
    # 100,000 draws: deviations of 0.0032 for the mean, and of 0.0022 for the deviation.
    assert abs(drawn.mean()) < 5 * 0.0032
    assert abs(drawn.std() - 1) < 5 * 0.0022
    # Quantiles of the standard normal distribution, from a table; √(p(1−p)/n)/density(q).
    for share, quantile, deviation in [
        (0.5, 0, 0.004),
        (0.975, 1.96, 0.0085),
        (0.001, -3.09, 0.03),
    ]:
        assert abs(drawn[int(share * drawn.size)] - quantile) < 5 * deviation


def test_noise_may_leave_the_range_of_pixels():
    # A pixel cut off at 0 would be brighter in training than at prediction, in the mean.
    noise = layer((10, 10, 1), noise=0.2)(np.zeros((10, 100), np.float32), training=True).numpy()
    assert noise.min() < 0


def test_noise_is_independent_between_pixels_and_rows():
    noise = layer((10, 10, 1), noise=1.0)(np.zeros((500, 100), np.float32), training=True).numpy()
    pairs = [(noise[:, :-1], noise[:, 1:]), (noise[:-1], noise[1:]), (noise[:, :50], noise[:, 50:])]
    for one, other in pairs:
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 5 / np.sqrt(one.size)


def test_noise_changes_nothing_about_the_shifts():
    image = np.zeros((50, 25), np.float32)
    image[:, 12] = 100
    plain = layer((5, 5, 1), shift=2)(image, training=True).numpy()
    noisy = layer((5, 5, 1), shift=2, noise=0.1)(image, training=True).numpy()
    assert (noisy.argmax(axis=1) == plain.argmax(axis=1)).all()


@pytest.mark.parametrize(
    "other",
    [{"seed": 1}, {"index": 1}, {"moment": (1, 0)}, {"moment": (0, 1)}],
    ids=["seed", "layer", "epoch", "step"],
)
def test_images_vary_with(other):
    images = np.random.default_rng(0).random((20, 25), np.float32)
    first, again, changed = (
        layer((5, 5, 1), **EVERYTHING, **given)(images, training=True).numpy()
        for given in ({}, {}, other)
    )
    assert (first == again).all()
    assert np.abs(first - changed).max(axis=1).min() > 0


def test_the_variation_of_a_row_does_not_depend_on_other_rows():
    images = np.random.default_rng(0).random((6, 25), np.float32)
    whole = layer((5, 5, 1), **EVERYTHING)(images, training=True).numpy()
    others = np.vstack([images[:2], np.full((1, 25), np.nan, np.float32)])
    assert (layer((5, 5, 1), **EVERYTHING)(others, training=True).numpy()[:2] == whole[:2]).all()


def test_other_inputs_stay_unchanged():
    rows = np.arange(40, dtype=np.float32).reshape(4, 10)
    result = layer((2, 3, 1), start=3, **EVERYTHING)(rows, training=True).numpy()
    assert (result[:, :3] == rows[:, :3]).all()
    assert (result[:, 9:] == rows[:, 9:]).all()
    assert (result[:, 3:9] != rows[:, 3:9]).all()


def test_nothing_happens_outside_training():
    rows = np.arange(24, dtype=np.float32).reshape(4, 6)
    assert (layer((2, 3, 1), **EVERYTHING)(rows, training=False).numpy() == rows).all()


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "xla"])
def test_images_are_moved_to_the_bit_alike_wherever_it_is_computed(jit_compile):
    images = np.random.default_rng(0).random((7, 24), np.float32)
    varied = layer((4, 2, 3), shift=1, flip=True, moment=(3, 2**31))
    call = tf.function(lambda rows: varied(rows, training=True), jit_compile=jit_compile)
    assert (call(images).numpy() == varied(images, training=True).numpy()).all()


def image_job(make_job, rows, varied, **config):
    """A job over a number, a gray image of 3×4 pixels and a color image of 2×2."""
    job = make_job(config, rows=rows, validation=6)
    layout = Layout(
        (
            Block("n", "numeric", ("n",)),
            Block("a", "image", ("",) * 12, ImageForm((3, 4, 1), varied)),
            Block("b", "image", ("",) * 12, ImageForm((2, 2, 3), varied)),
        )
    )
    return replace(
        job,
        network=build_network(layout, job.config.hidden, job.head.output),
        train=drawn(job.train.target, 1),
        validation=drawn(job.validation.target, 2),
    )


def drawn(target, seed):
    matrix = np.random.default_rng(seed).random((len(target), 25), np.float32)
    return EncodedRows(InMemoryInputs(matrix), target, None)


DROPPING = {"units": 4, "activation": "tanh", "dropout": 0.3}
NORMALIZED = {"units": 4, "activation": "tanh", "use_bias": False, "batch_normalization": {}}


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    ("rows", "hidden", "engine"),
    [
        pytest.param(13, DROPPING, "graph", marks=pytest.mark.release),  # as in float32, below
        pytest.param(11, NORMALIZED, "graph", marks=pytest.mark.release),
        pytest.param(13, DROPPING, "xla", marks=pytest.mark.release),
    ],
    ids=["a padded rest", "a rest of its own shape", "a padded rest under xla"],
)
def test_in_float64_the_engines_agree_over_many_steps(rows, hidden, engine, make_job, train):
    job = image_job(make_job, rows, Augmentation(**EVERYTHING), epochs=15, hidden=(hidden,))
    check_alike(train(job, "keras"), train(job, engine), 1e-12)


@pytest.mark.slow
def test_in_float32_the_engines_agree_over_few_steps(make_job, train):
    job = image_job(make_job, 13, Augmentation(**EVERYTHING), hidden=(DROPPING,))
    check_alike(train(job, "keras"), train(job, "graph"), 2e-6)


@pytest.mark.release
def test_in_half_precision_the_engines_agree_over_few_steps(make_job, train):
    """For releases: images vary in float32, and test_training_equality has half precision."""
    job = image_job(make_job, 13, Augmentation(**EVERYTHING), precision="mixed_bfloat16")
    check_alike(train(job, "keras"), train(job, "graph"), 1e-3)


def check_alike(expected, result, tolerance):
    for name, weight in expected.weights.items():
        np.testing.assert_allclose(result.weights[name], weight, rtol=0, atol=tolerance)
    for name, values in expected.history.items():
        # The history is rounded to float32 whatever training computes in.
        wanted = max(tolerance, 2e-7)
        np.testing.assert_allclose(result.history[name], values, rtol=wanted, atol=wanted)


@pytest.mark.slow
def test_training_sees_varied_images(make_job, train):
    plain = train(image_job(make_job, 13, None), "graph")
    varied = train(image_job(make_job, 13, Augmentation(**EVERYTHING)), "graph")
    assert plain.history["loss"] != varied.history["loss"]


def test_a_trained_model_has_layers_for_varying_images_and_the_portable_one_has_none(make_job):
    job = image_job(make_job, 13, Augmentation(**EVERYTHING))
    learner = build_learner(job)
    assert [item.name for item in learner.model.layers] == [
        "input",
        "augmentation_1",
        "augmentation_2",
        "hidden_1",
        "output",
    ]
    portable = build_portable_model(job.network, job.task)
    assert not any("augmentation" in item.name for item in portable.layers)
    assert not any(isinstance(item, AugmentedImages) for item in portable.layers)


def test_two_images_of_a_row_vary_independently(make_job):
    job = image_job(make_job, 13, Augmentation(noise=1.0))
    learner = build_learner(job)
    learner.begin_step(tf.constant(0), tf.constant(0))
    layers = [item for item in learner.model.layers if "augmentation" in item.name]
    rows = np.zeros((50, 25), np.float32)
    first, second = (item(rows, training=True).numpy() for item in layers)
    assert abs(np.corrcoef(first[:, 1:13].ravel(), second[:, 13:].ravel())[0, 1]) < 5 / np.sqrt(600)


def test_each_random_layer_has_its_own_stream(make_job, monkeypatch):
    drawn = []

    def recorded(rows, width, keys, positions):
        drawn.append(keys.numpy().tolist())
        return random_bits(rows, width, keys, positions)

    job = image_job(make_job, 13, Augmentation(**EVERYTHING), hidden=(DROPPING, DROPPING))
    learner = build_learner(job)
    learner.begin_step(tf.constant(4), tf.constant(2))
    monkeypatch.setattr(randomness, "random_bits", recorded)
    learner.model(np.zeros((2, 25), np.float32), training=True)

    streams = [0, 1, 2**31, 2**31 + 1, 2**31 + 2, 2**31 + 3]
    keys = step_keys(tf.constant(stream_keys(job.config.seed, streams)), 4, 2)
    assert sorted(drawn) == sorted(keys.numpy().tolist())
