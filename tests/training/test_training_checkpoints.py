"""Training that is interrupted anywhere and resumed has the same result to the bit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dlcli.config.config_schema import CompiledEngine, KerasEngine
from dlcli.runs.file_formats import ArraySpec
from dlcli.runs.run_writer import Checkpoint
from dlcli.training import compiled_program
from dlcli.training.engines import train_job
from dlcli.training_job import is_finite

EVERYTHING = {
    "input": {"scaling_layer": {"learning_rate_multiplier": 2.0}},
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
FEW = {"early_stopping": {"patience": 3}, "metrics": ("mae",), "epochs": 5}
"""What is trained under XLA, which takes long to compile."""
ENGINES = {
    "keras": KerasEngine(),
    "graph": CompiledEngine(jit_compile=False),
    "xla": CompiledEngine(jit_compile=True),
}


INTERVALS = {"keras": 2, "graph": 7, "xla": 11}
"""Epochs (keras) or steps (others) until training is interrupted; an epoch has 4 steps, so that
most interruptions are within one, each at another step. Under XLA there is one."""


class Interrupted(Exception):
    """Training was interrupted."""


class Checkpointer:
    """Keep each checkpoint; interrupt training when one may be due for the nth time."""

    def __init__(self, after=10**9, newest=None):
        self.left = after
        self.newest = newest
        self.kept = []

    @property
    def is_due(self):
        self.left -= 1
        return True

    @property
    def is_ending(self):
        return self.left <= 0

    def save(self, checkpoint):
        self.newest = replace(
            checkpoint, history={k: list(v) for k, v in checkpoint.history.items()}
        )
        self.kept.append(self.newest)
        if self.is_ending:
            raise Interrupted

    def latest(self, job, kinds):
        if self.newest is not None:
            arrays = self.newest.arrays
            assert kinds == {k: ArraySpec(v.shape, v.dtype) for k, v in arrays.items()}
            assert job.problem(self.newest) == ""
        return self.newest


@pytest.fixture(autouse=True, scope="module")
def one_step_a_dispatch():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled_program, "FIRST_SECONDS", 0.0)
        patch.setattr(compiled_program, "SECONDS_PER_DISPATCH", 0.0)
        yield


@pytest.fixture(scope="module")
def undisturbed(make_job):
    """Train with an engine once; the job, the result and all checkpoints."""
    ended = {}

    def get(engine):
        if engine not in ended:
            config = FEW if engine == "xla" else EVERYTHING
            job = make_job(config, rows=13, validation=9, weighted="train validation")
            checkpointer = Checkpointer()
            ended[engine] = job, run(job, engine, checkpointer), checkpointer.kept
        return ended[engine]

    return get


def run(job, engine, checkpointer, reported=None):
    reported = [] if reported is None else reported
    return train_job(job, ENGINES[engine], lambda epoch, _: reported.append(epoch), checkpointer)


def assert_same(one, other):
    assert one.history == other.history
    assert one.best_epoch == other.best_epoch
    for name, array in one.weights.items():
        assert array.tobytes() == other.weights[name].tobytes(), name


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_a_training_interrupted_again_and_again_equals_the_uninterrupted_one(engine, undisturbed):
    job, expected, _ = undisturbed(engine)
    newest, reported, times = None, [], 0
    while times < 99:
        times += 1
        try:
            resumed = run(
                job, engine, checkpointer := Checkpointer(INTERVALS[engine], newest), reported
            )
            break
        except Interrupted:
            newest = checkpointer.newest
    assert times > (1 if engine == "xla" else 2), "too few interruptions"
    assert_same(expected, resumed)
    assert reported == list(range(1, resumed.epochs + 1))


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["keras", "graph"])
def test_a_complete_training_is_not_continued(engine, undisturbed):
    job, complete, kept = undisturbed(engine)
    reported = []
    again = run(job, engine, Checkpointer(newest=kept[-1]), reported)
    assert reported == []
    assert_same(complete, again)


AVERAGED = {"use_ema": True, "ema_overwrite_frequency": 3}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("config", "engine", "at"),
    [
        ({"optimizer": {"name": "lamb", **AVERAGED}}, "graph", 2),
        pytest.param(
            *({"optimizer": {"name": "schedule_free_adamw", **AVERAGED}}, "keras", 2),
            marks=pytest.mark.release,  # as above, with Adam
        ),
        ({"precision": "mixed_float16"}, "graph", 3),
    ],
    ids=["lamb", "schedule_free_adamw", "loss scale"],
)
def test_averages_optimizer_states_and_the_loss_scale_are_restored(config, engine, at, make_job):
    job, checkpointer = make_job({**config, "epochs": 4}, rows=9), Checkpointer()
    expected = run(job, engine, checkpointer)
    begun = checkpointer.kept[at]
    assert 0 < begun.epochs * job.steps + begun.step < 4 * job.steps
    assert_same(expected, run(job, engine, Checkpointer(newest=begun)))


MEASURED = "loss, mae, r2, val_loss, val_mae, val_r2, learning_rate"
NONSENSE = {
    "an epoch below none": ({"epoch": -5}, "is at step {step} of 4 after -5 of 9 epochs"),
    "an epoch too many": ({"epoch": 10}, "is at step {step} of 4 after 10 of 9 epochs"),
    "the largest epoch": (
        {"epoch": 2**31 - 1},
        "is at step {step} of 4 after 2147483647 of 9 epochs",
    ),
    "a step below none": ({"step": -1}, "is at step -1 of 4 after 2 of 9 epochs"),
    "a step too many": ({"step": 5}, "is at step 5 of 4 after 2 of 9 epochs"),
    "a step after the last epoch": (
        {"epoch": 9, "step": 1},
        "is at step 1 of 4 after 9 of 9 epochs",
    ),
    "a best epoch to come": ({"best_epoch": 2}, "has a best epoch after the 2 completed epochs"),
    "a best epoch below none": (
        {"best_epoch": -2},
        "has a best epoch after the 2 completed epochs",
    ),
    "another epoch": ({"epoch": 4}, "has 4 epochs, but its history has 2"),
    "no history": ({"history": {}}, "has 2 epochs, but its history has 0"),
    "another history": (
        {"history": {"loss": [1.0, 1.0]}},
        f"has the history columns loss, expected {MEASURED}",
    ),
    "a history before the first epoch": (
        {"epoch": 0, "history": {"lost": [1.0, 1.0]}},
        "has the history columns lost, expected nothing",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "step"), [("keras", 0), ("graph", 1)])
def test_a_checkpoint_that_is_no_state_of_its_job_is_refused(engine, step, undisturbed):
    job, _, kept = undisturbed(engine)
    given = next(each for each in kept if (each.epochs, each.step) == (2, step))
    assert job.problem(given) == ""
    for nonsense, (changes, complaint) in NONSENSE.items():
        if engine == "graph" or "step" not in changes:
            found = job.problem(with_changes(given, **changes))
            assert found == complaint.format(step=step), nonsense


def with_changes(checkpoint, history=None, **numbers):
    arrays = {
        name: np.array(numbers[last], array.dtype)
        if (last := name.rpartition("/")[2]) in numbers
        else array
        for name, array in checkpoint.arrays.items()
    }
    return Checkpoint(arrays, checkpoint.history if history is None else history)


def test_a_checkpoint_within_an_epoch_has_begun_one_more_than_have_ended():
    history = {"loss": [0.5, 0.25]}
    for arrays, begun in (({}, 2), ({"step": np.array(0)}, 2), ({"step": np.array(3)}, 3)):
        checkpoint = Checkpoint(arrays, history)
        assert (checkpoint.epochs, checkpoint.begun) == (2, begun)


def test_non_finite_weights_are_not_worth_storing():
    arrays = {"model/0": np.array([1.0, np.nan]), "optimizer/0": np.array([np.inf])}
    assert not is_finite(Checkpoint(arrays, {}))
    assert is_finite(Checkpoint({**arrays, "model/0": np.ones(2)}, {}))
