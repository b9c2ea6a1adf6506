"""Training that is ended anywhere and goes on as if nothing had happened, to the bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dlcli.config.training import CompiledEngine, KerasEngine
from dlcli.training import compiled_engine, train_job
from dlcli.training.snapshots import Snapshot, kinds_of

EVERYTHING = {
    "hidden": (
        {"units": 5, "activation": "tanh", "dropout": 0.3},
        {"units": 4, "activation": "relu", "use_bias": False, "batch_normalization": {}},
    ),
    "optimizer": {"name": "adam", "learning_rate": 0.05},
    "early_stopping": {"patience": 3},
    "learning_rate_schedule": {"name": "reduce_on_plateau", "patience": 1, "cooldown": 1},
    "metrics": ("mae", "r2"),
    "epochs": 9,
}
ENGINES = {
    "keras": KerasEngine(),
    "graph": CompiledEngine(jit_compile=False),
    "xla": CompiledEngine(jit_compile=True),
}


ASKED = {"keras": 1, "graph": 3, "xla": 5}
"""How often an engine is asked whether it should end, until it should: each epoch, or each step."""


class Ended(Exception):
    """Training was ended."""


class Keeper:
    """Ends training when it is asked for the nth time, and remembers the last snapshot."""

    def __init__(self, after=10**9, newest=None):
        self.left = after
        self.newest = newest
        self.kept = 0

    @property
    def is_due(self):
        self.left -= 1
        return self.is_ending

    @property
    def is_ending(self):
        return self.left <= 0

    def keep(self, snapshot):
        self.newest = replace(snapshot, history={k: list(v) for k, v in snapshot.history.items()})
        self.kept += 1
        if self.is_ending:
            raise Ended

    def earlier(self, kinds):
        if self.newest is not None:
            assert kinds == kinds_of(self.newest.arrays)
        return self.newest


@pytest.fixture(autouse=True)
def one_step_a_dispatch(monkeypatch):
    monkeypatch.setattr(compiled_engine, "FIRST_SECONDS", 0.0)
    monkeypatch.setattr(compiled_engine, "SECONDS_A_DISPATCH", 0.0)


def run(job, engine, keeper, told=None):
    told = [] if told is None else told
    return train_job(job, ENGINES[engine], lambda epoch, _: told.append(epoch), keeper)


def assert_same(one, other):
    assert one.history == other.history
    assert one.best_epoch == other.best_epoch
    for name, array in one.weights.items():
        assert array.tobytes() == other.weights[name].tobytes(), name


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("config", [EVERYTHING, {"epochs": 6}], ids=["everything", "plain"])
def test_a_training_that_is_ended_again_and_again_ends_as_the_undisturbed_one(
    config, engine, make_job
):
    job = make_job(config, rows=13, validation=9, weighted="train validation")
    undisturbed = run(job, engine, Keeper())
    newest, told, times = None, [], 0
    while times < 99:
        times += 1
        try:
            resumed = run(job, engine, keeper := Keeper(ASKED[engine], newest), told)
            break
        except Ended:
            newest = keeper.newest
    assert times > 3, "it was not ended often enough to tell"
    assert_same(undisturbed, resumed)
    assert told == list(range(1, resumed.epochs + 1))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_training_that_is_complete_is_not_trained_further(engine, make_job):
    job = make_job(EVERYTHING, rows=13, validation=9)
    keeper, told = Keeper(), []
    complete = run(job, engine, keeper)
    again = run(job, engine, Keeper(newest=keeper.newest), told)
    assert told == []
    assert_same(complete, again)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("optimizer", ["lamb", "schedule_free_adamw", "sgd"])
def test_averages_and_all_that_optimizers_remember_are_kept(optimizer, engine, make_job):
    section = {"name": optimizer, "use_ema": True, "ema_overwrite_frequency": 3}
    job = make_job({"optimizer": section, "epochs": 4}, rows=9)
    ended = Keeper(2)
    with pytest.raises(Ended):
        run(job, engine, ended)
    assert_same(run(job, engine, Keeper()), run(job, engine, Keeper(newest=ended.newest)))


def test_mixed_precision_keeps_its_loss_scale(make_job):
    job = make_job({"precision": "mixed_float16", "epochs": 4}, rows=9)
    ended = Keeper(3)
    with pytest.raises(Ended):
        run(job, "graph", ended)
    assert_same(run(job, "graph", Keeper()), run(job, "graph", Keeper(newest=ended.newest)))


def test_weights_that_are_no_numbers_are_not_worth_keeping():
    arrays = {"model/0": np.array([1.0, np.nan]), "optimizer/0": np.array([np.inf])}
    assert not Snapshot(arrays, {}).is_finite
    assert Snapshot({**arrays, "model/0": np.ones(2)}, {}).is_finite
