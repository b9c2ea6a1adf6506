"""Early stopping and the plateau equal Keras's own callbacks.

They follow the same epochs, given or trained, whose values are so noisy that each option changes
what happens. In float64, where no comparison hangs on rounding.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from dlcli.training.compiled_program import EpochMonitor, State
from dlcli.training.keras_engine import ToleratingEarlyStopping
from dlcli.training.objectives import build_learner

pytestmark = [
    pytest.mark.usefixtures("float64"),
    # Keras's own callback asks NumPy for a copy in the way of NumPy 1.
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]

NOISY = {"optimizer": {"name": "sgd", "learning_rate": 0.3}, "epochs": 40, "metrics": ("r2", "mae")}
STOPPING = {
    "patience 0": {"patience": 0},
    "patience 1": {"patience": 1},
    "patience 3": {"patience": 3},
    "last weights kept": {"patience": 3, "restore_best_weights": False},
    "a large smallest change": {"patience": 3, "min_delta": 0.1},
    "a late start": {"patience": 1, "start_from_epoch": 6},
    "a late start without patience": {"patience": 0, "start_from_epoch": 3},
    "a start at the last epoch": {"patience": 1, "start_from_epoch": 39},
    "more patience than epochs": {"patience": 100},
    "training loss": {"monitor": "loss", "patience": 1},
    "larger is better": {"monitor": "val_r2", "patience": 3},
    "larger is better by far": {"monitor": "val_r2", "patience": 3, "min_delta": 0.05},
    "a metric of training": {"monitor": "mae", "patience": 2},
    "tolerance": {"patience": 3, "tolerance": 0.2},
    "tolerance without patience": {"patience": 0, "tolerance": 0.3},
    "tolerance where larger is better": {"monitor": "val_r2", "patience": 2, "tolerance": 0.06},
    "tolerance and a late start": {"patience": 2, "tolerance": 0.2, "start_from_epoch": 6},
}
PLATEAU = {
    "patience 0": {"patience": 0, "factor": 0.9},
    "patience 1": {"patience": 1, "factor": 0.5},
    "patience 3": {"patience": 3, "factor": 0.5},
    "cooldown": {"patience": 1, "factor": 0.5, "cooldown": 3},
    "cooldown without patience": {"patience": 0, "factor": 0.7, "cooldown": 2},
    "a lowest rate": {"patience": 1, "factor": 0.5, "min_lr": 0.1},
    "a lowest rate above the first": {"patience": 0, "factor": 0.5, "min_lr": 0.4},
    "a large smallest change": {"patience": 2, "factor": 0.5, "min_delta": 0.2},
    "larger is better": {"monitor": "val_r2", "patience": 2, "factor": 0.5},
    "training loss": {"monitor": "loss", "patience": 1, "factor": 0.5},
}
ENDLESS = {"a start at the last epoch", "more patience than epochs"}


def noisy_epochs():
    """Values of 40 epochs, which improve, get worse and now and then are equal."""
    lot = np.random.default_rng(227)
    trend = 1.5 + np.abs(np.arange(40) - 20) / 10
    names = ("loss", "val_loss", "mae", "val_mae", "r2", "val_r2")
    values = {name: trend + lot.normal(scale=0.2, size=40) for name in names}
    values |= {name: -values[name] / 4 for name in ("r2", "val_r2")}
    values = {name: each.round(2 if "r2" in name else 1) for name, each in values.items()}
    return [{name: float(column[epoch]) for name, column in values.items()} for epoch in range(40)]


EPOCHS = noisy_epochs()


@pytest.fixture
def follow(make_job):
    """Follow `EPOCHS` with Keras's callback and with the compiled engine's monitor.

    All weights are the epoch's number.

    Returns:
        for each of both: learning rates by epoch, the best epoch, the final weights.
    """

    def run(config, callback):
        job = make_job({**NOISY, **config}, validation=6)
        return with_keras(build_learner(job), callback), with_monitor(job)

    return run


def set_weights(model, epoch):
    for weight in model.weights:
        weight.assign(np.full(weight.shape, float(epoch)))


def values_of(model):
    return {float(value) for weight in model.weights for value in np.ravel(weight)}


def with_keras(learner, callback):
    model, rates = learner.model, []
    model.compile(learner.optimizer, learner.loss)
    callback.set_model(model)
    callback.on_train_begin()
    for epoch, values in enumerate(EPOCHS):
        set_weights(model, epoch)
        rates.append(float(model.optimizer.learning_rate))
        callback.on_epoch_end(epoch, dict(values))
        if model.stop_training:
            break
    callback.on_train_end()
    return rates, getattr(callback, "best_epoch", -1), values_of(model)


def with_monitor(job):
    learner, state, rates = build_learner(job), State.start(), []
    monitor = EpochMonitor(job, learner)
    for epoch, values in enumerate(EPOCHS):
        set_weights(learner.model, epoch)
        rates.append(float(learner.rate()))
        tensors = {name: tf.constant(value, tf.float64) for name, value in values.items()}
        state = monitor.update(state, tensors)._replace(epoch=tf.constant(epoch + 1))
        if bool(state.stopped):
            break
    monitor.restore_best(state)
    return rates, int(state.best_epoch), values_of(learner.model)


@pytest.mark.slow
@pytest.mark.parametrize("case", STOPPING)
def test_early_stopping_equals_keras(case, follow):
    options = {"monitor": "val_loss", "restore_best_weights": True, **STOPPING[case]}
    mode = "max" if "r2" in options["monitor"] else "min"
    made = ToleratingEarlyStopping if "tolerance" in options else keras.callbacks.EarlyStopping
    callback = made(mode=mode, **options)
    expected, found = follow({"early_stopping": STOPPING[case]}, callback)
    assert found == expected
    assert (len(found[0]) == 40) == (case in ENDLESS)


@pytest.mark.slow
def test_epochs_within_the_tolerance_are_not_counted(follow):
    plain = {"patience": 3, "min_delta": 0.0}
    ends = []
    for tolerance in (0.0, 0.5):
        callback = ToleratingEarlyStopping(
            mode="min", monitor="val_loss", restore_best_weights=True, tolerance=tolerance, **plain
        )
        _, (rates, best, _) = follow(
            {"early_stopping": {**plain, "tolerance": tolerance}}, callback
        )
        worse = [
            each["val_loss"] - EPOCHS[best]["val_loss"] for each in EPOCHS[best + 1 : len(rates)]
        ]
        assert all(value >= tolerance for value in worse[-3:])
        ends.append(len(rates))
    assert ends[0] < ends[1] < len(EPOCHS)


@pytest.mark.slow
@pytest.mark.parametrize("case", PLATEAU)
def test_the_plateau_equals_keras(case, follow):
    options = {"monitor": "val_loss", **PLATEAU[case]}
    mode = "max" if "r2" in options["monitor"] else "min"
    callback = keras.callbacks.ReduceLROnPlateau(mode=mode, **options)
    plateau = {"name": "reduce_on_plateau", "monitor": "val_loss", **PLATEAU[case]}
    expected, found = follow({"learning_rate_schedule": plateau}, callback)
    assert found == expected
    assert (min(found[0]) < 0.3) == (case != "a lowest rate above the first")


@pytest.fixture
def train_both(make_job, train):
    """Train with the Keras engine and with others, and compare the results."""

    def run(config, *engines):
        job = make_job({**NOISY, **config}, validation=6)
        expected, results = train(job, "keras"), [train(job, engine) for engine in engines]
        for result in results:
            assert (result.epochs, result.best_epoch) == (expected.epochs, expected.best_epoch)
            assert result.history["learning_rate"] == expected.history["learning_rate"]
            for name, weight in expected.weights.items():
                # Rounding of 1e-16, grown over at most 160 steps at a rate that is meant to be
                # rough.
                np.testing.assert_allclose(result.weights[name], weight, rtol=0, atol=1e-9)
        return results

    return run


BOTH = {
    "learning_rate_schedule": {
        "name": "reduce_on_plateau",
        "patience": 1,
        "factor": 0.5,
        "cooldown": 1,
    },
    "early_stopping": {"monitor": "val_r2", "patience": 4, "start_from_epoch": 1},
    "hidden": ({"units": 4, "activation": "tanh", "batch_normalization": {}, "use_bias": False},),
}


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["graph", pytest.param("xla", marks=pytest.mark.release)])
def test_early_stopping_and_plateau_work_combined(engine, train_both):
    """Under XLA, test_training_dispatch has both: the same bits for any number of steps."""
    [result] = train_both(BOTH, engine)
    assert 5 < result.epochs < 40
    assert min(result.history["learning_rate"]) < 0.3


@pytest.mark.slow
def test_the_best_weights_are_those_of_the_best_epoch(make_job, train):
    noisy, stopping = {**NOISY, "metrics": ()}, {"early_stopping": {"patience": 3}}
    result = train(make_job({**noisy, **stopping}, validation=6), "graph")
    assert 1 < result.best_epoch < result.epochs
    until = train(make_job({**noisy, "epochs": result.best_epoch}, validation=6), "graph")
    for name, weight in until.weights.items():
        assert (result.weights[name] == weight).all()
    losses = result.history["val_loss"]
    assert losses.index(min(losses)) + 1 == result.best_epoch


@pytest.mark.slow
def test_weight_averages_and_best_weights_work_combined(train_both):
    # Keras puts the average in first and the best epoch's weights over it.
    average = {"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 7}
    optimizer = {"name": "sgd", "learning_rate": 0.3, **average}
    stopping = {"patience": 3}
    train_both({"optimizer": optimizer, "early_stopping": stopping, "metrics": ()}, "graph")


@pytest.mark.slow
def test_the_average_stays_where_the_last_weights_are_kept(train_both):
    average = {"name": "sgd", "learning_rate": 0.3, "use_ema": True, "ema_momentum": 0.9}
    stopping = {"patience": 3, "restore_best_weights": False}
    train_both({"optimizer": average, "early_stopping": stopping, "metrics": ()}, "graph")
