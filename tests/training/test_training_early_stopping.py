"""Early stopping and the plateau equal Keras's own callbacks.

The Keras engine runs Keras's callbacks, and the validation here is so noisy that each option
changes what happens. In float64, where no comparison hangs on rounding.
"""

from __future__ import annotations

import numpy as np
import pytest

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
    "a late start without patience": {"patience": 0, "start_from_epoch": 1},
    "a start at the last epoch": {"patience": 1, "start_from_epoch": 39},
    "more patience than epochs": {"patience": 100},
    "training loss": {"monitor": "loss", "patience": 1},
    "larger is better": {"monitor": "val_r2", "patience": 3},
    "larger is better by far": {"monitor": "val_r2", "patience": 3, "min_delta": 0.05},
    "a metric of training": {"monitor": "mae", "patience": 2},
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


@pytest.fixture
def train_both(make_job, train):
    """Train with the Keras engine and as a graph, and compare the results."""

    def run(config, engine="graph"):
        job = make_job({**NOISY, **config}, validation=6)
        expected, result = train(job, "keras"), train(job, engine)
        assert (result.epochs, result.best_epoch) == (expected.epochs, expected.best_epoch)
        assert result.history["learning_rate"] == expected.history["learning_rate"]
        for name, weight in expected.weights.items():
            # Rounding of 1e-16, grown over at most 160 steps at a rate that is meant to be rough.
            np.testing.assert_allclose(result.weights[name], weight, rtol=0, atol=1e-9)
        return result

    return run


@pytest.mark.slow
@pytest.mark.parametrize("case", STOPPING)
def test_early_stopping_equals_keras(case, train_both):
    result = train_both({"early_stopping": STOPPING[case]})
    assert (result.epochs == 40) == (case in ENDLESS)


@pytest.mark.slow
@pytest.mark.parametrize("case", PLATEAU)
def test_the_plateau_equals_keras(case, train_both):
    plateau = {"name": "reduce_on_plateau", **PLATEAU[case]}
    rates = train_both({"learning_rate_schedule": plateau}).history["learning_rate"]
    assert (min(rates) < 0.3) == (case != "a lowest rate above the first")


BOTH = {
    "learning_rate_schedule": {"name": "reduce_on_plateau", "patience": 1, "factor": 0.5},
    "early_stopping": {"patience": 4},
    "hidden": ({"units": 4, "activation": "tanh", "batch_normalization": {}, "use_bias": False},),
}


@pytest.mark.parametrize("engine", ["graph", pytest.param("xla", marks=pytest.mark.slow)])
def test_early_stopping_and_plateau_work_combined(engine, train_both):
    result = train_both(BOTH, engine)
    assert result.epochs < 40
    assert min(result.history["learning_rate"]) < 0.3


def test_the_best_weights_are_those_of_the_best_epoch(make_job, train):
    stopping = {"early_stopping": {"patience": 3}}
    result = train(make_job({**NOISY, **stopping}, validation=6), "graph")
    assert 1 < result.best_epoch < result.epochs
    until = train(make_job({**NOISY, "epochs": result.best_epoch}, validation=6), "graph")
    for name, weight in until.weights.items():
        assert (result.weights[name] == weight).all()
    losses = result.history["val_loss"]
    assert losses.index(min(losses)) + 1 == result.best_epoch


def test_weight_averages_and_best_weights_work_combined(train_both):
    # Keras puts the average in first and the best epoch's weights over it.
    average = {"use_ema": True, "ema_momentum": 0.9, "ema_overwrite_frequency": 7}
    optimizer = {"name": "sgd", "learning_rate": 0.3, **average}
    train_both({"optimizer": optimizer, "early_stopping": {"patience": 3}})


def test_the_average_stays_where_the_last_weights_are_kept(train_both):
    average = {"name": "sgd", "learning_rate": 0.3, "use_ema": True, "ema_momentum": 0.9}
    stopping = {"patience": 3, "restore_best_weights": False}
    train_both({"optimizer": average, "early_stopping": stopping})
